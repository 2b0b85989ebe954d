/* `prong stream ls` and `prong stream info`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/field.h"
#include "client/cli/output.h"
#include "client/cli/stream.h"
#include "client/cli/table.h"
#include "client/cli/unit.h"
#include "proto/clock/clock.h"

/* What is known of one stream. */
struct seen {
    const prong_stream_info *info;
    const prong_stream_info *readers; /* `count` of them, which follow it in the list */
    size_t count;
};

static struct seen
see(const prong_stream_info *list, size_t count, size_t index)
{
    struct seen s = {.info = &list[index], .readers = &list[index + 1]};
    while (index + 1 + s.count < count && s.readers[s.count].is_reader) {
        s.count++;
    }
    return s;
}

static const char *
policy_of(const prong_stream_info *reader)
{
    return reader->policy == PRONG_LOSSLESS ? "lossless" : "latest";
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void
write_reader(prong_writer *w, const prong_stream_info *r)
{
    prong_writer_map(w, 9);
    field_put_uint(w, "pid", (uint64_t)r->pid);
    field_put_text(w, "policy", policy_of(r));
    prong_writer_key(w, "group");
    if (r->group[0] != '\0') {
        prong_writer_string(w, r->group);
    } else {
        prong_writer_nil(w);
    }
    field_put_uint(w, "hold", r->hold);
    field_put_uint(w, "held", r->held);
    field_put_uint(w, "taken", r->taken);
    field_put_uint(w, "missed", r->missed);
    field_put_uint(w, "next", r->next);
    field_put_double(w, "delay_ms", (double)r->delay_ns / 1e6);
}

/* `frame` is its newest one: NULL when there is none, or it was not asked for. */
static void
write_stream(prong_writer *w, const struct seen *s, bool has_frame, const prong_frame *frame)
{
    char when[UNIT_TIME_BYTES];
    prong_writer_map(w, 11 + has_frame);
    field_put_text(w, "name", s->info->name);
    prong_writer_key(w, "writer_pid");
    if (s->info->pid > 0) {
        prong_writer_uint(w, (uint64_t)s->info->pid);
    } else {
        prong_writer_nil(w);
    }
    field_put_uint(w, "slots", s->info->slots);
    field_put_uint(w, "slot_bytes", s->info->slot_bytes);
    field_put_uint(w, "generation", s->info->generation);
    field_put_uint(w, "newest", s->info->newest);
    prong_writer_key(w, "newest_time");
    if (s->info->newest_us > 0) {
        unit_time(s->info->newest_us, when);
        prong_writer_string(w, when);
    } else {
        prong_writer_nil(w);
    }
    field_put_uint(w, "frames", s->info->frames);
    field_put_uint(w, "bytes", s->info->bytes);
    field_put_uint(w, "skipped", s->info->skipped);
    prong_writer_key(w, "readers");
    prong_writer_array(w, (uint32_t)s->count);
    for (size_t i = 0; i < s->count; i++) {
        write_reader(w, &s->readers[i]);
    }
    if (has_frame && frame != NULL) {
        prong_writer_key(w, "frame");
        prong_writer_map(w, STREAM_FRAME_PAIRS);
        stream_write_frame(w, frame);
    } else if (has_frame) {
        prong_writer_key(w, "frame");
        prong_writer_nil(w);
    }
}

/* ---- tables --------------------------------------------------------------------------------- */

static void
age_text(int64_t time_us, char out[UNIT_SPAN_BYTES])
{
    const int64_t age_ms = clock_wall_us() / 1000 - time_us / 1000;
    (void)snprintf(out, UNIT_SPAN_BYTES, "-");
    if (time_us > 0) {
        unit_span(age_ms > 0 ? age_ms : 0, out);
    }
}

static void
add_stream(struct table *t, const struct seen *s)
{
    char size[UNIT_SIZE_BYTES], age[UNIT_SPAN_BYTES];
    const prong_stream_info *i = s->info;
    unit_size(i->slot_bytes, size);
    age_text(i->newest_us, age);
    table_add(t, TABLE_PLAIN, "%s", i->name);
    if (i->pid > 0) {
        table_add(t, TABLE_PLAIN, "%d", i->pid);
    } else {
        table_add(t, TABLE_WARN, "none");
    }
    table_add(t, TABLE_PLAIN, "%zu", s->count);
    table_add(t, TABLE_PLAIN, "%u", i->slots);
    table_add(t, TABLE_PLAIN, "%s", size);
    table_add(t, TABLE_PLAIN, "%" PRIu64, i->frames);
    table_add(t, i->skipped > 0 ? TABLE_WARN : TABLE_PLAIN, "%" PRIu64, i->skipped);
    table_add(t, TABLE_PLAIN, "%s", age);
}

static void
add_reader(struct table *t, const prong_stream_info *r)
{
    table_add(t, TABLE_PLAIN, "%d", r->pid);
    table_add(t, TABLE_PLAIN, "%s", policy_of(r));
    table_add(t, TABLE_PLAIN, "%s", r->group[0] != '\0' ? r->group : "-");
    table_add(t, TABLE_PLAIN, "%u/%u", r->held, r->hold);
    table_add(t, TABLE_PLAIN, "%" PRIu64, r->taken);
    table_add(t, r->missed > 0 ? TABLE_WARN : TABLE_PLAIN, "%" PRIu64, r->missed);
    table_add(t, TABLE_PLAIN, "%.1fms", (double)r->delay_ns / 1e6);
}

static int
end_table(const struct cli *cli, struct table *t)
{
    table_print(t, stdout, cli->out_has_color);
    const bool failed = t->failed;
    table_deinit(t);
    return failed ? output_no_memory(cli) : CLI_OK;
}

static const char stream_heading[] = "STREAM WRITER READERS SLOTS SIZE FRAMES SKIPPED NEWEST";

static int
print_streams(const struct cli *cli, const struct seen *streams, size_t count)
{
    struct table t;
    table_init(&t, stream_heading);
    for (size_t i = 0; i < count; i++) {
        add_stream(&t, &streams[i]);
    }
    return end_table(cli, &t);
}

static int
print_one(const struct cli *cli, const struct seen *s, const prong_frame *frame)
{
    struct table t;
    table_init(&t, stream_heading);
    add_stream(&t, s);
    int code = end_table(cli, &t);
    if (code == CLI_OK && frame != NULL) {
        char shape[STREAM_SHAPE_BYTES], *meta = NULL;
        stream_shape(frame, shape);
        (void)printf("\nframe %" PRIu64 ": %s %s", frame->number, shape, frame->dtype);
        if (prong_value_to_json(&frame->meta, 0, &meta) == PRONG_OK) {
            (void)fputc(' ', stdout);
            table_put_safe(stdout, meta, strlen(meta));
            prong_free(meta);
        }
        (void)fputc('\n', stdout);
    }
    if (code == CLI_OK && s->count > 0) {
        (void)fputc('\n', stdout);
        table_init(&t, "READER POLICY GROUP HELD TAKEN MISSED DELAY");
        for (size_t i = 0; i < s->count; i++) {
            add_reader(&t, &s->readers[i]);
        }
        code = end_table(cli, &t);
    }
    return code;
}

/* ---- the verbs ------------------------------------------------------------------------------ */

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct seen *)a)->info->name, ((const struct seen *)b)->info->name);
}

