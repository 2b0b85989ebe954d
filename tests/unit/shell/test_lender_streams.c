/* The hub's side of streams: writers, readers, groups, and what becomes of each other's ends. */
#include "proto/ring/ring.h"
#include "proto/wire.h"
#include "tests/support/test.h"
#include "tests/unit/shell/lender_rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEST(name) Test(lender_streams, name, .init = dir_enter, .fini = dir_leave)

enum { MUCH = 1 << 30 };

/* A writer that is there, with its ring mapped. */
struct writer {
    int fd;
    struct lend_record created;
    struct ring_head *head;
    size_t size;
};

static struct writer
take_created(int fd)
{
    struct got got = lend_get(fd, LEND_CREATED);
    struct writer w = {
        .fd = fd, .created = got.record, .size = ring_size(got.record.slots, got.record.bytes)};
    cr_assert(got.record.fds == 1, "%u descriptors", (unsigned)got.record.fds);
    w.head = lend_map(&got.fds[0], w.size, true);
    return w;
}

static struct writer
write_to(struct lend_rig *r, const char *name, uint32_t slots, uint64_t bytes)
{
    return take_created(lend_rig_peer(r, lend_writer(name, slots, bytes)));
}

static void
unmap(struct writer *w)
{
    (void)munmap(w->head, w->size);
}

static void
end_writer(struct lend_rig *r, struct writer *w)
{
    unmap(w);
    lend_hang_up(r, w->fd);
}

static struct ring_desk *
desk_of(struct got *opened)
{
    return lend_map(&opened->fds[0], RING_PAGE, true);
}

static void
let_go(struct ring_desk *desk)
{
    (void)munmap(desk, RING_PAGE);
}

/* What a list says of the streams: "cam 2 1;" is a name, readers and whether it has a writer. */
static const char *
streams(struct lend_rig *r)
{
    static char text[400];
    size_t n = 0;
    const int fd = lend_rig_peer(r, (struct lend_record){.op = LEND_LIST});
    struct lend_record record = {0};
    int fds[LEND_FDS_MAX];
    text[0] = '\0';
    while (record.op != LEND_END) {
        cr_assert(pass_receive(fd, &record, fds) == PASS_OK, "the list ends too early");
        if (record.op == LEND_STREAM) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%s %u %d;", record.name,
                                  (unsigned)record.numbers[5], record.pid == getpid());
        }
    }
    lend_hang_up(r, fd);
    return text;
}

TEST(a_writer_gets_a_ring_and_a_reader_its_desk_and_the_ring)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    struct lend_record ask = lend_writer("cam", 4, 5000);
    ask.patience_ms = 700;
    struct writer w = take_created(lend_rig_peer(&r, ask));
    cr_expect(w.created.slots == 4 && w.created.bytes == 8192 && w.created.index == 0 &&
              w.created.generation == 1);
    cr_expect(w.head->magic == RING_MAGIC && w.head->version == RING_VERSION &&
              w.head->slots == 4 && w.head->slot_bytes == 8192 && w.head->generation == 1 &&
              w.head->first == 1 && w.head->patience_ms == 700 && w.head->ended == RING_OPEN);

    const int fd = lend_rig_peer(&r, lend_reader("cam", RING_LOSSLESS, 2, ""));
    struct got opened = lend_get(fd, LEND_OPENED);
    cr_expect(opened.record.fds == 3 && opened.record.hold == 2 && opened.record.index == 0 &&
              opened.record.policy == RING_LOSSLESS && opened.record.slots == 4);
    struct ring_desk *desk = desk_of(&opened);
    cr_expect(desk->magic == DESK_MAGIC && desk->version == RING_VERSION && desk->index == 0 &&
              desk->joined == 1 && desk->next == 1);
    struct got ring = lend_get(fd, LEND_RING);
    cr_expect(ring.record.fds == 1 && ring.record.generation == 1 && ring.record.slots == 4 &&
              ring.record.bytes == 8192);
    const struct ring_head *seen = lend_map(&ring.fds[0], w.size, false);
    w.head->newest = 77;
    cr_expect(seen->newest == 77, "it is another ring");

    struct got told = lend_get(w.fd, LEND_DESK);
    cr_expect(told.record.fds == 3 && told.record.index == 0 && told.record.hold == 2 &&
              told.record.policy == RING_LOSSLESS);
    const struct ring_desk *known = lend_map(&told.fds[0], RING_PAGE, false);
    desk->pins[0] = 5;
    cr_expect(known->pins[0] == 5, "it is another desk");
    uint64_t count = 1;
    cr_expect(write(told.fds[1], &count, 8) == 8 && read(opened.fds[1], &count, 8) == 8, "bell");
    cr_expect(write(opened.fds[2], &count, 8) == 8 && read(told.fds[2], &count, 8) == 8, "room");
    cr_expect(read(told.fds[1], &count, 8) < 0, "a bell must not block");

    (void)munmap((void *)(uintptr_t)seen, w.size);
    (void)munmap((void *)(uintptr_t)known, RING_PAGE);
    let_go(desk);
    lend_got_close(&opened);
    lend_got_close(&told);
    lend_hang_up(&r, fd);
    cr_expect(lend_read(w.fd, LEND_DESK_GONE).index == 0);
    end_writer(&r, &w);
    cr_expect_str_eq(streams(&r), "");
    lend_rig_close(&r);
}

