/* The configuration that the hub runs with, in its runtime directory: a broker that is started
 * anew while the file is wrong goes on with it. A file of mode 0600, with secrets in it; prongd
 * removes it at the end of the hub and before the first broker of the next one. */
#ifndef PRONG_SHELL_KEPT_H
#define PRONG_SHELL_KEPT_H

#include "broker/config/config.h"
#include "broker/shell/log.h"

enum { KEPT_WHY_BYTES_MAX = CONFIG_DIAG_BYTES_MAX + CONFIG_PATH_BYTES_MAX };

struct kept {
    struct config *config;        /* owned; NULL when there is none that can be used */
    char *path;                   /* of the file that it was read from, owned; NULL for none */
    char why[KEPT_WHY_BYTES_MAX]; /* what is the matter when there is none */
};

/* Write what the file at `path`, NULL for none, came to. A failure is told on the log: the hub is
 * none the worse for it now, and what was kept before is still there. */
void kept_write(const char *runtime_dir, const struct config *config, const char *path,
                const struct log *log);
/* Read it again. */
void kept_read(const char *runtime_dir, struct kept *kept);
/* May run twice, and with what is {0}. */
void kept_deinit(struct kept *kept);

#endif
