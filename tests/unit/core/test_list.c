/* Doubly linked lists inside their elements. */
#include "broker/core/list.h"
#include "tests/support/test.h"

struct item {
    int number;
    struct node link;
};

/* The numbers in a row, forwards; the way back is compared. */
static int
digits(struct node *head)
{
    int forwards = 0, backwards = 0, factor = 1;
    LIST_EACH(n, head)
    {
        forwards = forwards * 10 + CONTAINER(n, struct item, link)->number;
    }
    for (struct node *n = head->prev; n != head; n = n->prev) {
        backwards += factor * CONTAINER(n, struct item, link)->number;
        factor *= 10;
    }
    cr_assert(forwards == backwards, "%d and %d", forwards, backwards);
    return forwards;
}

Test(list, elements_stand_in_the_order_in_which_they_were_appended)
{
    struct node head;
    struct item a = {1, {0}}, b = {2, {0}}, c = {3, {0}};
    list_init(&head);
    cr_assert(list_is_empty(&head) && digits(&head) == 0, "empty");
    list_append(&head, &a.link);
    list_append(&head, &b.link);
    list_append(&head, &c.link);
    cr_assert(!list_is_empty(&head) && digits(&head) == 123, "%d", digits(&head));
}

Test(list, to_append_to_an_element_puts_before_it)
{
    struct node head;
    struct item a = {1, {0}}, b = {2, {0}}, c = {3, {0}};
    list_init(&head);
    list_append(&head, &a.link);
    list_append(head.next, &b.link);
    list_append(&a.link, &c.link);
    cr_assert(digits(&head) == 231, "%d", digits(&head));
}

Test(list, an_element_is_taken_out_without_its_list_and_may_be_taken_out_twice)
{
    struct node head;
    struct item a = {1, {0}}, b = {2, {0}}, c = {3, {0}};
    list_init(&head);
    list_append(&head, &a.link);
    list_append(&head, &b.link);
    list_append(&head, &c.link);
    list_remove(&b.link);
    list_remove(&b.link);
    cr_assert(digits(&head) == 13 && list_is_empty(&b.link), "%d", digits(&head));
    list_remove(&a.link);
    list_remove(&c.link);
    cr_assert(list_is_empty(&head), "empty");
}

Test(list, a_walk_may_take_its_elements_out)
{
    struct node head;
    struct item items[9];
    int seen = 0;
    list_init(&head);
    for (int i = 0; i < 9; i++) {
        items[i].number = i + 1;
        list_append(&head, &items[i].link);
    }
    LIST_EACH(n, &head)
    {
        if (CONTAINER(n, struct item, link)->number % 2 == 0) {
            list_remove(n);
        }
        seen++;
    }
    cr_assert(seen == 9 && digits(&head) == 13579, "%d, %d", seen, digits(&head));
}