TEST(where_a_reader_begins_its_policy_says)
{
    static const struct {
        uint32_t policy, from_oldest;
        uint64_t next;
    } rows[] = {
        {RING_LATEST, 0, 0}, {RING_LATEST, 1, 0}, {RING_LOSSLESS, 0, 10}, {RING_LOSSLESS, 1, 0}};
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    struct writer w = write_to(&r, "cam", 8, 100);
    w.head->newest = 9 << 8 | 2;
    w.head->dropped[0] = 6; /* of a reader that was given up */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lend_record ask = lend_reader("cam", rows[i].policy, 1, "");
        ask.from_oldest = rows[i].from_oldest;
        const int fd = lend_rig_peer(&r, ask);
        struct got opened = lend_get(fd, LEND_OPENED);
        struct ring_desk *desk = desk_of(&opened);
        cr_expect(desk->next == rows[i].next, "row %zu: %llu", i, (unsigned long long)desk->next);
        cr_expect(desk->joined == 7, "row %zu: %u", i, (unsigned)desk->joined);
        let_go(desk);
        lend_got_close(&opened);
        lend_hang_up(&r, fd);
    }
    end_writer(&r, &w);
    lend_rig_close(&r);
}

TEST(a_stream_that_is_not_there_yet_is_expected)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int fd = lend_rig_peer(&r, lend_reader("cam", RING_LOSSLESS, 1, ""));
    struct got opened = lend_get(fd, LEND_OPENED);
    cr_expect(opened.record.slots == 0, "there is no ring");
    struct ring_desk *desk = desk_of(&opened);
    cr_expect(desk->next == 0 && desk->joined == 1, "all of it will be new");
    lend_expect_nothing(fd);
    cr_expect_str_eq(streams(&r), "cam 1 0;");
    struct writer w = write_to(&r, "cam", 4, 100);
    cr_expect(w.created.index == 1, "%u desks", (unsigned)w.created.index);
    cr_expect(lend_read(w.fd, LEND_DESK).index == 0);
    lend_expect_nothing(w.fd);
    cr_expect(lend_read(fd, LEND_RING).generation == 1);
    end_writer(&r, &w);
    cr_expect(lend_read(fd, LEND_LOOK).fds == 0, "there may be a last frame");
    lend_expect_nothing(fd); /* it waits for the next one */
    cr_expect_str_eq(streams(&r), "cam 1 0;");
    let_go(desk);
    lend_got_close(&opened);
    lend_hang_up(&r, fd);
    cr_expect_str_eq(streams(&r), "");
    lend_rig_close(&r);
}

TEST(a_second_writer_is_refused_until_the_first_has_left)
{
    struct lend_rig r;
    char pid[40];
    lend_rig_open(&r, MUCH);
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    struct writer w = write_to(&r, "cam", 4, 5000);
    w.head->newest = 5 << 8 | 1;
    const int second = lend_rig_peer(&r, lend_writer("cam", 4, 5000));
    (void)snprintf(pid, sizeof pid, "the process %d", (int)getpid());
    lend_expect_refused(second, WIRE_ERR_ALREADY_EXISTS, pid);
    unmap(&w);
    lend_rig_ask_before_end(&r, second, lend_writer("cam", 4, 8000), w.fd);
    struct writer next = take_created(second);
    cr_expect(next.created.generation == 1 && next.head->newest == (5 << 8 | 1) &&
                  next.created.index == 1,
              "it goes on in the same ring");
    cr_expect(lend_read(reader, LEND_OPENED).index == 0);
    cr_expect(lend_read(reader, LEND_RING).generation == 1);
    lend_expect_nothing(reader);
    end_writer(&r, &next);
    lend_hang_up(&r, reader);
    lend_rig_close(&r);
}

