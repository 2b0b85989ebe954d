/* What the tests of the configuration share: an environment of their own and short ways to load. */
#ifndef PRONG_TESTS_CONFIG_HELPER_H
#define PRONG_TESTS_CONFIG_HELPER_H

#include "broker/config/config.h"
#include "broker/config/options.h"

/* HOME=/people/ada, WORD=many, TWO=2, EMPTY= and nothing else; every group but nobody_has_it,
 * every user but that one, "visoin" and those that begin with 4; 4 CPUs; the files of helper_files.
 */
extern const struct config_env helper_env;

/* A file that helper_env has: an absolute path, and its text, or NULL for one that is found and
 * cannot be read. `size_bytes` 0: the text ends with its NUL. */
struct helper_file {
    const char *path, *text;
    size_t size_bytes;
};
/* From now on helper_env has these, in the order of their paths; borrowed. */
void helper_files(const struct helper_file *rows, size_t count);

/* A sample with every section and every kind of value. */
extern const char helper_sample[];

/* Load a text as /etc/prong/x.yaml; a failure of the load fails the test. */
struct config *helper_load(const char *text);
/* Load a text that must fail; the message, valid until the next call. */
const char *helper_fail(const char *text);

/* Every option of `object` is what the table's default says. `what` names it in messages. */
void helper_expect_defaults(const struct config_table *table, const void *object, const char *what);

#endif
