/* prong-gen: prints the files that are made from the tables in proto/tbl.
 *
 * Built and run by developers only: what it prints is committed, and a test compares. */
#include "proto/gen/gen.h"

#include <stdlib.h>
#include <string.h>

static int
usage(void)
{
    (void)fprintf(stderr, "usage: prong-gen protocol FOLDER | constants | header | python\n");
    return 2;
}

int
main(int argc, char **argv)
{
    bool ok;
    if (argc == 3 && strcmp(argv[1], "protocol") == 0) {
        ok = gen_protocol(stdout, argv[2]);
    } else if (argc == 2 && strcmp(argv[1], "constants") == 0) {
        ok = gen_constants(stdout);
    } else if (argc == 2 && strcmp(argv[1], "header") == 0) {
        ok = gen_header(stdout);
    } else if (argc == 2 && strcmp(argv[1], "python") == 0) {
        ok = gen_python(stdout, PRONG_VERSION);
    } else {
        return usage();
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("prong-gen: stdout");
        ok = false;
    }
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
