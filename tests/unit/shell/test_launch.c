/* From the configuration to what the spawner is told: folder, arguments and environment of a
 * replica. */
#include "broker/shell/launch.h"
#include "proto/mp.h"
#include "proto/name.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A worker of a configuration, its specification and the record of one start. */
struct rig {
    struct config *config;
    struct worker_spec spec;
    struct launch_texts texts;
    struct spawn_record record;
    uint32_t edition;
    char out[SPAWN_TEXT_BYTES_MAX];
};

static struct rig rig; /* too large for a stack */

/* The one file that there is, whatever it is called. */
static int
read_env_file(void *context, const char *path, struct config_file *file, struct config_diag *diag)
{
    (void)path;
    (void)diag;
    file->data = strdup(context);
    file->size_bytes = strlen(context);
    return file->data != NULL ? 0 : -1;
}

static char env_file[] = "PASS_PHRASE='100% %i'\nOPEN=x\nBOTH=file\n";

static const char *
get_nothing(void *context, const char *name)
{
    (void)context;
    (void)name;
    return NULL;
}

static bool
launch(const char *yaml, uint32_t replica)
{
    struct config_diag diag;
    const struct config_env config_env = {
        .get = get_nothing, .context = env_file, .read_file = read_env_file};
    const struct config_source source = {"test.yaml", "/srv", yaml, strlen(yaml), false};
    cr_assert(config_load_text(&source, &config_env, &rig.config, &diag) == 0, "%s", diag.text);
    cr_assert(launch_spec(&rig.config->workers[0], &rig.spec, &rig.texts), "no memory");
    struct hub_effect start = {.kind = HUB_OUT_START,
                               .process = 4711,
                               .spec = &rig.spec,
                               .replica = replica,
                               .edition = rig.edition};
    memcpy(start.token, "4711.secret", 12);
    return launch_record(&start, "ipc:///run/prong/hub.sock", "/run/prong/notify", &rig.record,
                         rig.out);
}

static void
forget(void)
{
    config_free(rig.config);
    launch_texts_deinit(&rig.texts);
}

/* The n-th text of the record: the folder, then the arguments, then the environment. */
static const char *
text_at(uint32_t n)
{
    const char *p = rig.out;
    for (uint32_t i = 0; i < n; i++) {
        p += strlen(p) + 1;
    }
    return p;
}

/* The value of a setting; NULL when there is none, and the test ends when there are two. */
static const char *
setting(const char *name)
{
    const char *found = NULL;
    const size_t len = strlen(name);
    for (uint32_t i = 0; i < rig.record.envc; i++) {
        const char *p = text_at(1 + rig.record.argc + i);
        if (strncmp(p, name, len) == 0 && p[len] == '=') {
            cr_assert_null(found, "%s is there twice", name);
            found = p + len + 1;
        }
    }
    return found;
}

#define expect_setting(name, want)                                                                 \
    cr_assert(setting(name) != NULL && strcmp(setting(name), want) == 0, "%s=%s", name,            \
              setting(name) != NULL ? setting(name) : "(not set)")

Test(launch, folder_and_arguments_are_those_of_the_configuration)
{
    cr_assert(
        launch("workers: {echo: {command: [python3, -u], args: [a b, ''], working_dir: sub}}", 0),
        "refused");
    cr_assert(spawn_start_check(&rig.record, rig.out), "the spawner would refuse it");
    cr_assert_str_eq(rig.record.name, "echo/0", "name");
    cr_assert(rig.record.id == 4711 && rig.record.op == SPAWN_START && rig.record.argc == 4,
              "numbers");
    static const char *const want[] = {"/srv/sub", "python3", "-u", "a b", ""};
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_str_eq(text_at(i), want[i], "text %u", i);
    }
    forget();
}

Test(launch, percent_i_is_the_number_of_the_replica_in_everything_that_is_configured)
{
    cr_assert(setenv("INHERITED", "%i of the hub", 1) == 0, "setenv");
    cr_assert(
        launch("workers: {echo: {command: [./run, --gpu=%i, '%i%i%', 100%], working_dir: /data/%i,"
               " environment: {CUDA_VISIBLE_DEVICES: '%i'}, replicas: 20}}",
               13),
        "refused");
    cr_assert_str_eq(rig.record.name, "echo/13", "name");
    static const char *const want[] = {"/data/13", "./run", "--gpu=13", "1313%", "100%"};
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_str_eq(text_at(i), want[i], "text %u", i);
    }
    expect_setting("CUDA_VISIBLE_DEVICES", "13");
    expect_setting("INHERITED", "%i of the hub");
    forget();
}

