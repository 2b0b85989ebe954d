/* client/include/prong/codes.h: codes, `began` and the limits that concern a user of the C library.
 *
 * Comments stand above what they explain, so that no length of a text makes clang-format move one.
 */
#include "proto/gen/gen.h"
#include "proto/gen/tables.h"

#include <string.h>

/* The limits that a program may have to check a length or a number against before it calls. */
static const char *const shown_limits[] = {
    "NAME_BYTES_MAX", "TOPIC_BYTES_MAX", "TEXT_BYTES_MAX",  "FILTERS_MAX",
    "METHODS_MAX",    "CAPACITY_MAX",    "FETCH_ITEMS_MAX", "TTL_MS_MAX",
};

static void
print_errors(FILE *out)
{
    fputs("/* How something ended. The numbers and names are the canonical codes of gRPC; the same "
          "number\n * stands in ERROR on the wire. */\ntypedef enum prong_err {\n",
          out);
    for (unsigned i = 0; i < WIRE_ERR_COUNT; i++) {
        fprintf(out, "    /* %s */\n    PRONG_%s = %u,\n", wire_errors[i].help, wire_errors[i].name,
                i);
    }
    fputs("} prong_err;\n\n", out);
}

static void
print_began(FILE *out)
{
    fputs("/* Whether the method of a call that failed may have begun. */\n"
          "typedef enum prong_began {\n",
          out);
    const struct gen_words began = gen_began();
    for (size_t i = 0; i < began.count; i++) {
        fprintf(out, "    /* %s */\n    PRONG_BEGAN_%s = %u,\n", began.row[i].help,
                began.row[i].name, began.row[i].value);
    }
    fputs("} prong_began;\n\n", out);
}

static bool
print_limits(FILE *out)
{
    fputs(
        "/* Limits of the protocol. What is longer or more is refused with PRONG_INVALID_ARGUMENT. "
        "*/\nenum {\n",
        out);
    for (size_t i = 0; i < sizeof shown_limits / sizeof shown_limits[0]; i++) {
        const char *name = shown_limits[i];
        const struct gen_limit *limit = gen_limit_find(name, strlen(name));
        if (limit == NULL) {
            fprintf(stderr, "prong-gen: limits.def has no %s\n", name);
            return false;
        }
        fprintf(out, "    /* %s: %s */\n    PRONG_%s = %llu,\n", limit->unit, limit->help, name,
                (unsigned long long)limit->value);
    }
    fputs("};\n\n", out);
    return true;
}

bool
gen_header(FILE *out)
{
    fputs("/* Codes and limits, made by prong-gen from proto/tbl: do not edit.\n"
          " *\n"
          " * Usable from C and C++. */\n"
          "#ifndef PRONG_CODES_H\n#define PRONG_CODES_H\n\n",
          out);
    print_errors(out);
    print_began(out);
    if (!print_limits(out)) {
        return false;
    }
    fputs("#endif\n", out);
    return true;
}
