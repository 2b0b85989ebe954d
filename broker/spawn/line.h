/* A line for whoever reads stderr, of prongd and of the broker. */
#ifndef PRONG_BROKER_SPAWN_LINE_H
#define PRONG_BROKER_SPAWN_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Write at most PIPE_BUF bytes with one write that waits for nobody. False when there is no room
 * now or it cannot be written; of a terminal, which may have room for a part, that part stands. */
bool line_write(int fd, const char *line, size_t bytes);

#endif
