/* SipHash-1-3 and -2-4 of Aumasson and Bernstein: a keyed hash, so that a peer who chooses names
 * cannot choose collisions. 2-4 also serves as the pseudo-random function behind tokens. */
#ifndef PRONG_CORE_SIPHASH_H
#define PRONG_CORE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
    uint64_t k[2];
};

uint64_t siphash13(const struct siphash_key *key, const void *data, size_t len);
uint64_t siphash24(const struct siphash_key *key, const void *data, size_t len);

#endif
