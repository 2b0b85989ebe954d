/* Help, made from the tables: see help.h; `prong help` and `prong version`. */
#include "client/cli/help.h"

#include <string.h>

#include "client/cli/man.h"
#include "client/cli/output.h"
#include "client/cli/unit.h"
#include "proto/closest.h"

/* clang-format off */
static const struct option_row common[] = {
    {.name = "--output", .letter = 'o', .kind = OPTION_TEXT, .offset = OPTION_FIELD(output),
     .value = "FORM", .allowed = "table json jsonl raw",
     .help = "table, json, jsonl or raw; default: table on a terminal, else json"},
    {.name = "-j", .letter = 'j', .kind = OPTION_PRESET, .offset = OPTION_FIELD(output),
     .preset = "json", .help = "the same as -o json; a failure is then an object on stdout, too"},
    {.name = "--quiet", .letter = 'q', .kind = OPTION_FLAG, .offset = OPTION_FIELD(quiet),
     .help = "nothing on stdout, and on stderr only what went wrong"},
    {.name = "--timeout", .kind = OPTION_DURATION, .offset = OPTION_FIELD(timeout_ms),
     .value = "TIME", .min = 1, .max = UNIT_DURATION_MS_MAX, .help = "give up after this time: 500ms, 5s, 2m, 1h"},
    {.name = "--endpoint", .letter = 'e', .kind = OPTION_TEXT, .offset = OPTION_FIELD(endpoint),
     .value = "URL", .help = "the hub: ipc://PATH, tcp://HOST:PORT, tls+tcp://HOST:PORT; default: "
     "$PRONG_URL, else the hub of this user, else that of the machine"},
    {.name = "--name", .kind = OPTION_TEXT, .offset = OPTION_FIELD(hub_name),
     .value = "HUB", .help = "the hub of this name on this machine"},
    {.name = "--runtime-dir", .kind = OPTION_TEXT, .offset = OPTION_FIELD(runtime_dir),
     .value = "DIR", .help = "the hub in this folder"},
    {.name = "--token-file", .kind = OPTION_TEXT, .offset = OPTION_FIELD(token_file),
     .value = "FILE", .help = "the hub's token, on a network endpoint"},
    {.name = "--ca-file", .kind = OPTION_TEXT, .offset = OPTION_FIELD(ca_file),
     .value = "FILE", .help = "who signed the certificate of a tls+tcp endpoint; default: the system's"},
    {.name = "--no-color", .kind = OPTION_FLAG, .offset = OPTION_FIELD(no_color),
     .help = "no colours, as with NO_COLOR in the environment"},
    {.name = "--version", .kind = OPTION_FLAG, .offset = OPTION_FIELD(version),
     .help = "print the version"},
    {.name = "--help", .letter = 'h', .kind = OPTION_FLAG, .offset = OPTION_FIELD(help),
     .help = "print this text"},
    {.name = NULL},
};

static const struct help_exit_code exit_codes[] = {
    {CLI_OK, "done"},
    {CLI_FAILED, "the method failed, or something else did"},
    {CLI_USAGE, "the command line is wrong"},
    {CLI_NOT_RUNNING, "status, wait, signal, stack: not running"},
    {CLI_DENIED, "not allowed"},
    {CLI_NO_SUCH, "no such worker, method, topic or stream"},
    {CLI_CONFIG, "the configuration is wrong"},
    {CLI_NO_HUB, "the hub cannot be reached"},
    {CLI_TIMEOUT, "not in time"},
    {CLI_INTERRUPTED, "interrupted by SIGINT (143 by SIGTERM)"},
    {CLI_DIED, "the worker died"},
    {151, "busy: nobody free, or a queue or limit is full"},
    {152, "cancelled"},
};
/* clang-format on */

enum { COLUMN = 26, WIDTH = 98, GROUP_BYTES = 80 };

const struct option_row *
help_common_options(void)
{
    return common;
}

const struct help_exit_code *
help_exit_codes(size_t *count)
{
    *count = sizeof exit_codes / sizeof exit_codes[0];
    return exit_codes;
}

/* Text from column `from` on, wrapped; the line has `used` columns already. */
static void
print_wrapped(FILE *out, const char *text, int used, int from)
{
    while (*text != '\0') {
        const int word = (int)strcspn(text, " \n");
        if (used > from && used + 1 + word > WIDTH) {
            (void)fputc('\n', out);
            used = 0;
        }
        const int gap = used < from ? from - used : used > from ? 1 : 0;
        (void)fprintf(out, "%*s%.*s", gap, "", word, text);
        used += gap + word;
        text += word;
        if (*text == '\n') {
            (void)fputc('\n', out);
            used = 0;
            text++;
        }
        text += strspn(text, " ");
    }
    (void)fputc('\n', out);
}

