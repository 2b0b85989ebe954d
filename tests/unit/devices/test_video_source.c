#include "client/devices/video/picture.h"
#include "client/devices/video/source.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"
#include "tests/unit/devices/make_video.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TIMEOUT_MS = 60000, SMALL = 64 * 1024 };

/* What a whole reading of a source found. */
struct seen {
    enum video_step end;
    int frames, damaged, generations; /* the last: changes of size */
    int numbers[1024];
    int64_t pts_us[1024];
    uint32_t width, height;
    uint64_t malformed;
    char why[VIDEO_WHY_BYTES];
};

static void
make(const char *name, struct make_video what)
{
    cr_assert(make_video(name, &what), "%s cannot be made", name);
}

static void
look(struct seen *seen, const struct video_frame *frame, struct video_scaler *scaler)
{
    const struct video_geometry to = video_fit(VIDEO_GRAY8, 0, 0, frame->width, frame->height);
    uint8_t *pixels = malloc(video_bytes(&to));
    cr_assert(pixels != NULL, "memory");
    cr_assert_eq(video_scale(scaler, frame->picture, &to, pixels), PRONG_OK, "scale");
    seen->numbers[seen->frames % 1024] =
        make_video_number(pixels, (int)frame->width, (int)frame->height, 1);
    seen->pts_us[seen->frames % 1024] = frame->pts_us;
    seen->generations += frame->width != seen->width || frame->height != seen->height;
    seen->width = frame->width;
    seen->height = frame->height;
    seen->damaged += frame->is_damaged;
    seen->frames++;
    free(pixels);
}

static struct seen
read_source(struct video_source *source)
{
    struct seen seen = {0};
    struct video_scaler scaler = {0};
    struct video_frame frame;
    while ((seen.end = video_source_next(source, &frame)) == VIDEO_FRAME) {
        cr_assert(frame.mono_ns > 0 && frame.time_us > 0, "a frame without a time");
        look(&seen, &frame, &scaler);
    }
    seen.malformed = video_source_malformed(source);
    snprintf(seen.why, sizeof seen.why, "%s", video_source_why(source));
    video_scaler_deinit(&scaler);
    return seen;
}

static struct seen
read_file(const char *name)
{
    struct video_source *source = NULL;
    const struct video_options options = {.url = name, .timeout_ms = TIMEOUT_MS};
    char why[VIDEO_WHY_BYTES] = "";
    cr_assert_eq(video_source_open(&options, &source, why, sizeof why), PRONG_OK, "%s", why);
    const struct seen seen = read_source(source);
    video_source_close(source);
    return seen;
}

static prong_err
refused(const struct video_options *options, char why[VIDEO_WHY_BYTES])
{
    struct video_source *source = NULL;
    const prong_err code = video_source_open(options, &source, why, VIDEO_WHY_BYTES);
    cr_assert(code != PRONG_OK && source == NULL, "%s was opened", options->url);
    return code;
}

static prong_err
refused_file(const char *name, char why[VIDEO_WHY_BYTES])
{
    const struct video_options options = {.url = name, .timeout_ms = TIMEOUT_MS};
    return refused(&options, why);
}

static void
cut(const char *name, long part, long of)
{
    struct stat is;
    cr_assert_eq(stat(name, &is), 0, "stat");
    cr_assert_eq(truncate(name, is.st_size * part / of), 0, "truncate");
}

static void
expect_numbers(const struct seen *seen, int from, int to)
{
    cr_assert_eq(seen->frames, to - from, "%d frames instead of %d", seen->frames, to - from);
    for (int i = 0; i < seen->frames; i++) {
        cr_assert_eq(seen->numbers[i], from + i, "frame %d shows %d", i, seen->numbers[i]);
    }
}

Test(video_source, every_frame_of_a_file_comes_in_order_with_its_time, .init = dir_enter,
     .fini = dir_leave)
{
    make("a.avi", (struct make_video){"mjpeg", 320, 240, 40, 20, .first = 1000});
    const struct seen seen = read_file("a.avi");
    cr_assert_eq(seen.end, VIDEO_ENDED, "%s", seen.why);
    expect_numbers(&seen, 1000, 1040);
    cr_assert_eq(seen.malformed, 0, "malformed");
    for (int i = 0; i < seen.frames; i++) {
        cr_assert_eq(seen.pts_us[i], i * 50000, "frame %d at %lld us", i,
                     (long long)seen.pts_us[i]);
    }
}

