/* libnng itself as the peer: its REQ sockets and nngcat against our servers, and what is special
 * where libnng is inside our own ends. */
#include "proto/link/link.h"

#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"
#include "tests/unit/link/host.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nng/nng.h>
#if __has_include(<nng/protocol/reqrep0/req.h>)
#include <nng/protocol/reqrep0/req.h>
#endif

#define ID(n) (UINT32_C(0x80000000) | (uint32_t)(n))

static struct host host;

static void
end(void)
{
    host_stop(&host);
    dir_leave();
}

static void
serve(enum host_kind kind)
{
    host_init(&host, kind);
    host_start(&host);
}

#define NNG_TEST(name) Test(nng, name, .init = dir_enter, .fini = end)

/* One libnng context that repeats request and answer. */
struct caller {
    nng_ctx context;
    nng_aio *aio;
    int number, done, wrong;
    size_t size;
    enum { SENDING, RECEIVING } state;
    atomic_int *left;
};

enum { CALLS_EACH = 200 };

static void
say(struct caller *c)
{
    nng_msg *msg;
    nng_msg_alloc(&msg, c->size);
    memset(nng_msg_body(msg), c->number, c->size);
    *(char *)nng_msg_body(msg) = 'e';
    nng_aio_set_msg(c->aio, msg);
    c->state = SENDING;
    nng_ctx_send(c->context, c->aio);
}

static void
caller_step(void *arg)
{
    struct caller *c = arg;
    if (nng_aio_result(c->aio) != 0) {
        c->wrong++;
        atomic_fetch_sub(c->left, 1);
        return;
    }
    if (c->state == SENDING) {
        c->state = RECEIVING;
        nng_ctx_recv(c->context, c->aio);
        return;
    }
    nng_msg *msg = nng_aio_get_msg(c->aio);
    const uint8_t *body = nng_msg_body(msg);
    if (nng_msg_len(msg) != c->size || body[0] != 'e' || body[c->size - 1] != (uint8_t)c->number) {
        c->wrong++;
    }
    nng_msg_free(msg);
    if (++c->done < CALLS_EACH) {
        say(c);
    } else {
        atomic_fetch_sub(c->left, 1);
    }
}

static bool
is_zero(void *arg)
{
    return atomic_load((atomic_int *)arg) == 0;
}

static void
many_contexts_at_once(enum host_kind kind)
{
    enum { CONTEXTS = 64 };
    serve(kind);
    static struct caller callers[CONTEXTS];
    static atomic_int left;
    atomic_store(&left, CONTEXTS);
    nng_socket socket;
    cr_assert_eq(nng_req0_open(&socket), 0);
    cr_assert_eq(nng_dial(socket, host.url, NULL, 0), 0);
    for (int i = 0; i < CONTEXTS; i++) {
        callers[i] = (struct caller){.number = i, .size = 2 + (size_t)i * 100, .left = &left};
        cr_assert_eq(nng_ctx_open(&callers[i].context, socket), 0);
        cr_assert_eq(nng_aio_alloc(&callers[i].aio, caller_step, &callers[i]), 0);
    }
    for (int i = 0; i < CONTEXTS; i++) {
        say(&callers[i]);
    }
    cr_assert(until(until_scaled_ms(25000), is_zero, &left), "%d have not ended",
              atomic_load(&left));
    for (int i = 0; i < CONTEXTS; i++) {
        cr_assert_eq(callers[i].wrong, 0);
        cr_assert_eq(callers[i].done, CALLS_EACH);
        nng_aio_free(callers[i].aio);
    }
    nng_close(socket);
    cr_assert_eq(atomic_load(&host.messages), CONTEXTS * CALLS_EACH);
    cr_assert_eq(atomic_load(&host.opened), 1);
}

NNG_TEST(stock_contexts_are_served_by_the_native_server)
{
    many_contexts_at_once(HOST_IPC);
}

NNG_TEST(stock_contexts_are_served_by_libnng_on_ipc)
{
    many_contexts_at_once(HOST_IPC_NNG);
}

NNG_TEST(stock_contexts_are_served_on_tcp)
{
    many_contexts_at_once(HOST_TCP);
}

/* In a child that is not cleaned up, because nng_close() of libnng 1.5.2 may hang while a large
 * message is under way. It is forked before there are threads, or ThreadSanitizer ends it. */
static int
send_oversized_messages(void)
{
    nng_socket socket;
    if (!until_path(host.url + strlen("ipc://"), until_scaled_ms(10000)) ||
        nng_req0_open(&socket) != 0 || nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, 10000) != 0 ||
        nng_dial(socket, host.url, NULL, 0) != 0) {
        return 1;
    }
    uint8_t *body = pattern(3 * 1024 * 1024);
    for (int i = 0; i < 5; i++) {
        char answer[64] = {0};
        size_t len = sizeof answer - 1;
        if (nng_send(socket, body, 3 * 1024 * 1024, 0) != 0 ||
            nng_recv(socket, answer, &len, 0) != 0 || strcmp(answer, "oversized 3145728") != 0) {
            return 2;
        }
    }
    return 0;
}

/* A stock socket whose message is too large must get its answer: hung up on, it would repeat for
 * ever. */
