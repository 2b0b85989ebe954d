/* Buffers that the hub lends, and how much it lends at all. */
#include "proto/wire.h"
#include "tests/support/test.h"
#include "tests/unit/shell/lender_rig.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEST(name) Test(lender_buffers, name, .init = dir_enter, .fini = dir_leave)

enum { MUCH = 1 << 30 };

static struct lend_record
new_buffer(uint64_t bytes)
{
    return (struct lend_record){.op = LEND_NEW, .bytes = bytes};
}

/* The same handle in another request. */
static struct lend_record
with_handle(const struct lend_record *buffer, enum lend_op op)
{
    struct lend_record ask = {.op = (uint16_t)op};
    memcpy(ask.handle, buffer->handle, sizeof ask.handle);
    return ask;
}

TEST(both_sides_write_to_the_same_buffer)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int one = lend_rig_peer(&r, new_buffer(5000));
    struct got made = lend_get(one, LEND_BUFFER);
    cr_expect(made.record.fds == 1 && made.record.bytes == 5000);
    const int two = lend_rig_peer(&r, with_handle(&made.record, LEND_TAKE));
    struct got taken = lend_get(two, LEND_BUFFER);
    cr_expect(taken.record.bytes == 5000);
    cr_expect_arr_eq(taken.record.handle, made.record.handle, LEND_HANDLE_BYTES);
    char *a = lend_map(&made.fds[0], 8192, true), *b = lend_map(&taken.fds[0], 8192, true);
    memcpy(a, "hello", 6);
    cr_expect_str_eq(b, "hello");
    b[1] = 'a';
    cr_expect_str_eq(a, "hallo");
    (void)munmap(a, 8192);
    (void)munmap(b, 8192);
    lend_hang_up(&r, one);
    lend_hang_up(&r, two);
    lend_rig_close(&r);
}

TEST(a_buffer_goes_with_its_last_hold)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int one = lend_rig_peer(&r, new_buffer(100));
    const struct lend_record buffer = lend_read(one, LEND_BUFFER);
    const int two = lend_rig_peer(&r, with_handle(&buffer, LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).bytes == 100);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_TAKE)); /* twice */
    cr_expect(lend_read(two, LEND_BUFFER).bytes == 100);
    lend_hang_up(&r, one);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_GIVE));
    lend_expect_nothing(two);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_TAKE)); /* the other hold is still there */
    cr_expect(lend_read(two, LEND_BUFFER).bytes == 100);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_GIVE));
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_GIVE));
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_GIVE)); /* one too many is nothing */
    lend_expect_nothing(two);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_TAKE));
    lend_expect_refused(two, WIRE_ERR_NOT_FOUND, "no such buffer");
    lend_hang_up(&r, two);
    lend_rig_close(&r);
}

TEST(the_end_of_a_connection_gives_all_it_held)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    struct lend_record buffers[20];
    const int one = lend_rig_connect(&r);
    const int two = lend_rig_connect(&r);
    lend_rig_turn(&r);
    const uint32_t before = lend_open_fds();
    for (int i = 0; i < 20; i++) {
        lend_rig_ask(&r, one, new_buffer(100 + (uint64_t)i));
        buffers[i] = lend_read(one, LEND_BUFFER);
    }
    cr_expect(lend_open_fds() == before + 20);
    lend_rig_ask(&r, two, with_handle(&buffers[7], LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).bytes == 107);
    lend_hang_up(&r, one);
    cr_expect(lend_open_fds() == before - LEND_RIG_PEER_FDS + 1, "%u", (unsigned)lend_open_fds());
    lend_rig_ask(&r, two, with_handle(&buffers[6], LEND_TAKE));
    lend_expect_refused(two, WIRE_ERR_NOT_FOUND, "no such buffer");
    lend_rig_ask(&r, two, with_handle(&buffers[7], LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).bytes == 107);
    lend_hang_up(&r, two);
    cr_expect(lend_open_fds() == before - 2 * LEND_RIG_PEER_FDS);
    lend_rig_close(&r);
}

