/* Workers without any hub, process or environment: methods called directly, and setting up. */
#include <prong/worker.h>

#include <poll.h>
#include <string.h>

#include "tests/support/test.h"

struct seen {
    int set_up, torn_down;
};

static prong_err
set_up(prong_worker *worker, void *context)
{
    (void)worker;
    ((struct seen *)context)->set_up++;
    return PRONG_OK;
}

static void
tear_down(prong_worker *worker, void *context)
{
    (void)worker;
    ((struct seen *)context)->torn_down++;
}

static prong_err
no_set_up(prong_worker *worker, void *context)
{
    (void)worker;
    ((struct seen *)context)->set_up++;
    return PRONG_INTERNAL;
}

static prong_err
count(prong_job *job, const prong_value *args, void *context)
{
    (void)context;
    cr_expect(!prong_job_is_cancelled(job));
    cr_expect(prong_job_remaining_ms(job) > 29000 && prong_job_remaining_ms(job) <= 30000);
    cr_expect(strcmp(prong_job_method(job), "count") == 0);
    cr_expect(strcmp(prong_job_caller(job), "test") == 0);
    cr_expect(prong_value_kind(prong_job_options(job)) == PRONG_KIND_NIL);
    cr_expect(prong_job_args(job)->data == args->data);
    prong_job_progress(job, 2.0, "much");
    prong_job_progress(job, -1.0, NULL);
    prong_writer_uint(prong_job_result(job), prong_value_count(args));
    return PRONG_OK;
}

static prong_err
fails(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    prong_writer_string(prong_job_details(job), "more");
    prong_writer_int(prong_job_result(job), 1); /* does not matter */
    return prong_job_fail(job, PRONG_OUT_OF_RANGE, context);
}

static prong_err
returns(prong_job *job, const prong_value *args, void *context)
{
    (void)job;
    (void)args;
    return *(const prong_err *)context;
}

static prong_err
open_array(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    (void)context;
    prong_writer_array(prong_job_result(job), 1);
    return PRONG_OK;
}

static prong_err
yields(prong_job *job, const prong_value *args, void *context)
{
    static const uint8_t one = 1, two[2] = {2, 2};
    (void)args;
    (void)context;
    cr_expect(prong_job_number(job) == 0);
    cr_expect(prong_job_yield(job, NULL) == PRONG_INVALID_ARGUMENT, "nothing was written");
    cr_expect(prong_job_yield(job, &(prong_value){two, 2}) == PRONG_INVALID_ARGUMENT);
    cr_expect(prong_job_yield(job, &(prong_value){&one, 1}) == PRONG_OK);
    prong_writer_array(prong_job_item(job), 1);
    cr_expect(prong_job_yield(job, NULL) == PRONG_INVALID_ARGUMENT, "not complete");
    prong_writer_string(prong_job_item(job), "second");
    cr_expect(prong_job_yield(job, NULL) == PRONG_OK);
    prong_job_flush(job);
    return prong_job_call(job, "other", "method", NULL, 0, NULL) == PRONG_UNAVAILABLE
               ? PRONG_OK
               : PRONG_INTERNAL;
}

static prong_err
calls_hub(prong_job *job, const prong_value *args, void *context)
{
    char why[100];
    (void)args;
    (void)context;
    cr_expect(prong_worker_client(prong_job_worker(job)) == NULL);
    prong_worker_error_text(prong_job_worker(job), why, sizeof why);
    cr_expect(strstr(why, "no hub") != NULL, "%s", why);
    return prong_worker_emit(prong_job_worker(job), "topic", NULL);
}

static bool
message_has(prong_writer *w, const char *part)
{
    prong_value v, message;
    if (prong_writer_finish(w, &v) != PRONG_OK || !prong_value_find(&v, "message", &message)) {
        return false;
    }
    char *text = prong_value_string(&message);
    const bool has = text != NULL && strstr(text, part) != NULL;
    prong_free(text);
    return has;
}