Test(video_source, frames_that_were_stored_in_another_order_are_shown_in_theirs, .init = dir_enter,
     .fini = dir_leave)
{
    make("a.mp4", (struct make_video){"mpeg4", 320, 240, 50, 25, .reorder = 2});
    const struct seen seen = read_file("a.mp4");
    cr_assert_eq(seen.end, VIDEO_ENDED, "%s", seen.why);
    expect_numbers(&seen, 0, 50);
    cr_assert_eq(seen.malformed, 0, "malformed");
    for (int i = 0; i < seen.frames; i++) {
        cr_assert_eq(seen.pts_us[i], i * 40000, "frame %d at %lld us", i,
                     (long long)seen.pts_us[i]);
    }
}

Test(video_source, what_was_opened_is_told, .init = dir_enter, .fini = dir_leave)
{
    struct video_source *source = NULL;
    const struct video_options options = {.url = "a.avi", .timeout_ms = TIMEOUT_MS};
    char why[VIDEO_WHY_BYTES];
    make("a.avi", (struct make_video){"mjpeg", 320, 240, 12, 20, .first = 0});
    cr_assert_eq(video_source_open(&options, &source, why, sizeof why), PRONG_OK, "%s", why);
    const struct video_about *about = video_source_about(source);
    cr_expect_str_eq(about->codec, "mjpeg", "codec %s", about->codec);
    cr_expect_str_eq(about->container, "avi", "container %s", about->container);
    cr_expect(about->width == 320 && about->height == 240, "%ux%u", about->width, about->height);
    cr_expect(about->rate > 19.99 && about->rate < 20.01, "rate %f", about->rate);
    cr_expect_eq(about->frames, 12, "frames");
    cr_expect(!about->is_live, "live");
    video_source_close(source);
}

Test(video_source, a_change_of_size_in_the_middle_goes_on, .init = dir_enter, .fini = dir_leave)
{
    make("a.mjpeg", (struct make_video){"mjpeg", 320, 240, 30, 25, .first = 0});
    make("a.mjpeg", (struct make_video){"mjpeg", 640, 480, 30, 25, .first = 30, .append = true});
    const struct seen seen = read_file("a.mjpeg");
    cr_assert_eq(seen.end, VIDEO_ENDED, "%s", seen.why);
    expect_numbers(&seen, 0, 60);
    cr_assert_eq(seen.generations, 2, "%d sizes", seen.generations);
    cr_assert(seen.width == 640 && seen.height == 480, "%ux%u", seen.width, seen.height);
}

/* FFmpeg's decoder of MPEG-2 holds one frame back, and forgets it when the size changes. */
Test(video_source, a_change_of_size_and_of_clock_in_a_transport_stream_goes_on, .init = dir_enter,
     .fini = dir_leave)
{
    make("a.ts", (struct make_video){"mpeg2video", 320, 240, 30, 25, .first = 0});
    make("a.ts", (struct make_video){"mpeg2video", 640, 480, 30, 25, .first = 30, .append = true});
    const struct seen seen = read_file("a.ts");
    cr_assert_eq(seen.end, VIDEO_ENDED, "%s", seen.why);
    cr_assert(seen.frames >= 59 && seen.generations == 2, "%d frames, %d sizes", seen.frames,
              seen.generations);
    cr_assert_eq(seen.numbers[seen.frames - 1], 59, "the last shows %d",
                 seen.numbers[seen.frames - 1]);
}

Test(video_source, a_truncated_file_gives_what_it_has_and_is_counted, .init = dir_enter,
     .fini = dir_leave)
{
    make("a.avi", (struct make_video){"mjpeg", 320, 240, 40, 20, .first = 0});
    cut("a.avi", 1, 2);
    const struct seen seen = read_file("a.avi");
    cr_assert_eq(seen.end, VIDEO_ENDED, "%s", seen.why);
    cr_assert(seen.frames > 10 && seen.frames < 40, "%d frames", seen.frames);
    cr_assert(seen.malformed >= 1, "nothing was counted");
    for (int i = 0; i < seen.frames - 1; i++) {
        cr_assert_eq(seen.numbers[i], i, "frame %d shows %d", i, seen.numbers[i]);
    }
}