/* It is seen to have left while its own question is looked at. */
TEST(a_writer_that_died_after_it_asked_again_leaves_its_place)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    struct writer w = write_to(&r, "cam", 4, 1000);
    struct lend_record ask = lend_writer("cam", 4, 9000);
    ask.version = LEND_VERSION;
    cr_assert(pass_send(w.fd, &ask, NULL, 0) == PASS_OK, "it asks for larger slots");
    end_writer(&r, &w);

    const int list = lend_rig_peer(&r, (struct lend_record){.op = LEND_LIST});
    (void)lend_read(list, LEND_END); /* nobody is there any more */
    struct writer next = write_to(&r, "cam", 4, 1000);
    end_writer(&r, &next);
    lend_hang_up(&r, list);
    lend_rig_close(&r);
}

TEST(other_slots_are_a_new_generation_with_numbers_that_go_on)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LOSSLESS, 1, ""));
    struct writer w = write_to(&r, "cam", 4, 5000);
    cr_expect(lend_read(reader, LEND_OPENED).hold == 1);
    cr_expect(lend_read(reader, LEND_RING).generation == 1);
    w.head->newest = 5 << 8 | 1;
    w.head->frames = 5;
    cr_expect(lend_read(w.fd, LEND_DESK).index == 0);
    /* The same connection asks for more, or for what it has. */
    lend_rig_ask(&r, w.fd, lend_writer("cam", 4, 9000));
    struct writer larger = take_created(w.fd);
    cr_expect(larger.created.generation == 2 && larger.created.bytes == 12288 &&
              larger.head->first == 6 && larger.head->newest == 0 && larger.head->frames == 5);
    cr_expect(w.head->ended == RING_REPLACED && larger.head->ended == RING_OPEN);
    cr_expect(lend_read(w.fd, LEND_DESK).index == 0, "its readers are told again");
    struct lend_record ring = lend_read(reader, LEND_RING);
    cr_expect(ring.generation == 2 && ring.bytes == 12288);
    lend_rig_ask(&r, w.fd, lend_writer("cam", 4, 100));
    struct writer same = take_created(w.fd);
    cr_expect(same.created.generation == 2 && same.created.bytes == 12288);
    cr_expect(lend_read(w.fd, LEND_DESK).index == 0);
    lend_expect_nothing(reader);
    unmap(&w);
    unmap(&larger);
    end_writer(&r, &same);
    struct writer other = write_to(&r, "cam", 5, 100);
    cr_expect(other.created.generation == 3 && other.created.slots == 5 && other.head->first == 6,
              "nothing was written to the second one");
    end_writer(&r, &other);
    lend_hang_up(&r, reader);
    lend_rig_close(&r);
}

TEST(a_writer_that_knows_an_earlier_hub_goes_on_where_it_was)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    struct lend_record ask = lend_writer("cam", 4, 100);
    ask.numbers[0] = 41;
    ask.generation = 3;
    struct writer w = take_created(lend_rig_peer(&r, ask));
    cr_expect(w.created.generation == 4 && w.head->generation == 4 && w.head->first == 42);
    /* Of a stream that is known, the larger ones count; nonsense is bounded. */
    ask.numbers[0] = 30;
    lend_rig_ask(&r, w.fd, ask);
    struct writer same = take_created(w.fd);
    cr_expect(same.created.generation == 4 && same.head->first == 42);
    ask.numbers[0] = 50;
    lend_rig_ask(&r, w.fd, ask);
    struct writer later = take_created(w.fd);
    cr_expect(later.created.generation == 5 && later.head->first == 51);
    ask.numbers[0] = ask.generation = UINT64_MAX;
    lend_rig_ask(&r, w.fd, ask);
    struct writer last = take_created(w.fd);
    cr_expect(last.head->first < UINT64_C(1) << 48 && last.head->generation < UINT64_C(1) << 48);
    last.head->newest = UINT64_MAX; /* scribbled */
    lend_rig_ask(&r, w.fd, lend_writer("cam", 9, 100));
    struct writer after = take_created(w.fd);
    cr_expect(after.head->first < UINT64_C(1) << 48, "%llx", (unsigned long long)after.head->first);
    unmap(&w);
    unmap(&same);
    unmap(&later);
    unmap(&last);
    end_writer(&r, &after);
    lend_rig_close(&r);
}

