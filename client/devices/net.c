/* Addresses of the network: see net.h. */
#include "client/devices/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
net_parse(const char *address, uint16_t port, struct net_address *out)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    *out = (struct net_address){0};
    if (inet_pton(AF_INET, address, &four.sin_addr) == 1) {
        memcpy(&out->at, &four, sizeof four);
        out->len = sizeof four;
        return true;
    }
    if (inet_pton(AF_INET6, address, &six.sin6_addr) == 1) {
        memcpy(&out->at, &six, sizeof six);
        out->len = sizeof six;
        return true;
    }
    return false;
}

bool
net_parse_both(const char *text, struct net_address *out)
{
    char address[DEVICE_PEER_BYTES_MAX];
    const char *colon = strrchr(text, ':');
    const bool is_six = text[0] == '[';
    if (colon == NULL || (size_t)(colon - text) >= sizeof address ||
        (is_six && (colon - text < 3 || colon[-1] != ']'))) {
        return false;
    }
    char *end = NULL;
    const long port = strtol(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || port < 1 || port > UINT16_MAX) {
        return false;
    }
    const size_t len = (size_t)(colon - text) - (is_six ? 2 : 0);
    memcpy(address, text + (is_six ? 1 : 0), len);
    address[len] = '\0';
    return (is_six == (strchr(address, ':') != NULL)) && net_parse(address, (uint16_t)port, out);
}

void
net_format(const struct net_address *address, char out[DEVICE_PEER_BYTES_MAX])
{
    char text[INET6_ADDRSTRLEN] = "?";
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    if (address->at.ss_family == AF_INET6) {
        memcpy(&six, &address->at, sizeof six);
        (void)inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
        (void)snprintf(out, DEVICE_PEER_BYTES_MAX, "[%s]:%u", text, ntohs(six.sin6_port));
    } else {
        memcpy(&four, &address->at, sizeof four);
        (void)inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
        (void)snprintf(out, DEVICE_PEER_BYTES_MAX, "%s:%u", text, ntohs(four.sin_port));
    }
}

uint16_t
net_port(const struct net_address *address)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    if (address->at.ss_family == AF_INET6) {
        memcpy(&six, &address->at, sizeof six);
        return ntohs(six.sin6_port);
    }
    memcpy(&four, &address->at, sizeof four);
    return ntohs(four.sin_port);
}

void
net_tune(int fd)
{
    const int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool
net_own(int fd, struct net_address *out)
{
    *out = (struct net_address){.len = sizeof out->at};
    return getsockname(fd, (struct sockaddr *)&out->at, &out->len) == 0;
}
