/* prong-broker without a hub: looks at configurations, for the command line. Each function says on
 * stderr what went wrong and returns a sysexits code. */
#ifndef PRONG_SHELL_LOOK_H
#define PRONG_SHELL_LOOK_H

#include "broker/config/config.h"

/* Read a configuration with this process's environment; NULL after it was told why not. Owned. */
struct config *look_read(const char *file);
/* EX_OK, EX_CONFIG. */
int look_check(const char *file);
/* What it comes to, on stdout. EX_OK, EX_CONFIG, EX_NOUSER when it has no such worker, EX_IOERR. */
int look_show(const char *file, const struct config_show *how);
/* What a file of another process manager comes to, on stdout. `kind` is a word of --kind, or NULL
 * to guess. EX_OK, EX_USAGE, EX_CONFIG when nothing came of it, EX_IOERR. */
int look_import(const char *file, const char *kind);

#endif
