/* The hub's own methods: everything administrative is a call to the worker `hub`, so that every
 * client in every language can do it. These are the only arguments that the hub reads, with the
 * bounded reader. Each change is an event with who asked for it. */
#include "broker/core/state.h"

#include <stdio.h>
#include <string.h>

enum kind { TEXT, UINT, TEXTS, TABLE };
enum { LOG_LINES = 20, LOG_LINES_MAX = 1000 };

enum admin_method {
#define METHOD(name, changes, help) METHOD_##name,
#include "broker/core/admin.def"
#undef METHOD
    METHOD_COUNT,
};

enum admin_param {
#define PARAM(method, name, kind, required, help) PARAM_##method##_##name,
#include "broker/core/admin.def"
#undef PARAM
    PARAM_COUNT,
};

struct param {
    enum admin_method method;
    const char *name;
    enum kind kind;
    bool required;
    const char *help;
};

static const struct param params[PARAM_COUNT] = {
#define PARAM(method, name, kind, required, help)                                                  \
    [PARAM_##method##_##name] = {METHOD_##method, #name, kind, required, help},
#include "broker/core/admin.def"
#undef PARAM
};

/* A call that is being carried out: its arguments by the number of their row, empty when left out.
 */
struct request {
    struct hub *hub;
    struct call *call;
    struct span value[PARAM_COUNT];
};

static void
fail(const struct request *q, enum wire_error code, const char *text)
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
is_of_kind(struct span object, enum kind kind)
{
    struct mp_item item;
    struct span s = object;
    switch (kind) {
    case TEXT:
        return is_text(object);
    case UINT:
        return mp_next(&s, &item) && item.kind == MP_UINT && item.uint <= WIRE_INT_MAX;
    case TEXTS:
        return is_list_of_texts(object, MP_ARRAY);
    case TABLE:
        return is_list_of_texts(object, MP_MAP);
    }
    return false;
}

static const char *
kind_text(enum kind kind)
{
    static const char *const texts[] = {[TEXT] = "a text",
                                        [UINT] = "a whole number",
                                        [TEXTS] = "a list of texts",
                                        [TABLE] = "a map of texts"};
    return texts[kind];
}

static struct span
text_of(const struct request *q, enum admin_param p)
{
    struct span s = q->value[p];
    struct mp_item item = {0};
    return s.len > 0 && mp_next(&s, &item) ? item.bytes : (struct span){0};
}

static uint64_t
uint_of(const struct request *q, enum admin_param p, uint64_t otherwise)
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
        if (params[p].method == method &&
            (name != NULL ? span_is(name->bytes, params[p].name) : n++ == place)) {
            return p;
        }
    }
    return PARAM_COUNT;
}

/* What a peer sent, as it may stand in a message: printable ASCII and not too long, because the
 * message is a text on the wire again, which must be UTF-8, and may end on a terminal. */
struct shown {
    char text[81];
};

static struct shown
show(struct span bytes)
{
    struct shown s = {0};
    for (size_t i = 0; i < bytes.len && i < sizeof s.text - 1; i++) {
        s.text[i] = (char)(bytes.data[i] >= 0x20 && bytes.data[i] < 0x7f ? bytes.data[i] : '?');
    }
    return s;
}

static bool
refuse_argument(struct request *q, enum admin_method method, const char *what, struct span name)
{
    char text[400];
    int n = snprintf(text, sizeof text, "%s '%s'; allowed:", what, show(name).text);
    for (enum admin_param p = 0; p < PARAM_COUNT && n < (int)sizeof text - 80; p++) {
        if (params[p].method == method) {
            n += snprintf(text + n, sizeof text - (size_t)n, " %s (%s%s)", params[p].name,
                          kind_text(params[p].kind), params[p].required ? ", needed" : "");
        }
    }
    fail(q, WIRE_ERR_INVALID_ARGUMENT, text);
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
            name.bytes = span_text("one too many");
            p = find_param(method, NULL, i);
        }
        if (p == PARAM_COUNT) {
            return refuse_argument(q, method, "there is no argument", name.bytes);
        }
        (void)mp_skip(&s, &q->value[p]);
        if (!is_of_kind(q->value[p], params[p].kind)) {
            return refuse_argument(q, method, "wrong type of argument", span_text(params[p].name));
        }
    }
    for (enum admin_param p = 0; p < PARAM_COUNT; p++) {
        if (params[p].method == method && params[p].required && q->value[p].len == 0) {
            return refuse_argument(q, method, "missing argument", span_text(params[p].name));
        }
    }
    return true;
}

