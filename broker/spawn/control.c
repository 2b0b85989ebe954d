/* Records over the pair of keeper and spawner, which owns its socket elsewhere; what they mean is
 * decided there. Runs in both. */
#include "broker/spawn/control.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>

bool
control_send(int socket, enum control_op op, int level)
{
    const struct control_record record = {.op = (int32_t)op, .level = level};
    ssize_t sent;
    do {
        sent = send(socket, &record, sizeof record, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof record;
}

enum control_result
control_receive(int socket, struct control_record *record)
{
    ssize_t got = recv(socket, record, sizeof *record, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == ECONNRESET)) {
        /* ECONNRESET comes once, ahead of the last words of a process that left some of ours
         * unread. */
        got = recv(socket, record, sizeof *record, MSG_DONTWAIT);
    }
    if (got == (ssize_t)sizeof *record) {
        return CONTROL_GOT;
    }
    /* Without memory the record is still there, and poll says so. */
    const bool is_later =
        got < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOMEM || errno == ENOBUFS);
    return is_later ? CONTROL_EMPTY : CONTROL_CLOSED;
}
