/* Arguments on a command line: see args.h. */
#include "client/cli/args.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/output.h"
#include "client/cli/unit.h"

enum { INPUT_BYTES_MAX = 16 * 1024 * 1024, PIECE_BYTES = 64 * 1024, WORDS_MAX = 1024 };

/* One word, taken apart: where its key ends, and what stands behind the sign. */
struct word {
    const char *key;
    size_t key_len;
    const char *value;
    bool is_json, is_file;
};

static bool
take_apart(const char *text, struct word *word)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return false;
    }
    const bool is_json = equals[-1] == ':';
    *word = (struct word){.key = text,
                          .key_len = (size_t)(equals - text) - is_json,
                          .value = equals + 1,
                          .is_json = is_json};
    if (word->value[0] == '@') {
        word->value++;
        word->is_file = word->value[0] != '@' || is_json;
    }
    return word->key_len > 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

struct content {
    char *text; /* owned */
    size_t len;
};

/* Until the end of file; stdin that says nothing ends the wait at the verb's deadline. */
static int
read_all(struct cli *cli, int fd, const char *name, struct content *out)
{
    const bool waits = fd == STDIN_FILENO && !isatty(fd) && cli->deadline_ms != CLI_NEVER_MS;
    size_t capacity = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (waits && poll(&p, 1, unit_left_ms(cli->deadline_ms, 3600000)) == 0) {
            output_say(cli, "%s did not end in time (--timeout)", name);
            return CLI_TIMEOUT;
        }
        if (out->len == capacity) {
            capacity += capacity > 0 ? capacity : PIECE_BYTES;
            char *text = capacity <= 2 * INPUT_BYTES_MAX ? realloc(out->text, capacity) : NULL;
            if (text == NULL) {
                return output_no_memory(cli);
            }
            out->text = text;
        }
        const ssize_t n = read(fd, out->text + out->len, capacity - out->len);
        if (n == 0) {
            return CLI_OK;
        }
        if (n < 0 && errno != EINTR) {
            output_say(cli, "cannot read %s: %s", name, strerror(errno));
            return CLI_FAILED;
        }
        out->len += n > 0 ? (size_t)n : 0;
        if (out->len > INPUT_BYTES_MAX) {
            output_say(cli, "%s is larger than %d MiB", name, INPUT_BYTES_MAX / 1024 / 1024);
            return CLI_FAILED;
        }
    }
}

static int
read_file(struct cli *cli, const char *path, struct content *out)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        output_say(cli, "cannot open %s: %s", path, strerror(errno));
        return CLI_FAILED;
    }
    const int code = read_all(cli, fd, path, out);
    close(fd);
    return code;
}

/* ---- values --------------------------------------------------------------------------------- */

/* Through a writer of its own: one that has failed can only be reset, and in `w` stands more. */
static int
write_json(struct cli *cli, const char *name, const char *text, size_t len, prong_writer *w)
{
    char why[200];
    prong_writer *own = prong_writer_new();
    prong_value value;
    prong_err err = own != NULL ? prong_value_from_json(text, len, own, why, sizeof why)
                                : PRONG_RESOURCE_EXHAUSTED;
    err = err == PRONG_OK ? prong_writer_finish(own, &value) : err;
    if (err == PRONG_OK) {
        prong_writer_raw(w, &value);
    }
    prong_writer_free(own);
    return err == PRONG_OK                 ? CLI_OK
           : err == PRONG_INVALID_ARGUMENT ? output_usage(cli, "%s is not JSON: %s", name, why)
                                           : output_no_memory(cli);
}

int
args_write_json(struct cli *cli, const char *json, prong_writer *w)
{
    struct content all = {0};
    int code;
    if (strcmp(json, "-") != 0) {
        return write_json(cli, "the JSON", json, strlen(json), w);
    }
    code = read_all(cli, STDIN_FILENO, "stdin", &all);
    if (code == CLI_OK) {
        code = write_json(cli, "stdin", all.text, all.len, w);
    }
    free(all.text);
    return code;
}

