/* The frontend `watch`: lets the detector score every sample, and tells what is unusual as it
 * happens: episodes (see episode.h), each when it begins and when it ends, as lines on stdout and
 * as events (see tell.h).
 *
 *   watch [--seconds N]      ends then, or at SIGINT or SIGTERM, with a summary on stdout
 *
 * Calls are not waited for one by one: up to IN_FLIGHT_MAX are on their way at a time. Their
 * answers are taken in the order of the samples, because an episode is a matter of order: after the
 * death of a replica the hub runs its calls once more elsewhere, and those asked later overtake
 * them. The episodes are kept here for that reason, too: a replica that dies takes none along. */
#include "tell.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IN_FLIGHT_MAX = 64, SERIES_MAX = 512, NAME_BYTES = 96, CALL_MS = 5000, REST_MS = 200 };

struct series {
    char name[NAME_BYTES];
    struct episode episode;
};

/* One call on its way: what was asked. */
struct asked {
    prong_reply *reply; /* NULL: it could not be sent */
    struct series *series;
    double value;
    int64_t time_us;
    bool again; /* it is the second try */
};

struct watch {
    prong_client *hub;
    prong_writer *writer;
    struct tell tell;
    struct asked asked[IN_FLIGHT_MAX]; /* a ring, oldest at `first` */
    size_t first, count;
    struct series series[SERIES_MAX];
    size_t series_count;
    unsigned long events, calls, answers, again, failed, episodes;
};

static volatile sig_atomic_t interrupted;

static void
interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* ---- answers -------------------------------------------------------------------------------- */

static bool
start(struct watch *w, struct asked *a)
{
    const prong_call_options options = {.size_bytes = sizeof options, .timeout_ms = CALL_MS};
    prong_value args;
    a->reply = NULL;
    prong_writer_reset(w->writer);
    prong_writer_map(w->writer, 2);
    tell_string(w->writer, "series", a->series->name);
    tell_double(w->writer, "value", a->value);
    w->calls++;
    return prong_writer_finish(w->writer, &args) == PRONG_OK &&
           prong_call_async(w->hub, "detector", "score", &args, &options, &a->reply) == PRONG_OK;
}

static double
number(const prong_value *map, const char *key)
{
    prong_value v;
    double d = 0;
    return prong_value_find(map, key, &v) && prong_value_double(&v, &d) ? d : 0;
}

static struct answer
read_answer(const prong_value *map)
{
    prong_value v;
    const char *name;
    size_t len;
    struct answer answer = {
        .score = number(map, "score"),
        .expected = number(map, "expected"),
        .spread = number(map, "spread"),
        .replica = "?",
    };
    (void)(prong_value_find(map, "ready", &v) && prong_value_bool(&v, &answer.ready));
    if (prong_value_find(map, "replica", &v) && prong_value_text(&v, &name, &len)) {
        (void)snprintf(answer.replica, sizeof answer.replica, "%.*s", (int)len, name);
    }
    return answer;
}

static void
tell_failure(struct watch *w, const struct asked *a)
{
    static const char *const began[] = {"no", "maybe", "yes"};
    w->failed++;
    w->tell.failed++;
    (void)fprintf(stderr, "score of %s failed: %s, began %s: %s\n", a->series->name,
                  prong_err_name(prong_reply_code(a->reply)), began[prong_reply_began(a->reply)],
                  prong_reply_message(a->reply));
}

static void
take_answer(struct watch *w, const struct asked *a)
{
    const struct answer answer = read_answer(prong_reply_value(a->reply));
    const struct tell_sample sample = {a->series->name, a->value, a->time_us, &answer};
    const enum episode_change change =
        episode_step(&a->series->episode, answer.ready ? answer.score : 0, a->time_us);
    w->episodes += change == EPISODE_BEGIN;
    tell_count(&w->tell, answer.replica);
    tell_change(&w->tell, &sample, &a->series->episode, change);
}

/* The outcome of a call: an answer, or an error that says whether the method may have begun. False:
 * it is asked once more. */
static bool
take(struct watch *w, struct asked *a)
{
    const prong_err code = prong_reply_code(a->reply);
    const prong_began began = prong_reply_began(a->reply);
    tell_enter(&w->tell, a->time_us);
    if (code == PRONG_OK) {
        w->answers++;
        take_answer(w, a);
    } else if (code == PRONG_NOT_FOUND && began == PRONG_BEGAN_YES) {
        w->answers++; /* we were faster: the detector has not seen this series yet */
    } else if (code != PRONG_NOT_FOUND && began == PRONG_BEGAN_NO && !a->again) {
        /* It never began, so asking once more is safe whatever the method does. */
        prong_reply_free(a->reply);
        a->again = true;
        w->again++;
        w->tell.again++;
        if (start(w, a)) {
            return false;
        }
        tell_failure(w, a);
    } else {
        tell_failure(w, a);
    }
    prong_reply_free(a->reply);
    return true;
}

