/* Masking what looks like a secret: see mask.h. Line by line, each from left to right. */
#include "client/cli/mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mask.h"

enum { NAME_BYTES_MAX = 100, LONG_USER_BYTES = 16, OUT_BYTES = 4096 };

/* The copy that is being written. */
struct copy {
    char *text;
    size_t len, capacity;
    bool failed;
    struct mask *learn; /* gets the values that are masked; or NULL */
    int block;          /* indent of a secret's key whose lines follow; -1: none */
};

/* One line, and where it is read. */
struct line {
    const char *text;
    size_t len, at;
    bool has_brace; /* a '{' was passed: commas end values */
    bool is_in_url; /* behind "://", up to a blank or a quote */
};

/* ---- what is known -------------------------------------------------------------------------- */

bool
mask_learn(struct mask *mask, const char *secret, size_t len)
{
    len = strnlen(secret, len); /* what stands behind a NUL is not kept, and may not count */
    while (len > 0 && strchr(" \t\r\n", secret[len - 1]) != NULL) {
        len--;
    }
    while (len > 0 && strchr(" \t\r\n", secret[0]) != NULL) {
        secret++;
        len--;
    }
    if (len < MASK_SECRET_BYTES_MIN || mask->count == MASK_SECRETS_MAX) {
        return true;
    }
    char *copy = strndup(secret, len);
    if (copy != NULL) {
        mask->secrets[mask->count++] = copy;
    }
    return copy != NULL;
}

void
mask_deinit(struct mask *mask)
{
    while (mask->count > 0) {
        free(mask->secrets[--mask->count]);
    }
}

/* Bytes of a known secret that begins here; 0 for none. */
static size_t
known(const struct mask *mask, const char *text, size_t len)
{
    size_t best = 0;
    for (size_t i = 0; i < mask->count; i++) {
        const size_t n = strlen(mask->secrets[i]);
        if (n > best && n <= len && memcmp(text, mask->secrets[i], n) == 0) {
            best = n;
        }
    }
    return best;
}

/* ---- writing -------------------------------------------------------------------------------- */

static void
put(struct copy *c, const char *text, size_t len)
{
    if (c->len + len + 1 > c->capacity) {
        const size_t capacity = 2 * (c->len + len) + OUT_BYTES;
        char *larger = c->failed ? NULL : realloc(c->text, capacity);
        if (larger == NULL) {
            c->failed = true;
            return;
        }
        c->text = larger;
        c->capacity = capacity;
    }
    memcpy(c->text + c->len, text, len);
    c->len += len;
    c->text[c->len] = '\0';
}

static void
put_masked(struct copy *c)
{
    put(c, MASK_SHOWN, sizeof MASK_SHOWN - 1);
}

static bool
is_in(char ch, const char *set)
{
    return ch != '\0' && strchr(set, ch) != NULL;
}

/* Copy the next `count` bytes of the line, in which known secrets are masked. */
static void
pass(struct copy *c, const struct mask *mask, struct line *l, size_t count)
{
    for (const size_t end = l->at + count; l->at < end;) {
        const size_t n = known(mask, l->text + l->at, l->len - l->at);
        if (n > 0) {
            put_masked(c);
            l->at += n;
        } else {
            l->has_brace |= l->text[l->at] == '{';
            l->is_in_url = l->is_in_url && !is_in(l->text[l->at], " \t\"'");
            put(c, l->text + l->at++, 1);
        }
    }
}

/* ---- values --------------------------------------------------------------------------------- */

/* The length of a value that begins in quotes, with them; to the end of the line without a second
 * one. */
static size_t
quoted(const char *text, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        if (text[i] == '\\') {
            i++;
        } else if (text[i] == text[0]) {
            return i + 1;
        }
    }
    return len;
}

/* The length of a value, quotes included. A value of YAML (`to_end`) goes on to the end of its
 * line, or in braces to a comma. */
static size_t
value_length(const struct line *l, bool to_end)
{
    const char *text = l->text + l->at;
    const size_t len = l->len - l->at;
    size_t n = 0;
    if (len > 0 && (text[0] == '"' || text[0] == '\'')) {
        return quoted(text, len);
    }
    const char *ends = to_end ? (l->has_brace ? ",}" : "") : " \t,;&'\"}])>";
    if (l->is_in_url) {
        ends = " \t&'\"}]>";
    }
    while (n < len && !is_in(text[n], ends)) {
        n++;
    }
    while (l->is_in_url && n > 0 && is_in(text[n - 1], ",;)")) {
        n--; /* of the text around it */
    }
    return n;
}

/* A value without the quote before it. */
static void
learn_value(struct copy *c, const char *value, size_t len)
{
    len -= len > 0 && is_in(value[len - 1], "\"'");
    if (c->learn != NULL && len >= MASK_VALUE_BYTES_MIN && !mask_learn(c->learn, value, len)) {
        c->failed = true;
    }
}

/* What stands in place of a value; quotes stay, so that JSON stays JSON, but for a second one with
 * which a known secret begins: that is masked behind this. */
