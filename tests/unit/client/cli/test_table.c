/* Columns of text. */
#include "client/cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

/* What table_print writes; owned by the caller. */
static char *
printed(const struct table *t, bool has_color)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    cr_assert_not_null(out);
    table_print(t, out, has_color);
    (void)fclose(out);
    return text;
}

Test(cli_table, columns_are_as_wide_as_their_widest_cell)
{
    struct table t;
    table_init(&t, "A LONGER C");
    table_add(&t, TABLE_PLAIN, "wide cell");
    table_add(&t, TABLE_GOOD, "x");
    table_add(&t, TABLE_PLAIN, "%d", 5);
    table_add(&t, TABLE_PLAIN, "\xc3\xa4\xc3\xb6"); /* two characters of two bytes */
    table_add(&t, TABLE_PLAIN, "y");
    table_add(&t, TABLE_PLAIN, "%s", "");
    char *text = printed(&t, false);
    cr_expect_str_eq(text, "A          LONGER  C\n"
                           "wide cell  x       5\n"
                           "\xc3\xa4\xc3\xb6         y\n");
    free(text);
    text = printed(&t, true);
    cr_expect(strstr(text, "\033[32mx\033[0m       5") != NULL, "%s", text);
    free(text);
    table_deinit(&t);
    table_deinit(&t);
}

Test(cli_table, a_cell_cannot_command_a_terminal)
{
    char text[] = "a\033[2J\tb\nc\x7f\xc2\x9b"
                  "1m\xc3\xa4";
    table_make_safe(text);
    cr_expect_str_eq(text, "a?[2J b c???1m\xc3\xa4");
}

Test(cli_table, lines_and_tabs_of_a_text_stay)
{
    static const char text[] = "a\n\tb\r\033c\0d";
    char *shown = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&shown, &len);
    cr_assert_not_null(out);
    table_put_safe(out, text, sizeof text - 1);
    (void)fclose(out);
    cr_expect_str_eq(shown, "a\n\tb??c?d");
    free(shown);
}
