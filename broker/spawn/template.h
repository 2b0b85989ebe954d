/* Members of a worker that are not exec'ed but forked by a template: a process of the worker's own
 * command that has imported what `preload` names, has one thread, and forks when it is asked to
 * (bindings/python/prong/template.py is its other half).
 *
 * A template is started with the first member that needs it, from what that one would have got, and
 * stands in the family as a worker of its own: "detector/template", with the id of that member and
 * SPAWN_TEMPLATE. Its descriptor 3 (PRONG_TEMPLATE) is a SOCK_SEQPACKET pair: for each member it
 * gets a struct template_request with the text of the SPAWN_START behind it, and the descriptors
 * [pair of this birth, stdin, stdout and stderr].
 *
 * It forks twice, so that the member becomes a child of the spawner, which is a subreaper. The
 * member says that it is there with a struct child_fault of zeros through the pair of its birth, to
 * which the kernel adds its pid; only an unreaped child of ours that nobody else is, is believed.
 * It gets its place in the family and in its cgroup, one byte tells it to go on, and from there its
 * end of the pair is what the fault pipe of a process before its exec is. A fault with a text for
 * people behind it says that nothing comes of it.
 *
 * A template that dies fails those that wait for it, the next start makes another one; its members
 * do not notice. It ends when another one takes its place (the configuration has changed, or the
 * worker as a whole was stopped or restarted), or some time after the last process of its worker.
 * All that runs in the spawner. */
#ifndef PRONG_BROKER_SPAWN_TEMPLATE_H
#define PRONG_BROKER_SPAWN_TEMPLATE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/spawn/child.h"
#include "broker/spawn/records.h"

enum { TEMPLATE_LINGER_MS = 10000 }; /* after the last process of its worker */

/* What a template reads, in host order; bindings/python/prong/template.py knows it as well. */
struct template_request {
    uint64_t id;         /* PRONG_INCARNATION of the member */
    uint32_t argc, envc; /* text: folder, argv, environment, each string with its NUL */
    uint32_t step;       /* for a struct child_fault: SPAWN_STEP_TEMPLATE */
    uint32_t text_bytes;
};

struct spawner;
struct template;
struct unborn;

/* All zero: none. */
struct templates {
    struct template *list;
    struct unborn *unborn;
    size_t unborn_count;
};

/* Start a member as a checked SPAWN_START with a template says; failure is told as SPAWN_FAILED. */
void templates_start(struct spawner *spawner, const struct spawn_record *request, char *text);

/* A SPAWN_START of that worker ("detector/0") came that wants none, or another one than `key`:
 * those that there are end once nobody waits for them. */
void templates_retire(struct spawner *spawner, const char *member, uint64_t key);

/* A signal came for a start that still waits for its template: it fails, and so does a template
 * that has not been heard of yet and that nobody else waits for. False if no such start waits. */
bool templates_cancel(struct spawner *spawner, uint64_t id);

/* True if a start of that id waits. */
bool templates_has_unborn(const struct spawner *spawner, uint64_t id);

/* Add what is waited for to a list for poll, at most two for each start that waits; returns how
 * many. */
nfds_t templates_poll(const struct spawner *spawner, struct pollfd *polls);

/* Send and receive what can be without waiting. */
void templates_turn(struct spawner *spawner);

/* When templates_check is wanted at the latest. */
int64_t templates_deadline_ns(const struct spawner *spawner);
void templates_check(struct spawner *spawner, int64_t now_ns);

/* The process of a template was reaped, or its command could not be executed (`fault`). */
void templates_note_end(struct spawner *spawner, uint64_t id, int wait_status);
void templates_note_fault(struct spawner *spawner, uint64_t id, const struct child_fault *fault);

/* A worker that came of a template (0: of none) is no more. */
void templates_note_member_end(struct spawner *spawner, uint64_t template_id);

/* The broker is dead: the next one decides anew which starts it wants. */
void templates_drop_unborn(struct spawner *spawner);

/* Close all descriptors, free all memory. */
void templates_deinit(struct spawner *spawner);

#endif
