/* `prong top`: asks the hub again and again, and shows what it says.
 *
 * It never waits for the hub: a hub that is gone or does not answer is told on the screen, keys
 * work all the same, and it goes on when the hub is back. */
#include "client/cli/top.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/hub.h"
#include "client/cli/hubdir.h"
#include "client/cli/output.h"
#include "client/cli/unit.h"

enum {
    DELAY_MS = 1000,
    ANSWER_MS = 5000,    /* for the hub to answer */
    CONNECT_MS = 1000,   /* for a try to connect, */
    RETRY_MS = 1000,     /* and between two */
    RECONNECT_MS = 1000, /* a broker that died is there again by then */
    PIPE_WIDTH = 132,
};

struct top {
    struct cli *cli;
    struct top_screen *screen;
    struct top_view view;
    struct top_sample before, now;
    bool has_before, has_now;
    struct top_rows rows;
    prong_reply *asked, *acting; /* NULL when nothing is */
    enum top_action action;
    char target[TOP_NAME_BYTES]; /* of what is acting */
    int64_t ask_at_ms, retry_at_ms;
    int64_t until_ms; /* --timeout: the program ends then */
    char trouble[300];
};

static int64_t
delay_ms(const struct cli *cli)
{
    return cli->options.delay_ms > 0 ? cli->options.delay_ms : DELAY_MS;
}

/* ---- samples -------------------------------------------------------------------------------- */

/* false when the answer is none, or memory is out. */
static bool
take_sample(struct top *t, const prong_value *metrics)
{
    struct top_sample sample;
    if (!top_sample_read(metrics, &sample)) {
        return false;
    }
    top_rows_deinit(&t->rows); /* they borrow from the sample that goes */
    top_sample_deinit(&t->before);
    t->before = t->now;
    t->has_before = t->has_now;
    t->now = sample;
    t->has_now = true;
    return true;
}

static bool
make_rows(struct top *t)
{
    struct top_rows rows = {0};
    if (t->has_now && !top_rows_make(t->has_before ? &t->before : NULL, &t->now, &t->view, &rows)) {
        return false;
    }
    top_rows_deinit(&t->rows);
    t->rows = rows;
    return true;
}

static void
top_deinit(struct top *t)
{
    top_rows_deinit(&t->rows);
    top_sample_deinit(&t->before);
    top_sample_deinit(&t->now);
    prong_reply_free(t->asked);
    prong_reply_free(t->acting);
}

/* ---- batch ---------------------------------------------------------------------------------- */

static void
print_frame(const struct top *t)
{
    char line[TOP_LINE_BYTES];
    struct top_layout layout;
    top_layout_make(PIPE_WIDTH, &layout);
    top_text_hub(&t->now, line);
    (void)puts(line);
    top_text_totals(&t->now, &t->rows.totals, line);
    (void)printf("%s\n\n", line);
    top_text_heading(&layout, &t->view, line);
    (void)puts(line);
    for (size_t i = 0; i < t->rows.count; i++) {
        top_text_row(&layout, &t->rows.list[i], line);
        (void)puts(line);
    }
    (void)putchar('\n');
    (void)fflush(stdout); /* an error shows at the end of the program */
}

/* One sample, and from the second on a picture of what changed since the last. */
static int
batch_once(struct top *t)
{
    prong_reply *reply = NULL;
    int code = hub_ask(t->cli, "metrics", NULL, "metrics", &reply);
    if (code == CLI_OK && (!take_sample(t, prong_reply_value(reply)) || !make_rows(t))) {
        code = output_error(t->cli, PRONG_INTERNAL, "metrics", "the hub's answer cannot be read");
    }
    if (code == CLI_OK && t->has_before) {
        print_frame(t);
    }
    prong_reply_free(reply);
    return code;
}

static int
run_batch(struct top *t)
{
    struct cli *cli = t->cli;
    const int64_t frames = cli->options.once ? 1 : cli->options.count;
    int code = hub_connect(cli);
    for (int64_t done = 0; code == CLI_OK; done++) {
        const int64_t then_ms = unit_now_ms() + delay_ms(cli);
        const int64_t next_ms = then_ms < t->until_ms ? then_ms : t->until_ms;
        enum hub_woke woke = HUB_WOKE;
        code = batch_once(t);
        if (code != CLI_OK || (frames > 0 && done >= frames)) {
            break;
        }
        while (woke == HUB_WOKE) {
            woke = hub_wait(cli, next_ms, STDOUT_FILENO);
        }
        if (woke == HUB_UNREAD) {
            break;
        }
        code = woke != HUB_LATE               ? hub_woke_code(cli, woke, "metrics")
               : unit_now_ms() >= t->until_ms ? CLI_TIMEOUT
                                              : CLI_OK;
    }
    return code;
}

