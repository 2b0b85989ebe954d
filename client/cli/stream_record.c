/* `prong stream record`: frames and events into a file, with their times. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/field.h"
#include "client/cli/output.h"
#include "client/cli/recording.h"
#include "client/cli/stream.h"
#include "client/cli/unit.h"
#include "proto/clock/clock.h"

enum {
    TURN_FRAMES = 16, /* of one stream, before the others are looked at */
    TURN_EVENTS = 64,
    ASK_MS = 2000,
};

#define PLAUSIBLE_NS INT64_C(10000000000)

struct recorded {
    char name[PRONG_NAME_BYTES_MAX + 1];
    struct stream_source source;
    uint64_t frames;
};

struct recorder {
    struct cli *cli;
    struct recording file;
    char path[PATH_MAX];
    struct recorded *streams; /* owned */
    size_t count;
    int epoll_fd; /* all readers */
    prong_subscription *events;
    bool all_events; /* those of the hub are left out then: they cannot be emitted again */
    prong_writer *writer;
    int64_t begin_ns, end_ms; /* end_ms: of --for, else CLI_NEVER_MS */
    uint64_t frames, event_count, missed, events_lost;
    bool is_full; /* the disk, or whatever else is wrong with the file: told */
};

/* ---- one record ----------------------------------------------------------------------------- */

/* When something was, on the clock of the recording: when it happened, if what it says of that can
 * be, and else now. Frames that are replayed have times of another day. */
static int64_t
at_ns(const struct recorder *r, int64_t age_ns)
{
    const int64_t now_ns = clock_mono_ns() - r->begin_ns;
    return age_ns >= 0 && age_ns < PLAUSIBLE_NS ? now_ns - age_ns : now_ns;
}

