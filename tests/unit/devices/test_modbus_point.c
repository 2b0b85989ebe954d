/* What the option `points` of the kind modbus says. */
#include <string.h>

#include "proto/device/modbus_point.h"
#include "tests/support/test.h"

static struct modbus_point
parse(const char *text)
{
    struct modbus_point point;
    char why[200];
    cr_assert(modbus_point_parse(text, &point, why, sizeof why), "%s: %s", text, why);
    return point;
}

Test(modbus_point, is_a_table_and_an_address_when_nothing_else_is_said)
{
    struct modbus_point p = parse("coil 3");
    cr_expect(p.table == MODBUS_COIL && p.address == 3 && p.type == MODBUS_BOOL && p.count == 1 &&
              p.bit == -1 && !p.is_scaled && p.every_ms == 0);
    p = parse(" discrete\t0x10 ");
    cr_expect(p.table == MODBUS_DISCRETE && p.address == 16 && p.type == MODBUS_BOOL);
    p = parse("holding 65535");
    cr_expect(p.table == MODBUS_HOLDING && p.address == 65535 && p.type == MODBUS_UINT16 &&
              p.count == 1);
}

Test(modbus_point, has_a_type_and_so_many_registers)
{
    static const struct {
        const char *text;
        enum modbus_type type;
        unsigned count;
    } rows[] = {
        {"input 0 uint16", MODBUS_UINT16, 1},      {"input 0 int16", MODBUS_INT16, 1},
        {"input 0 uint32", MODBUS_UINT32, 2},      {"input 0 int32", MODBUS_INT32, 2},
        {"input 0 uint64", MODBUS_UINT64, 4},      {"input 0 int64", MODBUS_INT64, 4},
        {"input 0 float32", MODBUS_FLOAT32, 2},    {"input 65532 float64", MODBUS_FLOAT64, 4},
        {"input 0 text 125", MODBUS_TEXT, 125},    {"coil 0 bool", MODBUS_BOOL, 1},
        {"holding 0 bool bit 15", MODBUS_BOOL, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct modbus_point p = parse(rows[i].text);
        cr_expect(p.type == rows[i].type && p.count == rows[i].count, "%s", rows[i].text);
    }
}

Test(modbus_point, has_further_words_in_any_order)
{
    struct modbus_point p =
        parse("holding 12 float32 every 200ms words little offset -4e1 scale 0.1");
    cr_expect(p.is_little && p.is_scaled && p.scale == 0.1 && p.offset == -40 && p.every_ms == 200);
    cr_expect_eq(p.deadband, 0);
    p = parse("input 12 deadband 0.5 scale 0.1");
    cr_expect(p.type == MODBUS_UINT16 && p.deadband == 0.5 && p.scale == 0.1);
    p = parse("holding 12 scale 2");
    cr_expect(p.type == MODBUS_UINT16 && p.scale == 2 && p.offset == 0 && p.is_scaled);
    p = parse("input 7 bit 0 every 24h");
    cr_expect(p.type == MODBUS_BOOL && p.bit == 0 && p.every_ms == 24 * 3600 * 1000);
    cr_expect(!parse("holding 12 int32 words big").is_little);
}

Test(modbus_point, that_is_none_is_refused_with_the_reason)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"", "begins with a table"},
        {"Input 1", "begins with a table"},
        {"input", "an address from 0 to 65535"},
        {"input x", "an address from 0 to 65535"},
        {"input -1", "an address from 0 to 65535"},
        {"input 65536", "an address from 0 to 65535"},
        {"input 0x", "an address from 0 to 65535"},
        {"input 99999999999999999999", "an address from 0 to 65535"},
        {"input 1 flaot32", "'flaot32' is no type"},
        {"input 1 int16 int16", "'int16' is no type and no word that may stand here"},
        {"input 1 text", "how many registers"},
        {"input 1 text 0", "from 1 to 125"},
        {"input 1 text 126", "from 1 to 125"},
        {"input 65535 uint32", "beyond the last address"},
        {"coil 1 uint16", "has bits"},
        {"discrete 1 bit 2", "has bits itself"},
        {"holding 1 bool", "needs 'bit'"},
        {"holding 1 bit 16", "to 15"},
        {"holding 1 int32 bit 1", "of a single register"},
        {"holding 1 words", "big or little"},
        {"holding 1 scale", "not 0"},
        {"holding 1 scale 0", "not 0"},
        {"holding 1 scale nan", "not 0"},
        {"holding 1 scale 1e999", "not 0"},
        {"holding 1 scale 0x10", "not 0"},
        {"holding 1 offset 1,5", "a number"},
        {"holding 1 offset 1 offset 2", "'offset' stands there twice"},
        {"holding 1 text 2 scale 2", "not for text"},
        {"holding 1 bit 1 scale 2", "not for bool"},
        {"coil 1 offset 2", "not for bool"},
        {"holding 1 deadband", "a number above 0"},
        {"holding 1 deadband 0", "a number above 0"},
        {"holding 1 deadband -1", "a number above 0"},
        {"holding 1 deadband 1e999", "a number above 0"},
        {"holding 1 deadband 5%", "a number above 0"},
        {"holding 1 deadband 1 deadband 1", "'deadband' stands there twice"},
        {"holding 1 text 2 deadband 2", "not for text"},
        {"holding 1 bit 1 deadband 1", "not for bool"},
        {"coil 1 deadband 1", "not for bool"},
        {"holding 1 every 0s", "from 1ms to 24h"},
        {"holding 1 every 25h", "from 1ms to 24h"},
        {"holding 1 every 5", "from 1ms to 24h"},
        {"holding 1 every", "from 1ms to 24h"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[200] = "";
        cr_expect_not(modbus_point_check(rows[i].text, why, sizeof why), "%s", rows[i].text);
        cr_expect_not_null(strstr(why, rows[i].part), "%s gives: %s", rows[i].text, why);
    }
}

Test(modbus_point, has_a_name_of_one_to_64_bytes)
{
    char why[100], name[66] = "";
    cr_expect_not(modbus_point_check_name("", why, sizeof why));
    memset(name, 'x', 64);
    cr_expect(modbus_point_check_name(name, why, sizeof why));
    name[64] = 'x';
    cr_expect_not(modbus_point_check_name(name, why, sizeof why));
}

Test(modbus_unit, has_an_address_that_its_way_to_it_allows)
{
    static const struct {
        int64_t unit;
        bool by_tcp, on_serial;
    } rows[] = {{-1, false, false},  {0, true, false},    {1, true, true},    {247, true, true},
                {248, false, false}, {254, false, false}, {255, true, false}, {256, false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[100] = "";
        cr_expect_eq(modbus_check_unit(rows[i].unit, false, why, sizeof why), rows[i].by_tcp);
        cr_expect(rows[i].by_tcp || strcmp(why, "it is 1 to 247, or 0 or 255") == 0, "%s", why);
        cr_expect_eq(modbus_check_unit(rows[i].unit, true, why, sizeof why), rows[i].on_serial);
        cr_expect(rows[i].on_serial || strcmp(why, "it is 1 to 247 on a serial line") == 0, "%s",
                  why);
    }
}
