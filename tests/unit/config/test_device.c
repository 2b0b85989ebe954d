/* The section `devices:`: what becomes of an entry, and that it is shown and read back as one. */
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"
#include "broker/config/device.h"
#include "broker/config/value.h"
#include "tests/support/test.h"
#include "tests/unit/config/helper.h"

static const char sample[] =
    "defaults: {restart_delay: 1s, command: [other], environment: {A: b}}\n"
    "workers: {camera: {command: [run]}}\n"
    "devices:\n"
    "  trigger:\n"
    "    log: none\n"
    "    delimiter: \"\\r\\x01\\\"\\\\%i\"\n"
    "    framing: delimiter\n"
    "    max_bytes: 2KiB\n"
    "    port: 9000\n"
    "    kind: tcp-listen\n"
    "    environment: {C: d}\n"
    "  incoming: {kind: watch, paths: [in, /out], restart: no}\n"
    "  words: {kind: stdin, update_order: start-first}\n"
    "  any: {kind: tcp-listen, port: 0}\n"
    "  plant: {kind: mqtt, host: h, tls: true, tls_cert: /c.pem, tls_key: /c.key}\n";

static const char *
setting(const struct config_worker *worker)
{
    const struct config_pair *pair = config_map_find(&worker->environment, CONFIG_DEVICE_SETTING);
    cr_assert_not_null(pair);
    cr_expect(pair->is_secret, "a password may stand in it");
    return pair->value;
}

Test(config_device, is_a_worker_of_the_program_of_its_kind_that_is_told_its_options)
{
    struct config *config = helper_load(sample);
    cr_assert_eq(config->worker_count, 6);
    cr_expect_null(config->workers[0].device);
    const struct config_worker *w = &config->workers[1];
    cr_expect_str_eq(w->name, "trigger");
    cr_assert_eq(w->command.count, 1);
    cr_expect_str_eq(w->command.items[0], "prong-io");
    cr_expect_eq(w->restart, CONFIG_RESTART_ALWAYS);
    cr_expect_eq(w->update_order, CONFIG_UPDATE_STOP_FIRST);
    cr_expect_eq(w->log_to, CONFIG_LOG_TO_NONE);
    cr_expect_eq(w->restart_delay_ms, 1000);
    cr_expect_eq(w->environment.count, 3);
    cr_expect_str_eq(setting(w),
                     "{\"kind\": \"tcp-listen\", \"framing\": \"delimiter\", "
                     "\"delimiter\": \"\\u000d\\u0001\\\"\\\\%i\", \"length_bytes\": \"4\", "
                     "\"byte_order\": \"big\", \"max_bytes\": 2048, \"decode\": \"text\", "
                     "\"reconnect_min\": 100, \"reconnect_max\": 30000, \"port\": 9000, "
                     "\"address\": \"127.0.0.1\", \"max_peers\": 32}");
    config_free(config);
}

Test(config_device, has_what_it_gives_itself_of_the_options_of_workers)
{
    struct config *config = helper_load(sample);
    cr_expect_eq(config->workers[2].restart, CONFIG_RESTART_NO);
    cr_expect_eq(config->workers[2].takes_stdin, CONFIG_STDIN_NONE);
    cr_expect_str_eq(setting(&config->workers[2]),
                     "{\"kind\": \"watch\", \"reconnect_min\": 100, \"reconnect_max\": 30000, "
                     "\"paths\": [\"/etc/prong/in\", \"/out\"]}");
    cr_expect_eq(config->workers[3].takes_stdin, CONFIG_STDIN_PIPE);
    cr_expect_eq(config->workers[3].update_order, CONFIG_UPDATE_START_FIRST);
    config_free(config);
    config = helper_load("defaults: {restart: no}\ndevices: {t: {kind: timer, every: 1m}}\n");
    cr_expect_eq(config->workers[0].restart, CONFIG_RESTART_NO);
    cr_expect_str_eq(setting(&config->workers[0]), "{\"kind\": \"timer\", \"every\": 60000}");
    config_free(config);
}

static char *
show(const struct config *config, bool reveal)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    cr_assert_not_null(out);
    cr_expect_eq(config_show(out, config, &(struct config_show){.reveal = reveal}), 0);
    cr_assert_eq(fclose(out), 0);
    return text;
}

