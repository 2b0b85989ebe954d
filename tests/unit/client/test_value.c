#include "tests/support/test.h"

#include <math.h>
#include <prong/value.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static prong_value
finish(prong_writer *w)
{
    prong_value v = {0};
    cr_assert_eq(prong_writer_finish(w, &v), PRONG_OK, "%s", prong_writer_problem(w));
    return v;
}

/* ---- writing -------------------------------------------------------------------------------- */

static void
put_nil(prong_writer *w)
{
    prong_writer_nil(w);
}
static void
put_true(prong_writer *w)
{
    prong_writer_bool(w, true);
}
static void
put_minus(prong_writer *w)
{
    prong_writer_int(w, -1);
}
static void
put_least(prong_writer *w)
{
    prong_writer_int(w, INT64_MIN);
}
static void
put_most(prong_writer *w)
{
    prong_writer_uint(w, UINT64_MAX);
}
static void
put_half(prong_writer *w)
{
    prong_writer_double(w, 0.5);
}
static void
put_text(prong_writer *w)
{
    prong_writer_text(w, "a\0b", 3);
}
static void
put_bin(prong_writer *w)
{
    prong_writer_bin(w, "\1\2", 2);
}
static void
put_ext4(prong_writer *w)
{
    prong_writer_ext(w, 5, "abcd", 4);
}
static void
put_ext3(prong_writer *w)
{
    prong_writer_ext(w, -1, "abc", 3);
}
static void
put_empty_array(prong_writer *w)
{
    prong_writer_array(w, 0);
}

static void
put_nested(prong_writer *w)
{
    prong_writer_map(w, 2);
    prong_writer_key(w, "a");
    prong_writer_array(w, 2);
    prong_writer_int(w, 1);
    prong_writer_map(w, 0);
    prong_writer_key(w, "b");
    prong_writer_raw(w, &(prong_value){(const uint8_t *)"\x92\x01\x02", 3});
}

static const struct row {
    const char *name;
    void (*put)(prong_writer *w);
    const char *bytes;
    size_t len;
    prong_kind kind;
} rows[] = {
    {"nil", put_nil, "\xc0", 1, PRONG_KIND_NIL},
    {"true", put_true, "\xc3", 1, PRONG_KIND_BOOL},
    {"-1", put_minus, "\xff", 1, PRONG_KIND_INT},
    {"least", put_least, "\xd3\x80\0\0\0\0\0\0\0", 9, PRONG_KIND_INT},
    {"most", put_most, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, PRONG_KIND_INT},
    {"half", put_half, "\xcb\x3f\xe0\0\0\0\0\0\0", 9, PRONG_KIND_DOUBLE},
    {"text", put_text,
     "\xa3"
     "a\0b",
     4, PRONG_KIND_TEXT},
    {"bin", put_bin, "\xc4\2\1\2", 4, PRONG_KIND_BIN},
    {"ext4", put_ext4, "\xd6\5abcd", 6, PRONG_KIND_EXT},
    {"ext3", put_ext3,
     "\xc7\3\xff"
     "abc",
     6, PRONG_KIND_EXT},
    {"empty array", put_empty_array, "\x90", 1, PRONG_KIND_ARRAY},
    {"nested", put_nested,
     "\x82\xa1"
     "a\x92\x01\x80\xa1"
     "b\x92\x01\x02",
     11, PRONG_KIND_MAP},
};

Test(value, what_is_written_has_the_bytes_of_msgpack)
{
    prong_writer *w = prong_writer_new();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rows[i].put(w);
        const prong_value v = finish(w);
        cr_expect_eq(v.len, rows[i].len, "%s: %zu bytes", rows[i].name, v.len);
        cr_expect(v.len == rows[i].len && memcmp(v.data, rows[i].bytes, v.len) == 0, "%s",
                  rows[i].name);
        cr_expect_eq(prong_value_kind(&v), rows[i].kind, "%s", rows[i].name);
        cr_expect(prong_value_is_whole(&v));
        prong_writer_reset(w);
    }
    prong_writer_free(w);
}

static void
two_objects(prong_writer *w)
{
    put_nil(w);
    put_nil(w);
}
static void
bad_utf8(prong_writer *w)
{
    prong_writer_text(w, "\xff", 1);
}
static void
key_outside(prong_writer *w)
{
    prong_writer_key(w, "a");
}
static void
bad_raw(prong_writer *w)
{
    prong_writer_raw(w, &(prong_value){(const uint8_t *)"\x91", 1});
}
static void
null_raw(prong_writer *w)
{
    prong_writer_raw(w, NULL);
}
static void
bad_type(prong_writer *w)
{
    prong_writer_ext(w, 128, "", 0);
}
static void
nothing(prong_writer *w)
{
    (void)w;
}
static void
number_as_key(prong_writer *w)
{
    prong_writer_map(w, 1);
    put_nil(w);
}
static void
key_as_value(prong_writer *w)
{
    prong_writer_map(w, 1);
    prong_writer_key(w, "a");
    prong_writer_key(w, "b");
}
static void
open_map(prong_writer *w)
{
    prong_writer_map(w, 1);
    prong_writer_key(w, "a");
}
static void
too_deep(prong_writer *w)
{
    for (int i = 0; i <= PRONG_DEPTH_MAX; i++) {
        prong_writer_array(w, 1);
    }
    put_nil(w);
}

