#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/spawn/records.h"
#include "broker/spawn/rundir.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"

/* %s in a path is the test's directory, which has a folder user/1000. */
struct choice {
    const char *option, *name, *runtime_directory, *xdg;
    uid_t uid;
    const char *path; /* NULL: refused */
};

static const struct choice choices[] = {
    {"/opt/x", NULL, "/srv/a:/srv/b", "/xdg", 1000, "/opt/x"},
    {"/opt/x/", NULL, NULL, NULL, 1000, "/opt/x"},
    {"/opt/x///", "n", NULL, NULL, 1000, "/opt/x/n"},
    {NULL, NULL, "/srv/a:/srv/b", "/xdg", 1000, "/srv/a"},
    {NULL, NULL, "/srv/a", "/xdg", 1000, "/srv/a"},
    {NULL, "cam_1", "/srv/a:/srv/b", "/xdg", 1000, "/srv/a/cam_1"},
    {NULL, NULL, "", "/xdg", 1000, "/xdg/prong"},
    {NULL, NULL, "relative", "/xdg", 1000, "/xdg/prong"},
    {NULL, NULL, NULL, "/xdg", 1000, "/xdg/prong"},
    {NULL, "n", NULL, "/xdg", 1000, "/xdg/prong/n"},
    {NULL, NULL, NULL, "", 1000, "%s/user/1000/prong"},
    {NULL, NULL, NULL, "relative", 1000, "%s/user/1000/prong"},
    {NULL, NULL, NULL, NULL, 1000, "%s/user/1000/prong"},
    {NULL, NULL, NULL, NULL, 0, "%s/run/prong"},
    {NULL, "n", NULL, NULL, 0, "%s/run/prong/n"},
    {NULL, NULL, NULL, NULL, 1001, NULL},
    {"relative", NULL, NULL, NULL, 1001, "%s/relative"},
};

static struct rundir_sources
make_sources(const struct choice *choice, char user[DIR_FILE_BYTES_MAX],
             char run[DIR_FILE_BYTES_MAX])
{
    return (struct rundir_sources){
        .option = choice->option,
        .name = choice->name,
        .runtime_directory = choice->runtime_directory,
        .xdg_runtime_dir = choice->xdg,
        .run_user = dir_file(user, "user"),
        .run = dir_file(run, "run"),
        .uid = choice->uid,
    };
}

Test(rundir, the_first_source_that_says_something_is_taken, .init = dir_enter, .fini = dir_leave)
{
    char user[DIR_FILE_BYTES_MAX];
    char run[DIR_FILE_BYTES_MAX];
    mkdir("user", 0755);
    mkdir("user/1000", 0755);
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const struct rundir_sources sources = make_sources(&choices[i], user, run);
        char path[PATH_MAX] = "";
        char expected[PATH_MAX] = "";
        size_t base_length = 0;
        static struct rundir_fault fault;
        const bool is_chosen = rundir_choose(&sources, path, &base_length, &fault);
        cr_expect_eq(is_chosen, choices[i].path != NULL, "row %zu", i);
        if (!choices[i].path) {
            cr_expect_eq(fault.exit_code, 73);
            cr_expect_not_null(strstr(fault.text, "--runtime-dir"));
            continue;
        }
        const bool is_below = choices[i].path[0] == '%';
        snprintf(expected, sizeof expected, "%s%s", is_below ? dir_path() : "",
                 choices[i].path + (is_below ? 2 : 0));
        cr_expect_str_eq(path, expected, "row %zu", i);
        cr_expect_eq(base_length,
                     strlen(expected) - (choices[i].name ? strlen(choices[i].name) + 1 : 0));
    }
}

Test(rundir, the_longest_socket_has_to_fit_its_address)
{
    static struct rundir_fault fault;
    char option[PATH_MAX];
    char path[PATH_MAX];
    size_t base_length;
    memset(option, 'd', sizeof option - 1);
    option[0] = '/';
    option[sizeof option - 1] = '\0';
    const struct rundir_sources sources = {.option = option, .run_user = "", .run = ""};
    cr_expect_not(rundir_choose(&sources, path, &base_length, &fault));
    option[107 - strlen("/hub.sock.XXXXXXXX") + 1] = '\0';
    cr_expect_not(rundir_choose(&sources, path, &base_length, &fault));
    cr_expect_eq(fault.exit_code, 73);
    cr_expect_not_null(strstr(fault.text, "too long"));
    option[107 - strlen("/hub.sock.XXXXXXXX")] = '\0';
    cr_expect(rundir_choose(&sources, path, &base_length, &fault));
}

