/* "Did you mean": see suggest.h. */
#include "client/cli/suggest.h"

#include <stddef.h>
#include <string.h>

enum { WORD_BYTES_MAX = 40 };

static unsigned
least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Letters added, left out, replaced or swapped with their neighbour that turn `a` into `b`. Three
 * rows of the usual table are enough, because a swap looks back by two. */
static unsigned
distance_of(const char *a, const char *b)
{
    const size_t a_len = strlen(a), b_len = strlen(b);
    unsigned rows[3][WORD_BYTES_MAX + 1];
    for (size_t k = 0; k <= b_len; k++) {
        rows[0][k] = (unsigned)k;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t k = 1; k <= b_len; k++) {
            row[k] = least(least(above[k], row[k - 1]) + 1, above[k - 1] + (a[i - 1] != b[k - 1]));
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1]) {
                row[k] = least(row[k], before[k - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

void
suggest_offer(struct suggestion *suggestion, const char *candidate)
{
    const size_t len = strlen(suggestion->word), other = strlen(candidate);
    if (len == 0 || len > WORD_BYTES_MAX || other > WORD_BYTES_MAX) {
        return;
    }
    const unsigned distance = distance_of(suggestion->word, candidate);
    /* One slip in a short word, one in three letters of a long one: more would be guessing. */
    const size_t longer = len > other ? len : other;
    const unsigned near = longer < 6 ? 1 : (unsigned)(longer / 3);
    if (distance <= near && (suggestion->best == NULL || distance < suggestion->distance)) {
        suggestion->best = candidate;
        suggestion->distance = distance;
    }
}
