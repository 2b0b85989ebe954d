/* Names of signals. <signal.h> has no portable way from a name to a number. Pure, no memory.
 * Nothing of it goes over a wire; it is here because the broker's configuration and its core share
 * it. */
#ifndef PRONG_PROTO_SIGNALS_H
#define PRONG_PROTO_SIGNALS_H

#include <stddef.h>

enum { SIGNALS_MAX = 64 }; /* the highest number; 32 and more have no names */

struct signals_row {
    const char *name; /* "HUP" */
    int number;
};

/* All names, in the order of their numbers; *count rows, static. */
const struct signals_row *signals_table(size_t *count);

/* The name of a number without SIG, static; NULL when it has none. */
const char *signals_name(int number);

/* The number of "HUP", "SIGHUP", "hup" or "1"; 0 when it is none from 1 to SIGNALS_MAX.
 *
 *   text  borrowed, `len` bytes, need not end with a NUL */
int signals_number(const char *text, size_t len);

#endif