static int
append(struct recorder *r, const struct recording_item *item, const void *payload, size_t bytes)
{
    prong_value head;
    prong_writer_reset(r->writer);
    recording_put(r->writer, item);
    if (prong_writer_finish(r->writer, &head) != PRONG_OK) {
        return output_no_memory(r->cli);
    }
    if (!recording_append(&r->file, &head, payload, bytes)) {
        output_say(r->cli, "%s: %s: what was recorded until now is kept", r->path, strerror(errno));
        r->is_full = true;
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int
keep_frame(struct recorder *r, struct recorded *s, const prong_frame *frame)
{
    struct recording_item item = {.kind = RECORDING_FRAME,
                                  .at_ns = at_ns(r, clock_mono_ns() - frame->mono_ns),
                                  .number = frame->number,
                                  .missed = frame->missed,
                                  .mono_ns = frame->mono_ns,
                                  .time_us = frame->time_us,
                                  .dims = frame->dims};
    (void)snprintf(item.name, sizeof item.name, "%s", s->name);
    memcpy(item.dtype, frame->dtype, sizeof item.dtype);
    memcpy(item.shape, frame->shape, sizeof item.shape);
    if (prong_value_is_whole(&frame->meta)) {
        item.meta = frame->meta;
    }
    const int code = append(r, &item, frame->data, frame->bytes);
    if (code == CLI_OK) {
        s->frames++;
        r->frames++;
        r->missed += frame->missed;
    }
    return code;
}

static int
keep_event(struct recorder *r, const prong_event *e)
{
    const int64_t now_us = clock_wall_us();
    struct recording_item item = {.kind = RECORDING_EVENT,
                                  .at_ns = at_ns(r, (now_us - e->time_us) * 1000),
                                  .number = e->number,
                                  .time_us = e->time_us};
    r->events_lost += e->lost;
    if (e->reset) {
        output_say(r->cli, "the hub was started anew: events of the one before may be missing");
    }
    if (r->all_events && strncmp(e->topic, "hub.", 4) == 0) {
        return CLI_OK;
    }
    (void)snprintf(item.name, sizeof item.name, "%s", e->topic);
    (void)snprintf(item.source, sizeof item.source, "%s", e->source);
    const int code = append(r, &item, e->payload.data, e->payload.len);
    r->event_count += code == CLI_OK;
    return code;
}

/* ---- what there is -------------------------------------------------------------------------- */

static bool
has_enough(const struct recorder *r)
{
    const uint64_t so_far = r->count > 0 ? r->frames : r->event_count;
    return r->cli->options.count > 0 && so_far >= (uint64_t)r->cli->options.count;
}

/* Frames of one stream, `most` of them; *took when there was one. */
static int
take_frames(struct recorder *r, struct recorded *s, int most, bool *took)
{
    int code = CLI_OK;
    for (int i = 0; i < most && code == CLI_OK && !has_enough(r); i++) {
        const prong_frame *frame = NULL;
        code = stream_take(r->cli, &s->source, &frame);
        if (frame == NULL) {
            break;
        }
        *took = true;
        code = keep_frame(r, s, frame);
        prong_frame_release(frame);
    }
    return code;
}

static int
take_events(struct recorder *r, int most, bool *took)
{
    int code = CLI_OK;
    for (int i = 0; r->events != NULL && i < most && code == CLI_OK; i++) {
        if (r->count == 0 && has_enough(r)) {
            break;
        }
        const prong_event *event = NULL;
        const prong_err err = prong_subscription_next(r->events, 0, &event);
        if (err == PRONG_DEADLINE_EXCEEDED) {
            break;
        }
        if (err != PRONG_OK) {
            char why[300];
            prong_client_error_text(r->cli->client, why, sizeof why);
            return output_error(r->cli, err, "events", why);
        }
        *took = true;
        code = keep_event(r, event);
    }
    return code;
}

static int
take_all(struct recorder *r, int most, bool *took)
{
    int code = CLI_OK;
    *took = false;
    for (size_t i = 0; i < r->count && code == CLI_OK; i++) {
        code = take_frames(r, &r->streams[i], most, took);
    }
    return code == CLI_OK ? take_events(r, TURN_EVENTS, took) : code;
}

/* Until it is enough: by number, time or signal. */
static int
record(struct recorder *r)
{
    struct cli *cli = r->cli;
    const int64_t until_ms = r->end_ms < cli->deadline_ms ? r->end_ms : cli->deadline_ms;
    int code = CLI_OK;
    while (code == CLI_OK && !has_enough(r)) {
        bool took = false;
        enum hub_woke woke = HUB_WOKE;
        code = take_all(r, TURN_FRAMES, &took);
        if (code != CLI_OK || has_enough(r)) {
            break;
        }
        if (!took) {
            woke = stream_wait(cli, until_ms, -1, r->epoll_fd);
        } else if (hub_read_signals(cli)) {
            woke = HUB_INTERRUPTED;
        } else if (prong_dispatch(cli->client, 0) == PRONG_UNAVAILABLE) {
            woke = HUB_GONE;
        } else if (unit_now_ms() >= until_ms) {
            woke = HUB_LATE;
        }
        if (woke == HUB_INTERRUPTED || (woke == HUB_LATE && unit_now_ms() >= r->end_ms)) {
            return CLI_OK; /* the end that was wanted */
        }
        code = woke == HUB_WOKE ? CLI_OK : hub_woke_code(cli, woke, "enough to record");
    }
    return code;
}

/* What was there when the end came, and has not been taken yet. An answer of the hub comes behind
 * the events that it had before. */
static int
take_rest(struct recorder *r)
{
    bool took = false;
    int code = CLI_OK;
    for (size_t i = 0; i < r->count && code == CLI_OK; i++) {
        code = take_frames(r, &r->streams[i], PRONG_STREAM_SLOTS_MAX, &took);
    }
    if (r->events == NULL || code != CLI_OK || !prong_client_is_connected(r->cli->client)) {
        return code;
    }
    do {
        const prong_err err = prong_call(r->cli->client, "hub", "status", NULL, ASK_MS, NULL);
        took = false;
        code = take_events(r, TURN_EVENTS, &took);
        took = took && err == PRONG_OK;
    } while (code == CLI_OK && took && r->cli->options.count == 0);
    return code;
}

/* ---- beginning ------------------------------------------------------------------------------ */

static int
open_file(struct recorder *r)
{
    const struct cli *cli = r->cli;
    const char *path = cli->argv[0];
    struct stat file;
    char when[32] = "";
    const time_t now = time(NULL);
    struct tm local;
    (void)snprintf(r->path, sizeof r->path, "%s", path);
    if (stat(path, &file) == 0 && S_ISDIR(file.st_mode)) {
        if (localtime_r(&now, &local) != NULL) {
            (void)strftime(when, sizeof when, "%Y%m%d-%H%M%S", &local);
        }
        (void)snprintf(r->path, sizeof r->path, "%.3900s/%s.prec", path, when);
    }
    const int how = cli->options.force ? O_TRUNC : O_EXCL;
    const int fd = open(r->path, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0666);
    if (fd < 0 && errno == EEXIST) {
        output_say(cli, "%s is there already: name another file, or say --force", r->path);
        return CLI_FAILED;
    }
    if (fd < 0 || !recording_begin(&r->file, fd)) {
        output_say(cli, "%s: %s", r->path, strerror(errno));
        return CLI_FAILED;
    }
    return CLI_OK;
}

/* There is room. False when no stream can be called so; one that is there already is enough. */
static bool
add_stream(struct recorder *r, const char *name)
{
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(r->streams[i].name, name) == 0) {
            return true;
        }
    }
    if (strlen(name) >= sizeof r->streams[0].name) {
        return false;
    }
    (void)snprintf(r->streams[r->count++].name, sizeof r->streams[0].name, "%s", name);
    return true;
}

