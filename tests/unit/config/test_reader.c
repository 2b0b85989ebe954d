/* Good files: what is read, and how `defaults:` and the table's defaults fill the rest. */
#include <string.h>

#include "broker/config/object.h"
#include "tests/support/test.h"
#include "tests/unit/config/helper.h"

static const char *
environment_of(const struct config_worker *worker, const char *name)
{
    const struct config_pair *pair = config_map_find(&worker->environment, name);
    return pair != NULL ? pair->value : "(none)";
}

Test(config_reader, the_sample_of_the_design_reads)
{
    struct config *config =
        helper_load("hub:\n"
                    "  listen: [\"tcp://127.0.0.1:7707\"]      # beside the local socket\n"
                    "workers:\n"
                    "  detector:\n"
                    "    command: [python3, detector.py]\n"
                    "    replicas: 2\n"
                    "    restart: on-failure\n"
                    "    environment: {MODEL: yolo.onnx, CUDA_VISIBLE_DEVICES: \"%i\"}\n");
    cr_assert_eq(config->hub.listen.count, 1);
    cr_expect_str_eq(config->hub.listen.items[0], "tcp://127.0.0.1:7707");
    cr_assert_eq(config->worker_count, 1);
    const struct config_worker *worker = &config->workers[0];
    cr_expect_str_eq(worker->name, "detector");
    cr_assert_eq(worker->command.count, 2);
    cr_expect_str_eq(worker->command.items[0], "python3");
    cr_expect_str_eq(worker->command.items[1], "detector.py");
    cr_expect_null(worker->command.items[2], "exec wants a NULL at the end");
    cr_expect_eq(worker->replicas, 2);
    cr_expect_eq(worker->restart, CONFIG_RESTART_ON_FAILURE);
    cr_expect_str_eq(environment_of(worker, "MODEL"), "yolo.onnx");
    cr_expect_str_eq(environment_of(worker, "CUDA_VISIBLE_DEVICES"), "%i");
    cr_expect_str_eq(worker->working_dir, "/etc/prong");
    config_free(config);
}

Test(config_reader, every_option_of_the_hub_is_taken)
{
    struct config *config = helper_load(helper_sample);
    const struct config_hub *hub = &config->hub;
    cr_expect_eq(hub->listen.count, 2);
    cr_expect_eq(hub->local_engine, CONFIG_ENGINE_NNG);
    cr_expect_str_eq(hub->group, "prong");
    cr_expect_eq(hub->message_bytes_max, 1048576);
    cr_expect_str_eq(hub->token_file, "/etc/prong/secret/token");
    cr_expect_str_eq(hub->tls_cert_file, "/etc/ssl/cert.pem");
    cr_expect_str_eq(hub->tls_key_file, "/people/ada/key.pem");
    cr_expect_eq(hub->events_size_bytes, 8 * 1024 * 1024);
    cr_assert_eq(hub->max_silence.count, 2);
    cr_expect_str_eq(hub->max_silence.items[0].name, "sensor.cpu");
    cr_expect_eq(hub->max_silence.items[0].number, 5000);
    cr_expect_str_eq(hub->max_silence.items[1].name, "hub.worker.ready");
    cr_expect_eq(hub->max_silence.items[1].number, 86400000);
    cr_assert_eq(hub->stream_silence.count, 1);
    cr_expect_str_eq(hub->stream_silence.items[0].name, "cam1");
    cr_expect_eq(hub->stream_silence.items[0].number, 2000);
    cr_expect_eq(hub->stop_timeout_ms, 90000);
    cr_expect_null(hub->log_dir);
    cr_expect_eq(hub->log_level, CONFIG_LOG_DEBUG);
    config_free(config);
}

Test(config_reader, a_worker_takes_from_defaults_what_it_does_not_give)
{
    struct config *config = helper_load(helper_sample);
    cr_assert_eq(config->worker_count, 2);
    const struct config_worker *worker = &config->workers[0];
    cr_expect_str_eq(worker->name, "detector");
    cr_expect_eq(worker->restart, CONFIG_RESTART_ALWAYS);
    cr_assert_eq(worker->args.count, 1);
    cr_expect_str_eq(worker->args.items[0], "--verbose");
    cr_expect_str_eq(worker->working_dir, "/etc/prong/work");
    cr_expect_eq(worker->replicas, 2);
    cr_expect_eq(worker->environment.count, 3, "environments are joined");
    cr_expect_str_eq(environment_of(worker, "MODEL"), "many.onnx", "the worker's own value wins");
    cr_expect_str_eq(environment_of(worker, "SHARED"), "yes");
    cr_expect_str_eq(environment_of(worker, "GPU"), "%i");
    config_free(config);
}

Test(config_reader, a_worker_replaces_what_defaults_give)
{
    struct config *config = helper_load(helper_sample);
    const struct config_worker *worker = &config->workers[1];
    cr_expect_str_eq(worker->name, "camera");
    cr_expect_str_eq(worker->command.items[0], "./camera", "a program is not made absolute");
    cr_expect_str_eq(worker->command.items[1], "$HOME", "only ${...} is replaced");
    cr_expect_eq(worker->args.count, 0, "an empty list replaces too");
    cr_expect_eq(worker->restart, CONFIG_RESTART_NO);
    cr_expect_str_eq(worker->working_dir, "/srv");
    cr_expect_eq(worker->stop_signal, 2);
    cr_expect_str_eq(worker->ready, "started");
    cr_expect_str_eq(environment_of(worker, "MODEL"), "yolo.onnx");
    cr_expect_eq(worker->replicas, 1);
    config_free(config);
}

