/* Status and describe: what the hub tells of itself and its workers. */
#include "tests/support/test.h"
#include "tests/unit/core/admin.h"
#include "tests/unit/core/notation.h"
#include "tests/unit/core/world.h"

#include <string.h>

Test(admin, status_tells_the_hub_its_workers_and_their_replicas)
{
    struct world w;
    admin_begin(&w);
    world_serve(&w, "echo/0");
    const uint64_t waits =
        world_say(&w, ROOT, "[2,b'sixteen bytes id',1,0,'echo','echo',60000,null,{}]");
    (void)world_say(&w, ROOT, "[2,b'sixteen bytes id',2,0,'echo','echo',60000,null,{}]");
    (void)world_say(&w, ROOT, "[2,b'sixteen bytes id',3,0,'echo','nope',60000,null,{}]");
    world_pass_ms(&w, 1500);
    const uint64_t r = admin_ask(&w, ROOT, "status", "{}");
    cr_assert(world_outcome(&w, waits, NULL) == -1, "it runs");
    static const char *const parts[] = {
        "'hub': {'name': 'test', 'version': '1', 'epoch': 1, 'uptime_ms': 1500, 'stopping': false, "
        "'connections': 2, 'calls': 3, ",
        "'events': 2}",
        "'workers': {'echo': {'autostart': true, 'queued': 1, 'calls': 1, 'errors': 1, "
        "'replicas': ",
        "[{'replica': 'echo/0', 'state': 'busy', 'pid': 1000, 'uptime_ms': 1500, 'incarnation': 1, "
        "'restarts': 0, 'running': 1, 'calls': 0, 'reason': '', 'exit_code': null, 'waits': false, "
        "'completed': false, '"
        "status': '', "
        "'last_error': '', 'leased_by': '', "
        "'lease_ms': 0, 'cpu_ms': 10000, 'rss_bytes': 4096000, 'threads': 1}]"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        cr_assert(world_says(&w, r, parts[i]), "no %s in %s", parts[i], world_text(&w, r));
    }
    world_deinit(&w);
}

Test(admin, status_tells_why_the_last_process_ended)
{
    struct world w;
    admin_begin(&w);
    world_serve(&w, "echo/0");
    world_exited(&w, "echo/0", 3 << 8);
    const uint64_t r = admin_ask(&w, ROOT, "status", "{}");
    cr_assert(world_says(&w, r,
                         "'state': 'backoff', 'pid': 0, 'uptime_ms': 0, 'incarnation': 1, "
                         "'restarts': 1, 'running': 0, 'calls': 0, 'reason': 'exited with 3'"),
              "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(admin, status_lists_workers_in_the_order_of_the_configuration)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "zebra", NULL);
    world_worker(&w, "ant", NULL);
    world_configured(&w);
    world_open(&w, ROOT);
    const uint64_t r = admin_ask(&w, ROOT, "status", "{}");
    const char *const text = world_text(&w, r);
    cr_assert(strstr(text, "'zebra'") < strstr(text, "'ant'"), "%s", text);
    world_deinit(&w);
}

Test(admin, describe_gives_the_methods_as_the_worker_told_them)
{
    struct world w;
    admin_begin(&w);
    world_serve(&w, "echo/0");
    static const char *const names[] = {"['echo']", "{'worker':'echo/0'}"};
    for (size_t i = 0; i < 2; i++) {
        const uint64_t r = admin_ask(&w, ROOT, "describe", names[i]);
        cr_assert_str_eq(world_text(&w, r),
                         "RESULT 1 {'echo': {'policy': 'once'}, 'again': {'policy': 'idempotent'}, "
                         "'same': {'policy': 'shared'}}",
                         "%s", world_text(&w, r));
    }
    world_deinit(&w);
}

Test(admin, describe_of_the_hub_names_every_method_and_argument)
{
    struct world w;
    admin_begin(&w);
    const uint64_t r = admin_ask(&w, ROOT, "describe", "{}");
    static const char *const parts[] = {"'status'",  "'logs'",  "'start'",
                                        "'stop'",    "'scale'", "'run'",
                                        "'remove'",  "'down'",  "'replicas': 'how many, 0 to 256'",
                                        "'args': {}"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        cr_assert(world_says(&w, r, parts[i]), "no %s in %s", parts[i], world_text(&w, r));
    }
    world_deinit(&w);
}

Test(admin, status_tells_how_the_last_process_ended)
{
    static const struct {
        int status;
        const char *part;
    } rows[] = {{3 << 8, "'exit_code': 3,"}, {11, "'exit_code': 139,"}, {0, "'exit_code': 0,"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        admin_begin(&w);
        world_serve(&w, "echo/0");
        world_exited(&w, "echo/0", rows[i].status);
        const uint64_t r = admin_ask(&w, ROOT, "status", "{}");
        cr_assert(world_says(&w, r, rows[i].part), "%s", world_text(&w, r));
        world_deinit(&w);
    }
    /* What could not be started has not ended. */
    struct world w;
    admin_begin(&w);
    world_start_failed(&w, "echo/0", true);
    const uint64_t r = admin_ask(&w, ROOT, "status", "{}");
    cr_assert(world_says(&w, r, "'exit_code': null,"), "%s", world_text(&w, r));
    world_deinit(&w);
}