Test(direct, calls_a_method_between_setup_and_teardown)
{
    struct seen seen = {0};
    prong_value v;
    uint64_t n = 0;
    const prong_method table[] = {{"count", count, PRONG_ONCE, NULL, NULL}};
    prong_writer *out = prong_writer_new(), *args = prong_writer_new();
    prong_worker *w = prong_worker_new(table, 1);
    cr_assert(prong_worker_setup(w, set_up, tear_down, &seen) == PRONG_OK);
    prong_writer_array(args, 2);
    prong_writer_nil(args);
    prong_writer_nil(args);
    cr_assert(prong_writer_finish(args, &v) == PRONG_OK);
    cr_expect(prong_worker_test_call(w, "count", &v, out) == PRONG_OK);
    cr_assert(prong_writer_finish(out, &v) == PRONG_OK && prong_value_uint(&v, &n));
    cr_expect(n == 2);
    cr_expect(prong_worker_test_call(w, "count", NULL, NULL) == PRONG_OK);
    cr_expect(seen.set_up == 1 && seen.torn_down == 0);
    prong_worker_free(w);
    cr_expect(seen.torn_down == 1);
    prong_writer_free(out);
    prong_writer_free(args);
}

Test(direct, gives_the_error_a_caller_would_get)
{
    static const struct {
        prong_err returned, code;
        const char *text;
    } rows[] = {
        {PRONG_NOT_FOUND, PRONG_NOT_FOUND, "NOT_FOUND"},
        {PRONG_UNAUTHENTICATED, PRONG_UNAUTHENTICATED, "UNAUTHENTICATED"},
        {(prong_err)17, PRONG_UNKNOWN, "unknown code"},
        {(prong_err)-1, PRONG_UNKNOWN, "unknown code"},
    };
    prong_writer *out = prong_writer_new();
    prong_value v, details;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        prong_err code = rows[i].returned;
        const prong_method table[] = {{"returns", returns, PRONG_ONCE, NULL, &code}};
        prong_worker *w = prong_worker_new(table, 1);
        cr_expect(prong_worker_test_call(w, "returns", NULL, out) == rows[i].code, "row %zu", i);
        cr_expect(message_has(out, rows[i].text), "row %zu", i);
        prong_worker_free(w);
    }
    char text[] = "between 1 and 5";
    const prong_method table[] = {{"fails", fails, PRONG_ONCE, NULL, text},
                                  {"mute", fails, PRONG_ONCE, NULL, NULL},
                                  {"open", open_array, PRONG_ONCE, NULL, NULL}};
    prong_worker *w = prong_worker_new(table, 3);
    cr_expect(prong_worker_test_call(w, "fails", NULL, out) == PRONG_OUT_OF_RANGE);
    cr_expect(message_has(out, text));
    cr_assert(prong_writer_finish(out, &v) == PRONG_OK &&
              prong_value_find(&v, "details", &details));
    cr_expect(prong_value_kind(&details) == PRONG_KIND_TEXT);
    cr_expect(prong_worker_test_call(w, "mute", NULL, out) == PRONG_OUT_OF_RANGE);
    cr_expect(message_has(out, "OUT_OF_RANGE"));
    cr_expect(prong_worker_test_call(w, "open", NULL, out) == PRONG_INTERNAL);
    cr_expect(message_has(out, "not complete"));
    cr_expect(prong_worker_test_call(w, "none", NULL, out) == PRONG_UNIMPLEMENTED);
    cr_expect(prong_worker_test_call(w, "fails", NULL, NULL) == PRONG_OUT_OF_RANGE);
    prong_worker_free(w);
    prong_writer_free(out);
}

