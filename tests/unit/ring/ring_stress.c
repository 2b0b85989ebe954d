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

enum { SEATS_MAX = 7, GROUP = 7, WRITER = 0 };

/* Who there is, by the index of its desk; 0 is the writer, which has none. */
struct seat {
    const char *name; /* NULL: nobody */
    enum ring_policy policy;
    uint32_t hold;
    bool takes_oldest; /* always the frame that the writer is about to overwrite */
};

struct setup {
    const char *name;
    uint32_t slots, slot_bytes, frames_factor;
    bool has_group;
    struct seat seats[SEATS_MAX];
};

/* All kinds of readers, with frames that take a while; the lossless ones slow the writer. */
static const struct setup all_kinds = {"all kinds of readers",
                                       12,
                                       16384,
                                       1,
                                       true,
                                       {{"writer", RING_LATEST, 0, false},
                                        {"latest", RING_LATEST, 1, false},
                                        {"lossless", RING_LOSSLESS, 1, false},
                                        {"lossless too", RING_LOSSLESS, 2, false},
                                        {"member 1", RING_MEMBER, 1, false},
                                        {"member 2", RING_MEMBER, 1, false},
                                        {"member 3", RING_MEMBER, 1, false}}};

/* Nobody slows the writer, and readers want what it wants: for the barriers. */
static const struct setup race = {"a race for small frames",
                                  4,
                                  64,
                                  100,
                                  false,
                                  {{"writer", RING_LATEST, 0, false},
                                   {"latest", RING_LATEST, 1, false},
                                   {"oldest", RING_LATEST, 1, true}}};

/* Shared by all. */
struct shared {
    const struct setup *setup;
    struct ring_desk *desks[SEATS_MAX];
    struct ring_group *group;
    struct kit_ring ring;
    uint64_t frames;
    _Atomic bool sits[SEATS_MAX]; /* what the hub tells the writer by messages */
    _Atomic bool is_over;
    _Atomic uint64_t since[SEATS_MAX]; /* the newest frame when it sat down */
    _Atomic uint64_t took[SEATS_MAX], torn[SEATS_MAX], lost[SEATS_MAX];
    unsigned char *died;          /* for each frame: how many members died with it */
    _Atomic unsigned char seen[]; /* and how often a member got it and looked at all of it */
};

/* ---- the writer ------------------------------------------------------------------------------
 */

static void
know(const struct shared *s, struct ring_writer *w)
{
    for (uint32_t i = 1; i < SEATS_MAX; i++) {
        const struct seat *seat = &s->setup->seats[i];
        w->desks[i] = (struct ring_known){.desk = atomic_load(&s->sits[i]) ? s->desks[i] : NULL,
                                          .policy = seat->policy,
                                          .hold = seat->hold};
    }
    if (s->setup->has_group) {
        w->desks[GROUP] = (struct ring_known){.desk = &s->group->desk,
                                              .policy = RING_LOSSLESS,
                                              .hold = RING_HOLD_MAX,
                                              .is_group = true};
    }
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
    const struct seat *seat = &s->setup->seats[index];
    const bool was_whole = kit_is_whole(&s->ring, taken->slot, taken->number, NULL);
    if (taken->number % 16 == 0 && s->setup == &all_kinds) {
        (void)sched_yield(); /* hold it while the others go on */
    }
    if (!was_whole || !kit_is_whole(&s->ring, taken->slot, taken->number, NULL)) {
        atomic_fetch_add(&s->torn[index], 1);
    }
    if (seat->policy == RING_MEMBER) {
        atomic_fetch_add(&s->seen[taken->number], 1);
    } else if ((taken->number <= *last && !seat->takes_oldest) ||
               (seat->policy == RING_LOSSLESS && taken->number > *last + 1 &&
                taken->number > atomic_load(&s->since[index]) + 1)) {
        atomic_fetch_add(&s->lost[index], 1);
    }
    *last = taken->number;
    atomic_fetch_add(&s->took[index], 1);
}

