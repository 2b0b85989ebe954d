/* Bounded msgpack reader: one head at a time, no recursion, no allocation.
 *
 * Every count is checked against the bytes that are left before anything is done with it, so a few
 * bytes can neither claim memory nor time. Texts and bytes point into the input. Pure. */
#ifndef PRONG_PROTO_MP_H
#define PRONG_PROTO_MP_H

#include "proto/buf.h"

enum mp_kind {
    MP_NIL,
    MP_BOOL,
    MP_UINT,
    MP_NEGATIVE, /* an integer below 0 */
    MP_FLOAT,
    MP_STR,
    MP_BIN,
    MP_EXT,
    MP_ARRAY,
    MP_MAP,
};

/* One head. `bytes` holds the content of STR, BIN and EXT; `count` the elements of ARRAY and the
 * pairs of MAP, which follow as heads of their own; both are empty for every other kind. */
struct mp_item {
    enum mp_kind kind;
    bool boolean;
    int8_t ext_type;
    uint32_t count;
    union { /* 0 for the kinds that have no number */
        uint64_t uint;
        int64_t negative;
        double number; /* FLOAT; integers are left to the caller */
    };
    struct span bytes;
};

/* Read one head from the front of *rest and move past it (past the content for STR, BIN and EXT).
 * false, with *rest unchanged, when it is cut off, not msgpack, or counts more than can follow. */
bool mp_next(struct span *rest, struct mp_item *item);
/* Read one head and move past its whole object. *object gets all its bytes and *inside those behind
 * the head: the elements of ARRAY and MAP, nothing for other kinds. false as above. */
bool mp_take(struct span *rest, struct mp_item *head, struct span *object, struct span *inside);
/* Move past one whole object; its bytes go to *object (may be NULL). false as above. */
bool mp_skip(struct span *rest, struct span *object);
/* Whether the bytes are well-formed UTF-8 (no surrogates, nothing overlong). */
bool mp_is_utf8(struct span text);
/* What stands there, for people: "a text", "an array", ... Static storage. */
const char *mp_kind_name(enum mp_kind kind);

#endif
