/* `prong stream hz`, `bw` and `delay`: a line each second of what came in the last ones. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "client/cli/field.h"
#include "client/cli/output.h"
#include "client/cli/rate.h"
#include "client/cli/stream.h"
#include "client/cli/unit.h"
#include "proto/clock/clock.h"

enum { LINE_MS = 1000 };

#define NS_PER_MS INT64_C(1000000)

/* What one of the verbs tells. */
struct aspect {
    void (*print)(const struct rate_result *r);
    void (*write)(prong_writer *w, const struct rate_result *r);
    uint32_t pairs;
};

struct watching {
    struct cli *cli;
    const struct aspect *aspect;
    struct rate rate;
    prong_writer *writer;
    int64_t window_ns;
    int64_t seen; /* frames */
};

/* ---- what is told --------------------------------------------------------------------------- */

static void
print_hz(const struct rate_result *r)
{
    (void)printf("%.2f Hz  min %.2fms  max %.2fms  std %.2fms", r->hz, r->gap_min_ns / 1e6,
                 r->gap_max_ns / 1e6, r->gap_std_ns / 1e6);
}

static void
write_hz(prong_writer *w, const struct rate_result *r)
{
    field_put_double(w, "hz", r->hz);
    field_put_double(w, "mean_ms", r->gap_mean_ns / 1e6);
    field_put_double(w, "min_ms", r->gap_min_ns / 1e6);
    field_put_double(w, "max_ms", r->gap_max_ns / 1e6);
    field_put_double(w, "std_ms", r->gap_std_ns / 1e6);
}

static void
print_bw(const struct rate_result *r)
{
    char rate[UNIT_SIZE_BYTES], least[UNIT_SIZE_BYTES], most[UNIT_SIZE_BYTES];
    unit_size((uint64_t)r->bytes_per_s, rate);
    unit_size(r->bytes_min, least);
    unit_size(r->bytes_max, most);
    (void)printf("%s/s  %.2f Hz  frames of %s to %s", rate, r->hz, least, most);
}

static void
write_bw(prong_writer *w, const struct rate_result *r)
{
    field_put_double(w, "bytes_per_s", r->bytes_per_s);
    field_put_double(w, "hz", r->hz);
    field_put_uint(w, "min_bytes", r->bytes_min);
    field_put_uint(w, "max_bytes", r->bytes_max);
}

static void
print_delay(const struct rate_result *r)
{
    (void)printf("p50 %.3fms  p99 %.3fms  max %.3fms", (double)r->delay_p50_ns / 1e6,
                 (double)r->delay_p99_ns / 1e6, (double)r->delay_max_ns / 1e6);
}

static void
write_delay(prong_writer *w, const struct rate_result *r)
{
    field_put_double(w, "p50_ms", (double)r->delay_p50_ns / 1e6);
    field_put_double(w, "p99_ms", (double)r->delay_p99_ns / 1e6);
    field_put_double(w, "max_ms", (double)r->delay_max_ns / 1e6);
}

/* ---- watching ------------------------------------------------------------------------------- */

/* A line; *is_unread when nobody reads our stdout any longer. */
static int
tell(struct watching *v, bool *is_unread)
{
    struct rate_result r;
    prong_writer *w = v->writer;
    int code = CLI_OK;
    rate_look(&v->rate, clock_mono_ns() - v->window_ns, &r);
    if (output_form(v->cli) == OUTPUT_TABLE && r.frames == 0) {
        (void)puts("no frames");
    } else if (output_form(v->cli) == OUTPUT_TABLE) {
        v->aspect->print(&r);
        (void)printf("  frames %" PRIu64, r.frames);
        (void)printf(r.missed > 0 ? " and %" PRIu64 " missed\n" : "\n", r.missed);
    } else {
        prong_writer_reset(w);
        prong_writer_map(w, 2 + v->aspect->pairs);
        field_put_uint(w, "frames", r.frames);
        field_put_uint(w, "missed", r.missed);
        v->aspect->write(w, &r);
        code = stream_put(v->cli, w, true);
    }
    *is_unread = !output_flush();
    return code; /* output_end says what is wrong with stdout */
}

/* But for the one that was there already, which did not come. */
static void
add(struct watching *v, const struct stream_source *source, const prong_frame *frame)
{
    const int64_t now_ns = clock_mono_ns();
    if (v->seen == 0 && frame->number == source->newest) {
        return;
    }
    rate_add(&v->rate, &(struct rate_sample){.at_ns = now_ns,
                                             .delay_ns = now_ns - frame->mono_ns,
                                             .bytes = frame->bytes,
                                             .missed = v->seen > 0 ? frame->missed : 0});
    v->seen++;
}

static int
watch(struct watching *v, struct stream_source *source)
{
    struct cli *cli = v->cli;
    int64_t line_ms = unit_now_ms() + LINE_MS;
    bool is_over = false, is_unread = false;
    int code = CLI_OK;
    while (code == CLI_OK && !is_over && !is_unread) {
        const prong_frame *frame = NULL;
        enum hub_woke woke;
        code = stream_next(cli, source, line_ms < cli->deadline_ms ? line_ms : cli->deadline_ms,
                           STDOUT_FILENO, &frame, &woke);
        if (frame != NULL) {
            add(v, source, frame);
            prong_frame_release(frame);
            is_over = cli->options.count > 0 && v->seen >= cli->options.count;
        }
        is_unread = woke == HUB_UNREAD;
        const bool is_late = woke == HUB_LATE && unit_now_ms() >= cli->deadline_ms;
        if (code == CLI_OK && (is_over || (woke == HUB_LATE && unit_now_ms() >= line_ms))) {
            line_ms += LINE_MS;
            code = tell(v, &is_unread);
        }
        if (code == CLI_OK && is_late) {
            return hub_woke_code(cli, HUB_LATE, "enough frames");
        }
    }
    return code;
}

static int
run(struct cli *cli, const struct aspect *aspect)
{
    const int64_t window_ms = cli->options.window_ms > 0 ? cli->options.window_ms : LINE_MS;
    struct watching v = {.cli = cli,
                         .aspect = aspect,
                         .writer = prong_writer_new(),
                         .window_ns = window_ms * NS_PER_MS};
    struct stream_source source = {0};
    const prong_reader_options o = {.policy = PRONG_LATEST};
    rate_init(&v.rate);
    int code = v.writer != NULL && v.rate.samples != NULL
                   ? stream_open(cli, &source, cli->argv[0], &o)
                   : output_no_memory(cli);
    code = code == CLI_OK ? watch(&v, &source) : code;
    stream_close(&source);
    rate_deinit(&v.rate);
    prong_writer_free(v.writer);
    return code;
}

int
verb_stream_hz(struct cli *cli)
{
    static const struct aspect hz = {print_hz, write_hz, 5};
    return run(cli, &hz);
}

int
verb_stream_bw(struct cli *cli)
{
    static const struct aspect bw = {print_bw, write_bw, 4};
    return run(cli, &bw);
}

int
verb_stream_delay(struct cli *cli)
{
    static const struct aspect delay = {print_delay, write_delay, 3};
    return run(cli, &delay);
}
