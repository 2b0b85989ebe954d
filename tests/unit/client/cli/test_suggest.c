/* "Did you mean". */
#include "client/cli/suggest.h"

#include "tests/support/test.h"

static const char *
nearest(const char *word)
{
    static const char *const words[] = {"status", "start",    "stop",      "restart",
                                        "events", "describe", "--timeout", "ps"};
    struct suggestion near = {.word = word};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        suggest_offer(&near, words[i]);
    }
    return near.best != NULL ? near.best : "(none)";
}

Test(cli_suggest, the_nearest_word_is_offered)
{
    static const char *const rows[][2] = {{"statsu", "status"},       {"strat", "start"},
                                          {"sotp", "stop"},           {"evnets", "events"},
                                          {"--tiemout", "--timeout"}, {"restrt", "restart"},
                                          {"discribe", "describe"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_str_eq(nearest(rows[i][0]), rows[i][1]);
    }
}

Test(cli_suggest, a_word_far_from_all_gets_no_offer)
{
    cr_expect_str_eq(nearest("xyzzy"), "(none)");
    cr_expect_str_eq(nearest(""), "(none)");
    cr_expect_str_eq(nearest("a-word-that-is-longer-than-all-there-is-room-for"), "(none)");
}
