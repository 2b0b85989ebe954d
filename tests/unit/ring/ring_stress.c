/* A ring under load: processes that write and read as fast as they can, on shared memory, and are
 * killed at any moment; this process is their hub. It takes about a second by default.
 *
 *     ring_stress [FRAMES [KILLS [SEED]]]      as ring_stress 5000000 10000
 *
 * Every frame is made of its number and has a checksum, and every reader looks at all of it, when
 * it has taken it and again before it lets go. Without a kill each lossless reader has to get each
 * frame and a group each frame once; with kills nobody else may lose one, and what a dead member
 * had is seen once more. Bounded in frames, not in time. Exit code 0 when all of that was so. */
#include "tests/support/procs.h"
#include "tests/unit/ring/kit.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLOTS = 9, SLOT_BYTES = 16384, GROUP = 7, WRITER = 0 };

/* Who there is, by the index of its desk; 0 is the writer, which has none. */
static const struct seat {
    const char *name;
    enum ring_policy policy;
    uint32_t hold;
} seats[GROUP] = {
    {"writer", RING_LATEST, 0},     {"latest", RING_LATEST, 1},
    {"lossless", RING_LOSSLESS, 1}, {"lossless too", RING_LOSSLESS, 2},
    {"member 1", RING_MEMBER, 1},   {"member 2", RING_MEMBER, 1},
    {"member 3", RING_MEMBER, 1},
};

/* Shared by all. */
struct shared {
    struct ring_desk *desks[GROUP];
    struct ring_group *group;
    struct kit_ring ring;
    uint64_t frames;
    _Atomic bool sits[GROUP + 1]; /* what the hub tells the writer by messages */
    _Atomic bool is_over;
    _Atomic uint64_t since[GROUP]; /* the newest frame when it sat down */
    _Atomic uint64_t took[GROUP], torn[GROUP], lost[GROUP];
    _Atomic unsigned char seen[]; /* per frame: how often a member got it and looked at all of it */
};

/* ---- the writer ------------------------------------------------------------------------------
 */

static void
know(const struct shared *s, struct ring_writer *w)
{
    for (uint32_t i = 1; i < GROUP; i++) {
        w->desks[i] = (struct ring_known){.desk = atomic_load(&s->sits[i]) ? s->desks[i] : NULL,
                                          .policy = seats[i].policy,
                                          .hold = seats[i].hold};
    }
    w->desks[GROUP] = (struct ring_known){
        .desk = &s->group->desk, .policy = RING_LOSSLESS, .hold = RING_HOLD_MAX, .is_group = true};
}

static int
run_writer(struct shared *s)
{
    struct ring_writer w;
    uint64_t blockers;
    ring_writer_init(&w, s->ring.head);
    know(s, &w);
    while (w.number < s->frames) {
        const int slot = ring_writer_mark(&w, &blockers);
        know(s, &w);
        if (slot == RING_NO_SLOT) {
            (void)sched_yield(); /* cannot fail */
        } else if (ring_writer_confirm(&w, slot)) {
            kit_fill(&s->ring, (uint32_t)slot, w.number + 1, NULL);
            (void)ring_writer_publish(&w, slot, kit_bytes(&s->ring, w.number + 1));
        }
    }
    return 0;
}

/* ---- readers ---------------------------------------------------------------------------------
 */

static void
look(struct shared *s, uint32_t index, const struct ring_taken *taken, uint64_t *last)
{
    const bool was_whole = kit_is_whole(&s->ring, taken->slot, taken->number, NULL);
    if (taken->number % 16 == 0) {
        (void)sched_yield(); /* hold it while the others go on */
    }
    if (!was_whole || !kit_is_whole(&s->ring, taken->slot, taken->number, NULL)) {
        atomic_fetch_add(&s->torn[index], 1);
    }
    if (seats[index].policy == RING_MEMBER) {
        atomic_fetch_add(&s->seen[taken->number], 1);
    } else if (taken->number <= *last ||
               (seats[index].policy == RING_LOSSLESS && taken->number > *last + 1 &&
                taken->number > atomic_load(&s->since[index]) + 1)) {
        atomic_fetch_add(&s->lost[index], 1);
    }
    *last = taken->number;
    atomic_fetch_add(&s->took[index], 1);
}

static int
run_reader(struct shared *s, uint32_t index)
{
    struct ring_reader r = {.head = s->ring.head,
                            .desk = s->desks[index],
                            .group = seats[index].policy == RING_MEMBER ? s->group : NULL,
                            .slots = SLOTS,
                            .hold = seats[index].hold,
                            .generation = 1,
                            .policy = index == 1 ? RING_LATEST : RING_LOSSLESS};
    uint64_t last = 0;
    for (;;) {
        struct ring_taken taken;
        const bool is_over = atomic_load(&s->is_over);
        switch (ring_reader_next(&r, &taken)) {
        case RING_TAKEN:
            look(s, index, &taken, &last);
            (void)ring_reader_release(&r, &taken); /* the writer looks by itself */
            break;
        case RING_NOTHING:
            if (is_over) {
                return 0;
            }
            (void)sched_yield();
            break;
        case RING_FULL:
        case RING_LOST:
            return 1;
        }
    }
}

/* ---- the hub ---------------------------------------------------------------------------------
 */

static uint64_t
newest(const struct shared *s)
{
    return atomic_load(&s->ring.head->newest) >> 8;
}

