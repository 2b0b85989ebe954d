/* Members of a map, as C has them: of one that the hub gave, and of one that is written. */
#ifndef PRONG_CLI_FIELD_H
#define PRONG_CLI_FIELD_H

#include <stddef.h>
#include <stdint.h>

#include <prong/prong.h>

/* As much of a text as fits with a NUL; "" when there is none. */
void field_text(const prong_value *map, const char *key, char *out, size_t size);
/* 0 when there is none. */
uint64_t field_uint(const prong_value *map, const char *key);

/* The key and its value. */
void field_put_uint(prong_writer *w, const char *key, uint64_t value);
void field_put_int(prong_writer *w, const char *key, int64_t value);
void field_put_double(prong_writer *w, const char *key, double value);
void field_put_text(prong_writer *w, const char *key, const char *text);

#endif
