#include "proto/device/rate.h"
#include "tests/support/test.h"

#include <string.h>

Test(rate, is_a_word_or_a_number)
{
    struct rate rate;
    char why[80];
    cr_assert(rate_parse("source", &rate, why, sizeof why) && rate.is_source &&
                  rate.per_second == 0,
              "source");
    cr_assert(rate_parse("max", &rate, why, sizeof why) && !rate.is_source && rate.per_second == 0,
              "max");
    cr_assert(rate_parse("12.5", &rate, why, sizeof why) && !rate.is_source &&
                  rate.per_second == 12.5,
              "12.5");
    cr_assert(rate_parse("10000", &rate, why, sizeof why) && rate.per_second == 10000, "10000");
}

Test(rate, anything_else_is_refused_with_a_reason)
{
    static const char *const wrong[] = {"",      "fast", "Source", "1 ",     " 1",
                                        "-1",    "1e3",  "0x10",   "inf",    "nan",
                                        "1.2.3", ".",    "0",      "0.0001", "10001"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char why[80] = "";
        cr_expect(!rate_check(wrong[i], why, sizeof why) && why[0] != '\0', "'%s': %s", wrong[i],
                  why);
    }
}

Test(rate, streams_have_names_of_a_few_letters)
{
    char why[80] = "";
    cr_expect(rate_check_stream("cam_1-b", why, sizeof why), "%s", why);
    cr_expect(!rate_check_stream("Cam", why, sizeof why) && strstr(why, "a-z") != NULL, "%s", why);
    cr_expect(!rate_check_stream("cam/0", why, sizeof why), "a name has no slash");
}
