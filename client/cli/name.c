/* A worker's name: see name.h. */
#include "client/cli/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Programs that run what their first argument names. A version may follow: python3.11. */
static const char *const interpreters[] = {"python", "pypy", "node", "nodejs", "deno",  "bun",
                                           "ruby",   "perl", "php",  "lua",    "julia", "Rscript",
                                           "java",   "sh",   "bash", "dash",   "zsh"};

static const char *
base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static bool
is_interpreter(const char *program)
{
    const char *base = base_of(program);
    for (size_t i = 0; i < sizeof interpreters / sizeof interpreters[0]; i++) {
        const size_t n = strlen(interpreters[i]);
        if (strncmp(base, interpreters[i], n) == 0 &&
            strspn(base + n, "0123456789.") == strlen(base + n)) {
            return true;
        }
    }
    return false;
}

/* What an interpreter is to run: its first argument that is no option, or the module behind -m;
 * NULL when it runs code of the command line. */
static const char *
script_of(const char *const *command, int count)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(command[i], "-c") == 0 || strcmp(command[i], "-e") == 0) {
            return NULL;
        }
        if (command[i][0] != '-' && strcmp(command[i], "run") != 0) {
            return command[i];
        }
    }
    return NULL;
}

void
name_guess(const char *const *command, int count, char out[PRONG_NAME_BYTES_MAX + 1])
{
    const char *what = is_interpreter(command[0]) ? script_of(command, count) : NULL;
    const char *base = base_of(what != NULL ? what : command[0]);
    const char *dot = strrchr(base, '.');
    /* The suffix of a script; but "python3.11" and "app.module" have none. */
    const bool has_suffix = dot != NULL && dot != base && strlen(dot) <= 4 &&
                            strspn(dot + 1, "0123456789") != strlen(dot + 1);
    const size_t length = has_suffix ? (size_t)(dot - base) : strlen(base);
    size_t used = 0;
    for (size_t i = 0; i < length && used < PRONG_NAME_BYTES_MAX; i++) {
        char c = base[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if (c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            out[used++] = c;
        } else if (used > 0 && out[used - 1] != '-') {
            out[used++] = '-';
        }
    }
    while (used > 0 && out[used - 1] == '-') {
        used--;
    }
    out[used] = '\0';
    if (used == 0 || strcmp(out, "hub") == 0) {
        (void)snprintf(out, PRONG_NAME_BYTES_MAX + 1, "%s", used == 0 ? "worker" : "hub-worker");
    }
}
