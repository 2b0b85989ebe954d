/* What the writer and the readers of streams share: the connection to the hub's memory, and maps of
 * it. Used by one thread at a time. */
#ifndef PRONG_CLIENT_STREAM_INSIDE_H
#define PRONG_CLIENT_STREAM_INSIDE_H

#include <prong/stream.h>

#include <sys/types.h>

#include "proto/ring/pass.h"
#include "proto/ring/ring.h"

enum {
    ANSWER_MS = 5000,  /* of the hub to a request */
    RETRY_MS = 100,    /* between two tries to find a hub that is gone */
    STREAM_TEXT = 256, /* of an error, with the NUL */
};

/* Where a failure is told. */
struct why {
    char *text; /* may be NULL */
    size_t size;
};
/* Fill in the text and return the code. */
__attribute__((format(printf, 3, 4))) prong_err fail(struct why why, prong_err code,
                                                     const char *format, ...);

/* When a wait of `timeout_ms` ends; INT64_MAX for PRONG_FOREVER. */
int64_t stream_until_ns(int32_t timeout_ms);
/* The same, back to what poll takes: rounded up, -1 for ever. */
int stream_left_ms(int64_t until_ns);

/* Check a name and connect to the memory of the hub whose local socket has this URL; the descriptor
 * does not block. Errors: PRONG_INVALID_ARGUMENT, PRONG_UNIMPLEMENTED, PRONG_UNAVAILABLE,
 * PRONG_PERMISSION_DENIED. */
prong_err lend_connect(const char *url, int *fd, struct why why);
/* End the connection and close it. In a forked child of `owner`, who connected, it is only closed:
 * it goes on for the parent. And the other way round: when the parent leaves, the hub knows it
 * although a child has the descriptor, too. */
void lend_leave(int fd, pid_t owner);
bool stream_name_is_good(const char *name);
/* Say what it has to be: PRONG_INVALID_ARGUMENT. */
prong_err stream_bad_name(const char *name, struct why why);
/* Send a request. Errors: PRONG_UNAVAILABLE, PRONG_DEADLINE_EXCEEDED. */
prong_err lend_ask(int fd, struct lend_record *record, struct why why);
/* Wait for the next record. A LEND_REFUSED is returned as its code. Errors: that,
 * PRONG_UNAVAILABLE, PRONG_DEADLINE_EXCEEDED. */
prong_err lend_answer(int fd, struct lend_record *record, int fds[LEND_FDS_MAX], struct why why);

/* Map memory of exactly this size that can never shrink; NULL when it is something else, or memory
 * is out. */
void *lend_map(int fd, size_t bytes, bool writable);

/* What kind of array it is. */
struct shape {
    char dtype[RING_DTYPE_BYTES + 1];
    uint32_t dims;
    uint64_t shape[RING_DIMS_MAX];
};
/* Check dtype and shape against the bytes. Errors: PRONG_INVALID_ARGUMENT. */
prong_err shape_check(const prong_frame_info *info, size_t bytes, struct shape *out,
                      struct why why);

/* The stream that a frame is of. Valid until it is released. */
const char *frame_stream(const prong_frame *frame);
/* Release it once more. */
void frame_ref(const prong_frame *frame);

#endif
