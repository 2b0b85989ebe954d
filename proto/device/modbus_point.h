/* What a point of a Modbus unit is, as the option `points` of the kind modbus says it:
 *
 *     TABLE ADDRESS [TYPE] [bit N] [words ORDER] [scale X] [offset X] [deadband X] [every TIME]
 *
 * "input 12 int16 scale 0.1", "holding 100 float32 words little", "coil 3"; and which units there
 * are. Pure. */
#ifndef PRONG_PROTO_DEVICE_MODBUS_POINT_H
#define PRONG_PROTO_DEVICE_MODBUS_POINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum modbus_table { MODBUS_COIL, MODBUS_DISCRETE, MODBUS_INPUT, MODBUS_HOLDING };

enum modbus_type {
    MODBUS_BOOL,
    MODBUS_UINT16,
    MODBUS_INT16,
    MODBUS_UINT32,
    MODBUS_INT32,
    MODBUS_UINT64,
    MODBUS_INT64,
    MODBUS_FLOAT32,
    MODBUS_FLOAT64,
    MODBUS_TEXT,
};

/* Limits of the protocol, and how many addresses a table has. */
enum {
    MODBUS_REGISTERS_MAX = 125, /* in one reading */
    MODBUS_BITS_MAX = 2000,
    MODBUS_REGISTERS_WRITE_MAX = 123,
    MODBUS_BITS_WRITE_MAX = 1968,
    MODBUS_ADDRESSES = 65536,
    MODBUS_UNIT_BROADCAST = 0, /* by TCP, as the next: the one that is connected to */
    MODBUS_UNIT_NONE = 255,
    MODBUS_UNIT_MAX = 247,
    MODBUS_EVERY_MS_MAX = 24 * 3600 * 1000,
};

struct modbus_point {
    enum modbus_table table;
    enum modbus_type type;
    uint16_t address; /* of the first one, from 0 */
    uint16_t count;   /* registers, or 1 for a bit of coil and discrete */
    int bit;          /* of the register; -1: all of it */
    bool is_little;   /* the least significant register first; of a text: the low byte */
    bool is_scaled;   /* the value is the number in the unit times `scale` plus `offset` */
    double scale, offset;
    double deadband;  /* values that differ by less are the same; 0: none are */
    int32_t every_ms; /* how often it is read; 0: as the device says */
};

/* False when the text is none; `why` then says what is wrong with it. */
bool modbus_point_parse(const char *text, struct modbus_point *point, char *why, size_t why_bytes);
/* Checks of options: a point, and the name of one. */
bool modbus_point_check(const char *text, char *why, size_t why_bytes);
bool modbus_point_check_name(const char *text, char *why, size_t why_bytes);
/* "coil", "discrete", "input", "holding"; false when `name` is none of them. */
const char *modbus_table_name(enum modbus_table table);
bool modbus_table_find(const char *name, enum modbus_table *table);
/* Whether a table is one of bits and not of registers; whether it can be written. */
bool modbus_table_has_bits(enum modbus_table table);
bool modbus_table_is_writable(enum modbus_table table);
const char *modbus_type_name(enum modbus_type type);
/* Whether a unit can have this address, on a serial line or by TCP; if not, `why` says which. */
bool modbus_check_unit(int64_t unit, bool is_serial, char *why, size_t why_bytes);

#endif
