/* kill -9 of keeper or spawner: whatever the workers are made of, nothing is left within a second,
 * and the place is free for the next hub. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/e2e/spawn/hub.h"
#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

#define HUB_TEST(name) Test(hub_kill, name, .init = hub_enter, .fini = hub_leave)

enum { LIMIT_MS = 1000 };

static const char *const nasty_modes[] = {"stubborn", "background", "daemon",
                                          "cleared",  "tree",       "chain"};

static void
make_socket(void)
{
    char path[DIR_FILE_BYTES_MAX];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", dir_file(path, "run/hub.sock"));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

/* One hub with a worker of that kind, or with all kinds at once (NULL). */
static void
start_nasty(const char *mode)
{
    int output;
    hub_up();
    for (size_t i = 0; i < sizeof nasty_modes / sizeof nasty_modes[0]; i++) {
        if (mode == NULL || strcmp(mode, nasty_modes[i]) == 0) {
            hub_probe(i + 1, nasty_modes[i], &output);
            cr_assert(hub_read_until(output, "up"), "%s", nasty_modes[i]);
            close(output);
        }
    }
    make_socket();
}

static bool
is_socket_gone(void *unused)
{
    (void)unused;
    return access("run/hub.sock", F_OK) != 0;
}

static void
kill_keeper(const char *mode)
{
    start_nasty(mode);
    cr_assert_eq(kill(hub_get()->keeper, SIGKILL), 0);
    cr_expect_eq(hub_wait(), 1000 + SIGKILL);
    cr_expect(hub_until_nothing_left(LIMIT_MS), "%s: %d processes left", mode ? mode : "all",
              hub_process_count());
    cr_expect(until(LIMIT_MS, is_socket_gone, NULL));
}

static void
kill_spawner(const char *mode)
{
    start_nasty(mode);
    cr_assert_eq(kill(hub_get()->spawner, SIGKILL), 0);
    cr_expect(hub_until_nothing_left(LIMIT_MS), "%s: %d processes left", mode ? mode : "all",
              hub_process_count());
    cr_expect_eq(hub_wait(), 70);
    cr_expect(is_socket_gone(NULL));
}

HUB_TEST(of_the_keeper_leaves_nothing_of_any_kind_of_worker)
{
    for (size_t i = 0; i < sizeof nasty_modes / sizeof nasty_modes[0]; i++) {
        kill_keeper(nasty_modes[i]);
    }
}

HUB_TEST(of_the_spawner_leaves_nothing_of_any_kind_of_worker)
{
    for (size_t i = 0; i < sizeof nasty_modes / sizeof nasty_modes[0]; i++) {
        kill_spawner(nasty_modes[i]);
    }
}

HUB_TEST(of_the_keeper_leaves_nothing_of_all_kinds_together)
{
    kill_keeper(NULL);
}

HUB_TEST(of_the_spawner_leaves_nothing_of_all_kinds_together)
{
    kill_spawner(NULL);
}

HUB_TEST(of_a_broker_leaves_its_workers_alive)
{
    start_nasty(NULL);
    const int before = hub_process_count();
    hub_broker_kill();
    hub_accept(true);
    cr_expect(before > 0 && hub_process_count() > 6);
    kill(hub_get()->keeper, SIGTERM);
    kill(hub_get()->keeper, SIGINT);
    cr_assert(until_readable(hub_get()->link, HUB_DEADLINE_MS));
    kill(hub_get()->spawner, SIGKILL);
    cr_expect_eq(hub_wait(), 70);
    cr_expect_eq(hub_process_count(), 0);
}

/* The lock is held as long as anything is left, so the next hub never meets the former one's sweep.
 */
HUB_TEST(the_next_hub_cannot_start_before_the_sweep_is_over)
{
    char run[DIR_FILE_BYTES_MAX];
    start_nasty("stubborn");
    cr_assert_eq(kill(hub_get()->spawner, SIGSTOP), 0);
    cr_assert_eq(kill(hub_get()->keeper, SIGKILL), 0);
    hub_wait();
    const char *const arguments[] = {"--runtime-dir", dir_file(run, "run"), "--broker",
                                     hub_fake_broker_path(), NULL};
    const char *const variables[] = {"FAKE_BROKER_EXIT=78", NULL};
    cr_expect_eq(hub_run(arguments, variables), 75);
    cr_assert_eq(kill(hub_get()->spawner, SIGCONT), 0);
    cr_expect(hub_until_nothing_left(LIMIT_MS));
    cr_expect_eq(hub_run(arguments, variables), 78);
}

/* Stopped workers, and a worker that was never told of anything, die like all others. */
HUB_TEST(of_the_keeper_ends_stopped_workers)
{
    int output;
    hub_up();
    const pid_t worker = hub_probe(1, "stubborn", &output);
    cr_assert(hub_read_until(output, "up"));
    close(output);
    cr_assert_eq(kill(worker, SIGSTOP), 0);
    cr_assert_eq(kill(hub_get()->keeper, SIGKILL), 0);
    hub_wait();
    cr_expect(hub_until_nothing_left(LIMIT_MS));
}
