/* The wire format alone: the parser fed in every way it can be fed. */
#include "proto/link/sp.h"

#include "tests/support/test.h"

#include <endian.h>
#include <string.h>

enum { BODY_MAX = 1000 };

static const uint8_t greeting[] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};

/* Append a message whose announced length may differ from what follows. */
static void
put_raw(struct buf *b, uint64_t length, const void *content, size_t len)
{
    uint8_t frame[9] = {1};
    length = htobe64(length);
    memcpy(frame + 1, &length, 8);
    buf_put(b, frame, sizeof frame);
    buf_put(b, content, len);
}

static void
start(struct sp_parser *p, struct buf *b)
{
    sp_parser_init(p, SP_REQ, SP_IPC, BODY_MAX);
    *b = (struct buf){0};
    buf_put(b, greeting, sizeof greeting);
}

/* The event that a whole buffer ends with, after the greeting. */
static enum sp_event
last_event(struct buf *b, struct sp_parser *p, struct sp_message *m)
{
    struct span left = buf_span(b);
    cr_assert_eq(sp_parse(p, &left, m), SP_GREETED);
    return sp_parse(p, &left, m);
}

Test(sp, writes_the_greetings)
{
    uint8_t out[SP_GREETING_BYTES];
    sp_greeting(out, SP_REQ);
    cr_assert(memcmp(out, greeting, sizeof out) == 0);
    sp_greeting(out, SP_REP);
    cr_assert_eq(out[5], 0x31);
}

Test(sp, reads_what_it_wrote)
{
    struct sp_parser p;
    struct buf b;
    start(&p, &b);
    const uint8_t stack[] = {0, 0, 0, 7, 0x80, 1, 2, 3};
    sp_put_message(&b, SP_IPC, (struct span){stack, 8},
                   &(struct pieces){1, {(struct span){(const uint8_t *)"hello", 5}}});
    sp_put_message(&b, SP_IPC, (struct span){stack + 4, 4}, &(struct pieces){0});
    cr_assert_eq(b.w, 8 + 9 + 13 + 9 + 4);
    struct span left = buf_span(&b);
    struct sp_message m;
    cr_assert_eq(sp_parse(&p, &left, &m), SP_GREETED);
    cr_assert_eq(sp_parse(&p, &left, &m), SP_MESSAGE);
    cr_assert_eq(m.id, 0x80010203);
    cr_assert_eq(m.stack.len, 8);
    cr_assert_eq(m.body.len, 5);
    cr_assert(memcmp(m.body.data, "hello", 5) == 0);
    cr_assert_eq(sp_parse(&p, &left, &m), SP_MESSAGE);
    cr_assert_eq(m.stack.len, 4);
    cr_assert_eq(m.body.len, 0);
    cr_assert_eq(sp_parse(&p, &left, &m), SP_WAIT);
    cr_assert_eq(left.len, 0);
    buf_deinit(&b);
}

/* Whatever the size of the pieces, the same events come, and never one too early. */
Test(sp, yields_the_same_for_every_way_to_cut_the_bytes)
{
    struct sp_parser p;
    struct buf whole;
    start(&p, &whole);
    uint8_t body[BODY_MAX + 50] = {0};
    const uint8_t id[] = {0x80, 0, 0, 9};
    sp_put_message(&whole, SP_IPC, (struct span){id, 4},
                   &(struct pieces){1, {(struct span){body, 30}}});
    sp_put_message(&whole, SP_IPC, (struct span){id, 4},
                   &(struct pieces){1, {(struct span){body, sizeof body}}}); /* oversized */
    sp_put_message(&whole, SP_IPC, (struct span){id, 4},
                   &(struct pieces){1, {(struct span){body, BODY_MAX}}});
    for (size_t piece = 1; piece <= whole.w; piece++) {
        sp_parser_init(&p, SP_REQ, SP_IPC, BODY_MAX);
        struct buf in = {0};
        char events[8] = {0};
        size_t count = 0;
        for (size_t at = 0; at < whole.w; at += piece) {
            buf_put(&in, whole.data + at, whole.w - at < piece ? whole.w - at : piece);
            struct span left = buf_span(&in);
            struct sp_message m;
            enum sp_event event;
            while ((event = sp_parse(&p, &left, &m)) != SP_WAIT) {
                cr_assert_neq(event, SP_CLOSE);
                cr_assert_lt(count, sizeof events - 1);
                events[count++] = event == SP_GREETED ? 'g' : event == SP_MESSAGE ? 'm' : 'o';
            }
            cr_assert_gt(p.want_bytes, left.len);
            buf_skip(&in, in.w - in.r - left.len);
        }
        cr_assert_str_eq(events, "gmom", "pieces of %zu", piece);
        buf_deinit(&in);
    }
    buf_deinit(&whole);
}

