/* A hub that does what the test says: a link server in the test's own thread, and a worker in a
 * child. A failure ends the test. */
#ifndef PRONG_TESTS_UNIT_CLIENT_WORKER_STAGE_H
#define PRONG_TESTS_UNIT_CLIENT_WORKER_STAGE_H

#include <prong/worker.h>

#include <sys/types.h>

#include "proto/buf.h"
#include "proto/record.h"

enum { STAGE_MS = 10000, STAGE_RECORDS_MAX = 4 };

struct request {
    uint64_t request; /* 0: none */
    struct buf body;
    struct record record[STAGE_RECORDS_MAX];
    size_t count;
};

/* Init and fini of a test: its directory, and an end of child and server. */
void stage_enter(void);
void stage_leave(void);

/* Run a program as a worker of this hub, which listens from now on; it ends with what it returns.
 * Its stderr goes to `log`. */
pid_t stage_start(int (*program)(void));
/* The same where nobody listens. */
void stage_run(int (*program)(void));
/* Listen, and stop it. */
void stage_open(void);
void stage_close(void);
/* Wait for its end; the exit code, or 1000 + the signal. */
int stage_exit(void);
/* Whether a text stands in `log`. */
bool stage_logged(const char *text);

/* The next message that is not CONTROL; its first record must be `op`. Borrowed until the next one.
 */
struct request *stage_expect(enum wire_record op);
/* The CONTROL that waits; waited for. */
struct request *stage_control(void);
/* Say something; the buffer is emptied. */
void stage_answer(struct request *r, struct buf *b);
void stage_hang_up(void);

/* Take ATTACH and answer it. */
void stage_attach(uint64_t session);
void stage_welcome(struct request *attach, uint64_t session);
/* Answer a POLL with one call. */
void stage_give(struct request *poll, uint64_t number, uint64_t call, const char *method,
                uint64_t ttl_ms);
void stage_give_none(struct request *poll, uint64_t number);
/* The number of the last POLL's request. */
uint64_t stage_poll(void);
/* The call of the first item of a REPORT. */
uint64_t stage_reported(const struct request *report, bool *is_error);

#endif
