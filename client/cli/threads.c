/* The threads of a process: see threads.h. */
#include "client/cli/threads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH_BYTES = 96, FILE_BYTES = 4096, KERNEL_STACK_BYTES_MAX = 64 * 1024 };

/* Where programs mostly are when they hang; others are shown by their number. */
static const struct {
    long number;
    const char *name;
} syscall_names[] = {
    {SYS_read, "read"},
    {SYS_write, "write"},
    {SYS_readv, "readv"},
    {SYS_writev, "writev"},
    {SYS_pread64, "pread64"},
    {SYS_pwrite64, "pwrite64"},
    {SYS_ioctl, "ioctl"},
    {SYS_fsync, "fsync"},
    {SYS_fdatasync, "fdatasync"},
    {SYS_openat, "openat"},
    {SYS_close, "close"},
    {SYS_flock, "flock"},
    {SYS_fcntl, "fcntl"},
    {SYS_ppoll, "ppoll"},
    {SYS_pselect6, "pselect6"},
    {SYS_epoll_pwait, "epoll_pwait"},
    {SYS_futex, "futex"},
    {SYS_nanosleep, "nanosleep"},
    {SYS_clock_nanosleep, "clock_nanosleep"},
    {SYS_wait4, "wait4"},
    {SYS_waitid, "waitid"},
    {SYS_accept, "accept"},
    {SYS_accept4, "accept4"},
    {SYS_connect, "connect"},
    {SYS_recvfrom, "recvfrom"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_sendto, "sendto"},
    {SYS_sendmsg, "sendmsg"},
    {SYS_rt_sigsuspend, "rt_sigsuspend"},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait"},
    {SYS_restart_syscall, "restart_syscall"},
    {SYS_munmap, "munmap"},
    {SYS_exit_group, "exit_group"},
#ifdef SYS_poll
    {SYS_poll, "poll"},
#endif
#ifdef SYS_select
    {SYS_select, "select"},
#endif
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, "epoll_wait"},
#endif
#ifdef SYS_pause
    {SYS_pause, "pause"},
#endif
};

const char *
threads_state_text(char state)
{
    static const struct {
        char state;
        const char *text;
    } rows[] = {{'R', "running"}, {'S', "sleeping"}, {'D', "uninterruptible"},
                {'T', "stopped"}, {'t', "traced"},   {'Z', "zombie"},
                {'X', "dead"},    {'I', "idle"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].state == state) {
            return rows[i].text;
        }
    }
    return "?";
}

/* One file of a thread, without the newline at its end. "" when it cannot be read. */
static bool
read_file(pid_t pid, int tid, const char *name, char out[FILE_BYTES])
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)pid, tid, name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, FILE_BYTES - 1) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    out[n > 0 ? n : 0] = '\0';
    n = (ssize_t)strlen(out);
    if (n > 0 && out[n - 1] == '\n') {
        out[n - 1] = '\0';
    }
    return n > 0;
}

static void
read_syscall(pid_t pid, struct thread_row *row)
{
    char text[FILE_BYTES];
    char *end;
    if (!read_file(pid, row->tid, "syscall", text)) {
        return;
    }
    const long number = strtol(text, &end, 10);
    if (end == text || number < 0) { /* "running", or -1: in the kernel, but in no call */
        (void)snprintf(row->syscall, sizeof row->syscall, "%.63s", end == text ? text : "");
        return;
    }
    (void)snprintf(row->syscall, sizeof row->syscall, "%ld", number);
    for (size_t i = 0; i < sizeof syscall_names / sizeof syscall_names[0]; i++) {
        if (syscall_names[i].number == number) {
            (void)snprintf(row->syscall, sizeof row->syscall, "%s", syscall_names[i].name);
        }
    }
}

static bool
read_row(pid_t pid, struct thread_row *row)
{
    char text[FILE_BYTES];
    if (!read_file(pid, row->tid, "stat", text)) {
        return false; /* it has ended meanwhile */
    }
    const char *close_paren = strrchr(text, ')'); /* a name may have one of its own */
    row->state = close_paren != NULL && close_paren[1] != '\0' ? close_paren[2] : '?';
    if (read_file(pid, row->tid, "comm", text)) {
        (void)snprintf(row->name, sizeof row->name, "%.31s", text);
    }
    if (read_file(pid, row->tid, "wchan", text) && strcmp(text, "0") != 0) {
        (void)snprintf(row->wchan, sizeof row->wchan, "%.63s", text);
    }
    read_syscall(pid, row);
    return true;
}

static void
add_kernel_stack(pid_t pid, const struct thread_row *row, char *out)
{
    char text[FILE_BYTES];
    const size_t used = strlen(out);
    if (read_file(pid, row->tid, "stack", text)) {
        (void)snprintf(out + used, KERNEL_STACK_BYTES_MAX - used, "thread %d (%s):\n%s\n", row->tid,
                       row->name, text);
    }
}

static int
compare(const void *a, const void *b)
{
    const struct thread_row *x = a, *y = b;
    return x->tid < y->tid ? -1 : x->tid > y->tid;
}

static void
read_all(pid_t pid, DIR *dir, struct threads *t)
{
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        struct thread_row row = {.tid = (int)strtol(entry->d_name, NULL, 10)};
        if (row.tid <= 0 || !read_row(pid, &row)) {
            continue;
        }
        if (t->count == THREADS_MAX) {
            t->is_cut = true;
            return;
        }
        t->rows[t->count++] = row;
        add_kernel_stack(pid, &row, t->kernel_stack);
    }
}

bool
threads_read(pid_t pid, struct threads *t)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    *t = (struct threads){.rows = calloc(THREADS_MAX, sizeof *t->rows),
                          .kernel_stack = calloc(1, KERNEL_STACK_BYTES_MAX)};
    DIR *dir = t->rows != NULL && t->kernel_stack != NULL ? opendir(path) : NULL;
    if (dir != NULL) {
        read_all(pid, dir, t);
        (void)closedir(dir);
        qsort(t->rows, t->count, sizeof *t->rows, compare);
    }
    if (t->count == 0) {
        const int error = errno != 0 ? errno : ESRCH;
        threads_deinit(t);
        errno = error;
        return false;
    }
    return true;
}

void
threads_deinit(struct threads *t)
{
    free(t->rows);
    free(t->kernel_stack);
    *t = (struct threads){0};
}
