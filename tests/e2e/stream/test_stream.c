/* Streams, buffers and handles under a real prongd, in one process where that says as much as two.
 */
#include <prong/stream.h>

#include "tests/e2e/worker/hub.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/ring/layout.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

enum { BYTES = 3000, SLOTS = 8, PATIENCE_MS = 50 };

static char why[300];

static prong_stream *
writer_of(const char *url, uint32_t slots)
{
    const prong_stream_options o = {
        .size_bytes = sizeof o, .slots = slots, .slot_bytes = BYTES, .patience_ms = PATIENCE_MS};
    prong_stream *s = NULL;
    cr_assert(prong_stream_create(url, "cam", &o, &s, why, sizeof why) == PRONG_OK, "%s", why);
    return s;
}

static prong_reader *
reader_of(const char *url, prong_read_policy policy, const char *group, uint32_t hold)
{
    const prong_reader_options o = {.size_bytes = sizeof o,
                                    .policy = policy,
                                    .group = group,
                                    .hold = hold,
                                    .timeout_ms = HUB_MS};
    prong_reader *r = NULL;
    cr_assert(prong_stream_open(url, "cam", &o, &r, why, sizeof why) == PRONG_OK, "%s", why);
    return r;
}

/* Write a frame all of whose bytes are `n`. */
static void
put(prong_stream *s, int n, size_t bytes)
{
    void *at;
    const uint64_t shape[] = {bytes / 3, 3};
    const prong_frame_info info = {.dims = 2, .shape = shape, .mono_ns = n * 1000};
    cr_assert(prong_stream_reserve(s, bytes, &at) == PRONG_OK, "%s", prong_stream_error_text(s));
    memset(at, n, bytes);
    cr_assert(prong_stream_commit(s, &info, NULL) == PRONG_OK, "%s", prong_stream_error_text(s));
}

static void
is_frame(const prong_frame *f, int n, size_t bytes)
{
    const uint8_t *data = f->data;
    cr_assert(f->bytes == bytes && f->dims == 2 && f->shape[0] == bytes / 3 && f->shape[1] == 3);
    cr_assert(strcmp(f->dtype, "|u1") == 0 && data[0] == (uint8_t)n &&
                  memcmp(data, data + 1, bytes - 1) == 0,
              "frame %d has %d", n, data[0]);
}

static const prong_frame *
take(prong_reader *r, int n, size_t bytes)
{
    const prong_frame *f = NULL;
    cr_assert(prong_reader_next(r, HUB_MS, &f) == PRONG_OK, "%s", prong_reader_error_text(r));
    is_frame(f, n, bytes);
    return f;
}

static void
takes(prong_reader *r, int n, size_t bytes)
{
    prong_frame_release(take(r, n, bytes));
}

static void
nothing(prong_reader *r)
{
    const prong_frame *f;
    cr_assert(prong_reader_next(r, 0, &f) == PRONG_DEADLINE_EXCEEDED);
}

Test(stream, a_reader_of_each_policy_gets_what_it_is_promised, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *latest = reader_of(url, PRONG_LATEST, NULL, 1);
    prong_reader *all = reader_of(url, PRONG_LOSSLESS, NULL, 1);
    prong_reader_counts counts;
    nothing(latest);
    nothing(all);
    for (int n = 1; n <= 5; n++) {
        put(s, n, BYTES);
    }
    const prong_frame *f = take(latest, 5, BYTES);
    cr_assert(f->number == 5 && f->mono_ns == 5000 && f->meta.len == 0);
    prong_frame_release(f);
    for (int n = 1; n <= 5; n++) {
        takes(all, n, BYTES);
    }
    prong_reader_stats(all, &counts);
    cr_assert(counts.taken == 5 && counts.missed == 0 && counts.generation == 1);
    prong_reader_free(latest);
    prong_reader_free(all);
    prong_stream_free(s);
    hub_down();
}