/* Take the outcomes that are there, the oldest first; wait for that one at most so long. */
static void
take_all(struct watch *w, int32_t timeout_ms)
{
    while (w->count > 0) {
        struct asked *a = &w->asked[w->first];
        if (prong_reply_wait(a->reply, timeout_ms) != PRONG_OK) {
            return;
        }
        if (take(w, a)) {
            w->first = (w->first + 1) % IN_FLIGHT_MAX;
            w->count--;
            timeout_ms = timeout_ms == PRONG_FOREVER ? PRONG_FOREVER : 0;
        }
    }
}

/* ---- samples -------------------------------------------------------------------------------- */

/* The series of a topic "sensor.cpu" and a key "cpu0"; NULL when there are too many. */
static struct series *
series_get(struct watch *w, const char *topic, const char *key, size_t key_len)
{
    char name[NAME_BYTES] = "";
    (void)snprintf(name, sizeof name, "%s.%.*s", topic + strlen("sensor."), (int)key_len, key);
    for (size_t i = 0; i < w->series_count; i++) {
        if (strcmp(w->series[i].name, name) == 0) {
            return &w->series[i];
        }
    }
    if (w->series_count == SERIES_MAX) {
        return NULL;
    }
    struct series *s = &w->series[w->series_count++];
    *s = (struct series){0};
    memcpy(s->name, name, sizeof s->name);
    return s;
}

/* Every number of a sensor's event is scored. */
static void
ask(struct watch *w, const prong_event *event)
{
    prong_iter it;
    prong_value key, value;
    w->events++;
    (void)prong_iter_begin(&it, &event->payload);
    while (prong_iter_next(&it, &key, &value)) {
        const char *text;
        size_t len;
        double v;
        if (!prong_value_text(&key, &text, &len) || !prong_value_double(&value, &v) ||
            !isfinite(v)) {
            continue;
        }
        while (w->count == IN_FLIGHT_MAX) {
            take_all(w, CALL_MS);
        }
        struct series *series = series_get(w, event->topic, text, len);
        if (series == NULL) {
            continue;
        }
        struct asked *a = &w->asked[(w->first + w->count) % IN_FLIGHT_MAX];
        *a = (struct asked){.series = series, .value = v, .time_us = event->time_us};
        if (start(w, a)) {
            w->count++;
        } else {
            tell_failure(w, a);
        }
    }
}

static int
watch(struct watch *w, time_t end)
{
    static const char *const filter = "sensor.>";
    prong_subscription *events = NULL;
    if (prong_subscribe(w->hub, &filter, 1, NULL, &events) != PRONG_OK) {
        (void)fprintf(stderr, "watch: cannot subscribe\n");
        return 1;
    }
    while (!interrupted && (end == 0 || time(NULL) < end)) {
        const prong_event *event;
        (void)prong_dispatch(w->hub, REST_MS); /* whatever comes: events, outcomes, neither */
        while (!interrupted && prong_subscription_next(events, 0, &event) == PRONG_OK) {
            ask(w, event);
        }
        take_all(w, 0);
    }
    const unsigned long lost = (unsigned long)prong_subscription_lost(events);
    prong_subscription_free(events);
    take_all(w, PRONG_FOREVER); /* each call has a deadline */
    tell_enter(&w->tell, 0);
    (void)printf(
        "watch: %lu events, %lu lost, %lu calls, %lu answers, %lu asked again, %lu failed, "
        "%lu episodes\n",
        w->events, lost, w->calls, w->answers, w->again, w->failed, w->episodes);
    return 0;
}

int
main(int argc, char *argv[])
{
    static struct watch w;
    char error[300];
    time_t end = 0;
    if (argc == 3 && strcmp(argv[1], "--seconds") == 0) {
        end = time(NULL) + strtol(argv[2], NULL, 10);
    } else if (argc != 1) {
        (void)fprintf(stderr, "usage: watch [--seconds N]\n");
        return 2;
    }
    (void)signal(SIGINT, interrupt);
    (void)signal(SIGTERM, interrupt);
    w.writer = prong_writer_new();
    if (w.writer == NULL || prong_connect(NULL, NULL, &w.hub, error, sizeof error) != PRONG_OK) {
        (void)fprintf(stderr, "watch: %s\n", w.writer == NULL ? "out of memory" : error);
        return 7;
    }
    w.tell = (struct tell){.hub = w.hub, .writer = w.writer};
    const int code = watch(&w, end);
    prong_client_free(w.hub);
    prong_writer_free(w.writer);
    return code;
}
