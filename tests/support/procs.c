/* Reading /proc for tests: see procs.h. */
#include "tests/support/procs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* gcc tells by __SANITIZE_*, clang by __has_feature. */
#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { PROCS_SLOWER = 5 };
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { PROCS_SLOWER = 3 };
#else
enum { PROCS_SLOWER = 1 };
#endif

enum { PROCS_FILE_BYTES_MAX = 4 << 20, PROCS_TAG_BYTES_MIN = 8 };

/* What one line of /proc/PID/stat says that we need. */
struct stat_line {
    char state;
    pid_t parent;
    int threads;
};

/* The whole file, NUL-terminated, owned by the caller (free); NULL when it cannot be read. */
static char *
file_read(pid_t pid, const char *name, size_t *len)
{
    char path[64];
    size_t cap = 4096;
    char *data = NULL;

    *len = 0;
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    for (;;) {
        char *grown = cap <= PROCS_FILE_BYTES_MAX ? realloc(data, cap + 1) : NULL;
        if (grown == NULL) {
            break;
        }
        data = grown;
        const ssize_t n = read(fd, data + *len, cap - *len);
        if (n <= 0) {
            close(fd);
            data[*len] = '\0';
            return data;
        }
        *len += (size_t)n;
        if (*len == cap) {
            cap *= 2;
        }
    }
    close(fd);
    free(data);
    return NULL;
}

static bool
stat_read(pid_t pid, struct stat_line *line)
{
    size_t len;
    char *data = file_read(pid, "stat", &len);
    /* The name in brackets may hold anything, blanks and brackets too: the last bracket ends it. */
    const char *at = data != NULL ? strrchr(data, ')') : NULL;
    int parent = 0;
    bool ok = false;

    if (at != NULL) {
        ok = sscanf(at + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d",
                    &line->state, &parent, &line->threads) == 3;
        line->parent = (pid_t)parent;
    }
    free(data);
    return ok;
}

/* Calls fn for each process of the machine that is not dead. */
static void
each_process(void (*fn)(pid_t pid, const struct stat_line *line, void *arg), void *arg)
{
    DIR *dir = opendir("/proc");

    if (dir == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        const long pid = strtol(entry->d_name, NULL, 10);
        struct stat_line line;
        if (pid > 0 && stat_read((pid_t)pid, &line) && line.state != 'Z' && line.state != 'X') {
            fn((pid_t)pid, &line, arg);
        }
    }
    closedir(dir);
}

static void
found_add(struct procs *found, pid_t pid)
{
    if (found->count < PROCS_MAX) {
        found->pids[found->count++] = pid;
    }
}

/* A table of parents, for finding descendants without asking /proc again for each. */
struct family {
    size_t count;
    size_t cap;
    struct {
        pid_t pid;
        pid_t parent;
        bool below;
    } * members;
};

static void
family_add(pid_t pid, const struct stat_line *line, void *arg)
{
    struct family *family = arg;

    if (family->count == family->cap) {
        family->cap = family->cap > 0 ? family->cap * 2 : 256;
        family->members = realloc(family->members, family->cap * sizeof(family->members[0]));
        if (family->members == NULL) {
            abort();
        }
    }
    family->members[family->count].pid = pid;
    family->members[family->count].parent = line->parent;
    family->members[family->count].below = false;
    family->count++;
}

static bool
family_is_below(const struct family *family, pid_t pid, pid_t root)
{
    if (pid == root) {
        return true;
    }
    for (size_t i = 0; i < family->count; i++) {
        if (family->members[i].pid == pid) {
            return family->members[i].below;
        }
    }
    return false;
}

void
procs_descendants(pid_t root, struct procs *found)
{
    struct family family = {0};
    bool more = true;

    found->count = 0;
    each_process(family_add, &family);
    while (more) {
        more = false;
        for (size_t i = 0; i < family.count; i++) {
            if (!family.members[i].below && family.members[i].pid != root &&
                family_is_below(&family, family.members[i].parent, root)) {
                family.members[i].below = true;
                more = true;
            }
        }
    }
    for (size_t i = 0; i < family.count; i++) {
        if (family.members[i].below) {
            found_add(found, family.members[i].pid);
        }
    }
    free(family.members);
}

struct search {
    const char *tag;
    struct procs *found;
};

static bool
file_has(pid_t pid, const char *name, const char *tag)
{
    size_t len;
    char *data = file_read(pid, name, &len);
    const bool has = data != NULL && memmem(data, len, tag, strlen(tag)) != NULL;

    free(data);
    return has;
}

