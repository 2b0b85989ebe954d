/* The bounded reader: heads, counts, cut off input, nesting. */
#include "tests/unit/proto/helper.h"

#include "proto/mp.h"

#include <stdlib.h>
#include <string.h>

/* What every head byte begins, for an input in which only zeros follow: so lengths of more than the
 * head itself are 0. `size` counts the head, its length or number, and its content. */
static const struct head_case {
    uint8_t first, last;
    enum mp_kind kind;
    size_t size;     /* for first */
    size_t size_per; /* more per byte above first */
} heads[] = {
    {0x00, 0x7f, MP_UINT, 1, 0},  {0x80, 0x8f, MP_MAP, 1, 0},      {0x90, 0x9f, MP_ARRAY, 1, 0},
    {0xa0, 0xbf, MP_STR, 1, 1},   {0xc0, 0xc0, MP_NIL, 1, 0},      {0xc2, 0xc3, MP_BOOL, 1, 0},
    {0xc4, 0xc4, MP_BIN, 2, 0},   {0xc5, 0xc5, MP_BIN, 3, 0},      {0xc6, 0xc6, MP_BIN, 5, 0},
    {0xc7, 0xc7, MP_EXT, 3, 0},   {0xc8, 0xc8, MP_EXT, 4, 0},      {0xc9, 0xc9, MP_EXT, 6, 0},
    {0xca, 0xca, MP_FLOAT, 5, 0}, {0xcb, 0xcb, MP_FLOAT, 9, 0},    {0xcc, 0xcc, MP_UINT, 2, 0},
    {0xcd, 0xcd, MP_UINT, 3, 0},  {0xce, 0xce, MP_UINT, 5, 0},     {0xcf, 0xcf, MP_UINT, 9, 0},
    {0xd0, 0xd0, MP_UINT, 2, 0},  {0xd1, 0xd1, MP_UINT, 3, 0},     {0xd2, 0xd2, MP_UINT, 5, 0},
    {0xd3, 0xd3, MP_UINT, 9, 0},  {0xd4, 0xd4, MP_EXT, 3, 0},      {0xd5, 0xd5, MP_EXT, 4, 0},
    {0xd6, 0xd6, MP_EXT, 6, 0},   {0xd7, 0xd7, MP_EXT, 10, 0},     {0xd8, 0xd8, MP_EXT, 18, 0},
    {0xd9, 0xd9, MP_STR, 2, 0},   {0xda, 0xda, MP_STR, 3, 0},      {0xdb, 0xdb, MP_STR, 5, 0},
    {0xdc, 0xdc, MP_ARRAY, 3, 0}, {0xdd, 0xdd, MP_ARRAY, 5, 0},    {0xde, 0xde, MP_MAP, 3, 0},
    {0xdf, 0xdf, MP_MAP, 5, 0},   {0xe0, 0xff, MP_NEGATIVE, 1, 0},
};

static const struct head_case *
case_of(uint8_t head)
{
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        if (head >= heads[i].first && head <= heads[i].last) {
            return &heads[i];
        }
    }
    return NULL;
}

/* Elements that must follow: each is one zero, so one byte. */
static size_t
elements(uint8_t head)
{
    return head >= 0x80 && head < 0x90   ? 2 * (head & 0x0fu)
           : head >= 0x90 && head < 0xa0 ? head & 0x0f
                                         : 0;
}

/* Exactly the bytes of the message on the heap, so that a sanitizer sees one read too far. */
static uint8_t *
zeros_after(const char *begin, size_t begin_len, size_t len)
{
    uint8_t *bytes = calloc(1, len > 0 ? len : 1);
    CHECK(bytes != NULL, "no memory");
    memcpy(bytes, begin, len < begin_len ? len : begin_len);
    return bytes;
}

static void
check_next(uint8_t head, const struct head_case *row, size_t len, size_t size)
{
    const bool want = len >= size + elements(head);
    uint8_t *bytes = zeros_after((const char *)&head, 1, len);
    struct span rest = {bytes, len};
    struct mp_item item;
    CHECK(mp_next(&rest, &item) == want, "head %02x, %zu bytes", head, len);
    CHECK(rest.len == (want ? len - size : len), "head %02x moved to %zu of %zu", head, rest.len,
          len);
    CHECK(!want || item.kind == row->kind, "head %02x is %s", head, mp_kind_name(item.kind));
    free(bytes);
}

