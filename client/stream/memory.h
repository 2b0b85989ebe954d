/* Inside a prong_memory: the connection over which buffers are lent, and handles of what is passed.
 * memory.c has these and the frames, buffer.c the buffers. */
#ifndef PRONG_CLIENT_STREAM_MEMORY_H
#define PRONG_CLIENT_STREAM_MEMORY_H

#include "client/stream/inside.h"
#include "client/stream/maps.h"

#include <pthread.h>

enum {
    RENEW_MS = 1000,  /* how long a program whose hub is gone waits for another one, all in all */
    READERS_MAX = 64, /* streams of which frames were taken; the one used longest ago makes room */
};

struct taker {
    prong_reader *reader; /* NULL: free */
    char stream[LEND_NAME_BYTES];
    uint64_t used;
};

struct prong_memory {
    pthread_mutex_t lock; /* guards all of it but what does not change */
    char *url;
    int fd;          /* -1: there was no hub when it was last needed */
    uint64_t hubs;   /* connections that were lost: another one may be to another hub */
    int64_t lost_ns; /* when the last one was */
    pid_t owner;
    uint32_t hold, refs;
    uint64_t uses;
    struct taker takers[READERS_MAX];
    struct maps maps; /* of buffers that came from the hub of this connection */
    char error[STREAM_TEXT];
};

struct why memory_why(prong_memory *m);
/* One more, or one less, of those that use it; the last one frees it. Both with the lock, which the
 * latter lets go of. */
void memory_ref(prong_memory *m);
void memory_unref(prong_memory *m);
/* Ask for a buffer, new or there; `fd` is the caller's. With the lock. Errors: those of the hub,
 * PRONG_UNAVAILABLE, PRONG_DEADLINE_EXCEEDED. */
prong_err memory_borrow(prong_memory *m, struct lend_record *record, int *fd);
/* Whether what was lent when `hub` connections were lost is still lent. With the lock. */
bool memory_is_of_now(prong_memory *m, uint64_t hub);
/* Say LEND_GIVE. With the lock. */
void memory_give(prong_memory *m, struct lend_record *record);

/* Write what `inside` has as one ext object, and free it. */
void handle_write(prong_writer *w, prong_writer *inside, int type);
/* The three parts of a handle of this type; false when it is none. */
bool handle_read(const prong_value *handle, int type, prong_value part[3]);
/* A text with its NUL; false when it is none or does not fit. */
bool handle_text(const prong_value *value, char *text, size_t size);

#endif
