/* The spawner's memory of its children: workers that live or are being born, ends of workers that
 * no broker has acknowledged, and daemonised processes that were adopted. Knows no system call but
 * close for the descriptors it owns. */
#ifndef PRONG_BROKER_SPAWN_FAMILY_H
#define PRONG_BROKER_SPAWN_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/spawn/records.h"

struct worker {
    uint64_t id;
    pid_t pid;            /* not reaped while it stands here, so it cannot be another process */
    int output_fd;        /* read end of stdout and stderr; owned */
    int input_fd;         /* write end of stdin; owned; -1 when that is /dev/null, or was ended */
    int fault_fd;         /* owned; -1 once its program runs */
    int64_t time_ns;      /* of its fork, later of its start */
    bool has_cgroup;      /* of its own (cgroup.h) */
    uint64_t template_id; /* of the template that it was forked by; 0 for none */
    char name[SPAWN_NAME_BYTES_MAX];
    size_t index; /* in family.workers */
    struct worker *next_by_id, *next_by_pid;
};

/* An end that is told to every broker until one has noted it. */
struct ended {
    struct spawn_record record; /* SPAWN_EXITED or SPAWN_FAILED */
    int output_fd;              /* owned; -1 if there was no output */
};

/* A process whose parent died, so that it came to us: of worker `owner`, which lives. */
struct adopted {
    pid_t pid;
    pid_t session;
    uint64_t owner;
};

enum { FAMILY_BUCKETS = 1024, FAMILY_ADOPTED_MAX = 4096 };

struct family {
    struct worker **workers; /* SPAWN_CHILDREN_MAX places, the first worker_count are filled */
    size_t worker_count;
    size_t birth_count; /* workers with a fault_fd */
    struct worker *by_id[FAMILY_BUCKETS];
    struct worker *by_pid[FAMILY_BUCKETS];
    struct ended ended[SPAWN_ENDED_MAX]; /* oldest first */
    size_t ended_count;
    struct adopted *adopted; /* FAMILY_ADOPTED_MAX places */
    size_t adopted_count;
};

/* False without memory; then family_deinit must not be called. */
bool family_init(struct family *family);

/* Close all descriptors, free all memory. */
void family_deinit(struct family *family);

/* Add a worker that was just forked; it takes over the descriptors of `worker`, the rest is
 * copied. NULL, with the descriptors still the caller's, if SPAWN_CHILDREN_MAX are there or without
 * memory. */
struct worker *family_add(struct family *family, const struct worker *worker);

/* True if family_add cannot fail but for memory. */
bool family_has_room(const struct family *family);

/* Borrowed, NULL if there is none; valid until family_end of that worker. */
struct worker *family_find_id(const struct family *family, uint64_t id);
struct worker *family_find_pid(const struct family *family, pid_t pid);

/* The worker's program runs: close its fault pipe. */
void family_set_running(struct family *family, struct worker *worker);

/* The worker was reaped or failed: keep `record` about it and its output until family_forget, and
 * free the worker. The oldest end goes if SPAWN_ENDED_MAX are kept. */
void family_end(struct family *family, struct worker *worker, const struct spawn_record *record);

/* Keep an end of something that never became a worker. */
void family_note_end(struct family *family, const struct spawn_record *record);

/* Drop an end; false if it is not kept. */
bool family_forget(struct family *family, uint64_t id);

/* True if an end of that id is kept. */
bool family_has_ended(const struct family *family, uint64_t id);

/* The output of a worker, alive or ended; -1 if there is none. Borrowed. */
int family_output_fd(const struct family *family, uint64_t id);

/* The stdin of a living worker; -1 if there is none. Borrowed. */
int family_input_fd(const struct family *family, uint64_t id);

/* Close that. Nothing if there is none. */
void family_end_input(struct family *family, uint64_t id);

/* Adopted processes. Adding fails when FAMILY_ADOPTED_MAX are there. */
bool family_adopt(struct family *family, const struct adopted *adopted);
const struct adopted *family_find_adopted(const struct family *family, pid_t pid);
const struct adopted *family_find_adopted_session(const struct family *family, pid_t session);
void family_remove_adopted(struct family *family, pid_t pid);

#endif
