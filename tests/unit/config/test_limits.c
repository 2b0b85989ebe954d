/* What a file may not exceed; made here, because as data they would be large. */
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"
#include "tests/support/test.h"
#include "tests/unit/config/helper.h"

struct text {
    char *data;
    size_t len, cap;
};

static void
put(struct text *text, const char *more)
{
    const size_t len = strlen(more);
    if (text->len + len + 1 > text->cap) {
        text->cap = (text->len + len + 1) * 2;
        text->data = realloc(text->data, text->cap);
        cr_assert_not_null(text->data);
    }
    memcpy(text->data + text->len, more, len + 1);
    text->len += len;
}

static void
put_times(struct text *text, const char *more, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put(text, more);
    }
}

static void
put_workers(struct text *text, size_t count)
{
    put(text, "workers:\n");
    for (size_t i = 0; i < count; i++) {
        char line[64];
        snprintf(line, sizeof line, "  w%zu: {command: [run]}\n", i);
        put(text, line);
    }
}

static void
expect_message(struct text *text, const char *expected)
{
    cr_expect_str_eq(helper_fail(text->data), expected);
    free(text->data);
}

Test(config_limits, there_may_be_256_workers_and_no_more)
{
    struct text good = {0}, bad = {0};
    put_workers(&good, CONFIG_WORKERS_MAX);
    struct config *config = helper_load(good.data);
    cr_expect_eq(config->worker_count, CONFIG_WORKERS_MAX);
    cr_expect_str_eq(config->workers[255].name, "w255");
    config_free(config);
    free(good.data);
    put_workers(&bad, CONFIG_WORKERS_MAX + 1);
    expect_message(&bad, "x.yaml:258:3: there may be at most 256 workers");
}

Test(config_limits, a_file_may_have_1_mib_and_no_more)
{
    struct text text = {0};
    put_times(&text, "#\n", CONFIG_FILE_BYTES_MAX / 2);
    cr_assert_eq(text.len, CONFIG_FILE_BYTES_MAX);
    config_free(helper_load(text.data));
    put(&text, "#");
    FILE *file = fopen("large.yaml", "we");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(text.data, 1, text.len, file), text.len);
    cr_assert_eq(fclose(file), 0);
    expect_message(&text, "x.yaml: the file is larger than 1 MiB");
    struct config *config = NULL;
    struct config_diag diag;
    cr_assert_eq(config_load("large.yaml", NULL, &config, &diag), -1);
    cr_expect_str_eq(diag.text, "the file is larger than 1 MiB");
    cr_expect_eq(diag.error, 0);
}

Test(config_limits, nesting_is_refused_at_its_first_level_without_a_meaning)
{
    struct text lists = {0}, maps = {0}, keys = {0};
    put(&lists, "workers: {a: {command: ");
    put_times(&lists, "[", 100000);
    expect_message(&lists, "x.yaml:1:25: what stands in 'command' must be texts, got a list");
    put_times(&maps, "{a: ", 100000);
    cr_expect(strstr(helper_fail(maps.data), "x.yaml:1:2: unknown key 'a'") != NULL);
    free(maps.data);
    put_times(&keys, "? ", 100000);
    expect_message(&keys, "x.yaml:1:3: a key must be a text, got a map");
}

/* Found by trying files of full size: libyaml needed 16 s for this one. */
Test(config_limits, many_tag_directives_are_refused_before_they_cost_time)
{
    struct text text = {0};
    for (size_t i = 0; i < 50000; i++) {
        char line[64];
        snprintf(line, sizeof line, "%%TAG !a%zu! tag:x\n", i);
        put(&text, line);
    }
    expect_message(&text, "x.yaml: tags are not supported, and the file has more than 64 times "
                          "%TAG");
}

Test(config_limits, a_text_may_have_32_kib_and_no_more)
{
    struct text text = {0};
    put(&text, "workers: {a: {command: [");
    put_times(&text, "x", CONFIG_TEXT_BYTES_MAX);
    const size_t len = text.len;
    put(&text, "]}}\n");
    struct config *config = helper_load(text.data);
    cr_expect_eq(strlen(config->workers[0].command.items[0]), CONFIG_TEXT_BYTES_MAX);
    config_free(config);
    text.len = len;
    put(&text, "x]}}\n");
    expect_message(&text, "x.yaml:1:25: a text may have at most 32 KiB");
}

/* Without a limit on the sum, 256 workers that all take the same large `defaults:` would be a way
 * to turn a file of 1 MiB into 256. */
Test(config_limits, all_texts_together_may_have_16_mib)
{
    struct text text = {0};
    put(&text, "defaults:\n  args:\n");
    for (size_t i = 0; i < 10; i++) {
        put(&text, "    - ");
        put_times(&text, "x", 10000);
        put(&text, "\n");
    }
    put_workers(&text, CONFIG_WORKERS_MAX);
    expect_message(&text, "x.yaml:2:3: the texts of the configuration are larger than 16 MiB "
                          "together");
}

Test(config_limits, a_list_and_a_map_have_their_limits)
{
    struct text list = {0}, map = {0};
    put(&list, "workers:\n  a:\n    command:\n");
    put_times(&list, "      - x\n", 257);
    expect_message(&list, "x.yaml:260:9: 'command' may have at most 256 items");
    put(&map, "workers:\n  a:\n    command: [a]\n    environment:\n");
    for (size_t i = 0; i < 257; i++) {
        char line[64];
        snprintf(line, sizeof line, "      N%zu: x\n", i);
        put(&map, line);
    }
    expect_message(&map, "x.yaml:261:7: 'environment' may have at most 256 names");
}

Test(config_limits, joined_environments_have_the_limit_of_one)
{
    struct text text = {0};
    put(&text, "defaults:\n  environment:\n");
    for (size_t i = 0; i < 200; i++) {
        char line[64];
        snprintf(line, sizeof line, "    A%zu: x\n", i);
        put(&text, line);
    }
    put(&text, "workers:\n  a:\n    command: [a]\n    environment:\n");
    for (size_t i = 0; i < 57; i++) {
        char line[64];
        snprintf(line, sizeof line, "      B%zu: x\n", i);
        put(&text, line);
    }
    expect_message(&text, "x.yaml:206:5: 'environment' may have at most 256 names, with those of "
                          "'defaults'");
}

Test(config_limits, a_path_may_not_grow_past_its_limit)
{
    struct text text = {0};
    put(&text, "hub: {token_file: ");
    put_times(&text, "x", 4090);
    put(&text, "}\n");
    expect_message(&text, "x.yaml:1:19: a path may have at most 4095 bytes, with the directory of "
                          "the file");
}
