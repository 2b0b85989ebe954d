/* The worker as its program sets it up, and what any thread may ask of it. See prong/worker.h. */
#include "client/worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/mp.h"
#include "proto/name.h"

void
worker_say(prong_worker *w, bool aloud, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)pthread_mutex_lock(&w->lock); /* an ordinary mutex that we do not hold */
    (void)vsnprintf(w->error, sizeof w->error, format, arguments);
    if (aloud) {
        fprintf(stderr, "%s%s%s\n", w->name, w->name[0] != '\0' ? ": " : "", w->error);
    }
    (void)pthread_mutex_unlock(&w->lock);
    va_end(arguments);
}

/* ---- setting up ------------------------------------------------------------------------------ */

/* Remember the first mistake, and return the code. */
__attribute__((format(printf, 3, 4))) static prong_err
mistake(prong_worker *w, prong_err code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (w != NULL && w->problem[0] == '\0') {
        (void)vsnprintf(w->problem, sizeof w->problem, format, arguments);
    }
    va_end(arguments);
    return code;
}

prong_worker *
prong_worker_new(const prong_method *methods, size_t count)
{
    prong_worker *w = calloc(1, sizeof *w);
    if (w == NULL || !job_init(&w->job, w)) {
        free(w);
        return NULL;
    }
    w->budget_ms = 10000;
    (void)pthread_mutex_init(&w->lock, NULL); /* cannot fail on Linux */
    atomic_init(&w->exit_code, -1);
    atomic_init(&w->stop_fd, -1);
    prong_err err = PRONG_OK;
    for (size_t i = 0; i < count && err != PRONG_RESOURCE_EXHAUSTED; i++) {
        const prong_method *m = &methods[i];
        /* A mistake is kept in the worker and told when it starts. */
        err = prong_worker_method(w, m->name, m->function, m->policy, m->help, m->context);
    }
    return w;
}

void
prong_worker_free(prong_worker *w)
{
    if (w == NULL) {
        return;
    }
    if (w->phase == PHASE_RUNS) {
        (void)prong_worker_finish(w); /* nobody is left to whom its exit code would matter */
    }
    worker_tear_down(w);
    prong_client_free(w->client);
    for (uint32_t i = 0; i < w->extra_count; i++) {
        free(w->extras[i]);
    }
    for (uint32_t i = 0; i < w->method_count; i++) {
        free(w->methods[i].help);
        free(w->methods[i].arguments);
    }
    if (w->stop_fd >= 0) {
        close(w->stop_fd);
    }
    run_leave_sigterm(w);
    job_deinit(&w->job);
    (void)pthread_mutex_destroy(&w->lock);
    free(w->methods);
    free(w->url);
    free(w);
}

const struct method *
worker_method_find(const prong_worker *w, struct span name)
{
    for (uint32_t i = 0; i < w->method_count; i++) {
        if (span_is(name, w->methods[i].name)) {
            return &w->methods[i];
        }
    }
    return NULL;
}

prong_err
prong_worker_method(prong_worker *w, const char *name, prong_method_fn function,
                    prong_policy policy, const char *help, void *context)
{
    const struct span text = span_text(name != NULL ? name : "");
    const size_t help_len = help != NULL ? strlen(help) : 0;
    if (w == NULL || w->phase != PHASE_NEW || !name_is_method(text)) {
        return mistake(w, PRONG_INVALID_ARGUMENT, "no name of a method, or too late: \"%.64s\"",
                       name != NULL ? name : "(null)");
    }
    if ((unsigned)policy > PRONG_SHARED || help_len > WIRE_TEXT_BYTES_MAX ||
        !mp_is_utf8((struct span){(const uint8_t *)help, help_len})) {
        return mistake(w, PRONG_INVALID_ARGUMENT, "method %s: its policy or help is wrong", name);
    }
    if (worker_method_find(w, text) != NULL || w->method_count == WIRE_METHODS_MAX) {
        return mistake(w, PRONG_INVALID_ARGUMENT, "method %s: a second one, or too many", name);
    }
    char *copy = help_len > 0 ? strdup(help) : NULL;
    struct method *more = realloc(w->methods, (w->method_count + 1) * sizeof *more);
    w->methods = more != NULL ? more : w->methods;
    if (more == NULL || (help_len > 0 && copy == NULL)) {
        free(copy);
        return mistake(w, PRONG_RESOURCE_EXHAUSTED, "out of memory");
    }
    struct method *m = &more[w->method_count++];
    *m = (struct method){.function = function, .policy = policy, .help = copy, .context = context};
    memcpy(m->name, text.data, text.len);
    return PRONG_OK;
}

