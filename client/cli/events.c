/* Printing events: see events.h; and `prong events`. */
#include "client/cli/events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/field.h"
#include "client/cli/filter.h"
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/cli/unit.h"
#include "proto/closest.h"

enum { FILTERS_MAX = PRONG_FILTERS_MAX };

/* One subscription being printed. */
struct printing {
    struct cli *cli;
    const struct events_wish *wish;
    prong_writer *writer;
    int64_t printed;
    uint64_t told_lost;
    uint64_t lost; /* before the next that is printed */
    bool is_reset; /* its history is a new one */
    bool is_over, is_unread;
};

/* ---- one event ------------------------------------------------------------------------------ */

static int
put_object(struct printing *p, const prong_event *e)
{
    char when[UNIT_TIME_BYTES];
    prong_writer *w = p->writer;
    prong_value object;
    char *text = NULL;
    unit_time(e->time_us, when);
    prong_writer_reset(w);
    prong_writer_map(w, 5 + (p->lost > 0) + p->is_reset);
    field_put_uint(w, "number", e->number);
    field_put_text(w, "time", when);
    field_put_text(w, "topic", e->topic);
    field_put_text(w, "source", e->source);
    prong_writer_key(w, "payload");
    prong_writer_raw(w, &e->payload);
    if (p->lost > 0) {
        field_put_uint(w, "lost", p->lost);
    }
    if (p->is_reset) {
        prong_writer_key(w, "reset");
        prong_writer_bool(w, true);
    }
    prong_err err = prong_writer_finish(w, &object);
    err = err == PRONG_OK ? prong_value_to_json(&object, 0, &text) : err;
    if (err == PRONG_RESOURCE_EXHAUSTED) {
        return output_no_memory(p->cli);
    }
    if (err != PRONG_OK) {
        /* One bad payload of somebody else is no reason to stop listening. */
        output_say(p->cli, "event %" PRIu64 " of %s cannot be shown as JSON", e->number, e->topic);
        return CLI_OK;
    }
    (void)puts(text);
    prong_free(text);
    return CLI_OK;
}

static int
put_readable(struct printing *p, const prong_event *e)
{
    const bool has_color = p->cli->out_has_color;
    char when[UNIT_TIME_BYTES];
    char *json = NULL;
    unit_time_local(e->time_us, when);
    (void)printf("%s #%" PRIu64 " %s%s%s ", when, e->number, has_color ? "\033[1m" : "", e->topic,
                 has_color ? "\033[0m" : "");
    table_put_safe(stdout, e->source, strlen(e->source));
    if (prong_value_to_json(&e->payload, 0, &json) == PRONG_OK) {
        (void)fputs("  ", stdout);
        table_put_safe(stdout, json, strlen(json));
        prong_free(json);
    }
    (void)fputc('\n', stdout);
    return CLI_OK;
}

/* The payload alone: text and bytes as they are, anything else as JSON. */
static int
put_raw(struct printing *p, const prong_event *e)
{
    const uint8_t *data;
    size_t len;
    if (!prong_value_bin(&e->payload, &data, &len)) {
        return output_value(p->cli, &e->payload);
    }
    (void)fwrite(data, 1, len, stdout);
    (void)fputc('\n', stdout);
    return CLI_OK;
}

static bool
is_wanted(const struct events_wish *wish, const char *topic)
{
    for (size_t i = 0; i < wish->filter_count; i++) {
        if (filter_matches(wish->filters[i], topic)) {
            return true;
        }
    }
    return false;
}

static void
tell_lost(struct printing *p, uint64_t lost, const char *when)
{
    if (lost > 0) {
        output_say(p->cli, "%" PRIu64 " event%s lost: the hub had no more room for them %s", lost,
                   lost == 1 ? " was" : "s were", when);
        p->told_lost += lost;
    }
}

static int
take(struct printing *p, const prong_event *e)
{
    const struct events_wish *wish = p->wish;
    const enum output_form form = output_form(p->cli);
    int code = CLI_OK;
    char when[60];
    (void)snprintf(when, sizeof when, "before number %" PRIu64, e->number);
    tell_lost(p, e->lost, when);
    p->lost += e->lost;
    p->is_reset |= e->reset;
    if (e->reset) {
        output_say(p->cli, "the hub was started anew: its events count from 1 again");
    }
    if (is_wanted(wish, e->topic)) {
        code = form == OUTPUT_TABLE ? put_readable(p, e)
               : form == OUTPUT_RAW ? put_raw(p, e)
                                    : put_object(p, e);
        p->printed++;
        p->lost = 0;
        p->is_reset = false;
        if (!output_flush()) {
            p->is_unread = errno == EPIPE;
            return p->is_unread ? CLI_OK : CLI_FAILED; /* output_end says why */
        }
    }
    p->is_over = (wish->count > 0 && p->printed >= wish->count) ||
                 (wish->until != NULL && filter_matches(wish->until, e->topic));
    return code;
}

/* ---- the subscription ----------------------------------------------------------------------- */