static bool
is_hidden(const struct option_row *row, const struct option_row *by)
{
    for (; by != NULL && by->name != NULL; by++) {
        if (strcmp(by->name, row->name) == 0) {
            return true;
        }
    }
    return false;
}

/* `timeout` is what to say of the default of --timeout. */
static void
print_option(FILE *out, const struct option_row *row, const char *timeout)
{
    const bool is_long = row->name[1] == '-', has_letter = row->letter != 0;
    char left[80], help[300];
    int n = snprintf(left, sizeof left, "  %c%c%s %s%s%s", has_letter ? '-' : ' ',
                     has_letter ? row->letter : ' ', is_long && has_letter ? "," : " ",
                     is_long ? row->name : "", row->value != NULL ? " " : "",
                     row->value != NULL ? row->value : "");
    (void)fputs(left, out);
    if (n > COLUMN - 2) {
        (void)fputc('\n', out);
        n = 0;
    }
    const bool is_timeout = row->offset == OPTION_FIELD(timeout_ms);
    (void)snprintf(help, sizeof help, "%s%s%s", row->help, is_timeout ? "; default: " : "",
                   is_timeout ? timeout : "");
    print_wrapped(out, help, n, COLUMN);
}

/* `hidden_by` has options that take the place of some of these; or NULL. */
static void
print_options(FILE *out, const char *heading, const struct option_row *rows,
              const struct option_row *hidden_by, const char *timeout)
{
    (void)fprintf(out, "\n%s:\n", heading);
    for (; rows->name != NULL; rows++) {
        if (!is_hidden(rows, hidden_by)) {
            print_option(out, rows, timeout);
        }
    }
}

void
help_print_verb(FILE *out, const struct verb *verb)
{
    char span[UNIT_SPAN_BYTES], timeout[UNIT_SPAN_BYTES + 24];
    const int used = fprintf(out, "usage: prong %s", verb->name);
    print_wrapped(out, verb->arguments, used, (int)strlen("usage: prong "));
    print_wrapped(out, verb->summary, 0, 0);
    if (verb->aliases != NULL) {
        (void)fprintf(out, "The same as: %s\n", verb->aliases);
    }
    if (verb->help != NULL) {
        (void)fputc('\n', out);
        print_wrapped(out, verb->help, 0, 0);
    }
    unit_span(verb->timeout_ms, span);
    (void)snprintf(timeout, sizeof timeout, "%s%s",
                   verb->timeout_ms > 0 ? "$PRONG_TIMEOUT, else " : "",
                   verb->timeout_ms > 0 ? span : "never");
    if (verb->options != NULL) {
        print_options(out, "Options", verb->options, NULL, timeout);
    }
    print_options(out, "Options of every verb", common, verb->options, timeout);
}

static void
print_verb_line(FILE *out, const struct verb *verb)
{
    int n = fprintf(out, "  %s%s%s%s", verb->name, verb->aliases != NULL ? " (" : "",
                    verb->aliases != NULL ? verb->aliases : "", verb->aliases != NULL ? ")" : "");
    if (n > COLUMN - 2) {
        (void)fputc('\n', out);
        n = 0;
    }
    print_wrapped(out, verb->summary, n, COLUMN);
}

void
help_print_all(FILE *out)
{
    size_t count;
    const struct verb *rows = verb_table(&count);
    (void)fputs("usage: prong [OPTION...] VERB [ARGUMENT...]\n"
                "Starts, looks at and talks to a hub: a daemon that runs worker processes, takes "
                "calls for\ntheir methods and passes on their events.\n\n",
                out);
    for (size_t i = 0; i < count; i++) {
        print_verb_line(out, &rows[i]);
    }
    (void)fputs("\nprong help VERB tells more of one.\n", out);
    print_options(out, "Options of every verb", common, NULL, "as the verb says");
    (void)fputs("\nExit codes:\n", out);
    for (size_t i = 0; i < sizeof exit_codes / sizeof exit_codes[0]; i++) {
        (void)fprintf(out, "  %3d  %s\n", exit_codes[i].code, exit_codes[i].meaning);
    }
}

/* ---- finding -------------------------------------------------------------------------------- */

static bool
is_called(const struct verb *verb, const char *word)
{
    return strcmp(verb->name, word) == 0 ||
           (verb->aliases != NULL && options_has_word(verb->aliases, word));
}

/* "check" of "config check" when `first` is "config"; NULL for other verbs. */
static const char *
second_word(const struct verb *verb, const char *first)
{
    const size_t len = strlen(first);
    return strncmp(verb->name, first, len) == 0 && verb->name[len] == ' ' ? verb->name + len + 1
                                                                          : NULL;
}

