/* Killing everything below this process. */
#ifndef PRONG_BROKER_SPAWN_SWEEP_H
#define PRONG_BROKER_SPAWN_SWEEP_H

#include <stdint.h>

enum { SWEEP_DEADLINE_MS = 1000 };

struct sweep_result {
    int reaped;
    int survivors; /* children that live on after the deadline: in uninterruptible sleep, or of
                      another user */
};

/* SIGKILL and reap all children again and again until none is left or `deadline_ns` is past.
 * Because this process is a subreaper, whatever lives below it becomes its child as soon as the
 * processes between are dead: so daemonised ones and whole trees go too, however they changed their
 * session or environment. SIGCHLD has to be blocked. Waits, so only for the end of a process's
 * life. */
struct sweep_result sweep_children(int64_t deadline_ns);

#endif
