/* What happens when the broker dies, closes its link, or does not read. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/spawn/hub.h"
#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

#define HUB_TEST(name) Test(hub_broker, name, .init = hub_enter, .fini = hub_leave)

static void
send_op(enum spawn_op op, uint64_t id)
{
    const struct spawn_record record = {
        .version = SPAWN_RECORDS_VERSION, .op = (uint16_t)op, .id = id};
    hub_send(&record, NULL);
}

HUB_TEST(the_next_broker_is_told_who_lives_and_gets_the_output)
{
    int output;
    hub_up();
    const pid_t worker = hub_probe(7, "flood", &output);
    cr_expect(hub_read_until(output, "0123456789abcde\n"));
    close(output); /* the spawner still holds one: nobody gets SIGPIPE */
    hub_broker_kill();
    hub_accept(true);
    cr_expect_eq(hub_get()->hello.epoch, 2);
    cr_expect_eq(hub_get()->hello.open_fds, 0xfU);
    const struct spawn_record alive = hub_expect(SPAWN_ALIVE, 7, &output);
    cr_expect_eq(alive.pid, worker);
    cr_expect_str_eq(alive.name, "worker/7");
    cr_expect_eq(alive.epoch, 2U);
    hub_expect(SPAWN_ALIVE_END, 0, NULL);
    cr_expect(hub_read_until(output, "\n0123456789abcde\n"));
    cr_expect(procs_is_alive(worker));
    close(output);
    hub_down();
}

/* A worker whose stdin is a pipe; it writes what it reads. */
static void
start_cat(uint64_t id)
{
    char program[] = "/bin/cat", path[] = "PATH=/bin", text[100];
    char *argv[] = {program, NULL}, *envp[] = {path, NULL};
    struct spawn_record record = {.id = id, .status = SPAWN_INPUT_PIPE, .name = "cat/0"};
    cr_assert(spawn_text_pack(&record, text, sizeof text, "", argv, envp));
    hub_send(&record, text);
}

HUB_TEST(a_worker_keeps_its_stdin_over_the_death_of_a_broker_until_its_end_is_told)
{
    char text[64];
    int output, input;
    hub_up();
    start_cat(5);
    hub_expect(SPAWN_STARTED, 5, &output);
    hub_expect(SPAWN_INPUT, 5, &input);
    cr_expect(fcntl(input, F_GETFL) & O_NONBLOCK, "a broker may never wait for a worker");
    cr_assert_eq(write(input, "one\n", 4), 4);
    cr_expect(hub_read_until(output, "one\n"));
    close(output);
    close(input);
    hub_broker_kill();
    hub_accept(true);
    hub_expect(SPAWN_ALIVE, 5, &output);
    hub_expect(SPAWN_INPUT, 5, &input);
    hub_expect(SPAWN_ALIVE_END, 0, NULL);
    cr_assert_eq(write(input, "two\n", 4), 4);
    cr_expect(hub_read_until(output, "two\n"));
    send_op(SPAWN_INPUT_END, 5);
    hub_expect_silence();
    cr_assert_eq(write(input, "three\n", 6), 6);
    close(input); /* now nobody has the other end: cat ends by itself */
    cr_expect_eq(hub_expect(SPAWN_EXITED, 5, NULL).status, 0);
    cr_expect_str_eq(hub_read_all(output, text, sizeof text), "three\n");
    send_op(SPAWN_INPUT_END, 5); /* of one that is gone */
    hub_expect_silence();
    close(output);
    hub_down();
}

