/* NAME=value files, and what becomes of them in a worker's environment. */
#include "broker/config/envfile.h"

#include <stdlib.h>
#include <string.h>

#include "broker/config/object.h"
#include "tests/support/test.h"
#include "tests/unit/config/helper.h"

/* The variables of a text as "NAME=[value] ", or "line: why". Owned. */
static char *
parse(const char *text, size_t size_bytes)
{
    struct config_envfile *file = malloc(sizeof *file);
    char *all = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&all, &len);
    int rc = 1;
    cr_assert(file != NULL && out != NULL);
    config_envfile_init(file, text, size_bytes);
    while ((rc = config_envfile_next(file)) == 1) {
        cr_expect_eq(strlen(file->value), file->value_len);
        fprintf(out, "%.*s=[%s] ", (int)file->name_len, file->name, file->value);
    }
    if (rc < 0) {
        fprintf(out, "%u: %s", file->line, file->why);
    }
    cr_assert_eq(fclose(out), 0);
    free(file);
    return all;
}

static void
expect(const char *text, const char *want, bool whole)
{
    char *got = parse(text, strlen(text));
    const size_t len = whole ? strlen(got) + 1 : strlen(want);
    cr_expect(strncmp(got, want, len) == 0, "%s\n gives    %s\n expected %s", text, got, want);
    free(got);
}

Test(config_envfile, lines_are_read_as_docker_and_systemd_users_expect)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"\n\n  \n", ""},
        {"A=1", "A=[1] "},
        {"A=1\nB=2\n", "A=[1] B=[2] "},
        {"# c\n; c\n  # c\nA=1\n", "A=[1] "},
        {"A=\n", "A=[] "},
        {"A=  \nB=x", "A=[] B=[x] "},
        {"  A = b c  \n", "A=[b c] "},
        {"export A=1\nexport\tB=2\nexport=3\n", "A=[1] B=[2] export=[3] "},
        {"A=1\r\nB='2'\r\n", "A=[1] B=[2] "},
        {"A=a#b\n", "A=[a#b] "},
        {"A=a=b\n", "A=[a=b] "},
        {"A=$HOME ${X} %i\n", "A=[$HOME ${X} %i] "},
        {"A='a \\ \" # b'\n", "A=[a \\ \" # b] "},
        {"A=\"a ' # b\"\n", "A=[a ' # b] "},
        {"A=\"a \\\" \\\\ \\$ \\` b\"\n", "A=[a \" \\ $ ` b] "},
        {"A=\"a\\\nb\"\nB=1\n", "A=[ab] B=[1] "},
        {"A='one\ntwo'\nB=1\n", "A=[one\ntwo] B=[1] "},
        {"A='one\r\ntwo'\r\n", "A=[one\ntwo] "},
        {"A=''\nB=\"\"  \n", "A=[] B=[] "},
        {"A=it's\n", "A=[it's] "},
        {"A=\xc3\xa4\n", "A=[\xc3\xa4] "},
        {"\xef\xbb\xbf"
         "A=1\n",
         "A=[1] "},
        {"A=1\nA=2\n", "A=[1] A=[2] "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect(rows[i][0], rows[i][1], true);
    }
}

