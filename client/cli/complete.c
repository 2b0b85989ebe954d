/* `prong completion` and `prong complete`: what can stand next on a command line. The scripts of
 * the shells only ask for that, so that the tables here are all there is to know. */
#include <prong/stream.h>

#include <stdio.h>
#include <string.h>

#include "client/cli/help.h"
#include "client/cli/hub.h"
#include "client/cli/hubdir.h"
#include "client/cli/output.h"
#include "client/cli/status.h"
#include "client/cli/unit.h"

enum { HUB_MS = 1000, ARGUMENTS_MAX = 64 };

/* A command line up to the word that is being written. */
struct typed {
    const char *word;                     /* "" when it is not begun */
    const char *previous;                 /* the one before it; or "" */
    const char *arguments[ARGUMENTS_MAX]; /* words that are no options, behind the verb */
    int count;
    const struct verb *verb; /* NULL: it is not there yet */
    const char *first;       /* the first of a verb of two words; or NULL */
};

/* ---- reading -------------------------------------------------------------------------------- */

static const struct option_row *
find_in(const struct option_row *rows, const char *word)
{
    const size_t length = strcspn(word, "=");
    for (; rows != NULL && rows->name != NULL; rows++) {
        const bool is_letter = word[0] == '-' && word[1] == rows->letter && word[1] != '\0';
        if ((strlen(rows->name) == length && memcmp(rows->name, word, length) == 0) ||
            (is_letter && word[2] == '\0')) {
            return rows;
        }
    }
    return NULL;
}

static const struct option_row *
find_option(const struct verb *verb, const char *word)
{
    const struct option_row *row = verb != NULL ? find_in(verb->options, word) : NULL;
    return row != NULL ? row : find_in(help_common_options(), word);
}

static bool
takes_value(const struct option_row *row)
{
    return row != NULL && row->kind != OPTION_FLAG && row->kind != OPTION_PRESET;
}

/* What stands before the word, options with their values left out. */
static void
read_words(const char *const *words, int count, struct typed *t)
{
    const char *found[ARGUMENTS_MAX];
    int n = 0, used = 0;
    for (int i = 0; i < count && n < ARGUMENTS_MAX; i++) {
        const struct option_row *row = find_option(t->verb, words[i]);
        if (words[i][0] != '-') {
            found[n++] = words[i];
            t->verb = help_find_verb(found, n, &used);
        } else if (takes_value(row) && strchr(words[i], '=') == NULL) {
            i++;
        }
    }
    t->first = t->verb == NULL && n > 0 ? found[0] : NULL;
    for (int i = used; t->verb != NULL && i < n; i++) {
        t->arguments[t->count++] = found[i];
    }
}

/* ---- candidates ----------------------------------------------------------------------------- */

/* One that begins as the word does, with what it is. */
static void
offer(const struct typed *t, const char *text, const char *help)
{
    if (strncmp(text, t->word, strlen(t->word)) == 0) {
        (void)printf("%s\t%.*s\n", text, (int)strcspn(help, "\n\t"), help);
    }
}

static void
offer_words(const struct typed *t, const char *words)
{
    char word[64];
    for (const char *p = words; p != NULL && *p != '\0'; p += strspn(p, " ")) {
        const int n = (int)strcspn(p, " ");
        (void)snprintf(word, sizeof word, "%.*s", n, p);
        offer(t, word, "");
        p += n;
    }
}

/* Of a verb of two words the one that is wanted. */
static void
offer_verbs(const struct typed *t)
{
    size_t count;
    char word[64], last[64] = ""; /* those with the same first word stand together */
    const struct verb *rows = verb_table(&count);
    for (size_t i = 0; i < count; i++) {
        const char *space = strchr(rows[i].name, ' ');
        const int first = space != NULL ? (int)(space - rows[i].name) : (int)strlen(rows[i].name);
        (void)snprintf(word, sizeof word, "%.*s", first, rows[i].name);
        if (t->first == NULL && strcmp(word, last) != 0) {
            offer(t, word, space == NULL ? rows[i].summary : "");
            (void)snprintf(last, sizeof last, "%s", word);
        } else if (t->first != NULL && space != NULL && strcmp(word, t->first) == 0) {
            offer(t, space + 1, rows[i].summary);
        }
    }
}

