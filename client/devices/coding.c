/* Frames to values: see coding.h. */
#include "client/devices/coding.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES_MAX = 64 };

/* A decimal number with blanks around it: an integer where it is one, else a double. */
static bool
decode_number(const uint8_t *data, size_t len, prong_writer *out)
{
    static const char blanks[] = " \t\r\n";
    char text[NUMBER_BYTES_MAX + 1];
    char *end = NULL;
    while (len > 0 && memchr(blanks, data[0], sizeof blanks - 1) != NULL) {
        data++;
        len--;
    }
    while (len > 0 && memchr(blanks, data[len - 1], sizeof blanks - 1) != NULL) {
        len--;
    }
    if (len == 0 || len > NUMBER_BYTES_MAX) {
        return false;
    }
    memcpy(text, data, len);
    text[len] = '\0';
    /* strtod also reads "inf", "nan" and hexadecimal numbers. */
    if (strspn(text, "0123456789+-.eE") != len) {
        return false;
    }
    errno = 0;
    const long long whole = strtoll(text, &end, 10);
    if (end == text + len && errno == 0) {
        prong_writer_int(out, whole);
        return true;
    }
    const double number = strtod(text, &end);
    if (end != text + len || !isfinite(number)) {
        return false;
    }
    prong_writer_double(out, number);
    return true;
}

bool
coding_decode(enum coding coding, const uint8_t *data, size_t len, prong_writer *out, char *why,
              size_t why_bytes)
{
    const uint8_t *bytes = data != NULL ? data : (const uint8_t *)"";
    prong_value value = {.data = bytes, .len = len};
    switch (coding) {
    case CODING_TEXT:
        prong_writer_text(out, (const char *)bytes, len);
        break;
    case CODING_BYTES:
        prong_writer_bin(out, bytes, len);
        break;
    case CODING_NUMBER:
        if (!decode_number(bytes, len, out)) {
            snprintf(why, why_bytes, "not a number");
            return false;
        }
        break;
    case CODING_JSON:
        if (prong_value_from_json((const char *)bytes, len, out, why, why_bytes) != PRONG_OK) {
            return false;
        }
        break;
    case CODING_MSGPACK:
        if (!prong_value_is_whole(&value)) {
            snprintf(why, why_bytes, "not one whole msgpack object");
            return false;
        }
        prong_writer_raw(out, &value);
        break;
    }
    if (prong_writer_finish(out, &value) != PRONG_OK) {
        snprintf(why, why_bytes, "%s", prong_writer_problem(out));
        return false;
    }
    return true;
}

static uint8_t *
copy(const void *data, size_t len, size_t *out_len)
{
    uint8_t *bytes = malloc(len + 1);
    if (bytes != NULL) {
        memcpy(bytes, len > 0 ? data : "", len);
        *out_len = len;
    }
    return bytes;
}

uint8_t *
coding_encode(enum coding coding, const prong_value *value, size_t *len)
{
    const uint8_t *data = NULL;
    const prong_kind kind = prong_value_kind(value);
    const bool is_coded = coding == CODING_JSON || coding == CODING_MSGPACK;
    if (kind == PRONG_KIND_BIN || (kind == PRONG_KIND_TEXT && !is_coded)) {
        return prong_value_bin(value, &data, len) ? copy(data, *len, len) : NULL;
    }
    if (coding == CODING_MSGPACK) {
        return copy(value->data, value->len, len);
    }
    if (coding != CODING_JSON && kind != PRONG_KIND_INT && kind != PRONG_KIND_DOUBLE) {
        return NULL;
    }
    char *text = NULL;
    if (prong_value_to_json(value, PRONG_JSON_NUMBERS, &text) != PRONG_OK) {
        return NULL;
    }
    *len = strlen(text);
    return (uint8_t *)text;
}
