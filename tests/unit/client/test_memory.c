/* When memory runs out: the n-th allocation of the thread fails, for each n. */
#include "tests/support/test.h"

#include <jansson.h>
#include <prong/prong.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/memory.h"
#include "tests/unit/client/fake_hub.h"

/* ---- values --------------------------------------------------------------------------------- */

static void
round_trip(void)
{
    static const char text[] =
        "{\"a\": [1, 2.5, \"text\"], \"b\": {\"$bin\": \"AQID\"}, \"c\": {}}";
    prong_writer *w = prong_writer_new();
    char *json = NULL, error[100] = "";
    prong_value v;
    if (w == NULL) {
        return;
    }
    prong_err err = prong_value_from_json(text, strlen(text), w, error, sizeof error);
    /* A number that could not be stored is a wrong number to jansson 2.14. */
    cr_expect(err == PRONG_OK || memory.failed, "%s", error);
    if (err == PRONG_OK && prong_writer_finish(w, &v) == PRONG_OK) {
        err = prong_value_to_json(&v, 0, &json);
        cr_expect(err == PRONG_OK || (err == PRONG_RESOURCE_EXHAUSTED && memory.failed));
        cr_expect(err != PRONG_OK || strstr(json, "\"c\":{}") != NULL);
    }
    prong_free(json);
    prong_writer_free(w);
}

Test(memory, values_say_that_it_is_out)
{
    json_set_alloc_funcs(malloc, free);
    memory_fail_each(round_trip);
}

/* ---- the library ---------------------------------------------------------------------------- */

static struct fake_hub hub;

static void
use_everything(void)
{
    static const char *const filter = "t";
    prong_client *c = NULL;
    prong_reply *r = NULL, *async = NULL, *resumed = NULL;
    prong_subscription *s = NULL;
    const prong_event *e;
    prong_value item;
    char *json = NULL;
    const prong_options o = {
        .size_bytes = sizeof o, .name = "n", .tls_name = "x", .token = "t", .token_len = 1};
    if (prong_connect(hub.url, &o, &c, NULL, 0) != PRONG_OK) {
        cr_expect(memory.failed);
        return;
    }
    const prong_call_options options = {.size_bytes = sizeof options,
                                        .timeout_ms = 3000,
                                        .flags = PRONG_CALL_STREAM | PRONG_CALL_PROGRESS};
    cr_expect(prong_call(c, "w", "echo", NULL, 3000, &r) == PRONG_OK || memory.failed);
    (void)prong_reply_message(r);
    if (prong_call_async(c, "w", "items", NULL, &options, &async) == PRONG_OK) {
        while (prong_reply_next(async, 3000, &item) == PRONG_OK) {
        }
        cr_expect(prong_reply_code(async) == PRONG_OK || memory.failed);
    }
    char handle[PRONG_HANDLE_BYTES], replica[PRONG_REPLICA_BYTES];
    const prong_call_options keyed = {.size_bytes = sizeof keyed, .key = "k", .key_len = 1};
    if (prong_call_background(c, "w", "echo", NULL, &keyed, handle, sizeof handle) == PRONG_OK &&
        prong_resume(c, handle, NULL, &resumed) == PRONG_OK) {
        cr_expect(prong_reply_wait(resumed, 3000) == PRONG_OK);
        cr_expect(prong_reply_code(resumed) == PRONG_OK || memory.failed);
    } else {
        cr_expect(memory.failed);
    }
    cr_expect(prong_lease(c, "w", 100, 3000, replica, sizeof replica) == PRONG_OK || memory.failed);
    cr_expect(prong_call_json(c, "w", "fail", "[1]", 3000, &json) == PRONG_ABORTED ||
              memory.failed);
    if (prong_subscribe(c, &filter, 1, NULL, &s) == PRONG_OK) {
        cr_expect(prong_emit(c, "t", NULL, 3000, NULL) == PRONG_OK || memory.failed);
        (void)prong_post(c, "t", NULL);
        (void)prong_subscription_next(s, memory.failed ? 50 : 3000, &e);
    }
    cr_expect(prong_fd(c) >= 0 && prong_dispatch(c, 0) == PRONG_OK);
    prong_free(json);
    prong_reply_free(r);
    prong_reply_free(async);
    prong_reply_free(resumed);
    prong_subscription_free(s);
    prong_client_free(c);
    memory.countdown = 0;
    fake_stop(&hub); /* its numbers of calls are one client's */
    fake_forget(&hub);
    fake_start(&hub);
}

Test(memory, the_library_goes_on_when_it_is_out)
{
    fake_init(&hub);
    fake_start(&hub);
    memory_fail_each(use_everything);
    fake_deinit(&hub);
}
