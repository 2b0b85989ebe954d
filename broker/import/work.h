/* What the kinds share: the workers that are being made, and ways to add to them. Private to
 * broker/import.
 *
 * Texts that go into a configuration are in its own form: ${NAME} a variable, $$ a dollar, %i the
 * number of the replica, %% a percent sign. Buffers fail in silence; import_text looks at the end.
 */
#ifndef PRONG_IMPORT_WORK_H
#define PRONG_IMPORT_WORK_H

#include "broker/import/import.h"
#include "proto/buf.h"

enum { IMPORT_WORDS_MAX = 256 };

struct import_worker {
    char name[CONFIG_NAME_BYTES_MAX + 1];
    const char *original; /* what it was called; borrowed from the entries */
    struct buf body, environment;
    size_t environment_count;
    bool has_command;
    uint32_t line;
};

struct import {
    const struct import_source *source;
    FILE *lost;
    struct import_worker *workers; /* CONFIG_WORKERS_MAX of them */
    size_t worker_count;
    struct import_worker defaults;
    bool failed; /* no memory */
};

/* Where something stands, and what it is for. */
struct import_at {
    struct import *import;
    struct import_worker *worker; /* NULL: none, such as for the manager itself */
    const char *section;          /* "program:web"; NULL where there are none */
    const char *key;
    uint32_t line;
    /* When a text of the other manager begins with something to put in at `at`: how many bytes of
     * it, after it was put in (or told to be lost and put in as it is); else 0. NULL: never. */
    size_t (*expand)(const struct import_at *at, const char *text, struct buf *out);
};

/* "FILE:LINE: [SECTION] KEY: why; instead". `instead` may be NULL. */
void import_lost(const struct import_at *at, const char *why, const char *instead);

/* A new worker, named as near to `original` as may be; NULL when there are too many (told). */
struct import_worker *import_worker_new(const struct import_at *at, const char *original);
/* A comment above the next option. */
void import_note(const struct import_at *at, const char *text);

/* Add an option, whose value is written as YAML: tried with the reader first, and told as lost with
 * what the reader says when it does not take it. False then. */
bool import_option(const struct import_at *at, const char *key, const char *yaml);
/* The same with a text that is put in quotes. */
bool import_option_text(const struct import_at *at, const char *key, const char *text);
/* Put a text of the other manager in the form of a configuration. */
void import_expand(const struct import_at *at, const char *text, size_t len, struct buf *out);
/* A list of texts of the other manager, each expanded. */
bool import_option_words(const struct import_at *at, const char *key, char *const *words,
                         size_t count);
/* One variable: the value is of the other manager. False when the worker has it already. */
bool import_environment(const struct import_at *at, const char *name, size_t name_len,
                        const char *value, size_t value_len);
/* A text with the quotes and escapes of YAML. */
void import_quote(struct buf *out, const char *text);
void import_put(struct buf *out, const char *text);
/* A text that stands for itself elsewhere, and might mean something in a configuration. */
void import_put_literal(struct buf *out, const char *text, size_t len);
/* Where `end` begins in the first bytes of a text, or NULL: names of variables are no longer. */
const char *import_find_end(const char *text, const char *end);

/* words.c: split as a shell would, without anything that needs one. The words are owned (each and
 * the list is freed by import_words_free). */
enum import_split { IMPORT_SPLIT_OK, IMPORT_SPLIT_QUOTE, IMPORT_SPLIT_MANY, IMPORT_SPLIT_NOMEM };
struct import_words {
    char *items[IMPORT_WORDS_MAX];
    size_t count;
};
enum import_split import_words_split(const char *text, struct import_words *words);
void import_words_free(struct import_words *words);
/* What to say about a text that cannot be split. */
const char *import_split_text(enum import_split result);
/* The command of a worker from one line that is no shell's. */
void import_command(const struct import_at *at, const char *key, const char *line);

/* ini.c: sections and keys with their lines, in order. A line that begins with a blank goes on with
 * the value before it, behind a newline. */
struct import_entry {
    char *section, *key, *value; /* owned; key and value are NULL for the section itself */
    uint32_t line;
};
struct import_ini {
    struct import_entry *entries;
    size_t count;
    uint32_t bad_line; /* that is neither; 0 for none */
    bool failed;       /* no memory, or more and longer ones than a configuration may have */
};
/* `has_inline`: a ; behind a blank begins a comment. */
void import_ini_read(const char *data, size_t size_bytes, bool has_inline, struct import_ini *ini);
void import_ini_deinit(struct import_ini *ini);

/* A key of another manager: what becomes of it. `take` gets it with `target`; without `take` it is
 * told with `why` and `instead`, and without `why` it needs nothing, because Prong does so anyway.
 * A * at the end of `key` stands for anything. */
struct import_row {
    const char *key;
    void (*take)(const struct import_at *at, const struct import_row *row, const char *value);
    const char *target, *why, *instead;
};
/* The row of at->key, and what it says. `rows` ends with an empty one, which holds for other keys.
 */
void import_key(const struct import_at *at, const struct import_row *rows, const char *value);

/* Functions for rows: the value becomes the option `target`. */
void import_take_text(const struct import_at *at, const struct import_row *row, const char *value);
void import_take_bool(const struct import_at *at, const struct import_row *row, const char *value);
/* What holds anyway when it is true, or false, needs no word; otherwise it is lost. */
void import_take_true(const struct import_at *at, const struct import_row *row, const char *value);
void import_take_false(const struct import_at *at, const struct import_row *row, const char *value);
void import_take_number(const struct import_at *at, const struct import_row *row,
                        const char *value);
void import_take_seconds(const struct import_at *at, const struct import_row *row,
                         const char *value);
void import_take_size(const struct import_at *at, const struct import_row *row, const char *value);
/* A number by which they are started one after the other. */
void import_take_order(const struct import_at *at, const struct import_row *row, const char *value);
/* What words of other managers mean: 1, 0, or -1 for no such word. */
int import_truth(const char *value);

/* The kinds: fill the workers. False when the file is not of it (told). */
bool import_supervisor(struct import *import, const struct import_ini *ini);
bool import_circus(struct import *import, const struct import_ini *ini);
bool import_procfile(struct import *import);

#endif
