/* Workers: how they start, what they are given, how they end, and that nothing of them is left. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/spawn/hub.h"
#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

#define HUB_TEST(name) Test(hub_workers, name, .init = hub_enter, .fini = hub_leave)

static void
forget(uint64_t id)
{
    const struct spawn_record record = {
        .version = SPAWN_RECORDS_VERSION, .op = SPAWN_FORGET, .id = id};
    hub_send(&record, NULL);
}

struct ending {
    const char *mode;
    const char *value;
    int status;
};

static const struct ending endings[] = {
    {"exit", "0", 0},          {"exit", "1", 1 << 8},     {"exit", "75", 75 << 8},
    {"exit", "127", 127 << 8}, {"exit", "255", 255 << 8}, {"signal", "15", 15},
    {"signal", "9", 9},        {"signal", "10", 10},      {"signal", "13", 13},
};

HUB_TEST(exit_codes_and_signals_are_told_as_they_are)
{
    int output;
    hub_up();
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        const char *const argv[] = {hub_probe_path(), endings[i].mode, endings[i].value, NULL};
        hub_start_worker(i + 1, "", argv, NULL);
        const struct spawn_record started = hub_expect(SPAWN_STARTED, i + 1, &output);
        const struct spawn_record exited = hub_expect(SPAWN_EXITED, i + 1, NULL);
        cr_expect_eq(exited.status, endings[i].status, "%s %s: %d", endings[i].mode,
                     endings[i].value, exited.status);
        cr_expect_eq(exited.pid, started.pid);
        cr_expect(exited.time_ns >= started.time_ns && started.time_ns > 0);
        cr_expect_str_eq(exited.name, started.name);
        close(output);
    }
    hub_down();
}

HUB_TEST(stdout_and_stderr_come_through_one_pipe)
{
    char text[256];
    int output;
    hub_up();
    const char *const argv[] = {hub_probe_path(), "speak", NULL};
    hub_start_worker(1, "", argv, NULL);
    hub_expect(SPAWN_STARTED, 1, &output);
    hub_expect(SPAWN_EXITED, 1, NULL);
    cr_expect(fcntl(output, F_GETFL) & O_NONBLOCK, "a broker may never wait for a worker");
    cr_expect(hub_read_until(output, "to stdout\nto stderr\n"));
    forget(1);
    cr_expect_str_eq(hub_read_all(output, text, sizeof text), "", "nothing more, and the end");
    close(output);
    hub_down();
}

struct failing {
    const char *program;
    const char *folder;
    const char *path;
    enum spawn_step step;
    int error;
};

static const struct failing failings[] = {
    {"/nonexistent/program", "", "PATH=/bin", SPAWN_STEP_EXEC, ENOENT},
    {"no-such-program-anywhere", "", "PATH=/usr/bin:/bin", SPAWN_STEP_EXEC, ENOENT},
    {"no-such-program-anywhere", "", "PATH=", SPAWN_STEP_EXEC, ENOENT},
    {"no-such-program-anywhere", "", "NOPATH=", SPAWN_STEP_EXEC, ENOENT},
    {"./plain", "", "PATH=/bin", SPAWN_STEP_EXEC, EACCES},
    {"plain", "", "PATH=/bin:.:/usr/bin", SPAWN_STEP_EXEC, EACCES},
    {"./text", "", "PATH=/bin", SPAWN_STEP_EXEC, ENOEXEC},
    {"text", "", "PATH=.", SPAWN_STEP_EXEC, ENOEXEC},
    {"./folder", "", "PATH=/bin", SPAWN_STEP_EXEC, EACCES},
    {"./badscript", "", "PATH=/bin", SPAWN_STEP_EXEC, ENOENT},
    {"/bin/true", "/nonexistent", "PATH=/bin", SPAWN_STEP_FOLDER, ENOENT},
    {"/bin/true", "/etc/passwd", "PATH=/bin", SPAWN_STEP_FOLDER, ENOTDIR},
};

HUB_TEST(a_start_that_fails_tells_the_step_and_the_errno)
{
    dir_write("plain", "#!/bin/sh\n", 0644);
    dir_write("text", "no program\n", 0755);
    dir_write("badscript", "#!/nonexistent/shell\n", 0755);
    cr_assert_eq(mkdir("folder", 0755), 0);
    hub_up();
    hub_expect_silence(); /* then the broker's birth is over for the spawner, too */
    const int fds = procs_fd_count(hub_get()->spawner, NULL);
    for (size_t i = 0; i < sizeof failings / sizeof failings[0]; i++) {
        const struct failing *f = &failings[i];
        const char *const argv[] = {f->program, NULL};
        const char *const envp[] = {f->path, NULL};
        hub_start_worker(i + 1, f->folder[0] ? f->folder : dir_path(), argv, envp);
        const struct spawn_record failed = hub_expect(SPAWN_FAILED, i + 1, NULL);
        cr_expect(failed.step == (int)f->step && failed.error == f->error, "%s: %s: %s", f->program,
                  spawn_step_text((enum spawn_step)failed.step), strerror(failed.error));
        forget(i + 1);
    }
    hub_expect_silence();
    cr_expect_eq(procs_fd_count(hub_get()->spawner, NULL), fds);
    hub_down();
}

