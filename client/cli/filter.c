/* Filters of topics: see filter.h. The hub does the same for what it sends; this is for what
 * several filters of one subscription were meant for. */
#include "client/cli/filter.h"

#include <stddef.h>
#include <string.h>

bool
filter_matches(const char *filter, const char *topic)
{
    while (*filter != '\0' && *topic != '\0') {
        const size_t f = strcspn(filter, "."), t = strcspn(topic, ".");
        if (f == 1 && filter[0] == '>' && filter[1] == '\0') {
            return true;
        }
        if (!(f == 1 && filter[0] == '*') && (f != t || memcmp(filter, topic, f) != 0)) {
            return false;
        }
        /* A dot has to stand behind both or behind none. */
        if ((filter[f] == '.') != (topic[t] == '.')) {
            return false;
        }
        filter += f + (filter[f] == '.');
        topic += t + (topic[t] == '.');
    }
    return *filter == '\0' && *topic == '\0';
}
