/* Which points are read together: see plan.h. */
#include "client/devices/modbus/plan.h"

#include <stdlib.h>

/* What decides the order, and the place of the point. */
struct key {
    int64_t every_ms, table, address, index;
};

static int
compare(const void *left, const void *right)
{
    const struct key *a = left, *b = right;
    const int64_t order = a->every_ms != b->every_ms ? a->every_ms - b->every_ms
                          : a->table != b->table     ? a->table - b->table
                          : a->address != b->address ? a->address - b->address
                                                     : a->index - b->index;
    return (order > 0) - (order < 0);
}

/* Whether the request grows by the point. */
static bool
joins(struct plan_request *request, const struct modbus_point *point)
{
    const bool is_bits = modbus_table_has_bits(request->table);
    const int max = is_bits ? MODBUS_BITS_MAX : MODBUS_REGISTERS_MAX;
    const int gap = is_bits ? PLAN_GAP_BITS : PLAN_GAP_REGISTERS;
    const int end = request->address + request->count;
    const int point_end = point->address + point->count;
    const int new_end = point_end > end ? point_end : end;
    if (request->table != point->table || request->every_ms != point->every_ms ||
        point->address > end + gap || new_end - request->address > max) {
        return false;
    }
    request->count = (uint16_t)(new_end - request->address);
    request->points++;
    return true;
}

static void
fill(const struct modbus_point *points, size_t count, const struct key *keys, struct plan *plan)
{
    for (size_t i = 0; i < count; i++) {
        const struct modbus_point *point = &points[keys[i].index];
        plan->order[i] = (size_t)keys[i].index;
        if (plan->count > 0 && joins(&plan->requests[plan->count - 1], point)) {
            continue;
        }
        plan->requests[plan->count++] = (struct plan_request){.table = point->table,
                                                              .address = point->address,
                                                              .count = point->count,
                                                              .every_ms = point->every_ms,
                                                              .first = i,
                                                              .points = 1};
    }
}

bool
plan_make(const struct modbus_point *points, size_t count, struct plan *plan)
{
    *plan = (struct plan){0};
    if (count == 0) {
        return true;
    }
    struct key *keys = calloc(count, sizeof *keys);
    plan->order = calloc(count, sizeof *plan->order);
    plan->requests = calloc(count, sizeof *plan->requests);
    if (keys == NULL || plan->order == NULL || plan->requests == NULL) {
        free(keys);
        plan_deinit(plan);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = (struct key){points[i].every_ms, points[i].table, points[i].address, (int64_t)i};
    }
    qsort(keys, count, sizeof *keys, compare);
    fill(points, count, keys, plan);
    free(keys);
    return true;
}

void
plan_deinit(struct plan *plan)
{
    free(plan->order);
    free(plan->requests);
    *plan = (struct plan){0};
}
