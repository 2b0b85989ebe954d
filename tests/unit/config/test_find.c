/* Where the configuration file is looked for. Each test has a folder of its own as its home. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/config/config.h"
#include "tests/support/test.h"

struct home {
    char path[4096];
    bool has_xdg;
};

static const char *
get(void *context, const char *name)
{
    const struct home *home = context;
    if (strcmp(name, home->has_xdg ? "XDG_CONFIG_HOME" : "HOME") == 0) {
        return home->path;
    }
    return strcmp(name, "HOME") == 0 ? "/nonexistent" : NULL;
}

static void
enter(const char *folder, struct home *home)
{
    cr_assert_eq(mkdir(folder, 0700), 0);
    cr_assert_eq(chdir(folder), 0);
    cr_assert_not_null(getcwd(home->path, sizeof home->path));
}

static void
touch(const char *path)
{
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fclose(file), 0);
}

static void
expect_found(struct home *home, const char *expected)
{
    const struct config_env env = {.get = get, .context = home};
    char *path = NULL;
    cr_assert_eq(config_find(&env, &path), 0);
    cr_assert_not_null(path);
    cr_expect_str_eq(path, expected);
    free(path);
}

Test(config_find, the_current_folder_comes_first)
{
    struct home home = {.has_xdg = true};
    enter("find-current", &home);
    cr_assert_eq(mkdir("prong", 0700), 0);
    touch("prong/prong.yaml");
    touch("prong.yaml");
    expect_found(&home, "./prong.yaml");
}

Test(config_find, then_comes_the_users_folder)
{
    struct home home = {.has_xdg = true};
    char expected[4200];
    enter("find-xdg", &home);
    cr_assert_eq(mkdir("prong", 0700), 0);
    touch("prong/prong.yaml");
    snprintf(expected, sizeof expected, "%s/prong/prong.yaml", home.path);
    expect_found(&home, expected);
}

Test(config_find, without_xdg_the_users_folder_is_below_home)
{
    struct home home = {.has_xdg = false};
    char expected[4200];
    enter("find-home", &home);
    cr_assert_eq(mkdir(".config", 0700), 0);
    cr_assert_eq(mkdir(".config/prong", 0700), 0);
    touch(".config/prong/prong.yaml");
    snprintf(expected, sizeof expected, "%s/.config/prong/prong.yaml", home.path);
    expect_found(&home, expected);
}

Test(config_find, nothing_is_found_where_nothing_is)
{
    struct home home = {.has_xdg = true};
    enter("find-nothing", &home);
    const struct config_env env = {.get = get, .context = &home};
    char *path = NULL;
    cr_assert_eq(config_find(&env, &path), 0);
    /* The machine that runs this may have a hub of its own. */
    cr_expect(path == NULL || strcmp(path, "/etc/prong/prong.yaml") == 0);
    free(path);
    path = NULL;
    cr_assert_eq(config_find(NULL, &path), 0);
    cr_expect(path == NULL || strcmp(path, "/etc/prong/prong.yaml") == 0);
    free(path);
}

/* The XDG specification says so. */
Test(config_find, a_relative_xdg_folder_is_ignored)
{
    struct home home = {.has_xdg = true};
    char *path = NULL;
    enter("find-relative", &home);
    cr_assert_eq(mkdir("config", 0700), 0);
    cr_assert_eq(mkdir("config/prong", 0700), 0);
    touch("config/prong/prong.yaml");
    snprintf(home.path, sizeof home.path, "config");
    const struct config_env env = {.get = get, .context = &home};
    cr_assert_eq(config_find(&env, &path), 0);
    cr_expect(path == NULL || strcmp(path, "/etc/prong/prong.yaml") == 0, "%s", path);
    free(path);
}

Test(config_find, a_file_that_is_there_but_unusable_is_not_passed_over)
{
    struct home home = {.has_xdg = true};
    enter("find-unusable", &home);
    cr_assert_eq(symlink("prong.yaml", "prong.yaml"), 0);
    expect_found(&home, "./prong.yaml");
}