Test(launch, two_percent_signs_are_one_and_one_alone_stays)
{
    cr_assert(setenv("INHERITED", "100%% of the hub", 1) == 0, "setenv");
    cr_assert(launch("workers: {echo: {command: [date, '+%%i %%%i %%%% %d', '%'],"
                     " working_dir: /data/%%, environment: {FORMAT: '%%i'}}}",
                     7),
              "refused");
    static const char *const want[] = {"/data/%", "date", "+%i %7 %% %d", "%"};
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_str_eq(text_at(i), want[i], "text %u", i);
    }
    expect_setting("FORMAT", "%i");
    expect_setting("INHERITED", "100%% of the hub");
    forget();
}

Test(launch, what_comes_from_an_env_file_is_taken_as_it_is)
{
    cr_assert(
        launch("workers: {echo: {command: [x], env_file: f, environment: {BOTH: '%i%%'}}}", 7),
        "refused");
    expect_setting("PASS_PHRASE", "100% %i");
    expect_setting("OPEN", "x");
    expect_setting("BOTH", "7%");
    forget();
}

/* The entry of one name in a list of {name, value, from}, as "value from". Owned. */
static char *
listed(const struct buf *list, const char *name)
{
    struct span s = buf_span(list);
    struct mp_item head, item[7];
    cr_assert(mp_next(&s, &head) && head.kind == MP_ARRAY, "a list");
    for (uint32_t i = 0; i < head.count; i++) {
        for (size_t k = 0; k < 7; k++) {
            cr_assert(mp_next(&s, &item[k]), "entry %u", i);
        }
        if (span_is(item[2].bytes, name)) {
            char *text = NULL;
            cr_assert(asprintf(&text, "%.*s %.*s", (int)item[4].bytes.len,
                               (const char *)item[4].bytes.data, (int)item[6].bytes.len,
                               (const char *)item[6].bytes.data) > 0,
                      "memory");
            return text;
        }
    }
    return strdup("none");
}

static void
expect_listed(const struct buf *list, const char *name, const char *want)
{
    char *got = listed(list, name);
    cr_assert_str_eq(got, want, "%s is '%s', not '%s'", name, got, want);
    free(got);
}

Test(launch, an_environment_can_be_looked_at_without_its_secrets)
{
    static const char *const want[][3] = {
        {"FROM_HUB", "at http://u:***@h hub", "at http://u:p@h hub"},
        {"HUB_TOKEN", "*** hub", "t0 hub"},
        {"PASS_PHRASE", "*** env_file", "100% %i env_file"},
        {"OPEN", "*** env_file", "x env_file"},
        {"BOTH", "a2 worker", "a2 worker"},
        {"API_KEY", "*** worker", "k worker"},
        {"PYTHONUNBUFFERED", "1 prong", "1 prong"},
        {"PRONG_WORKER", "echo prong", "echo prong"},
        {"PRONG_REPLICA", "2 prong", "2 prong"},
        {"PRONG_URL", "ipc:///x prong", "ipc:///x prong"},
        {"PRONG_TOKEN", "none", "none"},
        {"NOT_TEXT", "\xff hub", "\xff hub"},
    };
    cr_assert(setenv("FROM_HUB", "at http://u:p@h", 1) == 0 && setenv("HUB_TOKEN", "t0", 1) == 0 &&
                  setenv("NOT_TEXT", "\xff", 1) == 0,
              "setenv");
    cr_assert(unsetenv("PRONG_TOKEN") == 0, "unsetenv");
    cr_assert(launch("workers: {echo: {command: [x, y], env_file: f, environment: {BOTH: 'a%i', "
                     "API_KEY: k, PRONG_WORKER: forged}}}",
                     2),
              "refused");
    for (int reveal = 0; reveal < 2; reveal++) {
        struct buf list = {0};
        const struct hub_effect effect = {
            .kind = HUB_OUT_ENV, .spec = &rig.spec, .replica = 2, .reveal = reveal > 0};
        launch_list_environment(&effect, "ipc:///x", "/run/x/notify", &list);
        cr_assert(!list.failed, "memory");
        for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
            expect_listed(&list, want[i][0], want[i][1 + reveal]);
        }
        buf_deinit(&list);
    }
    forget();
}

