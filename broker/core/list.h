/* Doubly linked lists inside their elements: nothing is allocated to link, and an element can be
 * taken out without knowing its list. A list's own node is its head; an unlinked node points to
 * itself. */
#ifndef PRONG_CORE_LIST_H
#define PRONG_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node {
    struct node *prev, *next;
};

/* Through an integer, because a const node may stand in an element that its reader holds const
 * itself. */
#define CONTAINER(pointer, type, member) ((type *)((uintptr_t)(pointer)-offsetof(type, member)))
/* Walk a list whose current element may be taken out meanwhile. */
#define LIST_EACH(n, head)                                                                         \
    for (struct node *n = (head)->next, *n##_next = n->next; n != (head);                          \
         n = n##_next, n##_next = n->next)

static inline void
list_init(struct node *n)
{
    n->prev = n->next = n;
}

static inline bool
list_is_empty(const struct node *head)
{
    return head->next == head;
}

static inline void
list_append(struct node *head, struct node *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}

/* Take out; an unlinked node stays as it is. */
static inline void
list_remove(struct node *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

#endif
