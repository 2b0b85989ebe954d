/* Every assertion and option that tests may use, compiled once for Criterion and once for the plain
 * framework: what does not exist in both, or warns in one, fails to build here. */
#include <signal.h>
#include <stdlib.h>

#include "tests/support/test.h"

static int opened;

static void
open_it(void)
{
    opened = 1;
}

static void
close_it(void)
{
    opened = 0;
}

Test(surface, asserts_take_a_condition_and_perhaps_a_message)
{
    cr_assert(1 == 1);
    cr_assert(1 == 1, "a message");
    cr_assert(1 == 1, "a message with %d and %s", 1, "text");
    cr_assert_not(1 == 2);
    cr_assert_not(1 == 2, "a message %d", 1);
    cr_expect(1 == 1);
    cr_expect(1 == 1, "a message with %d", 1);
    cr_expect_not(1 == 2);
}

Test(surface, comparisons_take_two_values)
{
    const size_t two = 2;
    const int three = 3;

    cr_assert_eq(two, 2);
    cr_assert_eq(two, 2, "two is %zu", two);
    cr_assert_neq(two, 3);
    cr_assert_lt(two, 3);
    cr_assert_leq(two, 2, "not %d", three);
    cr_assert_gt(three, 2);
    cr_assert_geq(three, 3);
    cr_expect_eq(two, 2);
    cr_expect_eq(two, 2, "two is %zu of %d", two, three);
    cr_expect_neq(two, 3);
    cr_expect_lt(two, 3);
    cr_expect_leq(two, 2);
    cr_expect_gt(three, 2);
    cr_expect_geq(three, 3);
}

Test(surface, pointers_strings_and_bytes)
{
    const char text[] = "abc";
    const unsigned char bytes[] = {1, 2, 3};
    const unsigned char other[] = {1, 2, 4};
    const char *none = NULL;

    cr_assert_null(none);
    cr_assert_null(none, "message %d", 1);
    cr_assert_not_null(text);
    cr_assert_str_eq(text, "abc");
    cr_assert_str_eq(text, "abc", "text is %s", text);
    cr_assert_str_neq(text, "abd");
    cr_assert_arr_eq(bytes, other, 2);
    cr_assert_arr_eq(bytes, other, 2, "message %d", 1);
    cr_assert_arr_neq(bytes, other, sizeof(bytes));
    cr_expect_null(none);
    cr_expect_not_null(text);
    cr_expect_str_eq(text, "abc");
    cr_expect_str_neq(text, "abd");
    cr_expect_arr_eq(bytes, other, 2);
    cr_expect_arr_neq(bytes, other, sizeof(bytes), "message");
}

Test(surface, init_runs_before_and_fini_after, .init = open_it, .fini = close_it, .timeout = 5)
{
    cr_assert_eq(opened, 1);
}

Test(surface, an_expected_signal_passes, .signal = SIGTERM)
{
    raise(SIGTERM);
}

Test(surface, an_expected_exit_code_passes, .exit_code = 3)
{
    exit(3);
}