Test(value, a_wrong_use_of_the_writer_is_kept_and_told)
{
    void (*const wrong[])(prong_writer *) = {two_objects,  bad_utf8, key_outside, bad_raw,
                                             null_raw,     bad_type, nothing,     number_as_key,
                                             key_as_value, open_map, too_deep};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        prong_writer *w = prong_writer_new();
        prong_value v = {0};
        wrong[i](w);
        cr_expect_eq(prong_writer_finish(w, &v), PRONG_INVALID_ARGUMENT, "case %zu", i);
        cr_expect_str_neq(prong_writer_problem(w), "", "case %zu", i);
        prong_writer_reset(w);
        cr_expect_str_eq(prong_writer_problem(w), "the object is not complete");
        put_nil(w);
        cr_expect_eq(prong_writer_finish(w, &v), PRONG_OK, "after a reset, case %zu", i);
        prong_writer_free(w);
    }
    prong_writer_free(NULL);
}

Test(value, thirty_two_levels_are_taken)
{
    prong_writer *w = prong_writer_new();
    for (int i = 0; i < PRONG_DEPTH_MAX; i++) {
        prong_writer_array(w, 1);
    }
    put_nil(w);
    (void)finish(w);
    prong_writer_free(w);
}

/* ---- reading -------------------------------------------------------------------------------- */

Test(value, getters_take_their_own_kind_and_no_other)
{
    static const char *const samples[] = {"\xc0",           "\xc3",         "\x05",    "\xfe",
                                          "\xca\x3f\0\0\0", "\xa1x",        "\xc4\1x", "\xd4\7x",
                                          "\x91\x01",       "\x81\xa1k\x01"};
    static const size_t lens[] = {1, 1, 1, 1, 5, 2, 3, 3, 2, 4};
    static const char *const good[] = {"", "b", "iud", "id", "d", "ts", "s", "e", "c", "c"};
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const prong_value v = {(const uint8_t *)samples[i], lens[i]};
        bool b;
        int64_t n;
        uint64_t u;
        double d;
        const char *text;
        const uint8_t *data;
        size_t len;
        int type;
        cr_expect_eq(prong_value_bool(&v, &b), strchr(good[i], 'b') != NULL, "%zu bool", i);
        cr_expect_eq(prong_value_int(&v, &n), strchr(good[i], 'i') != NULL, "%zu int", i);
        cr_expect_eq(prong_value_uint(&v, &u), strchr(good[i], 'u') != NULL, "%zu uint", i);
        cr_expect_eq(prong_value_double(&v, &d), strchr(good[i], 'd') != NULL, "%zu double", i);
        cr_expect_eq(prong_value_text(&v, &text, &len), strchr(good[i], 't') != NULL, "%zu text",
                     i);
        cr_expect_eq(prong_value_bin(&v, &data, &len), strchr(good[i], 's') != NULL, "%zu bin", i);
        cr_expect_eq(prong_value_ext(&v, &type, &data, &len), strchr(good[i], 'e') != NULL,
                     "%zu ext", i);
        cr_expect_eq(prong_value_count(&v), strchr(good[i], 'c') != NULL, "%zu count", i);
    }
}

