/* One prongd with a fake broker, for tests of processes. Everything it makes lies in the test's own
 * directory (dir.h), and all its processes carry that path as their tag. A failure ends the test.
 */
#ifndef PRONG_TESTS_E2E_SPAWN_HUB_H
#define PRONG_TESTS_E2E_SPAWN_HUB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/spawn/records.h"
#include "tests/e2e/spawn/fake_broker.h"

enum { HUB_DEADLINE_MS = 10 * 1000, HUB_VARIABLES_MAX = 8, HUB_LOG_BYTES_MAX = 64 * 1024 };

struct hub {
    pid_t keeper;  /* 0 once it was waited for */
    pid_t spawner; /* known after hub_accept */
    int listener;  /* where fake brokers come */
    int broker_fd; /* to the fake broker's process; -1 if there is none */
    int link;      /* its end of the pair; -1 if there is none */
    uid_t user;    /* of hub_start_as; 0: as the test runs */
    struct fake_hello hello;
};

/* Init and fini of a test: its directory, and an end of everything whatever happened. */
void hub_enter(void);
void hub_leave(void);

/* The hub of the test, as hub_enter makes it: nothing runs. */
struct hub *hub_get(void);

/* Start prongd on <dir>/run with `arguments` (NULL-terminated, or NULL) after the usual ones, and
 * with `variables` ("NAME=value", NULL-terminated, or NULL) added to an environment of PATH and
 * those of the fake broker. Its stderr goes to <dir>/log. */
void hub_start(const char *const arguments[], const char *const variables[]);

/* hub_start with nothing special, as this user and the group of the same number and no other; only
 * root can. The test's directory has to be theirs. */
void hub_start_as(uid_t user);

/* Wait for the next fake broker, and read its greeting up to SPAWN_ALIVE_END unless `raw`. */
void hub_accept(bool raw);

/* hub_start and hub_accept with nothing special. */
void hub_up(void);

/* Send a record; `text` of record->text_bytes. */
void hub_send(const struct spawn_record *record, const char *text);

/* SPAWN_START. `envp` NULL means PRONG_INCARNATION=<id> and PATH. */
void hub_start_worker(uint64_t id, const char *folder, const char *const argv[],
                      const char *const envp[]);

/* As hub_start_worker with the usual environment, and with limits "key=value" (NULL-terminated). */
void hub_start_limited(uint64_t id, const char *folder, const char *const argv[],
                       const char *const limits[]);

/* SPAWN_START of `probe MODE TAG`, TAG being the test's directory; waits for SPAWN_STARTED. Returns
 * the pid; the output's read end goes to `*output`, owned by the caller. */
pid_t hub_probe(uint64_t id, const char *mode, int *output);

void hub_signal(uint64_t id, int signal_number, bool whole_group);

/* Receive the next record, which has to have this op and id. `output` NULL: there must be no
 * descriptor; else there must be one, which the caller owns. */
struct spawn_record hub_expect(enum spawn_op op, uint64_t id, int *output);

/* Like hub_expect, but whatever the record is. */
struct spawn_record hub_receive(int *output);

/* Nothing may come: proved by a question whose answer is the next thing that comes. */
void hub_expect_silence(void);

/* Make the broker's process exit, or kill it; closes our copy of its end. */
void hub_broker_exit(int exit_code);
void hub_broker_kill(void);

/* Wait for the keeper; returns its exit code, or 1000 + the signal that killed it. */
int hub_wait(void);

/* SPAWN_END with 0, exit of the broker, and exit code 0 of the keeper. */
void hub_down(void);

/* Read from `fd` up to `text` or the end; false if the end comes before it. */
bool hub_read_until(int fd, const char *text);

/* Everything up to the end; returned in caller's storage, NUL-terminated. */
const char *hub_read_all(int fd, char *buffer, size_t capacity);

/* How many processes of the hub are alive, workers and what they left included. */
int hub_process_count(void);

/* Wait until there are none; false if that takes longer than `deadline_ms`. */
bool hub_until_nothing_left(int64_t deadline_ms);

/* <dir>/log as a string; borrowed until the next call. */
const char *hub_log(void);

/* Full path of a program of the tests, and of prongd: borrowed, static. */
const char *hub_probe_path(void);
const char *hub_prongd_path(void);
const char *hub_fake_broker_path(void);

/* Run prongd with exactly these arguments to its end; its stderr goes to <dir>/log. Exit code. */
int hub_run(const char *const arguments[], const char *const variables[]);

#endif
