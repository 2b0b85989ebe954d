/* Packing, checking, sending and receiving records; what they ask for is decided at either end.
 * Runs in the spawner and in the broker. */
#include "broker/spawn/records.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* The two ends may be built at different times (an upgrade of the broker alone): a change of the
 * layout must be seen here and raise SPAWN_RECORDS_VERSION. */
static_assert(sizeof(struct spawn_record) == 256, "the layout of spawn_record has changed");

const char *
spawn_step_text(enum spawn_step step)
{
    static const char *const texts[] = {
        [SPAWN_STEP_NONE] = "nothing failed",
        [SPAWN_STEP_RECORD] = "reading the request",
        [SPAWN_STEP_PIPE] = "making a pipe",
        [SPAWN_STEP_FORK] = "fork",
        [SPAWN_STEP_SESSION] = "making a session",
        [SPAWN_STEP_SIGNALS] = "resetting signals",
        [SPAWN_STEP_OUTPUT] = "connecting input and output",
        [SPAWN_STEP_FDS] = "closing descriptors",
        [SPAWN_STEP_FOLDER] = "changing to the working folder",
        [SPAWN_STEP_EXEC] = "exec",
        [SPAWN_STEP_SIGNAL] = "sending a signal",
        [SPAWN_STEP_TEMPLATE] = "template",
#define LIMIT(id, key, accepts) [SPAWN_STEP_##id] = "setting " #key,
#include "broker/spawn/limits.def"
    };
    static_assert(sizeof texts / sizeof texts[0] == SPAWN_STEP_COUNT, "a step has no text");
    const int number = (int)step;
    return number >= 0 && number < SPAWN_STEP_COUNT ? texts[number] : "unknown step";
}

bool
spawn_error_passes(int error)
{
    static const int passing[] = {EAGAIN, ENOMEM, ETXTBSY, EMFILE, ENFILE, EIO, EINTR, EBUSY};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        if (error == passing[i]) {
            return true;
        }
    }
    return false;
}

enum limit
spawn_step_limit(enum spawn_step step)
{
    static_assert(LIMIT_CGROUP == 0, "the steps of limits begin with that of the first limit");
    const int index = (int)step - (int)SPAWN_STEP_CGROUP;
    return index >= 0 && index < LIMIT_COUNT ? (enum limit)index : LIMIT_COUNT;
}

/* Append one string with its NUL; false when it does not fit. */
static bool
append(char *text, size_t capacity, size_t *used, const char *string)
{
    const size_t bytes = strlen(string) + 1;
    if (bytes > capacity - *used) {
        return false;
    }
    memcpy(text + *used, string, bytes);
    *used += bytes;
    return true;
}

static bool
append_list(char *text, size_t capacity, size_t *used, char *const list[], uint32_t *count)
{
    for (*count = 0; list[*count]; ++*count) {
        if (!append(text, capacity, used, list[*count])) {
            return false;
        }
    }
    return true;
}

bool
spawn_text_pack(struct spawn_record *record, char *text, size_t capacity, const char *folder,
                char *const argv[], char *const envp[])
{
    size_t used = 0;
    uint32_t argc = 0;
    uint32_t envc = 0;
    if (capacity > SPAWN_TEXT_BYTES_MAX) {
        capacity = SPAWN_TEXT_BYTES_MAX;
    }
    if (!append(text, capacity, &used, folder ? folder : "") ||
        !append_list(text, capacity, &used, argv, &argc) || argc == 0 ||
        !append_list(text, capacity, &used, envp, &envc)) {
        return false;
    }
    record->version = SPAWN_RECORDS_VERSION;
    record->op = SPAWN_START;
    record->argc = argc;
    record->envc = envc;
    record->limitc = 0;
    record->text_bytes = (uint32_t)used;
    return true;
}

bool
spawn_text_limit(struct spawn_record *record, char *text, size_t capacity, const char *setting)
{
    size_t used = record->text_bytes;
    if (capacity > SPAWN_TEXT_BYTES_MAX) {
        capacity = SPAWN_TEXT_BYTES_MAX;
    }
    if (used > capacity || !append(text, capacity, &used, setting)) {
        return false;
    }
    record->text_bytes = (uint32_t)used;
    record->limitc++;
    return true;
}

/* A name is printed in logs, so it must end inside its field and hold nothing that moves a cursor.
 */
static bool
name_is_sound(const char name[SPAWN_NAME_BYTES_MAX])
{
    const size_t bytes = strnlen(name, SPAWN_NAME_BYTES_MAX);
    if (bytes == 0 || bytes == SPAWN_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (name[i] <= ' ' || name[i] > '~') {
            return false;
        }
    }
    return true;
}

