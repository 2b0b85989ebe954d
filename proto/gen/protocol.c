/* proto/PROTOCOL.md: the prose of protocol.md.in with the tables set in.
 *
 * In the prose {{NAME}} is the value of a limit, {{table x}} a table, {{include x}} a file beside
 * it. So no number and no name of the tables is written twice. */
#include "proto/gen/gen.h"
#include "proto/gen/tables.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { PROSE_BYTES_MAX = 1 << 20 };

static void
print_lower(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        fputc(tolower((unsigned char)*text), out);
    }
}

static void
print_number(FILE *out, uint64_t v)
{
    if (v == WIRE_INT_MAX) {
        fputs("2^53-1", out);
    } else {
        fprintf(out, "%llu", (unsigned long long)v);
    }
}

/* What min and max of a row bound depends on its type; most types bound themselves. */
static void
print_range(FILE *out, const struct wire_field_row *row)
{
    const bool number = row->type == WIRE_TYPE_UINT || row->type == WIRE_TYPE_SEQ_OR_CALLS;
    if (row->max == 0 || (!number && row->max == WIRE_INT_MAX)) {
        return;
    }
    const bool bytes = row->type == WIRE_TYPE_TEXT || row->type == WIRE_TYPE_BYTES;
    print_number(out, row->min);
    fputs(" to ", out);
    print_number(out, row->max);
    fputs(number ? "" : bytes ? " bytes" : " elements", out);
}

static void
print_row(FILE *out, const struct wire_field_row *row, bool is_key)
{
    fputs("| `", out);
    if (is_key) {
        fputs(row->name, out);
    } else {
        print_lower(out, row->name);
    }
    fprintf(out, "` | %s | ", gen_type_name(row->type));
    print_range(out, row);
    fprintf(out, " | %s |\n", row->help);
}

static void
print_record(FILE *out, enum wire_record record)
{
    const struct wire_record_row *row = wire_record_row(record);
    const char *const head = "type | range | meaning |\n|---|---|---|---|\n";
    if (row->count > 0) {
        fprintf(out, "| field | %s", head);
    }
    for (size_t i = 0; i < row->count; i++) {
        print_row(out, &wire_fields[row->first + i], false);
    }
    bool any = false;
    for (size_t k = 0; k < WIRE_KEY_COUNT; k++) {
        if (wire_keys[k].record == record) {
            if (!any) {
                fprintf(out, "%s| key | %s", row->count > 0 ? "\n" : "", head);
            }
            any = true;
            print_row(out, &wire_keys[k], true);
        }
    }
    fputc('\n', out);
}

static void
print_ops(FILE *out, bool reply)
{
    const struct gen_ops ops = gen_ops();
    for (size_t i = 0; i < ops.count; i++) {
        const struct gen_op *op = &ops.row[i];
        if (op->reply == reply) {
            fprintf(out, "### %u %s\n\n%s\n\n", op->number, op->name, op->help);
            print_record(out, op->record);
        }
    }
}

static void
print_requests(FILE *out)
{
    print_ops(out, false);
}

static void
print_replies(FILE *out)
{
    print_ops(out, true);
}

static void
print_items(FILE *out)
{
    for (int r = GEN_ITEM_FIRST; r < WIRE_REC_COUNT; r++) {
        const struct wire_record_row *row = wire_record_row((enum wire_record)r);
        fprintf(out, "### %s: %s\n\n", row->name, row->help);
        print_record(out, (enum wire_record)r);
    }
}

static void
print_types(FILE *out)
{
    fputs("| type | what it is |\n|---|---|\n", out);
    for (int t = 0; t < WIRE_TYPE_COUNT; t++) {
        fprintf(out, "| %s | %s |\n", gen_type_name((enum wire_type)t),
                wire_type_help((enum wire_type)t));
    }
}

static void
print_errors(FILE *out)
{
    fputs("| code | name | meaning | exit code of `prong` |\n|---|---|---|---|\n", out);
    for (unsigned i = 0; i < WIRE_ERR_COUNT; i++) {
        fprintf(out, "| %u | %s | %s | %d |\n", i, wire_errors[i].name, wire_errors[i].help,
                wire_errors[i].exit_code);
    }
}

static void
print_words(FILE *out, struct gen_words words)
{
    fputs("| number | name | meaning |\n|---|---|---|\n", out);
    for (size_t i = 0; i < words.count; i++) {
        fprintf(out, "| %u | %s | %s |\n", words.row[i].value, words.row[i].name,
                words.row[i].help);
    }
}

