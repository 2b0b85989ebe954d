/* The broker's end of the pair to the spawner, over a real pair of sockets. */
#include "broker/shell/spawn_link.h"
#include "tests/support/test.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECORDS = 3000 };

struct rig {
    int epoll_fd, other; /* other: the spawner's end */
    struct spawn_link link;
    uint64_t last_id;
    size_t count, gone;
    int passed_fd;
};

static void
take_record(void *context, const struct spawn_record *record, int fd)
{
    struct rig *r = context;
    r->last_id = record->id;
    r->count++;
    r->passed_fd = fd;
}

static void
take_end(void *context)
{
    struct rig *r = context;
    r->gone++;
}

static void
rig_open(struct rig *r)
{
    int pair[2];
    *r = (struct rig){.passed_fd = -1};
    cr_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0,
              "socketpair");
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->other = pair[1];
    r->link.context = r;
    r->link.record = take_record;
    r->link.gone = take_end;
    cr_assert(spawn_link_open(&r->link, r->epoll_fd, pair[0]), "open");
}

/* The link leaves its descriptor to the end of the program. */
static void
rig_close(struct rig *r)
{
    const int fd = r->link.fd;
    spawn_link_close(&r->link);
    (void)close(fd);
    if (r->other >= 0) {
        (void)close(r->other);
    }
    (void)close(r->epoll_fd);
}

/* Handle what is ready; how many sources were. */
static int
turn(struct rig *r)
{
    struct epoll_event events[4];
    const int n = epoll_wait(r->epoll_fd, events, 4, 0);
    for (int i = 0; i < n; i++) {
        struct source *source = events[i].data.ptr;
        source->ready(source, events[i].events);
    }
    return n;
}

/* A record of this number, every third with a text. */
static void
send_record(struct rig *r, uint64_t id)
{
    char text[200];
    struct spawn_record record = {.version = SPAWN_RECORDS_VERSION, .op = SPAWN_FORGET, .id = id};
    if (id % 3 == 0) {
        (void)snprintf(text, sizeof text, "the text of %llu", (unsigned long long)id);
        record.text_bytes = sizeof text;
        memset(text + strlen(text), 0, sizeof text - strlen(text));
    }
    spawn_link_send(&r->link, &record, record.text_bytes > 0 ? text : NULL);
}

static void
expect_record(struct rig *r, uint64_t id)
{
    char text[400], want[200];
    struct spawn_record record;
    cr_assert(spawn_record_receive(r->other, &record, text, sizeof text, NULL) == SPAWN_IO_DONE,
              "record %llu", (unsigned long long)id);
    cr_assert(record.id == id, "%llu instead of %llu", (unsigned long long)record.id,
              (unsigned long long)id);
    if (id % 3 == 0) {
        (void)snprintf(want, sizeof want, "the text of %llu", (unsigned long long)id);
        cr_assert_str_eq(text, want, "text");
    }
}

Test(spawn_link, a_record_with_its_text_goes_out_at_once)
{
    struct rig r;
    rig_open(&r);
    send_record(&r, 3);
    expect_record(&r, 3);
    cr_assert(!r.link.wants_write, "nothing is queued");
    rig_close(&r);
}

Test(spawn_link, what_does_not_fit_into_the_socket_is_sent_later_in_order)
{
    struct rig r;
    rig_open(&r);
    for (uint64_t id = 1; id <= RECORDS; id++) {
        send_record(&r, id);
    }
    cr_assert(r.link.wants_write, "the socket took %d records", RECORDS);
    for (uint64_t id = 1; id <= RECORDS; id++) {
        expect_record(&r, id);
        (void)turn(&r);
    }
    cr_assert(!r.link.wants_write && buf_span(&r.link.queue).len == 0, "something is left");
    cr_assert(turn(&r) == 0, "it does not wait for room any more");
    rig_close(&r);
}

