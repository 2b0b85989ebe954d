/* `prong logs`, and the last lines of a worker that failed.
 *
 * Following is asking again and again, but each question waits at the hub until there is a line, so
 * that one who follows what says nothing costs nothing. */
#include "client/cli/logs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/field.h"
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/cli/unit.h"
#include "client/cli/when.h"
#include "proto/clock/clock.h"

enum {
    LINES_MAX = 1000,
    WAIT_MS = 30000, /* of one question; its call has as much again */
    ASK_MS = 5000,
    AFTER_BYTES_MAX = 2000,
    AGAIN_MS = 200, /* after a hub that could not take the question */
};

/* ---- lines ------------------------------------------------------------------------------------
 */

/* The text of one line; false when it has none. */
static bool
line_of(const prong_value *entry, const char **text, size_t *len)
{
    prong_value line;
    const uint8_t *data;
    if (!prong_value_find(entry, "line", &line) || !prong_value_bin(&line, &data, len)) {
        return false;
    }
    *text = (const char *)data;
    return true;
}

static const char *
text_of(const prong_value *entry, const char *key, size_t *len)
{
    prong_value item;
    const char *text;
    if (!prong_value_find(entry, key, &item) || !prong_value_text(&item, &text, len)) {
        *len = 0;
        return "";
    }
    return text;
}

static int64_t
number_of(const prong_value *entry, const char *key)
{
    prong_value item;
    int64_t number;
    return prong_value_find(entry, key, &item) && prong_value_int(&item, &number) ? number : 0;
}

void
logs_tell_last(struct cli *cli, const char *target, int64_t lines)
{
    prong_reply *reply = NULL;
    prong_iter it;
    prong_value entry;
    const char *text;
    size_t len, count = 0;
    if (hub_ask_number(cli, "logs", target, "lines", lines, &reply) != CLI_OK) {
        return;
    }
    (void)prong_iter_begin(&it, prong_reply_value(reply));
    while (prong_iter_next(&it, NULL, &entry)) {
        if (line_of(&entry, &text, &len)) {
            if (count++ == 0) {
                output_say(cli, "the last lines of %s:", target);
            }
            output_block("  | ", text, len);
            if (len == 0) {
                (void)fputs("  |\n", stderr);
            }
        }
    }
    if (count == 0) {
        output_say(cli, "%s wrote nothing", target);
    }
    prong_reply_free(reply);
}

/* ---- printing ---------------------------------------------------------------------------------
 */

/* What is asked, and how far that has come. */
struct following {
    struct cli *cli;
    prong_writer *writer;
    int64_t since_us;
    uint64_t lost; /* before the next line that is printed */
    bool is_unread;
    char after[AFTER_BYTES_MAX]; /* "" for the first question */
};

static const struct {
    const char *word, *shown, *color;
} levels[] = {{"error", "ERROR", "\033[31m"},
              {"warn", "WARN", "\033[33m"},
              {"info", "INFO", ""},
              {"debug", "DEBUG", "\033[2m"}};

/* "12:00:00.123456 ERROR detector/0 text" on a terminal, where colours of the worker's own are
 * worth keeping and commands to the terminal are not: so they are shown as '?'. */
static void
print_readable(const struct cli *cli, const prong_value *entry)
{
    char when[UNIT_TIME_BYTES];
    size_t len, level = 2;
    const char *text = text_of(entry, "level", &len);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        level = strlen(levels[i].word) == len && memcmp(levels[i].word, text, len) == 0 ? i : level;
    }
    const char *color = cli->out_has_color ? levels[level].color : "";
    unit_time_local(number_of(entry, "time_us"), when);
    (void)printf("%s %s%-5s%s ", when, color, levels[level].shown,
                 color[0] != '\0' ? "\033[0m" : "");
    text = text_of(entry, "replica", &len);
    table_put_safe(stdout, text, len);
    (void)fputc(' ', stdout);
    if (line_of(entry, &text, &len)) {
        table_put_safe(stdout, text, len);
    }
    (void)fputc('\n', stdout);
}

/* The text alone, byte by byte as it was written. */
static void
print_raw(const prong_value *entry)
{
    const char *text;
    size_t len;
    if (line_of(entry, &text, &len)) {
        (void)fwrite(text, 1, len, stdout);
    }
    (void)fputc('\n', stdout);
}

