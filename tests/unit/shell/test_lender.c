/* The socket of the lender and its connections: junk, peers that do not read, too many of them, and
 * descriptors or memory that run out. */
#include "proto/wire.h"
#include "tests/support/memory.h"
#include "tests/support/test.h"
#include "tests/unit/shell/capture.h"
#include "tests/unit/shell/lender_rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TEST(name) Test(lender, name, .init = dir_enter, .fini = dir_leave)

enum { MUCH = 1 << 30 };

static const struct lend_record list = {.op = LEND_LIST};

TEST(the_socket_is_private_and_takes_the_place_of_an_old_one)
{
    struct lend_rig r;
    struct stat st;
    dir_write(LEND_SOCKET, "stale", 0644);
    lend_rig_open(&r, MUCH);
    cr_expect(stat(r.path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0600);
    lend_rig_close(&r);
    lender_free(NULL);
}

TEST(a_socket_that_cannot_be_is_told_in_the_log)
{
    struct log log = log_start();
    char text[CAPTURE_TEXT], path[200];
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    (void)memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    const struct {
        const char *path, *words;
    } rows[] = {{"no/such/folder", "cannot listen on no/such/folder: No such file"},
                {path, "File name too long"}};
    for (size_t i = 0; i < 2; i++) {
        const struct lender_options options = {
            .epoll_fd = epoll_fd, .path = rows[i].path, .log = &log, .memory_bytes_max = MUCH};
        const int saved = capture_begin();
        struct lender *l = lender_new(&options);
        capture_end(saved);
        (void)capture_file(text, "stderr");
        cr_expect(l == NULL && strstr(text, rows[i].words) != NULL, "%s", text);
    }
    (void)close(epoll_fd);
}

TEST(junk_closes_the_connection_that_it_came_on)
{
    static const struct {
        uint16_t version, op;
        size_t bytes;
    } rows[] = {
        {LEND_VERSION + 1, LEND_LIST, sizeof(struct lend_record)},
        {0, LEND_LIST, sizeof(struct lend_record)},
        {LEND_VERSION, 0, sizeof(struct lend_record)},
        {LEND_VERSION, LEND_LEAVE + 1, sizeof(struct lend_record)},
        {LEND_VERSION, LEND_LEAVE, sizeof(struct lend_record)}, /* of nothing */
        {LEND_VERSION, LEND_REFUSED, sizeof(struct lend_record)},
        {LEND_VERSION, LEND_LOOK, sizeof(struct lend_record)},
        {LEND_VERSION, UINT16_MAX, sizeof(struct lend_record)},
        {LEND_VERSION, LEND_LIST, sizeof(struct lend_record) - 1},
        {LEND_VERSION, LEND_LIST, 2},
        {LEND_VERSION, LEND_LIST, sizeof(struct lend_record) + 1},
    };
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int good = lend_rig_connect(&r);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct lend_record record[2] = {{.version = rows[i].version, .op = rows[i].op}};
        const int fd = lend_rig_connect(&r);
        cr_expect(send(fd, record, rows[i].bytes, 0) == (ssize_t)rows[i].bytes, "row %zu", i);
        lend_rig_turn(&r);
        cr_expect(lend_is_closed(fd), "row %zu", i);
        (void)close(fd);
    }
    lend_rig_ask(&r, good, list);
    cr_expect(lend_read(good, LEND_END).fds == 0);
    lend_hang_up(&r, good);
    lend_rig_close(&r);
}

TEST(a_connection_is_one_thing_only)
{
    const struct lend_record writer = lend_writer("cam", 4, 1), other = lend_writer("dog", 4, 1),
                             reader = lend_reader("cam", RING_LATEST, 1, ""),
                             buffer = {.op = LEND_NEW, .bytes = 1};
    const struct {
        struct lend_record first, second;
        enum lend_op answer;
    } rows[] = {{writer, reader, LEND_CREATED}, {writer, other, LEND_CREATED},
                {writer, buffer, LEND_CREATED}, {writer, list, LEND_CREATED},
                {reader, writer, LEND_OPENED},  {reader, reader, LEND_OPENED},
                {reader, buffer, LEND_OPENED},  {buffer, writer, LEND_BUFFER},
                {buffer, reader, LEND_BUFFER}};
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int fd = lend_rig_peer(&r, rows[i].first);
        cr_expect(lend_read(fd, rows[i].answer).fds > 0, "row %zu", i);
        lend_rig_ask(&r, fd, rows[i].second);
        cr_expect(lend_is_closed(fd), "row %zu", i);
        (void)close(fd);
    }
    lend_rig_close(&r);
}

