/* `prong stream replay`: a recording as if its devices were there. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/field.h"
#include "client/cli/filter.h"
#include "client/cli/output.h"
#include "client/cli/recording.h"
#include "client/cli/stream.h"
#include "client/cli/unit.h"
#include "proto/clock/clock.h"

enum {
    STREAMS_MAX = 256,
    PATIENCE_MS = 60000, /* as long as a stream waits for a lossless reader */
    LOOK_MS = 20,        /* between two looks for readers, of whom no event tells */
    EMIT_MS = 30000,
    SLOTS = 8,
    EVENT_BYTES_MAX = 16 * 1024 * 1024,
};

#define NS_PER_S   INT64_C(1000000000)
#define SPEED_MAX  1e6
#define SPEED_FREE 0 /* "max": nothing is waited for but readers */

struct played {
    char name[RECORDING_NAME_BYTES]; /* in the recording */
    const char *to;                  /* its name now; "" for one that is left out; borrowed */
    prong_stream *stream;
    uint64_t slots, slot_bytes;
    uint64_t frames, played; /* in the recording; played so far */
};

struct player {
    struct cli *cli;
    struct recording file;
    struct played *streams; /* owned */
    size_t count;
    uint64_t frames, events, bytes; /* played */
    uint64_t damaged, left_out;     /* records that are not what was written; events of the hub */
    bool is_whole;                  /* it has an end */
    int64_t first_ns, start_ns;     /* at_ns of the first record; when it was played */
    double speed;                   /* or SPEED_FREE */
    uint8_t *payload;               /* of an event; owned */
    size_t payload_capacity;
};

/* ---- looking through it before -------------------------------------------------------------- */

static struct played *
find(struct player *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->streams[i].name, name) == 0) {
            return &p->streams[i];
        }
    }
    return NULL;
}

static struct played *
find_or_add(struct player *p, const char *name)
{
    struct played *s = find(p, name);
    if (s == NULL && p->count < STREAMS_MAX) {
        s = &p->streams[p->count++];
        *s = (struct played){.slots = SLOTS};
        (void)snprintf(s->name, sizeof s->name, "%s", name);
        s->to = s->name;
    }
    return s;
}

static void
scan_begin(struct player *p, const struct recording_item *item)
{
    prong_iter it;
    prong_value key, about;
    (void)prong_iter_begin(&it, &item->streams);
    while (prong_iter_next(&it, &key, &about)) {
        char *name = prong_value_string(&key);
        struct played *s = name != NULL ? find_or_add(p, name) : NULL;
        const uint64_t slots = field_uint(&about, "slots");
        if (s != NULL && slots >= 2 && slots <= PRONG_STREAM_SLOTS_MAX) {
            s->slots = slots;
        }
        prong_free(name);
    }
}

static void
scan_item(struct player *p, const struct recording_item *item, uint64_t bytes)
{
    struct played *s;
    switch (item->kind) {
    case RECORDING_BEGIN:
        scan_begin(p, item);
        return;
    case RECORDING_FINISH:
        p->is_whole = true;
        return;
    case RECORDING_FRAME:
        s = find_or_add(p, item->name);
        if (s != NULL) {
            s->slot_bytes = bytes > s->slot_bytes ? bytes : s->slot_bytes;
            s->frames++;
        }
        return;
    case RECORDING_EVENT:
    case RECORDING_OTHER:
        return;
    }
}

/* What ended the reading, in words; NULL when that is no fault. */
static const char *
fault_of(enum recording_result result)
{
    switch (result) {
    case RECORDING_OK:
    case RECORDING_END:
    case RECORDING_DAMAGED:
        return NULL;
    case RECORDING_TORN:
        return "it was cut off in the middle of a record; all before that is good";
    case RECORDING_BROKEN:
        return "it is damaged, and what follows cannot be read";
    case RECORDING_FOREIGN:
        return "this is no recording";
    case RECORDING_NEWER:
        return "this recording is of a later version of prong";
    case RECORDING_ERROR:
        return strerror(errno);
    }
    return NULL;
}

/* Which streams there are, how large their frames, and whether it has an end. */
static int
scan(struct player *p)
{
    struct recording_record record;
    struct recording_item item;
    enum recording_result result = RECORDING_OK;
    while (result == RECORDING_OK || result == RECORDING_DAMAGED) {
        result = recording_next(&p->file, &record);
        if (result == RECORDING_OK && recording_get(&record.head, &item)) {
            scan_item(p, &item, record.payload_bytes);
        }
    }
    const char *fault = fault_of(result);
    if (fault != NULL) {
        output_say(p->cli, "%s: %s", p->cli->argv[0], fault);
    } else if (!p->is_whole) {
        output_say(p->cli, "%s has no end: whoever recorded it was killed", p->cli->argv[0]);
    }
    recording_rewind(&p->file);
    return result == RECORDING_ERROR ? CLI_FAILED : CLI_OK;
}

