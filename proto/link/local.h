/* Local sockets as files: names, permissions, take-over of a path, and who is at the other end.
 *
 * Private to proto/link; used by the native engine and by libnng's listener on ipc. */
#ifndef PRONG_LINK_LOCAL_H
#define PRONG_LINK_LOCAL_H

#include "proto/link/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>

/* A socket file on its way to its public name. All zero is none. */
struct local_path {
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* the public name */
    char temp[sizeof((struct sockaddr_un *)0)->sun_path]; /* beside it; not there yet */
    dev_t device;
    ino_t inode;
    bool published; /* path was ours the last time we looked */
};

/* Take the path out of an ipc:// URL, refuse what cannot or must not be replaced (too long, not a
 * socket), and choose a free temporary name in the same directory. -1 with *error. */
int local_path_init(struct local_path *p, const char *url, struct link_error *error);
/* Choose another free temporary name. */
void local_path_renew(struct local_path *p);
/* After a bind to `temp`: move it over `path` in one step. -1 with *error, and temp is gone. */
int local_path_publish(struct local_path *p, struct link_error *error);
/* Whether `path` still is the file that was published. */
bool local_path_is_ours(const struct local_path *p);
/* Unlink `path` if it still is the file that was published: another server may have taken it over.
 * Called before the listening socket is closed, which keeps the inode from being given away. */
void local_path_unlink(struct local_path *p);

/* The address of an ipc:// URL for a client. -1 with *error when the path does not fit. */
int local_address(struct sockaddr_un *out, const char *url, struct link_error *error);

/* Write what is queued and a message behind it in one system call, without putting them together
 * first: 1 when the socket took all, 0 when the rest is queued now (or could not be, which `failed`
 * of the buffer tells), -1 with errno. */
int local_write_through(int fd, struct buf *out, struct span head, const struct pieces *body);

/* Credentials of the process that called connect() on the other end. */
struct link_cred local_cred(int fd);
/* Start time of a process in clock ticks since boot, 0 when it is gone or hidden. */
uint64_t local_start_ticks(int32_t pid);
/* The same out of the text of /proc/PID/stat; 0 when it is not of that form. */
uint64_t local_start_ticks_parse(struct span text);

#endif
