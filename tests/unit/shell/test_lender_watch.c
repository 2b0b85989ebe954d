/* What the lender tells of itself: who writes, who was given up, what is silent, how much is lent;
 * and whose end it sees when a connection outlives its process. */
#include "proto/clock/clock.h"
#include "proto/mp.h"
#include "proto/name.h"
#include "proto/ring/ring.h"
#include "proto/wire.h"
#include "proto/write.h"
#include "tests/support/test.h"
#include "tests/unit/shell/lender_rig.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST(name) Test(lender_watch, name, .init = dir_enter, .fini = dir_leave)

enum { MUCH = 1 << 30 };

/* All the news since the last time, without pids, which differ. */
static void
expect_news(struct lend_rig *r, const char *expected)
{
    char *out = r->news;
    for (const char *at = r->news; *at != '\0';) {
        const char *pid = strstr(at, " pid ");
        const char *next = strchr(pid, '\n') + 1;
        const size_t len = (size_t)(pid - at);
        memmove(out, at, len);
        out += len;
        *out++ = '\n';
        at = next;
    }
    *out = '\0';
    cr_expect(strcmp(r->news, expected) == 0, "news:\n%sexpected:\n%s", r->news, expected);
    r->news[0] = '\0';
}

/* The head of a writer's ring, mapped until the end of the test. */
static struct ring_head *
take_head(int writer)
{
    struct got got = lend_get(writer, LEND_CREATED);
    return lend_map(&got.fds[0], ring_size(got.record.slots, got.record.bytes), true);
}

static void
unmap(struct ring_head *head)
{
    (void)munmap(head, ring_size(head->slots, head->slot_bytes));
}

TEST(writers_are_told_when_they_come_change_and_go)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    expect_news(&r, "");
    int writer = lend_rig_peer(&r, lend_writer("cam", 4, 1000));
    expect_news(&r, "started 'cam' opened generation 1 number 0 slots 4 of 4096 group ''\n");
    struct ring_head *head = take_head(writer);
    head->newest = 7 << 8 | 1;
    unmap(head);
    lend_rig_ask(&r, writer, lend_writer("cam", 4, 4096));
    expect_news(&r, ""); /* it fits into what there is */
    lend_rig_ask(&r, writer, lend_writer("cam", 6, 9000));
    expect_news(&r, "changed 'cam'  generation 2 number 7 slots 6 of 12288 group ''\n");
    lend_hang_up(&r, writer);
    expect_news(&r, "stopped 'cam' closed generation 2 number 7 slots 6 of 12288 group ''\n");
    struct lend_record back = lend_writer("cam", 6, 9000);
    back.generation = 5;
    back.numbers[0] = 70;
    writer = lend_rig_peer(&r, back);
    expect_news(&r, "started 'cam' back generation 6 number 70 slots 6 of 12288 group ''\n");
    const int second = lend_rig_peer(&r, lend_writer("cam", 6, 9000));
    lend_hang_up(&r, second);
    lend_hang_up(&r, reader);
    expect_news(&r, "");
    lend_rig_close(&r); /* its own end is nobody's news */
    expect_news(&r, "");
    (void)close(writer);
}

TEST(that_memory_is_refused_is_told)
{
    struct lend_rig r;
    lend_rig_open(&r, 1 << 20);
    const int writer = lend_rig_peer(&r, lend_writer("cam", 4, 1 << 20));
    lend_expect_refused(writer, WIRE_ERR_RESOURCE_EXHAUSTED, "memory_max");
    expect_news(&r, "refused 'cam' - generation 0 number 0 slots 0 of 0 group ''\n");
    const int holder = lend_rig_peer(&r, (struct lend_record){.op = LEND_NEW, .bytes = 2 << 20});
    lend_expect_refused(holder, WIRE_ERR_RESOURCE_EXHAUSTED, "memory_max");
    expect_news(&r, "refused '' - generation 0 number 0 slots 0 of 0 group ''\n");
    lend_hang_up(&r, writer);
    lend_hang_up(&r, holder);
    lend_rig_close(&r);
}