/* ---- preparing ------------------------------------------------------------------------------ */

static int
open_file(struct player *p)
{
    const char *path = p->cli->argv[0];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const enum recording_result result = fd >= 0 ? recording_open(&p->file, fd) : RECORDING_ERROR;
    if (result != RECORDING_OK) {
        output_say(p->cli, "%s: %s", path, fault_of(result));
        return CLI_FAILED;
    }
    return scan(p);
}

/* --stream OLD=NEW, and OLD= to leave it out. */
static int
rename_streams(struct player *p)
{
    const struct texts *names = &p->cli->options.streams;
    for (size_t i = 0; i < names->count; i++) {
        const char *equals = strchr(names->items[i], '=');
        char old[RECORDING_NAME_BYTES];
        if (equals == NULL) {
            return output_usage(p->cli, "--stream '%.80s': write OLD=NEW, or OLD= to leave it out",
                                names->items[i]);
        }
        (void)snprintf(old, sizeof old, "%.*s", (int)(equals - names->items[i]), names->items[i]);
        struct played *s = find(p, old);
        if (s == NULL) {
            output_say(p->cli, "--stream %.80s: the recording has no stream '%.64s'",
                       names->items[i], old);
            return CLI_NO_SUCH;
        }
        s->to = equals + 1;
    }
    return CLI_OK;
}

static int
read_speed(struct player *p)
{
    const char *text = p->cli->options.speed;
    char *end = NULL;
    p->speed = text == NULL ? 1 : SPEED_FREE;
    if (text == NULL || strcmp(text, "max") == 0) {
        return CLI_OK;
    }
    p->speed = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(p->speed) || p->speed <= 0 ||
        p->speed > SPEED_MAX) {
        return output_usage(p->cli,
                            "--speed '%.40s': use a number above 0, such as 0.5 or 10, or "
                            "max",
                            text);
    }
    return CLI_OK;
}

static int
create_streams(struct player *p)
{
    const char *url = prong_client_url(p->cli->client);
    char why[300] = "", what[90];
    for (size_t i = 0; i < p->count; i++) {
        struct played *s = &p->streams[i];
        const prong_stream_options o = {.size_bytes = sizeof o,
                                        .slot_bytes = (size_t)s->slot_bytes,
                                        .slots = (uint32_t)s->slots,
                                        .patience_ms = PATIENCE_MS};
        if (s->to[0] == '\0' || s->frames == 0) {
            continue;
        }
        (void)snprintf(what, sizeof what, "stream %.64s", s->to);
        const prong_err err = prong_stream_create(url, s->to, &o, &s->stream, why, sizeof why);
        if (err != PRONG_OK) {
            return output_error(p->cli, err, what, why);
        }
    }
    return CLI_OK;
}

static bool
has_readers(const struct player *p, const prong_stream_info *list, size_t count)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct played *s = &p->streams[i];
        int64_t readers = 0;
        for (size_t k = 0; k < count; k++) {
            readers += list[k].is_reader && strcmp(list[k].name, s->to) == 0;
        }
        if (s->stream != NULL && readers < p->cli->options.wait_readers) {
            return false;
        }
    }
    return true;
}

static int
wait_for_readers(struct player *p)
{
    struct cli *cli = p->cli;
    int code = CLI_OK;
    bool is_there = cli->options.wait_readers == 0;
    while (code == CLI_OK && !is_there) {
        prong_stream_info *list = NULL;
        size_t count = 0;
        code = stream_list(cli, &list, &count);
        is_there = code == CLI_OK && has_readers(p, list, count);
        prong_free(list);
        if (code != CLI_OK || is_there) {
            break;
        }
        if (unit_now_ms() >= cli->deadline_ms) {
            return hub_woke_code(cli, HUB_LATE, "readers");
        }
        /* What comes of it shows in the next look. */
        (void)prong_dispatch(cli->client, LOOK_MS);
    }
    return code;
}

/* ---- playing -------------------------------------------------------------------------------- */