Test(config_reader, defaults_may_stand_below_the_workers)
{
    struct config *config = helper_load("workers:\n  a: {}\n  b:\n"
                                        "defaults: {command: [run], replicas: 3}\n");
    cr_assert_eq(config->worker_count, 2);
    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(config->workers[i].replicas, 3);
        cr_expect_str_eq(config->workers[i].command.items[0], "run");
    }
    config_free(config);
}

Test(config_reader, an_empty_file_is_a_configuration_of_defaults)
{
    static const char *const texts[] = {"",
                                        "\n\n",
                                        "# nothing\n",
                                        "---\n",
                                        "{}\n",
                                        "\xef\xbb\xbf",
                                        "hub:\n",
                                        "workers: {}\n",
                                        "~\n",
                                        "hub:\nworkers:\ndefaults:\n",
                                        "--- {}\n...\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct config *config = helper_load(texts[i]);
        helper_expect_defaults(&config_hub_table, &config->hub, texts[i]);
        cr_expect_eq(config->worker_count, 0);
        cr_expect_str_eq(config->directory, "/etc/prong");
        config_free(config);
    }
}

Test(config_reader, all_the_workers_options_are_filled_from_the_table)
{
    struct config *config = helper_load("workers: {a: {command: [run]}}\n");
    struct config_worker *worker = &config->workers[0];
    config_object_clear(&config_worker_table.options[0], worker);
    const int index = config_option_find(&config_worker_table, "working_dir");
    config_object_clear(&config_worker_table.options[index], worker);
    helper_expect_defaults(&config_worker_table, worker, "a");
    config_free(config);
}

Test(config_reader, a_value_may_stand_in_any_of_yamls_quotes)
{
    struct config *config = helper_load("hub: {group: 'a', stop_timeout: \"5s\"}\n"
                                        "workers:\n"
                                        "  a:\n"
                                        "    command: [sh, -c]\n"
                                        "    autostart: \"false\"\n"
                                        "    args:\n"
                                        "      - |\n"
                                        "        echo one\n"
                                        "        echo \"$$two\"\n"
                                        "      - ''\n"
                                        "      - 0x10\n");
    cr_expect_str_eq(config->hub.group, "a");
    cr_expect_eq(config->hub.stop_timeout_ms, 5000);
    cr_expect_not(config->workers[0].autostart);
    const struct config_list *args = &config->workers[0].args;
    cr_assert_eq(args->count, 3);
    cr_expect_str_eq(args->items[0], "echo one\necho \"$two\"\n");
    cr_expect_str_eq(args->items[1], "");
    cr_expect_str_eq(args->items[2], "0x10");
    config_free(config);
}

Test(config_reader, variables_are_put_into_numbers_and_words_too)
{
    struct config *config = helper_load("workers:\n"
                                        "  a:\n"
                                        "    command: [\"${HOME}/bin/${NOTHING:-run}\"]\n"
                                        "    replicas: ${TWO}\n"
                                        "    stop_timeout: ${EMPTY:-3}s\n"
                                        "    autostart: ${NOTHING:-false}\n");
    const struct config_worker *worker = &config->workers[0];
    cr_expect_str_eq(worker->command.items[0], "/people/ada/bin/run");
    cr_expect_eq(worker->replicas, 2);
    cr_expect_eq(worker->stop_timeout_ms, 3000);
    cr_expect_not(worker->autostart);
    config_free(config);
}

Test(config_reader, relative_paths_begin_at_the_directory_of_the_file)
{
    static const char *const rows[][2] = {
        {"token", "/etc/prong/token"},  {"./token", "/etc/prong/token"},
        {".//a/b", "/etc/prong/a/b"},   {"../token", "/etc/prong/../token"},
        {"/token", "/token"},           {".", "/etc/prong"},
        {"./", "/etc/prong"},           {"a/", "/etc/prong/a/"},
        {"${HOME}/t", "/people/ada/t"}, {"${EMPTY}t", "/etc/prong/t"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "hub: {token_file: \"%s\"}\n", rows[i][0]);
        struct config *config = helper_load(text);
        cr_expect_str_eq(config->hub.token_file, rows[i][1]);
        config_free(config);
    }
}

Test(config_reader, one_given_delay_pulls_the_other_with_it)
{
    struct config *config = helper_load("workers:\n"
                                        "  a: {command: [a], restart_delay: 2m}\n"
                                        "  b: {command: [b], max_restart_delay: 10ms}\n");
    cr_expect_eq(config->workers[0].restart_delay_ms, 120000);
    cr_expect_eq(config->workers[0].restart_delay_ms_max, 120000);
    cr_expect_eq(config->workers[1].restart_delay_ms, 10);
    cr_expect_eq(config->workers[1].restart_delay_ms_max, 10);
    config_free(config);
}

Test(config_reader, a_reserved_or_odd_looking_name_is_told_apart)
{
    struct config *config = helper_load("workers:\n"
                                        "  hub2: {command: [a]}\n"
                                        "  \"1\": {command: [a]}\n"
                                        "  a-b_c: {command: [a]}\n"
                                        "  null: {command: [a]}\n");
    cr_expect_eq(config->worker_count, 4);
    cr_expect_str_eq(config->workers[3].name, "null");
    config_free(config);
}

/* As editors of Windows leave them. */
Test(config_reader, a_byte_order_mark_and_other_ends_of_lines_change_nothing)
{
    struct config *config = helper_load("\xef\xbb\xbfhub:\r\n  group: a\r\nworkers:\r\n"
                                        "  a:\r\n    command:\r\n      - run\r\n");
    cr_expect_str_eq(config->hub.group, "a");
    cr_expect_str_eq(config->workers[0].command.items[0], "run");
    config_free(config);
}
