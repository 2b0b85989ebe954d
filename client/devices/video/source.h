/* Pictures out of a file, an RTSP stream or a camera, by the FFmpeg libraries: open, and the next
 * frame, until the end. It knows no hub and no stream, and has no thread but those that FFmpeg
 * makes to decode with.
 *
 * What is wrong in the pictures is no end: it is counted and told with the next frame. What ends it
 * (the file's end, a peer that is gone, silence) is told once; the source is then closed, and may
 * be opened anew.
 *
 * Threads: a source is used by one thread at a time; video_options.is_stopping is called in it. */
#ifndef PRONG_DEVICES_VIDEO_SOURCE_H
#define PRONG_DEVICES_VIDEO_SOURCE_H

#include <prong/codes.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct AVFrame;
struct video_source;

enum { VIDEO_TEXT_BYTES = 64, VIDEO_WHY_BYTES = 512 };

struct video_options {
    const char *url;        /* a path, /dev/videoN, or a URL that FFmpeg knows */
    const char *transport;  /* of RTSP: "tcp", "udp"; NULL: tcp */
    uint32_t width, height; /* asked of a camera that can choose; 0: what it has */
    double rate;            /* the same: frames a second; 0: what it has */
    int32_t timeout_ms;     /* how long opening may take, and how long what is no file may give no
                               frame; > 0 */
    bool (*is_stopping)(void *context); /* asked while it waits; true ends the waiting */
    void *context;
};

/* What was opened. */
struct video_about {
    char codec[VIDEO_TEXT_BYTES], container[VIDEO_TEXT_BYTES];
    uint32_t width, height; /* 0 when only the first frame will tell */
    double rate;            /* frames a second, 0 when it does not say */
    uint64_t frames;        /* that the file says it has, 0 when it does not say */
    bool is_live;           /* it comes at its own time and has no end of its own */
};

struct video_frame {
    const struct AVFrame *picture; /* borrowed until the next video_source_next or the close */
    uint32_t width, height;
    int64_t pts_us; /* on the source's own clock, from its first frame */
    /* When its first bytes were read, or the kernel had it from a camera: CLOCK_MONOTONIC, and the
     * epoch's. */
    int64_t mono_ns, time_us;
    bool is_damaged; /* decoded, but not all of it was there */
};

enum video_step {
    VIDEO_FRAME,   /* there is one */
    VIDEO_ENDED,   /* the file's end */
    VIDEO_FAILED,  /* video_source_why says what */
    VIDEO_STOPPED, /* is_stopping said so */
};

/* `options` and what they point to are borrowed until the close. `out` is owned, freed with
 * video_source_close. On failure `why` has a text for people without a password in it.
 *
 * Errors: PRONG_NOT_FOUND, PRONG_PERMISSION_DENIED, PRONG_INVALID_ARGUMENT (not a video, or none
 * that this FFmpeg can decode), PRONG_UNAVAILABLE (nobody answers), PRONG_DEADLINE_EXCEEDED,
 * PRONG_CANCELLED (is_stopping), PRONG_RESOURCE_EXHAUSTED (memory). */
prong_err video_source_open(const struct video_options *options, struct video_source **out,
                            char *why, size_t why_size);
/* Valid until the close. */
const struct video_about *video_source_about(const struct video_source *s);
/* The next frame in the order of showing. After anything but VIDEO_FRAME: only close. */
enum video_step video_source_next(struct video_source *s, struct video_frame *frame);
/* What VIDEO_FAILED means; "" before. Valid until the close. */
const char *video_source_why(const struct video_source *s);
/* Pieces that were broken or missing so far: packets that could not be read or decoded, frames that
 * are damaged, and at the end what the file had promised and does not have. */
uint64_t video_source_malformed(const struct video_source *s);
/* Accepts NULL. */
void video_source_close(struct video_source *s);

/* Copy a text of UTF-8, cut to `size` bytes with its NUL between two characters. */
void video_copy_text(char *to, size_t size, const char *from);
/* A URL as it may be shown: without the password that may stand in it; cut in the same way. */
void video_shown_url(const char *url, char *shown, size_t size);

#endif
