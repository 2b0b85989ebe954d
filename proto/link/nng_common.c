/* What the server and the client over libnng share: see nng_common.h. */
#include "proto/link/nng_common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const struct {
    int nng, system;
} codes[] = {
    {NNG_EINTR, EINTR},
    {NNG_ENOMEM, ENOMEM},
    {NNG_EINVAL, EINVAL},
    {NNG_EBUSY, EBUSY},
    {NNG_ETIMEDOUT, ETIMEDOUT},
    {NNG_ECONNREFUSED, ECONNREFUSED},
    {NNG_ECLOSED, ECONNRESET},
    {NNG_EAGAIN, EAGAIN},
    {NNG_ENOTSUP, EPROTONOSUPPORT},
    {NNG_EADDRINUSE, EADDRINUSE},
    {NNG_ENOENT, ENOENT},
    {NNG_EPROTO, EPROTO},
    {NNG_EUNREACHABLE, EHOSTUNREACH},
    {NNG_EADDRINVAL, EINVAL},
    {NNG_EPERM, EACCES},
    {NNG_EMSGSIZE, EMSGSIZE},
    {NNG_ECONNABORTED, ECONNABORTED},
    {NNG_ECONNRESET, ECONNRESET},
    {NNG_ECANCELED, ECANCELED},
    {NNG_ENOFILES, EMFILE},
    {NNG_ENOSPC, ENOSPC},
    {NNG_ECRYPTO, EPROTO},
    {NNG_EPEERAUTH, EACCES},
    {NNG_ECONNSHUT, ECONNRESET},
};

int
link_nng_fail(struct link_error *error, int code, const char *what)
{
    int system = (code & NNG_ESYSERR) != 0 ? code & ~NNG_ESYSERR : EIO;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].nng == code) {
            system = codes[i].system;
        }
    }
    return link_fail(error, system, "%s: %s", what, nng_strerror(code));
}

/* ---- TLS ------------------------------------------------------------------------------------ */

enum { PEM_BYTES_MAX = 1 << 20 };

/* A whole small file as a string; owned, to be freed by forget(). NULL with *error. */
static char *
read_pem(const char *path, struct link_error *error)
{
    char *text = NULL;
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    if (file == NULL) {
        (void)link_fail(error, path != NULL ? errno : EINVAL, "%s: %s",
                        path != NULL ? path : "no certificate or key",
                        path != NULL ? strerror(errno) : "tls+tcp needs both files");
        return NULL;
    }
    text = calloc(1, PEM_BYTES_MAX);
    const size_t len = text != NULL ? fread(text, 1, PEM_BYTES_MAX - 1, file) : 0;
    if (len == 0 || ferror(file) != 0 || len == PEM_BYTES_MAX - 1) {
        (void)link_fail(error, EINVAL, "%s: not a PEM file", path);
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

static void
forget(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

int
link_nng_tls_server(nng_tls_config **out, const char *cert_file, const char *key_file,
                    struct link_error *error)
{
    int result = -1;
    nng_tls_config *config = NULL;
    char *key = NULL;
    char *cert = read_pem(cert_file, error);
    if (cert == NULL || (key = read_pem(key_file, error)) == NULL) {
        goto out;
    }
    int code = nng_tls_config_alloc(&config, NNG_TLS_MODE_SERVER);
    if (code == 0) {
        code = nng_tls_config_own_cert(config, cert, key, NULL);
    }
    if (code != 0) {
        (void)link_nng_fail(error, code, cert_file);
        goto out;
    }
    *out = config;
    config = NULL;
    result = 0;
out:
    if (config != NULL) {
        nng_tls_config_free(config);
    }
    forget(cert);
    forget(key);
    return result;
}

int
link_nng_tls_client(nng_tls_config **out, const char *ca_file, const char *name,
                    struct link_error *error)
{
    /* libnng has no list of its own; this is where Debian, Alpine and Arch keep the system's. */
    const char *file = ca_file != NULL ? ca_file : "/etc/ssl/certs/ca-certificates.crt";
    nng_tls_config *config = NULL;
    int code = nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT);
    if (code == 0) {
        code = nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED);
    }
    if (code == 0) {
        code = nng_tls_config_ca_file(config, file);
    }
    if (code == 0) {
        code = nng_tls_config_server_name(config, name);
    }
    if (code != 0) {
        if (config != NULL) {
            nng_tls_config_free(config);
        }
        return link_nng_fail(error, code, file);
    }
    *out = config;
    return 0;
}

/* ---- the mailbox ---------------------------------------------------------------------------- */

static void
mailbox_ready(struct source *self, uint32_t events)
{
    (void)events;
    struct link_mailbox *m = (struct link_mailbox *)self;
    uint64_t count;
    /* Emptied before the list is taken: a later post finds the list filled or writes again. */
    if (read(m->event_fd, &count, sizeof count) == sizeof count) {
        link_mailbox_deliver(m);
    }
}

int
link_mailbox_init(struct link_mailbox *m, int epoll_fd, struct link_error *error)
{
    m->source.ready = mailbox_ready;
    STAILQ_INIT(&m->list);
    pthread_mutex_init(&m->lock, NULL); /* cannot fail for a default mutex on Linux */
    m->epoll_fd = epoll_fd;
    m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = m};
    if (m->event_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, m->event_fd, &event) != 0) {
        return link_fail(error, errno, "eventfd: %s", strerror(errno));
    }
    return 0;
}

void
link_mailbox_deinit(struct link_mailbox *m)
{
    if (m->event_fd >= 0) {
        (void)epoll_ctl(m->epoll_fd, EPOLL_CTL_DEL, m->event_fd, NULL); /* fails if never added */
        close(m->event_fd);
        m->event_fd = -1;
    }
    pthread_mutex_destroy(&m->lock);
}

void
link_mailbox_post(struct link_mailbox *m, struct link_mail *mail)
{
    pthread_mutex_lock(&m->lock);
    const bool was_empty = STAILQ_EMPTY(&m->list);
    STAILQ_INSERT_TAIL(&m->list, mail, next);
    if (was_empty) {
        const uint64_t one = 1;
        /* Cannot fail: the counter is at most 1. Under the lock, so that the loop is not woken for
         * mail that it has already taken. */
        (void)!write(m->event_fd, &one, sizeof one);
    }
    pthread_mutex_unlock(&m->lock);
}

bool
link_mailbox_has(struct link_mailbox *m, const struct link_mail *mail)
{
    const struct link_mail *one;
    bool found = false;
    pthread_mutex_lock(&m->lock);
    STAILQ_FOREACH(one, &m->list, next)
    {
        found = found || one == mail;
    }
    pthread_mutex_unlock(&m->lock);
    return found;
}

void
link_mailbox_deliver(struct link_mailbox *m)
{
    struct link_mail_list list = STAILQ_HEAD_INITIALIZER(list);
    pthread_mutex_lock(&m->lock);
    STAILQ_CONCAT(&list, &m->list);
    pthread_mutex_unlock(&m->lock);
    struct link_mail *mail;
    while ((mail = STAILQ_FIRST(&list)) != NULL) {
        STAILQ_REMOVE_HEAD(&list, next);
        mail->take(mail);
    }
}
