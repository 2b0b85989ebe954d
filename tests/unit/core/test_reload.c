/* Another configuration for a hub that runs: only what differs is changed, one process at a time,
 * and back when the first new one does not get ready. */
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <string.h>

enum { CLIENT = WORLD_CLIENT, KILLED = 9, FAILING = 1 << 8, SPECS_MAX = 4 };

static struct worker_spec specs[SPECS_MAX];
static size_t spec_count;

static struct worker_spec *
add(const char *name, const char *program)
{
    struct worker_spec *spec = &specs[spec_count++];
    static const char *const programs[] = {"\0true", "\0next", NULL};
    spec_defaults(spec);
    spec->name = name;
    spec->launch = (struct launch){.argc = 1,
                                   .text = strcmp(program, "true") == 0 ? programs[0] : programs[1],
                                   .text_bytes = 6};
    return spec;
}

/* The hub is asked for a reload and gets what was added; the request of who asked. */
static uint64_t
reload(struct world *w)
{
    const uint64_t request = world_say(w, WORLD_ADMIN, "[2,null,1,0,'hub','reload',0,null,{}]");
    cr_assert(w->reload != 0, "nobody was asked to read it");
    world_step(
        w, &(struct hub_input){.kind = HUB_IN_RELOAD,
                               .reload = {.call = w->reload, .specs = specs, .count = spec_count}});
    return request;
}

static void
two(struct worker_spec *spec)
{
    spec->replicas = 2;
}

static void
begin(struct world *w)
{
    spec_count = 0;
    world_begin(w, two);
    world_serve(w, "echo/0");
    world_serve(w, "echo/1");
}

Test(reload, what_is_the_same_is_left_alone)
{
    struct world w;
    begin(&w);
    two(add("echo", "true"));
    const uint64_t r = reload(&w);
    cr_assert(world_says(&w, r, "{'added': [], 'changed': [], 'removed': [], 'rolled_back': {}}"),
              "%s", world_text(&w, r));
    cr_assert_eq(w.process_count, 2);
    world_deinit(&w);
}

Test(reload, numbers_change_without_a_restart)
{
    struct world w;
    begin(&w);
    struct worker_spec *spec = add("echo", "true");
    two(spec);
    spec->stop_timeout_ms = 77000;
    spec->queue_max = 0;
    const uint64_t r = reload(&w);
    cr_assert(world_says(&w, r, "'changed': ['echo']"), "%s", world_text(&w, r));
    cr_assert_eq(w.process_count, 2);
    cr_assert(!w.process[0].signalled && !w.process[1].signalled);
    world_deinit(&w);
}

Test(reload, where_lines_go_changes_without_a_restart_and_a_stdin_with_one)
{
    struct world w;
    begin(&w);
    struct worker_spec *spec = add("echo", "true");
    two(spec);
    spec->output.log = SPEC_LOG_JOURNAL;
    spec->output.level = SPEC_LEVEL_ERROR;
    uint64_t r = reload(&w);
    cr_assert(world_says(&w, r, "'changed': ['echo']"), "%s", world_text(&w, r));
    cr_assert_eq(w.process_count, 2);
    cr_assert_eq(hub_replica_spec(w.hub, "echo/1")->output.log, SPEC_LOG_JOURNAL);
    spec->output.takes_input = true;
    r = reload(&w);
    cr_assert_eq(w.process_count, 3, "no process with a stdin begins: %s", world_text(&w, r));
    world_deinit(&w);
}

