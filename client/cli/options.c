/* Reading options: see options.h. */
#include "client/cli/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/unit.h"
#include "proto/closest.h"

enum { TABLE_COUNT = 2, WORD_BYTES_MAX = 64 };

/* The state of one reading. `fault` is filled when something is wrong. */
struct reading {
    struct option_reader *in;
    struct options *options;
    char *fault;
    const char *called; /* instead of the option's name in a fault; or NULL */
};

__attribute__((format(printf, 2, 3))) static bool
fail(const struct reading *r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(r->fault, OPTIONS_FAULT_BYTES_MAX, format, arguments);
    va_end(arguments);
    return false;
}

static const struct option_row *
find_row(const struct reading *r, const char *name, size_t length, char letter)
{
    for (int t = 0; t < TABLE_COUNT; t++) {
        const struct option_row *row = r->in->tables[t];
        for (; row != NULL && row->name != NULL; row++) {
            if (letter != 0 ? row->letter == letter
                            : strlen(row->name) == length && memcmp(row->name, name, length) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

static bool
fail_unknown(const struct reading *r, const char *name, size_t length)
{
    char word[WORD_BYTES_MAX];
    struct closest near = {.word = word};
    (void)snprintf(word, sizeof word, "%.*s", (int)length, name);
    for (int t = 0; t < TABLE_COUNT; t++) {
        const struct option_row *row = r->in->tables[t];
        for (; row != NULL && row->name != NULL; row++) {
            closest_offer(&near, row->name);
        }
    }
    return near.best != NULL ? fail(r, "unknown option '%s', did you mean %s?", word, near.best)
                             : fail(r, "unknown option '%s'", word);
}

bool
options_has_word(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (const char *p = words; *p != '\0'; p += strspn(p, " ")) {
        const size_t n = strcspn(p, " ");
        if (n == length && memcmp(p, word, n) == 0) {
            return true;
        }
        p += n;
    }
    return false;
}

static bool
store_count(const struct reading *r, const struct option_row *row, const char *value)
{
    int64_t count;
    if (!unit_count(value, &count) || count < row->min || count > row->max) {
        return fail(r, "%s '%.40s': use a whole number from %lld to %lld", row->name, value,
                    (long long)row->min, (long long)row->max);
    }
    memcpy((char *)r->options + row->offset, &count, sizeof count);
    return true;
}

static bool
store_duration(const struct reading *r, const struct option_row *row, const char *value)
{
    char least[UNIT_SPAN_BYTES], most[UNIT_SPAN_BYTES];
    int64_t ms;
    if (!unit_duration(value, &ms) || ms < row->min || ms > row->max) {
        unit_duration_text(row->min, least);
        unit_duration_text(row->max, most);
        return fail(r, "%s '%.40s': use a time from %s to %s with ms, s, m or h, such as 1.5s",
                    r->called != NULL ? r->called : row->name, value, least, most);
    }
    memcpy((char *)r->options + row->offset, &ms, sizeof ms);
    return true;
}

static bool
store_more(const struct reading *r, const struct option_row *row, const char *value)
{
    struct texts *list = (struct texts *)(void *)((char *)r->options + row->offset);
    if (list->items == NULL) {
        list->items = calloc((size_t)r->in->argc, sizeof *list->items);
    }
    if (list->items == NULL) {
        return fail(r, "out of memory");
    }
    list->items[list->count++] = value;
    return true;
}

static bool
fail_word(const struct reading *r, const struct option_row *row, const char *value)
{
    char words[WORD_BYTES_MAX] = "", *rest = words;
    struct closest near = {.word = value};
    (void)snprintf(words, sizeof words, "%s", row->allowed);
    for (char *word = strtok_r(words, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        closest_offer(&near, word);
    }
    return near.best != NULL ? fail(r, "%s '%.40s': use one of %s; did you mean %s?", row->name,
                                    value, row->allowed, near.best)
                             : fail(r, "%s '%.40s': use one of %s", row->name, value, row->allowed);
}

static bool
store(const struct reading *r, const struct option_row *row, const char *value)
{
    char *field = (char *)r->options + row->offset;
    switch (row->kind) {
    case OPTION_FLAG:
        memcpy(field, &(bool){true}, sizeof(bool));
        return true;
    case OPTION_PRESET:
        memcpy(field, &row->preset, sizeof row->preset);
        return true;
    case OPTION_TEXT:
        if (row->allowed != NULL && !options_has_word(row->allowed, value)) {
            return fail_word(r, row, value);
        }
        if (value[0] == '\0') {
            return fail(r, "%s needs a value that is not empty: %s %s", row->name, row->name,
                        row->value);
        }
        memcpy(field, &value, sizeof value);
        return true;
    case OPTION_TEXTS:
        return store_more(r, row, value);
    case OPTION_DURATION:
        return store_duration(r, row, value);
    case OPTION_COUNT:
        return store_count(r, row, value);
    }
    return false;
}

static bool
has_value(const struct option_row *row)
{
    return row->kind != OPTION_FLAG && row->kind != OPTION_PRESET;
}

/* The next word as the value of an option. */
static bool
store_next(const struct reading *r, const struct option_row *row)
{
    if (r->in->next >= r->in->argc) {
        return fail(r, "%s needs a value: %s %s", row->name, row->name, row->value);
    }
    return store(r, row, r->in->argv[r->in->next++]);
}

static bool
read_long(const struct reading *r, const char *word)
{
    const size_t length = strcspn(word, "=");
    const struct option_row *row = find_row(r, word, length, 0);
    if (row == NULL) {
        return fail_unknown(r, word, length);
    }
    if (word[length] == '\0') {
        return has_value(row) ? store_next(r, row) : store(r, row, NULL);
    }
    return has_value(row) ? store(r, row, word + length + 1)
                          : fail(r, "%s takes no value", row->name);
}

/* -q, -n5, -n 5, -qj. */
static bool
read_short(const struct reading *r, const char *word)
{
    for (const char *p = word + 1; *p != '\0'; p++) {
        const struct option_row *row = find_row(r, NULL, 0, *p);
        if (row == NULL) {
            return fail(r, "unknown option '-%c'", *p >= ' ' && *p < 127 ? *p : '?');
        }
        if (has_value(row)) {
            return p[1] != '\0' ? store(r, row, p + 1) : store_next(r, row);
        }
        if (!store(r, row, NULL)) {
            return false;
        }
    }
    return true;
}

bool
options_read(struct option_reader *reader, struct options *options, const char **rest,
             int *rest_count, char fault[OPTIONS_FAULT_BYTES_MAX])
{
    const struct reading r = {reader, options, fault, NULL};
    bool takes_options = true;
    while (reader->next < reader->argc) {
        const char *word = reader->argv[reader->next];
        const bool is_option = takes_options && word[0] == '-' && word[1] != '\0';
        if (!is_option && takes_options && reader->stops_at_argument) {
            takes_options = false;
        }
        reader->next++;
        if (!is_option) {
            rest[(*rest_count)++] = word;
        } else if (strcmp(word, "--") == 0) {
            takes_options = false;
        } else if (!(word[1] == '-' ? read_long(&r, word) : read_short(&r, word))) {
            return false;
        }
    }
    return true;
}

bool
options_read_value(struct option_reader *reader, const char *option, const char *called,
                   const char *value, struct options *options, char fault[OPTIONS_FAULT_BYTES_MAX])
{
    const struct reading r = {reader, options, fault, called};
    const struct option_row *row = find_row(&r, option, strlen(option), 0);
    return row != NULL ? store(&r, row, value) : fail_unknown(&r, option, strlen(option));
}

void
options_deinit(struct options *options)
{
    struct texts *const lists[] = {&options->environment, &options->preload, &options->streams,
                                   &options->event_filters};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        free(lists[i]->items);
        *lists[i] = (struct texts){0};
    }
}
