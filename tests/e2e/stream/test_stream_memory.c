/* Memory of buffers that is used again, and results that lie in shared memory, under a real prongd.
 */
#include <prong/stream.h>

#include "tests/e2e/worker/hub.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/procs.h"
#include "tests/support/test.h"

enum { LARGE = 6 << 20, PAGES = LARGE / 4096, ROUNDS = 30, BYTES = 3000 };

static char why[300];

static prong_memory *
memory_of(const char *url)
{
    prong_memory *m = NULL;
    cr_assert(prong_memory_open(url, 2, &m, why, sizeof why) == PRONG_OK, "%s", why);
    return m;
}

static prong_buffer *
make(prong_memory *m, size_t bytes)
{
    prong_buffer *b = NULL;
    const prong_err err = prong_buffer_new(m, bytes, NULL, &b);
    prong_memory_error_text(m, why, sizeof why);
    cr_assert(err == PRONG_OK, "%d %s", err, why);
    return b;
}

/* The buffer that a value stands for. */
static prong_buffer *
take(prong_memory *m, const prong_value *handle)
{
    prong_buffer *b = NULL;
    const prong_err err = prong_buffer_take(m, handle, &b);
    prong_memory_error_text(m, why, sizeof why);
    cr_assert(err == PRONG_OK, "%d %s", err, why);
    return b;
}

static bool
is_all(const void *data, size_t bytes, int n)
{
    const uint8_t *at = data;
    return at[0] == (uint8_t)n && memcmp(at, at + 1, bytes - 1) == 0;
}

