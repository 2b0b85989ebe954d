/* What a call may ask for, and when it is refused at once: its options, the limits of the hub and
 * of one client, and a deadline that would pass while it waits. What is refused has not begun. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

enum { ONE = 1, OTHER = 2 };

#define ID "sixteen bytes id"

/* Worker `echo`, whose replicas run one call at a time. */
static void
begin_with(struct world *w, void (*set)(struct worker_spec *), const struct hub_options *options)
{
    cr_assert(world_init_with(w, options), "memory");
    w->capacity = 1;
    world_worker(w, "echo", set);
    world_configured(w);
    world_open(w, ONE);
    world_open(w, OTHER);
}

static void
begin(struct world *w, void (*set)(struct worker_spec *))
{
    struct hub_options options;
    world_options(&options);
    begin_with(w, set, &options);
}

static uint64_t
call(struct world *w, unsigned seq, const char *method, unsigned ttl_ms, const char *options)
{
    return world_say(w, ONE, "[2,b'" ID "',%u,0,'echo','%s',%u,%s,{}]", seq, method, ttl_ms,
                     options);
}

#define expect_text(w, r, want) cr_assert_str_eq(world_text(w, r), want, "%s", world_text(w, r))

/* ---- options -----------------------------------------------------------------------------------
 */

struct wrong {
    const char *id, *target, *options, *args, *answer;
};

static const struct wrong wrongs[] = {
    {"b'" ID "'", "echo", "{'policy':'twice'}", "{}",
     "ERROR 1 3 0 'the option policy must be once, idempotent or shared' null"},
    {"b'" ID "'", "echo", "{'policy':''}", "{}",
     "ERROR 1 3 0 'the option policy must be once, idempotent or shared' null"},
    {"b'" ID "'", "echo", "{'policy':2}", "{}",
     "ERROR 0 3 0 'CALL policy: must be a UTF-8 text, got an integer' null"},
    {"b'" ID "'", "echo", "{'map':'sorted'}", "[]",
     "ERROR 1 3 0 'the option map must be ordered or completed' null"},
    {"b'" ID "'", "echo", "{'map':''}", "[]",
     "ERROR 1 3 0 'the option map must be ordered or completed' null"},
    {"b'" ID "'", "echo", "{'map':'ordered'}", "{}",
     "ERROR 1 3 0 'with the option map the arguments must be an array of argument sets' null"},
    {"b'" ID "'", "echo", "{'map':'ordered'}", "[{},7]",
     "ERROR 1 3 0 'with the option map each element of the arguments must be a map or an array' "
     "null"},
    {"b'" ID "'", "echo/*", "{'map':'ordered'}", "[]",
     "ERROR 1 3 0 'a call of each replica takes one set of arguments: leave out the option map' "
     "null"},
    {"b'" ID "'", "nobody", "{'map':'ordered'}", "[]",
     "ERROR 1 5 0 'there is no such worker' null"},
    {"b'" ID "'", "nobody", "{'background':true}", "[]",
     "ERROR 1 5 0 'there is no such worker' null"},
    {"b'" ID "'", "nobody/*", "null", "[]", "ERROR 1 5 0 'there is no such worker' null"},
    {"b'" ID "'", "echo", "{'priority':0}", "{}",
     "ERROR 0 3 0 'CALL priority: must be from 1 to 9, got 0' null"},
    {"b'" ID "'", "echo", "{'priority':10}", "{}",
     "ERROR 0 3 0 'CALL priority: must be from 1 to 9, got 10' null"},
    {"b'" ID "'", "echo", "{'priority':'high'}", "{}",
     "ERROR 0 3 0 'CALL priority: must be an integer, got a text' null"},
    {"b'" ID "'", "echo/0", "{'key':'a'}", "{}",
     "ERROR 1 3 0 'the option key chooses a replica: name the worker alone' null"},
    {"b'" ID "'", "echo/*", "{'key':'a'}", "{}",
     "ERROR 1 3 0 'the option key chooses a replica: name the worker alone' null"},
    {"b'" ID "'", "echo", "{'key':<129>}", "{}",
     "ERROR 0 3 0 'CALL key: must have at most 128 bytes, got 129' null"},
    {"b'" ID "'", "echo", "{'background':1}", "{}",
     "ERROR 0 3 0 'CALL background: must be true or false, got an integer' null"},
    {"null", "echo", "{'background':true}", "{}",
     "ERROR 1 3 0 'a call with outcomes in parts or in the background needs a client id' null"},
    {"null", "echo", "{'map':'completed'}", "[]",
     "ERROR 1 3 0 'a call with outcomes in parts or in the background needs a client id' null"},
    {"null", "echo/*", "null", "[]",
     "ERROR 1 3 0 'a call with outcomes in parts or in the background needs a client id' null"},
    {"b'" ID "'", "hub", "{'map':'ordered'}", "[]",
     "ERROR 1 3 0 'methods of the hub itself are called without the option map' null"},
    {"b'" ID "'", "hub", "{'background':true}", "{}",
     "ERROR 1 3 0 'methods of the hub itself are called without the option background' null"},
    {"b'" ID "'", "hub/*", "null", "{}",
     "ERROR 1 3 0 'the hub itself has no replicas: name it hub' null"},
    {"b'" ID "'", "hub/0", "null", "{}",
     "ERROR 1 3 0 'the hub itself has no replicas: name it hub' null"},
    {"b'" ID "'", "echo", "{'parent':0}", "{}",
     "ERROR 0 3 0 'CALL parent: must be from 1 to 9007199254740991, got 0' null"},
    {"b'" ID "'", "echo", "{'parent':99}", "{}",
     "ERROR 1 1 0 'the call that the option parent names does not run (any more)' null"},
    {"b'" ID "'", "echo", "{'parent':99,'background':true}", "{}",
     "ERROR 1 1 0 'the call that the option parent names does not run (any more)' null"},
};