Test(rundir, it_is_made_private_whatever_the_umask, .init = dir_enter, .fini = dir_leave)
{
    static const mode_t masks[] = {0000, 0022, 0077, 0777};
    static struct rundir rundir;
    static struct rundir_fault fault;
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        char name[8];
        char path[DIR_FILE_BYTES_MAX];
        struct stat status;
        snprintf(name, sizeof name, "m%zu", i);
        const mode_t before = umask(masks[i]);
        const struct rundir_sources sources = {
            .option = dir_file(path, name), .name = "n", .run_user = "", .run = ""};
        cr_assert(rundir_open(&sources, &rundir, &fault), "%s", fault.text);
        cr_expect_eq(umask(before), masks[i], "the umask is as before");
        cr_assert_eq(stat(path, &status), 0);
        cr_expect_eq(status.st_mode & 07777, 0700U);
        cr_assert_eq(fstat(rundir.dir_fd, &status), 0);
        cr_expect_eq(status.st_mode & 07777, 0700U);
        cr_expect_eq(fcntl(rundir.lock_fd, F_GETFD), FD_CLOEXEC);
        cr_expect_eq(fcntl(rundir.dir_fd, F_GETFD), FD_CLOEXEC);
        rundir_close(&rundir);
        rundir_close(&rundir);
    }
}

Test(rundir, the_lock_is_held_until_it_is_closed, .init = dir_enter, .fini = dir_leave)
{
    static struct rundir first;
    static struct rundir second;
    static struct rundir_fault fault;
    char path[DIR_FILE_BYTES_MAX];
    char pid[64];
    const struct rundir_sources sources = {
        .option = dir_file(path, "r"), .run_user = "", .run = ""};
    cr_assert(rundir_open(&sources, &first, &fault), "%s", fault.text);
    cr_assert_not(rundir_open(&sources, &second, &fault));
    cr_expect_eq(fault.exit_code, 75);
    snprintf(pid, sizeof pid, "(pid %d)", (int)getpid());
    cr_expect_not_null(strstr(fault.text, pid), "%s", fault.text);
    rundir_close(&first);
    cr_assert(rundir_open(&sources, &second, &fault), "%s", fault.text);
    rundir_close(&second);
}

Test(rundir, only_a_socket_is_unlinked, .init = dir_enter, .fini = dir_leave)
{
    static struct rundir rundir;
    static struct rundir_fault fault;
    char path[DIR_FILE_BYTES_MAX];
    const struct rundir_sources sources = {
        .option = dir_file(path, "r"), .run_user = "", .run = ""};
    cr_assert(rundir_open(&sources, &rundir, &fault), "%s", fault.text);
    cr_expect(rundir_unlink_socket(&rundir), "nothing there is fine");
    dir_write("r/hub.sock", "precious", 0600);
    cr_expect_not(rundir_unlink_socket(&rundir));
    cr_expect_eq(access("r/hub.sock", F_OK), 0);
    rundir_close(&rundir);
}

Test(rundir, the_sockets_of_a_dead_hub_are_unlinked, .init = dir_enter, .fini = dir_leave)
{
    static struct rundir rundir;
    static struct rundir_fault fault;
    static const char *const names[] = {RUNDIR_SOCKET, RUNDIR_NOTIFY, RUNDIR_MEMORY};
    char path[DIR_FILE_BYTES_MAX];
    const struct rundir_sources sources = {
        .option = dir_file(path, "r"), .run_user = "", .run = ""};
    cr_assert(rundir_open(&sources, &rundir, &fault), "%s", fault.text);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cr_assert(mknodat(rundir.dir_fd, names[i], S_IFSOCK | 0600, 0) == 0, "%s", names[i]);
    }
    cr_expect(rundir_unlink_socket(&rundir));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cr_expect(faccessat(rundir.dir_fd, names[i], F_OK, 0) != 0, "%s is left", names[i]);
    }
    rundir_close(&rundir);
}

Test(rundir, the_configuration_of_a_dead_hub_is_unlinked, .init = dir_enter, .fini = dir_leave)
{
    static struct rundir rundir;
    static struct rundir_fault fault;
    char path[DIR_FILE_BYTES_MAX];
    const struct rundir_sources sources = {
        .option = dir_file(path, "r"), .run_user = "", .run = ""};
    cr_assert(rundir_open(&sources, &rundir, &fault), "%s", fault.text);
    rundir_close(&rundir);
    dir_write("r/" SPAWN_FILE_CONFIG, "hunter2", 0600);
    dir_write("r/" SPAWN_FILE_CONFIG_NEW, "hunter2", 0600);
    cr_assert(rundir_open(&sources, &rundir, &fault), "%s", fault.text);
    cr_expect_eq(access("r/" SPAWN_FILE_CONFIG, F_OK), -1,
                 "it would be taken for that of the next");
    cr_expect_eq(access("r/" SPAWN_FILE_CONFIG_NEW, F_OK), -1);
    rundir_close(&rundir);
}
