/* The protocol's tables once more, with the columns that only documents need: who sends an
 * operation, the unit of a limit, the names of the small enums of wire.h. Constant data. */
#ifndef PRONG_GEN_TABLES_H
#define PRONG_GEN_TABLES_H

#include "proto/wire.h"

#include <stdbool.h>
#include <stddef.h>

struct gen_op {
    unsigned number;
    enum wire_record record;
    bool reply;
    const char *name, *help;
};

struct gen_limit {
    const char *name;
    uint64_t value;
    const char *unit, *help;
};

/* One value of a small enum. */
struct gen_word {
    unsigned value;
    const char *name, *help;
};

/* An event of the hub itself. */
struct gen_event {
    const char *topic, *keys, *when;
};

/* A table and its number of rows. */
struct gen_ops {
    const struct gen_op *row;
    size_t count;
};
struct gen_limits {
    const struct gen_limit *row;
    size_t count;
};
struct gen_words {
    const struct gen_word *row;
    size_t count;
};
struct gen_events {
    const struct gen_event *row;
    size_t count;
};

struct gen_ops gen_ops(void);
struct gen_limits gen_limits(void);
struct gen_words gen_began(void);
struct gen_words gen_report_kinds(void);
struct gen_events gen_events(void);
/* The limit of that name, NULL when there is none. */
const struct gen_limit *gen_limit_find(const char *name, size_t len);
/* "UINT" for WIRE_TYPE_UINT. Static storage. */
const char *gen_type_name(enum wire_type type);
/* The records that are elements of lists, and METHODS: all that have no number. */
enum { GEN_ITEM_FIRST = WIRE_REC_REPORT_ITEM };

#endif
