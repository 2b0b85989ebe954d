/* Workers and their replicas: what there is, by name and by process. How a replica lives is life.c.
 */
#include "broker/core/state.h"

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
    deadline_clear(&hub->deadlines, &r->lease_end);
    table_remove(&hub->processes, &r->by_process);
    buf_deinit(&r->commands);
    free(r->deaths);
    free(r);
}

static struct replica *
replica_new(struct worker *w, uint32_t index)
{
    struct replica *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->deaths = calloc(w->spec->restarts_max + 1, sizeof *r->deaths);
    if (r->deaths == NULL) {
        free(r);
        return NULL;
    }
    r->worker = w;
    r->index = index;
    list_init(&r->running);
    queue_init(&r->queue);
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
    worker_prune(hub, w);
    route_sweep(hub, w);
    return true;
}

void
worker_prune(struct hub *hub, struct worker *w)
{
    while (w->replica_count > w->spec->replicas &&
           w->replicas[w->replica_count - 1]->life == LIFE_STOPPED) {
        replica_free(hub, w->replicas[--w->replica_count]);
    }
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
    w->spec = spec_copy(spec);
    if (w->spec == NULL ||
        !table_add(&hub->workers, &w->entry, w->spec->name, strlen(w->spec->name)) ||
        !worker_resize(hub, w, spec->replicas)) {
        worker_free(hub, w);
        return NULL;
    }
    list_append(&hub->worker_list, &w->link);
    return w;
}

void
worker_free(struct hub *hub, struct worker *w)
{
    hub->recent = hub->recent == w ? NULL : hub->recent;
    while (w->replica_count > 0) {
        replica_free(hub, w->replicas[--w->replica_count]);
    }
    table_remove(&hub->workers, &w->entry);
    list_remove(&w->link);
    list_remove(&w->crowd);
    spec_free(w->spec);
    buf_deinit(&w->described);
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
            /* One that is wanted and has stopped did its work and ended well. */
            if (r->wanted && !life_serves(r->life) && r->life != LIFE_STOPPED) {
                return;
            }
        }
    }
    hub->was_ready = effect_add(hub, HUB_OUT_READY) != NULL;
}

void
worker_stop_all(struct hub *hub, bool fast)
{
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        for (uint32_t i = 0; i < w->replica_count; i++) {
            struct replica *r = w->replicas[i];
            r->wanted = false;
            life_step(hub, r, LIFE_IN_STOP);
            if (fast && (r->life == LIFE_DRAINING || r->life == LIFE_STOPPING)) {
                life_step(hub, r, LIFE_IN_TIMEOUT);
            }
        }
        route_sweep(hub, w);
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
        const struct worker *w = CONTAINER(n, struct worker, link);
        for (uint32_t i = 0; i < w->replica_count; i++) {
            const enum life life = w->replicas[i]->life;
            if (life != LIFE_STOPPED && life != LIFE_FAILED && life != LIFE_STUCK) {
                return;
            }
        }
    }
    hub->ended = effect_add(hub, HUB_OUT_END) != NULL;
}
