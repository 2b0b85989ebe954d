/* Topics of MQTT and filters of them. */
#include "proto/device/mqtt.h"

#include <string.h>

#include "tests/support/test.h"

Test(mqtt_topics, what_is_published_at_has_no_wildcards)
{
    static const char *const good[] = {"a",         "/", "a/b c", "$SYS/x", "line-3/\xc3\xbc",
                                       "$share/g/t"};
    static const char *const bad[] = {"", "#", "+", "a/+", "a/#", "a+b"};
    char why[200];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_expect(mqtt_check_topic(good[i], why, sizeof why), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        why[0] = '\0';
        cr_expect_not(mqtt_check_topic(bad[i], why, sizeof why), "%s", bad[i]);
        cr_expect_neq(why[0], '\0', "%s", bad[i]);
    }
}

Test(mqtt_topics, of_what_length_they_are)
{
    static char text[65537];
    char why[200];
    memset(text, 'x', sizeof text - 1);
    cr_expect_not(mqtt_check_topic(text, why, sizeof why));
    cr_expect_not_null(strstr(why, "65535"));
    cr_expect_not(mqtt_check_filter(text, why, sizeof why));
    text[65535] = '\0';
    cr_expect(mqtt_check_topic(text, why, sizeof why));
    cr_expect(mqtt_check_filter(text, why, sizeof why));
    cr_expect_not(mqtt_is_topic("a\0b", 3, why, sizeof why));
    cr_expect_not_null(strstr(why, "NUL"));
}

Test(mqtt_topics, a_filter_has_wildcards_for_whole_levels)
{
    static const char *const good[] = {"a",    "#",     "+",      "+/+",        "a/+/b",
                                       "a/#",  "/#",    "+/#",    "//",         "$share/g/a",
                                       "a//b", "+/b/+", "$SYS/#", "$share/g/#", "$shared"};
    static const char *const bad[] = {
        "",   "a#",       "#/a",     "a/#/b",     "a+",        "+a",         "a/b+/c",     "##",
        "++", "$share/g", "$share/", "$share//a", "$share/g/", "$share/+/a", "$share/g/a+"};
    char why[200];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_expect(mqtt_check_filter(good[i], why, sizeof why), "%s: %s", good[i], why);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        why[0] = '\0';
        cr_expect_not(mqtt_check_filter(bad[i], why, sizeof why), "%s", bad[i]);
        cr_expect_neq(why[0], '\0', "%s", bad[i]);
    }
}

Test(mqtt_topics, a_shared_filter_is_one_of_a_group)
{
    cr_expect_str_eq(mqtt_unshared("$share/g/a/b"), "a/b");
    cr_expect_str_eq(mqtt_unshared("a/b"), "a/b");
    cr_expect_str_eq(mqtt_unshared("$share//a"), "$share//a");
    cr_expect_str_eq(mqtt_unshared("$share/g"), "$share/g");
}