/* Until a record is due. */
static void
pace(struct player *p, int64_t at_ns)
{
    if (p->start_ns == 0) {
        p->start_ns = clock_mono_ns();
        p->first_ns = at_ns;
    }
    if (p->speed <= SPEED_FREE) {
        return;
    }
    const double due_ns = (double)p->start_ns + (double)(at_ns - p->first_ns) / p->speed;
    const struct timespec due = {.tv_sec = (time_t)(due_ns / NS_PER_S),
                                 .tv_nsec = (long)fmod(due_ns, NS_PER_S)};
    while (due_ns > (double)clock_mono_ns() &&
           clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR) {
        /* A signal that was not for us. */
    }
}

/* Fill the frame in where its readers will find it. */
static int
play_frame(struct player *p, const struct recording_item *item,
           const struct recording_record *record)
{
    struct played *s = find(p, item->name);
    void *to = NULL;
    if (s == NULL || s->stream == NULL) {
        return CLI_OK; /* left out */
    }
    const prong_frame_info info = {.dtype = item->dtype,
                                   .dims = item->dims,
                                   .shape = item->shape,
                                   .mono_ns = p->cli->options.now ? 0 : item->mono_ns,
                                   .time_us = p->cli->options.now ? 0 : item->time_us,
                                   .meta = item->meta};
    pace(p, item->at_ns);
    const int64_t until_ms = unit_now_ms() + PATIENCE_MS;
    prong_err err = prong_stream_reserve(s->stream, (size_t)record->payload_bytes, &to);
    while (err == PRONG_RESOURCE_EXHAUSTED && unit_now_ms() < until_ms) {
        /* All slots are held: nothing may be skipped here, so somebody has to let go of one. */
        (void)prong_dispatch(p->cli->client, 1);
        err = prong_stream_reserve(s->stream, (size_t)record->payload_bytes, &to);
    }
    if (err == PRONG_OK && recording_read(&p->file, record, to) != RECORDING_OK) {
        prong_stream_cancel(s->stream);
        p->damaged++;
        return CLI_OK;
    }
    err = err == PRONG_OK ? prong_stream_commit(s->stream, &info, NULL) : err;
    if (err != PRONG_OK) {
        return output_error(p->cli, err, s->to, prong_stream_error_text(s->stream));
    }
    s->played++;
    p->frames++;
    p->bytes += record->payload_bytes;
    return CLI_OK;
}

static bool
is_wanted(const struct player *p, const char *topic)
{
    const struct texts *filters = &p->cli->options.event_filters;
    bool is = filters->count == 0;
    for (size_t i = 0; i < filters->count; i++) {
        is |= filter_matches(filters->items[i], topic);
    }
    return is;
}

static int
play_event(struct player *p, const struct recording_item *item,
           const struct recording_record *record)
{
    const size_t bytes = (size_t)record->payload_bytes;
    if (!is_wanted(p, item->name)) {
        return CLI_OK;
    }
    if (strncmp(item->name, "hub.", 4) == 0) {
        p->left_out++; /* these are the hub's alone */
        return CLI_OK;
    }
    if (bytes > EVENT_BYTES_MAX) {
        p->damaged++;
        return CLI_OK;
    }
    if (bytes > p->payload_capacity) {
        uint8_t *more = realloc(p->payload, bytes);
        if (more == NULL) {
            return output_no_memory(p->cli);
        }
        p->payload = more;
        p->payload_capacity = bytes;
    }
    const prong_value payload = {p->payload, bytes};
    if (recording_read(&p->file, record, p->payload) != RECORDING_OK ||
        !prong_value_is_whole(&payload)) {
        p->damaged++;
        return CLI_OK;
    }
    pace(p, item->at_ns);
    const prong_err err = prong_emit(p->cli->client, item->name, &payload, EMIT_MS, NULL);
    if (err != PRONG_OK) {
        return hub_refused(p->cli, err, item->name, &payload);
    }
    p->events++;
    p->bytes += bytes;
    return CLI_OK;
}

/* Once through; *is_read to its end, or to where it can be read. */
static int
play(struct player *p)
{
    struct recording_record record;
    struct recording_item item;
    enum recording_result result = RECORDING_OK;
    int code = CLI_OK;
    recording_rewind(&p->file);
    p->start_ns = 0;
    while (code == CLI_OK && (result == RECORDING_OK || result == RECORDING_DAMAGED)) {
        if (unit_now_ms() >= p->cli->deadline_ms) {
            return hub_woke_code(p->cli, HUB_LATE, "the end of the recording");
        }
        result = recording_next(&p->file, &record);
        if (result == RECORDING_OK && !recording_get(&record.head, &item)) {
            result = RECORDING_DAMAGED;
        }
        p->damaged += result == RECORDING_DAMAGED || result == RECORDING_BROKEN;
        if (result == RECORDING_OK && item.kind == RECORDING_FRAME) {
            code = play_frame(p, &item, &record);
        } else if (result == RECORDING_OK && item.kind == RECORDING_EVENT) {
            code = play_event(p, &item, &record);
        }
    }
    if (result == RECORDING_ERROR) {
        output_say(p->cli, "%s: %s", p->cli->argv[0], strerror(errno));
        return CLI_FAILED;
    }
    return code;
}

