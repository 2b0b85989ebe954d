/* A connection to a Modbus unit: see bus.h. */
#include "client/devices/modbus/bus.h"

#include <errno.h>
#include <modbus/modbus.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/devices/net.h"
#include "client/devices/resolve.h"

enum { NAME_MS_MAX = 10000 };

struct bus {
    modbus_t *modbus;
    int32_t timeout_ms;
    bool is_serial;
    char peer[DEVICE_WHY_BYTES_MAX / 2];
};

/* ---- errors -----------------------------------------------------------------------------------
 */

static const struct exception {
    int number;
    const char *text;
    prong_err code;
    bool may_be_done, is_gone, is_refused;
} exceptions[] = {
    {MODBUS_EXCEPTION_ILLEGAL_FUNCTION, "the unit does not have this function", PRONG_UNIMPLEMENTED,
     false, false, false},
    {MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS, "the unit has no such address", PRONG_OUT_OF_RANGE,
     false, false, true},
    {MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE, "the unit does not take this value or so many at a time",
     PRONG_INVALID_ARGUMENT, false, false, true},
    {MODBUS_EXCEPTION_SLAVE_OR_SERVER_FAILURE, "the unit has failed", PRONG_INTERNAL, true, false,
     true},
    {MODBUS_EXCEPTION_ACKNOWLEDGE, "the unit needs longer for it", PRONG_UNAVAILABLE, true, false,
     false},
    {MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY, "the unit is busy", PRONG_UNAVAILABLE, false, false,
     false},
    {MODBUS_EXCEPTION_NEGATIVE_ACKNOWLEDGE, "the unit cannot do it", PRONG_FAILED_PRECONDITION,
     false, false, false},
    {MODBUS_EXCEPTION_MEMORY_PARITY, "the unit's memory has an error", PRONG_INTERNAL, true, false,
     false},
    {MODBUS_EXCEPTION_GATEWAY_PATH, "the gateway has no way to the unit", PRONG_UNAVAILABLE, false,
     true, false},
    {MODBUS_EXCEPTION_GATEWAY_TARGET, "the unit does not answer the gateway", PRONG_UNAVAILABLE,
     true, true, false},
    /* The last one stands for all others. */
    {0, "the unit has refused it, and does not say why", PRONG_UNKNOWN, true, false, false},
};
enum { EXCEPTION_COUNT = sizeof exceptions / sizeof exceptions[0] };

static const struct exception *
find_exception(int number)
{
    size_t i = 0;
    while (i + 1 < EXCEPTION_COUNT && exceptions[i].number != number) {
        i++;
    }
    return &exceptions[i];
}

bool
bus_is_gone(const struct bus_error *error)
{
    return error->fault == BUS_EXCEPTION && find_exception(error->exception)->is_gone;
}

bool
bus_is_refused(const struct bus_error *error)
{
    return error->fault == BUS_EXCEPTION && find_exception(error->exception)->is_refused;
}

static void
set_exception(struct bus_error *error, int number)
{
    const struct exception *exception = find_exception(number);
    error->fault = BUS_EXCEPTION;
    error->exception = exception->number;
    error->code = exception->code;
    error->may_be_done = exception->may_be_done;
    (void)snprintf(error->why, sizeof error->why, "%s (exception %d)", exception->text,
                   exception->number);
    if (exception->number == 0) {
        (void)snprintf(error->why, sizeof error->why, "%s", exception->text);
    }
}

/* What libmodbus says about a request that failed. */
static bool
fail(const struct bus *bus, struct bus_error *error, int number)
{
    *error = (struct bus_error){.may_be_done = true, .code = PRONG_UNAVAILABLE};
    if (number > MODBUS_ENOBASE && number < MODBUS_ENOBASE + MODBUS_EXCEPTION_MAX) {
        set_exception(error, number - MODBUS_ENOBASE);
    } else if (number == EMBBADEXC || number == EMBUNKEXC) {
        set_exception(error, 0);
    } else if (number == ETIMEDOUT) {
        error->fault = BUS_TIMEOUT;
        error->code = PRONG_DEADLINE_EXCEEDED;
        (void)snprintf(error->why, sizeof error->why, "no answer within %d ms",
                       (int)bus->timeout_ms);
    } else if (number > MODBUS_ENOBASE) {
        error->fault = BUS_JUNK;
        (void)snprintf(error->why, sizeof error->why, "the answer is none: %s",
                       number == EMBBADCRC ? "its check sum is wrong" : "it does not fit");
    } else {
        error->fault = BUS_LOST;
        const bool is_end = number == ECONNRESET || number == EPIPE;
        (void)snprintf(error->why, sizeof error->why, "%s",
                       is_end ? "the connection has ended" : strerror(number));
    }
    return false;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

/* A port of this machine that nobody listens at may be given to the very socket that connects to
 * it, which is then connected to itself. */
static bool
is_itself(int fd, const struct net_address *peer)
{
    struct net_address own;
    return net_own(fd, &own) && own.len == peer->len && memcmp(&own.at, &peer->at, own.len) == 0;
}

/* Wait for a descriptor. 0, or an errno: ECANCELED when nobody wants a connection any more. */
static int
await(const struct bus_options *options, int fd, short events, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = fd, .events = events},
                           {.fd = options->stop_fd, .events = POLLIN}};
    int ready;
    do {
        ready = poll(fds, 2, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) {
        return ready == 0 ? ETIMEDOUT : errno;
    }
    return fds[0].revents == 0 ? ECANCELED : 0;
}

