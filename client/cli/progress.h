/* How far a call is: a bar on stderr when that is a terminal; with --progress lines on one that is
 * none. */
#ifndef PRONG_CLI_PROGRESS_H
#define PRONG_CLI_PROGRESS_H

#include "client/cli/cli.h"

enum { PROGRESS_NOTE_BYTES = 200 };

struct progress {
    bool is_wanted, is_terminal;
    bool is_drawn; /* a bar stands in the last line of the terminal */
    char last[PROGRESS_NOTE_BYTES + 64];
};

void progress_init(struct progress *p, const struct cli *cli);
/* `fraction` from 0 to 1, or NaN when only the note is known. The note is made safe. */
void progress_show(struct progress *p, double fraction, const char *note);
/* Before anything else is written, and at the end. */
void progress_clear(struct progress *p);

#endif
