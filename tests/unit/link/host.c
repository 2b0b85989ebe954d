/* A link server in a thread of its own: see host.h. */
#include "tests/unit/link/host.h"

#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/link/source.h"

int64_t
clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct span
text(const char *s)
{
    return (struct span){(const uint8_t *)s, strlen(s)};
}

uint8_t *
pattern(size_t len)
{
    uint8_t *bytes = malloc(len > 0 ? len : 1);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 131 + (i >> 8) * 7 + (i >> 16));
    }
    if (len > 0) {
        bytes[0] = 'e';
    }
    return bytes;
}

/* ---- the server's side ---------------------------------------------------------------------- */

static void
on_opened(void *context, struct link_server *s, uint64_t peer, const struct link_cred *cred)
{
    (void)s;
    struct host *h = context;
    for (int i = 0; i < HOST_PEERS_MAX; i++) {
        if (h->peers[i].id == 0) {
            h->peers[i] = (struct host_peer){peer, *cred};
            break;
        }
    }
    atomic_fetch_add(&h->opened, 1);
}

static void
on_closed(void *context, struct link_server *s, uint64_t peer)
{
    (void)s;
    struct host *h = context;
    for (int i = 0; i < HOST_PEERS_MAX; i++) {
        if (h->peers[i].id == peer) {
            h->peers[i] = (struct host_peer){0};
        }
    }
    atomic_fetch_add(&h->closed, 1);
}

static void
answer_size(struct link_server *s, uint64_t request, struct span body)
{
    char number[16] = {0};
    memcpy(number, body.data + 1,
           body.len - 1 < sizeof number - 1 ? body.len - 1 : sizeof number - 1);
    const size_t len = strtoul(number, NULL, 10);
    uint8_t *bytes = pattern(len);
    link_server_reply(s, request, &(struct pieces){1, {(struct span){bytes, len}}});
    free(bytes);
}

static void
answer_who(struct host *h, struct link_server *s, uint64_t peer, uint64_t request, uint32_t sp_id)
{
    struct link_cred cred = {0};
    for (int i = 0; i < HOST_PEERS_MAX; i++) {
        if (h->peers[i].id == peer) {
            cred = h->peers[i].cred;
        }
    }
    char line[160];
    snprintf(line, sizeof line, "known=%d local=%d uid=%u pid=%d start=%llu sp=%08x", cred.known,
             cred.local, cred.uid, cred.pid, (unsigned long long)cred.start_ticks, sp_id);
    link_server_reply(s, request, &(struct pieces){1, {text(line)}});
}

static void
release_parked(struct host *h, struct link_server *s)
{
    int n = atomic_load(&h->parked_count);
    while (n > 0) {
        struct host_parked *parked = &h->parked[--n];
        link_server_reply(s, parked->request, &(struct pieces){1, {buf_span(&parked->body)}});
        buf_deinit(&parked->body);
    }
    atomic_store(&h->parked_count, 0);
}

static void
on_message(void *context, struct link_server *s, uint64_t peer, uint64_t request, uint32_t sp_id,
           struct span body)
{
    struct host *h = context;
    atomic_fetch_add(&h->messages, 1);
    const int n = atomic_load(&h->parked_count);
    switch (body.len > 0 ? body.data[0] : 'e') {
    case 'b':
        answer_size(s, request, body);
        break;
    case 'p':
        if (n < HOST_PARKED_MAX) {
            h->parked[n].request = request;
            buf_put(&h->parked[n].body, body.data, body.len);
            atomic_store(&h->parked_count, n + 1);
        }
        break;
    case 'r':
        release_parked(h, s);
        link_server_reply(s, request, &(struct pieces){1, {body}});
        break;
    case 'd':
        link_server_drop(s, request);
        link_server_drop(s, request);
        link_server_reply(s, request, &(struct pieces){1, {body}});
        break;
    case 'c':
        link_server_close_peer(s, peer);
        link_server_reply(s, request, &(struct pieces){1, {body}});
        break;
    case 'i':
        answer_who(h, s, peer, request, sp_id);
        break;
    default:
        link_server_reply(s, request, &(struct pieces){1, {body}});
        break;
    }
}

