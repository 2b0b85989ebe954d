/* The configuration that a broker keeps for the one that comes after it. */
#include "broker/shell/kept.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"
#include "tests/unit/shell/capture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT "config.last"

static char text[CAPTURE_TEXT];

static struct config *
load(const char *yaml)
{
    const struct config_source source = {
        .name = "x.yaml", .directory = "/srv", .data = yaml, .size_bytes = strlen(yaml)};
    struct config *config = NULL;
    struct config_diag diag;
    cr_assert(config_load_text(&source, NULL, &config, &diag) == 0, "%s", diag.text);
    return config;
}

/* Keep what a text comes to; what the log says of it is in `text`. */
static void
keep(const char *yaml, const char *path)
{
    struct config *config = load(yaml);
    const int saved = capture_begin();
    kept_write(dir_path(), config, path, &(struct log){.level = LOG_INFO});
    capture_end(saved);
    capture_file(text, "stderr");
    config_free(config);
}

static mode_t
mode_of(const char *name)
{
    char path[DIR_FILE_BYTES_MAX];
    struct stat st;
    return stat(dir_file(path, name), &st) == 0 ? st.st_mode & 07777 : 0;
}

static void
expect_nothing(const char *why)
{
    struct kept kept;
    kept_read(dir_path(), &kept);
    cr_assert(kept.config == NULL && kept.path == NULL, "something was read");
    cr_assert(strstr(kept.why, why) != NULL, "no '%s' in: %s", why, kept.why);
    kept_deinit(&kept);
}

Test(kept, what_was_kept_is_read_again_with_its_secrets, .init = dir_enter, .fini = dir_leave)
{
    struct kept kept;
    keep("workers: {a: {command: [x], environment: {API_KEY: hunter2}}}\n", "./p.yaml");
    cr_assert(text[0] == '\0', "%s", text);
    keep("workers: {b: {command: [y], environment: {API_KEY: hunter3}}}\n", "./p.yaml");
    cr_assert(mode_of(KEPT) == 0600, "mode %o", (unsigned)mode_of(KEPT));
    cr_assert(mode_of(KEPT ".new") == 0, "the temporary file is left");
    kept_read(dir_path(), &kept);
    cr_assert(kept.config != NULL && kept.config->worker_count == 1, "%s", kept.why);
    cr_assert(strcmp(kept.path, "./p.yaml") == 0, "%s", kept.path);
    cr_assert(strcmp(kept.config->directory, "/srv") == 0, "%s", kept.config->directory);
    const struct config_worker *worker = &kept.config->workers[0];
    cr_assert(strcmp(worker->name, "b") == 0, "%s", worker->name);
    cr_assert(strcmp(worker->environment.items[0].value, "hunter3") == 0, "another secret");
    kept_deinit(&kept);
    kept_deinit(&kept);
}

Test(kept, a_hub_without_a_file_has_none_afterwards_either, .init = dir_enter, .fini = dir_leave)
{
    struct kept kept;
    struct config *config = config_new();
    kept_write(dir_path(), config, NULL, &(struct log){.level = LOG_INFO});
    config_free(config);
    kept_read(dir_path(), &kept);
    cr_assert(kept.config != NULL && kept.config->worker_count == 0, "%s", kept.why);
    cr_assert(kept.path == NULL, "%s", kept.path);
    kept_deinit(&kept);
}

Test(kept, what_cannot_be_used_is_nothing_and_says_why, .init = dir_enter, .fini = dir_leave)
{
    static const char head[] = "# file: x\n# directory: /\n";
    char path[DIR_FILE_BYTES_MAX], wrong[100];
    expect_nothing("No such file");
    dir_write(KEPT, "", 0600);
    expect_nothing("not complete");
    dir_write(KEPT, "# file: x\n# directory: /", 0600);
    expect_nothing("not complete");
    (void)snprintf(wrong, sizeof wrong, "%sworkers: [", head);
    dir_write(KEPT, wrong, 0600);
    expect_nothing(KEPT ":1:");
    (void)unlink(dir_file(path, KEPT));
    dir_write(KEPT, head, 0644);
    expect_nothing("not permitted");
}

Test(kept, what_cannot_be_written_is_told_and_what_was_there_stays, .init = dir_enter,
     .fini = dir_leave)
{
    char path[DIR_FILE_BYTES_MAX];
    struct kept kept;
    keep("workers: {a: {command: [x]}}\n", "p.yaml");
    keep("workers: {b: {command: [x]}}\n", "new\nline");
    cr_assert(strstr(text, "WARN") != NULL && strstr(text, "cannot be kept in") != NULL, "%s",
              text);
    cr_assert(mkdir(dir_file(path, KEPT ".new"), 0700) == 0, "no folder");
    keep("workers: {b: {command: [x]}}\n", "p.yaml");
    cr_assert(strstr(text, "Is a directory") != NULL, "%s", text);
    kept_read(dir_path(), &kept);
    cr_assert(kept.config != NULL && strcmp(kept.config->workers[0].name, "a") == 0, "%s",
              kept.why);
    kept_deinit(&kept);
}