/* The writer says in its head whom it has given up, each time by how often that one had come. */
TEST(a_lossless_reader_that_is_given_up_is_told_each_time)
{
    struct lend_rig r;
    lend_rig_open(&r, MUCH);
    const int writer = lend_rig_peer(&r, lend_writer("cam", 8, 1000));
    struct ring_head *head = take_head(writer);
    const int late = lend_rig_peer(&r, lend_reader("cam", RING_LOSSLESS, 1, ""));
    const int latest = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    const int member = lend_rig_peer(&r, lend_reader("cam", RING_LOSSLESS, 1, "g"));
    r.news[0] = '\0';
    head->dropped[0] = 1;
    lend_rig_wait(&r, "dropped 'cam'");
    expect_news(&r, "dropped 'cam' - generation 0 number 0 slots 0 of 0 group ''\n");
    head->dropped[0] = 2; /* it came back, */
    head->dropped[1] = 1; /* this one takes no notice, */
    head->dropped[3] = 1; /* and of a group it is the desk that all share */
    lend_rig_wait(&r, "dropped 'cam' - generation 0 number 0 slots 0 of 0 group 'g'");
    expect_news(&r, "dropped 'cam' - generation 0 number 0 slots 0 of 0 group ''\n"
                    "dropped 'cam' - generation 0 number 0 slots 0 of 0 group 'g'\n");
    head->dropped[0] = 3; /* seen at the latest when it leaves, */
    lend_hang_up(&r, late);
    head->dropped[3] = 2; /* or when there is another ring, which begins anew */
    lend_rig_ask(&r, writer, lend_writer("cam", 8, 5000));
    expect_news(&r, "dropped 'cam' - generation 0 number 0 slots 0 of 0 group ''\n"
                    "dropped 'cam' - generation 0 number 0 slots 0 of 0 group 'g'\n"
                    "changed 'cam'  generation 2 number 0 slots 8 of 8192 group ''\n");
    unmap(head);
    lend_hang_up(&r, latest);
    lend_hang_up(&r, member);
    lend_hang_up(&r, writer);
    lend_rig_close(&r);
}

TEST(a_stream_without_frames_is_told_once_until_one_comes)
{
    static const struct hub_silence silences[] = {{"cam", 40}, {"never", 80}};
    struct lend_rig r;
    lend_rig_open_watching(&r, silences, 2);
    lend_rig_wait(&r, "silent 'cam'"); /* nobody writes it */
    lend_rig_wait(&r, "silent 'never'");
    int writer = lend_rig_peer(&r, lend_writer("cam", 4, 1000));
    struct ring_head *head = take_head(writer);
    r.news[0] = '\0';
    head->newest = 1 << 8;
    lend_rig_wait(&r, "heard 'cam'");
    lend_rig_wait(&r, "silent 'cam' - generation 0 number 1 ");
    head->newest = 2 << 8;
    /* Another ring without a frame is none. */
    unmap(head);
    lend_rig_wait(&r, "silent 'cam' - generation 0 number 2 ");
    lend_rig_ask(&r, writer, lend_writer("cam", 8, 1000));
    head = take_head(writer);
    r.news[0] = '\0';
    lend_hang_up(&r, writer);
    expect_news(&r, "stopped 'cam' closed generation 2 number 2 slots 8 of 4096 group ''\n");
    unmap(head);
    /* Somebody else, who counts from 1 again, is heard although the number is not new. */
    writer = lend_rig_peer(&r, lend_writer("cam", 4, 1000));
    head = take_head(writer);
    head->newest = 2 << 8;
    lend_rig_wait(&r, "heard 'cam'");
    unmap(head);
    lend_hang_up(&r, writer);
    lend_rig_close(&r);
}