Test(video_source, a_file_cut_off_before_its_index_is_refused_with_a_reason, .init = dir_enter,
     .fini = dir_leave)
{
    char why[VIDEO_WHY_BYTES];
    make("a.mp4", (struct make_video){"mpeg4", 320, 240, 40, 20, .first = 0});
    cut("a.mp4", 1, 2);
    cr_assert_eq(refused_file("a.mp4", why), PRONG_INVALID_ARGUMENT, "%s", why);
    cr_assert(strstr(why, "cannot open a.mp4") != NULL, "%s", why);
    cr_assert(strstr(why, "moov atom not found") != NULL, "%s", why);
}

Test(video_source, junk_in_the_middle_is_counted_and_what_follows_is_read, .init = dir_enter,
     .fini = dir_leave)
{
    static unsigned char junk[SMALL];
    make("a.ts", (struct make_video){"mpeg2video", 320, 240, 30, 25, .first = 0});
    FILE *file = fopen("a.ts", "ab");
    cr_assert(file != NULL, "open");
    for (size_t i = 0; i < sizeof junk; i++) {
        junk[i] = (unsigned char)(i * 2654435761U >> 13);
    }
    cr_assert_eq(fwrite(junk, 1, sizeof junk, file), sizeof junk, "write");
    cr_assert_eq(fclose(file), 0, "close");
    make("a.ts", (struct make_video){"mpeg2video", 320, 240, 30, 25, .first = 30, .append = true});
    const struct seen seen = read_file("a.ts");
    cr_assert_eq(seen.end, VIDEO_ENDED, "%s", seen.why);
    cr_assert(seen.frames >= 45, "%d frames", seen.frames);
    cr_assert_eq(seen.numbers[seen.frames - 1], 59, "the last shows %d",
                 seen.numbers[seen.frames - 1]);
}

Test(video_source, any_flipped_bytes_are_survived, .init = dir_enter, .fini = dir_leave)
{
    static unsigned char bytes[4 << 20], broken[4 << 20];
    make("a.avi", (struct make_video){"mpeg4", 128, 96, 20, 20, .first = 0});
    FILE *file = fopen("a.avi", "rb");
    cr_assert(file != NULL, "open");
    const size_t len = fread(bytes, 1, sizeof bytes, file);
    cr_assert_eq(fclose(file), 0, "close");
    cr_assert(len > 1000 && len < sizeof bytes, "%zu bytes", len);
    srand(6); /* NOLINT: the same ones each time */
    uint64_t malformed = 0;
    for (int round = 0; round < 25; round++) {
        memcpy(broken, bytes, len);
        for (int i = 0; i < 40; i++) {
            broken[(size_t)rand() % len] = (unsigned char)rand(); /* NOLINT */
        }
        file = fopen("b.avi", "wb");
        cr_assert(file != NULL && fwrite(broken, 1, len, file) == len && fclose(file) == 0,
                  "write");
        struct video_source *source = NULL;
        const struct video_options options = {.url = "b.avi", .timeout_ms = TIMEOUT_MS};
        char why[VIDEO_WHY_BYTES];
        if (video_source_open(&options, &source, why, sizeof why) == PRONG_OK) {
            const struct seen seen = read_source(source);
            malformed += seen.malformed;
            video_source_close(source);
        }
    }
    cr_assert(malformed > 0, "nothing was counted");
}

Test(video_source, what_is_no_video_is_refused_with_a_reason, .init = dir_enter, .fini = dir_leave)
{
    char why[VIDEO_WHY_BYTES];
    cr_expect_eq(refused_file("none.avi", why), PRONG_NOT_FOUND, "%s", why);
    cr_expect_str_eq(why, "cannot open none.avi: No such file or directory", "%s", why);
    dir_write("empty.avi", "", 0600);
    cr_expect_eq(refused_file("empty.avi", why), PRONG_INVALID_ARGUMENT, "%s", why);
    dir_write("text.avi", "this is a text and no video at all\n", 0600);
    cr_expect_eq(refused_file("text.avi", why), PRONG_INVALID_ARGUMENT, "%s", why);
    cr_assert_eq(mkdir("folder", 0700), 0, "mkdir");
    cr_expect_eq(refused_file("folder", why), PRONG_INVALID_ARGUMENT, "%s", why);
    cr_expect(strstr(why, "Is a directory") != NULL, "%s", why);
    cr_assert_eq(mkfifo("pipe", 0600), 0, "mkfifo");
    cr_expect_eq(refused_file("pipe", why), PRONG_INVALID_ARGUMENT, "%s", why);
    cr_expect_eq(refused_file("nonsense://there", why), PRONG_INVALID_ARGUMENT, "%s", why);
    /* A device, but no camera. */
    cr_expect(refused_file("/dev/null", why) != PRONG_OK, "%s", why);
}

