/* The connection to the hub, and waiting for it: the one place where this program waits, so that
 * SIGINT and deadlines are looked at everywhere. */
#ifndef PRONG_CLI_HUB_H
#define PRONG_CLI_HUB_H

#include "client/cli/cli.h"

/* Connect to the hub that the options mean. The client is cli->client. */
int hub_connect(struct cli *cli);
/* The same to one URL, without a word on failure: `why` gets the text. */
prong_err hub_try(struct cli *cli, const char *url, char *why, size_t why_size);
/* Whether a URL, or PRONG_URL when it is NULL, means a hub that may be on another machine. */
bool hub_is_remote(const char *url);
/* Close the connection; nothing when there is none. */
void hub_close(struct cli *cli);

enum hub_woke {
    HUB_WOKE,        /* something came: look again at what is waited for */
    HUB_LATE,        /* the deadline passed */
    HUB_INTERRUPTED, /* SIGINT or SIGTERM: cli->signal_number */
    HUB_UNREAD,      /* nobody reads our stdout any longer */
    HUB_GONE,        /* the connection is lost and not sought any longer */
};

/* Serve the connection until something comes. Everything has to be looked at before: what has come
 * already does not wake anybody. `out_fd` is our stdout when it matters that nobody reads it any
 * longer, else -1. */
enum hub_woke hub_wait(struct cli *cli, int64_t deadline_ms, int out_fd);
/* The same, and until there is something to read from `in_fd`, too, unless it is -1. */
enum hub_woke hub_wait_input(struct cli *cli, int64_t deadline_ms, int out_fd, int in_fd);
/* The exit code of what hub_wait returned, told when that is worth telling. */
int hub_woke_code(struct cli *cli, enum hub_woke woke, const char *waiting_for);
/* Block SIGINT and SIGTERM, which are read from cli->signal_fd from now on. */
bool hub_take_signals(struct cli *cli);
/* Read them: whether one came. */
bool hub_read_signals(struct cli *cli);

/* Tell why the library took a request about `what` not at all, by the text that it left. Returns
 * the exit code: what can never work is the command line's fault, or too large, and nobody is busy.
 */
int hub_refused(struct cli *cli, prong_err err, const char *what, const prong_value *payload);

enum {
    HUB_CANCEL_MS = 5000, /* for the hub to say that it cancelled */
    HUB_ENOUGH = -1,      /* returned by a `look`: nobody wants more of it */
};

/* One call; NULL and 0 are defaults. */
struct hub_call {
    const char *worker, *method;
    const prong_value *args;
    prong_call_options options;
    /* Each time something came, and once more at the end: an exit code, or HUB_ENOUGH. */
    int (*look)(struct cli *cli, void *context, prong_reply *reply);
    void *context;
    bool ends_unread; /* when nobody reads stdout any longer it is cancelled */
};
/* Make the call and wait for its outcome. On CLI_OK `*out` is owned and has an outcome, which may
 * be a failure that nobody told yet; or NULL when nobody wanted more. SIGINT cancels it first, and
 * a second one does not wait for that. */
int hub_call(struct cli *cli, const struct hub_call *call, prong_reply **out);
/* A method of the hub itself, in at most 5 s; a failure is told as one of `what`. On CLI_OK `*out`
 * is owned; it may be NULL. */
int hub_ask(struct cli *cli, const char *method, const prong_value *args, const char *what,
            prong_reply **out);
/* The same with the arguments that `w` holds; a failure is told as one of "METHOD WORKER". */
int hub_ask_written(struct cli *cli, const char *method, const char *worker, prong_writer *w,
                    prong_reply **out);
/* The same with the argument `worker` and, unless `key` is NULL, one that is a number. */
int hub_ask_number(struct cli *cli, const char *method, const char *worker, const char *key,
                   int64_t number, prong_reply **out);
/* The same with the argument `worker` alone. */
int hub_ask_worker(struct cli *cli, const char *method, const char *worker, prong_reply **out);

#endif
