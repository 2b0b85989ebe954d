/* A port of this machine: see port.h. */
#include "client/devices/io/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/devices/net.h"

bool
port_check(const struct options *options, char *why, size_t why_bytes)
{
    struct net_address address;
    if (!net_parse(options_text(options, "address"), 0, &address)) {
        snprintf(why, why_bytes, "'address' must be an IPv4 or IPv6 address");
        return false;
    }
    return true;
}

prong_err
port_start(struct device *d, struct port *port, void (*attempt)(struct device *d))
{
    port->fd = -1;
    return retry_start(d, &port->retry, attempt) ? PRONG_OK : PRONG_RESOURCE_EXHAUSTED;
}

static bool
take(int fd, int type, const struct net_address *address)
{
    const int on = 1;
    if (type != SOCK_STREAM) {
        return bind(fd, (const struct sockaddr *)&address->at, address->len) == 0;
    }
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           bind(fd, (const struct sockaddr *)&address->at, address->len) == 0 &&
           listen(fd, SOMAXCONN) == 0;
}

bool
port_open(struct device *d, struct port *port, int type)
{
    struct net_address address;
    (void)net_parse(options_text(&d->options, "address"),
                    (uint16_t)options_number(&d->options, "port"), &address); /* was checked */
    port->fd = socket(address.at.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (port->fd < 0 || !take(port->fd, type, &address)) {
        const int error = errno;
        port_close(d, port);
        retry_later(d, &port->retry, strerror(error));
        return false;
    }
    return true;
}

void
port_is_open(struct device *d, struct port *port)
{
    struct net_address address;
    char own[DEVICE_PEER_BYTES_MAX];
    (void)net_own(port->fd, &address); /* a socket that is bound has one */
    net_format(&address, own);
    retry_done(d, &port->retry);
    device_listening(d, own, net_port(&address));
}

void
port_close(struct device *d, struct port *port)
{
    if (port->fd >= 0) {
        device_watch(d, port->fd, 0, NULL, NULL);
        (void)close(port->fd);
        port->fd = -1;
    }
}

void
port_stop(struct device *d, struct port *port)
{
    retry_stop(d, &port->retry);
    port_close(d, port);
}

void
port_stats(const struct port *port, prong_writer *out)
{
    struct net_address own = {0};
    prong_writer_key(out, "port");
    prong_writer_uint(out, port->fd >= 0 && net_own(port->fd, &own) ? net_port(&own) : 0);
}
