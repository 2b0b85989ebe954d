/* A file of frames and events: see recording.h. */
#include "client/cli/recording.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* All numbers are little-endian. */
struct file_head {
    char magic[8];
    uint32_t version;
    uint32_t crc; /* of what is before it */
};

struct prefix {
    char mark[4];
    uint32_t head_bytes;
    uint64_t payload_bytes;
    uint32_t head_crc, payload_crc;
    uint32_t reserved; /* 0 */
    uint32_t crc;      /* of what is before it: else a flipped bit in a length would lead astray */
};

_Static_assert(sizeof(struct file_head) == 16, "as the file has it");
_Static_assert(sizeof(struct prefix) == 32, "as the file has it");

enum { VERSION = 1, PARTS = 3 };

static const char magic[8] = {'P', 'R', 'O', 'N', 'G', 'R', 'E', 'C'};
static const char mark[4] = {'P', 'r', 'e', 'c'};

static void
begin(struct recording *r, int fd)
{
    *r = (struct recording){.fd = fd, .offset = sizeof(struct file_head)};
    crc_init(&r->crc);
}

void
recording_close(struct recording *r)
{
    if (r->fd >= 0) {
        (void)close(r->fd); /* what could not be written was told when it was */
        r->fd = -1;
    }
    free(r->head);
    r->head = NULL;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* All of the parts at this offset. False with errno. */
static bool
write_all(int fd, struct iovec parts[PARTS], uint64_t offset)
{
    struct iovec *part = parts;
    int count = PARTS;
    while (count > 0) {
        if (part->iov_len == 0) {
            part++;
            count--;
            continue;
        }
        const ssize_t n = pwritev(fd, part, count, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return false;
        }
        offset += (size_t)n;
        for (size_t left = (size_t)n; left > 0;) {
            const size_t step = left < part->iov_len ? left : part->iov_len;
            part->iov_base = (char *)part->iov_base + step;
            part->iov_len -= step;
            left -= step;
            if (part->iov_len == 0 && left > 0) {
                part++;
                count--;
            }
        }
    }
    return true;
}

bool
recording_begin(struct recording *r, int fd)
{
    struct file_head head = {.version = htole32(VERSION)};
    begin(r, fd);
    memcpy(head.magic, magic, sizeof magic);
    head.crc = htole32(crc_of(&r->crc, &head, offsetof(struct file_head, crc)));
    struct iovec parts[PARTS] = {{&head, sizeof head}};
    return write_all(fd, parts, 0);
}

bool
recording_append(struct recording *r, const prong_value *head, const void *payload, size_t bytes)
{
    struct prefix p = {.head_bytes = htole32((uint32_t)head->len),
                       .payload_bytes = htole64(bytes),
                       .head_crc = htole32(crc_of(&r->crc, head->data, head->len)),
                       .payload_crc = htole32(crc_of(&r->crc, payload, bytes))};
    if (head->len > RECORDING_HEAD_BYTES_MAX || bytes > RECORDING_PAYLOAD_BYTES_MAX) {
        errno = EMSGSIZE;
        return false;
    }
    memcpy(p.mark, mark, sizeof mark);
    p.crc = htole32(crc_of(&r->crc, &p, offsetof(struct prefix, crc)));
    struct iovec parts[PARTS] = {{&p, sizeof p},
                                 {(void *)(uintptr_t)head->data, head->len},
                                 {(void *)(uintptr_t)payload, bytes}};
    if (!write_all(r->fd, parts, r->offset)) {
        const int error = errno;
        if (ftruncate(r->fd, (off_t)r->offset) != 0) {
            /* A torn end, which whoever reads it recognises. */
        }
        errno = error;
        return false;
    }
    r->offset += sizeof p + head->len + bytes;
    return true;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* As many bytes as there are, up to `len`. -1 with errno. */
static ssize_t
read_some(int fd, void *to, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        const ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)done;
}

enum recording_result
recording_open(struct recording *r, int fd)
{
    struct file_head head;
    struct stat file;
    begin(r, fd);
    const ssize_t n = read_some(fd, &head, sizeof head, 0);
    r->head = malloc(RECORDING_HEAD_BYTES_MAX);
    if (n < 0 || fstat(fd, &file) != 0 || r->head == NULL) {
        return RECORDING_ERROR;
    }
    r->bytes = (uint64_t)file.st_size;
    const size_t common = (size_t)n < sizeof magic ? (size_t)n : sizeof magic;
    if (memcmp(head.magic, magic, common) != 0) {
        return RECORDING_FOREIGN;
    }
    if ((size_t)n < sizeof head) {
        return RECORDING_TORN;
    }
    if (le32toh(head.crc) != crc_of(&r->crc, &head, offsetof(struct file_head, crc))) {
        return RECORDING_FOREIGN;
    }
    return le32toh(head.version) > VERSION ? RECORDING_NEWER : RECORDING_OK;
}

void
recording_rewind(struct recording *r)
{
    r->offset = sizeof(struct file_head);
}

/* A file whose end did not reach the disk before the power went may be filled up with zeros. */
static bool
is_zero(const struct prefix *p)
{
    static const struct prefix zero;
    return memcmp(p, &zero, sizeof zero) == 0;
}

static bool
is_prefix(const struct recording *r, const struct prefix *p)
{
    return memcmp(p->mark, mark, sizeof mark) == 0 &&
           le32toh(p->crc) == crc_of(&r->crc, p, offsetof(struct prefix, crc)) &&
           le32toh(p->head_bytes) <= RECORDING_HEAD_BYTES_MAX &&
           le64toh(p->payload_bytes) <= RECORDING_PAYLOAD_BYTES_MAX;
}

enum recording_result
recording_next(struct recording *r, struct recording_record *record)
{
    struct prefix p;
    const ssize_t n = read_some(r->fd, &p, sizeof p, r->offset);
    if (n <= 0) {
        return n == 0 ? RECORDING_END : RECORDING_ERROR;
    }
    if ((size_t)n < sizeof p || is_zero(&p)) {
        return RECORDING_TORN;
    }
    if (!is_prefix(r, &p)) {
        return RECORDING_BROKEN;
    }
    const uint32_t head_bytes = le32toh(p.head_bytes);
    *record = (struct recording_record){
        .head = {r->head, head_bytes},
        .payload_offset = r->offset + sizeof p + head_bytes,
        .payload_bytes = le64toh(p.payload_bytes),
        .payload_crc = le32toh(p.payload_crc),
    };
    const uint64_t end = record->payload_offset + record->payload_bytes;
    if (end > r->bytes) {
        return RECORDING_TORN;
    }
    const ssize_t got = read_some(r->fd, r->head, head_bytes, r->offset + sizeof p);
    if (got < 0) {
        return RECORDING_ERROR;
    }
    r->offset = end;
    return (size_t)got == head_bytes &&
                   crc_of(&r->crc, r->head, head_bytes) == le32toh(p.head_crc) &&
                   prong_value_kind(&record->head) == PRONG_KIND_MAP &&
                   prong_value_is_whole(&record->head)
               ? RECORDING_OK
               : RECORDING_DAMAGED;
}

enum recording_result
recording_read(const struct recording *r, const struct recording_record *record, void *to)
{
    const size_t bytes = (size_t)record->payload_bytes;
    const ssize_t n = read_some(r->fd, to, bytes, record->payload_offset);
    if (n < 0) {
        return RECORDING_ERROR;
    }
    return (size_t)n == bytes && crc_of(&r->crc, to, bytes) == record->payload_crc
               ? RECORDING_OK
               : RECORDING_DAMAGED;
}
