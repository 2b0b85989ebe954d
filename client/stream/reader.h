/* A reader inside: what the hub gave it, and the rings that it follows.
 *
 * A seat is what the hub gave to this reader: the connection, its desk and its bell. A track is one
 * ring, which it follows until nothing more is in it and the next one is there. Both live until the
 * last frame that was taken from them is released, whatever came after: another generation, or
 * another hub, where the reader takes a new seat. track.c has these two, reader.c what programs do
 * with them. All under the reader's lock. */
#ifndef PRONG_CLIENT_STREAM_READER_H
#define PRONG_CLIENT_STREAM_READER_H

#include "client/stream/inside.h"

#include <pthread.h>
#include <sys/types.h>

struct seat {
    uint32_t refs;
    pid_t owner;
    int fd, bell, room; /* -1: none; `fd` also when the hub is gone */
    struct ring_desk *desk;
    struct ring_group *group; /* NULL: it reads for itself */
    uint32_t hold;
    enum ring_policy policy;
    bool has_ring;   /* one is on its way with the seat */
    bool is_lost;    /* the hub says nothing more */
    uint32_t frames; /* that are held */
};

struct track {
    struct track *next; /* the ring after it */
    uint32_t refs;      /* frames, and one while it is to be read */
    struct seat *seat;
    void *map;
    size_t map_bytes;
    uint32_t slots;
    uint64_t slot_bytes;
    struct ring_reader ring;
};

struct held {
    prong_frame frame;    /* first: the program has its address */
    prong_reader *reader; /* NULL: free */
    uint32_t refs;        /* the program, and the results that it is in */
    struct track *track;
    struct ring_taken taken;
};

struct prong_reader {
    pthread_mutex_t lock; /* guards all of it but what does not change */
    pid_t owner;
    uint32_t refs; /* the handle, and each frame that is held */
    char *url;
    char name[LEND_NAME_BYTES], group[LEND_NAME_BYTES];
    prong_reader_options options;
    struct seat *seat;
    struct track *track;  /* where it reads, then what follows; NULL while there is nothing */
    struct track *newest; /* the last of them */
    int epoll_fd, wake_fd, timer_fd;
    struct lend_record ring; /* that the hub told of last */
    int ring_fd;             /* its memory; -1 when it is followed */
    prong_err refusal;       /* why it is not */
    bool lacks_descriptors;  /* the hub was given up because there was no room for one of its own */
    uint64_t taken, missed, dropped;
    uint64_t lost; /* frames, to be told with the next one, too */
    struct held held[RING_HOLD_MAX];
    uint32_t held_count;
    bool listening; /* the bell is asked for */
    char error[STREAM_TEXT];
};

/* Where a reader's failures are told. */
struct why reader_why(prong_reader *r);
/* Have the reader's waits end when this descriptor is readable. false, with errno, when the kernel
 * has no memory for that, or the user watches too many already. */
bool reader_watch(prong_reader *r, int fd);
/* Close it, unless it is -1, and make it that. */
void reader_close(int *fd);
/* Accepts NULL. */
void seat_unref(struct seat *s);
void track_unref(struct track *t);
/* Tell the hub, if it was not told yet, that nothing of this seat is held any more. */
void seat_leave(struct seat *s);
/* Go on with the next ring, which is there. */
void track_leave(prong_reader *r);
/* Sit down at the hub: the first time, or because the hub before is gone. Errors: those of
 * prong_stream_open. */
prong_err reader_take_seat(prong_reader *r, struct why why);
/* Take what the hub says, and look for another hub when it is gone. */
void reader_hear(prong_reader *r);
/* PRONG_OK, or why the reader has not gone on with the ring that the hub told of last. */
prong_err reader_refusal(const prong_reader *r, struct why why);
/* prong_reader_number of a generation, 0: of any. When the hub was just started anew, it waits
 * until the reader has found that one and its ring, at most `timeout_ms`. */
prong_err reader_find(prong_reader *r, uint64_t number, uint64_t generation, int32_t timeout_ms,
                      const prong_frame **frame);

#endif
