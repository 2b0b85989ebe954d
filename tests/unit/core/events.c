/* What the tests of events share: see events.h. */
#include "tests/unit/core/events.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>

void
events_begin(struct world *w)
{
    events_begin_with(w, 65536);
}

void
events_begin_with(struct world *w, uint64_t ring_bytes)
{
    struct hub_options options;
    world_options(&options);
    options.events_bytes = ring_bytes;
    cr_assert(world_init_with(w, &options), "no hub");
    world_configured(w);
    world_open(w, PUBLISHER);
    world_open(w, READER);
}

uint64_t
emit_as(struct world *w, uint32_t sp_id, const struct emit *e)
{
    struct buf b = {0};
    uint8_t *payload = calloc(1, e->bytes + 1);
    write_op(&b, WIRE_EMIT);
    if (e->client == world_nil) {
        write_nil(&b);
    } else {
        write_bin(&b, (struct span){w->client, 16});
    }
    write_uint(&b, e->seq);
    write_text(&b, e->topic);
    write_nil(&b);
    write_bin(&b, (struct span){payload, e->bytes});
    const uint64_t request = world_send_as(w, PUBLISHER, sp_id, buf_span(&b));
    buf_deinit(&b);
    free(payload);
    return request;
}

uint64_t
emit(struct world *w, const struct emit *e)
{
    const struct record *ack =
        world_expect(w, emit_as(w, 0x80000000u | (uint32_t)w->next_request, e), 0, WIRE_REC_ACK);
    return RECORD_FIELD(ack, ACK, NUMBER)->item.uint;
}

uint64_t
fetch(struct world *w, const struct fetch *f)
{
    struct buf b = {0};
    write_op(&b, WIRE_FETCH);
    write_nil(&b);
    write_array(&b, 1);
    write_text(&b, f->filter);
    if (f->word != NULL) {
        write_text(&b, f->word);
    } else {
        write_uint(&b, f->from);
    }
    write_uint(&b, f->items > 0 ? f->items : 100);
    write_uint(&b, 1 << 20);
    write_uint(&b, f->wait_ms);
    const uint64_t request = world_send(w, READER, buf_span(&b));
    buf_deinit(&b);
    return request;
}

uint64_t
field_of(struct world *w, uint64_t request, enum wire_field field)
{
    const struct record *r = world_expect(w, request, 0, WIRE_REC_EVENTS);
    return r->field[field - WIRE_FIRST_EVENTS].item.uint;
}

uint32_t
count_of(struct world *w, uint64_t request)
{
    return RECORD_FIELD(world_expect(w, request, 0, WIRE_REC_EVENTS), EVENTS, ITEMS)->item.count;
}

void
topics_of(struct world *w, uint64_t request, char *out, size_t size)
{
    struct span items =
        RECORD_FIELD(world_expect(w, request, 0, WIRE_REC_EVENTS), EVENTS, ITEMS)->inside;
    struct record item;
    size_t n = 0;
    out[0] = '\0';
    while (record_item(&items, WIRE_REC_EVENT_ITEM, &item)) {
        const struct span t = RECORD_FIELD(&item, EVENT_ITEM, TOPIC)->item.bytes;
        n += (size_t)snprintf(out + n, size - n, "%s%.*s", n > 0 ? " " : "", (int)t.len,
                              (const char *)t.data);
    }
}

void
numbers_of(struct world *w, uint64_t request, char *out, size_t size)
{
    struct span items =
        RECORD_FIELD(world_expect(w, request, 0, WIRE_REC_EVENTS), EVENTS, ITEMS)->inside;
    struct record item;
    size_t n = 0;
    out[0] = '\0';
    while (record_item(&items, WIRE_REC_EVENT_ITEM, &item)) {
        n += (size_t)snprintf(
            out + n, size - n, "%llu ",
            (unsigned long long)RECORD_FIELD(&item, EVENT_ITEM, NUMBER)->item.uint);
    }
    (void)snprintf(out + n, size - n, "next %llu",
                   (unsigned long long)field_of(w, request, WIRE_FIELD_EVENTS_NEXT));
}
