/* Signals, run and remove: what changes the workers. */
#include "tests/support/test.h"
#include "tests/unit/core/admin.h"
#include "tests/unit/core/notation.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

Test(admin, a_signal_goes_to_every_process_of_a_worker_or_to_one)
{
    static const struct {
        const char *args;
        int signal;   /* to echo/0 */
        size_t times; /* so many by then */
        bool whole;
    } rows[] = {{"['echo','HUP']", 1, 1, true},
                {"['echo/0','SIGUSR1','process']", 10, 2, false},
                {"['echo/0','64','group']", 64, 3, false},
                {"{'worker':'echo','signal':'sigterm'}", 15, 4, true}};
    struct world w;
    admin_begin(&w);
    (void)admin_ask(&w, ROOT, "scale", "['echo',2]");
    world_serve(&w, "echo/0");
    world_serve(&w, "echo/1");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const size_t other = world_process(&w, "echo/1")->signals;
        const uint64_t r = admin_ask(&w, ROOT, "signal", rows[i].args);
        const struct process *p = world_process(&w, "echo/0");
        cr_assert(world_says(&w, r, "RESULT 1 [{'replica': 'echo/0', 'pid': "), "%s: %s",
                  rows[i].args, world_text(&w, r));
        cr_assert(world_says(&w, r, "'echo/1'") == rows[i].whole, "%s", world_text(&w, r));
        cr_assert(p->signal == rows[i].signal && p->signals == rows[i].times, "%s", rows[i].args);
        cr_assert(world_process(&w, "echo/1")->signals == other + rows[i].whole, "%s",
                  rows[i].args);
    }
    /* One whose process is gone is left out. */
    world_exited(&w, "echo/1", 0);
    cr_assert(!world_says(&w, admin_ask(&w, ROOT, "signal", "['echo','HUP']"), "echo/1"), "gone");
    cr_assert(
        world_says(&w, admin_ask(&w, ROOT, "signal", "['echo/1','HUP']"), "no process of it runs"),
        "gone");
    world_deinit(&w);
}

/* ---- run and remove ----------------------------------------------------------------------------
 */

Test(admin, run_adds_a_worker_and_starts_it)
{
    struct world w;
    admin_begin(&w);
    uint64_t r =
        admin_ask(&w, ROOT, "run",
                  "{'name':'new','command':['sh','-c','true'],'working_dir':'/tmp','replicas':2,"
                  "'environment':{'A':'1','B':'x=y'},'restart':'always','ready':'started'}");
    cr_assert(world_outcome(&w, r, NULL) == 0, "%s", world_text(&w, r));
    cr_assert(w.process_count == 3, "%zu processes", w.process_count);
    world_started(&w, "new/0");
    world_started(&w, "new/1");
    world_exited(&w, "new/1", 0);
    r = admin_ask(&w, ROOT, "status", "{}");
    cr_assert(world_says(&w, r,
                         "'new': {'autostart': false, 'queued': 0, 'calls': 0, 'errors': 0, "
                         "'replicas': [{'replica': 'new/0', 'state': 'ready'"),
              "%s", world_text(&w, r));
    cr_assert(world_says(&w, r, "'replica': 'new/1', 'state': 'backoff'"), "restart: always");
    world_deinit(&w);
}

/* The specification of the process that a message of root starts; NULL when it starts none. */
static const struct worker_spec *
started_by(struct world *w, const struct buf *message)
{
    struct hub_effects out;
    struct hub_input in = {.kind = HUB_IN_MESSAGE, .peer = ROOT, .now_ns = w->now_ns};
    const struct worker_spec *spec = NULL;
    in.message.request = 1;
    in.message.body = buf_span(message);
    cr_assert(hub_step(w->hub, &in, &out), "step");
    for (size_t i = 0; i < out.count; i++) {
        spec = out.list[i].kind == HUB_OUT_START ? out.list[i].spec : spec;
    }
    return spec;
}

/* What the shell is told: folder, arguments, settings, one after another. */
Test(admin, run_passes_folder_command_and_environment_on)
{
    static const char want[] = "/tmp\0sh\0-c\0true\0A=1\0B=x=y";
    struct world w;
    struct buf b = {0};
    admin_begin(&w);
    notation_write(&b, "[2,null,1,0,'hub','run',0,null,{'name':'new','command':['sh','-c','true'],"
                       "'working_dir':'/tmp','environment':{'A':'1','B':'x=y'}}]");
    const struct worker_spec *spec = started_by(&w, &b);
    cr_assert(spec != NULL && spec->launch.argc == 3 && spec->launch.envc == 2, "counts");
    cr_assert(spec->launch.text_bytes == sizeof want, "%zu bytes", spec->launch.text_bytes);
    cr_assert_arr_eq(spec->launch.text, want, sizeof want, "text");
    cr_assert(spec->restart == SPEC_RESTART_ON_FAILURE && spec->ready == SPEC_READY_ATTACH &&
                  !spec->autostart && spec->replicas == 1,
              "defaults");
    buf_deinit(&b);
    world_deinit(&w);
}