/* ---- the hub -------------------------------------------------------------------------------- */

static void
lose_hub(struct top *t, const char *why)
{
    (void)snprintf(t->trouble, sizeof t->trouble, "hub not reachable, trying again: %s", why);
    prong_reply_free(t->asked);
    prong_reply_free(t->acting);
    t->asked = t->acting = NULL;
    prong_client_free(t->cli->client);
    t->cli->client = NULL;
    t->retry_at_ms = unit_now_ms() + RETRY_MS;
}

static void
seek_hub(struct top *t)
{
    char url_room[PATH_MAX], why[200] = "there is none";
    const char *url;
    if (unit_now_ms() < t->retry_at_ms) {
        return;
    }
    t->cli->deadline_ms = unit_now_ms() + CONNECT_MS;
    if (hubdir_url(t->cli, url_room, &url) != CLI_OK ||
        hub_try(t->cli, url, why, sizeof why) != PRONG_OK) {
        lose_hub(t, why);
        return;
    }
    t->ask_at_ms = 0;
}

static prong_reply *
call_hub(struct top *t, const char *method, const prong_value *args)
{
    const prong_call_options options = {.size_bytes = sizeof options, .timeout_ms = ANSWER_MS};
    prong_reply *reply = NULL;
    if (prong_call_async(t->cli->client, "hub", method, args, &options, &reply) != PRONG_OK) {
        char why[200];
        prong_client_error_text(t->cli->client, why, sizeof why);
        prong_reply_free(reply);
        lose_hub(t, why);
        return NULL;
    }
    return reply;
}

static void
ask(struct top *t)
{
    if (t->cli->client == NULL || t->asked != NULL || unit_now_ms() < t->ask_at_ms) {
        return;
    }
    t->ask_at_ms = unit_now_ms() + delay_ms(t->cli);
    t->asked = call_hub(t, "metrics", NULL);
}

static void
take_answer(struct top *t)
{
    if (t->asked == NULL || !prong_reply_is_done(t->asked)) {
        return;
    }
    if (prong_reply_code(t->asked) == PRONG_UNAVAILABLE) {
        lose_hub(t, prong_reply_message(t->asked));
        return;
    }
    if (prong_reply_code(t->asked) != PRONG_OK) {
        (void)snprintf(t->trouble, sizeof t->trouble, "the hub does not answer: %s",
                       prong_reply_message(t->asked));
    } else if (!take_sample(t, prong_reply_value(t->asked))) {
        (void)snprintf(t->trouble, sizeof t->trouble, "the hub's answer cannot be read");
    } else {
        t->trouble[0] = '\0';
    }
    prong_reply_free(t->asked);
    t->asked = NULL;
}

/* ---- actions -------------------------------------------------------------------------------- */

static void
begin_action(struct top *t, enum top_action action)
{
    prong_writer *w = prong_writer_new();
    prong_value args;
    if (t->acting != NULL || t->cli->client == NULL) {
        (void)snprintf(t->view.message, sizeof t->view.message, "not done: %s",
                       t->acting != NULL ? "the one before is not done yet" : "there is no hub");
        prong_writer_free(w);
        return;
    }
    t->action = action;
    (void)snprintf(t->target, sizeof t->target, "%s", t->view.target);
    if (w != NULL) {
        prong_writer_map(w, 1);
        prong_writer_key(w, "worker");
        prong_writer_string(w, t->target);
    }
    if (w != NULL && prong_writer_finish(w, &args) == PRONG_OK) {
        t->acting = call_hub(t, top_action_name(action), &args);
    }
    prong_writer_free(w);
}

static void
end_action(struct top *t)
{
    if (t->acting == NULL || !prong_reply_is_done(t->acting)) {
        return;
    }
    const bool done = prong_reply_code(t->acting) == PRONG_OK;
    (void)snprintf(t->view.message, sizeof t->view.message, "%s %.80s: %.100s",
                   top_action_name(t->action), t->target,
                   done ? "the hub has taken it" : prong_reply_message(t->acting));
    prong_reply_free(t->acting);
    t->acting = NULL;
    t->ask_at_ms = 0; /* what it did is to be seen at once */
}

/* ---- the loop ------------------------------------------------------------------------------- */

