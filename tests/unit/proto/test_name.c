/* Names: tables of good ones, bad ones, and of what matches what. */
#include "tests/unit/proto/helper.h"

#include "proto/name.h"
#include "proto/wire.h"

#include <string.h>

#define N8  "nnnnnnnn"
#define N64 N8 N8 N8 N8 N8 N8 N8 N8

struct name_case {
    const char *text;
    bool good;
};

static void
check_names(const char *what, bool (*is)(struct span), const struct name_case *rows)
{
    for (; rows->text != NULL; rows++) {
        CHECK(is(span_text(rows->text)) == rows->good, "%s '%s'", what, rows->text);
    }
    CHECK(!is((struct span){0}), "%s of nothing", what);
    CHECK(!is(SPAN("a\0b")), "%s with a NUL", what);
}

/* Every byte alone, because tables of classes go wrong at their edges. */
static void
check_alphabet(const char *what, bool (*is)(struct span), const char *alphabet)
{
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t bytes[3] = {'a', (uint8_t)c, 'a'};
        const bool want = c != 0 && strchr(alphabet, (int)c) != NULL;
        CHECK(is((struct span){bytes, 3}) == want, "%s with byte %02x", what, c);
    }
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

Test(name, workers_are_lower_case_words_of_64_bytes_at_most)
{
    static const struct name_case rows[] = {
        {"a", true},    {"detector", true}, {"a-b_9", true}, {"0", true},           {"-", true},
        {N64, true},    {N64 "n", false},   {"", false},     {"Detector", false},   {"a b", false},
        {"a.b", false}, {"a/0", false},     {"a*", false},   {"d\xc3\xa9t", false}, {NULL, false},
    };
    check_names("worker", name_is_worker, rows);
    check_alphabet("worker", name_is_worker, LOWER DIGIT "_-");
}

Test(name, methods_are_identifiers_of_64_bytes_at_most)
{
    static const struct name_case rows[] = {
        {"detect", true}, {"setExposure", true}, {"_x9", true},  {"9", true},    {N64, true},
        {N64 "n", false}, {"", false},           {"a-b", false}, {"a.b", false}, {NULL, false},
    };
    check_names("method", name_is_method, rows);
    check_alphabet("method", name_is_method, LOWER UPPER DIGIT "_");
}

Test(name, topics_are_tokens_with_dots_between)
{
    static const struct name_case rows[] = {
        {"a", true},     {"camera.frame", true}, {"A.b-c_9.0", true}, {"hub.worker.ready", true},
        {N64 N64, true}, {N64 N64 "n", false},   {"", false},         {".", false},
        {"..", false},   {".a", false},          {"a.", false},       {"a..b", false},
        {"a.*", false},  {"*", false},           {">", false},        {"a b", false},
        {"a/b", false},  {NULL, false},
    };
    check_names("topic", name_is_topic, rows);
    check_alphabet("topic", name_is_topic, LOWER UPPER DIGIT "_-.");
}

Test(name, filters_are_topics_with_whole_tokens_as_wildcards)
{
    static const struct name_case rows[] = {
        {"a", true},     {"*", true},      {">", true},     {"a.*", true},   {"*.a", true},
        {"a.*.b", true}, {"a.>", true},    {"*.*.>", true}, {"a.b.c", true}, {"", false},
        {">.a", false},  {"a.>.b", false}, {"a*", false},   {"*a", false},   {"a.b*", false},
        {"a.>b", false}, {"**", false},    {">>", false},   {"a.", false},   {".>", false},
        {"a..>", false}, {">.", false},    {NULL, false},
    };
    check_names("filter", name_is_filter, rows);
}

Test(name, a_filter_is_as_long_as_a_topic_at_most)
{
    char text[WIRE_TOPIC_BYTES_MAX + 2];
    memset(text, 'a', sizeof text);
    text[WIRE_TOPIC_BYTES_MAX - 2] = '.';
    text[WIRE_TOPIC_BYTES_MAX - 1] = '>';
    cr_assert(name_is_filter((struct span){(uint8_t *)text, WIRE_TOPIC_BYTES_MAX}));
    text[WIRE_TOPIC_BYTES_MAX - 2] = 'a';
    text[WIRE_TOPIC_BYTES_MAX - 1] = '.';
    text[WIRE_TOPIC_BYTES_MAX] = '>';
    cr_assert_not(name_is_filter((struct span){(uint8_t *)text, WIRE_TOPIC_BYTES_MAX + 1}));
}