HUB_TEST(the_program_is_looked_for_in_the_path_of_its_own_environment)
{
    int output;
    mkdir("bin", 0755);
    mkdir("empty", 0755);
    dir_write("bin/only-here", "#!/bin/sh\necho found $0\n", 0755);
    hub_up();
    char path[DIR_FILE_BYTES_MAX * 3];
    snprintf(path, sizeof path, "PATH=/nonexistent:%s/empty:%s/bin", dir_path(), dir_path());
    const char *const argv[] = {"only-here", NULL};
    const char *const envp[] = {path, NULL};
    hub_start_worker(1, "", argv, envp);
    hub_expect(SPAWN_STARTED, 1, &output);
    hub_expect(SPAWN_EXITED, 1, NULL);
    cr_expect(hub_read_until(output, "/bin/only-here\n"));
    close(output);
    /* And a relative program counts from the working folder. */
    const char *const relative[] = {"./only-here", NULL};
    char folder[DIR_FILE_BYTES_MAX];
    hub_start_worker(2, dir_file(folder, "bin"), relative, envp);
    hub_expect(SPAWN_STARTED, 2, &output);
    hub_expect(SPAWN_EXITED, 2, NULL);
    cr_expect(hub_read_until(output, "found ./only-here\n"));
    close(output);
    hub_down();
}

HUB_TEST(a_worker_gets_its_environment_and_descriptors_and_nothing_else)
{
    char text[8192];
    int output;
    int other;
    hub_start(NULL, (const char *const[]){"SECRET=of the hub", NULL});
    hub_accept(false);
    hub_probe(1, "wait", &other); /* its pipe may not leak into the next one */
    const char *const argv[] = {hub_probe_path(), "report", NULL};
    const char *const envp[] = {"ONE=1", "TWO=two words", "EMPTY=", NULL};
    hub_start_worker(2, dir_path(), argv, envp);
    hub_expect(SPAWN_STARTED, 2, &output);
    hub_expect(SPAWN_EXITED, 2, NULL);
    forget(2);
    char expected[1024];
    snprintf(expected, sizeof expected,
             "env ONE=1\nenv TWO=two words\nenv EMPTY=\n"
             "fd 0 /dev/null\nfd 1 pipe\nfd 2 pipe\n"
             "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000002\nSigCgt:\t0000000000000000\n"
             "session own\ngroup own\nfolder %s\nfiles ",
             dir_path());
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    /* The sanitizers of the probe catch signals and may open descriptors of their own. */
    cr_expect_not_null(strstr(hub_read_all(output, text, sizeof text), "session own\ngroup own\n"));
#else
    hub_read_all(output, text, sizeof text);
    cr_expect_eq(strncmp(text, expected, strlen(expected)), 0, "got %s expected %s", text,
                 expected);
#endif
    close(output);
    close(other);
    hub_down();
}

HUB_TEST(signals_reach_the_group_or_the_process_until_it_is_reaped)
{
    int output;
    hub_up();
    const pid_t first = hub_probe(1, "background", &output);
    cr_assert(hub_read_until(output, "up"));
    close(output);
    cr_expect_eq(hub_process_count() > 0, true);
    hub_signal(1, SIGTERM, true);
    struct spawn_record exited = hub_expect(SPAWN_EXITED, 1, NULL);
    cr_expect_eq(exited.status, SIGTERM);
    cr_expect_eq(exited.pid, first);
    hub_signal(1, SIGTERM, true);
    const struct spawn_record late = hub_expect(SPAWN_FAILED, 1, NULL);
    cr_expect_eq(late.step, SPAWN_STEP_SIGNAL);
    cr_expect_eq(late.error, ESRCH);
    cr_expect_eq(late.signal, SIGTERM);
    hub_probe(2, "stubborn", &output);
    cr_assert(hub_read_until(output, "up"));
    hub_signal(2, SIGTERM, false);
    hub_signal(2, SIGINT, false);
    hub_expect_silence();
    hub_signal(2, SIGKILL, false);
    exited = hub_expect(SPAWN_EXITED, 2, NULL);
    cr_expect_eq(exited.status, SIGKILL);
    close(output);
    hub_down();
}

