/* Workers being made from other configurations: see work.h. */
#include "broker/import/work.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/config/options.h"
#include "broker/config/reader.h"

enum { ENVIRONMENT_MAX = 256, VARIABLE_BYTES_MAX = 80 };

void
import_put(struct buf *out, const char *text)
{
    buf_put(out, text, strlen(text));
}

void
import_lost(const struct import_at *at, const char *why, const char *instead)
{
    char text[1000];
    int n = snprintf(text, sizeof text, "%.300s:%u: ", at->import->source->name, at->line);
    if (at->section != NULL) {
        n += snprintf(text + n, sizeof text - (size_t)n, "[%.80s] ", at->section);
    }
    if (at->key != NULL) {
        n += snprintf(text + n, sizeof text - (size_t)n, "%.80s: ", at->key);
    }
    (void)snprintf(text + n, sizeof text - (size_t)n, "%s%s%s", why, instead != NULL ? "; " : "",
                   instead != NULL ? instead : "");
    config_make_harmless(text);
    (void)fprintf(at->import->lost, "%s\n", text);
}

/* ---- names ------------------------------------------------------------------------------------
 */

static void
make_name(const char *original, char name[CONFIG_NAME_BYTES_MAX + 1])
{
    size_t used = 0;
    for (const char *at = original; *at != '\0' && used < CONFIG_NAME_BYTES_MAX; at++) {
        const bool is_capital = *at >= 'A' && *at <= 'Z';
        const bool is_valid = (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') ||
                              *at == '_' || *at == '-' || is_capital;
        name[used++] = (char)(is_capital ? *at - 'A' + 'a' : is_valid ? *at : '-');
    }
    name[used] = '\0';
    if (used == 0) {
        (void)snprintf(name, CONFIG_NAME_BYTES_MAX + 1, "worker");
    }
}

static bool
is_taken(const struct import *import, const char *name)
{
    for (size_t i = 0; i < import->worker_count; i++) {
        if (strcmp(import->workers[i].name, name) == 0) {
            return true;
        }
    }
    return !config_worker_name_is_valid(name);
}

struct import_worker *
import_worker_new(const struct import_at *at, const char *original)
{
    struct import *import = at->import;
    char base[CONFIG_NAME_BYTES_MAX + 1];
    if (import->worker_count == CONFIG_WORKERS_MAX) {
        import_lost(at, "a configuration may have at most 256 workers", NULL);
        return NULL;
    }
    struct import_worker *worker = &import->workers[import->worker_count];
    *worker = (struct import_worker){.original = original, .line = at->line};
    make_name(original, base);
    (void)snprintf(worker->name, sizeof worker->name, "%s", base);
    for (unsigned n = 2; is_taken(import, worker->name); n++) {
        /* At most as many tries as there are workers. */
        (void)snprintf(worker->name, sizeof worker->name, "%.*s-%u", CONFIG_NAME_BYTES_MAX - 6,
                       base, n % 10000);
    }
    import->worker_count++;
    if (strcmp(worker->name, original) != 0) {
        struct import_at here = *at;
        here.worker = worker;
        import_note(&here, "its name was another one; a name here is made of a-z, 0-9, _ and -");
    }
    return worker;
}

void
import_note(const struct import_at *at, const char *text)
{
    import_put(&at->worker->body, "    # ");
    import_put(&at->worker->body, text);
    import_put(&at->worker->body, "\n");
}

/* ---- texts ------------------------------------------------------------------------------------
 */

void
import_quote(struct buf *out, const char *text)
{
    char escaped[8];
    buf_put(out, "\"", 1);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f) {
            (void)snprintf(escaped, sizeof escaped, "\\u%04x", *at);
            import_put(out, escaped);
        } else {
            buf_put(out, "\\", *at == '"' || *at == '\\');
            buf_put(out, at, 1);
        }
    }
    buf_put(out, "\"", 1);
}

