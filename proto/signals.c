/* Names of signals: see signals.h. */
#include "proto/signals.h"

#include <stdbool.h>
#include <string.h>

/* The numbers are those of Linux on x86-64 and arm64. */
static const struct signals_row rows[] = {
    {"HUP", 1},   {"INT", 2},     {"QUIT", 3},  {"ILL", 4},     {"TRAP", 5},  {"ABRT", 6},
    {"BUS", 7},   {"FPE", 8},     {"KILL", 9},  {"USR1", 10},   {"SEGV", 11}, {"USR2", 12},
    {"PIPE", 13}, {"ALRM", 14},   {"TERM", 15}, {"STKFLT", 16}, {"CHLD", 17}, {"CONT", 18},
    {"STOP", 19}, {"TSTP", 20},   {"TTIN", 21}, {"TTOU", 22},   {"URG", 23},  {"XCPU", 24},
    {"XFSZ", 25}, {"VTALRM", 26}, {"PROF", 27}, {"WINCH", 28},  {"IO", 29},   {"PWR", 30},
    {"SYS", 31},
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0], DIGITS_MAX = 3 };

const struct signals_row *
signals_table(size_t *count)
{
    *count = ROW_COUNT;
    return rows;
}

const char *
signals_name(int number)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].number == number) {
            return rows[i].name;
        }
    }
    return NULL;
}

static char
upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Whether `text` begins with `word`, which is in capitals. */
static bool
begins(const char *text, size_t len, const char *word)
{
    const size_t n = strlen(word);
    for (size_t i = 0; i < n; i++) {
        if (i == len || upper(text[i]) != word[i]) {
            return false;
        }
    }
    return true;
}

static int
read_digits(const char *text, size_t len)
{
    int number = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
        number = number * 10 + (text[i] - '0');
    }
    return number <= SIGNALS_MAX ? number : 0;
}

int
signals_number(const char *text, size_t len)
{
    if (len > 0 && len <= DIGITS_MAX && text[0] >= '0' && text[0] <= '9') {
        return read_digits(text, len);
    }
    const size_t head = begins(text, len, "SIG") ? 3 : 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strlen(rows[i].name) == len - head && begins(text + head, len - head, rows[i].name)) {
            return rows[i].number;
        }
    }
    return 0;
}
