/* Memory of buffers that is lent again: to whom, how long, and when not. */
#include "proto/wire.h"
#include "tests/support/test.h"
#include "tests/unit/shell/lender_rig.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEST(name) Test(lender_spares, name, .init = dir_enter, .fini = dir_leave)

enum { MUCH = 1 << 30, SIZE = 2 * RING_PAGE };

static struct lend_record
new_buffer(uint64_t bytes)
{
    return (struct lend_record){.op = LEND_NEW, .bytes = bytes};
}

static struct lend_record
with_handle(const struct lend_record *buffer, enum lend_op op)
{
    struct lend_record ask = {.op = (uint16_t)op};
    memcpy(ask.handle, buffer->handle, sizeof ask.handle);
    return ask;
}

/* Nothing reaches it any more. */
static struct lend_record
given_for_good(const struct lend_record *buffer)
{
    struct lend_record ask = with_handle(buffer, LEND_GIVE);
    ask.index = 1;
    return ask;
}

static struct lend_record
ask_new(struct lend_rig *r, int fd, uint64_t bytes)
{
    lend_rig_ask(r, fd, new_buffer(bytes));
    return lend_read(fd, LEND_BUFFER);
}

/* A new one gets memory that was not lent before. */
static void
expect_fresh(struct lend_rig *r, int fd, const struct lend_record *buffer)
{
    const struct lend_record next = ask_new(r, fd, SIZE);
    cr_expect(next.generation > buffer->generation, "%llu is lent again",
              (unsigned long long)next.generation);
}

TEST(memory_comes_back_to_whom_it_was_made_for)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int one = lend_rig_peer(&r, new_buffer(SIZE - 1)), two = lend_rig_connect(&r);
    struct got made = lend_get(one, LEND_BUFFER);
    char *map = lend_map(&made.fds[0], SIZE, true);
    memcpy(map, "kept", 5);
    lend_rig_ask(&r, two, with_handle(&made.record, LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).generation == made.record.generation);
    const uint32_t before = lend_open_fds();
    lend_rig_ask(&r, one, given_for_good(&made.record));
    expect_fresh(&r, one, &made.record); /* the other one still has it */
    lend_rig_ask(&r, two, given_for_good(&made.record));
    cr_expect(lend_open_fds() == before + 2, "it waits, and there is a timer");
    lend_rig_ask(&r, two, with_handle(&made.record, LEND_TAKE));
    lend_expect_refused(two, WIRE_ERR_NOT_FOUND, "no such buffer");
    expect_fresh(&r, two, &made.record);
    lend_rig_ask(&r, one, new_buffer(SIZE + 1));
    cr_expect(lend_read(one, LEND_BUFFER).generation > made.record.generation, "too small");
    const struct lend_record again = ask_new(&r, one, SIZE);
    cr_expect(again.generation == made.record.generation && again.bytes == SIZE);
    cr_expect(memcmp(again.handle, made.record.handle, LEND_HANDLE_BYTES) != 0);
    cr_expect_str_eq(map, "kept");
    lend_rig_ask(&r, two, with_handle(&made.record, LEND_TAKE)); /* by its old handle */
    lend_expect_refused(two, WIRE_ERR_NOT_FOUND, "no such buffer");
    expect_fresh(&r, one, &made.record);
    (void)munmap(map, SIZE);
    lend_hang_up(&r, one);
    lend_hang_up(&r, two);
    lend_rig_close(&r);
}

TEST(memory_that_somebody_may_still_reach_is_not_lent_again)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int one = lend_rig_peer(&r, new_buffer(SIZE)), two = lend_rig_connect(&r);
    struct got made = lend_get(one, LEND_BUFFER);
    char *map = lend_map(&made.fds[0], SIZE, true);
    map[0] = 'x';
    lend_rig_ask(&r, two, with_handle(&made.record, LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).bytes == SIZE);
    lend_rig_ask(&r, two, with_handle(&made.record, LEND_GIVE)); /* it does not say so */
    lend_rig_ask(&r, one, given_for_good(&made.record));
    expect_fresh(&r, one, &made.record);
    cr_expect(map[0] == 'x', "it stays as it is");
    /* Who died may have left children. */
    const struct lend_record other = ask_new(&r, one, SIZE);
    lend_rig_ask(&r, two, with_handle(&other, LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).bytes == SIZE);
    lend_hang_up(&r, two);
    lend_rig_ask(&r, one, given_for_good(&other));
    expect_fresh(&r, one, &other);
    (void)munmap(map, SIZE);
    lend_hang_up(&r, one);
    lend_rig_close(&r);
}

