/* The tables themselves. */
#include "tests/unit/proto/helper.h"

#include "proto/record.h"

#include <string.h>

static const struct {
    unsigned number;
    enum wire_record record;
    const char *name;
} ops[] = {
#define OP(number, name, direction, help) {number, WIRE_REC_##name, #name},
#include "proto/tbl/ops.def"
#undef OP
};
enum { OPS = sizeof ops / sizeof ops[0] };

Test(wire, every_operation_has_its_number_alone)
{
    for (size_t i = 0; i < OPS; i++) {
        for (size_t k = i + 1; k < OPS; k++) {
            CHECK(ops[i].number != ops[k].number, "%s and %s", ops[i].name, ops[k].name);
        }
        CHECK(ops[i].number > 0 && ops[i].number < 128, "%s is not one byte", ops[i].name);
    }
}

Test(wire, an_operation_is_found_by_its_number_and_nothing_by_any_other)
{
    for (uint64_t number = 0; number < 1000; number++) {
        enum wire_record want = WIRE_REC_COUNT;
        for (size_t i = 0; i < OPS; i++) {
            want = ops[i].number == number ? ops[i].record : want;
        }
        CHECK(wire_record_of_op(number) == want, "number %d", (int)number);
    }
    cr_assert_eq(wire_record_of_op(UINT64_MAX), WIRE_REC_COUNT);
    cr_assert_eq(wire_record_of_op(UINT64_C(0x100000002)), WIRE_REC_COUNT);
}

Test(wire, rows_of_records_say_what_the_tables_say)
{
    for (size_t i = 0; i < OPS; i++) {
        const struct wire_record_row *row = wire_record_row(ops[i].record);
        CHECK(strcmp(row->name, ops[i].name) == 0, "%s is called %s", ops[i].name, row->name);
        CHECK(row->op == (int)ops[i].number, "%s has number %d", ops[i].name, row->op);
        CHECK(row->help[0] != '\0', "%s has no help", row->name);
        CHECK(row->count > 0, "%s has no fields", row->name);
    }
    for (int r = WIRE_REC_REPORT_ITEM; r < WIRE_REC_COUNT; r++) {
        CHECK(wire_record_row((enum wire_record)r)->op == 0, "%d", r);
    }
}

Test(wire, the_fields_of_all_records_stand_in_one_dense_row)
{
    size_t covered = 0;
    for (int r = 0; r < WIRE_REC_COUNT; r++) {
        const struct wire_record_row *row = wire_record_row((enum wire_record)r);
        CHECK(row->count <= RECORD_FIELDS_MAX, "%s has too many fields", row->name);
        covered += row->count;
        for (size_t f = row->first; f < (size_t)row->first + row->count; f++) {
            CHECK(f < WIRE_FIELD_COUNT, "%s", row->name);
            CHECK(wire_fields[f].record == (enum wire_record)r, "%s field %zu", row->name, f);
        }
    }
    cr_assert_eq(covered, WIRE_FIELD_COUNT);
}

static void
check_row(const struct wire_field_row *row)
{
    const char *record = wire_record_row(row->record)->name;
    CHECK(row->name != NULL && row->name[0] != '\0', "a row of %s has no name", record);
    CHECK(row->help != NULL && row->help[0] != '\0', "%s %s has no help", record, row->name);
    CHECK(row->min <= row->max, "%s %s: min is above max", record, row->name);
    CHECK(row->type < WIRE_TYPE_COUNT, "%s %s has no type", record, row->name);
    const bool counts = row->type == WIRE_TYPE_UINT || row->type == WIRE_TYPE_BYTES ||
                        row->type == WIRE_TYPE_TEXT || row->type == WIRE_TYPE_FILTERS ||
                        row->type == WIRE_TYPE_CALLS || row->type == WIRE_TYPE_METHODS;
    CHECK(!counts || row->max > 0, "%s %s allows nothing", record, row->name);
    CHECK(row->max <= WIRE_INT_MAX, "%s %s allows what some languages cannot hold", record,
          row->name);
}

Test(wire, every_field_and_key_has_a_name_a_meaning_and_a_range)
{
    for (size_t i = 0; i < WIRE_FIELD_COUNT; i++) {
        check_row(&wire_fields[i]);
    }
    for (size_t i = 0; i < WIRE_KEY_COUNT; i++) {
        check_row(&wire_keys[i]);
    }
}

