/* Who is first of those that wait: the highest priority, and among equals the clients take turns,
 * so that nobody waits behind the flood of another. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ONE = 1 };

/* Worker `echo` with replicas that run one call at a time; none serves yet. */
static void
begin(struct world *w, void (*set)(struct worker_spec *))
{
    world_init(w);
    w->capacity = 1;
    world_worker(w, "echo", set);
    world_configured(w);
    world_open(w, ONE);
}

/* A call of client number `client` whose argument is `tag`. */
static uint64_t
call(struct world *w, unsigned client, unsigned seq, const char *target, unsigned tag,
     const char *options)
{
    return world_say(w, ONE, "[2,b'client number%3x',%u,0,'%s','echo',3600000,%s,[%u]]", client,
                     seq, target, options, tag);
}

/* The argument of what the replica was given; 0 when it was given nothing. */
static unsigned
tag_given(struct world *w, const char *name)
{
    const char *text = world_text(w, world_process(w, name)->request);
    const char *args = strrchr(text, '[');
    return args == NULL ? 0 : (unsigned)strtoul(args + 1, NULL, 10);
}

/* The arguments of what `echo/0` is given one after another until nothing waits: "1 2 3 ". */
static const char *
order(struct world *w, char *out, size_t size)
{
    unsigned tag;
    out[0] = '\0';
    while ((tag = tag_given(w, "echo/0")) != 0) {
        const size_t n = strlen(out);
        (void)snprintf(out + n, size - n, "%u ", tag);
        world_done(w, "echo/0", world_given(w, "echo/0"));
    }
    return out;
}

#define expect_order(w, want)                                                                      \
    do {                                                                                           \
        char got[400];                                                                             \
        cr_assert_str_eq(order(w, got, sizeof got), want, "%s", got);                              \
    } while (false)

/* ---- order -------------------------------------------------------------------------------------
 */

Test(turns, the_highest_priority_is_given_first_and_5_is_that_of_who_names_none)
{
    static const char *const options[] = {"{'priority':1}", "{'priority':9}", "null",
                                          "{'priority':6}", "{'priority':5}", "{'priority':4}"};
    struct world w;
    begin(&w, NULL);
    for (unsigned i = 0; i < 6; i++) {
        (void)call(&w, 1, i + 1, "echo", i + 1, options[i]);
    }
    world_serve(&w, "echo/0");
    expect_order(&w, "2 4 3 5 6 1 ");
    world_deinit(&w);
}

Test(turns, clients_of_equal_priority_take_turns)
{
    static const unsigned counts[] = {5, 1, 3};
    struct world w;
    begin(&w, NULL);
    for (unsigned c = 0; c < 3; c++) {
        for (unsigned i = 0; i < counts[c]; i++) {
            (void)call(&w, c, i + 1, "echo", (c + 1) * 10 + i, "null");
        }
    }
    world_serve(&w, "echo/0");
    expect_order(&w, "10 20 30 11 31 12 32 13 14 ");
    world_deinit(&w);
}

Test(turns, each_priority_has_turns_of_its_own)
{
    struct world w;
    begin(&w, NULL);
    for (unsigned c = 0; c < 2; c++) {
        for (unsigned i = 0; i < 4; i++) {
            (void)call(&w, c, i + 1, "echo", (c + 1) * 10 + i,
                       i % 2 == 0 ? "{'priority':7}" : "null");
        }
    }
    world_serve(&w, "echo/0");
    expect_order(&w, "10 20 12 22 11 21 13 23 ");
    world_deinit(&w);
}

Test(turns, one_that_goes_leaves_the_turns_of_the_others_as_they_were)
{
    struct world w;
    begin(&w, NULL);
    for (unsigned c = 0; c < 3; c++) {
        for (unsigned i = 0; i < 2; i++) {
            (void)call(&w, c, i + 1, "echo", (c + 1) * 10 + i, "null");
        }
    }
    (void)world_say(&w, ONE, "[4,b'client number  1',1]");
    (void)world_say(&w, ONE, "[4,b'client number  1',2]");
    (void)world_say(&w, ONE, "[4,b'client number  0',1]");
    world_serve(&w, "echo/0");
    expect_order(&w, "11 30 31 ");
    world_deinit(&w);
}

Test(turns, a_call_that_comes_back_goes_before_those_of_its_client_that_came_after_it)
{
    struct world w;
    begin(&w, NULL);
    world_serve(&w, "echo/0");
    for (unsigned i = 1; i <= 3; i++) {
        (void)world_say(&w, ONE, "[2,b'client number  1',%u,0,'echo','again',3600000,null,[%u]]", i,
                        i);
    }
    cr_assert(tag_given(&w, "echo/0") == 1, "the first");
    world_exited(&w, "echo/0", 9);
    world_pass_ms(&w, 1000);
    world_serve(&w, "echo/0");
    expect_order(&w, "1 2 3 ");
    world_deinit(&w);
}

Test(turns, what_waits_for_one_replica_alone_has_priorities_too)
{
    struct world w;
    begin(&w, NULL);
    (void)call(&w, 1, 1, "echo", 1, "null");
    (void)call(&w, 1, 2, "echo/0", 2, "{'priority':6}");
    (void)call(&w, 1, 3, "echo", 3, "{'priority':7}");
    (void)call(&w, 1, 4, "echo/0", 4, "{'priority':8}");
    world_serve(&w, "echo/0");
    expect_order(&w, "4 3 2 1 ");
    world_deinit(&w);
}

