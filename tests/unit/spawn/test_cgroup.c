/* Finding and dividing the hub's cgroup, and the files of a process's own: parsing with the texts
 * of many systems, and a real folder that stands in for a cgroup. What only a kernel can show is in
 * tests/e2e/spawn/test_hub_limits.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/spawn/cgroup.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"

#define CGROUP_TEST(name) Test(cgroup, name, .init = dir_enter, .fini = dir_leave)

#define UNIFIED                                                                                    \
    "24 18 0:21 / /proc rw,nosuid - proc proc rw\n"                                                \
    "30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define HYBRID                                                                                     \
    "29 24 0:25 / /sys/fs/cgroup ro shared:8 - tmpfs tmpfs ro\n"                                   \
    "31 29 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"                                \
    "32 29 0:28 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n"

struct place {
    const char *mountinfo, *own, *path, *why;
};

static const struct place places[] = {
    {UNIFIED, "0::/system.slice/prong.service\n", "/sys/fs/cgroup/system.slice/prong.service", ""},
    {UNIFIED, "0::/\n", "/sys/fs/cgroup", ""},
    {HYBRID, "9:name=systemd:/\n4:memory:/a\n0::/b/c\n", "/sys/fs/cgroup/unified/b/c", ""},
    {"30 24 0:26 /a\\040b /mnt/c\\134d rw master:3 propagate_from:2 - cgroup2 x rw\n",
     "0::/a b/hub\n", "/mnt/c\\d/hub", ""},
    {"30 24 0:26 /a /mnt rw - cgroup2 x rw\n", "0::/ab\n", NULL,
     "the hub's cgroup /ab is not below a mount"},
    {"30 24 0:26 /a /one rw - cgroup2 x rw\n31 24 0:26 / /two rw - cgroup2 x rw\n", "0::/b",
     "/two/b", ""},
    {UNIFIED, "0::/../other\n", NULL, "the hub's cgroup /../other is not below a mount"},
    {"24 18 0:21 / /proc rw - proc proc rw\n", "0::/\n", NULL, "no cgroup of version 2 is mounted"},
    {"", "0::/\n", NULL, "no cgroup of version 2 is mounted"},
    {"30 24\n\n- - -\n30 24 0:26 / /x rw - cgroup2\n", "0::/y\n", "/x/y", ""},
    {UNIFIED, "4:memory:/a\n", NULL, "the hub is in no cgroup of version 2"},
    {UNIFIED, "", NULL, "the hub is in no cgroup of version 2"},
};

CGROUP_TEST(the_hubs_cgroup_is_found_where_the_system_has_it_mounted)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char path[PATH_MAX] = "";
        char why[CGROUP_WHY_BYTES] = "";
        const bool is_found = cgroup_find(places[i].mountinfo, places[i].own, path, why);
        cr_expect_eq(is_found, places[i].path != NULL, "%zu", i);
        if (is_found && places[i].path != NULL) {
            cr_expect_str_eq(path, places[i].path, "%zu: %s", i, path);
        } else {
            cr_expect_str_eq(why, places[i].why, "%zu: %s", i, why);
        }
    }
}

static void
put(const char *name, const char *text)
{
    char path[DIR_FILE_BYTES_MAX];
    FILE *file = fopen(dir_file(path, name), "we");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

static const char *
get(const char *name)
{
    static char text[1000];
    char path[DIR_FILE_BYTES_MAX];
    FILE *file = fopen(dir_file(path, name), "re");
    text[0] = '\0';
    if (file != NULL) {
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
    }
    return text;
}

static void
make_folder(const char *name)
{
    char path[DIR_FILE_BYTES_MAX];
    cr_assert_eq(mkdir(dir_file(path, name), 0700), 0, "%s", path);
}

/* Open the folder "c" of the test as the hub's cgroup. */
static struct cgroups
open_folder(void)
{
    struct cgroups cgroups;
    char mountinfo[DIR_FILE_BYTES_MAX];
    char own[DIR_FILE_BYTES_MAX];
    char line[PATH_MAX];
    snprintf(line, sizeof line, "30 24 0:26 / %s rw - cgroup2 x rw\n", dir_path());
    put("mountinfo", line);
    put("own", "0::/c\n");
    cgroups_init(&cgroups, getpid());
    const struct cgroup_sources sources = {dir_file(mountinfo, "mountinfo"), dir_file(own, "own")};
    cgroups_open(&cgroups, &sources);
    return cgroups;
}

/* What a kernel would answer a "+cpu" with stands behind what is written over. */
#define ALL_ON "                cpu memory pids\n"

