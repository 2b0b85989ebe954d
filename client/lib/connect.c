/* Finding a hub, connecting, connecting again, and the end of a client. */
#include "client/lib/client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "proto/wire.h"

enum {
    CONNECT_MS_DEFAULT = 5000,
    /* Between two attempts to connect again, by chance, so that the clients of a hub that was
     * started anew do not come all at once. A broker is back within some 10 ms: look sooner at
     * first. */
    RETRY_MS_MIN = 10,
    RETRY_MS_MAX = 50,
    SOON_MS_MIN = 4,
    SOON_MS_MAX = 14,
    SOON_RETRIES = 10,
    ATTEMPT_LOCAL_MS = 50,
    ATTEMPT_NETWORK_MS = 250,
    ATTEMPT_MS_MAX = 2000,
    SLOW_MAX = 2, /* an attempt that nobody greets is followed by one of twice the time, to here */
    HIDDEN_MS = 1000, /* how long a broker may take whose lock we may not look at */
    URL_BYTES_MAX = 256,
    CANDIDATES_MAX = 4,
};

/* ---- connection ----------------------------------------------------------------------------- */

void
client_collect(struct prong_client *c)
{
    struct session_outcome o;
    while (session_next(c->session, &o)) {
        c->news++;
        c->posts_open -= o.user == c;
        if (o.kind == SESSION_FETCH && o.user != NULL) {
            subscription_take(o.user, &o);
        } else if (o.kind != SESSION_FETCH && o.user != NULL && o.user != c) {
            reply_take(o.user, &o);
        } else if (o.kind == SESSION_EMIT && o.code != PRONG_OK) {
            c->post_failures++;
            client_failed(c, "a posted event: %.*s", (int)o.message.len,
                          (const char *)o.message.data);
        }
        client_wake(c, c);
    }
}

static int64_t
jitter_ns(struct prong_client *c)
{
    c->random = c->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    const bool soon = c->retries++ < SOON_RETRIES;
    const int64_t least_us = 1000 * (soon ? SOON_MS_MIN : RETRY_MS_MIN);
    const int64_t range_us = 1000 * (soon ? SOON_MS_MAX : RETRY_MS_MAX) - least_us;
    return (least_us + (int64_t)(c->random >> 33) % range_us) * 1000;
}

void
client_lost(struct prong_client *c, const char *why)
{
    if (c->link == NULL) {
        return;
    }
    client_failed(c, "%s: %s", c->url, why);
    loop_unlink(c);
    link_client_free(c->link);
    c->link = NULL;
    c->broken = false;
    c->lost_ns = client_now();
    c->retries = 0;
    c->retry_ns = c->lost_ns + jitter_ns(c);
    c->news++;
    session_lost(c->session);
    if (c->reconnect_ms < 0) {
        c->gone = true;
        session_end_all(c->session, PRONG_UNAVAILABLE, "the connection to the hub was lost");
    }
    client_collect(c);
    client_wake(c, c);
}

/* Lets go of the lock while it connects. */
static int
open_link(struct prong_client *c, int timeout_ms, struct link_error *error)
{
    const struct link_client_options options = {.message_bytes_max = c->message_bytes_max,
                                                .tls_ca_file = c->tls_ca_file,
                                                .tls_name = c->tls_name};
    struct link_client *link = NULL;
    (void)pthread_mutex_unlock(&c->lock);
    const int err = link_client_open(c->url, &options, timeout_ms, &link, error);
    (void)pthread_mutex_lock(&c->lock);
    if (err == 0) {
        /* Nothing can have come before HELLO, but the first look is what starts libnng's reading.
         */
        (void)link_client_recv(link, &(uint32_t){0}, &(struct span){0}, NULL);
        c->link = link;
        session_connected(c->session, client_now());
    }
    return err;
}