Test(value, numbers_are_read_exactly_or_not_at_all)
{
    const prong_value most = {(const uint8_t *)"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9};
    const prong_value least = {(const uint8_t *)"\xd3\x80\0\0\0\0\0\0\0", 9};
    const prong_value two = {(const uint8_t *)"\x02", 1};
    int64_t n = 7;
    uint64_t u = 0;
    double d = 0;
    cr_expect_not(prong_value_int(&most, &n));
    cr_expect_eq(n, 7);
    cr_expect(prong_value_uint(&most, &u) && u == UINT64_MAX);
    cr_expect(prong_value_int(&least, &n) && n == INT64_MIN);
    cr_expect_not(prong_value_uint(&least, &u));
    cr_expect(prong_value_double(&two, &d) && d == 2.0);
    cr_expect(prong_value_double(&least, &d) && d == -9223372036854775808.0);
}

Test(value, texts_are_checked_and_copied)
{
    const prong_value good = {(const uint8_t *)"\xa2hi", 3}, nul = {(const uint8_t *)"\xa1\0", 2};
    const prong_value bad = {(const uint8_t *)"\xa1\xff", 2};
    const char *text;
    const uint8_t *data;
    size_t len;
    char *copy = prong_value_string(&good);
    cr_assert_str_eq(copy, "hi");
    prong_free(copy);
    cr_expect_null(prong_value_string(&nul));
    cr_expect_null(prong_value_string(&bad));
    cr_expect_not(prong_value_text(&bad, &text, &len));
    cr_expect(prong_value_bin(&bad, &data, &len) && len == 1);
}

Test(value, maps_and_arrays_are_walked_and_searched)
{
    prong_writer *w = prong_writer_new();
    prong_value found, key, item;
    prong_iter it;
    int64_t n;
    put_nested(w);
    const prong_value v = finish(w);
    cr_assert(prong_value_find(&v, "b", &found));
    cr_expect_eq(prong_value_count(&found), 2);
    cr_expect(prong_value_at(&found, 1, &item) && prong_value_int(&item, &n) && n == 2);
    cr_expect_not(prong_value_at(&found, 2, &item));
    cr_expect_not(prong_value_find(&v, "c", &found));
    cr_expect_not(prong_value_find(&v, "", &found));
    cr_expect_not(prong_value_at(&v, 0, &item));
    cr_expect_not(prong_value_find(&item, "a", &found));
    cr_assert(prong_iter_begin(&it, &v));
    size_t pairs = 0;
    while (prong_iter_next(&it, &key, &item)) {
        cr_expect_eq(prong_value_kind(&key), PRONG_KIND_TEXT);
        pairs++;
    }
    cr_expect_eq(pairs, 2);
    cr_expect_not(prong_iter_next(&it, NULL, &item));
    cr_expect_not(prong_iter_begin(&it, &(prong_value){0}));
    cr_expect_not(prong_iter_next(&it, NULL, &item));
    prong_writer_free(w);
}

/* Everything that reads, on bytes that may be anything. */
static void
read_all(const prong_value *v)
{
    bool b;
    int64_t n;
    uint64_t u;
    double d;
    const char *text;
    const uint8_t *data;
    size_t len;
    int type;
    prong_value found, key;
    prong_iter it;
    char *json = NULL;
    (void)prong_value_bool(v, &b);
    (void)prong_value_int(v, &n);
    (void)prong_value_uint(v, &u);
    (void)prong_value_double(v, &d);
    (void)prong_value_text(v, &text, &len);
    (void)prong_value_bin(v, &data, &len);
    (void)prong_value_ext(v, &type, &data, &len);
    (void)prong_value_find(v, "key", &found);
    (void)prong_value_at(v, 3, &found);
    prong_free(prong_value_string(v));
    if (prong_iter_begin(&it, v)) {
        while (prong_iter_next(&it, &key, &found)) {
            cr_assert(found.data >= v->data && found.data + found.len <= v->data + v->len);
        }
    }
    const bool shown = prong_value_to_json(v, PRONG_JSON_PRETTY, &json) == PRONG_OK;
    cr_assert(!shown || prong_value_is_whole(v));
    prong_free(json);
}

/* A copy of exactly this length, so that a byte read behind it is found by ASan. */
static void
read_copy(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, data, len);
    read_all(&(prong_value){copy, len});
    free(copy);
}

Test(value, a_value_cut_off_anywhere_is_not_whole_and_nothing_outside_is_read)
{
    prong_writer *w = prong_writer_new();
    prong_writer_array(w, sizeof rows / sizeof rows[0]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rows[i].put(w);
    }
    const prong_value v = finish(w);
    for (size_t len = 0; len < v.len; len++) {
        cr_expect_not(prong_value_is_whole(&(prong_value){v.data, len}), "%zu", len);
        read_copy(v.data, len);
    }
    read_copy(v.data, v.len);
    read_all(NULL);
    prong_writer_free(w);
}

Test(value, random_bytes_are_read_without_harm)
{
    uint64_t state = 88172645463325252u;
    uint8_t bytes[64];
    for (int round = 0; round < 20000; round++) {
        const size_t len = (size_t)round % sizeof bytes;
        for (size_t i = 0; i < len; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes[i] = (uint8_t)(state >> 32);
        }
        if (len > 0 && round % 2 == 0) {
            bytes[0] = (uint8_t)(0x80 | (bytes[0] & 0x1f)); /* a container more often */
        }
        read_copy(bytes, len);
    }
}

Test(value, claims_of_counts_are_refused_at_once)
{
    const prong_value bomb = {(const uint8_t *)"\xdd\xff\xff\xff\xff", 5};
    prong_iter it;
    cr_expect_not(prong_iter_begin(&it, &bomb));
    cr_expect_eq(prong_value_kind(&bomb), PRONG_KIND_NONE);
    cr_expect_not(prong_value_is_whole(&bomb));
}
