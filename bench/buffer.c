/* A buffer of 6 MB to another process and back to the hub: filled here, read there.
 *
 *   buffer [--rounds N] [--check]
 *
 *   kept    as programs do it: memory that came back is used again
 *   fresh   the same with prong_memory_keep(m, 0) on both sides: new memory each time
 *   memcpy  the copy alone, in memory that both have mapped
 *
 * They take turns, in rounds of 10 buffers. Prints one line of JSON: medians of the times in us of
 * one buffer, the page faults of both sides for it (the least of all rounds), and how many times as
 * much `fresh` takes. --check fails when `kept` has page faults or is no faster. */
#include "bench/bench.h"

#include <prong/prong.h>
#include <prong/stream.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES = 6 << 20, PAGE = 4096, EACH = 10, ROUNDS_MAX = 1000, HANDLE = 128, LINE = 64 };

enum kind { KEPT, FRESH, MEMCPY, WAYS };
static const char *const names[WAYS] = {"kept", "fresh", "memcpy"};

/* One side of a way. */
struct side {
    prong_memory *memory[WAYS]; /* NULL: `plain` */
    uint8_t *plain;
    int socket;
};

/* What is said for each buffer: its handle, then the page faults of who took it. */
struct note {
    uint32_t way, len;
    uint8_t handle[HANDLE];
    int64_t faults;
};

static int64_t
faults(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_minflt : 0;
}

static void
open_memory(struct side *s, const char *url)
{
    char why[200];
    for (int i = 0; i < MEMCPY; i++) {
        if (prong_memory_open(url, 0, &s->memory[i], why, sizeof why) != PRONG_OK) {
            bench_die(why, 0);
        }
    }
    prong_memory_keep(s->memory[FRESH], 0);
}

static void
read_all(const uint8_t *data)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < BYTES; i += LINE) {
        sum += data[i];
    }
    if (sum != BYTES / LINE) {
        bench_die("what came is not what was sent", 0);
    }
}

static void
serve(struct side *s)
{
    struct note note;
    while (recv(s->socket, &note, sizeof note, 0) == (ssize_t)sizeof note) {
        const int64_t before = faults();
        prong_buffer *b = NULL;
        const prong_value handle = {note.handle, note.len};
        if (note.way != MEMCPY && prong_buffer_take(s->memory[note.way], &handle, &b) != PRONG_OK) {
            bench_die("a buffer cannot be taken", 0);
        }
        read_all(b != NULL ? b->data : s->plain);
        prong_buffer_free(b);
        note.faults = faults() - before;
        if (send(s->socket, &note, sizeof note, 0) != (ssize_t)sizeof note) {
            break;
        }
    }
    _exit(0);
}

/* One buffer there and back; the page faults. */
static int64_t
pass(struct side *s, enum kind way, prong_writer *w, const uint8_t *source)
{
    struct note note = {.way = (uint32_t)way};
    const int64_t before = faults();
    prong_buffer *b = NULL;
    prong_value handle = {NULL, 0};
    if (way != MEMCPY) {
        prong_writer_reset(w);
        if (prong_buffer_new(s->memory[way], BYTES, NULL, &b) != PRONG_OK) {
            bench_die("no buffer", 0);
        }
        prong_writer_buffer(w, b);
        if (prong_writer_finish(w, &handle) != PRONG_OK || handle.len > HANDLE) {
            bench_die("no handle", 0);
        }
        memcpy(note.handle, handle.data, handle.len);
        note.len = (uint32_t)handle.len;
    }
    memcpy(b != NULL ? b->data : s->plain, source, BYTES);
    if (send(s->socket, &note, sizeof note, 0) != (ssize_t)sizeof note ||
        recv(s->socket, &note, sizeof note, 0) != (ssize_t)sizeof note) {
        bench_die("the other process is gone", 0);
    }
    prong_buffer_free(b);
    return faults() - before + note.faults;
}

/* The ways in turns; times and page faults of a buffer, the least of all rounds. */
static void
measure(struct side *s, size_t rounds, double us[WAYS][ROUNDS_MAX], int64_t least[WAYS])
{
    uint8_t *source = malloc(BYTES);
    prong_writer *w = prong_writer_new();
    if (source == NULL || w == NULL) {
        bench_die("out of memory", 0);
    }
    memset(source, 1, BYTES);
    for (size_t round = 0; round <= rounds; round++) { /* the first one is to warm up */
        for (int way = 0; way < WAYS; way++) {
            const uint64_t begin_ns = bench_now_ns();
            int64_t sum = 0;
            for (int i = 0; i < EACH; i++) {
                sum += pass(s, (enum kind)way, w, source);
            }
            us[way][round > 0 ? round - 1 : 0] = (double)(bench_now_ns() - begin_ns) / 1e3 / EACH;
            least[way] = round > 0 && sum / EACH < least[way] ? sum / EACH : least[way];
        }
    }
    prong_writer_free(w);
    free(source);
}

static int
tell(double us[WAYS][ROUNDS_MAX], size_t rounds, const int64_t least[WAYS], bool checks)
{
    double ratios[ROUNDS_MAX], medians[WAYS];
    for (size_t i = 0; i < rounds; i++) {
        ratios[i] = us[FRESH][i] / us[KEPT][i];
    }
    const double ratio = bench_median(ratios, rounds);
    for (int way = 0; way < WAYS; way++) {
        medians[way] = bench_median(us[way], rounds);
    }
    printf("{");
    for (int way = 0; way < WAYS; way++) {
        printf("\"%s_us\": %.0f, \"%s_faults\": %lld, ", names[way], medians[way], names[way],
               (long long)least[way]);
    }
    printf("\"fresh_to_kept\": %.2f}\n", ratio);
    if (checks && (least[KEPT] >= BYTES / PAGE / 10 || ratio < 1)) {
        fputs("memory that came back is no better than new memory\n", stderr);
        return 1;
    }
    return 0;
}

int
main(int argc, char **argv)
{
    static double us[WAYS][ROUNDS_MAX];
    int64_t least[WAYS] = {INT64_MAX, INT64_MAX, INT64_MAX};
    struct bench_hub hub;
    struct side side = {0};
    int sockets[2];
    size_t rounds = 30;
    const bool checks = argc > 1 && strcmp(argv[1], "--check") == 0;
    if (argc > 2 && strcmp(argv[1], "--rounds") == 0) {
        rounds = strtoul(argv[2], NULL, 10);
    }
    rounds = checks ? 10 : rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    prong_client *client = bench_hub_start_as(&hub, "workers: {}\n");
    side.plain = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (side.plain == MAP_FAILED ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        bench_die("memory or descriptors are out", 0);
    }
    if (bench_fork() == 0) {
        side.socket = sockets[1];
        (void)close(sockets[0]);
        open_memory(&side, hub.url);
        serve(&side);
    }
    (void)close(sockets[1]);
    side.socket = sockets[0];
    open_memory(&side, hub.url);
    measure(&side, rounds, us, least);
    (void)close(side.socket);
    for (int i = 0; i < MEMCPY; i++) {
        prong_memory_free(side.memory[i]);
    }
    prong_client_free(client);
    bench_hub_stop(&hub);
    return tell(us, rounds, least, checks);
}
