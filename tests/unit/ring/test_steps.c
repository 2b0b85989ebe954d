/* The steps of a writer and its readers in many orders, and a death at each of them.
 *
 * ring.c is compiled into this program with a hook at each of its steps. Writer, readers and hub
 * are actors, each on a stack of its own, all in one thread; at a hook the seeded schedule may let
 * another one go on, and the one that is to die never comes back. So a run is the same each time,
 * and a failure says by which numbers it is had again.
 *
 * What is not tried here is what processors do to the order of memory: see ring_stress.c. */
#include "tests/unit/ring/kit.h"

#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "tests/support/test.h"

enum {
    SLOT_BYTES = 64, /* eight words, with a hook between any two */
    STACK_BYTES = 256 * 1024,
    FRAMES = 14,
    ACTORS_MAX = 10,
    MEMBERS_FIRST = 3, /* of two */
    RECORDS_MAX = 32,
    STEPS_MAX = 4 * 1000 * 1000,
    GROUP = 9,
    INDEX_MAX = 10,
    NOBODY = -1,
};

enum role { WRITER, LATEST, LOSSLESS, MEMBER, HUB };

struct actor {
    ucontext_t context;
    char *stack;
    enum role role;
    bool is_alive, is_ended, is_blocked;
    uint32_t index; /* of its desk; a hub's: the actor that died */
    uint32_t writes;
    struct ring_reader reader;
    uint64_t since;    /* the newest frame when it was told of its desk */
    uint64_t last;     /* frame that it took last */
    uint64_t holds[2]; /* frames */
};

/* From the hub to the writer: who reads (a desk), or does no longer (none). */
struct record {
    uint32_t index;
    struct ring_known known;
};

struct world {
    struct kit_ring ring;
    struct ring_desk *desks[INDEX_MAX];
    struct ring_group *group;
    struct ring_writer writer;
    bool is_room; /* the writer's bell */
    struct record records[RECORDS_MAX];
    uint32_t sent, received;
    struct actor actors[ACTORS_MAX];
    uint32_t count;
    /* The schedule. */
    ucontext_t scheduler;
    int current, victim;
    uint32_t dies_at; /* its n-th step that others see; 0: never */
    uint64_t seed, steps, run_length;
    bool gives_up;   /* the writer may run out of patience */
    bool dies_again; /* a member dies, too, some time after the first death */
    bool is_tight;   /* no slot but those that are needed */
    enum ring_policy policy;
    /* What came of it. */
    uint32_t deaths, given_up;
    uint32_t taken[FRAMES + 2]; /* times that the group got it */
    int taker[FRAMES + 2];
    const char *wrong;
};

/* The hook knows of no world. */
static struct world *now;

static void
wrong(const char *what)
{
    now->wrong = now->wrong != NULL ? now->wrong : what;
}

/* ---- the schedule ----------------------------------------------------------------------------
 */

static void
leave(void)
{
    struct actor *me = &now->actors[now->current];
    (void)swapcontext(&me->context, &now->scheduler); /* fails for want of a stack, which it has */
}

void steps_pause(bool writes);

void
steps_pause(bool writes)
{
    if (now == NULL || now->current == NOBODY) {
        return;
    }
    struct actor *me = &now->actors[now->current];
    now->steps++;
    me->writes += writes;
    if (writes && now->current == now->victim && me->writes == now->dies_at) {
        me->is_alive = false;
        leave();
    }
    if (now->run_length-- == 0) {
        leave();
    }
}

static void
between_words(void)
{
    steps_pause(false);
}

/* Until another one sets is_blocked to false. */
static void
block(void)
{
    now->actors[now->current].is_blocked = true;
    leave();
}

/* Mostly a step or two, sometimes very many, so that one passes all others. */
static uint64_t
any_length(void)
{
    static const uint64_t max[] = {1, 3, 3, 20, 20, 100, 1000, 5000};
    return kit_random(&now->seed) % max[kit_random(&now->seed) % 8];
}

static bool
is_runnable(const struct actor *a)
{
    return a->is_alive && !a->is_ended && !a->is_blocked;
}

