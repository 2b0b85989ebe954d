/* The heap of deadlines. */
#include "broker/core/deadline.h"
#include "tests/support/test.h"

enum { COUNT = 300 };

/* A pseudo-random number that is the same in every run. */
static uint32_t
draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void
take_all(struct deadlines *all, size_t wanted)
{
    int64_t last = INT64_MIN;
    size_t count = 0;
    for (struct deadline *d; (d = deadline_first(all)) != NULL; count++) {
        cr_assert(d->at_ns >= last, "out of order");
        last = d->at_ns;
        deadline_clear(all, d);
        cr_assert(d->place == 0 && deadline_is_heap(all), "no heap");
    }
    cr_assert(count == wanted, "%zu of %zu", count, wanted);
}

Test(deadline, they_come_out_in_the_order_of_their_times)
{
    struct deadlines all = {0};
    static struct deadline items[COUNT];
    uint32_t state = 1;
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert(deadline_set(&all, &items[i], DEADLINE_CALL, draw(&state) % 1000), "set");
        cr_assert(deadline_is_heap(&all), "no heap");
    }
    take_all(&all, COUNT);
    deadline_deinit(&all);
}

Test(deadline, any_of_them_can_be_moved_and_taken_out)
{
    struct deadlines all = {0};
    static struct deadline items[COUNT];
    uint32_t state = 2;
    for (size_t i = 0; i < 20000; i++) {
        struct deadline *d = &items[draw(&state) % COUNT];
        if (draw(&state) % 3 == 0) {
            deadline_clear(&all, d);
        } else {
            cr_assert(deadline_set(&all, d, DEADLINE_CALL, draw(&state) % 500), "set");
        }
        cr_assert(deadline_is_heap(&all), "no heap after %zu", i);
    }
    size_t left = 0;
    for (size_t i = 0; i < COUNT; i++) {
        left += items[i].place != 0;
    }
    cr_assert(left == all.count && left > 0, "%zu, %zu", left, all.count);
    take_all(&all, left);
    deadline_deinit(&all);
}

Test(deadline, one_that_is_moved_keeps_its_kind_and_one_that_is_not_in_is_left_alone)
{
    struct deadlines all = {0};
    struct deadline a = {0}, b = {0};
    cr_assert_null(deadline_first(&all), "empty");
    deadline_clear(&all, &a);
    cr_assert(deadline_set(&all, &a, DEADLINE_TICKET, 10) &&
                  deadline_set(&all, &b, DEADLINE_CLIENT, 20),
              "set");
    cr_assert(deadline_first(&all) == &a, "first");
    cr_assert(deadline_set(&all, &a, DEADLINE_TICKET, 30) && deadline_first(&all) == &b, "later");
    cr_assert(deadline_set(&all, &a, DEADLINE_TICKET, 5) && deadline_first(&all) == &a, "earlier");
    cr_assert(a.kind == DEADLINE_TICKET && b.kind == DEADLINE_CLIENT, "kinds");
    deadline_clear(&all, &a);
    deadline_clear(&all, &a);
    cr_assert(deadline_first(&all) == &b && all.count == 1, "one is left");
    deadline_deinit(&all);
    deadline_deinit(&all);
}

Test(deadline, a_broken_heap_is_recognised)
{
    struct deadlines all = {0};
    struct deadline a = {0}, b = {0};
    cr_assert(deadline_set(&all, &a, DEADLINE_CALL, 10) &&
                  deadline_set(&all, &b, DEADLINE_CALL, 20),
              "set");
    b.at_ns = 5;
    cr_assert(!deadline_is_heap(&all), "order");
    b.at_ns = 20;
    b.place = 1;
    cr_assert(!deadline_is_heap(&all), "place");
    deadline_deinit(&all);
}
