/* Whatever peers say, do or write into what was lent to them, the lender goes on, and nothing is
 * left when they are gone. Seeded, so that a failure can be repeated. */
#include "tests/support/test.h"
#include "tests/unit/shell/lender_rig.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PEERS = 40, STEPS = 4000, SEEDS = 3, MUCH = 1 << 28 };

struct peer {
    int fd; /* -1: there is none */
    uint8_t handle[LEND_HANDLE_BYTES];
};

static uint32_t
number(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % below;
}

/* Noise all over the first page of it, if it may be written to. */
static void
scribble(int fd, uint64_t *seed)
{
    uint64_t *page = mmap(NULL, RING_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        return; /* it can only be read, or is an eventfd */
    }
    for (size_t i = 0; i < RING_PAGE / sizeof *page; i++) {
        if (number(seed, 2) == 0) {
            page[i] = (uint64_t)number(seed, UINT32_MAX) << number(seed, 40);
        }
    }
    (void)munmap(page, RING_PAGE);
}

static void
read_some(struct peer *peers, struct peer *p, uint64_t *seed)
{
    struct got got;
    for (uint32_t n = number(seed, 8); n > 0; n--) {
        if (pass_receive(p->fd, &got.record, got.fds) != PASS_OK) {
            return;
        }
        if (got.record.op == LEND_BUFFER) {
            memcpy(peers[number(seed, PEERS)].handle, got.record.handle, LEND_HANDLE_BYTES);
            memcpy(p->handle, got.record.handle, LEND_HANDLE_BYTES);
        }
        for (uint32_t i = 0; i < got.record.fds; i++) {
            if (number(seed, 3) == 0) {
                scribble(got.fds[i], seed);
            }
        }
        pass_close(got.fds, got.record.fds);
    }
}

/* false when it is disconnected. */
static bool
ask_something(const struct peer *p, uint64_t *seed)
{
    static const char *const names[] = {"a", "b", "c", "", "No"};
    struct lend_record ask = {
        .version = (uint16_t)(number(seed, 200) == 0 ? 9 : LEND_VERSION),
        .op = (uint16_t)(number(seed, 100) == 0 ? number(seed, 100) : 1 + number(seed, LEND_LEAVE)),
        .slots = number(seed, 20),
        .hold = number(seed, 5),
        .policy = number(seed, 20) == 0 ? number(seed, 9) : number(seed, 2),
        .from_oldest = number(seed, 2),
        .index = number(seed, 2),
        .patience_ms = number(seed, 4) == 0 ? number(seed, 3) : 0,
        .bytes = number(seed, 10) == 0 ? (uint64_t)number(seed, UINT32_MAX) : number(seed, 90000),
    };
    (void)snprintf(ask.name, sizeof ask.name, "%s",
                   names[number(seed, 20) == 0 ? 4 : number(seed, 3)]);
    (void)snprintf(ask.group, sizeof ask.group, "%s", names[number(seed, 5)]);
    memcpy(ask.handle, p->handle, sizeof ask.handle);
    if (number(seed, 10) == 0) {
        ask.numbers[0] = (uint64_t)number(seed, UINT32_MAX) << number(seed, 33);
        ask.generation = (uint64_t)number(seed, UINT32_MAX) << number(seed, 33);
    }
    return pass_send(p->fd, &ask, NULL, 0) != PASS_GONE;
}

static void
step(struct lend_rig *r, struct peer *peers, uint64_t *seed)
{
    struct peer *p = &peers[number(seed, PEERS)];
    if (p->fd < 0) {
        p->fd = lend_rig_connect(r);
    }
    const bool is_there = ask_something(p, seed);
    if (number(seed, 3) != 0) {
        lend_rig_turn(r);
    }
    if (number(seed, 2) == 0) {
        read_some(peers, p, seed);
    }
    if (!is_there || number(seed, 12) == 0) {
        (void)close(p->fd);
        p->fd = -1;
    }
}

Test(lender_random, whatever_peers_do_nothing_is_left, .init = dir_enter, .fini = dir_leave)
{
    const char *given = getenv("PRONG_TEST_SEED");
    for (uint64_t first = given != NULL ? strtoull(given, NULL, 10) : 1, n = 0; n < SEEDS; n++) {
        struct lend_rig r;
        struct peer peers[PEERS] = {0};
        uint64_t seed = first + n;
        const uint32_t before = lend_open_fds();
        lend_rig_open(&r, MUCH);
        for (int i = 0; i < PEERS; i++) {
            peers[i].fd = -1;
        }
        for (int i = 0; i < STEPS; i++) {
            step(&r, peers, &seed);
        }
        for (int i = 0; i < PEERS; i++) {
            if (peers[i].fd >= 0) {
                (void)close(peers[i].fd);
            }
        }
        lend_rig_turn(&r);
        const int fd = lend_rig_peer(&r, (struct lend_record){.op = LEND_LIST});
        cr_expect(lend_read(fd, LEND_END).fds == 0, "seed %llu: a stream is left",
                  (unsigned long long)(first + n));
        lend_hang_up(&r, fd);
        lend_rig_close(&r);
        while (lend_open_fds() != before) { /* large memory is freed by a thread */
            (void)sched_yield();
        }
    }
}