Test(reload, new_workers_start_and_those_that_are_gone_end)
{
    struct world w;
    begin(&w);
    (void)add("other", "true");
    const uint64_t waits = world_call_echo(&w, 1);
    const uint64_t given = world_given(&w, "echo/0");
    const uint64_t r = reload(&w);
    cr_assert(world_says(&w, r, "'added': ['other'], 'changed': [], 'removed': ['echo']"), "%s",
              world_text(&w, r));
    expect_state(&w, "other/0", "starting");
    const uint64_t late = world_call_echo(&w, 2);
    cr_assert_eq(world_outcome(&w, late, NULL), WIRE_ERR_UNAVAILABLE);
    world_done(&w, "echo/0", given);
    cr_assert_eq(world_outcome(&w, waits, NULL), 0, "a running call was not let end");
    world_exited(&w, "echo/0", 0);
    world_exited(&w, "echo/1", 0);
    world_turn(&w);
    expect_state(&w, "echo/0", "none");
    const uint64_t gone = world_call_echo(&w, 3);
    cr_assert_eq(world_outcome(&w, gone, NULL), WIRE_ERR_NOT_FOUND);
    world_deinit(&w);
}

Test(reload, another_program_is_taken_one_replica_after_the_other)
{
    struct world w;
    begin(&w);
    two(add("echo", "next"));
    const uint64_t r = reload(&w);
    cr_assert_eq(w.process_count, 3, "not one at a time");
    cr_assert_eq(world_outcome(&w, r, NULL), -1, "told too early");
    world_serve(&w, "echo/0#2");
    cr_assert(w.process[0].signalled);
    cr_assert_eq(w.process_count, 4, "the next one was not started");
    world_exited(&w, "echo/0#1", 0);
    cr_assert(!w.process[1].signalled, "the second was asked to end too early");
    world_serve(&w, "echo/1#2");
    cr_assert(w.process[1].signalled);
    world_exited(&w, "echo/1#1", 0);
    cr_assert(world_says(&w, r, "'changed': ['echo']"), "%s", world_text(&w, r));
    cr_assert_eq(w.process_count, 4);
    world_deinit(&w);
}

Test(reload, when_the_first_new_process_dies_nothing_has_happened)
{
    struct world w;
    begin(&w);
    two(add("echo", "next"));
    const uint64_t r = reload(&w);
    world_started(&w, "echo/0#2");
    world_exited(&w, "echo/0#2", FAILING);
    cr_assert(world_says(&w, r, "'rolled_back': {'echo': 'exited with 1'}"), "%s",
              world_text(&w, r));
    cr_assert(!w.process[0].signalled && !w.process[1].signalled);
    cr_assert(strstr(w.events, "hub.worker.rolled_back ") != NULL);
    world_pass_ms(&w, 120000);
    cr_assert_eq(w.process_count, 3, "it was tried again");
    expect_state(&w, "echo/0", "ready");
    world_deinit(&w);
}

Test(reload, when_a_later_one_dies_those_that_were_replaced_go_back)
{
    struct world w;
    begin(&w);
    two(add("echo", "next"));
    const uint64_t r = reload(&w);
    world_serve(&w, "echo/0#2");
    world_exited(&w, "echo/0#1", 0);
    world_start_failed(&w, "echo/1#2", true);
    cr_assert_eq(world_outcome(&w, r, NULL), -1, "told before it was back");
    world_serve(&w, "echo/0#3");
    cr_assert(w.process[2].signalled, "the new one goes on");
    world_exited(&w, "echo/0#2", 0);
    cr_assert(world_says(&w, r, "'rolled_back': {'echo': 'could not start: exec: no luck'}"), "%s",
              world_text(&w, r));
    cr_assert(!w.process[1].signalled, "the one that was never replaced was asked to end");
    world_deinit(&w);
}

Test(reload, stop_first_goes_back_too)
{
    struct world w;
    begin(&w);
    struct worker_spec *spec = add("echo", "next");
    two(spec);
    spec->stop_first = true;
    const uint64_t r = reload(&w);
    cr_assert_eq(w.process_count, 2);
    cr_assert(w.process[0].signalled);
    world_exited(&w, "echo/0#1", 0);
    world_started(&w, "echo/0#2");
    world_exited(&w, "echo/0#2", FAILING);
    world_serve(&w, "echo/0#3");
    cr_assert(world_says(&w, r, "'rolled_back': {'echo': "), "%s", world_text(&w, r));
    cr_assert(!w.process[1].signalled);
    expect_state(&w, "echo/0", "ready");
    world_deinit(&w);
}

