/* The Scalability Protocols' REQ/REP on a stream of bytes: the wire format and nothing else.
 *
 * Owns no bytes and no descriptor; pure, so that it can be fuzzed and used by both ends:
 *
 *   greeting   00 'S' 'P' 00 | u16be protocol | 00 00, once, from both ends
 *   message    01 | u64be length | header stack | body, `length` counts stack and body; the first
 *              byte is there on ipc only
 *   stack      4-byte words; hops have bit 31 clear, the last word is the id and has it set
 */
#ifndef PRONG_LINK_SP_H
#define PRONG_LINK_SP_H

#include "proto/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SP_GREETING_BYTES = 8,
    SP_FRAME_BYTES_MAX = 9, /* type and length, before the stack */
    SP_WORD_BYTES = 4,
    SP_STACK_WORDS_MAX = 8, /* what nng's time to live allows: seven hops and the id */
    SP_STACK_BYTES_MAX = SP_STACK_WORDS_MAX * SP_WORD_BYTES,
    SP_HEAD_BYTES_MAX = SP_FRAME_BYTES_MAX + SP_STACK_BYTES_MAX,
    /* A peer that announces more is closed without an answer: nobody waits for such a body. */
    SP_LENGTH_MAX = 1 << 30,
};

#define SP_ID_BIT UINT32_C(0x80000000)

enum sp_role { SP_REQ = 0x30, SP_REP = 0x31 };
enum sp_framing { SP_IPC, SP_TCP };

/* What a parser found in the bytes it was given. */
enum sp_event {
    SP_WAIT,      /* nothing complete: come again with more bytes, the unread ones first */
    SP_GREETED,   /* the greeting was right; comes once, before any message */
    SP_MESSAGE,   /* one message, complete */
    SP_OVERSIZED, /* a message above the limit: its head is known, its body will be discarded */
    SP_CLOSE,     /* the bytes are not this protocol; `fault` says why; final */
};

enum sp_fault { SP_FAULT_NONE, SP_FAULT_GREETING, SP_FAULT_FRAME, SP_FAULT_LENGTH, SP_FAULT_ID };

struct sp_message {
    struct span stack; /* as on the wire, the id included; 4 to SP_STACK_BYTES_MAX bytes */
    uint32_t id;       /* the last word of the stack */
    struct span body;  /* empty when oversized */
    uint64_t body_bytes;
};

/* State of one direction of one connection. Filled by sp_parser_init(), never owns memory. */
struct sp_parser {
    enum sp_role peer;
    enum sp_framing framing;
    bool greeted;
    enum sp_fault fault;
    size_t body_bytes_max;
    uint64_t discard_bytes; /* of an oversized body, still to come */
    uint64_t want_bytes;    /* after SP_WAIT: how many, the unread included, are worth a read */
};

/* Begin: expect the greeting of `peer`, and bodies of at most `body_bytes_max` bytes. */
void sp_parser_init(struct sp_parser *p, enum sp_role peer, enum sp_framing framing,
                    size_t body_bytes_max);
/* Take one event from the front of *input, which then begins behind it. The spans in *out point
 * into the input; *out is filled by SP_MESSAGE and SP_OVERSIZED only. */
enum sp_event sp_parse(struct sp_parser *p, struct span *input, struct sp_message *out);
/* Text for people, static. */
const char *sp_fault_text(enum sp_fault fault);

/* The greeting of `self`. */
void sp_greeting(uint8_t out[SP_GREETING_BYTES], enum sp_role self);
/* What stands before a body of so many bytes; how long that is. */
size_t sp_head(uint8_t out[SP_HEAD_BYTES_MAX], enum sp_framing framing, struct span stack,
               size_t body_bytes);
/* Append one message, all of it or nothing; the buffer's `failed` tells when memory is out. */
void sp_put_message(struct buf *out, enum sp_framing framing, struct span stack,
                    const struct pieces *body);

#endif
