/* Text from elsewhere. */
#include "client/cli/text.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/test.h"

Test(text, what_is_no_utf8_becomes_a_question_mark_byte_for_byte)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"plain\n", "plain\n"},
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"a\xff", "a?"},
        {"\xc3", "?"},
        {"\xc3z", "?z"},
        {"\xe2\x82", "??"},
        {"\xc0\xaf", "??"},           /* a slash in two bytes */
        {"\xe0\x80\xaf", "???"},      /* and in three */
        {"\xed\xa0\x80", "???"},      /* half of a pair */
        {"\xf4\x90\x80\x80", "????"}, /* beyond the last one */
        {"\xf5\x80\x80\x80", "????"},
        {"\x80\xc3\xa4", "?\xc3\xa4"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s", rows[i].in);
        text_make_utf8(text, strlen(text));
        cr_expect_str_eq(text, rows[i].out, "row %zu: %s", i, text);
    }
    char nul[] = "a\0b";
    text_make_utf8(nul, 3);
    cr_expect_str_eq(nul, "a?b");
}
