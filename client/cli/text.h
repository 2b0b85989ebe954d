/* Text from elsewhere that may be none. */
#ifndef PRONG_CLI_TEXT_H
#define PRONG_CLI_TEXT_H

#include <stddef.h>

/* In place: bytes that are no UTF-8, and NUL, become '?', one for one. */
void text_make_utf8(char *text, size_t len);

#endif
