/* Owns the spawner's end of the pair to the broker and the queue before it; what is queued is
 * decided elsewhere. Runs in the spawner. */
#include "broker/spawn/broker_link.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/spawn/clock.h"

enum { RETRY_MS = 20 };

bool
broker_link_init(struct broker_link *link)
{
    *link = (struct broker_link){.fd = -1};
    link->queue = calloc(BROKER_LINK_QUEUE_MAX, sizeof *link->queue);
    return link->queue != NULL;
}

void
broker_link_deinit(struct broker_link *link)
{
    broker_link_close(link);
    free(link->queue);
    link->queue = NULL;
}

void
broker_link_open(struct broker_link *link, int fd)
{
    broker_link_close(link);
    link->fd = fd;
}

void
broker_link_close(struct broker_link *link)
{
    if (link->fd >= 0) {
        close(link->fd);
    }
    link->fd = -1;
    link->head = 0;
    link->count = 0;
    link->retry_ns = 0;
}

bool
broker_link_queue(struct broker_link *link, const struct spawn_record *record, bool has_output)
{
    if (link->count == BROKER_LINK_QUEUE_MAX) {
        return false;
    }
    link->queue[(link->head + link->count) % BROKER_LINK_QUEUE_MAX] =
        (struct queued_record){.record = *record, .has_output = has_output};
    link->count++;
    return true;
}

enum spawn_io
broker_link_flush(struct broker_link *link, const struct family *family)
{
    link->retry_ns = 0;
    while (link->count > 0) {
        const struct queued_record *next = &link->queue[link->head];
        const int passed = !next->has_output ? -1
                           : next->record.op == SPAWN_INPUT
                               ? family_input_fd(family, next->record.id)
                               : family_output_fd(family, next->record.id);
        const enum spawn_io sent = spawn_record_send(link->fd, &next->record, NULL, passed);
        if (sent != SPAWN_IO_DONE) {
            if (sent == SPAWN_IO_NO_ROOM) {
                link->retry_ns = clock_now_ns() + (int64_t)RETRY_MS * NS_PER_MS;
            }
            return sent;
        }
        link->head = (link->head + 1) % BROKER_LINK_QUEUE_MAX;
        link->count--;
    }
    return SPAWN_IO_DONE;
}

short
broker_link_events(const struct broker_link *link, int64_t *deadline_ns)
{
    if (link->count > 0 && link->retry_ns > 0) {
        /* The socket would call itself writable all the time. */
        *deadline_ns = link->retry_ns < *deadline_ns ? link->retry_ns : *deadline_ns;
        return POLLIN;
    }
    return link->count > 0 ? POLLIN | POLLOUT : POLLIN;
}