Test(stream, a_frame_that_is_held_stays_and_the_hold_has_an_end, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *r = reader_of(url, PRONG_LATEST, NULL, 2);
    const prong_frame *none;
    put(s, 1, BYTES);
    const prong_frame *first = take(r, 1, BYTES);
    put(s, 2, BYTES);
    const prong_frame *second = take(r, 2, BYTES);
    for (int n = 3; n < 100; n++) {
        put(s, n, BYTES);
    }
    cr_assert(prong_reader_next(r, 0, &none) == PRONG_RESOURCE_EXHAUSTED);
    is_frame(first, 1, BYTES);
    is_frame(second, 2, BYTES);
    prong_frame_release(first);
    const prong_frame *last = take(r, 99, BYTES);
    cr_assert(last->missed == 96);
    prong_reader_free(r); /* frames outlive it */
    prong_stream_free(s);
    is_frame(second, 2, BYTES);
    is_frame(last, 99, BYTES);
    prong_frame_release(second);
    prong_frame_release(last);
    hub_down();
}

Test(stream, a_lossless_reader_that_is_too_slow_is_given_up_and_told, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, 4);
    prong_reader *r = reader_of(url, PRONG_LOSSLESS, NULL, 1);
    const prong_frame *f = NULL;
    prong_stream_counts counts;
    for (int n = 1; n <= 20; n++) {
        put(s, n, BYTES); /* the fifth waits, once */
    }
    prong_stream_stats(s, &counts);
    cr_assert(counts.dropped == 1 && counts.frames == 20 && counts.skipped == 0);
    cr_assert(prong_reader_next(r, 0, &f) == PRONG_DATA_LOSS);
    cr_assert(prong_reader_next(r, 0, &f) == PRONG_OK && f->number > 1 && f->number < 20);
    cr_assert(f->missed == f->number - 1);
    const uint64_t first = f->number;
    prong_frame_release(f);
    for (uint64_t n = first + 1; n <= 20; n++) {
        takes(r, (int)n, BYTES);
    }
    nothing(r);
    prong_reader_free(r);
    prong_stream_free(s);
    hub_down();
}

Test(stream, another_size_makes_another_ring_and_readers_follow, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *all = reader_of(url, PRONG_LOSSLESS, NULL, 2);
    prong_reader *latest = reader_of(url, PRONG_LATEST, NULL, 2);
    put(s, 1, BYTES);
    const prong_frame *old = take(latest, 1, BYTES);
    put(s, 2, BYTES);
    put(s, 3, 100 * BYTES);
    put(s, 4, 6); /* a smaller one fits */
    takes(all, 1, BYTES);
    takes(all, 2, BYTES);
    const prong_frame *f = take(all, 3, 100 * BYTES);
    cr_assert(f->generation == 2 && f->number == 3);
    takes(all, 4, 6);
    takes(latest, 4, 6);
    is_frame(old, 1, BYTES);
    is_frame(f, 3, 100 * BYTES);
    prong_frame_release(old);
    prong_frame_release(f);
    prong_reader_free(latest);
    prong_reader_free(all);
    prong_stream_free(s);
    hub_down();
}

Test(stream, members_of_a_group_share_the_frames, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *one = reader_of(url, PRONG_LOSSLESS, "g", 1);
    prong_reader *two = reader_of(url, PRONG_LOSSLESS, "g", 1);
    for (int n = 1; n <= 4; n++) {
        put(s, n, BYTES);
    }
    const prong_frame *a = take(one, 1, BYTES);
    const prong_frame *b = take(two, 2, BYTES);
    prong_frame_release(a);
    a = take(one, 3, BYTES);
    prong_frame_release(b);
    takes(two, 4, BYTES);
    nothing(two);
    prong_frame_release(a);
    prong_reader_free(one);
    prong_reader_free(two);
    prong_stream_free(s);
    hub_down();
}

