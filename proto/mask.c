/* Secrets by their names: see mask.h. */
#include "proto/mask.h"

#include <string.h>

/* Of one name only the end matters, where its kind stands; longer ones are cut at the front. */
enum { WORD_BYTES_MAX = 32 };

/* What names of secrets have in them: a word that ends with this (PGPASSWORD, SECRETKEY), or that
 * is exactly this, as MONKEY is no key. */
static const struct row {
    const char *word;
    bool is_whole;
} rows[] = {
    {"PASSWORD", false},
    {"PASSWORDS", false},
    {"PASSWD", false},
    {"PASSPHRASE", false},
    {"PASSCODE", false},
    {"SECRET", false},
    {"SECRETS", false},
    {"TOKEN", false},
    {"TOKENS", false},
    {"CREDENTIAL", false},
    {"CREDENTIALS", false},
    {"APIKEY", false},
    {"AUTHKEY", false},
    {"SECRETKEY", false},
    {"ACCESSKEY", false},
    {"PRIVATEKEY", false},
    {"AUTHORIZATION", false},
    {"BEARER", false},
    {"COOKIE", false},
    {"CONNECTIONSTRING", false},
    {"KEY", true},
    {"KEYS", true},
    {"PASS", true},
    {"PWD", true},
    {"PW", true},
    {"PIN", true},
    {"AUTH", true},
    {"DSN", true},
};
/* Last words that make a name one of something public: where a secret is, or how large. */
static const char *const harmless[] = {"FILE", "PATH", "DIR", "ID",    "FILES", "NAME", "URL",
                                       "SOCK", "MAX",  "MS",  "COUNT", "BYTES", "LEN"};
/* Names that are other things: the folder that a shell is in, and a word of every map. */
static const char *const other[] = {"PWD", "pwd", "key", "keys"};

#define COUNT_OF(table) (sizeof(table) / sizeof(table)[0])

static bool
is_small(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool
is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool
is_in(const char *word, const char *const *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, table[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool
is_secret_word(const char *word)
{
    const size_t len = strlen(word);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const size_t end = strlen(rows[i].word);
        if ((rows[i].is_whole ? len == end : len >= end) &&
            strcmp(word + len - end, rows[i].word) == 0) {
            return true;
        }
    }
    return false;
}

static char
capital(char c)
{
    return (char)(is_small(c) ? c - 'a' + 'A' : c);
}

/* Whether the letters of the name have the word in them from `at` on, with anything between. */
static bool
has_word_at(const char *name, size_t len, size_t at, const char *word)
{
    for (; at < len && *word != '\0'; at++) {
        if (capital(name[at]) == *word) {
            word++;
        } else if (is_small(name[at]) || is_capital(name[at])) {
            return false;
        }
    }
    return *word == '\0';
}

/* Whether a word that need not be whole stands anywhere in the name: tokenvalue, connection_string.
 */
static bool
has_word(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t at = 0; at < len && !rows[i].is_whole; at++) {
            if (has_word_at(name, len, at, rows[i].word)) {
                return true;
            }
        }
    }
    return false;
}

/* The next word of `len` bytes at `*at` in capital letters; false when there is none. */
static bool
take_word(const char *text, size_t len, size_t *at, char word[WORD_BYTES_MAX])
{
    size_t used = 0;
    while (*at < len && !is_small(text[*at]) && !is_capital(text[*at])) {
        (*at)++;
    }
    for (; *at < len && (is_small(text[*at]) || is_capital(text[*at])); (*at)++) {
        const char c = text[*at];
        if (used > 0 && is_capital(c) && is_small(text[*at - 1])) {
            break;
        }
        if (used == WORD_BYTES_MAX - 1) {
            memmove(word, word + 1, --used);
        }
        word[used++] = capital(c);
    }
    word[used] = '\0';
    return used > 0;
}

static bool
is_secret(const char *name, size_t len, bool is_careful)
{
    char word[WORD_BYTES_MAX], last[WORD_BYTES_MAX] = "";
    size_t at = 0;
    bool found = is_careful && has_word(name, len);
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        if (len == strlen(other[i]) && memcmp(name, other[i], len) == 0) {
            return false;
        }
    }
    while (take_word(name, len, &at, word)) {
        found = found || is_secret_word(word);
        memcpy(last, word, sizeof last);
    }
    return found && !is_in(last, harmless, COUNT_OF(harmless));
}

bool
mask_is_secret(const char *name)
{
    return is_secret(name, strlen(name), false);
}

bool
mask_may_be_secret(const char *name, size_t len)
{
    return is_secret(name, len, true);
}

bool
mask_is_option(const char *text)
{
    return text[0] == '-' && strchr(text, '=') == NULL && strchr(text, ' ') == NULL &&
           mask_is_secret(text);
}

/* ---- texts ------------------------------------------------------------------------------------
 */

struct output {
    char *out;
    size_t size, len;
};

static void
put(struct output *o, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++, o->len++) {
        if (o->len + 1 < o->size) {
            o->out[o->len] = text[i];
        }
    }
}

size_t
mask_url_login(const char *text, size_t len, size_t *user)
{
    size_t all = 0;
    while (all < len && (text[all] == '\0' || strchr("/?# \t\n\"'", text[all]) == NULL)) {
        all++;
    }
    const char *const host = memrchr(text, '@', all);
    const size_t login = host != NULL ? (size_t)(host - text) : 0;
    const char *const colon = memchr(text, ':', login);
    *user = colon != NULL ? (size_t)(colon - text) : login;
    return login;
}

/* The length of "://user:" at `at` when a password and its @ follow it, else 0. */
static size_t
url_prefix(const char *at, size_t *password)
{
    size_t user = 0;
    const size_t login =
        strncmp(at, "://", 3) == 0 ? mask_url_login(at + 3, strlen(at + 3), &user) : 0;
    if (user == login) {
        return 0;
    }
    *password = login - user - 1;
    return 3 + user + 1;
}

bool
mask_is_name_byte(char c)
{
    return is_small(c) || is_capital(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
}

/* How many bytes between the end of a name, where `at` is, and what it may give a value to; 0 when
 * no value follows. *end: the bytes that end the value. */
static size_t
before_value(const char *name, const char *at, const char **end)
{
    *end = " \t\n";
    if (*at == '=') {
        return 1;
    }
    if (*at == ' ' && *name == '-') {
        const size_t blanks = strspn(at, " ");
        return at[blanks] == '-' ? 0 : blanks;
    }
    *end = "}";
    return at[0] == ':' && at[1] == '-' ? 2 : 0;
}

size_t
mask_text(const char *text, char *out, size_t size_bytes)
{
    struct output o = {out, size_bytes, 0};
    const char *name = text; /* where the name that may end here began */
    for (const char *at = text; *at != '\0';) {
        const char *end;
        size_t secret = 0;
        const size_t prefix = url_prefix(at, &secret), before = before_value(name, at, &end);
        if (prefix > 0) {
            put(&o, at, prefix);
            put(&o, MASK_SHOWN, strlen(MASK_SHOWN));
            at += prefix + secret;
            name = at;
        } else if (before > 0 && is_secret(name, (size_t)(at - name), false)) {
            put(&o, at, before);
            secret = strcspn(at + before, end);
            put(&o, MASK_SHOWN, secret > 0 ? strlen(MASK_SHOWN) : 0);
            at += before + secret;
            name = at;
        } else {
            put(&o, at, 1);
            at++;
            name = mask_is_name_byte(at[-1]) ? name : at;
        }
    }
    out[o.len < size_bytes ? o.len : size_bytes - 1] = '\0';
    return o.len;
}
