/* prong-video, where the FFmpeg libraries were not there when it was built. */
#include <stdio.h>
#include <sysexits.h>

int
main(void)
{
    (void)fputs(
        "<3>prong-video was built without the FFmpeg libraries: the package libavdevice-dev has "
        "them; install it and build Prong again\n",
        stderr);
    return EX_CONFIG;
}