/* A process that opens the group, takes a frame and waits to be killed. */
static pid_t
start_member(const char *url, int ready)
{
    const pid_t pid = fork();
    if (pid == 0) {
        const prong_reader_options o = {
            .size_bytes = sizeof o, .policy = PRONG_LOSSLESS, .group = "g", .timeout_ms = HUB_MS};
        prong_reader *r = NULL;
        const prong_frame *f = NULL;
        if (prong_stream_open(url, "cam", &o, &r, NULL, 0) != PRONG_OK ||
            write(ready, "o", 1) != 1 || prong_reader_next(r, HUB_MS, &f) != PRONG_OK ||
            write(ready, "t", 1) != 1) {
            _exit(1);
        }
        (void)pause();
        _exit(1);
    }
    return pid;
}

static void
hear(int fd, char what)
{
    char c = 0;
    cr_assert(read(fd, &c, 1) == 1 && c == what);
}

Test(stream, what_a_dead_member_held_is_offered_once_more, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    int ready[2];
    cr_assert(pipe(ready) == 0);
    prong_stream *s = writer_of(url, SLOTS);
    const pid_t member = start_member(url, ready[1]);
    hear(ready[0], 'o');
    put(s, 1, BYTES);
    hear(ready[0], 't');
    prong_reader *heir = reader_of(url, PRONG_LOSSLESS, "g", 1);
    nothing(heir);
    (void)kill(member, SIGKILL);
    (void)waitpid(member, NULL, 0);
    takes(heir, 1, BYTES);
    put(s, 2, BYTES);
    takes(heir, 2, BYTES);
    prong_reader_free(heir);
    prong_stream_free(s);
    (void)close(ready[0]);
    (void)close(ready[1]);
    hub_down();
}

Test(stream, a_frame_is_found_by_its_time_and_by_its_number, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *r = reader_of(url, PRONG_LATEST, NULL, 2);
    const prong_frame *f = NULL;
    cr_assert(prong_reader_at(r, 5, 0, &f) == PRONG_NOT_FOUND);
    for (int n = 1; n <= 6; n++) {
        put(s, n, BYTES);
    }
    cr_assert(prong_reader_at(r, 3400, 0, &f) == PRONG_OK);
    is_frame(f, 3, BYTES);
    prong_frame_release(f);
    cr_assert(prong_reader_at(r, 3600, 0, &f) == PRONG_OK);
    is_frame(f, 4, BYTES);
    prong_frame_release(f);
    cr_assert(prong_reader_at(r, 99000, 1, &f) == PRONG_OK); /* there is no later one */
    is_frame(f, 6, BYTES);
    prong_frame_release(f);
    cr_assert(prong_reader_number(r, 2, &f) == PRONG_OK);
    is_frame(f, 2, BYTES);
    prong_frame_release(f);
    cr_assert(prong_reader_number(r, 7, &f) == PRONG_DATA_LOSS);
    cr_assert(prong_reader_number(r, 0, &f) == PRONG_DATA_LOSS);
    takes(r, 6, BYTES); /* what comes next is another matter */
    prong_reader_free(r);
    prong_stream_free(s);
    hub_down();
}

Test(stream, numbers_go_on_when_a_writer_is_followed_by_another, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS), *other = NULL;
    prong_reader *r = reader_of(url, PRONG_LOSSLESS, NULL, 1);
    put(s, 1, BYTES);
    cr_assert(prong_stream_create(url, "cam", NULL, &other, why, sizeof why) ==
              PRONG_ALREADY_EXISTS);
    cr_assert(strstr(why, "cam") != NULL, "%s", why);
    prong_stream_free(s);
    do { /* until the hub has heard of it */
        s = NULL;
    } while (prong_stream_create(url, "cam", NULL, &s, why, sizeof why) == PRONG_ALREADY_EXISTS);
    cr_assert(s != NULL, "%s", why);
    put(s, 2, BYTES);
    takes(r, 1, BYTES);
    const prong_frame *f = take(r, 2, BYTES);
    cr_assert(f->number == 2);
    prong_frame_release(f);
    prong_reader_free(r);
    prong_stream_free(s);
    hub_down();
}