/* A text of any length and content leaves as UTF-8 of at most 4096 bytes, and says what it can. */
Test(direct, cuts_texts_between_characters)
{
    char text[5000];
    prong_value v, message;
    const char *cut;
    size_t len = 0;
    for (size_t i = 0; i + 2 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa4", 2);
    }
    text[0] = text[1] = 'a';
    text[2] = 'b'; /* and half a character, which makes it no UTF-8 at all */
    text[4998] = '\0';
    const prong_method table[] = {{"fails", fails, PRONG_ONCE, NULL, text}};
    prong_writer *out = prong_writer_new();
    prong_worker *w = prong_worker_new(table, 1);
    cr_expect(prong_worker_test_call(w, "fails", NULL, out) == PRONG_OUT_OF_RANGE);
    cr_expect(message_has(out, "aab??"), "what is no ASCII is replaced");
    memmove(text + 3, text + 4, 4994);
    cr_expect(prong_worker_test_call(w, "fails", NULL, out) == PRONG_OUT_OF_RANGE);
    cr_assert(prong_writer_finish(out, &v) == PRONG_OK &&
              prong_value_find(&v, "message", &message));
    cr_assert(prong_value_text(&message, &cut, &len));
    cr_expect(len == 4095, "%zu bytes", len);
    prong_worker_free(w);
    prong_writer_free(out);
}

Test(direct, does_not_call_without_setup)
{
    struct seen seen = {0};
    const prong_method table[] = {{"count", count, PRONG_ONCE, NULL, NULL}};
    prong_worker *w = prong_worker_new(table, 1);
    cr_assert(prong_worker_setup(w, no_set_up, tear_down, &seen) == PRONG_OK);
    cr_expect(prong_worker_test_call(w, "count", NULL, NULL) == PRONG_FAILED_PRECONDITION);
    cr_expect(prong_worker_test_call(w, "count", NULL, NULL) == PRONG_FAILED_PRECONDITION);
    prong_worker_free(w);
    cr_expect(seen.set_up == 1 && seen.torn_down == 0);
}

Test(direct, has_no_client_without_a_hub)
{
    const prong_method table[] = {{"calls_hub", calls_hub, PRONG_ONCE, NULL, NULL}};
    prong_worker *w = prong_worker_new(table, 1);
    cr_expect(prong_worker_test_call(w, "calls_hub", NULL, NULL) == PRONG_UNAVAILABLE);
    prong_worker_free(w);
}

static void
on(prong_worker *worker, const prong_event *event, void *context)
{
    (void)worker;
    (void)event;
    (void)context;
}

static void
plain(prong_worker *worker, void *context)
{
    (void)worker;
    (void)context;
}

static void
watch(prong_worker *worker, int fd, short revents, void *context)
{
    (void)worker;
    (void)fd;
    (void)revents;
    (void)context;
}

