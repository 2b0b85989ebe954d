/* proto/constants.json: the tables for programs in other languages. One row a line, so that a
 * change of a table shows as a change of a line. */
#include "proto/gen/gen.h"
#include "proto/gen/tables.h"

#include <ctype.h>
#include <string.h>

/* A JSON string. The tables hold printable ASCII only. */
static void
print_text(FILE *out, const char *text, bool lower)
{
    fputc('"', out);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            fputc('\\', out);
        }
        fputc(lower ? tolower((unsigned char)*c) : *c, out);
    }
    fputc('"', out);
}

static void
print_member(FILE *out, const char *name, const char *text)
{
    fprintf(out, ", \"%s\": ", name);
    print_text(out, text, false);
}

/* Between the rows of a list: nothing before the first one. */
static void
print_separator(FILE *out, size_t index, const char *indent)
{
    fprintf(out, "%s\n%s", index > 0 ? "," : "", indent);
}

static void
print_field(FILE *out, const struct wire_field_row *row)
{
    fputs("{\"name\": ", out);
    print_text(out, row->name, true);
    print_member(out, "type", gen_type_name(row->type));
    if (row->max > 0) {
        fprintf(out, ", \"min\": %llu, \"max\": %llu", (unsigned long long)row->min,
                (unsigned long long)row->max);
    }
    print_member(out, "help", row->help);
    fputc('}', out);
}

static void
print_fields(FILE *out, enum wire_record record)
{
    const struct wire_record_row *row = wire_record_row(record);
    fputs(", \"fields\": [", out);
    for (size_t i = 0; i < row->count; i++) {
        print_separator(out, i, "      ");
        print_field(out, &wire_fields[row->first + i]);
    }
    fputs(row->count > 0 ? "\n    ]" : "]", out);
}

/* The keys that the record's map may hold; nothing when it has no map. */
static void
print_keys(FILE *out, enum wire_record record)
{
    size_t count = 0;
    for (size_t k = 0; k < WIRE_KEY_COUNT; k++) {
        if (wire_keys[k].record == record) {
            if (count == 0) {
                fputs(", \"keys\": [", out);
            }
            print_separator(out, count++, "      ");
            print_field(out, &wire_keys[k]);
        }
    }
    if (count > 0) {
        fputs("\n    ]", out);
    }
}

static void
print_ops(FILE *out)
{
    fputs("  \"ops\": [", out);
    const struct gen_ops ops = gen_ops();
    for (size_t i = 0; i < ops.count; i++) {
        const struct gen_op *op = &ops.row[i];
        print_separator(out, i, "    ");
        fprintf(out, "{\"number\": %u, \"name\": \"%s\", \"direction\": \"%s\"", op->number,
                op->name, op->reply ? "reply" : "request");
        print_member(out, "help", op->help);
        print_fields(out, op->record);
        print_keys(out, op->record);
        fputc('}', out);
    }
    fputs("\n  ],\n  \"items\": [", out);
    for (int r = GEN_ITEM_FIRST; r < WIRE_REC_COUNT; r++) {
        const enum wire_record record = (enum wire_record)r;
        print_separator(out, (size_t)(r - GEN_ITEM_FIRST), "    ");
        fprintf(out, "{\"name\": \"%s\"", wire_record_row(record)->name);
        print_member(out, "help", wire_record_row(record)->help);
        print_fields(out, record);
        print_keys(out, record);
        fputc('}', out);
    }
    fputs("\n  ],\n", out);
}

static void
print_words(FILE *out, const char *name, struct gen_words words)
{
    fprintf(out, "  \"%s\": [", name);
    for (size_t i = 0; i < words.count; i++) {
        print_separator(out, i, "    ");
        fprintf(out, "{\"number\": %u, \"name\": \"%s\"", words.row[i].value, words.row[i].name);
        print_member(out, "help", words.row[i].help);
        fputc('}', out);
    }
    fputs("\n  ],\n", out);
}

static void
print_errors(FILE *out)
{
    fputs("  \"errors\": [", out);
    for (unsigned i = 0; i < WIRE_ERR_COUNT; i++) {
        print_separator(out, i, "    ");
        fprintf(out, "{\"number\": %u, \"name\": \"%s\", \"exit_code\": %d", i, wire_errors[i].name,
                wire_errors[i].exit_code);
        print_member(out, "help", wire_errors[i].help);
        fputc('}', out);
    }
    fputs("\n  ],\n", out);
}

static void
print_types(FILE *out)
{
    fputs("  \"types\": [", out);
    for (int t = 0; t < WIRE_TYPE_COUNT; t++) {
        print_separator(out, (size_t)t, "    ");
        fprintf(out, "{\"name\": \"%s\"", gen_type_name((enum wire_type)t));
        print_member(out, "help", wire_type_help((enum wire_type)t));
        fputc('}', out);
    }
    fputs("\n  ],\n", out);
}

static void
print_events(FILE *out)
{
    fputs("  \"events\": [", out);
    const struct gen_events events = gen_events();
    for (size_t i = 0; i < events.count; i++) {
        print_separator(out, i, "    ");
        fprintf(out, "{\"topic\": \"%s\"", events.row[i].topic);
        print_member(out, "keys", events.row[i].keys);
        print_member(out, "when", events.row[i].when);
        fputc('}', out);
    }
    fputs("\n  ],\n", out);
}

static void
print_limits(FILE *out)
{
    fputs("  \"limits\": [", out);
    const struct gen_limits limits = gen_limits();
    for (size_t i = 0; i < limits.count; i++) {
        print_separator(out, i, "    ");
        fprintf(out, "{\"name\": \"%s\", \"value\": %llu", limits.row[i].name,
                (unsigned long long)limits.row[i].value);
        print_member(out, "unit", limits.row[i].unit);
        print_member(out, "help", limits.row[i].help);
        fputc('}', out);
    }
    fputs("\n  ]\n", out);
}

bool
gen_constants(FILE *out)
{
    fprintf(out,
            "{\n  \"note\": \"made by prong-gen from proto/tbl: do not edit\",\n"
            "  \"proto\": %d,\n",
            WIRE_PROTO);
    print_ops(out);
    print_types(out);
    print_errors(out);
    print_words(out, "began", gen_began());
    print_words(out, "report_kinds", gen_report_kinds());
    print_events(out);
    print_limits(out);
    fputs("}\n", out);
    return true;
}
