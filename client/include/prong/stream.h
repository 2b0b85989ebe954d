/* Streams of frames through shared memory, part of libprong.
 *
 * A stream has a name, one writer and any number of readers, in any processes of the hub's machine.
 * Frames are arrays with a number, two times and a small map; they lie in a ring of slots that the
 * hub lends, and nobody copies them but the writer, and not even he when he fills a slot in place:
 *
 *     prong_stream *s = NULL;                                      a camera
 *     const prong_stream_options o = {.size_bytes = sizeof o, .slot_bytes = 1920 * 1080 * 3};
 *     if (prong_stream_create(url, "cam1", &o, &s, why, sizeof why) != PRONG_OK) { ... }
 *     while (grab(&picture)) {
 *         const uint64_t shape[] = {1080, 1920, 3};
 *         const prong_frame_info info = {.dtype = "|u1", .dims = 3, .shape = shape};
 *         prong_stream_write(s, picture, 1920 * 1080 * 3, &info);
 *     }
 *
 *     prong_reader *r = NULL;                                      somebody else
 *     const prong_frame *f;
 *     if (prong_stream_open(url, "cam1", NULL, &r, why, sizeof why) != PRONG_OK) { ... }
 *     while (prong_reader_next(r, PRONG_FOREVER, &f) == PRONG_OK) {
 *         look(f->data, f->shape);
 *         prong_frame_release(f);
 *     }
 *
 * Readers. With PRONG_LATEST a reader gets the newest frame, and is told how many it missed; the
 * writer never waits for it, whether it is slow, stopped or dead. With PRONG_LOSSLESS it gets every
 * frame; the writer waits for it, at most `patience_ms` of the stream, then goes on without it and
 * it is told. Readers that open with the same group share the frames: each goes to exactly one of
 * them, and what one held when it died is offered to another one, once.
 *
 * What is held stays as it is: a frame is the reader's until prong_frame_release, whatever becomes
 * of the writer, the hub or the stream. A reader says how many it will hold at a time; the hub
 * refuses a reader for whom the stream has too few slots, because then the writer could find none.
 *
 * Geometry. A frame that does not fit the slots makes larger ones: the stream goes on in a new
 * ring, and readers follow. Numbers go on, too, when a writer ends and another one comes.
 *
 * Death. The hub keeps the memory, nothing has a name that somebody could remove, and nothing is
 * left when the last user is gone. A writer may die at any instruction: frames that it was making
 * are never seen. A reader may die at any instruction: what it held is free again.
 *
 * Only on the machine of the hub: `url` is the one of its local socket (ipc://PATH), as
 * prong_client_url tells it of a client, or PRONG_URL a worker.
 *
 * Threads. A stream is used by one thread at a time, a reader too; prong_frame_release may be
 * called by any thread at any time. Fork: what a process opened is its own, and a child that asks
 * for something of it gets PRONG_FAILED_PRECONDITION; it opens its own. Free and release end
 * nothing of the parent's there. Pointers are *borrowed* for the call unless it says otherwise.
 * Times are nanoseconds of CLOCK_MONOTONIC (`mono_ns`) and microseconds since the epoch
 * (`time_us`). */
#ifndef PRONG_STREAM_H
#define PRONG_STREAM_H

#include <prong/prong.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct prong_stream prong_stream;
typedef struct prong_reader prong_reader;

enum {
    PRONG_FRAME_DIMS_MAX = 8,
    PRONG_FRAME_META_MAX = 1024, /* bytes of the map of a frame */
    PRONG_STREAM_SLOTS_MAX = 256,
    PRONG_READER_HOLD_MAX = 32,
};

/* ---- writing -------------------------------------------------------------------------------- */

typedef struct prong_stream_options {
    size_t size_bytes;   /* sizeof(prong_stream_options) */
    size_t slot_bytes;   /* the largest frame that is expected; default 1 MiB; at most 1 GiB */
    uint32_t slots;      /* 2..256; default 8. What readers hold and what lossless readers have not
                            taken needs slots, and what is still to be found by its time, too */
    int32_t patience_ms; /* how long a write waits for a lossless reader; 0..60000; default 1000;
                            -1: not at all */
} prong_stream_options;

