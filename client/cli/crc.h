/* CRC-32 as zlib, PNG and Ethernet have it. Pure. */
#ifndef PRONG_CLI_CRC_H
#define PRONG_CLI_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Tables for eight bytes at a time: 1 GB/s and more, so that a disk is slower. */
struct crc {
    uint32_t tables[8][256];
};

void crc_init(struct crc *crc);
/* Of `len` bytes; the CRC of nothing is 0. */
uint32_t crc_of(const struct crc *crc, const void *data, size_t len);

#endif
