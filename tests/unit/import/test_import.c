/* Configurations of other process managers: what they come to, and what is told to be lost.
 *
 * data/NAME comes to data/NAME.yaml and data/NAME.lost. The variable IMPORT_TEST_WRITE=1 writes
 * these anew, for a reader to judge the difference before it is committed. */
#include "broker/import/import.h"

#include <stdlib.h>
#include <string.h>

#include "broker/config/options.h"
#include "broker/import/work.h"
#include "tests/support/test.h"

struct result {
    int rc;
    char *yaml, *lost;
};

static const char *
get_one(void *context, const char *name)
{
    (void)context;
    (void)name;
    return "1";
}

static int
read_nothing(void *context, const char *path, struct config_file *file, struct config_diag *diag)
{
    (void)context;
    (void)path;
    (void)diag;
    file->data = calloc(1, 1);
    return file->data != NULL ? 0 : -1;
}

/* What came of it is read as the hub would. */
static void
expect_valid(const char *yaml)
{
    const struct config_env env = {.get = get_one, .read_file = read_nothing};
    const struct config_source source = {"out.yaml", "/srv", yaml, strlen(yaml), false};
    struct config *config = NULL;
    struct config_diag diag;
    cr_expect_eq(config_load_text(&source, &env, &config, &diag), 0, "%u:%u: %s\n%s", diag.line,
                 diag.column, diag.text, yaml);
    config_free(config);
}

static struct result
import_named(const char *name, const char *text, enum import_kind kind)
{
    const struct import_source source = {name, "/srv/old", text, strlen(text)};
    struct result r = {0};
    size_t yaml_len = 0, lost_len = 0;
    FILE *out = open_memstream(&r.yaml, &yaml_len), *lost = open_memstream(&r.lost, &lost_len);
    cr_assert(out != NULL && lost != NULL);
    r.rc = import_text(&source, kind, out, lost);
    cr_assert(fclose(out) == 0 && fclose(lost) == 0);
    if (r.rc == 0) {
        expect_valid(r.yaml);
    } else {
        cr_expect_str_eq(r.yaml, "");
    }
    return r;
}

static void
result_free(struct result *r)
{
    free(r->yaml);
    free(r->lost);
}

static char *
read_all(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 65536);
    cr_assert_not_null(text);
    if (file != NULL) {
        const size_t len = fread(text, 1, 65535, file);
        text[len] = '\0';
        fclose(file);
    }
    return text;
}

static void
expect_file(const char *name, const char *ending, const char *got)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%s", IMPORT_TEST_DIR, name, ending);
    if (getenv("IMPORT_TEST_WRITE") != NULL) {
        FILE *file = fopen(path, "we");
        cr_assert_not_null(file);
        fputs(got, file);
        cr_assert_eq(fclose(file), 0);
    }
    char *expected = read_all(path);
    cr_expect_str_eq(got, expected, "%s%s\n--- got\n%s\n--- expected\n%s", name, ending, got,
                     expected);
    free(expected);
}

Test(import, whole_files_come_to_what_is_expected)
{
    static const char *const names[] = {"supervisord.conf", "circus.ini", "Procfile"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", IMPORT_TEST_DIR, names[i]);
        char *text = read_all(path);
        struct result r = import_named(names[i], text, IMPORT_GUESS);
        cr_expect_eq(r.rc, 0, "%s: %s", names[i], r.lost);
        expect_file(names[i], ".yaml", r.yaml);
        expect_file(names[i], ".lost", r.lost);
        result_free(&r);
        free(text);
    }
}

/* What the table of options lacks is told, and what it gains later is taken. */
Test(import, whether_a_key_is_carried_over_is_looked_up_in_the_table_of_options)
{
    static const char text[] =
        "[watcher:a]\ncmd = run\nuid = ada\ngid = staff\nrlimit_nofile = 500\n"
        "max_age = 60\nrlimit_nothing = 1\n";
    static const char *const keys[][2] = {{"user", "user: \"ada\"\n"},
                                          {"group", "group: \"staff\"\n"},
                                          {"rlimit_nofile", "rlimit_nofile: 500\n"},
                                          {"max_age", "max_age: 60s\n"},
                                          {"rlimit_nothing", "rlimit_nothing: 1\n"}};
    struct result r = import_named("circus.ini", text, IMPORT_GUESS);
    cr_assert_eq(r.rc, 0, "%s", r.lost);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char told[100];
        const bool is_known = config_option_find(&config_worker_table, keys[i][0]) >= 0;
        snprintf(told, sizeof told, "there is no option '%s'\n", keys[i][0]);
        cr_expect_eq(strstr(r.yaml, keys[i][1]) != NULL, is_known, "%s\n%s", keys[i][0], r.yaml);
        cr_expect_eq(strstr(r.lost, told) != NULL, !is_known, "%s\n%s", keys[i][0], r.lost);
    }
    cr_expect(strstr(r.lost, "circus.ini:7: [watcher:a] rlimit_nothing: there is no option") !=
                  NULL,
              "%s", r.lost);
    result_free(&r);
}

struct row {
    const char *text, *yaml, *lost; /* parts; NULL: nothing is expected of it */
};

