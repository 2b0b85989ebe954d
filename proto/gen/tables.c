/* The tables of tables.h. */
#include "proto/gen/tables.h"

#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* REQUEST and REPLY are the words of ops.def. */
enum { REQUEST, REPLY };

static const struct gen_op ops[] = {
#define OP(number, name, direction, help)                                                          \
    {number, WIRE_REC_##name, direction == REPLY, #name, help},
#include "proto/tbl/ops.def"
#undef OP
};

static const struct gen_limit limits[] = {
#define LIMIT(name, value, unit, help)      {#name, value, unit, help},
#define LIMIT_WIDE(name, value, unit, help) {#name, UINT64_C(value), unit, help},
#include "proto/tbl/limits.def"
#undef LIMIT
#undef LIMIT_WIDE
};

static const char *const types[WIRE_TYPE_COUNT] = {
#define TYPE(name, help) [WIRE_TYPE_##name] = #name,
#include "proto/tbl/types.def"
#undef TYPE
};

static const struct gen_word began[] = {
    {WIRE_BEGAN_NO, "NO", "the method has not begun and will not: guaranteed"},
    {WIRE_BEGAN_MAYBE, "MAYBE", "the method may have begun"},
    {WIRE_BEGAN_YES, "YES", "the method has begun"},
};

static const struct gen_word report_kinds[] = {
    {WIRE_REPORT_RESULT, "RESULT", "the value that the method returned: the call's outcome"},
    {WIRE_REPORT_ERROR, "ERROR", "[code, began, message, details]: the call's outcome"},
    {WIRE_REPORT_PARTIAL, "PARTIAL", "[number of the first, [items]]; the call goes on"},
    {WIRE_REPORT_PROGRESS, "PROGRESS", "[fraction, note]; the call goes on"},
};

static const struct gen_event events[] = {
#define EVENT(name, topic, keys, when) {topic, keys, when},
#include "proto/tbl/events.def"
#undef EVENT
};

struct gen_ops
gen_ops(void)
{
    return (struct gen_ops){ops, COUNT(ops)};
}

struct gen_limits
gen_limits(void)
{
    return (struct gen_limits){limits, COUNT(limits)};
}

struct gen_words
gen_began(void)
{
    return (struct gen_words){began, COUNT(began)};
}

struct gen_words
gen_report_kinds(void)
{
    return (struct gen_words){report_kinds, COUNT(report_kinds)};
}

struct gen_events
gen_events(void)
{
    return (struct gen_events){events, COUNT(events)};
}

const struct gen_limit *
gen_limit_find(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT(limits); i++) {
        if (strlen(limits[i].name) == len && memcmp(limits[i].name, name, len) == 0) {
            return &limits[i];
        }
    }
    return NULL;
}

const char *
gen_type_name(enum wire_type type)
{
    return types[type];
}
