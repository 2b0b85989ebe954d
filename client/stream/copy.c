/* Copying past the caches: see copy.h. Elsewhere than on x86-64 it is memcpy. */
#include "client/stream/copy.h"

#include <prong/stream.h>

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

enum { LINE = 64 };

/* All of a line is there before any of it is written. */
static void
copy_line(__m128i *to, const __m128i *from)
{
    const __m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1),
                  c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);
    _mm_stream_si128(to, a);
    _mm_stream_si128(to + 1, b);
    _mm_stream_si128(to + 2, c);
    _mm_stream_si128(to + 3, d);
}

static void
copy_past_cache(char *to, const char *from, size_t bytes)
{
    const size_t head = -(uintptr_t)to % LINE; /* up to the first whole line */
    memcpy(to, from, head);
    to += head;
    from += head;
    bytes -= head;
    const size_t whole = bytes / LINE * LINE;
    for (size_t at = 0; at < whole; at += LINE) {
        copy_line((__m128i *)(void *)(to + at), (const __m128i *)(const void *)(from + at));
    }
    _mm_sfence(); /* these stores keep no order with those that follow */
    memcpy(to + whole, from + whole, bytes - whole);
}
#else
static void
copy_past_cache(char *to, const char *from, size_t bytes)
{
    memcpy(to, from, bytes);
}
#endif

void
prong_stream_copy(void *to, const void *from, size_t bytes)
{
    if (bytes < COPY_PAST_CACHE_BYTES) {
        memcpy(to, from, bytes);
    } else {
        copy_past_cache(to, from, bytes);
    }
}
