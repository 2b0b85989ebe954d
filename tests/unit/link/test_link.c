/* What every link promises, on every engine and transport. Each test runs once per kind of host. */
#include "proto/link/link.h"

#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"
#include "tests/unit/link/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ID(n) (UINT32_C(0x80000000) | (uint32_t)(n))

/* One host and the descriptors that were open before it. */
static struct host host;
static int fds_before;

static void
begin(void)
{
    dir_enter();
    fds_before = procs_fd_count(getpid(), NULL);
}

/* libnng keeps descriptors of its own once it has started, the same few for ever. */
static int
fds_of_nng(void)
{
    return procs_thread_count(getpid()) > 6 ? 8 : 0;
}

static bool
fds_are_back(void *arg)
{
    (void)arg;
    return procs_fd_count(getpid(), NULL) <= fds_before + fds_of_nng();
}

static void
end(void)
{
    host_stop(&host);
    /* libnng closes connections that were never greeted a little later, on a thread of its own. */
    cr_expect(until(until_scaled_ms(5000), fds_are_back, NULL), "%d descriptors leaked",
              procs_fd_count(getpid(), NULL) - fds_before);
    dir_leave();
}

static void
serve(enum host_kind kind)
{
    host_init(&host, kind);
    host_start(&host);
}

/* `name(kind)` is a function above; one test of it for each kind. */
#define KIND_TEST(name, suffix, kind)                                                              \
    Test(link, name##_##suffix, .init = begin, .fini = end)                                        \
    {                                                                                              \
        name(kind);                                                                                \
    }
#define LOCAL_TESTS(name) KIND_TEST(name, ipc, HOST_IPC) KIND_TEST(name, ipc_nng, HOST_IPC_NNG)
#define RAW_TESTS(name)   LOCAL_TESTS(name) KIND_TEST(name, tcp, HOST_TCP)
#define ALL_TESTS(name)   RAW_TESTS(name) KIND_TEST(name, tls, HOST_TLS)

/* ---- through our client --------------------------------------------------------------------- */

static void
echoes_bodies_of_any_size(enum host_kind kind)
{
    serve(kind);
    struct link_client *c = host_client(&host);
    const size_t sizes[] = {0, 1, 5, 100, 4096, 65536, 131072, 3 * 1024 * 1024, HOST_BODY_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *body = pattern(sizes[i]);
        client_call(c, ID(i), (struct span){body, sizes[i]}, (struct span){body, sizes[i]});
        free(body);
    }
    cr_assert_eq(atomic_load(&host.opened), 1);
    link_client_free(c);
}
ALL_TESTS(echoes_bodies_of_any_size)

static void
answers_many_outstanding_in_reverse_order(enum host_kind kind)
{
    enum { COUNT = 300 };
    serve(kind);
    struct link_client *c = host_client(&host);
    for (uint32_t i = 0; i < COUNT; i++) {
        char body[16];
        snprintf(body, sizeof body, "p%u", i);
        cr_assert_eq(link_client_send(c, ID(i), &(struct pieces){1, {text(body)}}, NULL), 0);
    }
    cr_assert_eq(link_client_flush(c, NULL), 0);
    struct link_client *other = host_client(&host);
    for (int tries = 0; atomic_load(&host.parked_count) < COUNT; tries++) {
        cr_assert_lt(tries, 100000);
        client_call(other, ID(1), text("e"), text("e"));
    }
    client_call(other, ID(2), text("r"), text("r"));
    bool seen[COUNT] = {0};
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t id;
        struct span body;
        cr_assert(client_hear(c, &id, &body, 20000));
        const uint32_t n = id & 0x7fffffff;
        cr_assert(n < COUNT && !seen[n]);
        seen[n] = true;
        cr_assert_eq(n, COUNT - 1 - i);
        char expected[16];
        snprintf(expected, sizeof expected, "p%u", n);
        cr_assert_eq(body.len, strlen(expected));
        cr_assert(memcmp(body.data, expected, body.len) == 0);
    }
    link_client_free(other);
    link_client_free(c);
}
ALL_TESTS(answers_many_outstanding_in_reverse_order)

