/* Calls that kill: who dies with a call twice does not get it a third time.
 *
 * A death is blamed on the call that the replica ran alone. When it ran several nobody knows which
 * one it was, and all are suspects; what may run again is then run alone by a replica that runs one
 * call at a time, so that a second death speaks for itself. Blame is remembered for a while by a
 * keyed hash of worker, method and arguments, over all callers, unless an equal call succeeds; what
 * is refused for it stands in the list of dead letters, to be looked at, run again or dropped (the
 * bury and kick of beanstalkd). */
#include "broker/core/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct poison {
    struct table_entry entry; /* by print, in hub->poisons */
    struct node link;         /* in hub->poison_list */
    uint64_t print;
    int64_t until_ns;
    uint32_t deaths; /* of replicas that ran nothing else */
    bool suspect;    /* a replica died that ran others, too */
};

static bool
is_proved(const struct poison *p)
{
    return p->deaths + p->suspect >= 2; /* so it ran alone at least once */
}

static void
forget(struct hub *hub, struct poison *p)
{
    table_remove(&hub->poisons, &p->entry);
    list_remove(&p->link);
    free(p);
}

/* The deadline is that of the first in the list. */
static void
plan(struct hub *hub)
{
    if (list_is_empty(&hub->poison_list)) {
        deadline_clear(&hub->deadlines, &hub->poison_end);
        return;
    }
    const struct poison *first = CONTAINER(hub->poison_list.next, struct poison, link);
    if (!deadline_set(&hub->deadlines, &hub->poison_end, DEADLINE_POISON, first->until_ns)) {
        hub->failed = true;
    }
}

static struct poison *
find(struct hub *hub, uint64_t print)
{
    struct table_entry *e = table_find(&hub->poisons, &print, sizeof print);
    return e == NULL ? NULL : CONTAINER(e, struct poison, entry);
}

static struct poison *
find_or_make(struct hub *hub, uint64_t print)
{
    struct poison *p = find(hub, print);
    if (p != NULL) {
        return p;
    }
    if (table_count(&hub->poisons) >= WIRE_POISONS_MAX) {
        forget(hub, CONTAINER(hub->poison_list.next, struct poison, link));
    }
    p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    p->print = print;
    list_init(&p->link);
    if (!table_add(&hub->poisons, &p->entry, &p->print, sizeof p->print)) {
        free(p);
        return NULL;
    }
    return p;
}

/* ---- dead letters ---------------------------------------------------------------------------- */

void
letter_drop(struct hub *hub, struct letter *l)
{
    list_remove(&l->link);
    hub->letter_count--;
    buf_deinit(&l->args);
    free(l);
}

struct letter *
letter_find(struct hub *hub, uint64_t id)
{
    LIST_EACH(n, &hub->letters)
    {
        struct letter *l = CONTAINER(n, struct letter, link);
        if (l->id == id) {
            return l;
        }
    }
    return NULL;
}

static void
tell(struct hub *hub, const struct letter *l)
{
    struct buf *b = &hub->scratch;
    buf_reset(b, SIZE_MAX);
    write_map(b, 5);
    write_text(b, "letter");
    write_uint(b, l->id);
    write_text(b, "worker");
    write_text(b, l->worker);
    write_text(b, "method");
    write_text(b, l->method);
    write_text(b, "deaths");
    write_uint(b, l->deaths);
    write_text(b, "who");
    write_text(b, l->who);
    hub_event(hub, HUB_EVENT_poison, buf_span(b));
}

static void
add_letter(struct hub *hub, const struct call *call, const struct poison *p)
{
    const struct span args = buf_span(&call->args);
    struct letter *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return; /* it is refused all the same */
    }
    if (hub->letter_count == WIRE_DEAD_LETTERS_MAX) {
        letter_drop(hub, CONTAINER(hub->letters.next, struct letter, link));
    }
    l->id = ++hub->last_letter;
    l->time_us = hub->wall_us;
    l->print = p->print;
    l->deaths = p->deaths + p->suspect;
    (void)snprintf(l->worker, sizeof l->worker, "%s", call->worker->spec->name);
    (void)snprintf(l->method, sizeof l->method, "%.*s", (int)call->method_len, call->method);
    (void)snprintf(l->who, sizeof l->who, "%s", call->client->who);
    (void)snprintf(l->reason, sizeof l->reason, "%s", call->replica->last_reason);
    if (args.len <= WIRE_DEAD_LETTER_BYTES) {
        buf_put(&l->args, args.data, args.len);
    }
    list_append(&hub->letters, &l->link);
    hub->letter_count++;
    tell(hub, l);
}

void
letter_pardon(struct hub *hub, const struct letter *l)
{
    struct poison *p = find(hub, l->print);
    if (p != NULL) {
        forget(hub, p);
        plan(hub);
    }
}

/* ---- blame ----------------------------------------------------------------------------------- */

void
poison_blame(struct hub *hub, struct replica *r)
{
    uint32_t count = 0;
    LIST_EACH(n, &r->running)
    {
        count += CONTAINER(n, struct call, running)->state == CALL_GIVEN;
    }
    const bool alone = count == 1 && r->running_count == 1;
    LIST_EACH(again, &r->running)
    {
        const struct call *call = CONTAINER(again, struct call, running);
        struct poison *p =
            call->state == CALL_GIVEN ? find_or_make(hub, call_print(hub, call)) : NULL;
        if (p == NULL) {
            continue;
        }
        const bool before = is_proved(p);
        p->deaths += alone;
        p->suspect |= !alone;
        p->until_ns = hub->now_ns + (int64_t)WIRE_POISON_MS * NS_PER_MS;
        list_remove(&p->link);
        list_append(&hub->poison_list, &p->link);
        if (!before && is_proved(p)) {
            r->worker->poisoned = true;
            add_letter(hub, call, p);
        }
    }
    plan(hub);
}

bool
poison_is(struct hub *hub, const struct call *call)
{
    const struct poison *p =
        hub->poisons.head == NULL || call->pardoned ? NULL : find(hub, call_print(hub, call));
    return p != NULL && is_proved(p);
}

void
poison_clear(struct hub *hub, const struct call *call)
{
    struct poison *p = hub->poisons.head == NULL ? NULL : find(hub, call_print(hub, call));
    if (p != NULL) {
        forget(hub, p);
        plan(hub);
    }
}

void
poison_expired(struct hub *hub)
{
    LIST_EACH(n, &hub->poison_list)
    {
        struct poison *p = CONTAINER(n, struct poison, link);
        if (p->until_ns > hub->now_ns) {
            break;
        }
        forget(hub, p);
    }
    plan(hub);
}

void
poison_deinit(struct hub *hub)
{
    LIST_EACH(n, &hub->poison_list)
    {
        forget(hub, CONTAINER(n, struct poison, link));
    }
    LIST_EACH(letter, &hub->letters)
    {
        letter_drop(hub, CONTAINER(letter, struct letter, link));
    }
}
