/* The hub's secrets: see broker.h. */
#include "broker/shell/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKEN_BYTES = 32, TOKEN_TEXT_MAX = 256 };

static bool
explain(char *why, size_t size, const char *path, const char *what)
{
    (void)snprintf(why, size, "%s: %s", path, what);
    return false;
}

/* Read up to `max` bytes of a file that only its owner may read; -1 with errno: EPERM when others
 * may, EINVAL when it is a pipe or a device, which could be waited for without end. */
static ssize_t
read_private(const char *path, void *bytes, size_t max)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = -1;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        errno = EINVAL;
    } else if ((st.st_mode & 077) != 0) {
        errno = EPERM;
    } else {
        n = read(fd, bytes, max);
    }
    const int error = errno;
    (void)close(fd);
    errno = error;
    return n;
}

static bool
write_private(const char *path, const void *bytes, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    const bool ok = fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, bytes, len) == (ssize_t)len;
    const int error = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = error;
    return ok;
}

bool
secret_load(const char *runtime_dir, bool first, uint8_t secret[16], char *why, size_t why_size)
{
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/secret", runtime_dir);
    if (!first && read_private(path, secret, 16) == 16) {
        return true;
    }
    if (getrandom(secret, 16, 0) != 16 || !write_private(path, secret, 16)) {
        return explain(why, why_size, path, strerror(errno));
    }
    return true;
}

/* A fresh token, in hexadecimal so that it can be passed about as text. */
static bool
make_token(const char *path, char *why, size_t why_size)
{
    uint8_t random[TOKEN_BYTES];
    char text[2 * TOKEN_BYTES + 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return explain(why, why_size, path, strerror(errno));
    }
    for (size_t i = 0; i < sizeof random; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", random[i]);
    }
    text[2 * TOKEN_BYTES] = '\n';
    return write_private(path, text, 2 * TOKEN_BYTES + 1) ||
           explain(why, why_size, path, strerror(errno));
}

bool
secret_token(const char *path, struct buf *token, char *why, size_t why_size)
{
    char text[TOKEN_TEXT_MAX + 1];
    ssize_t n = read_private(path, text, sizeof text);
    if (n < 0 && errno == ENOENT) {
        if (!make_token(path, why, why_size)) {
            return false;
        }
        n = read_private(path, text, sizeof text);
    }
    if (n < 0) {
        return explain(why, why_size, path,
                       errno == EPERM    ? "others may read it: chmod 600 it"
                       : errno == EINVAL ? "it has to be a file"
                                         : strerror(errno));
    }
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r')) {
        n--;
    }
    if (n < TOKEN_BYTES || n > TOKEN_TEXT_MAX) {
        return explain(why, why_size, path, "a token must have 32 to 256 bytes");
    }
    buf_put(token, text, (size_t)n);
    return !token->failed || explain(why, why_size, path, "out of memory");
}