/* What goes with a frame. Zero is the default. */
typedef struct prong_frame_info {
    const char *dtype;     /* as numpy writes it: "|u1", "<f4", "<u2"...; default "|u1" */
    uint32_t dims;         /* 0: one dimension, all bytes */
    const uint64_t *shape; /* `dims` of them, outermost first */
    int64_t mono_ns;       /* when it was taken; default: now */
    int64_t time_us;       /* the same; default: now, or what mono_ns says */
    prong_value meta;      /* a map, at most PRONG_FRAME_META_MAX bytes; default: none */
} prong_frame_info;

/* Make a stream, or go on with the one of a writer that ended.
 *
 *   url      of the hub's local socket
 *   name     of a-z 0-9 _ -, at most 64 bytes
 *   options  NULL for all defaults
 *   out      owned, freed with prong_stream_free
 *   why      room for a text on failure, NUL-terminated, or NULL
 *
 * Errors: PRONG_INVALID_ARGUMENT, PRONG_ALREADY_EXISTS (it has a writer; the text says which pid),
 * PRONG_UNAVAILABLE (no hub), PRONG_UNIMPLEMENTED (not a local socket), PRONG_RESOURCE_EXHAUSTED
 * (memory, the hub's limits). Threads: any. */
PRONG_API prong_err prong_stream_create(const char *url, const char *name,
                                        const prong_stream_options *options, prong_stream **out,
                                        char *why, size_t why_size);
/* Room for the next frame, to be filled in place; valid until the commit, cancel or next reserve.
 * Waits for lossless readers as long as the stream's patience.
 *
 *   bytes  of the frame; more than a slot has makes a new ring with larger slots
 *
 * Errors: PRONG_RESOURCE_EXHAUSTED (all slots are held, or no memory for larger ones: the frame is
 * skipped, and counted; or there is no descriptor for a reader that came, whose frames could not be
 * respected), PRONG_INVALID_ARGUMENT (above 1 GiB), PRONG_UNAVAILABLE (larger slots are
 * needed and the hub is gone). */
PRONG_API prong_err prong_stream_reserve(prong_stream *s, size_t bytes, void **data);
/* Show what was filled in; `number`, which may be NULL, is the frame's.
 *
 * Errors: PRONG_FAILED_PRECONDITION (nothing is reserved), PRONG_INVALID_ARGUMENT (shape and dtype
 * are not those of the bytes, meta is no map or too long); then it is still reserved. */
PRONG_API prong_err prong_stream_commit(prong_stream *s, const prong_frame_info *info,
                                        uint64_t *number);
/* Give the reserved slot back. Nothing happens when none is. */
PRONG_API void prong_stream_cancel(prong_stream *s);
/* Copy into a reserved slot: as memcpy, but where it is large past the caches, out of which it
 * would be pushed before it is read, which takes about 0.7 of the time. Threads: any. */
PRONG_API void prong_stream_copy(void *to, const void *from, size_t bytes);
/* Reserve, copy and commit. `info` may be NULL. Errors: those of both; nothing is reserved then. */
PRONG_API prong_err prong_stream_write(prong_stream *s, const void *data, size_t bytes,
                                       const prong_frame_info *info);
/* What the last failure was, for people; "" when there was none. Valid until the next failure. */
PRONG_API const char *prong_stream_error_text(const prong_stream *s);
/* End writing. Readers keep what there is, and wait for the next writer. Accepts NULL. */
PRONG_API void prong_stream_free(prong_stream *s);

typedef struct prong_stream_counts {
    uint64_t frames, bytes; /* written */
    uint64_t skipped;       /* not written, because all slots were held */
    uint64_t dropped;       /* times that a lossless reader was given up */
    uint64_t generation;    /* of the ring, from 1 */
} prong_stream_counts;
PRONG_API void prong_stream_stats(const prong_stream *s, prong_stream_counts *out);