static void
expect_rows(const struct row *rows, size_t count, const char *head, enum import_kind kind)
{
    for (size_t i = 0; i < count; i++) {
        char text[1000];
        snprintf(text, sizeof text, "%s%s\n", head, rows[i].text);
        struct result r = import_named("f", text, kind);
        cr_expect_eq(r.rc, 0, "%s\n%s", text, r.lost);
        cr_expect(rows[i].yaml == NULL || strstr(r.yaml, rows[i].yaml) != NULL, "%s\n%s\nnot %s",
                  text, r.yaml, rows[i].yaml);
        cr_expect(rows[i].lost != NULL ? strstr(r.lost, rows[i].lost) != NULL : *r.lost == '\0',
                  "%s\n%s\nnot %s", text, r.lost,
                  rows[i].lost != NULL ? rows[i].lost : "(nothing)");
        result_free(&r);
    }
}

#define COUNT_OF(table) (sizeof(table) / sizeof(table)[0])

Test(import, values_of_supervisor)
{
    static const struct row rows[] = {
        {"autorestart=false", "restart: no\n", NULL},
        {"autorestart=maybe", NULL, "that is none of true, false and unexpected"},
        {"autostart=maybe", NULL, "neither true nor false"},
        {"numprocs=0", NULL,
         "numprocs: not taken: 'replicas' must be a whole number from 1 to 256"},
        {"stopwaitsecs=ten", NULL, "no number of seconds"},
        {"stopwaitsecs=0.5", "stop_timeout: 500ms\n", NULL},
        {"stopsignal=NOPE", NULL, "stopsignal: not taken: 'stop_signal' must be a signal"},
        {"stdout_logfile_maxbytes=0", NULL, "'log_max_bytes' must be a size"},
        {"stdout_logfile_maxbytes=1XB", NULL, "that is no size"},
        {"environment=A", NULL, "not NAME=value"},
        {"environment=A='b", NULL, "a quote in it is not closed"},
        {"environment=A=1,A=2", "\"A\": \"1\"\n", "a variable is given twice"},
        {"environment=A=%(ENV_HOME)s/x,B=$$,C=100%%",
         "\"A\": \"${HOME}/x\"\n      \"B\": \"$$$$\"\n"
         "      \"C\": \"100%%\"\n",
         NULL},
        {"directory=%(nope)s/x", "working_dir: \"%%(nope)s/x\"",
         "%(nope)s is not known here, and stays"},
        {"process_name=%(program_name)s", NULL, NULL},
        {"process_name=mine", NULL, "replicas have numbers for names"},
        {"command=again", NULL, "command: the worker has 'command' already"},
        {"numprocs_start=1", NULL, "begin at 0"},
        {"redirect_stderr=false", NULL, "one log"},
        {"stopasgroup=false", NULL, NULL},
    };
    expect_rows(rows, COUNT_OF(rows), "[program:a]\ncommand=run\n", IMPORT_SUPERVISOR);
}

Test(import, command_lines_become_lists)
{
    static const struct row rows[] = {
        {"a b  c", "command: [\"a\", \"b\", \"c\"]\n", NULL},
        {"a 'b  c' \"d \\\" e\" f\\ g", "command: [\"a\", \"b  c\", \"d \\\" e\", \"f g\"]\n",
         NULL},
        {"a '' x\"y\"z", "command: [\"a\", \"\", \"xyz\"]\n", NULL},
        {"a \"\\n\"", "command: [\"a\", \"\\\\n\"]\n", NULL},
        {"a\n b", "command: [\"a\", \"b\"]\n", NULL},
        {"a ; comment", "command: [\"a\"]\n", NULL},
        {"a;b", "command: [\"a;b\"]\n", NULL},
        {"a %(process_num)d$ %", "command: [\"a\", \"%i$$\", \"%%\"]\n", NULL},
        {"a %i ${X} $X %d", "command: [\"a\", \"%%i\", \"$${X}\", \"$X\", \"%d\"]\n", NULL},
        {"a\x1b\\b", "command: [\"a\\u001bb\"]\n", NULL},
    };
    expect_rows(rows, COUNT_OF(rows), "[program:a]\ncommand=", IMPORT_SUPERVISOR);
}

Test(import, values_of_circus)
{
    static const struct row rows[] = {
        {"", "restart: always\n", NULL},
        {"respawn = false", "restart: no\n", NULL},
        {"args = -v\nshell = 1", "command: [\"sh\", \"-c\", \"run -v\"]\n", NULL},
        {"copy_env = false", NULL, "always has the hub's environment"},
        {"max_retry = -1", NULL, "is given up"},
        {"args = $(circus.sockets.web)", "\"$(circus.sockets.web)\"", "is not known here"},
        {"hooks.before_start = x.y", NULL, "there are no hooks"},
        {"[env:b,a]\nA = $B/${C}", "\"A\": \"${B:-}/$${C}\"\n", NULL},
        {"[env]\nA = 1\n[env:*]\nA = 2\n[env:a]\nA = 3", "      \"A\": \"3\"\n", NULL},
        {"[env:b]\nA = 1", NULL, NULL},
    };
    expect_rows(rows, COUNT_OF(rows), "[watcher:a]\ncmd = run\n", IMPORT_CIRCUS);
}