bool
worker_argument_next(struct span *rest, struct span *name)
{
    while (rest->len > 0 && rest->data[0] == ' ') {
        *rest = (struct span){rest->data + 1, rest->len - 1};
    }
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, ' ', rest->len) : NULL;
    *name = (struct span){rest->data, end != NULL ? (size_t)(end - rest->data) : rest->len};
    *rest = (struct span){rest->data + name->len, rest->len - name->len};
    return name->len > 0;
}

prong_err
prong_worker_arguments(prong_worker *w, const char *method, const char *names)
{
    struct span rest = span_text(names != NULL ? names : ""), name;
    bool is_good = w != NULL && w->phase == PHASE_NEW && method != NULL && names != NULL &&
                   rest.len <= WIRE_TEXT_BYTES_MAX;
    while (is_good && worker_argument_next(&rest, &name)) {
        is_good = name_is_method(name);
    }
    const struct method *m = is_good ? worker_method_find(w, span_text(method)) : NULL;
    if (m == NULL) {
        return mistake(w, PRONG_INVALID_ARGUMENT, "arguments: no such method, or wrong names");
    }
    char *copy = strdup(names);
    if (copy == NULL) {
        return mistake(w, PRONG_RESOURCE_EXHAUSTED, "out of memory");
    }
    free(m->arguments);
    w->methods[m - w->methods].arguments = copy;
    return PRONG_OK;
}

prong_err
prong_worker_setup(prong_worker *w, prong_err (*setup)(prong_worker *, void *),
                   void (*teardown)(prong_worker *, void *), void *context)
{
    if (w == NULL || w->phase != PHASE_NEW) {
        return mistake(w, PRONG_INVALID_ARGUMENT, "setup: too late");
    }
    w->setup = setup;
    w->teardown = teardown;
    w->context = context;
    return PRONG_OK;
}

prong_err
prong_worker_reconnect(prong_worker *w, int32_t budget_ms)
{
    if (w == NULL || w->phase != PHASE_NEW || budget_ms < 0 || budget_ms > 3600000) {
        return mistake(w, PRONG_INVALID_ARGUMENT, "reconnect: not in 0..3600000, or too late");
    }
    w->budget_ms = budget_ms;
    return PRONG_OK;
}

/* Add one that is valid, copied. */
static prong_err
add(prong_worker *w, bool is_valid, const char *what, const struct extra *extra)
{
    const bool late = w != NULL && w->phase != PHASE_NEW && extra->kind != EXTRA_WATCH;
    if (w == NULL || !is_valid || extra->run.plain == NULL || late) {
        return mistake(w, PRONG_INVALID_ARGUMENT, "%s: an argument is wrong, or too late", what);
    }
    struct extra *e = w->extra_count < EXTRAS_MAX ? malloc(sizeof *e) : NULL;
    if (e == NULL) {
        return mistake(w, PRONG_RESOURCE_EXHAUSTED, "%s: more than 128, or out of memory", what);
    }
    *e = *extra;
    e->worker = w;
    w->extras[w->extra_count++] = e;
    return PRONG_OK;
}

prong_err
prong_worker_on(prong_worker *w, const char *filter,
                void (*function)(prong_worker *, const prong_event *, void *), void *context)
{
    struct extra e = {.kind = EXTRA_ON, .run.on = function, .context = context};
    const bool is_valid = filter != NULL && name_is_filter(span_text(filter));
    uint32_t others = 0;
    for (uint32_t i = 0; w != NULL && i < w->extra_count; i++) {
        others += w->extras[i]->kind == EXTRA_ON;
    }
    if (others >= SESSION_OTHERS_MAX) {
        return mistake(w, PRONG_RESOURCE_EXHAUSTED, "on: more than %d filters", SESSION_OTHERS_MAX);
    }
    if (is_valid) {
        memcpy(e.filter, filter, strlen(filter));
    }
    return add(w, is_valid, "on", &e);
}

prong_err
prong_worker_every(prong_worker *w, int32_t period_ms, void (*function)(prong_worker *, void *),
                   void *context)
{
    return add(w, period_ms > 0 && period_ms <= 86400000, "every",
               &(struct extra){.kind = EXTRA_EVERY,
                               .run.plain = function,
                               .context = context,
                               .period_ns = period_ms * NS_PER_MS});
}

