/* Parts of the bundle that the hub tells: see doctor.h. They run in a child, which has a connection
 * of its own. */
#include "client/cli/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/hub.h"
#include "client/cli/status.h"
#include "client/cli/unit.h"

enum { CONNECT_MS = 3000, ASK_MS = 3000, EVENTS_MAX = 5000, EVENT_WAIT_MS = 300, LOG_LINES = 300 };

bool
doctor_connect(struct cli *cli, const struct doctor *d, char *why, size_t size)
{
    cli->deadline_ms = unit_now_ms() + CONNECT_MS;
    cli->reconnect_ms = -1;
    if (hub_try(cli, d->url, why, size) != PRONG_OK) {
        return false;
    }
    cli->deadline_ms = unit_now_ms() + ASK_MS;
    return true;
}

static int
connect_or_say(struct cli *cli, const struct doctor *d, FILE *out)
{
    char why[400] = "";
    if (doctor_connect(cli, d, why, sizeof why)) {
        return CLI_OK;
    }
    (void)fprintf(out, "(the hub cannot be asked: %s)\n", why);
    return CLI_FAILED;
}

static int
put_json(FILE *out, const prong_value *value, bool pretty)
{
    char *text = NULL;
    if (prong_value_to_json(value, pretty ? PRONG_JSON_PRETTY : 0, &text) != PRONG_OK) {
        (void)fprintf(out, "(it cannot be shown as JSON)\n");
        return CLI_FAILED;
    }
    (void)fprintf(out, "%s\n", text);
    prong_free(text);
    return CLI_OK;
}

/* What a method without arguments says. A failure is told on stderr, which is the part, too. */
static int
put_answer(struct cli *cli, const struct doctor *d, FILE *out, const char *method)
{
    prong_reply *reply = NULL;
    int code = connect_or_say(cli, d, out);
    code = code != CLI_OK ? code : hub_ask(cli, method, NULL, method, &reply);
    code = code != CLI_OK ? code : put_json(out, prong_reply_value(reply), true);
    prong_reply_free(reply);
    return code;
}

static int
write_status(struct cli *cli, const struct doctor *d, FILE *out)
{
    return put_answer(cli, d, out, "status");
}

static int
write_methods(struct cli *cli, const struct doctor *d, FILE *out)
{
    return put_answer(cli, d, out, "describe");
}

static int
write_letters(struct cli *cli, const struct doctor *d, FILE *out)
{
    return put_answer(cli, d, out, "dlq_list");
}

/* Only of a hub that has such a method. */
static int
write_metrics(struct cli *cli, const struct doctor *d, FILE *out)
{
    prong_reply *reply = NULL;
    prong_value found;
    int code = connect_or_say(cli, d, out);
    code = code != CLI_OK ? code : hub_ask(cli, "describe", NULL, "describe", &reply);
    const bool has =
        code == CLI_OK && prong_value_find(prong_reply_value(reply), "metrics", &found);
    prong_reply_free(reply);
    reply = NULL;
    if (code == CLI_OK && !has) {
        (void)fprintf(out, "(this hub has no metrics)\n");
        return CLI_OK;
    }
    code = code != CLI_OK ? code : hub_ask(cli, "metrics", NULL, "metrics", &reply);
    code = code != CLI_OK ? code : put_json(out, prong_reply_value(reply), true);
    prong_reply_free(reply);
    return code;
}

static void
put_event(FILE *out, const prong_event *e)
{
    char when[UNIT_TIME_BYTES];
    char *json = NULL;
    unit_time(e->time_us, when);
    /* Payloads of the hub's own events only: those of others may be anything, and large. */
    const bool is_own = strncmp(e->topic, "hub.", 4) == 0;
    const bool has = is_own && prong_value_to_json(&e->payload, 0, &json) == PRONG_OK;
    (void)fprintf(out, "%llu %s %s %s %s\n", (unsigned long long)e->number, when, e->topic,
                  e->source, has ? json : "");
    prong_free(json);
}

