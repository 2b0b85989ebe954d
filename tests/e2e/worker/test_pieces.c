/* Calls of more than one piece under a real prongd: items, many calls in one, calls in the
 * background, calls within calls, leases. */
#include "tests/e2e/worker/hub.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

static prong_reply *
begin_at(prong_client *client, const char *worker, const char *method, const char *args,
         uint32_t flags)
{
    prong_reply *reply = NULL;
    prong_value value;
    char why[300];
    prong_writer *w = prong_writer_new();
    const prong_call_options options = {
        .size_bytes = sizeof options, .timeout_ms = HUB_MS, .flags = flags};
    cr_assert(prong_value_from_json(args, strlen(args), w, NULL, 0) == PRONG_OK);
    cr_assert(prong_writer_finish(w, &value) == PRONG_OK);
    const prong_err err = prong_call_async(client, worker, method, &value, &options, &reply);
    prong_client_error_text(client, why, sizeof why);
    cr_assert(err == PRONG_OK, "%s", why);
    prong_writer_free(w);
    (void)prong_flush(client);
    return reply;
}

static uint64_t
number_in(const prong_value *value, const char *key)
{
    prong_value v;
    uint64_t n = UINT64_MAX;
    cr_assert(prong_value_find(value, key, &v) && prong_value_uint(&v, &n), "%s", key);
    return n;
}

static bool
second_is_ready(void *client)
{
    return prong_call(client, "probe/1", "nothing", NULL, HUB_MS, NULL) == PRONG_OK;
}

/* A hub with two replicas that serve. */
static struct hub *
hub_up_two(void)
{
    struct hub *hub = hub_up_with("plain", "    replicas: 2\n");
    cr_assert(until(HUB_MS, second_is_ready, hub->client), "probe/1 does not get ready");
    return hub;
}

/* ---- items ----------------------------------------------------------------------------------- */

/* All items of `counts`, in their order. */
static void
take_all(prong_reply *r, uint64_t count)
{
    prong_value item, v;
    uint64_t n = 0;
    for (uint64_t i = 0; i < count; i++) {
        cr_assert(prong_reply_next(r, HUB_MS, &item) == PRONG_OK, "item %d: %s", (int)i,
                  prong_reply_message(r));
        cr_assert(prong_value_at(&item, 0, &v) && prong_value_uint(&v, &n) && n == i,
                  "%d instead of %d", (int)n, (int)i);
    }
    cr_assert(prong_reply_next(r, HUB_MS, &item) == PRONG_OUT_OF_RANGE);
    cr_assert(prong_reply_code(r) == PRONG_OK, "%s", prong_reply_message(r));
    cr_expect(prong_value_uint(prong_reply_value(r), &n) && n == count);
}

Test(pieces, items_arrive_in_order_with_progress_between, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up("plain");
    double fraction = 0;
    char note[16];
    prong_reply *r = begin_at(hub->client, "probe", "counts", "[5000, 10]",
                              PRONG_CALL_STREAM | PRONG_CALL_PROGRESS);
    take_all(r, 5000);
    cr_expect(prong_reply_progress(r, &fraction, note, sizeof note) && fabs(fraction - 0.5) < 1e-9);
    prong_reply_free(r);
    r = begin_at(hub->client, "probe", "counts", "[0, 0]", PRONG_CALL_STREAM);
    take_all(r, 0);
    prong_reply_free(r);
    r = begin_at(hub->client, "probe", "counts", "[3, 1]", 0);
    hub_down();
    prong_reply_free(r);
}

Test(pieces, more_than_fits_anywhere_flows_through, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up("plain");
    prong_reply *r = begin_at(hub->client, "probe", "counts", "[1000, 60000]", PRONG_CALL_STREAM);
    take_all(r, 1000);
    prong_reply_free(r);
    hub_down();
}

Test(pieces, a_worker_whose_items_nobody_takes_waits_and_ends_with_its_call, .init = hub_enter,
     .fini = hub_leave)
{
    struct hub *hub = hub_up("plain");
    prong_value item;
    prong_reply *r = begin_at(hub->client, "probe", "counts", "[1000, 60000]", PRONG_CALL_STREAM);
    cr_assert(prong_reply_next(r, HUB_MS, &item) == PRONG_OK);
    cr_expect(prong_reply_wait(r, 200) == PRONG_DEADLINE_EXCEEDED, "it stands still");
    prong_reply_cancel(r);
    cr_assert(prong_reply_wait(r, HUB_MS) == PRONG_OK);
    cr_expect(prong_reply_code(r) == PRONG_CANCELLED, "%s", prong_reply_message(r));
    cr_expect(hub_file("ended") == 1, "the method saw it");
    prong_reply_free(r);
    prong_reply_free(hub_call("nothing", NULL, PRONG_OK));
    hub_down();
}

