/* A real hub with one worker, in the test's own directory. A failure ends the test. */
#ifndef PRONG_TESTS_E2E_WORKER_HUB_H
#define PRONG_TESTS_E2E_WORKER_HUB_H

#include <prong/prong.h>

#include <sys/types.h>

enum { HUB_MS = 30000 };

struct hub {
    pid_t keeper;
    char url[200];
    prong_client *client;
};

/* Init and fini of a test: its directory, and an end of everything whatever happened. */
void hub_enter(void);
void hub_leave(void);

/* prongd with the worker `probe`, as worker_probe MODE, and a client of it. */
struct hub *hub_up(const char *mode);
/* The same with further keys of the worker: lines of YAML, indented by four. */
struct hub *hub_up_with(const char *mode, const char *more);
/* SIGTERM to prongd; it has to end with 0. */
void hub_down(void);

/* The process of this name (/proc/PID/comm), waited for; another one than `not`. */
pid_t hub_process(const char *comm, pid_t not );

/* Call a method of the worker; `args` is JSON. Fails the test when the code is another. The reply
 * is freed by the caller. */
prong_reply *hub_call(const char *method, const char *args, prong_err code);
/* Start a call. */
prong_reply *hub_begin(const char *method, const char *args);
/* Wait for its outcome, and free it. */
void hub_end(prong_reply *reply, prong_err code);

/* Wait until a file of the test's directory has a byte; its length. */
long hub_file(const char *name);
bool hub_has_file(const char *name);

#endif
