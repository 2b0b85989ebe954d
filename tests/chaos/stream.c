/* A writer or a reader of a stream under chaos.
 *
 *   chaos_stream write NAME BYTES        write frames until killed
 *   chaos_stream read NAME POLICY [GROUP]
 *
 * POLICY is latest or lossless. A frame is its own proof: each of its words is made from the
 * frame's place in it and one word that stands first, and a quarter of the writers changes the size
 * now and then. The reader prints "+" when it reads, and ends with 3 and a text when a frame is not
 * whole, came twice or, to a lossless reader, with frames missing that nobody told it of. */
#include <prong/prong.h>
#include <prong/stream.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { WORD = sizeof(uint64_t), CHANGE_EVERY = 500, BURST = 64 };

static uint64_t
word(uint64_t seed, size_t at)
{
    uint64_t x = seed + at * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 27;
}

static _Noreturn void
die(const char *what, const char *why)
{
    fprintf(stderr, "chaos_stream %d: %s: %s\n", (int)getpid(), what, why);
    exit(3);
}

static int
write_frames(const char *url, const char *name, size_t bytes)
{
    char why[256];
    const prong_stream_options o = {
        .size_bytes = sizeof o, .slots = 24, .slot_bytes = bytes, .patience_ms = 50};
    prong_stream *s = NULL;
    prong_err err;
    while ((err = prong_stream_create(url, name, &o, &s, why, sizeof why)) ==
           PRONG_ALREADY_EXISTS) {
        /* The one before was killed, and the hub has not heard of it yet. */
    }
    if (err != PRONG_OK) {
        die("create", why);
    }
    const bool changes = getpid() % 4 == 0;
    for (uint64_t n = 1;; n++) {
        void *at;
        const size_t size = changes && n / CHANGE_EVERY % 2 == 1 ? bytes / 2 / WORD * WORD : bytes;
        err = prong_stream_reserve(s, size, &at);
        if (err == PRONG_RESOURCE_EXHAUSTED) {
            continue; /* all slots are held just now */
        }
        if (err != PRONG_OK) {
            die("reserve", prong_stream_error_text(s));
        }
        const uint64_t seed = n * UINT64_C(1000003) + (uint64_t)getpid();
        memcpy(at, &seed, WORD);
        for (size_t i = 1; i < size / WORD; i++) {
            const uint64_t w = word(seed, i);
            memcpy((char *)at + i * WORD, &w, WORD);
        }
        if (prong_stream_commit(s, NULL, NULL) != PRONG_OK) {
            die("commit", prong_stream_error_text(s));
        }
    }
}

static void
check(const prong_frame *f)
{
    uint64_t seed, has;
    if (f->bytes < WORD || f->bytes % WORD != 0 || f->shape[0] != f->bytes) {
        die("frame", "its size");
    }
    memcpy(&seed, f->data, WORD);
    for (size_t i = 1; i < f->bytes / WORD; i++) {
        memcpy(&has, (const char *)f->data + i * WORD, WORD);
        if (has != word(seed, i)) {
            die("frame", "torn");
        }
    }
}

static int
read_frames(const char *url, const char *name, const char *policy, const char *group)
{
    char why[256];
    const prong_reader_options o = {.size_bytes = sizeof o,
                                    .policy = strcmp(policy, "lossless") == 0 ? PRONG_LOSSLESS
                                                                              : PRONG_LATEST,
                                    .group = group,
                                    .timeout_ms = PRONG_FOREVER};
    prong_reader *r = NULL;
    uint64_t last = 0;
    bool told = true;
    (void)fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK); /* the test looks at it now and then only */
    const prong_err err = prong_stream_open(url, name, &o, &r, why, sizeof why);
    if (err == PRONG_RESOURCE_EXHAUSTED) {
        return 0; /* one that was killed still counts */
    }
    if (err != PRONG_OK) {
        die("open", why);
    }
    for (uint64_t n = 0;; n++) {
        const prong_frame *f;
        const prong_err got = prong_reader_next(r, PRONG_FOREVER, &f);
        if (got == PRONG_DATA_LOSS) {
            told = true;
            continue;
        }
        if (got != PRONG_OK) {
            die("next", prong_reader_error_text(r));
        }
        check(f);
        if (f->number <= last && group == NULL) {
            die("number", "not above the one before");
        }
        if (o.policy == PRONG_LOSSLESS && group == NULL && !told && f->number != last + 1) {
            fprintf(stderr, "%llu after %llu\n", (unsigned long long)f->number,
                    (unsigned long long)last);
            die("number", "frames are missing");
        }
        last = f->number;
        told = false;
        prong_frame_release(f);
        if (n % BURST == 0 && write(STDOUT_FILENO, "+", 1) < 0 && errno != EAGAIN) {
            return 0; /* the test is gone */
        }
    }
}

int
main(int argc, char *argv[])
{
    const char *url = getenv("PRONG_URL");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (url != NULL && argc == 4 && strcmp(argv[1], "write") == 0) {
        return write_frames(url, argv[2], strtoul(argv[3], NULL, 10));
    }
    if (url != NULL && argc >= 4 && strcmp(argv[1], "read") == 0) {
        return read_frames(url, argv[2], argv[3], argc > 4 ? argv[4] : NULL);
    }
    fprintf(stderr, "usage: chaos_stream write NAME BYTES | read NAME latest|lossless [GROUP]\n");
    return 2;
}
