/* The broker: one epoll loop that owns the hub's state, its links and the output of its workers. */
#ifndef PRONG_SHELL_BROKER_H
#define PRONG_SHELL_BROKER_H

#include "broker/config/config.h"
#include "broker/core/hub.h"
#include "broker/shell/input.h"
#include "broker/shell/lender.h"
#include "broker/shell/log.h"
#include "broker/shell/notice.h"
#include "broker/shell/output.h"
#include "broker/shell/spawn_link.h"
#include "proto/link/link.h"

enum { BROKER_LINKS_MAX = 17, BROKER_FOLLOWS_MAX = 16 };

/* What an effect leads to, told to the core when the effects of its step are all carried out. */
struct follow {
    struct hub_input input;
    struct buf payload;
    struct hub_lent lent;
    struct hub_usage *usage; /* owned, or NULL */
};

struct broker {
    int epoll_fd;
    struct log log;
    uint64_t log_lost;
    struct config *config;
    struct hub *hub;
    struct link_server *links[BROKER_LINKS_MAX];
    size_t link_count;
    struct spawn_link spawner;
    struct output *output;
    struct input *input;
    struct notice *notice;
    struct lender *lender;
    char notice_path[4200], memory_path[4200];
    const char *runtime_dir; /* borrowed */
    const char *config_path; /* of the file that `config` was read from, NULL when there is none */
    char url[256];           /* of the local socket */
    char log_dir[4200];
    struct follow *follows;
    size_t follow_count, follow_cap;
    bool configured, ended, reload_due;
    uint64_t reload_call;
    int exit_code;
    int64_t now_ns, stop_by_ns;
    uint64_t wall_us;
    int stop_level; /* how often the spawner was asked to stop, as far as the core knows */
    int hurries;    /* how often a stop that takes too long was made faster */
};

/* Counts the brokers of this hub, from 1: PRONG_EPOCH of the environment. */
uint64_t broker_epoch(void);
/* Build everything from a configuration (moved; the paths are borrowed); listening begins, no
 * worker is started yet. `is_quiet`: the log begins with warnings, whatever the configuration says.
 * Errors are told on the log: the sysexits code of the program, 0 when all is well.
 */
int broker_open(struct broker *b, const char *runtime_dir, struct config *config,
                const char *config_path, bool is_quiet);
/* Serve until the hub has ended; the exit code. */
int broker_run(struct broker *b);
void broker_close(struct broker *b);

/* What a replica ("detector/0"), or a template ("detector/template", as its replica 0), is made
 * from; NULL when there is none. */
const struct worker_spec *broker_spec_of(const struct broker *b, const char *replica);

/* feed.c: inputs into the core, its effects into the world. */
void broker_feed(struct broker *b, struct hub_input *in);
void broker_feed_record(struct broker *b, const struct spawn_record *record, int fd);
extern const struct link_handler broker_link_handler;
/* Something to tell the core once its present effects are done with; NULL when memory is out, which
 * ends the broker: what it was told to do would be lost. */
struct follow *broker_follow(struct broker *b, enum hub_input_kind kind);

/* feed_lines.c: what workers write and read. */
void broker_give_logs(struct broker *b, const struct hub_effect *e);
void broker_set_level(struct broker *b, const struct hub_effect *e);
void broker_send_input(struct broker *b, const struct hub_effect *e);
/* The output of a process; `fd` is moved, -1 when it has none. */
void broker_take_output(struct broker *b, const struct spawn_record *record, int fd);
/* What output.h and input.h tell; the context is the broker. */
bool broker_feed_running(void *context, uint64_t process, char out[HUB_CALL_BYTES]);
void broker_feed_line(void *context, const struct output_line *line);
void broker_feed_answer(void *context, uint64_t call, struct span payload);
void broker_feed_input_ended(void *context, uint64_t process);

/* reload.c: read the configuration again, for a call of the core (0: for nobody).
 * False when it was refused and nothing has changed; else hub.reload tells the end of it. */
bool broker_reload(struct broker *b, uint64_t call);

/* secret.c: 16 secret bytes of this hub, made by its first broker and read by later ones; and the
 * token for network clients. Both in files of mode 0600. false with a text for people. */
bool secret_load(const char *runtime_dir, bool first, uint8_t secret[16], char *why,
                 size_t why_size);
bool secret_token(const char *path, struct buf *token, char *why, size_t why_size);

#endif