Test(spawn_link, one_that_is_sent_while_others_wait_does_not_overtake_them)
{
    struct rig r;
    uint64_t id = 0, read = 0;
    rig_open(&r);
    while (!r.link.wants_write) {
        send_record(&r, ++id);
    }
    expect_record(&r, ++read); /* now there is room */
    send_record(&r, ++id);
    while (read < id) {
        expect_record(&r, ++read);
        (void)turn(&r);
    }
    rig_close(&r);
}

Test(spawn_link, flush_waits_for_room_but_not_for_ever)
{
    struct rig r;
    rig_open(&r);
    send_record(&r, 1);
    spawn_link_flush(&r.link);
    for (uint64_t id = 2; !r.link.wants_write; id++) {
        send_record(&r, id);
    }
    spawn_link_flush(&r.link); /* nobody reads: it gives up after a second */
    cr_assert(buf_span(&r.link.queue).len > 0, "where did it go?");
    (void)close(r.other);
    r.other = -1;
    spawn_link_flush(&r.link);
    cr_assert(buf_span(&r.link.queue).len == 0, "there is nobody to send it to");
    rig_close(&r);
}

Test(spawn_link, records_come_in_with_their_descriptors)
{
    struct rig r;
    int pipes[2];
    rig_open(&r);
    cr_assert(pipe(pipes) == 0, "pipe");
    for (uint64_t id = 1; id <= 3; id++) {
        const struct spawn_record record = {
            .version = SPAWN_RECORDS_VERSION, .op = SPAWN_STARTED, .id = id};
        cr_assert(spawn_record_send(r.other, &record, NULL, id == 3 ? pipes[0] : -1) ==
                      SPAWN_IO_DONE,
                  "send");
    }
    cr_assert(turn(&r) == 1 && r.count == 3 && r.last_id == 3, "%zu records", r.count);
    cr_assert(r.passed_fd >= 0 && r.passed_fd != pipes[0], "no descriptor");
    (void)close(r.passed_fd);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    rig_close(&r);
}

Test(spawn_link, what_is_no_record_is_passed_over)
{
    struct rig r;
    rig_open(&r);
    const struct spawn_record record = {
        .version = SPAWN_RECORDS_VERSION, .op = SPAWN_STARTED, .id = 5};
    const struct spawn_record foreign = {.version = 99, .op = SPAWN_STARTED, .id = 6};
    cr_assert(send(r.other, "junk", 4, 0) == 4, "send");
    cr_assert(spawn_record_send(r.other, &foreign, NULL, -1) == SPAWN_IO_DONE, "send");
    cr_assert(spawn_record_send(r.other, &record, NULL, -1) == SPAWN_IO_DONE, "send");
    while (turn(&r) > 0) {
    }
    cr_assert(r.count == 1 && r.last_id == 5, "%zu records", r.count);
    rig_close(&r);
}

Test(spawn_link, the_end_of_the_spawner_is_told)
{
    struct rig r;
    rig_open(&r);
    const struct spawn_record record = {
        .version = SPAWN_RECORDS_VERSION, .op = SPAWN_STARTED, .id = 5};
    cr_assert(spawn_record_send(r.other, &record, NULL, -1) == SPAWN_IO_DONE, "send");
    (void)close(r.other);
    r.other = -1;
    cr_assert(turn(&r) == 1 && r.count == 1 && r.gone == 1, "%zu records, gone %zu", r.count,
              r.gone);
    send_record(&r, 1); /* to nobody */
    cr_assert(buf_span(&r.link.queue).len == 0, "it is queued");
    rig_close(&r);
}

Test(spawn_link, a_descriptor_that_is_no_socket_is_refused)
{
    struct rig r;
    rig_open(&r);
    struct spawn_link other = {.fd = -1};
    cr_assert(!spawn_link_open(&other, r.epoll_fd, 1000), "it was opened");
    other.fd = -1;
    spawn_link_close(&other);
    rig_close(&r);
}
