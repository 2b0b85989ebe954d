/* Values: building, reading and showing the msgpack objects that calls and events carry.
 *
 * A value is bytes: one msgpack object (https://msgpack.org). A `prong_writer` builds one; a
 * `prong_value` is a borrowed view of one, and reading it allocates nothing, never recurses and
 * never leaves its bytes, so it may come from a peer that is not trusted.
 *
 * Strings in a value are UTF-8 and counted, not NUL-terminated. Integers reach from -2^63 to
 * 2^64-1; peers in JavaScript see only those up to 2^53-1 exactly. Keys of maps are texts.
 *
 * Threads: every object by one thread at a time; different objects by any threads. There is no
 * global state. The sticky failure of the writer is mpack's idea: write everything, check once. */
#ifndef PRONG_VALUE_H
#define PRONG_VALUE_H

#include <prong/codes.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef PRONG_API
#define PRONG_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PRONG_DEPTH_MAX = 32, /* containers within containers that a writer takes: every reader can */
};

/* ---- building ------------------------------------------------------------------------------- */

typedef struct prong_writer prong_writer;

/* A borrowed view of one encoded object; all zero is none. Valid as long as where it came from. */
typedef struct prong_value {
    const uint8_t *data;
    size_t len;
} prong_value;

/* An empty writer, owned, freed with prong_writer_free. NULL when memory is out. */
PRONG_API prong_writer *prong_writer_new(void);
/* Accepts NULL. Values borrowed from the writer end with it. */
PRONG_API void prong_writer_free(prong_writer *w);
/* Forget what was written and any failure; keeps the memory for the next object. */
PRONG_API void prong_writer_reset(prong_writer *w);

/* Append one object. A container is its head, then its elements: prong_writer_array(w, 2) is
 * followed by two objects, prong_writer_map(w, 2) by two times a key and an object. What is wrong
 * is kept as the writer's first failure and everything after it is ignored:
 *
 *   a text that is not UTF-8; a key that is not a text or stands outside a map; more levels than
 *   PRONG_DEPTH_MAX; an object after the whole one was complete; memory. */
PRONG_API void prong_writer_nil(prong_writer *w);
PRONG_API void prong_writer_bool(prong_writer *w, bool v);
PRONG_API void prong_writer_int(prong_writer *w, int64_t v);
PRONG_API void prong_writer_uint(prong_writer *w, uint64_t v);
PRONG_API void prong_writer_double(prong_writer *w, double v);
/* `len` bytes of UTF-8, copied; zero bytes inside are allowed. */
PRONG_API void prong_writer_text(prong_writer *w, const char *text, size_t len);
/* A NUL-terminated text; as prong_writer_text with strlen. */
PRONG_API void prong_writer_string(prong_writer *w, const char *text);
/* A NUL-terminated text where a map wants a key. */
PRONG_API void prong_writer_key(prong_writer *w, const char *key);
/* `len` bytes, copied. */
PRONG_API void prong_writer_bin(prong_writer *w, const void *data, size_t len);
/* An application's type: -128..127 and `len` bytes, copied. Negative types are msgpack's own. */
PRONG_API void prong_writer_ext(prong_writer *w, int type, const void *data, size_t len);
PRONG_API void prong_writer_array(prong_writer *w, uint32_t count);
PRONG_API void prong_writer_map(prong_writer *w, uint32_t pairs);
/* An object that is already encoded, copied; checked to be exactly one. */
PRONG_API void prong_writer_raw(prong_writer *w, const prong_value *object);

/* Look at what was written.
 *
 *   out  borrowed bytes of exactly one object, valid until the writer is next written, reset or
 * freed
 *
 * Errors: PRONG_INVALID_ARGUMENT (a failure above, or the object is not complete),
 * PRONG_RESOURCE_EXHAUSTED (memory). prong_writer_problem says what. */
PRONG_API prong_err prong_writer_finish(prong_writer *w, prong_value *out);
/* What the first failure was, in a sentence; "" when there is none. Static storage. */
PRONG_API const char *prong_writer_problem(const prong_writer *w);

/* ---- reading -------------------------------------------------------------------------------- */

typedef enum prong_kind {
    PRONG_KIND_NONE, /* no value: empty, cut off or not msgpack */
    PRONG_KIND_NIL,
    PRONG_KIND_BOOL,
    PRONG_KIND_INT, /* any integer; one above 2^63-1 is read with prong_value_uint */
    PRONG_KIND_DOUBLE,
    PRONG_KIND_TEXT,
    PRONG_KIND_BIN,
    PRONG_KIND_EXT,
    PRONG_KIND_ARRAY,
    PRONG_KIND_MAP,
} prong_kind;

/* What the value is. Looks at its first bytes only. NULL is NONE. */
PRONG_API prong_kind prong_value_kind(const prong_value *v);
/* Whether the bytes are exactly one well-formed object, everything inside included. What libprong
 * hands out always is; use this on bytes from elsewhere. Takes time in proportion to the length. */