static void
offer_options(const struct typed *t, const struct option_row *rows)
{
    for (; rows != NULL && rows->name != NULL; rows++) {
        offer(t, rows->name, rows->help);
    }
}

/* ---- what the hub knows --------------------------------------------------------------------- */

static bool
connect_quickly(struct cli *cli)
{
    char room[PATH_MAX], why[400];
    const char *url;
    cli->deadline_ms = unit_now_ms() + HUB_MS;
    cli->reconnect_ms = -1;
    return hubdir_url(cli, room, &url) == CLI_OK && hub_try(cli, url, why, sizeof why) == PRONG_OK;
}

static void
offer_methods(struct cli *cli, const struct typed *t, const char *worker)
{
    prong_reply *reply = NULL;
    prong_iter it;
    prong_value key, value, help;
    if (hub_ask_worker(cli, "describe", worker, &reply) != CLI_OK) {
        return;
    }
    (void)prong_iter_begin(&it, prong_reply_value(reply));
    while (prong_iter_next(&it, &key, &value)) {
        char text[2 * PRONG_NAME_BYTES_MAX + 16], about[100] = "";
        const char *name = "", *words = "";
        size_t name_len = 0, words_len = 0;
        (void)prong_value_text(&key, &name, &name_len);
        if (prong_value_find(&value, "help", &help) &&
            prong_value_text(&help, &words, &words_len)) {
            (void)snprintf(about, sizeof about, "%.*s", (int)words_len, words);
        }
        (void)snprintf(text, sizeof text, "%s.%.*s", worker, (int)name_len, name);
        offer(t, text, about);
    }
    prong_reply_free(reply);
}

/* "detector", with a slash in the word "detector/0"; for a call "detector." and then its methods.
 */
static void
offer_workers(struct cli *cli, const struct typed *t, bool has_method)
{
    struct status status = {0};
    char text[PRONG_NAME_BYTES_MAX + 20];
    const char *dot = strrchr(t->word, '.');
    if (!connect_quickly(cli)) {
        return;
    }
    if (has_method && dot != NULL && dot - t->word <= PRONG_NAME_BYTES_MAX) {
        (void)snprintf(text, sizeof text, "%.*s", (int)(dot - t->word), t->word);
        offer_methods(cli, t, text);
        return;
    }
    if (status_get(cli, &status) != CLI_OK) {
        return;
    }
    const char *end = has_method ? "." : "";
    for (size_t i = 0; i < status.worker_count; i++) {
        (void)snprintf(text, sizeof text, "%s%s", status.workers[i].name, end);
        offer(t, text, "");
    }
    for (size_t i = 0; strchr(t->word, '/') != NULL && i < status.replica_count; i++) {
        (void)snprintf(text, sizeof text, "%s%s", status.replicas[i].name, end);
        offer(t, text, status.replicas[i].state);
    }
    if (has_method) {
        offer(t, "hub.", "the hub itself");
    }
    status_deinit(&status);
}

static void
offer_streams(struct cli *cli, const struct typed *t)
{
    prong_stream_info *list = NULL;
    size_t count = 0;
    char why[300];
    if (!connect_quickly(cli) || prong_stream_list(prong_client_url(cli->client), &list, &count,
                                                   why, sizeof why) != PRONG_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!list[i].is_reader) {
            offer(t, list[i].name, "");
        }
    }
    prong_free(list);
}

/* Whether the arguments of a verb are what a usage line calls so. */
static bool
is_called(const struct verb *verb, const char *what)
{
    const char *text = verb->arguments + strspn(verb->arguments, "[");
    return strncmp(text, what, strlen(what)) == 0;
}

static void
offer_arguments(struct cli *cli, const struct typed *t)
{
    const struct verb *verb = t->verb;
    if (is_called(verb, "WORKER[/N|/*].METHOD")) {
        if (t->count == 0) {
            offer_workers(cli, t, true);
        }
    } else if (strstr(verb->arguments, "WORKER") != NULL &&
               (t->count == 0 || strstr(verb->arguments, "WORKER[/N]...") != NULL ||
                is_called(verb, "WORKER..."))) {
        offer_workers(cli, t, false);
    } else if (is_called(verb, "STREAM")) {
        if (t->count == 0) {
            offer_streams(cli, t);
        }
    } else if (is_called(verb, "VERB")) {
        struct typed inner = *t;
        inner.first = t->count > 0 ? t->arguments[0] : NULL;
        offer_verbs(&inner);
    } else if (is_called(verb, "bash")) {
        offer_words(t, "bash zsh fish");
    }
}