/* `begin` holds the head, alone or in a list of one; the object takes `whole` bytes. */
static void
check_skip(const char *begin, size_t begin_len, size_t len, size_t whole)
{
    uint8_t *bytes = zeros_after(begin, begin_len, len);
    struct span object = {0};
    struct span rest = {bytes, len};
    const bool want = len >= whole;
    const char *text = hex_text((struct span){(const uint8_t *)begin, begin_len});
    CHECK(mp_skip(&rest, &object) == want, "skip of %s, %zu of %zu bytes", text, len, whole);
    CHECK(rest.len == (want ? len - whole : len), "skip of %s left %zu", text, rest.len);
    CHECK(!want || (object.data == bytes && object.len == whole), "object of %s", text);
    free(bytes);
}

static void
check_head(uint8_t head, const struct head_case *row)
{
    const size_t size = row->size + row->size_per * (size_t)(head - row->first);
    const size_t whole = size + elements(head);
    const char inside[2] = {(char)0x91, (char)head};
    for (size_t len = 0; len <= whole + 2; len++) {
        check_next(head, row, len, size);
        check_skip(inside + 1, 1, len, whole);
        check_skip(inside, 2, len, whole + 1);
    }
}

Test(mp, every_head_byte_is_read_whole_and_refused_when_a_byte_is_missing)
{
    for (unsigned head = 0; head < 256; head++) {
        const struct head_case *row = case_of((uint8_t)head);
        if (row != NULL) {
            check_head((uint8_t)head, row);
        } else {
            cr_assert_eq(head, 0xc1, "only c1 is reserved");
        }
    }
}

Test(mp, the_reserved_byte_is_refused_wherever_it_stands)
{
    static const uint8_t bytes[] = {0x92, 0x01, 0xc1, 0x01};
    struct mp_item item;
    struct span rest = {bytes + 2, 2};
    cr_assert_not(mp_next(&rest, &item));
    cr_assert_not(mp_skip(&rest, NULL));
    rest = (struct span){bytes, sizeof bytes};
    cr_assert_not(mp_skip(&rest, NULL));
    cr_assert_eq(rest.len, sizeof bytes, "nothing was taken");
}

Test(mp, nothing_is_refused_and_not_touched)
{
    struct span rest = {0};
    struct mp_item item;
    cr_assert_not(mp_next(&rest, &item));
    cr_assert_not(mp_skip(&rest, NULL));
    cr_assert_not(mp_take(&rest, &item, &rest, &rest));
}

static struct mp_item
read_hex(const char *hex)
{
    struct buf b = {0};
    struct mp_item item = {0};
    put_hex(&b, hex);
    struct span rest = buf_span(&b);
    CHECK(mp_next(&rest, &item), "%s is refused", hex);
    CHECK(rest.len == 0, "%s leaves %zu bytes", hex, rest.len);
    item.bytes = (struct span){NULL, item.bytes.len}; /* they end with the buffer */
    buf_deinit(&b);
    return item;
}

