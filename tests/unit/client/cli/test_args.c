/* Arguments of a call as they are written on a command line. */
#include "client/cli/args.h"

#include <string.h>

#include "tests/support/test.h"

enum { WORDS_MAX = 8 };

static int
count_of(const char *const *words)
{
    int count = 0;
    while (count < WORDS_MAX && words[count] != NULL) {
        count++;
    }
    return count;
}

/* The arguments as JSON, "" when they are refused; owned, freed with prong_free. */
static char *
shown(const char *const *words)
{
    struct cli cli = {.signal_fd = -1, .deadline_ms = CLI_NEVER_MS};
    prong_writer *w = prong_writer_new();
    prong_value value;
    char *json = NULL;
    cr_assert_not_null(w);
    if (args_write(&cli, words, count_of(words), w) == CLI_OK) {
        cr_expect_eq(prong_writer_finish(w, &value), PRONG_OK);
        cr_expect_eq(prong_value_to_json(&value, 0, &json), PRONG_OK);
    }
    prong_writer_free(w);
    return json;
}

Test(cli_args, words_become_an_object)
{
    static const struct {
        const char *words[WORDS_MAX];
        const char *json;
    } rows[] = {
        {{NULL}, "{}"},
        {{"a=1"}, "{\"a\":\"1\"}"},
        {{"a:=1"}, "{\"a\":1}"},
        {{"a:=1.0", "b="}, "{\"a\":1.0,\"b\":\"\"}"},
        {{"a=b:=c"}, "{\"a\":\"b:=c\"}"},
        {{"a=@@x", "b:=\"@x\""}, "{\"a\":\"@x\",\"b\":\"@x\"}"},
        {{"a:=[{\"b\":null}]"}, "{\"a\":[{\"b\":null}]}"},
        {{"{\"a\": 1}"}, "{\"a\":1}"},
        {{"[1, 2]"}, "[1,2]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *json = shown(rows[i].words);
        cr_assert_not_null(json);
        cr_expect_str_eq(json, rows[i].json);
        prong_free(json);
    }
}

Test(cli_args, what_is_wrong_is_refused)
{
    static const char *const rows[][WORDS_MAX] = {{"a"},
                                                  {"=1"},
                                                  {":=1"},
                                                  {"a:="},
                                                  {"a:=x"},
                                                  {"a=1", "a=2"},
                                                  {"a=1", "a:=2"},
                                                  {"{\"a\":1}", "b=1"},
                                                  {"{"},
                                                  {"{}x"},
                                                  {"a=\xff"},
                                                  {"a=1", "-"},
                                                  {"a=@/none/such"},
                                                  {"a:=@/none/such"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *json = shown(rows[i]);
        cr_expect_null(json, "%s gave %s", rows[i][0], json);
        prong_free(json);
    }
}

Test(cli_args, a_text_that_was_meant_as_json_is_found)
{
    static const struct {
        const char *message;
        const char *words[WORDS_MAX];
        const char *found;
    } rows[] = {
        {"thresh must be a number", {"thresh=0.5"}, "thresh=0.5"},
        {"wrong type of argument 'lines'; allowed: worker lines",
         {"worker=3", "lines=5"},
         "lines=5"},
        {"argument \"on\" must be bool", {"on=true"}, "on=true"},
        {"`n` is bad", {"n=[1]"}, "n=[1]"},
        {"thresh must be a number", {"thresh=half"}, NULL},
        {"thresh must be a number", {"thresh:=0.5"}, NULL},
        {"thresh must be a number", {"thresh=\"0.5\""}, NULL},
        {"thresh must be a number", {"thresh=@5"}, NULL},
        {"threshold must be a number", {"thresh=5"}, NULL},
        {"there is no argument 'lines'; allowed: none", {"lines=5"}, NULL},
        {"", {"a=1"}, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t key_len = 0;
        const char *found =
            args_find_mistyped(rows[i].words, count_of(rows[i].words), rows[i].message, &key_len);
        cr_expect_str_eq(found != NULL ? found : "(none)",
                         rows[i].found != NULL ? rows[i].found : "(none)");
    }
}
