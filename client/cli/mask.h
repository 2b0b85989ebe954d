/* Text for other people's eyes: what looks like a secret is made unreadable. Pure but for memory.
 *
 * Which names are those of secrets stands in proto/mask.h; here are whole texts, line by line. It
 * goes by names and shapes, and by secrets that are known; rather too much is masked than too
 * little. It is no proof: whoever sends such a text still has to look at it. */
#ifndef PRONG_CLI_MASK_H
#define PRONG_CLI_MASK_H

#include <stdbool.h>
#include <stddef.h>

enum {
    MASK_SECRETS_MAX = 256,
    MASK_SECRET_BYTES_MIN = 6, /* a shorter one would be found everywhere */
    MASK_VALUE_BYTES_MIN = 8,  /* of what is only guessed to be one */
};

/* Secrets that are masked wherever they stand. */
struct mask {
    char *secrets[MASK_SECRETS_MAX]; /* owned */
    size_t count;
};

/* Learn one, without blanks around it; what is too short or one too many is passed over. False
 * without memory. */
bool mask_learn(struct mask *mask, const char *secret, size_t len);
/* Learn what mask_copy would mask in this text for its name or shape, if it is as long as
 * MASK_VALUE_BYTES_MIN: it may stand elsewhere without its name. False without memory. */
bool mask_learn_from(struct mask *mask, const char *text, size_t len);
void mask_deinit(struct mask *mask);

/* A copy of the text with these masked: what was learnt; the password in a URL; the value behind
 * NAME=, NAME: and --NAME where the name is likely to be that of a secret, in JSON and YAML, too,
 * with all lines that belong to it.
 *
 *   out_len  bytes of the result, which has a NUL behind them
 *
 * Owned by the caller; NULL without memory. */
char *mask_copy(const struct mask *mask, const char *text, size_t len, size_t *out_len);

#endif
