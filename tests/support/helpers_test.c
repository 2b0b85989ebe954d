/* The helpers for directories and processes, under both frameworks. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

/* Ends and reaps a child of the test. */
static void
child_end(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static pid_t
child_pausing(void)
{
    const pid_t parent = getpid();
    const pid_t child = fork();

    if (child == 0) {
        procs_die_with(parent);
        for (;;) {
            pause();
        }
    }
    return child;
}

Test(dir, is_empty_entered_and_fits_a_socket, .init = dir_enter, .fini = dir_leave)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char file[DIR_FILE_BYTES_MAX];
    char *now = getcwd(NULL, 0);

    cr_assert_str_eq(now, dir_path());
    free(now);
    cr_assert_leq(strlen(dir_path()), (size_t)DIR_PATH_BYTES_MAX);
    cr_assert_lt(strlen(dir_file(file, "a-socket-of-24-bytes.sock")), sizeof(address.sun_path));
    memcpy(address.sun_path, file, strlen(file));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0, "%s: %s", file,
                 strerror(errno));
    close(fd);
}

Test(dir, is_gone_after_leaving_with_all_that_was_in_it)
{
    char path[DIR_FILE_BYTES_MAX];
    char outside[DIR_FILE_BYTES_MAX];
    struct stat status;

    dir_enter();
    snprintf(outside, sizeof(outside), "%s", dir_path());
    dir_write("kept", "kept", 0644);
    /* A second directory, entered below the first one; a link out of it must not be followed. */
    cr_assert_eq(mkdir("deep", 0755), 0);
    cr_assert_eq(mkdir("deep/locked", 0755), 0);
    cr_assert_eq(symlink(outside, "deep/link"), 0);
    dir_write("deep/locked/file", "text", 0400);
    cr_assert_eq(chmod("deep/locked", 0), 0);
    cr_assert(dir_remove(dir_file(path, "deep")));
    cr_assert_eq(access("kept", F_OK), 0);
    cr_assert_eq(stat(path, &status), -1);
    dir_leave();
    cr_assert_eq(stat(outside, &status), -1);
    dir_leave();
}

Test(dir, is_elsewhere_where_the_path_is_too_long_for_a_socket)
{
    char base[DIR_FILE_BYTES_MAX];

    dir_enter();
    snprintf(base, sizeof(base), "%s", dir_path());
    char *home = getcwd(NULL, 0);
    char name[101];
    memset(name, 'x', 100);
    name[100] = '\0';
    cr_assert_eq(chdir("..") | mkdir(name, 0755) | chdir(name), 0);
    char *deep = getcwd(NULL, 0);
    dir_enter(); /* leaves the first */
    cr_assert_leq(strlen(dir_path()), (size_t)DIR_PATH_BYTES_MAX);
    cr_assert_null(strstr(dir_path(), name));
    cr_assert_eq(access(base, F_OK), -1);
    dir_leave();
    cr_assert(dir_remove(deep));
    free(deep);
    free(home);
}

Test(dir, file_has_the_mode_that_was_asked_for, .init = dir_enter, .fini = dir_leave)
{
    struct stat status;

    umask(077);
    dir_write("script", "#!/bin/sh\n", 0755);
    cr_assert_eq(stat("script", &status), 0);
    cr_assert_eq(status.st_mode & 07777, 0755u);
    cr_assert_eq(status.st_size, 10);
}

