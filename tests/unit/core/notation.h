/* Records in a notation for tests: "[7,'x'] [4,b'0123456789abcdef',1]" is two of them. There are
 * 'text', b'bytes', numbers, true, false, null, [lists], {maps} and <n> for n zero bytes; commas
 * and colons count as spaces. What cannot be read aborts the test. */
#ifndef PRONG_TESTS_CORE_NOTATION_H
#define PRONG_TESTS_CORE_NOTATION_H

#include "proto/buf.h"

/* Append what `text` says. */
void notation_write(struct buf *b, const char *text);

/* Text that grows up to the size of its room. */
struct shown {
    char *text;
    size_t len, cap;
};

__attribute__((format(printf, 2, 3))) void notation_put(struct shown *s, const char *format, ...);
/* Append one value from the front of *from; bytes as <n>. */
void notation_show(struct shown *s, struct span *from);

#endif
