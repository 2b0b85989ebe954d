/* The table of prongd's arguments; what they mean is decided in main.c. Runs in prongd before it
 * forks. */
#include "broker/spawn/options.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sysexits.h>

/* One row per option: `value` is the name of its value in --help, NULL for a switch; `offset` is
 * that of its field in struct options, a const char * with a value, a bool without. */
struct row {
    const char *name;
    const char *value;
    const char *help;
    size_t offset;
};

static const char description[] =
    "Runs a hub in the foreground: starts the broker and the workers of the configuration,\n"
    "keeps them running, and leaves nothing behind when it ends.";
static const char signals[] =
    "SIGTERM and SIGINT stop in order, a second one in a hurry, a third at once.\n"
    "SIGHUP reads the configuration again and changes only what differs.\n"
    "SIGUSR1 opens the log files of the workers anew, by their names.";
static const struct {
    int code;
    const char *meaning;
} exits[] = {{0, "stopped as asked, or with its parent"},
             {EX_USAGE, "usage"},
             {EX_UNAVAILABLE, "the broker keeps crashing"},
             {EX_SOFTWARE, "internal error"},
             {EX_OSERR, "system error"},
             {EX_CANTCREAT, "cannot create"},
             {EX_TEMPFAIL, "another hub runs here"},
             {EX_NOPERM, "permission"},
             {EX_CONFIG, "configuration"}};
enum { EXIT_COUNT = sizeof exits / sizeof exits[0] };

#define FIELD(name) offsetof(struct options, name)

static const struct row rows[] = {
    {"--config", "FILE", "read this configuration instead of looking for one", FIELD(config)},
    {"--no-config", NULL, "read no configuration: a hub without workers, to which some are added",
     FIELD(no_config)},
    {"--runtime-dir", "DIR", "folder of the lock and the socket (default: $RUNTIME_DIRECTORY,",
     FIELD(runtime_dir)},
    {NULL, NULL, "$XDG_RUNTIME_DIR/prong, /run/user/UID/prong, as root /run/prong)", 0},
    {"--name", "N", "use the folder N below it: one for each hub (a-z 0-9 _ -, at most 64)",
     FIELD(name)},
    {"--broker", "PATH", "program of the broker (default: prong-broker beside prongd)",
     FIELD(broker)},
    {"--with-parent", "PID", "end in order when the process PID, which starts prongd, has ended",
     FIELD(with_parent)},
    {"--quiet", NULL, "of the hub's own lines, write warnings and errors only", FIELD(quiet)},
    {"--version", NULL, "print the version and end", FIELD(version)},
    {"--man", NULL, "print the manual page prongd(8) and end, for man -l -", FIELD(man)},
    {"--help", NULL, "print this text and end", FIELD(help)},
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0], WORD_LENGTH_MAX = 31, PID_DIGITS_MAX = 9 };

static size_t
smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters must be changed, added or left out to make one word of the other (Levenshtein).
 * Words longer than any option are far from all of them. */
static size_t
edit_distance(const char *a, size_t a_length, const char *b)
{
    const size_t b_length = strlen(b);
    size_t row[WORD_LENGTH_MAX + 1];
    if (a_length > WORD_LENGTH_MAX || b_length > WORD_LENGTH_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b_length; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = smaller(replaced, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_length];
}

/* The option that was probably meant, or NULL if none is near. */
static const char *
find_nearest(const char *word, size_t length)
{
    const char *nearest = NULL;
    size_t distance_max = length / 2 < 3 ? length / 2 : 3;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const size_t distance = rows[i].name ? edit_distance(word, length, rows[i].name) : SIZE_MAX;
        if (distance <= distance_max) {
            distance_max = distance;
            nearest = rows[i].name;
        }
    }
    return nearest;
}

static const struct row *
find_row(const char *word, size_t length)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const char *name = rows[i].name;
        if (name && strlen(name) == length && memcmp(name, word, length) == 0) {
            return &rows[i];
        }
    }
    return length == 2 && memcmp(word, "-h", 2) == 0 ? find_row("--help", 6) : NULL;
}

static void
explain_unknown(const char *word, size_t length, char fault[OPTIONS_FAULT_BYTES_MAX])
{
    const char *nearest = find_nearest(word, length);
    if (nearest) {
        snprintf(fault, OPTIONS_FAULT_BYTES_MAX, "unknown option '%.*s', did you mean %s?",
                 (int)smaller(length, 64), word, nearest);
        return;
    }
    size_t used =
        (size_t)snprintf(fault, OPTIONS_FAULT_BYTES_MAX,
                         "unknown option '%.*s'; allowed:", (int)smaller(length, 64), word);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].name && used < OPTIONS_FAULT_BYTES_MAX) {
            used +=
                (size_t)snprintf(fault + used, OPTIONS_FAULT_BYTES_MAX - used, " %s", rows[i].name);
        }
    }
}

