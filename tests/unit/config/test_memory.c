/* When memory runs out: every allocation of the reader fails once, and nothing is lost or left.
 *
 * The linker puts these functions in front of the allocator for the objects of this program, which
 * are the test and the library under test; libyaml and libc keep their own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"
#include "tests/support/test.h"
#include "tests/unit/config/helper.h"

/* The linker's --wrap prescribes these names. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);

/* The hooks have no argument to hang their state on. */
static struct {
    long fail_at; /* counts down to the call that fails; 0 for none */
    long live;    /* blocks that were given and not yet taken back */
    bool failed;
} hook;

static bool
fails_now(void)
{
    if (hook.fail_at > 0 && --hook.fail_at == 0) {
        hook.failed = true;
        return true;
    }
    return false;
}

void *
__wrap_malloc(size_t size)
{
    void *memory = fails_now() ? NULL : __real_malloc(size);
    hook.live += memory != NULL;
    return memory;
}

void *
__wrap_calloc(size_t count, size_t size)
{
    void *memory = fails_now() ? NULL : __real_calloc(count, size);
    hook.live += memory != NULL;
    return memory;
}

void *
__wrap_realloc(void *old, size_t size)
{
    void *memory = fails_now() ? NULL : __real_realloc(old, size);
    hook.live += old == NULL && memory != NULL;
    return memory;
}

void
__wrap_free(void *memory)
{
    hook.live -= memory != NULL;
    __real_free(memory);
}

/* NOLINTEND(bugprone-reserved-identifier) */

enum { CALLS_MAX = 5000 };

/* Run `attempt` with its first, second, ... allocation failing until one run has no failure left.
 * `attempt` gives 0 on success and must leave nothing behind either way. */
static void
fail_each(int (*attempt)(void))
{
    long at = 1;
    for (; at < CALLS_MAX; at++) {
        const long before = hook.live;
        hook.fail_at = at;
        hook.failed = false;
        const int rc = attempt();
        hook.fail_at = 0;
        cr_assert_eq(hook.live, before, "%ld blocks left after failing call %ld",
                     hook.live - before, at);
        cr_assert_eq(rc, hook.failed ? -1 : 0, "failing call %ld gives %d", at, rc);
        if (!hook.failed) {
            break;
        }
    }
    cr_assert_lt(at, CALLS_MAX);
    cr_assert_gt(at, 1, "nothing was allocated, so nothing was tested");
}

static int
expect_nomem(const struct config_diag *diag)
{
    cr_expect_eq(diag->error, ENOMEM, "%s", diag->text);
    cr_expect_str_eq(diag->text, "out of memory");
    return -1;
}

static int
attempt_text(void)
{
    const struct config_source source = {.name = "x.yaml",
                                         .directory = "/etc/prong",
                                         .data = helper_sample,
                                         .size_bytes = strlen(helper_sample)};
    struct config *config = NULL;
    struct config_diag diag;
    if (config_load_text(&source, &helper_env, &config, &diag) != 0) {
        return expect_nomem(&diag);
    }
    config_free(config);
    return 0;
}

static int
attempt_included(void)
{
    static const struct helper_file rows[] = {
        {"/etc/prong/a.env", "A=1\nB='2'\nA=3\n", 0},
        {"/etc/prong/d/a.yaml", "include: ../e.yaml\nworkers: {a: {command: [run]}}\n", 0},
        {"/etc/prong/d/b.yaml", "workers: {b: {command: [run], env_file: [\"-../a.env\"]}}\n", 0},
        {"/etc/prong/d/../e.yaml", "defaults: {env_file: ../a.env, args: [x]}\n", 0},
        {"/etc/prong/d/../a.env", "A=1\n", 0},
        {"/etc/prong/d/../../a.env", "C=1\n", 0},
    };
    static const char text[] = "include: [d/*.yaml]\n"
                               "devices:\n"
                               "  w: {paths: [x, y], kind: watch, environment: {A: b}}\n"
                               "  t: {kind: tcp-listen, port: 1, address: '::1'}\n";
    const struct config_source source = {"x.yaml", "/etc/prong", text, strlen(text), false};
    struct config *config = NULL;
    struct config_diag diag;
    helper_files(rows, sizeof rows / sizeof rows[0]);
    if (config_load_text(&source, &helper_env, &config, &diag) != 0) {
        return expect_nomem(&diag);
    }
    cr_expect_eq(config->worker_count, 4);
    cr_expect_eq(config->workers[0].environment.count, 3);
    cr_expect_eq(config->workers[2].environment.count, 1);
    config_free(config);
    return 0;
}

static int
attempt_file(void)
{
    struct config *config = NULL;
    struct config_diag diag;
    if (config_load("memory.yaml", &helper_env, &config, &diag) != 0) {
        return expect_nomem(&diag);
    }
    config_free(config);
    return 0;
}

static int
attempt_new(void)
{
    struct config *config = config_new();
    const int rc = config != NULL ? 0 : -1;
    config_free(config);
    return rc;
}

static int
attempt_find(void)
{
    char *path = NULL;
    const int rc = config_find(&helper_env, &path);
    free(path);
    return rc;
}

Test(config_memory, a_text_is_read_or_refused_whichever_allocation_fails)
{
    fail_each(attempt_text);
}

Test(config_memory, included_files_are_read_or_refused_whichever_allocation_fails)
{
    fail_each(attempt_included);
}

Test(config_memory, a_file_is_read_or_refused_whichever_allocation_fails)
{
    FILE *file = fopen("memory.yaml", "we");
    cr_assert_not_null(file);
    fputs("hub: {token_file: t}\n", file);
    cr_assert_eq(fclose(file), 0);
    fail_each(attempt_file);
}

Test(config_memory, a_configuration_without_a_file_survives_it_too)
{
    fail_each(attempt_new);
}

Test(config_memory, the_search_for_a_file_survives_it_too)
{
    fail_each(attempt_find);
}

Test(config_memory, a_refused_file_leaves_nothing_behind)
{
    static const char *const texts[] = {
        "workers:\n  a:\n    command: [a, b]\n    environment: {A: 1, B: [x]}\n",
        "workers:\n  a:\n    command: [a, b]\n    environment: {A: 1, B: 2\n",
        "hub: {listen: [\"tcp://127.0.0.1:1\", \"tcp://1.1.1.1:1\"], group: x}\n",
        "hub: {group: x, token_file: ~/x}\n",
        "hub: {group: x, token_file: x}\nworkers: {a: {command: [a]}, b: {args: [x]}}\n",
        "defaults: {args: [x]}\nworkers: {a: {command: [a]}, a: {}}\n",
        "workers: {a: {command: [a, \"${NONE}\"]}}\n",
        "workers: {a: {command: [a], replicas: \"${WORD}\"}}\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const long before = hook.live;
        helper_fail(texts[i]);
        cr_expect_eq(hook.live, before, "%s", texts[i]);
    }
}
