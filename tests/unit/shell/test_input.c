/* What workers read: bytes for a pipe that somebody empties, or nobody. */
#include "broker/shell/input.h"
#include "proto/name.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct rig {
    int epoll_fd, reader;
    struct input *input;
    uint64_t ended; /* the process whose end was told last */
};

static void
ended(void *context, uint64_t process)
{
    struct rig *r = context;
    r->ended = process;
}

static void
rig_open(struct rig *r, uint64_t process)
{
    int ends[2];
    (void)signal(SIGPIPE, SIG_IGN);
    *r = (struct rig){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    r->input = input_new(&(struct input_options){r->epoll_fd, ended, r});
    cr_assert(r->input != NULL && pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0, "pipe");
    r->reader = ends[0];
    input_add(r->input, process, ends[1]);
}

static void
rig_close(struct rig *r)
{
    input_free(r->input);
    if (r->reader >= 0) {
        (void)close(r->reader);
    }
    (void)close(r->epoll_fd);
}

static void
turn(struct rig *r)
{
    struct epoll_event events[4];
    const int n = epoll_wait(r->epoll_fd, events, 4, 0);
    for (int i = 0; i < n; i++) {
        struct source *source = events[i].data.ptr;
        source->ready(source, events[i].events);
    }
    input_turn(r->input);
}

/* All that can be read now. */
static size_t
drain(const struct rig *r)
{
    static char bytes[1 << 20];
    size_t all = 0;
    for (ssize_t n; (n = read(r->reader, bytes, sizeof bytes)) > 0;) {
        all += (size_t)n;
    }
    return all;
}

static char much[INPUT_BYTES_MAX];

static enum input_outcome
put(struct rig *r, uint64_t process, size_t len, bool ends)
{
    return input_send(r->input, process, (struct span){(const uint8_t *)much, len}, ends);
}

Test(input, bytes_come_as_they_were_sent)
{
    struct rig r;
    char got[20] = "";
    rig_open(&r, 7);
    cr_expect(input_send(r.input, 7, span_text("one\n"), false) == INPUT_TAKEN, "one");
    cr_expect(input_send(r.input, 7, span_text("two\n"), false) == INPUT_TAKEN, "two");
    cr_expect(input_send(r.input, 7, (struct span){0}, false) == INPUT_TAKEN, "nothing");
    cr_expect(read(r.reader, got, sizeof got) == 8 && strcmp(got, "one\ntwo\n") == 0, "%s", got);
    cr_expect(input_send(r.input, 8, span_text("x"), false) == INPUT_CLOSED, "of nobody");
    rig_close(&r);
}

Test(input, who_does_not_read_has_what_fits_and_nothing_of_what_does_not)
{
    struct rig r;
    size_t taken = 0;
    rig_open(&r, 7);
    while (put(&r, 7, 10000, false) == INPUT_TAKEN) {
        taken += 10000;
        cr_assert(taken < 4 << 20, "there is no end to it");
    }
    const size_t held = input_held(r.input, 7);
    cr_expect(held <= INPUT_BYTES_MAX && held + 10000 > INPUT_BYTES_MAX, "%zu bytes wait", held);
    turn(&r); /* costs nothing: there is no room in the pipe */
    cr_expect(input_held(r.input, 7) == held, "they went somewhere");
    size_t got = drain(&r);
    while (got < taken) {
        turn(&r);
        const size_t more = drain(&r);
        cr_assert(more > 0, "%zu of %zu came", got, taken);
        got += more;
    }
    cr_expect(got == taken && input_held(r.input, 7) == 0, "%zu of %zu came", got, taken);
    cr_expect(put(&r, 7, sizeof much, false) == INPUT_TAKEN, "there is room again");
    rig_close(&r);
}

Test(input, a_stdin_that_is_closed_takes_nothing)
{
    struct rig r;
    rig_open(&r, 7);
    (void)close(r.reader);
    r.reader = -1;
    cr_expect(put(&r, 7, 10, false) == INPUT_CLOSED, "before it was seen");
    turn(&r);
    cr_expect(put(&r, 7, 10, false) == INPUT_CLOSED, "after");
    rig_close(&r);
    rig_open(&r, 7);
    (void)close(r.reader);
    r.reader = -1;
    turn(&r); /* it is seen without a write */
    cr_expect(epoll_wait(r.epoll_fd, &(struct epoll_event){0}, 1, 0) == 0, "it is told for ever");
    cr_expect(put(&r, 7, 10, false) == INPUT_CLOSED, "after");
    cr_expect(r.ended == 0, "nobody asked for its end");
    rig_close(&r);
}

Test(input, the_end_comes_behind_all_that_was_sent)
{
    struct rig r;
    size_t sent = 0;
    rig_open(&r, 7);
    while (put(&r, 7, 10000, false) == INPUT_TAKEN) {
        sent += 10000;
    }
    size_t got = drain(&r);
    turn(&r);
    cr_expect(put(&r, 7, 5, true) == INPUT_TAKEN, "the last bytes");
    cr_expect(put(&r, 7, 5, false) == INPUT_CLOSED, "behind the end");
    while (r.ended == 0) {
        got += drain(&r);
        turn(&r);
    }
    got += drain(&r);
    cr_expect(r.ended == 7 && got == sent + 5, "%zu of %zu", got, sent + 5);
    cr_expect(read(r.reader, much, 1) == 0, "no end of file");
    rig_close(&r);
}

Test(input, the_end_alone_is_told_at_once)
{
    struct rig r;
    rig_open(&r, 7);
    cr_expect(put(&r, 7, 0, true) == INPUT_TAKEN && r.ended == 7, "the end");
    cr_expect(read(r.reader, much, 1) == 0, "no end of file");
    rig_close(&r);
}

Test(input, what_waits_for_a_process_that_has_ended_is_forgotten)
{
    struct rig r;
    rig_open(&r, 7);
    while (put(&r, 7, 10000, false) == INPUT_TAKEN) {
    }
    input_end(r.input, 7);
    input_end(r.input, 7);
    turn(&r);
    cr_expect(put(&r, 7, 1, false) == INPUT_CLOSED && input_held(r.input, 7) == 0, "it is there");
    input_add(r.input, 9, 1000); /* no descriptor */
    cr_expect(put(&r, 9, 1, false) == INPUT_CLOSED, "it is there");
    input_free(NULL);
    rig_close(&r);
}