static int
write_value(struct cli *cli, const struct word *word, prong_writer *w)
{
    struct content file = {0};
    char name[120];
    int code = CLI_OK;
    (void)snprintf(name, sizeof name, "%.*s", (int)(word->key_len < 100 ? word->key_len : 100),
                   word->key);
    if (word->is_file) {
        code = read_file(cli, word->value, &file);
    }
    const char *text = word->is_file ? file.text : word->value;
    const size_t len = word->is_file ? file.len : strlen(word->value);
    if (code == CLI_OK && word->is_json) {
        code = write_json(cli, name, text, len, w);
    } else if (code == CLI_OK) {
        prong_writer_text(w, text, len);
    }
    free(file.text);
    return code;
}

static bool
is_twice(const char *const *words, int count, const struct word *word)
{
    struct word other;
    for (int i = 0; i < count; i++) {
        if (take_apart(words[i], &other) && other.key_len == word->key_len &&
            memcmp(other.key, word->key, word->key_len) == 0) {
            return true;
        }
    }
    return false;
}

static int
write_pairs(struct cli *cli, const char *const *words, int count, prong_writer *w)
{
    struct word word;
    char key[256];
    int code = CLI_OK;
    if (count > WORDS_MAX) {
        return output_usage(cli, "more than %d arguments", WORDS_MAX);
    }
    prong_writer_map(w, (uint32_t)count);
    for (int i = 0; i < count && code == CLI_OK; i++) {
        if (!take_apart(words[i], &word)) {
            return output_usage(cli,
                                "'%.80s' is neither key=value, key:=json, key=@file nor a "
                                "single JSON object or -",
                                words[i]);
        }
        if (word.key_len >= sizeof key) {
            return output_usage(cli, "the key '%.40s...' is too long", word.key);
        }
        if (is_twice(words, i, &word)) {
            return output_usage(cli, "%.*s is given twice", (int)word.key_len, word.key);
        }
        memcpy(key, word.key, word.key_len);
        key[word.key_len] = '\0';
        prong_writer_key(w, key);
        code = write_value(cli, &word, w);
    }
    if (code == CLI_OK && prong_writer_problem(w)[0] != '\0') {
        return output_usage(cli, "%s", prong_writer_problem(w));
    }
    return code;
}

int
args_write(struct cli *cli, const char *const *words, int count, prong_writer *w)
{
    if (count == 1 && (words[0][0] == '{' || words[0][0] == '[' || strcmp(words[0], "-") == 0)) {
        return args_write_json(cli, words[0], w);
    }
    return write_pairs(cli, words, count, w);
}

/* ---- what was meant ------------------------------------------------------------------------- */

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Whether a message names a key: within quotes, or at least as a whole word. */
static bool
names(const char *message, const struct word *word, bool in_quotes)
{
    const size_t n = word->key_len;
    for (const char *p = message; *p != '\0'; p++) {
        const char before = p > message ? p[-1] : ' ';
        if (strncmp(p, word->key, n) != 0) {
            continue;
        }
        if (in_quotes ? (before == '\'' || before == '"' || before == '`') &&
                            (p[n] == '\'' || p[n] == '"' || p[n] == '`')
                      : !is_letter(before) && !is_letter(p[n])) {
            return true;
        }
    }
    return false;
}

static bool
is_json_but_no_text(const char *text)
{
    prong_writer *w = prong_writer_new();
    prong_value value;
    const bool is =
        w != NULL && prong_value_from_json(text, strlen(text), w, NULL, 0) == PRONG_OK &&
        prong_writer_finish(w, &value) == PRONG_OK && prong_value_kind(&value) != PRONG_KIND_TEXT;
    prong_writer_free(w);
    return is;
}

const char *
args_find_mistyped(const char *const *words, int count, const char *message, size_t *key_len)
{
    if (strstr(message, "there is no argument") != NULL) {
        return NULL; /* of any type: the hub says so of its own methods */
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < count; i++) {
            struct word word;
            if (take_apart(words[i], &word) && !word.is_json &&
                word.value == words[i] + word.key_len + 1 && names(message, &word, round == 0) &&
                is_json_but_no_text(word.value)) {
                *key_len = word.key_len;
                return words[i];
            }
        }
    }
    return NULL;
}
