/* Where a hub lives: `prong up` and prongd must agree. */
#include "client/cli/hubdir.h"

#include <string.h>
#include <sys/stat.h>

#include "broker/spawn/rundir.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"

Test(cli_hubdir, the_default_place_is_that_of_prongd, .init = dir_enter, .fini = dir_leave)
{
    static const char *const lists[] = {NULL, "", "relative", "/srv/a", "/srv/a/:/srv/b", "/"};
    static const char *const xdgs[] = {NULL, "", "relative", "/xdg", "/xdg/"};
    static const uid_t uids[] = {0, 1000, 1001};
    char user[DIR_FILE_BYTES_MAX], run[DIR_FILE_BYTES_MAX];
    size_t refused = 0;
    cr_assert(mkdir("user", 0755) == 0 && mkdir("user/1000", 0755) == 0);
    const char *run_user = dir_file(user, "user"), *run_dir = dir_file(run, "run");
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (size_t k = 0; k < sizeof xdgs / sizeof xdgs[0]; k++) {
            for (size_t u = 0; u < sizeof uids / sizeof uids[0]; u++) {
                const struct hubdir_sources ours = {lists[i], xdgs[k], run_user, run_dir, uids[u]};
                const struct rundir_sources theirs = {.runtime_directory = lists[i],
                                                      .xdg_runtime_dir = xdgs[k],
                                                      .run_user = run_user,
                                                      .run = run_dir,
                                                      .uid = uids[u]};
                static struct rundir_fault fault;
                char dir[PATH_MAX] = "", expected[PATH_MAX] = "";
                size_t ignored;
                const bool may_start = rundir_choose(&theirs, expected, &ignored, &fault);
                cr_expect_eq(hubdir_default(&ours, dir), may_start, "%s", dir);
                cr_expect_str_eq(dir, expected);
                refused += !may_start;
            }
        }
    }
    cr_expect_eq(refused, 9, "without any of them only root and a user with a folder have a place");
}

Test(cli_hubdir, a_path_that_is_too_long_is_none)
{
    static char xdg[PATH_MAX];
    char dir[PATH_MAX];
    memset(xdg, '/', sizeof xdg - 1);
    cr_expect_not(hubdir_default(&(struct hubdir_sources){NULL, xdg, "/run/user", "/run", 0}, dir));
    cr_expect_str_eq(dir, "");
}
