/* Names of Python modules: see module.h. */
#include "broker/config/module.h"

#include <stdio.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define DIGITS  "0123456789"

bool
config_module_check(const char *text, char *why, size_t why_bytes)
{
    const size_t len = strlen(text);
    if (len > 3 && strcmp(text + len - 3, ".py") == 0) {
        snprintf(why, why_bytes, "a module is named as in an import, without .py");
        return false;
    }
    for (const char *at = text;; at++) {
        const size_t name = strspn(at, LETTERS DIGITS);
        if (name == 0 || strspn(at, DIGITS) > 0 || (at[name] != '\0' && at[name] != '.')) {
            snprintf(why, why_bytes,
                     "a module is named as in an import, such as numpy or PIL.Image");
            return false;
        }
        at += name;
        if (*at == '\0') {
            return true;
        }
    }
}
