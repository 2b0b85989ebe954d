/* The vectors of proto/vectors as the tests see them. */
#ifndef PRONG_TESTS_UNIT_PROTO_VECTORS_H
#define PRONG_TESTS_UNIT_PROTO_VECTORS_H

#include "tests/unit/proto/helper.h"

#include <jansson.h>

struct golden {
    const char *name;
    const json_t *record;
    bool decode_only;
    struct span bytes;
};

/* Calls `each` for every good vector; the bytes are exactly as long as their memory. Their number.
 */
size_t each_golden(void (*each)(const struct golden *g, void *context), void *context);

struct refused {
    const char *name;
    const char *code, *words; /* of the expected error */
    struct span bytes;
};

/* The same for the bad ones. */
size_t each_refused(void (*each)(const struct refused *r, void *context), void *context);

#endif