static pid_t
start(struct shared *s, uint32_t index)
{
    const pid_t parent = getpid();
    if (index != WRITER) {
        const bool is_new = seats[index].policy == RING_LOSSLESS && newest(s) != 0;
        kit_desk_begin(s->desks[index], index, s->ring.head, is_new ? newest(s) + 1 : 0);
        atomic_store(&s->sits[index], true);
        atomic_store(&s->since[index], newest(s));
    }
    const pid_t pid = fork();
    if (pid == 0) {
        procs_die_with(parent);
        _exit(index == WRITER ? run_writer(s) : run_reader(s, index));
    }
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    return pid;
}

static void
kill_one(struct shared *s, pid_t pids[GROUP], uint32_t index)
{
    (void)kill(pids[index], SIGKILL); /* it is our child, and not waited for yet */
    (void)waitpid(pids[index], NULL, 0);
    if (seats[index].policy == RING_MEMBER) {
        (void)ring_group_bury(s->group, s->ring.head, s->desks[index], seats[index].hold);
    }
    if (index != WRITER) {
        atomic_store(&s->sits[index], false);
    }
    pids[index] = start(s, index);
}

static struct shared *
make(uint64_t frames)
{
    struct shared *s = kit_memory(sizeof *s + frames + 1);
    if (s == NULL) {
        return NULL;
    }
    s->frames = frames;
    s->ring = kit_ring_new(SLOTS, SLOT_BYTES, 1, 1);
    s->group = kit_memory(RING_PAGE);
    for (uint32_t i = 0; i < GROUP; i++) {
        s->desks[i] = kit_memory(RING_PAGE);
        if (s->desks[i] == NULL || s->group == NULL || s->ring.head == NULL) {
            return NULL;
        }
    }
    kit_desk_begin(&s->group->desk, GROUP, s->ring.head, 1);
    return s;
}

/* What the promises allow; `kills` of members. */
static int
judge(const struct shared *s, uint64_t kills, uint64_t all_kills)
{
    uint64_t unseen = 0, again = 0, most = 0;
    int failed = 0;
    for (uint64_t n = 1; n <= s->frames; n++) {
        const unsigned char times = atomic_load(&s->seen[n]);
        unseen += times == 0;
        again += times > 1;
        most = times > most ? times : most;
    }
    for (uint32_t i = 1; i < GROUP; i++) {
        printf("%-14s %10llu frames, %llu torn, %llu lost or out of order\n", seats[i].name,
               (unsigned long long)atomic_load(&s->took[i]),
               (unsigned long long)atomic_load(&s->torn[i]),
               (unsigned long long)atomic_load(&s->lost[i]));
        failed |= atomic_load(&s->torn[i]) != 0 || atomic_load(&s->lost[i]) != 0;
        failed |= all_kills == 0 && seats[i].policy == RING_LOSSLESS &&
                  atomic_load(&s->took[i]) != s->frames;
    }
    printf("the group      %10llu frames, %llu seen twice, %llu by nobody, after %llu deaths of "
           "members\n",
           (unsigned long long)s->frames, (unsigned long long)again, (unsigned long long)unseen,
           (unsigned long long)kills);
    /* A frame is seen by nobody when two died with it, and twice when one died after looking. */
    failed |= most > 2 || again > kills || unseen > kills / 2;
    return failed;
}

static int
run(uint64_t frames, uint64_t kills, uint64_t seed)
{
    struct shared *s = make(frames);
    uint64_t chance = seed;
    pid_t pids[GROUP];
    uint64_t members = 0;
    int failed = 0;
    if (s == NULL) {
        perror("memory");
        return 1;
    }
    for (uint32_t i = GROUP; i-- > 0;) {
        pids[i] = start(s, i); /* the writer last: so nobody misses the first frame */
    }
    for (uint64_t k = 0; k < kills; k++) {
        const uint64_t at = newest(s) + kit_random(&chance) % (2 * (frames / (kills + 1)) + 1);
        while (newest(s) < at && at + 100 < frames) {
            (void)sched_yield();
        }
        const uint32_t index = (uint32_t)(kit_random(&chance) % GROUP);
        members += seats[index].policy == RING_MEMBER;
        kill_one(s, pids, index);
    }
    for (uint32_t i = 0; i < GROUP; i++) {
        int status = 0;
        (void)waitpid(pids[i], &status, 0); /* the writer first */
        if (status != 0) {
            printf("the %s ended with status 0x%x\n", seats[i].name, (unsigned)status);
            failed = 1;
        }
        atomic_store(&s->is_over, true);
    }
    failed |= newest(s) != frames;
    failed |= judge(s, members, kills);
    printf("%llu frames, %llu kills, seed %llu: %s\n", (unsigned long long)frames,
           (unsigned long long)kills, (unsigned long long)seed, failed != 0 ? "FAILED" : "ok");
    return failed;
}

static uint64_t
argument(int argc, char **argv, int i, uint64_t otherwise)
{
    return i < argc ? strtoull(argv[i], NULL, 10) : otherwise;
}

int
main(int argc, char **argv)
{
    const uint64_t frames = argument(argc, argv, 1, 1500), kills = argument(argc, argv, 2, 30);
    const uint64_t seed = argument(argc, argv, 3, 1);
    setvbuf(stdout, NULL, _IOLBF, 0); /* a child has nothing to write once more */
    if (frames < 200 || seed == 0) {
        fprintf(stderr, "usage: ring_stress [FRAMES >= 200 [KILLS [SEED > 0]]]\n");
        return 2;
    }
    return run(frames, 0, seed) | (kills > 0 ? run(frames, kills, seed) : 0);
}
