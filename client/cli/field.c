/* Members of a map: see field.h. */
#include "client/cli/field.h"

#include <stdio.h>

void
field_text(const prong_value *map, const char *key, char *out, size_t size)
{
    prong_value value;
    const char *text = "";
    size_t len = 0;
    if (prong_value_find(map, key, &value)) {
        (void)prong_value_text(&value, &text, &len);
    }
    (void)snprintf(out, size, "%.*s", (int)len, text);
}

uint64_t
field_uint(const prong_value *map, const char *key)
{
    prong_value value;
    uint64_t number = 0;
    return prong_value_find(map, key, &value) && prong_value_uint(&value, &number) ? number : 0;
}

void
field_put_uint(prong_writer *w, const char *key, uint64_t value)
{
    prong_writer_key(w, key);
    prong_writer_uint(w, value);
}

void
field_put_int(prong_writer *w, const char *key, int64_t value)
{
    prong_writer_key(w, key);
    prong_writer_int(w, value);
}

void
field_put_double(prong_writer *w, const char *key, double value)
{
    prong_writer_key(w, key);
    prong_writer_double(w, value);
}

void
field_put_text(prong_writer *w, const char *key, const char *text)
{
    prong_writer_key(w, key);
    prong_writer_string(w, text);
}
