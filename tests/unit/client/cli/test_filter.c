/* Filters of topics. */
#include "client/cli/filter.h"

#include "tests/support/test.h"

Test(cli_filter, tokens_are_compared)
{
    cr_expect(filter_matches("a", "a"));
    cr_expect(filter_matches("a.b.c", "a.b.c"));
    cr_expect_not(filter_matches("a", "b"));
    cr_expect_not(filter_matches("a", "aa"));
    cr_expect_not(filter_matches("aa", "a"));
    cr_expect_not(filter_matches("a.b", "a"));
    cr_expect_not(filter_matches("a", "a.b"));
    cr_expect_not(filter_matches("", "a"));
}

Test(cli_filter, a_star_is_one_token)
{
    cr_expect(filter_matches("*", "a"));
    cr_expect(filter_matches("a.*.c", "a.b.c"));
    cr_expect(filter_matches("*.*", "a.b"));
    cr_expect_not(filter_matches("*", "a.b"));
    cr_expect_not(filter_matches("a.*", "a"));
    cr_expect_not(filter_matches("a*", "ab"));
}

Test(cli_filter, the_last_sign_is_all_that_follows)
{
    cr_expect(filter_matches(">", "a"));
    cr_expect(filter_matches(">", "a.b.c"));
    cr_expect(filter_matches("a.>", "a.b.c"));
    cr_expect(filter_matches("*.>", "a.b"));
    cr_expect_not(filter_matches("a.>", "a"));
    cr_expect_not(filter_matches("a.>", "b.c"));
}