/* ---- the end -------------------------------------------------------------------------------- */

static uint64_t
dropped(const struct player *p)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        prong_stream_counts counts = {0};
        if (p->streams[i].stream != NULL) {
            prong_stream_stats(p->streams[i].stream, &counts);
        }
        sum += counts.dropped;
    }
    return sum;
}

static int
write_counts(const struct player *p, double seconds)
{
    prong_writer *w = prong_writer_new();
    uint32_t streams = 0;
    if (w == NULL) {
        return output_no_memory(p->cli);
    }
    for (size_t i = 0; i < p->count; i++) {
        streams += p->streams[i].stream != NULL;
    }
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {{"frames", p->frames},   {"events", p->events},     {"bytes", p->bytes},
                  {"damaged", p->damaged}, {"left_out", p->left_out}, {"dropped", dropped(p)}};
    const uint32_t n = sizeof counts / sizeof counts[0];
    prong_writer_map(w, n + 4);
    field_put_text(w, "file", p->cli->argv[0]);
    for (uint32_t i = 0; i < n; i++) {
        field_put_uint(w, counts[i].key, counts[i].value);
    }
    prong_writer_key(w, "whole");
    prong_writer_bool(w, p->is_whole && p->damaged == 0);
    field_put_double(w, "seconds", seconds);
    prong_writer_key(w, "streams");
    prong_writer_map(w, streams);
    for (size_t i = 0; i < p->count; i++) {
        if (p->streams[i].stream != NULL) {
            field_put_uint(w, p->streams[i].to, p->streams[i].played);
        }
    }
    const int code = stream_put(p->cli, w, false);
    prong_writer_free(w);
    return code;
}

static int
tell(const struct player *p, int64_t ms)
{
    char span[UNIT_SPAN_BYTES], size[UNIT_SIZE_BYTES];
    int code = CLI_OK;
    if (output_form(p->cli) == OUTPUT_TABLE) {
        unit_span(ms, span);
        unit_size(p->bytes, size);
        (void)printf("played %" PRIu64 " frames and %" PRIu64 " events in %s, %s\n", p->frames,
                     p->events, span, size);
    } else {
        code = write_counts(p, (double)ms / 1000);
    }
    if (p->left_out > 0) {
        output_note(p->cli, "%" PRIu64 " events of the hub itself were left out", p->left_out);
    }
    if (p->damaged > 0) {
        output_say(p->cli, "%" PRIu64 " records are damaged and were left out", p->damaged);
    }
    if (dropped(p) > 0) {
        output_say(p->cli, "a lossless reader did not go on for a minute, and was given up");
    }
    return code == CLI_OK && (p->damaged > 0 || dropped(p) > 0) ? CLI_FAILED : code;
}

static int
run(struct player *p)
{
    int code = read_speed(p);
    code = code == CLI_OK ? open_file(p) : code;
    code = code == CLI_OK ? rename_streams(p) : code;
    code = code == CLI_OK ? hub_connect(p->cli) : code;
    code = code == CLI_OK ? create_streams(p) : code;
    code = code == CLI_OK ? wait_for_readers(p) : code;
    if (code != CLI_OK) {
        return code;
    }
    const int64_t begin_ms = unit_now_ms();
    do {
        const uint64_t before = p->frames + p->events;
        code = play(p);
        if (code == CLI_OK && p->frames + p->events == before) {
            break; /* nothing is in it: nothing to go round and round with */
        }
    } while (code == CLI_OK && p->cli->options.loop);
    const int told = tell(p, unit_now_ms() - begin_ms);
    return code == CLI_OK ? told : code;
}

/* Signals end it at once (main.c): what was played is whole. */
int
verb_stream_replay(struct cli *cli)
{
    struct player p = {
        .cli = cli, .file = {.fd = -1}, .streams = calloc(STREAMS_MAX, sizeof *p.streams)};
    const int code = p.streams != NULL ? run(&p) : output_no_memory(cli);
    for (size_t i = 0; p.streams != NULL && i < p.count; i++) {
        prong_stream_free(p.streams[i].stream);
    }
    free(p.streams);
    free(p.payload);
    recording_close(&p.file);
    return code;
}
