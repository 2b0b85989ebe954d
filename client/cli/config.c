/* `prong config ...`: the broker knows its configuration, this asks it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int
verb_config_check(struct cli *cli)
{
    char broker[PATH_MAX], found[PATH_MAX];
    const char *file = cli->argc > 0 ? cli->argv[0] : found;
    pid_t pid;
    int code = find_broker(cli, broker);
    if (code != CLI_OK) {
        return code;
    }
    if (cli->argc == 0 && !find_file(found)) {
        output_say(cli, "there is no prong.yaml here, in ~/.config/prong or in /etc/prong");
        return CLI_CONFIG;
    }
    const char *const argv[] = {broker, "--check", file, NULL};
    const int error = program_start(broker, argv, -1, &pid);
    if (error != 0) {
        output_say(cli, "cannot start %s: %s", broker, strerror(error));
        return CLI_FAILED;
    }
    code = program_exit_code(program_wait(pid));
    if (code == CLI_OK) {
        output_note(cli, "%s is valid", file);
    }
    return code;
}

static int
become_broker(const struct cli *cli, const char *option)
{
    char broker[PATH_MAX];
    const int code = find_broker(cli, broker);
    if (code != CLI_OK) {
        return code;
    }
    const char *const argv[] = {broker, option, NULL};
    program_become(broker, argv);
    output_say(cli, "cannot start %s: %s", broker, strerror(errno));
    return CLI_FAILED;
}

int
verb_config_init(struct cli *cli)
{
    return become_broker(cli, "--print-default-config");
}

int
verb_config_manual(struct cli *cli)
{
    return become_broker(cli, "--print-config-manual");
}
