/* Handles: never twice, never a stranger. */
#include "proto/link/handles.h"

#include "tests/support/test.h"

#include <stdlib.h>

Test(handles, find_what_was_added_until_it_is_removed)
{
    struct handle_table t = {0};
    int a, b;
    cr_assert_null(handle_find(&t, 0));
    const uint64_t ha = handle_add(&t, &a), hb = handle_add(&t, &b);
    cr_assert(ha != 0 && hb != 0 && ha != hb);
    cr_assert_eq(handle_find(&t, ha), &a);
    cr_assert_eq(handle_find(&t, hb), &b);
    cr_assert_eq(t.count, 2);
    handle_remove(&t, ha);
    handle_remove(&t, ha);
    cr_assert_null(handle_find(&t, ha));
    cr_assert_eq(t.count, 1);
    cr_assert_null(handle_find(&t, UINT64_MAX));
    handle_deinit(&t);
    cr_assert_null(handle_find(&t, hb));
}

Test(handles, are_never_given_twice_although_places_are)
{
    enum { ROUNDS = 1000, LIVE = 100 };
    struct handle_table t = {0};
    static uint64_t seen[ROUNDS * LIVE];
    size_t count = 0;
    int item;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < LIVE; i++) {
            seen[count + (size_t)i] = handle_add(&t, &item);
        }
        for (int i = 0; i < LIVE; i++) {
            cr_assert_eq(handle_find(&t, seen[count + (size_t)i]), &item);
            handle_remove(&t, seen[count + (size_t)i]);
        }
        count += LIVE;
    }
    cr_assert_eq(t.capacity, 128);
    for (size_t i = 0; i < count; i++) {
        cr_assert_null(handle_find(&t, seen[i]));
    }
    handle_deinit(&t);
}

Test(handles, end_at_a_million_places)
{
    struct handle_table t = {0};
    int item;
    uint32_t n = 0;
    while (handle_add(&t, &item) != 0) {
        n++;
        cr_assert_leq(n, 1u << 20);
    }
    cr_assert_eq(n, 1u << 20);
    handle_deinit(&t);
}
