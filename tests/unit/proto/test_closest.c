/* "Did you mean". */
#include "proto/closest.h"

#include <string.h>

#include "tests/support/test.h"

enum { CANDIDATES = 8 };

static const char *const keys[CANDIDATES] = {"command", "args",          "replicas", "restart",
                                             "ready",   "restart_delay", "no",       "always"};
static const char *const verbs[CANDIDATES] = {"status", "start",    "stop",      "restart",
                                              "events", "describe", "--timeout", "ps"};

static const char *
closest_of(struct closest closest, const char *const candidates[CANDIDATES])
{
    for (size_t i = 0; i < CANDIDATES; i++) {
        closest_offer(&closest, candidates[i]);
    }
    return closest.best != NULL ? closest.best : "(none)";
}

static const char *
loosely(const char *word)
{
    return closest_of((struct closest){.word = word, .loose = true}, keys);
}

static const char *
exactly(const char *word)
{
    return closest_of((struct closest){.word = word}, verbs);
}

/* The closest candidate to a word of `len` letters is the word with two letters more. */
static bool
is_corrected(size_t len, size_t bytes_max)
{
    char word[100], candidate[100];
    memset(word, 'a', sizeof word);
    memset(candidate, 'a', sizeof candidate);
    word[len] = candidate[len + 2] = '\0';
    struct closest longer = {.word = word, .bytes_max = bytes_max};
    struct closest shorter = {.word = candidate, .bytes_max = bytes_max};
    closest_offer(&longer, candidate);
    closest_offer(&shorter, word);
    cr_expect_eq(longer.best, shorter.best != NULL ? candidate : NULL, "%d letters", (int)len);
    return longer.best != NULL;
}

Test(closest, the_closest_word_is_offered)
{
    static const char *const rows[][2] = {{"statsu", "status"},       {"strat", "start"},
                                          {"sotp", "stop"},           {"evnets", "events"},
                                          {"--tiemout", "--timeout"}, {"restrt", "restart"},
                                          {"discribe", "describe"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_str_eq(exactly(rows[i][0]), rows[i][1]);
    }
}

Test(closest, the_closest_word_is_offered_by_loose_rules)
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
        cr_expect_str_eq(loosely(rows[i][0]), rows[i][1]);
    }
}

Test(closest, capital_letters_and_dashes_are_mistakes_unless_the_rules_are_loose)
{
    cr_expect_str_eq(loosely("RESTART-DELAY"), "restart_delay");
    cr_expect_str_eq(closest_of((struct closest){.word = "RESTART-DELAY"}, keys), "(none)");
    cr_expect_str_eq(exactly("STATUS"), "(none)");
    cr_expect_str_eq(exactly("Status"), "status");
    cr_expect_str_eq(exactly("__timeout"), "--timeout");
    cr_expect_str_eq(exactly("___timeout_"), "(none)");
}

Test(closest, a_word_far_from_all_gets_no_offer)
{
    char longer[100];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    cr_expect_str_eq(loosely("colour"), "(none)");
    cr_expect_str_eq(loosely("x"), "(none)");
    cr_expect_str_eq(loosely(""), "(none)");
    cr_expect_str_eq(loosely("yes"), "(none)");
    struct closest digit = {.word = "3", .loose = true};
    closest_offer(&digit, "0");
    cr_expect_null(digit.best, "nothing of the word is left");
    cr_expect_str_eq(loosely(longer), "(none)");
    cr_expect_str_eq(exactly("xyzzy"), "(none)");
    cr_expect_str_eq(exactly(""), "(none)");
    cr_expect_str_eq(exactly("a-word-that-is-longer-than-all-there-is-room-for"), "(none)");
}

Test(closest, long_words_get_no_offer)
{
    cr_expect(is_corrected(CLOSEST_BYTES_MAX - 2, 0));
    cr_expect(!is_corrected(CLOSEST_BYTES_MAX - 1, 0));
    cr_expect(is_corrected(38, 40));
    cr_expect(!is_corrected(39, 40));
    cr_expect(is_corrected(CLOSEST_BYTES_MAX - 2, 1000));
    cr_expect(!is_corrected(CLOSEST_BYTES_MAX - 1, 1000));
}