NNG_TEST(a_stock_socket_is_answered_when_its_message_is_too_large)
{
    host_init(&host, HOST_IPC);
    host.options.message_bytes_max = 1000;
    char url[DIR_FILE_BYTES_MAX + 8];
    snprintf(url, sizeof url, "ipc://%s/s", dir_path());
    memcpy(host.url, url, sizeof host.url);
    const pid_t parent = getpid(), pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        procs_die_with(parent);
        _exit(send_oversized_messages());
    }
    host_start_at(&host, url);
    int status;
    cr_assert(until_exit(pid, &status, until_scaled_ms(20000)));
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    cr_assert_eq(atomic_load(&host.opened), 1, "it connected again");
}

static void
nngcat_gets_its_answer(enum host_kind kind)
{
    serve(kind);
    int fds[2];
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    const pid_t parent = getpid(), pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        procs_die_with(parent);
        dup2(fds[1], STDOUT_FILENO);
        execlp("nngcat", "nngcat", "--req", "--dial", host.url, "--data", "e from nngcat",
               "--ascii", "--recv-timeout", "10", (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    int status;
    cr_assert(until_exit(pid, &status, until_scaled_ms(20000)));
    char line[100] = {0};
    cr_assert_geq(read(fds[0], line, sizeof line - 1), 0);
    close(fds[0]);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        test_skip("nngcat is not installed");
    }
    cr_assert_not_null(strstr(line, "e from nngcat"), "nngcat printed '%s'", line);
}

NNG_TEST(nngcat_gets_its_answer_from_the_native_server)
{
    nngcat_gets_its_answer(HOST_IPC);
}

NNG_TEST(nngcat_gets_its_answer_from_libnng)
{
    nngcat_gets_its_answer(HOST_IPC_NNG);
}

/* ---- our ends over libnng ------------------------------------------------------------------- */

NNG_TEST(a_reader_that_is_stuck_for_the_send_timeout_is_closed)
{
    host_init(&host, HOST_TCP);
    host.options.send_timeout_ms = 300;
    host.options.out_bytes_max = SIZE_MAX;
    host_start(&host);
    struct raw stuck = raw_open(&host);
    struct link_client *c = host_client(&host);
    for (uint32_t i = 0; i < 30; i++) {
        const uint32_t id = ID(i);
        cr_assert(raw_send(&stuck, &id, 1, text("b1000000"), 0));
    }
    const int64_t end_ms = clock_ms() + until_scaled_ms(20000);
    while (atomic_load(&host.closed) < 1) {
        client_call(c, ID(1), text("e"), text("e"));
        cr_assert_lt(clock_ms(), end_ms, "the stuck reader was not closed");
    }
    link_client_free(c);
    raw_close(&stuck);
}

NNG_TEST(a_dial_ends_in_time_when_nobody_greets)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    cr_assert_eq(listen(fd, 5), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    char url[64];
    const struct link_client_options options = {.message_bytes_max = 1000};
    for (int i = 0; i < 40; i++) {
        const char *scheme = i % 2 == 0 ? "tcp" : "tls+tcp";
        snprintf(url, sizeof url, "%s://127.0.0.1:%d", scheme, ntohs(address.sin_port));
        struct link_client *c = NULL;
        struct link_error error = {0};
        const int64_t start = clock_ms();
        cr_assert_eq(link_client_open(url, &options, i, &c, &error), -1);
        cr_assert_eq(error.code, ETIMEDOUT, "%s", error.text);
        cr_assert_lt(clock_ms() - start, until_scaled_ms(3000));
    }
    close(fd);
}

NNG_TEST(a_certificate_that_nobody_vouches_for_is_refused)
{
    serve(HOST_TLS);
    struct link_client_options options = host_client_options(&host);
    struct link_client *c = NULL;
    struct link_error error = {0};
    options.tls_name = "elsewhere.example";
    cr_assert_eq(link_client_open(host.url, &options, 5000, &c, &error), -1, "a wrong name passed");
    options = host_client_options(&host);
    options.tls_ca_file = NULL;
    cr_assert_eq(link_client_open(host.url, &options, 5000, &c, &error), -1,
                 "an unknown CA passed");
    options.tls_ca_file = "missing.pem";
    cr_assert_eq(link_client_open(host.url, &options, 5000, &c, &error), -1);
    cr_assert_not_null(strstr(error.text, "missing.pem"), "%s", error.text);
    host_call_at_last(&host, 5000);
}

NNG_TEST(a_server_without_its_certificate_says_so)
{
    host_init(&host, HOST_TLS);
    struct link_server *s = NULL;
    struct link_error error = {0};
    const struct link_handler handler = {0};
    host.options.epoll_fd = -1;
    cr_assert_eq(link_server_open("tls+tcp://127.0.0.1:0", &host.options, &handler, &s, &error),
                 -1);
    host.options.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    cr_assert_eq(link_server_open("tls+tcp://127.0.0.1:0", &host.options, &handler, &s, &error),
                 -1);
    host.options.tls_cert_file = host.options.tls_key_file = "missing.pem";
    cr_assert_eq(link_server_open("tls+tcp://127.0.0.1:0", &host.options, &handler, &s, &error),
                 -1);
    cr_assert_not_null(strstr(error.text, "missing.pem"), "%s", error.text);
    dir_write("wrong.pem", "not a certificate", 0600);
    host.options.tls_cert_file = host.options.tls_key_file = "wrong.pem";
    cr_assert_eq(link_server_open("tls+tcp://127.0.0.1:0", &host.options, &handler, &s, &error),
                 -1);
    cr_assert_null(s);
    close(host.options.epoll_fd);
}
