/* Clients: who calls, what it has acknowledged, when it has left.
 *
 * A client is 16 bytes that a program chose, bound to the uid that used them first, so that it can
 * come back on another connection. Whoever gives none is known by its process on the local socket,
 * and by its connection on a network. */
#include "broker/core/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_CHOSEN, KEY_PROCESS, KEY_CONNECTION };

static void
make_key(const struct peer *peer, const struct field *id, uint8_t key[WIRE_CLIENT_BYTES + 1])
{
    memset(key, 0, WIRE_CLIENT_BYTES + 1);
    if (id->item.kind == MP_BIN) {
        memcpy(key, id->item.bytes.data, WIRE_CLIENT_BYTES);
        key[WIRE_CLIENT_BYTES] = KEY_CHOSEN;
    } else if (peer->local) {
        memcpy(key, &peer->start_ticks, 8);
        memcpy(key + 8, &peer->pid, 4);
        memcpy(key + 12, &peer->uid, 4);
        key[WIRE_CLIENT_BYTES] = KEY_PROCESS;
    } else {
        memcpy(key, &peer->id, 8);
        key[WIRE_CLIENT_BYTES] = KEY_CONNECTION;
    }
}

static void
forget_later(struct hub *hub, struct client *c, int64_t ms)
{
    if (!deadline_set(&hub->deadlines, &c->deadline, DEADLINE_CLIENT,
                      hub->now_ns + ms * NS_PER_MS)) {
        hub->failed = true;
    }
}

void
client_free(struct hub *hub, struct client *c)
{
    struct node *const lists[] = {&c->calls, &c->background, &c->released};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        while (!list_is_empty(lists[i])) {
            call_drop(hub, CONTAINER(lists[i]->next, struct call, of_client));
        }
    }
    lease_leave(hub, c);
    deadline_clear(&hub->deadlines, &c->deadline);
    list_remove(&c->idle);
    table_remove(&hub->clients, &c->entry);
    free(c);
}

/* Room for one more: the one that has been away longest and has nothing running goes. */
static bool
make_room(struct hub *hub)
{
    if (table_count(&hub->clients) < WIRE_CLIENTS_MAX) {
        return true;
    }
    LIST_EACH(n, &hub->idle_clients)
    {
        struct client *c = CONTAINER(n, struct client, idle);
        if (c->unfinished == 0 && c->background_count == 0) {
            client_free(hub, c);
            return true;
        }
    }
    return false;
}

/* The worker process that a local connection comes from, NULL for others. One that is quick speaks
 * before the hub was told its pid: then its token says who it is. */
static const struct replica *
replica_of_peer(struct hub *hub, const struct peer *peer)
{
    if (peer->process != 0) {
        return replica_of_process(hub, peer->process);
    }
    for (const struct table_entry *e = hub->processes.head; e != NULL && peer->local;
         e = e->hh.next) {
        const struct replica *r = CONTAINER(e, struct replica, by_process);
        if (r->pid > 0 && r->pid == peer->pid) {
            return r;
        }
    }
    return NULL;
}

static void
know(struct client *c, const struct replica *replica)
{
    if (replica != NULL) {
        replica_name(replica, c->who);
        c->is_replica = true;
    }
}

void
clients_know(struct hub *hub, const struct replica *replica)
{
    for (struct table_entry *e = hub->clients.head; e != NULL; e = e->hh.next) {
        struct client *c = CONTAINER(e, struct client, entry);
        if (c->pid == replica->pid && !c->is_replica) {
            know(c, replica);
        }
    }
}

static struct client *
client_new(struct hub *hub, const struct peer *peer, const uint8_t *key)
{
    struct client *c = make_room(hub) ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        return NULL;
    }
    memcpy(c->key, key, sizeof c->key);
    c->number = ++hub->last_client;
    c->nameless = key[WIRE_CLIENT_BYTES] != KEY_CHOSEN;
    c->uid = peer->uid;
    c->pid = peer->pid;
    const char *space = peer->name[0] != '\0' ? " " : "";
    if (peer->local) {
        (void)snprintf(c->who, sizeof c->who, "%s%spid %d uid %u", peer->name, space,
                       (int)peer->pid, (unsigned)peer->uid);
    } else {
        (void)snprintf(c->who, sizeof c->who, "%s%snetwork", peer->name, space);
    }
    know(c, replica_of_peer(hub, peer));
    list_init(&c->calls);
    list_init(&c->background);
    list_init(&c->released);
    list_init(&c->lines);
    list_init(&c->line.of_client);
    list_init(&c->idle);
    if (!table_add(&hub->clients, &c->entry, c->key, sizeof c->key)) {
        free(c);
        return NULL;
    }
    return c;
}

/* Where in the connection's list the client is or may go; WIRE_PEER_CLIENTS_MAX when all the places
 * are taken by clients that wait for something. */
static size_t
place_of(const struct peer *peer, const struct client *c)
{
    size_t free_place = WIRE_PEER_CLIENTS_MAX;
    for (size_t i = 0; i < WIRE_PEER_CLIENTS_MAX; i++) {
        if (peer->clients[i] == c) {
            return i;
        }
        if (peer->clients[i] == NULL) {
            return i;
        }
        if (peer->clients[i]->unfinished == 0) {
            free_place = i;
        }
    }
    return free_place;
}

/* The connection speaks for the client now. When it has named many, the one named longest ago that
 * waits for nothing is let go. */
