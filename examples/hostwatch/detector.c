/* The worker `detector`: knows what is usual for each series of the sensor, and scores values.
 *
 * Every replica listens to sensor.> and keeps all the models, so any of them can answer any call.
 * One that is started anew reads what the hub still has of the past first, and is useful at once.
 */
#include "model.h"

#include <prong/worker.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SERIES_MAX = 512, NAME_MAX_BYTES = 96, REST_MS = 50 };

struct series {
    char name[NAME_MAX_BYTES]; /* "cpu.cpu0": topic without "sensor.", and key */
    struct model model;
};

struct detector {
    struct series series[SERIES_MAX];
    size_t count;
};

/* The smallest deviation worth a word, by the unit of the series. */
static double
floor_of(const char *name)
{
    static const struct {
        const char *prefix;
        double floor;
    } floors[] = {
        {"cpu.running", 1.0}, {"cpu.", 0.05}, {"memory.", 0.002}, {"disk.", 2.0}, {"net.", 0.2}};
    for (size_t i = 0; i < sizeof floors / sizeof floors[0]; i++) {
        if (strncmp(name, floors[i].prefix, strlen(floors[i].prefix)) == 0) {
            return floors[i].floor;
        }
    }
    return 0.05;
}

static struct series *
find(struct detector *d, const char *name)
{
    for (size_t i = 0; i < d->count; i++) {
        if (strcmp(d->series[i].name, name) == 0) {
            return &d->series[i];
        }
    }
    return NULL;
}

static void
learn(struct detector *d, const char *name, double value)
{
    struct series *s = find(d, name);
    if (s == NULL && d->count < SERIES_MAX) {
        s = &d->series[d->count++];
        (void)snprintf(s->name, sizeof s->name, "%s", name);
        model_init(&s->model, floor_of(name));
    }
    if (s != NULL) {
        model_add(&s->model, value);
    }
}

/* Every number of an event is a sample of one series. */
static void
learn_event(struct detector *d, const prong_event *event)
{
    prong_iter it;
    prong_value key, value;
    (void)prong_iter_begin(&it, &event->payload);
    while (prong_iter_next(&it, &key, &value)) {
        char name[NAME_MAX_BYTES];
        const char *text;
        size_t len;
        double number;
        if (prong_value_text(&key, &text, &len) && prong_value_double(&value, &number)) {
            (void)snprintf(name, sizeof name, "%s.%.*s", event->topic + strlen("sensor."), (int)len,
                           text);
            learn(d, name, number);
        }
    }
}

static void
on_sample(prong_worker *worker, const prong_event *event, void *context)
{
    (void)worker;
    learn_event(context, event);
}

/* A place in what the hub has: of the next event, in which history. */
struct place {
    uint64_t number, history;
};

static struct place
place_of(prong_subscription *s)
{
    struct place p = {0, 0};
    prong_subscription_position(s, &p.number, &p.history);
    return p;
}

/* Learn from what the hub still has, up to the present: where a new subscription would begin. */
static prong_err
learn_past(struct detector *d, prong_client *client, size_t *count)
{
    static const char *const filter = "sensor.>";
    const prong_subscribe_options from = {.size_bytes = sizeof from, .from = PRONG_FROM_OLDEST};
    prong_subscription *past = NULL, *present = NULL;
    const prong_event *event;
    prong_err code = prong_subscribe(client, &filter, 1, NULL, &present);
    if (code == PRONG_OK) {
        code = prong_subscribe(client, &filter, 1, &from, &past);
    }
    while (code == PRONG_OK) {
        const struct place at = place_of(past), end = place_of(present);
        if (at.number >= end.number || at.history != end.history) {
            break;
        }
        code = prong_subscription_next(past, REST_MS, &event);
        if (code == PRONG_OK) {
            learn_event(d, event);
            (*count)++;
        } else if (code == PRONG_DEADLINE_EXCEEDED) {
            code = PRONG_OK; /* the last ones have other topics, or the hub is busy */
        }
    }
    prong_subscription_free(past);
    prong_subscription_free(present);
    return code;
}

/* Before the first call: the past, as far as the hub has it. */
static prong_err
setup(prong_worker *worker, void *context)
{
    prong_client *client = prong_worker_client(worker);
    size_t count = 0;
    const prong_err code = client == NULL ? PRONG_UNAVAILABLE : learn_past(context, client, &count);
    if (code != PRONG_OK) {
        char text[200];
        prong_worker_error_text(worker, text, sizeof text);
        (void)fprintf(stderr, "cannot read the past: %s %s\n", prong_err_name(code), text);
        return code;
    }
    (void)printf("%s learned from %zu events of the past\n", prong_worker_name(worker), count);
    return PRONG_OK;
}

static prong_err
score(prong_job *job, const prong_value *args, void *context)
{
    prong_value v;
    double value;
    char *name = prong_value_find(args, "series", &v) ? prong_value_string(&v) : NULL;
    if (name == NULL) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                              "score needs series, a text such as cpu.cpu");
    }
    const struct series *s = find(context, name);
    prong_free(name);
    if (!prong_value_find(args, "value", &v) || !prong_value_double(&v, &value) ||
        !isfinite(value)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "score needs value, a finite number");
    }
    if (s == NULL) {
        return prong_job_fail(job, PRONG_NOT_FOUND, "no sample of this series was seen yet");
    }
    const struct model_score m = model_score(&s->model, value);
    prong_writer *w = prong_job_result(job);
    prong_writer_map(w, 7);
    prong_writer_key(w, "score");
    prong_writer_double(w, m.score);
    prong_writer_key(w, "outlier");
    prong_writer_bool(w, m.outlier);
    prong_writer_key(w, "expected");
    prong_writer_double(w, m.expected);
    prong_writer_key(w, "spread");
    prong_writer_double(w, m.spread);
    prong_writer_key(w, "samples");
    prong_writer_uint(w, s->model.count);
    prong_writer_key(w, "ready");
    prong_writer_bool(w, m.ready);
    prong_writer_key(w, "replica");
    prong_writer_string(w, prong_worker_name(prong_job_worker(job)));
    return PRONG_OK;
}

static prong_err
series(prong_job *job, const prong_value *args, void *context)
{
    const struct detector *d = context;
    prong_writer *w = prong_job_result(job);
    (void)args;
    prong_writer_array(w, (uint32_t)d->count);
    for (size_t i = 0; i < d->count; i++) {
        prong_writer_string(w, d->series[i].name);
    }
    return PRONG_OK;
}

int
main(void)
{
    static struct detector detector;
    const prong_method methods[] = {
        {"score", score, PRONG_IDEMPOTENT, "how unusual {series, value} is", &detector},
        {"series", series, PRONG_IDEMPOTENT, "the series that have a model", &detector},
    };
    prong_worker *worker = prong_worker_new(methods, 2);
    if (worker == NULL) {
        return 71;
    }
    /* What is wrong with these is told by prong_worker_run. */
    (void)prong_worker_setup(worker, setup, NULL, &detector);
    (void)prong_worker_on(worker, "sensor.>", on_sample, &detector);
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    return code;
}
