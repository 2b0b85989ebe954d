/* The protocol's tables as C: operations, fields, keys, errors and limits of the files in tbl/.
 *
 * Owns nothing and decides nothing: a name for every number of the wire. Pure. */
#ifndef PRONG_PROTO_WIRE_H
#define PRONG_PROTO_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_INT_MAX UINT64_C(9007199254740991)

enum {
#define LIMIT(name, value, unit, help) WIRE_##name = value,
#define LIMIT_WIDE(name, value, unit, help)
#include "proto/tbl/limits.def"
#undef LIMIT
#undef LIMIT_WIDE
};
#define LIMIT(name, value, unit, help)
#define LIMIT_WIDE(name, value, unit, help)                                                        \
    static_assert(WIRE_##name == UINT64_C(value), "the macro and limits.def differ");
#include "proto/tbl/limits.def"
#undef LIMIT
#undef LIMIT_WIDE

enum wire_op {
#define OP(number, name, direction, help) WIRE_##name = number,
#include "proto/tbl/ops.def"
#undef OP
    WIRE_OP_REPLY_FIRST = 64,
};

enum wire_error {
#define ERROR(number, name, exit_code, help) WIRE_ERR_##name = number,
#include "proto/tbl/errors.def"
#undef ERROR
    WIRE_ERR_COUNT,
};

/* Whether the method may have begun, in every error. NO is a guarantee. */
enum wire_began { WIRE_BEGAN_NO, WIRE_BEGAN_MAYBE, WIRE_BEGAN_YES };

enum wire_report_kind {
    WIRE_REPORT_RESULT,
    WIRE_REPORT_ERROR,
    WIRE_REPORT_PARTIAL,
    WIRE_REPORT_PROGRESS
};

enum wire_type {
#define TYPE(name, help) WIRE_TYPE_##name,
#include "proto/tbl/types.def"
#undef TYPE
    WIRE_TYPE_COUNT,
};

/* Every record, list elements included, as a dense number. */
enum wire_record {
#define OP(number, name, direction, help) WIRE_REC_##name,
#include "proto/tbl/ops.def"
#undef OP
    WIRE_REC_REPORT_ITEM,
    WIRE_REC_WORK_ITEM,
    WIRE_REC_EVENT_ITEM,
    WIRE_REC_METHODS, /* only keys: what stands about one method in ATTACH */
    WIRE_REC_COUNT,
};

/* All fields of all records in one row. WIRE_FIRST_x is the first field of record x and WIRE_END_x
 * the one after its last, so WIRE_FIELD_x_y - WIRE_FIRST_x is y's place in x. */
enum wire_field {
#define RECORD(record)                            WIRE_FIRST_##record, WIRE_FIRST_AGAIN_##record = WIRE_FIRST_##record - 1,
#define FIELD(record, name, type, min, max, help) WIRE_FIELD_##record##_##name,
#define END(record)                               WIRE_END_##record, WIRE_END_AGAIN_##record = WIRE_END_##record - 1,
#include "proto/tbl/fields.def"
#undef RECORD
#undef FIELD
#undef END
    WIRE_FIELD_COUNT,
};

enum wire_key {
#define KEY(record, name, type, min, max, help) WIRE_KEY_##record##_##name,
#include "proto/tbl/keys.def"
#undef KEY
    WIRE_KEY_COUNT,
};

struct wire_field_row {
    enum wire_record record;
    const char *name;
    enum wire_type type;
    uint64_t min, max;
    const char *help;
};

struct wire_record_row {
    const char *name;
    int op; /* 0 for the elements of lists */
    const char *help;
    uint16_t first, count; /* fields */
};

struct wire_error_row {
    const char *name;
    int exit_code;
    const char *help;
};

extern const struct wire_field_row wire_fields[WIRE_FIELD_COUNT];
extern const struct wire_field_row wire_keys[WIRE_KEY_COUNT];
extern const struct wire_error_row wire_errors[WIRE_ERR_COUNT];

/* The row of a record. Never NULL for a valid number. */
const struct wire_record_row *wire_record_row(enum wire_record record);
/* The record of an operation's number, WIRE_REC_COUNT when there is none. */
enum wire_record wire_record_of_op(uint64_t op);
/* "NOT_FOUND" for 5; "UNKNOWN" for a number outside the table. Static storage. */
const char *wire_error_name(unsigned code);
/* What a type is, for people. Static storage. */
const char *wire_type_help(enum wire_type type);

#endif
