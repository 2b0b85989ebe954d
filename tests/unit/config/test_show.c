/* A configuration with all its values: what it looks like, and that it reads back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"
#include "broker/config/object.h"
#include "broker/config/value.h"
#include "tests/support/test.h"
#include "tests/unit/config/helper.h"

static char *
show(const struct config *config, const struct config_show *how)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    cr_assert_not_null(out);
    cr_expect_eq(config_show(out, config, how), 0);
    cr_assert_eq(fclose(out), 0);
    return text;
}

/* What a text comes to, as YAML. */
static char *
show_text(const char *yaml)
{
    struct config *config = helper_load(yaml);
    char *text = show(config, &(struct config_show){0});
    config_free(config);
    return text;
}

static void
expect_part(const char *text, const char *part)
{
    cr_expect(strstr(text, part) != NULL, "no %s in\n%s", part, text);
}

static void
expect_same_object(const struct config_table *table, const void *a, const void *b)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct config_option *option = &table->options[i];
        cr_expect_eq(config_object_number(option, a) != 0, config_object_number(option, b) != 0);
        cr_expect_eq(config_object_size(option, a), config_object_size(option, b), "%s",
                     option->key);
    }
}

/* The same in every member, the objects of a hub or of a worker. */
static void
expect_exact_object(const struct config_table *table, void *a, void *b)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct config_option *option = &table->options[i];
        cr_assert(config_object_is_same(option, a, b), "%s", option->key);
        for (size_t k = 0;
             option->kind == CONFIG_KIND_MAP && k < config_object_map(option, a)->count; k++) {
            const struct config_pair *x = &config_object_map(option, a)->items[k];
            const struct config_pair *y = &config_object_map(option, b)->items[k];
            cr_expect_eq(x->number, y->number, "%s in %s", x->name, option->key);
            cr_expect_eq(x->is_secret, y->is_secret, "%s in %s", x->name, option->key);
        }
    }
}

/* Write `config` for the hub itself, read that back without any file or variable, and compare. */
static void
expect_kept(struct config *config)
{
    struct config *again = NULL;
    struct config_diag diag;
    char *text = show(config, &(struct config_show){.reveal = true});
    const struct config_source source = {.name = "kept",
                                         .directory = config->directory,
                                         .data = text,
                                         .size_bytes = strlen(text),
                                         .is_kept = true};
    cr_assert_eq(config_load_text(&source, NULL, &again, &diag), 0, "%u: %s in\n%s", diag.line,
                 diag.text, text);
    cr_expect_str_eq(again->directory, config->directory != NULL ? config->directory : "/");
    expect_exact_object(&config_hub_table, &config->hub, &again->hub);
    cr_assert_eq(again->worker_count, config->worker_count);
    for (size_t i = 0; i < config->worker_count; i++) {
        cr_expect_str_eq(again->workers[i].name, config->workers[i].name);
        expect_exact_object(&config_worker_table, &config->workers[i], &again->workers[i]);
    }
    config_free(again);
    free(text);
}

/* A value of an option that is not its default, as one would write it. */
static void
put_other_value(FILE *out, const struct config_option *option, const void *defaults)
{
    static const char *const rows[][2] = {
        {"ready", "notify"}, {"stop_signal", "USR1"}, {"max_memory", "1GiB"}};
    char number[CONFIG_NUMBER_BYTES_MAX];
    const char *text = option->example;
    const int64_t value = config_object_number(option, defaults);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        text = strcmp(option->key, rows[i][0]) == 0 ? rows[i][1] : text;
    }
    if (text == NULL && option->kind == CONFIG_KIND_BOOL) {
        text = value != 0 ? "false" : "true";
    } else if (text == NULL && option->kind == CONFIG_KIND_ENUM) {
        text = option->allowed[value == 0];
    } else if (text == NULL) {
        config_number_format(option->kind, value < option->max ? value + 1 : value - 1, number);
        text = number;
    }
    fprintf(out, "    %s: %s\n", option->key, text);
}

static char *
every_option(void)
{
    char *yaml = NULL;
    size_t len = 0;
    struct config_worker worker;
    struct config *defaults = config_new();
    FILE *out = open_memstream(&yaml, &len);
    cr_assert(defaults != NULL && out != NULL && config_defaults_worker(&worker) == 0);
    fputs("include: more/*.yaml\nhub:\n", out);
    for (size_t i = 0; i < config_hub_table.count; i++) {
        put_other_value(out, &config_hub_table.options[i], &defaults->hub);
    }
    fputs("defaults: {environment: {SHARED: all}}\nworkers:\n  all:\n", out);
    for (size_t i = 0; i < config_worker_table.count; i++) {
        put_other_value(out, &config_worker_table.options[i], &worker);
    }
    fclose(out);
    config_worker_deinit(&worker);
    config_free(defaults);
    return yaml;
}

