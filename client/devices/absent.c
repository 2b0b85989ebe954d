/* A program of devices whose library was not there when it was built. */
#include <stdio.h>
#include <sysexits.h>

int
main(void)
{
    (void)fputs("<3>" ABSENT_PROGRAM " was built without " ABSENT_LIBRARY
                ": the package " ABSENT_PACKAGE " has it; install it and build Prong again\n",
                stderr);
    return EX_CONFIG;
}