Test(config_device, is_shown_as_one_and_reads_back_as_the_same)
{
    struct config *config = helper_load(sample), *again = NULL;
    struct config_diag diag;
    for (int reveal = 0; reveal < 2; reveal++) {
        char *text = show(config, reveal == 1);
        cr_expect_null(strstr(text, CONFIG_DEVICE_SETTING), "%s", text);
        cr_expect_null(strstr(text, "prong-io"), "%s", text);
        const struct config_source source = {"x.yaml", "/etc/prong", text, strlen(text),
                                             reveal == 1};
        cr_assert_eq(config_load_text(&source, NULL, &again, &diag), 0, "%u: %s in\n%s", diag.line,
                     diag.text, text);
        cr_assert_eq(again->worker_count, config->worker_count);
        for (size_t i = 1; i < config->worker_count; i++) {
            cr_expect_str_eq(again->workers[i].name, config->workers[i].name);
            cr_expect_str_eq(setting(&again->workers[i]), setting(&config->workers[i]));
            for (size_t k = 0; k < config_worker_table.count; k++) {
                cr_expect(config_object_is_same(&config_worker_table.options[k], &again->workers[i],
                                                &config->workers[i]),
                          "%s", config_worker_table.options[k].key);
            }
        }
        config_free(again);
        free(text);
    }
    config_free(config);
}

Test(config_device, is_shown_without_the_secrets_of_its_url)
{
    struct config *config = helper_load(
        "devices:\n  cam: {kind: video, url: 'rtsp://eve:hid den@h/x y?token=hid den&n=1'}\n");
    char *text = show(config, false);
    cr_expect(strstr(text, "\"rtsp://eve:***@h/x y?token=***&n=1\"") != NULL, "%s", text);
    cr_expect(strstr(text, "hid") == NULL && strstr(text, "den") == NULL, "%s", text);
    free(text);
    config_free(config);
}

/* The least that a kind needs; of two options that stand for each other the first or the second. */
static char *
least_of(const struct device_kind *kind, bool is_second)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    cr_assert_not_null(out);
    fprintf(out, "devices:\n  it:\n    kind: %s\n", kind->name);
    for (size_t i = 0; i < device_option_count; i++) {
        const struct device_option *option = &device_options[i];
        if (!device_kind_has(kind, option->set)) {
            continue;
        }
        if (option->either != NULL && is_second) {
            option = &device_options[device_option_find(kind, option->either)];
        }
        if (option->either != NULL || option != &device_options[i] ||
            (option->fallback == NULL && option->unset == NULL)) {
            fprintf(out, "    %s: %s\n", option->key, option->example);
        }
    }
    cr_assert_eq(fclose(out), 0);
    return text;
}

Test(config_device, of_every_kind_is_shown_so_that_it_reads_back_with_the_least_that_it_needs)
{
    for (size_t i = 0; i < 2 * device_kind_count; i++) {
        char *least = least_of(&device_kinds[i / 2], i % 2 == 1);
        struct config *config = helper_load(least), *again = NULL;
        struct config_diag diag;
        char *text = show(config, true);
        const struct config_source source = {"x.yaml", "/etc/prong", text, strlen(text), true};
        cr_assert_eq(config_load_text(&source, NULL, &again, &diag), 0, "%u: %s in\n%s", diag.line,
                     diag.text, text);
        cr_expect_str_eq(setting(&again->workers[0]), setting(&config->workers[0]));
        config_free(again);
        config_free(config);
        free(text);
        free(least);
    }
}

Test(config_device, every_option_has_a_help_and_a_default_that_is_possible_or_an_example)
{
    for (size_t i = 0; i < CONFIG_DEVICE_OPTION_COUNT; i++) {
        const struct config_option *option = &config_device_table.options[i];
        const bool is_text = option->kind == CONFIG_KIND_STRING || option->kind == CONFIG_KIND_PATH;
        char why[256];
        int64_t value;
        cr_expect(option->help != NULL && option->help[0] != '\0', "%s", option->key);
        cr_expect(option->fallback != NULL || option->example != NULL, "%s", option->key);
        cr_expect_str_eq(device_options[i].key, option->key);
        cr_expect(option->kind != CONFIG_KIND_ENUM || option->fallback != NULL, "%s", option->key);
        if (option->fallback != NULL && !is_text && option->kind != CONFIG_KIND_LIST &&
            option->kind != CONFIG_KIND_MAP) {
            cr_expect(config_value_parse(option, option->fallback, &value, why), "%s: %s",
                      option->key, why);
        }
        if (option->check != NULL && option->fallback != NULL) {
            cr_expect(option->check(option->fallback, why, sizeof why), "%s: %s", option->key, why);
        }
    }
}

Test(config_device, no_kind_has_a_key_twice_or_one_that_workers_have)
{
    for (size_t k = 0; k < device_kind_count; k++) {
        for (size_t i = 0; i < device_option_count; i++) {
            const struct device_option *option = &device_options[i];
            if (device_kind_has(&device_kinds[k], option->set)) {
                cr_expect_eq(device_option_find(&device_kinds[k], option->key), (int)i, "%s of %s",
                             option->key, device_kinds[k].name);
                cr_expect(config_option_find(&config_worker_table, option->key) < 0, "%s",
                          option->key);
                cr_expect_str_neq(option->key, "kind");
            }
        }
    }
}
