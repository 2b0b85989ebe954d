/* The arguments of prongd: one table drives reading and --help. */
#ifndef PRONG_BROKER_SPAWN_OPTIONS_H
#define PRONG_BROKER_SPAWN_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

enum { OPTIONS_NAME_LENGTH_MAX = 64, OPTIONS_FAULT_BYTES_MAX = 512 };

/* Strings are borrowed from argv; NULL if not given. */
struct options {
    const char *config;
    const char *runtime_dir;
    const char *name;
    const char *broker;
    const char *with_parent;
    int parent_pid; /* what with_parent says; 0 if it was not given */
    bool no_config;
    bool quiet;
    bool version;
    bool help;
    bool man;
};

/* Read argv into `options`. With --help, --man or --version nothing after it is looked at.
 *
 *   fault   caller's storage of OPTIONS_FAULT_BYTES_MAX bytes: on false one line for people,
 * without the program's name, that says what is wrong and what is allowed
 *
 * Returns false for what ends in exit code 64 (EX_USAGE). */
bool options_parse(int argc, char *const argv[], struct options *options,
                   char fault[OPTIONS_FAULT_BYTES_MAX]);

/* Print the text of --help. */
void options_print_help(FILE *out);

/* Print the manual page prongd(8), for man(7). */
void options_print_man(FILE *out, const char *version);

#endif
