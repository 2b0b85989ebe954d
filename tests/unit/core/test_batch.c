/* Calls that are given out together: what comes as a crowd, what may join it, and how the hub knows
 * that a method is short. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <stdio.h>

enum { ONE = 901, US = 1000 };

/* A worker of so many replicas, each running one call at a time, that is ready. */
static void
begin(struct world *w, uint32_t replicas, void (*set)(struct worker_spec *))
{
    char name[32];
    world_init(w);
    w->capacity = 1;
    world_worker(w, "echo", set);
    world_configured(w);
    world_open(w, ONE);
    for (uint32_t i = 0; i < replicas; i++) {
        (void)snprintf(name, sizeof name, "echo/%u", (unsigned)i);
        world_started(w, name);
        world_attach(w, name);
    }
}

static void
two(struct worker_spec *spec)
{
    spec->replicas = 2;
}

static uint64_t
call(struct world *w, const char *method, uint64_t seq)
{
    return world_call(w, ONE, &(struct world_call){.worker = "echo", .method = method, .seq = seq});
}

/* Calls that come in one turn. */
static void
crowd(struct world *w, const char *method, uint64_t first, uint64_t count)
{
    w->crowd = true;
    for (uint64_t i = 0; i < count; i++) {
        (void)call(w, method, first + i);
    }
    w->crowd = false;
    world_turn(w);
}

/* Poll with much room, and how many calls come of it; *first is the first one. */
static uint32_t
given(struct world *w, const char *name, uint64_t *first)
{
    struct process *p = world_process(w, name);
    const struct record *work = world_expect(w, p->request, 0, WIRE_REC_WORK);
    struct span items = RECORD_FIELD(work, WORK, ITEMS)->inside;
    struct record item;
    if (first != NULL && record_item(&items, WIRE_REC_WORK_ITEM, &item)) {
        *first = RECORD_FIELD(&item, WORK_ITEM, CALL)->item.uint;
    }
    p->taken = RECORD_FIELD(work, WORK, NUMBER)->item.uint;
    return RECORD_FIELD(work, WORK, ITEMS)->item.count;
}

/* It ran `count` calls from `first` on, which took so long together, and asks for more. */
static void
done(struct world *w, const char *name, uint64_t first, uint32_t count, int64_t took_us)
{
    struct process *p = world_process(w, name);
    struct buf b = {0};
    w->now_ns += took_us * US;
    write_op(&b, WIRE_REPORT);
    write_text(&b, name);
    write_uint(&b, p->session);
    write_array(&b, count);
    for (uint32_t i = 0; i < count; i++) {
        write_array(&b, 3);
        write_uint(&b, first + i);
        write_uint(&b, WIRE_REPORT_RESULT);
        write_nil(&b);
    }
    (void)world_send(w, p->peer, buf_span(&b));
    buf_deinit(&b);
}

/* The hub has seen the method take so long. */
static void
teach(struct world *w, const char *method, uint64_t seq, int64_t took_us)
{
    uint64_t number = 0;
    world_poll(w, "echo/0", 64);
    (void)call(w, method, seq);
    cr_assert(given(w, "echo/0", &number) == 1, "one");
    done(w, "echo/0", number, 1, took_us);
}

Test(batch, a_method_that_nobody_has_seen_gets_one_call_at_a_time)
{
    struct world w;
    begin(&w, 1, NULL);
    crowd(&w, "again", 1, 8);
    world_poll(&w, "echo/0", 64);
    cr_assert(given(&w, "echo/0", NULL) == 1, "one");
    world_deinit(&w);
}

Test(batch, short_calls_are_given_together)
{
    struct world w;
    begin(&w, 1, NULL);
    teach(&w, "again", 1, 5);
    world_poll(&w, "echo/0", 64);
    crowd(&w, "again", 2, 30);
    cr_assert(given(&w, "echo/0", NULL) == 30, "all that came in the turn");
    world_deinit(&w);
}

