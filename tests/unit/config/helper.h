/* What the tests of the configuration share: an environment of their own and short ways to load. */
#ifndef PRONG_TESTS_CONFIG_HELPER_H
#define PRONG_TESTS_CONFIG_HELPER_H

#include "broker/config/config.h"
#include "broker/config/options.h"

/* HOME=/people/ada, WORD=many, TWO=2, EMPTY= and nothing else; every group but nobody_has_it,
 * every user but that one, "visoin" and those that begin with 4; 4 CPUs. */
extern const struct config_env helper_env;

/* A sample with every section and every kind of value. */
extern const char helper_sample[];

/* Load a text as /etc/prong/x.yaml; a failure of the load fails the test. */
struct config *helper_load(const char *text);
/* Load a text that must fail; the message, valid until the next call. */
const char *helper_fail(const char *text);

/* Every option of `object` is what the table's default says. `what` names it in messages. */
void helper_expect_defaults(const struct config_table *table, const void *object, const char *what);

#endif