static bool
bind(struct hub *hub, struct peer *peer, struct client *c)
{
    if (peer->clients[0] == c) {
        return true;
    }
    const size_t i = place_of(peer, c);
    if (i == WIRE_PEER_CLIENTS_MAX) {
        return false;
    }
    struct client *out = peer->clients[i];
    memmove(&peer->clients[1], &peer->clients[0], i * sizeof peer->clients[0]);
    peer->clients[0] = c;
    if (out != c) {
        c->present++;
        c->away = false;
        deadline_clear(&hub->deadlines, &c->deadline);
        list_remove(&c->idle);
        if (out != NULL) {
            client_leave(hub, out);
        }
    }
    return true;
}

struct client *
client_find(struct hub *hub, struct peer *peer, const struct field *id)
{
    uint8_t key[WIRE_CLIENT_BYTES + 1];
    make_key(peer, id, key);
    if (peer->clients[0] != NULL && memcmp(peer->clients[0]->key, key, sizeof key) == 0) {
        return peer->clients[0];
    }
    struct table_entry *e = table_find(&hub->clients, key, sizeof key);
    return e == NULL ? NULL : CONTAINER(e, struct client, entry);
}

struct client *
client_of(struct hub *hub, struct slot *slot, const struct field *id)
{
    struct peer *peer = slot->ticket->peer;
    struct client *c = client_find(hub, peer, id);
    if (c == NULL) {
        uint8_t key[WIRE_CLIENT_BYTES + 1];
        make_key(peer, id, key);
        c = client_new(hub, peer, key);
    }
    if (c == NULL) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED, "the hub knows too many clients");
        return NULL;
    }
    if (c->uid != peer->uid) {
        slot_fail(hub, slot, WIRE_ERR_PERMISSION_DENIED, "this client id belongs to another user");
        return NULL;
    }
    if (!bind(hub, peer, c)) {
        slot_fail(hub, slot, WIRE_ERR_RESOURCE_EXHAUSTED,
                  "too many client ids of this connection wait for an outcome");
        if (c->present == 0 && list_is_empty(&c->idle)) {
            client_free(hub, c); /* it was made for this request, and nobody would ever forget it */
        }
        return NULL;
    }
    return c;
}

uint64_t
client_call_key(const struct hub *hub, const struct slot *slot, const struct client *client,
                uint64_t seq)
{
    struct ticket *t = slot->ticket;
    if (!client->nameless) {
        return seq;
    }
    if (!t->peer->local) {
        /* On a network a repeat cannot be told from a new request: a key that no other call has. */
        return hub->last_call + 1;
    }
    /* A stock REQ socket repeats the same bytes under the same id after a reconnect. The place in
     * the message tells the records of a batch apart. */
    const uint64_t place = (uint64_t)(slot - t->slots);
    return ((uint64_t)t->sp_id << 32 | (ticket_body_hash(hub, t) & 0xffffffff)) + place;
}

void
client_ack(struct hub *hub, struct client *c, uint64_t ack)
{
    if (c->nameless || ack <= c->ack) {
        return;
    }
    c->ack = ack;
    LIST_EACH(n, &c->calls)
    {
        struct call *call = CONTAINER(n, struct call, of_client);
        if (call->seq > ack) {
            break;
        }
        call->acked = true;
        if (call->state == CALL_DONE) {
            call_settle(hub, call);
        } else {
            call_end(hub, call, "the caller has given it up");
        }
    }
}

void
client_forget(struct call *call)
{
    struct client *c = call->client;
    if (!c->nameless && call->seq > c->forgotten) {
        c->forgotten = call->seq;
    }
}

void
client_trim(struct hub *hub, struct client *c)
{
    LIST_EACH(n, &c->calls)
    {
        struct call *call = CONTAINER(n, struct call, of_client);
        if (c->call_count <= WIRE_WINDOW) {
            return;
        }
        /* One that takes long is passed over, so that it does not hold up those that came after it.
         */
        if (call->state == CALL_DONE && call->replica == NULL) {
            client_forget(call);
            call_drop(hub, call);
        }
    }
}

void
client_leave(struct hub *hub, struct client *c)
{
    c->present--;
    if (c->present > 0) {
        return;
    }
    list_append(&hub->idle_clients, &c->idle);
    forget_later(hub, c, WIRE_AWAY_MS);
}

void
client_expired(struct hub *hub, struct client *c)
{
    /* Whoever gave no id is known only as long as its repeats are; a connection never comes back.
     */
    const int64_t keep_ms = !c->nameless  ? WIRE_REMEMBER_MS
                            : c->pid != 0 ? WIRE_DEDUP_MS_NIL_CLIENT
                                          : WIRE_KEEP_MS;
    const bool is_known = c->call_count > 0 || c->background_count > 0 || c->ack > 0 ||
                          c->forgotten > 0 || c->emit_seq > 0;
    if (c->away && c->background_count > 0) {
        forget_later(hub, c, WIRE_KEEP_MS); /* what it left to run has its own time */
        return;
    }
    if (c->away || !is_known) {
        client_free(hub, c);
        return;
    }
    c->away = true;
    LIST_EACH(n, &c->calls)
    {
        struct call *call = CONTAINER(n, struct call, of_client);
        if (call->state != CALL_DONE) {
            call_end(hub, call, "the caller has been away for 5 s");
        }
    }
    lease_leave(hub, c);
    forget_later(hub, c, keep_ms);
}
