/* Argument sets from a file of JSON Lines that may be longer than memory, and may never end. */
#ifndef PRONG_CLI_LINES_H
#define PRONG_CLI_LINES_H

#include "client/cli/cli.h"

struct lines {
    const char *name; /* for messages; borrowed */
    int fd;
    char *text; /* what was read and not taken; owned */
    size_t begin, end, capacity;
    bool is_over;       /* the end of the file was read, or it is not read any further */
    uint64_t number;    /* of the line that was taken last, from 1 */
    uint64_t size;      /* of the file in bytes, 0 when that is not known */
    uint64_t taken;     /* bytes */
    prong_writer *json; /* owned */
};

/* Open a file, "-" for stdin. */
int lines_open(struct cli *cli, const char *path, struct lines *lines);
void lines_close(struct lines *lines);

enum lines_took {
    LINES_SET,  /* *set is one, until the next is taken */
    LINES_NONE, /* nothing is there now; wait until fd is readable, unless is_over */
    LINES_BAD,  /* a line that is no set, or the file cannot be read: told, with *code */
};

/* Take the next set, without waiting for one. Empty lines are passed over. */
enum lines_took lines_take(struct cli *cli, struct lines *lines, prong_value *set, int *code);

#endif
