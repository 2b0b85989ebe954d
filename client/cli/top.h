/* `prong top`: what its files share.
 *
 * Pure, and tested without a terminal: top_sample.c reads what hub.metrics says, top_rows.c makes
 * rows of two samples, top_view.c knows what is selected, sorted and filtered and what keys do,
 * top_text.c writes lines. top_screen.c has the terminal, top.c the hub and the clock. */
#ifndef PRONG_CLI_TOP_H
#define PRONG_CLI_TOP_H

#include <prong/prong.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- samples (top_sample.c) ----------------------------------------------------------------- */

enum {
    TOP_NAME_BYTES = PRONG_NAME_BYTES_MAX + 16, /* "detector/0" */
    TOP_ERROR_BYTES = 128,
    TOP_BUCKETS_MAX = 64,
};

struct top_replica {
    char name[TOP_NAME_BYTES];
    char state[16], error[TOP_ERROR_BYTES];
    uint64_t pid, restarts, running, calls, cpu_ms, rss_bytes;
};

struct top_worker {
    char name[TOP_NAME_BYTES];
    uint64_t queued, running, calls, cpu_ms, rss_bytes;
    uint64_t counts[TOP_BUCKETS_MAX]; /* of how long calls took, all methods together */
    const struct top_replica *replicas;
    size_t replica_count;
};

struct top_sample {
    char hub[72], version[72];
    uint64_t epoch, uptime_ms, connections, calls, payload_bytes, events;
    uint64_t streams, silent_streams, frames; /* frames: of all streams that are there */
    uint64_t bounds_us[TOP_BUCKETS_MAX];      /* upper ends of all buckets but the last one */
    size_t bucket_count;
    struct top_worker *workers;
    size_t worker_count;
    struct top_replica *replicas; /* of all workers */
    size_t replica_count;
};

/* Read a result of hub.metrics. false when it is none, or memory is out; `out` is written on
 * success only, and then owned: top_sample_deinit, which leaves it empty. */
bool top_sample_read(const prong_value *metrics, struct top_sample *out);
void top_sample_deinit(struct top_sample *sample);

/* ---- rows (top_rows.c) ---------------------------------------------------------------------- */

enum top_tone { TOP_PLAIN, TOP_GOOD, TOP_WARN, TOP_BAD };

/* One line of the list: a worker, or a replica below it. What is not known is negative. */
struct top_row {
    const char *name; /* "detector" or "detector/0", borrowed from the sample, as the error is */
    const char *error;
    bool is_replica;
    bool has_replicas, is_open; /* a worker of several, whose replicas are shown below it */
    char state[24];
    enum top_tone tone;
    int64_t pid, queued;
    double cpu_percent, calls_per_s, p50_us, p99_us;
    uint64_t rss_bytes, running, restarts;
};

struct top_totals {
    double cpu_percent, calls_per_s, events_per_s, frames_per_s; /* negative: not known */
    uint64_t rss_bytes;
};

struct top_rows {
    struct top_row *list; /* owned */
    size_t count;
    size_t hidden; /* workers that the filter leaves out */
    struct top_totals totals;
};

struct top_view;

/* Rows of what is there now, and of what changed since `before`, which may be NULL, or of another
 * broker: then nothing is known of rates. false when memory is out. The rows borrow from `now`. */
bool top_rows_make(const struct top_sample *before, const struct top_sample *now,
                   const struct top_view *view, struct top_rows *out);
void top_rows_deinit(struct top_rows *rows);
/* The time below which a part (0 to 1) of what is counted lies, in microseconds: evenly spread
 * within its bucket. What is beyond the last bound counts as that. Negative when nothing is. */
double top_percentile_us(const uint64_t *counts, const uint64_t *bounds_us, size_t bucket_count,
                         double part);

/* ---- columns (top_text.c) ------------------------------------------------------------------- */

enum top_column {
    TOP_NAME,
    TOP_STATE,
    TOP_PID,
    TOP_CPU,
    TOP_MEMORY,
    TOP_CALLS,
    TOP_P50,
    TOP_P99,
    TOP_QUEUE,
    TOP_RUNNING,
    TOP_RESTARTS,
    TOP_ERROR,
    TOP_COLUMNS,
};

/* What fits into a width: columns that do not are left out, the least needed first. */
struct top_layout {
    int at[TOP_COLUMNS], width[TOP_COLUMNS]; /* width 0: not shown */
};