Test(admit, a_wrong_option_is_refused_with_what_is_allowed_and_nothing_is_left_of_it)
{
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        const struct wrong *x = &wrongs[i];
        struct world w;
        begin(&w, NULL);
        world_serve(&w, "echo/0");
        const uint64_t r = world_say(&w, ONE, "[2,%s,1,0,'%s','echo',0,%s,%s]", x->id, x->target,
                                     x->options, x->args);
        expect_text(&w, r, x->answer);
        cr_assert(world_given(&w, "echo/0") == 0, "%s was run", x->options);
        cr_assert(hub_counts(w.hub).unfinished == 0, "%s waits for something", x->options);
        world_close(&w, ONE);
        world_pass_ms(&w, WIRE_AWAY_MS + WIRE_DEDUP_MS_NIL_CLIENT + WIRE_KEEP_MS);
        cr_assert(hub_counts(w.hub).calls == 0 && hub_counts(w.hub).payload_bytes == 0,
                  "%s is kept", x->options);
        world_deinit(&w);
    }
}

Test(admit, the_time_to_live_goes_up_to_an_hour)
{
    struct world w;
    begin(&w, NULL);
    world_serve(&w, "echo/0");
    expect_text(&w, call(&w, 1, "echo", 3600001, "null"),
                "ERROR 0 3 0 'CALL TTL_MS: must be from 0 to 3600000, got 3600001' null");
    (void)call(&w, 1, "echo", 3600000, "null");
    (void)call(&w, 2, "echo", 1, "null");
    world_pass_ms(&w, 1);
    cr_assert(hub_counts(w.hub).unfinished == 1, "one millisecond");
    world_pass_ms(&w, 3600000 - 2);
    cr_assert(hub_counts(w.hub).unfinished == 1, "too early");
    world_pass_ms(&w, 1);
    cr_assert(hub_counts(w.hub).unfinished == 0, "an hour");
    world_deinit(&w);
}

/* ---- limits ------------------------------------------------------------------------------------
 */

static void
queue_of_three(struct worker_spec *spec)
{
    spec->queue_max = 3;
}

struct limit {
    struct hub_options options; /* of which only the limits matter */
    const char *answer, *name, *worker;
};

static const struct limit limits[] = {
    {{.calls_max = 3},
     "ERROR 4 8 0 'the hub has too many calls (hub: calls_max)' {'retry_after_ms': 1000}",
     "calls_max",
     ""},
    {{.payload_bytes_max = 7000},
     "ERROR 4 8 0 'the hub holds too many bytes of arguments and results (hub: payload_max)' "
     "{'retry_after_ms': 1000}",
     "payload_max",
     ""},
    {{.client_calls_max = 3},
     "ERROR 4 8 0 'too many calls of this client have no outcome (hub: client_calls)' "
     "{'retry_after_ms': 1000}",
     "client_calls",
     ""},
    {{.client_bytes_max = 7000},
     "ERROR 4 8 0 'the hub holds too many bytes of arguments and results of this client (hub: "
     "client_bytes)' {'retry_after_ms': 1000}",
     "client_bytes",
     ""},
    {{.calls_max = 0},
     "ERROR 4 8 0 'too many calls wait for this worker (queue_size)' {'retry_after_ms': 1000}",
     "queue_size",
     "echo"},
};