/* "name 3, ..." of the numbers in a map. */
static void
read_map(struct span map, uint32_t pairs, char *out, size_t size)
{
    out[0] = '\0';
    for (uint32_t i = 0; i < pairs; i++) {
        struct mp_item key, value;
        cr_assert(mp_next(&map, &key) && mp_next(&map, &value), "a pair");
        const size_t n = strlen(out);
        if (value.kind == MP_UINT) {
            (void)snprintf(out + n, size - n, "%.*s %u ", (int)key.bytes.len,
                           (const char *)key.bytes.data, (unsigned)value.uint);
        } else if (value.kind == MP_BOOL && value.boolean) {
            (void)snprintf(out + n, size - n, "%.*s ", (int)key.bytes.len,
                           (const char *)key.bytes.data);
        }
    }
}

TEST(the_figures_are_those_of_the_shared_pages)
{
    static const struct hub_silence silences[] = {{"other", 10}};
    struct lend_rig r;
    struct hub_lent lent;
    struct buf b = {0};
    struct mp_item name, map;
    char text[500];
    lend_rig_open_watching(&r, silences, 1);
    lend_rig_wait(&r, "silent 'other'");
    const int writer = lend_rig_peer(&r, lend_writer("cam", 4, 1000));
    struct ring_head *head = take_head(writer);
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LOSSLESS, 1, ""));
    struct got opened = lend_get(reader, LEND_OPENED);
    struct ring_desk *desk = lend_map(&opened.fds[0], RING_PAGE, true);
    lend_got_close(&opened);
    head->newest = 9 << 8 | 2;
    head->frames = 9;
    head->bytes = 900;
    head->skipped = 1;
    desk->taken = 7;
    desk->missed = 2;
    struct ring_frame *frame = (struct ring_frame *)((char *)head + ring_frame_offset(2));
    frame->mono_ns = clock_mono_ns() - INT64_C(5000000000);
    lender_sum(r.lender, &lent, &b);
    cr_expect(!b.failed && lent.stream_count == 1 && lent.silent == 1 && lent.buffers == 0 &&
                  lent.connections == 2 && lent.bytes_max == MUCH,
              "%u streams", (unsigned)lent.stream_count);
    cr_expect(lent.bytes == ring_size(4, 4096) + RING_PAGE, "%u", (unsigned)lent.bytes);
    struct span rest = lent.streams;
    cr_assert(mp_next(&rest, &name) && span_is(name.bytes, "cam") && mp_next(&rest, &map));
    read_map(rest, map.count, text, sizeof text);
    char expected[500];
    (void)snprintf(expected, sizeof expected,
                   "up pid %d generation 1 slots 4 slot_bytes 4096 memory_bytes %u frames 9 "
                   "bytes 900 skipped 1 age_ms ",
                   (int)getpid(), (unsigned)lent.bytes);
    cr_expect(strncmp(text, expected, strlen(expected)) == 0, "%s", text);
    cr_expect(strtoul(text + strlen(expected), NULL, 10) >= 5000, "%s", text);
    cr_expect(strstr(text, " readers 1 taken 7 missed 2 dropped 0 ") != NULL, "%s", text);

    lend_hang_up(&r, reader); /* what it took is not forgotten */
    buf_deinit(&b);
    lender_sum(r.lender, &lent, &b);
    rest = lent.streams;
    cr_assert(mp_next(&rest, &name) && mp_next(&rest, &map));
    read_map(rest, map.count, text, sizeof text);
    cr_expect(strstr(text, " readers 0 taken 7 missed 2 dropped 0 ") != NULL, "%s", text);
    buf_deinit(&b);
    (void)munmap(desk, RING_PAGE);
    unmap(head);
    lend_hang_up(&r, writer);
    lend_rig_close(&r);
}

/* ---- whose end it is -------------------------------------------------------------------------
 */

