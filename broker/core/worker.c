/* Workers and their replicas: what there is, by name and by process. How a replica lives is life.c.
 */
#include "broker/core/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct worker *
worker_find(struct hub *hub, struct span name)
{
    struct worker *w = hub->recent; /* a call names the same one four times on its way */
    if (w != NULL && span_is(name, w->spec->name)) {
        return w;
    }
    struct table_entry *e = table_find(&hub->workers, name.data, name.len);
    if (e == NULL) {
        return NULL;
    }
    hub->recent = CONTAINER(e, struct worker, entry);
    return hub->recent;
}

struct replica *
replica_of_process(struct hub *hub, uint64_t process)
{
    struct table_entry *e =
        process == 0 ? NULL : table_find(&hub->processes, &process, sizeof process);
    return e == NULL ? NULL : CONTAINER(e, struct replica, by_process);
}

/* A session belongs to one process: that which has the place, or is to get it, or had it. */
struct replica *
replica_of_session(struct hub *hub, const struct target *target, uint64_t session)
{
    struct replica *r = replica_find(hub, target);
    if (r == NULL || session == 0 || r->session == session) {
        return session == 0 ? NULL : r;
    }
    if (r->heir != NULL && r->heir->session == session) {
        return r->heir;
    }
    LIST_EACH(n, &r->worker->leaving)
    {
        struct replica *old = CONTAINER(n, struct replica, leaving);
        if (old->index == r->index && old->session == session) {
            return old;
        }
    }
    return NULL;
}

struct replica *
replica_find(struct hub *hub, const struct target *target)
{
    struct worker *w = worker_find(hub, target->worker);
    return w == NULL || !target->one || target->index >= w->replica_count
               ? NULL
               : w->replicas[target->index];
}

const struct worker_spec *
hub_replica_spec(struct hub *hub, const char *replica)
{
    struct target target;
    const struct replica *r =
        name_target(span_text(replica), &target) ? replica_find(hub, &target) : NULL;
    return r == NULL ? NULL : r->worker->spec;
}

const struct worker_spec *
hub_process_spec(struct hub *hub, uint64_t process)
{
    const struct replica *r = replica_of_process(hub, process);
    return r == NULL ? NULL : r->spec;
}

uint64_t
hub_process_of_pid(const struct hub *hub, int32_t pid)
{
    for (const struct table_entry *e = hub->processes.head; e != NULL; e = e->hh.next) {
        const struct replica *r = CONTAINER(e, struct replica, by_process);
        if (r->pid == pid) {
            return r->process;
        }
    }
    return 0;
}

/* It names its process: "<process>.<secret>". */
struct replica *
replica_of_token(struct hub *hub, struct span token)
{
    uint64_t process = 0;
    size_t i = 0;
    while (i < token.len && i < 19 && token.data[i] >= '0' && token.data[i] <= '9') {
        process = process * 10 + (uint64_t)(token.data[i++] - '0');
    }
    if (i >= token.len || token.data[i] != '.') {
        return NULL;
    }
    struct replica *r = replica_of_process(hub, process);
    if (r == NULL || token.len - i - 1 != strlen(r->token)) {
        return NULL;
    }
    uint8_t differs = 0;
    for (size_t k = 0; r->token[k] != '\0'; k++) {
        differs |= (uint8_t)((uint8_t)r->token[k] ^ token.data[i + 1 + k]);
    }
    return differs == 0 ? r : NULL;
}

bool
hub_running(struct hub *hub, uint64_t process, char out[HUB_CALL_BYTES])
{
    const struct replica *r = replica_of_process(hub, process);
    if (r == NULL || r->running_count != 1) {
        return false;
    }
    const struct call *call = CONTAINER(r->running.next, struct call, running);
    (void)snprintf(out, HUB_CALL_BYTES, "%.*s#%llu", (int)call->method_len, call->method,
                   (unsigned long long)call->number);
    return true;
}

void
replica_name(const struct replica *r, char out[WIRE_NAME_BYTES_MAX + 16])
{
    (void)snprintf(out, WIRE_NAME_BYTES_MAX + 16, "%s/%u", r->worker->spec->name,
                   (unsigned)r->index);
}

struct method *
worker_method(const struct worker *w, const char *name, size_t len)
{
    for (uint32_t i = 0; i < w->method_count; i++) {
        if (strlen(w->methods[i].name) == len && memcmp(w->methods[i].name, name, len) == 0) {
            return &w->methods[i];
        }
    }
    return NULL;
}

static void
replica_free(struct hub *hub, struct replica *r)
{
    serve_detach(hub, r);
    deadline_clear(&hub->deadlines, &r->deadline);
    deadline_clear(&hub->deadlines, &r->renewal);
    deadline_clear(&hub->deadlines, &r->vigil);
    deadline_clear(&hub->deadlines, &r->lease_end);
    list_remove(&r->leaving);
    table_remove(&hub->processes, &r->by_process);
    buf_deinit(&r->commands);
    spec_unref(r->spec);
    free(r->queue);
    free(r->deaths);
    free(r);
}

bool
replica_take_spec(struct replica *r, struct worker_spec *spec)
{
    const uint32_t cap = spec->restarts_max + 1;
    if (r->spec == spec) {
        return true;
    }
    if (cap != r->deaths_cap) {
        int64_t *deaths = calloc(cap, sizeof *deaths); /* none of which counts any more */
        if (deaths == NULL) {
            return false;
        }
        free(r->deaths);
        r->deaths = deaths;
        r->deaths_cap = cap;
        r->death_count = 0;
    }
    spec_unref(r->spec);
    r->spec = spec_ref(spec);
    return true;
}