static long
faults(void)
{
    struct rusage usage;
    cr_assert(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_minflt;
}

/* Whether nothing can be read there; asked of the kernel, so that it is no fault of the test's. */
static bool
is_out_of_reach(const void *at)
{
    int fds[2];
    cr_assert(pipe(fds) == 0);
    const bool fails = write(fds[1], at, 1) < 0 && errno == EFAULT;
    (void)close(fds[0]);
    (void)close(fds[1]);
    return fails;
}

/* Filled here, looked at and changed there; the page faults of both. */
static long
pass_once(prong_memory *here, prong_memory *there, prong_writer *w, int n)
{
    prong_value handle;
    const long before = faults();
    prong_buffer *b = make(here, LARGE);
    memset(b->data, n, LARGE);
    prong_writer_reset(w);
    prong_writer_buffer(w, b);
    cr_assert(prong_writer_finish(w, &handle) == PRONG_OK);
    prong_buffer *taken = take(there, &handle);
    cr_assert(is_all(taken->data, LARGE, n));
    memset(taken->data, n + 1, LARGE);
    cr_assert(is_all(b->data, LARGE, n + 1));
    prong_buffer_free(taken);
    prong_buffer_free(b);
    return faults() - before;
}

Test(stream_memory, what_came_back_costs_no_page_faults, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_memory *here = memory_of(url), *there = memory_of(url);
    prong_writer *w = prong_writer_new();
    const long first = pass_once(here, there, w, 1);
    long least = first;
    for (int i = 0; i < ROUNDS; i++) {
        const long now = pass_once(here, there, w, i);
        least = now < least ? now : least;
    }
    cr_expect(first >= PAGES, "%ld", first);
    cr_expect(least < PAGES / 10, "%ld of %ld", least, first);
    prong_writer_free(w);
    prong_memory_free(here);
    prong_memory_free(there);
    hub_down();
}

Test(stream_memory, nobody_can_reach_what_he_let_go_of, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_memory *m = memory_of(url);
    prong_buffer *b = make(m, LARGE);
    const void *at = NULL;
    /* A second try only where it took longer than memory is kept. */
    for (int tries = 0; tries < ROUNDS && !is_all(b->data, LARGE, 1); tries++) {
        at = b->data;
        memset(b->data, 1, LARGE);
        cr_expect(!is_out_of_reach(at));
        prong_buffer_free(b);
        cr_expect(is_out_of_reach(at));
        b = make(m, LARGE);
    }
    cr_expect(b->data == at && is_all(at, LARGE, 1), "the same memory again");
    prong_memory_keep(m, LARGE - 1); /* which this one is too large for */
    prong_buffer_free(b);
    cr_expect(is_out_of_reach(at));
    b = make(m, LARGE);
    cr_expect(is_all(b->data, LARGE, 0), "new memory");
    prong_buffer_free(b);
    prong_memory_free(m);
    hub_down();
}

/* The child of a process that held a buffer has it mapped, whatever that process does next. */
Test(stream_memory, a_child_goes_on_seeing_what_it_saw, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_memory *m = memory_of(url);
    prong_buffer *b = make(m, LARGE);
    int go[2];
    char byte;
    int status;
    memset(b->data, 1, LARGE);
    cr_assert(pipe(go) == 0);
    const pid_t child = fork();
    if (child == 0) {
        (void)close(go[1]);
        const bool went = read(go[0], &byte, 1) == 0;
        _exit(went && is_all(b->data, LARGE, 1) ? 0 : 1);
    }
    (void)close(go[0]);
    prong_buffer_free(b);
    b = make(m, LARGE);
    cr_expect(is_all(b->data, LARGE, 0), "not that of the child");
    memset(b->data, 2, LARGE);
    (void)close(go[1]);
    cr_assert(waitpid(child, &status, 0) == child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    prong_buffer_free(b);
    prong_memory_free(m);
    hub_down();
}

static prong_buffer *let_go_in_fork;

static void
let_it_go(void)
{
    prong_buffer_free(let_go_in_fork);
    let_go_in_fork = NULL;
}

/* As another thread may let go of it, when the child is there and fork has not returned yet. */
Test(stream_memory, so_does_a_child_that_was_just_made, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    int go[2];
    char byte;
    int status;
    cr_assert(pthread_atfork(NULL, let_it_go, NULL) == 0); /* before any of the library's own */
    prong_memory *m = memory_of(url);
    prong_buffer *b = make(m, LARGE);
    memset(b->data, 1, LARGE);
    cr_assert(pipe(go) == 0);
    let_go_in_fork = b;
    const pid_t child = fork();
    if (child == 0) {
        (void)close(go[1]);
        const bool went = read(go[0], &byte, 1) == 0;
        _exit(went && is_all(b->data, LARGE, 1) ? 0 : 1);
    }
    (void)close(go[0]);
    cr_expect(let_go_in_fork == NULL);
    b = make(m, LARGE);
    cr_expect(is_all(b->data, LARGE, 0), "not that of the child");
    memset(b->data, 2, LARGE);
    (void)close(go[1]);
    cr_assert(waitpid(child, &status, 0) == child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    prong_buffer_free(b);
    prong_memory_free(m);
    hub_down();
}

/* Kill the broker; the memory of the next one. */
static prong_memory *
after_another_broker(const char *url)
{
    const pid_t broker = hub_process("prong-broker", 0);
    prong_memory *there = NULL;
    (void)kill(broker, SIGKILL);
    (void)hub_process("prong-broker", broker);
    while (prong_memory_open(url, 1, &there, why, sizeof why) == PRONG_UNAVAILABLE) {
        (void)sched_yield(); /* the time limit of the test is the deadline */
    }
    return there;
}

/* Another hub counts its memory from the beginning again: a number says nothing across the two. */
Test(stream_memory, memory_of_the_hub_before_is_not_taken_for_that_of_the_next, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_memory *m = memory_of(url);
    prong_writer *w = prong_writer_new();
    prong_value handle;
    prong_buffer *b[2] = {make(m, BYTES), make(m, BYTES)};
    prong_memory *there = after_another_broker(url);
    for (int i = 0; i < 2; i++) {
        prong_buffer_free(b[i]); /* the first one finds out that the hub is gone */
    }
    for (int i = 0; i < 2; i++) {
        b[i] = make(m, BYTES);
        memset(b[i]->data, 7 + i, BYTES);
        prong_writer_reset(w);
        prong_writer_buffer(w, b[i]);
        cr_assert(prong_writer_finish(w, &handle) == PRONG_OK);
        prong_buffer *taken = take(there, &handle);
        cr_expect(is_all(taken->data, BYTES, 7 + i), "both see the same memory");
        prong_buffer_free(taken);
    }
    for (int i = 0; i < 2; i++) {
        prong_buffer_free(b[i]);
    }
    prong_writer_free(w);
    prong_memory_free(there);
    prong_memory_free(m);
    hub_down();
}

/* A worker keeps an array for all its results, and lives longer than the broker. */
Test(stream_memory, a_buffer_is_passed_on_when_the_broker_was_started_anew, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_memory *m = memory_of(url);
    prong_writer *w = prong_writer_new();
    prong_value handle;
    prong_buffer *b = make(m, BYTES);
    const void *at = b->data;
    memset(b->data, 3, BYTES);
    prong_memory *there = after_another_broker(url);
    for (int round = 0; round < 2; round++) {
        prong_writer_reset(w);
        prong_writer_buffer(w, b);
        cr_assert(prong_writer_finish(w, &handle) == PRONG_OK);
        prong_buffer *taken = take(there, &handle);
        cr_expect(is_all(taken->data, BYTES, 3 + round), "what was in it");
        memset(taken->data, 4 + round, BYTES);
        cr_expect(b->data == at && is_all(at, BYTES, 4 + round), "both see the same memory");
        prong_buffer_free(taken);
    }
    prong_buffer_free(b);
    prong_writer_free(w);
    prong_memory_free(there);
    prong_memory_free(m);
    hub_down();
}

Test(stream_memory, a_hub_that_stays_away_is_waited_for_once, .init = hub_enter, .fini = hub_leave)
{
    prong_memory *m = memory_of(hub_up("plain")->url);
    prong_writer *w = prong_writer_new();
    prong_buffer *b = make(m, BYTES);
    hub_down();
    for (int i = 0; i < 60; i++) { /* within the time limit of the test */
        prong_writer_reset(w);
        prong_writer_buffer(w, b);
    }
    prong_buffer_free(b);
    prong_writer_free(w);
    prong_memory_free(m);
}

/* ---- results ----------------------------------------------------------------------------------
 */

static void
put(prong_stream *s, int n)
{
    uint8_t bytes[BYTES];
    memset(bytes, n, BYTES);
    cr_assert(prong_stream_write(s, bytes, BYTES, NULL) == PRONG_OK, "%s",
              prong_stream_error_text(s));
}

static prong_stream *
writer_of(const char *url)
{
    const prong_stream_options o = {.size_bytes = sizeof o, .slots = 8, .slot_bytes = BYTES};
    prong_stream *s = NULL;
    cr_assert(prong_stream_create(url, "cam", &o, &s, why, sizeof why) == PRONG_OK, "%s", why);
    return s;
}

/* The frame that a value stands for is still the n-th, although the ring went round since. */
static void
is_still(prong_memory *m, prong_stream *s, const prong_value *handle, int n)
{
    const prong_frame *f = NULL;
    for (int i = 0; i < 20; i++) {
        put(s, 100 + i);
    }
    const prong_err err = prong_frame_take(m, handle, &f);
    prong_memory_error_text(m, why, sizeof why);
    cr_assert(err == PRONG_OK, "%d %s", err, why);
    cr_expect(f->bytes == BYTES && is_all(f->data, BYTES, n));
    prong_frame_release(f);
}

/* Never that there is no hub or no stream, which are there. */
Test(stream_memory, a_reader_without_descriptors_is_told_so, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url);
    prong_reader *r = NULL;
    struct rlimit before;
    prong_err err = PRONG_RESOURCE_EXHAUSTED;
    rlim_t few = 3;
    cr_assert(getrlimit(RLIMIT_NOFILE, &before) == 0);
    for (; err == PRONG_RESOURCE_EXHAUSTED && few < before.rlim_cur; few++) {
        const struct rlimit limit = {few, before.rlim_max};
        cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        err = prong_stream_open(url, "cam", NULL, &r, why, sizeof why);
        cr_expect(err == PRONG_OK || strstr(why, "descriptor") != NULL ||
                      strstr(why, "Too many open files") != NULL,
                  "%s", why);
    }
    cr_assert(setrlimit(RLIMIT_NOFILE, &before) == 0);
    cr_assert(err == PRONG_OK && few > 10, "%d with %d: %s", err, (int)few, why);
    put(s, 1);
    const prong_frame *f = NULL;
    cr_assert(prong_reader_next(r, 10000, &f) == PRONG_OK && is_all(f->data, BYTES, 1));
    prong_frame_release(f);
    prong_reader_free(r);
    prong_stream_free(s);
    hub_down();
}

/* Who takes only frames that others send hears of the new broker when he takes the next one. */
Test(stream_memory, a_frame_is_taken_when_the_broker_was_started_anew, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_memory *m = memory_of(url);
    prong_stream *s = writer_of(url);
    prong_reader *r = NULL;
    prong_writer *w = prong_writer_new();
    const prong_frame *f = NULL, *taken = NULL;
    prong_value handle;
    put(s, 1);
    cr_assert(prong_stream_open(url, "cam", NULL, &r, why, sizeof why) == PRONG_OK, "%s", why);
    for (uint64_t generation = 1; generation <= 2; generation++) {
        while (f == NULL || f->generation < generation) { /* the time limit is the deadline */
            prong_frame_release(f);
            f = NULL;
            put(s, (int)generation);
            const prong_err err = prong_reader_next(r, 10, &f);
            cr_assert(err == PRONG_OK || err == PRONG_DEADLINE_EXCEEDED);
        }
        prong_writer_reset(w);
        prong_writer_frame(w, f);
        cr_assert(prong_writer_finish(w, &handle) == PRONG_OK);
        const prong_err err = prong_frame_take(m, &handle, &taken);
        prong_memory_error_text(m, why, sizeof why);
        cr_assert(err == PRONG_OK, "generation %d: %d %s", (int)generation, err, why);
        cr_expect(taken->number == f->number && is_all(taken->data, BYTES, (int)generation));
        prong_frame_release(taken);
        if (generation == 1) {
            prong_memory_free(after_another_broker(url));
        }
    }
    prong_frame_release(f);
    prong_reader_free(r);
    prong_stream_free(s);
    prong_writer_free(w);
    prong_memory_free(m);
    hub_down();
}

Test(stream_memory, a_frame_that_is_a_result_stays_until_the_caller_has_it, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url);
    prong_memory *m = memory_of(url);
    put(s, 1);
    /* More of them than the worker could hold. */
    for (int n = 1; n < 8; n++) {
        prong_reply *reply = hub_call("frame", NULL, PRONG_OK);
        is_still(m, s, prong_reply_value(reply), n == 1 ? 1 : 119);
        prong_reply_free(reply);
    }
    prong_memory_free(m);
    prong_stream_free(s);
    hub_down();
}

Test(stream_memory, so_does_one_that_is_an_item, .init = hub_enter, .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_stream *s = writer_of(url);
    prong_memory *m = memory_of(url);
    prong_value item;
    put(s, 1);
    for (int n = 1; n < 8; n++) {
        prong_reply *reply = hub_begin("frame_item", NULL);
        cr_assert(prong_reply_next(reply, HUB_MS, &item) == PRONG_OK);
        is_still(m, s, &item, n == 1 ? 1 : 119);
        hub_end(reply, PRONG_OK);
    }
    prong_memory_free(m);
    prong_stream_free(s);
    hub_down();
}

Test(stream_memory, a_buffer_that_is_a_result_waits_for_the_caller, .init = hub_enter,
     .fini = hub_leave)
{
    const char *url = hub_up("plain")->url;
    prong_memory *m = memory_of(url);
    for (int n = 0; n < 4; n++) {
        prong_reply *reply = hub_call("buffer", NULL, PRONG_OK);
        prong_buffer *b = take(m, prong_reply_value(reply));
        cr_expect(b->bytes == 10000 && is_all(b->data, 10000, 7));
        prong_buffer_free(b);
        prong_reply_free(reply);
    }
    prong_memory_free(m);
    hub_down();
}

/* Buffers that the hub has lent. */
static uint64_t
lent(const struct hub *hub)
{
    prong_reply *reply = NULL;
    prong_value about, memory, buffers;
    uint64_t count = 0;
    cr_assert(prong_call(hub->client, "hub", "metrics", NULL, HUB_MS, &reply) == PRONG_OK);
    cr_assert(prong_value_find(prong_reply_value(reply), "hub", &about) &&
              prong_value_find(&about, "memory", &memory) &&
              prong_value_find(&memory, "buffers", &buffers) && prong_value_uint(&buffers, &count));
    prong_reply_free(reply);
    return count;
}

/* The worker's last word may come to the hub after that of the call. */
static void
is_given_back(const struct hub *hub)
{
    while (lent(hub) > 0) { /* the time limit of the test, half of how long a result is kept */
        (void)sched_yield();
    }
}

/* And the connection stays, with what else was lent over it. */
Test(stream_memory, a_buffer_that_there_is_no_descriptor_for_is_given_back, .init = hub_enter,
     .fini = hub_leave)
{
    const struct hub *hub = hub_up("plain");
    prong_memory *m = memory_of(hub->url), *there = memory_of(hub->url);
    prong_writer *w = prong_writer_new();
    prong_buffer *b = make(m, BYTES), *sent = make(there, BYTES), *other = NULL;
    prong_value handle;
    struct rlimit before;
    prong_writer_buffer(w, sent);
    cr_assert(prong_writer_finish(w, &handle) == PRONG_OK);
    prong_buffer_send(sent, 60000);
    const int next = dup(STDERR_FILENO);
    (void)close(next);
    cr_assert(next > 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
    const struct rlimit none = {(rlim_t)next, before.rlim_max};
    cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
    for (int i = 0; i < 3; i++) {
        cr_expect(prong_buffer_new(m, BYTES, NULL, &other) == PRONG_RESOURCE_EXHAUSTED);
        prong_memory_error_text(m, why, sizeof why);
        cr_expect(strstr(why, "no descriptors") != NULL, "%s", why);
        cr_expect(prong_buffer_take(m, &handle, &other) == PRONG_RESOURCE_EXHAUSTED);
    }
    cr_assert(setrlimit(RLIMIT_NOFILE, &before) == 0);
    prong_buffer_free(take(m, &handle));
    while (lent(hub) > 1) { /* the time limit of the test is half of how long they would stay */
        (void)sched_yield();
    }
    prong_writer_reset(w);
    prong_writer_buffer(w, b);
    cr_assert(prong_writer_finish(w, &handle) == PRONG_OK);
    prong_buffer_free(take(there, &handle));
    prong_buffer_free(b);
    prong_writer_free(w);
    prong_memory_free(there);
    prong_memory_free(m);
    hub_down();
}

Test(stream_memory, a_buffer_whose_result_nobody_gets_is_given_back_at_once, .init = hub_enter,
     .fini = hub_leave)
{
    static const struct {
        const char *args;
        prong_err code;
    } ends[] = {{"{\"how\": \"fails\"}", PRONG_INTERNAL},
                {"{\"how\": \"fails_after_send\"}", PRONG_INTERNAL},
                {"{\"how\": \"does_not_yield\"}", PRONG_OK},
                {"{\"how\": \"changes_its_mind\"}", PRONG_OK},
                {"{\"how\": \"returns_half\"}", PRONG_INTERNAL}};
    const struct hub *hub = hub_up("plain");
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        prong_reply_free(hub_call("buffer", ends[i].args, ends[i].code));
        is_given_back(hub);
    }
    prong_reply *reply = hub_begin("buffer", "{\"how\": \"returns_too_late\"}");
    while (lent(hub) == 0) {
        (void)sched_yield();
    }
    prong_reply_cancel(reply);
    hub_end(reply, PRONG_CANCELLED);
    is_given_back(hub);
    hub_down();
}

Test(stream_memory, a_buffer_that_the_caller_of_a_failed_method_gets_waits_for_him,
     .init = hub_enter, .fini = hub_leave)
{
    const struct hub *hub = hub_up("plain");
    prong_memory *m = memory_of(hub->url);
    prong_value item;
    prong_reply *reply = hub_begin("buffer", "{\"how\": \"yields_and_fails\"}");
    cr_assert(prong_reply_next(reply, HUB_MS, &item) == PRONG_OK);
    cr_assert(prong_reply_wait(reply, HUB_MS) == PRONG_OK);
    cr_expect(lent(hub) == 1);
    prong_buffer_free(take(m, &item));
    hub_end(reply, PRONG_INTERNAL);
    is_given_back(hub);
    reply = hub_call("buffer", "{\"how\": \"fails_with_details\"}", PRONG_INTERNAL);
    cr_expect(lent(hub) == 1);
    prong_buffer_free(take(m, prong_reply_details(reply)));
    prong_reply_free(reply);
    is_given_back(hub);
    prong_memory_free(m);
    hub_down();
}
