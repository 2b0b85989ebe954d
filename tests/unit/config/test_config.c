/* Defaults, files, and what happens to a result on failure. */
#include "broker/config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "tests/unit/config/helper.h"

static void
write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file, "cannot write %s", path);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

Test(config, a_new_configuration_has_the_defaults_of_the_table)
{
    struct config *config = config_new();
    cr_assert_not_null(config);
    helper_expect_defaults(&config_hub_table, &config->hub, "a new hub");
    cr_expect_eq(config->worker_count, 0);
    cr_expect_null(config->directory);
    config_free(config);
    config_free(NULL);
}

Test(config, a_worker_added_at_run_time_has_the_defaults_of_the_table)
{
    struct config_worker worker;
    cr_assert_eq(config_defaults_worker(&worker), 0);
    helper_expect_defaults(&config_worker_table, &worker, "a new worker");
    cr_expect_null(worker.name);
    worker.name = strdup("added");
    config_worker_deinit(&worker);
    config_worker_deinit(&worker);
    cr_expect_null(worker.name);
}

/* Written out once more, so that a change of the table is noticed by whoever makes it. */
Test(config, the_defaults_are_those_that_are_promised)
{
    struct config *config = config_new();
    struct config_worker worker;
    cr_assert_not_null(config);
    cr_assert_eq(config_defaults_worker(&worker), 0);
    cr_expect_eq(config->hub.local_engine, CONFIG_ENGINE_NATIVE);
    cr_expect_eq(config->hub.message_bytes_max, 16 * 1024 * 1024);
    cr_expect_eq(config->hub.events_size_bytes, 8 * 1024 * 1024);
    cr_expect_eq(config->hub.stop_timeout_ms, 30 * 1000);
    cr_expect_eq(config->hub.log_level, CONFIG_LOG_INFO);
    cr_expect_eq(worker.replicas, 1);
    cr_expect(worker.autostart);
    cr_expect_eq(worker.start_timeout_ms, 120 * 1000);
    cr_expect_str_eq(worker.ready, "attach");
    cr_expect_eq(worker.restart, CONFIG_RESTART_ON_FAILURE);
    cr_expect_eq(worker.restart_delay_ms, 100);
    cr_expect_eq(worker.restart_delay_ms_max, 30 * 1000);
    cr_expect_eq(worker.restarts_max, 5);
    cr_expect_eq(worker.restart_window_ms, 60 * 1000);
    cr_expect_eq(worker.stop_signal, 15);
    cr_expect_eq(worker.stop_timeout_ms, 5 * 1000);
    cr_expect_eq(worker.queue_size, 1024);
    cr_expect_eq(worker.log_bytes_max, 10 * 1024 * 1024);
    cr_expect_eq(worker.log_backups, 3);
    config_worker_deinit(&worker);
    config_free(config);
}

Test(config, a_file_in_a_folder_gives_its_folder_as_an_absolute_path)
{
    char here[4000], expected[4200];
    struct config *config = NULL;
    struct config_diag diag;
    cr_assert_not_null(getcwd(here, sizeof here));
    cr_assert_eq(mkdir("folder", 0700), 0);
    write_file("folder/a.yaml", "hub: {token_file: t}\nworkers: {a: {command: [run]}}\n");
    cr_assert_eq(config_load("folder/a.yaml", NULL, &config, &diag), 0, "%s", diag.text);
    snprintf(expected, sizeof expected, "%s/folder", here);
    cr_expect_str_eq(config->directory, expected);
    cr_expect_str_eq(config->workers[0].working_dir, expected);
    snprintf(expected, sizeof expected, "%s/folder/t", here);
    cr_expect_str_eq(config->hub.token_file, expected);
    config_free(config);
}

Test(config, a_file_in_the_current_folder_gives_that_folder)
{
    char here[4000];
    static const char *const names[] = {"here.yaml", "./here.yaml"};
    cr_assert_not_null(getcwd(here, sizeof here));
    write_file("here.yaml", "");
    for (size_t i = 0; i < 2; i++) {
        struct config *config = NULL;
        struct config_diag diag;
        cr_assert_eq(config_load(names[i], NULL, &config, &diag), 0, "%s", diag.text);
        cr_expect_str_eq(config->directory, here);
        config_free(config);
    }
}

