/* The manual page: see man.h. */
#include "client/cli/man.h"

#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/help.h"
#include "client/cli/unit.h"

/* Text with what roff would take for a command made harmless; a line of its own is a paragraph. */
static void
put(FILE *out, const char *text)
{
    bool is_begin = true;
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            (void)fputs("\n.PP\n", out);
        } else if (*text == '\\') {
            (void)fputs("\\e", out);
        } else if (*text == '-') {
            (void)fputs("\\-", out);
        } else if (*text == '\'') {
            (void)fputs("\\(aq", out);
        } else if (*text == '~') {
            (void)fputs("\\(ti", out);
        } else {
            (void)fputs(is_begin && *text == '.' ? "\\&" : "", out);
            (void)fputc(*text, out);
        }
        is_begin = *text == '\n';
    }
}

/* Sentences have a full stop at their end, summaries and helps of options have none. */
static void
put_sentence(FILE *out, const char *text)
{
    put(out, text);
    (void)fputs(".\n", out);
}

static void
put_option(FILE *out, const struct option_row *row)
{
    const bool is_long = row->name[1] == '-';
    (void)fputs(".TP\n", out);
    if (row->letter != 0) {
        (void)fprintf(out, "\\fB\\-%c\\fR%s", row->letter, is_long ? ", " : "");
    }
    if (is_long) {
        (void)fputs("\\fB", out);
        put(out, row->name);
        (void)fputs("\\fR", out);
    }
    if (row->value != NULL) {
        (void)fputs(" \\fI", out);
        put(out, row->value);
        (void)fputs("\\fR", out);
    }
    (void)fputc('\n', out);
    put_sentence(out, row->help);
}

static void
put_verb(FILE *out, const struct verb *verb)
{
    char span[UNIT_SPAN_BYTES];
    (void)fputs(".SS \"prong ", out);
    (void)fputs(verb->name, out);
    (void)fputs("\"\n.B prong ", out);
    put(out, verb->name);
    (void)fputs("\n.RI ", out);
    (void)fputs(verb->arguments[0] != '\0' ? "\"" : "\"\"", out);
    put(out, verb->arguments);
    (void)fputs(verb->arguments[0] != '\0' ? "\"\n.PP\n" : "\n.PP\n", out);
    put_sentence(out, verb->summary);
    if (verb->help != NULL) {
        (void)fputs(".PP\n", out);
        put(out, verb->help);
        (void)fputc('\n', out);
    }
    if (verb->aliases != NULL) {
        (void)fputs(".PP\nThe same as: ", out);
        put_sentence(out, verb->aliases);
    }
    if (verb->timeout_ms > 0) {
        unit_span(verb->timeout_ms, span);
        (void)fprintf(out, ".PP\nDefault of \\-\\-timeout: %s.\n", span);
    }
    for (const struct option_row *row = verb->options; row != NULL && row->name != NULL; row++) {
        put_option(out, row);
    }
}

static void
put_ends(FILE *out)
{
    static const struct {
        const char *name, *text;
    } variables[] = {
        {"PRONG_URL", "the hub, as --endpoint names it"},
        {"PRONG_TIMEOUT", "the default of --timeout for verbs that have one"},
        {"XDG_RUNTIME_DIR", "the hub of this user is in the folder prong below it"},
        {"RUNTIME_DIRECTORY", "the folder of the hub itself, as systemd sets it"},
        {"NO_COLOR", "no colours when it is not empty"},
    };
    size_t count;
    const struct help_exit_code *codes = help_exit_codes(&count);
    (void)fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(out, ".TP\n.B %d\n", codes[i].code);
        put_sentence(out, codes[i].meaning);
    }
    (void)fputs(".SH ENVIRONMENT\n", out);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        (void)fprintf(out, ".TP\n.B %s\n", variables[i].name);
        put_sentence(out, variables[i].text);
    }
    (void)fputs(".SH SEE ALSO\n.BR prongd (8)\n", out);
}

void
man_print(FILE *out)
{
    size_t count;
    const struct verb *verbs = verb_table(&count);
    (void)fprintf(out,
                  ".\\\" Made by prong help --man from its tables.\n"
                  ".TH PRONG 1 \"\" \"prong %s\" \"Prong\"\n"
                  ".SH NAME\nprong \\- start, look at and talk to a hub of worker processes\n"
                  ".SH SYNOPSIS\n.B prong\n.RI [ OPTION ...] \" VERB \" [ ARGUMENT ...]\n"
                  ".SH DESCRIPTION\n",
                  prong_version());
    put(out, "A hub is a daemon, prongd, that runs worker processes, takes calls for their methods "
             "and passes on their events. This is the command line to it. Data goes to stdout, as "
             "a table on a terminal and as JSON elsewhere; everything else goes to stderr.");
    (void)fputs("\n.SH VERBS\n", out);
    for (size_t i = 0; i < count; i++) {
        put_verb(out, &verbs[i]);
    }
    (void)fputs(".SH OPTIONS OF EVERY VERB\n", out);
    for (const struct option_row *row = help_common_options(); row->name != NULL; row++) {
        put_option(out, row);
    }
    put_ends(out);
}
