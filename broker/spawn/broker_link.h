/* The spawner's end of the pair to the broker, with a bounded queue for a broker that reads slowly.
 */
#ifndef PRONG_BROKER_SPAWN_BROKER_LINK_H
#define PRONG_BROKER_SPAWN_BROKER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/spawn/family.h"
#include "broker/spawn/records.h"

/* A greeting of a full hub (all workers and their inputs, all ends) and as much again for what
 * happens meanwhile. */
enum { BROKER_LINK_QUEUE_MAX = 2 * (2 * SPAWN_CHILDREN_MAX + SPAWN_ENDED_MAX) };

struct queued_record {
    struct spawn_record record;
    bool has_output; /* send the output's descriptor along, if it is still there; with SPAWN_INPUT
                        that of the input */
};

struct broker_link {
    int fd; /* owned; -1 while there is no broker */
    struct queued_record *queue;
    size_t head, count;
    int64_t retry_ns; /* after NO_ROOM: not before; 0 otherwise */
};

/* False without memory. The queue is touched page by page as it fills. */
bool broker_link_init(struct broker_link *link);
void broker_link_deinit(struct broker_link *link);

/* Use `fd` from now on; it becomes the link's. */
void broker_link_open(struct broker_link *link, int fd);

/* Close the descriptor and forget what was not sent. May run twice. */
void broker_link_close(struct broker_link *link);

/* Queue one record. False if the queue is full: the broker does not read. */
bool broker_link_queue(struct broker_link *link, const struct spawn_record *record,
                       bool has_output);

/* Send what is queued, as far as the socket takes it. DONE: the queue is empty. */
enum spawn_io broker_link_flush(struct broker_link *link, const struct family *family);

/* The events for poll; the time after which a flush should be tried goes to `*deadline_ns` if it is
 * earlier. */
short broker_link_events(const struct broker_link *link, int64_t *deadline_ns);

#endif
