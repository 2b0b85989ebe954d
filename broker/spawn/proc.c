/* Reads /proc and changes nothing. Runs in the spawner, and in the keeper for its last sweep. */
#include "broker/spawn/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INCARNATION "PRONG_INCARNATION="

enum {
    READ_BYTES = 4096,
    ENVIRON_BYTES_MAX = 4 * 1024 * 1024, /* what one exec can hand over is below that by default */
    READINGS_MAX = 3,
    GENERATIONS_MAX = 1000, /* a family that changes while it is read could go on for ever */
};

static ssize_t
read_some(int fd, char *buffer, size_t capacity)
{
    ssize_t got;
    do {
        got = read(fd, buffer, capacity);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* A list of decimal numbers with anything between them, read in pieces that may cut a number. */
static void
each_number(int fd, void (*each)(void *context, pid_t child), void *context)
{
    char buffer[READ_BYTES];
    long number = 0;
    for (ssize_t got; (got = read_some(fd, buffer, sizeof buffer)) > 0;) {
        for (ssize_t i = 0; i < got; i++) {
            if (isdigit((unsigned char)buffer[i])) {
                number = number * 10 + (buffer[i] - '0');
            } else if (number > 0) {
                each(context, (pid_t)number);
                number = 0;
            }
        }
    }
    if (number > 0) {
        each(context, (pid_t)number);
    }
}

enum { FIELD_STATE = 3, FIELD_PARENT = 4, FIELD_ENV_END = 51 }; /* as proc(5) counts them */

/* A field of /proc/PID/stat; false if it cannot be read. The second, the name, may hold anything,
 * so the fields are counted from the last ')'. The state is given as its letter. */
static bool
read_stat(pid_t pid, int field, uint64_t *value)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t got = read_some(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    const char *at = strrchr(text, ')');
    for (int i = FIELD_STATE - 1; at && i < field; i++) {
        at = strchr(at + 1, ' ');
    }
    if (!at) {
        return false;
    }
    *value = field == FIELD_STATE ? (uint64_t)at[1] : strtoull(at + 1, NULL, 10);
    return true;
}

static bool
each_by_parent(void (*each)(void *context, pid_t child), void *context)
{
    DIR *all = opendir("/proc");
    if (!all) {
        return false;
    }
    const pid_t self = getpid();
    for (struct dirent *entry; (entry = readdir(all));) {
        const pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        uint64_t parent = 0;
        if (pid > 0 && read_stat(pid, FIELD_PARENT, &parent) && (pid_t)parent == self) {
            each(context, pid);
        }
    }
    closedir(all);
    return true;
}

bool
proc_children_each(void (*each)(void *context, pid_t child), void *context)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return each_by_parent(each, context);
    }
    each_number(fd, each, context);
    close(fd);
    return true;
}

bool
proc_is_below(pid_t pid, pid_t ancestor)
{
    uint64_t parent = 0;
    for (int i = 0; i < GENERATIONS_MAX && pid > 1; i++) {
        if (!read_stat(pid, FIELD_PARENT, &parent)) {
            return false;
        }
        pid = (pid_t)parent;
        if (pid == ancestor) {
            return true;
        }
    }
    return false;
}

/* Looks for one variable in an environment that comes in pieces. */
struct finder {
    size_t matched; /* bytes of INCARNATION that this entry has matched so far */
    bool is_wrong;  /* this entry is another variable */
    bool is_found;
    uint64_t value;
};

/* Returns true when the search is over. */
static bool
find_step(struct finder *finder, char byte)
{
    if (finder->is_found) {
        if (!isdigit((unsigned char)byte)) {
            return true;
        }
        finder->value = finder->value * 10 + (uint64_t)(byte - '0');
        return false;
    }
    if (byte == '\0') {
        *finder = (struct finder){0};
    } else if (!finder->is_wrong && byte == INCARNATION[finder->matched]) {
        finder->matched++;
        finder->is_found = INCARNATION[finder->matched] == '\0';
    } else {
        finder->is_wrong = true;
    }
    return false;
}

/* A process in exec has its new memory already but not yet what is in it: then the end of its
 * environment is at 0, which it never is later, however empty the environment. (Nor is it shown of
 * a process whose environment we may not read: so try that first.) */
static bool
is_in_exec(pid_t pid)
{
    uint64_t env_end = 0;
    uint64_t state = 0;
    return read_stat(pid, FIELD_ENV_END, &env_end) && env_end == 0 &&
           read_stat(pid, FIELD_STATE, &state) && state != 'Z' && state != 'X';
}

static int
open_environment(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/environ", (long)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Whether an environment can be read: FOUND if so, LATER if only our own descriptors or memory are
 * short, NONE if it never can, as that of another user's process. */
static enum proc_result
probe_environment(pid_t pid)
{
    const int fd = open_environment(pid);
    if (fd >= 0) {
        close(fd);
        return PROC_FOUND;
    }
    return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? PROC_LATER : PROC_NONE;
}

/* One reading of an environment; false if the variable was not found in the `*total` bytes that
 * were there. */
static bool
read_incarnation(pid_t pid, uint64_t *incarnation, size_t *total)
{
    char buffer[READ_BYTES];
    *total = 0;
    const int fd = open_environment(pid);
    if (fd < 0) {
        return false;
    }
    struct finder finder = {0};
    bool is_over = false;
    for (ssize_t got;
         !is_over && *total < ENVIRON_BYTES_MAX && (got = read_some(fd, buffer, sizeof buffer)) > 0;
         *total += (size_t)got) {
        for (ssize_t i = 0; i < got && !is_over; i++) {
            is_over = find_step(&finder, buffer[i]);
        }
    }
    close(fd);
    *incarnation = finder.value;
    return is_over && finder.value > 0; /* a number that was cut short is none */
}

enum proc_result
proc_incarnation_get(pid_t pid, uint64_t *incarnation)
{
    /* The file shows the memory of when it was opened, and ends early when an exec drops that
     * memory. So that the variable is missing is only believed after two readings of the same
     * length with no exec under way before either. */
    size_t total_before = SIZE_MAX;
    const enum proc_result readable = probe_environment(pid);
    if (readable != PROC_FOUND) {
        return readable;
    }
    for (int i = 0; i < READINGS_MAX; i++) {
        size_t total = 0;
        uint64_t found = 0;
        if (is_in_exec(pid)) {
            return PROC_LATER;
        }
        if (read_incarnation(pid, &found, &total)) {
            *incarnation = found;
            return PROC_FOUND;
        }
        if (total == total_before) {
            return PROC_NONE;
        }
        total_before = total;
    }
    return PROC_LATER;
}