/* The n-th of calls of 2000 bytes. */
static uint64_t
long_call(struct world *w, unsigned seq)
{
    return world_say(w, ONE, "[2,b'" ID "',%u,0,'echo','echo',3600000,null,[<2000>]]", seq);
}

/* How often hub.limit was told. */
static unsigned
times_told(const struct world *w)
{
    unsigned n = 0;
    for (const char *at = w->events; (at = strstr(at, "hub.limit ")) != NULL; at++) {
        n++;
    }
    return n;
}

Test(admit, each_limit_refuses_what_is_too_much_at_once_and_that_is_told)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const struct limit *l = &limits[i];
        struct hub_options o;
        struct world w;
        char want[160];
        world_options(&o);
        o.calls_max = l->options.calls_max;
        o.payload_bytes_max = l->options.payload_bytes_max;
        o.client_calls_max = l->options.client_calls_max;
        o.client_bytes_max = l->options.client_bytes_max;
        begin_with(&w, queue_of_three, &o);
        for (unsigned k = 1; k <= 3; k++) {
            cr_assert(world_outcome(&w, long_call(&w, k), NULL) == -1, "%s: call %u", l->name, k);
        }
        expect_text(&w, long_call(&w, 4), l->answer);
        cr_assert(hub_counts(w.hub).unfinished == 3, "%s: it is kept", l->name);
        (void)snprintf(want, sizeof want, "{'limit': '%s', 'worker': '%s', 'who': 'pid 101 uid 0'}",
                       l->name, l->worker);
        const uint64_t r = world_say(&w, OTHER, "[6,null,['hub.limit'],'oldest',10,100000,0]");
        cr_assert(world_says(&w, r, want), "%s", world_text(&w, r));
        world_deinit(&w);
    }
}

Test(admit, arguments_that_can_never_come_in_are_not_to_be_tried_again)
{
    static const struct limit rows[] = {
        {{.payload_bytes_max = 1999},
         "ERROR 1 8 0 'the arguments are more than the hub may hold (hub: payload_max)' null",
         "payload_max",
         ""},
        {{.client_bytes_max = 1999},
         "ERROR 1 8 0 'the arguments are more than the hub may hold of one client (hub: "
         "client_bytes)' null",
         "client_bytes",
         ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hub_options o;
        struct world w;
        world_options(&o);
        o.payload_bytes_max = rows[i].options.payload_bytes_max;
        o.client_bytes_max = rows[i].options.client_bytes_max;
        begin_with(&w, NULL, &o);
        expect_text(&w, long_call(&w, 1), rows[i].answer);
        cr_assert(times_told(&w) == 1, "%s", rows[i].name);
        world_deinit(&w);
    }
}

Test(admit, there_is_room_again_when_calls_have_ended)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const struct limit *l = &limits[i];
        struct hub_options o;
        struct world w;
        world_options(&o);
        o.calls_max = l->options.calls_max;
        o.payload_bytes_max = l->options.payload_bytes_max;
        o.client_calls_max = l->options.client_calls_max;
        o.client_bytes_max = l->options.client_bytes_max;
        begin_with(&w, queue_of_three, &o);
        for (unsigned k = 1; k <= 4; k++) {
            (void)long_call(&w, k);
        }
        (void)world_say(&w, ONE, "[4,b'" ID "',1]");
        const uint64_t r =
            world_say(&w, ONE, "[2,b'" ID "',5,1,'echo','echo',3600000,null,[<2000>]]");
        cr_assert(world_outcome(&w, r, NULL) == -1, "%s: %s", l->name, world_text(&w, r));
        world_deinit(&w);
    }
}

Test(admit, a_limit_that_is_reached_often_is_told_once_a_second)
{
    struct world w;
    begin(&w, queue_of_three);
    for (unsigned i = 1; i <= 50; i++) {
        (void)call(&w, i, "echo", 3600000, "null");
    }
    cr_assert(times_told(&w) == 1, "%u times", times_told(&w));
    world_pass_ms(&w, 999);
    (void)call(&w, 51, "echo", 3600000, "null");
    cr_assert(times_told(&w) == 1, "%u times", times_told(&w));
    world_pass_ms(&w, 1);
    (void)call(&w, 52, "echo", 3600000, "null");
    cr_assert(times_told(&w) == 2, "%u times", times_told(&w));
    world_deinit(&w);
}

Test(admit, who_administers_the_hub_comes_in_when_it_is_full)
{
    struct hub_options o;
    struct world w;
    world_options(&o);
    o.calls_max = 3;
    o.payload_bytes_max = 7000;
    begin_with(&w, NULL, &o);
    for (unsigned k = 1; k <= 4; k++) {
        (void)long_call(&w, k);
    }
    cr_assert(world_admin(&w, "stop", "worker", "echo") == 0, "it is locked out");
    world_deinit(&w);
}

