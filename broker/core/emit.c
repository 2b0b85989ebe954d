/* Events in: EMIT, stored once however often it is repeated, and the hub's own events. */
#include "broker/core/parts.h"

#include <stdio.h>
#include <string.h>

/* Its number; 0 after it was refused. */
static uint64_t
store(struct hub *hub, struct slot *slot, const struct client *c, const struct record *r)
{
    const struct event_view event = {
        .time_us = hub->wall_us,
        .topic = RECORD_FIELD(r, EMIT, TOPIC)->item.bytes,
        .source = span_text(c->is_replica ? c->who : ""),
        .payload = RECORD_FIELD(r, EMIT, PAYLOAD)->raw,
    };
    const uint64_t number = ring_add(hub, &event);
    if (number == 0) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED,
                  ring_fits(&hub->ring, &event) ? "the hub is out of memory"
                                                : "an event may not be larger than half the ring");
    }
    return number;
}

/* A process without a client id that repeats an EMIT: the first one is kept as a call that is done.
 */
static bool
was_emitted(struct hub *hub, struct slot *slot, struct client *c)
{
    struct call *call = call_find(hub, c, client_call_key(hub, slot, c, slot->seq));
    if (call == NULL || !call->emitted) {
        return false;
    }
    slot_ack(hub, slot, call->work);
    return true;
}

static void
note_emitted(struct hub *hub, struct slot *slot, struct client *c, uint64_t number)
{
    if (c->pid == 0) {
        return; /* on a network a repeat cannot be told from a new event */
    }
    client_trim(hub, c);
    struct call *call = call_new(hub, c, slot->seq, client_call_key(hub, slot, c, slot->seq));
    if (call != NULL) {
        call->emitted = true;
        call->work = number;
        call_result(hub, call, (struct span){0});
    }
}

enum emitted { EMIT_NEW, EMIT_SEEN, EMIT_UNKNOWN };

/* Whether an EMIT was seen before: those of one client may come in any order, as its connections
 * bring them, but not arbitrarily late. */
static enum emitted
find_emitted(const struct client *c, uint64_t seq)
{
    const uint64_t back = c->emit_seq - seq;
    if (seq > c->emit_seq) {
        return EMIT_NEW;
    }
    if (back >= WIRE_WINDOW) {
        return EMIT_UNKNOWN;
    }
    return (c->emit_seen[back / 64] >> back % 64 & 1) != 0 ? EMIT_SEEN : EMIT_NEW;
}

static void
note_seq(struct client *c, uint64_t seq, uint64_t number)
{
    uint64_t further = seq > c->emit_seq ? seq - c->emit_seq : 0;
    further = further < WIRE_WINDOW ? further : WIRE_WINDOW; /* beyond it all bits are 0 */
    while (further > 0) {
        const uint64_t by = further < 63 ? further : 63; /* a shift by 64 would be undefined */
        further -= by;
        for (size_t i = WIRE_WINDOW / 64; i-- > 0;) {
            const uint64_t carried = i > 0 ? c->emit_seen[i - 1] >> (64 - by) : 0;
            c->emit_seen[i] = c->emit_seen[i] << by | carried;
        }
    }
    if (seq > c->emit_seq) {
        c->emit_seq = seq;
        c->emit_number = number;
    }
    const uint64_t back = c->emit_seq - seq;
    c->emit_seen[back / 64] |= UINT64_C(1) << back % 64;
}

void
emit_take(struct hub *hub, struct slot *slot, const struct record *r)
{
    const struct span topic = RECORD_FIELD(r, EMIT, TOPIC)->item.bytes;
    slot->seq = RECORD_FIELD(r, EMIT, SEQ)->item.uint;
    struct client *c = client_of(hub, slot, RECORD_FIELD(r, EMIT, CLIENT));
    if (c == NULL) {
        return;
    }
    if (topic.len >= 4 && memcmp(topic.data, "hub.", 4) == 0) {
        slot_fail(hub, slot, WIRE_ERR_PERMISSION_DENIED,
                  "topics that begin with hub. are the hub's alone");
        return;
    }
    const enum emitted seen = c->nameless ? EMIT_NEW : find_emitted(c, slot->seq);
    if (c->nameless && was_emitted(hub, slot, c)) {
        return;
    }
    if (seen == EMIT_SEEN) {
        slot_ack(hub, slot, slot->seq == c->emit_seq ? c->emit_number : 0);
        return;
    }
    if (seen == EMIT_UNKNOWN) {
        slot_doubt(hub, slot, WIRE_ERR_FAILED_PRECONDITION,
                   "an EMIT so far back may have been stored before; numbers count up");
        return;
    }
    const uint64_t number = store(hub, slot, c, r);
    if (number == 0) {
        return;
    }
    if (c->nameless) {
        note_emitted(hub, slot, c, number);
    } else {
        note_seq(c, slot->seq, number);
    }
    slot_ack(hub, slot, number);
}

void
emit_line(struct hub *hub, const struct hub_input *in)
{
    char topic[WIRE_NAME_BYTES_MAX + sizeof ".line"];
    const size_t worker = strcspn(in->line.replica, "/");
    (void)snprintf(topic, sizeof topic, "%.*s.line", (int)worker, in->line.replica);
    const struct event_view event = {
        .time_us = hub->wall_us,
        .topic = span_text(topic),
        .source = span_text(in->line.replica),
        .payload = in->line.payload,
    };
    /* What does not fit into the ring, or finds no memory, is in the log all the same. */
    (void)ring_add(hub, &event);
}

void
hub_event(struct hub *hub, enum hub_event kind, struct span payload)
{
    static const char *const topics[] = {
#define EVENT(name, topic, keys, when) [HUB_EVENT_##name] = (topic),
#include "proto/tbl/events.def"
#undef EVENT
    };
    const struct span topic = span_text(topics[kind]); /* a constant: it outlives the step */
    const struct event_view event = {
        .time_us = hub->wall_us,
        .topic = topic,
        .source = span_text("hub"),
        .payload = payload,
    };
    if (hub->scratch.failed || ring_add(hub, &event) == 0) {
        hub->failed = true; /* half an event is none, and they are small: memory was out */
        return;
    }
    struct hub_effect *e = effect_add(hub, HUB_OUT_EVENT);
    if (e != NULL) {
        e->topic = topic;
        e->body = effect_bytes(hub, payload);
    }
}
