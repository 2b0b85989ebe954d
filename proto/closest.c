/* "Did you mean": see closest.h. */
#include "proto/closest.h"

#include <string.h>

/* Capital letters and the choice between '-' and '_' are habits, not mistakes worth a point, where
 * the rules are loose. */
static char
plain(char c, bool loose)
{
    if (loose && c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return loose && c == '-' ? '_' : c;
}

static unsigned
least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. Three rows of
 * the usual table are enough, because a swap looks back by two. */
static unsigned
distance_of(const char *a, const char *b, bool loose)
{
    const size_t a_len = strlen(a), b_len = strlen(b);
    unsigned rows[3][CLOSEST_BYTES_MAX + 1];
    for (size_t k = 0; k <= b_len; k++) {
        rows[0][k] = (unsigned)k;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t k = 1; k <= b_len; k++) {
            const char x = plain(a[i - 1], loose), y = plain(b[k - 1], loose);
            row[k] = least(least(above[k], row[k - 1]) + 1, above[k - 1] + (x != y));
            if (i > 1 && k > 1 && x == plain(b[k - 2], loose) && y == plain(a[i - 2], loose)) {
                row[k] = least(row[k], before[k - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

void
closest_offer(struct closest *closest, const char *candidate)
{
    const size_t len = strlen(closest->word), other = strlen(candidate);
    const size_t longer = len > other ? len : other;
    if (len == 0 || longer > CLOSEST_BYTES_MAX ||
        (closest->bytes_max != 0 && longer > closest->bytes_max)) {
        return;
    }
    const unsigned distance = distance_of(closest->word, candidate, closest->loose);
    /* One slip in a short word, one in three letters of a long one: more would be guessing. */
    const unsigned near = longer < 6 ? 1 : (unsigned)(longer / 3);
    if (distance <= near && distance < longer &&
        (closest->best == NULL || distance < closest->distance)) {
        closest->best = candidate;
        closest->distance = distance;
    }
}
