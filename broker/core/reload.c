/* Another configuration for a hub that runs: what is new is started, what is not there any more
 * ends, and what differs is changed with as little as possible: numbers at once, processes one by
 * one, and back when the first new one does not get ready. Who asked is told when all is done. */
#include "broker/core/admin.h"

#include <string.h>

/* What is told of a worker. */
enum { ADDED, CHANGED, REMOVED };

static void
note(struct hub *hub, int list, const char *name)
{
    struct reload *reload = &hub->reload;
    write_text(&reload->names[list], name);
    reload->counts[list]++;
}

void
reload_note_back(struct hub *hub, const struct worker *w, const char *reason)
{
    write_text(&hub->reload.back, w->spec->name);
    write_text(&hub->reload.back, reason);
    hub->reload.back_count++;
}

static bool
is_wanted(const struct worker *w)
{
    for (uint32_t i = 0; i < w->replica_count; i++) {
        if (w->replicas[i]->wanted) {
            return true;
        }
    }
    return false;
}

static void
start_one(struct hub *hub, struct replica *r)
{
    r->wanted = true;
    life_step(hub, r, LIFE_IN_START);
}

static void
start(struct hub *hub, struct worker *w)
{
    for (uint32_t i = 0; i < w->spec->replicas; i++) {
        start_one(hub, w->replicas[i]);
    }
}

/* Its processes stay. */
static void
take_numbers(struct hub *hub, struct worker *w, struct worker_spec *spec)
{
    for (uint32_t i = 0; i < w->replica_count; i++) {
        struct replica *r = w->replicas[i];
        if (r->spec == w->spec) {
            hub->failed |= !replica_take_spec(r, spec);
            hang_changed(hub, r);
        }
    }
    spec_unref(w->former); /* a change that was under way ends with this one */
    w->former = NULL;
    spec_unref(w->spec);
    w->spec = spec;
}

static void
change(struct hub *hub, struct worker *w, const struct worker_spec *wanted)
{
    struct worker_spec *spec = spec_copy(wanted);
    const bool runs = is_wanted(w), starts = wanted->autostart && !w->spec->autostart;
    const uint32_t before = w->spec->replicas;
    if (spec == NULL) {
        hub->failed = true;
        return;
    }
    note(hub, CHANGED, spec->name);
    const bool same = spec_is_same_process(w->spec, spec);
    if (same) {
        take_numbers(hub, w, spec);
    } else {
        renew_to(hub, w, spec);
    }
    renew_watch(hub);
    hub->failed |= !worker_resize(hub, w, wanted->replicas);
    for (uint32_t i = 0; i < w->spec->replicas && (runs || starts); i++) {
        /* Those that are new, or had failed; one that somebody stopped stays so. */
        if (starts || i >= before || w->replicas[i]->wanted) {
            start_one(hub, w->replicas[i]);
        }
    }
    if (same) {
        renew_roll(hub, w);
    }
}

static void
add(struct hub *hub, const struct worker_spec *spec)
{
    struct worker *w = worker_add(hub, spec);
    if (w == NULL) {
        hub->failed = true;
        return;
    }
    w->seen = true;
    note(hub, ADDED, spec->name);
    if (spec->autostart) {
        start(hub, w);
    }
}

static void
take_spec(struct hub *hub, const struct worker_spec *spec)
{
    struct worker *w = worker_find(hub, span_text(spec->name));
    if (w == NULL) {
        add(hub, spec);
        return;
    }
    w->seen = true;
    if (w->gone) {
        w->gone = false; /* it comes back before it was away */
        hub->gone--;
        change(hub, w, spec);
        if (spec->autostart) {
            start(hub, w);
        }
    } else if (!spec_is_same(w->spec, spec) || w->spec->added) {
        change(hub, w, spec);
    }
}

static void
drop(struct hub *hub, struct worker *w)
{
    note(hub, REMOVED, w->spec->name);
    w->gone = true;
    hub->gone++;
    for (uint32_t i = 0; i < w->replica_count; i++) {
        w->replicas[i]->wanted = false;
        life_step(hub, w->replicas[i], LIFE_IN_STOP);
    }
    route_sweep(hub, w);
}

static void
begin(struct hub *hub, uint64_t call)
{
    struct reload *reload = &hub->reload;
    for (int i = 0; i <= REMOVED; i++) {
        buf_reset(&reload->names[i], SIZE_MAX);
        reload->counts[i] = 0;
    }
    buf_reset(&reload->back, SIZE_MAX);
    reload->back_count = 0;
    reload->call = call;
    reload->runs = true;
}

static void
refuse(struct hub *hub, uint64_t number, const char *why)
{
    struct call *call = number != 0 ? call_by_number(hub, number) : NULL;
    if (call != NULL) {
        call_fail(hub, call, WIRE_ERR_FAILED_PRECONDITION, WIRE_BEGAN_NO, why);
    }
}

void
reload_take(struct hub *hub, const struct hub_input *in)
{
    if (in->reload.wrong != NULL || hub->reload.runs || hub->stopping) {
        refuse(hub, in->reload.call,
               in->reload.wrong != NULL ? in->reload.wrong
               : hub->stopping          ? "the hub is stopping"
                                        : "another reload is under way");
        return;
    }
    begin(hub, in->reload.call);
    LIST_EACH(n, &hub->worker_list)
    {
        CONTAINER(n, struct worker, link)->seen = false;
    }
    for (size_t i = 0; i < in->reload.count; i++) {
        take_spec(hub, &in->reload.specs[i]);
    }
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        if (!w->seen && !w->spec->added && !w->gone) {
            drop(hub, w);
        }
    }
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void
put_all(struct buf *b, const struct buf *from)
{
    const struct span all = buf_span(from);
    buf_put(b, all.data, all.len);
}

static void
write_outcome(const struct hub *hub, struct buf *b)
{
    static const char *const keys[] = {
        [ADDED] = "added", [CHANGED] = "changed", [REMOVED] = "removed"};
    const struct reload *reload = &hub->reload;
    buf_reset(b, SIZE_MAX);
    write_map(b, 4);
    for (int i = 0; i <= REMOVED; i++) {
        write_text(b, keys[i]);
        write_array(b, reload->counts[i]);
        put_all(b, &reload->names[i]);
    }
    write_text(b, "rolled_back");
    write_map(b, reload->back_count);
    put_all(b, &reload->back);
}

void
reload_check(struct hub *hub)
{
    bool rolling = false;
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        renew_roll(hub, w); /* who wanted to lease a replica may have given it up */
        rolling |= w->rolling;
    }
    if (rolling && !hub->stopping) {
        return;
    }
    struct buf *b = &hub->scratch;
    struct call *call = hub->reload.call != 0 ? call_by_number(hub, hub->reload.call) : NULL;
    hub->reload.runs = false;
    write_outcome(hub, b);
    hub_event(hub, HUB_EVENT_reload, buf_span(b));
    write_outcome(hub, b);
    if (call != NULL) {
        call_result(hub, call, buf_span(b));
    }
}

/* Workers that are on their way out are forgotten when nothing of them is left. */
void
reload_reap(struct hub *hub)
{
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        if (w->gone && worker_is_empty(w)) {
            hub->gone--;
            worker_free(hub, w);
        }
    }
}

void
reload_deinit(struct hub *hub)
{
    for (int i = 0; i <= REMOVED; i++) {
        buf_deinit(&hub->reload.names[i]);
    }
    buf_deinit(&hub->reload.back);
}