/* The streams that are named, or all when neither streams nor events are. */
static int
choose_streams(struct recorder *r, const prong_stream_info *list, size_t count)
{
    const struct options *o = &r->cli->options;
    const bool is_all = o->streams.count == 0 && o->event_filters.count == 0;
    r->streams = calloc(o->streams.count + count + 1, sizeof *r->streams);
    if (r->streams == NULL) {
        return output_no_memory(r->cli);
    }
    for (size_t i = 0; i < o->streams.count; i++) {
        if (!add_stream(r, o->streams.items[i])) {
            return output_usage(r->cli, "--stream '%.80s': no stream has such a long name",
                                o->streams.items[i]);
        }
    }
    for (size_t i = 0; is_all && i < count; i++) {
        if (!list[i].is_reader && list[i].slots > 0) {
            (void)add_stream(r, list[i].name); /* no name of the hub is too long */
        }
    }
    return CLI_OK;
}

static int
open_streams(struct recorder *r)
{
    const prong_reader_options o = {.policy = PRONG_LOSSLESS};
    int code = CLI_OK;
    for (size_t i = 0; i < r->count && code == CLI_OK; i++) {
        struct recorded *s = &r->streams[i];
        code = stream_open(r->cli, &s->source, s->name, &o);
        struct epoll_event event = {.events = EPOLLIN};
        if (code == CLI_OK &&
            epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, prong_reader_fd(s->source.reader), &event) != 0) {
            code = output_no_memory(r->cli);
        }
    }
    return code;
}

static int
subscribe(struct recorder *r)
{
    static const char *const everything[] = {">"};
    const struct texts *filters = &r->cli->options.event_filters;
    const prong_subscribe_options o = {.size_bytes = sizeof o};
    r->all_events = filters->count == 0;
    if (r->all_events && r->cli->options.streams.count > 0) {
        return CLI_OK;
    }
    const prong_err err =
        prong_subscribe(r->cli->client, r->all_events ? everything : filters->items,
                        r->all_events ? 1 : filters->count, &o, &r->events);
    if (err != PRONG_OK) {
        char why[300];
        prong_client_error_text(r->cli->client, why, sizeof why);
        const int code = output_error(r->cli, err, "subscribing", why);
        return err == PRONG_INVALID_ARGUMENT ? CLI_USAGE : code;
    }
    return CLI_OK;
}

/* The first record. */
static int
put_begin(struct recorder *r, const prong_stream_info *list, size_t count)
{
    struct recording_item item = {.kind = RECORDING_BEGIN};
    prong_writer *w = prong_writer_new();
    if (w == NULL) {
        return output_no_memory(r->cli);
    }
    prong_writer_map(w, (uint32_t)r->count);
    for (size_t i = 0; i < r->count; i++) {
        const prong_stream_info *info = stream_find(r->cli, list, count, r->streams[i].name, true);
        prong_writer_key(w, r->streams[i].name);
        prong_writer_map(w, 1);
        field_put_uint(w, "slots", info != NULL ? info->slots : 0);
    }
    item.time_us = clock_wall_us();
    int code =
        prong_writer_finish(w, &item.streams) == PRONG_OK ? CLI_OK : output_no_memory(r->cli);
    code = code == CLI_OK ? append(r, &item, NULL, 0) : code;
    prong_writer_free(w);
    return code;
}

/* ---- the end -------------------------------------------------------------------------------- */