prong_err
prong_worker_watch(prong_worker *w, int fd, short events,
                   void (*function)(prong_worker *, int, short, void *), void *context)
{
    const struct extra e = {
        .kind = EXTRA_WATCH, .run.watch = function, .context = context, .fd = fd, .events = events};
    for (uint32_t i = 0; w != NULL && fd >= 0 && i < w->extra_count; i++) {
        struct extra *old = w->extras[i];
        if (old->kind == EXTRA_WATCH && (old->fd == fd || (old->fd < 0 && events != 0))) {
            *old = e; /* the same one again, or the place of one that ended */
            old->worker = w;
            old->fd = events != 0 && function != NULL ? fd : -1;
            return PRONG_OK;
        }
    }
    return events == 0 && fd >= 0 ? PRONG_OK : add(w, fd >= 0, "watch", &e);
}

prong_err
prong_worker_loop(prong_worker *w, void (*function)(prong_worker *, void *), void *context)
{
    return add(w, true, "loop",
               &(struct extra){.kind = EXTRA_LOOP, .run.plain = function, .context = context});
}

bool
worker_set_up(prong_worker *w)
{
    if (!w->is_set_up && !w->setup_failed) {
        w->is_set_up = w->setup == NULL || w->setup(w, w->context) == PRONG_OK;
        w->setup_failed = !w->is_set_up;
    }
    return w->is_set_up;
}

void
worker_tear_down(prong_worker *w)
{
    if (w->is_set_up && w->teardown != NULL) {
        w->teardown(w, w->context);
    }
    w->is_set_up = false;
}

/* ---- any thread ------------------------------------------------------------------------------ */

void
prong_worker_stop(prong_worker *w, int exit_code)
{
    int none = -1;
    const uint64_t one = 1;
    if (!atomic_compare_exchange_strong(&w->exit_code, &none, exit_code & 0xff) || w->stop_fd < 0) {
        return;
    }
    const int saved = errno; /* this may be a signal handler */
    /* Cannot fail: the counter is 0 and the descriptor ours. */
    const ssize_t written = write(w->stop_fd, &one, sizeof one);
    (void)written;
    errno = saved;
}

bool
prong_worker_is_stopping(const prong_worker *w)
{
    return atomic_load(&w->exit_code) >= 0;
}

int
prong_worker_stop_fd(const prong_worker *w)
{
    return atomic_load(&w->stop_fd);
}

bool
prong_worker_pause(prong_worker *w, int32_t timeout_ms)
{
    const int64_t until_ns = client_now() + (timeout_ms > 0 ? timeout_ms : 0) * NS_PER_MS;
    int64_t left_ns;
    while (!prong_worker_is_stopping(w) && (left_ns = until_ns - client_now()) > 0) {
        struct pollfd fd = {.fd = w->stop_fd, .events = POLLIN};
        const struct timespec left = {.tv_sec = left_ns / (1000 * NS_PER_MS),
                                      .tv_nsec = left_ns % (1000 * NS_PER_MS)};
        (void)ppoll(&fd, 1, &left, NULL); /* a signal: look again */
    }
    return prong_worker_is_stopping(w);
}

prong_client *
prong_worker_client(prong_worker *w)
{
    char why[sizeof w->error] = "no hub: the worker does not run";
    (void)pthread_mutex_lock(&w->lock); /* as above; others wait until it is connected */
    if (w->client == NULL && w->url != NULL && w->pid == getpid()) {
        /* With the token the hub knows whose events these are, also when it was not told yet which
         * pid its process has. */
        const char *token = getenv("PRONG_TOKEN");
        const prong_options options = {.size_bytes = sizeof options,
                                       .name = w->name,
                                       .token = token,
                                       .token_len = token != NULL ? strlen(token) : 0};
        if (prong_connect(w->url, &options, &w->client, why, sizeof why) != PRONG_OK) {
            w->client = NULL;
        }
    }
    prong_client *client = w->client;
    (void)pthread_mutex_unlock(&w->lock);
    if (client == NULL) {
        worker_say(w, false, "%s", why);
    }
    return client;
}

prong_err
prong_worker_emit(prong_worker *w, const char *topic, const prong_value *payload)
{
    prong_client *client = prong_worker_client(w);
    if (client == NULL) {
        return PRONG_UNAVAILABLE;
    }
    char why[sizeof w->error];
    const prong_err err = prong_emit(client, topic, payload, 5000, NULL);
    if (err != PRONG_OK) {
        prong_client_error_text(client, why, sizeof why);
        worker_say(w, false, "%s", why);
    }
    return err;
}

void
prong_worker_error_text(prong_worker *w, char *text, size_t size)
{
    (void)pthread_mutex_lock(&w->lock);
    (void)snprintf(text, size, "%s", w->error);
    (void)pthread_mutex_unlock(&w->lock);
}

const char *
prong_worker_name(const prong_worker *w)
{
    return w->name;
}
