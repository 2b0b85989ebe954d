/* What tests ask about processes, read from /proc, and waiting for conditions with a deadline.
 *
 * Dead processes that nobody waited for yet (state Z) are no processes here: some containers' first
 * process reaps late. Nothing here asserts, so both frameworks and forked children may use it. */
#ifndef PRONG_TESTS_SUPPORT_PROCS_H
#define PRONG_TESTS_SUPPORT_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCS_MAX = 1024 };

struct procs {
    int count;
    pid_t pids[PROCS_MAX]; /* in the order of their numbers */
};

/* All processes below `root` (children, their children, ...), without `root`. A process whose
 * parent is gone belongs to the next subreaper; what reparented beyond `root` is only found by a
 * tag. */
void procs_descendants(pid_t root, struct procs *found);

/* All processes but the caller whose environment (as it was at exec) or command line contains
 * `tag`. A tag is at least 8 bytes, so that nobody finds the whole machine by mistake. */
void procs_tagged(const char *tag, struct procs *found);

/* SIGKILL to all that procs_tagged finds; how many there were. For clean-up only. */
int procs_tagged_kill(const char *tag);

/* State letter of /proc/PID/stat, 0 when there is no such process. */
char procs_state(pid_t pid);
bool procs_is_alive(pid_t pid); /* exists and is not dead (Z, X) */

/* -1 when the process is gone or is not ours to look at. */
pid_t procs_parent(pid_t pid);
int procs_thread_count(pid_t pid);

/* Open descriptors of `pid`: all, or those whose link contains `text` ("socket:", "memfd:", a
 * path). The descriptor that the counting itself needs is not counted. -1 when they cannot be read.
 */
int procs_fd_count(pid_t pid, const char *text);

/* /proc/PID/comm without its newline; "" when the process is gone. */
void procs_comm(pid_t pid, char comm[32]);

/* Deadlines are multiplied where a sanitizer makes everything slow. */
int64_t until_scaled_ms(int64_t ms);

/* Calls fn(arg) until it is true or the deadline has passed; what it said last. The intervals grow
 * from 1 to 20 ms. */
bool until(int64_t deadline_ms, bool (*fn)(void *arg), void *arg);

bool until_gone(pid_t pid, int64_t deadline_ms);
bool until_readable(int fd, int64_t deadline_ms);
bool until_path(const char *path, int64_t deadline_ms); /* exists */

/* Waits for a child of ours; false when it has not ended by then. `status` as of waitpid, may be
 * NULL. */
bool until_exit(pid_t child, int *status, int64_t deadline_ms);

/* For the first lines of a forked child: it dies with its parent, so that a test that hangs or
 * crashes leaves nothing. Also when the parent died before this call: hence its number. */
void procs_die_with(pid_t parent);

#endif