HUB_TEST(an_end_is_told_to_every_broker_until_one_has_noted_it)
{
    int output;
    char text[64];
    hub_up();
    const char *const argv[] = {"/bin/sh", "-c", "echo last words; exit 3", NULL};
    hub_start_worker(1, "", argv, NULL);
    hub_expect(SPAWN_STARTED, 1, &output);
    close(output);
    hub_expect(SPAWN_EXITED, 1, NULL);
    const char *const missing[] = {"/nonexistent", NULL};
    hub_start_worker(2, "", missing, NULL);
    hub_expect(SPAWN_FAILED, 2, NULL);
    send_op(SPAWN_FORGET, 2);
    hub_start_worker(3, "", missing, NULL);
    hub_expect(SPAWN_FAILED, 3, NULL);
    hub_expect_silence();
    for (int epoch = 2; epoch < 4; epoch++) {
        hub_broker_kill();
        hub_accept(true);
        const struct spawn_record exited = hub_expect(SPAWN_EXITED, 1, &output);
        cr_expect_eq(exited.status, 3 << 8);
        if (epoch == 3) {
            cr_expect_str_eq(hub_read_all(output, text, sizeof text), "last words\n");
        }
        close(output);
        int none;
        const struct spawn_record failed = hub_receive(&none);
        cr_expect_eq(failed.op, SPAWN_FAILED);
        cr_expect_eq(failed.id, 3U);
        cr_expect_eq(failed.error, ENOENT);
        cr_expect_eq(none, -1);
        hub_expect(SPAWN_ALIVE_END, 0, NULL);
    }
    send_op(SPAWN_FORGET, 1);
    send_op(SPAWN_FORGET, 3);
    hub_expect_silence();
    hub_broker_kill();
    hub_accept(false);
    hub_down();
}

HUB_TEST(a_death_between_two_brokers_is_told_to_the_second)
{
    int output;
    hub_up();
    const pid_t worker = hub_probe(1, "wait", &output);
    close(output);
    /* The spawner stands still while both die, so it sees both at once. */
    cr_assert_eq(kill(hub_get()->spawner, SIGSTOP), 0);
    cr_assert_eq(kill(worker, SIGKILL), 0);
    hub_broker_kill();
    cr_assert(until_gone(worker, HUB_DEADLINE_MS) && until_gone(hub_get()->hello.pid, 1000));
    cr_assert_eq(kill(hub_get()->spawner, SIGCONT), 0);
    hub_accept(true);
    cr_expect_eq(hub_expect(SPAWN_EXITED, 1, &output).status, SIGKILL);
    hub_expect(SPAWN_ALIVE_END, 0, NULL);
    close(output);
    hub_down();
}

HUB_TEST(what_a_dead_broker_asked_for_last_is_not_done)
{
    hub_up();
    cr_assert_eq(kill(hub_get()->spawner, SIGSTOP), 0);
    const char *const argv[] = {hub_probe_path(), "wait", dir_path(), NULL};
    hub_start_worker(1, "", argv, NULL);
    hub_broker_kill();
    cr_assert(until_gone(hub_get()->hello.pid, HUB_DEADLINE_MS));
    cr_assert_eq(kill(hub_get()->spawner, SIGCONT), 0);
    hub_accept(true);
    /* The order of death and request is not fixed: either it was never started, or it is told. */
    int output;
    struct spawn_record record = hub_receive(&output);
    while (record.op != SPAWN_ALIVE_END) {
        cr_expect_eq(record.id, 1U);
        close(output);
        record = hub_receive(&output);
    }
    hub_down();
}

HUB_TEST(an_end_that_was_said_before_dying_counts)
{
    hub_up();
    cr_assert_eq(kill(hub_get()->spawner, SIGSTOP), 0);
    for (uint64_t id = 1; id <= 100; id++) {
        send_op(SPAWN_FORGET, id); /* more than the spawner reads before it looks at signals */
    }
    send_op(SPAWN_END, 0);
    hub_broker_kill();
    cr_assert(until_gone(hub_get()->hello.pid, HUB_DEADLINE_MS));
    cr_assert_eq(kill(hub_get()->spawner, SIGCONT), 0);
    cr_expect_eq(hub_wait(), 0, "%s", hub_log());
}

/* A socket that is closed with unread records in it shows its peer an error before anything else.
 */
HUB_TEST(an_end_counts_though_the_broker_left_answers_unread)
{
    hub_up();
    cr_assert_eq(kill(hub_get()->spawner, SIGSTOP), 0);
    kill(hub_get()->keeper, SIGHUP);
    hub_signal(99, SIGTERM, false);
    cr_assert_eq(kill(hub_get()->spawner, SIGCONT), 0);
    cr_assert(until_readable(hub_get()->link, HUB_DEADLINE_MS));
    cr_assert_eq(kill(hub_get()->spawner, SIGSTOP), 0);
    send_op(SPAWN_END, 0);
    hub_broker_kill();
    cr_assert(until_gone(hub_get()->hello.pid, HUB_DEADLINE_MS));
    cr_assert_eq(kill(hub_get()->spawner, SIGCONT), 0);
    cr_expect_eq(hub_wait(), 0, "%s", hub_log());
}

