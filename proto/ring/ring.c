/* The steps of a stream's writer and readers: see ring.h. */
#include "proto/ring/ring.h"

_Static_assert(sizeof(struct ring_head) <= RING_PAGE, "the head is one page");
_Static_assert(sizeof(struct ring_desk) <= RING_PAGE, "a desk is one page");
_Static_assert(sizeof(struct ring_group) <= RING_PAGE, "a group is one page");
_Static_assert(sizeof(struct ring_frame) <= 2 * RING_META_BYTES, "what is known of a frame");
_Static_assert(offsetof(struct ring_head, newest) == 48, "version 1");
_Static_assert(offsetof(struct ring_head, dropped) == 88, "version 1");
_Static_assert(offsetof(struct ring_head, number) == 344, "version 1");
_Static_assert(offsetof(struct ring_frame, meta) == 128, "version 1");
_Static_assert(offsetof(struct ring_desk, next) == 24, "version 1");
_Static_assert(offsetof(struct ring_desk, pins) == 56, "version 1");
_Static_assert(offsetof(struct ring_group, claims) == 320, "version 1");

/* How often a reader begins anew because the frame that it wanted was overwritten just then. That
 * is once, if ever; but what the other side writes must not hold anybody for ever. */
enum { TRIES_MAX = 1000 };

/* Before each look at what others write (false), and each step that others see (true). A test sets
 * it, to let others go first there, or die. */
#ifdef RING_STEP
void RING_STEP(bool writes);
#else
#define RING_STEP(writes) ((void)0)
#endif

/* Both sides of every "I say what I do, then I look what you do". */
static void
barrier(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

static uint64_t
load(const _Atomic uint64_t *of)
{
    RING_STEP(false);
    return atomic_load_explicit(of, memory_order_acquire);
}

static uint32_t
load_32(const _Atomic uint32_t *of)
{
    RING_STEP(false);
    return atomic_load_explicit(of, memory_order_acquire);
}

static void
store(_Atomic uint64_t *to, uint64_t value)
{
    RING_STEP(true);
    atomic_store_explicit(to, value, memory_order_release);
}

static void
store_32(_Atomic uint32_t *to, uint32_t value)
{
    RING_STEP(true);
    atomic_store_explicit(to, value, memory_order_release);
}

static bool
swap(_Atomic uint64_t *in, uint64_t was, uint64_t value)
{
    RING_STEP(true);
    return atomic_compare_exchange_strong(in, &was, value);
}

static void
add(_Atomic uint64_t *to, uint64_t more)
{
    /* One process writes it, so it need not be a locked step. */
    RING_STEP(true);
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* ---- writer ----------------------------------------------------------------------------------
 */

void
ring_writer_init(struct ring_writer *w, struct ring_head *head)
{
    const uint64_t newest = load(&head->newest);
    *w = (struct ring_writer){.head = head,
                              .slots = head->slots,
                              .generation = head->generation,
                              .number = newest != 0 ? newest >> 8 : head->first - 1,
                              .newest = newest != 0 ? (int)(newest & 0xff) : RING_NO_SLOT};
    for (uint32_t i = 0; i < w->slots; i++) {
        if (load(&head->number[i]) > w->number) {
            store(&head->number[i], 0); /* its writer died before it was shown */
        }
    }
    store_32(&head->wants_room, 0); /* it died waiting */
}

/* Frames from this number on are still wanted by this reader. */
static uint64_t
wanted_from(const struct ring_writer *w, uint32_t index)
{
    const struct ring_known *k = &w->desks[index];
    if (k->desk == NULL || k->policy != RING_LOSSLESS ||
        load_32(&k->desk->joined) == load_32(&w->head->dropped[index])) {
        return UINT64_MAX;
    }
    return load(&k->desk->next);
}

static bool
holds(const struct ring_known *k, uint64_t pin)
{
    for (uint32_t i = 0; i < k->hold; i++) {
        if (load(&k->desk->pins[i]) == pin) {
            return true;
        }
    }
    return false;
}

/* By a reader, or, when offered frames are spared, by a group's own desk: frames wait there for a
 * member, who looks whether they are still there. */
static bool
is_held(const struct ring_writer *w, uint32_t slot)
{
    const uint64_t pin = w->generation << 16 | (slot + 1);
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        const struct ring_known *k = &w->desks[i];
        if (k->desk != NULL && (w->spares_offered || !k->is_group) && holds(k, pin)) {
            return true;
        }
    }
    return false;
}

/* The readers that want this frame and wait for nobody. */
static uint64_t
wanted_by(const struct ring_writer *w, uint64_t number)
{
    uint64_t readers = 0;
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        if (w->desks[i].desk != NULL && number >= wanted_from(w, i)) {
            readers |= UINT64_C(1) << i;
        }
    }
    return readers;
}