bool
spawn_start_check(const struct spawn_record *record, const char *text)
{
    const uint64_t settings = 1 + (uint64_t)record->argc + record->envc; /* limits are behind */
    const uint64_t expected = settings + record->limitc;
    const size_t bytes = record->text_bytes;
    if (record->id == 0 || record->argc == 0 ||
        (record->status != SPAWN_INPUT_NULL && record->status != SPAWN_INPUT_PIPE) ||
        !name_is_sound(record->name) || bytes == 0 || bytes > SPAWN_TEXT_BYTES_MAX ||
        expected > bytes || text[bytes - 1] != '\0') {
        return false;
    }
    uint64_t strings = 0;
    struct limits limits = {0};
    for (const char *at = text, *end = text + bytes; at < end; at += strlen(at) + 1) {
        const bool is_command = strings == 1;
        const bool is_limit = strings >= settings;
        const bool is_variable = strings > record->argc && !is_limit;
        if ((is_command && *at == '\0') ||
            (is_variable && (*at == '=' || strchr(at, '=') == NULL)) ||
            (is_limit && !limits_add(&limits, at))) {
            return false;
        }
        strings++;
    }
    return strings == expected;
}

/* Room for one descriptor, aligned as the kernel wants it. */
union control_buffer {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

enum spawn_io
spawn_record_send(int socket, const struct spawn_record *record, const char *text, int passed_fd)
{
    struct spawn_record head = *record; /* because an iovec is not const */
    struct iovec parts[2] = {{.iov_base = &head, .iov_len = sizeof head}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};
    if (record->text_bytes > 0) {
        memcpy(&parts[1].iov_base, &text, sizeof text); /* sendmsg only reads it */
        parts[1].iov_len = record->text_bytes;
        message.msg_iovlen = 2;
    }
    union control_buffer control = {.header = {0}};
    if (passed_fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &passed_fd, sizeof passed_fd);
    }
    ssize_t sent;
    do {
        sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        return SPAWN_IO_DONE;
    }
    switch (errno) {
    case EAGAIN:
        return SPAWN_IO_LATER;
    case ENOBUFS:
    case ENOMEM:
    case ETOOMANYREFS: /* too many descriptors of ours are in flight already */
        return SPAWN_IO_NO_ROOM;
    default:
        return SPAWN_IO_CLOSED;
    }
}

/* The descriptor that came along, or -1. */
static int
take_descriptor(struct msghdr *message)
{
    int fd = -1;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
        if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS &&
            at->cmsg_len >= CMSG_LEN(sizeof fd)) {
            memcpy(&fd, CMSG_DATA(at), sizeof fd);
        }
    }
    return fd;
}

/* recv gives 0 for the end as well as for an empty datagram; only poll tells them apart. */
static enum spawn_io
end_or_empty(int socket)
{
    struct pollfd state = {.fd = socket, .events = POLLRDHUP};
    const int count = poll(&state, 1, 0);
    if (count < 0) {
        return SPAWN_IO_NO_ROOM; /* an end is still there later, and as junk it would be for ever */
    }
    const bool ended = count == 1 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR));
    return ended ? SPAWN_IO_CLOSED : SPAWN_IO_JUNK;
}

enum spawn_io
spawn_record_receive(int socket, struct spawn_record *record, char *text, size_t capacity,
                     int *passed_fd)
{
    *record = (struct spawn_record){0};
    struct iovec parts[2] = {{.iov_base = record, .iov_len = sizeof *record},
                             {.iov_base = text, .iov_len = capacity}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = capacity > 0 ? 2 : 1};
    union control_buffer control;
    if (passed_fd) {
        *passed_fd = -1;
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
    }
    ssize_t got = 0;
    bool is_reset = false;
    do {
        /* A peer that closes with unread records of ours in its socket gives ECONNRESET, once and
         * ahead of what it sent before: its last words, and the end, come after that. */
        is_reset = is_reset || (got < 0 && errno == ECONNRESET);
        got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && (errno == EINTR || (errno == ECONNRESET && !is_reset)));
    if (got < 0) {
        switch (errno) {
        case EAGAIN:
            return SPAWN_IO_LATER;
        case ENOBUFS:
        case ENOMEM:
            return SPAWN_IO_NO_ROOM;
        default:
            return SPAWN_IO_CLOSED;
        }
    }
    const int fd = passed_fd ? take_descriptor(&message) : -1;
    const size_t bytes = (size_t)got;
    if (bytes < sizeof *record || (message.msg_flags & MSG_TRUNC) ||
        record->version != SPAWN_RECORDS_VERSION || record->text_bytes != bytes - sizeof *record) {
        if (fd >= 0) {
            close(fd); /* nothing can be done about a failing close of a stray descriptor */
        }
        if (bytes < sizeof *record) {
            *record = (struct spawn_record){0};
        }
        return bytes == 0 ? end_or_empty(socket) : SPAWN_IO_JUNK;
    }
    if (passed_fd) {
        *passed_fd = fd;
    }
    return SPAWN_IO_DONE;
}