Test(config_envfile, what_is_read_in_different_ways_elsewhere_is_refused)
{
    static const char *const rows[][2] = {
        {"A\n", "1: a = is missing behind the name"},
        {"A", "1: a = is missing behind the name"},
        {"A=1\n\nB C=1\n", "A=[1] 3: a line is NAME=value"},
        {"=1\n", "1: a line is NAME=value"},
        {"1A=1\n", "1: a line is NAME=value, with a name of letters, digits and _ that does not"},
        {"A-B=1\n", "1: a line is NAME=value"},
        {"A: 1\n", "1: a line is NAME=value"},
        {"\xc3\x84=1\n", "1: a line is NAME=value"},
        {"A=a\\b\n", "1: put a value with a backslash in '...'"},
        {"A=a\\\nb\n", "1: put a value with a backslash in '...'"},
        {"A=a # b\n", "1: put a value with a # behind a blank in quotes"},
        {"A=a\t#b\n", "1: put a value with a # behind a blank in quotes"},
        {"A='a' # b\n", "1: nothing may follow the quotes"},
        {"A='a'b\n", "1: nothing may follow the quotes"},
        {"A=\"a\\nb\"\n", "1: in \"...\" a backslash stands only before"},
        {"\nA='a\nb\n", "2: the ' of this value has no other one"},
        {"A=\"a\n\n\n", "1: the \" of this value has no other one"},
        {"A=\"a\\", "1: in \"...\" a backslash"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect(rows[i][0], rows[i][1], false);
    }
    char *got = parse("A=1\nB=a\0b\n", 10);
    cr_expect_str_eq(got, "A=[1] 2: a value cannot have a NUL character in it");
    free(got);
}

Test(config_envfile, a_value_may_have_32_kib_and_no_more)
{
    char *text = malloc(CONFIG_TEXT_BYTES_MAX + 4);
    cr_assert_not_null(text);
    memset(text, 'x', CONFIG_TEXT_BYTES_MAX + 3);
    text[1] = '=';
    text[CONFIG_TEXT_BYTES_MAX + 3] = '\0';
    expect(text, "1: a value may have at most 32 KiB", true);
    char *got = parse(text, CONFIG_TEXT_BYTES_MAX + 2);
    cr_expect_eq(strlen(got), CONFIG_TEXT_BYTES_MAX + 5);
    free(got);
    free(text);
}

/* ---- in a configuration -----------------------------------------------------------------------
 */

#define FILES(rows) helper_files(rows, sizeof rows / sizeof rows[0])

static void
expect_pair(const struct config_worker *worker, const char *name, const char *value, bool is_secret)
{
    const struct config_pair *pair = config_map_find(&worker->environment, name);
    cr_assert_not_null(pair, "%s is missing", name);
    cr_expect_str_eq(pair->value, value);
    cr_expect_eq(pair->is_secret, is_secret, "%s", name);
}

Test(config_envfile, environment_wins_over_files_and_later_files_over_earlier)
{
    static const struct helper_file rows[] = {
        {"/etc/prong/1.env", "A=1\nB=1\nC=1\nD=1\nD=1b\n", 0},
        {"/etc/prong/2.env", "B=2\nC=2\n", 0},
    };
    FILES(rows);
    struct config *config =
        helper_load("defaults: {environment: {A: d}, env_file: [1.env, 2.env, \"-3.env\"]}\n"
                    "workers:\n"
                    "  a: {command: [run], environment: {C: own}}\n"
                    "  b: {command: [run], env_file: ./2.env}\n");
    cr_assert_eq(config->worker_count, 2);
    expect_pair(&config->workers[0], "A", "d", false);
    expect_pair(&config->workers[0], "B", "2", true);
    expect_pair(&config->workers[0], "C", "own", false);
    expect_pair(&config->workers[0], "D", "1b", true);
    cr_expect_eq(config->workers[0].environment.count, 4);
    expect_pair(&config->workers[1], "A", "d", false);
    expect_pair(&config->workers[1], "B", "2", true);
    cr_expect_eq(config->workers[1].environment.count, 3);
    cr_expect_str_eq(config->workers[1].env_file.items[0], "/etc/prong/2.env");
    config_free(config);
}

Test(config_envfile, what_is_wrong_is_told_without_the_value)
{
    static char many[20 * 300], utf8[] = "A=1\nB=\xff\n";
    static struct helper_file rows[] = {
        {"/etc/prong/bad.env", "A=1\n\nPASSWORD=hunter2\\\n", 0},
        {"/etc/prong/many.env", many, 0},
        {"/etc/prong/utf8.env", utf8, 0},
    };
    static const char *const bad[][2] = {
        {"bad.env",
         "bad.env:3:1: put a value with a backslash in '...', where it stands for itself"},
        {"utf8.env", "utf8.env:2:1: a value has to be plain text in UTF-8"},
        {"many.env", "x.yaml:1:29: worker 'a' may have at most 256 variables, with those of "
                     "'env_file'"},
        {"no.env", "x.yaml:1:29: 'env_file' cannot be read, 'no.env': No such file or directory"},
        {"[no.env, \"-no.env\"]",
         "x.yaml:1:29: 'env_file' cannot be read, 'no.env': No such file or directory"},
        {"{A: b}", "x.yaml:1:39: 'env_file' must be a path or a list of paths, got a map"},
        {"''", "x.yaml:1:39: 'env_file' must be a path of 1 to 4095 bytes"},
        {"\"-\"", "x.yaml:1:39: 'env_file' must be a path of 1 to 4095 bytes"},
        {"~/x", "x.yaml:1:39: 'env_file' cannot be '~/x': ~ is not the home directory here, write "
                "${HOME}"},
    };
    for (size_t i = 0, at = 0; i < 300; i++) {
        at += (size_t)snprintf(many + at, sizeof many - at, "N%zu=x\n", i);
    }
    FILES(rows);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "workers: {a: {command: [x], env_file: %s}}\n", bad[i][0]);
        cr_expect_str_eq(helper_fail(text), bad[i][1]);
    }
}

Test(config_envfile, the_bytes_of_all_files_count_together)
{
    static char text[600 * 1024];
    static const struct helper_file rows[] = {{"/etc/prong/big.env", text, 0}};
    static char yaml[32 * 64];
    size_t at = 0, used = 0;
    for (int i = 0; i < 19; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "N%d=%031000d\n", i, 0);
    }
    used = (size_t)snprintf(yaml, sizeof yaml, "defaults: {env_file: big.env}\nworkers:\n");
    for (int i = 0; i < 32; i++) {
        used += (size_t)snprintf(yaml + used, sizeof yaml - used, "  w%d: {command: [x]}\n", i);
    }
    FILES(rows);
    cr_expect_str_eq(helper_fail(yaml), "x.yaml:1:12: the texts of the configuration are larger "
                                        "than 16 MiB together");
}