static void
on_oversized(void *context, struct link_server *s, uint64_t peer, uint64_t request,
             uint64_t size_bytes)
{
    (void)peer;
    struct host *h = context;
    atomic_fetch_add(&h->oversized, 1);
    char line[64];
    snprintf(line, sizeof line, "oversized %llu", (unsigned long long)size_bytes);
    link_server_reply(s, request, &(struct pieces){1, {text(line)}});
}

static void *
run(void *arg)
{
    struct host *h = arg;
    for (;;) {
        struct epoll_event events[64];
        const int n = epoll_wait(h->epoll_fd, events, 64, -1);
        for (int i = 0; i < n; i++) {
            struct source *source = events[i].data.ptr;
            if (source == NULL) {
                return NULL;
            }
            source->ready(source, events[i].events);
        }
        link_server_turn(h->server);
    }
}

/* ---- hosts ---------------------------------------------------------------------------------- */

const char *
host_kind_name(enum host_kind kind)
{
    static const char *const names[HOST_KINDS] = {"ipc", "ipc by nng", "tcp", "tls+tcp"};
    return names[kind];
}

void
host_init(struct host *h, enum host_kind kind)
{
    memset(h, 0, sizeof *h);
    h->kind = kind;
    h->epoll_fd = h->stop_fd = -1;
    h->options = (struct link_server_options){
        .use_nng = kind == HOST_IPC_NNG,
        .message_bytes_max = HOST_BODY_MAX,
        .socket_mode = 0600,
        .peers_max = 256,
        .out_bytes_max = 64 * 1024 * 1024,
    };
}

/* A key and a certificate that signs itself, for the name localhost. */
static void
make_certificate(void)
{
    const pid_t parent = getpid(), pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        procs_die_with(parent);
        freopen("/dev/null", "w", stderr);
        execlp("openssl", "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
               "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext",
               "subjectAltName=DNS:localhost", (char *)NULL);
        _exit(127);
    }
    int status;
    cr_assert(until_exit(pid, &status, until_scaled_ms(30000)), "openssl did not end");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "openssl failed: %d", status);
}

void
host_start_at(struct host *h, const char *url)
{
    if (h->kind == HOST_TLS && access("cert.pem", R_OK) != 0) {
        make_certificate();
    }
    static atomic_int number;
    const struct link_handler handler = {.context = h,
                                         .opened = on_opened,
                                         .message = on_message,
                                         .oversized = on_oversized,
                                         .closed = on_closed};
    h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    h->stop_fd = eventfd(0, EFD_CLOEXEC);
    struct epoll_event stop = {.events = EPOLLIN};
    epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, h->stop_fd, &stop);
    h->options.epoll_fd = h->epoll_fd;
    h->options.tls_cert_file = "cert.pem";
    h->options.tls_key_file = "key.pem";
    char made[256];
    if (url == NULL) {
        snprintf(made, sizeof made, "ipc://%s/%d.sock", dir_path(), atomic_fetch_add(&number, 1));
        url = h->kind == HOST_TCP   ? "tcp://127.0.0.1:0"
              : h->kind == HOST_TLS ? "tls+tcp://127.0.0.1:0"
                                    : made;
    }
    struct link_error error = {0};
    cr_assert_eq(link_server_open(url, &h->options, &handler, &h->server, &error), 0, "%s: %s", url,
                 error.text);
    snprintf(h->url, sizeof h->url, "%s", link_server_url(h->server));
    cr_assert_eq(pthread_create(&h->thread, NULL, run, h), 0);
    h->running = true;
}

void
host_start(struct host *h)
{
    host_start_at(h, NULL);
}

