/* What the processes of replicas use: asked of the shell, and kept with the replicas. */
#include "broker/core/parts.h"

#include <stdlib.h>

static size_t
count_processes(const struct hub *hub)
{
    size_t count = 0;
    for (const struct node *n = hub->worker_list.next; n != &hub->worker_list; n = n->next) {
        const struct worker *w = CONTAINER(n, struct worker, link);
        for (uint32_t i = 0; i < w->replica_count; i++) {
            count += w->replicas[i]->pid > 0;
        }
    }
    return count;
}

/* Room for so many, kept for the next time. */
static bool
make_room(struct hub *hub, size_t count)
{
    if (count <= hub->usage_cap) {
        return true;
    }
    struct hub_usage *list = realloc(hub->usages, count * sizeof *list);
    if (list == NULL) {
        return false;
    }
    hub->usages = list;
    hub->usage_cap = count;
    return true;
}

bool
usage_ask(struct hub *hub, uint64_t call, bool lent)
{
    const size_t count = count_processes(hub);
    struct hub_effect *e =
        (count > 0 || lent) && make_room(hub, count) ? effect_add(hub, HUB_OUT_USAGE) : NULL;
    if (e == NULL) {
        return false; /* without memory the samples are old, which is all that is lost */
    }
    size_t at = 0;
    LIST_EACH(n, &hub->worker_list)
    {
        const struct worker *w = CONTAINER(n, struct worker, link);
        for (uint32_t i = 0; i < w->replica_count; i++) {
            const struct replica *r = w->replicas[i];
            if (r->pid > 0) {
                hub->usages[at++] = (struct hub_usage){.process = r->process, .pid = r->pid};
            }
        }
    }
    e->call = call;
    e->usage = hub->usages;
    e->usage_count = at;
    e->lent = lent;
    return true;
}

void
usage_forget(struct replica *r)
{
    r->cpu_ms = 0;
    r->rss_bytes = 0;
    r->threads = 0;
}

static void
store(struct replica *r, const struct hub_usage *u)
{
    /* The sum must not go back, whatever a clock of the system does. */
    r->worker->cpu_ms += u->cpu_ms > r->cpu_ms ? u->cpu_ms - r->cpu_ms : 0;
    r->cpu_ms = u->cpu_ms;
    r->rss_bytes = u->rss_bytes;
    r->threads = u->threads;
}

void
usage_take(struct hub *hub, const struct hub_input *in)
{
    for (size_t i = 0; i < in->usage.count; i++) {
        const struct hub_usage *u = &in->usage.list[i];
        struct replica *r = replica_of_process(hub, u->process);
        if (r != NULL && u->known) {
            store(r, u);
        }
    }
    hub->lent_now = in->usage.lent;
    admin_usage_came(hub, in->usage.call);
    hub->lent_now = NULL;
}