Test(launch, the_hubs_settings_win_over_the_workers_and_those_over_the_inherited)
{
    cr_assert(setenv("FROM_HUB", "hub", 1) == 0 && setenv("BOTH", "hub", 1) == 0 &&
                  setenv("PRONG_TOKEN", "of the hub's own caller", 1) == 0 &&
                  setenv("PRONG_URL", "nowhere", 1) == 0,
              "setenv");
    cr_assert(launch("workers: {echo: {command: [x], environment: {BOTH: worker, OWN: '1', "
                     "PRONG_WORKER: forged}}}",
                     2),
              "refused");
    expect_setting("FROM_HUB", "hub");
    expect_setting("BOTH", "worker");
    expect_setting("OWN", "1");
    expect_setting("PRONG_URL", "ipc:///run/prong/hub.sock");
    expect_setting("PRONG_WORKER", "echo");
    expect_setting("PRONG_REPLICA", "2");
    expect_setting("PRONG_INCARNATION", "4711");
    expect_setting("PRONG_TOKEN", "4711.secret");
    forget();
}

Test(launch, python_does_not_buffer_unless_the_worker_wants_it)
{
    cr_assert(setenv("PYTHONUNBUFFERED", "", 1) == 0, "setenv");
    cr_assert(launch("workers: {echo: {command: [x]}}", 0), "refused");
    expect_setting("PYTHONUNBUFFERED", "1");
    forget();
    rig = (struct rig){0};
    cr_assert(launch("workers: {echo: {command: [x], environment: {PYTHONUNBUFFERED: ''}}}", 0),
              "refused");
    expect_setting("PYTHONUNBUFFERED", "");
    forget();
}

Test(launch, what_the_spawner_told_the_broker_is_not_for_workers)
{
    cr_assert(setenv("PRONG_EPOCH", "3", 1) == 0 && setenv("PRONG_KEEPER_PID", "1", 1) == 0 &&
                  setenv("PRONG_EPOCHS", "mine", 1) == 0,
              "setenv");
    cr_assert(launch("workers: {echo: {command: [x]}}", 0), "refused");
    cr_assert_null(setting("PRONG_EPOCH"), "epoch");
    cr_assert_null(setting("PRONG_KEEPER_PID"), "keeper");
    expect_setting("PRONG_EPOCHS", "mine");
    forget();
}

Test(launch, what_is_too_large_for_a_start_is_refused)
{
    static char large[30001], name[20];
    memset(large, 'x', sizeof large - 1);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof name, "LARGE%d", i);
        cr_assert(setenv(name, large, 1) == 0, "setenv");
    }
    cr_assert(!launch("workers: {echo: {command: [x]}}", 0), "it was packed");
    forget();
}

Test(launch, the_specification_has_what_was_configured)
{
    cr_assert(
        launch("workers: {echo: {command: [x], replicas: 3, autostart: false, ready: started, "
               "restart: always,"
               " start_timeout: 7s, restart_delay: 200ms, max_restart_delay: 9s, max_restarts: 4,"
               " restart_window: 30s, stop_signal: INT, stop_timeout: 3s}}",
               0),
        "refused");
    const struct worker_spec *s = &rig.spec;
    cr_assert(s->replicas == 3 && !s->autostart, "replicas");
    cr_assert(s->ready == SPEC_READY_STARTED && s->restart == SPEC_RESTART_ALWAYS, "words");
    cr_assert(s->start_timeout_ms == 7000 && s->restart_delay_ms == 200 &&
                  s->restart_delay_ms_max == 9000,
              "delays");
    cr_assert(s->restarts_max == 4 && s->restart_window_ms == 30000, "restarts");
    cr_assert(s->stop_signal == 2 && s->stop_timeout_ms == 3000, "stop");
    forget();
    static const struct {
        const char *yaml;
        enum spec_restart restart;
    } words[] = {{"workers: {echo: {command: [x], restart: no}}", SPEC_RESTART_NO},
                 {"workers: {echo: {command: [x], restart: on-failure}}", SPEC_RESTART_ON_FAILURE},
                 {"workers: {echo: {command: [x]}}", SPEC_RESTART_ON_FAILURE}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        rig = (struct rig){0};
        cr_assert(launch(words[i].yaml, 0), "refused");
        cr_assert(rig.spec.restart == words[i].restart && rig.spec.ready == SPEC_READY_ATTACH, "%s",
                  words[i].yaml);
        forget();
    }
}

struct failure {
    int step, error;
    const char *program, *folder, *want;
};