TEST(descriptors_that_nobody_asked_for_are_closed)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int fd = lend_rig_connect(&r);
    struct lend_record ask = list;
    ask.version = LEND_VERSION;
    lend_rig_turn(&r);
    const uint32_t before = lend_open_fds();
    cr_assert(pass_send(fd, &ask, (int[]){0, 1, 2}, 3) == PASS_OK);
    lend_rig_turn(&r);
    cr_expect(lend_read(fd, LEND_END).fds == 0);
    cr_expect(lend_open_fds() == before);
    lend_hang_up(&r, fd);
    lend_rig_close(&r);
}

TEST(a_writer_that_does_not_read_is_disconnected_and_nobody_waits_for_it)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int writer = lend_rig_peer(&r, lend_writer("cam", 4, 100));
    const int stays = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    cr_expect(lend_read(stays, LEND_OPENED).hold == 1);
    bool is_full = false;
    for (int i = 0; i < 20000 && !is_full; i++) {
        const int fd = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
        cr_expect(lend_read(fd, LEND_OPENED).hold == 1, "reader %d", i);
        lend_hang_up(&r, fd);
        const int other = lend_rig_peer(&r, lend_writer("cam", 4, 100));
        struct got got;
        cr_assert(pass_receive(other, &got.record, got.fds) == PASS_OK);
        pass_close(got.fds, got.record.fds);
        is_full = got.record.op == LEND_CREATED;
        cr_expect(!is_full || got.record.generation == 2);
        lend_hang_up(&r, other);
    }
    cr_expect(is_full && lend_is_closed(writer), "it has all been told, unread");
    cr_expect(lend_read(stays, LEND_RING).generation == 1);
    cr_expect(lend_read(stays, LEND_RING).generation == 2);
    lend_hang_up(&r, writer);
    lend_hang_up(&r, stays);
    lend_rig_close(&r);
}

/* It may be stopped, with frames in its hands: its place is kept until it hangs up by itself. */
TEST(a_reader_that_does_not_read_finds_an_end_and_keeps_its_place_until_then)
{
    enum { MORE_THAN_FITS = 2000 };
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    const int writer = lend_rig_peer(&r, lend_writer("cam", 4, 1));
    for (uint32_t i = 1; i <= MORE_THAN_FITS; i++) {
        cr_expect(lend_read(writer, LEND_CREATED).generation == i);
        cr_expect(lend_read(writer, LEND_DESK).index == 0);
        lend_rig_ask(&r, writer, lend_writer("cam", 4 + i % 2, 1));
    }
    cr_expect(lend_read(writer, LEND_CREATED).index == 1);
    cr_expect(lend_read(writer, LEND_DESK).index == 0);
    lend_expect_nothing(writer);
    cr_expect(lend_is_closed(reader), "it has all been told, unread");
    lend_hang_up(&r, reader);
    cr_expect(lend_read(writer, LEND_DESK_GONE).index == 0);
    lend_hang_up(&r, writer);
    lend_rig_close(&r);
}

/* Twenty long lists, of which nothing is read before all were asked for. */
TEST(a_list_is_sent_as_it_is_read)
{
    enum { READERS = 40, LISTS = 20 };
    struct lend_rig r;
    int readers[READERS];
    lend_rig_open(&r, MUCH);
    const int writer = lend_rig_peer(&r, lend_writer("cam", 64, 100));
    for (int i = 0; i < READERS; i++) {
        readers[i] = lend_rig_peer(&r, lend_reader("cam", i % 2, 1, i == 5 ? "g" : ""));
    }
    const int fd = lend_rig_connect(&r);
    for (int i = 0; i < LISTS; i++) {
        lend_rig_ask(&r, fd, list);
    }
    for (int i = 0; i < LISTS; i++) {
        struct lend_record record;
        int fds[LEND_FDS_MAX];
        for (int n = 0; n < READERS + 2; n++) {
            if (pass_receive(fd, &record, fds) == PASS_EMPTY) {
                lend_rig_turn(&r); /* there is room again */
                cr_assert(pass_receive(fd, &record, fds) == PASS_OK, "list %d ends at %d", i, n);
            }
            const enum lend_op op = n == 0             ? LEND_STREAM
                                    : n == READERS + 1 ? LEND_END
                                                       : LEND_READER;
            cr_expect(record.op == op, "list %d has %d at %d", i, (int)record.op, n);
            if (n == 0) {
                cr_expect(record.pid == getpid() && record.slots == 64 && record.bytes == 4096 &&
                          record.numbers[5] == READERS && record.generation == 1);
            } else if (n <= READERS) {
                const bool is_member = record.group[0] != '\0';
                cr_expect(record.pid == getpid() && record.hold == 1 &&
                          record.numbers[5] == getuid() && strcmp(record.name, "cam") == 0);
                cr_expect(!is_member || strcmp(record.group, "g") == 0);
            }
        }
    }
    lend_expect_nothing(fd);
    lend_rig_ask(&r, fd, lend_writer("dog", 4, 100)); /* a list makes nothing of a connection */
    cr_expect(lend_read(fd, LEND_CREATED).slots == 4);
    lend_hang_up(&r, fd);
    for (int i = 0; i < READERS; i++) {
        lend_hang_up(&r, readers[i]);
    }
    lend_hang_up(&r, writer);
    lend_rig_close(&r);
}