/* Until something comes, or it is time to ask. false when the program is to end, with its code. */
static bool
wait_for_more(struct top *t, int *code)
{
    struct cli *cli = t->cli;
    const int64_t until_ms = cli->client == NULL ? t->retry_at_ms : t->ask_at_ms;
    const bool waits_for_answer = cli->client != NULL && t->asked != NULL;
    struct pollfd polls[] = {
        {.fd = cli->client != NULL ? prong_fd(cli->client) : -1, .events = POLLIN},
        {.fd = cli->signal_fd, .events = POLLIN},
        {.fd = STDIN_FILENO, .events = POLLIN}};
    /* An answer wakes by itself, and the clock of the library by its descriptor. */
    const int64_t next_ms = waits_for_answer || until_ms > t->until_ms ? t->until_ms : until_ms;
    const int wait_ms = next_ms == CLI_NEVER_MS ? -1 : unit_left_ms(next_ms, INT_MAX);
    const int n = poll(polls, sizeof polls / sizeof polls[0], wait_ms);
    if (n < 0 && errno != EINTR) {
        *code = output_error(cli, PRONG_INTERNAL, "waiting", strerror(errno));
        return false;
    }
    if (hub_read_signals(cli)) {
        *code = 128 + cli->signal_number;
        return false;
    }
    if (n > 0 && (polls[2].revents & (POLLHUP | POLLERR)) != 0) {
        *code = CLI_FAILED; /* the terminal is gone, and nobody is there to be told */
        return false;
    }
    if (unit_now_ms() >= t->until_ms) {
        *code = CLI_TIMEOUT;
        return false;
    }
    if (cli->client != NULL && prong_dispatch(cli->client, 0) == PRONG_UNAVAILABLE) {
        lose_hub(t, "the connection is lost");
    }
    return true;
}

/* false when the program is to end. */
static bool
take_keys(struct top *t)
{
    for (int key; (key = top_screen_key(t->screen)) != -1;) {
        const enum top_action action =
            top_view_key(&t->view, &t->rows, top_screen_shown(t->screen), key);
        if (action == TOP_QUIT) {
            return false;
        }
        if (action != TOP_NOTHING) {
            begin_action(t, action);
        }
        if (!make_rows(t)) {
            return false;
        }
    }
    return true;
}

static int
run_screen(struct top *t)
{
    int code = CLI_OK;
    do {
        if (t->cli->client == NULL) {
            seek_hub(t);
        }
        end_action(t);
        take_answer(t);
        ask(t);
        if (!make_rows(t)) {
            return CLI_FAILED;
        }
        const struct top_picture picture = {.now = t->has_now ? &t->now : NULL,
                                            .rows = &t->rows,
                                            .view = &t->view,
                                            .trouble = t->trouble};
        top_screen_draw(t->screen, &picture);
    } while (wait_for_more(t, &code) && take_keys(t));
    return code;
}

static int
run_on_terminal(struct top *t)
{
    char why[160];
    struct cli *cli = t->cli;
    if (!cli->out_is_terminal || isatty(STDIN_FILENO) != 1) {
        return output_usage(cli, "top needs a terminal; --batch writes text, --once one picture");
    }
    cli->reconnect_ms = RECONNECT_MS;
    const int code = hub_connect(cli);
    if (code != CLI_OK) {
        return code;
    }
    if (!hub_take_signals(cli)) {
        return output_error(cli, PRONG_INTERNAL, "top", "out of descriptors");
    }
    t->screen = top_screen_open(cli->out_has_color, why, sizeof why);
    if (t->screen == NULL) {
        return output_error(cli, PRONG_UNIMPLEMENTED, "top", why);
    }
    const int ended = run_screen(t);
    top_screen_close(t->screen);
    return ended;
}

int
verb_top(struct cli *cli)
{
    struct top t = {.cli = cli, .until_ms = cli->deadline_ms};
    const bool batch = cli->options.batch || cli->options.once;
    if (cli->options.count > 0 && !batch) {
        return output_usage(cli, "--count is for --batch");
    }
    if (cli->options.output != NULL) {
        return output_usage(cli, "top writes text alone; prong metrics -o json has the numbers");
    }
    top_view_init(&t.view);
    t.view.all_open = cli->options.expand;
    if (cli->options.sort != NULL) {
        t.view.sort = top_column_find(cli->options.sort);
    }
    if (cli->options.filter != NULL) {
        (void)snprintf(t.view.filter, sizeof t.view.filter, "%s", cli->options.filter);
    }
    const int code = batch ? run_batch(&t) : run_on_terminal(&t);
    top_deinit(&t);
    return code;
}
