/* The Scalability Protocols' wire format: see sp.h. */
#include "proto/link/sp.h"

#include <endian.h>
#include <string.h>

void
sp_greeting(uint8_t out[SP_GREETING_BYTES], enum sp_role self)
{
    const uint8_t bytes[SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, (uint8_t)self, 0, 0};
    memcpy(out, bytes, sizeof bytes);
}

static size_t
frame_len(enum sp_framing framing)
{
    return framing == SP_IPC ? SP_FRAME_BYTES_MAX : SP_FRAME_BYTES_MAX - 1;
}

size_t
sp_head(uint8_t out[SP_HEAD_BYTES_MAX], enum sp_framing framing, struct span stack,
        size_t body_bytes)
{
    const uint64_t length = htobe64((uint64_t)stack.len + body_bytes);
    const size_t frame = frame_len(framing);
    out[0] = 1; /* overwritten where there is no type */
    memcpy(out + frame - sizeof length, &length, sizeof length);
    memcpy(out + frame, stack.data, stack.len);
    return frame + stack.len;
}

void
sp_put_message(struct buf *out, enum sp_framing framing, struct span stack,
               const struct pieces *body)
{
    uint8_t head[SP_HEAD_BYTES_MAX];
    const size_t body_bytes = pieces_len(body);
    const size_t len = sp_head(head, framing, stack, body_bytes);
    /* Half a message in the buffer would shift every later one. */
    if (buf_reserve(out, len + body_bytes)) {
        buf_put(out, head, len);
        buf_put_pieces(out, body, 0);
    }
}

const char *
sp_fault_text(enum sp_fault fault)
{
    switch (fault) {
    case SP_FAULT_NONE:
        return "no fault";
    case SP_FAULT_GREETING:
        return "the greeting is not that of the expected SP protocol";
    case SP_FAULT_FRAME:
        return "a message does not begin with its type byte";
    case SP_FAULT_LENGTH:
        return "a message is longer than 1 GiB";
    case SP_FAULT_ID:
        return "a message has no request id";
    }
    return "unknown fault";
}

void
sp_parser_init(struct sp_parser *p, enum sp_role peer, enum sp_framing framing,
               size_t body_bytes_max)
{
    *p = (struct sp_parser){.peer = peer, .framing = framing, .body_bytes_max = body_bytes_max};
}

static void
advance(struct span *s, size_t len)
{
    s->data += len;
    s->len -= len;
}

static enum sp_event
wait_for(struct sp_parser *p, uint64_t bytes)
{
    p->want_bytes = bytes;
    return SP_WAIT;
}

static enum sp_event
refuse(struct sp_parser *p, enum sp_fault fault)
{
    p->fault = fault;
    return SP_CLOSE;
}

/* A wrong greeting is refused at its first wrong byte: who speaks HTTP may never send eight. */
static enum sp_event
parse_greeting(struct sp_parser *p, struct span *input)
{
    uint8_t expected[SP_GREETING_BYTES];
    sp_greeting(expected, p->peer);
    const size_t have = input->len < sizeof expected ? input->len : sizeof expected;
    if (have > 0 && memcmp(input->data, expected, have) != 0) {
        return refuse(p, SP_FAULT_GREETING);
    }
    if (have < sizeof expected) {
        return wait_for(p, sizeof expected);
    }
    advance(input, sizeof expected);
    p->greeted = true;
    return SP_GREETED;
}

enum { STACK_INCOMPLETE = 0, STACK_NONE = -1 };

/* Bytes of the header stack in front of `data`, of which `have` are there and `length` will be. */
static int
measure_stack(const uint8_t *data, size_t have, uint64_t length)
{
    for (int end = SP_WORD_BYTES; end <= SP_STACK_BYTES_MAX; end += SP_WORD_BYTES) {
        if ((uint64_t)end > length) {
            return STACK_NONE;
        }
        if ((size_t)end > have) {
            return STACK_INCOMPLETE;
        }
        if ((data[end - SP_WORD_BYTES] & 0x80) != 0) {
            return end;
        }
    }
    return STACK_NONE;
}

static uint32_t
word_at(const uint8_t *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof word);
    return be32toh(word);
}

static enum sp_event
parse_message(struct sp_parser *p, struct span *input, struct sp_message *out)
{
    const size_t frame = frame_len(p->framing);
    if (input->len > 0 && p->framing == SP_IPC && input->data[0] != 1) {
        return refuse(p, SP_FAULT_FRAME);
    }
    if (input->len < frame) {
        return wait_for(p, frame + SP_WORD_BYTES);
    }
    uint64_t length;
    memcpy(&length, input->data + frame - sizeof length, sizeof length);
    length = be64toh(length);
    if (length > SP_LENGTH_MAX) {
        return refuse(p, SP_FAULT_LENGTH);
    }
    const uint8_t *data = input->data + frame;
    const size_t have = input->len - frame;
    const int stack = measure_stack(data, have, length);
    if (stack == STACK_NONE) {
        return refuse(p, SP_FAULT_ID);
    }
    if (stack == STACK_INCOMPLETE) {
        return wait_for(p, frame + (length < SP_STACK_BYTES_MAX ? length : SP_STACK_BYTES_MAX));
    }
    const size_t stack_len = (size_t)stack;
    const uint64_t body_len = length - stack_len;
    const bool oversized = body_len > p->body_bytes_max;
    if (!oversized && have < length) {
        return wait_for(p, frame + length);
    }
    out->stack = (struct span){data, stack_len};
    out->id = word_at(data + stack_len - SP_WORD_BYTES);
    out->body_bytes = body_len;
    out->body = (struct span){0};
    if (oversized) {
        p->discard_bytes = body_len;
        advance(input, frame + stack_len);
        return SP_OVERSIZED;
    }
    if (body_len > 0) {
        out->body = (struct span){data + stack_len, (size_t)body_len};
    }
    advance(input, frame + (size_t)length);
    return SP_MESSAGE;
}

enum sp_event
sp_parse(struct sp_parser *p, struct span *input, struct sp_message *out)
{
    if (p->fault != SP_FAULT_NONE) {
        return SP_CLOSE;
    }
    if (!p->greeted) {
        return parse_greeting(p, input);
    }
    if (p->discard_bytes > 0) {
        const size_t len = input->len < p->discard_bytes ? input->len : (size_t)p->discard_bytes;
        if (len > 0) {
            advance(input, len);
        }
        p->discard_bytes -= len;
        if (p->discard_bytes > 0) {
            return wait_for(p, p->discard_bytes);
        }
    }
    return parse_message(p, input, out);
}