/* Only the hub's own three processes carry the tag besides workers. */
enum { HUB_PROCESSES = 3 };

static bool
has_only_hub_processes(void *unused)
{
    (void)unused;
    return hub_process_count() == HUB_PROCESSES;
}

static const char *const leaving_modes[] = {"background", "daemon", "tree", "chain"};

HUB_TEST(what_a_dead_worker_leaves_is_killed)
{
    int output;
    hub_up();
    for (size_t i = 0; i < sizeof leaving_modes / sizeof leaving_modes[0]; i++) {
        hub_probe(i + 1, leaving_modes[i], &output);
        cr_assert(hub_read_until(output, "up"), "%s", leaving_modes[i]);
        hub_signal(i + 1, SIGKILL, false);
        cr_expect_eq(hub_expect(SPAWN_EXITED, i + 1, NULL).status, SIGKILL);
        cr_expect(until(1000, has_only_hub_processes, NULL), "%s: %d processes", leaving_modes[i],
                  hub_process_count());
        close(output);
    }
    hub_down();
}

/* Makes the spawner look at its children: a SIGCHLD. */
static void
let_another_worker_die(uint64_t id)
{
    int output;
    const char *const argv[] = {"/bin/true", NULL};
    hub_start_worker(id, "", argv, NULL);
    hub_expect(SPAWN_STARTED, id, &output);
    hub_expect(SPAWN_EXITED, id, NULL);
    close(output);
}

/* The pid that a probe says as "up PID". */
static pid_t
read_pid(int output)
{
    char text[64] = "";
    size_t used = 0;
    while (used < sizeof text - 1 && until_readable(output, HUB_DEADLINE_MS) &&
           read(output, text + used, 1) == 1 && text[used++] != '\n') {
    }
    return (pid_t)strtol(text + strcspn(text, " "), NULL, 10);
}

HUB_TEST(a_daemon_of_a_living_worker_lives_and_dies_with_it)
{
    int output;
    hub_up();
    const pid_t worker = hub_probe(1, "daemon", &output);
    const pid_t daemon = read_pid(output);
    close(output);
    cr_assert(daemon > 0 && daemon != worker);
    let_another_worker_die(2);
    let_another_worker_die(3);
    cr_expect(procs_is_alive(daemon), "a daemon with its worker's environment may live");
    cr_expect_eq(procs_parent(daemon), hub_get()->spawner);
    cr_expect_neq(getsid(daemon), worker);
    hub_signal(1, SIGKILL, false);
    hub_expect(SPAWN_EXITED, 1, NULL);
    cr_expect(until_gone(daemon, 1000));
    hub_down();
}

static bool
is_with_the_spawner(void *daemon)
{
    return procs_parent(*(pid_t *)daemon) == hub_get()->spawner;
}

HUB_TEST(a_daemon_that_hides_its_origin_is_killed_when_it_is_seen)
{
    int output;
    hub_up();
    const pid_t worker = hub_probe(1, "cleared", &output);
    const pid_t daemon = read_pid(output);
    close(output);
    cr_assert(daemon > 0 && daemon != worker);
    /* It may say its pid before the one that forked it has ended; only then it can be seen. */
    cr_assert(until(HUB_DEADLINE_MS, is_with_the_spawner, &(pid_t){daemon}));
    let_another_worker_die(2);
    cr_expect(until_gone(daemon, HUB_DEADLINE_MS));
    cr_expect(procs_is_alive(worker));
    hub_down();
}