/* The modules of a template are one more setting. */
Test(admin, run_tells_modules_of_a_template_and_where_lines_go)
{
    static const char want[] = "/\0true\0A=1\0PRONG_PRELOAD=numpy,PIL.Image";
    struct world w;
    struct buf b = {0};
    admin_begin(&w);
    notation_write(&b, "[2,null,1,0,'hub','run',0,null,{'name':'new','command':['true'],"
                       "'working_dir':'/','environment':{'A':'1'},"
                       "'log':'inherit','preload':['numpy','PIL.Image']}]");
    const struct worker_spec *spec = started_by(&w, &b);
    cr_assert(spec != NULL && spec->launch.is_warm && spec->launch.envc == 2, "counts");
    cr_assert_eq(spec->output.log, SPEC_LOG_INHERIT, "where its lines go");
    cr_assert_eq(spec->launch.text_bytes, sizeof want, "%zu bytes", spec->launch.text_bytes);
    cr_assert_arr_eq(spec->launch.text, want, sizeof want, "text");
    buf_deinit(&b);
    world_deinit(&w);
}

Test(admin, only_a_stopped_worker_that_was_run_is_removed)
{
    struct world w;
    admin_begin(&w);
    (void)admin_ask(&w, ROOT, "run", "['new',['true'],'/']");
    cr_assert(world_says(&w, admin_ask(&w, ROOT, "remove", "['new']"), "stop the worker first"),
              "it runs");
    world_started(&w, "new/0");
    (void)admin_ask(&w, ROOT, "stop", "['new']");
    cr_assert(world_says(&w, admin_ask(&w, ROOT, "remove", "['new']"), "stop the worker first"),
              "still");
    world_exited(&w, "new/0", 15);
    const uint64_t one = admin_ask(&w, ROOT, "remove", "['new/0']");
    cr_assert(world_says(&w, one, "ERROR 1 3 0"), "a replica is no worker: %s",
              world_text(&w, one));
    cr_assert(world_outcome(&w, admin_ask(&w, ROOT, "remove", "['new']"), NULL) == 0,
              "now it may go");
    cr_assert(world_says(&w, admin_ask(&w, ROOT, "stop", "['new']"), "there is no worker"),
              "it is gone");
    (void)admin_ask(&w, ROOT, "stop", "['echo']");
    world_exited(&w, "echo/0", 15);
    cr_assert(
        world_says(&w, admin_ask(&w, ROOT, "remove", "['echo']"), "belongs to the configuration"),
        "echo");
    world_deinit(&w);
}

