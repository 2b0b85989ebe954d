/* Outcomes in pieces: the items of a method that yields, and the outcomes of a call that is many.
 *
 * Items are numbered through the whole call and kept until a WAIT names them as received, so that a
 * lost answer loses nothing and a repeated one doubles nothing. What a caller has not fetched is
 * bounded: the REPORT that fills the room is answered when there is room again. */
#include "broker/core/parts.h"

#include <stdlib.h>

static struct items *
items_of(struct call *call)
{
    if (call->items == NULL) {
        call->items = calloc(1, sizeof *call->items);
        if (call->items != NULL) {
            list_init(&call->items->reports);
        }
    }
    return call->items;
}

bool
items_wait(const struct call *call)
{
    return call->items != NULL && call->items->end > call->items->first;
}

bool
items_progress_is_new(const struct call *call)
{
    return call->items != NULL && call->items->progress_new;
}

bool
items_have_room(const struct hub *hub, const struct call *call)
{
    const size_t held = call->items != NULL ? buf_span(&call->items->bytes).len : 0;
    /* One in the background goes on although nobody fetches what it has. */
    const uint64_t most = call->background ? hub->options.client_bytes_max : WIRE_STREAM_BYTES;
    return held == 0 || (held < most && hub->payload_bytes < hub->options.payload_bytes_max &&
                         call->client->payload_bytes < hub->options.client_bytes_max);
}

void
items_tell(struct hub *hub, struct slot *slot, struct call *call)
{
    struct items *items = call->items;
    const struct span all = items != NULL ? buf_span(&items->bytes) : (struct span){0};
    struct span rest = all;
    const uint64_t first = items != NULL ? items->first : 0;
    uint64_t count = 0;
    /* They were checked when they came; one that was cut off for want of memory ends the hub. */
    while (rest.len > 0 && all.len - rest.len < WIRE_PARTIAL_BYTES && mp_skip(&rest, NULL)) {
        count++;
    }
    struct buf *b = slot_begin(slot);
    write_op(b, WIRE_PARTIAL);
    write_uint(b, slot->seq);
    write_uint(b, first);
    write_raw(b, items_progress_is_new(call) ? buf_span(&items->progress) : (struct span){0});
    write_array(b, (uint32_t)count);
    if (count > 0) {
        buf_put(b, all.data, all.len - rest.len);
    }
    if (items != NULL) {
        items->progress_new = false;
    }
    slot_end(hub, slot);
}

void
items_tell_all(struct hub *hub, struct call *call)
{
    const bool fresh = items_progress_is_new(call);
    call_charge(hub, call);
    LIST_EACH(n, &call->waiters)
    {
        call->items->progress_new = fresh;
        items_tell(hub, CONTAINER(n, struct slot, link), call);
    }
}

void
items_progress(struct hub *hub, struct call *call, struct span progress)
{
    if (call->state == CALL_DONE || !call->wants_progress) {
        return;
    }
    struct items *items = items_of(call);
    if (items == NULL) {
        hub->failed = true;
        return;
    }
    buf_reset(&items->progress, WIRE_TEXT_BYTES_MAX);
    buf_put(&items->progress, progress.data, progress.len);
    items->progress_new = true;
    items_tell_all(hub, call);
}

/* The items of [first, [items]]; false when it is not such a list, or there is more. */
static bool
read_list(struct span payload, uint64_t *first, struct span *items, uint64_t *count)
{
    struct mp_item head, number, list;
    struct span rest = payload;
    if (!mp_next(&rest, &head) || head.kind != MP_ARRAY || head.count != 2 ||
        !mp_next(&rest, &number) || number.kind != MP_UINT || !mp_next(&rest, &list) ||
        list.kind != MP_ARRAY) {
        return false;
    }
    *first = number.uint;
    *items = rest;
    *count = list.count;
    return true;
}

/* All of them or, when memory is out, none. */
static bool
append(struct items *items, struct span bytes, uint64_t count)
{
    buf_put(&items->bytes, bytes.data, bytes.len);
    const bool ok = !items->bytes.failed;
    items->bytes.failed = false;
    items->end += ok ? count : 0;
    return ok;
}

bool
items_take(struct hub *hub, struct call *call, struct span payload)
{
    uint64_t first, count;
    struct span rest;
    struct items *items = items_of(call);
    if (!read_list(payload, &first, &rest, &count)) {
        return false;
    }
    if (items == NULL) {
        hub->failed = true;
        return true;
    }
    if (first > items->end) {
        return false;
    }
    /* What was reported before, on a connection that broke, is here already. */
    for (; count > 0 && first < items->end; first++, count--) {
        (void)mp_skip(&rest, NULL);
    }
    if (count > 0) {
        share_leave(hub, call); /* what has been given away cannot be given to others */
        hub->failed |= !append(items, rest, count);
        items_tell_all(hub, call);
    }
    return true;
}

bool
items_add(struct hub *hub, struct call *call, struct span item)
{
    struct items *items = items_of(call);
    if (items == NULL || !append(items, item, 1)) {
        return false;
    }
    items_tell_all(hub, call);
    return true;
}

static void
answer_reports(struct hub *hub, struct items *items)
{
    LIST_EACH(n, &items->reports)
    {
        struct slot *slot = CONTAINER(n, struct slot, link);
        struct buf *b = slot_begin(slot);
        write_op(b, WIRE_ACK);
        write_array(b, 0);
        write_uint(b, 0);
        slot_end(hub, slot);
    }
}

void
items_park(struct hub *hub, struct call *call, struct slot *report)
{
    report->call = call;
    slot_park(hub, report, &call->items->reports);
}

bool
items_received(struct hub *hub, struct call *call, uint64_t number)
{
    struct items *items = call->items;
    if (items == NULL || number <= items->first || items->first == items->end) {
        return false;
    }
    struct span rest = buf_span(&items->bytes);
    const size_t before = rest.len;
    for (; items->first < number && items->first < items->end; items->first++) {
        (void)mp_skip(&rest, NULL);
    }
    buf_skip(&items->bytes, before - rest.len);
    if (items->first == items->end) {
        buf_reset(&items->bytes, SPARE_BYTES);
    }
    call_charge(hub, call);
    if (items_have_room(hub, call)) {
        answer_reports(hub, items);
        if (call->many != NULL && call->state != CALL_DONE) {
            route_soon(hub, call->worker); /* more parts may be made */
        }
    }
    return true;
}

void
items_end(struct hub *hub, struct call *call)
{
    if (call->items != NULL) {
        answer_reports(hub, call->items);
        if (!items_wait(call)) {
            buf_deinit(&call->items->progress); /* else it is told with them */
        }
    }
}

void
items_free(struct hub *hub, struct call *call)
{
    if (call->items != NULL) {
        items_end(hub, call);
        buf_deinit(&call->items->bytes);
        buf_deinit(&call->items->progress);
        free(call->items);
        call->items = NULL;
    }
}