struct replica *
replica_new(struct worker *w, uint32_t index)
{
    struct replica *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->queue = malloc(sizeof *r->queue);
    if (r->queue == NULL || !replica_take_spec(r, w->spec)) {
        free(r->queue);
        free(r);
        return NULL;
    }
    r->worker = w;
    r->index = index;
    list_init(&r->running);
    list_init(&r->leaving);
    queue_init(r->queue);
    return r;
}

bool
worker_resize(struct hub *hub, struct worker *w, uint32_t replicas)
{
    struct replica **list = w->replicas;
    if (replicas > w->replica_count) {
        list = realloc(w->replicas, replicas * sizeof(struct replica *));
        if (list == NULL) {
            return false;
        }
        w->replicas = list;
    }
    while (w->replica_count < replicas) {
        struct replica *r = replica_new(w, w->replica_count);
        if (r == NULL) {
            return false;
        }
        w->replicas[w->replica_count++] = r;
    }
    w->spec->replicas = replicas;
    for (uint32_t i = replicas; i < w->replica_count; i++) {
        w->replicas[i]->wanted = false;
        life_step(hub, w->replicas[i], LIFE_IN_STOP);
    }
    route_sweep(hub, w); /* nobody may wait for what is forgotten */
    worker_prune(hub, w);
    return true;
}

void
worker_prune(struct hub *hub, struct worker *w)
{
    LIST_EACH(n, &w->leaving)
    {
        struct replica *r = CONTAINER(n, struct replica, leaving);
        if (r->life == LIFE_STOPPED || r->life == LIFE_FAILED) {
            replica_free(hub, r);
        }
    }
    while (w->replica_count > w->spec->replicas &&
           w->replicas[w->replica_count - 1]->life == LIFE_STOPPED) {
        replica_free(hub, w->replicas[--w->replica_count]);
    }
}

bool
worker_is_empty(const struct worker *w)
{
    for (uint32_t i = 0; i < w->replica_count; i++) {
        const struct replica *r = w->replicas[i];
        if (r->process != 0 || r->wanted || r->heir != NULL) {
            return false;
        }
    }
    return w->queued == 0 && list_is_empty(&w->manys) && list_is_empty(&w->leases) &&
           list_is_empty(&w->leaving);
}

struct worker *
worker_add(struct hub *hub, const struct worker_spec *spec)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    list_init(&w->link);
    list_init(&w->crowd);
    queue_init(&w->queue);
    list_init(&w->manys);
    list_init(&w->leases);
    list_init(&w->leaving);
    w->rolled = UINT32_MAX;
    (void)snprintf(w->name, sizeof w->name, "%s", spec->name);
    w->spec = spec_copy(spec);
    if (w->spec == NULL || !tallies_init(&w->tallies) ||
        !table_add(&hub->workers, &w->entry, w->name, strlen(w->name)) ||
        !worker_resize(hub, w, spec->replicas)) {
        worker_free(hub, w);
        return NULL;
    }
    list_append(&hub->worker_list, &w->link);
    renew_watch(hub);
    return w;
}

void
worker_free(struct hub *hub, struct worker *w)
{
    hub->recent = hub->recent == w ? NULL : hub->recent;
    LIST_EACH(n, &w->leaving)
    {
        replica_free(hub, CONTAINER(n, struct replica, leaving));
    }
    while (w->replica_count > 0) {
        struct replica *r = w->replicas[--w->replica_count];
        if (r->heir != NULL) {
            replica_free(hub, r->heir);
        }
        replica_free(hub, r);
    }
    table_remove(&hub->workers, &w->entry);
    list_remove(&w->link);
    list_remove(&w->crowd);
    spec_unref(w->spec);
    spec_unref(w->former);
    buf_deinit(&w->described);
    tallies_deinit(&w->tallies);
    free(w->replicas);
    free(w->methods);
    free(w);
}

void
worker_ready_check(struct hub *hub)
{
    if (hub->was_ready || !hub->configured || hub->stopping) {
        return;
    }
    LIST_EACH(n, &hub->worker_list)
    {
        const struct worker *w = CONTAINER(n, struct worker, link);
        for (uint32_t i = 0; i < w->replica_count; i++) {
            const struct replica *r = w->replicas[i];
            /* One that is wanted and has stopped did its work and ended well, or waits. */
            if (r->wanted && !life_serves(r->life) && (r->life != LIFE_STOPPED || r->waits)) {
                return;
            }
        }
    }
    hub->was_ready = effect_add(hub, HUB_OUT_READY) != NULL;
}

static void
end_soon(struct hub *hub, struct replica *r)
{
    r->wanted = false;
    life_step(hub, r, LIFE_IN_STOP);
    if (r->life == LIFE_DRAINING || r->life == LIFE_STOPPING) {
        life_step(hub, r, LIFE_IN_TIMEOUT);
    }
}

/* Everybody at once, whoever stands on whom. */
static void
stop_fast(struct hub *hub)
{
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        w->told_to_end = true;
        for (uint32_t i = 0; i < w->replica_count; i++) {
            end_soon(hub, w->replicas[i]);
        }
        LIST_EACH(k, &w->leaving)
        {
            end_soon(hub, CONTAINER(k, struct replica, leaving));
        }
    }
}

void
worker_stop_all(struct hub *hub, bool fast)
{
    if (fast) {
        stop_fast(hub);
    } else {
        depend_stop(hub);
    }
    LIST_EACH(n, &hub->worker_list)
    {
        route_sweep(hub, CONTAINER(n, struct worker, link));
    }
}

void
worker_end_check(struct hub *hub)
{
    if (!hub->stopping || hub->ended) {
        return;
    }
    LIST_EACH(n, &hub->worker_list)
    {
        if (!depend_has_ended(CONTAINER(n, struct worker, link))) {
            return;
        }
    }
    hub->ended = effect_add(hub, HUB_OUT_END) != NULL;
}