Test(batch, together_they_take_a_millisecond_at_most)
{
    struct world w;
    begin(&w, 1, NULL);
    teach(&w, "again", 1, 99);
    world_poll(&w, "echo/0", 64);
    crowd(&w, "again", 2, 30);
    const uint32_t count = given(&w, "echo/0", NULL);
    cr_assert(count == 10, "%u", count);
    world_deinit(&w);
}

Test(batch, one_long_call_ends_them_and_short_ones_begin_them_again_slowly)
{
    struct world w;
    uint64_t first = 0;
    begin(&w, 1, NULL);
    teach(&w, "again", 1, 5);
    teach(&w, "again", 2, 5000);
    world_poll(&w, "echo/0", 64);
    crowd(&w, "again", 3, 30);
    cr_assert(given(&w, "echo/0", &first) == 1, "it takes long now");
    unsigned ones = 0;
    do {
        done(&w, "echo/0", first, 1, 5);
        world_poll(&w, "echo/0", 64);
        ones++;
    } while (given(&w, "echo/0", &first) == 1);
    cr_assert(ones > 10 && ones < 29, "%u", ones);
    world_deinit(&w);
}

Test(batch, the_time_of_a_batch_is_shared_by_its_calls)
{
    struct world w;
    uint64_t first = 0;
    begin(&w, 1, NULL);
    teach(&w, "again", 1, 20);
    world_poll(&w, "echo/0", 64);
    crowd(&w, "again", 2, 40);
    cr_assert(given(&w, "echo/0", &first) == 40, "40 of 20 us");
    done(&w, "echo/0", first, 40, 800);
    world_poll(&w, "echo/0", 64);
    crowd(&w, "again", 42, 40);
    cr_assert(given(&w, "echo/0", NULL) == 40, "20 us each, not 800");
    world_deinit(&w);
}

Test(batch, a_once_call_joins_nobody)
{
    struct world w;
    uint64_t first = 0;
    begin(&w, 1, NULL);
    teach(&w, "echo", 1, 5);
    teach(&w, "again", 2, 5);
    world_poll(&w, "echo/0", 64);
    crowd(&w, "echo", 3, 3);
    cr_assert(given(&w, "echo/0", &first) == 1, "alone");
    crowd(&w, "again", 6, 2);
    crowd(&w, "echo", 8, 1);
    for (int i = 0; i < 2; i++) {
        done(&w, "echo/0", first, 1, 5);
        world_poll(&w, "echo/0", 64);
        const uint32_t count = given(&w, "echo/0", &first);
        cr_assert(count == (i == 0 ? 1 : 3), "%u: those after it may join it", count);
    }
    world_deinit(&w);
}

Test(batch, one_that_was_lost_with_a_replica_is_given_alone)
{
    struct world w;
    uint64_t first = 0;
    begin(&w, 1, NULL);
    teach(&w, "again", 1, 5);
    world_poll(&w, "echo/0", 64);
    crowd(&w, "again", 2, 3);
    cr_assert(given(&w, "echo/0", NULL) == 3, "three");
    world_exited(&w, "echo/0", 9); /* one of them kills, and nobody knows which */
    world_pass_ms(&w, 200);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    for (int i = 0; i < 3; i++) {
        world_poll(&w, "echo/0", 64);
        cr_assert(given(&w, "echo/0", &first) == 1, "alone");
        done(&w, "echo/0", first, 1, 5);
    }
    world_deinit(&w);
}

Test(batch, free_replicas_share_a_crowd)
{
    struct world w;
    begin(&w, 2, two);
    teach(&w, "again", 1, 5);
    world_poll(&w, "echo/0", 64);
    world_poll(&w, "echo/1", 64);
    crowd(&w, "again", 2, 21);
    const uint32_t a = given(&w, "echo/0", NULL), b = given(&w, "echo/1", NULL);
    cr_assert(a + b == 21 && (a == 10 || b == 10), "%u and %u", a, b);
    world_deinit(&w);
}

static void
five(struct worker_spec *spec)
{
    spec->batch_max = 5;
}