void
import_put_literal(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        /* At the end, too: what comes behind it may be put in. */
        const char next = i + 1 < len ? text[i + 1] : '\0';
        const bool is_dollar = text[i] == '$' && (next == '$' || next == '{' || next == '\0');
        const bool is_percent = text[i] == '%' && (next == '%' || next == 'i' || next == '\0');
        buf_put(out, &text[i], 1);
        buf_put(out, &text[i], is_dollar || is_percent);
    }
}

void
import_expand(const struct import_at *at, const char *text, size_t len, struct buf *out)
{
    size_t plain = 0; /* bytes before i that stand for themselves */
    char *whole = strndup(text, len);
    if (whole == NULL) {
        at->import->failed = true;
        return;
    }
    for (size_t i = 0; i < len;) {
        struct buf piece = {0};
        const size_t used = at->expand != NULL ? at->expand(at, whole + i, &piece) : 0;
        if (used > 0) {
            import_put_literal(out, whole + i - plain, plain);
            buf_put(out, piece.data, piece.w);
            plain = 0;
            i += used;
        } else {
            plain++;
            i++;
        }
        out->failed = out->failed || piece.failed;
        buf_deinit(&piece);
    }
    import_put_literal(out, whole + len - plain, plain);
    free(whole);
}

const char *
import_find_end(const char *text, const char *end)
{
    return memmem(text, strnlen(text, VARIABLE_BYTES_MAX), end, strlen(end));
}

/* ---- options ----------------------------------------------------------------------------------
 */

static const char *
get_one(void *context, const char *name)
{
    (void)context;
    (void)name;
    return "1"; /* a text, a number, a name: what the variables will be is not known here */
}

/* There are no files here; an env_file need not be there to be named. */
static int
read_nothing(void *context, const char *path, struct config_file *file, struct config_diag *diag)
{
    (void)context;
    (void)path;
    (void)diag;
    file->data = calloc(1, 1);
    return file->data != NULL ? 0 : -1;
}

/* Let the reader take a worker that has this option. */
static bool
try_option(const char *key, const char *yaml, struct config_diag *diag)
{
    const struct config_env env = {.get = get_one, .read_file = read_nothing};
    const bool is_command = strcmp(key, "command") == 0;
    struct buf text = {0};
    struct config *config = NULL;
    import_put(&text, "workers:\n  x:\n");
    import_put(&text, is_command ? "" : "    command: [x]\n");
    import_put(&text, "    ");
    import_put(&text, key);
    import_put(&text, ": ");
    import_put(&text, yaml);
    import_put(&text, "\n");
    const struct config_source source = {
        .name = "x", .directory = "/", .data = text.data, .size_bytes = text.w};
    const bool is_good = !text.failed && config_load_text(&source, &env, &config, diag) == 0;
    config_free(config);
    buf_deinit(&text);
    return is_good;
}

/* Whether a line of what was written begins so. */
static bool
has_line(const struct buf *text, const char *start, size_t len)
{
    const char *at = (const char *)text->data, *end = text->w > 0 ? at + text->w : at;
    while (at != NULL && at < end) {
        if ((size_t)(end - at) >= len && memcmp(at, start, len) == 0) {
            return true;
        }
        at = memchr(at, '\n', (size_t)(end - at));
        at = at != NULL ? at + 1 : NULL;
    }
    return false;
}

/* Whether a variable is there already. */
static bool
has_name(const struct buf *environment, const char *name)
{
    struct buf start = {0};
    import_put(&start, "      ");
    import_quote(&start, name);
    import_put(&start, ":");
    const bool found = !start.failed && has_line(environment, (const char *)start.data, start.w);
    buf_deinit(&start);
    return found;
}

