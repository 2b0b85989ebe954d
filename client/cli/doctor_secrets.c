/* Secrets that are known before anything is written, so that they are masked wherever they stand:
 * see doctor.h. Runs in a child. */
#include "client/cli/doctor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/mask.h"
#include "client/cli/procfile.h"
#include "proto/mask.h"

enum { LINE_BYTES = 4096 };

/* Values of variables whose names look like secrets: logs may have them, too. */
static void
put_secrets(FILE *out, pid_t pid)
{
    char path[64], names[LINE_BYTES * 4] = "", value[LINE_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    FILE *list = fmemopen(names, sizeof names - 1, "w");
    if (list == NULL) {
        return;
    }
    (void)procfile_names(path, list);
    (void)fclose(list);
    char *rest = names;
    for (char *name = strtok_r(names, "\n", &rest); name != NULL;
         name = strtok_r(NULL, "\n", &rest)) {
        if (mask_may_be_secret(name, strlen(name)) &&
            procfile_variable(path, name, value, sizeof value)) {
            (void)fprintf(out, "%s\n", value);
        }
    }
}

/* What has the name of a secret in the configuration: a worker that has died had it, too. */
static void
put_config_secrets(FILE *out, const struct doctor *d)
{
    struct mask mask = {.count = 0};
    char *text = NULL;
    size_t len = 0;
    FILE *copy = d->config[0] != '\0' ? open_memstream(&text, &len) : NULL;
    if (copy != NULL) {
        (void)doctor_write_file(d->config, copy, 0);
        if (fclose(copy) == 0 && mask_learn_from(&mask, text, len)) {
            for (size_t i = 0; i < mask.count; i++) {
                (void)fprintf(out, "%s\n", mask.secrets[i]);
            }
        }
    }
    mask_deinit(&mask);
    free(text);
}

/* The file that the configuration names as that of the token. */
static void
put_token_file(FILE *out, const struct doctor *d)
{
    char line[LINE_BYTES], path[2 * PATH_MAX];
    FILE *in = d->config[0] != '\0' ? fopen(d->config, "re") : NULL;
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        const char *at = strstr(line, "token_file:");
        if (at != NULL) {
            at += strlen("token_file:");
            at += strspn(at, " \t\"'");
            const char *slash = strrchr(d->config, '/');
            (void)snprintf(path, sizeof path, "%.*s%.*s",
                           at[0] == '/' || slash == NULL ? 0 : (int)(slash - d->config + 1),
                           d->config, (int)strcspn(at, " \t\"'\n#,}"), at);
            (void)doctor_write_file(path, out, 0);
            (void)fputc('\n', out);
        }
    }
    if (in != NULL) {
        (void)fclose(in);
    }
}

int
doctor_write_secrets(struct cli *cli, const struct doctor *d, FILE *out)
{
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/token", d->dir);
    if (d->dir[0] != '\0' && access(path, R_OK) == 0) {
        (void)doctor_write_file(path, out, 0);
        (void)fputc('\n', out);
    }
    if (cli->options.token_file != NULL && access(cli->options.token_file, R_OK) == 0) {
        (void)doctor_write_file(cli->options.token_file, out, 0);
        (void)fputc('\n', out);
    }
    put_token_file(out, d);
    put_config_secrets(out, d);
    put_secrets(out, getpid());
    for (size_t i = 0; i < d->process_count; i++) {
        put_secrets(out, d->processes[i].pid);
        (void)fflush(out);
    }
    return CLI_OK;
}
