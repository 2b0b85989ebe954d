#include "proto/device/gpio.h"

#include <stdio.h>
#include <string.h>

enum {
    WORD_BYTES_MAX = 64,
    MS_PER_SECOND = 1000,
    FOR_IN = 1,
    FOR_OUT = 2,
};

/* A word of the text: alone, or with a value behind "=". */
struct word {
    const char *key;
    const char *const *values; /* ends with NULL; the place of the one given is stored */
    size_t offset;             /* of the member of struct gpio_line */
    int alone;                 /* without values: what is stored */
    int direction;             /* FOR_IN, FOR_OUT or both */
    bool is_duration;
};

#define MEMBER(name) .offset = offsetof(struct gpio_line, name)

static const char *const edges[] = {"both", "rising", "falling", "none", NULL};
static const char *const biases[] = {"as-is", "pull-up", "pull-down", "off", NULL};
static const char *const drives[] = {"push-pull", "open-drain", "open-source", NULL};
static const char *const levels[] = {"0", "1", NULL};

static const struct word words[] = {
    {"in", MEMBER(direction), .alone = GPIO_IN, .direction = FOR_IN},
    {"out", MEMBER(direction), .alone = GPIO_OUT, .direction = FOR_OUT},
    {"active-low", MEMBER(active_low), .alone = 1, .direction = FOR_IN | FOR_OUT},
    {"bias", MEMBER(bias), .values = biases, .direction = FOR_IN | FOR_OUT},
    {"edge", MEMBER(edge), .values = edges, .direction = FOR_IN},
    {"debounce", MEMBER(debounce_ms), .is_duration = true, .direction = FOR_IN},
    {"drive", MEMBER(drive), .values = drives, .direction = FOR_OUT},
    {"initial", MEMBER(initial), .values = levels, .direction = FOR_OUT},
};
enum { WORD_COUNT = sizeof words / sizeof words[0] };

const char *
gpio_edge_word(enum gpio_edge_kind edge)
{
    return edges[edge];
}

/* ---- sentences --------------------------------------------------------------------------------
 */

static void
add(char *why, size_t why_bytes, const char *before, const char *text, const char *after)
{
    const size_t used = strlen(why);
    snprintf(why + used, why_bytes - used, "%s%s%s", before, text, after);
}

static bool
refuse_word(const char *word, char *why, size_t why_bytes)
{
    snprintf(why, why_bytes, "there is no '%.40s'; there are ", word);
    for (size_t i = 0; i < WORD_COUNT; i++) {
        const bool is_alone = words[i].values == NULL && !words[i].is_duration;
        add(why, why_bytes, i > 0 ? ", " : "", words[i].key, is_alone ? "" : "=");
    }
    return false;
}