Test(mp, integers_of_every_form_keep_their_value)
{
    static const struct {
        const char *hex;
        enum mp_kind kind;
        int64_t value; /* as bits */
    } rows[] = {
        {"00", MP_UINT, 0},
        {"7f", MP_UINT, 127},
        {"cc ff", MP_UINT, 255},
        {"cd ffff", MP_UINT, 65535},
        {"ce ffffffff", MP_UINT, 4294967295},
        {"ce 00000001", MP_UINT, 1},
        {"cf 001fffffffffffff", MP_UINT, 9007199254740991},
        {"cf ffffffffffffffff", MP_UINT, -1},
        {"d0 7f", MP_UINT, 127},
        {"d0 80", MP_NEGATIVE, -128},
        {"d0 ff", MP_NEGATIVE, -1},
        {"d1 7fff", MP_UINT, 32767},
        {"d1 8000", MP_NEGATIVE, -32768},
        {"d2 7fffffff", MP_UINT, 2147483647},
        {"d2 80000000", MP_NEGATIVE, INT32_MIN},
        {"d3 7fffffffffffffff", MP_UINT, INT64_MAX},
        {"d3 8000000000000000", MP_NEGATIVE, INT64_MIN},
        {"d3 ffffffffffffffff", MP_NEGATIVE, -1},
        {"e0", MP_NEGATIVE, -32},
        {"ff", MP_NEGATIVE, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct mp_item item = read_hex(rows[i].hex);
        CHECK(item.kind == rows[i].kind, "%s is %s", rows[i].hex, mp_kind_name(item.kind));
        CHECK(item.uint == (uint64_t)rows[i].value, "%s", rows[i].hex);
    }
}

Test(mp, floats_of_both_sizes_keep_their_value)
{
    cr_assert_eq(read_hex("ca 3f000000").number, 0.5);
    cr_assert_eq(read_hex("cb 3fe0000000000000").number, 0.5);
    cr_assert_eq(read_hex("cb c000000000000000").number, -2.0);
    cr_assert_eq(read_hex("ca ff800000").number, -(double)__builtin_inff());
    const double nan = read_hex("cb 7ff8000000000000").number;
    cr_assert_neq(nan, nan);
}

Test(mp, booleans_and_extensions_keep_their_value)
{
    cr_assert(read_hex("c3").boolean);
    cr_assert_not(read_hex("c2").boolean);
    cr_assert_eq(read_hex("d6 ff 00000001").ext_type, -1);
    cr_assert_eq(read_hex("d6 ff 00000001").bytes.len, 4);
    cr_assert_eq(read_hex("c7 00 7f").ext_type, 127);
}

Test(mp, a_head_without_content_leaves_the_other_members_empty)
{
    struct mp_item item;
    memset(&item, 0xff, sizeof item);
    struct span rest = SPAN("\xc0");
    cr_assert(mp_next(&rest, &item));
    cr_assert_eq(item.count, 0);
    cr_assert_eq(item.uint, 0);
    cr_assert_eq(item.bytes.len, 0);
    cr_assert_null(item.bytes.data);
}

Test(mp, counts_above_what_is_left_are_refused_at_once)
{
    static const char *const bombs[] = {
        "dd ffffffff",
        "dd 00000005 00000000",
        "dc ffff",
        "df ffffffff",
        "df 80000000 c0c0",
        "df 00000002 c0c0c0",
        "de ffff",
        "9f",
        "8f",
        "81 c0",
        "db ffffffff",
        "c6 ffffffff",
        "c9 ffffffff 01",
        "da ffff 41",
        "d9 02 41",
        "c4 02 41",
        "c7 02 01 41",
        "c9 00000001 01",
    };
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        struct buf b = {0};
        struct mp_item item;
        put_hex(&b, bombs[i]);
        struct span rest = buf_span(&b);
        CHECK(!mp_next(&rest, &item), "%s is read", bombs[i]);
        CHECK(!mp_skip(&rest, NULL), "%s is skipped", bombs[i]);
        CHECK(rest.len == buf_span(&b).len, "%s moved", bombs[i]);
        buf_deinit(&b);
    }
}

Test(mp, counts_that_fit_one_by_one_but_not_together_are_refused)
{
    /* Each of the arrays may hold as much as is left; all of them would be 2^60 objects. */
    uint8_t bytes[3000];
    for (size_t i = 0; i < sizeof bytes; i += 3) {
        memcpy(bytes + i, "\xdc\x03\xe8", 3);
    }
    struct span rest = {bytes, sizeof bytes};
    cr_assert_not(mp_skip(&rest, NULL));
}

/* `count` times `head`, then nil, on the heap. */
static struct span
nest(const char *head, size_t head_len, size_t count, const char *end, size_t end_len)
{
    struct buf b = {0};
    for (size_t i = 0; i < count; i++) {
        buf_put(&b, head, head_len);
    }
    buf_put(&b, end, end_len);
    CHECK(!b.failed, "no memory");
    return buf_span(&b); /* begins where the allocation does */
}