static void
dropped_requests_get_no_answer_and_harm_nothing(enum host_kind kind)
{
    serve(kind);
    struct link_client *c = host_client(&host);
    for (uint32_t i = 0; i < 200; i++) {
        client_say(c, ID(i), text("d"));
        client_call(c, ID(1000 + i), text("e after"), text("e after"));
    }
    link_client_free(c);
}
ALL_TESTS(dropped_requests_get_no_answer_and_harm_nothing)

static void
a_closed_peer_learns_of_it_and_others_go_on(enum host_kind kind)
{
    serve(kind);
    struct link_client *c = host_client(&host);
    struct link_client *other = host_client(&host);
    client_call(other, ID(1), text("e"), text("e"));
    client_say(c, ID(1), text("p parked"));
    client_say(c, ID(2), text("c"));
    uint32_t id;
    struct span body;
    cr_assert_not(client_hear(c, &id, &body, 10000), "answered instead of closed");
    /* The request it had parked is gone: answering it does nothing. */
    client_call(other, ID(2), text("r"), text("r"));
    link_client_free(c);
    for (int tries = 0; atomic_load(&host.closed) < 1; tries++) {
        cr_assert_lt(tries, 100000);
        client_call(other, ID(3), text("e"), text("e"));
    }
    cr_assert_eq(atomic_load(&host.opened), 2);
    link_client_free(other);
}
ALL_TESTS(a_closed_peer_learns_of_it_and_others_go_on)

static void
requests_of_a_gone_peer_are_forgotten(enum host_kind kind)
{
    serve(kind);
    struct link_client *other = host_client(&host);
    for (int round = 0; round < 20; round++) {
        struct link_client *c = host_client(&host);
        const int before = atomic_load(&host.parked_count);
        for (uint32_t i = 0; i < 10; i++) {
            client_say(c, ID(i), text("p parked"));
        }
        for (int tries = 0; atomic_load(&host.parked_count) < before + 10; tries++) {
            cr_assert_lt(tries, 100000);
            client_call(other, ID(1), text("e"), text("e"));
        }
        link_client_free(c);
        if (round % 2 == 0) {
            client_call(other, ID(2), text("r"), text("r"));
        }
    }
    for (int tries = 0; atomic_load(&host.closed) < 20; tries++) {
        cr_assert_lt(tries, 100000);
        client_call(other, ID(3), text("e"), text("e"));
    }
    client_call(other, ID(4), text("r"), text("r"));
    link_client_free(other);
}
ALL_TESTS(requests_of_a_gone_peer_are_forgotten)

static void
tells_who_is_at_the_other_end(enum host_kind kind)
{
    serve(kind);
    struct link_client *c = host_client(&host);
    uint32_t id;
    struct span body;
    client_say(c, ID(77), text("i"));
    cr_assert(client_hear(c, &id, &body, 10000));
    char line[200] = {0};
    memcpy(line, body.data, body.len < sizeof line - 1 ? body.len : sizeof line - 1);
    int known, local, uid, pid;
    unsigned long long start;
    unsigned sp;
    cr_assert_eq(sscanf(line, "known=%d local=%d uid=%d pid=%d start=%llu sp=%x", &known, &local,
                        &uid, &pid, &start, &sp),
                 6);
    const bool is_local = kind == HOST_IPC || kind == HOST_IPC_NNG;
    cr_assert_eq(known, is_local);
    cr_assert_eq(local, is_local);
    cr_assert_eq(pid, is_local ? getpid() : 0);
    cr_assert_eq(uid, is_local ? (int)getuid() : 0);
    cr_assert_eq(start > 0, is_local, "%s", line);
    cr_assert_eq(sp, ID(77), "the SP id is not told: %s", line);
    link_client_free(c);
}
ALL_TESTS(tells_who_is_at_the_other_end)