static int
print_json(struct following *f, const prong_value *entry)
{
    prong_writer *w = f->writer;
    prong_value object, item;
    char when[UNIT_TIME_BYTES];
    size_t len, call_len;
    const char *replica = text_of(entry, "replica", &len);
    const char *slash = memchr(replica, '/', len);
    const char *call = text_of(entry, "call", &call_len);
    unit_time(number_of(entry, "time_us"), when);
    prong_writer_reset(w);
    prong_writer_map(w, 7 + (call_len > 0) + (f->lost > 0));
    field_put_text(w, "ts", when);
    prong_writer_key(w, "level");
    size_t level_len;
    const char *level = text_of(entry, "level", &level_len);
    prong_writer_text(w, level, level_len);
    prong_writer_key(w, "worker");
    prong_writer_text(w, replica, slash != NULL ? (size_t)(slash - replica) : len);
    prong_writer_key(w, "replica");
    prong_writer_text(w, replica, len);
    field_put_int(w, "pid", number_of(entry, "pid"));
    field_put_int(w, "incarnation", number_of(entry, "incarnation"));
    if (call_len > 0) {
        prong_writer_key(w, "call_id");
        prong_writer_text(w, call, call_len);
    }
    if (f->lost > 0) {
        field_put_uint(w, "lost", f->lost);
    }
    prong_writer_key(w, "msg");
    if (prong_value_find(entry, "line", &item)) {
        prong_writer_raw(w, &item);
    } else {
        prong_writer_nil(w);
    }
    return prong_writer_finish(w, &object) == PRONG_OK ? output_line(f->cli, &object)
                                                       : output_no_memory(f->cli);
}

/* JSON is JSON Lines also with json: what several workers write is one stream. */
static int
print_line(struct following *f, const prong_value *entry)
{
    switch (output_form(f->cli)) {
    case OUTPUT_TABLE:
        print_readable(f->cli, entry);
        return CLI_OK;
    case OUTPUT_RAW:
        print_raw(entry);
        return CLI_OK;
    case OUTPUT_JSON:
    case OUTPUT_JSONL:
        break;
    }
    return print_json(f, entry);
}