void
client_seek(struct prong_client *c, int64_t now_ns, int64_t until_ns)
{
    if (c->gone || c->closed) {
        return;
    }
    if (c->reconnect_ms > 0 && now_ns - c->lost_ns > c->reconnect_ms * NS_PER_MS) {
        c->lost_ns = now_ns; /* who asks after this gets as long again */
        session_end_all(c->session, PRONG_UNAVAILABLE, "the hub was not reached again in time");
        client_collect(c);
    }
    if (now_ns < c->retry_ns) {
        return;
    }
    const int64_t least_ms =
        (strncmp(c->url, "ipc:", 4) == 0 ? ATTEMPT_LOCAL_MS : ATTEMPT_NETWORK_MS) << c->slow;
    int64_t attempt_ms = (until_ns - now_ns) / NS_PER_MS;
    attempt_ms = attempt_ms < least_ms ? least_ms : attempt_ms;
    struct link_error error = {0};
    if (open_link(c, attempt_ms > ATTEMPT_MS_MAX ? ATTEMPT_MS_MAX : (int)attempt_ms, &error) == 0) {
        c->slow = 0;
    } else {
        c->slow = error.code != ETIMEDOUT ? 0 : c->slow < SLOW_MAX ? c->slow + 1 : SLOW_MAX;
        client_failed(c, "%s: %s", c->url, error.text);
        c->retry_ns = client_now() + jitter_ns(c);
    }
}

/* ---- finding a hub -------------------------------------------------------------------------- */

/* Where a local hub may listen, in the order in which hubs choose their directory. */
static size_t
candidates(const char *url, char found[CANDIDATES_MAX][URL_BYTES_MAX])
{
    const struct {
        const char *dir, *below;
    } named[] = {{getenv("RUNTIME_DIRECTORY"), ""}, {getenv("XDG_RUNTIME_DIR"), "/prong"}};
    size_t n = 0;
    url = url != NULL ? url : getenv("PRONG_URL");
    if (url != NULL && url[0] != '\0') {
        return snprintf(found[0], URL_BYTES_MAX, "%s", url) < URL_BYTES_MAX;
    }
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        const char *dir = named[i].dir != NULL ? named[i].dir : "";
        /* Of a list with colons, as systemd sets it, the first: hubs do the same. */
        const int len = (int)(i == 0 ? strcspn(dir, ":") : strlen(dir));
        n += dir[0] == '/' && snprintf(found[n], URL_BYTES_MAX, "ipc://%.*s%s/hub.sock", len, dir,
                                       named[i].below) < URL_BYTES_MAX;
    }
    (void)snprintf(found[n], URL_BYTES_MAX, "ipc:///run/user/%u/prong/hub.sock",
                   (unsigned)getuid());
    n += n == 0 || strcmp(found[n - 1], found[n]) != 0;
    (void)snprintf(found[n++], URL_BYTES_MAX, "ipc:///run/prong/hub.sock");
    return n;
}

static prong_err
code_of(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return PRONG_PERMISSION_DENIED;
    case EINVAL:
    case EPROTONOSUPPORT:
    case ENAMETOOLONG:
        return PRONG_INVALID_ARGUMENT;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return PRONG_RESOURCE_EXHAUSTED;
    case ETIMEDOUT:
        return PRONG_DEADLINE_EXCEEDED;
    default:
        return PRONG_UNAVAILABLE;
    }
}

/* Whether a hub holds the directory of its socket, as broker/spawn/rundir.c does: whatever becomes
 * of a connection, it is there, and a broker that died is being started anew. The lock is tried
 * only while its owner lives, because a prongd that takes it just then would be told of a hub. */
