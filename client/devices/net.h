/* Addresses of the network as texts: "127.0.0.1:9000", "[::1]:9000". */
#ifndef PRONG_DEVICES_NET_H
#define PRONG_DEVICES_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "client/devices/device.h"

struct net_address {
    struct sockaddr_storage at;
    socklen_t len;
};

/* A numeric address and a port; false when it is none. */
bool net_parse(const char *address, uint16_t port, struct net_address *out);
/* "ADDRESS:PORT", an IPv6 address in brackets. */
bool net_parse_both(const char *text, struct net_address *out);
void net_format(const struct net_address *address, char out[DEVICE_PEER_BYTES_MAX]);
uint16_t net_port(const struct net_address *address);
/* A connection that nobody else may keep: small frames leave at once, and a peer that is gone
 * without a word is noticed some time. Best effort. */
void net_tune(int fd);
/* The address that a socket has itself. */
bool net_own(int fd, struct net_address *out);

#endif
