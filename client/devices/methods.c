/* The methods that every device has: see device.h. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "client/devices/arguments.h"
#include "client/devices/framing.h"
#include "client/devices/inside.h"
#include "client/devices/stream.h"

enum { WHY_BYTES = 300 };

bool
device_argument(prong_job *job, const char *name, uint32_t index, prong_value *out)
{
    const prong_value *args = prong_job_args(job);
    return prong_value_kind(args) == PRONG_KIND_ARRAY ? prong_value_at(args, index, out)
                                                      : prong_value_find(args, name, out);
}

static void
refresh(struct device *d)
{
    if (d->ops->refresh != NULL) {
        d->ops->refresh(d);
    }
}

static prong_err
call_pause(prong_job *job, const prong_value *args, void *context)
{
    (void)job;
    (void)args;
    struct device *d = context;
    d->is_paused = true;
    refresh(d);
    device_gate(d);
    return PRONG_OK;
}

static prong_err
call_resume(prong_job *job, const prong_value *args, void *context)
{
    (void)job;
    (void)args;
    struct device *d = context;
    if (d->is_paused) {
        d->is_paused = false;
        refresh(d);
        device_gate(d);
    }
    return PRONG_OK;
}

static prong_err
call_stats(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    struct device *d = context;
    const struct device_counters *c = &d->count;
    refresh(d);
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {
        {"frames", c->frames},         {"bytes", c->bytes},           {"malformed", c->malformed},
        {"reconnects", c->reconnects}, {"errors", c->errors},         {"dropped", c->dropped},
        {"sends", c->sends},           {"sent_bytes", c->sent_bytes}, {"waiting", d->waiting_count},
    };
    enum { ROW_COUNT = sizeof rows / sizeof rows[0], OTHER_COUNT = 5 };
    prong_writer *out = prong_job_result(job);
    prong_writer_map(out, ROW_COUNT + OTHER_COUNT + d->ops->stat_count);
    prong_writer_key(out, "kind");
    prong_writer_string(out, d->options.kind->name);
    prong_writer_key(out, "up");
    prong_writer_bool(out, c->up_since_us != 0);
    prong_writer_key(out, "paused");
    prong_writer_bool(out, d->is_paused);
    prong_writer_key(out, "up_since_us");
    prong_writer_int(out, c->up_since_us);
    prong_writer_key(out, "last_us");
    prong_writer_int(out, c->last_us);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        prong_writer_key(out, rows[i].key);
        prong_writer_uint(out, rows[i].value);
    }
    if (d->ops->stats != NULL) {
        d->ops->stats(d, out);
    }
    return PRONG_OK;
}

/* ---- send -------------------------------------------------------------------------------------
 */

size_t
device_bytes_len(const struct device_bytes *bytes)
{
    return bytes->part[0].len + bytes->part[1].len + bytes->part[2].len;
}

/* What is left behind the first `sent` bytes. */
static int
rest_of(const struct device_bytes *bytes, size_t sent, struct iovec out[3])
{
    int count = 0;
    for (size_t i = 0; i < 3; i++) {
        const size_t skip = sent < bytes->part[i].len ? sent : bytes->part[i].len;
        sent -= skip;
        if (bytes->part[i].len > skip) {
            out[count++] = (struct iovec){(void *)(uintptr_t)(bytes->part[i].data + skip),
                                          bytes->part[i].len - skip};
        }
    }
    return count;
}

size_t
device_write(prong_job *job, int fd, const struct device_bytes *bytes, int *error)
{
    const size_t len = device_bytes_len(bytes);
    const int64_t mine = prong_job_remaining_ms(job);
    const int64_t until_ns =
        stamp_now().mono_ns +
        (mine < DEVICE_SEND_MS_MAX ? mine : (int64_t)DEVICE_SEND_MS_MAX) * 1000000;
    size_t sent = 0;
    *error = 0;
    while (sent < len) {
        struct iovec rest[3];
        const ssize_t n = writev(fd, rest, rest_of(bytes, sent, rest));
        if (n >= 0) {
            sent += (size_t)n;
            continue;
        }
        if (errno == EINTR) {
            continue;
        }
        const int64_t left_ms = (until_ns - stamp_now().mono_ns) / 1000000;
        if (errno != EAGAIN || left_ms <= 0 || prong_job_is_cancelled(job)) {
            *error = errno == EAGAIN ? ETIMEDOUT : errno;
            break;
        }
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        (void)poll(&p, 1, left_ms < 100 ? (int)left_ms : 100); /* the next write tells more */
    }
    return sent;
}

