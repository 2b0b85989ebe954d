/* The manual page prong(1), made from the tables of verbs, options and exit codes. */
#ifndef PRONG_CLI_MAN_H
#define PRONG_CLI_MAN_H

#include <stdio.h>

/* Write it for man(7). */
void man_print(FILE *out);

#endif