HUB_TEST(exit_0_without_an_end_is_a_crash)
{
    hub_up();
    send_op(SPAWN_READY, 0);
    hub_broker_exit(0);
    hub_accept(false);
    cr_expect_eq(hub_get()->hello.epoch, 2);
    hub_down();
}

HUB_TEST(a_refusal_of_a_later_broker_ends_the_hub_with_its_code)
{
    int output;
    hub_up();
    hub_probe(1, "stubborn", &output);
    hub_broker_kill();
    hub_accept(true);
    hub_broker_exit(78);
    cr_expect_eq(hub_wait(), 78);
    cr_expect_eq(hub_process_count(), 0);
    close(output);
}

HUB_TEST(a_broker_that_worked_is_started_ten_times_in_a_minute_then_the_hub_ends_with_69)
{
    int output;
    hub_up();
    hub_probe(1, "stubborn", &output);
    close(output);
    for (int epoch = 1; epoch <= 10; epoch++) {
        cr_assert_eq(hub_get()->hello.epoch, epoch);
        hub_broker_kill();
        hub_accept(true);
    }
    cr_expect_eq(hub_process_count(), 4);
    hub_broker_kill();
    cr_expect_eq(hub_wait(), 69, "%s", hub_log());
    cr_expect_eq(hub_process_count(), 0);
}

HUB_TEST(a_broker_that_closes_its_link_is_replaced)
{
    hub_up();
    const pid_t first = hub_get()->hello.pid;
    const struct fake_command command = {.what = FAKE_CLOSE};
    cr_assert_eq(send(hub_get()->broker_fd, &command, sizeof command, MSG_NOSIGNAL),
                 (ssize_t)sizeof command);
    close(hub_get()->link);
    hub_get()->link = -1;
    hub_accept(false);
    cr_expect(until_gone(first, HUB_DEADLINE_MS));
    cr_expect_eq(hub_get()->hello.epoch, 2);
    hub_down();
}

/* Ask for more answers than the socket and the queue hold, without reading one. */
HUB_TEST(a_broker_that_does_not_read_is_killed_and_replaced)
{
    int output;
    hub_up();
    const pid_t first = hub_get()->hello.pid;
    const pid_t worker = hub_probe(1, "wait", &output);
    close(output);
    const struct spawn_record question = {
        .version = SPAWN_RECORDS_VERSION, .op = SPAWN_SIGNAL, .id = 99, .signal = SIGTERM};
    enum spawn_io sent = SPAWN_IO_DONE;
    for (int i = 0; i < 100 * 1000 && sent != SPAWN_IO_CLOSED; i++) {
        sent = spawn_record_send(hub_get()->link, &question, NULL, -1);
        while (sent == SPAWN_IO_LATER) {
            struct pollfd state = {.fd = hub_get()->link, .events = POLLOUT};
            cr_assert(poll(&state, 1, HUB_DEADLINE_MS) == 1, "%s", hub_log());
            sent = spawn_record_send(hub_get()->link, &question, NULL, -1);
        }
    }
    cr_expect_eq(sent, SPAWN_IO_CLOSED);
    cr_expect(until_gone(first, HUB_DEADLINE_MS));
    hub_accept(true);
    cr_expect_eq(hub_expect(SPAWN_ALIVE, 1, &output).pid, worker);
    close(output);
    hub_expect(SPAWN_ALIVE_END, 0, NULL);
    hub_down();
}

/* Many workers at a restart: the greeting is longer than the socket's buffer. */
HUB_TEST(a_long_greeting_arrives_whole)
{
    enum { COUNT = 300 };
    int output;
    bool is_alive[COUNT + 1] = {false};
    const char *const argv[] = {hub_probe_path(), "wait", dir_path(), NULL};
    hub_up();
    for (uint64_t id = 1; id <= COUNT; id++) {
        hub_start_worker(id, "", argv, NULL);
        hub_expect(SPAWN_STARTED, id, &output);
        close(output);
    }
    hub_broker_kill();
    hub_accept(true);
    for (int i = 0; i < COUNT; i++) {
        const struct spawn_record record = hub_receive(&output);
        cr_assert_eq(record.op, SPAWN_ALIVE);
        cr_assert(record.id <= COUNT && !is_alive[record.id] && output >= 0);
        is_alive[record.id] = true;
        close(output);
    }
    hub_expect(SPAWN_ALIVE_END, 0, NULL);
    hub_down();
}