Test(turns, nothing_is_left_of_lines_that_are_empty)
{
    static const char *const targets[] = {"echo", "echo/0", "other"};
    struct world w;
    world_init(&w);
    world_worker(&w, "echo", NULL);
    world_worker(&w, "other", NULL);
    world_configured(&w);
    world_open(&w, ONE);
    const struct hub_counts before = hub_counts(w.hub);
    for (unsigned i = 0; i < 90; i++) {
        (void)world_say(&w, ONE, "[2,b'client number  1',%u,0,'%s','echo',%u,{'priority':%u},{}]",
                        i + 1, targets[i % 3], 1000 + i, i % 9 + 1);
    }
    cr_assert(hub_counts(w.hub).unfinished == 90, "all wait");
    world_pass_ms(&w, 2000);
    cr_assert(hub_counts(w.hub).unfinished == 0, "all have ended");
    world_close(&w, ONE);
    world_pass_ms(&w, WIRE_REMEMBER_MS + WIRE_AWAY_MS);
    const struct hub_counts after = hub_counts(w.hub);
    cr_assert(after.clients == 0 && after.calls == before.calls &&
                  after.payload_bytes == before.payload_bytes,
              "something is kept");
    world_deinit(&w); /* and the sanitizer says whether memory is */
}

/* ---- who floods --------------------------------------------------------------------------------
 */

/* Clients in simulated time: a call takes 1 ms; flooders keep 200 in flight, victims one. */
struct crowd {
    struct world w;
    unsigned victims, flooders;
    const char *flood_target, *flood_options;
    unsigned next_seq[16];
    int64_t sent_ns[16];
    unsigned waits[64]; /* how many calls of a victim took so many ms; the last: or more */
    unsigned counted;
};

static void
send_next(struct crowd *c, unsigned client)
{
    const bool floods = client >= c->victims;
    const unsigned seq = ++c->next_seq[client];
    c->sent_ns[client] = c->w.now_ns;
    (void)world_say(&c->w, ONE + client + 10,
                    "[2,b'client number%3x',%u,%u,'%s','echo',20000,%s,[%u]]", client, seq,
                    floods && seq > 200 ? seq - 201
                    : floods            ? 0
                                        : seq - 1,
                    floods ? c->flood_target : "echo", floods ? c->flood_options : "null",
                    client + 1);
}

static void
note(struct crowd *c, unsigned client)
{
    const size_t most = sizeof c->waits / sizeof c->waits[0] - 1;
    const size_t ms = (size_t)((c->w.now_ns - c->sent_ns[client]) / 1000000);
    c->waits[ms < most ? ms : most]++;
    c->counted++;
}

/* The p99 in ms of what victims wait, over 500 calls of each. */
static size_t
p99_ms(struct crowd *c)
{
    unsigned seen = 0;
    begin(&c->w, NULL);
    world_serve(&c->w, "echo/0");
    for (unsigned i = c->victims + c->flooders; i > 0; i--) {
        world_open(&c->w, ONE + i - 1 + 10);
        for (unsigned k = 0; k < (i > c->victims ? 200 : 1); k++) {
            send_next(c, i - 1);
        }
    }
    while (c->counted < 500 * c->victims) {
        const unsigned client = tag_given(&c->w, "echo/0") - 1;
        const uint64_t number = world_given(&c->w, "echo/0");
        c->w.now_ns += 1000000;
        if (client < c->victims) {
            note(c, client);
        }
        world_done(&c->w, "echo/0", number);
        send_next(c, client);
    }
    size_t ms = 0;
    while ((seen += c->waits[ms]) * 100 < c->counted * 99) {
        ms++;
    }
    world_deinit(&c->w);
    return ms;
}

static void
expect_patience(const char *target, const char *options)
{
    static const unsigned victims[] = {1, 2, 4};
    for (size_t i = 0; i < 3; i++) {
        static struct crowd alone, flooded;
        alone = (struct crowd){.victims = victims[i]};
        flooded = (struct crowd){
            .victims = victims[i], .flooders = 1, .flood_target = target, .flood_options = options};
        const size_t quiet = p99_ms(&alone), loud = p99_ms(&flooded);
        cr_assert(quiet > 0 && loud <= 2 * quiet, "%u victims wait %zu ms, without the flood %zu",
                  victims[i], loud, quiet);
    }
}

Test(turns, who_floods_a_worker_lets_others_wait_for_one_of_its_calls_at_most)
{
    expect_patience("echo", "null");
}

Test(turns, who_floods_one_replica_by_its_name_lets_others_wait_no_longer)
{
    expect_patience("echo/0", "null");
}

Test(turns, who_floods_a_worker_under_one_key_lets_others_wait_no_longer)
{
    expect_patience("echo", "{'key':'k'}");
}

Test(turns, who_always_has_the_next_call_ready_does_not_keep_the_others_from_their_turns)
{
    struct world w;
    begin(&w, NULL);
    world_serve(&w, "echo/0");
    unsigned turns[3] = {0}, seq[3] = {0};
    for (unsigned c = 0; c < 3; c++) {
        for (unsigned i = 0; i < 2; i++) {
            (void)call(&w, c, ++seq[c], "echo", c + 1, "null");
        }
    }
    for (unsigned i = 0; i < 60; i++) {
        const unsigned c = tag_given(&w, "echo/0") - 1;
        turns[c]++;
        (void)call(&w, c, ++seq[c], "echo", c + 1, "null");
        world_done(&w, "echo/0", world_given(&w, "echo/0"));
    }
    for (unsigned c = 0; c < 3; c++) {
        cr_assert(turns[c] >= 19 && turns[c] <= 21, "%u of 60", turns[c]);
    }
    world_deinit(&w);
}