TEST(nobody_follows_into_the_ring_of_a_writer_that_was_disconnected)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    struct writer w = write_to(&r, "cam", 4, 100);
    lend_rig_ask(&r, w.fd, (struct lend_record){.op = 999});
    cr_expect(lend_is_closed(w.fd), "junk was taken");
    /* It is alive and may be writing. */
    struct writer next = write_to(&r, "cam", 4, 100);
    cr_expect(next.created.generation == 2 && w.head->ended == RING_REPLACED);
    end_writer(&r, &next);
    struct writer third = write_to(&r, "cam", 4, 100);
    cr_expect(third.created.generation == 2, "that one had left by itself");
    end_writer(&r, &w);
    end_writer(&r, &third);
    lend_hang_up(&r, reader);
    lend_rig_close(&r);
}

TEST(readers_hold_no_more_than_there_are_slots)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int first = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 5, ""));
    struct writer w = write_to(&r, "cam", 3, 100);
    cr_expect(w.created.slots == 7, "5 and 2, not %u", (unsigned)w.created.slots);
    const int more = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    lend_expect_refused(more, WIRE_ERR_RESOURCE_EXHAUSTED,
                        "'cam' has 7 slots: 5 frames that readers hold, 1 more and 2 for the "
                        "writer do not fit; give it 8 slots, or hold fewer");
    lend_rig_ask_before_end(&r, more, lend_reader("cam", RING_LATEST, 0, ""), first);
    cr_expect(lend_read(more, LEND_OPENED).hold == 1, "at least one");
    const int greedy = lend_rig_peer(&r, lend_reader("other", RING_LATEST, 4000000000U, ""));
    cr_expect(lend_read(greedy, LEND_OPENED).hold == RING_HOLD_MAX);
    int fds[7];
    for (int i = 0; i < 6; i++) {
        fds[i] = lend_rig_peer(&r, lend_reader("other", RING_LATEST, RING_HOLD_MAX, ""));
        cr_expect(lend_read(fds[i], LEND_OPENED).hold == RING_HOLD_MAX);
    }
    fds[6] = lend_rig_peer(&r, lend_reader("other", RING_LATEST, RING_HOLD_MAX, ""));
    lend_expect_refused(fds[6], WIRE_ERR_RESOURCE_EXHAUSTED, "'other' has 256 slots: 224 frames");
    for (int i = 0; i < 7; i++) {
        lend_hang_up(&r, fds[i]);
    }
    lend_hang_up(&r, greedy);
    lend_hang_up(&r, more);
    end_writer(&r, &w);
    lend_rig_close(&r);
}

TEST(what_is_wrong_is_refused_and_leaves_no_stream)
{
    static const struct {
        const char *name;
        uint32_t slots;
        uint64_t bytes;
        const char *words;
    } writers[] = {{"", 4, 100, "named with"},
                   {"Cam", 4, 100, "named with"},
                   {"a.b", 4, 100, "named with"},
                   {"cam", 1, 100, "2 to 256 slots, not 1"},
                   {"cam", 257, 100, "2 to 256 slots, not 257"},
                   {"cam", 4, 0, "1 to 1073741824 bytes, not 0"},
                   {"cam", 4, LEND_SLOT_BYTES_MAX + 1, "1 to 1073741824 bytes"}};
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int fd = lend_rig_connect(&r);
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        lend_rig_ask(&r, fd, lend_writer(writers[i].name, writers[i].slots, writers[i].bytes));
        lend_expect_refused(fd, WIRE_ERR_INVALID_ARGUMENT, writers[i].words);
    }
    lend_rig_ask(&r, fd, lend_reader("ca/m", RING_LATEST, 1, ""));
    lend_expect_refused(fd, WIRE_ERR_INVALID_ARGUMENT, "a stream is named");
    lend_rig_ask(&r, fd, lend_reader("cam", RING_MEMBER, 1, ""));
    lend_expect_refused(fd, WIRE_ERR_INVALID_ARGUMENT, "latest or lossless");
    lend_rig_ask(&r, fd, lend_reader("cam", RING_LATEST, 1, "A"));
    lend_expect_refused(fd, WIRE_ERR_INVALID_ARGUMENT, "a group is named");
    cr_expect_str_eq(streams(&r), "");
    /* The connection is still good for something. */
    lend_rig_ask(&r, fd, lend_writer("cam", 2, 1));
    cr_expect(lend_read(fd, LEND_CREATED).slots == 2);
    lend_hang_up(&r, fd);
    lend_rig_close(&r);
}

