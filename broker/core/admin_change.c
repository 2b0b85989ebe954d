/* What can be changed through the hub's own methods. */
#include "broker/core/admin.h"

#include <stdio.h>
#include <string.h>

enum { LEASE_MS = 30000 };

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
    struct worker *w = admin_worker(q, p, &only);
    if (w == NULL) {
        return;
    }
    if (q->hub->stopping) {
        admin_fail(q, WIRE_ERR_UNAVAILABLE, "the hub is stopping");
        return;
    }
    w->edition += only < 0; /* its program may have been changed */
    for (uint32_t i = 0; i < w->spec->replicas; i++) {
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
    admin_done(q);
}

void
admin_start(struct request *q)
{
    change(q, PARAM_start_worker, false, true);
}

void
admin_stop(struct request *q)
{
    change(q, PARAM_stop_worker, true, false);
}

void
admin_restart(struct request *q)
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

void
admin_scale(struct request *q)
{
    int64_t only;
    /* The arguments are gone once the call has failed, so they are read first. */
    const uint64_t replicas = admin_uint(q, PARAM_scale_replicas, 0);
    struct worker *w = admin_worker(q, PARAM_scale_worker, &only);
    if (w == NULL) {
        return;
    }
    if (only >= 0 || replicas > WIRE_REPLICAS_MAX) {
        admin_fail(q, WIRE_ERR_INVALID_ARGUMENT,
                   "scale takes the name of a worker and 0 to 256 replicas");
    } else if (q->hub->stopping) {
        admin_fail(q, WIRE_ERR_UNAVAILABLE, "the hub is stopping");
    } else if (!worker_resize(q->hub, w, (uint32_t)replicas)) {
        admin_fail(q, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub is out of memory");
    } else {
        start_all(q->hub, w);
        admin_done(q);
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

/* The modules that a template imports, as the setting that tells it. */
static void
put_preload(struct buf *out, struct span list, struct launch *launch)
{
    static const char name[] = "PRONG_PRELOAD=";
    struct mp_item head = {0}, module;
    if (list.len == 0 || !mp_next(&list, &head) || head.count == 0) {
        return;
    }
    buf_put(out, name, sizeof name - 1);
    for (uint32_t i = 0; i < head.count && mp_next(&list, &module); i++) {
        buf_put(out, ",", i > 0);
        buf_put(out, module.bytes.data, module.bytes.len);
    }
    buf_put(out, "", 1);
    launch->envc++;
    launch->is_warm = true;
}

/* Fill the words of a specification; NULL, or what is wrong with them. */
static const char *
read_words(const struct request *q, struct worker_spec *spec)
{
    const struct span restart = admin_text(q, PARAM_run_restart),
                      ready = admin_text(q, PARAM_run_ready),
                      output = admin_text(q, PARAM_run_output),
                      input = admin_text(q, PARAM_run_stdin), log = admin_text(q, PARAM_run_log);
    const uint64_t replicas = admin_uint(q, PARAM_run_replicas, 1);
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
    if (output.len > 0 && !span_is(output, "log") && !span_is(output, "events")) {
        return "output must be log or events";
    }
    if (input.len > 0 && !span_is(input, "none") && !span_is(input, "pipe")) {
        return "stdin must be none or pipe";
    }
    if (log.len > 0 && !span_is(log, "file") && !span_is(log, "journal") &&
        !span_is(log, "inherit") && !span_is(log, "none")) {
        return "log must be file, journal, inherit or none";
    }
    spec->output.log = span_is(log, "journal")   ? SPEC_LOG_JOURNAL
                       : span_is(log, "inherit") ? SPEC_LOG_INHERIT
                       : span_is(log, "none")    ? SPEC_LOG_NONE
                                                 : SPEC_LOG_FILE;
    spec->output.is_events = span_is(output, "events");
    spec->output.takes_input = span_is(input, "pipe");
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
    const struct span dir = admin_text(q, PARAM_run_working_dir);
    memcpy(terminated, name.data, name.len);
    buf_put(&text, dir.data, dir.len);
    buf_put(&text, "", 1);
    spec->launch.argc = put_texts(&text, q->value[PARAM_run_command]);
    spec->launch.envc = put_texts(&text, q->value[PARAM_run_environment]);
    put_preload(&text, q->value[PARAM_run_preload], &spec->launch);
    spec->launch.text = (const char *)text.data;
    spec->launch.text_bytes = text.w;
    spec->name = terminated;
    struct worker *w = text.failed ? NULL : worker_add(q->hub, spec);
    if (w == NULL) {
        admin_fail(q, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub is out of memory");
    } else {
        start_all(q->hub, w);
        admin_done(q);
    }
    buf_deinit(&text);
}

void
admin_run(struct request *q)
{
    struct worker_spec spec;
    const struct span name = admin_text(q, PARAM_run_name),
                      dir = admin_text(q, PARAM_run_working_dir);
    struct span list = q->value[PARAM_run_command];
    struct mp_item head = {0};
    (void)mp_next(&list, &head);
    spec_defaults(&spec);
    spec.autostart = false; /* it is not what the configuration asks for */
    spec.added = true;
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
        admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, wrong);
    } else if (q->hub->stopping) {
        admin_fail(q, WIRE_ERR_UNAVAILABLE, "the hub is stopping");
    } else if (worker_find(q->hub, name) != NULL) {
        admin_fail(q, WIRE_ERR_ALREADY_EXISTS, "there is a worker of this name already");
    } else if (table_count(&q->hub->workers) >= WIRE_WORKERS_MAX) {
        admin_fail(q, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub has too many workers");
    } else {
        add_worker(q, &spec, name);
    }
}

void
admin_reload(struct request *q)
{
    struct hub_effect *e = effect_add(q->hub, HUB_OUT_RELOAD);
    if (e != NULL) {
        e->call = q->call->number;
    }
}

/* What a process needs to say that it is this replica. */
static void
write_identity(struct buf *b, const struct replica *r)
{
    char token[64], name[WIRE_NAME_BYTES_MAX + 16];
    (void)snprintf(token, sizeof token, "%llu.%s", (unsigned long long)r->process, r->token);
    replica_name(r, name);
    buf_reset(b, SIZE_MAX);
    write_map(b, 3);
    write_text(b, "replica");
    write_text(b, name);
    write_text(b, "incarnation");
    write_uint(b, r->process);
    write_text(b, "token");
    write_text(b, token);
}

void
admin_attach(struct request *q)
{
    int64_t only;
    const uint64_t pid = admin_uint(q, PARAM_attach_pid, 0);
    struct worker *w = admin_worker(q, PARAM_attach_worker, &only);
    if (w == NULL) {
        return;
    }
    struct replica *r = w->replicas[only < 0 ? 0 : only];
    if (pid == 0 || pid > INT32_MAX) {
        admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, "pid must be that of a process");
    } else if (q->hub->stopping) {
        admin_fail(q, WIRE_ERR_UNAVAILABLE, "the hub is stopping");
    } else if (r->process != 0 || r->index >= w->spec->replicas) {
        admin_fail(q, WIRE_ERR_FAILED_PRECONDITION,
                   "the replica has a process already: stop it first");
    } else {
        life_step(q->hub, r, LIFE_IN_ADOPTED);
        struct hub_effect *e = effect_add(q->hub, HUB_OUT_ADOPT);
        if (e != NULL) {
            e->process = r->process;
            e->pid = (int32_t)pid;
        }
        write_identity(&q->hub->scratch, r);
        admin_give_scratch(q);
    }
}

void
admin_remove(struct request *q)
{
    int64_t only;
    struct worker *w = admin_worker(q, PARAM_remove_worker, &only);
    if (w == NULL) {
        return;
    }
    if (only >= 0) {
        admin_fail(q, WIRE_ERR_INVALID_ARGUMENT,
                   "remove takes the name of a worker, not of a replica");
        return;
    }
    if (!list_is_empty(&w->manys)) {
        admin_fail(q, WIRE_ERR_FAILED_PRECONDITION, "calls of it are still being answered");
        return;
    }
    if (!worker_is_empty(w)) {
        admin_fail(q, WIRE_ERR_FAILED_PRECONDITION, "stop the worker first");
        return;
    }
    if (!w->spec->added) {
        admin_fail(q, WIRE_ERR_FAILED_PRECONDITION, "the worker belongs to the configuration");
        return;
    }
    worker_free(q->hub, w);
    admin_done(q);
}

void
admin_down(struct request *q)
{
    admin_done(q);
    if (!q->hub->stopping) {
        q->hub->stopping = true;
        (void)effect_add(q->hub, HUB_OUT_STOPPING); /* without memory the whole step fails */
        worker_stop_all(q->hub, false);
    }
    worker_end_check(q->hub);
}

/* ---- leases ---------------------------------------------------------------------------------- */

/* How long a lease is to last; 0 after it was refused. */
static uint64_t
lease_ms(const struct request *q, enum admin_param p)
{
    const uint64_t ms = admin_uint(q, p, LEASE_MS);
    if (ms == 0 || ms > WIRE_LEASE_MS_MAX) {
        admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, "ttl_ms must be from 1 to 3600000");
        return 0;
    }
    return ms;
}

void
admin_lease(struct request *q)
{
    int64_t only;
    const uint64_t ms = lease_ms(q, PARAM_lease_ttl_ms);
    struct worker *w = ms > 0 ? admin_worker(q, PARAM_lease_worker, &only) : NULL;
    if (w != NULL) {
        lease_ask(q->hub, q->call, w, only, ms);
    }
}

/* The replica that an argument names. NULL after it was refused. */
static struct replica *
find_replica(struct request *q, enum admin_param p)
{
    int64_t only;
    struct worker *w = admin_worker(q, p, &only);
    if (w != NULL && only < 0) {
        admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, "name a replica: worker/number");
        return NULL;
    }
    return w != NULL ? w->replicas[only] : NULL;
}

