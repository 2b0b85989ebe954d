/* What the configuration says of a line of a GPIO chip. */
#include <string.h>

#include "proto/device/gpio.h"
#include "tests/support/test.h"

static struct gpio_line
parsed(const char *text)
{
    struct gpio_line line;
    char why[300] = "";
    cr_assert(gpio_line_parse(text, &line, why, sizeof why), "%s: %s", text, why);
    return line;
}

static void
expect_refused(const char *text, const char *expected)
{
    struct gpio_line line;
    char why[300] = "";
    cr_expect_not(gpio_line_parse(text, &line, why, sizeof why), "%s", text);
    cr_expect_str_eq(why, expected, "%s gives: %s", text, why);
    cr_expect_not(gpio_check_line(text, why, sizeof why));
}

Test(gpio_line, is_an_input_with_both_edges_unless_it_says_more)
{
    const struct gpio_line line = parsed("17");
    cr_expect_eq(line.offset, 17);
    cr_expect_str_eq(line.name, "");
    cr_expect_eq(line.direction, GPIO_IN);
    cr_expect_eq(line.edge, GPIO_EDGE_BOTH);
    cr_expect_eq(line.bias, GPIO_BIAS_AS_IS);
    cr_expect_eq(line.drive, GPIO_PUSH_PULL);
    cr_expect_eq(line.active_low, 0);
    cr_expect_eq(line.initial, 0);
    cr_expect_eq(line.debounce_ms, 0);
}

Test(gpio_line, has_what_is_said_in_any_order)
{
    struct gpio_line line = parsed("  0 debounce=5ms\tactive-low  edge=falling bias=pull-up in ");
    cr_expect_eq(line.offset, 0);
    cr_expect_eq(line.direction, GPIO_IN);
    cr_expect_eq(line.edge, GPIO_EDGE_FALLING);
    cr_expect_eq(line.bias, GPIO_BIAS_PULL_UP);
    cr_expect_eq(line.active_low, 1);
    cr_expect_eq(line.debounce_ms, 5);
    line = parsed("65535 initial=1 out drive=open-source bias=off");
    cr_expect_eq(line.offset, 65535);
    cr_expect_eq(line.direction, GPIO_OUT);
    cr_expect_eq(line.drive, GPIO_OPEN_SOURCE);
    cr_expect_eq(line.bias, GPIO_BIAS_OFF);
    cr_expect_eq(line.initial, 1);
    cr_expect_eq(parsed("1 debounce=10s").debounce_ms, 10000);
    cr_expect_eq(parsed("1 edge=none bias=pull-down").edge, GPIO_EDGE_NONE);
    cr_expect_eq(parsed("1 out drive=open-drain").drive, GPIO_OPEN_DRAIN);
}

Test(gpio_line, may_be_found_by_a_name_which_may_have_spaces_in_quotes)
{
    cr_expect_str_eq(parsed("GPIO17 out").name, "GPIO17");
    cr_expect_eq(parsed("GPIO17 out").offset, -1);
    cr_expect_str_eq(parsed("\"SD card\" edge=none").name, "SD card");
    cr_expect_eq(parsed("\"SD card\" edge=none").edge, GPIO_EDGE_NONE);
    cr_expect_str_eq(parsed("\"17\"").name, "17");
    cr_expect_str_eq(parsed("\"in\"").name, "in");
    cr_expect_str_eq(parsed("0123456789012345678901234567890").name,
                     "0123456789012345678901234567890");
}

Test(gpio_line, that_is_wrong_is_refused_with_the_reason)
{
    expect_refused("", "the number or the name of the line is missing");
    expect_refused("  ", "the number or the name of the line is missing");
    expect_refused("out 17", "the number or the name of the line comes first");
    expect_refused("edge=both", "the number or the name of the line comes first");
    expect_refused("\"\"", "the name of a line has 1 to 31 bytes");
    expect_refused("a1234567890123456789012345678901", "the name of a line has 1 to 31 bytes");
    expect_refused("\"SD card", "a word is too long, or a quote is missing");
    expect_refused("65536", "no chip has so many lines");
    expect_refused("1 on",
                   "there is no 'on'; there are in, out, active-low, bias=, edge=, debounce=, "
                   "drive=, initial=");
    expect_refused("1 edge", "there is no 'edge'; there are in, out, active-low, bias=, edge=, "
                             "debounce=, drive=, initial=");
    expect_refused("1 edge=up", "'edge=' is followed by both, rising, falling or none");
    expect_refused("1 out initial=2", "'initial=' is followed by 0 or 1");
    expect_refused("1 debounce=5", "'debounce=' is followed by a time from 1ms to 10s");
    expect_refused("1 debounce=0ms", "'debounce=' is followed by a time from 1ms to 10s");
    expect_refused("1 debounce=11s", "'debounce=' is followed by a time from 1ms to 10s");
    expect_refused("1 debounce=-1s", "'debounce=' is followed by a time from 1ms to 10s");
    expect_refused("1 in in", "'in' stands there twice");
    expect_refused("1 in out", "'in' is of no use to an output");
    expect_refused("1 out edge=both", "'edge' is of no use to an output");
    expect_refused("1 initial=1", "'initial' is of no use to an input");
    expect_refused("1 drive=open-drain", "'drive' is of no use to an input");
    expect_refused("1 edge=none debounce=1ms", "'debounce' is of no use without edges");
}

Test(gpio_line, is_called_by_a_word)
{
    char why[200] = "";
    cr_expect(gpio_check_name("Lamp_1-a", why, sizeof why));
    cr_expect_not(gpio_check_name("", why, sizeof why));
    cr_expect_not(gpio_check_name("a b", why, sizeof why));
    cr_expect_not(gpio_check_name("a1234567890123456789012345678901", why, sizeof why));
    cr_expect_str_eq(why, "a line is called by 1 to 31 of A-Z a-z 0-9 _ -");
}