TEST(streams_have_a_limit)
{
    struct lend_rig r;
    int fds[LEND_STREAMS_MAX + 1];
    char name[20];
    if (!lend_raise_fds(3 * LEND_STREAMS_MAX + 200)) {
        test_skip("too few descriptors may be open");
    }
    lend_rig_open(&r, MUCH);
    for (int i = 0; i <= LEND_STREAMS_MAX; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        fds[i] = lend_rig_peer(&r, lend_writer(name, 2, 1));
        if (i < LEND_STREAMS_MAX) {
            cr_expect(lend_read(fds[i], LEND_CREATED).generation == 1);
        }
    }
    lend_expect_refused(fds[LEND_STREAMS_MAX], WIRE_ERR_RESOURCE_EXHAUSTED, "256 streams");
    lend_hang_up(&r, fds[0]);
    lend_rig_ask(&r, fds[LEND_STREAMS_MAX], lend_writer("new", 2, 1));
    cr_expect(lend_read(fds[LEND_STREAMS_MAX], LEND_CREATED).generation == 1);
    for (int i = 1; i <= LEND_STREAMS_MAX; i++) {
        lend_hang_up(&r, fds[i]);
    }
    lend_rig_close(&r);
}

TEST(readers_have_a_limit_and_their_places_are_used_again)
{
    struct lend_rig r;
    int fds[RING_READERS_MAX];
    if (!lend_raise_fds(1000)) {
        test_skip("too few descriptors may be open");
    }
    lend_rig_open(&r, MUCH);
    struct writer w = write_to(&r, "cam", 256, 1);
    for (uint32_t i = 0; i < RING_READERS_MAX - 1; i++) {
        fds[i] = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
        cr_expect(lend_read(fds[i], LEND_OPENED).index == i);
        cr_expect(lend_read(w.fd, LEND_DESK).index == i);
    }
    const int last = lend_rig_connect(&r);
    fds[RING_READERS_MAX - 1] = last;
    lend_rig_ask(&r, last, lend_reader("cam", RING_LATEST, 1, "g"));
    lend_expect_refused(last, WIRE_ERR_RESOURCE_EXHAUSTED, "64 readers already");
    lend_rig_ask(&r, last, lend_reader("cam", RING_LATEST, 1, ""));
    cr_expect(lend_read(last, LEND_OPENED).index == RING_READERS_MAX - 1);
    cr_expect(lend_read(w.fd, LEND_DESK).index == RING_READERS_MAX - 1);
    const int more = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    lend_expect_refused(more, WIRE_ERR_RESOURCE_EXHAUSTED, "64 readers already");
    lend_hang_up(&r, fds[9]);
    lend_rig_ask(&r, more, lend_reader("cam", RING_LATEST, 1, ""));
    cr_expect(lend_read(more, LEND_OPENED).index == 9);
    cr_expect(lend_read(w.fd, LEND_DESK_GONE).index == 9);
    cr_expect(lend_read(w.fd, LEND_DESK).index == 9);
    fds[9] = more;
    /* A writer that comes when all are there is told of all at once. */
    end_writer(&r, &w);
    w = write_to(&r, "cam", 256, 1);
    cr_expect(w.created.index == RING_READERS_MAX);
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        cr_expect(lend_read(w.fd, LEND_DESK).index == i);
    }
    for (uint32_t i = 0; i < RING_READERS_MAX; i++) {
        lend_hang_up(&r, fds[i]);
    }
    end_writer(&r, &w);
    lend_rig_close(&r);
}

/* ---- groups ----------------------------------------------------------------------------------
 */

struct member {
    int fd;
    struct ring_reader ring;
};

static struct member
join(struct lend_rig *r, const struct writer *w, uint32_t policy)
{
    struct member m = {.fd = lend_rig_peer(r, lend_reader("cam", policy, 1, "g"))};
    struct got opened = lend_get(m.fd, LEND_OPENED);
    cr_assert(opened.record.fds == 4 && opened.record.policy == policy, "%u descriptors",
              (unsigned)opened.record.fds);
    m.ring = (struct ring_reader){.head = w->head,
                                  .desk = desk_of(&opened),
                                  .group = lend_map(&opened.fds[3], RING_PAGE, true),
                                  .slots = w->created.slots,
                                  .hold = 1,
                                  .generation = w->created.generation,
                                  .policy = (enum ring_policy)policy};
    lend_got_close(&opened);
    cr_expect(lend_read(m.fd, LEND_RING).generation == w->created.generation);
    return m;
}

