/* Connections: who is at the other end, and HELLO. */
#include "broker/core/parts.h"

#include <stdio.h>
#include <stdlib.h>

struct peer *
peer_find(struct hub *hub, uint64_t id)
{
    struct table_entry *e = table_find(&hub->peers, &id, sizeof id);
    return e == NULL ? NULL : CONTAINER(e, struct peer, entry);
}

static void
refuse_peer(struct hub *hub, uint64_t id)
{
    struct hub_effect *e = effect_add(hub, HUB_OUT_CLOSE);
    if (e != NULL) {
        e->peer = id;
    }
}

/* It has said who it is, or it goes. */
static void
not_untrusted(struct hub *hub, struct peer *p)
{
    if (!list_is_empty(&p->untrusted)) {
        hub->untrusted_count--;
        list_remove(&p->untrusted);
        deadline_clear(&hub->deadlines, &p->deadline);
    }
}

/* What a peer may send before it says who it is lies in memory until it is whole, so there are few
 * of them, and not for long. The one that has waited longest makes room: whoever means it well has
 * said who it is by then. */
static void
untrust(struct hub *hub, struct peer *p)
{
    if (hub->untrusted_count == WIRE_UNTRUSTED_MAX) {
        struct peer *oldest = CONTAINER(hub->untrusted.next, struct peer, untrusted);
        not_untrusted(hub, oldest);
        refuse_peer(hub, oldest->id);
    }
    hub->untrusted_count++;
    list_append(&hub->untrusted, &p->untrusted);
    if (!deadline_set(&hub->deadlines, &p->deadline, DEADLINE_PEER,
                      hub->now_ns + (int64_t)WIRE_UNTRUSTED_MS * NS_PER_MS)) {
        hub->failed = true;
    }
}

void
peer_opened(struct hub *hub, const struct hub_input *in)
{
    const size_t count = table_count(&hub->peers);
    struct peer *p = count < WIRE_PEERS_MAX + WIRE_PEERS_SPARE ? calloc(1, sizeof *p) : NULL;
    if (p == NULL) {
        refuse_peer(hub, in->peer);
        return;
    }
    hub->opened_total++;
    p->id = in->peer;
    p->spare = count >= WIRE_PEERS_MAX;
    p->local = p->trusted = in->opened.local;
    p->uid = p->local ? in->opened.uid : UINT32_MAX; /* nobody's: never equal to a local one */
    p->pid = p->local ? in->opened.pid : 0;          /* of another machine it would say nothing */
    p->start_ticks = in->opened.start_ticks;
    p->admin = p->local && (p->uid == 0 || p->uid == hub->options.uid);
    list_init(&p->tickets);
    list_init(&p->untrusted);
    if (!table_add(&hub->peers, &p->entry, &p->id, sizeof p->id)) {
        refuse_peer(hub, in->peer);
        free(p);
        return;
    }
    if (!p->trusted) {
        untrust(hub, p);
    }
}

void
peer_expired(struct hub *hub, struct peer *p)
{
    not_untrusted(hub, p);
    refuse_peer(hub, p->id); /* its end is told as that of any other connection */
}

void
peer_closed(struct hub *hub, uint64_t id)
{
    struct peer *p = peer_find(hub, id);
    if (p == NULL) {
        return;
    }
    not_untrusted(hub, p);
    LIST_EACH(n, &p->tickets)
    {
        ticket_free(hub, CONTAINER(n, struct ticket, link));
    }
    for (size_t i = 0; i < WIRE_PEER_CLIENTS_MAX; i++) {
        if (p->clients[i] != NULL) {
            client_leave(hub, p->clients[i]);
        }
    }
    table_remove(&hub->peers, &p->entry);
    free(p);
}

/* In time that does not depend on where they differ. */
static bool
same_token(const struct span *want, struct span got)
{
    uint8_t differs = want->len == 0 || want->len != got.len;
    for (size_t i = 0; i < got.len && i < want->len; i++) {
        differs |= (uint8_t)(want->data[i] ^ got.data[i]);
    }
    return differs == 0;
}

void
write_welcome(struct hub *hub, struct buf *b, const struct replica *replica)
{
    write_op(b, WIRE_WELCOME);
    write_map(b, 6u + (replica != NULL ? 2u : 1u));
    write_text(b, "hub");
    write_text(b, hub->name);
    write_text(b, "version");
    write_text(b, hub->version);
    write_text(b, "proto");
    write_uint(b, WIRE_PROTO);
    write_text(b, "epoch");
    write_uint(b, hub->options.epoch);
    write_text(b, "history");
    write_uint(b, hub->history);
    write_text(b, "limits");
    write_map(b, 3);
    write_text(b, "message_bytes");
    write_uint(b, hub->options.message_bytes);
    write_text(b, "park_ms");
    write_uint(b, WIRE_PARK_MS);
    write_text(b, "window");
    write_uint(b, WIRE_WINDOW);
    if (replica != NULL) {
        char name[WIRE_NAME_BYTES_MAX + 16];
        replica_name(replica, name);
        write_text(b, "replica");
        write_text(b, name);
        write_text(b, "session");
        write_uint(b, replica->session);
    }
    if (replica == NULL) {
        const uint64_t id[2] = {hub_draw(hub) << 11 ^ hub_draw(hub),
                                hub_draw(hub) << 11 ^ hub_draw(hub)};
        write_text(b, "client");
        write_bin(b, (struct span){(const uint8_t *)id, sizeof id});
    }
}

void
peer_hello(struct hub *hub, struct slot *slot, const struct record *r)
{
    struct peer *p = slot->ticket->peer;
    const struct field *about = RECORD_FIELD(r, HELLO, ABOUT);
    struct field token, name;
    if (!p->trusted) {
        if (!record_key(about, WIRE_KEY_HELLO_token, &token) ||
            !same_token(&hub->options.token, token.item.bytes)) {
            slot_fail(hub, slot, WIRE_ERR_UNAUTHENTICATED, "HELLO did not hold the hub's token");
            return;
        }
        not_untrusted(hub, p);
        p->trusted = p->admin = true;
    } else if (p->local && record_key(about, WIRE_KEY_HELLO_token, &token)) {
        const struct replica *of = replica_of_token(hub, token.item.bytes);
        p->process = of != NULL ? of->process : 0;
    }
    if (record_key(about, WIRE_KEY_HELLO_name, &name)) {
        (void)snprintf(p->name, sizeof p->name, "%.*s", (int)name.item.bytes.len,
                       (const char *)name.item.bytes.data);
        for (char *c = p->name; *c != '\0'; c++) {
            *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c; /* it is shown on terminals */
        }
    }
    write_welcome(hub, slot_begin(slot), NULL);
    slot_end(hub, slot);
}