/* ---- the verbs ------------------------------------------------------------------------------ */

/* Which hub is meant by the options that are there already; one that is not whole counts not. */
static void
read_options(struct cli *cli, const struct verb *verb, int count)
{
    static const char *const which[] = {"--runtime-dir", "--name",   "--endpoint", "-e",
                                        "--token-file",  "--ca-file"};
    char fault[OPTIONS_FAULT_BYTES_MAX];
    struct option_reader reader = {
        .tables = {verb != NULL ? verb->options : NULL, help_common_options()}};
    for (int i = 0; i + 1 < count; i++) {
        for (size_t k = 0; k < sizeof which / sizeof which[0]; k++) {
            const struct option_row *row = find_option(verb, cli->argv[i]);
            if (strcmp(cli->argv[i], which[k]) == 0 && row != NULL) {
                (void)options_read_value(&reader, row->name, row->name, cli->argv[i + 1],
                                         &cli->options, fault);
            }
        }
    }
}

int
verb_complete(struct cli *cli)
{
    const int before = cli->argc > 0 ? cli->argc - 1 : 0;
    struct typed t = {.word = cli->argc > 0 ? cli->argv[before] : "",
                      .previous = before > 0 ? cli->argv[before - 1] : ""};
    read_words(cli->argv, before, &t);
    const struct option_row *row = find_option(t.verb, t.previous);
    if (takes_value(row) && strchr(t.previous, '=') == NULL) {
        offer_words(&t, row->allowed);
        if (strcmp(row->value, "STREAM") == 0) {
            read_options(cli, t.verb, before);
            offer_streams(cli, &t);
        }
    } else if (t.word[0] == '-') {
        offer_options(&t, t.verb != NULL ? t.verb->options : NULL);
        offer_options(&t, help_common_options());
    } else if (t.verb == NULL) {
        offer_verbs(&t);
    } else {
        read_options(cli, t.verb, before);
        offer_arguments(cli, &t);
    }
    return CLI_OK;
}

int
verb_completion(struct cli *cli)
{
    static const struct {
        const char *shell, *head, *script;
    } rows[] = {
        {"bash", "",
         "_prong()\n"
         "{\n"
         "    local IFS=$'\\n'\n"
         "    COMPREPLY=($(prong complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null |"
         " cut -f1))\n"
         "    [[ ${COMPREPLY[0]-} == *. ]] && compopt -o nospace 2>/dev/null\n"
         "    return 0\n"
         "}\n"
         "complete -o default -F _prong prong\n"},
        {"zsh", "#compdef prong\n",
         "_prong()\n"
         "{\n"
         "    local -a found\n"
         "    found=(\"${(@f)$(prong complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null |"
         " cut -f1)}\")\n"
         "    if [[ -n ${found[1]} ]]; then\n"
         "        [[ ${found[1]} == *. ]] && compadd -S '' -- $found || compadd -- $found\n"
         "    else\n"
         "        _files\n"
         "    fi\n"
         "}\n"
         "if [[ ${funcstack[1]} == _prong ]]; then\n"
         "    _prong \"$@\"\n"
         "else\n"
         "    compdef _prong prong\n"
         "fi\n"},
        {"fish", "",
         "complete -c prong -a '(prong complete -- (commandline -opc)[2..-1]"
         " (commandline -ct) 2>/dev/null)'\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].shell, cli->argv[0]) == 0) {
            (void)printf("%s# Completion of prong for %s, made by prong completion %s.\n%s",
                         rows[i].head, rows[i].shell, rows[i].shell, rows[i].script);
            return CLI_OK;
        }
    }
    return output_usage(cli, "'%.40s' is no shell that is known: use bash, zsh or fish",
                        cli->argv[0]);
}