static int
put_end(struct recorder *r)
{
    const struct recording_item item = {.kind = RECORDING_FINISH,
                                        .number = r->frames,
                                        .events = r->event_count,
                                        .missed = r->missed};
    /* On a full disk there is often room for it, where the frame that did not fit was taken back;
     * if not, that was told. */
    const bool was_full = r->is_full;
    prong_value head;
    prong_writer_reset(r->writer);
    recording_put(r->writer, &item);
    if (prong_writer_finish(r->writer, &head) != PRONG_OK) {
        return output_no_memory(r->cli);
    }
    if (!recording_append(&r->file, &head, NULL, 0) && !was_full) {
        output_say(r->cli, "%s: %s", r->path, strerror(errno));
        return CLI_FAILED;
    }
    if (fdatasync(r->file.fd) != 0 && !was_full) {
        output_say(r->cli, "%s: %s", r->path, strerror(errno));
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int
tell(struct recorder *r, int64_t seconds_ms)
{
    char span[UNIT_SPAN_BYTES], size[UNIT_SIZE_BYTES];
    prong_writer *w = r->writer;
    if (output_form(r->cli) == OUTPUT_TABLE) {
        unit_span(seconds_ms, span);
        unit_size(r->file.offset, size);
        (void)printf("recorded %" PRIu64 " frames and %" PRIu64 " events in %s, %s: %s\n",
                     r->frames, r->event_count, span, size, r->path);
        return CLI_OK;
    }
    prong_writer_reset(w);
    prong_writer_map(w, 8);
    field_put_text(w, "file", r->path);
    field_put_uint(w, "frames", r->frames);
    field_put_uint(w, "events", r->event_count);
    field_put_uint(w, "missed", r->missed);
    field_put_uint(w, "events_lost", r->events_lost);
    field_put_uint(w, "bytes", r->file.offset);
    field_put_double(w, "seconds", (double)seconds_ms / 1000);
    prong_writer_key(w, "streams");
    prong_writer_map(w, (uint32_t)r->count);
    for (size_t i = 0; i < r->count; i++) {
        field_put_uint(w, r->streams[i].name, r->streams[i].frames);
    }
    return stream_put(r->cli, w, false);
}

/* What is not in the file although it should be. */
static int
tell_lost(const struct recorder *r)
{
    if (r->missed > 0) {
        output_say(r->cli, "%" PRIu64 " frames are missing: this disk is slower than the streams",
                   r->missed);
    }
    if (r->events_lost > 0) {
        output_say(r->cli, "%" PRIu64 " events were lost: the hub had no more room for them",
                   r->events_lost);
    }
    return r->missed > 0 || r->events_lost > 0 ? CLI_FAILED : CLI_OK;
}

static int
prepare(struct recorder *r)
{
    prong_stream_info *list = NULL;
    size_t count = 0;
    int code = stream_list(r->cli, &list, &count);
    code = code == CLI_OK ? choose_streams(r, list, count) : code;
    code = code == CLI_OK ? open_streams(r) : code;
    if (code == CLI_OK) {
        /* Again: one that was waited for is there now. */
        prong_stream_info *now = NULL;
        size_t now_count = 0;
        code = stream_list(r->cli, &now, &now_count);
        code = code == CLI_OK ? subscribe(r) : code;
        code = code == CLI_OK ? open_file(r) : code;
        r->begin_ns = clock_mono_ns();
        code = code == CLI_OK ? put_begin(r, now, now_count) : code;
        prong_free(now);
    }
    prong_free(list);
    return code;
}

static int
run(struct recorder *r)
{
    struct cli *cli = r->cli;
    if (!hub_take_signals(cli)) {
        return output_no_memory(cli);
    }
    const int64_t begin_ms = unit_now_ms();
    r->end_ms = cli->options.for_ms > 0 ? begin_ms + cli->options.for_ms : CLI_NEVER_MS;
    output_note(cli, "recording %zu stream%s%s to %s", r->count, r->count == 1 ? "" : "s",
                r->events != NULL ? " and events" : "", r->path);
    int code = record(r);
    if (code == CLI_OK) {
        code = take_rest(r);
    }
    const int end = put_end(r);
    const int told = tell(r, unit_now_ms() - begin_ms);
    const int lost = tell_lost(r);
    code = code == CLI_OK ? end : code;
    code = code == CLI_OK ? told : code;
    return code == CLI_OK ? lost : code;
}

int
verb_stream_record(struct cli *cli)
{
    struct recorder r = {.cli = cli,
                         .file = {.fd = -1},
                         .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                         .writer = prong_writer_new()};
    /* A file that may not grow any more is told as a full disk is, and not by a death. */
    (void)sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    int code = r.writer != NULL && r.epoll_fd >= 0 ? hub_connect(cli) : output_no_memory(cli);
    code = code == CLI_OK ? prepare(&r) : code;
    code = code == CLI_OK ? run(&r) : code;
    for (size_t i = 0; i < r.count; i++) {
        stream_close(&r.streams[i].source);
    }
    free(r.streams);
    prong_subscription_free(r.events);
    recording_close(&r.file);
    prong_writer_free(r.writer);
    if (r.epoll_fd >= 0) {
        (void)close(r.epoll_fd);
    }
    return code;
}