static int
any_actor(void)
{
    int found = NOBODY;
    uint64_t of = 0;
    bool hub_is_busy = false;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct actor *a = &now->actors[i];
        if (a->role == HUB && hub_is_busy) {
            continue; /* there is only one: one death after another */
        }
        hub_is_busy = hub_is_busy || (a->role == HUB && !a->is_ended);
        if (is_runnable(a) && kit_random(&now->seed) % ++of == 0) {
            found = (int)i;
        }
    }
    return found;
}

static void
add_actor(enum role role, uint32_t index, void (*body)(void))
{
    struct actor *a = &now->actors[now->count++];
    *a = (struct actor){.role = role, .is_alive = true, .index = index};
    a->stack = malloc(STACK_BYTES);
    if (a->stack == NULL || getcontext(&a->context) != 0) {
        abort();
    }
    a->context.uc_stack.ss_sp = a->stack;
    a->context.uc_stack.ss_size = STACK_BYTES;
    a->context.uc_link = &now->scheduler;
    makecontext(&a->context, body, 0);
}

static struct actor *
me(void)
{
    return &now->actors[now->current];
}

/* ---- the writer ------------------------------------------------------------------------------
 */

/* How many. */
static uint32_t
take_records(void)
{
    const uint32_t before = now->received;
    while (now->received < now->sent) {
        const struct record *record = &now->records[now->received++];
        now->writer.desks[record->index] = record->known;
    }
    return now->received - before;
}

static void
give_up(uint64_t blockers)
{
    for (uint32_t i = 0; i < INDEX_MAX; i++) {
        if ((blockers >> i & 1) != 0 && now->writer.desks[i].desk != NULL) {
            ring_writer_drop(&now->writer, i);
            now->given_up++;
        }
    }
}

/* As client/stream/writer.c. */
static int
find_slot(void)
{
    bool wants = false;
    for (;;) {
        uint64_t blockers;
        const int slot = ring_writer_mark(&now->writer, &blockers);
        const uint32_t news = take_records();
        if (slot != RING_NO_SLOT && ring_writer_confirm(&now->writer, slot)) {
            if (wants) {
                atomic_store(&now->ring.head->wants_room, 0);
            }
            return slot;
        }
        if (slot != RING_NO_SLOT || blockers == 0 || news > 0) {
            continue; /* it was held just now; or who is to blame has left just now */
        }
        if (!wants) {
            steps_pause(true);
            atomic_store(&now->ring.head->wants_room, 1);
            wants = true;
        } else if (now->is_room || now->received < now->sent) {
            now->is_room = false; /* poll would not wait */
        } else if (now->gives_up && kit_random(&now->seed) % 4 == 0) {
            give_up(blockers);
        } else {
            block();
        }
    }
}

static void
ring_bells(void)
{
    for (uint32_t i = 0; i < now->count; i++) {
        struct actor *a = &now->actors[i];
        if (a->reader.desk != NULL && ring_desk_is_waiting(a->reader.desk)) {
            a->is_blocked = false;
        }
    }
}

static void
write_frames(void)
{
    ring_writer_init(&now->writer, now->ring.head);
    (void)take_records(); /* it knows all desks before it looks for a slot */
    while (now->writer.number < FRAMES) {
        const int slot = find_slot();
        kit_fill(&now->ring, (uint32_t)slot, now->writer.number + 1, between_words);
        (void)ring_writer_publish(&now->writer, slot, 1);
        ring_bells();
    }
    me()->is_ended = true;
}

/* ---- readers ---------------------------------------------------------------------------------
 */

static void
let_go(const struct ring_taken *taken)
{
    if (!kit_is_whole(&now->ring, taken->slot, taken->number, between_words)) {
        wrong("what was held has changed");
    }
    if (ring_reader_release(&me()->reader, taken)) {
        now->is_room = true;
        for (uint32_t i = 0; i < now->count; i++) {
            if (now->actors[i].role == WRITER) {
                now->actors[i].is_blocked = false;
            }
        }
    }
}