/* The worker of an argument, and the replica when one is named. NULL after it was refused. */
static struct worker *
find_worker(struct request *q, enum admin_param p, int64_t *only)
{
    struct target t;
    const struct span name = text_of(q, p);
    struct worker *w = name_target(name, &t) ? worker_find(q->hub, t.worker) : NULL;
    *only = -1;
    if (w == NULL || (t.one && t.index >= w->replica_count)) {
        char text[160];
        (void)snprintf(text, sizeof text, "there is no %s '%s'", w == NULL ? "worker" : "replica",
                       show(name).text);
        fail(q, WIRE_ERR_NOT_FOUND, text);
        return NULL;
    }
    if (t.one) {
        *only = t.index;
    }
    return w;
}

static void
done(const struct request *q)
{
    call_result(q->hub, q->call, (struct span){0});
}

/* What was built in hub->scratch is the result. */
static void
give_scratch(const struct request *q)
{
    if (q->hub->scratch.failed) {
        fail(q, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub is out of memory");
    } else {
        call_result(q->hub, q->call, buf_span(&q->hub->scratch));
    }
}

/* ---- what can be asked ------------------------------------------------------------------------
 */

static void
write_replica(const struct hub *hub, struct buf *b, const struct replica *r)
{
    char name[WIRE_NAME_BYTES_MAX + 16];
    const int64_t since = r->pid > 0 ? (hub->now_ns - r->started_ns) / NS_PER_MS : 0;
    replica_name(r, name);
    write_map(b, 9);
    write_text(b, "replica");
    write_text(b, name);
    write_text(b, "state");
    write_text(b, life_text(r->life));
    write_text(b, "pid");
    write_uint(b, r->pid > 0 ? (uint64_t)r->pid : 0);
    write_text(b, "uptime_ms");
    write_uint(b, (uint64_t)since);
    write_text(b, "incarnation");
    write_uint(b, r->incarnation);
    write_text(b, "restarts");
    write_uint(b, r->restarts);
    write_text(b, "running");
    write_uint(b, r->running_count);
    write_text(b, "calls");
    write_uint(b, r->calls_done);
    write_text(b, "reason");
    write_text(b, r->last_reason);
}

static void
write_worker(const struct hub *hub, struct buf *b, const struct worker *w)
{
    write_map(b, 5);
    write_text(b, "autostart");
    write_bool(b, w->spec->autostart);
    write_text(b, "queued");
    write_uint(b, w->queued);
    write_text(b, "calls");
    write_uint(b, w->calls_total);
    write_text(b, "errors");
    write_uint(b, w->errors_total);
    write_text(b, "replicas");
    write_array(b, w->replica_count);
    for (uint32_t i = 0; i < w->replica_count; i++) {
        write_replica(hub, b, w->replicas[i]);
    }
}

static void
write_hub(const struct hub *hub, struct buf *b)
{
    write_map(b, 9);
    write_text(b, "name");
    write_text(b, hub->name);
    write_text(b, "version");
    write_text(b, hub->version);
    write_text(b, "epoch");
    write_uint(b, hub->options.epoch);
    write_text(b, "uptime_ms");
    write_uint(b, (uint64_t)((hub->now_ns - hub->born_ns) / NS_PER_MS));
    write_text(b, "stopping");
    write_bool(b, hub->stopping);
    write_text(b, "connections");
    write_uint(b, table_count(&hub->peers));
    write_text(b, "calls");
    write_uint(b, hub->unfinished);
    write_text(b, "payload_bytes");
    write_uint(b, hub->payload_bytes);
    write_text(b, "events");
    write_uint(b, hub->ring.next - 1);
}

static void
do_status(struct request *q)
{
    struct hub *hub = q->hub;
    struct buf *b = &hub->scratch;
    buf_reset(b, SIZE_MAX);
    write_map(b, 2);
    write_text(b, "hub");
    write_hub(hub, b);
    write_text(b, "workers");
    write_map(b, (uint32_t)table_count(&hub->workers));
    LIST_EACH(n, &hub->worker_list)
    {
        const struct worker *w = CONTAINER(n, struct worker, link);
        write_text(b, w->spec->name);
        write_worker(hub, b, w);
    }
    give_scratch(q);
}

static const struct {
    const char *name;
    const char *help;
} own_methods[METHOD_COUNT] = {
#define METHOD(name, changes, help) [METHOD_##name] = {#name, help},
#include "broker/core/admin.def"
#undef METHOD
};

static void
describe_hub(struct request *q)
{
    struct buf *b = &q->hub->scratch;
    buf_reset(b, SIZE_MAX);
    write_map(b, METHOD_COUNT);
    for (enum admin_method m = 0; m < METHOD_COUNT; m++) {
        uint32_t count = 0;
        for (enum admin_param p = 0; p < PARAM_COUNT; p++) {
            count += params[p].method == m;
        }
        write_text(b, own_methods[m].name);
        write_map(b, 2);
        write_text(b, "help");
        write_text(b, own_methods[m].help);
        write_text(b, "args");
        write_map(b, count);
        for (enum admin_param p = 0; p < PARAM_COUNT; p++) {
            if (params[p].method == m) {
                write_text(b, params[p].name);
                write_text(b, params[p].help);
            }
        }
    }
    give_scratch(q);
}

static void
do_describe(struct request *q)
{
    int64_t only;
    const struct span name = text_of(q, PARAM_describe_worker);
    if (name.len == 0 || span_is(name, "hub")) {
        describe_hub(q);
        return;
    }
    struct worker *w = find_worker(q, PARAM_describe_worker, &only);
    if (w != NULL && !w->methods_known) {
        fail(q, WIRE_ERR_FAILED_PRECONDITION, "the worker has not told its methods");
    } else if (w != NULL) {
        call_result(q->hub, q->call, buf_span(&w->described));
    }
}

static void
do_logs(struct request *q)
{
    int64_t only;
    const uint64_t lines = uint_of(q, PARAM_logs_lines, LOG_LINES);
    struct worker *w = find_worker(q, PARAM_logs_worker, &only);
    struct hub_effect *e = w == NULL ? NULL : effect_add(q->hub, HUB_OUT_LOGS);
    if (e != NULL) {
        e->call = q->call->number;
        e->spec = w->spec;
        e->only = only;
        e->lines = (uint32_t)(lines > LOG_LINES_MAX ? LOG_LINES_MAX : lines);
    }
}

void
admin_logs(struct hub *hub, const struct hub_input *in)
{
    struct call *call = call_by_number(hub, in->logs.call);
    if (call != NULL) {
        call_result(hub, call, in->logs.payload);
    }
}

/* ---- what can be changed ----------------------------------------------------------------------
 */

static void
wish(struct hub *hub, struct replica *r, bool wanted)
{
    r->wanted = wanted;
    life_step(hub, r, wanted ? LIFE_IN_START : LIFE_IN_STOP);
}

/* Start, stop or restart (stop, then wish it back) what the argument names. */
static void
change(struct request *q, enum admin_param p, bool stop, bool start)
{
    int64_t only;
    struct worker *w = find_worker(q, p, &only);
    if (w == NULL) {
        return;
    }
    if (q->hub->stopping) {
        fail(q, WIRE_ERR_UNAVAILABLE, "the hub is stopping");
        return;
    }
    for (uint32_t i = 0; i < w->spec->replicas && i < w->replica_count; i++) {
        struct replica *r = w->replicas[i];
        if (only >= 0 && r->index != only) {
            continue;
        }
        /* A restart never takes the hope away: calls that wait go on waiting. */
        r->wanted = start;
        if (stop) {
            life_step(q->hub, r, LIFE_IN_STOP);
        }
        if (start) {
            wish(q->hub, r, true);
        }
    }
    route_sweep(q->hub, w);
    done(q);
}

static void
do_start(struct request *q)
{
    change(q, PARAM_start_worker, false, true);
}

static void
do_stop(struct request *q)
{
    change(q, PARAM_stop_worker, true, false);
}

static void
do_restart(struct request *q)
{
    change(q, PARAM_restart_worker, true, true);
}

static bool
start_all(struct hub *hub, struct worker *w)
{
    for (uint32_t i = 0; i < w->spec->replicas; i++) {
        wish(hub, w->replicas[i], true);
    }
    return true;
}

static void
do_scale(struct request *q)
{
    int64_t only;
    /* The arguments are gone once the call has failed, so they are read first. */
    const uint64_t replicas = uint_of(q, PARAM_scale_replicas, 0);
    struct worker *w = find_worker(q, PARAM_scale_worker, &only);
    if (w == NULL) {
        return;
    }
    if (only >= 0 || replicas > WIRE_REPLICAS_MAX) {
        fail(q, WIRE_ERR_INVALID_ARGUMENT,
             "scale takes the name of a worker and 0 to 256 replicas");
    } else if (q->hub->stopping) {
        fail(q, WIRE_ERR_UNAVAILABLE, "the hub is stopping");
    } else if (!worker_resize(q->hub, w, (uint32_t)replicas)) {
        fail(q, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub is out of memory");
    } else {
        start_all(q->hub, w);
        done(q);
    }
}

/* Append the texts of a list or map as NUL-terminated strings; a map's pairs become NAME=value. */
static uint32_t
put_texts(struct buf *out, struct span object)
{
    struct mp_item head, a, b;
    if (object.len == 0 || !mp_next(&object, &head)) {
        return 0;
    }
    for (uint32_t i = 0; i < head.count && mp_next(&object, &a); i++) {
        buf_put(out, a.bytes.data, a.bytes.len);
        if (head.kind == MP_MAP && mp_next(&object, &b)) {
            buf_put(out, "=", 1);
            buf_put(out, b.bytes.data, b.bytes.len);
        }
        buf_put(out, "", 1);
    }
    return head.count;
}

/* Fill the words of a specification; NULL, or what is wrong with them. */
static const char *
read_words(const struct request *q, struct worker_spec *spec)
{
    const struct span restart = text_of(q, PARAM_run_restart), ready = text_of(q, PARAM_run_ready);
    const uint64_t replicas = uint_of(q, PARAM_run_replicas, 1);
    if (replicas == 0 || replicas > WIRE_REPLICAS_MAX) {
        return "replicas must be from 1 to 256";
    }
    spec->replicas = (uint32_t)replicas;
    if (restart.len > 0 && !span_is(restart, "no") && !span_is(restart, "on-failure") &&
        !span_is(restart, "always")) {
        return "restart must be no, on-failure or always";
    }
    if (ready.len > 0 && !span_is(ready, "attach") && !span_is(ready, "started")) {
        return "ready must be attach or started";
    }
    spec->restart = span_is(restart, "no")       ? SPEC_RESTART_NO
                    : span_is(restart, "always") ? SPEC_RESTART_ALWAYS
                                                 : SPEC_RESTART_ON_FAILURE;
    spec->ready = span_is(ready, "started") ? SPEC_READY_STARTED : SPEC_READY_ATTACH;
    return NULL;
}

static void
add_worker(struct request *q, struct worker_spec *spec, struct span name)
{
    struct buf text = {0};
    char terminated[WIRE_NAME_BYTES_MAX + 1] = "";
    const struct span dir = text_of(q, PARAM_run_working_dir);
    memcpy(terminated, name.data, name.len);
    buf_put(&text, dir.data, dir.len);
    buf_put(&text, "", 1);
    spec->launch.argc = put_texts(&text, q->value[PARAM_run_command]);
    spec->launch.envc = put_texts(&text, q->value[PARAM_run_environment]);
    spec->launch.text = (const char *)text.data;
    spec->launch.text_bytes = text.w;
    spec->name = terminated;
    struct worker *w = text.failed ? NULL : worker_add(q->hub, spec);
    if (w == NULL) {
        fail(q, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub is out of memory");
    } else {
        start_all(q->hub, w);
        done(q);
    }
    buf_deinit(&text);
}

static void
do_run(struct request *q)
{
    struct worker_spec spec;
    const struct span name = text_of(q, PARAM_run_name), dir = text_of(q, PARAM_run_working_dir);
    struct span list = q->value[PARAM_run_command];
    struct mp_item head = {0};
    (void)mp_next(&list, &head);
    spec_defaults(&spec);
    spec.autostart = false; /* it is not what the configuration asks for */
    const char *wrong = read_words(q, &spec);
    if (wrong == NULL && (!name_is_worker(name) || span_is(name, "hub"))) {
        wrong = "name must be 1 to 64 of a-z 0-9 _ -, and not hub";
    }
    if (wrong == NULL && head.count == 0) {
        wrong = "command must name a program";
    }
    if (wrong == NULL && (dir.len == 0 || dir.data[0] != '/')) {
        wrong = "working_dir must be an absolute path";
    }
    if (wrong != NULL) {
        fail(q, WIRE_ERR_INVALID_ARGUMENT, wrong);
    } else if (q->hub->stopping) {
        fail(q, WIRE_ERR_UNAVAILABLE, "the hub is stopping");
    } else if (worker_find(q->hub, name) != NULL) {
        fail(q, WIRE_ERR_ALREADY_EXISTS, "there is a worker of this name already");
    } else if (table_count(&q->hub->workers) >= WIRE_WORKERS_MAX) {
        fail(q, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub has too many workers");
    } else {
        add_worker(q, &spec, name);
    }
}

static void
do_remove(struct request *q)
{
    int64_t only;
    struct worker *w = find_worker(q, PARAM_remove_worker, &only);
    if (w == NULL) {
        return;
    }
    if (only >= 0) {
        fail(q, WIRE_ERR_INVALID_ARGUMENT, "remove takes the name of a worker, not of a replica");
        return;
    }
    for (uint32_t i = 0; i < w->replica_count; i++) {
        if (w->replicas[i]->process != 0 || w->replicas[i]->wanted || w->queued > 0) {
            fail(q, WIRE_ERR_FAILED_PRECONDITION, "stop the worker first");
            return;
        }
    }
    if (w->spec->autostart) {
        fail(q, WIRE_ERR_FAILED_PRECONDITION, "the worker belongs to the configuration");
        return;
    }
    worker_free(q->hub, w);
    done(q);
}

static void
do_down(struct request *q)
{
    done(q);
    if (!q->hub->stopping) {
        q->hub->stopping = true;
        (void)effect_add(q->hub, HUB_OUT_STOPPING); /* without memory the whole step fails */
        worker_stop_all(q->hub, false);
    }
    worker_end_check(q->hub);
}

/* ---- the table --------------------------------------------------------------------------------
 */

struct method_row {
    const char *name;
    void (*run)(struct request *q);
    bool changes;
};

static const struct method_row methods[METHOD_COUNT] = {
#define METHOD(name, changes, help) [METHOD_##name] = {#name, do_##name, changes},
#include "broker/core/admin.def"
#undef METHOD
};

/* Who asked for what. Commands and environments are not told: they may hold secrets. */
static void
tell(struct request *q, const char *method)
{
    struct buf *b = &q->hub->scratch;
    const enum admin_param named[] = {PARAM_start_worker, PARAM_stop_worker,   PARAM_restart_worker,
                                      PARAM_scale_worker, PARAM_remove_worker, PARAM_run_name};
    struct span worker = {0};
    for (size_t i = 0; i < sizeof named / sizeof named[0] && worker.len == 0; i++) {
        worker = text_of(q, named[i]);
    }
    const bool scales = q->value[PARAM_scale_replicas].len > 0;
    buf_reset(b, SIZE_MAX);
    write_map(b, scales ? 6 : 5);
    if (scales) {
        write_text(b, "replicas");
        write_uint(b, uint_of(q, PARAM_scale_replicas, 0));
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

void
admin_call(struct hub *hub, struct call *call, struct peer *peer)
{
    struct request q = {.hub = hub, .call = call};
    const struct span name = {(const uint8_t *)call->method, call->method_len};
    enum admin_method m = 0;
    while (m < METHOD_COUNT && !span_is(name, methods[m].name)) {
        m++;
    }
    if (m == METHOD_COUNT) {
        fail(&q, WIRE_ERR_UNIMPLEMENTED,
             "the hub has no such method (prong describe hub lists them)");
        return;
    }
    if (methods[m].changes && !peer->admin) {
        fail(&q, WIRE_ERR_PERMISSION_DENIED, "only root and the user of the hub may change it");
        return;
    }
    if (!read_arguments(&q, m)) {
        return;
    }
    if (methods[m].changes) {
        tell(&q, methods[m].name);
    }
    methods[m].run(&q);
}
