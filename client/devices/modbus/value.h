/* Values of points: from the registers of a unit and back. Pure.
 *
 * `words` has one register each, or a bit (0 or 1) of the tables coil and discrete; as many as the
 * point has (`count`). */
#ifndef PRONG_DEVICES_MODBUS_VALUE_H
#define PRONG_DEVICES_MODBUS_VALUE_H

#include <prong/value.h>

#include "proto/device/modbus_point.h"

/* Append the value; false, and nothing is written, when the bytes of a text are not UTF-8. */
bool modbus_value_put(const struct modbus_point *point, const uint16_t *words, prong_writer *out);
/* What is to be written for a value. Of a point that is a bit of a register this is 0 or 1. False
 * when the value is none of the point's; `why` then says what it takes. */
bool modbus_value_take(const struct modbus_point *point, const prong_value *value, uint16_t *words,
                       char *why, size_t why_bytes);
/* Whether what was read differs in what is the point's, and by its deadband where it has one. */
bool modbus_value_differs(const struct modbus_point *point, const uint16_t *a, const uint16_t *b);

#endif
