/* Transports: which engine serves which URL. See link.h. */
#include "proto/link/link.h"

#include "proto/link/engine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef int (*server_open)(const char *url, const struct link_server_options *options,
                           const struct link_handler *handler, struct link_server **out,
                           struct link_error *error);
typedef int (*client_open)(const char *url, const struct link_client_options *options,
                           int timeout_ms, struct link_client **out, struct link_error *error);

struct scheme {
    const char *prefix;
    server_open serve, serve_by_nng;
    client_open connect;
};

static const struct scheme schemes[] = {
    {.prefix = "ipc://",
     .serve = link_ipc_server_open,
     .serve_by_nng = link_nng_server_open,
     .connect = link_ipc_client_open},
    {.prefix = "tcp://",
     .serve = link_nng_server_open,
     .serve_by_nng = link_nng_server_open,
     .connect = link_nng_client_open},
    {.prefix = "tls+tcp://",
     .serve = link_nng_server_open,
     .serve_by_nng = link_nng_server_open,
     .connect = link_nng_client_open},
};

static const struct scheme *
find_scheme(const char *url, struct link_error *error)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strncmp(url, schemes[i].prefix, strlen(schemes[i].prefix)) == 0) {
            return &schemes[i];
        }
    }
    (void)link_fail(error, EPROTONOSUPPORT,
                    "'%.80s' is not a URL of ipc://PATH, tcp://HOST:PORT or tls+tcp://HOST:PORT",
                    url);
    return NULL;
}

int
link_fail(struct link_error *error, int code, const char *format, ...)
{
    if (error != NULL) {
        error->code = code;
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return -1;
}

int
link_server_open(const char *url, const struct link_server_options *options,
                 const struct link_handler *handler, struct link_server **out,
                 struct link_error *error)
{
    const struct scheme *scheme = find_scheme(url, error);
    if (scheme == NULL) {
        return -1;
    }
    const server_open serve = options->use_nng ? scheme->serve_by_nng : scheme->serve;
    return serve(url, options, handler, out, error);
}

void
link_server_reply(struct link_server *s, uint64_t request, const struct pieces *body)
{
    s->ops->reply(s, request, body);
}

void
link_server_drop(struct link_server *s, uint64_t request)
{
    s->ops->drop(s, request);
}

void
link_server_close_peer(struct link_server *s, uint64_t peer)
{
    s->ops->close_peer(s, peer);
}

void
link_server_turn(struct link_server *s)
{
    s->ops->turn(s);
}

const char *
link_server_url(const struct link_server *s)
{
    return s->ops->url(s);
}

void
link_server_free(struct link_server *s)
{
    if (s != NULL) {
        s->ops->free(s);
    }
}

int
link_client_open(const char *url, const struct link_client_options *options, int timeout_ms,
                 struct link_client **out, struct link_error *error)
{
    const struct scheme *scheme = find_scheme(url, error);
    return scheme != NULL ? scheme->connect(url, options, timeout_ms, out, error) : -1;
}

int
link_client_fd(const struct link_client *c)
{
    return c->ops->fd(c);
}

bool
link_client_wants_write(const struct link_client *c)
{
    return c->ops->wants_write(c);
}

int
link_client_send(struct link_client *c, uint32_t id, const struct pieces *body,
                 struct link_error *error)
{
    return c->ops->send(c, id, body, error);
}

int
link_client_flush(struct link_client *c, struct link_error *error)
{
    return c->ops->flush(c, error);
}

int
link_client_recv(struct link_client *c, uint32_t *id, struct span *body, struct link_error *error)
{
    return c->ops->recv(c, id, body, error);
}

bool
link_client_take(struct link_client *c, struct buf *memory)
{
    return c->ops->take != NULL && c->ops->take(c, memory);
}

void
link_client_free(struct link_client *c)
{
    if (c != NULL) {
        c->ops->free(c);
    }
}
