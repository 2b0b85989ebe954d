/* Queues of calls: the highest priority first, and among equals the clients take turns.
 *
 * A client's calls of one priority stand in a line of their own, and the lines of a priority are
 * served one call each, round and round (deficit round robin of Shreedhar and Varghese, where every
 * call costs the same). So who floods a worker waits behind itself only. A line that was served
 * goes to the end only when the next one is: who comes while its call runs stands before it, and
 * waits for that one call of it and no other. */
#include "broker/core/parts.h"

#include <stdlib.h>

void
queue_init(struct queue *q)
{
    *q = (struct queue){0};
    for (size_t i = 0; i <= WIRE_PRIORITY_MAX; i++) {
        list_init(&q->lanes[i]);
    }
}

/* The client's line of this priority; made when there is none. Nearly always it is the one that
 * stands in the client itself. NULL when memory is out. */
static struct line *
line_of(struct client *c, struct queue *q, uint8_t priority)
{
    if (c->line.queue == q && c->line.priority == priority) {
        return &c->line;
    }
    LIST_EACH(n, &c->lines)
    {
        struct line *l = CONTAINER(n, struct line, of_client);
        if (l->queue == q && l->priority == priority) {
            return l;
        }
    }
    struct line *l = c->line.queue == NULL ? &c->line : malloc(sizeof *l);
    if (l == NULL) {
        return NULL;
    }
    *l = (struct line){.queue = q, .priority = priority};
    list_init(&l->of_client);
    list_init(&l->link);
    list_init(&l->calls);
    if (l != &c->line) {
        list_append(&c->lines, &l->of_client);
    }
    return l;
}

/* Behind those of its line that came before it: a call that was given and comes back keeps its
 * place. */
static struct node *
place_in(struct line *l, const struct call *call)
{
    struct node *at = &l->calls;
    while (at->prev != &l->calls &&
           CONTAINER(at->prev, struct call, queued)->number > call->number) {
        at = at->prev;
    }
    return at;
}

bool
queue_add(struct queue *q, struct call *call)
{
    struct line *l = line_of(call->client, q, call->priority);
    if (l == NULL) {
        return false;
    }
    list_append(place_in(l, call), &call->queued);
    if (list_is_empty(&l->link)) {
        list_append(&q->lanes[l->priority], &l->link);
        q->used |= (uint16_t)(1U << l->priority);
    }
    l->count++;
    call->line = l;
    q->count++;
    return true;
}

void
queue_remove(struct call *call)
{
    struct line *l = call->line;
    struct queue *q = l->queue;
    list_remove(&call->queued);
    call->line = NULL;
    q->count--;
    if (--l->count > 0) {
        return;
    }
    list_remove(&l->link);
    if (list_is_empty(&q->lanes[l->priority])) {
        q->used &= (uint16_t) ~(1U << l->priority);
    }
    l->queue = NULL;
    if (!list_is_empty(&l->of_client)) {
        list_remove(&l->of_client);
        free(l);
    }
}

void
queue_serve(struct call *call)
{
    struct line *l = call->line;
    struct node *lane = &l->queue->lanes[l->priority];
    struct line *before = CONTAINER(lane->next, struct line, link);
    if (before != l) {
        before->served = false;
        list_remove(&before->link);
        list_append(lane, &before->link);
    }
    l->served = true;
    queue_remove(call);
}

struct call *
queue_first(const struct queue *q)
{
    for (size_t p = WIRE_PRIORITY_MAX; q->used != 0 && p > 0; p--) {
        if ((q->used >> p & 1) != 0) {
            const struct line *l = CONTAINER(q->lanes[p].next, struct line, link);
            if (l->served && l->link.next != &q->lanes[p]) {
                l = CONTAINER(l->link.next, struct line, link);
            }
            return CONTAINER(l->calls.next, struct call, queued);
        }
    }
    return NULL;
}

static const struct client *
client_of_line(const struct line *l)
{
    return CONTAINER(l->calls.next, struct call, queued)->client;
}

/* Those of the same line stand before it, and the other lines have a turn before each of these; one
 * more those whose turn comes before that of this line, which is the last one when it is new. All
 * of higher priority come first. */
uint64_t
queue_ahead(const struct queue *q, const struct client *c, uint8_t priority)
{
    uint64_t own = 0, ahead = 0;
    bool passed = false;
    LIST_EACH(n, &q->lanes[priority])
    {
        const struct line *l = CONTAINER(n, struct line, link);
        own = client_of_line(l) == c ? l->count : own;
    }
    LIST_EACH(n, &q->lanes[priority])
    {
        const struct line *l = CONTAINER(n, struct line, link);
        const bool is_own = client_of_line(l) == c;
        const uint64_t turns = own + !(passed || l->served);
        ahead += is_own || l->count < turns ? l->count : turns;
        passed |= is_own && !l->served;
    }
    for (size_t p = (size_t)priority + 1; p <= WIRE_PRIORITY_MAX; p++) {
        LIST_EACH(n, &q->lanes[p])
        {
            ahead += CONTAINER(n, struct line, link)->count;
        }
    }
    return ahead;
}

void
queue_each(struct queue *q, void (*visit)(void *context, struct call *call), void *context)
{
    for (size_t p = 1; p <= WIRE_PRIORITY_MAX; p++) {
        LIST_EACH(line, &q->lanes[p])
        {
            struct line *l = CONTAINER(line, struct line, link);
            /* The line goes with its last call, so its end is known by their count. */
            struct node *n = l->calls.next;
            for (uint32_t left = l->count; left > 0; left--) {
                struct call *call = CONTAINER(n, struct call, queued);
                n = n->next;
                visit(context, call);
            }
        }
    }
}