/* Give it, but let it be there for others for so long. */
static struct lend_record
given_for(const struct lend_record *buffer, uint32_t ms)
{
    struct lend_record ask = with_handle(buffer, LEND_GIVE);
    ask.patience_ms = ms;
    return ask;
}

TEST(a_buffer_that_was_sent_waits_for_whoever_has_its_handle)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int one = lend_rig_peer(&r, new_buffer(100)), two = lend_rig_connect(&r);
    const struct lend_record buffer = lend_read(one, LEND_BUFFER);
    lend_rig_ask(&r, two, given_for(&buffer, 60000)); /* which it does not hold */
    lend_expect_nothing(two);
    lend_rig_ask(&r, one, given_for(&buffer, 60000));
    lend_hang_up(&r, one);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_TAKE));
    cr_expect(lend_read(two, LEND_BUFFER).bytes == 100);
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_GIVE)); /* it has arrived, so it goes */
    lend_rig_ask(&r, two, with_handle(&buffer, LEND_TAKE));
    lend_expect_refused(two, WIRE_ERR_NOT_FOUND, "no such buffer");
    lend_hang_up(&r, two);
    lend_rig_close(&r);
}

TEST(a_buffer_that_nobody_takes_goes_when_its_time_is_over)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int fd = lend_rig_peer(&r, new_buffer(100));
    const struct lend_record brief = lend_read(fd, LEND_BUFFER);
    lend_rig_ask(&r, fd, new_buffer(200));
    const struct lend_record longer = lend_read(fd, LEND_BUFFER);
    lend_rig_ask(&r, fd, given_for(&longer, 600000));
    const uint32_t before = lend_open_fds();
    lend_rig_ask(&r, fd, given_for(&brief, 1));
    while (lend_open_fds() == before) { /* the time limit of the test is the deadline */
        (void)sched_yield();
        lend_rig_turn(&r);
    }
    lend_rig_ask(&r, fd, with_handle(&brief, LEND_TAKE));
    lend_expect_refused(fd, WIRE_ERR_NOT_FOUND, "no such buffer");
    lend_rig_ask(&r, fd, with_handle(&longer, LEND_TAKE));
    cr_expect(lend_read(fd, LEND_BUFFER).bytes == 200);
    lend_rig_ask(&r, fd, given_for(&longer, 600000));
    lend_hang_up(&r, fd);
    lend_rig_close(&r); /* and nothing that waits is left open */
}

TEST(buffers_have_limits)
{
    struct lend_rig r;
    if (!lend_raise_fds(LEND_BUFFERS_MAX + 200)) {
        test_skip("too few descriptors may be open");
    }
    lend_rig_open(&r, MUCH);
    const int fd = lend_rig_peer(&r, new_buffer(0));
    lend_expect_refused(fd, WIRE_ERR_INVALID_ARGUMENT, "not 0");
    lend_rig_ask(&r, fd, new_buffer(LEND_SLOT_BYTES_MAX + 1));
    lend_expect_refused(fd, WIRE_ERR_INVALID_ARGUMENT, "1 to 1073741824 bytes");
    int fds[LEND_BUFFERS_MAX / LEND_HOLDS_MAX];
    struct lend_record buffer = {0};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        fds[i] = lend_rig_connect(&r);
        for (int n = 0; n < LEND_HOLDS_MAX; n++) {
            lend_rig_ask(&r, fds[i], new_buffer(1));
            buffer = lend_read(fds[i], LEND_BUFFER);
        }
        lend_rig_ask(&r, fds[i], new_buffer(1));
        lend_expect_refused(fds[i], WIRE_ERR_RESOURCE_EXHAUSTED, "at most 1024 buffers");
        lend_rig_ask(&r, fds[i], with_handle(&buffer, LEND_TAKE));
        lend_expect_refused(fds[i], WIRE_ERR_RESOURCE_EXHAUSTED, "at most 1024 buffers");
    }
    lend_rig_ask(&r, fd, new_buffer(1));
    lend_expect_refused(fd, WIRE_ERR_RESOURCE_EXHAUSTED, "4096 buffers");
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        lend_hang_up(&r, fds[i]);
    }
    lend_rig_ask(&r, fd, new_buffer(1));
    cr_expect(lend_read(fd, LEND_BUFFER).bytes == 1);
    lend_hang_up(&r, fd);
    lend_rig_close(&r);
}

