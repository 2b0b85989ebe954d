/* `prong stream snap`: the newest frame as a picture. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/output.h"
#include "client/picture/picture.h"
#include "client/cli/stream.h"
#include "client/cli/unit.h"

/* Where the picture goes. */
struct target {
    char path[PATH_MAX];
    enum picture_file file;
    bool is_stdout;
};

static int
choose(const struct cli *cli, struct target *t)
{
    const char *path = cli->options.bundle;
    *t = (struct target){.file = PICTURE_PNG};
    t->is_stdout = path != NULL && strcmp(path, "-") == 0;
    if (t->is_stdout && cli->out_is_terminal) {
        return output_usage(cli, "a terminal cannot show a PNG: name a file, or send it to a pipe");
    }
    if (path != NULL) {
        (void)snprintf(t->path, sizeof t->path, "%s", path);
    } else {
        /* Names of streams are names of files. */
        (void)snprintf(t->path, sizeof t->path, "%.64s.%s", cli->argv[0],
                       picture_has_png() ? "png" : "ppm");
    }
    if (!t->is_stdout && !picture_file_of(t->path, &t->file)) {
        return output_usage(cli,
                            "'%.200s': the end of the name says what it will be: .png, .ppm "
                            "or .pgm",
                            t->path);
    }
    return CLI_OK;
}

static int
tell(const struct cli *cli, const struct target *t, const prong_frame *frame)
{
    char shape[STREAM_SHAPE_BYTES], when[UNIT_TIME_BYTES];
    if (cli->options.output == NULL || t->is_stdout) {
        stream_shape(frame, shape);
        unit_time_local(frame->time_us, when);
        output_note(cli, "%s: frame %" PRIu64 " of %s, %s, taken at %s", t->path, frame->number,
                    cli->argv[0], shape, when);
        return CLI_OK;
    }
    prong_writer *w = prong_writer_new();
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, STREAM_FRAME_PAIRS + 1);
    prong_writer_key(w, "file");
    prong_writer_string(w, t->path);
    stream_write_frame(w, frame);
    const int code = stream_put(cli, w, false);
    prong_writer_free(w);
    return code;
}

/* To a file beside it, which takes its name when it is whole: nobody ever sees half a picture. */
static bool
write_file(const struct target *t, const struct picture *picture, char why[PICTURE_WHY_BYTES])
{
    char part[PATH_MAX + 8];
    (void)snprintf(part, sizeof part, "%s.part", t->path);
    FILE *out = fopen(part, "we");
    bool is_good = out != NULL;
    if (!is_good) {
        (void)snprintf(why, PICTURE_WHY_BYTES, "%s", strerror(errno));
        return false;
    }
    is_good = picture_write(picture, t->file, out, why);
    if (fclose(out) != 0 && is_good) {
        (void)snprintf(why, PICTURE_WHY_BYTES, "%s", strerror(errno));
        is_good = false;
    }
    if (is_good && rename(part, t->path) != 0) {
        (void)snprintf(why, PICTURE_WHY_BYTES, "%s", strerror(errno));
        is_good = false;
    }
    if (!is_good) {
        (void)unlink(part);
    }
    return is_good;
}

static int
save(const struct cli *cli, const struct target *t, const prong_frame *frame)
{
    char why[PICTURE_WHY_BYTES] = "";
    struct picture picture;
    if (!picture_of(frame, cli->options.format, &picture, why)) {
        output_say(cli, "%s: %s", cli->argv[0], why);
        return CLI_FAILED;
    }
    if (!(t->is_stdout ? picture_write(&picture, t->file, stdout, why)
                       : write_file(t, &picture, why))) {
        output_say(cli, "%s: %s", t->path, why);
        picture_deinit(&picture);
        return CLI_FAILED;
    }
    picture_deinit(&picture);
    return tell(cli, t, frame);
}

int
verb_stream_snap(struct cli *cli)
{
    const prong_reader_options o = {.policy = PRONG_LATEST};
    struct stream_source source = {0};
    const prong_frame *frame = NULL;
    struct target target;
    enum hub_woke woke = HUB_WOKE;
    int code = choose(cli, &target);
    code = code == CLI_OK ? stream_open(cli, &source, cli->argv[0], &o) : code;
    if (code == CLI_OK) {
        code = stream_next(cli, &source, cli->deadline_ms, -1, &frame, &woke);
    }
    if (code == CLI_OK && frame == NULL) {
        code = hub_woke_code(cli, HUB_LATE, "a frame");
    }
    code = code == CLI_OK ? save(cli, &target, frame) : code;
    prong_frame_release(frame);
    stream_close(&source);
    return code;
}
