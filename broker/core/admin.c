/* The hub's own methods: everything administrative is a call to the worker `hub`, so that every
 * client in every language can do it. These are the only arguments that the hub reads, with the
 * bounded reader. Each change is an event with who asked for it. */
#include "broker/core/admin.h"

#include <stdio.h>
#include <string.h>

const struct admin_row admin_params[PARAM_COUNT] = {
#define PARAM(method, name, kind, required, help)                                                  \
    [PARAM_##method##_##name] = {METHOD_##method, #name, kind, required, help},
#include "broker/core/admin.def"
#undef PARAM
};

void
admin_fail(const struct request *q, enum wire_error code, const char *text)
{
    call_fail(q->hub, q->call, code, WIRE_BEGAN_NO, text);
}

/* ---- arguments --------------------------------------------------------------------------------
 */

static bool
is_text(struct span object)
{
    struct mp_item item;
    return mp_next(&object, &item) && item.kind == MP_STR && mp_is_utf8(item.bytes) &&
           (item.bytes.len == 0 || memchr(item.bytes.data, 0, item.bytes.len) == NULL);
}

static bool
is_list_of_texts(struct span object, enum mp_kind kind)
{
    struct mp_item head;
    struct span one;
    if (!mp_next(&object, &head) || head.kind != kind) {
        return false;
    }
    while (object.len > 0) {
        if (!mp_skip(&object, &one) || !is_text(one)) {
            return false;
        }
    }
    return true;
}

static bool
is_of_kind(struct span object, enum admin_kind kind)
{
    struct mp_item item;
    struct span s = object;
    switch (kind) {
    case TEXT:
        return is_text(object);
    case UINT:
        return mp_next(&s, &item) && item.kind == MP_UINT && item.uint <= WIRE_INT_MAX;
    case BOOL:
        return mp_next(&s, &item) && item.kind == MP_BOOL;
    case BYTES:
        return mp_next(&s, &item) && (item.kind == MP_STR || item.kind == MP_BIN);
    case TEXTS:
        return is_list_of_texts(object, MP_ARRAY);
    case TABLE:
        return is_list_of_texts(object, MP_MAP);
    }
    return false;
}

static const char *
kind_text(enum admin_kind kind)
{
    static const char *const texts[] = {
        [TEXT] = "a text",           [UINT] = "a whole number",   [BOOL] = "true or false",
        [BYTES] = "a text or bytes", [TEXTS] = "a list of texts", [TABLE] = "a map of texts"};
    return texts[kind];
}

struct span
admin_text(const struct request *q, enum admin_param p)
{
    struct span s = q->value[p];
    struct mp_item item = {0};
    return s.len > 0 && mp_next(&s, &item) ? item.bytes : (struct span){0};
}

uint64_t
admin_uint(const struct request *q, enum admin_param p, uint64_t otherwise)
{
    struct span s = q->value[p];
    struct mp_item item;
    return s.len > 0 && mp_next(&s, &item) ? item.uint : otherwise;
}

/* The row of the n-th parameter of a method, or of the one with a name. PARAM_COUNT when none. */
static enum admin_param
find_param(enum admin_method method, const struct mp_item *name, uint32_t place)
{
    uint32_t n = 0;
    for (enum admin_param p = 0; p < PARAM_COUNT; p++) {
        if (admin_params[p].method == method &&
            (name != NULL ? span_is(name->bytes, admin_params[p].name) : n++ == place)) {
            return p;
        }
    }
    return PARAM_COUNT;
}

/* `name`: what it is about; nothing when that has none. */
static bool
refuse_argument(struct request *q, enum admin_method method, const char *what, struct span name)
{
    const char *open = name.len > 0 ? " '" : "", *close = name.len > 0 ? "'" : "";
    char text[400], shown[81];
    int n = snprintf(text, sizeof text, "%s%s%s%s; allowed:", what, open,
                     span_show(name, shown, sizeof shown), close);
    const int head = n;
    for (enum admin_param p = 0; p < PARAM_COUNT && n < (int)sizeof text - 80; p++) {
        if (admin_params[p].method == method) {
            n += snprintf(text + n, sizeof text - (size_t)n, " %s (%s%s)", admin_params[p].name,
                          kind_text(admin_params[p].kind),
                          admin_params[p].required ? ", needed" : "");
        }
    }
    if (n == head) {
        (void)snprintf(text + n, sizeof text - (size_t)n, " none");
    }
    admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, text);
    return false;
}

static bool
read_arguments(struct request *q, enum admin_method method)
{
    struct span s = buf_span(&q->call->args);
    struct mp_item head, name;
    (void)mp_next(&s, &head); /* a map with text keys or an array: it was checked */
    for (uint32_t i = 0; i < head.count; i++) {
        enum admin_param p;
        if (head.kind == MP_MAP) {
            (void)mp_next(&s, &name);
            p = find_param(method, &name, 0);
        } else {
            p = find_param(method, NULL, i);
        }
        if (p == PARAM_COUNT) {
            return head.kind == MP_MAP
                       ? refuse_argument(q, method, "there is no argument", name.bytes)
                       : refuse_argument(q, method, "too many arguments", (struct span){0});
        }
        (void)mp_skip(&s, &q->value[p]);
        if (!is_of_kind(q->value[p], admin_params[p].kind)) {
            return refuse_argument(q, method, "wrong type of argument",
                                   span_text(admin_params[p].name));
        }
    }
    for (enum admin_param p = 0; p < PARAM_COUNT; p++) {
        if (admin_params[p].method == method && admin_params[p].required && q->value[p].len == 0) {
            return refuse_argument(q, method, "missing argument", span_text(admin_params[p].name));
        }
    }
    return true;
}

