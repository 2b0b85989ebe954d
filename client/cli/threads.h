/* The threads of a process on this machine, as /proc shows them. */
#ifndef PRONG_CLI_THREADS_H
#define PRONG_CLI_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { THREADS_MAX = 512, THREADS_WORD_BYTES = 64 };

struct thread_row {
    int tid;
    char name[32];
    char state;                       /* as in proc_pid_stat(5): R, S, D, T, t, Z, ... */
    char wchan[THREADS_WORD_BYTES];   /* where it waits in the kernel; "" when it does not, or that
                                         is not to be seen */
    char syscall[THREADS_WORD_BYTES]; /* the name or number of the system call; "running"; "" when
                                         that is not to be seen */
};

struct threads {
    struct thread_row *rows; /* owned */
    size_t count;
    bool is_cut;        /* there are more than THREADS_MAX */
    char *kernel_stack; /* owned; "" when it is not to be seen, which is mostly so but for root */
};

/* False when there is no such process (any more), it cannot be looked at (errno), or memory is out.
 * Takes what a process in an uninterruptible sleep still tells. */
bool threads_read(pid_t pid, struct threads *threads);
void threads_deinit(struct threads *threads);

/* "sleeping", "waits for a disk", ... */
const char *threads_state_text(char state);

#endif