Test(batch, the_configuration_says_how_many_at_most)
{
    struct world w;
    begin(&w, 1, five);
    teach(&w, "again", 1, 5);
    world_poll(&w, "echo/0", 64);
    crowd(&w, "again", 2, 30);
    cr_assert(given(&w, "echo/0", NULL) == 5, "five");
    world_deinit(&w);
}

Test(batch, who_has_room_for_few_gets_few)
{
    struct world w;
    begin(&w, 1, NULL);
    teach(&w, "again", 1, 5);
    world_poll(&w, "echo/0", 3);
    crowd(&w, "again", 2, 30);
    cr_assert(given(&w, "echo/0", NULL) == 3, "three");
    world_deinit(&w);
}

Test(batch, large_arguments_do_not_travel_in_crowds)
{
    struct world w;
    struct buf b = {0};
    begin(&w, 1, NULL);
    teach(&w, "again", 1, 5);
    world_poll(&w, "echo/0", 64);
    uint8_t *zeros = calloc(1, 100000);
    w.crowd = true;
    for (uint64_t seq = 2; seq < 8; seq++) {
        buf_reset(&b, SIZE_MAX);
        write_op(&b, WIRE_CALL);
        write_bin(&b, (struct span){w.client, sizeof w.client});
        write_uint(&b, seq);
        write_uint(&b, 0);
        write_text(&b, "echo");
        write_text(&b, "again");
        write_uint(&b, 0);
        write_nil(&b);
        write_array(&b, 1);
        write_bin(&b, (struct span){zeros, 100000});
        (void)world_send(&w, ONE, buf_span(&b));
    }
    w.crowd = false;
    world_turn(&w);
    cr_assert(given(&w, "echo/0", NULL) == 2, "256 KiB at most");
    free(zeros);
    buf_deinit(&b);
    world_deinit(&w);
}

Test(batch, what_a_replica_runs_at_a_time_needs_no_short_methods)
{
    struct world w;
    world_init(&w);
    w.capacity = 4;
    world_worker(&w, "echo", NULL);
    world_configured(&w);
    world_open(&w, ONE);
    world_started(&w, "echo/0");
    world_attach(&w, "echo/0");
    crowd(&w, "echo", 1, 9);
    world_poll(&w, "echo/0", 9);
    cr_assert(given(&w, "echo/0", NULL) == 4, "four at a time");
    world_deinit(&w);
}

static void
no_queue(struct worker_spec *spec)
{
    spec->queue_max = 0;
}

Test(batch, a_queue_of_none_takes_what_the_free_replicas_take_and_no_more)
{
    struct world w;
    begin(&w, 1, no_queue);
    world_poll(&w, "echo/0", 64);
    w.crowd = true;
    const uint64_t a = call(&w, "again", 1), b = call(&w, "again", 2);
    w.crowd = false;
    world_turn(&w);
    cr_assert(world_outcome(&w, a, NULL) == -1 && given(&w, "echo/0", NULL) == 1, "it runs");
    cr_assert(world_outcome(&w, b, NULL) == WIRE_ERR_RESOURCE_EXHAUSTED, "the other one waits not");
    world_deinit(&w);
}

Test(batch, events_of_a_turn_reach_a_reader_in_one_answer)
{
    struct world w;
    world_init(&w);
    world_configured(&w);
    world_open(&w, ONE);
    const uint64_t r = world_say(&w, ONE, "[6,null,['a'],'new',100,65536,20000]");
    w.crowd = true;
    for (unsigned i = 1; i <= 5; i++) {
        (void)world_say(&w, ONE, "[5,null,%u,'a',null,%u]", i, i);
    }
    cr_assert(world_reply(&w, r) == NULL, "the turn is not over");
    w.crowd = false;
    world_turn(&w);
    const struct record *events = world_expect(&w, r, 0, WIRE_REC_EVENTS);
    cr_assert(RECORD_FIELD(events, EVENTS, ITEMS)->item.count == 5, "all of them");
    world_deinit(&w);
}