static int
choose(struct ring_writer *w, uint64_t *blockers)
{
    int best = RING_NO_SLOT;
    uint64_t blocked_number = UINT64_MAX;
    w->taken = UINT64_MAX;
    *blockers = 0;
    for (uint32_t i = 0; i < w->slots; i++) {
        const uint64_t number = load(&w->head->number[i]);
        if ((int)i == w->newest || number >= w->taken || is_held(w, i)) {
            continue;
        }
        const uint64_t readers = number == 0 ? 0 : wanted_by(w, number);
        if (readers == 0) {
            best = (int)i;
            w->taken = number;
        } else if (number < blocked_number) {
            /* Who wants an older frame wants the younger ones, too, so these are the fewest. */
            *blockers = readers;
            blocked_number = number;
        }
    }
    return best;
}

int
ring_writer_mark(struct ring_writer *w, uint64_t *blockers)
{
    barrier(); /* the caller may have said that it wants room: see who let go before that */
    w->spares_offered = true;
    int slot = choose(w, blockers);
    if (slot == RING_NO_SLOT && *blockers == 0) {
        w->spares_offered = false;
        slot = choose(w, blockers);
    }
    if (slot != RING_NO_SLOT) {
        *blockers = 0;
        store(&w->head->number[slot], 0);
        barrier();
    }
    return slot;
}

bool
ring_writer_confirm(struct ring_writer *w, int slot)
{
    if (!is_held(w, (uint32_t)slot) && (w->taken == 0 || wanted_by(w, w->taken) == 0)) {
        return true;
    }
    store(&w->head->number[slot], w->taken);
    return false;
}

void
ring_writer_cancel(struct ring_writer *w, int slot)
{
    store(&w->head->number[slot], 0);
}

uint64_t
ring_writer_publish(struct ring_writer *w, int slot, uint64_t bytes)
{
    w->number++;
    w->newest = slot;
    store(&w->head->number[slot], w->number);
    store(&w->head->newest, w->number << 8 | (uint64_t)slot);
    add(&w->head->frames, 1);
    add(&w->head->bytes, bytes);
    barrier();
    return w->number;
}

void
ring_writer_drop(struct ring_writer *w, uint32_t index)
{
    store_32(&w->head->dropped[index], load_32(&w->desks[index].desk->joined));
}

bool
ring_desk_is_waiting(const struct ring_desk *desk)
{
    return load_32(&desk->waiting) != 0;
}

/* ---- reader ----------------------------------------------------------------------------------
 */

bool
ring_wants_room(const struct ring_head *head)
{
    return load_32(&head->wants_room) != 0;
}

void
ring_reader_wait(struct ring_reader *r, bool waiting)
{
    store_32(&r->desk->waiting, waiting);
    barrier();
}

/* A place for one more frame; `hold` when there is none. */
static uint32_t
free_pin(const struct ring_reader *r)
{
    uint32_t pin = 0;
    while (pin < r->hold && load(&r->desk->pins[pin]) != 0) {
        pin++;
    }
    return pin;
}