bool
import_option(const struct import_at *at, const char *key, const char *yaml)
{
    struct config_diag diag = {0};
    char why[300], start[CONFIG_NAME_BYTES_MAX + 8];
    const int len = snprintf(start, sizeof start, "    %s:", key);
    if (has_line(&at->worker->body, start, (size_t)len)) {
        (void)snprintf(why, sizeof why, "the worker has '%s' already", key);
        import_lost(at, why, NULL);
        return false;
    }
    if (config_option_find(&config_worker_table, key) < 0) {
        (void)snprintf(why, sizeof why, "there is no option '%s'", key);
        import_lost(at, why, NULL);
        return false;
    }
    if (!try_option(key, yaml, &diag)) {
        /* The list of what is allowed belongs to somebody who writes a file. */
        char *list = strstr(diag.text, " Allowed: ");
        if (list != NULL) {
            *list = '\0';
        }
        (void)snprintf(why, sizeof why, "not taken: %.280s", diag.text);
        import_lost(at, why, NULL);
        return false;
    }
    struct buf *body = &at->worker->body;
    import_put(body, "    ");
    import_put(body, key);
    import_put(body, ": ");
    import_put(body, yaml);
    import_put(body, "\n");
    return true;
}

bool
import_option_text(const struct import_at *at, const char *key, const char *text)
{
    struct buf value = {0};
    import_quote(&value, text);
    buf_put(&value, "", 1);
    const bool is_good = !value.failed && import_option(at, key, (const char *)value.data);
    at->import->failed = at->import->failed || value.failed;
    buf_deinit(&value);
    return is_good;
}

bool
import_option_words(const struct import_at *at, const char *key, char *const *words, size_t count)
{
    struct buf list = {0};
    import_put(&list, "[");
    for (size_t i = 0; i < count; i++) {
        struct buf word = {0};
        import_expand(at, words[i], strlen(words[i]), &word);
        buf_put(&word, "", 1);
        import_put(&list, i > 0 ? ", " : "");
        if (!word.failed) {
            import_quote(&list, (const char *)word.data);
        }
        list.failed = list.failed || word.failed;
        buf_deinit(&word);
    }
    import_put(&list, "]");
    buf_put(&list, "", 1);
    const bool is_good = !list.failed && import_option(at, key, (const char *)list.data);
    at->import->failed = at->import->failed || list.failed;
    buf_deinit(&list);
    return is_good;
}

void
import_command(const struct import_at *at, const char *key, const char *line)
{
    struct import_words words;
    const enum import_split result = import_words_split(line, &words);
    if (result != IMPORT_SPLIT_OK) {
        import_lost(at, import_split_text(result), "write it as a list by hand");
    } else if (words.count == 0) {
        import_lost(at, "it is empty", NULL);
    } else if (import_option_words(at, key, words.items, words.count)) {
        at->worker->has_command = at->worker->has_command || strcmp(key, "command") == 0;
    }
    import_words_free(&words);
}

bool
import_environment(const struct import_at *at, const char *name, size_t name_len, const char *value,
                   size_t value_len)
{
    struct buf text = {0}, line = {0};
    char *key = strndup(name, name_len);
    if (key != NULL && has_name(&at->worker->environment, key)) {
        free(key);
        return false;
    }
    if (at->worker->environment_count == ENVIRONMENT_MAX) {
        free(key);
        import_lost(at, "a worker may have at most 256 variables", NULL);
        return true;
    }
    import_expand(at, value, value_len, &text);
    buf_put(&text, "", 1);
    if (key == NULL || text.failed) {
        at->import->failed = true;
    } else {
        struct config_diag diag = {0};
        import_put(&line, "{");
        import_quote(&line, key);
        import_put(&line, ": ");
        import_quote(&line, (const char *)text.data);
        buf_put(&line, "}", 2);
        if (!line.failed && try_option("environment", (const char *)line.data, &diag)) {
            buf_put(&at->worker->environment, "      ", 6);
            buf_put(&at->worker->environment, line.data + 1, line.w - 3);
            import_put(&at->worker->environment, "\n");
            at->worker->environment_count++;
        } else {
            import_lost(at, line.failed ? "there is no memory for it" : diag.text, NULL);
        }
    }
    free(key);
    buf_deinit(&text);
    buf_deinit(&line);
    return true;
}

/* ---- rows -------------------------------------------------------------------------------------
 */

