/* Streams on the command line: see stream.h. */
#include "client/cli/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/field.h"
#include "client/cli/output.h"
#include "client/cli/unit.h"
#include "proto/closest.h"

enum {
    WHY_BYTES = 300,
    NAMES_BYTES = 400,
    /* For the hub to hand out what it has said to be there. */
    RING_MS = 2000,
    LOOK_MS = 1000,
};

/* ---- which there are ------------------------------------------------------------------------ */

int
stream_list(struct cli *cli, prong_stream_info **list, size_t *count)
{
    char why[WHY_BYTES] = "";
    const prong_err err =
        prong_stream_list(prong_client_url(cli->client), list, count, why, sizeof why);
    return err == PRONG_OK ? CLI_OK : output_error(cli, err, "streams", why);
}

static void
tell_names(const struct cli *cli, const prong_stream_info *list, size_t count, const char *name)
{
    struct closest near = {.word = name};
    char names[NAMES_BYTES] = "";
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (list[i].is_reader) {
            continue;
        }
        closest_offer(&near, list[i].name);
        if (used + strlen(list[i].name) + 3 < sizeof names) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
                                     used > 0 ? ", " : "", list[i].name);
        }
    }
    if (near.best != NULL) {
        output_say(cli, "did you mean %s?", near.best);
    } else if (used > 0) {
        output_say(cli, "there are the streams %s", names);
    } else {
        output_say(cli, "there are no streams; with --timeout TIME one is waited for");
    }
}