PRONG_API bool prong_value_is_whole(const prong_value *v);

/* Read a value of one kind. true with the out-parameters written; false, and nothing written, when
 * it is of another kind or does not fit. `v` may be NULL. Pointers given out are borrowed from the
 * value. */
PRONG_API bool prong_value_bool(const prong_value *v, bool *out);
/* false above 2^63-1. A double is never taken for an integer. */
PRONG_API bool prong_value_int(const prong_value *v, int64_t *out);
/* false below 0. */
PRONG_API bool prong_value_uint(const prong_value *v, uint64_t *out);
/* Takes integers as well: JavaScript sends 1.0 as 1. Above 2^53 they are rounded. */
PRONG_API bool prong_value_double(const prong_value *v, double *out);
/* false, too, when the text is not UTF-8. Not NUL-terminated. */
PRONG_API bool prong_value_text(const prong_value *v, const char **text, size_t *len);
/* A text as a NUL-terminated copy, owned, freed with prong_free. NULL when it is not a UTF-8 text,
 * has a zero byte inside, or memory is out. */
PRONG_API char *prong_value_string(const prong_value *v);
/* Bytes; a text is taken for its bytes as well, because older msgpack had one kind for both. */
PRONG_API bool prong_value_bin(const prong_value *v, const uint8_t **data, size_t *len);
PRONG_API bool prong_value_ext(const prong_value *v, int *type, const uint8_t **data, size_t *len);

/* Elements of an array or pairs of a map; 0 for everything else. */
PRONG_API uint32_t prong_value_count(const prong_value *v);
/* The value of a key of a map, the first where the key stands twice. false when `v` is not a map or
 * has no such key. Time in proportion to the map's bytes. */
PRONG_API bool prong_value_find(const prong_value *map, const char *key, prong_value *out);
/* Element `index`, from 0. false when `v` is not an array or has no such element. */
PRONG_API bool prong_value_at(const prong_value *array, uint32_t index, prong_value *out);

/* A walk through an array or a map in the order of its bytes, in caller's storage. Its fields are
 * the library's. Borrows from the value. */
typedef struct prong_iter {
    prong_value rest;
    uint64_t left;
    uint64_t is_map;
} prong_iter;

/* Begin a walk. false (and an empty walk) when the value is neither an array nor a map. */
PRONG_API bool prong_iter_begin(prong_iter *it, const prong_value *v);
/* The next element. `key` gets the pair's key, or an empty value in an array; it may be NULL. false
 * at the end, and when what follows is malformed. */
PRONG_API bool prong_iter_next(prong_iter *it, prong_value *key, prong_value *value);

/* ---- JSON ----------------------------------------------------------------------------------- */

enum {
    PRONG_JSON_PRETTY = 1,  /* lines and two spaces a level, instead of one line */
    PRONG_JSON_NUMBERS = 2, /* NaN and infinities become null, for readers that want numbers only */
};

/* Show a value as JSON text (UTF-8, NUL-terminated).
 *
 * Integers are exact, doubles have the fewest digits that give the same number back (1.0 keeps its
 * point). JSON has no word for some things. They become:
 *
 *   NaN, infinities  "NaN", "Infinity", "-Infinity"; or null with PRONG_JSON_NUMBERS
 *   bytes            {"$bin": "base64"}
 *   extensions       {"$ext": [type, "base64"]}
 *   integer keys     texts: {"7": ...}
 *
 *   flags  PRONG_JSON_*, or 0
 *   out    owned, freed with prong_free
 *
 * Errors: PRONG_INVALID_ARGUMENT (not one whole object, a text that is not UTF-8, a key that is
 * neither text nor integer, more than 128 levels), PRONG_RESOURCE_EXHAUSTED (memory). */
PRONG_API prong_err prong_value_to_json(const prong_value *v, uint32_t flags, char **out);

/* Write JSON text as one object. {"$bin": ...} and {"$ext": ...} become bytes and extensions again;
 * "NaN" stays a text. A number with a point or an exponent becomes a double, any other an integer.
 *
 *   text, len   UTF-8, at most 16 MiB; one JSON value of any kind
 *   error       borrowed room for a NUL-terminated text "line 3, column 7: ..." on failure, or NULL
 *   error_size  of that room, in bytes
 *
 * Errors: PRONG_INVALID_ARGUMENT (syntax, a key twice, an integer outside -2^63..2^63-1, a number
 * too large for a double, more than PRONG_DEPTH_MAX levels, or the writer had failed before),
 * PRONG_RESOURCE_EXHAUSTED (memory, or longer than 16 MiB). After an error the writer must be
 * reset. */
PRONG_API prong_err prong_value_from_json(const char *text, size_t len, prong_writer *w,
                                          char *error, size_t error_size);

/* Free what a function above or of prong.h gave out as "freed with prong_free". Accepts NULL. */
PRONG_API void prong_free(void *p);

#ifdef __cplusplus
}
#endif

#endif
