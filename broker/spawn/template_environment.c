#include "broker/spawn/template_environment.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/spawn/child.h"
#include "broker/spawn/records.h"

/* What a member gets and its template does not: it is no replica, and its secrets are not its. */
static bool
is_of_members(const char *setting)
{
    static const char *const names[] = {"PRONG_TOKEN=",    "PRONG_REPLICA=", "PRONG_INCARNATION=",
                                        "PRONG_TEMPLATE=", "NOTIFY_SOCKET=", "WATCHDOG_USEC="};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncmp(setting, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* Libraries for arithmetic start a thread for each CPU when they are imported, and a process with
 * threads cannot be forked: so they do with one, unless the worker's environment says otherwise. */
static const char *const single[] = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"};
enum { SINGLE_COUNT = sizeof single / sizeof single[0] };

static_assert(SINGLE_COUNT + 2 == TEMPLATE_OWN_COUNT, "room for each of its own settings");

char **
template_environment(char *const envp[], uint64_t id, struct template_own *own)
{
    size_t count = 0;
    while (envp[count]) {
        count++;
    }
    char **made = calloc(count + TEMPLATE_OWN_COUNT + 1, sizeof *made);
    if (!made) {
        return NULL;
    }
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_of_members(envp[i])) {
            made[used++] = envp[i];
        }
    }
    char(*text)[48] = own->texts;
    snprintf(*text++, sizeof *text, "PRONG_INCARNATION=%020" PRIu64, id);
    snprintf(*text++, sizeof *text, "PRONG_TEMPLATE=%d", (int)SPAWN_BROKER_FD);
    for (size_t i = 0; i < SINGLE_COUNT; i++) {
        if (!child_environment_find(envp, single[i])) {
            snprintf(*text++, sizeof *text, "%s=1", single[i]);
        }
    }
    for (size_t i = 0; own->texts + i < text; i++) {
        made[used++] = own->texts[i];
    }
    return made;
}
