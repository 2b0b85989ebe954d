/* Secrets by their names: see mask.h. */
#include "proto/mask.h"

#include <string.h>

/* Of one name only the end matters, where its kind stands; longer ones are cut at the front. */
enum { WORD_BYTES_MAX = 32 };

/* A word that ends with one of these is a secret: PGPASSWORD, SECRETKEY. */
static const char *const endings[] = {"PASSWORD",  "PASSWORDS",  "PASSWD",     "PASSPHRASE",
                                      "PASSCODE",  "SECRET",     "SECRETS",    "TOKEN",
                                      "TOKENS",    "CREDENTIAL", "APIKEY",     "AUTHKEY",
                                      "SECRETKEY", "ACCESSKEY",  "PRIVATEKEY", "CREDENTIALS"};
/* These have to be the whole word, as MONKEY is no key. */
static const char *const words[] = {"KEY", "KEYS", "PASS", "PWD", "PW", "PIN", "COOKIE", "AUTH"};
/* Last words that make a name one of something public. */
static const char *const harmless[] = {"FILE", "PATH", "DIR", "ID", "FILES", "NAME", "URL", "SOCK"};

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
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        const size_t end = strlen(endings[i]);
        if (len >= end && strcmp(word + len - end, endings[i]) == 0) {
            return true;
        }
    }
    return is_in(word, words, COUNT_OF(words));
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
        word[used++] = (char)(is_small(c) ? c - 'a' + 'A' : c);
    }
    word[used] = '\0';
    return used > 0;
}

static bool
is_secret(const char *name, size_t len)
{
    char word[WORD_BYTES_MAX], last[WORD_BYTES_MAX] = "";
    size_t at = 0, count = 0;
    bool found = false;
    while (take_word(name, len, &at, word)) {
        found = found || is_secret_word(word);
        memcpy(last, word, sizeof last);
        count++;
    }
    /* The folder that a shell is in has the name of a password. */
    if (count == 1 && len == 3 && strcmp(last, "PWD") == 0) {
        return false;
    }
    return found && !is_in(last, harmless, COUNT_OF(harmless));
}

bool
mask_is_secret(const char *name)
{
    return is_secret(name, strlen(name));
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

/* The length of "://user:" at `at` when a password and its @ follow it, else 0. */
static size_t
url_prefix(const char *at, size_t *password)
{
    if (strncmp(at, "://", 3) != 0) {
        return 0;
    }
    const size_t all = strcspn(at + 3, "/?# \t\n\"'");
    const char *const host = memrchr(at + 3, '@', all);
    const char *const colon = host == NULL ? NULL : memchr(at + 3, ':', (size_t)(host - (at + 3)));
    if (colon == NULL) {
        return 0;
    }
    *password = (size_t)(host - colon) - 1;
    return (size_t)(colon - at) + 1;
}

static bool
is_name_byte(char c)
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
        } else if (before > 0 && is_secret(name, (size_t)(at - name))) {
            put(&o, at, before);
            secret = strcspn(at + before, end);
            put(&o, MASK_SHOWN, secret > 0 ? strlen(MASK_SHOWN) : 0);
            at += before + secret;
            name = at;
        } else {
            put(&o, at, 1);
            at++;
            name = is_name_byte(at[-1]) ? name : at;
        }
    }
    out[o.len < size_bytes ? o.len : size_bytes - 1] = '\0';
    return o.len;
}
