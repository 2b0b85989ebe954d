/* Counts the broker's deaths; whoever asks starts it again or gives up. Runs in the spawner. */
#include "broker/spawn/ladder.h"

#include <sys/wait.h>
#include <sysexits.h>

#include "broker/spawn/clock.h"

int
ladder_note_death(struct ladder *ladder, bool spoke, int wait_status, int64_t now_ns)
{
    if (!spoke && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) >= EX_USAGE &&
        WEXITSTATUS(wait_status) <= EX_CONFIG) {
        return WEXITSTATUS(wait_status); /* it would say the same the next time */
    }
    ladder->has_spoken = ladder->has_spoken || spoke;
    if (!ladder->has_spoken && ++ladder->silent_deaths >= LADDER_SILENT_DEATHS_MAX) {
        return EX_UNAVAILABLE;
    }
    int64_t *oldest = &ladder->deaths_ns[ladder->death_count % LADDER_DEATHS_MAX];
    const bool is_full = ladder->death_count >= LADDER_DEATHS_MAX;
    if (is_full && now_ns - *oldest <= (int64_t)LADDER_WINDOW_S * 1000 * NS_PER_MS) {
        return EX_UNAVAILABLE;
    }
    *oldest = now_ns;
    ladder->death_count++;
    return LADDER_RESTART;
}
