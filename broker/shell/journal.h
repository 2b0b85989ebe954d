/* Lines for the journal of systemd, by its native protocol: a datagram of FIELD=value lines for
 * each.
 *
 * Nothing here waits: a journal that does not take a line costs that line. The socket is
 * /run/systemd/journal/socket, or what PRONG_JOURNAL_SOCKET in the hub's environment names. Runs on
 * the loop thread. */
#ifndef PRONG_SHELL_JOURNAL_H
#define PRONG_SHELL_JOURNAL_H

#include "broker/shell/log.h"
#include "broker/shell/logline.h"

struct journal {
    const struct log *log; /* borrowed for its life */
    int fd;                /* -1: not connected */
    uint64_t again_us;     /* when it was not there: not before this time */
    bool is_told;          /* that it is not there */
};

/* One line, of this replica of a worker. */
struct journal_line {
    const char *worker;
    uint32_t replica;
    unsigned priority;
    int32_t pid;
    uint64_t incarnation, time_us;
    const char *call; /* or "" */
    struct span text;
};

enum journal_outcome {
    JOURNAL_TAKEN,
    JOURNAL_FULL,   /* it does not take the line now, which is lost */
    JOURNAL_ABSENT, /* it is not there, which is told once; the line belongs elsewhere */
};

void journal_init(struct journal *journal, const struct log *log);
void journal_deinit(struct journal *journal);
enum journal_outcome journal_put(struct journal *journal, const struct journal_line *line);

#endif
