/* One CALL that is many: the method is called for each set of arguments, or on each replica.
 *
 * The whole is the caller's call; its parts are calls of their own for the worker, made little by
 * little, so that a long list neither fills the queue nor the memory. Their outcomes become the
 * items of the whole. */
#include "broker/core/parts.h"

#include <stdlib.h>
#include <string.h>

enum { AHEAD = 64 /* calls that may wait for each replica before more parts are made */ };

/* Parts that ended and wait for their turn count too, so that a slow first one does not let all the
 * others pile up behind it. */
enum { HELD_MAX = 2 * WIRE_PARTS_OPEN };

static void
finish(struct hub *hub, struct call *whole)
{
    const struct many *m = whole->many;
    struct buf *b = &hub->scratch;
    buf_reset(b, SIZE_MAX);
    write_map(b, 2);
    write_text(b, "done");
    write_uint(b, m->total - m->failed);
    write_text(b, "failed");
    write_uint(b, m->failed);
    hub->failed |= b->failed;
    call_result(hub, whole, buf_span(b));
}

static void
refuse(struct hub *hub, struct call *call, enum wire_error code, const char *text)
{
    call_fail(hub, call, code, WIRE_BEGAN_NO, text);
}

/* How many sets of arguments there are; each has to be one. */
static bool
count_sets(const struct call *call, uint32_t *count, size_t *at)
{
    struct span rest = buf_span(&call->args), set;
    const size_t all = rest.len;
    struct mp_item head, one;
    (void)mp_next(&rest, &head); /* an array: it was checked */
    *count = head.count;
    *at = all - rest.len;
    while (rest.len > 0) {
        (void)mp_skip(&rest, &set);
        struct span inside = set;
        if (!mp_next(&inside, &one) || (one.kind != MP_MAP && one.kind != MP_ARRAY)) {
            return false;
        }
    }
    return true;
}

void
many_begin(struct hub *hub, struct call *call, bool each)
{
    struct worker *w = call->worker;
    uint32_t total = 0;
    size_t at = 0;
    if (w == NULL) {
        refuse(hub, call, WIRE_ERR_NOT_FOUND, "there is no such worker");
        return;
    }
    if (!each && !count_sets(call, &total, &at)) {
        refuse(hub, call, WIRE_ERR_INVALID_ARGUMENT,
               "with the option map each element of the arguments must be a map or an array");
        return;
    }
    if (total > WIRE_PARTS_MAX) {
        refuse(hub, call, WIRE_ERR_INVALID_ARGUMENT,
               "with the option map there may be at most 65536 argument sets");
        return;
    }
    const char *never = nest_refusal(hub, call);
    struct many *m = never == NULL ? calloc(1, sizeof *m) : NULL;
    if (m == NULL) {
        refuse(hub, call,
               never != NULL ? WIRE_ERR_FAILED_PRECONDITION : WIRE_ERR_RESOURCE_EXHAUSTED,
               never != NULL ? never : "the hub is out of memory");
        return;
    }
    *m = (struct many){.call = call,
                       .total = each ? w->spec->replicas : total,
                       .at = at,
                       .each = each,
                       .ordered = call->map == MAP_ORDERED};
    list_init(&m->parts);
    list_init(&m->link);
    call->many = m;
    call->state = CALL_WHOLE;
    if (m->total == 0) {
        finish(hub, call);
        return;
    }
    list_append(&w->manys, &m->link);
    route_soon(hub, w);
}

/* Make the next part and send it on its way. */
static void
make_part(struct hub *hub, struct call *whole)
{
    struct many *m = whole->many;
    struct call *part = call_part(hub, whole, m->next);
    if (part == NULL) {
        call_fail(hub, whole, WIRE_ERR_RESOURCE_EXHAUSTED, call_began(whole),
                  "the hub is out of memory");
        return;
    }
    struct span args = buf_span(&whole->args);
    if (m->each) {
        part->only = m->next;
    } else {
        struct span rest = {args.data + m->at, args.len - m->at};
        (void)mp_skip(&rest, &args);
        m->at += args.len;
    }
    (void)buf_fit(&part->args, args.len); /* a failure shows below */
    buf_put(&part->args, args.data, args.len);
    call_charge(hub, part);
    m->open++;
    if (++m->next == m->total) {
        list_remove(&m->link);
    }
    if (part->args.failed) {
        call_fail(hub, part, WIRE_ERR_RESOURCE_EXHAUSTED, WIRE_BEGAN_NO,
                  "the hub is out of memory");
    } else {
        route_call(hub, part);
    }
}

/* Whether one more part may be made: its caller fetches what there is, and there is room for a
 * call. Each whole may always have one part, so that it goes on in a hub that is full of others. */