/* ---- reading -------------------------------------------------------------------------------- */

typedef enum prong_read_policy {
    PRONG_LATEST,
    PRONG_LOSSLESS,
} prong_read_policy;

typedef struct prong_reader_options {
    size_t size_bytes; /* sizeof(prong_reader_options) */
    prong_read_policy policy;
    const char *group;  /* named as a stream is; all of a group have the policy of its first */
    uint32_t hold;      /* frames held at a time, 1..32; default 1 */
    bool oldest;        /* begin with the oldest frame that is there, not with the newest (LATEST)
                           or the next one (LOSSLESS) */
    int32_t timeout_ms; /* how long a stream that is not there yet is waited for; default 0;
                           PRONG_FOREVER */
} prong_reader_options;

/* A frame. All of it is valid until it is released, and nobody writes to it. */
typedef struct prong_frame {
    uint64_t number;     /* counts up by one with each frame of the stream, from 1 */
    uint64_t missed;     /* frames between the one that this reader, or its group, got before and
                            this one */
    uint64_t generation; /* of the ring */
    int64_t mono_ns, time_us;
    const void *data;
    size_t bytes;
    char dtype[9];
    uint32_t dims;
    uint64_t shape[PRONG_FRAME_DIMS_MAX];
    prong_value meta; /* a map; of length 0 when there is none */
} prong_frame;

/* Become a reader of a stream. The parameters are those of prong_stream_create; `out` is freed with
 * prong_reader_free.
 *
 * Errors: PRONG_INVALID_ARGUMENT, PRONG_NOT_FOUND (no such stream, within timeout_ms),
 * PRONG_UNAVAILABLE (no hub), PRONG_UNIMPLEMENTED (not a local socket), PRONG_RESOURCE_EXHAUSTED
 * (too few slots for one more reader; memory; descriptors). Threads: any. */
PRONG_API prong_err prong_stream_open(const char *url, const char *name,
                                      const prong_reader_options *options, prong_reader **out,
                                      char *why, size_t why_size);
/* Take the next frame, and wait for it.
 *
 *   timeout_ms  >= 0, or PRONG_FOREVER
 *   frame       released with prong_frame_release
 *
 * Errors: PRONG_DEADLINE_EXCEEDED (none came), PRONG_RESOURCE_EXHAUSTED (it holds as many as it
 * may; or here is no memory to map the stream's larger ring, which is tried again with each call),
 * PRONG_DATA_LOSS (lossless, and it was too slow: told once, then it goes on with the oldest
 * frame that is there), PRONG_CANCELLED (prong_reader_wake). */
PRONG_API prong_err prong_reader_next(prong_reader *r, int32_t timeout_ms,
                                      const prong_frame **frame);
/* Take the frame whose `mono_ns` is nearest to a time, beside the frames of prong_reader_next.
 * Waits until a frame of that time or later is there, or the time is over; then it is the nearest
 * of those there are. How far back one can go the number of slots says.
 *
 * Errors: as prong_reader_next, but PRONG_NOT_FOUND when there is no frame at all. */
PRONG_API prong_err prong_reader_at(prong_reader *r, int64_t mono_ns, int32_t timeout_ms,
                                    const prong_frame **frame);
/* When what an event tells of happened, by CLOCK_MONOTONIC: the `mono_ns` of its payload, which
 * devices put there when they read it; else when the hub took the event, as the clock of the wall
 * stands to the other one now. */
PRONG_API int64_t prong_event_mono_ns(const prong_event *event);
/* Take the frame nearest to an event, as prong_reader_at does to a time: the picture of a trigger.
 *
 *   delay_ns  how much later than the event the frame was taken, negative when it was earlier; how
 *             much is too much the program knows. NULL: not asked for.
 *
 * Errors: those of prong_reader_at. */
PRONG_API prong_err prong_reader_at_event(prong_reader *r, const prong_event *event,
                                          int32_t timeout_ms, const prong_frame **frame,
                                          int64_t *delay_ns);