static int
run_reader(struct shared *s, uint32_t index)
{
    const struct seat *seat = &s->setup->seats[index];
    struct ring_reader r = {.head = s->ring.head,
                            .desk = s->desks[index],
                            .group = seat->policy == RING_MEMBER ? s->group : NULL,
                            .slots = s->setup->slots,
                            .hold = seat->hold,
                            .generation = 1,
                            .policy = seat->policy == RING_LATEST ? RING_LATEST : RING_LOSSLESS};
    uint64_t last = 0;
    for (;;) {
        struct ring_taken taken;
        const bool is_over = atomic_load(&s->is_over);
        if (is_over && seat->takes_oldest) {
            return 0; /* it would find one for ever */
        }
        switch (seat->takes_oldest ? ring_reader_nearest(&r, 0, &taken)
                                   : ring_reader_next(&r, &taken)) {
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
        const bool is_new = s->setup->seats[index].policy == RING_LOSSLESS && newest(s) != 0;
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

/* Count what a dead member had claimed. */
static void
note_death(struct shared *s, uint32_t index)
{
    const uint64_t pin = atomic_load(&s->desks[index]->pins[0]);
    if (pin != 0) {
        const uint64_t claim = atomic_load(&s->group->claims[(pin & 0xffff) - 1]);
        const bool is_its = (claim >> 8 & 0xff) == index && (claim & 0xff) <= RING_CLAIMED_AGAIN;
        s->died[claim >> 16] += is_its;
    }
}

static void
kill_one(struct shared *s, pid_t pids[SEATS_MAX], uint32_t index)
{
    const struct seat *seat = &s->setup->seats[index];
    (void)kill(pids[index], SIGKILL); /* it is our child, and not waited for yet */
    (void)waitpid(pids[index], NULL, 0);
    if (seat->policy == RING_MEMBER) {
        note_death(s, index);
        (void)ring_group_bury(s->group, s->ring.head, s->desks[index], seat->hold);
    }
    if (index != WRITER) {
        atomic_store(&s->sits[index], false);
    }
    pids[index] = start(s, index);
}

static struct shared *
make(const struct setup *setup, uint64_t frames)
{
    struct shared *s = kit_memory(sizeof *s + frames + 1);
    if (s == NULL) {
        return NULL;
    }
    s->setup = setup;
    s->frames = frames;
    s->died = kit_memory(frames + 1);
    s->ring = kit_ring_new(setup->slots, setup->slot_bytes, 1, 1);
    s->group = kit_memory(RING_PAGE);
    for (uint32_t i = 0; i < SEATS_MAX; i++) {
        s->desks[i] = kit_memory(RING_PAGE);
        if (s->desks[i] == NULL || s->died == NULL || s->group == NULL || s->ring.head == NULL) {
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
    const struct setup *setup = s->setup;
    uint64_t unseen = 0, lost = 0, again = 0, most = 0;
    int failed = 0;
    for (uint64_t n = 1; n <= s->frames && setup->has_group; n++) {
        const unsigned char times = atomic_load(&s->seen[n]);
        unseen += times == 0;
        lost += times == 0 && s->died[n] < 2;
        again += times > 1;
        most = times > most ? times : most;
    }
    for (uint32_t i = 1; i < SEATS_MAX && setup->seats[i].name != NULL; i++) {
        printf("%-14s %10llu frames, %llu torn, %llu lost or out of order\n", setup->seats[i].name,
               (unsigned long long)atomic_load(&s->took[i]),
               (unsigned long long)atomic_load(&s->torn[i]),
               (unsigned long long)atomic_load(&s->lost[i]));
        failed |= atomic_load(&s->torn[i]) != 0 || atomic_load(&s->lost[i]) != 0;
        failed |= all_kills == 0 && setup->seats[i].policy == RING_LOSSLESS &&
                  atomic_load(&s->took[i]) != s->frames;
    }
    if (setup->has_group) {
        printf("the group      %10llu frames, %llu seen twice, %llu by nobody, after %llu deaths "
               "of members\n",
               (unsigned long long)s->frames, (unsigned long long)again, (unsigned long long)unseen,
               (unsigned long long)kills);
    }
    /* A frame is seen by nobody only when two died with it, and twice when one died after looking.
     */
    failed |= most > 2 || again > kills || lost > 0;
    return failed;
}

static int
run(const struct setup *setup, uint64_t frames, uint64_t kills, uint64_t seed)
{
    frames *= setup->frames_factor;
    struct shared *s = make(setup, frames);
    uint64_t chance = seed, members = 0;
    pid_t pids[SEATS_MAX];
    uint32_t count = 0;
    int failed = 0;
    if (s == NULL) {
        perror("memory");
        return 1;
    }
    while (count < SEATS_MAX && setup->seats[count].name != NULL) {
        count++;
    }
    for (uint32_t i = count; i-- > 0;) {
        pids[i] = start(s, i); /* the writer last: so nobody misses the first frame */
    }
    for (uint64_t k = 0; k < kills; k++) {
        const uint64_t at = newest(s) + kit_random(&chance) % (2 * (frames / (kills + 1)) + 1);
        while (newest(s) < at && at + 100 < frames) {
            (void)sched_yield();
        }
        const uint32_t index = (uint32_t)(kit_random(&chance) % count);
        members += setup->seats[index].policy == RING_MEMBER;
        kill_one(s, pids, index);
    }
    for (uint32_t i = 0; i < count; i++) {
        int status = 0;
        (void)waitpid(pids[i], &status, 0); /* the writer first */
        if (status != 0) {
            printf("the %s ended with status 0x%x\n", setup->seats[i].name, (unsigned)status);
            failed = 1;
        }
        atomic_store(&s->is_over, true);
    }
    failed |= newest(s) != frames;
    failed |= judge(s, members, kills);
    printf("%s: %llu frames, %llu kills, seed %llu: %s\n\n", setup->name,
           (unsigned long long)frames, (unsigned long long)kills, (unsigned long long)seed,
           failed != 0 ? "FAILED" : "ok");
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
    return run(&all_kinds, frames, 0, seed) | run(&all_kinds, frames, kills, seed) |
           run(&race, frames, kills, seed);
}
