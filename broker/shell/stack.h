/* What the threads of a process are doing, into the log: of one that is about to be killed because
 * it hangs, or that survives SIGKILL. Reads /proc and nothing else; keeps nothing. */
#ifndef PRONG_SHELL_STACK_H
#define PRONG_SHELL_STACK_H

#include "broker/shell/log.h"

/* At most STACK_THREADS_MAX threads: name, state, where in the kernel it waits, its system call
 * and, for root, its stack in the kernel. `who` ("detector/0") begins each line. */
enum { STACK_THREADS_MAX = 32 };
void stack_write(const struct log *log, const char *who, int32_t pid);

#endif
