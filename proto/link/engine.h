/* What the engines of this folder share behind link.h: their tables of functions and error text.
 *
 * Private to proto/link. An engine's server or client struct begins with the struct below, and
 * link.c passes every call on through the table. */
#ifndef PRONG_LINK_ENGINE_H
#define PRONG_LINK_ENGINE_H

#include "proto/link/link.h"

enum {
    LINK_REQUESTS_MAX = 65536,    /* of one server, when its options say 0 */
    LINK_SEND_TIMEOUT_MS = 10000, /* libnng, when the options say 0 */
};

struct link_server_ops {
    void (*reply)(struct link_server *s, uint64_t request, const struct pieces *body);
    void (*drop)(struct link_server *s, uint64_t request);
    void (*close_peer)(struct link_server *s, uint64_t peer);
    void (*turn)(struct link_server *s);
    const char *(*url)(const struct link_server *s);
    void (*free)(struct link_server *s);
};

struct link_server {
    const struct link_server_ops *ops;
};

struct link_client_ops {
    int (*fd)(const struct link_client *c);
    bool (*wants_write)(const struct link_client *c);
    int (*send)(struct link_client *c, uint32_t id, const struct pieces *body,
                struct link_error *error);
    int (*flush)(struct link_client *c, struct link_error *error);
    int (*recv)(struct link_client *c, uint32_t *id, struct span *body, struct link_error *error);
    bool (*take)(struct link_client *c, struct buf *memory); /* NULL: never */
    void (*free)(struct link_client *c);
};

struct link_client {
    const struct link_client_ops *ops;
};

/* Fill *error (which may be NULL) and return -1, so that a failure is one statement. */
int link_fail(struct link_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The engines. Each takes the whole URL; see link.h for the rest. */
int link_ipc_server_open(const char *url, const struct link_server_options *options,
                         const struct link_handler *handler, struct link_server **out,
                         struct link_error *error);
int link_ipc_client_open(const char *url, const struct link_client_options *options, int timeout_ms,
                         struct link_client **out, struct link_error *error);
int link_nng_server_open(const char *url, const struct link_server_options *options,
                         const struct link_handler *handler, struct link_server **out,
                         struct link_error *error);
int link_nng_client_open(const char *url, const struct link_client_options *options, int timeout_ms,
                         struct link_client **out, struct link_error *error);

#endif
