/* bindings/python/prong/_constants.py: what the Python package has to know of the tables, and no
 * more. */
#include "proto/gen/gen.h"
#include "proto/gen/tables.h"

#include <string.h>

enum { COLUMNS_MAX = 110 };

/* The limits that a client or a worker checks before it sends, or shares its work by. */
static const char *const shown_limits[] = {
    "EXT_ARRAY",    "EXT_FRAME",        "EXT_BUFFER", "MESSAGE_BYTES",
    "CLIENT_BYTES", "REPORT_ITEMS_MAX", "PARK_MS",    "TTL_MS_DEFAULT",
    "TTL_MS_MAX",   "WINDOW",           "PARTS_MAX",
};

/* A line of names, then of their numbers, that is broken before it becomes too long. */
struct line {
    char names[COLUMNS_MAX + 1], numbers[COLUMNS_MAX + 1];
};

static void
flush_line(FILE *out, struct line *line)
{
    if (line->names[0] != '\0') {
        fprintf(out, "%s = %s\n", line->names, line->numbers);
    }
    *line = (struct line){"", ""};
}

static void
put_name(FILE *out, struct line *line, const char *prefix, const char *name, unsigned number)
{
    char text[64], digits[16];
    snprintf(text, sizeof text, "%s%s", prefix, name);
    snprintf(digits, sizeof digits, "%u", number);
    const char *const between = line->names[0] != '\0' ? ", " : "";
    if (strlen(line->names) + strlen(line->numbers) + strlen(text) + strlen(digits) +
            2 * strlen(", ") + strlen(" = ") >
        COLUMNS_MAX) {
        flush_line(out, line);
        put_name(out, line, prefix, name, number);
        return;
    }
    const size_t names = strlen(line->names), numbers = strlen(line->numbers);
    snprintf(line->names + names, sizeof line->names - names, "%s%s", between, text);
    snprintf(line->numbers + numbers, sizeof line->numbers - numbers, "%s%s", between, digits);
}

static void
print_ops(FILE *out, bool reply)
{
    struct line line = {"", ""};
    const struct gen_ops ops = gen_ops();
    for (size_t i = 0; i < ops.count; i++) {
        if (ops.row[i].reply == reply) {
            put_name(out, &line, "", ops.row[i].name, ops.row[i].number);
        }
    }
    flush_line(out, &line);
}

static void
print_words(FILE *out, const char *prefix, struct gen_words words)
{
    struct line line = {"", ""};
    for (size_t i = 0; i < words.count; i++) {
        put_name(out, &line, prefix, words.row[i].name, words.row[i].value);
    }
    flush_line(out, &line);
}

static void
print_errors(FILE *out)
{
    fputs("# number: (name, meaning, exit code of a program that ends with it)\nERRORS = {\n", out);
    for (unsigned i = 0; i < WIRE_ERR_COUNT; i++) {
        fprintf(out, "    %u: (\"%s\", \"%s\", %d),\n", i, wire_errors[i].name, wire_errors[i].help,
                wire_errors[i].exit_code);
    }
    fputs("}\n", out);
}

static bool
print_limits(FILE *out)
{
    for (size_t i = 0; i < sizeof shown_limits / sizeof shown_limits[0]; i++) {
        const char *name = shown_limits[i];
        const struct gen_limit *limit = gen_limit_find(name, strlen(name));
        if (limit == NULL) {
            fprintf(stderr, "prong-gen: limits.def has no %s\n", name);
            return false;
        }
        fprintf(out, "%s = %llu\n", name, (unsigned long long)limit->value);
    }
    return true;
}

bool
gen_python(FILE *out, const char *version)
{
    fprintf(out,
            "\"\"\"Numbers of the protocol, made by prong-gen from proto/tbl: do not edit.\"\"\"\n"
            "VERSION = \"%s\"\n"
            "PROTO = %d\n",
            version, WIRE_PROTO);
    print_ops(out, false);
    print_ops(out, true);
    print_words(out, "BEGAN_", gen_began());
    print_words(out, "KIND_", gen_report_kinds());
    print_errors(out);
    return print_limits(out);
}