/* In a child: without what the hub has open, which no other process than the hub has. */
static void
close_all_but(int keep, int keep_too)
{
    for (int fd = STDERR_FILENO + 1; fd < 256; fd++) {
        if (fd != keep && fd != keep_too) {
            (void)close(fd); /* most are not open */
        }
    }
}

/* A process that connects, says `ask`, and has a child that has its connection, too, and waits
 * until `hold` ends. It is over when this returns; its child is not. */
static void
die_with_child(struct lend_rig *r, struct lend_record ask, const int hold[2])
{
    ask.version = LEND_VERSION;
    const pid_t parent = fork();
    cr_assert(parent >= 0, "fork");
    if (parent == 0) {
        close_all_but(hold[0], -1);
        const int fd = lend_rig_connect(r);
        char byte;
        if (pass_send(fd, &ask, NULL, 0) != PASS_OK) {
            _exit(1);
        }
        if (fork() == 0) {
            _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
        }
        (void)raise(SIGKILL);
    }
    int status;
    cr_assert(waitpid(parent, &status, 0) == parent && WTERMSIG(status) == SIGKILL, "its end");
}

/* The hub comes to it when it is over already: what it asked is done all the same, then undone. */
TEST(who_died_before_the_hub_looked_holds_nothing_though_a_child_has_its_connection)
{
    struct lend_rig r;
    int hold[2];
    cr_assert(pipe(hold) == 0);
    lend_rig_open(&r, MUCH);
    die_with_child(&r, lend_writer("cam", 4, 1000), hold);
    lend_rig_turn(&r);
    expect_news(&r, "started 'cam' opened generation 1 number 0 slots 4 of 4096 group ''\n"
                    "stopped 'cam' ended generation 1 number 0 slots 4 of 4096 group ''\n");
    const int writer = lend_rig_peer(&r, lend_writer("cam", 4, 1000));
    cr_expect(lend_read(writer, LEND_CREATED).generation == 1);
    lend_hang_up(&r, writer);
    (void)close(hold[0]);
    (void)close(hold[1]);
    lend_rig_close(&r);
}

/* A process that has its answer, and such a child; it is there until it is killed. */
static pid_t
begin_owner(struct lend_rig *r, struct lend_record ask, const int hold[2])
{
    int says[2];
    char byte = 0;
    ask.version = LEND_VERSION;
    cr_assert(pipe(says) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
        close_all_but(hold[0], says[1]);
        const int fd = lend_rig_connect(r);
        struct pollfd answer = {.fd = fd, .events = POLLIN};
        if (pass_send(fd, &ask, NULL, 0) != PASS_OK || poll(&answer, 1, -1) != 1) {
            _exit(1);
        }
        if (fork() == 0) {
            _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
        }
        _exit(write(says[1], "+", 1) == 1 ? pause() : 1);
    }
    (void)close(says[1]);
    struct pollfd said = {.fd = says[0], .events = POLLIN};
    while (poll(&said, 1, 0) == 0) {
        lend_rig_turn(r); /* it is answered */
    }
    cr_assert(pid > 0 && read(says[0], &byte, 1) == 1, "it has its answer");
    (void)close(says[0]);
    return pid;
}