static bool
matches(const char *pattern, const char *key)
{
    const size_t len = strlen(pattern);
    return len > 0 && pattern[len - 1] == '*' ? strncmp(pattern, key, len - 1) == 0
                                              : strcmp(pattern, key) == 0;
}

void
import_key(const struct import_at *at, const struct import_row *rows, const char *value)
{
    while (rows->key != NULL && !matches(rows->key, at->key)) {
        rows++;
    }
    if (rows->take != NULL) {
        rows->take(at, rows, value);
    } else if (rows->why != NULL) {
        import_lost(at, rows->why, rows->instead);
    }
}

void
import_take_text(const struct import_at *at, const struct import_row *row, const char *value)
{
    struct buf text = {0};
    import_expand(at, value, strlen(value), &text);
    buf_put(&text, "", 1);
    if (!text.failed) {
        import_option_text(at, row->target, (const char *)text.data);
    }
    at->import->failed = at->import->failed || text.failed;
    buf_deinit(&text);
}

int
import_truth(const char *value)
{
    static const char *const words[2][5] = {{"false", "no", "off", "0", NULL},
                                            {"true", "yes", "on", "1", NULL}};
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; words[i][k] != NULL; k++) {
            if (strcasecmp(value, words[i][k]) == 0) {
                return i;
            }
        }
    }
    return -1;
}

void
import_take_bool(const struct import_at *at, const struct import_row *row, const char *value)
{
    const int truth = import_truth(value);
    if (truth < 0) {
        import_lost(at, "that is neither true nor false", NULL);
    } else {
        import_option(at, row->target, truth > 0 ? "true" : "false");
    }
}

void
import_take_true(const struct import_at *at, const struct import_row *row, const char *value)
{
    if (import_truth(value) != 1) {
        import_lost(at, row->target, NULL);
    }
}

void
import_take_false(const struct import_at *at, const struct import_row *row, const char *value)
{
    if (import_truth(value) != 0) {
        import_lost(at, row->target, NULL);
    }
}

void
import_take_number(const struct import_at *at, const struct import_row *row, const char *value)
{
    /* Digits need no quotes, and what is no number is told by the reader. */
    if (*value != '\0' && strspn(value, "0123456789") == strlen(value)) {
        import_option(at, row->target, value);
    } else {
        import_take_text(at, row, value);
    }
}

void
import_take_seconds(const struct import_at *at, const struct import_row *row, const char *value)
{
    char text[64], *end = NULL;
    const double seconds = strtod(value, &end);
    if (end == value || *end != '\0' || !(seconds >= 0 && seconds < 1e9)) {
        import_lost(at, "that is no number of seconds", NULL);
        return;
    }
    const long long ms = (long long)(seconds * 1000 + 0.5);
    (void)snprintf(text, sizeof text, ms % 1000 == 0 ? "%llds" : "%lldms",
                   ms % 1000 == 0 ? ms / 1000 : ms);
    import_option(at, row->target, text);
}

/* 50MB of others is 50MiB here: they count in 1024, too. */
void
import_take_size(const struct import_at *at, const struct import_row *row, const char *value)
{
    static const char *const units[][2] = {{"KB", "KiB"}, {"MB", "MiB"}, {"GB", "GiB"}, {"", "B"}};
    const size_t digits = strspn(value, "0123456789");
    char text[64];
    for (size_t i = 0; digits > 0 && digits < 30 && i < sizeof units / sizeof units[0]; i++) {
        if (strcasecmp(value + digits, units[i][0]) == 0) {
            (void)snprintf(text, sizeof text, "%.*s%s", (int)digits, value, units[i][1]);
            import_option(at, row->target, text);
            return;
        }
    }
    import_lost(at, "that is no size", NULL);
}

void
import_take_order(const struct import_at *at, const struct import_row *row, const char *value)
{
    (void)row;
    (void)value;
    import_lost(at, "the numbers say nothing of who needs whom",
                config_option_find(&config_worker_table, "depends_on") >= 0
                    ? "name with depends_on whom a worker needs"
                    : "workers start together");
}
