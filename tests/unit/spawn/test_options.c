#include <stdio.h>
#include <string.h>

#include "broker/spawn/options.h"
#include "tests/support/test.h"

struct row {
    const char *arguments[6];
    bool is_good;
    const char *fault; /* part of it */
};

static const struct row rows[] = {
    {{NULL}, true, ""},
    {{"--config", "a.yaml"}, true, ""},
    {{"--config=a.yaml", "--name=x", "--runtime-dir=/r", "--broker=/b"}, true, ""},
    {{"--name", "a-z_0"}, true, ""},
    {{"--version", "--nonsense"}, true, ""},
    {{"-h"}, true, ""},
    {{"--name", ""}, false, "--name needs a value: --name N"},
    {{"--name="}, false, "--name needs a value: --name N"},
    {{"--name", "a/b"}, false, "--name 'a/b' is not allowed"},
    {{"--name", ".."}, false, "not allowed"},
    {{"--name", "A"}, false, "not allowed"},
    {{"--runtime-dir"}, false, "--runtime-dir needs a value: --runtime-dir DIR"},
    {{"--versoin"}, false, "unknown option '--versoin', did you mean --version?"},
    {{"--runtime_dir=/x"}, false, "unknown option '--runtime_dir', did you mean --runtime-dir?"},
    {{"--conf"}, false, "did you mean --config?"},
    {{"--x"}, false, "unknown option '--x'; allowed: --config --no-config --runtime-dir"},
    {{"-c", "x"}, false, "unknown option '-c'; allowed:"},
    {{"--no-config=1"}, false, "--no-config takes no value"},
    {{"--config", "x", "--no-config"}, false, "exclude each other"},
    {{"--with-parent", "1"}, true, ""},
    {{"--with-parent=999999999"}, true, ""},
    {{"--with-parent"}, false, "--with-parent needs a value: --with-parent PID"},
    {{"--with-parent", "0"}, false, "--with-parent '0' is not the number of a process"},
    {{"--with-parent", "-1"}, false, "is not the number"},
    {{"--with-parent", "1x"}, false, "is not the number"},
    {{"--with-parent", "9999999999"}, false, "is not the number"},
    {{"up"}, false, "unexpected argument 'up'"},
    {{"--"}, false, "unknown option '--'"},
    {{""}, false, "unexpected argument ''"},
};

static bool
parse(const char *const arguments[6], struct options *options, char *fault)
{
    union {
        const char *given[8];
        char *list[8];
    } argv = {{"prongd"}};
    int argc = 1;
    for (; argc < 7 && arguments[argc - 1]; argc++) {
        argv.given[argc] = arguments[argc - 1];
    }
    return options_parse(argc, argv.list, options, fault);
}

Test(options, each_row_is_taken_or_refused_with_a_reason)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct options options;
        char fault[OPTIONS_FAULT_BYTES_MAX] = "";
        const bool is_good = parse(rows[i].arguments, &options, fault);
        cr_expect_eq(is_good, rows[i].is_good, "row %zu: %s", i, fault);
        cr_expect_not_null(strstr(fault, rows[i].fault), "row %zu: %s", i, fault);
    }
}

Test(options, values_go_to_their_fields)
{
    struct options options;
    char fault[OPTIONS_FAULT_BYTES_MAX];
    const char *const arguments[6] = {"--config=a=b",  "--name", "n",
                                      "--runtime-dir", "/r",     "--help"};
    cr_assert(parse(arguments, &options, fault));
    cr_expect_str_eq(options.config, "a=b");
    cr_expect_str_eq(options.name, "n");
    cr_expect_str_eq(options.runtime_dir, "/r");
    cr_expect_null(options.broker);
    cr_expect_eq(options.parent_pid, 0);
    cr_expect(options.help);
    cr_expect_not(options.no_config);
}

Test(options, the_parent_is_a_number)
{
    struct options options;
    char fault[OPTIONS_FAULT_BYTES_MAX];
    cr_assert(parse((const char *const[6]){"--with-parent=1234"}, &options, fault));
    cr_expect_eq(options.parent_pid, 1234);
}

Test(options, very_long_words_are_refused_without_harm)
{
    char word[5000];
    struct options options;
    char fault[OPTIONS_FAULT_BYTES_MAX];
    memset(word, '-', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    cr_expect_not(parse((const char *const[6]){word}, &options, fault));
    cr_expect_not(parse((const char *const[6]){"--name", word}, &options, fault));
    cr_expect_lt(strlen(fault), sizeof fault);
}

Test(options, a_name_has_at_most_64_letters)
{
    char name[66];
    struct options options;
    char fault[OPTIONS_FAULT_BYTES_MAX];
    memset(name, 'n', sizeof name);
    name[64] = '\0';
    cr_expect(parse((const char *const[6]){"--name", name}, &options, fault));
    name[64] = 'n';
    name[65] = '\0';
    cr_expect_not(parse((const char *const[6]){"--name", name}, &options, fault));
}

Test(options, help_names_every_option)
{
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    cr_assert_not_null(out);
    options_print_help(out);
    fclose(out);
    static const char *const names[] = {"--config",      "--no-config", "--runtime-dir", "--name",
                                        "--broker",      "--version",   "--man",         "--help",
                                        "--with-parent", "--quiet"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cr_expect_not_null(strstr(text, names[i]), "%s", names[i]);
    }
    cr_expect_not_null(strstr(text, "\n   78  configuration\n"));
}

Test(options, the_manual_page_names_every_option_and_exit_code)
{
    char text[8192] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    cr_assert_not_null(out);
    options_print_man(out, "1.2.3");
    fclose(out);
    cr_expect_not_null(strstr(text, "\n.TH PRONGD 8 \"\" \"prongd 1.2.3\""));
    cr_expect_not_null(strstr(text, "\n.BI \"\\-\\-runtime\\-dir\" \" DIR\"\nfolder of the lock"));
    cr_expect_not_null(strstr(text, "\n.TP\n.B 78\nconfiguration.\n"));
    cr_expect_null(strstr(text, "--"), "a minus is written so that it can be copied");
}
