/* How long is waited before the next attempt. */
#include "client/devices/backoff.h"
#include "tests/support/test.h"

Test(backoff, doubles_from_the_least_to_the_most_within_a_fifth)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct backoff b = {.min_ms = 100, .max_ms = 30000, .seed = seed};
        int64_t base = 100;
        for (int i = 0; i < 20; i++) {
            const int64_t wait = backoff_next(&b);
            cr_expect_geq(wait, base - base / 5);
            cr_expect_leq(wait, base + base / 5 < 30000 ? base + base / 5 : 30000);
            base = base < 15000 ? 2 * base : 30000;
        }
    }
}

Test(backoff, begins_anew_after_a_success)
{
    struct backoff b = {.min_ms = 100, .max_ms = 30000, .seed = 1};
    for (int i = 0; i < 10; i++) {
        (void)backoff_next(&b);
    }
    backoff_reset(&b);
    cr_expect_leq(backoff_next(&b), 120);
}

Test(backoff, is_not_the_same_for_two_that_fail_together)
{
    struct backoff a = {.min_ms = 1000, .max_ms = 30000, .seed = 1};
    struct backoff b = {.min_ms = 1000, .max_ms = 30000, .seed = 2};
    cr_expect_neq(backoff_next(&a), backoff_next(&b));
}

Test(backoff, is_never_nothing)
{
    struct backoff b = {.min_ms = 1, .max_ms = 1};
    for (int i = 0; i < 100; i++) {
        cr_expect_eq(backoff_next(&b), 1);
    }
}

Test(backoff, what_did_not_last_is_no_success)
{
    struct backoff b = {.min_ms = 100, .max_ms = 30000, .seed = 1};
    backoff_lasted(&b, 0); /* the first time there is nothing to begin anew */
    for (int64_t base = 100; base < 3000; base *= 2) {
        cr_expect_geq(backoff_next(&b), base - base / 5);
        backoff_lasted(&b, 2 * base - 1);
    }
    backoff_lasted(&b, 30000);
    cr_expect_leq(backoff_next(&b), 120);
}