static void
an_answer_above_the_clients_limit_breaks_its_connection(enum host_kind kind)
{
    serve(kind);
    struct link_client_options options = host_client_options(&host);
    options.message_bytes_max = 1000;
    struct link_client *c = NULL;
    struct link_error error = {0};
    cr_assert_eq(link_client_open(host.url, &options, 10000, &c, &error), 0, "%s", error.text);
    client_call(c, ID(1), text("e"), text("e"));
    client_say(c, ID(2), text("b1000"));
    uint32_t id;
    struct span body;
    cr_assert(client_hear(c, &id, &body, 10000));
    client_say(c, ID(3), text("b1001"));
    cr_assert_not(client_hear(c, &id, &body, 10000));
    link_client_free(c);
}
ALL_TESTS(an_answer_above_the_clients_limit_breaks_its_connection)

static void
the_client_sees_the_servers_death(enum host_kind kind)
{
    serve(kind);
    struct link_client *c = host_client(&host);
    client_call(c, ID(1), text("e"), text("e"));
    client_say(c, ID(2), text("p"));
    host_stop(&host);
    uint32_t id;
    struct span body;
    cr_assert_not(client_hear(c, &id, &body, 10000));
    struct link_error error = {0};
    cr_assert_eq(link_client_recv(c, &id, &body, &error), -1);
    cr_assert_eq(error.code, ECONNRESET, "%s", error.text);
    link_client_free(c);
}
ALL_TESTS(the_client_sees_the_servers_death)

static void
nobody_listening_is_told_at_once(enum host_kind kind)
{
    serve(kind);
    host_stop(&host);
    struct link_client *c = NULL;
    struct link_error error = {0};
    const struct link_client_options options = host_client_options(&host);
    const int64_t start = clock_ms();
    cr_assert_eq(link_client_open(host.url, &options, 30000, &c, &error), -1);
    cr_assert(error.code == ECONNREFUSED || error.code == ENOENT, "%d %s", error.code, error.text);
    cr_assert_lt(clock_ms() - start, until_scaled_ms(10000));
    cr_assert_null(c);
}
ALL_TESTS(nobody_listening_is_told_at_once)

static void
a_server_opens_again_on_its_path(enum host_kind kind)
{
    serve(kind);
    char url[256];
    snprintf(url, sizeof url, "%s", host.url);
    for (int i = 0; i < 5; i++) {
        struct link_client *c = host_client(&host);
        client_call(c, ID(1), text("e"), text("e"));
        host_stop(&host);
        cr_assert_neq(access(url + strlen("ipc://"), F_OK), 0, "the socket file was left behind");
        link_client_free(c);
        host_init(&host, kind);
        host_start_at(&host, url);
    }
    host_call_at_last(&host, 5000);
}
LOCAL_TESTS(a_server_opens_again_on_its_path)

static struct host second;

static void
a_second_server_takes_the_path_over(enum host_kind kind)
{
    serve(kind);
    struct link_client *old = host_client(&host);
    client_call(old, ID(1), text("e"), text("e"));
    host_init(&second, kind);
    host_start_at(&second, host.url);
    struct link_client *fresh = host_client(&second);
    client_call(fresh, ID(1), text("e"), text("e"));
    client_call(old, ID(2), text("e still"), text("e still"));
    cr_assert_eq(atomic_load(&host.opened), 1);
    cr_assert_eq(atomic_load(&second.opened), 1);
    link_client_free(old);
    host_stop(&host); /* must not unlink what is no longer its own */
    client_call(fresh, ID(2), text("e"), text("e"));
    link_client_free(fresh);
    fresh = host_client(&second);
    client_call(fresh, ID(3), text("e"), text("e"));
    link_client_free(fresh);
    host_stop(&second);
    cr_assert_neq(access(second.url + strlen("ipc://"), F_OK), 0);
}
LOCAL_TESTS(a_second_server_takes_the_path_over)

/* ---- peers that write bytes themselves ------------------------------------------------------ */

