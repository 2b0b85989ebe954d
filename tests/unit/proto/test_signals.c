/* Names of signals. */
#include "proto/signals.h"

#include <signal.h>
#include <string.h>

#include "tests/support/test.h"

static int
number_of(const char *text)
{
    return signals_number(text, strlen(text));
}

Test(signals, the_numbers_are_those_of_this_system)
{
    cr_expect_eq(number_of("HUP"), SIGHUP);
    cr_expect_eq(number_of("CHLD"), SIGCHLD);
    cr_expect_eq(number_of("STOP"), SIGSTOP);
    cr_expect_eq(number_of("VTALRM"), SIGVTALRM);
    cr_expect_eq(number_of("SYS"), SIGSYS);
    for (int i = 1; i <= 31; i++) {
        const char *name = signals_name(i);
        cr_assert_not_null(name, "%d", i);
        cr_expect_eq(number_of(name), i, "%s", name);
    }
    cr_expect_null(signals_name(0));
    cr_expect_null(signals_name(32));
}

Test(signals, a_name_may_have_its_prefix_and_small_letters_and_be_a_number)
{
    static const struct {
        const char *text;
        int number;
    } rows[] = {{"SIGTERM", 15}, {"sigterm", 15}, {"Term", 15}, {"15", 15},  {"1", 1},
                {"64", 64},      {"015", 15},     {"0", 0},     {"65", 0},   {"0064", 0},
                {"-1", 0},       {"1x", 0},       {"", 0},      {"SIG", 0},  {"SIGSIGTERM", 0},
                {"TERMS", 0},    {"TER", 0},      {" TERM", 0}, {"SIG15", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_eq(number_of(rows[i].text), rows[i].number, "%s", rows[i].text);
    }
    cr_expect_eq(signals_number("HUPPY", 3), 1, "only so many bytes are read");
}
