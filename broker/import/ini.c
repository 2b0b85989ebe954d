/* Files of sections and keys: see work.h. */
#include <stdlib.h>
#include <string.h>

#include "broker/import/work.h"

/* As much as 256 workers can have, and more; a value is at most what one may be here. */
enum { ENTRIES_MAX = 5000, VALUE_BYTES_MAX = CONFIG_TEXT_BYTES_MAX };

static char *
copy(const char *text, size_t len)
{
    char *out = malloc(len + 1);
    if (out != NULL) {
        memcpy(out, text, len);
        out[len] = '\0';
    }
    return out;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static void
trim(const char **text, size_t *len)
{
    while (*len > 0 && is_blank(**text)) {
        (*text)++;
        (*len)--;
    }
    while (*len > 0 && is_blank((*text)[*len - 1])) {
        (*len)--;
    }
}

static void
add(struct import_ini *ini, const char *section, const char *key, size_t key_len, const char *value,
    size_t value_len, uint32_t line)
{
    struct import_entry entry = {.line = line};
    struct import_entry *grown = NULL;
    entry.section = copy(section, strlen(section));
    if (key != NULL) {
        entry.key = copy(key, key_len);
        entry.value = copy(value, value_len);
    }
    if (ini->count < ENTRIES_MAX) {
        grown = realloc(ini->entries, (ini->count + 1) * sizeof *grown);
    }
    if (grown != NULL) {
        ini->entries = grown;
    }
    if (grown == NULL || entry.section == NULL ||
        (key != NULL && (entry.key == NULL || entry.value == NULL))) {
        free(entry.section);
        free(entry.key);
        free(entry.value);
        ini->failed = true;
        return;
    }
    ini->entries[ini->count++] = entry;
}

/* Join a line with the value before it. */
static void
go_on(struct import_ini *ini, const char *text, size_t len)
{
    struct import_entry *last = &ini->entries[ini->count - 1];
    const size_t old = strlen(last->value);
    char *value = old + len < VALUE_BYTES_MAX ? realloc(last->value, old + len + 2) : NULL;
    if (value == NULL) {
        ini->failed = true;
        return;
    }
    value[old] = '\n';
    memcpy(value + old + 1, text, len);
    value[old + 1 + len] = '\0';
    last->value = value;
}

/* A ; behind a blank, as supervisor has it. */
static size_t
without_comment(const char *text, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        if (text[i] == ';' && is_blank(text[i - 1])) {
            return i;
        }
    }
    return len;
}

static void
read_line(struct import_ini *ini, const char *text, size_t len, bool has_inline, uint32_t line)
{
    const bool is_more =
        len > 0 && is_blank(text[0]) && ini->count > 0 && ini->entries[ini->count - 1].key != NULL;
    trim(&text, &len);
    if (len == 0 || text[0] == '#' || text[0] == ';') {
        return;
    }
    len = has_inline ? without_comment(text, len) : len;
    trim(&text, &len);
    if (is_more) {
        go_on(ini, text, len);
        return;
    }
    if (text[0] == '[' && text[len - 1] == ']') {
        char *section = copy(text + 1, len - 2);
        if (section == NULL) {
            ini->failed = true;
            return;
        }
        add(ini, section, NULL, 0, NULL, 0, line);
        free(section);
        return;
    }
    size_t end = 0;
    while (end < len && text[end] != '=' && text[end] != ':') {
        end++;
    }
    if (end == len || end == 0 || ini->count == 0) {
        ini->bad_line = ini->bad_line == 0 ? line : ini->bad_line;
        return;
    }
    const char *key = text, *value = text + end + 1;
    size_t key_len = end, value_len = len - end - 1;
    trim(&key, &key_len);
    trim(&value, &value_len);
    char *section =
        copy(ini->entries[ini->count - 1].section, strlen(ini->entries[ini->count - 1].section));
    if (section == NULL) {
        ini->failed = true;
        return;
    }
    add(ini, section, key, key_len, value, value_len, line);
    free(section);
}

void
import_ini_read(const char *data, size_t size_bytes, bool has_inline, struct import_ini *ini)
{
    uint32_t line = 0;
    *ini = (struct import_ini){0};
    for (size_t at = 0; at < size_bytes && !ini->failed;) {
        const char *newline = memchr(data + at, '\n', size_bytes - at);
        const size_t len = newline != NULL ? (size_t)(newline - (data + at)) : size_bytes - at;
        read_line(ini, data + at, len, has_inline, ++line);
        at += len + 1;
    }
}

void
import_ini_deinit(struct import_ini *ini)
{
    for (size_t i = 0; i < ini->count; i++) {
        free(ini->entries[i].section);
        free(ini->entries[i].key);
        free(ini->entries[i].value);
    }
    free(ini->entries);
    *ini = (struct import_ini){0};
}