Test(direct, refuses_what_cannot_be)
{
    const prong_err wrong = PRONG_INVALID_ARGUMENT;
    char name[80] = "n", help[5000];
    memset(help, 'h', sizeof help - 1);
    help[sizeof help - 1] = '\0';
    prong_worker *w = prong_worker_new(NULL, 0);
    cr_expect(prong_worker_method(w, NULL, count, PRONG_ONCE, NULL, NULL) == wrong);
    cr_expect(prong_worker_method(w, "", count, PRONG_ONCE, NULL, NULL) == wrong);
    cr_expect(prong_worker_method(w, "a-b", count, PRONG_ONCE, NULL, NULL) == wrong);
    cr_expect(prong_worker_method(w, "a", count, (prong_policy)3, NULL, NULL) == wrong);
    cr_expect(prong_worker_method(w, "a", count, PRONG_ONCE, help, NULL) == wrong);
    cr_expect(prong_worker_method(w, "a", count, PRONG_ONCE, "\xff", NULL) == wrong);
    cr_expect(prong_worker_method(w, "a", count, PRONG_ONCE, "help", NULL) == PRONG_OK);
    cr_expect(prong_worker_method(w, "a", count, PRONG_ONCE, NULL, NULL) == wrong);
    cr_expect(prong_worker_method(NULL, "a", count, PRONG_ONCE, NULL, NULL) == wrong);
    cr_expect(prong_worker_arguments(w, "b", "data") == wrong);
    cr_expect(prong_worker_arguments(w, NULL, "data") == wrong);
    cr_expect(prong_worker_arguments(w, "a", NULL) == wrong);
    cr_expect(prong_worker_arguments(w, "a", "data t-o") == wrong);
    cr_expect(prong_worker_arguments(w, "a", help) == wrong);
    cr_expect(prong_worker_arguments(w, "a", "data  to ") == PRONG_OK);
    cr_expect(prong_worker_arguments(w, "a", "") == PRONG_OK);
    cr_expect(prong_worker_arguments(NULL, "a", "") == wrong);
    cr_expect(prong_worker_on(w, "a.>.b", on, NULL) == wrong);
    cr_expect(prong_worker_on(w, NULL, on, NULL) == wrong);
    cr_expect(prong_worker_on(w, "a.>", NULL, NULL) == wrong);
    for (int i = 0; i < 64; i++) {
        cr_expect(prong_worker_on(w, "a.>", on, NULL) == PRONG_OK);
    }
    cr_expect(prong_worker_on(w, "a.>", on, NULL) == PRONG_RESOURCE_EXHAUSTED);
    cr_expect(prong_worker_every(w, 0, plain, NULL) == wrong);
    cr_expect(prong_worker_every(w, 86400001, plain, NULL) == wrong);
    cr_expect(prong_worker_every(w, 86400000, plain, NULL) == PRONG_OK);
    cr_expect(prong_worker_watch(w, -1, POLLIN, watch, NULL) == wrong);
    cr_expect(prong_worker_watch(w, 5, POLLIN, NULL, NULL) == wrong);
    cr_expect(prong_worker_watch(w, 5, POLLIN, watch, NULL) == PRONG_OK);
    cr_expect(prong_worker_watch(w, 5, 0, NULL, NULL) == PRONG_OK);
    cr_expect(prong_worker_watch(w, 6, 0, NULL, NULL) == PRONG_OK);
    cr_expect(prong_worker_loop(w, NULL, NULL) == wrong);
    cr_expect(prong_worker_loop(w, plain, NULL) == PRONG_OK);
    cr_expect(prong_worker_reconnect(w, -1) == wrong);
    cr_expect(prong_worker_reconnect(w, 3600001) == wrong);
    for (int i = 1; i < PRONG_METHODS_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        cr_assert(prong_worker_method(w, name, count, PRONG_ONCE, NULL, NULL) == PRONG_OK);
    }
    cr_expect(prong_worker_method(w, "n", count, PRONG_ONCE, NULL, NULL) == wrong);
    while (prong_worker_every(w, 1, plain, NULL) == PRONG_OK) {
        cr_assert(++name[79] < 127);
    }
    prong_worker_free(w);
    prong_worker_free(NULL);
}

Test(direct, can_be_stopped_before_it_runs)
{
    prong_worker *w = prong_worker_new(NULL, 0);
    cr_expect(!prong_worker_is_stopping(w) && prong_worker_stop_fd(w) == -1);
    cr_expect(!prong_worker_pause(w, 1));
    prong_worker_stop(w, 75);
    prong_worker_stop(w, 3);
    cr_expect(prong_worker_is_stopping(w) && prong_worker_pause(w, 100000));
    cr_expect(prong_worker_finish(w) == 75, "the first one counts");
    cr_expect(strcmp(prong_worker_name(w), "") == 0);
    prong_worker_free(w);
}

Test(direct, what_a_method_yields_can_be_looked_at)
{
    const prong_method table[] = {{.name = "yields", .function = yields},
                                  {.name = "count", .function = count}};
    prong_worker *w = prong_worker_new(table, 2);
    prong_value item;
    int64_t number = 0;
    for (int i = 0; i < 2; i++) {
        cr_assert(prong_worker_test_call(w, "yields", NULL, NULL) == PRONG_OK);
        cr_assert(prong_worker_test_item(w, 0, &item));
        cr_expect(prong_value_int(&item, &number) && number == 1);
        cr_assert(prong_worker_test_item(w, 1, &item));
        cr_expect(prong_value_kind(&item) == PRONG_KIND_TEXT);
        cr_expect(!prong_worker_test_item(w, 2, &item));
    }
    cr_assert(prong_worker_test_call(w, "count", NULL, NULL) == PRONG_OK);
    cr_expect(!prong_worker_test_item(w, 0, &item));
    prong_worker_free(w);
}
