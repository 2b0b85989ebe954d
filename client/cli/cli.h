/* The command line `prong`: what its files share. One process, one thread, one verb.
 *
 * Every function that can fail says so on stderr itself and returns the exit code of the program, 0
 * when it did what it should; whoever called it only passes that on. */
#ifndef PRONG_CLI_CLI_H
#define PRONG_CLI_CLI_H

#include <prong/prong.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/options.h"

/* How the program ends; `prong help` prints the table of help.c, which says what they mean. */
enum {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_RUNNING = 3,
    CLI_DENIED = 4,
    CLI_NO_SUCH = 5,
    CLI_CONFIG = 6,
    CLI_NO_HUB = 7,
    CLI_TIMEOUT = 124,
    CLI_INTERRUPTED = 130,
    CLI_DIED = 150,
};

#define CLI_NEVER_MS INT64_MAX

struct lease;
struct verb;

struct cli {
    const struct verb *verb;
    struct options options;
    int argc; /* the verb's arguments; borrowed from main */
    const char *const *argv;
    bool out_is_terminal, err_is_terminal, out_has_color, err_has_color;
    prong_client *client; /* NULL until hub_connect */
    int32_t reconnect_ms; /* how long hub_connect's client seeks a hub that it lost */
    int64_t lost_ms;      /* since when it has none, as stream_wait has seen; 0: it has one */
    int signal_fd;        /* SIGINT and SIGTERM, once they are waited for; else -1 */
    int signal_number;    /* the one that came last */
    int64_t deadline_ms;  /* of the whole verb on the clock of unit_now_ms; CLI_NEVER_MS */
    bool has_timeout;     /* --timeout was given: it is not the default of the verb */
    int no_hub;           /* exit code when no hub is reachable */
    struct lease *lease;  /* renewed whenever hub_wait waits; NULL for none. See lease.h */
};

/* One row of the table of verbs (verbs.c). */
struct verb {
    const char *name;    /* "status", "config check" */
    const char *aliases; /* words, or NULL */
    int argc_min, argc_max;
    const struct option_row *options; /* of this verb alone, ends with an empty row; or NULL */
    int64_t timeout_ms;               /* default of --timeout; 0: none */
    int no_hub;                       /* exit code when no hub is reachable; 0: CLI_NO_HUB */
    bool stops_at_argument;           /* everything after the first argument is an argument */
    int (*run)(struct cli *cli);
    const char *arguments; /* for the usage line */
    const char *summary;   /* one line without a full stop */
    const char *help;      /* more of it */
};

/* The table; *count rows. */
const struct verb *verb_table(size_t *count);

int verb_attach(struct cli *cli);
int verb_call(struct cli *cli);
int verb_cancel(struct cli *cli);
int verb_complete(struct cli *cli);
int verb_completion(struct cli *cli);
int verb_config_check(struct cli *cli);
int verb_config_import(struct cli *cli);
int verb_config_init(struct cli *cli);
int verb_config_manual(struct cli *cli);
int verb_config_show(struct cli *cli);
int verb_describe(struct cli *cli);
int verb_dlq_drop(struct cli *cli);
int verb_dlq_list(struct cli *cli);
int verb_dlq_retry(struct cli *cli);
int verb_dlq_show(struct cli *cli);
int verb_doctor(struct cli *cli);
int verb_down(struct cli *cli);
int verb_emit(struct cli *cli);
int verb_env(struct cli *cli);
int verb_events(struct cli *cli);
int verb_help(struct cli *cli);
int verb_logs(struct cli *cli);
int verb_metrics(struct cli *cli);
int verb_reload(struct cli *cli);
int verb_remove(struct cli *cli);
int verb_restart(struct cli *cli);
int verb_run(struct cli *cli);
int verb_scale(struct cli *cli);
int verb_send(struct cli *cli);
int verb_signal(struct cli *cli);
int verb_stack(struct cli *cli);
int verb_start(struct cli *cli);
int verb_status(struct cli *cli);
int verb_stop(struct cli *cli);
int verb_stream_bw(struct cli *cli);
int verb_stream_cat(struct cli *cli);
int verb_stream_delay(struct cli *cli);
int verb_stream_hz(struct cli *cli);
int verb_stream_info(struct cli *cli);
int verb_stream_ls(struct cli *cli);
int verb_stream_record(struct cli *cli);
int verb_stream_replay(struct cli *cli);
int verb_stream_snap(struct cli *cli);
int verb_top(struct cli *cli);
int verb_up(struct cli *cli);
int verb_version(struct cli *cli);
int verb_wait(struct cli *cli);

#endif
