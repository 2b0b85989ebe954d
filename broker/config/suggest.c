/* "Did you mean": see suggest.h. */
#include "broker/config/suggest.h"

#include <stddef.h>
#include <string.h>

enum { WORD_BYTES_MAX = 64 };

/* Capital letters and the choice between '-' and '_' are habits, not mistakes worth a point. */
static char
plain(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c == '-' ? '_' : c;
}

static unsigned
least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. Three rows of
 * the usual table are enough, because a swap looks back by two. */
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
            const char x = plain(a[i - 1]), y = plain(b[k - 1]);
            row[k] = least(least(above[k], row[k - 1]) + 1, above[k - 1] + (x != y));
            if (i > 1 && k > 1 && x == plain(b[k - 2]) && y == plain(a[i - 2])) {
                row[k] = least(row[k], before[k - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

void
config_suggest_offer(struct config_suggestion *suggestion, const char *candidate)
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