bool
admin_bool(const struct request *q, enum admin_param p)
{
    struct span s = q->value[p];
    struct mp_item item;
    return s.len > 0 && mp_next(&s, &item) && item.boolean;
}

struct worker *
admin_worker(struct request *q, enum admin_param p, int64_t *only)
{
    return admin_find(q, admin_text(q, p), only);
}

struct worker *
admin_find(const struct request *q, struct span name, int64_t *only)
{
    struct target t;
    struct worker *w = name_target(name, &t) ? worker_find(q->hub, t.worker) : NULL;
    *only = -1;
    if (w == NULL || (t.one && t.index >= w->replica_count)) {
        char text[160], shown[81];
        (void)snprintf(text, sizeof text, "there is no %s '%s'%s", w == NULL ? "worker" : "replica",
                       span_show(name, shown, sizeof shown),
                       span_is(name, "hub") ? " beside the hub itself" : "");
        admin_fail(q, WIRE_ERR_NOT_FOUND, text);
        return NULL;
    }
    if (t.one) {
        *only = t.index;
    }
    return w;
}

void
admin_done(const struct request *q)
{
    call_result(q->hub, q->call, (struct span){0});
}

/* What was built in hub->scratch is the result. */
void
admin_give_scratch(const struct request *q)
{
    if (q->hub->scratch.failed) {
        admin_fail(q, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub is out of memory");
    } else {
        call_result(q->hub, q->call, buf_span(&q->hub->scratch));
    }
}

/* ---- the table --------------------------------------------------------------------------------
 */

struct method_row {
    const char *name;
    void (*run)(struct request *q);
    bool changes;
};

static const struct method_row methods[METHOD_COUNT] = {
#define METHOD(name, changes, help) [METHOD_##name] = {#name, admin_##name, changes},
#include "broker/core/admin.def"
#undef METHOD
};

/* Who asked for what. Commands and environments are not told: they may hold secrets. */
static void
tell(struct request *q, const char *method)
{
    struct buf *b = &q->hub->scratch;
    const enum admin_param named[] = {
        PARAM_start_worker,  PARAM_stop_worker,      PARAM_restart_worker, PARAM_scale_worker,
        PARAM_remove_worker, PARAM_run_name,         PARAM_attach_worker,  PARAM_signal_worker,
        PARAM_env_worker,    PARAM_log_level_worker, PARAM_send_replica};
    struct span worker = {0};
    for (size_t i = 0; i < sizeof named / sizeof named[0] && worker.len == 0; i++) {
        worker = admin_text(q, named[i]);
    }
    const bool scales = q->value[PARAM_scale_replicas].len > 0;
    const struct span signal = admin_text(q, PARAM_signal_signal);
    const uint64_t letter =
        admin_uint(q, PARAM_dlq_retry_letter, admin_uint(q, PARAM_dlq_drop_letter, 0));
    buf_reset(b, SIZE_MAX);
    write_map(b, 5U + scales + (letter > 0) + (signal.len > 0));
    if (letter > 0) {
        write_text(b, "letter");
        write_uint(b, letter);
    }
    if (scales) {
        write_text(b, "replicas");
        write_uint(b, admin_uint(q, PARAM_scale_replicas, 0));
    }
    if (signal.len > 0) {
        write_text(b, "signal");
        write_str(b, signal);
    }
    write_text(b, "uid");
    write_uint(b, q->call->client->uid);
    write_text(b, "pid");
    write_uint(b, (uint64_t)q->call->client->pid);
    write_text(b, "method");
    write_text(b, method);
    write_text(b, "worker");
    write_str(b, worker);
    write_text(b, "who");
    write_text(b, q->call->client->who);
    hub_event(q->hub, HUB_EVENT_admin, buf_span(b));
}

/* METHOD_COUNT when there is none of the name. */
static enum admin_method
method_of(const struct call *call)
{
    const struct span name = {(const uint8_t *)call->method, call->method_len};
    enum admin_method m = 0;
    while (m < METHOD_COUNT && !span_is(name, methods[m].name)) {
        m++;
    }
    return m;
}

void
admin_usage_came(struct hub *hub, uint64_t number)
{
    struct call *call = number == 0 ? NULL : call_by_number(hub, number);
    const enum admin_method m = call == NULL ? METHOD_COUNT : method_of(call);
    struct request q = {.hub = hub, .call = call, .sampled = true};
    if (m != METHOD_COUNT && read_arguments(&q, m)) {
        methods[m].run(&q);
    }
}

void
admin_call(struct hub *hub, struct call *call, struct peer *peer)
{
    struct request q = {.hub = hub, .call = call};
    const enum admin_method m = method_of(call);
    if (m == METHOD_COUNT) {
        admin_fail(&q, WIRE_ERR_UNIMPLEMENTED,
                   "the hub has no such method (prong describe hub lists them)");
        return;
    }
    if (methods[m].changes && !peer->admin) {
        admin_fail(&q, WIRE_ERR_PERMISSION_DENIED,
                   "only root and the user of the hub may change it");
        return;
    }
    if (!read_arguments(&q, m)) {
        return;
    }
    if (methods[m].changes) {
        tell(&q, methods[m].name);
    }
    hub->own_calls++;
    hub->asker = call->client->who;
    methods[m].run(&q);
    hub->asker = NULL;
}