Test(stream, lives_on_when_the_broker_is_killed, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *r = reader_of(url, PRONG_LOSSLESS, NULL, 1);
    prong_stream_info *list = NULL;
    size_t count = 0;
    int n = 1;
    put(s, n++, BYTES);
    const pid_t broker = hub_process("prong-broker", 0);
    (void)kill(broker, SIGKILL);
    for (int i = 0; i < 20; i++) {
        put(s, n, BYTES); /* without a hub, or with one: to who reads it makes no difference */
        takes(r, n - 1, BYTES);
        n++;
    }
    (void)hub_process("prong-broker", broker);
    /* Both come back: then the new hub knows them. */
    while (count < 2) {
        put(s, n, BYTES);
        takes(r, n - 1, BYTES);
        n++;
        prong_free(list);
        list = NULL;
        count = 0;
        (void)prong_stream_list(url, &list, &count, why, sizeof why);
    }
    cr_assert(strcmp(list[0].name, "cam") == 0 && list[0].pid == getpid() && list[1].is_reader);
    prong_free(list);
    prong_reader_free(r);
    prong_stream_free(s);
    hub_down();
}

/* Of the calls of this thread from now on, the one that fails; 0: none does. */
static _Thread_local int watch_that_fails;

int __real_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);

int
__wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
    if (watch_that_fails > 0 && --watch_that_fails == 0) {
        errno = ENOSPC; /* /proc/sys/fs/epoll/max_user_watches */
        return -1;
    }
    return __real_epoll_ctl(epoll_fd, op, fd, event);
}

Test(stream, who_cannot_wait_for_frames_is_no_reader, .init = hub_enter, .fini = hub_leave)
{
    enum { WATCHES = 4 };
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *r = NULL;
    put(s, 1, BYTES);
    for (int i = 1; i <= WATCHES; i++) {
        watch_that_fails = i;
        cr_expect(prong_stream_open(url, "cam", NULL, &r, why, sizeof why) ==
                  PRONG_RESOURCE_EXHAUSTED);
        cr_expect(strstr(why, "No space left") != NULL, "%s", why);
    }
    watch_that_fails = WATCHES + 1;
    r = reader_of(url, PRONG_LATEST, NULL, 1);
    watch_that_fails = 0;
    takes(r, 1, BYTES);
    prong_reader_free(r);
    prong_stream_free(s);
    hub_down();
}

/* Whether there is no memory for the frames that others write. */
static bool maps_fail;

void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);

void *
__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    if (maps_fail && prot == PROT_READ && flags == MAP_SHARED && bytes > RING_PAGE) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(at, bytes, prot, flags, fd, offset);
}

Test(stream, a_reader_without_memory_for_the_frames_is_told_and_goes_on_when_there_is_some,
     .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *r = NULL;
    const prong_frame *f = NULL;
    const prong_reader_options for_ever = {.size_bytes = sizeof for_ever,
                                           .timeout_ms = PRONG_FOREVER};
    put(s, 1, BYTES);
    maps_fail = true;
    cr_expect(prong_stream_open(url, "cam", &for_ever, &r, why, sizeof why) ==
              PRONG_RESOURCE_EXHAUSTED);
    cr_expect(strcmp(why, "no memory for the 8 slots of 4096 bytes of 'cam'") == 0, "%s", why);
    maps_fail = false;
    r = reader_of(url, PRONG_LOSSLESS, NULL, 1);
    put(s, 2, BYTES);
    maps_fail = true;
    put(s, 3, 3 * BYTES);
    takes(r, 2, BYTES); /* what is before it is there */
    for (int i = 0; i < 2; i++) {
        cr_expect(prong_reader_next(r, PRONG_FOREVER, &f) == PRONG_RESOURCE_EXHAUSTED);
        cr_expect(strstr(prong_reader_error_text(r), "no memory for the 8 slots") != NULL);
    }
    cr_expect(prong_reader_at(r, 3000, PRONG_FOREVER, &f) == PRONG_RESOURCE_EXHAUSTED);
    cr_expect(prong_reader_number(r, 3, &f) == PRONG_RESOURCE_EXHAUSTED);
    cr_assert(prong_reader_at(r, 2000, PRONG_FOREVER, &f) == PRONG_OK);
    is_frame(f, 2, BYTES);
    prong_frame_release(f);
    maps_fail = false;
    takes(r, 3, 3 * BYTES);
    maps_fail = true;
    put(s, 4, 5 * BYTES);
    cr_expect(prong_reader_next(r, 0, &f) == PRONG_RESOURCE_EXHAUSTED);
    prong_stream_free(s);
    (void)kill(hub_process("prong-broker", 0), SIGKILL);
    while (prong_reader_next(r, 10, &f) != PRONG_DEADLINE_EXCEEDED) { /* for ever: of the old hub */
    }
    prong_reader_free(r);
    hub_down();
}

