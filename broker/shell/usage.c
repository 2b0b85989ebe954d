/* What a process uses: see usage.h. */
#include "broker/shell/usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Places in /proc/PID/stat behind the name, counted from the state, which is the third field of the
 * file (proc(5)). All of it is from one moment, which statm beside it would not be. */
enum { STATE = 0, UTIME = 11, STIME = 12, THREADS = 17, RSS = 21, FIELDS = 22, FILE_BYTES = 1024 };

/* The file as a text, "" when it cannot be read. */
static void
read_stat(int32_t pid, char text[FILE_BYTES])
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, text, FILE_BYTES - 1);
    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* The numbers behind the name, which may hold blanks and brackets itself: it ends with the last
 * one. The state counts as a number that is its letter. */
static bool
split(const char *text, uint64_t out[FIELDS])
{
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] == '\0') {
        return false;
    }
    out[STATE] = (unsigned char)at[2];
    at += 3;
    for (size_t i = 1; i < FIELDS; i++) {
        uint64_t number = 0;
        at += strspn(at, " -"); /* those that may be negative are not asked for */
        if (*at < '0' || *at > '9') {
            return false;
        }
        for (; *at >= '0' && *at <= '9'; at++) {
            number = number * 10 + (uint64_t)(*at - '0');
        }
        out[i] = number;
    }
    return true;
}

void
usage_sample(struct hub_usage *usage)
{
    char text[FILE_BYTES];
    uint64_t field[FIELDS];
    const long ticks = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
    usage->known = false;
    read_stat(usage->pid, text);
    if (ticks <= 0 || page <= 0 || !split(text, field) || field[STATE] == 'Z' ||
        field[STATE] == 'X') {
        return;
    }
    usage->known = true;
    usage->cpu_ms = (int64_t)((field[UTIME] + field[STIME]) * 1000 / (uint64_t)ticks);
    usage->rss_bytes = field[RSS] * (uint64_t)page;
    usage->threads = (uint32_t)field[THREADS];
}
