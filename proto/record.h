/* Records: one message body taken apart by the tables of wire.h, and list elements and map keys.
 *
 * Decodes the envelope only: payloads are proved to be exactly one object and handed out as bytes.
 * Nothing is allocated; everything points into the message. Pure. */
#ifndef PRONG_PROTO_RECORD_H
#define PRONG_PROTO_RECORD_H

#include "proto/mp.h"
#include "proto/name.h"
#include "proto/wire.h"

enum { RECORD_FIELDS_MAX = 8 };

/* One checked field. `raw` is the whole encoded object; for lists and maps `inside` is what follows
 * the head and `count` its elements or pairs. */
struct field {
    struct mp_item item;
    struct span raw, inside;
    struct target target; /* TARGET */
};

struct record {
    enum wire_record record;
    struct field field[RECORD_FIELDS_MAX];
};

/* The field of a decoded record, by its name in fields.def: RECORD_FIELD(r, CALL, SEQ)->item.uint.
 */
#define RECORD_FIELD(r, op, name) (&(r)->field[WIRE_FIELD_##op##_##name - WIRE_FIRST_##op])

/* Why something was refused, for people: what was wrong and what is allowed. */
struct wire_diag {
    enum wire_error code; /* INVALID_ARGUMENT, or UNIMPLEMENTED for an unknown operation */
    char text[240];
};

/* Take the next record from the front of *rest. false with *diag when it is malformed. */
bool record_next(struct span *rest, struct record *out, struct wire_diag *diag);
/* Take a whole message apart: 1 to `max` records, nothing between or after them. Their number, or 0
 * with *diag. */
size_t record_message(struct span body, struct record *out, size_t max, struct wire_diag *diag);
/* Take the next element of a list whose elements are `record` (REPORT_ITEM, ...). The list was
 * checked when its record was decoded, so this fails only at its end. */
bool record_item(struct span *inside, enum wire_record record, struct record *out);
/* Take the next number from a checked list of calls. */
bool record_number(struct span *inside, uint64_t *number);
/* Take the next text from a checked list of filters. */
bool record_text(struct span *inside, struct span *text);
/* Find a key of a checked map or options field. false when it is not there. */
bool record_key(const struct field *map, enum wire_key key, struct field *out);
/* A number above 0 among the `limits` of WELCOME; `otherwise` when there is none. */
uint64_t record_limit(const struct record *welcome, const char *name, uint64_t otherwise);
/* The error payload of a REPORT: [code, began, message, details]. false when it is not one. */
struct wire_failure {
    unsigned code, began;
    struct span message; /* text */
    struct span details; /* one encoded object */
};
bool record_failure(struct span payload, struct wire_failure *out);

#endif