/* Where the ring that this process writes to begins. */
static struct ring_head *
own_ring(void)
{
    char line[500];
    unsigned long at = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    cr_assert(maps != NULL);
    while (at == 0 && fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, " rw-s ") != NULL && strstr(line, "/memfd:prong-cam") != NULL) {
            at = strtoul(line, NULL, 16);
        }
    }
    (void)fclose(maps);
    cr_assert(at != 0);
    return (struct ring_head *)at;
}

Test(stream, a_ring_of_another_version_is_not_read, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *r = NULL;
    const prong_reader_options for_ever = {.size_bytes = sizeof for_ever,
                                           .timeout_ms = PRONG_FOREVER};
    put(s, 1, BYTES);
    own_ring()->version++;
    cr_expect(prong_stream_open(url, "cam", &for_ever, &r, why, sizeof why) == PRONG_INTERNAL);
    cr_expect(strcmp(why, "the memory of 'cam' is laid out in another way") == 0, "%s", why);
    own_ring()->version--;
    r = reader_of(url, PRONG_LATEST, NULL, 1);
    takes(r, 1, BYTES);
    prong_reader_free(r);
    prong_stream_free(s);
    hub_down();
}

/* How many rings are mapped here. */
static int
rings_mapped(void)
{
    char line[500];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    cr_assert(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        count += strstr(line, "/memfd:prong-cam") != NULL;
    }
    (void)fclose(maps);
    return count;
}

/* So does prong_frame_take: it never asks for the next one. */
Test(stream, who_asks_for_numbers_only_does_not_keep_all_rings, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *r = reader_of(url, PRONG_LATEST, NULL, 2);
    const prong_frame *f = NULL, *before = NULL;
    put(s, 1, BYTES);
    for (int n = 2; n < 9; n++) {
        put(s, n, (size_t)n * 3 * BYTES); /* each needs a new ring */
        cr_assert(prong_reader_number(r, (uint64_t)n, &f) == PRONG_OK);
        cr_assert(prong_reader_number(r, (uint64_t)n - 1, &before) == PRONG_OK,
                  "what is just on its way is not gone");
        prong_frame_release(before);
        prong_frame_release(f);
        cr_expect(rings_mapped() <= 3, "%d: the writer's, and two", rings_mapped());
    }
    prong_reader_free(r);
    prong_stream_free(s);
    hub_down();
}

/* A process that holds the first frame until it may end; 0 when that stayed as it was. */
static int
hold_first(const char *url, int ready, int go)
{
    const prong_frame *f = NULL;
    char byte = 0;
    prong_reader *r = reader_of(url, PRONG_LATEST, NULL, 1);
    if (prong_reader_number(r, 1, &f) != PRONG_OK || write(ready, &byte, 1) != 1 ||
        read(go, &byte, 1) != 0) {
        return 2;
    }
    const uint8_t *data = f->data;
    return data[0] == 1 && memcmp(data, data + 1, BYTES - 1) == 0 ? 0 : 1;
}

