/* The files of this machine: read whole, looked for, and what this process knows beside them.
 *
 * Functions that return int give -1 with the text and the error of `diag` filled; its file and
 * place are the caller's. Private to broker/config. */
#ifndef PRONG_CONFIG_FILES_H
#define PRONG_CONFIG_FILES_H

#include "broker/config/config.h"

/* Fill `diag`; returns -1, so that a caller can return it. */
int config_files_fail(struct config_diag *diag, int error, const char *text);
/* The same for a file of more than CONFIG_FILE_BYTES_MAX. */
int config_files_fail_size(struct config_diag *diag);

/* Read a whole file, or a pipe that this process was given: see `read_file` of struct config_env,
 * of which this is the one of config_env_process. `context` is not looked at. */
int config_files_read(void *context, const char *path, struct config_file *file,
                      struct config_diag *diag);

/* Its `find_files`. */
int config_files_find(void *context, const char *pattern, struct config_list *found,
                      struct config_diag *diag);

/* The directory of a file as an absolute path, by its name alone: where a symbolic link leads does
 * not matter. Owned by the caller (free); NULL with a filled `diag`. */
char *config_files_directory(const char *path, struct config_diag *diag);

#endif
