/* A frame is copied whole, whatever its length and wherever it comes from, and nothing beside it.
 */
#include "client/stream/copy.h"

#include <prong/stream.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

enum { PAGE = 4096, MORE = 256, ROOM = COPY_PAST_CACHE_BYTES + 2 * PAGE };

static void
check(uint8_t *to, const uint8_t *from, size_t bytes)
{
    memset(to - 1, 0xee, ROOM);
    prong_stream_copy(to, from, bytes);
    cr_assert(to[-1] == 0xee, "%zu bytes: wrote before them", bytes);
    cr_assert(memcmp(to, from, bytes) == 0, "%zu bytes", bytes);
    for (size_t i = bytes; i < bytes + MORE; i++) {
        cr_assert(to[i] == 0xee, "%zu bytes: wrote at %zu", bytes, i);
    }
}

Test(copy, every_length_and_every_beginning)
{
    uint8_t *from = malloc(ROOM), *to = aligned_alloc(PAGE, ROOM + PAGE);
    cr_assert(from != NULL && to != NULL);
    for (size_t i = 0; i < ROOM; i++) {
        from[i] = (uint8_t)(i * 131 + i / 251);
    }
    const size_t around[] = {0, 1, 64, PAGE, COPY_PAST_CACHE_BYTES};
    for (size_t i = 0; i < sizeof around / sizeof around[0]; i++) {
        for (size_t more = 0; more < 5; more++) {
            check(to + PAGE, from + more * 7, around[i] + more);
            check(to + PAGE - more, from, around[i] > more ? around[i] - more : 0);
        }
    }
    for (size_t begin = 0; begin < 65; begin += 13) {
        check(to + PAGE - 63 + begin / 2, from + begin, COPY_PAST_CACHE_BYTES + 63);
    }
    free(from);
    free(to);
}
