/* Members of a map that the hub gave, as C has them. */
#ifndef PRONG_CLI_FIELD_H
#define PRONG_CLI_FIELD_H

#include <stddef.h>
#include <stdint.h>

#include <prong/prong.h>

/* As much of a text as fits with a NUL; "" when there is none. */
void field_text(const prong_value *map, const char *key, char *out, size_t size);
/* 0 when there is none. */
uint64_t field_uint(const prong_value *map, const char *key);

#endif
