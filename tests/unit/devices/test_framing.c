/* Frames do not depend on the pieces that their bytes come in, and nothing grows without bound. */
#include <stdio.h>
#include <string.h>

#include "client/devices/framing.h"
#include "tests/support/test.h"

enum { LOG_BYTES_MAX = 1024 };

/* Everything that the framing says of what it has, "|" behind each frame and "!" for a bad one. */
static void
drain(struct framing *f, char *log)
{
    struct frame frame;
    enum framing_step step;
    while ((step = framing_next(f, &frame)) != FRAMING_MORE) {
        const size_t used = strlen(log);
        if (step == FRAMING_MALFORMED) {
            cr_assert_not_null(frame.why);
            snprintf(log + used, LOG_BYTES_MAX - used, "!");
        } else {
            snprintf(log + used, LOG_BYTES_MAX - used, "%.*s|", (int)frame.len,
                     (const char *)frame.data);
        }
    }
}

static void
feed(struct framing *f, const char *bytes, size_t len, char *log)
{
    uint8_t *room = framing_room(f);
    cr_assert_not_null(room);
    memcpy(room, bytes, len);
    framing_fed(f, len);
    drain(f, log);
}

/* In one piece, in two at every place, and byte by byte: always the same. */
static void
expect_frames(struct framing settings, const char *bytes, size_t len, const char *expected)
{
    for (size_t split = 0; split <= len + 1; split++) {
        struct framing f = settings;
        struct frame end;
        char log[LOG_BYTES_MAX] = "";
        if (split <= len) {
            feed(&f, bytes, split, log);
            feed(&f, bytes + split, len - split, log);
        }
        for (size_t i = 0; split > len && i < len; i++) {
            feed(&f, bytes + i, 1, log);
        }
        if (framing_end(&f, &end) == FRAMING_MALFORMED) {
            const size_t used = strlen(log);
            snprintf(log + used, sizeof log - used, "~");
        }
        cr_expect_str_eq(log, expected, "split at %zu of %zu: %s", split, len, log);
        framing_deinit(&f);
    }
}

#define EXPECT(settings, bytes, expected)                                                          \
    expect_frames((settings), (bytes), sizeof(bytes) - 1, (expected))

static struct framing
lines(size_t bytes_max)
{
    return (struct framing){
        .mode = FRAMING_LINE, .delimiter = "\n", .delimiter_len = 1, .bytes_max = bytes_max};
}

static struct framing
delimited(const char *delimiter, size_t bytes_max)
{
    struct framing f = {
        .mode = FRAMING_DELIMITER, .delimiter_len = strlen(delimiter), .bytes_max = bytes_max};
    memcpy(f.delimiter, delimiter, f.delimiter_len);
    return f;
}

static struct framing
counted(size_t length_bytes, bool is_little, size_t bytes_max)
{
    return (struct framing){.mode = FRAMING_LENGTH,
                            .length_bytes = length_bytes,
                            .is_little = is_little,
                            .bytes_max = bytes_max};
}

Test(framing, a_line_ends_with_a_newline_and_maybe_a_carriage_return_before_it)
{
    EXPECT(lines(9), "one\ntwo\r\n\n\r\nth\rree\n", "one|two|||th\rree|");
    EXPECT(lines(9), "one\ncut", "one|~");
    EXPECT(lines(9), "", "");
}

Test(framing, a_line_may_have_exactly_the_most_bytes_and_a_longer_one_is_told_once_and_skipped)
{
    EXPECT(lines(3), "abc\nabcd\nab\n", "abc|!ab|");
    EXPECT(lines(3), "abc\r\nabcd\r\nab\r\n", "abc|!ab|");
    EXPECT(lines(3), "abcdefghijklmnop\n\nxyz\n", "!|xyz|");
    EXPECT(lines(3), "abcdefghijklmnop", "!");
}