Test(wire, no_name_stands_twice_in_a_record)
{
    for (size_t i = 0; i < WIRE_FIELD_COUNT; i++) {
        for (size_t k = i + 1; k < WIRE_FIELD_COUNT; k++) {
            CHECK(wire_fields[i].record != wire_fields[k].record ||
                      strcmp(wire_fields[i].name, wire_fields[k].name) != 0,
                  "%s", wire_fields[i].name);
        }
    }
    for (size_t i = 0; i < WIRE_KEY_COUNT; i++) {
        for (size_t k = i + 1; k < WIRE_KEY_COUNT; k++) {
            CHECK(wire_keys[i].record != wire_keys[k].record ||
                      strcmp(wire_keys[i].name, wire_keys[k].name) != 0,
                  "%s", wire_keys[i].name);
        }
    }
}

Test(wire, keys_stand_only_where_a_field_takes_a_map_of_keys)
{
    for (size_t k = 0; k < WIRE_KEY_COUNT; k++) {
        const struct wire_record_row *row = wire_record_row(wire_keys[k].record);
        bool found = wire_keys[k].record == WIRE_REC_METHODS;
        for (size_t f = row->first; f < (size_t)row->first + row->count; f++) {
            found = found || wire_fields[f].type == WIRE_TYPE_MAP ||
                    wire_fields[f].type == WIRE_TYPE_OPTIONS;
        }
        CHECK(found, "%s %s", row->name, wire_keys[k].name);
    }
}

Test(wire, the_keys_of_a_record_stand_together)
{
    for (size_t k = 1; k < WIRE_KEY_COUNT; k++) {
        for (size_t before = 0; before + 1 < k; before++) {
            CHECK(wire_keys[before].record != wire_keys[k].record ||
                      wire_keys[k - 1].record == wire_keys[k].record,
                  "%s %s stands apart", wire_record_row(wire_keys[k].record)->name,
                  wire_keys[k].name);
        }
    }
}

Test(wire, errors_are_the_codes_of_grpc_without_a_gap)
{
    cr_assert_eq(WIRE_ERR_COUNT, 17);
    cr_assert_str_eq(wire_error_name(0), "OK");
    cr_assert_str_eq(wire_error_name(5), "NOT_FOUND");
    cr_assert_str_eq(wire_error_name(16), "UNAUTHENTICATED");
    for (unsigned code = 0; code < WIRE_ERR_COUNT; code++) {
        CHECK(wire_errors[code].name != NULL, "no error %u", code);
        CHECK(wire_errors[code].help[0] != '\0', "error %u has no help", code);
        CHECK(wire_errors[code].exit_code >= 0 && wire_errors[code].exit_code < 256, "%u", code);
        CHECK((wire_errors[code].exit_code == 0) == (code == 0), "only OK ends with 0: %u", code);
    }
}

Test(wire, a_code_that_nobody_knows_is_called_unknown)
{
    cr_assert_str_eq(wire_error_name(17), "UNKNOWN");
    cr_assert_str_eq(wire_error_name(UINT32_MAX), "UNKNOWN");
}

Test(wire, every_type_says_what_it_is)
{
    for (int t = 0; t < WIRE_TYPE_COUNT; t++) {
        CHECK(wire_type_help((enum wire_type)t) != NULL, "type %d", t);
    }
}

Test(wire, limits_fit_together)
{
    /* Whole numbers of a double are exact up to here. */
    cr_assert_eq(WIRE_INT_MAX, (UINT64_C(1) << 53) - 1);
    cr_assert_leq(WIRE_TTL_MS_NIL_CLIENT, WIRE_PARK_MS, "such a call is never PENDING");
    cr_assert_lt(WIRE_PARK_MS, 60000, "a stock REQ socket repeats after 60 s");
    cr_assert_leq(WIRE_TTL_MS_DEFAULT, WIRE_TTL_MS_MAX);
    cr_assert_lt(WIRE_MESSAGE_BYTES, WIRE_MESSAGE_BYTES_HARD);
    cr_assert_leq(WIRE_REPLICAS_MAX, 1000, "names have room for three digits");
}
