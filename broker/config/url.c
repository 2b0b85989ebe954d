/* What may stand in `listen`: see url.h. */
#include "broker/config/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { HOST_BYTES_MAX = 255 };

#define TCP_SCHEME   "tcp://"
#define TLS_SCHEME   "tls+tcp://"
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

bool
config_url_needs_tls(const char *url)
{
    return strncmp(url, TLS_SCHEME, strlen(TLS_SCHEME)) == 0;
}

static bool
port_is_valid(const char *port)
{
    const size_t len = strlen(port);
    if (len < 1 || len > 5 || strspn(port, "0123456789") != len || (len > 1 && port[0] == '0')) {
        return false;
    }
    unsigned value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value * 10 + (unsigned)(port[i] - '0');
    }
    return value <= 65535;
}

/* Split "HOST:PORT" or "[V6]:PORT"; brackets stay off the host. */
static bool
split(const char *address, char host[HOST_BYTES_MAX + 1], const char **port, bool *v6)
{
    *v6 = address[0] == '[';
    const char *begin = address + (*v6 ? 1 : 0);
    const char *end = *v6 ? strchr(begin, ']') : strchr(begin, ':');
    if (end == NULL || end == begin || (size_t)(end - begin) > HOST_BYTES_MAX) {
        return false;
    }
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    if (*v6) {
        end++;
        if (*end != ':') {
            return false;
        }
    }
    *port = end + 1;
    return true;
}

static bool
host_is_valid(const char *host, bool v6)
{
    struct in6_addr address;
    if (v6) {
        return inet_pton(AF_INET6, host, &address) == 1;
    }
    return strspn(host, NAME_LETTERS) == strlen(host) && host[0] != '-' && host[0] != '.';
}

/* Only what is loopback without asking anybody: a name that a resolver might turn into some other
 * address is not, with the one exception of "localhost". */
static bool
host_is_loopback(const char *host, bool v6)
{
    struct in6_addr six;
    struct in_addr four;
    if (v6) {
        return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
    }
    if (inet_pton(AF_INET, host, &four) == 1) {
        return ntohl(four.s_addr) >> 24 == 127;
    }
    return strcasecmp(host, "localhost") == 0;
}

bool
config_url_check(const char *text, char *why, size_t why_bytes)
{
    const bool tls = config_url_needs_tls(text);
    if (!tls && strncmp(text, TCP_SCHEME, strlen(TCP_SCHEME)) != 0) {
        snprintf(why, why_bytes, "a URL here is tcp://HOST:PORT or tls+tcp://HOST:PORT%s",
                 strncmp(text, "ipc:", 4) == 0 ? "; the local socket is always there" : "");
        return false;
    }
    const char *address = text + strlen(tls ? TLS_SCHEME : TCP_SCHEME);
    char host[HOST_BYTES_MAX + 1];
    const char *port = NULL;
    bool v6 = false;
    if (!split(address, host, &port, &v6) || !host_is_valid(host, v6)) {
        snprintf(why, why_bytes,
                 "after :// has to come HOST:PORT, with an IPv6 address in brackets");
        return false;
    }
    if (!port_is_valid(port)) {
        snprintf(why, why_bytes, "the port has to be a number from 0 to 65535");
        return false;
    }
    if (!tls && !host_is_loopback(host, v6)) {
        snprintf(why, why_bytes,
                 "tcp without TLS is only for this machine (127.0.0.0/8, [::1], localhost); "
                 "write tls+tcp://%.80s",
                 address);
        return false;
    }
    return true;
}