static void
raw_call(struct raw *r, const uint32_t *words, int count, struct span body, size_t chunk)
{
    struct buf got = {0};
    cr_assert(raw_send(r, words, count, body, chunk));
    cr_assert(raw_recv(r, &got), "closed instead of answered");
    cr_assert_eq(got.w, (size_t)count * 4 + body.len);
    for (int i = 0; i < count; i++) {
        const uint8_t *w = got.data + (size_t)i * 4;
        const uint32_t word =
            (uint32_t)w[0] << 24 | (uint32_t)w[1] << 16 | (uint32_t)w[2] << 8 | w[3];
        cr_assert_eq(word, words[i], "word %d changed", i);
    }
    cr_assert(body.len == 0 || memcmp(got.data + (size_t)count * 4, body.data, body.len) == 0);
    buf_deinit(&got);
}

static void
takes_a_peer_that_writes_byte_by_byte(enum host_kind kind)
{
    serve(kind);
    const size_t chunks[] = {1, 7, 4093};
    const size_t sizes[] = {40, 3000, 400000};
    for (size_t i = 0; i < 3; i++) {
        struct raw r = raw_connect(&host);
        cr_assert(raw_write(&r, "\0SP\0\0\x30\0\0", 8, chunks[i]));
        uint8_t greeting[8];
        cr_assert_eq(recv(r.fd, greeting, 8, MSG_WAITALL), 8);
        uint8_t *body = pattern(sizes[i]);
        const uint32_t id = ID(i);
        raw_call(&r, &id, 1, (struct span){body, sizes[i]}, chunks[i]);
        raw_call(&r, &id, 1, text("e"), chunks[i]);
        free(body);
        raw_close(&r);
    }
}
RAW_TESTS(takes_a_peer_that_writes_byte_by_byte)

static void
keeps_the_hops_of_a_request(enum host_kind kind)
{
    serve(kind);
    struct raw r = raw_open(&host);
    const uint32_t words[] = {1, 2, 0x7fffffff, 0, 5, 6, 7, ID(8)};
    for (int first = 0; first < 8; first++) {
        raw_call(&r, words + first, 8 - first, text("e hops"), 0);
        raw_call(&r, words + first, 8 - first, (struct span){0}, 0);
    }
    raw_close(&r);
}
RAW_TESTS(keeps_the_hops_of_a_request)

static void
closes_who_speaks_otherwise(enum host_kind kind)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool greet;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18, false},
        {"\0SP\1\0\x30\0\0", 8, false},
        {"\0SP\0\0\x10\0\0", 8, false}, /* PAIR */
        {"\0SP\0\0\x31\0\0", 8, false}, /* REP to REP */
        {"\x01\0\0\0\0\0\0\0\x03"
         "abc",
         12, true}, /* shorter than an id */
        {"\x01\0\0\0\0\0\0\0\x00", 9, true},
        {"\x01\0\0\0\0\0\0\0\x08\0\0\0\1\0\0\0\2", 17, true}, /* hops and no id */
        {"\x01\x40\0\0\0\0\0\0\0\x80\0\0\1", 13, true},       /* 2^62 */
        {"\x01\0\0\0\0\x40\0\0\1\x80\0\0\1", 13, true},       /* 1 GiB + 1 */
        {"\x01\xff\xff\xff\xff\xff\xff\xff\xff\x80\0\0\1", 13, true},
    };
    serve(kind);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw r = cases[i].greet ? raw_open(&host) : raw_connect(&host);
        const size_t type = cases[i].greet && r.tcp ? 1 : 0;
        (void)raw_write(&r, cases[i].bytes + type, cases[i].len - type, 0);
        cr_assert(raw_is_closed(&r, 10000), "case %zu: still open", i);
        raw_close(&r);
    }
    cr_assert_eq(atomic_load(&host.messages), 0);
    cr_assert_eq(atomic_load(&host.opened), 6, "who greets wrongly is not announced");
    host_call_at_last(&host, 20000);
}
RAW_TESTS(closes_who_speaks_otherwise)

