/* Frames of 1920x1080x3 bytes from one process to others: one case for one time.
 *
 *   stream CASE [--seconds S] [--readers N]
 *
 *   memcpy      a frame into a ring of 4 slots in shared memory, and no more: the limit
 *   write       the same by prong_stream_write, into a stream of 4 slots, with N readers (latest)
 *   lossless    the same with readers that get every frame
 *   place       prong_stream_reserve and _commit, one byte of each page filled in
 *   stopped     as write, and the readers are stopped by SIGSTOP
 *   pipe, nng   the frame through a pipe, through a PAIR of libnng
 *   wake        from the commit of a frame to its reader, 250 a second, in turns with a bare
 *               eventfd, with the time in shared memory, to another reader
 *   torn        place at full speed with N readers of each policy, all bytes of a frame the same;
 *               how many frames were not
 *
 * A reader touches one byte of each page. Prints one line of JSON: frames a second, what readers
 * got, medians of latencies in us (`bare_us`: of the eventfd). bench/python/streams.py runs them in
 * turns and compares. */
#include "bench/bench.h"

#include <prong/prong.h>
#include <prong/stream.h>

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FRAME = 1920 * 1080 * 3,
    SLOTS = 4,
    PAGE = 4096,
    READERS_MAX = 8,
    WAKES_A_SECOND = 500,
    SAMPLES = 100000,
    PIPE_BYTES = 1 << 20,
};

/* What the processes of a case share. */
struct shared {
    _Atomic uint64_t got[READERS_MAX], missed[READERS_MAX], torn;
    _Atomic int ready;
    _Atomic uint64_t sent_ns;
    struct latencies {
        _Atomic uint64_t count;
        uint64_t ns[SAMPLES];
    } wakes, bare;
};

struct bench {
    const char *name, *url;
    double seconds;
    int readers;
    struct shared *shared;
    pid_t pids[2 * READERS_MAX];
    int pid_count, bell, pipe[2];
};

struct outcome {
    uint64_t frames, ns;
};

static void
must(prong_err err, const char *why)
{
    if (err != PRONG_OK) {
        bench_die(why, 0);
    }
}

static uint64_t
touch(const volatile uint8_t *data)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < FRAME; i += PAGE) {
        sum += data[i];
    }
    return sum;
}

static void
sample(struct latencies *l, uint64_t since_ns)
{
    const uint64_t n = atomic_fetch_add(&l->count, 1);
    if (n < SAMPLES) {
        l->ns[n] = bench_now_ns() - since_ns;
    }
}

/* ---- readers --------------------------------------------------------------------------------- */

static void
check_whole(struct bench *b, const uint8_t *data)
{
    if (memcmp(data, data + 1, FRAME - 1) != 0) {
        atomic_fetch_add(&b->shared->torn, 1);
    }
}

static _Noreturn void
read_stream(struct bench *b, int n, prong_read_policy policy)
{
    char why[256];
    const prong_reader_options o = {.size_bytes = sizeof o, .policy = policy, .timeout_ms = 5000};
    const bool wakes = strcmp(b->name, "wake") == 0, checks = strcmp(b->name, "torn") == 0;
    prong_reader *r = NULL;
    const prong_frame *f;
    must(prong_stream_open(b->url, "bench", &o, &r, why, sizeof why), why);
    atomic_fetch_add(&b->shared->ready, 1);
    for (;;) {
        const prong_err err = prong_reader_next(r, PRONG_FOREVER, &f);
        if (err == PRONG_DATA_LOSS) {
            continue;
        }
        must(err, prong_reader_error_text(r));
        if (wakes) {
            sample(&b->shared->wakes, (uint64_t)f->mono_ns);
        } else if (checks) {
            check_whole(b, f->data);
        } else {
            (void)touch(f->data);
        }
        atomic_fetch_add(&b->shared->got[n], 1);
        atomic_fetch_add(&b->shared->missed[n], f->missed);
        prong_frame_release(f);
    }
}

static _Noreturn void
read_other(struct bench *b)
{
    static uint8_t frame[FRAME];
    nng_socket socket;
    if (b->name[0] == 'n' &&
        (nng_pair0_open(&socket) != 0 || nng_setopt_size(socket, NNG_OPT_RECVMAXSZ, 0) != 0 ||
         nng_dial(socket, b->url, NULL, 0) != 0)) {
        bench_die("nng", 0);
    }
    atomic_fetch_add(&b->shared->ready, 1);
    for (;;) {
        uint64_t one;
        nng_msg *message;
        if (b->name[0] == 'w') {
            if (read(b->bell, &one, sizeof one) == (ssize_t)sizeof one) {
                sample(&b->shared->bare, atomic_load(&b->shared->sent_ns));
            }
            continue;
        }
        if (b->name[0] == 'n') {
            if (nng_recvmsg(socket, &message, 0) != 0) {
                _exit(1);
            }
            (void)touch(nng_msg_body(message));
            nng_msg_free(message);
        } else {
            for (size_t at = 0; at < FRAME;) {
                const ssize_t got = read(b->pipe[0], frame + at, FRAME - at);
                at += got > 0 ? (size_t)got : 0;
            }
            (void)touch(frame);
        }
        atomic_fetch_add(&b->shared->got[0], 1);
    }
}

