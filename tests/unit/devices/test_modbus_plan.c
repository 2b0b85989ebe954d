/* Which points of a Modbus unit are read with one request. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/devices/modbus/plan.h"
#include "tests/support/test.h"

enum { POINTS_MAX = 400 };

/* "table address count, ..." of the requests that points give; texts with commas between. */
static void
expect_plan(const char *points, const char *expected)
{
    struct modbus_point parsed[POINTS_MAX];
    struct plan plan;
    char copy[POINTS_MAX * 20], got[POINTS_MAX * 20] = "", why[200];
    char *rest = copy;
    size_t count = 0, used = 0, told = 0;
    snprintf(copy, sizeof copy, "%s", points);
    for (char *word; (word = strsep(&rest, ",")) != NULL && word[0] != '\0'; count++) {
        cr_assert(modbus_point_parse(word, &parsed[count], why, sizeof why), "%s: %s", word, why);
    }
    cr_assert(plan_make(parsed, count, &plan));
    for (size_t i = 0; i < plan.count; i++) {
        const struct plan_request *r = &plan.requests[i];
        used += (size_t)snprintf(got + used, sizeof got - used, "%s%s %d %d", i > 0 ? ", " : "",
                                 modbus_table_name(r->table), r->address, r->count);
        for (size_t k = r->first; k < r->first + r->points; k++, told++) {
            const struct modbus_point *p = &parsed[plan.order[k]];
            cr_expect(p->table == r->table && p->every_ms == r->every_ms &&
                          p->address >= r->address &&
                          p->address + p->count <= r->address + r->count,
                      "a point is not in its request: %s", points);
        }
    }
    cr_expect_eq(told, count, "each point once: %s", points);
    cr_expect_str_eq(got, expected, "%s gives %s", points, got);
    plan_deinit(&plan);
    plan_deinit(&plan);
}

Test(plan, of_nothing_is_empty)
{
    expect_plan("", "");
}

Test(plan, joins_what_lies_together_whatever_its_order)
{
    expect_plan("input 3,input 1 int32,input 4 float64", "input 1 7");
    expect_plan("input 5,input 5 bit 3,input 5 int16", "input 5 1");
    expect_plan("holding 4 float64,holding 5", "holding 4 4");
}

Test(plan, keeps_tables_and_paces_apart)
{
    expect_plan("holding 1,input 1,coil 1,discrete 1",
                "coil 1 1, discrete 1 1, input 1 1, holding 1 1");
    expect_plan("input 1,input 2 every 100ms,input 3", "input 1 3, input 2 1");
}

Test(plan, reads_small_gaps_and_no_large_ones)
{
    expect_plan("input 0,input 9", "input 0 10");
    expect_plan("input 0,input 10", "input 0 1, input 10 1");
    expect_plan("coil 0,coil 129", "coil 0 130");
    expect_plan("coil 0,coil 130", "coil 0 1, coil 130 1");
}

Test(plan, never_reads_more_than_the_protocol_allows)
{
    char points[POINTS_MAX * 16] = "";
    size_t used = 0;
    for (int i = 0; i < 130; i++) {
        used += (size_t)snprintf(points + used, sizeof points - used, "input %d,", i);
    }
    expect_plan(points, "input 0 125, input 125 5");
    expect_plan("input 0 text 120,input 121 float64,input 125", "input 0 125, input 125 1");
    expect_plan("input 0 text 125,input 65411 text 125", "input 0 125, input 65411 125");
    used = 0;
    for (int i = 0; i < 21; i++) {
        used += (size_t)snprintf(points + used, sizeof points - used, "coil %d,", 100 * i);
    }
    expect_plan(points, "coil 0 1901, coil 2000 1");
}
