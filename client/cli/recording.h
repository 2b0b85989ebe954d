/* A file of frames and events with their times; docs/recording.md has the format. Knows files and
 * values, no hub.
 *
 * A file is only appended to, and each record stands for itself: what was written before a crash, a
 * full disk or a damaged place is read back as it was. */
#ifndef PRONG_CLI_RECORDING_H
#define PRONG_CLI_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <prong/stream.h>

#include "client/cli/crc.h"

enum {
    RECORDING_HEAD_BYTES_MAX = 65536,
    RECORDING_NAME_BYTES = 256, /* of a stream, a topic or a source, with the NUL */
};
#define RECORDING_PAYLOAD_BYTES_MAX (UINT64_C(1) << 30)

enum recording_result {
    RECORDING_OK,
    RECORDING_END,     /* after a whole record */
    RECORDING_TORN,    /* the end, in the middle of a record: whoever wrote it was cut off */
    RECORDING_DAMAGED, /* this record is not what was written; the next one can be read */
    RECORDING_BROKEN,  /* damaged, and where the next one begins is not known */
    RECORDING_FOREIGN, /* the file is no recording */
    RECORDING_NEWER,   /* it is one of a later version */
    RECORDING_ERROR,   /* errno */
};

/* One file, being written or being read. */
struct recording {
    int fd;          /* owned */
    uint64_t offset; /* of the next record */
    uint64_t bytes;  /* being read: of the file when it was opened */
    uint8_t *head;   /* of the record read last; owned */
    struct crc crc;
};

/* One record that was found. */
struct recording_record {
    prong_value head; /* a map; borrowed until the next one */
    uint64_t payload_offset, payload_bytes;
    uint32_t payload_crc;
};

/* ---- writing. `fd` is moved, whatever comes of it. ------------------------------------------ */

/* Begin a file that is empty. False with errno. */
bool recording_begin(struct recording *r, int fd);
/* Append a record; after a failure the file ends with the one before it. False with errno. */
bool recording_append(struct recording *r, const prong_value *head, const void *payload,
                      size_t bytes);

/* ---- reading -------------------------------------------------------------------------------- */

/* Look whether it is a recording. OK, TORN (not even its first bytes are there), FOREIGN, NEWER,
 * ERROR. */
enum recording_result recording_open(struct recording *r, int fd);
/* Begin again with the first record. */
void recording_rewind(struct recording *r);
/* The next record, without its payload. OK, END, TORN, DAMAGED, BROKEN, ERROR. */
enum recording_result recording_next(struct recording *r, struct recording_record *record);
/* Its payload into room for payload_bytes. OK, DAMAGED, ERROR. */
enum recording_result recording_read(const struct recording *r,
                                     const struct recording_record *record, void *to);
/* Close it, written or read. May be called twice. */
void recording_close(struct recording *r);

/* ---- heads ---------------------------------------------------------------------------------- */

enum recording_kind {
    RECORDING_FRAME,  /* the payload is its bytes */
    RECORDING_EVENT,  /* the payload is its payload, msgpack */
    RECORDING_BEGIN,  /* the first: when it was made, and of which streams */
    RECORDING_FINISH, /* the last: how much there is */
    RECORDING_OTHER,  /* of a later version: passed over */
};

/* What a head says. */
struct recording_item {
    enum recording_kind kind;
    int64_t at_ns;                     /* FRAME, EVENT: since the recording began */
    char name[RECORDING_NAME_BYTES];   /* of the stream; the topic */
    uint64_t number;                   /* of the frame or event; FINISH: of all frames */
    uint64_t missed;                   /* before this frame; FINISH: of all */
    uint64_t events;                   /* FINISH */
    int64_t mono_ns, time_us;          /* when it was taken; EVENT and BEGIN: time_us alone */
    char source[RECORDING_NAME_BYTES]; /* EVENT */
    char dtype[9];                     /* FRAME, as in struct prong_frame */
    uint32_t dims;
    uint64_t shape[PRONG_FRAME_DIMS_MAX];
    prong_value meta;    /* FRAME; borrowed from the head; of length 0 when there is none */
    prong_value streams; /* BEGIN: {name: {"slots": n}}; borrowed */
};

/* Append the head to an empty writer. */
void recording_put(prong_writer *w, const struct recording_item *item);
/* False when it says what cannot be. */
bool recording_get(const prong_value *head, struct recording_item *item);

#endif
