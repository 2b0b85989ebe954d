/* When to give up on a broker that keeps dying. Pure: no clock, no process. */
#ifndef PRONG_BROKER_SPAWN_LADDER_H
#define PRONG_BROKER_SPAWN_LADDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LADDER_DEATHS_MAX = 10, /* so many are borne in LADDER_WINDOW_S, one more ends the hub */
    LADDER_WINDOW_S = 60,
    LADDER_SILENT_DEATHS_MAX = 3, /* deaths before any broker of this hub sent a record */
};

struct ladder {
    bool has_spoken; /* some broker of this hub has sent a record */
    unsigned silent_deaths;
    int64_t deaths_ns[LADDER_DEATHS_MAX]; /* the last ones, a ring */
    size_t death_count;
};

enum { LADDER_RESTART = -1 };

/* A broker has died.
 *
 *   spoke        that broker has sent a record
 *   wait_status  as waitpid gives it
 *
 * Returns LADDER_RESTART or the exit code of the hub: 64 to 78 as the broker said it, if it refused
 * before it sent anything; 69 when it died too often. */
int ladder_note_death(struct ladder *ladder, bool spoke, int wait_status, int64_t now_ns);

#endif