HUB_TEST(a_thousand_workers_leave_no_descriptor_and_no_zombie)
{
    enum { COUNT = 1000, AT_ONCE = 50 };
    int output;
    const char *const argv[] = {"/bin/true", NULL};
    hub_up();
    hub_expect_silence(); /* then the broker's birth is over for the spawner, too */
    const int fds = procs_fd_count(hub_get()->spawner, NULL);
    for (uint64_t base = 1; base <= COUNT; base += AT_ONCE) {
        for (uint64_t i = 0; i < AT_ONCE; i++) {
            hub_start_worker(base + i, "", argv, NULL);
        }
        for (int i = 0; i < 2 * AT_ONCE; i++) {
            const struct spawn_record record = hub_receive(&output);
            if (record.op == SPAWN_STARTED) {
                close(output);
            } else {
                cr_assert_eq(record.op, SPAWN_EXITED);
                cr_assert_eq(record.status, 0);
                forget(record.id);
            }
        }
    }
    hub_expect_silence();
    struct procs below;
    procs_descendants(hub_get()->spawner, &below);
    cr_expect_eq(below.count, 1, "only the broker");
    cr_expect_eq(procs_fd_count(hub_get()->spawner, NULL), fds);
#if !defined(__SANITIZE_THREAD__)
    cr_expect_eq(procs_thread_count(hub_get()->spawner), 1);
#endif
    char children[64];
    char list[256] = "";
    snprintf(children, sizeof children, "/proc/%d/task/%d/children", (int)hub_get()->spawner,
             (int)hub_get()->spawner);
    FILE *file = fopen(children, "re");
    cr_assert_not_null(file);
    cr_assert_not_null(fgets(list, sizeof list, file));
    fclose(file);
    cr_expect_eq(strtol(list, NULL, 10), (long)hub_get()->hello.pid, "children: %s", list);
    cr_expect_eq(strspn(strchr(list, ' '), " "), strlen(strchr(list, ' ')), "children: %s", list);
    hub_down();
}

/* A record of the right version that nothing is right about otherwise. */
static void
send_raw(const void *bytes, size_t count)
{
    cr_assert_eq(send(hub_get()->link, bytes, count, MSG_NOSIGNAL), (ssize_t)count, "%s",
                 strerror(errno));
}

static struct spawn_record
make_start(uint64_t id, char text[256])
{
    struct spawn_record record = {.id = id, .name = "worker/0"};
    char *const argv[] = {(char[]){"/bin/true"}, NULL};
    char *const envp[] = {(char[]){"A=b"}, NULL};
    cr_assert(spawn_text_pack(&record, text, 256, "", argv, envp));
    return record;
}

static void
spoil(int how, struct spawn_record *record, char text[256])
{
    switch (how) {
    case 0:
        record->version = 77;
        break;
    case 1:
        record->op = 99;
        break;
    case 2:
        record->argc = 2;
        break;
    case 3:
        record->argc = UINT32_MAX;
        record->envc = 3;
        break;
    case 4:
        text[record->text_bytes - 1] = 'x';
        break;
    case 5:
        memset(record->name, 'n', sizeof record->name);
        break;
    case 6:
        record->name[0] = '\033';
        break;
    case 7:
        record->argc = 0;
        record->envc = 2;
        break;
    case 8:
        text[record->text_bytes - 3] = 'x'; /* the '=' */
        break;
    case 9:
        text[1] = '\0'; /* an empty program, and one string too many */
        break;
    default:
        record->name[0] = '\0';
        break;
    }
}

HUB_TEST(bad_records_are_answered_and_change_nothing)
{
    enum { WAYS = 11 };
    char text[256];
    char bytes[sizeof(struct spawn_record) + 256];
    hub_up();
    for (int i = 0; i < WAYS; i++) {
        const uint64_t id = (uint64_t)i + 1;
        struct spawn_record record = make_start(id, text);
        spoil(i, &record, text);
        memcpy(bytes, &record, sizeof record);
        memcpy(bytes + sizeof record, text, record.text_bytes);
        send_raw(bytes, sizeof record + record.text_bytes);
        const struct spawn_record answer = hub_expect(SPAWN_FAILED, id, NULL);
        cr_expect_eq(answer.step, SPAWN_STEP_RECORD, "way %d: step %d", i, answer.step);
        /* One byte too few or too many. */
        send_raw(bytes, sizeof record + record.text_bytes - 1);
        cr_expect_eq(hub_expect(SPAWN_FAILED, id, NULL).step, SPAWN_STEP_RECORD);
    }
    send_raw("x", 1);
    send_raw(bytes, sizeof(struct spawn_record) - 1);
    send_raw("", 0);
    hub_signal(1, 0, false);
    cr_expect_eq(hub_expect(SPAWN_FAILED, 1, NULL).step, SPAWN_STEP_RECORD);
    hub_signal(1, 1000, true);
    cr_expect_eq(hub_expect(SPAWN_FAILED, 1, NULL).step, SPAWN_STEP_RECORD);
    hub_expect_silence();
    hub_down();
}