static bool
name_is_valid(const char *name)
{
    const size_t length = strlen(name);
    return length >= 1 && length <= OPTIONS_NAME_LENGTH_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

/* A number of a process, or 0. */
static int
read_pid(const char *text)
{
    const size_t length = strlen(text);
    int pid = 0;
    if (strspn(text, "0123456789") != length || length > PID_DIGITS_MAX) {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        pid = 10 * pid + (text[i] - '0');
    }
    return pid;
}

/* What single options cannot know: rules over values and over pairs of options. */
static bool
check_together(struct options *options, char fault[OPTIONS_FAULT_BYTES_MAX])
{
    if (options->name && !name_is_valid(options->name)) {
        snprintf(fault, OPTIONS_FAULT_BYTES_MAX,
                 "--name '%.64s' is not allowed: use 1 to %d of a-z 0-9 _ -", options->name,
                 (int)OPTIONS_NAME_LENGTH_MAX);
        return false;
    }
    if (options->config && options->no_config) {
        snprintf(fault, OPTIONS_FAULT_BYTES_MAX, "--config and --no-config exclude each other");
        return false;
    }
    if (options->with_parent && (options->parent_pid = read_pid(options->with_parent)) == 0) {
        snprintf(fault, OPTIONS_FAULT_BYTES_MAX,
                 "--with-parent '%.64s' is not the number of a process", options->with_parent);
        return false;
    }
    return true;
}

/* Store the value of one option, which stands behind '=' or in the next argument. */
static bool
take_value(const struct row *row, const char *value, struct options *options,
           char fault[OPTIONS_FAULT_BYTES_MAX])
{
    if (!value || value[0] == '\0') {
        snprintf(fault, OPTIONS_FAULT_BYTES_MAX, "%s needs a value: %s %s", row->name, row->name,
                 row->value);
        return false;
    }
    memcpy((char *)options + row->offset, &value, sizeof value);
    return true;
}

bool
options_parse(int argc, char *const argv[], struct options *options,
              char fault[OPTIONS_FAULT_BYTES_MAX])
{
    *options = (struct options){0};
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char *equals = word[0] == '-' ? strchr(word, '=') : NULL;
        const size_t length = equals ? (size_t)(equals - word) : strlen(word);
        const struct row *row = find_row(word, length);
        if (!row && word[0] != '-') {
            snprintf(fault, OPTIONS_FAULT_BYTES_MAX,
                     "unexpected argument '%.64s': prongd takes options only, see --help", word);
            return false;
        }
        if (!row) {
            explain_unknown(word, length, fault);
            return false;
        }
        if (row->value) {
            if (!take_value(row, equals ? equals + 1 : argv[i + 1], options, fault)) {
                return false;
            }
            i += equals ? 0 : 1;
            continue;
        }
        if (equals) {
            snprintf(fault, OPTIONS_FAULT_BYTES_MAX, "%s takes no value", row->name);
            return false;
        }
        memcpy((char *)options + row->offset, &(bool){true}, sizeof(bool));
        if (options->help || options->version || options->man) {
            return true;
        }
    }
    return check_together(options, fault);
}

void
options_print_help(FILE *out)
{
    fprintf(out, "usage: prongd [options]\n%s\n\n", description);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const char *name = rows[i].name ? rows[i].name : "";
        const char *value = rows[i].value ? rows[i].value : "";
        const int width = 18 - (int)strlen(name);
        fprintf(out, "  %s %-*s %s\n", name, width > 0 ? width : 0, value, rows[i].help);
    }
    fprintf(out, "\n%s\n\nExit codes:\n", signals);
    for (size_t i = 0; i < EXIT_COUNT; i++) {
        fprintf(out, "  %3d  %s\n", exits[i].code, exits[i].meaning);
    }
}

/* What roff would take for a command is made harmless. */
static void
put_roff(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '-' || *text == '\\') {
            fputs(*text == '-' ? "\\-" : "\\e", out);
        } else {
            fputc(*text, out);
        }
    }
}

static void
put_man_options(FILE *out)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].name) {
            fputs(".TP\n.BI \"", out);
            put_roff(out, rows[i].name);
            fprintf(out, "\" \" %s\"\n", rows[i].value ? rows[i].value : "");
        }
        put_roff(out, rows[i].help);
        fputc('\n', out);
    }
}

void
options_print_man(FILE *out, const char *version)
{
    fprintf(out,
            ".\\\" Made by prongd \\-\\-man from its tables.\n"
            ".TH PRONGD 8 \"\" \"prongd %s\" \"Prong\"\n"
            ".SH NAME\nprongd \\- a hub that runs worker processes\n"
            ".SH SYNOPSIS\n.B prongd\n.RI [ OPTION ...]\n.SH DESCRIPTION\n",
            version);
    put_roff(out, description);
    fputs("\n.SH OPTIONS\n", out);
    put_man_options(out);
    fputs(".SH SIGNALS\n", out);
    put_roff(out, signals);
    fputs("\n.SH EXIT STATUS\n", out);
    for (size_t i = 0; i < EXIT_COUNT; i++) {
        fprintf(out, ".TP\n.B %d\n%s.\n", exits[i].code, exits[i].meaning);
    }
    fputs(
        ".SH ENVIRONMENT\n"
        ".TP\n.B RUNTIME_DIRECTORY, XDG_RUNTIME_DIR\nWhere the runtime folder is.\n"
        ".TP\n.B LOGS_DIRECTORY\nWhere output of workers is kept, unless the configuration says "
        "it.\n"
        ".TP\n.B NOTIFY_SOCKET, WATCHDOG_USEC\nThe service manager, which is told when the hub is "
        "ready, reloads and stops, and that its broker turns.\n"
        ".SH SEE ALSO\n.BR prong (1)\n",
        out);
}