/* The end of a peer with a list under way is seen, although nothing is read from it then. */
TEST(a_list_that_nobody_reads_ends_with_its_connection)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    const int fd = lend_rig_connect(&r);
    lend_rig_turn(&r);
    struct lend_record ask = list;
    ask.version = LEND_VERSION;
    for (int i = 0; i < 20000 && pass_send(fd, &ask, NULL, 0) == PASS_OK; i++) {
        lend_rig_turn(&r);
    }
    const uint32_t before = lend_open_fds();
    lend_hang_up(&r, fd);
    cr_expect(lend_open_fds() == before - LEND_RIG_PEER_FDS);
    lend_hang_up(&r, reader);
    lend_rig_close(&r);
}

/* What goes while a list is under way is not in the rest of it, and the rest is whole. */
TEST(a_list_goes_on_when_what_it_lists_goes_away)
{
    enum { STREAMS = 40, LISTS = 200 };
    struct lend_rig r;
    int writers[STREAMS];
    char name[20];
    lend_rig_open(&r, MUCH);
    for (int i = 0; i < STREAMS; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        writers[i] = lend_rig_peer(&r, lend_writer(name, 4, 100));
    }
    const int fd = lend_rig_connect(&r);
    for (int i = 0; i < LISTS; i++) {
        lend_rig_ask(&r, fd, list);
    }
    for (int i = 1; i < STREAMS; i++) {
        lend_hang_up(&r, writers[i]);
    }
    int streams = 0, most = 0, lists = 0;
    for (struct lend_record record; lists < LISTS;) {
        int fds[LEND_FDS_MAX];
        if (pass_receive(fd, &record, fds) == PASS_EMPTY) {
            lend_rig_turn(&r);
            cr_assert(pass_receive(fd, &record, fds) == PASS_OK, "list %d ends", lists);
        }
        streams += record.op == LEND_STREAM;
        if (record.op == LEND_END) {
            cr_expect(streams >= 1 && strcmp(name, "s0") == 0, "list %d", lists);
            cr_expect(lists > 0 || streams == STREAMS, "the first one was sent before");
            most = streams;
            streams = 0;
            lists++;
        } else {
            (void)snprintf(name, sizeof name, "%.19s", record.name); /* the oldest is the last */
        }
    }
    cr_expect(most == 1, "the last list has %d", most);
    lend_hang_up(&r, fd);
    lend_hang_up(&r, writers[0]);
    lend_rig_close(&r);
}

TEST(a_hub_that_ends_hangs_up_and_what_it_lent_stays)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int writer = lend_rig_peer(&r, lend_writer("cam", 4, 100));
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, "g"));
    const int holder = lend_rig_peer(&r, (struct lend_record){.op = LEND_NEW, .bytes = 100});
    struct got created = lend_get(writer, LEND_CREATED);
    lend_rig_close(&r);
    struct ring_head *head = lend_map(&created.fds[0], ring_size(4, 4096), true);
    cr_expect(head->magic == RING_MAGIC && head->ended == RING_OPEN);
    (void)munmap(head, ring_size(4, 4096));
    cr_expect(lend_is_closed(writer) && lend_is_closed(reader) && lend_is_closed(holder));
    (void)close(writer);
    (void)close(reader);
    (void)close(holder);
}