static const struct failure failures[] = {
    {SPAWN_STEP_EXEC, ENOENT, "./detector", "/srv", "exec './detector'"},
    {SPAWN_STEP_EXEC, EACCES, "/opt/%i/run", "/srv", "exec '/opt/12/run'"},
    {SPAWN_STEP_FOLDER, ENOENT, "x", "/data/camera%i", "working folder '/data/camera12'"},
    {SPAWN_STEP_FORK, EAGAIN, "x", "/srv", "fork"},
    {SPAWN_STEP_USER, EPERM, "x", "/srv", "setting user 'nobody'"},
    {SPAWN_STEP_GROUPS, EPERM, "x", "/srv", "setting user 'nobody'"},
    {SPAWN_STEP_RLIM_NOFILE, EPERM, "x", "/srv", "setting rlimit_nofile '64:128'"},
    {SPAWN_STEP_CPU_AFFINITY, EINVAL, "x", "/srv", "setting cpu_affinity '12'"},
    {SPAWN_STEP_NICE, EACCES, "x", "/srv", "setting nice"},
    /* The whole of a reason has 95 characters; here 19 and 25 of them are not the step's. */
    {SPAWN_STEP_EXEC, ENOENT, "/0123456789/0123456789/0123456789/0123456789a", "/srv",
     "exec '...3456789/0123456789/0123456789/0123456789a'"},
    {SPAWN_STEP_EXEC, ENOENT, "/123456789/0123456789/0123456789/0123456789a", "/srv",
     "exec '/123456789/0123456789/0123456789/0123456789a'"},
    {SPAWN_STEP_EXEC, ENOENT,
     "/012345/\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4/23456789/"
     "0123456789a",
     "/srv", "exec '...ääääääääää/23456789/0123456789a'"},
};

Test(launch, a_start_that_failed_names_the_program_or_the_folder)
{
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        const struct failure *f = &failures[i];
        char yaml[400], got[LAUNCH_STEP_BYTES];
        (void)snprintf(yaml, sizeof yaml,
                       "workers: {echo: {command: [\"%s\"], args: [y], working_dir: \"%s\","
                       " user: nobody, rlimit_nofile: '64:128', cpu_affinity: [\"%%i\"]}}",
                       f->program, f->folder);
        rig = (struct rig){0};
        cr_assert(launch(yaml, 12), "refused");
        rig.record.step = f->step;
        rig.record.error = f->error;
        launch_explain(&rig.record, &rig.spec, got);
        cr_assert_str_eq(got, f->want, "%zu: %s", i, got);
        cr_assert(strlen("could not start: : ") + strlen(got) + strlen(strerror(f->error)) <= 95,
                  "%s is too long", got);
        launch_explain(&rig.record, NULL, got);
        cr_assert(strchr(got, '\'') == NULL && got[0] != '\0', "of nothing: %s", got);
        forget();
    }
}

Test(launch, a_program_that_is_no_text_is_told_as_one)
{
    char got[LAUNCH_STEP_BYTES];
    struct worker_spec spec = {
        .name = "echo", .launch = {.argc = 1, .text = "/srv\0bad\xff\nname", .text_bytes = 15}};
    const struct spawn_record failed = {.step = SPAWN_STEP_EXEC, .error = ENOENT, .name = "echo/0"};
    launch_explain(&failed, &spec, got);
    cr_assert_str_eq(got, "exec 'bad??name'", "%s", got);
}

Test(launch, what_would_fail_again_is_never_tried_again_and_a_shortage_is)
{
    static const int passing[] = {EAGAIN, ENOMEM, ETXTBSY, EMFILE, ENFILE, EIO, EINTR, EBUSY};
    for (int step = SPAWN_STEP_NONE; step < SPAWN_STEP_COUNT; step++) {
        const bool is_limit = spawn_step_limit((enum spawn_step)step) != LIMIT_COUNT;
        const bool never = step == SPAWN_STEP_RECORD || step == SPAWN_STEP_FOLDER ||
                           step == SPAWN_STEP_EXEC || is_limit;
        cr_assert(launch_never((enum spawn_step)step, EPERM) == never, "%s",
                  spawn_step_text((enum spawn_step)step));
        for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
            cr_assert(!launch_never((enum spawn_step)step, passing[i]), "%s: %s",
                      spawn_step_text((enum spawn_step)step), strerror(passing[i]));
        }
    }
}

/* The limits of the record, one a line. */
static const char *
limits_text(void)
{
    static char lines[4000];
    size_t used = 0;
    for (uint32_t i = 0; i < rig.record.limitc; i++) {
        used += (size_t)snprintf(lines + used, sizeof lines - used, "%s\n",
                                 text_at(1 + rig.record.argc + rig.record.envc + i));
    }
    return lines;
}