static void
leave(struct lend_rig *r, struct member *m)
{
    (void)munmap(m->ring.desk, RING_PAGE);
    (void)munmap(m->ring.group, RING_PAGE);
    lend_hang_up(r, m->fd);
}

TEST(the_frame_of_a_member_that_died_is_offered_to_the_others)
{
    struct lend_rig r;
    struct ring_writer writer;
    struct ring_taken taken;
    uint64_t blockers;
    lend_rig_open(&r, MUCH);
    struct writer w = write_to(&r, "cam", 8, 100);
    struct member one = join(&r, &w, RING_LOSSLESS), two = join(&r, &w, RING_LOSSLESS);

    struct got group = lend_get(w.fd, LEND_DESK);
    cr_expect(group.record.fds == 2 && group.record.index == 1 &&
              group.record.policy == RING_LOSSLESS && group.record.hold == RING_HOLD_MAX);
    const struct ring_group *known = lend_map(&group.fds[0], RING_PAGE, false);
    cr_expect(known->desk.magic == DESK_MAGIC && known->desk.index == 1 && known->desk.next == 1 &&
              known->desk.joined == 1);
    lend_got_close(&group);
    for (uint32_t i = 0; i < 2; i++) {
        const struct lend_record desk = lend_read(w.fd, LEND_DESK);
        cr_expect(desk.fds == 3 && desk.index == 2 * i && desk.policy == RING_MEMBER &&
                  desk.hold == 1);
    }

    ring_writer_init(&writer, w.head);
    const int slot = ring_writer_mark(&writer, &blockers);
    cr_assert(slot != RING_NO_SLOT && ring_writer_confirm(&writer, slot), "no slot");
    cr_expect(ring_writer_publish(&writer, slot, 100) == 1);
    cr_expect(ring_reader_next(&one.ring, &taken) == RING_TAKEN && taken.number == 1);
    cr_expect(ring_reader_next(&two.ring, &taken) == RING_NOTHING, "it is the other one's");
    one.ring.desk->index = 99; /* what the dead have scribbled is not believed */
    leave(&r, &one);
    cr_expect(lend_read(two.fd, LEND_LOOK).fds == 0, "nobody says that it may look again");
    cr_expect(ring_reader_next(&two.ring, &taken) == RING_TAKEN && taken.number == 1, "offered");
    cr_expect(lend_read(w.fd, LEND_DESK_GONE).index == 0);
    lend_expect_nothing(w.fd);

    (void)munmap((void *)(uintptr_t)known, RING_PAGE);
    leave(&r, &two);
    cr_expect(lend_read(w.fd, LEND_DESK_GONE).index == 2);
    cr_expect(lend_read(w.fd, LEND_DESK_GONE).index == 1, "the group goes with its last member");
    end_writer(&r, &w);
    lend_rig_close(&r);
}

TEST(a_member_that_has_not_looked_is_not_told_again)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    struct writer w = write_to(&r, "cam", 16, 100);
    struct member stays = join(&r, &w, RING_LATEST);
    for (int i = 0; i < 3; i++) {
        struct member goes = join(&r, &w, RING_LATEST);
        leave(&r, &goes);
    }
    cr_expect(lend_read(stays.fd, LEND_LOOK).fds == 0);
    lend_expect_nothing(stays.fd);
    leave(&r, &stays);
    end_writer(&r, &w);
    lend_rig_close(&r);
}

TEST(all_of_a_group_read_in_one_way)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    struct writer w = write_to(&r, "cam", 8, 100);
    struct member one = join(&r, &w, RING_LOSSLESS);
    const int other = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, "g"));
    lend_expect_refused(other, WIRE_ERR_INVALID_ARGUMENT, "'g' reads lossless, not latest");
    leave(&r, &one);
    lend_rig_ask(&r, other, lend_reader("cam", RING_LATEST, 1, "g"));
    cr_expect(lend_read(other, LEND_OPENED).policy == RING_LATEST, "it is a new group");
    lend_hang_up(&r, other);
    end_writer(&r, &w);
    lend_rig_close(&r);
}
