/* Text from elsewhere: see text.h. Pure. */
#include "client/cli/text.h"

#include <stdbool.h>

/* The length of the UTF-8 character at `text`, 0 when there is none. */
static size_t
character(const unsigned char *text, size_t len)
{
    static const struct {
        unsigned char first, last, least; /* of the first byte; least second byte */
        size_t size;
    } rows[] = {{0x01, 0x7f, 0, 1},    {0xc2, 0xdf, 0x80, 2}, {0xe0, 0xe0, 0xa0, 3},
                {0xe1, 0xef, 0x80, 3}, {0xf0, 0xf0, 0x90, 4}, {0xf1, 0xf4, 0x80, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (text[0] < rows[i].first || text[0] > rows[i].last) {
            continue;
        }
        const bool is_surrogate = text[0] == 0xed && len > 1 && text[1] > 0x9f;
        const bool is_beyond = text[0] == 0xf4 && len > 1 && text[1] > 0x8f;
        if (rows[i].size > len || is_surrogate || is_beyond ||
            (rows[i].size > 1 && text[1] < rows[i].least)) {
            return 0;
        }
        for (size_t k = 1; k < rows[i].size; k++) {
            if ((text[k] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return rows[i].size;
    }
    return 0;
}

void
text_make_utf8(char *text, size_t len)
{
    unsigned char *bytes = (unsigned char *)text;
    for (size_t at = 0; at < len;) {
        const size_t n = character(bytes + at, len - at);
        if (n == 0) {
            bytes[at] = '?';
        }
        at += n > 0 ? n : 1;
    }
}
