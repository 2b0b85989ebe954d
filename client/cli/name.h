/* The name of a worker that was given none, guessed from its command. Pure. */
#ifndef PRONG_CLI_NAME_H
#define PRONG_CLI_NAME_H

#include <prong/codes.h>

/* The program's name without folder and suffix; of an interpreter's command that of its script or
 * module. Made of what a name may have: "/opt/My Cam.py" gives "my-cam". Never empty, never "hub".
 */
void name_guess(const char *const *command, int count, char out[PRONG_NAME_BYTES_MAX + 1]);

#endif
