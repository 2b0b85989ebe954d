/* `prong attach`: a command takes the place of a replica's process, under a debugger for instance.
 * The hub is told the pid of this process, which then becomes the command. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/hub.h"
#include "client/cli/hubdir.h"
#include "client/cli/output.h"

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/* Set NAME to the text of a key, of which as much as `stop` does not cut is wanted. */
static bool
set_text(const char *name, const prong_value *map, const char *key)
{
    prong_value value;
    const char *text;
    size_t len;
    char room[200];
    if (!prong_value_find(map, key, &value) || !prong_value_text(&value, &text, &len) ||
        len >= sizeof room) {
        return false;
    }
    memcpy(room, text, len);
    room[len] = '\0';
    return setenv(name, room, 1) == 0;
}

/* What the hub gives each process that it starts itself. */
static bool
set_environment(const char *url, const prong_value *identity)
{
    prong_value value;
    const char *text;
    size_t len;
    uint64_t incarnation;
    char room[200];
    if (!prong_value_find(identity, "replica", &value) || !prong_value_text(&value, &text, &len) ||
        len >= sizeof room || memchr(text, '/', len) == NULL ||
        !prong_value_find(identity, "incarnation", &value) ||
        !prong_value_uint(&value, &incarnation)) {
        return false;
    }
    memcpy(room, text, len);
    room[len] = '\0';
    char *slash = strchr(room, '/');
    *slash = '\0';
    if (setenv("PRONG_WORKER", room, 1) != 0 || setenv("PRONG_REPLICA", slash + 1, 1) != 0) {
        return false;
    }
    (void)snprintf(room, sizeof room, "%" PRIu64, incarnation);
    return setenv("PRONG_INCARNATION", room, 1) == 0 &&
           set_text("PRONG_TOKEN", identity, "token") &&
           (url == NULL || setenv("PRONG_URL", url, 1) == 0);
}

static int
become(struct cli *cli)
{
    char *argv[256];
    sigset_t none;
    for (int i = 1; i < cli->argc; i++) {
        /* exec does not write to them; its type is older than const. */
        memcpy(&argv[i - 1], &cli->argv[i], sizeof argv[0]);
    }
    argv[cli->argc - 1] = NULL;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* hub_wait may have blocked some */
    (void)execvp(argv[0], argv);
    output_say(cli, "cannot run %s: %s", argv[0], strerror(errno));
    return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

int
verb_attach(struct cli *cli)
{
    char url_room[PATH_MAX];
    const char *url;
    prong_reply *reply = NULL;
    if (cli->argc > 255) {
        return output_usage(cli, "the command has too many arguments");
    }
    int code = hubdir_url(cli, url_room, &url);
    if (code == CLI_OK && hub_is_remote(url)) {
        return output_usage(cli, "attach works on the machine of the hub only");
    }
    code = code != CLI_OK ? code : hub_connect(cli);
    code = code != CLI_OK
               ? code
               : hub_ask_number(cli, "attach", cli->argv[0], "pid", (int64_t)getpid(), &reply);
    if (code != CLI_OK) {
        return code;
    }
    const bool ok = set_environment(url, prong_reply_value(reply));
    prong_reply_free(reply);
    hub_close(cli);
    if (!ok) {
        output_say(cli, "the hub did not say what a process of %s needs", cli->argv[0]);
        return CLI_FAILED;
    }
    return become(cli);
}