Test(stream, a_writer_without_descriptors_for_a_reader_does_not_write, .init = hub_enter,
     .fini = hub_leave)
{
    enum { FEW = 40 };
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, 3);
    int ready[2], go[2], taken[FEW], status;
    uint32_t count = 0;
    struct rlimit before;
    uint8_t byte, bytes[BYTES] = {9};
    cr_assert(pipe(ready) == 0 && pipe(go) == 0);
    put(s, 1, BYTES);
    put(s, 2, BYTES);
    const pid_t child = fork();
    if (child == 0) {
        (void)close(go[1]);
        _exit(hold_first(url, ready[1], go[0]));
    }
    (void)close(ready[1]);
    (void)close(go[0]);
    cr_assert(read(ready[0], &byte, 1) == 1);
    cr_assert(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const struct rlimit few = {FEW, before.rlim_max};
    cr_assert(setrlimit(RLIMIT_NOFILE, &few) == 0);
    while (count < FEW && (taken[count] = dup(go[1])) >= 0) {
        count++;
    }
    for (int i = 0; i < 4; i++) {
        cr_expect(prong_stream_write(s, bytes, BYTES, NULL) == PRONG_RESOURCE_EXHAUSTED);
    }
    cr_expect(strstr(prong_stream_error_text(s), "not all readers are known") != NULL);
    cr_assert(setrlimit(RLIMIT_NOFILE, &before) == 0);
    while (count > 0) {
        (void)close(taken[--count]);
    }
    while (prong_stream_write(s, bytes, BYTES, NULL) != PRONG_OK) {
        (void)sched_yield(); /* it looks for the hub again only after a moment */
    }
    for (int n = 4; n < 10; n++) {
        put(s, n, BYTES);
    }
    (void)close(go[1]);
    cr_assert(waitpid(child, &status, 0) == child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d: its frame was written over",
              status);
    (void)close(ready[0]);
    prong_stream_free(s);
    hub_down();
}

/* What a child does with what its parent opened; 0 when all is refused and nothing is harmed. */
static int
misuse(prong_stream *s, prong_reader *r, prong_memory *m, const prong_frame *held)
{
    const prong_frame *f;
    prong_buffer *b;
    void *at;
    const bool is_refused = prong_stream_commit(s, NULL, NULL) == PRONG_FAILED_PRECONDITION &&
                            prong_stream_reserve(s, BYTES, &at) == PRONG_FAILED_PRECONDITION &&
                            prong_reader_next(r, 0, &f) == PRONG_FAILED_PRECONDITION &&
                            prong_reader_number(r, 1, &f) == PRONG_FAILED_PRECONDITION &&
                            prong_buffer_new(m, BYTES, NULL, &b) == PRONG_FAILED_PRECONDITION;
    prong_frame_release(held);
    prong_reader_free(r);
    prong_memory_free(m);
    prong_stream_free(s);
    return is_refused ? 0 : 1;
}

Test(stream, a_child_can_do_nothing_with_what_its_parent_opened, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, 3);
    prong_reader *r = reader_of(url, PRONG_LATEST, NULL, 1);
    prong_memory *m = NULL;
    void *at;
    int status;
    cr_assert(prong_memory_open(url, 1, &m, why, sizeof why) == PRONG_OK, "%s", why);
    put(s, 1, BYTES);
    const prong_frame *held = take(r, 1, BYTES);
    cr_assert(prong_stream_reserve(s, BYTES, &at) == PRONG_OK);
    memset(at, 2, BYTES);
    const pid_t child = fork();
    if (child == 0) {
        _exit(misuse(s, r, m, held));
    }
    cr_assert(waitpid(child, &status, 0) == child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
    cr_assert(prong_stream_commit(s, NULL, NULL) == PRONG_OK);
    for (int n = 3; n < 20; n++) {
        put(s, n, BYTES);
        is_frame(held, 1, BYTES); /* the parent still holds it */
    }
    prong_frame_release(held);
    takes(r, 19, BYTES);
    prong_memory_free(m);
    prong_reader_free(r);
    prong_stream_free(s);
    hub_down();
}

