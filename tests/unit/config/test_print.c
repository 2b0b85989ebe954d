/* The manual and the commented default file say what the table says. */
#include <stdlib.h>
#include <string.h>

#include "broker/config/object.h"
#include "broker/config/device.h"
#include "broker/config/value.h"
#include "tests/support/test.h"
#include "tests/unit/config/helper.h"

/* What a printer prints; owned. */
static char *
print(int (*printer)(FILE *out))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    cr_assert_not_null(out);
    cr_expect_eq(printer(out), 0);
    cr_assert_eq(fclose(out), 0);
    return text;
}

static void
expect_rows(const char *manual, const struct config_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        char row[100];
        snprintf(row, sizeof row, "\n| `%s` | ", table->options[i].key);
        const char *at = strstr(manual, row);
        cr_assert_not_null(at, "the manual has no row for %s", table->options[i].key);
        cr_expect(strstr(at, table->options[i].help) != NULL, "%s", table->options[i].key);
    }
}

Test(config_print, the_manual_has_a_row_for_every_key)
{
    char *manual = print(config_print_manual);
    const char *workers = strstr(manual, "## `workers`");
    cr_assert_not_null(workers);
    expect_rows(manual, &config_hub_table);
    expect_rows(workers, &config_worker_table);
    cr_expect_not_null(strstr(manual, "## `defaults`"));
    free(manual);
}

static int
print_man(FILE *out)
{
    return config_print_man(out, "1.2.3");
}

/* Commands of roff begin with a dot or an apostrophe; each is one that this page means to use. */
Test(config_print, the_man_page_has_every_key_and_only_commands_that_it_means)
{
    static const struct config_table *const tables[] = {&config_hub_table, &config_worker_table};
    static const char *const commands[] = {".TP", ".PP", ".SH", ".TH", ".br", ".\\\""};
    char *page = print(print_man);
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            char head[100];
            snprintf(head, sizeof head, ".TP\n\\fB%s\\fR\n", tables[t]->options[i].key);
            cr_expect_not_null(strstr(page, head), "no %s", tables[t]->options[i].key);
        }
    }
    for (size_t i = 0; i < device_kind_count; i++) {
        char head[100];
        snprintf(head, sizeof head, ".PP\n\\fBkind: %.3s", device_kinds[i].name);
        cr_expect_not_null(strstr(page, head), "no %s", device_kinds[i].name);
    }
    cr_expect_null(strpbrk(page, "\f\v\t"));
    char *rest = page, *line = NULL;
    while ((line = strsep(&rest, "\n")) != NULL) {
        bool known = line[0] != '.' && line[0] != '\'';
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
            known = known || strncmp(line, commands[i], strlen(commands[i])) == 0;
        }
        cr_expect(known, "%s", line);
    }
    free(page);
}

Test(config_print, the_rows_of_the_manual_have_five_columns)
{
    char *manual = print(config_print_manual);
    char *rest = manual, *line = NULL;
    while ((line = strsep(&rest, "\n")) != NULL) {
        size_t bars = 0;
        for (const char *at = line; *at != '\0'; at++) {
            bars += *at == '|';
        }
        cr_expect(line[0] != '|' || bars == 6, "%s", line);
    }
    free(manual);
}

Test(config_print, the_default_file_reads_back_as_the_defaults)
{
    char *text = print(config_print_default);
    struct config *config = helper_load(text);
    helper_expect_defaults(&config_hub_table, &config->hub, "the default file");
    cr_expect_eq(config->worker_count, 0);
    config_free(config);
    free(text);
}

Test(config_print, no_line_of_the_default_file_is_longer_than_100_columns)
{
    char *text = print(config_print_default);
    char *rest = text, *line = NULL;
    while ((line = strsep(&rest, "\n")) != NULL) {
        cr_expect_leq(strlen(line), 100, "%s", line);
    }
    free(text);
}

/* Turn "  #key: value" into "  key: value", and "  #  key: value" as well; comments have one space
 * behind the #. Lines that make the option of `without` stay as they are, and delimiter, which the
 * default of framing has no use for. */
static void
turn_on(char *text, const char *without)
{
    for (char *at = text; (at = strstr(at, "\n  #")) != NULL; at++) {
        const size_t len = strlen(without);
        const bool is_without = strncmp(at + 4, without, len) == 0 && at[4 + len] == ':';
        if (at[4] != ' ' && !is_without) {
            memmove(at + 3, at + 4, strlen(at + 4) + 1);
        } else if (strncmp(at + 4, "  ", 2) == 0 && strncmp(at + 6, "delimiter:", 10) != 0) {
            at[3] = ' ';
        }
    }
}

/* A number without a default has its example, and none from then on. */
static void
expect_number(const struct config_option *option, void *object)
{
    char why[CONFIG_WHY_BYTES_MAX];
    int64_t value = 0;
    cr_expect(config_value_parse(option, option->example, &value, why), "%s", option->key);
    cr_expect_eq(config_object_number(option, object), value, "%s", option->key);
    config_object_set_number(option, object, 0);
}

static void
expect_turned_on(const struct config_table *table, void *object)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct config_option *option = &table->options[i];
        const bool is_text = option->kind == CONFIG_KIND_PATH || option->kind == CONFIG_KIND_STRING;
        if (option->fallback != NULL || option->kind == CONFIG_KIND_LIST ||
            option->kind == CONFIG_KIND_MAP) {
            continue;
        }
        if (is_text) {
            cr_expect_str_eq(*config_object_text(option, object), option->example);
            config_object_clear(option, object);
        } else {
            expect_number(option, object);
        }
    }
}

Test(config_print, the_default_file_with_every_option_turned_on_is_valid_and_the_same)
{
    char *text = print(config_print_default);
    turn_on(text, "nothing");
    cr_expect_not_null(strstr(text, "\n  listen: []\n"));
    struct config *config = helper_load(text);
    expect_turned_on(&config_hub_table, &config->hub);
    helper_expect_defaults(&config_hub_table, &config->hub, "the hub turned on");
    cr_assert_eq(config->worker_count, 1 + device_kind_count);
    for (size_t i = 0; i < device_kind_count; i++) {
        cr_expect_str_eq(config->workers[1 + i].name, device_kinds[i].name);
        cr_expect_eq(config->workers[1 + i].device->kind, &device_kinds[i]);
    }
    struct config_worker *worker = &config->workers[0];
    cr_expect_str_eq(worker->name, "detector");
    cr_assert_eq(worker->command.count, 2);
    expect_turned_on(&config_worker_table, worker);
    config_object_clear(&config_worker_table.options[0], worker);
    helper_expect_defaults(&config_worker_table, worker, "the worker turned on");
    config_free(config);
    free(text);
}

Test(config_print, every_option_has_a_help_and_either_a_default_or_a_word_about_its_absence)
{
    static const struct config_table *const tables[] = {&config_hub_table, &config_worker_table};
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct config_option *option = &tables[t]->options[i];
            const size_t len = strlen(option->help);
            cr_expect(len > 10 && option->help[len - 1] == '.', "%s", option->key);
            cr_expect((option->fallback != NULL) != (option->unset != NULL), "%s", option->key);
            cr_expect(option->fallback != NULL || option->example != NULL, "%s", option->key);
            cr_expect_null(strchr(option->help, '|'), "%s", option->key);
        }
    }
}

Test(config_print, a_full_disk_is_reported)
{
    FILE *out = fopen("/dev/full", "we");
    cr_assert_not_null(out);
    cr_expect_eq(config_print_manual(out), -1);
    fclose(out);
}