Test(reload, what_had_failed_is_tried_with_the_new_program)
{
    struct world w;
    spec_count = 0;
    world_begin(&w, NULL);
    world_start_failed(&w, "echo/0", true);
    expect_state(&w, "echo/0", "failed");
    (void)add("echo", "next");
    const uint64_t r = reload(&w);
    cr_assert_eq(w.process_count, 2);
    world_serve(&w, "echo/0");
    cr_assert(world_says(&w, r, "'changed': ['echo']"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(reload, more_and_fewer_replicas)
{
    struct world w;
    begin(&w);
    add("echo", "true")->replicas = 3;
    (void)reload(&w);
    cr_assert_eq(w.process_count, 3);
    expect_state(&w, "echo/2", "starting");
    spec_count = 0;
    add("echo", "true")->replicas = 1;
    (void)reload(&w);
    world_exited(&w, "echo/1", 0);
    world_exited(&w, "echo/2", 0);
    expect_state(&w, "echo/1", "none");
    expect_state(&w, "echo/0", "ready");
    world_deinit(&w);
}

Test(reload, one_that_cannot_be_read_changes_nothing)
{
    struct world w;
    begin(&w);
    const uint64_t r = world_say(&w, WORLD_ADMIN, "[2,null,1,0,'hub','reload',0,null,{}]");
    world_step(&w, &(struct hub_input){.kind = HUB_IN_RELOAD,
                                       .reload = {.call = w.reload, .wrong = "prong.yaml:3: no"}});
    cr_assert_eq(world_outcome(&w, r, NULL), WIRE_ERR_FAILED_PRECONDITION);
    cr_assert(world_says(&w, r, "prong.yaml:3: no"));
    cr_assert_eq(w.process_count, 2);
    expect_state(&w, "echo/0", "ready");
    world_deinit(&w);
}

Test(reload, only_one_at_a_time)
{
    struct world w;
    begin(&w);
    two(add("echo", "next"));
    (void)reload(&w);
    const uint64_t r = reload(&w);
    cr_assert_eq(world_outcome(&w, r, NULL), WIRE_ERR_FAILED_PRECONDITION);
    world_deinit(&w);
}

Test(reload, workers_that_were_added_by_hand_stay)
{
    struct world w;
    begin(&w);
    (void)world_say(
        &w, WORLD_ADMIN,
        "[2,null,1,0,'hub','run',0,null,{'name':'mine','command':['x'],'working_dir':'/'}]");
    two(add("echo", "true"));
    (void)reload(&w);
    expect_state(&w, "mine/0", "starting");
    world_deinit(&w);
}

Test(reload, a_worker_is_found_by_its_name_whatever_specifications_it_has_had)
{
    struct world w;
    begin(&w);
    for (uint32_t queue_max = 7; queue_max < 10; queue_max++) {
        spec_count = 0;
        two(add("echo", "true"));
        specs[0].queue_max = queue_max;
        add("other", "true")->queue_max = queue_max;
        const uint64_t r = reload(&w);
        cr_assert(queue_max == 7 ||
                      world_says(&w, r, "'added': [], 'changed': ['echo', 'other'], 'removed': []"),
                  "%s", world_text(&w, r));
    }
    cr_assert_eq(w.process_count, 3);
    expect_state(&w, "other/0", "starting");
    world_deinit(&w);
}

Test(reload, stop_first_goes_forward)
{
    struct world w;
    begin(&w);
    two(add("echo", "next"));
    specs[0].stop_first = true;
    const uint64_t r = reload(&w);
    world_exited(&w, "echo/0#1", 0);
    cr_assert(!w.process[1].signalled, "the second was asked to end too early");
    world_serve(&w, "echo/0#2");
    cr_assert(!w.process[2].signalled, "it went back");
    cr_assert(w.process[1].signalled, "it did not go on");
    world_exited(&w, "echo/1#1", 0);
    world_serve(&w, "echo/1#2");
    cr_assert(world_says(&w, r, "'changed': ['echo'], 'removed': [], 'rolled_back': {}"), "%s",
              world_text(&w, r));
    cr_assert_eq(w.process_count, 4);
    world_deinit(&w);
}

Test(reload, a_new_process_that_is_told_to_start_again_is_no_failure)
{
    struct world w;
    begin(&w);
    two(add("echo", "next"));
    specs[0].stop_first = true;
    const uint64_t r = reload(&w);
    world_exited(&w, "echo/0#1", 0);
    world_started(&w, "echo/0#2");
    world_tell(&w, "restart", "echo/0");
    world_exited(&w, "echo/0#2", 15);
    world_serve(&w, "echo/0#3");
    cr_assert(w.process[1].signalled, "it did not go on");
    world_exited(&w, "echo/1#1", 0);
    world_serve(&w, "echo/1#2");
    cr_assert(world_says(&w, r, "'rolled_back': {}"), "%s", world_text(&w, r));
    world_deinit(&w);
}

/* That of `top` is asked for because fewer of `echo` are enough, and then `top` itself changes.
 * Only AddressSanitizer sees it when that takes the name away that stands in the effect. */
Test(reload, a_process_may_be_asked_for_in_the_step_in_which_its_worker_changes)
{
    static struct spec_other on_echo = {"echo", SPEC_WHEN_READY};
    struct world w;
    begin(&w);
    for (uint32_t replicas = 3; replicas > 1; replicas--) {
        spec_count = 0;
        add("echo", "true")->replicas = replicas;
        struct worker_spec *top = add("top", "true");
        top->depends = &on_echo;
        top->depend_count = 1;
        top->queue_max = replicas;
        (void)reload(&w);
        expect_state(&w, "top/0", replicas == 3 ? "stopped" : "starting");
    }
    cr_assert(world_process(&w, "top/0") != NULL);
    world_deinit(&w);
}

static void
one_call_stop_first(struct worker_spec *spec)
{
    spec->calls_max = 1;
    spec->stop_first = true;
}

Test(reload, a_process_that_was_being_replaced_anyway_shows_whether_the_new_one_works)
{
    struct world w;
    spec_count = 0;
    world_begin(&w, one_call_stop_first);
    world_serve(&w, "echo/0");
    (void)world_call_echo(&w, 1);
    world_done(&w, "echo/0", world_given(&w, "echo/0"));
    cr_assert(w.process[0].signalled, "it is not being replaced");
    one_call_stop_first(add("echo", "next"));
    const uint64_t r = reload(&w);
    world_exited(&w, "echo/0#1", 0);
    cr_assert_eq(world_outcome(&w, r, NULL), -1, "told too early");
    world_started(&w, "echo/0#2");
    world_exited(&w, "echo/0#2", FAILING);
    cr_assert(world_says(&w, r, "'rolled_back': {'echo': 'exited with 1'}") ||
                  world_outcome(&w, r, NULL) == -1,
              "%s", world_text(&w, r));
    world_serve(&w, "echo/0#3");
    cr_assert(world_says(&w, r, "'rolled_back': {'echo': 'exited with 1'}"), "%s",
              world_text(&w, r));
    world_deinit(&w);
}

Test(reload, a_max_busy_counts_for_the_calls_that_run)
{
    struct world w;
    begin(&w);
    (void)world_call_echo(&w, 1);
    cr_assert(world_given(&w, "echo/0") != 0);
    two(add("echo", "true"));
    specs[0].busy_ms_max = 1000;
    (void)reload(&w);
    world_pass_ms(&w, 1100);
    cr_assert_eq(w.process[0].signal, 6, "it was not aborted");
    world_deinit(&w);
}

Test(reload, goes_on_when_who_waits_for_a_lease_has_given_up)
{
    struct world w;
    begin(&w);
    const uint64_t busy = world_call_echo(&w, 1);
    cr_assert(world_given(&w, "echo/0") != 0);
    const uint64_t lease = world_say(
        &w, CLIENT, "[2,b'%.16s',2,0,'hub','lease',500,null,{'worker':'echo/0'}]", w.client);
    two(add("echo", "next"));
    (void)reload(&w);
    cr_assert_eq(w.process_count, 2, "the replica is to be leased");
    world_pass_ms(&w, 600);
    cr_assert_eq(world_outcome(&w, lease, NULL), WIRE_ERR_DEADLINE_EXCEEDED);
    cr_assert_eq(world_outcome(&w, busy, NULL), -1);
    cr_assert_eq(w.process_count, 3, "it did not go on");
    world_deinit(&w);
}

Test(reload, a_call_of_one_that_leaves_ends_when_there_is_no_such_replica_any_more)
{
    struct world w;
    begin(&w);
    two(add("echo", "next"));
    const struct world_call only = {
        .worker = "echo/1", .method = "again", .seq = 1, .ttl_ms = 60000};
    const uint64_t r = world_call(&w, CLIENT, &only);
    cr_assert(world_given(&w, "echo/1") != 0);
    (void)reload(&w);
    world_serve(&w, "echo/0#2");
    world_serve(&w, "echo/1#2");
    spec_count = 0;
    (void)add("echo", "next");
    (void)reload(&w);
    world_exited(&w, "echo/1#2", 0);
    world_exited(&w, "echo/1#1", KILLED);
    cr_assert_eq(world_outcome(&w, r, NULL), WIRE_ERR_UNAVAILABLE, "%s", world_text(&w, r));
    world_deinit(&w);
}

/* Without anybody who waits for the outcome, as SIGHUP. */
static void
reload_for_nobody(struct world *w, const char *wrong)
{
    world_step(
        w, &(struct hub_input){.kind = HUB_IN_RELOAD,
                               .reload = {.wrong = wrong, .specs = specs, .count = spec_count}});
}

Test(reload, nobody_has_to_wait_for_it)
{
    struct world w;
    begin(&w);
    reload_for_nobody(&w, "it is wrong");
    two(add("echo", "next"));
    reload_for_nobody(&w, NULL);
    world_serve(&w, "echo/0#2");
    world_serve(&w, "echo/1#2");
    cr_assert(strstr(w.events, "hub.reload ") != NULL, "%s", w.events);
    world_deinit(&w);
}

Test(reload, a_hub_that_stops_takes_none)
{
    struct world w;
    begin(&w);
    world_stop(&w);
    two(add("echo", "next"));
    const uint64_t r = reload(&w);
    cr_assert(world_says(&w, r, "the hub is stopping"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(reload, a_stop_in_the_middle_ends_it)
{
    struct world w;
    begin(&w);
    two(add("echo", "next"));
    const uint64_t r = reload(&w);
    world_stop(&w);
    cr_assert(world_outcome(&w, r, NULL) != -1, "it is waited for");
    world_exited(&w, "echo/0#1", 0);
    world_exited(&w, "echo/1#1", 0);
    world_exited(&w, "echo/0#2", 0);
    cr_assert(w.ended);
    world_deinit(&w);
}

Test(reload, one_that_is_on_its_way_out_may_come_back)
{
    struct world w;
    begin(&w);
    (void)add("other", "true");
    (void)reload(&w);
    spec_count = 0;
    two(add("echo", "true"));
    (void)add("other", "true");
    const uint64_t r = reload(&w);
    cr_assert(world_says(&w, r, "'changed': ['echo']"), "%s", world_text(&w, r));
    world_exited(&w, "echo/0#1", 0);
    world_exited(&w, "echo/1#1", 0);
    world_serve(&w, "echo/0#2");
    expect_state(&w, "echo/0", "ready");
    world_deinit(&w);
}

Test(reload, what_was_added_by_hand_may_become_part_of_it_and_start_by_itself)
{
    struct world w;
    begin(&w);
    (void)world_say(
        &w, WORLD_ADMIN,
        "[2,null,1,0,'hub','run',0,null,{'name':'mine','command':['x'],'working_dir':'/'}]");
    two(add("echo", "true"));
    (void)add("mine", "true");
    struct worker_spec *later = add("later", "true");
    later->autostart = false;
    (void)reload(&w);
    world_exited(&w, "mine/0#1", 0);
    world_serve(&w, "mine/0#2");
    expect_state(&w, "later/0", "stopped");
    later->autostart = true;
    (void)reload(&w);
    expect_state(&w, "later/0", "starting");
    spec_count = 1;
    world_tell(&w, "stop", "mine");
    const uint64_t r = reload(&w);
    cr_assert(world_outcome(&w, r, NULL) <= 0, "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(reload, a_leased_replica_keeps_its_process_until_it_is_given_back)
{
    struct world w;
    begin(&w);
    const uint64_t lease =
        world_say(&w, CLIENT, "[2,b'%.16s',1,0,'hub','lease',0,null,{'worker':'echo/0'}]",
                  (const char *)w.client);
    cr_assert_eq(world_outcome(&w, lease, NULL), 0);
    two(add("echo", "next"));
    (void)reload(&w);
    cr_assert_eq(w.process_count, 2, "it was replaced under its holder");
    (void)world_say(&w, CLIENT, "[2,b'%.16s',2,0,'hub','release',0,null,{'replica':'echo/0'}]",
                    (const char *)w.client);
    cr_assert_eq(w.process_count, 3, "it was forgotten");
    world_deinit(&w);
}

Test(reload, one_that_is_ending_or_stopped_takes_it_with_its_next_process)
{
    struct world w;
    begin(&w);
    world_tell(&w, "stop", "echo/0");
    world_tell(&w, "restart", "echo/1");
    two(add("echo", "next"));
    const uint64_t r = reload(&w);
    cr_assert_eq(w.process_count, 2, "something was started beside those that end");
    world_exited(&w, "echo/0#1", 0);
    world_exited(&w, "echo/1#1", 0);
    world_serve(&w, "echo/1#2");
    cr_assert(world_says(&w, r, "'changed': ['echo']"), "%s", world_text(&w, r));
    expect_state(&w, "echo/0", "stopped");
    world_deinit(&w);
}

Test(reload, what_somebody_started_by_hand_and_what_is_stuck_are_left_alone)
{
    struct world w;
    begin(&w);
    world_tell(&w, "stop", "echo/0");
    world_exited(&w, "echo/0#1", 0);
    (void)world_say(&w, WORLD_ADMIN,
                    "[2,null,1,0,'hub','attach',0,null,{'worker':'echo/0','pid':77}]");
    world_tell(&w, "restart", "echo/1");
    world_pass_ms(&w, 5000);
    world_pass_ms(&w, WIRE_KILL_MS);
    expect_state(&w, "echo/1", "stuck");
    two(add("echo", "next"));
    const uint64_t r = reload(&w);
    cr_assert(world_outcome(&w, r, NULL) <= 0, "%s", world_text(&w, r));
    cr_assert_eq(w.process_count, 2);
    world_deinit(&w);
}

Test(reload, when_the_way_back_fails_too_those_that_run_go_on)
{
    struct world w;
    begin(&w);
    two(add("echo", "next"));
    const uint64_t r = reload(&w);
    world_serve(&w, "echo/0#2");
    world_exited(&w, "echo/0#1", 0);
    world_start_failed(&w, "echo/1#2", true);
    world_start_failed(&w, "echo/0#3", true);
    cr_assert(world_says(&w, r, "'rolled_back': {'echo': "), "%s", world_text(&w, r));
    expect_state(&w, "echo/0", "ready");
    expect_state(&w, "echo/1", "ready");
    world_deinit(&w);
}

Test(reload, a_death_under_another_limit_of_restarts_is_counted_by_the_one_it_was_made_with)
{
    struct world w;
    spec_count = 0;
    world_begin(&w, NULL);
    for (int i = 0; i < 8; i++) { /* far apart: no crash loop */
        world_started(&w, "echo/0");
        world_exited(&w, "echo/0", FAILING);
        world_pass_ms(&w, 100000);
    }
    world_serve(&w, "echo/0");
    add("echo", "next")->restarts_max = 1000;
    (void)reload(&w);
    world_exited(&w, "echo/0#9", KILLED);
    expect_state(&w, "echo/0", "backoff");
    world_deinit(&w);
}