static int
subscribe(struct cli *cli, const struct events_wish *wish, prong_subscription **out)
{
    static const char *const words[] = {
        [PRONG_FROM_NEW] = "new", [PRONG_FROM_OLDEST] = "oldest", [PRONG_FROM_LAST] = "last"};
    const char *filters[FILTERS_MAX + 1];
    size_t count = wish->filter_count;
    int64_t number = 0;
    prong_subscribe_options o = {.size_bytes = sizeof o, .from = PRONG_FROM_NUMBER};
    if (count + (wish->until != NULL) > FILTERS_MAX) {
        return output_usage(cli, "at most %d filters", FILTERS_MAX);
    }
    memcpy(filters, wish->filters, count * sizeof filters[0]);
    if (wish->until != NULL) {
        filters[count++] = wish->until;
    }
    for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        o.from = strcmp(wish->from, words[i]) == 0 ? i : o.from;
    }
    if (o.from == PRONG_FROM_NUMBER && !unit_count(wish->from, &number)) {
        struct closest near = {.word = wish->from};
        for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            closest_offer(&near, words[i]);
        }
        return output_usage(cli, "--from '%.40s': use a number, new, oldest or last%s%s%s",
                            wish->from, near.best != NULL ? "; did you mean " : "",
                            near.best != NULL ? near.best : "", near.best != NULL ? "?" : "");
    }
    o.number = (uint64_t)number;
    int code = hub_connect(cli);
    if (code != CLI_OK) {
        return code;
    }
    const prong_err err = prong_subscribe(cli->client, filters, count, &o, out);
    if (err != PRONG_OK) {
        char why[300];
        prong_client_error_text(cli->client, why, sizeof why);
        code = output_error(cli, err, "subscribing", why);
        return err == PRONG_INVALID_ARGUMENT ? CLI_USAGE : code;
    }
    return CLI_OK;
}

/* --until TIME is over: the end that was wanted, unless a number of events was. */
static int
end_of_time(const struct printing *p)
{
    const struct events_wish *wish = p->wish;
    if (wish->count > 0) {
        output_say(p->cli, "%" PRId64 " of %" PRId64 " events came until then (--until)",
                   p->printed, wish->count);
        return CLI_TIMEOUT;
    }
    return CLI_OK;
}

static int
print_all(struct printing *p, prong_subscription *s)
{
    struct cli *cli = p->cli;
    int code = CLI_OK;
    while (code == CLI_OK && !p->is_over && !p->is_unread) {
        const prong_event *event;
        const prong_err err = prong_subscription_next(s, 0, &event);
        if (err == PRONG_OK) {
            code = take(p, event);
            continue;
        }
        if (err != PRONG_DEADLINE_EXCEEDED) {
            char why[300];
            prong_client_error_text(cli->client, why, sizeof why);
            return output_error(cli, err, "events", why);
        }
        const int64_t until_ms = p->wish->until_ms;
        const enum hub_woke woke =
            hub_wait(cli, until_ms < cli->deadline_ms ? until_ms : cli->deadline_ms, STDOUT_FILENO);
        if (woke == HUB_LATE && unit_now_ms() >= until_ms) {
            return end_of_time(p);
        }
        p->is_unread = woke == HUB_UNREAD;
        code = hub_woke_code(cli, woke, "enough events");
    }
    return code;
}

int
events_print(struct cli *cli, const struct events_wish *wish)
{
    struct printing p = {.cli = cli, .wish = wish, .writer = prong_writer_new()};
    prong_subscription *s = NULL;
    int code;
    if (p.writer == NULL) {
        return output_no_memory(cli);
    }
    code = subscribe(cli, wish, &s);
    if (code == CLI_OK) {
        code = print_all(&p, s);
        const uint64_t lost = prong_subscription_lost(s);
        tell_lost(&p, lost > p.told_lost ? lost - p.told_lost : 0, "since the last one shown");
    }
    prong_subscription_free(s);
    prong_writer_free(p.writer);
    return code;
}

/* "10", "5sec" or "2d": topics, but none that anybody means. */
static bool
is_no_time(const char *text)
{
    const char *unit = text + strspn(text, "0123456789.");
    return unit > text && unit[strspn(unit, "abcdefghijklmnopqrstuvwxyz")] == '\0' &&
           (unit[0] == '\0' || strchr("dhmsu", unit[0]) != NULL);
}

int
verb_events(struct cli *cli)
{
    static const char *const everything[] = {">"};
    int64_t span_ms = 0;
    const char *until = cli->options.until;
    const bool is_time = until != NULL && unit_duration(until, &span_ms);
    const struct events_wish wish = {
        .filters = cli->argc > 0 ? cli->argv : everything,
        .filter_count = cli->argc > 0 ? (size_t)cli->argc : 1,
        .from = cli->options.from != NULL ? cli->options.from : "new",
        .until = is_time ? NULL : until,
        .until_ms = is_time ? unit_now_ms() + span_ms : CLI_NEVER_MS,
        .count = cli->options.count,
    };
    if (until != NULL && !is_time && is_no_time(until)) {
        return output_usage(cli,
                            "--until '%.40s': use a topic, or a time with ms, s, m or h, such "
                            "as 1.5s",
                            until);
    }
    return events_print(cli, &wish);
}
