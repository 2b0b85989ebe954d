/* What workers read: bytes for their stdin, where a pipe is that (`stdin: pipe`).
 *
 * Owns the write ends and what a program has not read yet, beyond what the pipe itself holds: at
 * most INPUT_BYTES_MAX each. Nothing here waits for a program. The spawner holds the same pipes, so
 * that a program does not see the end of its stdin when a broker dies; what is in the pipe then is
 * still there, what was only here is lost. Runs on the loop thread. */
#ifndef PRONG_SHELL_INPUT_H
#define PRONG_SHELL_INPUT_H

#include "broker/core/hub.h"
#include "proto/buf.h"
#include "proto/link/source.h"

#include <stdbool.h>
#include <stdint.h>

enum { INPUT_BYTES_MAX = HUB_SEND_BYTES_MAX };

struct input;

enum input_outcome {
    INPUT_TAKEN,
    INPUT_FULL,   /* there is no room for all of it: nothing was taken */
    INPUT_CLOSED, /* nobody reads, or its end was told before */
};

struct input_options {
    int epoll_fd;
    /* All that was sent to a process is in its pipe, and nothing is to follow: its end is here. */
    void (*ended)(void *context, uint64_t process);
    void *context;
};

/* NULL when memory is out. */
struct input *input_new(const struct input_options *options);
/* Closes everything. Accepts NULL. */
void input_free(struct input *in);
/* Write to `fd` (moved) for this process. */
void input_add(struct input *in, uint64_t process, int fd);
/* The process has ended. Nothing when there is no such process. */
void input_end(struct input *in, uint64_t process);
/* All of these bytes or none of them; `ends`: and nothing behind them. */
enum input_outcome input_send(struct input *in, uint64_t process, struct span bytes, bool ends);
/* Bytes that wait for a process. */
size_t input_held(const struct input *in, uint64_t process);
/* At the end of a turn: free what was closed. */
void input_turn(struct input *in);

#endif