/* How a connection that was being made has come out. 0, or an errno. */
static int
await_connection(const struct bus_options *options, int fd)
{
    int outcome = 0;
    socklen_t len = sizeof outcome;
    const int error = await(options, fd, POLLOUT, options->timeout_ms);
    if (error != 0) {
        return error;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &outcome, &len) == 0 ? outcome : errno;
}

/* The addresses of the name, owned, freed with freeaddrinfo; NULL with `why`. A name server may be
 * silent for minutes, and nothing could end a getaddrinfo in this thread. */
static struct addrinfo *
look_up(const struct bus_options *options, char *why, size_t why_bytes)
{
    struct addrinfo *found = NULL;
    struct resolve *question = resolve_begin(options->host, (uint16_t)options->port, SOCK_STREAM);
    if (question == NULL) {
        snprintf(why, why_bytes, "%s", strerror(errno));
        return NULL;
    }
    const int error = await(options, resolve_fd(question), POLLIN, NAME_MS_MAX);
    const char *reason = error == 0           ? resolve_take(question, &found)
                         : error == ETIMEDOUT ? "no answer of the name server"
                                              : strerror(error);
    if (reason != NULL) {
        snprintf(why, why_bytes, "%s", reason);
    }
    resolve_end(&question);
    return found;
}

/* One address. A descriptor, or -1 with `error`. */
static int
connect_to(const struct bus_options *options, const struct addrinfo *at, struct net_address *peer,
           int *error)
{
    const int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *error = errno;
        return -1;
    }
    *peer = (struct net_address){.len = at->ai_addrlen};
    memcpy(&peer->at, at->ai_addr, at->ai_addrlen);
    *error = connect(fd, at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;
    if (*error == EINPROGRESS) {
        *error = await_connection(options, fd);
    }
    if (*error == 0 && is_itself(fd, peer)) {
        *error = ECONNREFUSED;
    }
    if (*error != 0) {
        (void)close(fd); /* nothing was written */
        return -1;
    }
    net_tune(fd);
    return fd;
}

/* The first address of the name that takes a connection. */
static int
connect_any(const struct bus_options *options, struct net_address *peer, char *why,
            size_t why_bytes)
{
    int fd = -1, error = EADDRNOTAVAIL;
    struct addrinfo *found = look_up(options, why, why_bytes);
    if (found == NULL) {
        return -1;
    }
    for (const struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = connect_to(options, at, peer, &error);
    }
    freeaddrinfo(found);
    if (fd < 0) {
        snprintf(why, why_bytes, "%s", strerror(error));
    }
    return fd;
}

static bool
open_tcp(struct bus *bus, const struct bus_options *options, char *why, size_t why_bytes)
{
    struct net_address peer;
    const int fd = connect_any(options, &peer, why, why_bytes);
    if (fd < 0) {
        return false;
    }
    /* The address is never used: libmodbus connects itself only when it is told to. */
    bus->modbus = modbus_new_tcp("127.0.0.1", options->port);
    if (bus->modbus == NULL || modbus_set_socket(bus->modbus, fd) != 0) {
        snprintf(why, why_bytes, "out of memory");
        (void)close(fd);
        return false;
    }
    net_format(&peer, bus->peer);
    return true;
}

static bool
open_serial(struct bus *bus, const struct bus_options *options, char *why, size_t why_bytes)
{
    bus->is_serial = true;
    (void)snprintf(bus->peer, sizeof bus->peer, "%s", options->path);
    bus->modbus =
        modbus_new_rtu(options->path, options->baud, options->parity, options->bits, options->stop);
    if (bus->modbus == NULL) {
        snprintf(why, why_bytes, "out of memory");
        return false;
    }
    if (modbus_connect(bus->modbus) != 0 || ioctl(modbus_get_socket(bus->modbus), TIOCEXCL) != 0) {
        snprintf(why, why_bytes, "%s", errno == ENOTTY ? "not a terminal" : strerror(errno));
        return false;
    }
    return true;
}

