/* make_video PATH CODEC WIDTHxHEIGHT FRAMES RATE [FIRST [append]]: for tests in other languages. */
#include "tests/unit/devices/make_video.h"

#include <stdio.h>
#include <stdlib.h>

static int
number(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

int
main(int argc, char **argv)
{
    struct make_video what = {0};
    if (argc < 6 || sscanf(argv[3], "%dx%d", &what.width, &what.height) != 2) {
        fputs("usage: make_video PATH CODEC WIDTHxHEIGHT FRAMES RATE [FIRST [append]]\n", stderr);
        return 64;
    }
    what.codec = argv[2];
    what.frames = number(argv[4]);
    what.rate = number(argv[5]);
    what.first = argc > 6 ? number(argv[6]) : 0;
    what.append = argc > 7;
    return make_video(argv[1], &what) ? 0 : 1;
}
