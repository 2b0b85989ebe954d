/* What the server and the client over libnng share: its headers, its errors, TLS, the mailbox.
 *
 * Private to proto/link. libnng is used for what it transports: tcp, tls+tcp and ipc streams of
 * bytes (nng_stream). Its SP sockets are not used, because those of Debian 12 (1.5.2) cannot be
 * kept alive:
 *
 *   - a connection that is closed while a part of a message is being read hangs libnng's only
 * reaper thread for ever (nanomsg/nng #1813, fixed in 1.9): no end of a connection is reported any
 * more and nng_close() never returns; seen in 1 of 60 runs of a test that stops a TLS server;
 *   - an ipc listener dies for ever with the first peer that connects and leaves (#1518, fixed
 * in 1.6); a watchdog that replaces it loses the descriptors of those that waited;
 *   - a message above the limit cannot be answered, an unread answer cannot be counted, and the id
 * of a request is not told.
 *
 * With streams every operation is started and closed by one thread, so the race cannot happen, and
 * the rest is our own code, the same as for native sockets. Peers see no difference: SP on both
 * sides.
 *
 * Written against nng 1.5 and 1.10: only functions that both have, options by their typed setters.
 * What libnng calls runs on one of its threads and does no more than to post. */
#ifndef PRONG_LINK_NNG_COMMON_H
#define PRONG_LINK_NNG_COMMON_H

#include "proto/link/engine.h"
#include "proto/link/source.h"

#include <pthread.h>
#include <sys/queue.h>

#include <nng/nng.h>
#if __has_include(<nng/supplemental/tls/tls.h>) /* later versions moved it into nng.h */
#include <nng/supplemental/tls/tls.h>
#endif

/* link_fail() with one of libnng's codes, as errno and text. */
int link_nng_fail(struct link_error *error, int code, const char *what);
/* Make a TLS configuration: of a server from its two files, or of a client from the file of who
 * signed (NULL: the usual places) and the name to expect. *out is owned, nng_tls_config_free(). */
int link_nng_tls_server(nng_tls_config **out, const char *cert_file, const char *key_file,
                        struct link_error *error);
int link_nng_tls_client(nng_tls_config **out, const char *ca_file, const char *name,
                        struct link_error *error);

/* ---- the mailbox: from libnng's threads to the loop ----------------------------------------- */

/* Something that happened, embedded in what it happened to; in a mailbox at most once at a time. */
struct link_mail {
    STAILQ_ENTRY(link_mail) next;
    void (*take)(struct link_mail *self); /* on the loop thread */
    void *owner;
};

STAILQ_HEAD(link_mail_list, link_mail);

/* A list that any thread appends to and the loop empties. `lock` also guards what its owner shares
 * between threads. The descriptor is written only when the list was empty. */
struct link_mailbox {
    struct source source;
    pthread_mutex_t lock;
    struct link_mail_list list;
    int epoll_fd, event_fd;
};

/* Make it a source of the epoll set. -1 with *error. */
int link_mailbox_init(struct link_mailbox *m, int epoll_fd, struct link_error *error);
/* Take it out of the set. All that could post is gone by now. */
void link_mailbox_deinit(struct link_mailbox *m);
/* Append; any thread, `lock` not held. */
void link_mailbox_post(struct link_mailbox *m, struct link_mail *mail);
/* Whether the mail was posted and not taken yet. */
bool link_mailbox_has(struct link_mailbox *m, const struct link_mail *mail);
/* Call take() for all that is there, in the order of posting. Loop thread. */
void link_mailbox_deliver(struct link_mailbox *m);

#endif
