/* `prong stream cat`: frames on stdout, or what is known of each. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/output.h"
#include "client/cli/stream.h"
#include "client/cli/table.h"
#include "client/cli/unit.h"
#include "proto/clock/clock.h"

/* What goes to stdout: the bytes where nothing else is asked for. */
static bool
is_bytes(const struct cli *cli)
{
    return cli->options.output == NULL || output_form(cli) == OUTPUT_RAW;
}

static void
put_readable(const prong_frame *frame)
{
    char when[UNIT_TIME_BYTES], shape[STREAM_SHAPE_BYTES], *meta = NULL;
    unit_time_local(frame->time_us, when);
    stream_shape(frame, shape);
    (void)printf("%s #%" PRIu64 " %s %s", when, frame->number, shape, frame->dtype);
    if (frame->missed > 0) {
        (void)printf(" missed %" PRIu64, frame->missed);
    }
    if (prong_value_to_json(&frame->meta, 0, &meta) == PRONG_OK) {
        (void)fputc(' ', stdout);
        table_put_safe(stdout, meta, strlen(meta));
        prong_free(meta);
    }
    (void)fputc('\n', stdout);
}

static int
put(const struct cli *cli, prong_writer *w, const prong_frame *frame)
{
    if (is_bytes(cli)) {
        (void)fwrite(frame->data, 1, frame->bytes, stdout); /* looked at when it is flushed */
        return CLI_OK;
    }
    if (output_form(cli) == OUTPUT_TABLE) {
        put_readable(frame);
        return CLI_OK;
    }
    prong_writer_reset(w);
    prong_writer_map(w, STREAM_FRAME_PAIRS + 1);
    stream_write_frame(w, frame);
    prong_writer_key(w, "delay_ms");
    prong_writer_double(w, (double)(clock_mono_ns() - frame->mono_ns) / 1e6);
    return stream_put(cli, w, true);
}

static int
print_all(struct cli *cli, struct stream_source *source, prong_writer *w)
{
    int64_t printed = 0;
    int code = CLI_OK;
    bool is_over = false;
    while (code == CLI_OK && !is_over) {
        const prong_frame *frame = NULL;
        enum hub_woke woke;
        code = stream_next(cli, source, cli->deadline_ms, STDOUT_FILENO, &frame, &woke);
        if (code == CLI_OK && woke == HUB_LATE) {
            return hub_woke_code(cli, woke, "enough frames");
        }
        is_over = woke == HUB_UNREAD;
        if (frame == NULL) {
            continue;
        }
        code = put(cli, w, frame);
        prong_frame_release(frame);
        printed++;
        is_over = cli->options.count > 0 && printed >= cli->options.count;
        if (!output_flush()) {
            return errno == EPIPE ? CLI_OK : CLI_FAILED; /* output_end says why */
        }
    }
    return code;
}

int
verb_stream_cat(struct cli *cli)
{
    const bool is_lossless =
        cli->options.policy != NULL && strcmp(cli->options.policy, "lossless") == 0;
    const prong_reader_options o = {.policy = is_lossless ? PRONG_LOSSLESS : PRONG_LATEST};
    struct stream_source source = {0};
    if (is_bytes(cli) && cli->out_is_terminal) {
        return output_usage(cli, "frames are bytes, which a terminal cannot show: send them to a "
                                 "file or a pipe, or say -o jsonl");
    }
    prong_writer *w = prong_writer_new();
    int code = w != NULL ? stream_open(cli, &source, cli->argv[0], &o) : output_no_memory(cli);
    code = code == CLI_OK ? print_all(cli, &source, w) : code;
    code = code == CLI_OK && source.dropped > 0 ? CLI_FAILED : code;
    stream_close(&source);
    prong_writer_free(w);
    return code;
}
