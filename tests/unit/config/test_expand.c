/* ${VAR} in a text. */
#include "broker/config/expand.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"
#include "tests/unit/config/helper.h"

Test(config_expand, variables_are_put_in_and_the_rest_stays)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"plain", "plain"},
        {"${HOME}", "/people/ada"},
        {"a${TWO}b${TWO}c", "a2b2c"},
        {"${EMPTY}", ""},
        {"${EMPTY:-x}", "x"},
        {"${NONE:-x y}", "x y"},
        {"${NONE:-}", ""},
        {"${TWO:-x}", "2"},
        {"$$", "$"},
        {"$${TWO}", "${TWO}"},
        {"$$$$", "$$"},
        {"$", "$"},
        {"a$", "a$"},
        {"$TWO", "$TWO"},
        {"$(x)", "$(x)"},
        {"%i $1 {x}", "%i $1 {x}"},
        {"${NONE:-$$}", "$$"},
        {"${TWO:?needed}", "2"},
        {"\xc3\xa4${TWO}\xc3\xb6", "\xc3\xa4\x32\xc3\xb6"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config_expansion result = {0};
        cr_assert_eq(config_expand(rows[i][0], &helper_env, &result), CONFIG_EXPAND_OK, "%s",
                     rows[i][0]);
        cr_expect_str_eq(result.text, rows[i][1]);
        cr_expect_eq(result.len, strlen(rows[i][1]));
        free(result.text);
    }
}

Test(config_expand, an_unset_variable_is_named)
{
    struct config_expansion result = {0};
    cr_expect_eq(config_expand("a ${NONE} b", &helper_env, &result), CONFIG_EXPAND_UNSET);
    cr_expect_str_eq(result.name, "NONE");
    cr_expect_null(result.text);
    cr_expect_eq(config_expand("${HOME}", NULL, &result), CONFIG_EXPAND_UNSET);
    cr_expect_str_eq(result.name, "HOME");
}

Test(config_expand, a_variable_that_is_required_says_what_for)
{
    static const char *const rows[][3] = {{"${NONE:?set it to 1}", "NONE", "set it to 1"},
                                          {"a ${EMPTY:?}", "EMPTY", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config_expansion result = {0};
        cr_expect_eq(config_expand(rows[i][0], &helper_env, &result), CONFIG_EXPAND_REQUIRED);
        cr_expect_str_eq(result.name, rows[i][1]);
        cr_expect_str_eq(result.message, rows[i][2]);
        cr_expect_null(result.text);
    }
}

Test(config_expand, what_is_no_variable_is_refused)
{
    static const char *const rows[] = {
        "${",        "${}",       "${1}",      "${HOME",      "${HO ME}",   "${HOME:", "${HOME:}",
        "${HOME-x}", "${HOME:-x", "${HOME:?x", "${\xc3\xa4}", "${HOME:+x}", "${:-x}"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config_expansion result = {0};
        cr_expect_eq(config_expand(rows[i], &helper_env, &result), CONFIG_EXPAND_SYNTAX, "%s",
                     rows[i]);
        cr_expect_null(result.text);
    }
}

static const char *
get_long(void *context, const char *name)
{
    (void)name;
    return context;
}

Test(config_expand, a_text_that_grows_too_long_is_refused)
{
    char value[CONFIG_TEXT_BYTES_MAX / 2 + 1];
    memset(value, 'x', sizeof value);
    value[sizeof value - 1] = '\0';
    const struct config_env env = {.get = get_long, .context = value};
    struct config_expansion result = {0};
    cr_assert_eq(config_expand("${A}${A}", &env, &result), CONFIG_EXPAND_OK);
    cr_expect_eq(result.len, CONFIG_TEXT_BYTES_MAX);
    free(result.text);
    cr_expect_eq(config_expand("${A}${A}.", &env, &result), CONFIG_EXPAND_LONG);
}