static void
end_owner(pid_t pid)
{
    int status;
    cr_assert(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
    cr_assert(WIFSIGNALED(status), "its end");
}

/* A process that says `ask`, then that it leaves, and ends at once. It says the latter when
 * something can be read, or the pipe has ended. */
static pid_t
begin_leaver(struct lend_rig *r, struct lend_record ask, const int go[2])
{
    struct lend_record leave = {.version = LEND_VERSION, .op = LEND_LEAVE};
    char byte;
    ask.version = LEND_VERSION;
    const pid_t pid = fork();
    cr_assert(pid >= 0, "fork");
    if (pid == 0) {
        close_all_but(go[0], -1);
        const int fd = lend_rig_connect(r);
        const bool ok = pass_send(fd, &ask, NULL, 0) == PASS_OK && read(go[0], &byte, 1) == 0 &&
                        pass_send(fd, &leave, NULL, 0) == PASS_OK;
        _exit(ok ? 0 : 1);
    }
    return pid;
}

static void
expect_end(pid_t pid)
{
    int status;
    cr_assert(waitpid(pid, &status, 0) == pid && status == 0, "its end: %d", status);
}

TEST(who_closes_and_ends_at_once_has_closed)
{
    struct lend_rig r;
    int go[2];
    cr_assert(pipe(go) == 0);
    lend_rig_open(&r, MUCH);
    /* The hub comes to all of it when the process is over, so its answer finds nobody. */
    (void)close(go[1]);
    expect_end(begin_leaver(&r, lend_writer("cam", 4, 1000), go));
    lend_rig_turn(&r);
    expect_news(&r, "started 'cam' opened generation 1 number 0 slots 4 of 4096 group ''\n"
                    "stopped 'cam' closed generation 1 number 0 slots 4 of 4096 group ''\n");
    (void)close(go[0]);
    /* Or it has answered, which the process did not read. */
    cr_assert(pipe(go) == 0);
    const pid_t writer = begin_leaver(&r, lend_writer("cam2", 4, 1000), go);
    lend_rig_wait(&r, "started 'cam2'");
    (void)close(go[1]);
    expect_end(writer);
    lend_rig_wait(&r, "stopped 'cam2' closed generation 1 ");
    (void)close(go[0]);
    lend_rig_close(&r);
}

TEST(a_process_that_dies_leaves_its_places_though_a_child_has_its_connections)
{
    struct lend_rig r;
    int hold[2];
    cr_assert(pipe(hold) == 0);
    lend_rig_open(&r, MUCH);
    const pid_t writer = begin_owner(&r, lend_writer("cam", 4, 1000), hold);
    const pid_t reader = begin_owner(&r, lend_reader("cam", RING_LATEST, 1, ""), hold);
    const pid_t holder = begin_owner(&r, (struct lend_record){.op = LEND_NEW, .bytes = 1}, hold);
    struct hub_lent lent;
    struct buf b = {0};
    lender_sum(r.lender, &lent, &b);
    cr_expect(lent.connections == 3 && lent.buffers == 1);
    r.news[0] = '\0';
    end_owner(reader);
    end_owner(holder);
    end_owner(writer);
    lend_rig_wait(&r, "stopped 'cam' ended generation 1 ");
    lend_rig_turn(&r);
    buf_deinit(&b);
    lender_sum(r.lender, &lent, &b);
    cr_expect(lent.connections == 0 && lent.stream_count == 0 && lent.buffers == 0 &&
                  lent.bytes == 0,
              "%u connections", (unsigned)lent.connections);
    buf_deinit(&b);
    (void)close(hold[0]);
    (void)close(hold[1]);
    lend_rig_close(&r);
}

/* What it left behind may still be written to by its child, so nobody goes on there. */
TEST(the_ring_of_a_writer_that_died_before_its_child_is_not_used_again)
{
    struct lend_rig r;
    int hold[2];
    cr_assert(pipe(hold) == 0);
    lend_rig_open(&r, MUCH);
    const int reader = lend_rig_peer(&r, lend_reader("cam", RING_LATEST, 1, ""));
    const pid_t writer = begin_owner(&r, lend_writer("cam", 4, 1000), hold);
    end_owner(writer);
    lend_rig_wait(&r, "stopped 'cam' ended generation 1 ");
    const int next = lend_rig_peer(&r, lend_writer("cam", 4, 1000));
    cr_expect(lend_read(next, LEND_CREATED).generation == 2);
    lend_hang_up(&r, next);
    lend_hang_up(&r, reader);
    (void)close(hold[0]);
    (void)close(hold[1]);
    lend_rig_close(&r);
}
