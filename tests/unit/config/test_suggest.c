/* "Did you mean". */
#include "broker/config/suggest.h"

#include <string.h>

#include "tests/support/test.h"

static const char *
nearest(const char *word)
{
    static const char *const words[] = {"command", "args",          "replicas", "restart",
                                        "ready",   "restart_delay", "no",       "always"};
    struct config_suggestion suggestion = {.word = word};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        config_suggest_offer(&suggestion, words[i]);
    }
    return suggestion.best != NULL ? suggestion.best : "(none)";
}

Test(config_suggest, the_nearest_word_is_offered)
{
    static const char *const rows[][2] = {
        {"comand", "command"},
        {"commnad", "command"},
        {"replica", "replicas"},
        {"Replicas", "replicas"},
        {"restart-delay", "restart_delay"},
        {"restrat", "restart"},
        {"arg", "args"},
        {"redy", "ready"},
        {"restart_dealy", "restart_delay"},
        {"No", "no"},
        {"alwasy", "always"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_str_eq(nearest(rows[i][0]), rows[i][1]);
    }
}

Test(config_suggest, a_word_far_from_all_gets_no_offer)
{
    char longer[100];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    cr_expect_str_eq(nearest("colour"), "(none)");
    cr_expect_str_eq(nearest("x"), "(none)");
    cr_expect_str_eq(nearest(""), "(none)");
    cr_expect_str_eq(nearest("yes"), "(none)");
    cr_expect_str_eq(nearest(longer), "(none)");
}