CGROUP_TEST(controllers_are_turned_on_for_those_below)
{
    make_folder("c");
    put("c/cgroup.controllers", "cpuset cpu io memory pids\n");
    put("c/cgroup.subtree_control", ALL_ON);
    const struct cgroups cgroups = open_folder();
    cr_expect_eq(cgroups.controllers, 7U, "%s", cgroups.why);
    cr_expect(strncmp(get("c/cgroup.subtree_control"), "+pids", 5) == 0, "nothing was asked for");
}

CGROUP_TEST(the_hubs_own_processes_step_aside_first_unless_it_is_the_root)
{
    make_folder("c");
    make_folder("c/prong.hub");
    put("c/cgroup.type", "domain\n");
    put("c/cgroup.controllers", "memory\n");
    put("c/cgroup.subtree_control", "                memory\n");
    put("c/cgroup.procs", "");
    struct cgroups cgroups = open_folder();
    cr_expect_eq(cgroups.controllers, 1U << CGROUP_MEMORY, "%s", cgroups.why);
    /* Ours has to be moved; a file is no kernel, so it is still there afterwards. */
    char pid[32];
    snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    put("c/cgroup.procs", pid);
    put("c/prong.hub/cgroup.procs", "");
    cgroups = open_folder();
    cr_expect_eq(strtol(get("c/prong.hub/cgroup.procs"), NULL, 10), (long)getpid());
    cr_expect_eq(cgroups.controllers, 0U);
    cr_expect_not_null(strstr(cgroups.why, "cannot be moved within its cgroup"), "%s", cgroups.why);
}

CGROUP_TEST(a_cgroup_that_others_are_in_is_left_alone)
{
    char pid[32];
    char path[DIR_FILE_BYTES_MAX];
    snprintf(pid, sizeof pid, "%ld\n%ld\n", (long)getpid(), (long)getppid());
    make_folder("c");
    put("c/cgroup.type", "domain\n");
    put("c/cgroup.controllers", "memory\n");
    put("c/cgroup.subtree_control", "");
    put("c/cgroup.procs", pid);
    const struct cgroups cgroups = open_folder();
    cr_expect_eq(cgroups.controllers, 0U);
    cr_expect_not_null(strstr(cgroups.why, "processes that are not the hub's are in its cgroup"),
                       "%s", cgroups.why);
    cr_expect_neq(access(dir_file(path, "c/prong.hub"), F_OK), 0, "the folder is left");
    cr_expect_str_eq(get("c/cgroup.subtree_control"), "");
}

CGROUP_TEST(what_is_missing_is_told_with_its_reason)
{
    struct cgroups cgroups = open_folder(); /* there is no folder c */
    struct limits limits = {0};
    struct cgroup_made made;
    char keys[100];
    cr_expect_eq(cgroups.base[0], '\0');
    cr_expect_not_null(strstr(cgroups.why, "may not divide its cgroup"), "%s", cgroups.why);
    cr_assert(limits_add(&limits, "pids_max=5") && limits_add(&limits, "memory_max=1MiB"));
    cgroup_make(&cgroups, 5, &limits, &made);
    cr_expect(made.procs_fd == -1 && made.error == EOPNOTSUPP && made.first == LIMIT_MEMORY_MAX);
    cr_expect_str_eq(made.why, cgroups.why);
    cgroup_list_keys(made.missing, keys, sizeof keys);
    cr_expect_str_eq(keys, "cgroup, memory_max, pids_max");
    make_folder("c");
    cgroups = open_folder();
    cr_expect(cgroups.base[0] != '\0' && cgroups.controllers == 0U);
    cr_expect_not_null(strstr(cgroups.why, "has no controllers cpu, memory and pids"), "%s",
                       cgroups.why);
}