Test(framing, a_delimiter_may_have_several_bytes_that_also_stand_alone)
{
    EXPECT(delimited("--", 9), "a--b-c----d--", "a|b-c||d|");
    EXPECT(delimited("--", 9), "a-", "~");
    EXPECT(delimited("aab", 9),
           "aaab"
           "xaab"
           "aab",
           "a|x||");
    EXPECT(delimited("--", 3), "abc--abcd-e-f--ab--", "abc|!ab|");
    EXPECT(delimited("aab", 2),
           "aaaaaaaaab"
           "ok"
           "aab",
           "!ok|");
}

Test(framing, a_length_says_how_many_bytes_follow)
{
    EXPECT(counted(1, false, 9), "\3abc\0\1d", "abc||d|");
    EXPECT(counted(2, false, 9), "\0\3abc\0\0", "abc||");
    EXPECT(counted(2, true, 9), "\3\0abc\0\0", "abc||");
    EXPECT(counted(4, false, 9), "\0\0\0\3abc\0\0\0\0", "abc||");
    EXPECT(counted(4, true, 9), "\3\0\0\0abc\0\0", "abc|~");
    EXPECT(counted(1, false, 9), "\3ab", "~");
}

Test(framing, a_length_above_the_most_is_told_once_and_skipped)
{
    EXPECT(counted(1, false, 3), "\4abcd\3efg", "!efg|");
    EXPECT(counted(4, false, 3), "\377\377\377\377abcdefg", "!");
}

Test(framing, raw_bytes_are_frames_as_they_are_read_but_no_longer_than_the_most)
{
    struct framing f = {.mode = FRAMING_RAW, .bytes_max = 4};
    char log[LOG_BYTES_MAX] = "";
    feed(&f, "abc", 3, log);
    feed(&f, "defgh", 5, log);
    cr_expect_str_eq(log, "abc|defg|h|");
    framing_deinit(&f);
}

Test(framing, what_never_ends_takes_no_more_memory_than_the_longest_frame_and_two_reads)
{
    const struct framing rows[] = {lines(1000), delimited("--", 1000), counted(4, false, 1000)};
    static char junk[FRAMING_READ_BYTES];
    memset(junk, 'x', sizeof junk); /* as a length: more than 2 GB */
    for (size_t i = 0; i < 3; i++) {
        struct framing f = rows[i];
        char log[LOG_BYTES_MAX] = "";
        for (int k = 0; k < 100; k++) {
            feed(&f, junk, sizeof junk, log);
        }
        cr_expect_str_eq(log, "!", "%zu", i);
        cr_expect_leq(f.cap, (size_t)1000 + 3 * FRAMING_READ_BYTES);
        framing_deinit(&f);
    }
}

Test(framing, what_is_sent_reads_back_as_the_same_frame)
{
    const struct framing rows[] = {lines(300),
                                   delimited("\r\r", 300),
                                   counted(1, false, 300),
                                   counted(2, false, 300),
                                   counted(2, true, 300),
                                   counted(4, true, 300)};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct framing f = rows[i];
        struct framing_ends ends;
        char log[LOG_BYTES_MAX] = "";
        cr_assert(framing_ends(&f, (const uint8_t *)"hello", 5, &ends));
        feed(&f, (const char *)ends.head, ends.head_len, log);
        feed(&f, "hello", 5, log);
        if (ends.tail_len > 0) {
            feed(&f, (const char *)ends.tail, ends.tail_len, log);
        }
        cr_expect_str_eq(log, "hello|", "%zu", i);
        framing_deinit(&f);
    }
}

Test(framing, what_would_be_two_frames_or_has_no_length_is_not_sent)
{
    struct framing_ends ends;
    static const uint8_t long_one[256];
    const struct framing line = lines(9), two = delimited("--", 9), one = counted(1, false, 9);
    cr_expect_not(framing_ends(&line, (const uint8_t *)"a\nb", 3, &ends));
    cr_expect_not(framing_ends(&two, (const uint8_t *)"a--", 3, &ends));
    cr_expect(framing_ends(&two, (const uint8_t *)"a-", 2, &ends));
    cr_expect_not(framing_ends(&one, long_one, 256, &ends));
    cr_expect(framing_ends(&one, long_one, 255, &ends));
    cr_expect(framing_ends(&line, NULL, 0, &ends));
}
