/* A worker of a test, what it says and what it is told. A failure ends the test. */
#ifndef PRONG_TESTS_UNIT_CLIENT_WORKER_PULL_KIT_H
#define PRONG_TESTS_UNIT_CLIENT_WORKER_PULL_KIT_H

#include "client/worker/pull.h"
#include "proto/name.h"
#include "proto/record.h"
#include "proto/write.h"
#include "tests/support/test.h"

#define MS INT64_C(1000000)

/* A worker, and what it said last. */
struct peer {
    struct pull *pull;
    int64_t now;
    uint32_t id;
    struct buf bytes;
    struct record said[8];
    size_t count; /* records in it; 0: it said nothing */
};

struct peer *peer_new(void);
void peer_free(struct peer *p);
/* What it says next; the number of records. */
size_t says(struct peer *p);
enum wire_record op(const struct peer *p, size_t index);
void answer(struct peer *p, uint32_t id, struct buf *b);
void put_work(struct buf *b, uint64_t number, uint32_t count, const uint64_t *calls,
              uint64_t ttl_ms);
void give(struct peer *p, uint32_t id, uint64_t number, uint64_t call);
void give_none(struct peer *p, uint32_t id, uint64_t number);
/* ACK as the hub answers REPORT: `call` 0 names none. */
void ack(struct peer *p, uint32_t id, uint64_t call);
void fail(struct peer *p, uint32_t id, unsigned code);
void command(struct peer *p, uint32_t id, const char *verb, uint64_t call);
void welcome(struct peer *p, uint64_t session, uint64_t message_bytes);
/* Connect and be welcome. */
void attach(struct peer *p, uint64_t session);
/* The id of the POLL that it says next. */
uint32_t polls(struct peer *p, uint64_t session, uint64_t taken, uint64_t capacity);
uint32_t controls(struct peer *p);
/* Attached, POLL and CONTROL said; the id of the POLL. */
uint32_t ready(struct peer *p, uint64_t session);
bool begins(struct peer *p, uint64_t call);
bool begins_any(struct peer *p);
void ends_with(struct peer *p, const uint8_t *value, size_t len);
void ends(struct peer *p);
/* How many calls the REPORT in what it said names; *first is the first one. */
uint32_t reported(const struct peer *p, uint64_t *first);
/* The error in the first item of REPORT; false when it is a result. */
bool reported_failure(const struct peer *p, struct wire_failure *f);
/* Whether the ATTACH in what it said names the call as running or done. */
bool names(const struct peer *p, enum wire_key list, uint64_t call);
uint64_t attach_number(const struct peer *p);

#endif