static void
print_began(FILE *out)
{
    print_words(out, gen_began());
}

static void
print_report_kinds(FILE *out)
{
    print_words(out, gen_report_kinds());
}

static void
print_events(FILE *out)
{
    fputs("| topic | keys | when |\n|---|---|---|\n", out);
    const struct gen_events events = gen_events();
    for (size_t i = 0; i < events.count; i++) {
        const struct gen_event *event = &events.row[i];
        fprintf(out, "| `%s` | %s | %s |\n", event->topic, event->keys, event->when);
    }
}

static void
print_limits(FILE *out)
{
    fputs("| limit | value | unit | meaning |\n|---|---|---|---|\n", out);
    const struct gen_limits limits = gen_limits();
    for (size_t i = 0; i < limits.count; i++) {
        const struct gen_limit *limit = &limits.row[i];
        fprintf(out, "| %s | %llu | %s | %s |\n", limit->name, (unsigned long long)limit->value,
                limit->unit, limit->help);
    }
}

struct table {
    const char *name;
    void (*print)(FILE *out);
};

static const struct table tables[] = {
    {"requests", print_requests}, {"replies", print_replies},
    {"items", print_items},       {"types", print_types},
    {"errors", print_errors},     {"began", print_began},
    {"limits", print_limits},     {"report_kinds", print_report_kinds},
    {"events", print_events},
};

/* A whole file of the folder, NUL-terminated and owned; NULL after saying why not. */
static char *
read_prose(const char *folder, const char *name, size_t len)
{
    char path[1024];
    char *text = NULL;
    const int n = snprintf(path, sizeof path, "%s/%.*s", folder, (int)len, name);
    FILE *in = n > 0 && (size_t)n < sizeof path ? fopen(path, "r") : NULL;
    if (in != NULL) {
        text = calloc(1, PROSE_BYTES_MAX);
    }
    const size_t got = text != NULL ? fread(text, 1, PROSE_BYTES_MAX, in) : 0;
    if (got == 0 || got == PROSE_BYTES_MAX) { /* nothing, or no room for the NUL */
        free(text);
        text = NULL;
    }
    if (text == NULL) {
        fprintf(stderr, "prong-gen: cannot read '%.*s' in %s\n", (int)len, name, folder);
    }
    if (in != NULL) {
        (void)fclose(in); /* only read */
    }
    return text;
}

static bool
print_file(FILE *out, const char *folder, const char *name, size_t len)
{
    char *text = read_prose(folder, name, len);
    if (text == NULL) {
        return false;
    }
    fputs(text, out);
    free(text);
    return true;
}

/* What stands between the braces. */
static bool
print_mark(FILE *out, const char *folder, const char *mark, size_t len)
{
    static const char include[] = "include ";
    static const char table[] = "table ";
    if (len >= sizeof include && memcmp(mark, include, sizeof include - 1) == 0) {
        return print_file(out, folder, mark + sizeof include - 1, len - (sizeof include - 1));
    }
    if (len >= sizeof table && memcmp(mark, table, sizeof table - 1) == 0) {
        const char *name = mark + sizeof table - 1;
        const size_t name_len = len - (sizeof table - 1);
        for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
            if (strlen(tables[i].name) == name_len && memcmp(tables[i].name, name, name_len) == 0) {
                tables[i].print(out);
                return true;
            }
        }
    }
    const struct gen_limit *limit = gen_limit_find(mark, len);
    if (limit == NULL) {
        fprintf(stderr, "prong-gen: the prose has {{%.*s}}, which is nothing\n", (int)len, mark);
        return false;
    }
    print_number(out, limit->value);
    return true;
}

bool
gen_protocol(FILE *out, const char *folder)
{
    static const char name[] = "protocol.md.in";
    char *const text = read_prose(folder, name, sizeof name - 1);
    bool ok = text != NULL;
    const char *at = text;
    while (ok) {
        const char *open = strstr(at, "{{");
        const char *close = open != NULL ? strstr(open, "}}") : NULL;
        if (close == NULL) {
            fputs(at, out);
            break;
        }
        (void)fwrite(at, 1, (size_t)(open - at), out); /* main() looks at ferror */
        ok = print_mark(out, folder, open + 2, (size_t)(close - open - 2));
        at = close + 2;
    }
    free(text);
    return ok;
}
