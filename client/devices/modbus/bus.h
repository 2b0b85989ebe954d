/* A connection to a Modbus unit, by libmodbus: opening, and one request at a time, each of which
 * waits for its answer. Used by one thread. */
#ifndef PRONG_DEVICES_MODBUS_BUS_H
#define PRONG_DEVICES_MODBUS_BUS_H

#include "client/devices/device.h"
#include "proto/device/modbus_point.h"

struct bus;

struct bus_options {
    const char *host, *path; /* one of them; borrowed as long as the bus is open */
    int port, baud, bits, stop;
    char parity; /* 'N', 'E', 'O' */
    int unit;
    int32_t timeout_ms;
    int stop_fd; /* readable when nobody wants a connection any more */
};

enum bus_fault {
    BUS_FINE,
    BUS_EXCEPTION, /* the unit, or a gateway before it, has refused: the connection is fine */
    BUS_TIMEOUT,   /* these end the connection: no answer, ... */
    BUS_JUNK,      /* ... one that is none, or one that nobody asked for ... */
    BUS_LOST,      /* ... or the connection has ended */
};

struct bus_error {
    enum bus_fault fault;
    int exception; /* its number; 0 for one that the protocol does not know */
    /* Of a write that was not confirmed: the unit may have carried it out. */
    bool may_be_done;
    prong_err code; /* for who asked */
    char why[DEVICE_WHY_BYTES_MAX];
};

/* Whether it means that there is nobody behind a gateway, and not one point alone. */
bool bus_is_gone(const struct bus_error *error);
/* Whether the unit may take it in smaller pieces. */
bool bus_is_refused(const struct bus_error *error);

/* Connect or open. NULL with `why` when that fails. */
struct bus *bus_open(const struct bus_options *options, char *why, size_t why_bytes);
/* Accepts NULL. */
void bus_close(struct bus *bus);
/* To wait for what comes unasked; -1 on a serial line, where that is noise. */
int bus_fd(const struct bus *bus);
/* "127.0.0.1:502" or the path. */
const char *bus_peer(const struct bus *bus);
/* Whether nothing has come unasked, such as the end of the connection. */
bool bus_is_quiet(struct bus *bus, struct bus_error *error);

/* Registers, or bits as 0 and 1: `count` of them. False with `error` (code, text, ...). */
bool bus_read(struct bus *bus, enum modbus_table table, uint16_t address, uint16_t count,
              uint16_t *words, struct bus_error *error);
bool bus_write(struct bus *bus, enum modbus_table table, uint16_t address, uint16_t count,
               const uint16_t *words, struct bus_error *error);
/* One bit of a holding register, and the others as they are. */
bool bus_write_bit(struct bus *bus, uint16_t address, unsigned bit, bool is_on,
                   struct bus_error *error);

#endif