Test(config_show, a_configuration_reads_back_as_the_same)
{
    static const struct helper_file rows[] = {
        {"/etc/prong/a.yaml",
         "workers: {extra: {command: [\"\\e$${X}\", '$$$$', \"\\x85\\\"\\\\\"]}}\n", 0},
        {"/etc/prong/s.env", "SECRET=x\nOTHER=y\n", 0},
    };
    helper_files(rows, 2);
    char *yaml = NULL;
    cr_assert(asprintf(&yaml, "include: a.yaml\n%s    env_file: s.env\n", helper_sample) > 0);
    struct config *config = helper_load(yaml);
    char *once = show(config, &(struct config_show){0});
    struct config *again = helper_load(once);
    char *twice = show(again, &(struct config_show){0});
    cr_expect_str_eq(once, twice);
    cr_assert_eq(again->worker_count, 3);
    expect_same_object(&config_hub_table, &config->hub, &again->hub);
    for (size_t i = 0; i < 3; i++) {
        cr_expect_str_eq(config->workers[i].name, again->workers[i].name);
        expect_same_object(&config_worker_table, &config->workers[i], &again->workers[i]);
    }
    cr_expect_str_eq(again->workers[2].command.items[0], "\x1b${X}");
    cr_expect_str_eq(again->workers[2].command.items[1], "$$");
    cr_expect_str_eq(again->workers[2].command.items[2], "\xc2\x85\"\\");
    config_free(config);
    config_free(again);
    free(once);
    free(twice);
    free(yaml);
}

Test(config_show, every_option_that_has_a_value_is_there)
{
    static const struct config_table *const tables[] = {&config_hub_table, &config_worker_table};
    char *text = show_text("workers: {a: {command: [run]}}\n");
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            char line[100];
            snprintf(line, sizeof line, "\n%s%s: ", t == 0 ? "  " : "    ",
                     tables[t]->options[i].key);
            cr_expect(tables[t]->options[i].fallback == NULL || strstr(text, line) != NULL, "no %s",
                      line);
        }
    }
    free(text);
}

Test(config_show, secrets_are_masked)
{
    static const struct helper_file rows[] = {{"/etc/prong/s.env", "ODD=hunter2\n", 0}};
    helper_files(rows, 1);
    char *text =
        show_text("workers:\n  a:\n    command: [run, --password, hunter2, --db-token=hunter2, "
                  "--level, high]\n"
                  "    args: [\"http://ada:hunter2@h/\", --password, --other]\n"
                  "    environment: {API_KEY: hunter2, MODEL: yolo}\n    env_file: s.env\n");
    expect_part(text,
                "command: [\"run\", \"--password\", \"***\", \"--db-token=***\", \"--level\", "
                "\"high\"]");
    expect_part(text, "args: [\"http://ada:***@h/\", \"--password\", \"--other\"]");
    expect_part(text, "      \"API_KEY\": \"***\"\n      \"MODEL\": \"yolo\"\n"
                      "      # \"ODD\": \"***\"  from an env_file\n");
    cr_expect_null(strstr(text, "hunter2"), "%s", text);
    config_free(helper_load(text));
    free(text);
}

Test(config_show, an_environment_that_is_only_a_file_reads_back)
{
    static const struct helper_file rows[] = {{"/etc/prong/s.env", "ODD=x\n", 0}};
    helper_files(rows, 1);
    char *text = show_text("workers: {a: {command: [run], env_file: s.env}}\n");
    expect_part(text, "    environment: {}\n      # \"ODD\": \"***\"  from an env_file\n");
    struct config *config = helper_load(text);
    cr_expect_str_eq(config->workers[0].environment.items[0].value, "x");
    config_free(config);
    free(text);
}

Test(config_show, one_worker_alone)
{
    struct config *config = helper_load(helper_sample);
    char *text = show(config, &(struct config_show){.worker = "camera"});
    cr_expect_eq(strncmp(text, "workers:\n  camera:\n    command: [\"./camera\", \"$HOME\"]\n", 48),
                 0, "%s", text);
    cr_expect_null(strstr(text, "detector"));
    cr_expect_null(strstr(text, "hub:"));
    config_free(config);
    free(text);
}

Test(config_show, as_json_numbers_are_numbers_and_a_dollar_is_one)
{
    static const struct helper_file rows[] = {{"/etc/prong/s.env", "ODD=x\n", 0}};
    helper_files(rows, 1);
    struct config *config =
        helper_load("workers: {a: {command: [\"$${X}\"], env_file: s.env, environment: {A: b}}}\n");
    char *text = show(config, &(struct config_show){.as_json = true});
    expect_part(text, "{\n  \"hub\": {\n    \"listen\": [],\n");
    expect_part(text, "\"command\": [\"${X}\"],\n");
    expect_part(text, "\"replicas\": 1,\n");
    expect_part(text, "\"autostart\": true,\n");
    expect_part(text, "\"stop_timeout\": \"5s\",\n");
    expect_part(text, "\"stop_signal\": \"TERM\",\n");
    expect_part(text,
                "\"environment\": {\n        \"A\": \"b\",\n        \"ODD\": \"***\"\n      },\n");
    expect_part(text, "\n    }\n  }\n}\n");
    config_free(config);
    free(text);
}