static int
put_streams(const struct cli *cli, const struct seen *streams, size_t count)
{
    prong_writer *w = prong_writer_new();
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_array(w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        write_stream(w, &streams[i], false, NULL);
    }
    const int code = stream_put(cli, w, false);
    prong_writer_free(w);
    return code;
}

int
verb_stream_ls(struct cli *cli)
{
    prong_stream_info *list = NULL;
    size_t count = 0, found = 0;
    int code = hub_connect(cli);
    code = code == CLI_OK ? stream_list(cli, &list, &count) : code;
    struct seen *streams = calloc(count + 1, sizeof *streams);
    for (size_t i = 0; streams != NULL && i < count; i++) {
        if (!list[i].is_reader) {
            streams[found++] = see(list, count, i);
        }
    }
    if (code == CLI_OK && streams == NULL) {
        code = output_no_memory(cli);
    } else if (code == CLI_OK) {
        qsort(streams, found, sizeof *streams, by_name);
        code = output_form(cli) == OUTPUT_TABLE ? print_streams(cli, streams, found)
                                                : put_streams(cli, streams, found);
    }
    free(streams);
    prong_free(list);
    return code;
}

/* The newest frame, by reading it as any reader does. Where that is refused, because the stream has
 * no slot to spare, nothing is known of it. */
static void
look_at_newest(struct cli *cli, const prong_stream_info *info, struct stream_source *source,
               const prong_frame **frame)
{
    const prong_reader_options o = {.size_bytes = sizeof o, .timeout_ms = 1000};
    char why[300] = "";
    *frame = NULL;
    if (info->newest == 0 || info->slots == 0) {
        return;
    }
    const prong_err err = prong_stream_open(prong_client_url(cli->client), info->name, &o,
                                            &source->reader, why, sizeof why);
    if (err != PRONG_OK) {
        output_note(cli, "the newest frame of %s cannot be looked at: %s", info->name, why);
    } else if (prong_reader_next(source->reader, 0, frame) != PRONG_OK) {
        *frame = NULL;
    }
}

int
verb_stream_info(struct cli *cli)
{
    struct stream_source source = {.name = cli->argv[0]};
    prong_stream_info *list = NULL;
    const prong_frame *frame = NULL;
    size_t count = 0;
    int code = hub_connect(cli);
    code = code == CLI_OK ? stream_list(cli, &list, &count) : code;
    if (code != CLI_OK) {
        return code;
    }
    const prong_stream_info *info = stream_find(cli, list, count, cli->argv[0], false);
    prong_writer *w = prong_writer_new();
    if (info == NULL || w == NULL) {
        code = info == NULL ? CLI_NO_SUCH : output_no_memory(cli);
    } else {
        const struct seen s = see(list, count, (size_t)(info - list));
        look_at_newest(cli, info, &source, &frame);
        if (output_form(cli) == OUTPUT_TABLE) {
            code = print_one(cli, &s, frame);
        } else {
            write_stream(w, &s, true, frame);
            code = stream_put(cli, w, false);
        }
    }
    prong_frame_release(frame);
    stream_close(&source);
    prong_writer_free(w);
    prong_free(list);
    return code;
}