static void
start_reader(struct bench *b, int n, int policy)
{
    const pid_t pid = bench_fork();
    if (pid == 0 && policy >= 0) {
        read_stream(b, n, (prong_read_policy)policy);
    } else if (pid == 0) {
        read_other(b);
    }
    b->pids[b->pid_count++] = pid;
}

static void
wait_ready(struct bench *b)
{
    while (atomic_load(&b->shared->ready) < b->pid_count) {
        (void)poll(NULL, 0, 1);
    }
}

/* ---- writers --------------------------------------------------------------------------------- */

static struct outcome
run_for(struct bench *b, void (*step)(struct bench *b, void *context, uint64_t n), void *context)
{
    const uint64_t begin_ns = bench_now_ns();
    const uint64_t end_ns = begin_ns + (uint64_t)(b->seconds * 1e9);
    struct outcome o = {0};
    do {
        step(b, context, o.frames++);
        o.ns = bench_now_ns();
    } while (o.ns < end_ns);
    o.ns -= begin_ns;
    return o;
}

static uint8_t source[FRAME];

static void
copy(struct bench *b, void *ring, uint64_t n)
{
    (void)b;
    memcpy((uint8_t *)ring + n % SLOTS * FRAME, source, FRAME);
}

static void
write_frame(struct bench *b, void *stream, uint64_t n)
{
    (void)b;
    (void)n;
    must(prong_stream_write(stream, source, FRAME, NULL), prong_stream_error_text(stream));
}

static void
fill_frame(struct bench *b, void *stream, uint64_t n)
{
    void *at;
    must(prong_stream_reserve(stream, FRAME, &at), prong_stream_error_text(stream));
    if (b->name[0] == 't') {
        memset(at, (int)(n & 0xff), FRAME);
    } else {
        for (size_t i = 0; i < FRAME; i += PAGE) {
            ((uint8_t *)at)[i] = (uint8_t)n;
        }
    }
    must(prong_stream_commit(stream, NULL, NULL), prong_stream_error_text(stream));
}

static void
write_now_and_then(struct bench *b, void *stream, uint64_t n)
{
    static const uint64_t one = 1;
    (void)poll(NULL, 0, 1000 / WAKES_A_SECOND);
    if (n % 2 == 0) {
        must(prong_stream_write(stream, source, PAGE, NULL), prong_stream_error_text(stream));
    } else {
        atomic_store(&b->shared->sent_ns, bench_now_ns());
        if (write(b->bell, &one, sizeof one) < 0) {
            bench_die("eventfd", 0);
        }
    }
}

static void
write_pipe(struct bench *b, void *context, uint64_t n)
{
    (void)context;
    (void)n;
    for (size_t at = 0; at < FRAME;) {
        const ssize_t sent = write(b->pipe[1], source + at, FRAME - at);
        at += sent > 0 ? (size_t)sent : 0;
    }
}

static void
write_nng(struct bench *b, void *socket, uint64_t n)
{
    nng_msg *message;
    (void)b;
    (void)n;
    if (nng_msg_alloc(&message, FRAME) != 0) {
        bench_die("nng_msg_alloc", 0);
    }
    memcpy(nng_msg_body(message), source, FRAME);
    if (nng_sendmsg(*(nng_socket *)socket, message, 0) != 0) {
        bench_die("nng_sendmsg", 0);
    }
}

/* ---- cases ----------------------------------------------------------------------------------- */

static struct outcome
case_memcpy(struct bench *b)
{
    void *ring = mmap(NULL, (size_t)SLOTS * FRAME, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ring == MAP_FAILED) {
        bench_die("mmap", 0);
    }
    memset(ring, 1, (size_t)SLOTS * FRAME);
    return run_for(b, copy, ring);
}

static struct outcome
case_stream(struct bench *b)
{
    char why[256];
    const bool is_torn = b->name[0] == 't', is_wake = b->name[0] == 'w' && b->name[1] == 'a';
    /* As many slots as the readers need beside the four. */
    const int more = b->readers * (is_torn ? 2 : 1) - (SLOTS - 2);
    const prong_stream_options o = {.size_bytes = sizeof o,
                                    .slots = SLOTS + (uint32_t)(more > 0 ? more : 0),
                                    .slot_bytes = FRAME,
                                    .patience_ms = 5000};
    prong_stream *s = NULL;
    must(prong_stream_create(b->url, "bench", &o, &s, why, sizeof why), why);
    for (int i = 0; i < b->readers; i++) {
        start_reader(b, i, b->name[0] == 'l' ? PRONG_LOSSLESS : PRONG_LATEST);
        if (is_torn) {
            start_reader(b, i, PRONG_LOSSLESS);
        }
    }
    if (is_wake) {
        b->bell = eventfd(0, EFD_CLOEXEC);
        start_reader(b, 0, -1);
    }
    wait_ready(b);
    if (strcmp(b->name, "stopped") == 0) {
        for (int i = 0; i < b->pid_count; i++) {
            (void)kill(b->pids[i], SIGSTOP);
        }
    }
    const struct outcome out = run_for(b,
                                       is_wake ? write_now_and_then
                                       : is_torn || strcmp(b->name, "place") == 0 ? fill_frame
                                                                                  : write_frame,
                                       s);
    prong_stream_free(s);
    return out;
}