/* A port at which somebody listens and says nothing: `fd` is to be closed. */
static int
silent_peer(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 4) == 0 &&
                  getsockname(fd, (struct sockaddr *)&at, &len) == 0,
              "no socket");
    *port = ntohs(at.sin_port);
    return fd;
}

Test(video_source, a_silent_peer_is_given_up_and_its_password_not_shown)
{
    uint16_t port;
    char url[128], why[VIDEO_WHY_BYTES];
    const int fd = silent_peer(&port);
    snprintf(url, sizeof url, "rtsp://eve:hidden@127.0.0.1:%u/one", port);
    const struct video_options options = {.url = url, .timeout_ms = 100};
    cr_expect_eq(refused(&options, why), PRONG_DEADLINE_EXCEEDED, "%s", why);
    cr_expect(strstr(why, "nothing came within 100 ms") != NULL, "%s", why);
    cr_expect(strstr(why, "rtsp://eve:***@127.0.0.1:") != NULL, "%s", why);
    cr_expect(strstr(why, "hidden") == NULL, "%s", why);
    close(fd);
    /* Now nobody listens there. */
    const struct video_options other = {.url = url, .timeout_ms = TIMEOUT_MS};
    cr_expect_eq(refused(&other, why), PRONG_UNAVAILABLE, "%s", why);
    cr_expect(strstr(why, "refused") != NULL && strstr(why, "hidden") == NULL, "%s", why);
}

Test(video_source, a_password_in_what_ffmpeg_complains_of_is_not_shown, .init = dir_enter,
     .fini = dir_leave)
{
    char why[VIDEO_WHY_BYTES];
    /* A pattern for many pictures, and none of them is there. */
    dir_write("token=hidden%d.png", "", 0600);
    cr_expect(refused_file("token=hidden%d.png", why) != PRONG_OK, "%s", why);
    cr_expect(strstr(why, "no file with path 'token=***") != NULL, "%s", why);
    cr_expect(strstr(why, "hidden") == NULL, "%s", why);
}

static bool
stops(void *context)
{
    int *asked = context;
    return ++*asked > 2;
}

Test(video_source, waiting_for_a_peer_can_be_stopped)
{
    uint16_t port;
    int asked = 0;
    char url[128], why[VIDEO_WHY_BYTES];
    const int fd = silent_peer(&port);
    snprintf(url, sizeof url, "rtsp://127.0.0.1:%u/one", port);
    const struct video_options options = {
        .url = url, .timeout_ms = TIMEOUT_MS, .is_stopping = stops, .context = &asked};
    cr_expect_eq(refused(&options, why), PRONG_CANCELLED, "%s", why);
    close(fd);
}

Test(video_source, passwords_are_not_shown)
{
    static const char *const cases[][2] = {
        {"a.avi", "a.avi"},
        {"rtsp://h/x", "rtsp://h/x"},
        {"rtsp://u@h/x", "rtsp://u@h/x"},
        {"rtsp://u:p@h:554/x?a=b", "rtsp://u:***@h:554/x?a=b"},
        {"rtsp://u:p@q:r@h/x@y:z", "rtsp://u:***@h/x@y:z"},
        {"rtsp://h:554/u:p@x", "rtsp://h:554/u:p@x"},
        {"rtsp://:p@h", "rtsp://:***@h"},
        {"rtsp://", "rtsp://"},
        {"rtsp://u:p q@h/x?token=t&a=b", "rtsp://u:***@h/x?token=***&a=b"},
        {"rtsp://h/user=a_password=b_c=1", "rtsp://h/user=a_password=***"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char shown[64];
        video_shown_url(cases[i][0], shown, sizeof shown);
        cr_expect_str_eq(shown, cases[i][1], "%s became %s", cases[i][0], shown);
    }
}

Test(video_source, texts_are_cut_between_two_characters)
{
    char text[8];
    video_copy_text(text, sizeof text, "abcdef\u00e9");
    cr_expect_str_eq(text, "abcdef", "%s", text);
    video_copy_text(text, sizeof text, "abcde\u00e9");
    cr_expect_str_eq(text, "abcde\u00e9", "%s", text);
    video_copy_text(text, sizeof text, "abc\U0001f600\u00e9");
    cr_expect_str_eq(text, "abc\U0001f600", "%s", text);
    video_copy_text(text, sizeof text, "");
    cr_expect_str_eq(text, "", "%s", text);
}