Test(config_show, a_full_disk_is_reported)
{
    struct config *config = config_new();
    FILE *out = fopen("/dev/full", "we");
    cr_assert(out != NULL && config != NULL);
    cr_expect_eq(config_show(out, config, &(struct config_show){0}), -1);
    fclose(out);
    config_free(config);
}

/* ---- what the hub keeps for itself -------------------------------------------------------------
 */

Test(config_show, what_is_revealed_reads_back_with_every_option)
{
    static const struct helper_file rows[] = {
        {"/etc/prong/more/a.yaml",
         "workers:\n  database: {command: [./db]}\n  migration: {command: [sh], autostart: false}\n"
         "  camera: {command: [c], restart_delay: 90s, environment: {OWN: \"1\", SHARED: "
         "\"%i\"}}\n",
         0},
        {"/etc/prong/secrets.env", "API_KEY=50%\nSHARED=not this one\n", 0},
    };
    helper_files(rows, 2);
    char *yaml = every_option();
    struct config *config = helper_load(yaml), *defaults = config_new();
    struct config_worker worker;
    cr_assert(defaults != NULL && config_defaults_worker(&worker) == 0);
    for (size_t i = 0; i < config_hub_table.count; i++) {
        cr_expect_not(
            config_object_is_same(&config_hub_table.options[i], &config->hub, &defaults->hub),
            "%s is not tested", config_hub_table.options[i].key);
    }
    for (size_t i = 0; i < config_worker_table.count; i++) {
        cr_expect_not(
            config_object_is_same(&config_worker_table.options[i], &config->workers[0], &worker),
            "%s is not tested", config_worker_table.options[i].key);
    }
    cr_expect_str_eq(config->workers[1].working_dir, "/etc/prong/more");
    expect_kept(config);
    expect_kept(defaults);
    config_worker_deinit(&worker);
    config_free(defaults);
    config_free(config);
    free(yaml);
}

Test(config_show, what_is_revealed_reads_back_whatever_its_texts)
{
    static const struct helper_file rows[] = {
        {"/etc/prong/s.env",
         "A=\"${X} $$ 5% \\\"!x\\\" # no\"\nB='two\nlines '\nPASSWORD=\" hunter2\"\n"
         "C=\xe2\x80\xa8 x \xe2\x80\xa9\xef\xbb\xbf\xef\xbf\xbf\xc2\x85\xf0\x9f\x98\x80\nEMPTY=\n",
         0},
    };
    char name[2000], *yaml = NULL;
    memset(name, 'N', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    helper_files(rows, 1);
    cr_assert(asprintf(&yaml,
                       "hub: {max_silence: {a: 60s, b: 120000ms}}\n"
                       "workers:\n  \"null\":\n    command: [run, --password, hunter2, \"\"]\n"
                       "    env_file: [-none.env, s.env]\n    environment:\n      ? %s\n      : x\n"
                       "      \"${X} $$ \\\"\\n\": \"\\e[0m $${Y}\"\n      API_KEY: hunter2\n"
                       "  -: {command: [\"\\u2028\", \" \\t \", \"%%TAG %%TAG\"]}\n"
                       "  ---: {command: [\"http://u:p@h\"]}\n  \"1e3\": {command: [\"~\"]}\n",
                       name) > 0);
    struct config *config = helper_load(yaml);
    cr_assert_eq(config->workers[0].environment.count, 8);
    expect_kept(config);
    /* What only the broker's own text may have, other files may not. */
    expect_part(helper_fail("workers: {a: {command: [x], environment: {A: !env_file b}}}\n"),
                "tags (!) are not supported");
    config_free(config);
    free(yaml);
}

Test(config_show, what_is_revealed_may_be_larger_than_any_file)
{
    char *yaml = NULL, value[8000];
    size_t len = 0;
    FILE *out = open_memstream(&yaml, &len);
    memset(value, '%', sizeof value - 1);
    memcpy(value, "%TAG", 4);
    value[sizeof value - 1] = '\0';
    fprintf(out, "defaults: {command: [x], environment: {A: \"%s\"}}\nworkers:\n", value);
    for (int i = 0; i < CONFIG_WORKERS_MAX; i++) {
        fprintf(out, "  w%d:\n", i);
    }
    fclose(out);
    struct config *config = helper_load(yaml);
    expect_kept(config);
    config_free(config);
    free(yaml);
}

Test(config_show, what_yaml_cannot_hold_is_not_revealed)
{
    struct config *config = helper_load("workers: {a: {command: [run]}}\n");
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config->workers[0].command.items[0][0] = '\xff';
    errno = 0;
    cr_expect_eq(config_show(out, config, &(struct config_show){.reveal = true}), -1);
    cr_expect_eq(errno, EILSEQ);
    fclose(out);
    free(text);
    config_free(config);
}
