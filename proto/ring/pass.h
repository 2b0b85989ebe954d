/* A record and descriptors over a local socket: the only code that passes descriptors for shared
 * memory. Every function may be called by any thread; none blocks longer than the socket does. */
#ifndef PRONG_RING_PASS_H
#define PRONG_RING_PASS_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/ring/lend.h"

#ifdef __cplusplus
extern "C" {
#endif

enum pass_result { PASS_OK, PASS_EMPTY, PASS_GONE };

/* Send a record with up to LEND_FDS_MAX descriptors, which stay the caller's. PASS_EMPTY: the
 * socket is full. PASS_GONE: the peer is gone, or no descriptor can be passed. */
enum pass_result pass_send(int socket, const struct lend_record *record, const int *fds,
                           uint32_t count);
/* Receive one; `fds` gets record->fds descriptors, close-on-exec, owned by the caller. PASS_EMPTY:
 * nothing is there (of a socket that does not block). PASS_GONE: end of file, an error, or
 * something that is no record of this version; then no descriptor is left open, and errno is EMFILE
 * when this process has no room for those that came. */
enum pass_result pass_receive(int socket, struct lend_record *record, int fds[LEND_FDS_MAX]);
void pass_close(int fds[LEND_FDS_MAX], uint32_t count);

/* A memfd of this size, filled with zeros, that can neither shrink nor grow; -1 with errno. */
int pass_memory(const char *name, size_t bytes);
/* Whether it is one of exactly this size, so that a mapping of it can never fault. */
bool pass_is_memory(int fd, size_t bytes);
/* The same memory by a descriptor that can only read; -1 with errno. */
int pass_read_only(int fd);

#ifdef __cplusplus
}
#endif

#endif