Test(config, a_file_that_cannot_be_read_is_named_with_the_reason)
{
    struct config *config = NULL;
    struct config_diag diag;
    char text[300];
    cr_assert_eq(config_load("no-such-file.yaml", NULL, &config, &diag), -1);
    cr_expect_eq(diag.error, ENOENT);
    cr_expect_eq(diag.line, 0);
    config_diag_format(&diag, text, sizeof text);
    cr_expect_str_eq(text, "no-such-file.yaml: No such file or directory");
    cr_assert_eq(config_load(".", NULL, &config, &diag), -1);
    cr_expect_eq(diag.error, EISDIR);
    cr_expect_null(config, "the result is written on success only");
}

Test(config, the_groups_of_the_process_are_those_of_its_system)
{
    cr_expect(config_env_process.has_group(NULL, "root"));
    cr_expect_not(config_env_process.has_group(NULL, "nobody_has_it"));
}

Test(config, the_users_and_cpus_of_the_process_are_those_of_its_system)
{
    static const char *const users[] = {"root", "0"};
    static const char *const nobody[] = {"nobody_has_it", "4294967295", "4294967296", "",
                                         "0x0",           " 0"};
    char near[CONFIG_NEAR_BYTES_MAX] = "-";
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
        cr_expect(config_env_process.has_user(NULL, users[i]), "%s", users[i]);
    }
    for (size_t i = 0; i < sizeof nobody / sizeof nobody[0]; i++) {
        cr_expect_not(config_env_process.has_user(NULL, nobody[i]), "'%s'", nobody[i]);
    }
    config_env_process.find_near(NULL, CONFIG_NAMES_USERS, "rooot", near);
    cr_expect_str_eq(near, "root");
    config_env_process.find_near(NULL, CONFIG_NAMES_GROUPS, "Root", near);
    cr_expect_str_eq(near, "root");
    config_env_process.find_near(NULL, CONFIG_NAMES_USERS, "nothing_like_any_user", near);
    cr_expect_str_eq(near, "");
    cr_expect_gt(config_env_process.cpu_count(NULL), 0);
}

/* Each of them could be waited for without end, the pipe even to be opened. */
Test(config, what_is_no_file_is_refused_at_once)
{
    static const struct {
        const char *path, *text;
    } rows[] = {{"pipe", "pipe: this is a named pipe, a configuration has to be a file"},
                {"/dev/zero", "/dev/zero: this is a device, a configuration has to be a file"},
                {"socket", "socket: this is a socket, a configuration has to be a file"}};
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config *config = NULL;
        struct config_diag diag;
        char text[300];
        cr_expect_eq(config_load(rows[i].path, NULL, &config, &diag), -1, "%s", rows[i].path);
        cr_expect_eq(diag.error, EINVAL);
        config_diag_format(&diag, text, sizeof text);
        cr_expect_str_eq(text, rows[i].text);
    }
    close(fd);
}

/* As `prong config check /dev/stdin` and `<(...)` of a shell give it: what comes is waited for. */
Test(config, a_pipe_that_the_process_was_given_is_read_to_its_end)
{
    static const char *const parts[] = {"workers:\n  a: {comm", "and: [run]}\n"};
    struct config *config = NULL;
    struct config_diag diag;
    char path[40];
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const pid_t writer = fork();
    if (writer == 0) {
        close(ends[0]);
        for (size_t i = 0; i < 2; i++) {
            if (write(ends[1], parts[i], strlen(parts[i])) != (ssize_t)strlen(parts[i])) {
                _exit(1);
            }
        }
        _exit(0);
    }
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    cr_expect_eq(config_load(path, NULL, &config, &diag), 0, "%s", diag.text);
    cr_expect_eq(config->worker_count, 1);
    config_free(config);
    close(ends[0]);
    cr_expect_eq(waitpid(writer, NULL, 0), writer);
}

Test(config, a_message_is_cut_to_the_room_there_is)
{
    const struct config_diag diag = {.file = "f", .line = 3, .column = 7, .text = "wrong"};
    char text[8];
    config_diag_format(&diag, text, sizeof text);
    cr_expect_str_eq(text, "f:3:7: ");
}

Test(config, names_of_workers_are_checked)
{
    static const struct {
        const char *name;
        bool is_valid;
    } rows[] = {{"a", true},  {"a-b_9", true}, {"hub", false}, {"", false},    {"hub0", true},
                {"A", false}, {"a/0", false},  {"a.b", false}, {"a b", false}, {"\xc3\xa4", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_eq(config_worker_name_is_valid(rows[i].name), rows[i].is_valid, "%s",
                     rows[i].name);
    }
}
