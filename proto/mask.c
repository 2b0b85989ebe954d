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
/* The same in a URL, where whoever has the signature may do what it is for. */
static const char *const signatures[] = {"SIG", "SIGNATURE"};
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

/* Where a name stands. In a URL `key` is no word of a map, and `pwd` no folder. */
enum place { IN_SETTINGS, IN_URL };

static bool
is_secret(const char *name, size_t len, bool is_careful, enum place place)
{
    char word[WORD_BYTES_MAX], last[WORD_BYTES_MAX] = "";
    size_t at = 0;
    bool found = is_careful && has_word(name, len);
    for (size_t i = 0; i < COUNT_OF(other) && place != IN_URL; i++) {
        if (len == strlen(other[i]) && memcmp(name, other[i], len) == 0) {
            return false;
        }
    }
    while (take_word(name, len, &at, word)) {
        found = found || is_secret_word(word) ||
                (place == IN_URL && is_in(word, signatures, COUNT_OF(signatures)));
        memcpy(last, word, sizeof last);
    }
    return found && !is_in(last, harmless, COUNT_OF(harmless));
}

bool
mask_is_secret(const char *name)
{
    return is_secret(name, strlen(name), false, IN_SETTINGS);
}

bool
mask_may_be_secret(const char *name, size_t len)
{
    return is_secret(name, len, true, IN_SETTINGS);
}

bool
mask_may_be_secret_in_url(const char *name, size_t len)
{
    return is_secret(name, len, true, IN_URL);
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

/* The bytes of user:password, which is over at any of `stops`. */
static size_t
login_length(const char *text, size_t len, const char *stops, size_t *user)
{
    size_t all = 0;
    while (all < len && (text[all] == '\0' || strchr(stops, text[all]) == NULL)) {
        all++;
    }
    const char *const host = memrchr(text, '@', all);
    const size_t login = host != NULL ? (size_t)(host - text) : 0;
    const char *const colon = memchr(text, ':', login);
    *user = colon != NULL ? (size_t)(colon - text) : login;
    return login;
}

size_t
mask_url_login(const char *text, size_t len, size_t *user)
{
    return login_length(text, len, "/?# \t\n\"'", user);
}

/* The length of "user:" at `at`, behind "://", when a password and its @ follow it, else 0. */
static size_t
login_prefix(const char *at, const char *stops, size_t *password)
{
    size_t user = 0;
    const size_t login = login_length(at, strlen(at), stops, &user);
    if (user == login) {
        return 0;
    }
    *password = login - user - 1;
    return user + 1;
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

/* A text that is being masked. */
struct reader {
    const char *at;
    const char *name; /* where the name that may end here began */
    bool is_url;      /* all of it is one, so that blanks do not end it */
    enum place place;
};

static void
mask_value(struct reader *r, struct output *o, size_t before, size_t secret, bool is_shown)
{
    put(o, r->at, before);
    put(o, MASK_SHOWN, is_shown ? strlen(MASK_SHOWN) : 0);
    r->at += before + secret;
    r->name = r->at;
}

/* At "://". */
static void
enter_url(struct reader *r, struct output *o)
{
    size_t password = 0;
    put(o, r->at, 3);
    r->at += 3;
    r->name = r->at;
    r->place = IN_URL;
    const size_t prefix = login_prefix(r->at, r->is_url ? "/?#" : "/?# \t\n", &password);
    if (prefix > 0) {
        mask_value(r, o, prefix, password, true);
    }
}

static size_t
mask_all(struct reader *r, char *out, size_t size_bytes)
{
    struct output o = {out, size_bytes, 0};
    while (*r->at != '\0') {
        const char *end;
        const size_t before = before_value(r->name, r->at, &end);
        const size_t len = (size_t)(r->at - r->name);
        if (strncmp(r->at, "://", 3) == 0) {
            enter_url(r, &o);
        } else if (r->place == IN_URL && *r->at == '=' && is_secret(r->name, len, false, IN_URL)) {
            const size_t secret = strcspn(r->at + 1, r->is_url ? "&" : "& \t\n");
            mask_value(r, &o, 1, secret, secret > 0);
        } else if (before > 0 && is_secret(r->name, len, false, IN_SETTINGS)) {
            const size_t secret = strcspn(r->at + before, end);
            mask_value(r, &o, before, secret, secret > 0);
        } else {
            const char c = *r->at++;
            put(&o, &c, 1);
            r->name = mask_is_name_byte(c) ? r->name : r->at;
            r->place = strchr(" \t\n", c) != NULL && !r->is_url ? IN_SETTINGS : r->place;
        }
    }
    out[o.len < size_bytes ? o.len : size_bytes - 1] = '\0';
    return o.len;
}

size_t
mask_text(const char *text, char *out, size_t size_bytes)
{
    struct reader r = {.at = text, .name = text};
    return mask_all(&r, out, size_bytes);
}

size_t
mask_url(const char *url, char *out, size_t size_bytes)
{
    struct reader r = {.at = url, .name = url, .is_url = true};
    return mask_all(&r, out, size_bytes);
}