Test(import, lines_of_a_procfile)
{
    static const struct row rows[] = {
        {"a: run it", "  a:\n    ready: started\n    command: [\"run\", \"it\"]\n", NULL},
        {"a: run > log", "command: [\"sh\", \"-c\", \"run > log\"]\n", NULL},
        {"Web_1: run", "  web_1:\n    # its name", NULL},
        {"web: run\nother: run -p $PORT", "\"PORT\": \"5100\"\n", NULL},
        {"hub: run", "  hub-2:\n", NULL},
        {"a: run\r\nA: run\r", "  a-2:\n", NULL},
    };
    expect_rows(rows, COUNT_OF(rows), "# foreman\n", IMPORT_PROCFILE);
}

Test(import, what_nothing_comes_of_is_told)
{
    static const struct {
        const char *name, *text, *lost;
        enum import_kind kind;
    } rows[] = {
        {"f", "", "f: it cannot be told what it is of: say --kind", IMPORT_GUESS},
        {"f", "web: run\n", "f: it cannot be told what it is of: say --kind", IMPORT_GUESS},
        {"f", "[other]\na = b\n", "f: it cannot be told what it is of", IMPORT_GUESS},
        {"f", "", "f: there is no program in it", IMPORT_SUPERVISOR},
        {"f", "[program:a]\nnothing\n", "f:2: a line is [SECTION], KEY = VALUE", IMPORT_SUPERVISOR},
        {"f", "a = b\n", "f:1: a line is [SECTION]", IMPORT_CIRCUS},
        {"f", "[program:a]\ncommand=\n", "f:1: a: it has no command that could be taken",
         IMPORT_SUPERVISOR},
        {"f", "a: run \"it\n", "write it as a list by hand", IMPORT_PROCFILE},
        {"f", "a run\n", "f:1: a line of a Procfile is NAME: COMMAND", IMPORT_PROCFILE},
        {"f", "[program:a]\ncommand=\xff\n", "not taken: the file has to be plain text in UTF-8",
         IMPORT_SUPERVISOR},
        {"f", "[program:\x1b[31m]\ncommand='\n", "[program:?[31m] command: a quote",
         IMPORT_SUPERVISOR},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct result r = import_named(rows[i].name, rows[i].text, rows[i].kind);
        cr_expect_eq(r.rc, -1, "%s", rows[i].text);
        cr_expect(strstr(r.lost, rows[i].lost) != NULL, "%s\n%s\nnot %s", rows[i].text, r.lost,
                  rows[i].lost);
        result_free(&r);
    }
}

Test(import, a_kind_is_guessed_by_its_sections_and_a_procfile_by_its_name)
{
    static const struct {
        const char *name, *text;
    } rows[] = {{"x", "[group:g]\nprograms=a\n[program:a]\ncommand=run\n"},
                {"x", "[env]\nA=1\n[watcher:a]\ncmd=run\n"},
                {"some/Procfile.dev", "a: run\n"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct result r = import_named(rows[i].name, rows[i].text, IMPORT_GUESS);
        cr_expect_eq(r.rc, 0, "%s: %s", rows[i].text, r.lost);
        result_free(&r);
    }
    cr_expect_eq(import_kind_find("circus"), IMPORT_CIRCUS);
    cr_expect_eq(import_kind_find("systemd"), IMPORT_GUESS);
}

Test(import, there_may_be_as_many_workers_as_a_configuration_has)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    cr_assert_not_null(out);
    for (int i = 0; i < 300; i++) {
        fprintf(out, "a%d: run\n", i);
    }
    cr_assert_eq(fclose(out), 0);
    struct result r = import_named("Procfile", text, IMPORT_GUESS);
    cr_expect_eq(r.rc, 0);
    cr_expect(strstr(r.lost, "Procfile:257: a256: a configuration may have at most 256 workers") !=
                  NULL,
              "%s", r.lost);
    result_free(&r);
    free(text);
}

/* Each would take hours if its end were looked for from everywhere, or every word again for each.
 */
enum { BYTES = CONFIG_FILE_BYTES_MAX / 4 };

Test(import, large_files_are_refused_or_read_in_reasonable_time)
{
    static const char *const parts[][2] = {
        {"[program:a]\ncommand=", "%("},
        {"[program:a]\ncommand=a\nenvironment=", "A=1,"},
        {"[program:a]\ncommand=a\n", " more\n"},
        {"[watcher:a]\ncmd=", "(("},
        {"", "[program:a]\n"},
    };
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        const size_t head = strlen(parts[i][0]), part = strlen(parts[i][1]);
        char *text = calloc(1, BYTES + 1);
        cr_assert_not_null(text);
        memcpy(text, parts[i][0], head);
        for (size_t at = head; at + part <= BYTES; at += part) {
            memcpy(text + at, parts[i][1], part);
        }
        struct result r = import_named("f", text, IMPORT_GUESS);
        result_free(&r);
        free(text);
    }
}