TEST(numbers_of_a_list_are_those_of_the_shared_pages)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int writer = lend_rig_peer(&r, lend_writer("cam", 4, 100));
    struct got created = lend_get(writer, LEND_CREATED);
    const size_t size = ring_size(4, 4096);
    struct ring_head *head = lend_map(&created.fds[0], size, true);
    struct ring_frame *frame = (struct ring_frame *)((char *)head + ring_frame_offset(2));
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LOSSLESS, 2, "g"));
    struct got opened = lend_get(reader, LEND_OPENED);
    struct ring_desk *desk = lend_map(&opened.fds[0], RING_PAGE, true);
    struct ring_group *group = lend_map(&opened.fds[3], RING_PAGE, true);
    lend_got_close(&opened);
    head->newest = 12 << 8 | 2;
    head->frames = 11;
    head->bytes = 1100;
    head->skipped = 3;
    frame->time_us = 123456;
    group->desk.next = 13;
    desk->taken = 8;
    desk->missed = 2;
    desk->delay_ns = 777;
    desk->pins[1] = 4;
    desk->pins[2] = 4; /* beyond what it may hold */
    const int fd = lend_rig_peer(&r, list);
    const struct lend_record s = lend_read(fd, LEND_STREAM), one = lend_read(fd, LEND_READER);
    cr_expect(s.numbers[0] == 12 && s.numbers[1] == 11 && s.numbers[2] == 1100 &&
              s.numbers[3] == 3 && s.numbers[4] == 123456 && s.numbers[5] == 1);
    cr_expect(one.numbers[0] == 13 && one.numbers[1] == 8 && one.numbers[2] == 2 &&
              one.numbers[3] == 777 && one.numbers[4] == 1 && one.policy == RING_LOSSLESS);
    cr_expect(lend_read(fd, LEND_END).fds == 0);
    head->newest = 12 << 8 | 200; /* no such slot */
    lend_rig_ask(&r, fd, list);
    cr_expect(lend_read(fd, LEND_STREAM).numbers[4] == 0);
    (void)munmap(head, size);
    (void)munmap(desk, RING_PAGE);
    (void)munmap(group, RING_PAGE);
    lend_hang_up(&r, fd);
    lend_hang_up(&r, reader);
    lend_hang_up(&r, writer);
    lend_rig_close(&r);
}

TEST(a_connection_too_many_is_told_so)
{
    struct lend_rig r;
    static int fds[LEND_PEERS_MAX];
    if (!lend_raise_fds(2 * LEND_PEERS_MAX + 400)) {
        test_skip("too few descriptors may be open");
    }
    lend_rig_open(&r, MUCH);
    for (int i = 0; i < LEND_PEERS_MAX; i++) {
        fds[i] = lend_rig_connect(&r);
        lend_rig_turn(&r);
    }
    lend_rig_ask(&r, fds[LEND_PEERS_MAX - 1], list);
    cr_expect(lend_read(fds[LEND_PEERS_MAX - 1], LEND_END).fds == 0);
    const int more = lend_rig_peer(&r, list);
    lend_expect_refused(more, WIRE_ERR_RESOURCE_EXHAUSTED, "1024 connections");
    cr_expect(lend_is_closed(more));
    (void)close(more);
    int spare[65];
    for (int i = 0; i < 65; i++) {
        spare[i] = lend_rig_connect(&r);
        lend_rig_turn(&r);
        cr_expect(lend_is_closed(spare[i]) == (i == 64), "connection %d", i);
    }
    for (int i = 0; i < 65; i++) {
        (void)close(spare[i]);
    }
    lend_hang_up(&r, fds[0]);
    fds[0] = lend_rig_peer(&r, list);
    cr_expect(lend_read(fds[0], LEND_END).fds == 0, "there is room again");
    for (int i = 0; i < LEND_PEERS_MAX; i++) {
        (void)close(fds[i]);
    }
    lend_rig_turn(&r);
    lend_rig_close(&r);
}

TEST(who_comes_when_descriptors_are_out_is_served_when_there_are_some)
{
    struct lend_rig r;
    struct epoll_event event;
    lend_rig_open(&r, MUCH);
    const int fd = lend_rig_connect(&r);
    struct lend_record ask = list;
    ask.version = LEND_VERSION;
    cr_assert(pass_send(fd, &ask, NULL, 0) == PASS_OK);
    lend_allow_fds(0);
    lend_rig_turn(&r);
    cr_expect(epoll_wait(r.epoll_fd, &event, 1, 0) == 0, "it would turn for ever");
    lend_expect_nothing(fd);
    (void)lend_raise_fds(0);
    lend_rig_turn(&r);
    lend_rig_turn(&r);
    cr_expect(lend_read(fd, LEND_END).fds == 0);
    lend_hang_up(&r, fd);
    lend_rig_close(&r);
}

