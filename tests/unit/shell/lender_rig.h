/* What the tests of the lender share: a hub's side with a loop of its own, and peers that are
 * sockets. All is in one process, so that a turn has done all there is to do. */
#ifndef PRONG_TESTS_SHELL_LENDER_RIG_H
#define PRONG_TESTS_SHELL_LENDER_RIG_H

#include "broker/shell/lender.h"
#include "proto/ring/pass.h"
#include "tests/support/dir.h"

/* Descriptors of a connection: both ends, and the watch on its process. */
enum { LEND_RIG_PEER_FDS = 3 };

struct lend_rig {
    int epoll_fd;
    struct lender *lender;
    struct log log;
    char path[DIR_FILE_BYTES_MAX];
    char news[4000]; /* what was told, each thing as a line */
};

/* What a peer got: a record and what came with it. */
struct got {
    struct lend_record record;
    int fds[LEND_FDS_MAX];
};

void lend_rig_open(struct lend_rig *r, uint64_t memory_bytes_max);
/* The same, with streams that must not be silent. */
void lend_rig_open_watching(struct lend_rig *r, const struct hub_silence *silences, size_t count);
void lend_rig_close(struct lend_rig *r);
/* Turn until a line of the news begins like this. */
void lend_rig_wait(struct lend_rig *r, const char *line);
/* Turns of the loop until nothing is ready. */
void lend_rig_turn(struct lend_rig *r);
/* A connection; nothing was asked yet. */
int lend_rig_connect(struct lend_rig *r);
/* Ask, and let the hub answer. */
void lend_rig_ask(struct lend_rig *r, int fd, struct lend_record ask);
/* Ask, and close another connection, so that the loop comes to the question first. */
void lend_rig_ask_before_end(struct lend_rig *r, int fd, struct lend_record ask, int ends);
/* Ask on a new connection. */
int lend_rig_peer(struct lend_rig *r, struct lend_record ask);
struct lend_record lend_writer(const char *name, uint32_t slots, uint64_t bytes);
struct lend_record lend_reader(const char *name, uint32_t policy, uint32_t hold, const char *group);

/* The next record, which must be of this kind; its descriptors are the caller's. */
struct got lend_get(int fd, enum lend_op op);
/* The same, when only the record matters. */
struct lend_record lend_read(int fd, enum lend_op op);
void lend_got_close(struct got *got);
/* It is refused with this code, and a text with these words. */
void lend_expect_refused(int fd, uint32_t code, const char *words);
void lend_expect_nothing(int fd);
bool lend_is_closed(int fd);
void lend_hang_up(struct lend_rig *r, int fd);
/* Map `size` bytes of what came; it is closed. */
void *lend_map(int *fd, size_t size, bool writable);

/* Open descriptors of this process. */
uint32_t lend_open_fds(void);
/* Let so many more be opened. */
void lend_allow_fds(uint32_t more);
/* As many as the system lets us; false when that is fewer. */
bool lend_raise_fds(uint32_t wanted);

#endif
