/* Secrets in what people are shown: which names stand for one, and texts with theirs made
 * unreadable. Pure, no memory. Nothing of it goes over a wire; it is here because the broker and
 * the command line share it.
 *
 * This is a guess by names, made so that a bug report does not give a password away. It is no
 * border: who may read the configuration can read what is in it. */
#ifndef PRONG_PROTO_MASK_H
#define PRONG_PROTO_MASK_H

#include <stdbool.h>
#include <stddef.h>

/* What is shown instead. */
#define MASK_SHOWN "***"

/* Whether what has this name (of a variable, an option, a key) is likely to be a secret: one of its
 * words is or ends with PASSWORD, SECRET, TOKEN, KEY and the like. Words are separated by
 * everything that is no letter, and by a capital letter behind a small one. Names that end with
 * FILE, PATH, DIR or ID are of something that stands for the secret elsewhere, and are no secrets.
 */
bool mask_is_secret(const char *name);
/* The same, for what goes to strangers, where rather too much is masked than too little: such a
 * word may stand anywhere in the name. */
bool mask_may_be_secret(const char *name, size_t len);
/* The same for a name in the path or the query of a URL, where `key`, `pwd`, `sig` and `signature`
 * are secrets, too. */
bool mask_may_be_secret_in_url(const char *name, size_t len);
/* Whether a name of a variable, a key or an option may have this byte in it. */
bool mask_is_name_byte(char c);

/* Behind the "://" of a URL: the bytes of user:password before the @, 0 for none. *user is how many
 * of them are before the colon, all when there is no password. Takes any bytes. */
size_t mask_url_login(const char *text, size_t len, size_t *user);

/* The text with these replaced by MASK_SHOWN: the password of user:password@ in a URL; what follows
 * NAME= in the rest of a URL, up to the next & or blank; what follows NAME=, --NAME= or --NAME and
 * a blank anywhere else, up to the next blank, and ${NAME:- up to its }; all that when NAME is
 * likely to be a secret. A path that goes on behind such a value with something else than & is
 * masked with it: nobody knows where the value ends. Written to `out` with a NUL behind it and cut
 * to `size_bytes`, which is at least 1.
 *
 * Returns the length that it would have without the cut. */
size_t mask_text(const char *text, char *out, size_t size_bytes);
/* The same of a text that is one URL, or a path: blanks and quotes do not end a password in it. */
size_t mask_url(const char *url, char *out, size_t size_bytes);

/* Whether the text is an option without its value, as "--password" in front of the password. */
bool mask_is_option(const char *text);

#endif