static bool
is_held(const struct prong_client *c)
{
    char path[URL_BYTES_MAX + 8], owner[24] = "";
    const char *begin = c->url + strlen("ipc://"), *slash = strrchr(c->url, '/');
    if (strncmp(c->url, "ipc://", strlen("ipc://")) != 0 || slash < begin) {
        return false;
    }
    (void)snprintf(path, sizeof path, "%.*s/lock", (int)(slash - begin), begin);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) { /* another user's, whose socket may be there for us all the same */
        return errno != ENOENT && errno != ENOTDIR &&
               client_now() - c->lost_ns < HIDDEN_MS * NS_PER_MS;
    }
    const bool held = read(fd, owner, sizeof owner - 1) > 0 &&
                      (kill((pid_t)strtol(owner, NULL, 10), 0) == 0 || errno == EPERM) &&
                      flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    return held;
}

/* Connect to the first candidate where a hub is, or leave that to greet() where a broker is being
 * started. Only what does not exist is passed over: a hub that is there and cannot be reached now
 * is no reason to talk to another one. c->error gets what was tried. */
static prong_err
find_hub(struct prong_client *c, const char *url, int64_t until_ns)
{
    char found[CANDIDATES_MAX][URL_BYTES_MAX], tried[sizeof c->error] = "";
    const size_t count = candidates(url, found);
    struct link_error error = {.code = ENOENT};
    if (count == 0) {
        client_failed(c, "the URL is longer than %d bytes", URL_BYTES_MAX - 1);
        return PRONG_INVALID_ARGUMENT;
    }
    for (size_t i = 0; i < count && (error.code == ENOENT || error.code == ENOTDIR); i++) {
        const int64_t left_ms = (until_ns - client_now()) / NS_PER_MS;
        free(c->url);
        c->url = strdup(found[i]);
        if (c->url == NULL) {
            return PRONG_RESOURCE_EXHAUSTED;
        }
        if (open_link(c, left_ms > 0 ? (int)left_ms : 0, &error) == 0) {
            return PRONG_OK;
        }
        const size_t used = strlen(tried);
        (void)snprintf(tried + used, sizeof tried - used, "%s%s", i > 0 ? "; " : "", error.text);
        client_failed(c, "no hub: %s", tried);
        const bool gone = error.code == ECONNREFUSED || error.code == ECONNRESET;
        c->lost_ns = gone ? client_now() : 0; /* is_held() asks for it */
        if ((gone || error.code == ENOENT) && is_held(c)) {
            return PRONG_OK;
        }
    }
    return code_of(error.code);
}

/* ---- the client ----------------------------------------------------------------------------- */

static bool
has_answered_hello(const void *context)
{
    const struct prong_client *c = context;
    const char *why;
    return session_is_welcome(c->session) || session_refusal(c->session, &why) != PRONG_OK ||
           (c->link == NULL && !is_held(c));
}

static prong_err
greet(struct prong_client *c, int64_t until_ns)
{
    const prong_err err = client_wait(c, has_answered_hello, c, c, until_ns);
    const char *why;
    const prong_err refusal = session_refusal(c->session, &why);
    return err != PRONG_OK || session_is_welcome(c->session) ? err
           : refusal != PRONG_OK                             ? refusal
           : client_now() >= until_ns                        ? PRONG_DEADLINE_EXCEEDED
                                                             : PRONG_UNAVAILABLE;
}

static char *
copy_or_null(const char *text, bool *failed)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    *failed = *failed || (text != NULL && copy == NULL);
    return copy;
}