/* The frame with this number, if it is still there; never waits. Errors: PRONG_DATA_LOSS (it is
 * gone, or never was), PRONG_RESOURCE_EXHAUSTED (as prong_reader_next). */
PRONG_API prong_err prong_reader_number(prong_reader *r, uint64_t number,
                                        const prong_frame **frame);
/* Let go of a frame. Accepts NULL. Threads: any; also after prong_reader_free. */
PRONG_API void prong_frame_release(const prong_frame *frame);
/* A descriptor that is readable when prong_reader_next(r, 0) should be asked, for an event loop of
 * one's own; asking until PRONG_DEADLINE_EXCEEDED makes it wait for the next. Borrowed. */
PRONG_API int prong_reader_fd(prong_reader *r);
/* Make a prong_reader_next or _at that waits, or the next one that has to, return PRONG_CANCELLED.
 * Threads: any, and signal handlers. */
PRONG_API void prong_reader_wake(prong_reader *r);
PRONG_API const char *prong_reader_error_text(const prong_reader *r);
/* Stop reading. Frames that are held stay valid until they are released. Accepts NULL. */
PRONG_API void prong_reader_free(prong_reader *r);

typedef struct prong_reader_counts {
    uint64_t taken, missed; /* frames */
    uint64_t dropped;       /* times that a lossless reader was given up by the writer */
    uint64_t generation;    /* of the ring it reads, 0 while there is none */
} prong_reader_counts;
PRONG_API void prong_reader_stats(const prong_reader *r, prong_reader_counts *out);

/* ---- frames and buffers as values ------------------------------------------------------------ */

/* A frame or a buffer can be an argument or a result: what travels is a handle, and the memory is
 * mapped by both sides. A handle that nobody can take any more is PRONG_DATA_LOSS for who takes it.
 * It is one of its hub: to another hub it says nothing, or something else.
 *
 * A frame stays as long as the sender holds it; so the sender keeps it until the call has its
 * outcome, and the receiver takes it, which holds it, too. A buffer stays as long as anybody holds
 * it, and after prong_buffer_send for a while although nobody does: that is how a result gets to
 * its caller. Nothing is left when all holders are gone, whatever they died of. */

/* What a program needs to have buffers and to take frames: a connection to the hub's memory. One is
 * enough. Threads: any, at the same time. */
typedef struct prong_memory prong_memory;

/* `hold`: how many frames of one stream are taken (prong_frame_take) at a time, 1..32; 0: 1. The
 * other parameters and the errors are those of prong_stream_create; freed with prong_memory_free.
 */
PRONG_API prong_err prong_memory_open(const char *url, uint32_t hold, prong_memory **out, char *why,
                                      size_t why_size);
/* Accepts NULL. Frames that were taken stay until they are released, and so do buffers, and the
 * connection, until they are freed. */
PRONG_API void prong_memory_free(prong_memory *m);
/* How much memory of buffers that were let go of stays mapped, for the next ones: new memory costs
 * ten times what it takes to fill it. At first 256 MiB. It is kept for two seconds, at most 32
 * buffers, and what is kept nobody can reach. A buffer that does not fit in, and all of them with
 * 0, is not used again. */
PRONG_API void prong_memory_keep(prong_memory *m, size_t bytes);
/* Copy what the last failure was, NUL-terminated and cut; "" when there was none. */
PRONG_API void prong_memory_error_text(prong_memory *m, char *text, size_t size);

/* An array in memory that others can map, too. Everybody who has it may write to it. */
typedef struct prong_buffer {
    void *data;
    size_t bytes;
    char dtype[9];
    uint32_t dims;
    uint64_t shape[PRONG_FRAME_DIMS_MAX];
} prong_buffer;