static void
note_taken(const struct ring_taken *taken)
{
    struct actor *a = me();
    const uint64_t n = taken->number;
    if (n == 0 || n > FRAMES) {
        wrong("a frame that there never was");
        return;
    }
    /* What was there before it came may be gone before the writer knows of it. */
    if (a->role == LOSSLESS && a->last != 0 && n > a->last + 1 && n > a->since + 1 &&
        now->given_up == 0) {
        wrong("a lossless reader missed a frame");
    }
    if (a->role != MEMBER && n <= a->last) {
        wrong("a frame came twice, or too late");
    }
    a->last = n;
    if (a->role == MEMBER) {
        if (now->taken[n] != 0 && now->actors[now->taker[n]].is_alive) {
            wrong("two members of a group got one frame");
        }
        now->taken[n]++;
        now->taker[n] = now->current;
    }
}

static void
look_for_another(void)
{
    struct ring_taken other;
    const uint64_t number = kit_random(&now->seed) % (FRAMES + 2);
    const bool by_time = kit_random(&now->seed) % 2 == 0;
    const enum ring_result result =
        by_time ? ring_reader_nearest(&me()->reader, (int64_t)number * 1000, &other)
                : ring_reader_number(&me()->reader, number, &other);
    if (result == RING_TAKEN) {
        if (!by_time && other.number != number) {
            wrong("not the frame that was asked for");
        }
        let_go(&other);
    }
}

/* For ever; the run is over when nobody has anything to do. */
static void
read_frames(void)
{
    struct ring_reader *r = &me()->reader;
    struct ring_taken taken;
    bool waits = false;
    for (;;) {
        switch (ring_reader_next(r, &taken)) {
        case RING_TAKEN:
            note_taken(&taken);
            if (!kit_is_whole(&now->ring, taken.slot, taken.number, between_words)) {
                wrong("a torn frame");
            }
            if (me()->role == LATEST && r->hold > 1) {
                look_for_another();
            }
            let_go(&taken);
            break;
        case RING_LOST:
            if (now->given_up == 0) {
                wrong("lost, but not given up");
            }
            break;
        case RING_FULL:
            wrong("it holds more than it took");
            break;
        case RING_NOTHING:
            if (!waits) {
                waits = true;
                ring_reader_wait(r, true);
                continue;
            }
            block();
            break;
        }
        if (waits) {
            waits = false;
            ring_reader_wait(r, false);
        }
    }
}

/* ---- the hub ---------------------------------------------------------------------------------
 */

static void
tell_writer(uint32_t index, struct ring_known known)
{
    now->records[now->sent++] = (struct record){index, known};
    for (uint32_t i = 0; i < now->count; i++) {
        now->actors[i].is_blocked = now->actors[i].is_blocked && now->actors[i].role != WRITER;
    }
}

/* LEND_LOOK */
static void
wake_readers(void)
{
    for (uint32_t i = 0; i < now->count; i++) {
        now->actors[i].is_blocked = now->actors[i].is_blocked && now->actors[i].role == WRITER;
    }
}

/* A reader sits down: the writer is told first. */
static void
sit_down(enum role role, uint32_t index, uint32_t hold)
{
    struct ring_desk *desk = now->desks[index];
    const uint64_t newest = atomic_load(&now->ring.head->newest) >> 8;
    const enum ring_policy policy = role == MEMBER     ? now->policy
                                    : role == LOSSLESS ? RING_LOSSLESS
                                                       : RING_LATEST;
    kit_desk_begin(desk, index, now->ring.head, role == LOSSLESS ? newest + 1 : 0);
    steps_pause(true);
    tell_writer(index, (struct ring_known){.desk = desk,
                                           .policy = role == MEMBER ? RING_MEMBER : policy,
                                           .hold = hold});
    add_actor(role, index, read_frames);
    now->actors[now->count - 1].since = atomic_load(&now->ring.head->newest) >> 8;
    now->actors[now->count - 1].reader = (struct ring_reader){
        .head = now->ring.head,
        .desk = desk,
        .group = role == MEMBER ? now->group : NULL,
        .slots = now->ring.slots,
        .hold = hold,
        .generation = 1,
        .policy = policy,
    };
}

