/* Help, made from the tables. */
#ifndef PRONG_CLI_HELP_H
#define PRONG_CLI_HELP_H

#include <stdio.h>

#include "client/cli/cli.h"

/* The options that every verb has; ends with an empty row. */
const struct option_row *help_common_options(void);

/* How the program ends; *count rows. */
struct help_exit_code {
    int code;
    const char *meaning;
};
const struct help_exit_code *help_exit_codes(size_t *count);
/* All verbs and exit codes. */
void help_print_all(FILE *out);
void help_print_verb(FILE *out, const struct verb *verb);
/* The verb that the first words name, by its name or an alias; *used words of them. NULL when there
 * is none. */
const struct verb *help_find_verb(const char *const *words, int count, int *used);
/* Tell that there is none, and what may have been meant. */
int help_no_such_verb(const struct cli *cli, const char *const *words, int count);

#endif