Test(admit, many_calls_in_one_go_on_one_at_a_time_in_a_full_hub)
{
    struct hub_options o;
    struct world w;
    world_options(&o);
    o.calls_max = 4;
    begin_with(&w, NULL, &o);
    world_serve(&w, "echo/0");
    for (unsigned k = 1; k <= 3; k++) {
        (void)call(&w, k, "echo", 60000, "null");
        world_done(&w, "echo/0", world_given(&w, "echo/0"));
    }
    (void)world_say(
        &w, OTHER, "[2,b'who has so many!',1,0,'echo','echo',60000,{'map':'completed'},[[1],[2]]]");
    const struct hub_counts counts = hub_counts(w.hub);
    cr_assert(counts.calls == 5, "the whole and one part of it beside three others: %zu",
              counts.calls);
    for (unsigned k = 1; k <= 2; k++) {
        const uint64_t number = world_given(&w, "echo/0");
        cr_assert(number != 0, "part %u is not given", k);
        world_done(&w, "echo/0", number);
    }
    world_deinit(&w);
}

/* ---- how long it takes -------------------------------------------------------------------------
 */

/* `count` calls that take so long each. */
static void
learn(struct world *w, unsigned count, int64_t ms)
{
    for (unsigned i = 1; i <= count; i++) {
        (void)world_say(w, OTHER, "[2,b'who teaches this',%u,%u,'echo','echo',3600000,null,{}]", i,
                        i - 1);
        world_pass_ms(w, ms);
        world_done(w, "echo/0", world_given(w, "echo/0"));
    }
}

static void
queue_of_ten(struct worker_spec *spec)
{
    spec->queue_max = 10;
}

Test(admit, when_to_come_again_follows_from_how_long_calls_take)
{
    struct world w;
    begin(&w, queue_of_ten);
    world_serve(&w, "echo/0");
    learn(&w, 16, 400);
    for (unsigned i = 1; i <= 11; i++) {
        cr_assert(world_outcome(&w, call(&w, i, "echo", 3600000, "null"), NULL) == -1, "%u", i);
    }
    expect_text(
        &w, call(&w, 12, "echo", 3600000, "null"),
        "ERROR 12 8 0 'too many calls wait for this worker (queue_size)' {'retry_after_ms': 2000}");
    world_deinit(&w);
}

#define TOO_LATE "'so many calls wait before it that its deadline would pass' null"

Test(admit, who_would_wait_beyond_the_deadline_is_refused_at_once)
{
    struct world w;
    begin(&w, NULL);
    world_serve(&w, "echo/0");
    learn(&w, 16, 1000);
    for (unsigned i = 1; i <= 4; i++) {
        (void)call(&w, i, "echo", 3600000, "null"); /* one runs, three wait */
    }
    expect_text(&w, call(&w, 5, "echo", 2900, "null"), "ERROR 5 4 0 " TOO_LATE);
    cr_assert(world_outcome(&w, call(&w, 6, "echo", 3100, "null"), NULL) == -1, "it may");
    cr_assert(world_outcome(&w, call(&w, 7, "echo", 100, "{'priority':6}"), NULL) == -1,
              "it is first");
    expect_text(&w, call(&w, 8, "echo", 900, "{'priority':6}"), "ERROR 8 4 0 " TOO_LATE);
    world_deinit(&w);
}

Test(admit, a_new_client_waits_for_one_call_of_each_of_the_others)
{
    struct world w;
    begin(&w, NULL);
    world_serve(&w, "echo/0");
    learn(&w, 16, 1000);
    for (unsigned i = 0; i < 20; i++) { /* five calls of each of four; one runs */
        (void)world_say(&w, OTHER, "[2,b'client number%3x',%u,0,'echo','echo',3600000,null,{}]",
                        i / 5, i % 5 + 1);
    }
    expect_text(&w, call(&w, 1, "echo", 3900, "null"), "ERROR 1 4 0 " TOO_LATE);
    cr_assert(world_outcome(&w, call(&w, 2, "echo", 4100, "null"), NULL) == -1, "it may");
    /* The second one of it waits for two of each, and for the first. */
    expect_text(&w, call(&w, 3, "echo", 8900, "null"), "ERROR 3 4 0 " TOO_LATE);
    cr_assert(world_outcome(&w, call(&w, 4, "echo", 9100, "null"), NULL) == -1, "it may");
    world_deinit(&w);
}

