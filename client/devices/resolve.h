/* The addresses of a name, found in a thread of its own: a name server may be silent for many
 * seconds, and the thread of a device has to answer meanwhile. It knows nothing of devices. */
#ifndef PRONG_DEVICES_RESOLVE_H
#define PRONG_DEVICES_RESOLVE_H

#include <netdb.h>
#include <stdint.h>

struct resolve;

/* Ask for the addresses of `host`, a name or an address, with `port`, for sockets of this type
 * (SOCK_STREAM, ...). NULL with errno when there is no memory, descriptor or thread. */
struct resolve *resolve_begin(const char *host, uint16_t port, int type);
/* Readable when there is an answer; closed by resolve_end. */
int resolve_fd(const struct resolve *r);
/* After resolve_fd was readable: NULL and the addresses, which are the caller's (freeaddrinfo); or
 * why there are none. Once. */
const char *resolve_take(struct resolve *r, struct addrinfo **found);
/* Forget the question, answered or not, and set *r to NULL, which it may be. The thread may go on
 * for a while and then cleans up by itself: nothing waits for it. */
void resolve_end(struct resolve **r);

#endif
