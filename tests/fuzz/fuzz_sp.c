/* Any bytes as an SP connection: the same events however the bytes are cut, spans that lie inside
 * the input, messages that are written again as they were read, and a refusal that is final.
 *
 * The first byte chooses side, framing, limit and the size of the pieces; the rest is the
 * connection. */
#include "proto/link/sp.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMITS = 4 };
static const size_t limits[LIMITS] = {0, 16, 300, SIZE_MAX};
static const size_t pieces[] = {1, 2, 3, 5, 7, 8, 9, 13, 64, 1000};

static void
require(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* What was seen, as bytes that two ways to feed the parser can be compared by. */
static void
note(struct buf *log, enum sp_event event, const struct sp_message *m)
{
    const uint8_t kind = (uint8_t)event;
    buf_put(log, &kind, 1);
    if (event == SP_MESSAGE || event == SP_OVERSIZED) {
        buf_put(log, m->stack.data, m->stack.len);
        buf_put(log, &m->body_bytes, sizeof m->body_bytes);
        buf_put(log, m->body.data, m->body.len);
    }
}

static void
check_message(const struct sp_parser *p, enum sp_event event, const struct sp_message *m,
              struct span before, struct span after)
{
    const size_t used = before.len - after.len;
    require(m->stack.len >= SP_WORD_BYTES && m->stack.len <= SP_STACK_BYTES_MAX);
    require(m->stack.len % SP_WORD_BYTES == 0 && (m->id & SP_ID_BIT) != 0);
    require(m->stack.data > before.data && m->stack.data + m->stack.len <= before.data + used);
    require(m->body_bytes <= SP_LENGTH_MAX);
    if (event == SP_OVERSIZED) {
        require(m->body_bytes > p->body_bytes_max && m->body.len == 0);
        return;
    }
    require(m->body.len == m->body_bytes && m->body.len <= p->body_bytes_max);
    struct buf again = {0};
    sp_put_message(&again, p->framing, m->stack, &(struct pieces){1, {m->body}});
    /* An oversized body may have been discarded in front of the message. */
    require(again.w <= used && memcmp(again.data, before.data + used - again.w, again.w) == 0);
    buf_deinit(&again);
}

static void
feed(struct sp_parser p, struct span input, size_t piece, struct buf *log)
{
    struct buf in = {0};
    for (size_t at = 0; at < input.len; at += piece) {
        buf_put(&in, input.data + at, input.len - at < piece ? input.len - at : piece);
        struct span left = buf_span(&in);
        for (;;) {
            struct sp_message m = {0};
            const struct span before = left;
            const enum sp_event event = sp_parse(&p, &left, &m);
            require(left.len <= before.len);
            if (event == SP_WAIT) {
                require(p.want_bytes > left.len);
                break;
            }
            note(log, event, &m);
            if (event == SP_CLOSE) {
                require(p.fault != SP_FAULT_NONE && sp_parse(&p, &left, &m) == SP_CLOSE);
                buf_deinit(&in);
                return;
            }
            require(left.len < before.len);
            if (event != SP_GREETED) {
                check_message(&p, event, &m, before, left);
            }
        }
        buf_skip(&in, in.w - in.r - left.len);
    }
    buf_deinit(&in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const uint8_t choice = data[0];
    struct sp_parser p;
    sp_parser_init(&p, (choice & 1) != 0 ? SP_REP : SP_REQ, (choice & 2) != 0 ? SP_TCP : SP_IPC,
                   limits[choice >> 2 & 3]);
    p.greeted = (choice & 128) != 0; /* most inputs would fail at the greeting */
    struct buf whole = {0}, cut = {0};
    const struct span input = {data + 1, size - 1};
    feed(p, input, size, &whole);
    feed(p, input, pieces[choice >> 4 & 7], &cut);
    require(whole.w == cut.w && (whole.w == 0 || memcmp(whole.data, cut.data, whole.w) == 0));
    buf_deinit(&whole);
    buf_deinit(&cut);
    return 0;
}