TEST(memory_that_nobody_comes_back_for_is_freed_although_it_is_mapped)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int one = lend_rig_peer(&r, new_buffer(SIZE)), two = lend_rig_connect(&r);
    struct got made = lend_get(one, LEND_BUFFER), taken;
    char *map = lend_map(&made.fds[0], SIZE, true);
    map[SIZE - 1] = 'x';
    lend_rig_ask(&r, one, given_for_good(&made.record));
    const uint32_t before = lend_open_fds();
    while (lend_open_fds() == before) { /* the time limit of the test is the deadline */
        (void)sched_yield();
        lend_rig_turn(&r);
    }
    cr_expect(map[SIZE - 1] == 0, "its pages are gone");
    expect_fresh(&r, one, &made.record);
    (void)munmap(map, SIZE);
    /* The same at once, when the one that it was made for has left. */
    lend_rig_ask(&r, one, new_buffer(SIZE));
    made = lend_get(one, LEND_BUFFER);
    map = lend_map(&made.fds[0], SIZE, true);
    map[0] = 'x';
    lend_rig_ask(&r, two, with_handle(&made.record, LEND_TAKE));
    taken = lend_get(two, LEND_BUFFER);
    lend_got_close(&taken);
    lend_rig_ask(&r, one, given_for_good(&made.record));
    lend_hang_up(&r, one);
    cr_expect(map[0] == 'x');
    lend_rig_ask(&r, two, given_for_good(&made.record));
    cr_expect(map[0] == 0);
    (void)munmap(map, SIZE);
    lend_hang_up(&r, two);
    lend_rig_close(&r);
}

TEST(what_waits_has_bounds_and_is_not_what_is_lent)
{
    enum { COUNT = 100, KEPT = 64 };
    struct lend_rig r;
    struct lend_record buffers[COUNT];
    lend_rig_open(&r, COUNT * SIZE);
    const int fd = lend_rig_connect(&r);
    lend_rig_turn(&r);
    const uint32_t before = lend_open_fds();
    for (int i = 0; i < COUNT; i++) {
        buffers[i] = ask_new(&r, fd, SIZE);
    }
    lend_rig_ask(&r, fd, new_buffer(1));
    lend_expect_refused(fd, WIRE_ERR_RESOURCE_EXHAUSTED, "(hub: memory_max)");
    for (int i = 0; i < COUNT; i++) {
        lend_rig_ask(&r, fd, given_for_good(&buffers[i]));
    }
    cr_expect(lend_open_fds() <= before + KEPT + 1, "%u", (unsigned)(lend_open_fds() - before));
    const struct lend_record all = ask_new(&r, fd, COUNT * SIZE);
    lend_rig_ask(&r, fd, given_for_good(&all));
    lend_hang_up(&r, fd);
    cr_expect(lend_open_fds() <= before - 1, "those of one that left are gone");
    lend_rig_close(&r);
    /* And in bytes. */
    lend_rig_open(&r, MUCH);
    const int much = lend_rig_connect(&r);
    lend_rig_turn(&r);
    const uint32_t none = lend_open_fds();
    const struct lend_record huge = ask_new(&r, much, (256 << 20) + 1);
    lend_rig_ask(&r, much, given_for_good(&huge));
    while (lend_open_fds() > none + 1) { /* by a thread; the timer stays */
        (void)sched_yield();
    }
    lend_hang_up(&r, much);
    lend_rig_close(&r);
}

/* A stream may have got meanwhile what was free. */
TEST(what_comes_back_has_to_fit_as_anything_else)
{
    struct lend_rig r;
    lend_rig_open(&r, 40 * RING_PAGE);
    const int fd = lend_rig_connect(&r);
    const struct lend_record first = ask_new(&r, fd, 30 * RING_PAGE);
    lend_rig_ask(&r, fd, given_for_good(&first));
    const int writer = lend_rig_peer(&r, lend_writer("cam", 2, 10 * RING_PAGE));
    (void)lend_read(writer, LEND_CREATED);
    lend_rig_ask(&r, fd, new_buffer(30 * RING_PAGE));
    lend_expect_refused(fd, WIRE_ERR_RESOURCE_EXHAUSTED, "(hub: memory_max)");
    lend_hang_up(&r, writer);
    (void)ask_new(&r, fd, 30 * RING_PAGE);
    lend_hang_up(&r, fd);
    lend_rig_close(&r);
}

/* Two let go of it: the one that says more of those who are still to come says it first. */
TEST(a_buffer_that_was_passed_on_waits_for_all)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int one = lend_rig_peer(&r, new_buffer(SIZE)), two = lend_rig_connect(&r);
    const struct lend_record buffer = lend_read(one, LEND_BUFFER);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).index == 1);
    struct lend_record sent = with_handle(&buffer, LEND_GIVE);
    sent.hold = 3;
    sent.patience_ms = 60000;
    lend_rig_ask(&r, two, sent);
    sent.hold = 1;
    sent.patience_ms = 0;
    lend_rig_ask(&r, one, sent);
    for (uint32_t n = 2; n <= 3; n++) {
        lend_rig_ask(&r, one, with_handle(&buffer, LEND_TAKE));
        cr_expect(lend_read(one, LEND_BUFFER).index == n);
        lend_rig_ask(&r, one, with_handle(&buffer, LEND_GIVE));
    }
    lend_rig_ask(&r, one, with_handle(&buffer, LEND_TAKE));
    lend_expect_refused(one, WIRE_ERR_NOT_FOUND, "no such buffer");
    lend_hang_up(&r, one);
    lend_hang_up(&r, two);
    lend_rig_close(&r);
}

