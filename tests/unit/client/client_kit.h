/* A hub of a test and a client of it. A failure ends the test. */
#ifndef PRONG_TESTS_UNIT_CLIENT_CLIENT_KIT_H
#define PRONG_TESTS_UNIT_CLIENT_CLIENT_KIT_H

#include <prong/prong.h>

#include "tests/unit/client/fake_hub.h"

extern struct fake_hub hub;
extern prong_client *c;

/* Init and fini of a test: the hub runs, and the client is connected. */
void set_up(void);
void tear_down(void);
void connect_with(prong_options o);
int64_t now_ms(void);
/* The number that a method of the hub returns. */
int64_t call_int(const char *method);
/* A call that is not waited for. */
prong_reply *start(const char *method, int32_t timeout_ms, uint32_t flags, uint64_t tag);
/* Wait until the hub's thread has seen so many messages. */
void await_messages(int count);

#endif