/* Hold a slot if it has the frame with this number. */
static bool
hold(struct ring_reader *r, uint32_t slot, uint64_t number, struct ring_taken *out)
{
    store(&r->desk->pins[out->pin], r->generation << 16 | (slot + 1));
    barrier();
    /* 0 is no frame: what others wrote may ask for it. */
    if (number != 0 && load(&r->head->number[slot]) == number) {
        out->number = number;
        out->slot = slot;
        out->generation = r->generation;
        out->is_claimed = false;
        return true;
    }
    store(&r->desk->pins[out->pin], 0);
    return false;
}

/* The slot with the first frame from `number` on; false when there is none up to the newest. */
static bool
find(const struct ring_reader *r, uint64_t number, uint64_t newest, uint32_t *slot, uint64_t *found)
{
    *found = UINT64_MAX;
    for (uint32_t i = 0; i < r->slots; i++) {
        const uint64_t has = load(&r->head->number[i]);
        if (has != 0 && has >= number && has <= newest && has < *found) {
            *found = has;
            *slot = i;
        }
    }
    return *found != UINT64_MAX;
}

/* What comes next for a reader, or a group, that has not taken the frames from `next` on. */
static bool
candidate(const struct ring_reader *r, uint64_t next, uint32_t *slot, uint64_t *number)
{
    const uint64_t newest = load(&r->head->newest);
    if (newest >> 8 < next || newest == 0 || (newest & 0xff) >= r->slots) {
        return false;
    }
    if (r->policy == RING_LATEST) {
        *number = newest >> 8;
        *slot = (uint32_t)(newest & 0xff);
        return true;
    }
    return find(r, next, newest >> 8, slot, number);
}

static enum ring_result
next_alone(struct ring_reader *r, struct ring_taken *out)
{
    uint32_t slot;
    uint64_t number;
    const uint64_t next = load(&r->desk->next);
    for (int tries = 0; tries < TRIES_MAX && candidate(r, next, &slot, &number); tries++) {
        out->missed = next != 0 ? number - next : 0;
        if (r->policy == RING_LOSSLESS && out->missed > 0) {
            store(&r->desk->next, number);
            add(&r->desk->missed, out->missed);
            return RING_LOST;
        }
        if (hold(r, slot, number, out)) {
            store(&r->desk->next, number + 1);
            add(&r->desk->taken, 1);
            add(&r->desk->missed, out->missed);
            return RING_TAKEN;
        }
    }
    return RING_NOTHING;
}

/* Move what the group has seen on, unless somebody was faster; how many frames that passes. */
static uint64_t
advance(struct ring_group *group, uint64_t to)
{
    uint64_t from = load(&group->desk.next);
    while (from < to && !swap(&group->desk.next, from, to)) {
        from = load(&group->desk.next);
    }
    return from < to ? to - from : 0;
}

static bool
claim(struct ring_reader *r, uint64_t was, uint32_t slot, uint64_t number, enum ring_claim as)
{
    return swap(&r->group->claims[slot], was,
                number << 16 | (uint64_t)r->desk->index << 8 | (uint64_t)as);
}

/* A frame that a dead member had: it is held by the group's own desk until somebody has it. It is
 * held before it is claimed, so whoever dies in between leaves it as it was; and what is no longer
 * offered, or was overwritten, anybody may strike off. */
