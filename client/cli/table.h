/* Columns of text for people. Cells are copied; nothing here knows what they mean. */
#ifndef PRONG_CLI_TABLE_H
#define PRONG_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 10 };

enum table_color { TABLE_PLAIN, TABLE_GOOD, TABLE_WARN, TABLE_BAD };

struct table_cell {
    char *text; /* owned */
    enum table_color color;
};

struct table {
    size_t columns;
    struct table_cell *cells; /* row by row; owned */
    size_t count, capacity;
    bool failed; /* memory was out: a row is missing */
};

/* `heading` is columns with spaces between: "WORKER STATE PID". */
void table_init(struct table *table, const char *heading);
void table_deinit(struct table *table);
/* The next cell, from left to right. What a terminal would take for a command becomes '?'. */
__attribute__((format(printf, 3, 4))) void table_add(struct table *table, enum table_color color,
                                                     const char *format, ...);
/* `has_color`: with the colours of the cells. */
void table_print(const struct table *table, FILE *out, bool has_color);

/* Write text from elsewhere to a terminal: control characters other than \n and \t become '?'. */
void table_put_safe(FILE *out, const char *text, size_t len);
/* The same in place; a newline becomes a space. */
void table_make_safe(char *text);

#endif