static struct prong_client *
new_client(const struct prong_options *o)
{
    struct prong_client *c = calloc(1, sizeof *c);
    struct session_options s = {.name = o->name, .token = {o->token, o->token_len}};
    bool failed = false;
    if (c == NULL) {
        return NULL;
    }
    void *page = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || madvise(page, 1, MADV_WIPEONFORK) != 0) {
        free(c); /* a page, once mapped, is not worth more code: memory is out */
        return NULL;
    }
    c->mine = page;
    *c->mine = 1;
    (void)pthread_mutex_init(&c->lock, NULL); /* neither can fail in glibc and musl */
    (void)pthread_cond_init(&c->left, NULL);
    c->refs = 1;
    c->epoll_fd = c->timer_fd = c->loop_fd = -1;
    c->message_bytes_max = o->message_bytes_max > 0 ? o->message_bytes_max : WIRE_MESSAGE_BYTES;
    c->hello_ns = s.hello_ns =
        (o->connect_timeout_ms > 0 ? o->connect_timeout_ms : CONNECT_MS_DEFAULT) * NS_PER_MS;
    c->tls_ca_file = copy_or_null(o->tls_ca_file, &failed);
    c->tls_name = copy_or_null(o->tls_name, &failed);
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (getrandom(s.client, sizeof s.client, 0) != sizeof s.client ||
        getrandom(&c->random, sizeof c->random, 0) != sizeof c->random) {
        failed = true;
    }
    s.sp_first = (uint32_t)c->random;
    c->session = session_new(&s);
    if (failed || c->wake_fd < 0 || c->session == NULL) {
        prong_client_free(c);
        return NULL;
    }
    return c;
}

/* What the caller's options say, in our version of the struct. NULL when all is well. */
static const char *
read_options(const struct prong_options *given, struct prong_options *o)
{
    *o = (struct prong_options){.size_bytes = sizeof *o};
    if (given == NULL) {
        return NULL;
    }
    if (given->size_bytes < offsetof(struct prong_options, message_bytes_max)) {
        return "size_bytes of the options is not set";
    }
    memcpy(o, given, given->size_bytes < sizeof *o ? given->size_bytes : sizeof *o);
    return o->name != NULL && strlen(o->name) > WIRE_NAME_BYTES_MAX
               ? "the name is longer than 64 bytes"
           : o->token_len > 256        ? "the token is longer than 256 bytes"
           : o->connect_timeout_ms < 0 ? "the connect timeout is negative"
                                       : NULL;
}

prong_err
prong_connect(const char *url, const prong_options *options, prong_client **out, char *error,
              size_t error_size)
{
    struct prong_options o;
    prong_err err = PRONG_INVALID_ARGUMENT;
    const char *problem = read_options(options, &o);
    struct prong_client *c = problem == NULL ? new_client(&o) : NULL;
    if (c != NULL) {
        const int64_t until_ns = client_now() + c->hello_ns;
        (void)client_enter(c, false); /* it is ours and nobody else knows it */
        err = find_hub(c, url, until_ns);
        err = err == PRONG_OK ? greet(c, until_ns) : err;
        c->reconnect_ms = o.reconnect_ms; /* not before: until here a broker that died is sought */
        if (err == PRONG_DEADLINE_EXCEEDED) {
            client_failed(c, "%s: the hub does not answer within %lld ms", c->url,
                          (long long)(c->hello_ns / NS_PER_MS));
        }
        problem = c->error;
        client_leave(c);
    } else if (problem == NULL) {
        err = PRONG_RESOURCE_EXHAUSTED;
        problem = "out of memory or descriptors";
    }
    if (err == PRONG_OK) {
        *out = c;
        return err;
    }
    if (error != NULL && error_size > 0) {
        (void)snprintf(error, error_size, "%s", problem);
    }
    prong_client_free(c);
    return err;
}

void
prong_client_free(prong_client *c)
{
    if (c == NULL || client_enter(c, false) != PRONG_OK) {
        return; /* in a forked child the connection is the parent's, and libnng would abort */
    }
    if (c->session != NULL) {
        client_send(c); /* what was posted */
        session_end_all(c->session, PRONG_CANCELLED, "the client was freed");
        client_collect(c);
    }
    c->closed = true;
    while (c->users > 0) {
        client_poke(c);
        client_wake(c, NULL);
        (void)pthread_cond_wait(&c->left, &c->lock);
    }
    loop_unlink(c);
    link_client_free(c->link);
    c->link = NULL;
    loop_close(c);
    if (c->wake_fd >= 0) {
        close(c->wake_fd);
    }
    session_free(c->session);
    c->session = NULL;
    client_unref(c);
}