/* With one more descriptor each time, until it works: nothing is left of what did not. */
static void
run_out_of_fds(struct lend_rig *r, struct lend_record ask, enum lend_op done)
{
    bool is_done = false;
    for (uint32_t n = 0; n < 12 && !is_done; n++) {
        const int fd = lend_rig_connect(r);
        lend_rig_turn(r);
        const uint32_t before = lend_open_fds();
        lend_allow_fds(n);
        lend_rig_ask(r, fd, ask);
        (void)lend_raise_fds(0);
        struct got got;
        const enum pass_result result = pass_receive(fd, &got.record, got.fds);
        is_done = result == PASS_OK && got.record.op == done;
        cr_expect(is_done || (result == PASS_OK && got.record.op == LEND_REFUSED &&
                              got.record.code == WIRE_ERR_RESOURCE_EXHAUSTED),
                  "with %u: %s", (unsigned)n, result == PASS_OK ? got.record.text : "gone");
        if (result == PASS_OK) {
            pass_close(got.fds, got.record.fds);
        }
        cr_expect(is_done || lend_open_fds() <= before, "with %u it leaks", (unsigned)n);
        lend_hang_up(r, fd);
        cr_expect(lend_open_fds() == before - LEND_RIG_PEER_FDS, "with %u it leaks", (unsigned)n);
    }
    cr_expect(is_done, "with 11 there are too few");
}

TEST(whoever_lacks_descriptors_is_refused_and_nothing_is_left_open)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    run_out_of_fds(&r, lend_writer("cam", 4, 100), LEND_CREATED);
    run_out_of_fds(&r, (struct lend_record){.op = LEND_NEW, .bytes = 1}, LEND_BUFFER);
    run_out_of_fds(&r, lend_reader("cam", RING_LATEST, 1, "g"), LEND_OPENED);
    const int writer = lend_rig_peer(&r, lend_writer("cam", 8, 100));
    run_out_of_fds(&r, lend_reader("cam", RING_LATEST, 1, "g"), LEND_OPENED);
    cr_expect(!lend_is_closed(writer), "it had no part in it");
    lend_hang_up(&r, writer);
    lend_rig_close(&r);
}

/* Its readers wait for a ring and are told of none: they come again. */
TEST(a_writer_whose_readers_cannot_be_told_is_disconnected)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    cr_expect(lend_read(reader, LEND_OPENED).slots == 0);
    const int writer = lend_rig_connect(&r);
    lend_rig_turn(&r);
    lend_allow_fds(1); /* for the ring alone */
    lend_rig_ask(&r, writer, lend_writer("cam", 4, 100));
    (void)lend_raise_fds(0);
    cr_expect(lend_is_closed(writer) && lend_is_closed(reader));
    const int again = lend_rig_peer(&r, list);
    cr_expect(lend_read(again, LEND_STREAM).numbers[5] == 1, "its place is kept");
    lend_hang_up(&r, again);
    lend_hang_up(&r, writer);
    lend_hang_up(&r, reader);
    lend_rig_close(&r);
}

/* ---- memory ----------------------------------------------------------------------------------
 */

/* Ask for all there is; the hub alone may be out of memory. */
static void
use_everything(void)
{
    struct lend_rig r = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .log = log_start()};
    const struct lender_options options = {.epoll_fd = r.epoll_fd,
                                           .path = dir_file(r.path, LEND_SOCKET),
                                           .log = &r.log,
                                           .memory_bytes_max = MUCH};
    const struct lend_record asks[] = {lend_writer("cam", 8, 100),
                                       lend_reader("cam", RING_LATEST, 1, "g"),
                                       lend_reader("dog", RING_LATEST, 1, ""),
                                       {.op = LEND_NEW, .bytes = 100},
                                       list};
    enum { ASKS = sizeof asks / sizeof asks[0] };
    int fds[ASKS];
    r.lender = lender_new(&options);
    if (r.lender == NULL) {
        (void)close(r.epoll_fd);
        return;
    }
    for (int i = 0; i < ASKS; i++) {
        struct lend_record ask = asks[i], answer;
        int came[LEND_FDS_MAX];
        fds[i] = lend_rig_connect(&r);
        lend_rig_turn(&r);
        ask.version = LEND_VERSION;
        const enum pass_result asked = pass_send(fds[i], &ask, NULL, 0);
        lend_rig_turn(&r);
        const enum pass_result got = pass_receive(fds[i], &answer, came);
        cr_expect(got == PASS_OK || memory.failed, "request %d: %d %d", i, (int)asked, (int)got);
        if (got == PASS_OK) {
            cr_expect(answer.op != LEND_REFUSED ||
                          (memory.failed && answer.code == WIRE_ERR_RESOURCE_EXHAUSTED),
                      "request %d: %s", i, answer.text);
            pass_close(came, answer.fds);
        }
    }
    for (int i = 0; i < ASKS; i++) {
        lend_hang_up(&r, fds[i]);
    }
    lend_rig_close(&r);
}

TEST(memory_may_run_out_at_any_time)
{
    memory_fail_each(use_everything);
}