Test(admit, nobody_is_refused_for_a_deadline_when_nobody_waits_or_nothing_is_known)
{
    struct world w;
    begin(&w, NULL);
    world_serve(&w, "echo/0");
    learn(&w, 15, 1000);
    for (unsigned i = 1; i <= 4; i++) {
        (void)call(&w, i, "echo", 3600000, "null");
    }
    cr_assert(world_outcome(&w, call(&w, 5, "echo", 10, "null"), NULL) == -1, "not known");
    world_deinit(&w);
    begin(&w, NULL);
    world_serve(&w, "echo/0");
    learn(&w, 16, 1000);
    cr_assert(world_outcome(&w, call(&w, 1, "echo", 10, "null"), NULL) == -1, "nobody is there");
    cr_assert(world_outcome(&w, call(&w, 2, "echo", 10, "null"), NULL) == -1, "nobody waits");
    world_deinit(&w);
}

static void
two(struct worker_spec *spec)
{
    spec->replicas = 2;
}

Test(admit, a_call_for_one_replica_or_with_a_key_is_refused_for_what_waits_there_alone)
{
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        char options[80];
        begin(&w, two);
        world_serve(&w, "echo/0");
        learn(&w, 16, 1000);
        world_serve(&w, "echo/1");
        for (unsigned k = 1; k <= 12; k++) { /* two run, ten clients wait for anybody */
            (void)world_say(&w, OTHER, "[2,b'client number%3x',1,0,'echo','echo',3600000,null,{}]",
                            k);
        }
        for (unsigned k = 1; k <= 3; k++) {
            (void)snprintf(options, sizeof options,
                           i == 0 ? "'echo/0','echo',%u,null" : "'echo','echo',%u,{'key':'k'}",
                           1000 * k - 500);
            const uint64_t r = world_say(&w, ONE, "[2,b'" ID "',%u,0,%s,{}]", k, options);
            cr_assert(world_outcome(&w, r, NULL) == -1, "%s: %s", options, world_text(&w, r));
        }
        (void)snprintf(options, sizeof options,
                       i == 0 ? "'echo/0','echo',%u,null" : "'echo','echo',%u,{'key':'k'}", 2900u);
        const uint64_t r = world_say(&w, ONE, "[2,b'" ID "',4,0,%s,{}]", options);
        expect_text(&w, r, "ERROR 4 4 0 " TOO_LATE);
        world_deinit(&w);
    }
}

/* ---- policies ----------------------------------------------------------------------------------
 */

/* A call of `method` with these options whose replica dies: whether it is given again. */
static bool
is_run_again(const char *method, const char *options)
{
    struct world w;
    begin(&w, NULL);
    world_serve(&w, "echo/0");
    const uint64_t r = call(&w, 1, method, 3600000, options);
    cr_assert(world_given(&w, "echo/0") != 0, "it is given");
    world_exited(&w, "echo/0", 9);
    world_pass_ms(&w, 1000);
    world_serve(&w, "echo/0");
    const bool again = world_given(&w, "echo/0") != 0;
    cr_assert(again || world_says(&w, r, "ERROR 1 10 1 "), "%s %s: %s", method, options,
              world_text(&w, r));
    world_deinit(&w);
    return again;
}

Test(admit, a_caller_narrows_the_policy_of_a_method_and_never_widens_it)
{
    static const char *const options[] = {"null", "{'policy':'once'}", "{'policy':'idempotent'}",
                                          "{'policy':'shared'}"};
    for (size_t i = 0; i < 4; i++) {
        cr_assert(!is_run_again("echo", options[i]), "echo %s", options[i]);
        cr_assert(is_run_again("again", options[i]) == (i != 1), "again %s", options[i]);
        cr_assert(is_run_again("same", options[i]) == (i != 1), "same %s", options[i]);
    }
}

Test(admit, a_policy_is_narrowed_before_the_methods_are_known_too)
{
    struct world w;
    begin(&w, NULL);
    const uint64_t once = call(&w, 1, "again", 3600000, "{'policy':'once'}");
    const uint64_t again = world_say(&w, ONE, "[2,b'" ID "',2,0,'echo','again',60000,null,[2]]");
    world_serve(&w, "echo/0");
    world_exited(&w, "echo/0", 9);
    cr_assert(world_says(&w, once, "ERROR 1 10 1 "), "%s", world_text(&w, once));
    world_pass_ms(&w, 1000);
    world_serve(&w, "echo/0");
    world_exited(&w, "echo/0", 9);
    world_pass_ms(&w, 2000);
    world_serve(&w, "echo/0");
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    expect_text(&w, again, "RESULT 2 'done'");
    world_deinit(&w);
}
