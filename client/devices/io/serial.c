/* kind serial: a terminal of its own, opened again when it was pulled out. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "client/devices/io/channel.h"
#include "client/devices/io/kinds.h"

static speed_t
speed_of(const char *baud)
{
    static const struct {
        const char *word;
        speed_t speed;
    } rows[] = {
        {"300", B300},         {"600", B600},         {"1200", B1200},       {"2400", B2400},
        {"4800", B4800},       {"9600", B9600},       {"19200", B19200},     {"38400", B38400},
        {"57600", B57600},     {"115200", B115200},   {"230400", B230400},   {"460800", B460800},
        {"921600", B921600},   {"1000000", B1000000}, {"2000000", B2000000}, {"3000000", B3000000},
        {"4000000", B4000000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].word, baud) == 0) {
            return rows[i].speed;
        }
    }
    return B115200; /* the table and this one have the same words */
}

/* A terminal without parity, or whose characters are of one size, such as a pseudo-terminal, leaves
 * these as they are, and says nothing as long as there is something else to change. The C library
 * then refuses the same settings the next time. */
static bool
take(int fd, const struct termios *t)
{
    const tcflag_t own = CSIZE | PARENB | PARODD;
    struct termios now;
    if (tcsetattr(fd, TCSANOW, t) == 0) {
        return true;
    }
    const int error = errno;
    if (error == EINVAL && tcgetattr(fd, &now) == 0 && ((now.c_cflag ^ t->c_cflag) & ~own) == 0 &&
        now.c_iflag == t->c_iflag && now.c_oflag == t->c_oflag && now.c_lflag == t->c_lflag) {
        return true;
    }
    errno = error;
    return false;
}

/* As the options say, and nothing that a terminal does to bytes for people. */
static bool
set_up(const struct device *d, int fd)
{
    static const tcflag_t sizes[] = {CS5, CS6, CS7, CS8};
    const char *parity = options_text(&d->options, "parity");
    const char *flow = options_text(&d->options, "flow");
    const speed_t speed = speed_of(options_text(&d->options, "baud"));
    struct termios t;
    if (tcgetattr(fd, &t) != 0) {
        return false;
    }
    cfmakeraw(&t);
    t.c_cflag &= ~(tcflag_t)(CSIZE | PARENB | PARODD | CSTOPB | CRTSCTS);
    t.c_cflag |= CLOCAL | CREAD | sizes[options_number(&d->options, "bits")];
    t.c_cflag |= strcmp(parity, "none") != 0 ? PARENB : 0;
    t.c_cflag |= strcmp(parity, "odd") == 0 ? PARODD : 0;
    t.c_cflag |= options_number(&d->options, "stop") == 1 ? CSTOPB : 0;
    t.c_cflag |= strcmp(flow, "rtscts") == 0 ? CRTSCTS : 0;
    t.c_iflag |= strcmp(parity, "none") != 0 ? INPCK : 0;
    t.c_iflag &= ~(tcflag_t)(IXON | IXOFF | IXANY);
    t.c_iflag |= strcmp(flow, "xonxoff") == 0 ? IXON | IXOFF : 0;
    return cfsetispeed(&t, speed) == 0 && cfsetospeed(&t, speed) == 0 && take(fd, &t);
}

static void
attempt(struct device *d)
{
    struct channel *c = d->state;
    const int fd =
        open(options_text(&d->options, "path"), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        retry_later(d, &c->retry, strerror(errno));
        return;
    }
    if (!set_up(d, fd) || ioctl(fd, TIOCEXCL) != 0) {
        const int error = errno;
        (void)close(fd);
        retry_later(d, &c->retry, error == ENOTTY ? "not a terminal" : strerror(error));
        return;
    }
    c->stream.fd = fd;
    channel_is_open(d, c, DEVICE_READ);
}

static prong_err
start(struct device *d)
{
    return channel_start(d, d->state, "the port has hung up", attempt);
}

static void
stop(struct device *d)
{
    channel_stop(d, d->state);
}

static prong_err
send_to(struct device *d, prong_job *job, const struct device_bytes *bytes, const char *to)
{
    struct channel *c = d->state;
    if (to != NULL) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "a serial port has no peers");
    }
    if (c->stream.fd < 0) {
        return prong_job_fail(job, PRONG_FAILED_PRECONDITION, "the port is not open");
    }
    return stream_send(d, job, &c->stream, bytes);
}

const struct device_kind_ops io_serial = {
    .kind = "serial",
    .state_size = sizeof(struct channel),
    .start = start,
    .stop = stop,
    .send = send_to,
};