TEST(no_more_memory_is_lent_than_the_configuration_says)
{
    struct lend_rig r;
    /* A ring of 2 slots of a page: its head, its table, and they. */
    const uint64_t ring = ring_size(2, RING_PAGE);
    lend_rig_open(&r, ring + 4 * RING_PAGE);
    const int buffers = lend_rig_peer(&r, new_buffer(3 * RING_PAGE - 1));
    const struct lend_record buffer = lend_read(buffers, LEND_BUFFER);
    lend_rig_ask(&r, buffers, new_buffer(ring + RING_PAGE + 1));
    lend_expect_refused(buffers, WIRE_ERR_RESOURCE_EXHAUSTED, "(hub: memory_max)");
    lend_rig_ask(&r, buffers, new_buffer(LEND_SLOT_BYTES_MAX));
    lend_expect_refused(buffers, WIRE_ERR_RESOURCE_EXHAUSTED, "1073741824 bytes do not fit");
    const int writer = lend_rig_peer(&r, lend_writer("cam", 2, RING_PAGE + 1));
    lend_expect_refused(writer, WIRE_ERR_RESOURCE_EXHAUSTED, "(hub: memory_max)");
    lend_rig_ask(&r, writer, lend_writer("cam", 2, RING_PAGE));
    cr_expect(lend_read(writer, LEND_CREATED).slots == 2);
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    lend_expect_refused(reader, WIRE_ERR_RESOURCE_EXHAUSTED, "slots");
    lend_rig_ask(&r, writer, lend_writer("cam", 3, RING_PAGE));
    lend_expect_refused(writer, WIRE_ERR_RESOURCE_EXHAUSTED, "(hub: memory_max)");
    lend_rig_ask(&r, buffers, with_handle(&buffer, LEND_GIVE));
    /* The old ring is given back for the new one. */
    lend_rig_ask(&r, writer, lend_writer("cam", 3, RING_PAGE));
    cr_expect(lend_read(writer, LEND_CREATED).generation == 2);
    lend_rig_ask(&r, reader, lend_reader("cam", RING_LATEST, 1, ""));
    cr_expect(lend_read(reader, LEND_OPENED).hold == 1);
    /* One page is left, and a group and its member need two. */
    const int member = lend_rig_peer(&r, lend_reader("dog", RING_LATEST, 1, "g"));
    lend_expect_refused(member, WIRE_ERR_RESOURCE_EXHAUSTED, "(hub: memory_max)");
    lend_rig_ask(&r, member, lend_reader("dog", RING_LATEST, 1, ""));
    cr_expect(lend_read(member, LEND_OPENED).hold == 1);
    lend_hang_up(&r, member);
    lend_hang_up(&r, reader);
    lend_hang_up(&r, writer);
    lend_rig_ask(&r, buffers, new_buffer(ring + 4 * RING_PAGE));
    cr_expect(lend_read(buffers, LEND_BUFFER).fds == 1, "all is there again");
    lend_hang_up(&r, buffers);
    lend_rig_close(&r);
}

/* It is freed by another thread, so it is waited for. */
TEST(large_memory_is_freed_too)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int fd = lend_rig_connect(&r);
    lend_rig_turn(&r);
    const uint32_t before = lend_open_fds();
    lend_rig_ask(&r, fd, new_buffer(64 << 20));
    const struct lend_record buffer = lend_read(fd, LEND_BUFFER);
    cr_expect(lend_open_fds() == before + 1);
    lend_rig_ask(&r, fd, with_handle(&buffer, LEND_GIVE));
    while (lend_open_fds() != before) {
        (void)sched_yield(); /* the time limit of the test is the deadline */
    }
    lend_hang_up(&r, fd);
    lend_rig_close(&r);
}
