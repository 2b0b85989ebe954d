/* Columns of text: see table.h. */
#include "client/cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const colors[] = {[TABLE_PLAIN] = "",
                                     [TABLE_GOOD] = "\033[32m",
                                     [TABLE_WARN] = "\033[33m",
                                     [TABLE_BAD] = "\033[31m"};

/* A control character: of ASCII, or of C1 (U+0080 to U+009F), which is two bytes in UTF-8. */
static bool
is_control(const char *text)
{
    const unsigned char c = (unsigned char)text[0], next = c != 0 ? (unsigned char)text[1] : 0;
    return c < ' ' || c == 127 || (c == 0xc2 && next >= 0x80 && next < 0xa0);
}

void
table_make_safe(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n' || *text == '\t') {
            *text = ' ';
        } else if (is_control(text)) {
            const bool is_c1 = (unsigned char)*text == 0xc2;
            *text = '?';
            if (is_c1) {
                *++text = '?';
            }
        }
    }
}

void
table_put_safe(FILE *out, const char *text, size_t len)
{
    char pair[2] = "";
    for (size_t i = 0; i < len; i++) {
        pair[0] = text[i];
        pair[1] = i + 1 < len ? text[i + 1] : '\0';
        const bool passes =
            text[i] == '\n' || text[i] == '\t' || (text[i] != '\0' && !is_control(pair));
        (void)fputc(passes ? text[i] : '?', out);
    }
}

static void
add(struct table *table, char *text, enum table_color color)
{
    if (table->count == table->capacity) {
        const size_t capacity = table->capacity > 0 ? 2 * table->capacity : 64;
        struct table_cell *cells = realloc(table->cells, capacity * sizeof *cells);
        if (cells == NULL) {
            table->failed = true;
            free(text);
            return;
        }
        table->cells = cells;
        table->capacity = capacity;
    }
    table->cells[table->count++] = (struct table_cell){text, color};
}

void
table_init(struct table *table, const char *heading)
{
    *table = (struct table){0};
    while (*heading != '\0') {
        const size_t length = strcspn(heading, " ");
        table->columns++;
        add(table, strndup(heading, length), TABLE_PLAIN);
        heading += length;
        heading += strspn(heading, " ");
    }
}

void
table_deinit(struct table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free(table->cells[i].text);
    }
    free(table->cells);
    *table = (struct table){0};
}

void
table_add(struct table *table, enum table_color color, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0) {
        text = NULL;
        table->failed = true;
    }
    va_end(arguments);
    if (text != NULL) {
        table_make_safe(text);
    }
    add(table, text, color);
}

/* Characters, not bytes. */
static size_t
width_of(const char *text)
{
    size_t width = 0;
    for (; text != NULL && *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static void
print_cell(const struct table_cell *cell, bool has_color, FILE *out)
{
    const bool colored = has_color && cell->color != TABLE_PLAIN;
    const char *text = cell->text != NULL ? cell->text : "?";
    (void)fprintf(out, "%s%s%s", colored ? colors[cell->color] : "", text,
                  colored ? "\033[0m" : "");
}

/* The gap before a cell is written with it, so that no line ends with blanks. */
static void
print_row(const struct table_cell *cells, const size_t *widths, size_t columns, FILE *out,
          bool has_color)
{
    size_t gap = 0;
    for (size_t c = 0; c < columns; c++) {
        const size_t width = width_of(cells[c].text);
        for (size_t n = 0; width > 0 && n < gap; n++) {
            (void)fputc(' ', out);
        }
        gap = width > 0 ? 0 : gap;
        print_cell(&cells[c], has_color, out);
        gap += widths[c] + 2 - width;
    }
    (void)fputc('\n', out);
}

void
table_print(const struct table *table, FILE *out, bool has_color)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    const size_t columns = table->columns < TABLE_COLUMNS_MAX ? table->columns : TABLE_COLUMNS_MAX;
    for (size_t i = 0; i < table->count; i++) {
        const size_t width = width_of(table->cells[i].text);
        if (width > widths[i % columns]) {
            widths[i % columns] = width;
        }
    }
    for (size_t row = 0; row + columns <= table->count; row += columns) {
        print_row(&table->cells[row], widths, columns, out, has_color);
    }
}
