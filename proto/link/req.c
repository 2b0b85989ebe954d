/* The REQ side without its transport: see req.h. */
#include "proto/link/req.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "proto/clock/clock.h"

void
req_init(struct req *r, enum sp_framing framing, size_t message_bytes_max)
{
    r->framing = framing;
    sp_parser_init(&r->parser, SP_REP, framing, message_bytes_max);
}

void
req_deinit(struct req *r)
{
    buf_deinit(&r->in);
    buf_deinit(&r->out);
}

int64_t
req_now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

bool
req_room(struct req *r)
{
    if (r->in.r == r->in.w) {
        buf_recycle(&r->in, REQ_KEEP_BYTES);
    }
    const size_t have = r->in.w - r->in.r;
    return buf_reserve(&r->in, have > REQ_READ_BYTES ? have : REQ_READ_BYTES);
}

void
req_stack(uint8_t out[SP_WORD_BYTES], uint32_t id)
{
    const uint32_t word = htobe32(id);
    memcpy(out, &word, sizeof word);
}

int
req_send(struct link_client *base, uint32_t id, const struct pieces *body, struct link_error *error)
{
    struct req *r = (struct req *)base;
    uint8_t stack[SP_WORD_BYTES];
    req_stack(stack, id);
    if ((id & SP_ID_BIT) == 0) {
        return link_fail(error, EINVAL, "request id without bit 31");
    }
    sp_put_message(&r->out, r->framing, (struct span){stack, sizeof stack}, body);
    if (r->out.failed) {
        r->out.failed =
            false; /* nothing of this message was queued, what was there before still is */
        return link_fail(error, ENOMEM, "out of memory");
    }
    return 0;
}

/* What the parser finds next in the bytes that are there. */
static enum sp_event
next_event(struct req *r, struct sp_message *message)
{
    const struct span before = buf_span(&r->in);
    struct span left = before;
    const enum sp_event event = sp_parse(&r->parser, &left, message);
    r->in.r += before.len - left.len; /* not buf_skip(): the message must stay where it is */
    return event;
}

int
req_recv(struct link_client *base, uint32_t *id, struct span *body, struct link_error *error)
{
    struct req *r = (struct req *)base;
    if (r->refused) {
        return link_fail(error, EMSGSIZE, "an answer was larger than is taken");
    }
    for (;;) {
        struct sp_message message;
        switch (next_event(r, &message)) {
        case SP_GREETED:
            continue;
        case SP_MESSAGE:
            *id = message.id;
            *body = message.body;
            return 1;
        case SP_OVERSIZED:
            r->refused = true;
            return link_fail(error, EMSGSIZE, "an answer of %llu bytes, at most %zu are taken",
                             (unsigned long long)message.body_bytes, r->parser.body_bytes_max);
        case SP_CLOSE:
            return link_fail(error, EPROTO, "not the protocol: %s", sp_fault_text(r->parser.fault));
        case SP_WAIT:
            break;
        }
        const int filled = r->fill(r, error);
        if (filled <= 0) {
            return filled;
        }
    }
}

int
req_greet(struct req *r, const char *url, int64_t end_ms, struct link_error *error)
{
    uint8_t greeting[SP_GREETING_BYTES];
    sp_greeting(greeting, SP_REQ);
    buf_put(&r->out, greeting, sizeof greeting);
    /* A failure to write is followed by a failure to read, which says more. */
    (void)link_client_flush(&r->base, NULL);
    for (;;) {
        struct sp_message unused;
        switch (next_event(r, &unused)) {
        case SP_GREETED:
            return 0;
        case SP_CLOSE:
            return link_fail(error, EPROTO, "%s: %s", url, sp_fault_text(r->parser.fault));
        case SP_WAIT:
        case SP_MESSAGE:
        case SP_OVERSIZED:
            break; /* only the first is possible before the greeting */
        }
        int ready = r->fill(r, error);
        if (ready == 0) {
            const int64_t left_ms = end_ms - req_now_ms();
            struct pollfd pollfd = {.fd = link_client_fd(&r->base), .events = POLLIN};
            ready = poll(&pollfd, 1, left_ms > 0 ? (int)left_ms : 0);
            if (ready == 0) {
                return link_fail(error, ETIMEDOUT, "%s: connected, but nobody greets", url);
            }
        } else if (ready < 0) {
            return -1;
        }
    }
}
