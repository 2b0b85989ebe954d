/* Which points are read together. Points of one table that are read equally often and lie next to
 * each other, or nearly so, are read with one request. Pure, but for memory. */
#ifndef PRONG_DEVICES_MODBUS_PLAN_H
#define PRONG_DEVICES_MODBUS_PLAN_H

#include "proto/device/modbus_point.h"

/* What lies between two points and is read with them, at most: a request costs more than this. */
enum { PLAN_GAP_REGISTERS = 8, PLAN_GAP_BITS = 128 };

struct plan_request {
    enum modbus_table table;
    uint16_t address, count;
    int32_t every_ms;     /* 0: as the device says */
    size_t first, points; /* `points` of `order` from `first` on */
    bool is_split;        /* for who reads: each point alone, because the whole is refused */
    int64_t due_ns;       /* for who reads */
};

struct plan {
    size_t *order; /* of points, by their place in what the plan was made from */
    struct plan_request *requests;
    size_t count;
};

/* False when memory is out; `plan` is then empty. */
bool plan_make(const struct modbus_point *points, size_t count, struct plan *plan);
void plan_deinit(struct plan *plan);

#endif