/* After a death: what the hub does then, and another one comes in the dead one's place. */
static void
clean_up(void)
{
    const struct actor *dead = &now->actors[me()->index];
    if (dead->role == WRITER) {
        /* LEND_CREATE: the new one is told of all desks, and has no messages of the old one's. */
        (void)take_records();
        struct ring_known desks[RING_READERS_MAX];
        memcpy(desks, now->writer.desks, sizeof desks);
        for (uint32_t i = 0; i < INDEX_MAX; i++) {
            if (desks[i].desk != NULL) {
                tell_writer(i, desks[i]);
            }
        }
        add_actor(WRITER, 0, write_frames);
        wake_readers(); /* it may have died between showing a frame and ringing for it */
    } else {
        const uint32_t index = dead->index;
        if (dead->role == MEMBER) {
            (void)ring_group_bury(now->group, now->ring.head, now->desks[index], dead->reader.hold);
        }
        tell_writer(index, (struct ring_known){0});
        wake_readers(); /* there may be offered frames */
        /* The page that the dead one had goes once nobody maps it; another one has its index. */
        sit_down(dead->role, index + 4, dead->reader.hold);
    }
    me()->is_ended = true;
}

/* ---- a run -----------------------------------------------------------------------------------
 */

/* Whom a run lets die. */
enum { VICTIM_WRITER = 0, VICTIM_LATEST, VICTIM_LOSSLESS, VICTIM_MEMBER, VICTIMS = 5 };

static void
begin(struct world *w, uint64_t seed)
{
    w->seed = seed * 7919 + 1;
    w->current = NOBODY;
    for (int i = 0; i < 8; i++) {
        (void)kit_random(&w->seed);
    }
    w->is_tight = kit_random(&w->seed) % 2 == 0;
    w->dies_again = kit_random(&w->seed) % 2 == 0;
    w->gives_up = kit_random(&w->seed) % 4 == 0;
    w->policy = kit_random(&w->seed) % 4 == 0 ? RING_LATEST : RING_LOSSLESS;
    const uint32_t hold = 1 + kit_random(&w->seed) % 2;
    const uint32_t slots = hold + 3 + 2 + (w->is_tight ? 0 : 1 + kit_random(&w->seed) % 2);
    w->ring = kit_ring_new(slots, SLOT_BYTES, 1, 1);
    w->group = kit_memory(RING_PAGE);
    for (int i = 0; i < INDEX_MAX; i++) {
        w->desks[i] = kit_memory(RING_PAGE);
        if (w->desks[i] == NULL || w->group == NULL || w->ring.head == NULL) {
            abort();
        }
    }
    add_actor(WRITER, 0, write_frames);
    kit_desk_begin(&w->group->desk, GROUP, w->ring.head, w->policy == RING_LOSSLESS ? 1 : 0);
    tell_writer(GROUP,
                (struct ring_known){
                    .desk = &w->group->desk, .policy = w->policy, .hold = 2, .is_group = true});
    sit_down(LATEST, 1, hold);
    sit_down(LOSSLESS, 2, 1);
    sit_down(MEMBER, 3, 1);
    sit_down(MEMBER, 4, 1);
}

static void
end(struct world *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        free(w->actors[i].stack);
    }
    for (int i = 0; i < INDEX_MAX; i++) {
        kit_memory_free(w->desks[i], RING_PAGE);
    }
    kit_memory_free(w->group, RING_PAGE);
    kit_ring_free(&w->ring);
    now = NULL;
}

