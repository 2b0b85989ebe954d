/* In the place of png.c where there was no libpng to build with. */
#include "client/picture/picture.h"

bool
picture_has_png(void)
{
    return false;
}

bool
picture_write_png(const struct picture *p, FILE *out, char why[PICTURE_WHY_BYTES])
{
    (void)p;
    (void)out;
    (void)snprintf(why, PICTURE_WHY_BYTES,
                   "this prong was built without libpng (package libpng-dev): use a .ppm, or for "
                   "gray frames a .pgm");
    return false;
}