void
host_stop(struct host *h)
{
    if (!h->running) {
        return;
    }
    const uint64_t one = 1;
    cr_assert_eq(write(h->stop_fd, &one, sizeof one), (ssize_t)sizeof one);
    pthread_join(h->thread, NULL);
    h->running = false;
    link_server_free(h->server);
    for (int i = 0; i < atomic_load(&h->parked_count); i++) {
        buf_deinit(&h->parked[i].body);
    }
    close(h->epoll_fd);
    close(h->stop_fd);
}

/* ---- clients -------------------------------------------------------------------------------- */

struct link_client_options
host_client_options(const struct host *h)
{
    struct link_client_options options = {.message_bytes_max = HOST_BODY_MAX};
    if (h->kind == HOST_TLS) {
        options.tls_ca_file = "cert.pem";
        options.tls_name = "localhost";
    }
    return options;
}

struct link_client *
host_client(const struct host *h)
{
    struct link_client *c = NULL;
    struct link_error error = {0};
    const struct link_client_options options = host_client_options(h);
    cr_assert_eq(link_client_open(h->url, &options, (int)until_scaled_ms(10000), &c, &error), 0,
                 "%s: %s", h->url, error.text);
    return c;
}

static bool
await(struct link_client *c, int64_t end_ms)
{
    struct pollfd pollfd = {.fd = link_client_fd(c), .events = POLLIN};
    if (link_client_wants_write(c)) {
        pollfd.events |= POLLOUT;
    }
    const int64_t left = end_ms - clock_ms();
    if (left <= 0 || poll(&pollfd, 1, (int)left) == 0) {
        return false;
    }
    if ((pollfd.revents & POLLOUT) != 0) {
        (void)link_client_flush(c, NULL); /* a failure shows itself in the next recv */
    }
    return true;
}

void
client_say(struct link_client *c, uint32_t id, struct span body)
{
    struct link_error error = {0};
    cr_assert_eq(link_client_send(c, id, &(struct pieces){1, {body}}, &error), 0, "%s", error.text);
    /* A broken connection shows itself in client_hear(). */
    (void)link_client_flush(c, NULL);
}

bool
client_hear(struct link_client *c, uint32_t *id, struct span *body, int64_t timeout_ms)
{
    const int64_t end_ms = clock_ms() + until_scaled_ms(timeout_ms);
    for (;;) {
        const int got = link_client_recv(c, id, body, NULL);
        if (got != 0) {
            return got > 0;
        }
        cr_assert(await(c, end_ms), "no answer within %lld ms", (long long)timeout_ms);
    }
}

void
client_call(struct link_client *c, uint32_t id, struct span body, struct span expected)
{
    uint32_t got_id = 0;
    struct span got = {0};
    client_say(c, id, body);
    cr_assert(client_hear(c, &got_id, &got, 20000), "the connection broke");
    cr_assert_eq(got_id, id);
    cr_assert_eq(got.len, expected.len, "%zu bytes instead of %zu", got.len, expected.len);
    cr_assert(expected.len == 0 || memcmp(got.data, expected.data, got.len) == 0,
              "%zu bytes came back changed", got.len);
}

/* One attempt; the answer must come within a second. */
static bool
call_once(const struct host *h)
{
    struct link_client *c = NULL;
    const struct link_client_options options = host_client_options(h);
    if (link_client_open(h->url, &options, 1000, &c, NULL) < 0) {
        return false;
    }
    bool ok = link_client_send(c, 0x80000005, &(struct pieces){1, {text("e again")}}, NULL) == 0 &&
              link_client_flush(c, NULL) == 0;
    const int64_t end_ms = clock_ms() + until_scaled_ms(1000);
    while (ok) {
        uint32_t id;
        struct span body;
        const int got = link_client_recv(c, &id, &body, NULL);
        if (got > 0) {
            break;
        }
        ok = got == 0 && await(c, end_ms);
    }
    link_client_free(c);
    return ok;
}