static void
search_tag(pid_t pid, const struct stat_line *line, void *arg)
{
    const struct search *search = arg;

    (void)line;
    if (pid != getpid() &&
        (file_has(pid, "environ", search->tag) || file_has(pid, "cmdline", search->tag))) {
        found_add(search->found, pid);
    }
}

void
procs_tagged(const char *tag, struct procs *found)
{
    found->count = 0;
    if (strlen(tag) < PROCS_TAG_BYTES_MIN) {
        fprintf(stderr, "procs_tagged: the tag '%s' is too short\n", tag);
        abort();
    }
    each_process(search_tag, &(struct search){.tag = tag, .found = found});
}

int
procs_tagged_kill(const char *tag)
{
    struct procs found;

    procs_tagged(tag, &found);
    for (int i = 0; i < found.count; i++) {
        kill(found.pids[i], SIGKILL);
    }
    return found.count;
}

char
procs_state(pid_t pid)
{
    struct stat_line line;

    return stat_read(pid, &line) ? line.state : '\0';
}

bool
procs_is_alive(pid_t pid)
{
    const char state = procs_state(pid);

    return state != '\0' && state != 'Z' && state != 'X';
}

pid_t
procs_parent(pid_t pid)
{
    struct stat_line line;

    return stat_read(pid, &line) ? line.parent : -1;
}

int
procs_thread_count(pid_t pid)
{
    struct stat_line line;

    return stat_read(pid, &line) ? line.threads : -1;
}

int
procs_fd_count(pid_t pid, const char *text)
{
    char path[64];
    int count = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return -1;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char target[4096];
        if (entry->d_name[0] == '.' ||
            (pid == getpid() && strtol(entry->d_name, NULL, 10) == dirfd(dir))) {
            continue;
        }
        const ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        if (n > 0 && (text == NULL || strstr(target, text) != NULL)) {
            count++;
        }
    }
    closedir(dir);
    return count;
}

void
procs_comm(pid_t pid, char comm[32])
{
    size_t len;
    char *data = file_read(pid, "comm", &len);

    snprintf(comm, 32, "%s", data != NULL ? data : "");
    comm[strcspn(comm, "\n")] = '\0';
    free(data);
}

static int64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
until_scaled_ms(int64_t ms)
{
    return ms * PROCS_SLOWER;
}

bool
until(int64_t deadline_ms, bool (*fn)(void *arg), void *arg)
{
    const int64_t end_ms = now_ms() + until_scaled_ms(deadline_ms);
    int64_t turn_ms = 1;

    for (;;) {
        if (fn(arg)) {
            return true;
        }
        const int64_t left_ms = end_ms - now_ms();
        if (left_ms <= 0) {
            return false;
        }
        const int64_t wait_ms = turn_ms < left_ms ? turn_ms : left_ms;
        ppoll(NULL, 0, &(struct timespec){.tv_nsec = wait_ms * 1000000}, NULL);
        turn_ms = turn_ms < 10 ? turn_ms * 2 : 20;
    }
}

static bool
is_gone(void *arg)
{
    return !procs_is_alive(*(const pid_t *)arg);
}

bool
until_gone(pid_t pid, int64_t deadline_ms)
{
    return until(deadline_ms, is_gone, &pid);
}

bool
until_readable(int fd, int64_t deadline_ms)
{
    const int64_t end_ms = now_ms() + until_scaled_ms(deadline_ms);
    struct pollfd poller = {.fd = fd, .events = POLLIN};

    for (;;) {
        const int64_t left_ms = end_ms - now_ms();
        const int n = poll(&poller, 1, left_ms > 0 ? (int)left_ms : 0);
        if (n > 0) {
            /* End of file is readable; a descriptor that is not open is not. */
            return (poller.revents & POLLNVAL) == 0;
        }
        if (n == 0 || errno != EINTR) {
            return false;
        }
    }
}

static bool
path_is(void *arg)
{
    return access(*(const char **)arg, F_OK) == 0;
}

bool
until_path(const char *path, int64_t deadline_ms)
{
    return until(deadline_ms, path_is, &path);
}

struct child {
    pid_t pid;
    int status;
};

static bool
child_is_over(void *arg)
{
    struct child *child = arg;

    return waitpid(child->pid, &child->status, WNOHANG) == child->pid;
}

bool
until_exit(pid_t child_pid, int *status, int64_t deadline_ms)
{
    struct child child = {.pid = child_pid};

    if (!until(deadline_ms, child_is_over, &child)) {
        return false;
    }
    if (status != NULL) {
        *status = child.status;
    }
    return true;
}

void
procs_die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(1);
    }
}