/* An event loop waits for the next frame, and looks for one of a certain time meanwhile. */
Test(stream, looking_for_a_time_does_not_make_the_descriptor_silent, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *r = reader_of(url, PRONG_LATEST, NULL, 2);
    const prong_frame *f = NULL;
    put(s, 1, BYTES);
    takes(r, 1, BYTES);
    for (int n = 2; n < 6; n++) {
        struct pollfd wait = {.fd = prong_reader_fd(r), .events = POLLIN};
        nothing(r);
        if (n % 2 == 0) { /* the frame comes after the look, or before it */
            cr_assert(prong_reader_at(r, (n - 1) * 1000, 0, &f) == PRONG_OK);
            put(s, n, BYTES);
        } else {
            put(s, n, BYTES);
            cr_assert(prong_reader_at(r, n * 1000 + 1, 0, &f) == PRONG_OK);
        }
        prong_frame_release(f);
        cr_assert(poll(&wait, 1, HUB_MS) == 1, "frame %d is not told", n);
        takes(r, n, BYTES);
    }
    prong_reader_free(r);
    prong_stream_free(s);
    hub_down();
}

Test(stream, what_is_wrong_is_said, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = NULL;
    prong_reader *r = NULL;
    void *at;
    const prong_reader_options many = {.size_bytes = sizeof many, .hold = 7};
    const prong_stream_options one = {.size_bytes = sizeof one, .slots = 1};
    const uint64_t shape[] = {7, 3};
    const prong_frame_info wrong = {.dims = 2, .shape = shape}, odd = {.dtype = "u1"};
    cr_assert(prong_stream_create(url, "Cam 1", NULL, &s, why, sizeof why) ==
              PRONG_INVALID_ARGUMENT);
    cr_assert(prong_stream_create("tcp://127.0.0.1:1", "cam", NULL, &s, why, sizeof why) ==
              PRONG_UNIMPLEMENTED);
    cr_assert(prong_stream_create("ipc:///nowhere/hub.sock", "cam", NULL, &s, why, sizeof why) ==
              PRONG_UNAVAILABLE);
    cr_assert(prong_stream_create(url, "cam", &one, &s, why, sizeof why) == PRONG_INVALID_ARGUMENT);
    cr_assert(prong_stream_open(url, "cam", NULL, &r, why, sizeof why) == PRONG_NOT_FOUND);
    cr_assert(strstr(why, "cam") != NULL, "%s", why);
    s = writer_of(url, SLOTS);
    cr_assert(prong_stream_open(url, "cam", &many, &r, why, sizeof why) ==
              PRONG_RESOURCE_EXHAUSTED);
    cr_assert(strstr(why, "8") != NULL, "how many slots there are: %s", why);
    cr_assert(prong_stream_commit(s, NULL, NULL) == PRONG_FAILED_PRECONDITION);
    cr_assert(prong_stream_reserve(s, 20, &at) == PRONG_OK);
    cr_assert(prong_stream_commit(s, &wrong, NULL) == PRONG_INVALID_ARGUMENT);
    cr_assert(prong_stream_commit(s, &odd, NULL) == PRONG_INVALID_ARGUMENT);
    cr_assert(prong_stream_commit(s, NULL, NULL) == PRONG_OK, "it was still reserved");
    cr_assert(prong_stream_reserve(s, (size_t)2 << 30, &at) == PRONG_INVALID_ARGUMENT);
    prong_stream_free(s);
    hub_down();
}

/* ---- values ---------------------------------------------------------------------------------- */