Test(name, a_target_is_a_worker_or_one_of_its_replicas)
{
    static const struct {
        const char *text;
        bool good, one;
        size_t worker_len;
        uint32_t index;
    } rows[] = {
        {"detector", true, false, 8, 0},
        {"detector/0", true, true, 8, 0},
        {"detector/7", true, true, 8, 7},
        {"detector/255", true, true, 8, 255},
        {"detector/999", true, true, 8, 999},
        {"a/10", true, true, 1, 10},
        {N64 "/999", true, true, 64, 999},
        {"detector/", false, false, 0, 0},
        {"detector/00", false, false, 0, 0},
        {"detector/01", false, false, 0, 0},
        {"detector/1000", false, false, 0, 0},
        {"detector/-1", false, false, 0, 0},
        {"detector/+1", false, false, 0, 0},
        {"detector/ 1", false, false, 0, 0},
        {"detector/1 ", false, false, 0, 0},
        {"detector/x", false, false, 0, 0},
        {"detector/*", false, false, 0, 0},
        {"detector/1/2", false, false, 0, 0},
        {"/0", false, false, 0, 0},
        {"/", false, false, 0, 0},
        {"", false, false, 0, 0},
        {"Detector/0", false, false, 0, 0},
        {N64 "n/0", false, false, 0, 0},
        {"a.b/0", false, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct span text = span_text(rows[i].text);
        struct target t = {.index = 77};
        CHECK(name_target(text, &t) == rows[i].good, "'%s'", rows[i].text);
        if (rows[i].good) {
            CHECK(t.worker.data == text.data && t.worker.len == rows[i].worker_len, "%s",
                  rows[i].text);
            CHECK(t.one == rows[i].one && t.index == rows[i].index, "%s", rows[i].text);
        } else {
            CHECK(t.index == 77, "'%s' was refused and changed the result", rows[i].text);
        }
    }
}

Test(name, wildcards_match_whole_tokens)
{
    static const struct {
        const char *filter, *topic;
        bool matches;
    } rows[] = {
        {"a", "a", true},          {"a", "b", false},        {"a", "aa", false},
        {"aa", "a", false},        {"a", "a.b", false},      {"a.b", "a", false},
        {"a.b", "a.b", true},      {"*", "a", true},         {"*", "abc", true},
        {"*", "a.b", false},       {"a.*", "a.b", true},     {"a.*", "a", false},
        {"a.*", "a.b.c", false},   {"*.b", "a.b", true},     {"*.b", "a.c", false},
        {"*.*", "a.b", true},      {"*.*", "a", false},      {"a.*.c", "a.b.c", true},
        {"a.*.c", "a.b.d", false}, {"a.*.c", "a.c", false},  {">", "a", true},
        {">", "a.b.c", true},      {"a.>", "a", false},      {"a.>", "a.b", true},
        {"a.>", "a.b.c.d", true},  {"a.>", "b.c", false},    {"*.>", "a.b.c", true},
        {"*.>", "a", false},       {"a.*.>", "a.b.c", true}, {"a.*.>", "a.b", false},
        {"a.b", "a.b.c", false},   {"a.b.c", "a.b", false},  {"A", "a", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK(name_matches(span_text(rows[i].filter), span_text(rows[i].topic)) == rows[i].matches,
              "filter '%s' and topic '%s'", rows[i].filter, rows[i].topic);
    }
}

Test(name, spans_are_equal_when_their_bytes_are)
{
    cr_assert(span_equal(SPAN("ab"), SPAN("ab")));
    cr_assert_not(span_equal(SPAN("ab"), SPAN("ac")));
    cr_assert_not(span_equal(SPAN("ab"), SPAN("abc")));
    cr_assert(span_equal((struct span){0}, SPAN("")), "no bytes are no bytes, wherever they are");
    cr_assert(span_is(SPAN("ab"), "ab"));
    cr_assert_not(span_is(SPAN("ab\0"), "ab"));
    cr_assert(span_is((struct span){0}, ""));
    cr_assert_eq(span_text("abc").len, 3);
}

Test(name, what_a_peer_sent_is_shown_as_printable_text_that_fits)
{
    char out[6];
    cr_assert_str_eq(span_show(SPAN("abc"), out, sizeof out), "abc");
    cr_assert_str_eq(span_show(SPAN("a\n\033\303\244"), out, sizeof out), "a????");
    cr_assert_str_eq(span_show(SPAN("abcdefgh"), out, sizeof out), "abcde");
    cr_assert_str_eq(span_show((struct span){0}, out, sizeof out), "");
}