TEST(a_buffer_that_was_sent_twice_waits_for_both)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int one = lend_rig_peer(&r, new_buffer(SIZE)), two = lend_rig_connect(&r);
    const struct lend_record buffer = lend_read(one, LEND_BUFFER);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).index == 1);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_GIVE));
    struct lend_record sent = with_handle(&buffer, LEND_GIVE);
    sent.hold = 2;
    sent.patience_ms = 60000;
    lend_rig_ask(&r, one, sent);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).index == 2);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_GIVE));
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_TAKE));
    lend_expect_refused(two, WIRE_ERR_NOT_FOUND, "no such buffer");
    lend_hang_up(&r, one);
    lend_hang_up(&r, two);
    lend_rig_close(&r);
}

/* Who lets go says how many handles he wrote, and of how many takers he knows. */
static void
give(struct lend_rig *r, int fd, const struct lend_record *buffer, uint32_t taken, uint32_t written,
     uint32_t ms)
{
    struct lend_record ask = with_handle(buffer, LEND_GIVE);
    ask.hold = taken + written;
    ask.numbers[0] = written;
    ask.patience_ms = ms;
    lend_rig_ask(r, fd, ask);
}

/* The caller of two sends the same to both, and each of them returns it. */
TEST(a_buffer_that_two_pass_on_waits_for_both_results)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int one = lend_rig_peer(&r, new_buffer(SIZE));
    const struct lend_record buffer = lend_read(one, LEND_BUFFER);
    const int two = lend_rig_peer(&r, with_handle(&buffer, LEND_TAKE));
    const int three = lend_rig_peer(&r, with_handle(&buffer, LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).index == 1 && lend_read(three, LEND_BUFFER).index == 2);
    give(&r, two, &buffer, 1, 1, 60000);
    give(&r, three, &buffer, 2, 1, 60000);
    for (uint32_t n = 3; n <= 4; n++) {
        lend_rig_ask(&r, one, with_handle(&buffer, LEND_TAKE));
        const struct lend_record taken = lend_read(one, LEND_BUFFER);
        cr_expect(taken.index == n);
        give(&r, one, &taken, n, 0, 0);
        if (n == 3) {
            give(&r, one, &buffer, 0, 2, 0); /* what it held from the beginning */
        }
    }
    lend_rig_ask(&r, one, with_handle(&buffer, LEND_TAKE));
    lend_expect_refused(one, WIRE_ERR_NOT_FOUND, "no such buffer");
    lend_hang_up(&r, one);
    lend_hang_up(&r, two);
    lend_hang_up(&r, three);
    lend_rig_close(&r);
}

/* One passes it on while another one has yet to take what the maker sent. */
TEST(who_takes_what_another_one_sent_takes_nothing_from_a_result)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int one = lend_rig_peer(&r, new_buffer(SIZE));
    const struct lend_record buffer = lend_read(one, LEND_BUFFER);
    const int two = lend_rig_peer(&r, with_handle(&buffer, LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).index == 1);
    give(&r, two, &buffer, 1, 1, 60000);
    const int three = lend_rig_peer(&r, with_handle(&buffer, LEND_TAKE)); /* of the maker's */
    cr_expect(lend_read(three, LEND_BUFFER).index == 2);
    give(&r, one, &buffer, 0, 2, 0);
    give(&r, three, &buffer, 2, 0, 0);
    lend_rig_ask(&r, one, with_handle(&buffer, LEND_TAKE)); /* the result of the other one */
    cr_expect(lend_read(one, LEND_BUFFER).index == 3);
    give(&r, one, &buffer, 3, 0, 0);
    lend_rig_ask(&r, one, with_handle(&buffer, LEND_TAKE));
    lend_expect_refused(one, WIRE_ERR_NOT_FOUND, "no such buffer");
    lend_hang_up(&r, one);
    lend_hang_up(&r, two);
    lend_hang_up(&r, three);
    lend_rig_close(&r);
}

TEST(the_time_that_one_promised_is_not_cut_by_another)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int one = lend_rig_peer(&r, new_buffer(SIZE));
    const struct lend_record buffer = lend_read(one, LEND_BUFFER);
    const int two = lend_rig_peer(&r, with_handle(&buffer, LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).index == 1);
    const struct lend_record other = ask_new(&r, one, SIZE);
    give(&r, two, &buffer, 1, 1, 60000);
    give(&r, one, &buffer, 0, 1, 1);
    const uint32_t before = lend_open_fds();
    give(&r, one, &other, 0, 1, 2);
    while (lend_open_fds() == before) { /* until the other one's time is over */
        (void)sched_yield();
        lend_rig_turn(&r);
    }
    lend_rig_ask(&r, one, with_handle(&buffer, LEND_TAKE));
    cr_expect(lend_read(one, LEND_BUFFER).index == 2);
    lend_hang_up(&r, one);
    lend_hang_up(&r, two);
    lend_rig_close(&r);
}