Test(procs, descendants_are_children_and_theirs)
{
    int pair[2];
    struct procs found;
    pid_t grandchild = 0;
    const pid_t parent = getpid();

    cr_assert_eq(pipe2(pair, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
        procs_die_with(parent);
        const pid_t pid = child_pausing();
        const ssize_t n = write(pair[1], &pid, sizeof(pid));
        pause();
        _exit(n > 0);
    }
    cr_assert(until_readable(pair[0], 5000));
    cr_assert_eq(read(pair[0], &grandchild, sizeof(grandchild)), (ssize_t)sizeof(grandchild));
    procs_descendants(child, &found);
    cr_assert_eq(found.count, 1);
    cr_assert_eq(found.pids[0], grandchild);
    procs_descendants(getppid(), &found);
    cr_assert_geq(found.count, 3);
    cr_assert_eq(procs_parent(grandchild), child);
    child_end(child);
    cr_assert(until_gone(grandchild, 5000));
    close(pair[0]);
    close(pair[1]);
}

/* A shell that waits for the end of `input` with the given command line and environment. */
static pid_t
child_shell(int input, const char *argument, const char *variable)
{
    const pid_t parent = getpid();
    const pid_t child = fork();

    if (child == 0) {
        procs_die_with(parent);
        if (dup2(input, STDIN_FILENO) == STDIN_FILENO) {
            /* read is the shell's own, so no further process comes into it. */
            execle("/bin/sh", "sh", "-c", "read line", argument, (char *)NULL,
                   (const char *[]){variable, NULL});
        }
        _exit(1);
    }
    return child;
}

struct tag_count {
    const char *tag;
    int count;
};

static bool
tag_is_found(void *arg)
{
    const struct tag_count *wanted = arg;
    struct procs found;

    procs_tagged(wanted->tag, &found);
    return found.count == wanted->count;
}

Test(procs, tag_finds_by_environment_and_by_command_line)
{
    int pair[2];
    char tag[64];
    char variable[80];

    snprintf(tag, sizeof(tag), "prong-test-tag-%d", (int)getpid());
    snprintf(variable, sizeof(variable), "TAG=%s", tag);
    cr_assert_eq(pipe2(pair, O_CLOEXEC), 0);
    const pid_t by_line = child_shell(pair[0], tag, "A=a");
    const pid_t by_environment = child_shell(pair[0], "other", variable);
    cr_expect(until(5000, tag_is_found, &(struct tag_count){.tag = tag, .count = 2}));
    cr_expect_eq(procs_tagged_kill(tag), 2);
    cr_expect(until_exit(by_line, NULL, 5000));
    cr_expect(until_exit(by_environment, NULL, 5000));
    cr_expect(tag_is_found(&(struct tag_count){.tag = tag, .count = 0}));
    close(pair[0]);
    close(pair[1]);
}

static void *
read_line(void *arg)
{
    char byte;
    const ssize_t n = read(*(const int *)arg, &byte, 1);

    return n == 0 ? arg : NULL;
}

/* The second thread is counted: sanitizers and Criterion have threads of their own, and
 * ThreadSanitizer starts its own with the first. */
Test(procs, counts_threads)
{
    int pair[2];
    pthread_t threads[2];
    int counts[2];

    cr_assert_geq(procs_thread_count(getpid()), 1);
    cr_assert_eq(pipe2(pair, O_CLOEXEC), 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, read_line, &pair[0]), 0);
        counts[i] = procs_thread_count(getpid());
    }
    close(pair[1]);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    close(pair[0]);
    cr_assert_geq(counts[0], 2);
    cr_assert_eq(counts[1], counts[0] + 1);
}

Test(procs, counts_descriptors)
{
    const int before = procs_fd_count(getpid(), NULL);
    const int sockets = procs_fd_count(getpid(), "socket:");
    int pair[2];

    cr_assert_gt(before, 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert_eq(procs_fd_count(getpid(), NULL), before + 2);
    cr_assert_eq(procs_fd_count(getpid(), "socket:"), sockets + 2);
    const pid_t child = child_pausing();
    cr_assert_eq(procs_fd_count(child, "socket:"), sockets + 2);
    child_end(child);
    cr_assert_eq(procs_fd_count(child, NULL), -1);
    cr_assert_eq(procs_thread_count(child), -1);
    close(pair[0]);
    close(pair[1]);
}

Test(procs, a_dead_process_that_nobody_waited_for_is_not_alive)
{
    char comm[32];
    const pid_t child = fork();

    if (child == 0) {
        _exit(3);
    }
    cr_assert(until_gone(child, 5000));
    cr_assert_eq(procs_state(child), 'Z');
    cr_assert_not(procs_is_alive(child));
    int status = 0;
    cr_assert(until_exit(child, &status, 1000));
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    cr_assert_eq(procs_state(child), '\0');
    procs_comm(child, comm);
    cr_assert_str_eq(comm, "");
}

Test(procs, name_may_hold_brackets_and_blanks)
{
    char comm[32];

    cr_assert_eq(prctl(PR_SET_NAME, "a) R 1 (b"), 0);
    procs_comm(getpid(), comm);
    cr_assert_str_eq(comm, "a) R 1 (b");
    cr_assert_eq(procs_parent(getpid()), getppid());
}

static bool
count_down(void *arg)
{
    int *left = arg;

    return --*left <= 0;
}

static bool
never(void *arg)
{
    (void)arg;
    return false;
}

Test(until, ends_with_the_condition_or_with_the_deadline)
{
    int left = 3;

    cr_assert(until(5000, count_down, &left));
    cr_assert_eq(left, 0);
    cr_assert_not(until(30, never, NULL));
    cr_assert_not(until(0, never, NULL));
}

Test(until, waits_for_descriptors_children_and_paths, .init = dir_enter, .fini = dir_leave)
{
    int pair[2];

    cr_assert_eq(pipe2(pair, O_CLOEXEC), 0);
    cr_assert_not(until_readable(pair[0], 10));
    cr_assert_not(until_path("made", 10));
    const pid_t child = child_pausing();
    cr_assert_not(until_exit(child, NULL, 10));
    cr_assert_not(until_gone(child, 10));
    child_end(child);
    dir_write("made", "", 0600);
    cr_assert(until_path("made", 10));
    close(pair[1]);
    cr_assert(until_readable(pair[0], 10));
    close(pair[0]);
    cr_assert_not(until_readable(pair[0], 10));
}