Test(pieces, a_stream_ends_once_when_the_broker_dies, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up("plain");
    prong_value item;
    prong_reply *r = begin_at(hub->client, "probe", "counts", "[1000, 60000]", PRONG_CALL_STREAM);
    cr_assert(prong_reply_next(r, HUB_MS, &item) == PRONG_OK);
    const pid_t broker = hub_process("prong-broker", 0);
    kill(broker, SIGKILL);
    hub_process("prong-broker", broker);
    while (prong_reply_next(r, 2 * HUB_MS, &item) == PRONG_OK) {
    }
    cr_expect(prong_reply_is_done(r) && prong_reply_code(r) == PRONG_UNAVAILABLE, "%s",
              prong_reply_message(r));
    prong_reply_free(r);
    r = begin_at(hub->client, "probe", "counts", "[100, 10]", PRONG_CALL_STREAM);
    take_all(r, 100);
    prong_reply_free(r);
    hub_down();
}

/* ---- many calls in one ----------------------------------------------------------------------- */

Test(pieces, one_call_is_made_for_each_argument_set, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up_two();
    prong_value item, v;
    prong_outcome o;
    uint64_t n = 0;
    prong_reply *r = begin_at(hub->client, "probe", "echo", "[[0], [1], [2], {\"a\": 3}]",
                              PRONG_CALL_MAP | PRONG_CALL_ORDERED | PRONG_CALL_STREAM);
    for (uint64_t i = 0; i < 4; i++) {
        cr_assert(prong_reply_next(r, HUB_MS, &item) == PRONG_OK, "%s", prong_reply_message(r));
        cr_assert(prong_item_outcome(&item, &o) && o.number == i && o.code == PRONG_OK);
        cr_expect(i == 3 ||
                  (prong_value_at(&o.value, 0, &v) && prong_value_uint(&v, &n) && n == i));
    }
    cr_assert(prong_reply_next(r, HUB_MS, &item) == PRONG_OUT_OF_RANGE);
    cr_assert(prong_reply_code(r) == PRONG_OK, "%s", prong_reply_message(r));
    cr_expect(number_in(prong_reply_value(r), "done") == 4);
    prong_reply_free(r);
    r = begin_at(hub->client, "probe", "fails", "[[], []]", PRONG_CALL_MAP);
    cr_assert(prong_reply_wait(r, HUB_MS) == PRONG_OK && prong_reply_code(r) == PRONG_OK);
    cr_expect(number_in(prong_reply_value(r), "failed") == 2);
    cr_assert(prong_reply_next(r, HUB_MS, &item) == PRONG_OK);
    cr_assert(prong_item_outcome(&item, &o) && o.code == PRONG_NOT_FOUND);
    cr_expect(o.message_len == strlen("no such camera") && number_in(&o.details, "k") == 5);
    prong_reply_free(r);
    hub_down();
}

Test(pieces, every_replica_can_be_called, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up_two();
    prong_value item;
    prong_outcome o;
    unsigned seen = 0;
    prong_reply *r = begin_at(hub->client, "probe/*", "about", "{}", PRONG_CALL_STREAM);
    while (prong_reply_next(r, HUB_MS, &item) == PRONG_OK) {
        cr_assert(prong_item_outcome(&item, &o) && o.number < 2);
        seen |= 1U << o.number;
    }
    cr_expect(prong_reply_code(r) == PRONG_OK && seen == 3, "%s", prong_reply_message(r));
    prong_reply_free(r);
    hub_down();
}

/* ---- in the background ----------------------------------------------------------------------- */

static prong_client *
another_client(const struct hub *hub)
{
    prong_client *client = NULL;
    cr_assert(prong_connect(hub->url, NULL, &client, NULL, 0) == PRONG_OK);
    return client;
}

