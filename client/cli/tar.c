/* A tar archive: see tar.h. */
#include "client/cli/tar.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { BLOCK_BYTES = 512 };

/* As POSIX has it; all fields are text. */
struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], kind, link[100],
        magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
static_assert(sizeof(struct header) == BLOCK_BYTES, "a header is one block");

/* An octal number with zeros before it and a NUL behind, which fills the field. */
static void
put_octal(char *field, size_t size, uint64_t value)
{
    for (size_t i = size - 1; i-- > 0; value >>= 3) {
        field[i] = (char)('0' + (value & 7));
    }
    field[size - 1] = '\0';
}

bool
tar_add(FILE *out, const char *name, const char *data, size_t len, int64_t time_s)
{
    static const char zeros[BLOCK_BYTES];
    struct header h = {.kind = '0', .magic = "ustar", .version = {'0', '0'}};
    const size_t name_len = strlen(name);
    unsigned sum = 0;
    unsigned char bytes[sizeof h];
    if (name_len > TAR_NAME_LENGTH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(h.name, name, name_len);
    put_octal(h.mode, sizeof h.mode, 0600);
    put_octal(h.uid, sizeof h.uid, 0);
    put_octal(h.gid, sizeof h.gid, 0);
    put_octal(h.size, sizeof h.size, len);
    put_octal(h.mtime, sizeof h.mtime, time_s > 0 ? (uint64_t)time_s : 0);
    memset(h.checksum, ' ', sizeof h.checksum); /* it counts as blanks in its own sum */
    memcpy(bytes, &h, sizeof h);
    for (size_t i = 0; i < sizeof bytes; i++) {
        sum += bytes[i];
    }
    put_octal(h.checksum, sizeof h.checksum - 1, sum);
    const size_t gap = (BLOCK_BYTES - len % BLOCK_BYTES) % BLOCK_BYTES;
    return fwrite(&h, sizeof h, 1, out) == 1 && fwrite(data, 1, len, out) == len &&
           fwrite(zeros, 1, gap, out) == gap;
}

bool
tar_end(FILE *out)
{
    static const char zeros[2 * BLOCK_BYTES];
    return fwrite(zeros, 1, sizeof zeros, out) == sizeof zeros && fflush(out) == 0;
}
