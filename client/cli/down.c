/* `prong down`: ask the hub to end everything, and wait until it is gone. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/cli/hub.h"
#include "client/cli/hubdir.h"
#include "client/cli/output.h"
#include "client/cli/unit.h"

enum { ASK_MS = 5000 };

static int
late(const struct cli *cli, const char *dir, pid_t owner)
{
    char span[UNIT_SPAN_BYTES];
    unit_span(cli->options.timeout_ms, span);
    output_say(cli,
               "the hub in %s has not ended within %s: it may still drain (prong status); "
               "'kill %d' hurries it",
               dir, span, (int)owner);
    return CLI_TIMEOUT;
}

/* The process of prongd is gone, then the lock is free. */
static int
wait_gone(struct cli *cli, const char *dir, pid_t owner, int pid_fd)
{
    while (pid_fd >= 0) {
        struct pollfd polls[] = {{.fd = pid_fd, .events = POLLIN},
                                 {.fd = cli->signal_fd, .events = POLLIN}};
        const int n = poll(polls, 2, unit_left_ms(cli->deadline_ms, 3600000));
        if (hub_read_signals(cli)) {
            return 128 + cli->signal_number;
        }
        if (polls[0].revents != 0 || (n < 0 && errno != EINTR)) {
            break;
        }
        if (n == 0) {
            return late(cli, dir, owner);
        }
    }
    return hubdir_wait_free(dir, cli->deadline_ms) ? CLI_OK : late(cli, dir, owner);
}

/* A hub of another machine: all that is seen of its end is that the connection is lost. */
static int
wait_lost(struct cli *cli)
{
    while (prong_client_is_connected(cli->client)) {
        const enum hub_woke woke = hub_wait(cli, cli->deadline_ms, -1);
        if (woke == HUB_GONE) {
            return CLI_OK;
        }
        const int code = hub_woke_code(cli, woke, "the end of the hub");
        if (code != CLI_OK) {
            return code;
        }
    }
    return CLI_OK;
}

/* Nobody answers, or not in time. Whether a hub is there shows its lock. */
static int
end_silent(struct cli *cli, prong_err err, const char *why)
{
    char dir[PATH_MAX];
    int code = hubdir_choose(cli, false, dir);
    if (code != CLI_OK) {
        return code;
    }
    const pid_t owner = hubdir_owner(dir);
    if (owner == 0 && err == PRONG_UNAVAILABLE) {
        output_note(cli, "no hub runs in %s", dir);
        return CLI_OK;
    }
    if (owner <= 0) { /* it is not ours to look at, or it is another one that is late */
        return output_error(cli, err, "connecting", why);
    }
    output_say(cli, "%s%s; telling prongd, pid %d, by SIGTERM",
               err == PRONG_UNAVAILABLE ? "the hub cannot be reached: " : "", why, (int)owner);
    const int pid_fd = (int)syscall(SYS_pidfd_open, owner, 0);
    if (kill(owner, SIGTERM) != 0 && errno != ESRCH) {
        output_say(cli, "cannot signal pid %d: %s", (int)owner, strerror(errno));
        code = errno == EPERM ? CLI_DENIED : CLI_FAILED;
    } else {
        (void)hub_take_signals(cli); /* without them SIGINT ends us at once, which is as good */
        code = wait_gone(cli, dir, owner, pid_fd);
    }
    if (pid_fd >= 0) {
        close(pid_fd);
    }
    return code;
}

/* A hub that ends while it is asked, because somebody else had asked before, does what it should.
 */
static int
ask(struct cli *cli)
{
    const struct hub_call call = {
        .worker = "hub", .method = "down", .options = {.timeout_ms = ASK_MS}};
    prong_reply *reply = NULL;
    int code = hub_call(cli, &call, &reply);
    if (code == CLI_OK && prong_reply_code(reply) != PRONG_OK &&
        prong_client_is_connected(cli->client)) {
        code = output_failure(cli, "down", reply);
    }
    prong_reply_free(reply);
    return code;
}

int
verb_down(struct cli *cli)
{
    char url_room[PATH_MAX], dir[PATH_MAX], why[400];
    const char *url;
    int pid_fd = -1;
    cli->reconnect_ms = -1; /* a lost connection is what is wanted */
    int code = hubdir_url(cli, url_room, &url);
    if (code != CLI_OK) {
        return code;
    }
    const prong_err err = hub_try(cli, url, why, sizeof why);
    if ((err == PRONG_UNAVAILABLE || err == PRONG_DEADLINE_EXCEEDED) && !hub_is_remote(url)) {
        return end_silent(cli, err, why);
    }
    if (err != PRONG_OK) {
        return err == PRONG_INVALID_ARGUMENT ? output_usage(cli, "%s", why)
                                             : output_error(cli, err, "connecting", why);
    }
    const bool is_here = hubdir_of_url(prong_client_url(cli->client), dir);
    const pid_t owner = is_here ? hubdir_owner(dir) : 0;
    if (owner > 0) {
        pid_fd = (int)syscall(SYS_pidfd_open, owner, 0);
    }
    code = ask(cli);
    if (code == CLI_OK) {
        code = is_here ? wait_gone(cli, dir, owner, pid_fd) : wait_lost(cli);
    }
    if (code == CLI_OK) {
        output_note(cli, "the hub has ended");
    }
    if (pid_fd >= 0) {
        close(pid_fd);
    }
    return code;
}