/* Make one, to be filled: what is in it is not said. New memory is zeros, and memory that came back
 * has what was in it; it only comes back to this `m`, and when nobody holds it or could still have
 * it mapped: when all let go of it, none of them had forked while it held it, and none died.
 *
 *   bytes  1 byte to 1 GiB
 *   info   dtype, dims and shape, which have to be those of the bytes; NULL: bytes
 *   out    owned, freed with prong_buffer_free or prong_buffer_send
 *
 * Errors: PRONG_INVALID_ARGUMENT, PRONG_RESOURCE_EXHAUSTED (memory, the hub's limits),
 * PRONG_UNAVAILABLE (no hub). */
PRONG_API prong_err prong_buffer_new(prong_memory *m, size_t bytes, const prong_frame_info *info,
                                     prong_buffer **out);
/* Write a handle of it. In a result of a worker (prong_job_result, prong_job_item,
 * prong_job_details), what is let go of by prong_buffer_free waits for the caller for a minute. It
 * is given back at once when the result never gets to him: the method failed, or wrote something
 * else after prong_writer_reset, or the caller had cancelled the call.
 *
 * When the hub's broker was started anew since the buffer was lent, the bytes go into memory of the
 * new one first, at the same address: nobody else writes to it meanwhile. Who took it before keeps
 * the memory that it was, and sees no more of what is written from then on. A new one that is not
 * there yet is waited for, once and for a second at most; after that a handle is of the old one,
 * and whoever takes it is told that the buffer is gone. */
PRONG_API void prong_writer_buffer(prong_writer *w, const prong_buffer *b);
/* Take the buffer whose handle a value is. `out`: owned, as from prong_buffer_new. Errors:
 * PRONG_INVALID_ARGUMENT (no such handle), PRONG_DATA_LOSS (nobody holds it any more),
 * PRONG_RESOURCE_EXHAUSTED, PRONG_UNAVAILABLE. */
PRONG_API prong_err prong_buffer_take(prong_memory *m, const prong_value *handle,
                                      prong_buffer **out);
/* Let go of it. Accepts NULL. */
PRONG_API void prong_buffer_free(prong_buffer *b);
/* Let go of it, and have the hub keep it for `linger_ms` (0..600000) until it was taken as often as
 * a handle of it was written. */
PRONG_API void prong_buffer_send(prong_buffer *b, int32_t linger_ms);

/* Write a handle of a frame. In a result of a worker the frame is held, beside what the program
 * holds, until the caller has the outcome; so the reader that it is of needs a `hold` of one more
 * than so many results may be on their way. */
PRONG_API void prong_writer_frame(prong_writer *w, const prong_frame *frame);
/* Take the frame whose handle a value is; released with prong_frame_release. Errors:
 * PRONG_INVALID_ARGUMENT (no such handle), PRONG_DATA_LOSS (it is gone), PRONG_RESOURCE_EXHAUSTED
 * (too many are held; too few slots), PRONG_UNAVAILABLE. */
PRONG_API prong_err prong_frame_take(prong_memory *m, const prong_value *handle,
                                     const prong_frame **frame);

/* ---- looking -------------------------------------------------------------------------------- */

/* One stream, or one reader of the stream before it. */
typedef struct prong_stream_info {
    bool is_reader;
    char name[65], group[65]; /* of the stream; of the reader's group */
    int32_t pid;              /* of the writer, 0 when there is none; of the reader */
    uint32_t slots, readers;
    size_t slot_bytes;
    uint64_t generation, newest, frames, bytes, skipped;
    int64_t newest_us; /* when the newest frame was taken; 0 when there is none */
    prong_read_policy policy;
    uint32_t hold, held;
    uint64_t taken, missed, next;
    int64_t delay_ns; /* between the time of the frame that it took last, and taking it */
} prong_stream_info;

/* All streams of a hub, each followed by its readers. `out`: owned, freed with prong_free; `count`
 * of them. Errors: PRONG_UNAVAILABLE, PRONG_UNIMPLEMENTED, PRONG_RESOURCE_EXHAUSTED. */
PRONG_API prong_err prong_stream_list(const char *url, prong_stream_info **out, size_t *count,
                                      char *why, size_t why_size);

#ifdef __cplusplus
}
#endif

#endif