Test(stream, buffers_are_passed_by_their_handles, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_memory *here = NULL, *there = NULL;
    prong_buffer *b = NULL, *taken = NULL;
    prong_writer *w = prong_writer_new();
    prong_value handle;
    const uint64_t shape[] = {500, 2};
    const prong_frame_info info = {.dtype = "<f4", .dims = 2, .shape = shape};
    cr_assert(prong_memory_open(url, 0, &here, why, sizeof why) == PRONG_OK, "%s", why);
    cr_assert(prong_memory_open(url, 0, &there, why, sizeof why) == PRONG_OK, "%s", why);
    cr_assert(prong_buffer_new(here, 4001, &info, &b) == PRONG_INVALID_ARGUMENT);
    const prong_err err = prong_buffer_new(here, 4000, &info, &b);
    prong_memory_error_text(here, why, sizeof why);
    cr_assert(err == PRONG_OK, "%d %s", err, why);
    prong_writer_buffer(w, b);
    cr_assert(prong_writer_finish(w, &handle) == PRONG_OK);
    memset(b->data, 1, b->bytes);
    cr_assert(prong_buffer_take(there, &handle, &taken) == PRONG_OK);
    cr_assert(taken->bytes == 4000 && taken->dims == 2 && taken->shape[1] == 2 &&
              strcmp(taken->dtype, "<f4") == 0 && memcmp(taken->data, b->data, 4000) == 0);
    ((char *)taken->data)[3999] = 2; /* both may write */
    cr_assert(((const char *)b->data)[3999] == 2);
    prong_buffer_free(b);
    prong_buffer_free(taken);
    prong_err gone;
    while ((gone = prong_buffer_take(there, &handle, &taken)) == PRONG_OK) {
        prong_buffer_free(taken); /* the hub has not heard yet that `here` has it no longer */
    }
    cr_assert(gone == PRONG_DATA_LOSS, "nobody has it");
    /* One that is sent waits for whoever takes it. */
    cr_assert(prong_buffer_new(here, 1, NULL, &b) == PRONG_OK);
    prong_writer_reset(w);
    prong_writer_buffer(w, b);
    cr_assert(prong_writer_finish(w, &handle) == PRONG_OK);
    prong_buffer_send(b, HUB_MS);
    prong_memory_free(here);
    cr_assert(prong_buffer_take(there, &handle, &taken) == PRONG_OK);
    prong_buffer_free(taken);
    prong_writer_reset(w);
    prong_writer_int(w, 1);
    cr_assert(prong_writer_finish(w, &handle) == PRONG_OK);
    cr_assert(prong_buffer_take(there, &handle, &taken) == PRONG_INVALID_ARGUMENT);
    prong_writer_free(w);
    prong_memory_free(there);
    hub_down();
}

Test(stream, frames_are_passed_by_their_handles, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url, SLOTS);
    prong_reader *r = reader_of(url, PRONG_LATEST, NULL, 1);
    prong_memory *there = NULL;
    prong_writer *w = prong_writer_new();
    prong_value handle;
    const prong_frame *taken = NULL;
    cr_assert(prong_memory_open(url, 0, &there, why, sizeof why) == PRONG_OK, "%s", why);
    put(s, 1, BYTES);
    const prong_frame *f = take(r, 1, BYTES);
    prong_writer_frame(w, f);
    cr_assert(prong_writer_finish(w, &handle) == PRONG_OK);
    cr_assert(prong_frame_take(there, &handle, &taken) == PRONG_OK);
    prong_frame_release(f); /* the other one holds it now */
    for (int n = 2; n < 40; n++) {
        put(s, n, BYTES);
    }
    is_frame(taken, 1, BYTES);
    prong_frame_release(taken);
    for (int n = 40; n < 80; n++) {
        put(s, n, BYTES);
    }
    cr_assert(prong_frame_take(there, &handle, &taken) == PRONG_DATA_LOSS);
    prong_writer_free(w);
    prong_memory_free(there);
    prong_reader_free(r);
    prong_stream_free(s);
    hub_down();
}