static bool
take_offered(struct ring_reader *r, struct ring_taken *out)
{
    struct ring_group *group = r->group;
    if (load(&group->returned) == 0) {
        return false;
    }
    for (uint32_t i = 0; i < RING_HOLD_MAX; i++) {
        const uint64_t pin = load(&group->desk.pins[i]);
        const uint32_t slot = (uint32_t)(pin & 0xffff) - 1;
        if (pin == 0 || pin >> 16 != r->generation || slot >= r->slots) {
            continue;
        }
        const uint64_t was = load(&group->claims[slot]);
        bool is_mine = false;
        if ((was & 0xff) == RING_OFFERED && !hold(r, slot, was >> 16, out)) {
            const uint64_t there = load(&r->head->number[slot]);
            if (there == 0 || there == was >> 16) {
                continue; /* the writer looks who holds it, and may give it back, or just did */
            }
        } else if ((was & 0xff) == RING_OFFERED) {
            is_mine = claim(r, was, slot, was >> 16, RING_CLAIMED_AGAIN);
            if (!is_mine) {
                store(&r->desk->pins[out->pin], 0);
            }
        }
        (void)swap(&group->desk.pins[i], pin, 0); /* unless another one did */
        if (is_mine) {
            out->is_claimed = true;
            return true;
        }
    }
    return false;
}

static enum ring_result
next_of_group(struct ring_reader *r, struct ring_taken *out)
{
    uint32_t slot;
    uint64_t number;
    struct ring_group *group = r->group;
    if (take_offered(r, out)) {
        out->missed = 0;
        add(&r->desk->taken, 1);
        return RING_TAKEN;
    }
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        const uint64_t next = load(&group->desk.next);
        if (!candidate(r, next, &slot, &number)) {
            break;
        }
        if (r->policy == RING_LOSSLESS && next != 0 && number > next) {
            out->missed = advance(group, number);
            if (out->missed > 0) {
                add(&r->desk->missed, out->missed);
                return RING_LOST;
            }
            continue; /* another one of them tells it */
        }
        const uint64_t was = load(&group->claims[slot]);
        if (was >> 16 >= number) {
            (void)advance(group, (was >> 16) + 1); /* its member was not so far yet */
            continue;
        }
        if (!hold(r, slot, number, out)) {
            continue;
        }
        if (claim(r, was, slot, number, RING_CLAIMED)) {
            const uint64_t passed = advance(group, number + 1);
            out->is_claimed = true;
            out->missed = next != 0 && passed > 0 ? passed - 1 : 0;
            add(&r->desk->taken, 1);
            add(&r->desk->missed, out->missed);
            return RING_TAKEN;
        }
        store(&r->desk->pins[out->pin], 0);
    }
    return RING_NOTHING;
}

/* The writer waits again for one that it has given up. What it lost meanwhile shows in the numbers,
 * also when that was in several rings. */
static void
come_back(struct ring_reader *r)
{
    struct ring_desk *desk = r->group != NULL ? &r->group->desk : r->desk;
    uint32_t joined = load_32(&desk->joined);
    const uint32_t index = desk->index; /* once: the group's is not ours alone */
    if (r->policy == RING_LOSSLESS && index < RING_READERS_MAX &&
        load_32(&r->head->dropped[index]) == joined) {
        RING_STEP(true);
        (void)atomic_compare_exchange_strong(&desk->joined, &joined, joined + 1);
    }
}

enum ring_result
ring_reader_next(struct ring_reader *r, struct ring_taken *out)
{
    out->pin = free_pin(r);
    if (out->pin == r->hold) {
        return RING_FULL;
    }
    come_back(r);
    return r->group != NULL ? next_of_group(r, out) : next_alone(r, out);
}

enum ring_result
ring_reader_number(struct ring_reader *r, uint64_t number, struct ring_taken *out)
{
    uint32_t slot;
    uint64_t found;
    out->pin = free_pin(r);
    out->missed = 0;
    if (out->pin == r->hold) {
        return RING_FULL;
    }
    /* What is above the newest was not shown yet, and never is if its writer dies now. */
    return number <= load(&r->head->newest) >> 8 && find(r, number, number, &slot, &found) &&
                   hold(r, slot, number, out)
               ? RING_TAKEN
               : RING_NOTHING;
}

static const struct ring_frame *
frame_of(const struct ring_head *head, uint32_t slot)
{
    return (const struct ring_frame *)((const char *)head + ring_frame_offset(slot));
}

