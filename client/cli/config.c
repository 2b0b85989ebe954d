/* `prong config ...`: the broker knows its configuration, this asks it. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int
verb_config_check(struct cli *cli)
{
    char broker[PATH_MAX], found[PATH_MAX];
    const char *file = cli->argc > 0 ? cli->argv[0] : found;
    int code = find_broker(cli, broker);
    if (code != CLI_OK) {
        return code;
    }
    if (cli->argc == 0 && !find_file(found)) {
        output_say(cli, "there is no prong.yaml here, in ~/.config/prong or in /etc/prong");
        return CLI_CONFIG;
    }
    const char *const argv[] = {broker, "--check", file, NULL};
    code = run_broker(cli, argv);
    if (code == CLI_OK) {
        output_note(cli, "%s is valid", file);
    }
    return code;
}

static int
print_by_broker(const struct cli *cli, const char *option)
{
    char broker[PATH_MAX];
    const int code = find_broker(cli, broker);
    const char *const argv[] = {broker, option, NULL};
    return code != CLI_OK ? code : run_broker(cli, argv);
}

int
verb_config_init(struct cli *cli)
{
    return print_by_broker(cli, "--print-default-config");
}

int
verb_config_manual(struct cli *cli)
{
    return print_by_broker(cli, "--print-config-manual");
}