CGROUP_TEST(every_limit_is_written_to_its_file)
{
    static const struct {
        const char *setting, *file, *text;
    } rows[] = {
        {"memory_max=64MiB", "leaf/memory.max", "67108864"},
        {"memory_high=unlimited", "leaf/memory.high", "max"},
        {"memory_swap_max=0", "leaf/memory.swap.max", "0"},
        {"cpu_weight=50", "leaf/cpu.weight", "50"},
        {"cpu_max=150%", "leaf/cpu.max", "150000 100000"},
        {"pids_max=64", "leaf/pids.max", "64"},
    };
    const size_t count = sizeof rows / sizeof rows[0];
    struct cgroups cgroups;
    struct limits limits = {0};
    struct cgroup_made made = {.procs_fd = -1};
    char path[DIR_FILE_BYTES_MAX];
    make_folder("leaf");
    put("leaf/memory.oom.group", "");
    for (size_t i = 0; i < count; i++) {
        put(rows[i].file, "");
        cr_assert(limits_add(&limits, rows[i].setting));
    }
    cgroups_init(&cgroups, getpid());
    cgroups.controllers = 1U << CGROUP_CPU | 1U << CGROUP_MEMORY | 1U << CGROUP_PIDS;
    const int folder = open(dir_file(path, "leaf"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cgroup_set(&cgroups, folder, &limits, &made);
    cr_expect_eq(made.missing, 0U, "%s", made.why);
    for (size_t i = 0; i < count; i++) {
        cr_expect_str_eq(get(rows[i].file), rows[i].text);
    }
    cr_expect_str_eq(get("leaf/memory.oom.group"), "1");
    limits = (struct limits){0};
    cr_assert(limits_add(&limits, "cpu_max=unlimited"));
    put("leaf/cpu.max", "");
    cgroup_set(&cgroups, folder, &limits, &made);
    cr_expect_str_eq(get("leaf/cpu.max"), "max 100000");
    cr_assert_eq(unlink(dir_file(path, "leaf/cpu.max")), 0);
    cgroup_set(&cgroups, folder, &limits, &made);
    cr_expect_eq(made.missing, UINT64_C(1) << LIMIT_CPU_MAX);
    cr_expect_eq(made.error, ENOENT);
    cr_expect_str_eq(made.why, "writing max 100000 to cpu.max: No such file or directory");
    close(folder);
}

CGROUP_TEST(a_kill_for_want_of_memory_is_seen)
{
    struct cgroups cgroups;
    char name[64];
    cgroups_init(&cgroups, getpid());
    snprintf(cgroups.base, sizeof cgroups.base, "%s", dir_path());
    snprintf(name, sizeof name, "prong.%ld.7", (long)getpid());
    make_folder(name);
    cr_expect_not(cgroup_was_out_of_memory(&cgroups, 7), "no file");
    snprintf(name, sizeof name, "prong.%ld.7/memory.events", (long)getpid());
    put(name, "low 0\nhigh 3\nmax 7\noom 2\noom_kill 0\noom_group_kill 0\n");
    cr_expect_not(cgroup_was_out_of_memory(&cgroups, 7));
    put(name, "low 0\nhigh 3\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n");
    cr_expect(cgroup_was_out_of_memory(&cgroups, 7));
    cr_expect_not(cgroup_was_out_of_memory(&cgroups, 8), "no folder");
}

static bool
is_nine(const void *context, uint64_t id)
{
    (void)context;
    return id == 9;
}

CGROUP_TEST(what_is_left_is_removed_but_nothing_of_the_living)
{
    struct cgroups cgroups;
    char names[5][64];
    char path[DIR_FILE_BYTES_MAX];
    const pid_t gone = fork();
    if (gone == 0) {
        _exit(0);
    }
    cr_assert_eq(waitpid(gone, NULL, 0), gone);
    cgroups_init(&cgroups, getpid());
    snprintf(cgroups.base, sizeof cgroups.base, "%s", dir_path());
    cgroups.has_rest = true;
    snprintf(names[0], sizeof names[0], "prong.%ld.8", (long)getpid());
    snprintf(names[1], sizeof names[1], "prong.%ld.3", (long)gone);
    snprintf(names[2], sizeof names[2], "prong.%ld.9", (long)getpid());
    snprintf(names[3], sizeof names[3], "prong.%ld.3", (long)getppid());
    snprintf(names[4], sizeof names[4], "prong.hub");
    for (int i = 0; i < 5; i++) {
        make_folder(names[i]);
    }
    cgroups_sweep(&cgroups, is_nine, NULL);
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(access(dir_file(path, names[i]), F_OK) == 0, i >= 2, "%s", names[i]);
    }
    cr_expect_not(cgroups.has_rest);
    cgroup_remove(&cgroups, 9);
    cgroup_remove(&cgroups, 9);
    cr_expect_neq(access(dir_file(path, names[2]), F_OK), 0);
    cr_expect_not(cgroups.has_rest, "one that is not there is removed");
}

CGROUP_TEST(it_is_said_once_of_each_worker_and_again_when_it_is_another_thing)
{
    struct cgroups cgroups;
    cgroups_init(&cgroups, 1);
    cr_expect(cgroups_is_news(&cgroups, "camera/0", 1));
    cr_expect_not(cgroups_is_news(&cgroups, "camera/1", 1), "another replica of it");
    cr_expect(cgroups_is_news(&cgroups, "camera/0", 2));
    cr_expect(cgroups_is_news(&cgroups, "cam/0", 1));
}
