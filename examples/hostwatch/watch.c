/* The frontend `watch`: lets the detector score every sample, and prints what is unusual as it
 * happens.
 *
 *   watch [--seconds N]      ends then, or at SIGINT or SIGTERM, with a summary on stdout
 *
 * Calls are not waited for one by one: up to IN_FLIGHT_MAX are on their way at a time, and their
 * outcomes are taken as they come. */
#include <prong/prong.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IN_FLIGHT_MAX = 64, NAME_MAX_BYTES = 96, CALL_MS = 5000, REST_MS = 200 };

/* One call on its way: what was asked. */
struct asked {
    prong_reply *reply;
    char series[NAME_MAX_BYTES];
    double value;
    int64_t time_us;
    bool again; /* it is the second try */
};

struct watch {
    prong_client *hub;
    prong_writer *writer;
    struct asked asked[IN_FLIGHT_MAX];
    unsigned long events, calls, answers, repeated, failures, anomalies;
};

static volatile sig_atomic_t interrupted;

static void
interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static bool
start(struct watch *w, struct asked *a)
{
    const prong_call_options options = {
        .size_bytes = sizeof options, .timeout_ms = CALL_MS, .tag = (uint64_t)(a - w->asked)};
    prong_value args;
    prong_writer_reset(w->writer);
    prong_writer_map(w->writer, 2);
    prong_writer_key(w->writer, "series");
    prong_writer_string(w->writer, a->series);
    prong_writer_key(w->writer, "value");
    prong_writer_double(w->writer, a->value);
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

static void
print_anomaly(const struct asked *a, const prong_value *answer)
{
    char when[32];
    struct tm tm;
    const time_t seconds = (time_t)(a->time_us / 1000000);
    prong_value v;
    char *replica = prong_value_find(answer, "replica", &v) ? prong_value_string(&v) : NULL;
    (void)strftime(when, sizeof when, "%H:%M:%S", gmtime_r(&seconds, &tm));
    (void)printf("%s.%03d  %-14s %8.3f  usually %.3f +- %.3f  score %6.1f  (%s)\n", when,
                 (int)(a->time_us / 1000 % 1000), a->series, a->value, number(answer, "expected"),
                 number(answer, "spread"), number(answer, "score"),
                 replica != NULL ? replica : "?");
    (void)fflush(stdout);
    prong_free(replica);
}

/* Tell others, too: an event that anybody can subscribe to. */
static void
emit_anomaly(struct watch *w, const struct asked *a, const prong_value *answer)
{
    prong_value payload;
    prong_writer_reset(w->writer);
    prong_writer_map(w->writer, 3);
    prong_writer_key(w->writer, "series");
    prong_writer_string(w->writer, a->series);
    prong_writer_key(w->writer, "value");
    prong_writer_double(w->writer, a->value);
    prong_writer_key(w->writer, "score");
    prong_writer_double(w->writer, number(answer, "score"));
    if (prong_writer_finish(w->writer, &payload) == PRONG_OK) {
        (void)prong_post(w->hub, "watch.anomaly", &payload); /* it was printed already */
    }
}

/* An outcome: an answer, or an error that says whether the method may have begun. */
static void
take(struct watch *w, struct asked *a)
{
    const prong_err code = prong_reply_code(a->reply);
    const prong_began began = prong_reply_began(a->reply);
    prong_value v;
    bool anomaly = false;
    if (code == PRONG_OK) {
        const prong_value *answer = prong_reply_value(a->reply);
        w->answers++;
        if (prong_value_find(answer, "anomaly", &v) && prong_value_bool(&v, &anomaly) && anomaly) {
            w->anomalies++;
            print_anomaly(a, answer);
            emit_anomaly(w, a, answer);
        }
    } else if (code != PRONG_NOT_FOUND && began == PRONG_BEGAN_NO && !a->again) {
        /* It never began, so asking once more is safe whatever the method does. */
        prong_reply_free(a->reply);
        a->again = true;
        w->repeated++;
        if (start(w, a)) {
            return;
        }
        a->reply = NULL;
    } else {
        w->failures++;
        (void)fprintf(stderr, "score of %s failed: %s, began %s: %s\n", a->series,
                      prong_err_name(code),
                      began == PRONG_BEGAN_NO      ? "no"
                      : began == PRONG_BEGAN_MAYBE ? "maybe"
                                                   : "yes",
                      prong_reply_message(a->reply));
    }
    prong_reply_free(a->reply);
    a->reply = NULL;
}

/* Take outcomes: those that are there, or wait for one when there is no room. */
static void
collect(struct watch *w, int32_t timeout_ms)
{
    prong_reply *reply;
    while (prong_wait_any(w->hub, timeout_ms, &reply) == PRONG_OK) {
        take(w, &w->asked[prong_reply_tag(reply)]);
        timeout_ms = 0;
    }
}

static struct asked *
room(struct watch *w)
{
    for (;;) {
        for (size_t i = 0; i < IN_FLIGHT_MAX; i++) {
            if (w->asked[i].reply == NULL) {
                return &w->asked[i];
            }
        }
        collect(w, CALL_MS);
    }
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
        if (!prong_value_text(&key, &text, &len) || !prong_value_double(&value, &v)) {
            continue;
        }
        struct asked *a = room(w);
        *a = (struct asked){.value = v, .time_us = event->time_us};
        (void)snprintf(a->series, sizeof a->series, "%s.%.*s", event->topic + strlen("sensor."),
                       (int)len, text);
        if (!start(w, a)) {
            w->failures++;
            a->reply = NULL;
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
        if (prong_subscription_next(events, REST_MS, &event) == PRONG_OK) {
            ask(w, event);
        }
        collect(w, 0);
    }
    const unsigned long lost = (unsigned long)prong_subscription_lost(events);
    prong_subscription_free(events);
    for (size_t i = 0; i < IN_FLIGHT_MAX; i++) {
        while (w->asked[i].reply != NULL) {
            (void)prong_reply_wait(w->asked[i].reply, PRONG_FOREVER); /* each has a deadline */
            take(w, &w->asked[i]);
        }
    }
    (void)printf(
        "watch: %lu events, %lu lost, %lu calls, %lu answers, %lu asked again, %lu failed, "
        "%lu anomalies\n",
        w->events, lost, w->calls, w->answers, w->repeated, w->failures, w->anomalies);
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
    const int code = watch(&w, end);
    prong_client_free(w.hub);
    prong_writer_free(w.writer);
    return code;
}