/* The number of the newest event. */
static int
newest_event(struct cli *cli, uint64_t *number)
{
    prong_reply *reply = NULL;
    prong_value hub, events;
    const int code = hub_ask(cli, "status", NULL, "status", &reply);
    *number = 0;
    if (code == CLI_OK && prong_value_find(prong_reply_value(reply), "hub", &hub) &&
        prong_value_find(&hub, "events", &events)) {
        (void)prong_value_uint(&events, number); /* 0 when it is none: then nothing is asked for */
    }
    prong_reply_free(reply);
    return code;
}

static void
put_events(struct cli *cli, FILE *out, prong_subscription *s, uint64_t newest)
{
    const prong_event *event = NULL;
    uint64_t number = 0;
    while (number < newest && unit_now_ms() < cli->deadline_ms &&
           prong_subscription_next(s, EVENT_WAIT_MS, &event) == PRONG_OK) {
        if (event->lost > 0) {
            (void)fprintf(out, "(%llu before this are lost)\n", (unsigned long long)event->lost);
        }
        put_event(out, event);
        number = event->number;
    }
    (void)fprintf(out, "(up to number %llu of %llu)\n", (unsigned long long)number,
                  (unsigned long long)newest);
}

/* The newest that the hub still has, up to now. */
static int
write_events(struct cli *cli, const struct doctor *d, FILE *out)
{
    static const char *const everything[] = {">"};
    prong_subscribe_options o = {.size_bytes = sizeof o, .from = PRONG_FROM_OLDEST};
    prong_subscription *s = NULL;
    uint64_t newest;
    int code = connect_or_say(cli, d, out);
    code = code != CLI_OK ? code : newest_event(cli, &newest);
    if (code != CLI_OK || newest == 0) {
        return code;
    }
    if (newest > EVENTS_MAX) {
        o.from = PRONG_FROM_NUMBER;
        o.number = newest - EVENTS_MAX;
    }
    if (prong_subscribe(cli->client, everything, 1, &o, &s) != PRONG_OK) {
        (void)fprintf(out, "(the events cannot be subscribed to)\n");
        return CLI_FAILED;
    }
    put_events(cli, out, s, newest);
    prong_subscription_free(s);
    return CLI_OK;
}

static int
put_lines(struct cli *cli, FILE *out, const char *worker)
{
    prong_reply *reply = NULL;
    prong_iter it;
    prong_value entry;
    const int code = hub_ask_number(cli, "logs", worker, "lines", LOG_LINES, &reply);
    (void)fprintf(out, "==== %s\n", worker);
    if (code != CLI_OK) {
        return code;
    }
    (void)prong_iter_begin(&it, prong_reply_value(reply));
    while (prong_iter_next(&it, NULL, &entry)) {
        (void)put_json(out, &entry, false); /* one that cannot be shown says so */
    }
    prong_reply_free(reply);
    return CLI_OK;
}

/* The last lines of each worker, as the hub has them. */
static int
write_logs(struct cli *cli, const struct doctor *d, FILE *out)
{
    struct status status = {0};
    int code = connect_or_say(cli, d, out);
    code = code != CLI_OK ? code : status_get(cli, &status);
    for (size_t i = 0; code == CLI_OK && i < status.worker_count; i++) {
        code = put_lines(cli, out, status.workers[i].name);
    }
    status_deinit(&status);
    return code;
}

const struct doctor_part *
doctor_hub_parts(size_t *count)
{
    static const struct doctor_part parts[] = {
        {.name = "hub/status.json", .write = write_status, .needs_hub = true},
        {.name = "hub/methods.json", .write = write_methods, .needs_hub = true},
        {.name = "hub/metrics.json", .write = write_metrics, .needs_hub = true},
        {.name = "hub/events.txt", .write = write_events, .needs_hub = true},
        {.name = "hub/letters.json", .write = write_letters, .needs_hub = true},
        {.name = "hub/lines.txt", .write = write_logs, .needs_hub = true},
    };
    *count = sizeof parts / sizeof parts[0];
    return parts;
}
