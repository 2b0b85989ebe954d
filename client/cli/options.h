/* Options: one row each, read into one struct. Knows nothing of verbs. Pure but for memory. */
#ifndef PRONG_CLI_OPTIONS_H
#define PRONG_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values given once or more, borrowed from argv; the list itself is owned. */
struct texts {
    const char **items;
    size_t count;
};

/* All options of all verbs: zero and NULL are "not given". Texts are borrowed from argv. */
struct options {
    /* of every verb */
    const char *output;
    const char *endpoint, *hub_name, *runtime_dir;
    const char *token_file, *ca_file;
    int64_t timeout_ms;
    bool quiet, no_color, help, version;
    /* of some */
    const char *config; /* up */
    bool foreground;
    bool check, clients;              /* status; check: doctor, too */
    bool no_wait;                     /* start, stop, restart, scale */
    int64_t lines;                    /* logs */
    bool follow;                      /* logs */
    const char *since;                /* logs */
    const char *level;                /* logs */
    const char *set_level;            /* logs */
    bool end;                         /* send */
    bool group;                       /* signal */
    const char *bundle;               /* doctor; stream snap: where its file goes */
    bool reveal;                      /* env */
    bool force;                       /* config init, stream record */
    bool man;                         /* config manual, help */
    const char *kind;                 /* config import */
    const char *worker;               /* config show */
    const char *from, *until;         /* events, wait */
    int64_t count;                    /* events, wait, top, stream ... */
    const char *json;                 /* emit */
    const char *goal, *event;         /* wait */
    bool any, exit_status;            /* wait */
    const char *call;                 /* wait: the handle of a call in the background */
    bool each;                        /* call, wait, dlq retry */
    bool progress;                    /* the same */
    bool ordered;                     /* call */
    bool lease, background;           /* call */
    const char *map;                  /* call: a file, or - */
    const char *key, *policy;         /* call; policy: stream cat, too */
    int64_t priority;                 /* call */
    const char *name;                 /* run */
    const char *restart, *ready;      /* run */
    int64_t replicas;                 /* run */
    struct texts environment;         /* run */
    struct texts preload;             /* run */
    const char *run_output, *run_log; /* run */
    const char *run_stdin;            /* run */
    bool batch, once, expand;         /* top */
    int64_t delay_ms;                 /* top */
    const char *sort, *filter;        /* top */
    int64_t window_ms;                /* stream hz, bw, delay */
    const char *format;               /* stream snap */
    struct texts streams;             /* stream record, replay */
    struct texts event_filters;       /* the same */
    int64_t for_ms;                   /* stream record */
    const char *speed;                /* stream replay */
    int64_t wait_readers;             /* the same */
    bool loop, now;                   /* the same */
};

enum option_kind {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char * */
    OPTION_TEXTS,    /* struct texts */
    OPTION_DURATION, /* int64_t, milliseconds */
    OPTION_COUNT,    /* int64_t */
    OPTION_PRESET,   /* const char *; the option has no value and stores `preset` */
};

struct option_row {
    const char *name; /* "--timeout" */
    char letter;      /* of -x, 0 for none */
    enum option_kind kind;
    size_t offset;       /* of its field in struct options */
    const char *value;   /* what its value is called in help */
    const char *allowed; /* TEXT: the words it may be, with a space between; NULL: any text */
    const char *preset;
    int64_t min, max; /* COUNT; DURATION in milliseconds */
    const char *help;
};

#define OPTION_FIELD(name) offsetof(struct options, name)

enum { OPTIONS_FAULT_BYTES_MAX = 400 };

/* What is read: words from `next` on. Tables are looked at in their order, so that an option of a
 * verb hides a common one of the same name. */
struct option_reader {
    const struct option_row *tables[2]; /* each ends with an empty row; either may be NULL */
    int argc;
    const char *const *argv;
    int next;
    bool stops_at_argument; /* the first word that is no option ends the options */
};

/* Read options into `options` and the other words, in their order, into `rest`, which has room for
 * all; *rest_count grows. A word "--" ends the options.
 *
 *   fault  caller's storage: on false one line that says what is wrong and what is allowed */
bool options_read(struct option_reader *reader, struct options *options, const char **rest,
                  int *rest_count, char fault[OPTIONS_FAULT_BYTES_MAX]);
/* Read `value` as that of one option of the tables; a fault calls it `called`. */
bool options_read_value(struct option_reader *reader, const char *option, const char *called,
                        const char *value, struct options *options,
                        char fault[OPTIONS_FAULT_BYTES_MAX]);
void options_deinit(struct options *options);

/* Whether `word` is one of `words`, which have a space between. */
bool options_has_word(const char *words, const char *word);

#endif
