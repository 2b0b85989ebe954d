/* Arguments that a method of a device does not know. */
#include "client/devices/arguments.h"

#include <string.h>

#include "tests/support/test.h"

static char why[300];

/* Of a map with these keys, which end with NULL. */
static bool
check_map(const char *names, const char *const *keys)
{
    uint32_t count = 0;
    while (keys[count] != NULL) {
        count++;
    }
    prong_writer *w = prong_writer_new();
    cr_assert(w != NULL);
    prong_writer_map(w, count);
    for (uint32_t i = 0; i < count; i++) {
        prong_writer_key(w, keys[i]);
        prong_writer_int(w, 1);
    }
    prong_value args;
    cr_assert(prong_writer_finish(w, &args) == PRONG_OK);
    why[0] = '\0';
    const bool is_good = arguments_check("send", names, &args, why, sizeof why);
    prong_writer_free(w);
    return is_good;
}

static bool
check_array(const char *names, uint32_t count)
{
    prong_writer *w = prong_writer_new();
    cr_assert(w != NULL);
    prong_writer_array(w, count);
    for (uint32_t i = 0; i < count; i++) {
        prong_writer_int(w, 1);
    }
    prong_value args;
    cr_assert(prong_writer_finish(w, &args) == PRONG_OK);
    const bool is_good = arguments_check("send", names, &args, why, sizeof why);
    prong_writer_free(w);
    return is_good;
}

Test(device_arguments, what_a_method_has_is_let_through)
{
    cr_expect(check_map("data to raw", (const char *const[]){"raw", "data", NULL}));
    cr_expect(check_map("data to raw", (const char *const[]){NULL}));
    cr_expect(check_map("", (const char *const[]){NULL}));
    cr_expect(check_map(NULL, (const char *const[]){"whatever", NULL}));
    cr_expect(check_array("data to raw", 3));
    cr_expect(check_array(NULL, 30));
}

Test(device_arguments, anything_else_is_refused_with_what_there_is)
{
    cr_expect_not(check_map("data to raw", (const char *const[]){"data", "tp", NULL}));
    cr_expect_str_eq(why, "send has no argument 'tp'; it has data, to, raw");
    cr_expect_not(check_map("data to raw", (const char *const[]){"everybody", NULL}));
    cr_expect_str_eq(why, "send has no argument 'everybody'; it has data, to, raw");
    cr_expect_not(check_map("", (const char *const[]){"to", NULL}));
    cr_expect_str_eq(why, "send has no argument 'to'");
    cr_expect_not(check_map("data", (const char *const[]){"dat", NULL}), "the beginning of one");
    cr_expect_not(check_map("data", (const char *const[]){"", NULL}));
    cr_expect_not(check_array("data to raw", 4));
    cr_expect_str_eq(why, "send takes 3 arguments at most, and not 4");
}

Test(device_arguments, a_name_that_is_long_is_cut)
{
    char longest[400];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    cr_expect_not(check_map("data", (const char *const[]){longest, NULL}));
    cr_expect_lt(strlen(why), 120u);
    cr_expect(strstr(why, "; it has data") != NULL, "%s", why);
}
