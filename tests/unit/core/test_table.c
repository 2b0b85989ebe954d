/* Hash tables inside their elements. */
#include "broker/core/table.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

enum { COUNT = 5000 };

struct thing {
    struct table_entry entry;
    char name[16];
};

Test(table, what_was_added_is_found_until_it_is_removed)
{
    static struct thing things[COUNT];
    struct table t = {.key = {{1, 2}}};
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(things[i].name, sizeof things[i].name, "thing %zu", i);
        cr_assert(table_find(&t, things[i].name, strlen(things[i].name)) == NULL, "not yet");
        cr_assert(table_add(&t, &things[i].entry, things[i].name, strlen(things[i].name)), "add");
    }
    cr_assert(table_count(&t) == COUNT, "count");
    for (size_t i = 0; i < COUNT; i += 2) {
        table_remove(&t, &things[i].entry);
        table_remove(&t, &things[i].entry);
    }
    cr_assert(table_count(&t) == COUNT / 2, "count");
    for (size_t i = 0; i < COUNT; i++) {
        const struct table_entry *e = table_find(&t, things[i].name, strlen(things[i].name));
        cr_assert(e == (i % 2 == 0 ? NULL : &things[i].entry), "thing %zu", i);
    }
    for (size_t i = 1; i < COUNT; i += 2) {
        table_remove(&t, &things[i].entry);
    }
    cr_assert(table_count(&t) == 0 && t.head == NULL, "empty");
}

Test(table, keys_may_hold_any_bytes_and_be_a_part_of_each_other)
{
    static const uint8_t bytes[] = {0, 0, 0, 1, 0};
    struct thing things[4] = {0};
    struct table t = {.key = {{1, 2}}};
    for (size_t i = 0; i < 4; i++) {
        cr_assert(table_add(&t, &things[i].entry, bytes, i + 1), "add");
    }
    for (size_t i = 0; i < 4; i++) {
        cr_assert(table_find(&t, bytes, i + 1) == &things[i].entry, "key of %zu bytes", i + 1);
    }
    cr_assert_null(table_find(&t, bytes, 5), "5 bytes");
    cr_assert_null(table_find(&t, bytes + 1, 3), "other bytes");
    for (size_t i = 0; i < 4; i++) {
        table_remove(&t, &things[i].entry);
    }
}

Test(table, an_element_that_is_in_none_is_removed_from_none)
{
    struct thing thing = {0};
    struct table t = {.key = {{1, 2}}};
    table_remove(&t, &thing.entry);
    cr_assert(table_count(&t) == 0, "empty");
}
