/* Files of NAME=value lines, as `env_file` names them: one variable after the other.
 *
 * What docker, compose, systemd and a shell read alike is read so; what they read in different ways
 * is refused, because a secret that arrives changed is found late:
 *
 *   - a line is blank, a comment that begins with # or ;, or NAME=value; `export` may stand in
 * front
 *   - a value without quotes ends with its line, blanks around it do not belong to it; it has no
 *     backslash, and no # behind a blank
 *   - in '...' everything stands for itself; in "..." a backslash stands before " \ $ ` or the end
 * of a line, which it joins with the next; both may go over several lines; nothing follows them
 *   - a dollar is a dollar: no variable is put in
 *
 * Pure; private to broker/config. */
#ifndef PRONG_CONFIG_ENVFILE_H
#define PRONG_CONFIG_ENVFILE_H

#include "broker/config/config.h"

struct config_envfile {
    const char *at, *end; /* what is still to be read; borrowed */
    uint32_t line;        /* where `at` is, from 1 */
    uint32_t first_line;  /* where the variable began */
    const char *name;     /* of the variable, borrowed from the text: */
    size_t name_len;      /* not ended by a NUL */
    char value[CONFIG_TEXT_BYTES_MAX + 1];
    size_t value_len;
    char why[200]; /* what is wrong in `line`; never has anything of a value */
};

/* Begin with a text, borrowed until the last variable was read. */
void config_envfile_init(struct config_envfile *file, const char *data, size_t size_bytes);
/* 1 with the next variable, 0 at the end, -1 with `why`. */
int config_envfile_next(struct config_envfile *file);

#endif
