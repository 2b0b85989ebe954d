/* A session of a test, and what it says and is told. A failure ends the test. */
#ifndef PRONG_TESTS_UNIT_CLIENT_SESSION_KIT_H
#define PRONG_TESTS_UNIT_CLIENT_SESSION_KIT_H

#include "client/session/session.h"
#include "proto/record.h"
#include "proto/write.h"
#include "tests/support/test.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)

extern struct session *s;
extern int64_t now;
extern struct record sent; /* the last message that left */
extern uint32_t sent_id;
extern struct buf answer_bytes; /* the next answer */
extern struct session_outcome outcome;

/* Init and fini of a test. */
void set_up(void);
void tear_down(void);
bool leaves(void);
void expect_sent(enum wire_record record);
void expect_silence(void);
struct buf *answer(enum wire_op op);
void give(uint32_t id);
void give_welcome(uint64_t epoch, uint64_t history);
void connect_to(uint64_t epoch, uint64_t history);
void give_result(uint32_t id, uint64_t seq, int64_t value);
void give_pending(uint32_t id, uint64_t seq);
uint64_t call_for(int64_t ttl_ns);
uint64_t seq_of_call(void);
void expect_outcome(prong_err code, unsigned began);
void expect_nothing(void);
void pass_to(int64_t at);
void give_partial(uint32_t id, uint64_t first, unsigned count);
void expect_items(uint64_t first, unsigned count);

#endif