void
host_call_at_last(const struct host *h, int64_t timeout_ms)
{
    const int64_t end_ms = clock_ms() + until_scaled_ms(timeout_ms);
    while (!call_once(h)) {
        cr_assert_lt(clock_ms(), end_ms, "%s: nobody was served again", host_kind_name(h->kind));
    }
}

/* ---- raw peers ------------------------------------------------------------------------------ */

struct raw
raw_connect(const struct host *h)
{
    struct raw r = {.tcp = h->kind == HOST_TCP};
    if (r.tcp) {
        const char *port = strrchr(h->url, ':') + 1;
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        r.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(connect(r.fd, (struct sockaddr *)&address, sizeof address), 0, "%s",
                     strerror(errno));
    } else {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", h->url + strlen("ipc://"));
        r.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(connect(r.fd, (struct sockaddr *)&address, sizeof address), 0, "%s",
                     strerror(errno));
    }
    return r;
}

static bool
read_all(int fd, uint8_t *out, size_t len)
{
    while (len > 0) {
        cr_assert(until_readable(fd, until_scaled_ms(20000)), "nothing to read");
        const ssize_t n = read(fd, out, len);
        if (n <= 0) {
            return false;
        }
        out += n;
        len -= (size_t)n;
    }
    return true;
}

struct raw
raw_open(const struct host *h)
{
    struct raw r = raw_connect(h);
    uint8_t greeting[8];
    cr_assert(raw_write(&r, "\0SP\0\0\x30\0\0", 8, 0));
    cr_assert(read_all(r.fd, greeting, sizeof greeting));
    cr_assert(memcmp(greeting, "\0SP\0\0\x31\0\0", 8) == 0);
    return r;
}

void
raw_close(struct raw *r)
{
    close(r->fd);
    r->fd = -1;
}

bool
raw_write(struct raw *r, const void *data, size_t len, size_t chunk)
{
    const uint8_t *at = data;
    while (len > 0) {
        const size_t want = chunk > 0 && chunk < len ? chunk : len;
        const ssize_t n = send(r->fd, at, want, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        at += n;
        len -= (size_t)n;
    }
    return true;
}

size_t
raw_frame(const struct raw *r, uint8_t out[9], uint64_t length)
{
    const uint64_t wire = htobe64(length);
    size_t len = 0;
    if (!r->tcp) {
        out[len++] = 1;
    }
    memcpy(out + len, &wire, sizeof wire);
    return len + sizeof wire;
}

bool
raw_send(struct raw *r, const uint32_t *words, int count, struct span body, size_t chunk)
{
    struct buf out = {0};
    uint8_t head[9];
    buf_put(&out, head, raw_frame(r, head, (uint64_t)count * 4 + body.len));
    for (int i = 0; i < count; i++) {
        const uint32_t word = htobe32(words[i]);
        buf_put(&out, &word, sizeof word);
    }
    buf_put(&out, body.data, body.len);
    const bool ok = raw_write(r, out.data, out.w, chunk);
    buf_deinit(&out);
    return ok;
}

bool
raw_recv(struct raw *r, struct buf *out)
{
    uint8_t head[9];
    const size_t head_len = r->tcp ? 8 : 9;
    if (!read_all(r->fd, head, head_len)) {
        return false;
    }
    uint64_t length;
    memcpy(&length, head + head_len - 8, sizeof length);
    length = be64toh(length);
    buf_reset(out, SIZE_MAX);
    cr_assert(buf_reserve(out, (size_t)length));
    out->w = (size_t)length;
    return read_all(r->fd, out->data, (size_t)length);
}

bool
raw_is_closed(struct raw *r, int64_t timeout_ms)
{
    const int64_t end_ms = clock_ms() + until_scaled_ms(timeout_ms);
    for (;;) {
        const int64_t left = end_ms - clock_ms();
        uint8_t rest[4096];
        if (left <= 0 || !until_readable(r->fd, left)) {
            return false;
        }
        if (read(r->fd, rest, sizeof rest) <= 0) {
            return true;
        }
    }
}