static void
end_lease_call(const struct request *q, const char *why)
{
    if (why != NULL) {
        admin_fail(q, WIRE_ERR_FAILED_PRECONDITION, why);
    } else {
        admin_done(q);
    }
}

void
admin_renew(struct request *q)
{
    const uint64_t ms = lease_ms(q, PARAM_renew_ttl_ms);
    struct replica *r = ms > 0 ? find_replica(q, PARAM_renew_replica) : NULL;
    if (r != NULL) {
        end_lease_call(q, lease_renew(q->hub, r, q->call->client, ms));
    }
}

void
admin_release(struct request *q)
{
    struct replica *r = find_replica(q, PARAM_release_replica);
    if (r != NULL) {
        end_lease_call(q, lease_release(q->hub, r, q->call->client));
    }
}

/* ---- dead letters ---------------------------------------------------------------------------- */

static struct letter *
find_letter(const struct request *q, enum admin_param p)
{
    struct letter *l = letter_find(q->hub, admin_uint(q, p, 0));
    if (l == NULL) {
        admin_fail(q, WIRE_ERR_NOT_FOUND, "there is no such letter");
    }
    return l;
}

/* The call becomes that of the letter. */
void
admin_dlq_retry(struct request *q)
{
    struct call *call = q->call;
    struct letter *l = find_letter(q, PARAM_dlq_retry_letter);
    if (l == NULL) {
        return;
    }
    struct worker *w = worker_find(q->hub, span_text(l->worker));
    if (w == NULL || l->args.w == 0) {
        admin_fail(q, WIRE_ERR_FAILED_PRECONDITION,
                   w == NULL ? "its worker is no longer there"
                             : "its arguments were too long to be kept");
        return;
    }
    call->worker = w;
    call->method_len = strlen(l->method);
    memcpy(call->method, l->method, call->method_len);
    buf_reset(&call->args, SIZE_MAX);
    buf_put(&call->args, l->args.data, l->args.w);
    call_charge(q->hub, call);
    call->pardoned = true;
    route_call(q->hub, call);
    call->pardoned = false;
    if (call->state != CALL_DONE) { /* one that was refused stays, and so do equal ones */
        letter_pardon(q->hub, l);
        letter_drop(q->hub, l);
    }
}

void
admin_dlq_drop(struct request *q)
{
    struct letter *l = find_letter(q, PARAM_dlq_drop_letter);
    if (l != NULL) {
        letter_pardon(q->hub, l);
        letter_drop(q->hub, l);
        admin_done(q);
    }
}
