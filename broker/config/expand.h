/* ${VAR} in a text: put the environment's values in. Owns the text that it makes. */
#ifndef PRONG_CONFIG_EXPAND_H
#define PRONG_CONFIG_EXPAND_H

#include "broker/config/config.h"

enum config_expand_result {
    CONFIG_EXPAND_OK,
    CONFIG_EXPAND_UNSET,  /* `name` is not set and has no default */
    CONFIG_EXPAND_SYNTAX, /* a ${ that is not ${NAME} or ${NAME:-default} */
    CONFIG_EXPAND_LONG,   /* more than CONFIG_TEXT_BYTES_MAX */
    CONFIG_EXPAND_NOMEM,
};

/* `text` is owned (free), only with OK; `name` is filled with UNSET. */
struct config_expansion {
    char *text;
    size_t len;
    char name[CONFIG_NAME_BYTES_MAX + 1];
};

/* ${NAME} is the variable, ${NAME:-text} the text when it is unset or empty, $$ a dollar; a dollar
 * before anything else stays as it is, so that a shell's own $VAR needs no escape. */
enum config_expand_result config_expand(const char *text, const struct config_env *env,
                                        struct config_expansion *result);

#endif