static void
free_span(struct span s)
{
    free((void *)(uintptr_t)s.data);
}

Test(mp, a_mebibyte_of_nested_arrays_is_skipped)
{
    struct span s = nest("\x91", 1, 1 << 20, "\xc0", 1);
    struct span rest = s;
    cr_assert(mp_skip(&rest, NULL));
    cr_assert_eq(rest.len, 0);
    free_span(s);
}

Test(mp, a_mebibyte_of_nested_maps_is_skipped)
{
    struct span s = nest("\x81\xa0", 2, 1 << 19, "\xc0", 1);
    struct span rest = s;
    cr_assert(mp_skip(&rest, NULL));
    cr_assert_eq(rest.len, 0);
    free_span(s);
}

Test(mp, a_mebibyte_of_nested_arrays_without_an_end_is_refused)
{
    struct span s = nest("\x91", 1, 1 << 20, "", 0);
    struct span rest = s;
    cr_assert_not(mp_skip(&rest, NULL));
    cr_assert_eq(rest.len, s.len);
    free_span(s);
}

Test(mp, take_gives_the_head_the_object_and_what_is_inside)
{
    struct span rest = SPAN("\x92\x01\x81\xa1k\x02\x07");
    const uint8_t *const start = rest.data;
    struct mp_item head;
    struct span object, inside;
    cr_assert(mp_take(&rest, &head, &object, &inside));
    cr_assert_eq(head.kind, MP_ARRAY);
    cr_assert_eq(head.count, 2);
    cr_assert(object.data == start && object.len == 6);
    cr_assert(inside.data == start + 1 && inside.len == 5);
    cr_assert_eq(rest.len, 1);
    cr_assert(mp_take(&rest, &head, &object, &inside));
    cr_assert_eq(head.uint, 7);
    cr_assert_eq(inside.len, 0, "a number has nothing inside");
    cr_assert_eq(rest.len, 0);
}

Test(mp, skip_takes_one_object_and_leaves_the_next)
{
    struct span rest = SPAN("\xa3one\xc4\x03two\x93\x01\x02\x03");
    struct span object;
    cr_assert(mp_skip(&rest, &object));
    cr_assert_arr_eq(object.data, "\xa3one", 4);
    cr_assert(mp_skip(&rest, NULL));
    cr_assert(mp_skip(&rest, &object));
    cr_assert_eq(object.len, 4);
    cr_assert_eq(rest.len, 0);
}

Test(mp, utf8_is_told_from_what_only_looks_like_it)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"", true},
        {"plain", true},
        {"\x7f", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"a\xe6\x97\xa5\xe6\x9c\xacz", true},
        {"\x80", false}, /* begins in the middle */
        {"\xbf", false},
        {"\xc0\x80", false}, /* overlong NUL */
        {"\xc1\xbf", false},
        {"\xe0\x80\x80", false},
        {"\xe0\x9f\xbf", false},
        {"\xf0\x80\x80\x80", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xed\xa0\x80", false}, /* surrogates */
        {"\xed\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"\xfe", false},
        {"\xc2", false}, /* cut off */
        {"\xe2\x82", false},
        {"\xf0\x9f\x90", false},
        {"\xc2"
         "a",
         false}, /* goes on with something else */
        {"\xe2\x82"
         "a",
         false},
        {"\xf0\x9f\x90"
         "a",
         false},
        {"ok\xc2\x80\xc2", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const size_t len = strlen(rows[i].text);
        uint8_t *copy = zeros_after(rows[i].text, len, len);
        CHECK(mp_is_utf8((struct span){copy, len}) == rows[i].good, "row %zu: %s", i,
              hex_text((struct span){copy, len}));
        free(copy);
    }
    cr_assert(mp_is_utf8(SPAN("a\0b")), "NUL is a character");
}

Test(mp, every_kind_has_a_name_of_its_own)
{
    for (int a = MP_NIL; a <= MP_MAP; a++) {
        for (int b = a + 1; b <= MP_MAP; b++) {
            cr_assert_str_neq(mp_kind_name((enum mp_kind)a), mp_kind_name((enum mp_kind)b));
        }
    }
}