enum ring_result
ring_reader_nearest(struct ring_reader *r, int64_t mono_ns, struct ring_taken *out)
{
    out->pin = free_pin(r);
    out->missed = 0;
    if (out->pin == r->hold) {
        return RING_FULL;
    }
    /* What is overwritten meanwhile was not found; then the next one is the nearest. */
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        const uint64_t newest = load(&r->head->newest) >> 8;
        uint64_t best_distance = UINT64_MAX, best = 0;
        uint32_t slot = 0;
        for (uint32_t i = 0; i < r->slots; i++) {
            const uint64_t number = load(&r->head->number[i]);
            const int64_t at_ns = frame_of(r->head, i)->mono_ns;
            const uint64_t distance = at_ns > mono_ns ? (uint64_t)at_ns - (uint64_t)mono_ns
                                                      : (uint64_t)mono_ns - (uint64_t)at_ns;
            if (number != 0 && number <= newest && distance < best_distance) {
                best_distance = distance;
                best = number;
                slot = i;
            }
        }
        if (best == 0) {
            return RING_NOTHING;
        }
        if (hold(r, slot, best, out)) {
            return RING_TAKEN;
        }
    }
    return RING_NOTHING;
}

bool
ring_reader_release(struct ring_reader *r, const struct ring_taken *taken)
{
    if (r->group != NULL && taken->is_claimed) {
        const uint64_t was = load(&r->group->claims[taken->slot]);
        if (was >> 16 == taken->number && (was >> 8 & 0xff) == r->desk->index) {
            (void)swap(&r->group->claims[taken->slot], was, taken->number << 16 | RING_DONE);
        }
    }
    store(&r->desk->pins[taken->pin], 0);
    barrier();
    return ring_wants_room(r->head);
}

/* ---- hub -------------------------------------------------------------------------------------
 */

/* Where the group's desk may hold one more frame; RING_HOLD_MAX when there is no place. What it
 * holds in another generation somebody may still come for, so that goes only when all is full. */
static uint32_t
place_for_offered(const struct ring_group *group, uint64_t generation)
{
    uint32_t place = RING_HOLD_MAX;
    for (uint32_t i = 0; i < RING_HOLD_MAX; i++) {
        const uint64_t pin = load(&group->desk.pins[i]);
        if (pin == 0) {
            return i;
        }
        if (pin >> 16 != generation) {
            place = i;
        }
    }
    return place;
}

/* Nothing that is read here is believed but as an index within bounds: all of these pages are
 * written by others, and this runs in the hub. */
uint32_t
ring_group_bury(struct ring_group *group, const struct ring_head *head,
                const struct ring_desk *desk, uint32_t hold_max)
{
    const uint32_t member = desk->index;
    const uint64_t generation = head->generation;
    uint32_t offered = 0;
    for (uint32_t i = 0; i < hold_max && i < RING_HOLD_MAX; i++) {
        const uint64_t pin = load(&desk->pins[i]);
        const uint64_t slot = (pin & 0xffff) - 1;
        if (pin == 0 || pin >> 16 != generation || slot >= RING_SLOTS_MAX) {
            continue;
        }
        const uint64_t was = load(&group->claims[slot]);
        if ((was >> 8 & 0xff) != member || (was & 0xff) != RING_CLAIMED) {
            continue;
        }
        const uint32_t place = place_for_offered(group, generation);
        if (place == RING_HOLD_MAX) {
            break;
        }
        /* Members come to it by the pin, so that is the last step. Until the writer is told that
         * the dead one's desk is gone, that holds it. */
        if (swap(&group->claims[slot], was, (was >> 16) << 16 | RING_OFFERED)) {
            store(&group->desk.pins[place], pin);
            offered++;
        }
    }
    if (offered > 0) {
        RING_STEP(true);
        atomic_fetch_add(&group->returned, offered);
    }
    return offered;
}