/* "check, init, manual" of "config". false for a word that no verb of two begins with. */
static bool
group_names(const char *first, char names[GROUP_BYTES])
{
    size_t count, used = 0;
    const struct verb *rows = verb_table(&count);
    for (size_t i = 0; i < count; i++) {
        const char *second = second_word(&rows[i], first);
        if (second != NULL && used < GROUP_BYTES) {
            used += (size_t)snprintf(names + used, GROUP_BYTES - used, "%s%s", used > 0 ? ", " : "",
                                     second);
        }
    }
    return used > 0;
}

const struct verb *
help_find_verb(const char *const *words, int count, int *used)
{
    size_t rows_count;
    const struct verb *rows = verb_table(&rows_count);
    char two[80] = "";
    if (count > 1) {
        (void)snprintf(two, sizeof two, "%.30s %.30s", words[0], words[1]);
    }
    for (size_t i = 0; count > 0 && i < rows_count; i++) {
        const bool is_two = strcmp(rows[i].name, two) == 0;
        if (is_two || is_called(&rows[i], words[0])) {
            *used = is_two ? 2 : 1;
            return &rows[i];
        }
    }
    return NULL;
}

/* The word that the second one was meant to be in a group of verbs; NULL: none is close. */
static const char *
closest_of_group(const char *group, const char *second)
{
    size_t count;
    const struct verb *rows = verb_table(&count);
    struct closest near = {.word = second};
    for (size_t i = 0; i < count; i++) {
        const char *candidate = second_word(&rows[i], group);
        if (candidate != NULL) {
            closest_offer(&near, candidate);
        }
    }
    return near.best;
}

int
help_no_such_verb(const struct cli *cli, const char *const *words, int count)
{
    size_t rows_count;
    const struct verb *rows = verb_table(&rows_count);
    char word[80], alias[32], names[GROUP_BYTES];
    struct closest near = {.word = word};
    (void)snprintf(word, sizeof word, "%.30s%s%.30s", words[0], count > 1 ? " " : "",
                   count > 1 ? words[1] : "");
    for (int round = 0; round < 2 && near.best == NULL; round++) {
        for (size_t i = 0; i < rows_count; i++) {
            closest_offer(&near, rows[i].name);
            const char *p = rows[i].aliases != NULL ? rows[i].aliases : "";
            for (; *p != '\0'; p += strcspn(p, " "), p += strspn(p, " ")) {
                (void)snprintf(alias, sizeof alias, "%.*s", (int)strcspn(p, " "), p);
                closest_offer(&near, alias);
                near.best = near.best == alias ? rows[i].name : near.best;
            }
        }
        (void)snprintf(word, sizeof word, "%.30s", words[0]); /* what follows may be arguments */
    }
    if (group_names(words[0], names)) {
        const char *best = count > 1 ? closest_of_group(words[0], words[1]) : NULL;
        return best != NULL
                   ? output_usage(cli, "there is no verb '%.30s %.30s', did you mean %.30s %s?",
                                  words[0], words[1], words[0], best)
                   : output_usage(cli, "prong %.30s needs one of %s", words[0], names);
    }
    return near.best != NULL
               ? output_usage(cli, "there is no verb '%s', did you mean %s?", words[0], near.best)
               : output_usage(cli, "there is no verb '%.60s'", words[0]);
}

/* ---- the verbs ------------------------------------------------------------------------------ */

int
verb_help(struct cli *cli)
{
    char names[GROUP_BYTES];
    int used = 0;
    if (cli->options.man) {
        man_print(stdout);
        return CLI_OK;
    }
    if (cli->argc == 0) {
        help_print_all(stdout);
        return CLI_OK;
    }
    const struct verb *verb = help_find_verb(cli->argv, cli->argc, &used);
    if (verb != NULL && used == cli->argc) {
        help_print_verb(stdout, verb);
        return CLI_OK;
    }
    if (cli->argc == 1 && group_names(cli->argv[0], names)) {
        size_t count;
        const struct verb *rows = verb_table(&count);
        for (size_t i = 0; i < count; i++) {
            if (second_word(&rows[i], cli->argv[0]) != NULL) {
                print_verb_line(stdout, &rows[i]);
            }
        }
        return CLI_OK;
    }
    return help_no_such_verb(cli, cli->argv, cli->argc);
}

int
verb_version(struct cli *cli)
{
    prong_writer *w;
    prong_value object;
    if (cli->options.output == NULL || output_form(cli) == OUTPUT_TABLE) {
        (void)printf("prong %s\n", prong_version());
        return CLI_OK;
    }
    w = prong_writer_new();
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, 1);
    prong_writer_key(w, "version");
    prong_writer_string(w, prong_version());
    const int code = prong_writer_finish(w, &object) == PRONG_OK ? output_value(cli, &object)
                                                                 : output_no_memory(cli);
    prong_writer_free(w);
    return code;
}
