/* ${VAR} in a text: see expand.h. */
#include "broker/config/expand.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mask.h"

#define NAME_FIRST "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define NAME_REST  NAME_FIRST "0123456789"

struct output {
    char *text;
    size_t len, cap;
};

static enum config_expand_result
append(struct output *out, const char *text, size_t len)
{
    if (len > CONFIG_TEXT_BYTES_MAX - out->len) {
        return CONFIG_EXPAND_LONG;
    }
    if (out->len + len + 1 > out->cap) {
        const size_t cap = (out->len + len + 1) * 2;
        char *grown = realloc(out->text, cap);
        if (grown == NULL) {
            return CONFIG_EXPAND_NOMEM;
        }
        out->text = grown;
        out->cap = cap;
    }
    memcpy(out->text + out->len, text, len);
    out->len += len;
    out->text[out->len] = '\0';
    return CONFIG_EXPAND_OK;
}

/* `*at` stands behind "${" and is left behind "}". */
static enum config_expand_result
append_variable(struct output *out, const char **at, const struct config_env *env,
                struct config_expansion *result)
{
    const size_t len = strspn(*at, NAME_FIRST) > 0 ? strspn(*at, NAME_REST) : 0;
    const char *rest = *at + len;
    const bool has_default = rest[0] == ':' && rest[1] == '-';
    const bool is_required = rest[0] == ':' && rest[1] == '?';
    const char *instead = rest + (has_default || is_required ? 2 : 0);
    const char *end = has_default || is_required ? strchr(instead, '}') : instead;
    if (len == 0 || len > CONFIG_NAME_BYTES_MAX || end == NULL || *end != '}') {
        return CONFIG_EXPAND_SYNTAX;
    }
    memcpy(result->name, *at, len);
    result->name[len] = '\0';
    *at = end + 1;
    const char *value = env != NULL ? env->get(env->context, result->name) : NULL;
    if (has_default && (value == NULL || value[0] == '\0')) {
        return append(out, instead, (size_t)(end - instead));
    }
    if (is_required && (value == NULL || value[0] == '\0')) {
        snprintf(result->message, sizeof result->message, "%.*s",
                 end - instead < INT_MAX ? (int)(end - instead) : INT_MAX, instead);
        return CONFIG_EXPAND_REQUIRED;
    }
    return value != NULL ? append(out, value, strlen(value)) : CONFIG_EXPAND_UNSET;
}

enum config_expand_result
config_expand(const char *text, const struct config_env *env, struct config_expansion *result)
{
    struct output out = {0};
    enum config_expand_result rc = append(&out, "", 0);
    const char *at = text;
    while (rc == CONFIG_EXPAND_OK && *at != '\0') {
        if (at[0] == '$' && at[1] == '$') {
            rc = append(&out, "$", 1);
            at += 2;
        } else if (at[0] == '$' && at[1] == '{') {
            at += 2;
            rc = append_variable(&out, &at, env, result);
        } else {
            const size_t plain = strcspn(at + 1, "$") + 1;
            rc = append(&out, at, plain);
            at += plain;
        }
    }
    if (rc != CONFIG_EXPAND_OK) {
        free(out.text);
        return rc;
    }
    result->text = out.text;
    result->len = out.len;
    return CONFIG_EXPAND_OK;
}

bool
config_expand_has_secret(const char *text)
{
    while ((text = strstr(text, "${")) != NULL) {
        char name[CONFIG_NAME_BYTES_MAX + 1];
        text += 2;
        const size_t len = strspn(text, NAME_REST);
        if (len < sizeof name) {
            memcpy(name, text, len);
            name[len] = '\0';
            if (mask_is_secret(name)) {
                return true;
            }
        }
    }
    return false;
}
