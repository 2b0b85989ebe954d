/* Files of a bug report, as one archive or in a folder. */
#ifndef PRONG_CLI_BUNDLE_H
#define PRONG_CLI_BUNDLE_H

#include "client/cli/cli.h"

#include <limits.h>
#include <stdio.h>

enum bundle_form { BUNDLE_TAR_GZ, BUNDLE_TAR, BUNDLE_FOLDER };

struct bundle {
    char path[PATH_MAX]; /* of the file or folder */
    char root[64];       /* the folder inside an archive */
    enum bundle_form form;
    int64_t time_s;
    int fd;    /* of the file; -1 */
    FILE *tar; /* what is to be compressed, in memory; or the file itself */
};

/* Begin one: an archive for a path that ends with .tar.gz, .tgz or .tar, else a folder, which must
 * not be there or be empty. NULL: prong-doctor-TIME.tar.gz in the current folder. What is made can
 * be read by us alone, and nothing that exists is written over. */
int bundle_open(const struct cli *cli, const char *path, struct bundle *bundle);
/* Add one: a relative path with at most one folder. */
int bundle_add(const struct cli *cli, struct bundle *bundle, const char *name, const char *text,
               size_t len);
/* The end. With a `code` other than CLI_OK an archive is taken away again. Returns `code`, or what
 * went wrong. Accepts one that was not opened. */
int bundle_close(const struct cli *cli, struct bundle *bundle, int code);

#endif
