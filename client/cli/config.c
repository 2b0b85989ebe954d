/* `prong config ...`: the broker knows its configuration, this asks it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/cli/output.h"
#include "client/cli/program.h"

#define BROKER "prong-broker"

static int
find_broker(const struct cli *cli, char path[PATH_MAX])
{
    if (program_find(BROKER, path)) {
        return CLI_OK;
    }
    output_say(cli, BROKER " is neither beside prong nor in PATH");
    return CLI_FAILED;
}

/* The file that a hub started here would read; false when there is none. */
static bool
find_file(char path[PATH_MAX])
{
    const struct {
        const char *folder, *rest;
    } places[] = {{".", "/prong.yaml"},
                  {getenv("XDG_CONFIG_HOME"), "/prong/prong.yaml"},
                  {getenv("HOME"), "/.config/prong/prong.yaml"},
                  {"/etc", "/prong/prong.yaml"}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const bool hidden = i == 2 && places[1].folder != NULL && places[1].folder[0] != '\0';
        if (places[i].folder != NULL && !hidden &&
            snprintf(path, PATH_MAX, "%s%s", places[i].folder, places[i].rest) < PATH_MAX &&
            (access(path, F_OK) == 0 || errno != ENOENT)) {
            return true;
        }
    }
    return false;
}

static int
run_broker(const struct cli *cli, const char *const argv[])
{
    pid_t pid;
    const int error = program_start(argv[0], argv, -1, &pid);
    if (error != 0) {
        output_say(cli, "cannot start %s: %s", argv[0], strerror(error));
        return CLI_FAILED;
    }
    const int code = program_wait(pid);
    struct pollfd out = {.fd = STDOUT_FILENO};
    if (code != EX_IOERR) {
        return program_exit_code(code);
    }
    /* It does not say so itself. Whoever closed our stdout has what he wanted. */
    if (poll(&out, 1, 0) > 0 && (out.revents & POLLERR)) {
        return CLI_OK;
    }
    output_say(cli, "cannot write the output");
    return CLI_FAILED;
}

/* The file of the first argument, else the one that a hub here would take; in `found` then. */
static int
choose_file(const struct cli *cli, char found[PATH_MAX], const char **file)
{
    *file = cli->argc > 0 ? cli->argv[0] : found;
    if (cli->argc == 0 && !find_file(found)) {
        output_say(cli, "there is no prong.yaml here, in ~/.config/prong or in /etc/prong");
        return CLI_CONFIG;
    }
    return CLI_OK;
}

int
verb_config_check(struct cli *cli)
{
    char broker[PATH_MAX], found[PATH_MAX];
    const char *file;
    int code = find_broker(cli, broker);
    if (code == CLI_OK) {
        code = choose_file(cli, found, &file);
    }
    if (code != CLI_OK) {
        return code;
    }
    const char *const argv[] = {broker, "--check", file, NULL};
    code = run_broker(cli, argv);
    if (code == CLI_OK) {
        output_note(cli, "%s is valid", file);
    }
    return code;
}

int
verb_config_show(struct cli *cli)
{
    char broker[PATH_MAX], found[PATH_MAX];
    const char *file, *argv[8], *form = cli->options.output;
    size_t n = 0;
    int code = find_broker(cli, broker);
    if (code == CLI_OK) {
        code = choose_file(cli, found, &file);
    }
    if (code != CLI_OK) {
        return code;
    }
    argv[n++] = broker;
    argv[n++] = "--show";
    argv[n++] = file;
    if (cli->options.worker != NULL) {
        argv[n++] = "--worker";
        argv[n++] = cli->options.worker;
    }
    /* YAML is what people and the hub read alike, so it is JSON only when that is asked for. */
    if (form != NULL && strncmp(form, "json", 4) == 0) {
        argv[n++] = "--json";
    }
    argv[n] = NULL;
    return run_broker(cli, argv);
}

int
verb_config_import(struct cli *cli)
{
    char broker[PATH_MAX];
    const int code = find_broker(cli, broker);
    const char *const argv[] = {broker,
                                "--import",
                                cli->argv[0],
                                cli->options.kind != NULL ? "--kind" : NULL,
                                cli->options.kind,
                                NULL};
    return code != CLI_OK ? code : run_broker(cli, argv);
}

static int
print_by_broker(const struct cli *cli, const char *option)
{
    char broker[PATH_MAX];
    const int code = find_broker(cli, broker);
    const char *const argv[] = {broker, option, NULL};
    return code != CLI_OK ? code : run_broker(cli, argv);
}

/* The default configuration into a new file, which becomes our stdout; half a file does not stay.
 */
static int
write_default(const struct cli *cli, const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) {
        const int error = errno;
        output_say(cli, error == EEXIST ? "%s is there already; --force writes it anew" : "%s: %s",
                   path, strerror(error));
        return CLI_FAILED;
    }
    close(fd); /* stdout is it now */
    const int code = print_by_broker(cli, "--print-default-config");
    if (code != CLI_OK) {
        (void)unlink(path); /* nothing else can be done about it */
    }
    return code;
}

/* Over a file that may be there: the old one stays whole until the new one is. */
static int
replace_by_default(const struct cli *cli, const char *file)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    struct stat status;
    const bool is_there = stat(file, &status) == 0;
    if (is_there && !S_ISREG(status.st_mode)) {
        output_say(cli, "%s is there and no file", file);
        return CLI_FAILED;
    }
    /* What a symbolic link leads to is replaced, not the link. */
    if (!is_there || realpath(file, path) == NULL) {
        (void)snprintf(path, sizeof path, "%s", file);
    }
    if (snprintf(fresh, sizeof fresh, "%s.%ld.new", path, (long)getpid()) >= PATH_MAX) {
        output_say(cli, "%s: %s", file, strerror(ENAMETOOLONG));
        return CLI_FAILED;
    }
    const int code = write_default(cli, fresh);
    if (code == CLI_OK && rename(fresh, path) != 0) {
        output_say(cli, "%s: %s", file, strerror(errno));
        (void)unlink(fresh);
        return CLI_FAILED;
    }
    return code;
}

int
verb_config_init(struct cli *cli)
{
    const char *file = cli->argc > 0 ? cli->argv[0] : "prong.yaml";
    if (strcmp(file, "-") == 0) {
        return print_by_broker(cli, "--print-default-config");
    }
    const int code = cli->options.force ? replace_by_default(cli, file) : write_default(cli, file);
    if (code == CLI_OK) {
        output_note(cli, "wrote %s: every option as a comment, with its default", file);
    }
    return code;
}

int
verb_config_manual(struct cli *cli)
{
    return print_by_broker(cli, cli->options.man ? "--print-config-man" : "--print-config-manual");
}
