/* Outputs: which are set together, and what is said when not all could be. */
#include <errno.h>
#include <string.h>

#include "client/devices/gpio/outputs.h"
#include "tests/support/test.h"

enum { COUNT_MAX = 12 };

/* The requests of lines, as digits. */
static void
expect_requests(const char *const *texts, uint32_t kinds_max, const char *expected)
{
    struct gpio_line lines[COUNT_MAX];
    const struct gpio_line *all[COUNT_MAX] = {NULL};
    uint32_t requests[COUNT_MAX], count = 0, most = 0;
    char why[200], got[COUNT_MAX + 1] = "";
    for (; texts[count] != NULL; count++) {
        cr_assert(gpio_line_parse(texts[count], &lines[count], why, sizeof why), "%s", why);
        all[count] = &lines[count];
    }
    const uint32_t made = gpio_requests_make(all, count, kinds_max, requests);
    for (uint32_t i = 0; i < count; i++) {
        got[i] = (char)('0' + requests[i]);
        most = requests[i] + 1 > most ? requests[i] + 1 : most;
    }
    cr_expect_str_eq(got, expected, "with %u kinds", kinds_max);
    cr_expect_eq(made, most);
}

Test(gpio_outputs, are_taken_together_and_each_input_alone)
{
    const char *const lines[] = {"0", "1 out", "LAMP out initial=1", "2", "3 out", NULL};
    expect_requests(lines, 1, "01121");
    expect_requests(lines, 8, "01121");
}

Test(gpio_outputs, that_differ_are_together_as_far_as_the_library_can)
{
    const char *const lines[] = {"0 out",           "1 out active-low",       "2",
                                 "3 out bias=off",  "4 out drive=open-drain", "5 out active-low",
                                 "6 out initial=1", "7 out bias=off",         NULL};
    expect_requests(lines, 1, "01234103");
    expect_requests(lines, 2, "00122002");
    expect_requests(lines, 3, "00102000");
    expect_requests(lines, 8, "00100000");
}

Test(gpio_outputs, a_chip_without_lines_has_no_requests)
{
    expect_requests((const char *const[]){NULL}, 1, "");
}

/* What is said of a set of lines a, b...: wanted and left of it, as "1", "0" and "-" for each. */
static void
expect_said(const char *wanted, const char *left, uint32_t done, const char *expected)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct gpio_set set = {.count = (uint32_t)strlen(wanted)};
    char why[200], full[9];
    for (uint32_t i = 0; i < set.count; i++) {
        set.names[i] = names[i];
        set.wanted[i] = wanted[i] == '-' ? GPIO_LEAVE : wanted[i] == '1' ? GPIO_TO_1 : GPIO_TO_0;
        set.left[i] = left[i] == '-' ? GPIO_LEAVE : set.wanted[i];
    }
    cr_expect_eq(gpio_set_done(&set), done, "%s %s", wanted, left);
    gpio_say_left(&set, ENODEV, why, sizeof why);
    cr_expect_str_eq(why, expected);
    memset(full, 'x', sizeof full);
    gpio_say_left(&set, ENODEV, full, sizeof full - 1);
    cr_expect(strlen(full) < sizeof full - 1 && full[sizeof full - 1] == 'x', "within its room");
}

Test(gpio_outputs, that_could_not_all_be_set_are_told_apart)
{
    expect_said("1", "1", 0, "nothing was set: No such device");
    expect_said("-10-", "-10-", 0, "nothing was set: No such device");
    expect_said("1-10", "--10", 1, "not all was set: No such device; set: a; not set: c, d");
    expect_said("0101", "-1--", 3, "not all was set: No such device; set: a, c, d; not set: b");
}