bool
device_wants_png(prong_job *job, bool *png)
{
    prong_value as;
    const char *text = NULL;
    size_t len = 0;
    *png = true;
    if (!device_argument(job, "as", 0, &as)) {
        return true;
    }
    const bool is_text = prong_value_text(&as, &text, &len);
    *png = is_text && len == strlen("png") && memcmp(text, "png", len) == 0;
    return *png || (is_text && len == strlen("raw") && memcmp(text, "raw", len) == 0);
}

/* Who is meant; NULL: all. Owned, freed with prong_free. */
static prong_err
read_to(prong_job *job, char **to)
{
    prong_value value;
    const char *text = NULL;
    size_t len = 0;
    *to = NULL;
    if (!device_argument(job, "to", 1, &value) || prong_value_kind(&value) == PRONG_KIND_NIL) {
        return PRONG_OK;
    }
    if (!prong_value_text(&value, &text, &len) || len == 0 || memchr(text, '\0', len) != NULL) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                              "'to' must be the name of a peer, without a zero byte");
    }
    *to = prong_value_string(&value);
    return *to != NULL ? PRONG_OK : prong_job_fail(job, PRONG_RESOURCE_EXHAUSTED, "out of memory");
}

static prong_err
send_bytes(struct device *d, prong_job *job, const uint8_t *data, size_t len, const char *to)
{
    prong_value value;
    bool is_raw = !device_kind_has(d->options.kind, DEVICE_FRAMES);
    if (device_argument(job, "raw", 2, &value) && !prong_value_bool(&value, &is_raw)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "'raw' must be true or false");
    }
    struct framing_ends ends = {0};
    struct framing framing = {0};
    if (!is_raw) {
        framing = stream_framing(&d->options);
        if (!framing_ends(&framing, data, len, &ends)) {
            return prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                                  "'data' cannot be one frame: it is too long or has the end of a "
                                  "frame within");
        }
    }
    const struct device_bytes bytes = {
        .part = {{ends.head, ends.head_len}, {data, len}, {ends.tail, ends.tail_len}}};
    const prong_err code = d->ops->send(d, job, &bytes, to);
    d->count.sends += code == PRONG_OK;
    return code;
}

static prong_err
call_send(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    struct device *d = context;
    prong_value value;
    size_t len = 0;
    if (!device_argument(job, "data", 0, &value)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "send needs 'data'");
    }
    const enum coding coding = (enum coding)options_number(&d->options, "decode");
    uint8_t *data = coding_encode(coding, &value, &len);
    if (data == NULL) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                              "'data' must be a text, bytes, or what the device's decode says");
    }
    char *to;
    prong_err code = read_to(job, &to);
    if (code == PRONG_OK) {
        code = send_bytes(d, job, data, len, to);
    }
    prong_free(to);
    prong_free(data);
    return code;
}

static prong_err
check_and_call(prong_job *job, const prong_value *args, void *context)
{
    const struct device_call *call = context;
    char why[WHY_BYTES];
    return arguments_check(call->method.name, call->method.arguments, args, why, sizeof why)
               ? call->method.function(job, args, call->device)
               : prong_job_fail(job, PRONG_INVALID_ARGUMENT, why);
}

static prong_err
add(struct device *d, const struct device_method *m)
{
    if (d->call_count == DEVICE_METHODS_MAX) {
        return PRONG_RESOURCE_EXHAUSTED;
    }
    struct device_call *call = &d->calls[d->call_count++];
    *call = (struct device_call){d, *m};
    const prong_err code =
        prong_worker_method(d->worker, m->name, check_and_call, m->policy, m->help, call);
    return code == PRONG_OK && m->arguments != NULL
               ? prong_worker_arguments(d->worker, m->name, m->arguments)
               : code;
}

prong_err
device_methods(struct device *d)
{
    static const struct device_method shared[] = {
        {"pause", call_pause, PRONG_IDEMPOTENT, "read nothing until resume", ""},
        {"resume", call_resume, PRONG_IDEMPOTENT, "go on after pause", ""},
        {"stats", call_stats, PRONG_IDEMPOTENT, "what came and went so far", ""},
    };
    static const struct device_method sending = {"send", call_send, PRONG_ONCE,
                                                 "write data: one frame, to all peers or to one",
                                                 "data to raw"};
    prong_err code = PRONG_OK;
    for (size_t i = 0; i < sizeof shared / sizeof shared[0] && code == PRONG_OK; i++) {
        code = add(d, &shared[i]);
    }
    if (code == PRONG_OK && d->ops->send != NULL) {
        code = add(d, &sending);
    }
    for (size_t i = 0; i < d->ops->method_count && code == PRONG_OK; i++) {
        code = add(d, &d->ops->methods[i]);
    }
    return code;
}
