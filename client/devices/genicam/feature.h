/* The features of a camera by their names: read, written, listed, as GenICam's description of the
 * camera has them. Knows no hub.
 *
 * Threads: those of the camera, one at a time. `why` has FEATURE_WHY_BYTES and is written when the
 * code is not PRONG_OK: a sentence of UTF-8. Errors of all: PRONG_NOT_FOUND (the camera has no such
 * feature), PRONG_FAILED_PRECONDITION (not now, or not in this direction), PRONG_UNAVAILABLE (the
 * camera does not answer). */
#ifndef PRONG_DEVICES_GENICAM_FEATURE_H
#define PRONG_DEVICES_GENICAM_FEATURE_H

#include <prong/value.h>

/* Of Aravis and GLib, the headers of which only the .c files need. */
typedef struct _ArvDevice ArvDevice;
typedef struct _GError GError;

enum { FEATURE_WHY_BYTES = 400 };

/* Copy a text of the camera, made UTF-8, cut to `size` bytes with its NUL. `from` may be NULL. */
void feature_copy_text(char *to, size_t size, const char *from);
/* The code of what Aravis says, and its text; frees it. */
prong_err feature_failed(GError *error, const char *what, char *why);

/* Write the value: a number, true or false, or a text, which for an enumeration is its word. */
prong_err feature_get(ArvDevice *device, const char *name, prong_writer *out, char *why);
/* `value` is read as the feature's type wants it. PRONG_INVALID_ARGUMENT says what is allowed. */
prong_err feature_set(ArvDevice *device, const char *name, const char *value, char *why);
prong_err feature_execute(ArvDevice *device, const char *name, char *why);
/* Write an array of maps, one for each feature. `between` is called before each, because a camera
 * has hundreds of them and is asked for each one. */
prong_err feature_list(ArvDevice *device, prong_writer *out, void (*between)(void *context),
                       void *context, char *why);

#endif