const prong_stream_info *
stream_find(const struct cli *cli, const prong_stream_info *list, size_t count, const char *name,
            bool is_quiet)
{
    for (size_t i = 0; i < count; i++) {
        if (!list[i].is_reader && strcmp(list[i].name, name) == 0) {
            return &list[i];
        }
    }
    if (!is_quiet) {
        char what[90], why[120];
        (void)snprintf(what, sizeof what, "stream %.64s", name);
        (void)snprintf(why, sizeof why, "there is no stream '%.64s'", name);
        (void)output_error(cli, PRONG_NOT_FOUND, what, why); /* the caller's code is the same */
        tell_names(cli, list, count, name);
    }
    return NULL;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Whether it is there; one that may come needs not. */
static int
look_for(struct cli *cli, struct stream_source *source, bool may_come)
{
    prong_stream_info *list = NULL;
    size_t count = 0;
    int code = stream_list(cli, &list, &count);
    if (code == CLI_OK) {
        const prong_stream_info *info = stream_find(cli, list, count, source->name, may_come);
        source->newest = info != NULL ? info->newest : 0;
        code = info == NULL && !may_come ? CLI_NO_SUCH : CLI_OK;
    }
    prong_free(list);
    return code;
}

int
stream_open(struct cli *cli, struct stream_source *source, const char *name,
            const prong_reader_options *options)
{
    prong_reader_options o = *options;
    char why[WHY_BYTES] = "", what[90];
    *source = (struct stream_source){.name = name};
    (void)snprintf(what, sizeof what, "stream %.64s", name);
    int code = cli->client != NULL ? CLI_OK : hub_connect(cli);
    code = code == CLI_OK ? look_for(cli, source, cli->has_timeout) : code;
    if (code != CLI_OK) {
        return code;
    }
    o.size_bytes = sizeof o;
    o.timeout_ms = cli->has_timeout ? unit_left_ms(cli->deadline_ms, INT32_MAX) : RING_MS;
    const prong_err err = prong_stream_open(prong_client_url(cli->client), name, &o,
                                            &source->reader, why, sizeof why);
    if (err != PRONG_OK) {
        const bool is_late = err == PRONG_NOT_FOUND && cli->has_timeout;
        code = output_error(cli, err, what, why);
        return err == PRONG_INVALID_ARGUMENT ? CLI_USAGE : is_late ? CLI_TIMEOUT : code;
    }
    return CLI_OK;
}

void
stream_close(struct stream_source *source)
{
    prong_reader_free(source->reader);
    source->reader = NULL;
}

int
stream_take(const struct cli *cli, struct stream_source *source, const prong_frame **frame)
{
    for (;;) {
        *frame = NULL;
        const prong_err err = prong_reader_next(source->reader, 0, frame);
        if (err == PRONG_OK || err == PRONG_DEADLINE_EXCEEDED) {
            return CLI_OK;
        }
        if (err != PRONG_DATA_LOSS) {
            return output_error(cli, err, source->name, prong_reader_error_text(source->reader));
        }
        if (!source->is_told) {
            output_say(cli, "%s: %s: frames are lost", source->name,
                       prong_reader_error_text(source->reader));
        }
        source->is_told = true;
        source->dropped++;
    }
}

/* Whether the connection has been gone for longer than it is sought. */
static bool
is_gone(struct cli *cli)
{
    const int64_t now_ms = unit_now_ms();
    if (prong_client_is_connected(cli->client)) {
        cli->lost_ms = 0;
    } else if (cli->lost_ms == 0) {
        cli->lost_ms = now_ms;
    }
    return cli->lost_ms != 0 && now_ms - cli->lost_ms > cli->reconnect_ms;
}

enum hub_woke
stream_wait(struct cli *cli, int64_t until_ms, int out_fd, int in_fd)
{
    const int64_t look_ms = unit_now_ms() + LOOK_MS;
    const enum hub_woke woke =
        hub_wait_input(cli, look_ms < until_ms ? look_ms : until_ms, out_fd, in_fd);
    if (woke != HUB_WOKE && woke != HUB_LATE) {
        return woke;
    }
    if (is_gone(cli)) {
        return HUB_GONE;
    }
    return woke == HUB_LATE && unit_now_ms() < until_ms ? HUB_WOKE : woke;
}

int
stream_next(struct cli *cli, struct stream_source *source, int64_t until_ms, int out_fd,
            const prong_frame **frame, enum hub_woke *woke)
{
    *frame = NULL;
    *woke = HUB_WOKE;
    while (*woke == HUB_WOKE) {
        /* Also where frames come so fast that it is never waited for one. */
        *woke = hub_read_signals(cli)       ? HUB_INTERRUPTED
                : unit_now_ms() >= until_ms ? HUB_LATE
                                            : HUB_WOKE;
        if (*woke != HUB_WOKE) {
            break;
        }
        const int code = stream_take(cli, source, frame);
        if (code != CLI_OK || *frame != NULL) {
            return code;
        }
        *woke = stream_wait(cli, until_ms, out_fd, prong_reader_fd(source->reader));
    }
    return *woke == HUB_LATE ? CLI_OK : hub_woke_code(cli, *woke, source->name);
}

/* ---- telling -------------------------------------------------------------------------------- */

void
stream_shape(const prong_frame *frame, char out[STREAM_SHAPE_BYTES])
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < frame->dims && used < STREAM_SHAPE_BYTES; i++) {
        used += (size_t)snprintf(out + used, STREAM_SHAPE_BYTES - used, "%s%" PRIu64,
                                 i > 0 ? "x" : "", frame->shape[i]);
    }
}

void
stream_write_frame(prong_writer *w, const prong_frame *frame)
{
    char when[UNIT_TIME_BYTES];
    unit_time(frame->time_us, when);
    field_put_uint(w, "number", frame->number);
    field_put_uint(w, "missed", frame->missed);
    field_put_uint(w, "generation", frame->generation);
    field_put_text(w, "time", when);
    field_put_int(w, "mono_ns", frame->mono_ns);
    field_put_text(w, "dtype", frame->dtype);
    prong_writer_key(w, "shape");
    prong_writer_array(w, frame->dims);
    for (uint32_t i = 0; i < frame->dims; i++) {
        prong_writer_uint(w, frame->shape[i]);
    }
    field_put_uint(w, "bytes", frame->bytes);
    prong_writer_key(w, "meta");
    if (prong_value_is_whole(&frame->meta)) {
        prong_writer_raw(w, &frame->meta);
    } else {
        prong_writer_nil(w);
    }
}

int
stream_put(const struct cli *cli, prong_writer *w, bool is_line)
{
    prong_value object;
    if (prong_writer_finish(w, &object) != PRONG_OK) {
        return output_no_memory(cli);
    }
    return is_line ? output_line(cli, &object) : output_value(cli, &object);
}