Test(sp, refuses_a_wrong_greeting_at_its_first_wrong_byte)
{
    for (size_t at = 0; at < sizeof greeting; at++) {
        uint8_t bytes[sizeof greeting];
        memcpy(bytes, greeting, sizeof bytes);
        bytes[at] ^= 0x55;
        struct sp_parser p;
        sp_parser_init(&p, SP_REQ, SP_IPC, BODY_MAX);
        struct sp_message m;
        struct span left = {bytes, at};
        cr_assert_eq(sp_parse(&p, &left, &m), SP_WAIT);
        left = (struct span){bytes, at + 1};
        cr_assert_eq(sp_parse(&p, &left, &m), SP_CLOSE);
        cr_assert_eq(p.fault, SP_FAULT_GREETING);
        left = (struct span){greeting, sizeof greeting};
        cr_assert_eq(sp_parse(&p, &left, &m), SP_CLOSE, "a refusal is final");
    }
}

Test(sp, refuses_messages_without_an_id)
{
    static const struct {
        uint64_t length;
        size_t len;
        const char *content;
    } cases[] = {
        {0, 0, ""},
        {3, 3, "\x80\0\0"},
        {4, 4, "\0\0\0\1"},
        {7, 7, "\0\0\0\1\x80\0\0"},
        /* Eight hops, seen before the rest of the message came. */
        {100, 32, "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5\0\0\0\6\0\0\0\7\0\0\0\x8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sp_parser p;
        struct buf b;
        struct sp_message m;
        start(&p, &b);
        put_raw(&b, cases[i].length, cases[i].content, cases[i].len);
        cr_assert_eq(last_event(&b, &p, &m), SP_CLOSE, "case %zu", i);
        cr_assert_eq(p.fault, SP_FAULT_ID);
        buf_deinit(&b);
    }
}

Test(sp, refuses_wrong_frames_and_lengths_above_1_GiB)
{
    struct sp_parser p;
    struct buf b;
    struct sp_message m;
    start(&p, &b);
    buf_put(&b, "\2", 1);
    cr_assert_eq(last_event(&b, &p, &m), SP_CLOSE);
    cr_assert_eq(p.fault, SP_FAULT_FRAME);
    buf_deinit(&b);
    const uint64_t lengths[] = {SP_LENGTH_MAX + UINT64_C(1), UINT64_C(1) << 62, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        start(&p, &b);
        put_raw(&b, lengths[i], "", 0);
        cr_assert_eq(last_event(&b, &p, &m), SP_CLOSE);
        cr_assert_eq(p.fault, SP_FAULT_LENGTH);
        cr_assert_not_null(sp_fault_text(p.fault));
        buf_deinit(&b);
    }
}

Test(sp, tells_an_oversized_message_before_its_body_comes)
{
    struct sp_parser p;
    struct buf b;
    struct sp_message m;
    start(&p, &b);
    put_raw(&b, SP_LENGTH_MAX, "\x80\0\0\5", 4);
    cr_assert_eq(last_event(&b, &p, &m), SP_OVERSIZED);
    cr_assert_eq(m.id, 0x80000005);
    cr_assert_eq(m.body_bytes, SP_LENGTH_MAX - 4);
    cr_assert_eq(p.discard_bytes, SP_LENGTH_MAX - 4);
    buf_deinit(&b);
    start(&p, &b);
    put_raw(&b, BODY_MAX + 4, "\x80\0\0\5", 4);
    cr_assert_eq(last_event(&b, &p, &m), SP_WAIT, "exactly the limit is not oversized");
    cr_assert_eq(p.want_bytes, 9 + 4 + BODY_MAX);
    buf_deinit(&b);
}
