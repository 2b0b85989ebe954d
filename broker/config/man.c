/* The manual page prong.yaml(5), from the table of options: see config.h. */
#include <string.h>

#include "broker/config/print.h"

/* Text with what roff would take for a command made harmless; words between backticks are bold. */
static void
put(FILE *out, const char *text)
{
    bool is_bold = false;
    for (const char *at = text; *at != '\0'; at++) {
        switch (*at) {
        case '`':
            is_bold = !is_bold;
            fputs(is_bold ? "\\fB" : "\\fR", out);
            break;
        case '\\':
            fputs("\\e", out);
            break;
        case '-':
            fputs("\\-", out);
            break;
        case '\'':
            fputs("\\(aq", out);
            break;
        case '~':
            fputs("\\(ti", out);
            break;
        case '.':
            fputs(at == text ? "\\&." : ".", out);
            break;
        default:
            fputc(*at, out);
            break;
        }
    }
}

static void
put_option(FILE *out, const struct config_option *option)
{
    char allowed[CONFIG_ALLOWED_BYTES_MAX];
    fputs(".TP\n\\fB", out);
    put(out, option->key);
    fputs("\\fR\n", out);
    put(out, option->help);
    fputs("\n.br\n", out);
    put(out, config_type_name(option));
    fputs(", ", out);
    config_allowed(option, allowed);
    put(out, allowed);
    fputs(option->fallback != NULL ? ". Default: \\fB" : ". Without it: ", out);
    put(out, option->fallback != NULL ? option->fallback : option->unset);
    fputs(option->fallback != NULL ? "\\fR.\n" : ".\n", out);
    if (option->example != NULL) {
        fputs("Example: \\fB", out);
        put(out, option->example);
        fputs("\\fR.\n", out);
    }
}

static void
put_table(FILE *out, const struct config_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        put_option(out, &table->options[i]);
    }
}

static void
put_set(FILE *out, enum device_set set)
{
    struct config_option options[CONFIG_DEVICE_OPTION_COUNT];
    const struct config_table table = {options, config_device_options_of(set, options)};
    put_table(out, &table);
}

static void
put_devices(FILE *out)
{
    char sets[CONFIG_SETS_BYTES_MAX];
    for (size_t i = 0; i < device_kind_count; i++) {
        config_device_sets(&device_kinds[i], sets);
        fputs(".PP\n\\fBkind: ", out);
        put(out, device_kinds[i].name);
        fputs("\\fR\n.br\n", out);
        put(out, device_kinds[i].help);
        fprintf(out, "%s%s%s\n", sets[0] != '\0' ? " It also has what is told below of " : "", sets,
                sets[0] != '\0' ? "." : "");
        put_set(out, device_kinds[i].id);
    }
    for (size_t i = 0; i < device_shared_count; i++) {
        fprintf(out, ".PP\n\\fB%s\\fR\n", device_shared_sets[i].title);
        put_set(out, device_shared_sets[i].id);
    }
}

static void
put_section(FILE *out, const struct config_section *section)
{
    fprintf(out, ".SH \"%s\"\n", section->key);
    put(out, section->help);
    fputc('\n', out);
    switch (section->id) {
    case CONFIG_SECTION_INCLUDE:
        fputs(".PP\nExample: \\fB[\"conf.d/*.yaml\"]\\fR.\n", out);
        break;
    case CONFIG_SECTION_HUB:
        put_table(out, &config_hub_table);
        break;
    case CONFIG_SECTION_DEFAULTS:
        fputs("The options are those of \\fBworkers\\fR.\n", out);
        break;
    case CONFIG_SECTION_WORKERS:
        put_table(out, &config_worker_table);
        break;
    case CONFIG_SECTION_DEVICES:
        put_devices(out);
        break;
    case CONFIG_SECTION_COUNT:
        break;
    }
}

int
config_print_man(FILE *out, const char *version)
{
    fprintf(out,
            ".\\\" Made from broker/config/options.def by config_print_man; do not edit.\n"
            ".TH PRONG.YAML 5 \"\" \"Prong %s\" \"File formats\"\n"
            ".SH NAME\nprong.yaml \\- configuration of a Prong hub\n.SH DESCRIPTION\n",
            version);
    for (size_t i = 0; config_notes[i] != NULL; i++) {
        fputs(i > 0 ? ".PP\n" : "", out);
        put(out, config_notes[i]);
        fputc('\n', out);
    }
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        put_section(out, &config_sections[i]);
    }
    fputs(
        ".SH FILES\n.TP\n\\fBprong config init\\fR\nwrites a file with every option as a comment, "
        "\\fBprong config check\\fR says what is wrong with one, and \\fBprong config show\\fR "
        "what "
        "it comes to.\n",
        out);
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}