static int
print_answer(struct following *f, const prong_value *answer)
{
    prong_value lines, entry, older;
    prong_iter it;
    bool is_older = false;
    size_t len;
    const uint64_t lost = (uint64_t)number_of(answer, "lost");
    const char *after = text_of(answer, "after", &len);
    int code = CLI_OK;
    if (lost > 0) {
        output_say(f->cli, "%" PRIu64 " line%s lost: they came faster than they were read here",
                   lost, lost == 1 ? " was" : "s were");
        f->lost += lost;
    }
    if (f->since_us > 0 && f->after[0] == '\0' && prong_value_find(answer, "older", &older) &&
        prong_value_bool(&older, &is_older) && is_older) {
        output_note(f->cli, "the hub has more lines since then in its log files alone (log_dir)");
    }
    if (len < sizeof f->after) {
        memcpy(f->after, after, len);
        f->after[len] = '\0';
    }
    if (prong_value_find(answer, "lines", &lines)) {
        (void)prong_iter_begin(&it, &lines);
        while (code == CLI_OK && prong_iter_next(&it, NULL, &entry)) {
            code = print_line(f, &entry);
            f->lost = 0;
        }
    }
    if (code == CLI_OK && !output_flush()) {
        f->is_unread = errno == EPIPE;
        code = f->is_unread ? CLI_OK : CLI_FAILED; /* output_end says why */
    }
    return code;
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static void
write_question(const struct following *f)
{
    const struct options *o = &f->cli->options;
    prong_writer *w = f->writer;
    const bool is_first = f->after[0] == '\0', names = f->cli->argc > 0;
    const int64_t lines = o->lines >= 0 ? o->lines : f->since_us > 0 ? LINES_MAX : -1;
    const bool has_lines = is_first && lines >= 0, has_since = is_first && f->since_us > 0;
    prong_writer_reset(w);
    prong_writer_map(w, names + (o->level != NULL) + has_lines + has_since + 2 * !is_first);
    if (names) {
        prong_writer_key(w, "workers");
        prong_writer_array(w, (size_t)f->cli->argc);
        for (int i = 0; i < f->cli->argc; i++) {
            prong_writer_string(w, f->cli->argv[i]);
        }
    }
    if (o->level != NULL) {
        field_put_text(w, "level", o->level);
    }
    if (has_lines) {
        field_put_int(w, "lines", lines);
    }
    if (has_since) {
        field_put_int(w, "since_us", f->since_us);
    }
    if (!is_first) {
        field_put_text(w, "after", f->after);
        field_put_int(w, "wait_ms", WAIT_MS);
    }
}

/* Whether a question that failed may be asked again: the broker has died with it, or was too slow.
 * Who follows is not to notice that. */
static bool
may_ask_again(const struct following *f, prong_err err)
{
    return f->after[0] != '\0' && prong_client_is_connected(f->cli->client) &&
           (err == PRONG_ABORTED || err == PRONG_DEADLINE_EXCEEDED || err == PRONG_UNAVAILABLE ||
            err == PRONG_RESOURCE_EXHAUSTED);
}

/* One question and its answer. */
static int
ask(struct following *f)
{
    struct cli *cli = f->cli;
    prong_value args;
    prong_reply *reply = NULL;
    write_question(f);
    if (prong_writer_finish(f->writer, &args) != PRONG_OK) {
        return output_usage(cli, "%s", prong_writer_problem(f->writer));
    }
    const struct hub_call call = {
        .worker = "hub",
        .method = "follow",
        .args = &args,
        .options = {.timeout_ms = f->after[0] == '\0' ? ASK_MS : 2 * WAIT_MS},
        .ends_unread = true};
    int code = hub_call(cli, &call, &reply);
    if (code != CLI_OK || reply == NULL) {
        f->is_unread = code == CLI_OK;
        return code;
    }
    const prong_err err = prong_reply_code(reply);
    if (err == PRONG_OK) {
        code = print_answer(f, prong_reply_value(reply));
    } else if (!may_ask_again(f, err)) {
        code = output_failure(cli, "logs", reply);
    } else {
        const enum hub_woke woke = hub_wait(cli, unit_now_ms() + AGAIN_MS, STDOUT_FILENO);
        f->is_unread = woke == HUB_UNREAD;
        code = woke == HUB_LATE ? CLI_OK : hub_woke_code(cli, woke, "a line");
    }
    prong_reply_free(reply);
    return code;
}

static int
set_level(struct cli *cli, const char *worker)
{
    prong_writer *w = prong_writer_new();
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, 1 + (worker != NULL));
    field_put_text(w, "level", cli->options.set_level);
    if (worker != NULL) {
        field_put_text(w, "worker", worker);
    }
    const int code =
        hub_ask_written(cli, "log_level", worker != NULL ? worker : "of the hub", w, NULL);
    prong_writer_free(w);
    return code;
}

static int
set_levels(struct cli *cli)
{
    const struct options *o = &cli->options;
    if (o->follow || o->since != NULL || o->level != NULL || o->lines >= 0) {
        return output_usage(cli, "--set-level shows no lines: -f, -n, --since and --level are "
                                 "for those");
    }
    int code = hub_connect(cli);
    if (code == CLI_OK && cli->argc == 0) {
        code = set_level(cli, NULL);
    }
    for (int i = 0; code == CLI_OK && i < cli->argc; i++) {
        code = set_level(cli, cli->argv[i]);
    }
    return code;
}

int
verb_logs(struct cli *cli)
{
    struct following f = {.cli = cli, .writer = NULL};
    const char *since = cli->options.since;
    if (cli->options.set_level != NULL) {
        return set_levels(cli);
    }
    if (since != NULL && !when_read(since, clock_wall_us(), &f.since_us)) {
        return output_usage(cli,
                            "--since '%.40s': use a time span such as 5m, a time of today such as "
                            "12:00 or 12:00:05, or a date such as '2026-01-31 12:00' or "
                            "2026-01-31T12:00:00Z",
                            since);
    }
    int code = hub_connect(cli);
    if (code != CLI_OK) {
        return code;
    }
    f.writer = prong_writer_new();
    code = f.writer != NULL ? ask(&f) : output_no_memory(cli);
    while (code == CLI_OK && cli->options.follow && !f.is_unread && f.after[0] != '\0') {
        code = ask(&f);
    }
    prong_writer_free(f.writer);
    return code;
}