static struct outcome
case_other(struct bench *b)
{
    nng_socket socket;
    if (pipe2(b->pipe, O_CLOEXEC) != 0 || fcntl(b->pipe[1], F_SETPIPE_SZ, PIPE_BYTES) < 0) {
        bench_die("pipe", 0);
    }
    if (b->name[0] == 'n') {
        /* The reader first: libnng does not live through a fork. */
        static char url[128];
        (void)snprintf(url, sizeof url, "ipc://%s.pair", b->url + strlen("ipc://"));
        b->url = url;
        const pid_t pid = bench_fork();
        if (pid == 0) {
            (void)poll(NULL, 0, 200); /* until the other end listens */
            read_other(b);
        }
        b->pids[b->pid_count++] = pid;
        if (nng_pair0_open(&socket) != 0 || nng_listen(socket, url, NULL, 0) != 0) {
            bench_die("nng", 0);
        }
        wait_ready(b);
        return run_for(b, write_nng, &socket);
    }
    start_reader(b, 0, -1);
    wait_ready(b);
    return run_for(b, write_pipe, NULL);
}

static const struct {
    const char *name;
    struct outcome (*run)(struct bench *b);
} cases[] = {
    {"memcpy", case_memcpy}, {"write", case_stream}, {"lossless", case_stream},
    {"place", case_stream},  {"torn", case_stream},  {"stopped", case_stream},
    {"wake", case_stream},   {"pipe", case_other},   {"nng", case_other},
};

static void
sort(struct samples *s, struct latencies *l)
{
    for (uint64_t i = 0; i < atomic_load(&l->count) && i < SAMPLES; i++) {
        samples_add(s, l->ns[i]);
    }
}

static void
print(struct bench *b, struct outcome o)
{
    uint64_t got = 0, missed = 0;
    struct samples wakes = {0}, bare = {0};
    for (int i = 0; i < READERS_MAX; i++) {
        got += atomic_load(&b->shared->got[i]);
        missed += atomic_load(&b->shared->missed[i]);
    }
    sort(&wakes, &b->shared->wakes);
    sort(&bare, &b->shared->bare);
    const double rate = (double)o.frames / ((double)o.ns / 1e9);
    printf("{\"case\": \"%s\", \"readers\": %d, \"frames\": %llu, \"rate\": %.1f, \"gbps\": %.2f, "
           "\"got\": %llu, \"missed\": %llu, \"torn\": %llu, \"p50_us\": %.2f, \"p99_us\": %.2f, "
           "\"bare_us\": %.2f}\n",
           b->name, b->readers, (unsigned long long)o.frames, rate, rate * FRAME / 1e9,
           (unsigned long long)got, (unsigned long long)missed,
           (unsigned long long)atomic_load(&b->shared->torn), samples_us(&wakes, 0.5),
           samples_us(&wakes, 0.99), samples_us(&bare, 0.5));
    samples_deinit(&wakes);
    samples_deinit(&bare);
}

int
main(int argc, char *argv[])
{
    struct bench b = {.seconds = 1, .readers = 1};
    struct bench_hub hub;
    size_t found = 0;
    const size_t count = sizeof cases / sizeof cases[0];
    while (argc > 1 && found < count && strcmp(cases[found].name, argv[1]) != 0) {
        found++;
    }
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0) {
            b.seconds = strtod(argv[i + 1], NULL);
        } else if (strcmp(argv[i], "--readers") == 0) {
            b.readers = (int)strtol(argv[i + 1], NULL, 10);
        }
    }
    if (argc < 2 || found == count || b.readers < 0 || b.readers > READERS_MAX || b.seconds <= 0) {
        fprintf(stderr, "usage: stream CASE [--seconds S] [--readers 0..%d]\n", (int)READERS_MAX);
        return 2;
    }
    b.name = cases[found].name;
    b.shared =
        mmap(NULL, sizeof *b.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prong_client *client = bench_hub_start_as(&hub, "workers: {}\n");
    b.url = hub.url;
    memset(source, 7, sizeof source);
    const struct outcome o = cases[found].run(&b);
    for (int i = 0; i < b.pid_count; i++) {
        (void)kill(b.pids[i], SIGKILL); /* ours */
        (void)waitpid(b.pids[i], NULL, 0);
    }
    print(&b, o);
    prong_client_free(client);
    bench_hub_stop(&hub);
    return 0;
}