Test(admin, what_run_says_of_restarts_holds_for_the_worker)
{
    static const struct {
        const char *restart, *after_success, *after_failure;
    } rows[] = {{"no", "stopped", "failed"},
                {"on-failure", "stopped", "backoff"},
                {"always", "backoff", "backoff"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        admin_begin(&w);
        const uint64_t r =
            world_say(&w, ROOT,
                      "[2,null,1,0,'hub','run',0,null,{'name':'new','command':['true'],"
                      "'working_dir':'/','replicas':2,'restart':'%s','ready':'attach'}]",
                      rows[i].restart);
        cr_assert(world_outcome(&w, r, NULL) == 0, "%s", world_text(&w, r));
        world_serve(&w, "new/0");
        world_serve(&w, "new/1");
        world_exited(&w, "new/0", 0);
        world_exited(&w, "new/1", 1 << 8);
        expect_state(&w, "new/0", rows[i].after_success);
        expect_state(&w, "new/1", rows[i].after_failure);
        world_deinit(&w);
    }
}

Test(admin, a_worker_that_is_about_to_start_again_is_not_removed)
{
    struct world w;
    admin_begin(&w);
    (void)admin_ask(&w, ROOT, "run", "['new',['true'],'/']");
    world_serve(&w, "new/0");
    world_exited(&w, "new/0", 1 << 8);
    expect_state(&w, "new/0", "backoff");
    cr_assert(world_says(&w, admin_ask(&w, ROOT, "remove", "['new']"), "stop the worker first"),
              "it has no process, and will have one");
    (void)admin_ask(&w, ROOT, "stop", "['new']");
    cr_assert(world_outcome(&w, admin_ask(&w, ROOT, "remove", "['new']"), NULL) == 0,
              "now it may go");
    world_deinit(&w);
}

Test(admin, outcomes_of_a_removed_worker_are_still_kept)
{
    struct world w;
    admin_begin(&w);
    (void)admin_ask(&w, ROOT, "run", "['new',['true'],'/']");
    world_serve(&w, "new/0");
    (void)world_say(&w, ROOT, "[2,b'sixteen bytes id',1,0,'new','echo',0,null,{}]");
    world_done(&w, "new/0", world_given(&w, "new/0"));
    (void)admin_ask(&w, ROOT, "stop", "['new']");
    world_exited(&w, "new/0", 15);
    cr_assert(world_outcome(&w, admin_ask(&w, ROOT, "remove", "['new']"), NULL) == 0, "remove");
    const uint64_t r = world_say(&w, ROOT, "[3,b'sixteen bytes id',1,0]");
    cr_assert_str_eq(world_text(&w, r), "RESULT 1 'done'", "%s", world_text(&w, r));
    world_pass_ms(&w, 200000);
    world_deinit(&w);
}

Test(admin, a_hub_that_stops_takes_no_changes)
{
    struct world w;
    admin_begin(&w);
    (void)admin_ask(&w, ROOT, "run", "['new',['true'],'/']");
    world_stop(&w);
    static const struct asked late[] = {{"start", "['echo']", ""},
                                        {"restart", "['echo']", ""},
                                        {"stop", "['echo']", ""},
                                        {"scale", "['echo',3]", ""},
                                        {"run", "['third',['true'],'/']", ""}};
    for (size_t i = 0; i < sizeof late / sizeof late[0]; i++) {
        const uint64_t r = admin_ask(&w, ROOT, late[i].method, late[i].args);
        cr_assert(world_says(&w, r, "ERROR 1 14 0 'the hub is stopping'"), "%s: %s", late[i].method,
                  world_text(&w, r));
    }
    cr_assert(world_says(&w, admin_ask(&w, ROOT, "status", "{}"), "'stopping': true"), "status");
    world_deinit(&w);
}

Test(admin, there_are_at_most_256_workers)
{
    struct world w;
    world_init(&w);
    world_open(&w, ROOT);
    for (int i = 0; i < WIRE_WORKERS_MAX; i++) {
        char name[20];
        (void)snprintf(name, sizeof name, "w%d", i);
        world_worker(&w, name, NULL);
    }
    const uint64_t r = admin_ask(&w, ROOT, "run", "['new',['true'],'/']");
    cr_assert(world_says(&w, r, "ERROR 1 8 0 'the hub has too many workers'"), "%s",
              world_text(&w, r));
    world_deinit(&w);
}

Test(admin, one_replica_is_started_stopped_and_restarted_alone)
{
    struct world w;
    admin_begin(&w);
    (void)admin_ask(&w, ROOT, "scale", "['echo',2]");
    world_serve(&w, "echo/0");
    world_serve(&w, "echo/1");
    (void)admin_ask(&w, ROOT, "stop", "['echo/1']");
    expect_state(&w, "echo/0", "ready");
    world_exited(&w, "echo/1", 15);
    (void)admin_ask(&w, ROOT, "start", "['echo/1']");
    expect_state(&w, "echo/1", "starting");
    (void)admin_ask(&w, ROOT, "restart", "['echo/0']");
    expect_state(&w, "echo/0", "stopping");
    world_deinit(&w);
}

/* Its program may be another one, so nothing that was read of it before may be left. */
Test(admin, a_restart_of_a_whole_worker_is_another_edition_of_it)
{
    struct world w;
    admin_begin(&w);
    (void)admin_ask(&w, ROOT, "scale", "['echo',2]");
    world_serve(&w, "echo/0");
    world_serve(&w, "echo/1");
    const uint32_t first = world_process(&w, "echo/0")->edition;
    cr_assert_eq(world_process(&w, "echo/1")->edition, first, "its replicas differ");
    (void)admin_ask(&w, ROOT, "restart", "['echo/1']");
    world_exited(&w, "echo/1", 15);
    cr_assert_eq(world_process(&w, "echo/1")->edition, first, "after a restart of one replica");
    (void)admin_ask(&w, ROOT, "restart", "['echo']");
    world_exited(&w, "echo/0", 15);
    cr_assert_neq(world_process(&w, "echo/0")->edition, first, "after a restart of all");
    world_deinit(&w);
}
