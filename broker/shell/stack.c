/* What the threads of a process are doing: see stack.h. */
#include "broker/shell/stack.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 1024 };

/* The beginning of a file in the folder of a thread, as one line; "?" when it cannot be read. */
static void
read_line(int folder, const char *name, char out[TEXT_BYTES])
{
    const int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd >= 0 ? read(fd, out, TEXT_BYTES - 1) : -1;
    size_t len = got > 0 ? (size_t)got : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    while (len > 0 && isspace((unsigned char)out[len - 1])) {
        len--;
    }
    out[len] = '\0';
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '\n' ? ';' : iscntrl((unsigned char)*c) ? ' ' : *c;
    }
    if (len == 0) {
        (void)snprintf(out, TEXT_BYTES, "?");
    }
}

/* The letter behind the name, which stands in brackets and may hold anything. */
static char
read_state(int folder)
{
    char stat[TEXT_BYTES];
    read_line(folder, "stat", stat);
    const char *bracket = strrchr(stat, ')');
    return bracket != NULL && bracket[1] == ' ' && bracket[2] != '\0' ? bracket[2] : '?';
}

static void
write_thread(const struct log *log, const char *who, const char *tid, int folder)
{
    char name[TEXT_BYTES], wchan[TEXT_BYTES], call[TEXT_BYTES], kernel[TEXT_BYTES];
    read_line(folder, "comm", name);
    read_line(folder, "wchan", wchan);
    read_line(folder, "syscall", call);
    read_line(folder, "stack", kernel);
    call[strcspn(call, " ")] = '\0';
    log_write(log, LOG_WARN, "%s: thread %s '%.32s' state %c, waits in %.64s, system call %.16s",
              who, tid, name, read_state(folder), wchan, call);
    if (strcmp(kernel, "?") != 0) {
        log_write(log, LOG_WARN, "%s: thread %s in the kernel: %.700s", who, tid, kernel);
    }
}

void
stack_write(const struct log *log, const char *who, int32_t pid)
{
    char path[64];
    int count = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return; /* it is gone by now */
    }
    for (const struct dirent *e; (e = readdir(dir)) != NULL && count < STACK_THREADS_MAX;) {
        const int folder = e->d_name[0] != '.'
                               ? openat(dirfd(dir), e->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC)
                               : -1;
        if (folder >= 0) {
            write_thread(log, who, e->d_name, folder);
            (void)close(folder);
            count++;
        }
    }
    (void)closedir(dir);
}