static void
survives_who_connects_and_leaves(enum host_kind kind)
{
    serve(kind);
    for (int i = 0; i < 500; i++) {
        struct raw r = raw_connect(&host);
        if (i % 5 == 1) {
            (void)raw_write(&r, "\0SP\0\0\x30\0\0", 8, 0);
        } else if (i % 5 == 2) {
            (void)raw_write(&r, "\0SP\0", 4, 0);
        } else if (i % 5 == 3) {
            const struct linger abort = {.l_onoff = 1};
            setsockopt(r.fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
        }
        raw_close(&r);
    }
    host_call_at_last(&host, 20000);
}
RAW_TESTS(survives_who_connects_and_leaves)

static void
survives_garbage(enum host_kind kind)
{
    serve(kind);
    uint32_t seed = 12345;
    for (int i = 0; i < 300; i++) {
        struct raw r = i % 2 == 0 ? raw_connect(&host) : raw_open(&host);
        uint8_t bytes[256];
        for (size_t k = 0; k < sizeof bytes; k++) {
            seed = seed * 1664525 + 1013904223;
            bytes[k] = (uint8_t)(seed >> 24);
        }
        if (i % 4 == 3) {
            memset(bytes, 0, 7); /* a plausible head */
            bytes[0] = 1;
        }
        (void)raw_write(&r, bytes, sizeof bytes, 0);
        raw_close(&r);
    }
    host_call_at_last(&host, 20000);
}
RAW_TESTS(survives_garbage)

static void
a_half_sent_message_holds_nobody_up(enum host_kind kind)
{
    serve(kind);
    struct raw silent = raw_connect(&host);
    struct raw head = raw_open(&host);
    struct raw body = raw_open(&host);
    uint8_t frame[9];
    const size_t len = raw_frame(&head, frame, 1000);
    cr_assert(raw_write(&head, frame, 5, 0));
    cr_assert(raw_write(&body, frame, len, 0));
    cr_assert(raw_write(&body, "\x80\0\0\1half", 8, 0));
    struct link_client *c = host_client(&host);
    for (uint32_t i = 0; i < 100; i++) {
        client_call(c, ID(i), text("e"), text("e"));
    }
    link_client_free(c);
    raw_close(&silent);
    raw_close(&head);
    raw_close(&body);
}
RAW_TESTS(a_half_sent_message_holds_nobody_up)

static void
answers_an_oversized_message_and_goes_on(enum host_kind kind)
{
    enum { BODY = 200000 };
    host_init(&host, kind);
    host.options.message_bytes_max = 64 * 1024;
    host_start(&host);
    struct raw r = raw_open(&host);
    uint8_t *bytes = pattern(BODY);
    struct buf got = {0};
    for (int round = 0; round < 3; round++) {
        const uint32_t id = ID(round);
        cr_assert(raw_send(&r, &id, 1, (struct span){bytes, BODY}, 0));
        cr_assert(raw_recv(&r, &got), "closed instead of answered");
        cr_assert_eq(got.w, 4 + strlen("oversized 200000"));
        cr_assert(memcmp(got.data + 4, "oversized 200000", got.w - 4) == 0);
        raw_call(&r, &id, 1, text("e goes on"), 0);
        raw_call(&r, &id, 1, (struct span){bytes, 64 * 1024}, 0);
    }
    cr_assert_eq(atomic_load(&host.oversized), 3);
    buf_deinit(&got);
    free(bytes);
    raw_close(&r);
}
RAW_TESTS(answers_an_oversized_message_and_goes_on)

/* The first answer may be taken by kernel and library; the rest must not grow without end. */
static void
a_stuck_reader_harms_nobody(enum host_kind kind)
{
    host_init(&host, kind);
    host.options.out_bytes_max = 4 * 1024 * 1024;
    host_start(&host);
    struct raw stuck = raw_open(&host);
    struct link_client *c = host_client(&host);
    bool open = true;
    for (uint32_t i = 0; i < 100; i++) {
        const uint32_t id = ID(i);
        open = open && raw_send(&stuck, &id, 1, text("b1000000"), 0);
        client_call(c, ID(i), text("e"), text("e"));
    }
    for (int tries = 0; atomic_load(&host.closed) < 1; tries++) {
        cr_assert_lt(tries, 100000, "the stuck reader was not closed");
        client_call(c, ID(1), text("e"), text("e"));
    }
    cr_assert_lt(atomic_load(&host.messages), 100000);
    link_client_free(c);
    raw_close(&stuck);
}
RAW_TESTS(a_stuck_reader_harms_nobody)

/* ---- what all of them hold together --------------------------------------------------------- */

enum { HELD_MAX = 8 * 1024 * 1024, PEERS = 16, BODY = 2 * 1024 * 1024, BEGUN = 1500 * 1000 };

static void
serve_with_little_memory(enum host_kind kind)
{
    host_init(&host, kind);
    host.options.held_bytes_max = HELD_MAX;
    host_start(&host);
}

static void
others_are_served(struct link_client *c)
{
    for (uint32_t i = 0; i < 10; i++) {
        client_call(c, ID(i), text("e others"), text("e others"));
    }
}

/* Who stops in the middle of a long message makes room for who goes on with one. */
static void
half_sent_messages_are_bounded_together(enum host_kind kind)
{
    serve_with_little_memory(kind);
    struct link_client *c = host_client(&host);
    struct raw peers[PEERS];
    uint8_t frame[9], *body = pattern(BODY);
    const uint8_t id[4] = {0x80, 0, 0, 1};
    for (int i = 0; i < PEERS; i++) {
        peers[i] = raw_open(&host);
        const size_t len = raw_frame(&peers[i], frame, sizeof id + BODY);
        cr_assert(raw_write(&peers[i], frame, len, 0));
        cr_assert(raw_write(&peers[i], id, sizeof id, 0));
        cr_assert(raw_write(&peers[i], body, BEGUN, 0));
        others_are_served(c);
    }
    for (int tries = 0; atomic_load(&host.closed) < PEERS - HELD_MAX / BEGUN; tries++) {
        cr_assert_lt(tries, 100000, "only %d were closed", atomic_load(&host.closed));
        others_are_served(c);
    }
    cr_assert(raw_is_closed(&peers[0], 5000));
    struct buf got = {0};
    struct raw *last = &peers[PEERS - 1];
    cr_assert(raw_write(last, body + BEGUN, BODY - BEGUN, 0));
    cr_assert(raw_recv(last, &got), "closed although it went on");
    cr_assert_eq(got.w, sizeof id + BODY);
    for (int i = 0; i < PEERS; i++) {
        raw_close(&peers[i]);
    }
    buf_deinit(&got);
    free(body);
    link_client_free(c);
}
RAW_TESTS(half_sent_messages_are_bounded_together)

/* The same for who reads no answers, each far below its own limit. */
static void
unread_answers_are_bounded_together(enum host_kind kind)
{
    serve_with_little_memory(kind);
    struct link_client *c = host_client(&host);
    struct raw peers[PEERS];
    const uint32_t id = ID(1);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = raw_open(&host);
        for (int n = 0; n < 3; n++) {
            cr_assert(raw_send(&peers[i], &id, 1, text("b2000000"), 0));
        }
        others_are_served(c);
    }
    for (int tries = 0; atomic_load(&host.closed) < PEERS / 2; tries++) {
        cr_assert_lt(tries, 100000, "only %d were closed", atomic_load(&host.closed));
        others_are_served(c);
    }
    struct buf got = {0};
    for (int n = 0; n < 3; n++) {
        cr_assert(raw_recv(&peers[PEERS - 1], &got), "the last one was closed");
        cr_assert_eq(got.w, 4 + 2000000);
    }
    for (int i = 0; i < PEERS; i++) {
        raw_close(&peers[i]);
    }
    buf_deinit(&got);
    link_client_free(c);
}
RAW_TESTS(unread_answers_are_bounded_together)

/* One answer above the limit goes to who reads it. */
static void
one_alone_may_hold_more(enum host_kind kind)
{
    serve_with_little_memory(kind);
    struct raw r = raw_open(&host);
    struct buf got = {0};
    const uint32_t id = ID(1);
    cr_assert(raw_send(&r, &id, 1, text("b12000000"), 0));
    cr_assert(raw_recv(&r, &got));
    cr_assert_eq(got.w, 4 + 12000000);
    buf_deinit(&got);
    raw_close(&r);
}
RAW_TESTS(one_alone_may_hold_more)
