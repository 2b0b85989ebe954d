/* What the tests of proto/ share. Every assertion that passes costs Criterion a message between two
 * processes, so loops over thousands of cases look first and assert only what failed. */
#ifndef PRONG_TESTS_UNIT_PROTO_HELPER_H
#define PRONG_TESTS_UNIT_PROTO_HELPER_H

#include "proto/buf.h"
#include "tests/support/test.h"

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            cr_assert(false, __VA_ARGS__);                                                         \
        }                                                                                          \
    } while (0)

/* A literal's bytes, without its NUL. */
#define SPAN(literal) ((struct span){(const uint8_t *)(literal), sizeof(literal) - 1})

/* Appends what the hex digits say; anything else between them is skipped, lines that begin with '#'
 * as a whole. */
void put_hex(struct buf *b, const char *hex);
/* A whole file below the source tree, NUL-terminated; owned by the buffer. */
void read_source(struct buf *b, const char *path);
/* "<source tree>/path" */
void source_path(char *out, size_t size_bytes, const char *path);
/* "92 07 c0" for messages of tests; the last 8 texts are kept. */
const char *hex_text(struct span bytes);

#endif
