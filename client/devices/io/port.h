/* A port of this machine, bound again when that failed: what tcp-listen and udp share. */
#ifndef PRONG_DEVICES_IO_PORT_H
#define PRONG_DEVICES_IO_PORT_H

#include "client/devices/device.h"

struct port {
    struct retry retry;
    int fd; /* -1: not bound; does not block */
};

/* Whether the option `address` is one. */
bool port_check(const struct options *options, char *why, size_t why_bytes);
/* `attempt` opens it, now and after each failure, by port_open. */
prong_err port_start(struct device *d, struct port *port, void (*attempt)(struct device *d));
/* Bind a socket of this type as the options say, and listen at it if it is a SOCK_STREAM. False
 * when that is tried again later; else port_is_open is called when it is watched. */
bool port_open(struct device *d, struct port *port, int type);
void port_is_open(struct device *d, struct port *port);
/* Wait for it no longer and close it, when it is open. */
void port_close(struct device *d, struct port *port);
void port_stop(struct device *d, struct port *port);
/* The pair "port" of `stats`: its number, 0 while it is not bound. */
void port_stats(const struct port *port, prong_writer *out);

#endif