static bool
may_make(const struct hub *hub, const struct call *whole, bool room)
{
    const struct many *m = whole->many;
    const size_t items = whole->items != NULL ? buf_span(&whole->items->bytes).len : 0;
    room = m->each || (room && hub->call_count < hub->options.calls_max);
    return m->open < WIRE_PARTS_OPEN && m->next - m->told < HELD_MAX &&
           items_have_room(hub, whole) && (m->held == 0 || m->held + items < WIRE_STREAM_BYTES) &&
           (room || m->open == 0);
}

void
many_fill(struct hub *hub, struct worker *w)
{
    uint64_t most = (uint64_t)AHEAD * (w->replica_count > 0 ? w->replica_count : 1);
    const uint64_t room = (uint64_t)w->spec->queue_max + route_room(w);
    most = room < most ? room : most;
    for (bool more = true; more;) {
        more = false;
        LIST_EACH(n, &w->manys)
        {
            struct call *whole = CONTAINER(n, struct many, link)->call;
            /* One for each replica wait apart, and each has its answer. */
            if (may_make(hub, whole, w->queued < most)) {
                make_part(hub, whole);
                more = true;
                if (!list_is_empty(n)) {
                    list_remove(n); /* the others have their turn now */
                    list_append(&w->manys, n);
                }
            }
        }
    }
}

void
many_go_on(struct hub *hub)
{
    LIST_EACH(n, &hub->worker_list)
    {
        struct worker *w = CONTAINER(n, struct worker, link);
        if (!list_is_empty(&w->manys)) {
            route_soon(hub, w);
        }
    }
}

/* What became of a part is an item of the whole. */
static void
tell(struct hub *hub, struct call *whole, struct call *part)
{
    const struct span outcome = buf_span(&part->outcome);
    struct buf *b = &hub->scratch;
    buf_reset(b, SIZE_MAX);
    write_array(b, 3);
    write_uint(b, part->part);
    if (part->outcome_op == WIRE_RESULT) {
        write_uint(b, WIRE_REPORT_RESULT);
        write_raw(b, outcome);
    } else {
        write_uint(b, WIRE_REPORT_ERROR);
        write_array(b, 4); /* code, began, message, details stand there in a row */
        buf_put(b, outcome.data, outcome.len);
    }
    whole->many->told++;
    whole->many->held -= whole->many->ordered ? part->outcome.w : 0;
    /* Half an outcome would be no item. */
    hub->failed |= part->outcome.failed || b->failed || !items_add(hub, whole, buf_span(b));
}

/* Nobody needs it any more; it goes when the step ends, or when its replica lets it go. */
static void
let_go(struct hub *hub, struct call *part)
{
    part->acked = true;
    list_remove(&part->of_client);
    list_append(&part->client->released, &part->of_client);
    list_remove(&part->queued);
    list_append(&hub->finished, &part->queued);
}

void
many_part_done(struct hub *hub, struct call *part)
{
    struct call *whole = part->whole;
    struct many *m = whole->many;
    m->open--;
    m->began |= call_began(part) != WIRE_BEGAN_NO;
    if (whole->state == CALL_DONE || m->gone) {
        let_go(hub, part);
        return;
    }
    m->failed += part->outcome_op == WIRE_ERROR;
    m->held += m->ordered ? part->outcome.w : 0;
    if (!m->ordered) {
        tell(hub, whole, part);
        let_go(hub, part);
    }
    while (m->ordered && !list_is_empty(&m->parts)) {
        struct call *first = CONTAINER(m->parts.next, struct call, of_client);
        if (first->state != CALL_DONE) {
            break;
        }
        tell(hub, whole, first);
        let_go(hub, first);
    }
    if (m->told == m->total) {
        finish(hub, whole);
    } else {
        route_soon(hub, whole->worker);
    }
}

void
many_end(struct hub *hub, struct call *whole)
{
    struct many *m = whole->many;
    if (m == NULL) {
        return;
    }
    list_remove(&m->link);
    /* The end of one may be that of others that follow it; from the back, because those came later.
     */
    while (!list_is_empty(&m->parts)) {
        struct call *part = CONTAINER(m->parts.prev, struct call, of_client);
        if (part->state == CALL_DONE) {
            let_go(hub, part);
        } else {
            call_end(hub, part, "the call of which it was a part has ended");
        }
    }
}

void
many_free(struct hub *hub, struct call *whole)
{
    struct many *m = whole->many;
    if (m == NULL) {
        return;
    }
    list_remove(&m->link);
    m->gone = true;
    while (!list_is_empty(&m->parts)) {
        call_drop(hub, CONTAINER(m->parts.prev, struct call, of_client));
    }
    free(m);
    whole->many = NULL;
}
