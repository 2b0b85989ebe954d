/* NAME=value lines: see envfile.h. */
#include "broker/config/envfile.h"

#include <stdio.h>
#include <string.h>

#define NAME_FIRST "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define NAME_REST  NAME_FIRST "0123456789"

static int
fail(struct config_envfile *file, const char *why)
{
    snprintf(file->why, sizeof file->why, "%s", why);
    return -1;
}

void
config_envfile_init(struct config_envfile *file, const char *data, size_t size_bytes)
{
    static const char mark[] = "\xef\xbb\xbf"; /* some editors put it in front of UTF-8 */
    *file = (struct config_envfile){.at = data, .end = data + size_bytes, .line = 1};
    if (size_bytes >= 3 && memcmp(data, mark, 3) == 0) {
        file->at += 3;
    }
}

static bool
is_at(const struct config_envfile *file, const char *set)
{
    return file->at < file->end && *file->at != '\0' && strchr(set, *file->at) != NULL;
}

static void
skip(struct config_envfile *file, const char *set)
{
    while (is_at(file, set)) {
        file->line += *file->at == '\n';
        file->at++;
    }
}

/* What is left of the line, without its end, which may be that of Windows. */
static size_t
rest_of_line(const struct config_envfile *file)
{
    const size_t left = (size_t)(file->end - file->at);
    const char *newline = memchr(file->at, '\n', left);
    size_t len = newline != NULL ? (size_t)(newline - file->at) : left;
    while (len > 0 && file->at[len - 1] == '\r') {
        len--;
    }
    return len;
}

/* Blank lines and comments. */
static void
skip_nothing(struct config_envfile *file)
{
    skip(file, " \t\r\n");
    while (is_at(file, "#;")) {
        file->at += rest_of_line(file);
        skip(file, " \t\r\n");
    }
}

static int
put(struct config_envfile *file, char byte)
{
    if (byte == '\0') {
        return fail(file, "a value cannot have a NUL character in it");
    }
    if (file->value_len == CONFIG_TEXT_BYTES_MAX) {
        snprintf(file->why, sizeof file->why, "a value may have at most %d KiB",
                 CONFIG_TEXT_BYTES_MAX / 1024);
        return -1;
    }
    file->value[file->value_len++] = byte;
    file->value[file->value_len] = '\0';
    return 0;
}

static int
take_plain(struct config_envfile *file)
{
    size_t len = rest_of_line(file);
    while (len > 0 && (file->at[len - 1] == ' ' || file->at[len - 1] == '\t')) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        const char c = file->at[i];
        if (c == '\\') {
            return fail(file, "put a value with a backslash in '...', where it stands for itself");
        }
        if (c == '#' && i > 0 && (file->at[i - 1] == ' ' || file->at[i - 1] == '\t')) {
            return fail(file, "put a value with a # behind a blank in quotes; a comment has a line "
                              "of its own");
        }
        if (put(file, c) != 0) {
            return -1;
        }
    }
    file->at += len;
    return 0;
}

/* A backslash between double quotes. */
static int
take_escape(struct config_envfile *file)
{
    file->at++;
    if (is_at(file, "\"\\$`")) {
        return put(file, *file->at++);
    }
    if (is_at(file, "\r") && file->at + 1 < file->end && file->at[1] == '\n') {
        file->at++;
    }
    if (is_at(file, "\n")) {
        file->at++;
        file->line++;
        return 0;
    }
    return fail(file,
                "in \"...\" a backslash stands only before \" \\ $ ` or the end of the line; in "
                "'...' it stands for itself");
}

static int
take_quoted(struct config_envfile *file)
{
    const char quote = *file->at++;
    while (file->at < file->end && *file->at != quote) {
        if (*file->at == '\\' && quote == '"') {
            if (take_escape(file) != 0) {
                return -1;
            }
            continue;
        }
        /* The end of a line of Windows is one of Unix in the value. */
        const bool is_crlf = is_at(file, "\r") && file->at + 1 < file->end && file->at[1] == '\n';
        file->line += *file->at == '\n';
        if (!is_crlf && put(file, *file->at) != 0) {
            return -1;
        }
        file->at++;
    }
    if (file->at == file->end) {
        file->line = file->first_line;
        snprintf(file->why, sizeof file->why, "the %c of this value has no other one", quote);
        return -1;
    }
    file->at++;
    skip(file, " \t");
    return rest_of_line(file) == 0
               ? 0
               : fail(file, "nothing may follow the quotes of a value in its line");
}

/* The length of "export " in front of a name, as files have it that a shell reads too. */
static size_t
export_length(const struct config_envfile *file)
{
    const size_t len = strlen("export"), left = (size_t)(file->end - file->at);
    return left > len && memcmp(file->at, "export", len) == 0 &&
                   (file->at[len] == ' ' || file->at[len] == '\t')
               ? len
               : 0;
}

int
config_envfile_next(struct config_envfile *file)
{
    skip_nothing(file);
    if (file->at == file->end) {
        return 0;
    }
    file->first_line = file->line;
    file->at += export_length(file);
    skip(file, " \t");
    file->name = file->at;
    if (!is_at(file, NAME_FIRST)) {
        return fail(file,
                    "a line is NAME=value, with a name of letters, digits and _ that does not "
                    "begin with a digit; or a comment that begins with #");
    }
    skip(file, NAME_REST);
    file->name_len = (size_t)(file->at - file->name);
    skip(file, " \t");
    if (!is_at(file, "=")) {
        return fail(file, rest_of_line(file) == 0
                              ? "a = is missing behind the name; NAME= gives it an empty value"
                              : "a line is NAME=value, with a name of letters, digits and _; or a "
                                "comment that begins with #");
    }
    file->at++;
    skip(file, " \t");
    file->value[0] = '\0';
    file->value_len = 0;
    const int rc = is_at(file, "'\"") ? take_quoted(file) : take_plain(file);
    return rc == 0 ? 1 : -1;
}