Test(launch, limits_stand_behind_the_environment)
{
    cr_assert(launch("workers: {echo: {command: [x], environment: {A: b}, nice: 5, umask: '027',"
                     " rlimit_nofile: '64:128', cpu_affinity: ['%i', 0-1], no_new_privs: true,"
                     " cgroup: required, memory_max: 64MiB, replicas: 8}}",
                     7),
              "refused");
    cr_assert(spawn_start_check(&rig.record, rig.out), "the spawner would refuse it");
    cr_assert_str_eq(limits_text(),
                     "rlimit_nofile=64:128\nnice=5\numask=027\nmemory_max=64MiB\n"
                     "cgroup=required\nno_new_privs=true\ncpu_affinity=7,0-1\n",
                     "%s", limits_text());
    forget();
    rig = (struct rig){0};
    cr_assert(launch("workers: {echo: {command: [x]}}", 0), "refused");
    cr_assert(rig.record.limitc == 0, "a worker without limits has some");
    forget();
}

Test(launch, a_user_brings_its_groups_and_its_home)
{
    cr_assert(launch("workers: {echo: {command: [x], user: root, environment: {USER: mine}}}", 0),
              "refused");
    cr_assert(spawn_start_check(&rig.record, rig.out), "the spawner would refuse it");
    expect_setting("LOGNAME", "root");
    expect_setting("USER", "mine");
    cr_assert(setting("HOME") != NULL && setting("HOME")[0] == '/', "no home");
    const char *limits = limits_text();
    cr_assert(strncmp(limits, "groups=0", 8) == 0, "%s", limits);
    cr_assert(strstr(limits, "\ngroup=0/root\nuser=0/root\n") != NULL, "%s", limits);
    forget();
    rig = (struct rig){0};
    cr_assert(launch("workers: {echo: {command: [x], user: '4242', group: '4343'}}", 0), "refused");
    cr_assert_str_eq(limits_text(), "groups=\ngroup=4343/4343\nuser=4242/4242\n", "%s",
                     limits_text());
    forget();
    rig = (struct rig){0};
    cr_assert(launch("workers: {echo: {command: [x], group: '4343'}}", 0), "refused");
    cr_assert_str_eq(limits_text(), "groups=\ngroup=4343/4343\n", "%s", limits_text());
    forget();
}

/* As when it was removed after the file was read: the test reads without asking the system. */
Test(launch, a_user_that_is_not_there_any_more_does_not_become_the_hubs_own)
{
    static const char *const yaml[] = {
        "workers: {echo: {command: [x], user: nobody_has_it}}",
        "workers: {echo: {command: [x], user: '4242'}}",
        "workers: {echo: {command: [x], group: nobody_has_it}}",
    };
    for (size_t i = 0; i < sizeof yaml / sizeof yaml[0]; i++) {
        rig = (struct rig){0};
        cr_assert(launch(yaml[i], 0), "refused");
        cr_assert(!spawn_start_check(&rig.record, rig.out), "%s would start", yaml[i]);
        forget();
    }
}

static uint64_t
key_of(const char *yaml, uint32_t replica, uint32_t edition)
{
    rig = (struct rig){.edition = edition};
    cr_assert(launch(yaml, replica), "refused");
    cr_assert(spawn_start_check(&rig.record, rig.out), "the spawner would refuse it");
    forget();
    return rig.record.template_key;
}

Test(launch, a_template_is_for_the_replicas_of_one_worker_in_one_form)
{
    static const char warm[] =
        "workers: {echo: {command: [x], args: ['%i'], preload: [numpy, PIL.Image]}}";
    const uint64_t key = key_of(warm, 0, 0);
    cr_assert(key != 0 && key_of(warm, 1, 0) == key, "another one for another replica");
    cr_assert(key_of(warm, 0, 1) != key, "the same after a restart of all");
    cr_assert(key_of("workers: {echo: {command: [x], args: ['%i'], preload: [numpy]}}", 0, 0) !=
                  key,
              "the same with other modules");
    cr_assert(key_of("workers: {echo: {command: [x], args: ['%i']}}", 0, 7) == 0,
              "without modules");
    cr_assert(launch(warm, 0), "refused");
    expect_setting("PRONG_PRELOAD", "numpy,PIL.Image");
    forget();
}

Test(launch, why_nothing_came_of_a_template_is_told_as_it_says_it)
{
    char got[LAUNCH_STEP_BYTES];
    const struct spawn_record failed = {.step = SPAWN_STEP_TEMPLATE, .name = "echo/0"};
    launch_explain(&failed, NULL, got);
    cr_assert_str_eq(got, "template", "%s", got);
    cr_assert(!launch_never(SPAWN_STEP_TEMPLATE, EPERM), "it may go better another time");
}