enum { TOP_LINE_BYTES = 512 };

void top_layout_make(int width, struct top_layout *out);
/* Below 0 when `a` stands before `b`. */
int top_compare(enum top_column column, const struct top_row *a, const struct top_row *b);
/* A heading as people type and read it: "calls/s". */
const char *top_column_name(enum top_column column);
/* The column of a name, TOP_COLUMNS when there is none. */
enum top_column top_column_find(const char *name);
/* Lines without a newline. What a terminal would take for a command is '?'. */
void top_text_hub(const struct top_sample *now, char out[TOP_LINE_BYTES]);
void top_text_totals(const struct top_sample *now, const struct top_totals *totals,
                     char out[TOP_LINE_BYTES]);
void top_text_heading(const struct top_layout *layout, const struct top_view *view,
                      char out[TOP_LINE_BYTES]);
void top_text_row(const struct top_layout *layout, const struct top_row *row,
                  char out[TOP_LINE_BYTES]);

/* ---- the view (top_view.c) ------------------------------------------------------------------ */

enum { TOP_OPEN_MAX = 64, TOP_FILTER_BYTES = 40, TOP_MESSAGE_BYTES = 200 };

enum top_mode { TOP_MODE_LIST, TOP_MODE_FILTER, TOP_MODE_CONFIRM, TOP_MODE_HELP };
enum top_action { TOP_NOTHING, TOP_QUIT, TOP_RESTART, TOP_STOP, TOP_START, TOP_ACTIONS };

/* Keys that are no character. */
enum {
    TOP_KEY_UP = 0x1000,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_ENTER,
    TOP_KEY_ESCAPE,
    TOP_KEY_BACK,
};

struct top_view {
    enum top_mode mode;
    enum top_column sort;
    bool reverse;
    char filter[TOP_FILTER_BYTES]; /* part of a name, "" for all */
    char selected[TOP_NAME_BYTES]; /* the name of a row, so that it stays when rows move */
    size_t scroll;                 /* rows above the first that is shown */
    char open[TOP_OPEN_MAX][TOP_NAME_BYTES];
    size_t open_count;
    bool all_open;                   /* those of the list are closed, and all others are open */
    enum top_action asked;           /* TOP_MODE_CONFIRM: what is done after y; */
    char target[TOP_NAME_BYTES];     /* to whom, also when an action is returned */
    char message[TOP_MESSAGE_BYTES]; /* what happened last, "" for nothing */
};

void top_view_init(struct top_view *view);
/* Whether replicas of this worker are shown. */
bool top_view_is_open(const struct top_view *view, const char *worker);
/* The row that is selected; 0 when it is not there (any more). */
size_t top_view_row(const struct top_view *view, const struct top_rows *rows);
/* Scroll so that the selected row is among the `shown` rows of the screen. */
void top_view_follow(struct top_view *view, const struct top_rows *rows, size_t shown);
/* What a key does; rows are to be made anew after each. `shown`: rows on one screen. */
enum top_action top_view_key(struct top_view *view, const struct top_rows *rows, size_t shown,
                             int key);
/* What an action is called by the hub, and by people: "restart". */
const char *top_action_name(enum top_action action);
/* What keys do, a line each, ends with NULL. */
const char *const *top_help(void);
/* What the last line says: a question, the filter, a message, or which keys there are. */
void top_view_line(const struct top_view *view, const struct top_rows *rows,
                   char out[TOP_LINE_BYTES]);

/* ---- the terminal (top_screen.c, or top_no_screen.c without ncurses) ------------------------ */

struct top_screen;

struct top_picture {
    const struct top_sample *now; /* NULL: nothing has come yet */
    const struct top_rows *rows;
    struct top_view *view; /* scrolls */
    const char *trouble;   /* the hub cannot be reached, or "" */
};

/* Take the terminal of stdin and stdout. NULL with the reason; nothing was changed then. */
struct top_screen *top_screen_open(bool has_color, char *why, size_t why_size);
/* Give it back as it was. Accepts NULL. */
void top_screen_close(struct top_screen *screen);
/* The next key that was typed, -1 when there is none now. A new size of the terminal is taken
 * here, too. */
int top_screen_key(struct top_screen *screen);
/* Rows of the list that fit. */
size_t top_screen_shown(const struct top_screen *screen);
void top_screen_draw(struct top_screen *screen, const struct top_picture *picture);

#endif
