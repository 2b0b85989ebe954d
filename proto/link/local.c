/* Local sockets as files: see local.h. */
#include "proto/link/local.h"

#include "proto/link/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* "~" and seven letters: as long as "hub.sock", so that a path which fits has a temporary name
 * which fits too. */
enum { TEMP_LETTERS = 7, TEMP_NAME_BYTES = 1 + TEMP_LETTERS };

static const char *
path_of(const char *url)
{
    static const char scheme[] = "ipc://";
    return strncmp(url, scheme, sizeof scheme - 1) == 0 ? url + sizeof scheme - 1 : url;
}

int
local_address(struct sockaddr_un *out, const char *url, struct link_error *error)
{
    const char *path = path_of(url);
    const size_t len = strlen(path);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len == 0) {
        return link_fail(error, EINVAL, "%s: no path after ipc://", url);
    }
    if (len >= sizeof out->sun_path) {
        return link_fail(error, ENAMETOOLONG,
                         "socket path of %zu bytes, at most %zu are possible: %s", len,
                         sizeof out->sun_path - 1, path);
    }
    memcpy(out->sun_path, path, len + 1);
    return 0;
}

/* Length of the directory part of a path, its slash included. */
static size_t
directory_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

void
local_path_renew(struct local_path *p)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    char *name = p->temp + directory_len(p->path);
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail, and a repeat is caught below */
    uint64_t seed = (uint64_t)now.tv_nsec + ((uint64_t)getpid() << 30);
    struct stat unused;
    do {
        uint64_t bits = seed++;
        name[0] = '~';
        for (int i = 0; i < TEMP_LETTERS; i++) {
            name[1 + i] = letters[bits & 31];
            bits >>= 5;
        }
        name[TEMP_NAME_BYTES] = '\0';
    } while (lstat(p->temp, &unused) == 0);
}

int
local_path_init(struct local_path *p, const char *url, struct link_error *error)
{
    *p = (struct local_path){0};
    struct sockaddr_un address;
    if (local_address(&address, url, error) < 0) {
        return -1;
    }
    const size_t dir_len = directory_len(address.sun_path);
    if (dir_len + TEMP_NAME_BYTES >= sizeof p->temp) {
        return link_fail(error, ENAMETOOLONG,
                         "socket directory of %zu bytes, at most %zu are possible: %s", dir_len,
                         sizeof p->temp - TEMP_NAME_BYTES - 1, address.sun_path);
    }
    struct stat st;
    if (lstat(address.sun_path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        return link_fail(error, EEXIST, "%s exists and is not a socket; it is left alone",
                         address.sun_path);
    }
    memcpy(p->path, address.sun_path, sizeof p->path);
    memcpy(p->temp, address.sun_path, dir_len);
    local_path_renew(p);
    return 0;
}

int
local_path_publish(struct local_path *p, struct link_error *error)
{
    struct stat st;
    if (lstat(p->temp, &st) == 0 && rename(p->temp, p->path) == 0) {
        p->device = st.st_dev;
        p->inode = st.st_ino;
        p->published = true;
        return 0;
    }
    const int code = errno;
    /* The name may be gone already, which is what we want. */
    (void)unlink(p->temp);
    return link_fail(error, code, "cannot rename %s to %s: %s", p->temp, p->path, strerror(code));
}

bool
local_path_is_ours(const struct local_path *p)
{
    struct stat st;
    return p->published && lstat(p->path, &st) == 0 && st.st_dev == p->device &&
           st.st_ino == p->inode;
}

void
local_path_unlink(struct local_path *p)
{
    if (local_path_is_ours(p)) {
        /* Nothing can be done about a failure at this point, and the next server replaces the file.
         */
        (void)unlink(p->path);
    }
    p->published = false;
}

struct link_cred
local_cred(int fd)
{
    struct ucred ucred;
    socklen_t len = sizeof ucred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &len) != 0) {
        return (struct link_cred){.local = true};
    }
    return (struct link_cred){
        .known = true,
        .local = true,
        .uid = ucred.uid,
        .gid = ucred.gid,
        .pid = ucred.pid,
        .start_ticks = local_start_ticks(ucred.pid),
    };
}

uint64_t
local_start_ticks(int32_t pid)
{
    if (pid <= 0) {
        return 0;
    }
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    uint8_t text[1024];
    const ssize_t len = read(fd, text, sizeof text);
    close(fd);
    return len > 0 ? local_start_ticks_parse((struct span){text, (size_t)len}) : 0;
}

/* The second field is the name in brackets, which may hold spaces and brackets itself: count from
 * the last one. The field behind it is the third, the start time is the twenty-second. */
uint64_t
local_start_ticks_parse(struct span text)
{
    const uint8_t *end = text.data + text.len;
    const uint8_t *at = text.len > 0 ? memrchr(text.data, ')', text.len) : NULL;
    if (at == NULL) {
        return 0;
    }
    at++;
    for (int field = 3; field <= 22; field++) {
        if (at == end || *at != ' ') {
            return 0;
        }
        at++;
        if (field < 22) {
            while (at < end && *at != ' ') {
                at++;
            }
        }
    }
    uint64_t ticks = 0;
    for (; at < end && *at >= '0' && *at <= '9' && ticks < UINT64_MAX / 10 - 1; at++) {
        ticks = ticks * 10 + (uint64_t)(*at - '0');
    }
    return ticks;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static ssize_t
write_parts(int fd, struct span queued, struct span head, const struct pieces *body)
{
    struct iovec iov[2 + PIECES_MAX];
    struct msghdr message = {.msg_iov = iov};
    const struct span before[2] = {queued, head};
    for (uint32_t i = 0; i < 2 + body->count; i++) {
        const struct span part = i < 2 ? before[i] : body->part[i - 2];
        if (part.len > 0) {
            /* Only read from, which the type of an iovec cannot say. */
            iov[message.msg_iovlen++] =
                (struct iovec){.iov_base = (void *)(uintptr_t)part.data, .iov_len = part.len};
        }
    }
    ssize_t n;
    do {
        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n;
}

int
local_write_through(int fd, struct buf *out, struct span head, const struct pieces *body)
{
    const size_t queued = out->w - out->r, len = head.len + pieces_len(body);
    const ssize_t n = write_parts(fd, buf_span(out), head, body);
    if (n < 0 && errno != EAGAIN) {
        return -1;
    }
    const size_t taken = n > 0 ? (size_t)n : 0;
    const size_t passed = taken > queued ? taken - queued : 0;
    if (taken > passed) {
        buf_skip(out, taken - passed);
    }
    if (passed == len) {
        return 1;
    }
    if (buf_reserve(out, len - passed)) {
        const size_t of_head = passed < head.len ? passed : head.len;
        buf_put(out, head.data + of_head, head.len - of_head);
        buf_put_pieces(out, body, passed - of_head);
    }
    return 0;
}
