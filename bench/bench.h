/* What the benchmarks share: clocks, processes and their CPU time, a private hub, the cases of
 * `call`.
 *
 * Owns nothing but what its functions say. A benchmark is a program for one machine and one moment:
 * whatever fails ends it with a text (bench_die), except what a case tells its caller. */
#ifndef PRONG_BENCH_BENCH_H
#define PRONG_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- util.c --------------------------------------------------------------------------------- */

/* Print what went wrong (with errno's text when `code` is not 0) and exit with 1. */
_Noreturn void bench_die(const char *what, int code);
uint64_t bench_now_ns(void);
/* CPU time of all threads of a process, 0 when it is gone. */
uint64_t bench_cpu_ns(pid_t pid);
/* Put this process, and what it will start, on one CPU; nothing when `cpu` is negative. */
void bench_pin(int cpu);
/* fork(); the child dies with its parent. */
pid_t bench_fork(void);
/* Children of a process, at most `max`; their number. */
size_t bench_children(pid_t pid, pid_t *children, size_t max);
/* The first line of /proc/PID/FILE, "" when it cannot be read. */
void bench_proc_line(pid_t pid, const char *file, char *line, size_t size);
double bench_median(double *values, size_t count); /* sorts them */

/* Times of single calls. All zero is empty; what is above the room is not kept. */
struct samples {
    uint64_t *ns;
    size_t count, room;
};
void samples_reset(struct samples *s);
void samples_add(struct samples *s, uint64_t ns);
/* `part` from 0 to 1; sorts. 0 when there are none. */
double samples_us(struct samples *s, double part);
void samples_deinit(struct samples *s);

/* ---- hub.c ---------------------------------------------------------------------------------- */

enum { HUB_WORKERS_MAX = 64 };

/* A private hub in a fresh directory, with one worker `echo`. */
struct bench_hub {
    char dir[64], url[96];
    pid_t keeper, spawner, broker;
    pid_t workers[HUB_WORKERS_MAX];
    size_t worker_count;
};

/* Start it and wait until every replica of `echo` has answered a call.
 *   broker  program in the place of prong-broker, for measuring; NULL for the usual one */
void bench_hub_start(struct bench_hub *hub, unsigned replicas, const char *broker);
/* Start one with this configuration, and connect to it; no process but the keeper's is looked up.
 * The client is the caller's to free. */
struct prong_client *bench_hub_start_as(struct bench_hub *hub, const char *config);
/* bench_die with the text of the client's last error. */
_Noreturn void bench_die_of(struct prong_client *client);
/* End it in order and remove the directory. */
void bench_hub_stop(struct bench_hub *hub);

/* ---- cases of `call` ------------------------------------------------------------------------ */

/* One measurement: echo `bytes` bytes with `in_flight` calls under way, for a time or, when `calls`
 * is not 0, a number of calls. */
struct job {
    uint32_t bytes, in_flight;
    double seconds;
    uint64_t calls;
};

/* What came of it: counted from `begin` to `end`. */
struct run {
    struct samples samples;
    uint64_t begin_ns, end_ns;
};

/* A way of calling. Each case lives in a process of its own, which open() fills with what it needs
 * (processes, sockets) and run() measures. */
struct way {
    const char *name;
    void (*open)(const char *broker);
    /* Do the job's calls; samples only when `run` is not NULL (else to warm up). */
    void (*run)(const struct job *job, struct run *run);
    void (*close)(void);
    /* The processes that take part beside the caller's, the one in the middle first. */
    size_t (*pids)(pid_t *pids, size_t max);
};

extern const struct way way_hub, way_relay, way_nng;

#endif
