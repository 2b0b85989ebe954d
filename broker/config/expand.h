/* ${VAR} in a text: put the environment's values in. Owns the text that it makes. */
#ifndef PRONG_CONFIG_EXPAND_H
#define PRONG_CONFIG_EXPAND_H

#include "broker/config/config.h"

enum config_expand_result {
    CONFIG_EXPAND_OK,
    CONFIG_EXPAND_UNSET,    /* `name` is not set and has no default */
    CONFIG_EXPAND_REQUIRED, /* `name` is unset or empty, and `message` says what for it is needed */
    CONFIG_EXPAND_SYNTAX,   /* a ${ that is none of the forms below */
    CONFIG_EXPAND_LONG,     /* more than CONFIG_TEXT_BYTES_MAX */
    CONFIG_EXPAND_NOMEM,
};

enum { CONFIG_EXPAND_MESSAGE_BYTES_MAX = 200 };

/* `text` is owned (free), only with OK; `name` is filled with UNSET and REQUIRED, `message` (which
 * may be empty, and is cut where it is long) with REQUIRED. */
struct config_expansion {
    char *text;
    size_t len;
    char name[CONFIG_NAME_BYTES_MAX + 1];
    char message[CONFIG_EXPAND_MESSAGE_BYTES_MAX];
};

/* ${NAME} is the variable, ${NAME:-text} the text when it is unset or empty, ${NAME:?text} an error
 * with the text then, $$ a dollar; a dollar before anything else stays as it is, so that a shell's
 * own $VAR needs no escape. */
enum config_expand_result config_expand(const char *text, const struct config_env *env,
                                        struct config_expansion *result);

/* Whether the text has a variable in it whose name says that it is a secret. */
bool config_expand_has_secret(const char *text);

#endif
