/* The frame of every program of devices: see device.h. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "client/devices/inside.h"

void
device_hear_hub(struct device *d)
{
    /* What fails here is told by the posts that it takes with it. */
    (void)prong_dispatch(d->client, 0);
    device_drain(d);
    device_tend_status(d);
}

static void
hub_is_there(struct device *d, int fd, short revents, void *context)
{
    (void)fd;
    (void)revents;
    (void)context;
    device_hear_hub(d);
    if (d->ops->answered != NULL) {
        d->ops->answered(d);
    }
}

static prong_err
set_up(prong_worker *worker, void *context)
{
    struct device *d = context;
    const char *name = prong_worker_name(worker);
    (void)snprintf(d->name, sizeof d->name, "%.*s", (int)strcspn(name, "/"), name);
    d->client = prong_worker_client(worker);
    if (d->client == NULL) {
        char why[DEVICE_WHY_BYTES_MAX];
        prong_worker_error_text(worker, why, sizeof why);
        device_log(d, 3, "no connection to the hub: %s", why);
        return PRONG_UNAVAILABLE;
    }
    if (prong_fd(d->client) < 0 ||
        !device_watch(d, prong_fd(d->client), DEVICE_ALWAYS, hub_is_there, NULL)) {
        device_log(d, 3, "no descriptor for the connection to the hub");
        return PRONG_RESOURCE_EXHAUSTED;
    }
    return d->ops->start(d);
}

/* What waits still leaves, as far as the hub takes it within two seconds. */
static void
tear_down(prong_worker *worker, void *context)
{
    (void)worker;
    struct device *d = context;
    const int64_t until_ns = stamp_now().mono_ns + INT64_C(2000000000);
    if (d->ops->stop != NULL) {
        d->ops->stop(d);
    }
    d->is_paused = true; /* nothing is read any more */
    while (d->first != NULL && stamp_now().mono_ns < until_ns &&
           prong_client_is_connected(d->client)) {
        (void)prong_dispatch(d->client, 100);
        device_drain(d);
    }
    (void)prong_flush(d->client);
}

static bool
read_options(struct device *d, const struct device_kind_ops *kinds, size_t count, char *why,
             size_t why_bytes)
{
    if (!options_load(&d->options, getenv("PRONG_DEVICE"), why, why_bytes)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(kinds[i].kind, d->options.kind->name) == 0) {
            d->ops = &kinds[i];
        }
    }
    if (d->ops == NULL) {
        snprintf(why, why_bytes, "kind %s is served by %s", d->options.kind->name,
                 d->options.kind->program);
        return false;
    }
    return d->ops->check == NULL || d->ops->check(&d->options, why, why_bytes);
}

static int
run(struct device *d)
{
    d->state = calloc(1, d->ops->state_size > 0 ? d->ops->state_size : 1);
    d->event = prong_writer_new();
    d->value = prong_writer_new();
    d->worker = prong_worker_new(NULL, 0);
    if (d->state == NULL || d->event == NULL || d->value == NULL || d->worker == NULL ||
        device_methods(d) != PRONG_OK ||
        prong_worker_setup(d->worker, set_up, tear_down, d) != PRONG_OK ||
        (d->ops->loop != NULL && prong_worker_loop(d->worker, d->ops->loop, d) != PRONG_OK)) {
        (void)fprintf(stderr, "<3>out of memory\n");
        return EX_OSERR;
    }
    return prong_worker_run(d->worker);
}

int
device_main(const struct device_kind_ops *kinds, size_t count)
{
    char why[DEVICE_WHY_BYTES_MAX + 100];
    if (getenv("PRONG_DEVICE") == NULL) {
        (void)fprintf(stderr, "<3>a hub starts this program for an entry in 'devices' of its "
                              "configuration: PRONG_DEVICE is not set\n");
        return EX_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a write tells by its error */
    struct device *d = calloc(1, sizeof *d);
    if (d == NULL) {
        (void)fprintf(stderr, "<3>out of memory\n");
        return EX_OSERR;
    }
    for (size_t i = 0; i < DEVICE_SOURCES_MAX; i++) {
        d->sources[i].fd = -1;
    }
    int code = EX_CONFIG;
    if (read_options(d, kinds, count, why, sizeof why)) {
        code = run(d);
    } else {
        (void)fprintf(stderr, "<3>PRONG_DEVICE: %s\n", why);
    }
    prong_worker_free(d->worker);
    device_forget(d);
    prong_writer_free(d->event);
    prong_writer_free(d->value);
    options_deinit(&d->options);
    free(d->state);
    free(d);
    return code;
}