HUB_TEST(a_huge_record_and_an_id_used_twice_are_refused)
{
    static char bytes[sizeof(struct spawn_record) + SPAWN_TEXT_BYTES_MAX + 1];
    char text[256];
    int output;
    hub_up();
    struct spawn_record record = make_start(5, text);
    record.text_bytes = SPAWN_TEXT_BYTES_MAX + 1;
    memcpy(bytes, &record, sizeof record);
    send_raw(bytes, sizeof bytes);
    cr_expect_eq(hub_expect(SPAWN_FAILED, 5, NULL).step, SPAWN_STEP_RECORD);
    const pid_t worker = hub_probe(6, "wait", &output);
    record = make_start(6, text);
    hub_send(&record, text);
    const struct spawn_record answer = hub_expect(SPAWN_FAILED, 6, NULL);
    cr_expect_eq(answer.step, SPAWN_STEP_RECORD);
    cr_expect_eq(answer.error, EEXIST);
    cr_expect(procs_is_alive(worker));
    close(output);
    /* Also the id of one that has ended, as long as a later broker might be told of that end. */
    hub_signal(6, SIGKILL, false);
    hub_expect(SPAWN_EXITED, 6, NULL);
    hub_send(&record, text);
    cr_expect_eq(hub_expect(SPAWN_FAILED, 6, NULL).error, EEXIST);
    hub_down();
}

HUB_TEST(a_start_as_large_as_allowed_works)
{
    static char big[SPAWN_TEXT_BYTES_MAX];
    int output;
    hub_up();
    memset(big, 'x', sizeof big);
    memcpy(big, "BIG=", 4);
    big[sizeof big - 100] = '\0';
    const char *const argv[] = {"/bin/true", NULL};
    const char *const envp[] = {big, NULL};
    hub_start_worker(1, "", argv, envp);
    hub_expect(SPAWN_STARTED, 1, &output);
    cr_expect_eq(hub_expect(SPAWN_EXITED, 1, NULL).status, 0);
    close(output);
    hub_down();
}

/* Wait for a tracing stop or the end of `pid`; the status of waitpid. */
static int
wait_traced(pid_t pid)
{
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, __WALL), pid);
    return status;
}

/* A file system that hangs can stop a child before its exec for ever. Here a tracer does. */
HUB_TEST(a_child_that_hangs_before_exec_does_not_stop_the_loop)
{
    int output;
    hub_up();
    const pid_t spawner = hub_get()->spawner;
    if (ptrace(PTRACE_SEIZE, spawner, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE) != 0) {
        hub_down();
        test_skip("ptrace is not allowed here");
    }
    const char *const argv[] = {"/bin/true", NULL};
    hub_start_worker(1, "", argv, NULL);
    const int status = wait_traced(spawner);
    cr_assert(WIFSTOPPED(status) && status >> 16 != 0, "status %x", status);
#if !defined(__SANITIZE_THREAD__)
    cr_expect_eq(procs_thread_count(spawner), 1, "at the fork");
#endif
    unsigned long child = 0;
    ptrace(PTRACE_GETEVENTMSG, spawner, 0, &child);
    cr_assert(WIFSTOPPED(wait_traced((pid_t)child)));
    cr_assert_eq(ptrace(PTRACE_CONT, spawner, 0, 0), 0);
    hub_expect_silence();
    hub_signal(1, SIGTERM, true); /* blocked until the child resets its mask */
    hub_expect_silence();
    hub_signal(1, SIGKILL, true);
    cr_expect(WIFSIGNALED(wait_traced((pid_t)child)));
    hub_expect(SPAWN_STARTED, 1, &output);
    close(output);
    const struct spawn_record exited = hub_expect(SPAWN_EXITED, 1, NULL);
    cr_expect_eq(exited.status, SIGKILL);
    cr_expect_eq(exited.pid, (pid_t)child);
    /* Untraced, or its end would be told to us first and to the keeper never. */
    cr_assert_eq(ptrace(PTRACE_INTERRUPT, spawner, 0, 0), 0);
    cr_assert(WIFSTOPPED(wait_traced(spawner)));
    cr_assert_eq(ptrace(PTRACE_DETACH, spawner, 0, 0), 0);
    hub_down();
}