Test(pieces, another_program_waits_for_a_call_in_the_background, .init = hub_enter,
     .fini = hub_leave)
{
    struct hub *hub = hub_up("plain");
    char handle[PRONG_HANDLE_BYTES];
    prong_reply *r = NULL;
    prong_client *first = another_client(hub);
    const prong_err err =
        prong_call_background(first, "probe", "hold", NULL, NULL, handle, sizeof handle);
    prong_client_free(first);
    cr_assert(err == PRONG_OK);
    cr_assert(hub_file("began") == 1);
    cr_assert(prong_resume(hub->client, handle, NULL, &r) == PRONG_OK);
    cr_expect(prong_reply_wait(r, 100) == PRONG_DEADLINE_EXCEEDED);
    prong_reply_free(r); /* the call goes on */
    dir_write("go", "", 0600);
    for (int i = 0; i < 2; i++) { /* its outcome is kept */
        cr_assert(prong_resume(hub->client, handle, NULL, &r) == PRONG_OK);
        cr_assert(prong_reply_wait(r, HUB_MS) == PRONG_OK);
        cr_expect(prong_reply_code(r) == PRONG_OK, "%s", prong_reply_message(r));
        cr_expect(prong_value_kind(prong_reply_value(r)) == PRONG_KIND_TEXT);
        prong_reply_free(r);
    }
    handle[strlen(handle) - 1]++;
    cr_assert(prong_resume(hub->client, handle, NULL, &r) == PRONG_OK);
    hub_end(r, PRONG_NOT_FOUND);
    hub_down();
}

Test(pieces, a_call_in_the_background_can_be_cancelled_by_its_handle, .init = hub_enter,
     .fini = hub_leave)
{
    struct hub *hub = hub_up("plain");
    char handle[PRONG_HANDLE_BYTES];
    prong_reply *r = NULL;
    cr_assert(prong_call_background(hub->client, "probe", "hold", NULL, NULL, handle,
                                    sizeof handle) == PRONG_OK);
    cr_assert(hub_file("began") == 1);
    cr_assert(prong_resume(hub->client, handle, NULL, &r) == PRONG_OK);
    prong_reply_cancel(r);
    hub_end(r, PRONG_CANCELLED);
    cr_expect(hub_file("cancelled") == 1);
    hub_down();
}

/* ---- within a call --------------------------------------------------------------------------- */

Test(pieces, a_call_within_a_call_gives_its_outcome, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up_two();
    prong_reply *r = begin_at(hub->client, "probe/0", "relays", "[\"probe/1\", \"about\"]", 0);
    cr_assert(prong_reply_wait(r, HUB_MS) == PRONG_OK);
    cr_assert(prong_reply_code(r) == PRONG_OK, "%s", prong_reply_message(r));
    cr_expect(number_in(prong_reply_value(r), "remaining") <= HUB_MS);
    prong_reply_free(r);
    hub_down();
}

Test(pieces, a_call_within_a_cancelled_one_is_cancelled, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up_two();
    prong_reply *r = begin_at(hub->client, "probe/0", "relays", "[\"probe/1\", \"hold\"]", 0);
    cr_assert(hub_file("began") == 1);
    prong_reply_cancel(r);
    (void)prong_flush(hub->client);
    hub_end(r, PRONG_CANCELLED);
    cr_expect(hub_file("cancelled") == 1);
    hub_down();
}

Test(pieces, a_call_that_could_only_wait_for_itself_is_refused, .init = hub_enter,
     .fini = hub_leave)
{
    struct hub *hub = hub_up("plain");
    prong_reply *r = begin_at(hub->client, "probe", "relays", "[\"probe\", \"about\"]", 0);
    hub_end(r, PRONG_FAILED_PRECONDITION);
    hub_down();
}

/* ---- leases ---------------------------------------------------------------------------------- */

Test(pieces, a_leased_replica_serves_its_holder_only, .init = hub_enter, .fini = hub_leave)
{
    struct hub *hub = hub_up("plain");
    char replica[PRONG_REPLICA_BYTES], why[300];
    prong_reply *r = NULL;
    prong_client *holder = another_client(hub);
    const prong_err err = prong_lease(holder, "probe", 60000, 5000, replica, sizeof replica);
    prong_client_error_text(holder, why, sizeof why);
    cr_assert(err == PRONG_OK, "%s", why);
    cr_expect(strcmp(replica, "probe/0") == 0, "%s", replica);
    cr_expect(prong_call(holder, replica, "nothing", NULL, HUB_MS, NULL) == PRONG_OK);
    cr_expect(prong_call(hub->client, replica, "nothing", NULL, 300, &r) != PRONG_OK);
    prong_reply_free(r);
    cr_expect(prong_lease_renew(holder, replica, 60000) == PRONG_OK);
    cr_expect(prong_lease_renew(hub->client, replica, 60000) != PRONG_OK, "not the holder");
    cr_expect(prong_lease_release(holder, replica) == PRONG_OK);
    cr_expect(prong_call(hub->client, replica, "nothing", NULL, HUB_MS, NULL) == PRONG_OK);
    cr_expect(prong_lease_renew(holder, replica, 60000) != PRONG_OK, "it has ended");
    prong_client_free(holder);
    hub_down();
}