struct bus *
bus_open(const struct bus_options *options, char *why, size_t why_bytes)
{
    struct bus *bus = calloc(1, sizeof *bus);
    if (bus == NULL) {
        snprintf(why, why_bytes, "out of memory");
        return NULL;
    }
    bus->timeout_ms = options->timeout_ms;
    if (!(options->host != NULL ? open_tcp(bus, options, why, why_bytes)
                                : open_serial(bus, options, why, why_bytes))) {
        bus_close(bus);
        return NULL;
    }
    const uint32_t ms = (uint32_t)options->timeout_ms;
    /* Without a time for each byte the one of the answer is for all of it: a peer that sends a byte
     * now and then would be waited for without end. */
    if (modbus_set_slave(bus->modbus, options->unit) != 0 ||
        modbus_set_response_timeout(bus->modbus, ms / 1000, ms % 1000 * 1000) != 0 ||
        modbus_set_byte_timeout(bus->modbus, 0, 0) != 0) {
        snprintf(why, why_bytes, "libmodbus does not take the unit or the timeout: %s",
                 modbus_strerror(errno));
        bus_close(bus);
        return NULL;
    }
    return bus;
}

void
bus_close(struct bus *bus)
{
    if (bus != NULL && bus->modbus != NULL) {
        modbus_close(bus->modbus);
        modbus_free(bus->modbus);
    }
    free(bus);
}

int
bus_fd(const struct bus *bus)
{
    return bus->is_serial ? -1 : modbus_get_socket(bus->modbus);
}

const char *
bus_peer(const struct bus *bus)
{
    return bus->peer;
}

bool
bus_is_quiet(struct bus *bus, struct bus_error *error)
{
    uint8_t byte;
    if (bus->is_serial) {
        (void)modbus_flush(bus->modbus); /* noise; a port that is gone is told by the request */
        return true;
    }
    const ssize_t n =
        recv(modbus_get_socket(bus->modbus), &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    (void)fail(bus, error, n < 0 ? errno : ECONNRESET);
    error->may_be_done = false; /* nothing was sent */
    if (n > 0) {
        error->fault = BUS_JUNK;
        (void)snprintf(error->why, sizeof error->why, "the peer has sent what nobody asked for");
    }
    return false;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static int
read_words(modbus_t *modbus, enum modbus_table table, uint16_t address, uint16_t count,
           uint16_t *words)
{
    uint8_t bits[MODBUS_MAX_READ_BITS];
    int got = -1;
    switch (table) {
    case MODBUS_COIL:
        got = modbus_read_bits(modbus, address, count, bits);
        break;
    case MODBUS_DISCRETE:
        got = modbus_read_input_bits(modbus, address, count, bits);
        break;
    case MODBUS_INPUT:
        return modbus_read_input_registers(modbus, address, count, words);
    case MODBUS_HOLDING:
        return modbus_read_registers(modbus, address, count, words);
    }
    for (int i = 0; i < got; i++) {
        words[i] = bits[i];
    }
    return got;
}

bool
bus_read(struct bus *bus, enum modbus_table table, uint16_t address, uint16_t count,
         uint16_t *words, struct bus_error *error)
{
    /* A line has noise: what was read wrongly may be read once more. */
    for (int tries = bus->is_serial ? 2 : 1; tries > 0; tries--) {
        if (!bus_is_quiet(bus, error)) {
            return false;
        }
        if (read_words(bus->modbus, table, address, count, words) == count) {
            return true;
        }
        (void)fail(bus, error, errno);
        error->may_be_done = false;
        if (error->fault != BUS_TIMEOUT && error->fault != BUS_JUNK) {
            break;
        }
    }
    return false;
}

static int
write_bits(modbus_t *modbus, uint16_t address, uint16_t count, const uint16_t *words)
{
    uint8_t bits[MODBUS_MAX_WRITE_BITS];
    for (size_t i = 0; i < count; i++) {
        bits[i] = words[i] != 0;
    }
    return count == 1 ? modbus_write_bit(modbus, address, bits[0])
                      : modbus_write_bits(modbus, address, count, bits);
}

bool
bus_write(struct bus *bus, enum modbus_table table, uint16_t address, uint16_t count,
          const uint16_t *words, struct bus_error *error)
{
    if (!bus_is_quiet(bus, error)) {
        return false;
    }
    const int wrote = modbus_table_has_bits(table) ? write_bits(bus->modbus, address, count, words)
                      : count == 1 ? modbus_write_register(bus->modbus, address, words[0])
                                   : modbus_write_registers(bus->modbus, address, count, words);
    return wrote == count || fail(bus, error, errno);
}

bool
bus_write_bit(struct bus *bus, uint16_t address, unsigned bit, bool is_on, struct bus_error *error)
{
    const uint16_t mask = (uint16_t)(1U << bit);
    uint16_t word;
    if (!bus_is_quiet(bus, error)) {
        return false;
    }
    if (modbus_mask_write_register(bus->modbus, address, (uint16_t)~mask, is_on ? mask : 0) != -1) {
        return true;
    }
    (void)fail(bus, error, errno);
    if (error->exception != MODBUS_EXCEPTION_ILLEGAL_FUNCTION) {
        return false;
    }
    /* Many units cannot do it in one request. */
    if (!bus_read(bus, MODBUS_HOLDING, address, 1, &word, error)) {
        return false;
    }
    word = (uint16_t)(is_on ? word | mask : word & ~mask);
    return bus_write(bus, MODBUS_HOLDING, address, 1, &word, error);
}
