/* Reading options from their tables. */
#include "client/cli/options.h"

#include <string.h>

#include "tests/support/test.h"

static const struct option_row own[] = {
    {.name = "--name", .kind = OPTION_TEXT, .offset = OPTION_FIELD(name), .value = "NAME"},
    {.name = "--lines",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .offset = OPTION_FIELD(lines),
     .value = "N",
     .min = 1,
     .max = 10},
    {.name = "--env", .kind = OPTION_TEXTS, .offset = OPTION_FIELD(environment), .value = "K=V"},
    {.name = NULL},
};
static const struct option_row common[] = {
    {.name = "--output",
     .letter = 'o',
     .kind = OPTION_TEXT,
     .offset = OPTION_FIELD(output),
     .value = "FORM",
     .allowed = "table json"},
    {.name = "-j",
     .letter = 'j',
     .kind = OPTION_PRESET,
     .offset = OPTION_FIELD(output),
     .preset = "json"},
    {.name = "--quiet", .letter = 'q', .kind = OPTION_FLAG, .offset = OPTION_FIELD(quiet)},
    {.name = "--timeout",
     .kind = OPTION_DURATION,
     .offset = OPTION_FIELD(timeout_ms),
     .value = "TIME",
     .min = 1,
     .max = 3600000},
    {.name = "--name", .kind = OPTION_TEXT, .offset = OPTION_FIELD(hub_name), .value = "HUB"},
    {.name = NULL},
};

enum { WORDS_MAX = 16 };

struct result {
    bool ok;
    struct options options;
    const char *rest[WORDS_MAX];
    int rest_count;
    char fault[OPTIONS_FAULT_BYTES_MAX];
};

/* Words end with NULL. */
static struct result
read_words(const char *const *words, bool stops)
{
    struct result r = {0};
    struct option_reader reader = {
        .tables = {own, common}, .argv = words, .stops_at_argument = stops};
    while (words[reader.argc] != NULL) {
        reader.argc++;
    }
    r.ok = options_read(&reader, &r.options, r.rest, &r.rest_count, r.fault);
    return r;
}

#define READ(...)  read_words((const char *const[]){__VA_ARGS__, NULL}, false)
#define STOPS(...) read_words((const char *const[]){__VA_ARGS__, NULL}, true)

Test(cli_options, values_stand_behind_a_space_or_a_sign)
{
    struct result r = READ("--timeout", "5s", "-n", "3", "--output=table", "x");
    cr_assert(r.ok, "%s", r.fault);
    cr_expect_eq(r.options.timeout_ms, 5000);
    cr_expect_eq(r.options.lines, 3);
    cr_expect_str_eq(r.options.output, "table");
    cr_expect_eq(r.rest_count, 1);
    r = READ("-n3", "-qj", "-qn", "4");
    cr_assert(r.ok, "%s", r.fault);
    cr_expect_eq(r.options.lines, 4);
    cr_expect(r.options.quiet);
    cr_expect_str_eq(r.options.output, "json");
}

Test(cli_options, a_table_hides_the_same_name_of_the_next)
{
    const struct result r = READ("--name", "mine");
    cr_expect(r.ok);
    cr_expect_str_eq(r.options.name, "mine");
    cr_expect_null(r.options.hub_name);
}

Test(cli_options, words_and_options_mix_until_two_dashes)
{
    const struct result r = READ("a", "-q", "-", "b", "--", "--name", "--");
    cr_assert(r.ok, "%s", r.fault);
    cr_expect(r.options.quiet);
    cr_assert_eq(r.rest_count, 5);
    cr_expect_str_eq(r.rest[1], "-");
    cr_expect_str_eq(r.rest[3], "--name");
    cr_expect_str_eq(r.rest[4], "--");
}

Test(cli_options, the_first_word_can_end_the_options)
{
    const struct result r = STOPS("-q", "program", "--name", "-n", "--");
    cr_assert(r.ok, "%s", r.fault);
    cr_expect_eq(r.rest_count, 4);
    cr_expect_null(r.options.name);
}

Test(cli_options, lists_grow)
{
    struct result r = READ("--env", "A=1", "--env=B=2");
    cr_assert(r.ok, "%s", r.fault);
    cr_expect_eq(r.options.environment.count, 2);
    cr_expect_str_eq(r.options.environment.items[1], "B=2");
    options_deinit(&r.options);
    options_deinit(&r.options);
}

Test(cli_options, what_is_wrong_is_told)
{
    static const struct {
        const char *words[3];
        const char *fault;
    } rows[] = {
        {{"--tiemout", "5s"}, "unknown option '--tiemout', did you mean --timeout?"},
        {{"--xyzzy"}, "unknown option '--xyzzy'"},
        {{"-x"}, "unknown option '-x'"},
        {{"-qx"}, "unknown option '-x'"},
        {{"--timeout"}, "--timeout needs a value: --timeout TIME"},
        {{"--timeout", "5"},
         "--timeout '5': use a time from 1ms to 1h with ms, s, m or h, such as 1.5s"},
        {{"--timeout", "0"},
         "--timeout '0': use a time from 1ms to 1h with ms, s, m or h, such as 1.5s"},
        {{"--timeout", "-5"},
         "--timeout '-5': use a time from 1ms to 1h with ms, s, m or h, such as 1.5s"},
        {{"--timeout", "99999h"},
         "--timeout '99999h': use a time from 1ms to 1h with ms, s, m or h, such as 1.5s"},
        {{"--timeout", "3600001ms"},
         "--timeout '3600001ms': use a time from 1ms to 1h with ms, s, m or h, such as 1.5s"},
        {{"--quiet=1"}, "--quiet takes no value"},
        {{"-n", "11"}, "--lines '11': use a whole number from 1 to 10"},
        {{"--output", "tab"}, "--output 'tab': use one of table json"},
        {{"--output", "jsno"}, "--output 'jsno': use one of table json; did you mean json?"},
        {{"--name="}, "--name needs a value that is not empty: --name NAME"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct result r = read_words(rows[i].words, false);
        cr_expect_not(r.ok, "%s", rows[i].words[0]);
        cr_expect_str_eq(r.fault, rows[i].fault);
    }
}

Test(cli_options, a_value_may_come_from_elsewhere)
{
    struct option_reader reader = {.tables = {own, common}};
    struct options o = {0};
    char fault[OPTIONS_FAULT_BYTES_MAX];
    cr_expect(options_read_value(&reader, "--timeout", "PRONG_TIMEOUT", "2m", &o, fault));
    cr_expect_eq(o.timeout_ms, 120000);
    cr_expect_not(options_read_value(&reader, "--timeout", "PRONG_TIMEOUT", "2", &o, fault));
    cr_expect_str_eq(
        fault, "PRONG_TIMEOUT '2': use a time from 1ms to 1h with ms, s, m or h, such as 1.5s");
    cr_expect_eq(o.timeout_ms, 120000);
}

Test(cli_options, a_word_is_found_whole)
{
    cr_expect(options_has_word("ps list", "ps"));
    cr_expect(options_has_word("ps list", "list"));
    cr_expect(options_has_word("ps", "ps"));
    cr_expect(!options_has_word("ps list", "p"));
    cr_expect(!options_has_word("ps list", "lis"));
    cr_expect(!options_has_word("ps list", "ps list"));
    cr_expect(!options_has_word("ps list", ""));
    cr_expect(!options_has_word("", "ps"));
}