/* Nobody has anything to do any more: all that was promised is there. */
static void
judge(const struct world *w)
{
    uint32_t lost = 0, twice = 0;
    if (atomic_load(&w->ring.head->newest) >> 8 != FRAMES) {
        wrong("the writer stands still");
    }
    for (uint32_t i = 0; i < w->count; i++) {
        const struct actor *a = &w->actors[i];
        if (a->is_alive && (a->role == LATEST || a->role == LOSSLESS) && a->last != FRAMES &&
            !(a->last == 0 && atomic_load(&a->reader.desk->next) > FRAMES)) {
            wrong("a reader sleeps before the last frame");
        }
    }
    for (uint32_t n = 1; n <= FRAMES; n++) {
        lost += w->taken[n] == 0;
        twice += w->taken[n] == 2;
        if (w->taken[n] > 2) {
            wrong("a frame was offered more than once");
        }
    }
    if (twice > w->deaths) {
        wrong("more was offered than dead ones held");
    }
    /* When two members died with it, or when what is offered had to make way in a tight ring. */
    const uint32_t may_be_lost = w->is_tight ? w->deaths : w->deaths / 2;
    if (w->policy == RING_LOSSLESS && w->given_up == 0 && lost > may_be_lost) {
        wrong("a frame got lost for the group");
    }
    if (w->taken[FRAMES] == 0 && w->deaths == 0) {
        wrong("the group sleeps before the last frame");
    }
}

/* The hub has to see to it; then another one may be the next. */
static void
note_death(struct world *w)
{
    w->deaths++;
    add_actor(HUB, (uint32_t)w->victim, clean_up);
    struct actor *member = &w->actors[MEMBERS_FIRST + (int)(kit_random(&w->seed) % 2)];
    w->victim = NOBODY;
    if (w->dies_again && w->deaths == 1 && member->is_alive) {
        w->victim = (int)(member - w->actors);
        w->dies_at = member->writes + 1 + (uint32_t)(kit_random(&w->seed) % 20);
    }
}

/* False when the victim lived: it makes fewer steps. */
static bool
run(uint64_t seed, int victim, uint32_t dies_at, const char **what)
{
    struct world *w = calloc(1, sizeof *w);
    if (w == NULL) {
        abort();
    }
    now = w;
    begin(w, seed);
    w->victim = victim;
    w->dies_at = dies_at;
    while (w->wrong == NULL) {
        const int next = any_actor();
        if (next == NOBODY) {
            judge(w);
            break;
        }
        if (w->steps > STEPS_MAX) {
            wrong("it does not end");
            break;
        }
        w->current = next;
        w->run_length = any_length();
        (void)swapcontext(&w->scheduler, &w->actors[next].context); /* it has a stack */
        w->current = NOBODY;
        if (!w->actors[next].is_alive) {
            note_death(w);
        }
    }
    *what = w->wrong;
    const bool died = w->deaths > 0;
    end(w);
    free(w);
    return died;
}

/* How many schedules; PRONG_RING_SEEDS asks for more of them. */
static uint64_t
seeds(uint64_t few)
{
    const char *text = getenv("PRONG_RING_SEEDS");
    const uint64_t asked = text != NULL ? strtoull(text, NULL, 10) : 0;
    return asked != 0 ? asked : few;
}

Test(ring_steps, in_any_order_all_get_what_they_were_promised)
{
    const uint64_t count = seeds(1500);
    for (uint64_t seed = 1; seed <= count; seed++) {
        const char *what;
        (void)run(seed, NOBODY, 0, &what);
        cr_assert(what == NULL, "seed %d: %s", (int)seed, what);
    }
}

Test(ring_steps, a_death_at_any_step_costs_nobody_else_anything)
{
    const uint64_t count = seeds(10);
    uint64_t deaths = 0;
    for (uint64_t seed = 1; seed <= count; seed++) {
        for (int victim = 0; victim < VICTIMS; victim++) {
            const char *what;
            uint32_t dies_at = 1;
            while (run(seed, victim, dies_at, &what)) {
                cr_assert(what == NULL, "seed %d, %d dies at step %d: %s", (int)seed, victim,
                          (int)dies_at, what);
                dies_at++;
            }
            cr_assert(what == NULL, "seed %d: %s", (int)seed, what);
            deaths += dies_at - 1;
        }
    }
    cr_assert(deaths > 100 * count, "only %d deaths", (int)deaths);
}