static bool
refuse_value(const struct word *word, char *why, size_t why_bytes)
{
    snprintf(why, why_bytes, "'%s=' is followed by ", word->key);
    for (size_t i = 0; word->values[i] != NULL; i++) {
        const char *between = i == 0 ? "" : word->values[i + 1] != NULL ? ", " : " or ";
        add(why, why_bytes, between, word->values[i], "");
    }
    return false;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Digits alone, up to a million million; -1 for anything else. */
static int64_t
read_digits(const char *text, size_t len)
{
    int64_t number = 0;
    if (len == 0 || len > 12) {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

static bool
read_duration(const char *text, int *out, char *why, size_t why_bytes)
{
    const size_t len = strlen(text);
    const bool is_ms = len > 2 && strcmp(text + len - 2, "ms") == 0;
    const bool is_s = !is_ms && len > 1 && text[len - 1] == 's';
    int64_t number = is_ms || is_s ? read_digits(text, len - (is_ms ? 2 : 1)) : -1;
    number *= is_s ? MS_PER_SECOND : 1;
    if (number < 1 || number > GPIO_DEBOUNCE_MS_MAX) {
        snprintf(why, why_bytes, "'debounce=' is followed by a time from 1ms to %ds",
                 GPIO_DEBOUNCE_MS_MAX / MS_PER_SECOND);
        return false;
    }
    *out = (int)number;
    return true;
}

static const struct word *
find_word(const char *text, const char **value)
{
    const char *equals = strchr(text, '=');
    const size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    *value = equals != NULL ? equals + 1 : NULL;
    for (size_t i = 0; i < WORD_COUNT; i++) {
        const bool is_alone = words[i].values == NULL && !words[i].is_duration;
        if (strlen(words[i].key) == len && memcmp(words[i].key, text, len) == 0 &&
            is_alone == (equals == NULL)) {
            return &words[i];
        }
    }
    return NULL;
}

static bool
read_word(const char *text, struct gpio_line *line, unsigned *given, char *why, size_t why_bytes)
{
    const char *value;
    const struct word *word = find_word(text, &value);
    if (word == NULL) {
        return refuse_word(text, why, why_bytes);
    }
    int *member = (int *)(void *)((char *)line + word->offset);
    if ((*given & 1U << (word - words)) != 0) {
        snprintf(why, why_bytes, "'%s' stands there twice", word->key);
        return false;
    }
    *given |= 1U << (word - words);
    if (word->is_duration) {
        return read_duration(value, member, why, why_bytes);
    }
    *member = word->alone;
    for (int i = 0; word->values != NULL; i++) {
        if (word->values[i] == NULL) {
            return refuse_value(word, why, why_bytes);
        }
        if (strcmp(word->values[i], value) == 0) {
            *member = i;
            return true;
        }
    }
    return true;
}

/* What is said fits together. */
static bool
is_sound(const struct gpio_line *line, unsigned given, char *why, size_t why_bytes)
{
    const int direction = line->direction == GPIO_OUT ? FOR_OUT : FOR_IN;
    for (size_t i = 0; i < WORD_COUNT; i++) {
        if ((given & 1U << i) != 0 && (words[i].direction & direction) == 0) {
            snprintf(why, why_bytes, "'%s' is of no use to an %s", words[i].key,
                     direction == FOR_OUT ? "output" : "input");
            return false;
        }
    }
    if (line->debounce_ms > 0 && line->edge == GPIO_EDGE_NONE) {
        snprintf(why, why_bytes, "'debounce' is of no use without edges");
        return false;
    }
    return true;
}

/* The next word, without the quotes that it may stand in; false at the end, or when it is too
 * long or a quote is missing: then `*at` is not at the end. */
static bool
next_word(const char **at, char word[WORD_BYTES_MAX], bool *is_quoted)
{
    const char *from = *at + strspn(*at, " \t");
    *is_quoted = *from == '"';
    from += *is_quoted;
    const size_t len = strcspn(from, *is_quoted ? "\"" : " \t");
    *at = from;
    if ((len == 0 && !*is_quoted) || len >= WORD_BYTES_MAX || (*is_quoted && from[len] != '"')) {
        return false;
    }
    memcpy(word, from, len);
    word[len] = '\0';
    *at = from + len + *is_quoted;
    return true;
}

static bool
read_place(const char *word, bool is_quoted, struct gpio_line *line, char *why, size_t why_bytes)
{
    const size_t len = strlen(word);
    line->offset = is_quoted ? -1 : read_digits(word, len);
    if (line->offset > UINT16_MAX) {
        snprintf(why, why_bytes, "no chip has so many lines");
        return false;
    }
    if (line->offset >= 0) {
        return true;
    }
    const char *value;
    if (!is_quoted && (strchr(word, '=') != NULL || find_word(word, &value) != NULL)) {
        snprintf(why, why_bytes, "the number or the name of the line comes first");
        return false;
    }
    if (len == 0 || len > GPIO_NAME_BYTES_MAX) {
        snprintf(why, why_bytes, "the name of a line has 1 to %d bytes", GPIO_NAME_BYTES_MAX);
        return false;
    }
    memcpy(line->name, word, len + 1);
    return true;
}

bool
gpio_line_parse(const char *text, struct gpio_line *line, char *why, size_t why_bytes)
{
    char word[WORD_BYTES_MAX];
    unsigned given = 0;
    bool is_quoted;
    const char *at = text;
    *line = (struct gpio_line){.offset = -1};
    if (!next_word(&at, word, &is_quoted)) {
        snprintf(why, why_bytes, "%s",
                 *at == '\0' ? "the number or the name of the line is missing"
                             : "a word is too long, or a quote is missing");
        return false;
    }
    if (!read_place(word, is_quoted, line, why, why_bytes)) {
        return false;
    }
    while (next_word(&at, word, &is_quoted)) {
        if (!read_word(word, line, &given, why, why_bytes)) {
            return false;
        }
    }
    if (*at != '\0') {
        snprintf(why, why_bytes, "a word is too long, or a quote is missing");
        return false;
    }
    return is_sound(line, given, why, why_bytes);
}

bool
gpio_check_line(const char *text, char *why, size_t why_bytes)
{
    struct gpio_line line;
    return gpio_line_parse(text, &line, why, why_bytes);
}

bool
gpio_check_name(const char *text, char *why, size_t why_bytes)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const size_t len = strlen(text);
    if (len > 0 && len <= GPIO_NAME_BYTES_MAX && strspn(text, allowed) == len) {
        return true;
    }
    snprintf(why, why_bytes, "a line is called by 1 to %d of A-Z a-z 0-9 _ -", GPIO_NAME_BYTES_MAX);
    return false;
}
