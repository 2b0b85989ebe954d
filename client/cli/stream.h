/* Streams on the command line: what the verbs `prong stream ...` have in common. */
#ifndef PRONG_CLI_STREAM_H
#define PRONG_CLI_STREAM_H

#include <prong/stream.h>

#include "client/cli/cli.h"
#include "client/cli/hub.h"
#include "client/picture/picture.h"

/* All streams of the hub, each followed by its readers, from a hub that is connected. On CLI_OK
 * `*list` is owned, freed with prong_free. */
int stream_list(struct cli *cli, prong_stream_info **list, size_t *count);
/* Those of the list that are called so: the stream itself; NULL after it told that there is none
 * and what may have been meant, unless `is_quiet`. */
const prong_stream_info *stream_find(const struct cli *cli, const prong_stream_info *list,
                                     size_t count, const char *name, bool is_quiet);

/* A stream that is read. */
struct stream_source {
    const char *name; /* borrowed */
    prong_reader *reader;
    uint64_t newest;  /* the number of the newest frame before it was opened; 0: none */
    uint64_t dropped; /* times that the writer gave this reader up */
    bool is_told;     /* that it did */
};

/* Connect if need be, and become a reader. A stream that is not there is waited for if --timeout
 * was given. */
int stream_open(struct cli *cli, struct stream_source *source, const char *name,
                const prong_reader_options *options);
void stream_close(struct stream_source *source);

/* Take the next frame that is there, without waiting; `*frame` is NULL when none is. That this
 * reader was given up in between is counted, and told the first time. */
int stream_take(const struct cli *cli, struct stream_source *source, const prong_frame **frame);
/* As hub_wait_input, for one who has asked the hub nothing and would not notice its end. */
enum hub_woke stream_wait(struct cli *cli, int64_t until_ms, int out_fd, int in_fd);
/* Take the next frame, and wait for it until the time is over. With CLI_OK `*frame` is NULL and
 * *woke is HUB_LATE or HUB_UNREAD, or it is a frame, to be released. Signals and the end of the hub
 * end it with their exit codes. `out_fd` as for hub_wait. */
int stream_next(struct cli *cli, struct stream_source *source, int64_t until_ms, int out_fd,
                const prong_frame **frame, enum hub_woke *woke);

enum { STREAM_SHAPE_BYTES = 180 };
/* "1080x1920x3": the outermost dimension first. */
void stream_shape(const prong_frame *frame, char out[STREAM_SHAPE_BYTES]);
enum { STREAM_FRAME_PAIRS = 9 };
/* What is known of a frame but its bytes, as so many pairs of a map that was begun. */
void stream_write_frame(prong_writer *w, const prong_frame *frame);
/* What a writer has is one object of the output; with `is_line` on one line. */
int stream_put(const struct cli *cli, prong_writer *w, bool is_line);

#endif
