/* What the tests of proto/ share: see helper.h. */
#include "tests/unit/proto/helper.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
put_hex(struct buf *b, const char *hex)
{
    int digits = 0;
    unsigned value = 0;
    bool comment = false;
    for (; *hex != '\0'; hex++) {
        const unsigned char c = (unsigned char)*hex;
        comment = c == '#' || (comment && c != '\n');
        if (comment || !isxdigit(c)) {
            continue;
        }
        value = value << 4 | (unsigned)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
        if (++digits == 2) {
            const uint8_t byte = (uint8_t)value;
            buf_put(b, &byte, 1);
            digits = 0;
            value = 0;
        }
    }
    CHECK(digits == 0, "an odd number of hex digits");
}

void
source_path(char *out, size_t size_bytes, const char *path)
{
    const char *root = getenv("PRONG_SOURCE_DIR");
    CHECK(root != NULL, "PRONG_SOURCE_DIR is not set: run through ctest");
    (void)snprintf(out, size_bytes, "%s/%s", root, path);
}

void
read_source(struct buf *b, const char *path)
{
    char full[4096];
    char part[4096];
    size_t n;
    source_path(full, sizeof full, path);
    FILE *in = fopen(full, "r");
    CHECK(in != NULL, "cannot open %s", full);
    while ((n = fread(part, 1, sizeof part, in)) > 0) {
        buf_put(b, part, n);
    }
    (void)fclose(in); /* only read */
    buf_put(b, "", 1);
    b->w--;
}

const char *
hex_text(struct span bytes)
{
    static char texts[8][256];
    static unsigned turn;
    char *text = texts[turn++ % 8];
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < bytes.len && n + 4 < sizeof texts[0]; i++) {
        n += (size_t)snprintf(text + n, sizeof texts[0] - n, "%02x ", bytes.data[i]);
    }
    return text;
}
