/* The tables of wire.h. */
#include "proto/wire.h"

const struct wire_field_row wire_fields[WIRE_FIELD_COUNT] = {
#define RECORD(record)
#define END(record)
#define FIELD(record, name, type, min, max, help)                                                  \
    [WIRE_FIELD_##record##_##name] = {WIRE_REC_##record, #name, WIRE_TYPE_##type, min, max, help},
#include "proto/tbl/fields.def"
#undef RECORD
#undef END
#undef FIELD
};

const struct wire_field_row wire_keys[WIRE_KEY_COUNT] = {
#define KEY(record, name, type, min, max, help)                                                    \
    [WIRE_KEY_##record##_##name] = {WIRE_REC_##record, #name, WIRE_TYPE_##type, min, max, help},
#include "proto/tbl/keys.def"
#undef KEY
};

const struct wire_error_row wire_errors[WIRE_ERR_COUNT] = {
#define ERROR(number, name, exit_code, help) [number] = {#name, exit_code, help},
#include "proto/tbl/errors.def"
#undef ERROR
};

static const char *const type_help[WIRE_TYPE_COUNT] = {
#define TYPE(name, help) [WIRE_TYPE_##name] = help,
#include "proto/tbl/types.def"
#undef TYPE
};

#define RANGE(record) WIRE_FIRST_##record, WIRE_END_##record - WIRE_FIRST_##record
static const struct wire_record_row records[WIRE_REC_COUNT] = {
#define OP(number, name, direction, help) [WIRE_REC_##name] = {#name, number, help, RANGE(name)},
#include "proto/tbl/ops.def"
#undef OP
    [WIRE_REC_REPORT_ITEM] = {"REPORT_ITEM", 0, "element of REPORT", RANGE(REPORT_ITEM)},
    [WIRE_REC_WORK_ITEM] = {"WORK_ITEM", 0, "element of WORK", RANGE(WORK_ITEM)},
    [WIRE_REC_EVENT_ITEM] = {"EVENT_ITEM", 0, "element of EVENTS", RANGE(EVENT_ITEM)},
    [WIRE_REC_METHODS] = {"METHODS", 0, "about one method of ATTACH", 0, 0},
};

const struct wire_record_row *
wire_record_row(enum wire_record record)
{
    return &records[record];
}

enum wire_record
wire_record_of_op(uint64_t op)
{
    switch (op) {
#define OP(number, name, direction, help)                                                          \
    case number:                                                                                   \
        return WIRE_REC_##name;
#include "proto/tbl/ops.def"
#undef OP
    default:
        return WIRE_REC_COUNT;
    }
}

const char *
wire_error_name(unsigned code)
{
    return code < WIRE_ERR_COUNT ? wire_errors[code].name : "UNKNOWN";
}

const char *
wire_type_help(enum wire_type type)
{
    return type_help[type];
}