static void
mask_value(struct copy *c, const struct mask *mask, struct line *l, size_t len)
{
    const char first = l->text[l->at];
    const bool has_quotes = first == '"' || first == '\'';
    const bool is_shared = has_quotes && len > 1 &&
                           known(mask, l->text + l->at + len - 1, l->len - l->at - len + 1) > 0;
    learn_value(c, l->text + l->at + has_quotes, len - has_quotes);
    if (has_quotes) {
        put(c, &first, 1);
    }
    put_masked(c);
    if (has_quotes && !is_shared) {
        put(c, &first, 1);
    }
    l->at += is_shared ? len - 1 : len;
}

static int
indent_of(const struct line *l)
{
    size_t n = 0;
    while (n < l->len && l->text[n] == ' ') {
        n++;
    }
    return (int)n;
}

/* Behind the name of a secret: NAME=value, NAME: value, "NAME": "value", --NAME value. True when a
 * value was masked. */
static bool
take_value(struct copy *c, const struct mask *mask, struct line *l, bool is_option)
{
    size_t at = l->at;
    at += at < l->len && is_in(l->text[at], "\"'");
    while (at < l->len && is_in(l->text[at], is_option ? " \t," : " \t")) {
        at++;
    }
    const char sign = at < l->len ? l->text[at] : '\0';
    if (sign != '=' && sign != ':' && !(is_option && at > l->at)) {
        return false;
    }
    at += sign == '=' || sign == ':';
    const size_t behind_sign = at;
    while (at < l->len && is_in(l->text[at], " \t")) {
        at++;
    }
    pass(c, mask, l, at - l->at);
    /* "NAME: |" and a "NAME:" with nothing behind it have their value in the lines that follow. */
    const size_t left = l->len - l->at;
    if (sign == ':' && (left == 0 || is_in(l->text[l->at], "|>"))) {
        c->block = indent_of(l);
    }
    const size_t n = value_length(l, sign == ':' && at > behind_sign);
    if (n == 0) {
        return false;
    }
    mask_value(c, mask, l, n);
    return true;
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* Behind "://": user:password@ before the end of the authority. */
static void
take_url(struct copy *c, const struct mask *mask, struct line *l)
{
    size_t user;
    const size_t login = mask_url_login(l->text + l->at, l->len - l->at, &user);
    if (user < login) {
        pass(c, mask, l, user + 1);
        mask_value(c, mask, l, login - user - 1);
    } else if (login >= LONG_USER_BYTES) { /* a token in the place of a user */
        mask_value(c, mask, l, login);
    }
}

static size_t
name_length(const struct line *l)
{
    size_t n = 0;
    while (l->at + n < l->len && mask_is_name_byte(l->text[l->at + n])) {
        n++;
    }
    return n;
}

static void
take_name(struct copy *c, const struct mask *mask, struct line *l, size_t len)
{
    const char *name = l->text + l->at;
    const bool is_option = len > 2 && name[0] == '-' && name[1] == '-';
    const bool is_of_url = l->is_in_url && len < l->len - l->at && name[len] == '=';
    const bool is_secret =
        len <= NAME_BYTES_MAX &&
        (is_of_url ? mask_may_be_secret_in_url(name, len) : mask_may_be_secret(name, len));
    pass(c, mask, l, len);
    if (is_secret) {
        (void)take_value(c, mask, l, is_option);
    }
}

static void
copy_line(struct copy *c, const struct mask *mask, const char *text, size_t len)
{
    struct line l = {.text = text, .len = len};
    const int indent = indent_of(&l);
    const bool is_empty = (size_t)indent == len;
    const bool is_item = !is_empty && text[indent] == '-' && indent == c->block;
    if (c->block >= 0 && !is_empty && (indent > c->block || is_item)) {
        learn_value(c, text + indent, len - (size_t)indent);
        put(c, text, (size_t)indent);
        put_masked(c);
        return;
    }
    c->block = is_empty ? c->block : -1;
    while (l.at < l.len) {
        const size_t n = known(mask, text + l.at, len - l.at) > 0 ? 0 : name_length(&l);
        if (n > 0) {
            take_name(c, mask, &l, n);
        } else if (len - l.at > 3 && memcmp(text + l.at, "://", 3) == 0) {
            pass(c, mask, &l, 3);
            l.is_in_url = true;
            take_url(c, mask, &l);
        } else {
            pass(c, mask, &l, 1);
        }
    }
}

static void
copy_all(struct copy *c, const struct mask *mask, const char *text, size_t len)
{
    put(c, "", 0);
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        const size_t n = end != NULL ? (size_t)(end - text) - at : len - at;
        copy_line(c, mask, text + at, n);
        at += n;
        if (end != NULL) {
            put(c, "\n", 1);
            at++;
        }
    }
}

char *
mask_copy(const struct mask *mask, const char *text, size_t len, size_t *out_len)
{
    struct copy c = {.block = -1};
    copy_all(&c, mask, text, len);
    if (c.failed) {
        free(c.text);
        return NULL;
    }
    *out_len = c.len;
    return c.text;
}

bool
mask_learn_from(struct mask *mask, const char *text, size_t len)
{
    const struct mask none = {.count = 0};
    struct copy c = {.block = -1, .learn = mask};
    copy_all(&c, &none, text, len);
    free(c.text);
    return !c.failed;
}
