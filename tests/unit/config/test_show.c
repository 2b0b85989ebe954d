/* A configuration with all its values: what it looks like, and that it reads back. */
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"
#include "broker/config/object.h"
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
