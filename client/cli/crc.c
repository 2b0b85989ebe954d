/* CRC-32: see crc.h. The eight tables are the method of Kounavis and Berry (2005). */
#include "client/cli/crc.h"

#include <endian.h>
#include <string.h>

enum { SLICES = 8, BYTES = 256 };

#define POLYNOMIAL UINT32_C(0xedb88320) /* of CRC-32, its bits in reverse */

void
crc_init(struct crc *crc)
{
    for (uint32_t n = 0; n < BYTES; n++) {
        uint32_t value = n;
        for (int bit = 0; bit < 8; bit++) {
            value = (value >> 1) ^ ((value & 1) != 0 ? POLYNOMIAL : 0);
        }
        crc->tables[0][n] = value;
    }
    for (int slice = 1; slice < SLICES; slice++) {
        for (uint32_t n = 0; n < BYTES; n++) {
            const uint32_t before = crc->tables[slice - 1][n];
            crc->tables[slice][n] = (before >> 8) ^ crc->tables[0][before & 0xff];
        }
    }
}

static uint32_t
read_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

uint32_t
crc_of(const struct crc *crc, const void *data, size_t len)
{
    const uint32_t(*t)[BYTES] = crc->tables;
    const uint8_t *p = data;
    uint32_t value = UINT32_MAX;
    for (; len >= SLICES; len -= SLICES, p += SLICES) {
        const uint32_t a = value ^ read_u32(p), b = read_u32(p + 4);
        value = t[7][a & 0xff] ^ t[6][a >> 8 & 0xff] ^ t[5][a >> 16 & 0xff] ^ t[4][a >> 24] ^
                t[3][b & 0xff] ^ t[2][b >> 8 & 0xff] ^ t[1][b >> 16 & 0xff] ^ t[0][b >> 24];
    }
    for (; len > 0; len--, p++) {
        value = (value >> 8) ^ t[0][(value ^ *p) & 0xff];
    }
    return ~value;
}
