/* Socket files and /proc/PID/stat. */
#include "proto/link/local.h"

#include "tests/support/dir.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct span
span_of(const char *s)
{
    return (struct span){(const uint8_t *)s, strlen(s)};
}

Test(local, finds_the_start_time_behind_any_name)
{
    static const struct {
        const char *text;
        uint64_t ticks;
    } cases[] = {
        {"1 (a) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1 2 3", 4711},
        {"1 (a) b) (c) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4712 1", 4712},
        {"1 ( ) ) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4713", 4713},
        {"1 (a) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0", 0},
        {"1 (a) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 ", 0},
        {"1 (a)", 0},
        {"1 (a)S 1", 0},
        {"garbage", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(local_start_ticks_parse(span_of(cases[i].text)), cases[i].ticks, "case %zu",
                     i);
    }
    cr_assert_gt(local_start_ticks(getpid()), 0);
    cr_assert_eq(local_start_ticks(0), 0);
    cr_assert_eq(local_start_ticks(INT32_MAX), 0);
}

Test(local, refuses_paths_that_do_not_fit, .init = dir_enter, .fini = dir_leave)
{
    struct local_path p;
    struct link_error error = {0};
    char url[300] = "ipc://";
    memset(url + 6, 'x', 108);
    cr_assert_eq(local_path_init(&p, url, &error), -1);
    cr_assert_eq(error.code, ENAMETOOLONG);
    cr_assert_not_null(strstr(error.text, "107"), "%s", error.text);
    url[6 + 107] = '\0';
    cr_assert_eq(local_path_init(&p, url, &error), 0, "107 bytes fit: %s", error.text);
    url[6 + 101] = '/'; /* a directory of 102 bytes leaves no room for the temporary name */
    cr_assert_eq(local_path_init(&p, url, &error), -1);
    cr_assert_eq(error.code, ENAMETOOLONG);
    cr_assert_eq(local_path_init(&p, "ipc://", &error), -1);
    cr_assert_eq(error.code, EINVAL);
}

Test(local, leaves_files_alone_that_are_no_sockets, .init = dir_enter, .fini = dir_leave)
{
    struct local_path p;
    struct link_error error = {0};
    dir_write("precious", "text", 0600);
    cr_assert_eq(local_path_init(&p, "ipc://precious", &error), -1);
    cr_assert_eq(error.code, EEXIST);
    cr_assert_eq(access("precious", F_OK), 0);
}

Test(local, unlinks_only_its_own_file, .init = dir_enter, .fini = dir_leave)
{
    struct local_path a, b;
    cr_assert_eq(local_path_init(&a, "ipc://s", NULL), 0);
    dir_write(a.temp, "a", 0600);
    cr_assert_eq(local_path_publish(&a, NULL), 0);
    cr_assert(local_path_is_ours(&a));
    /* Another takes the name over. (A real one is a socket, which local_path_init looks at.) */
    const int hold =
        open("s", O_RDONLY | O_CLOEXEC); /* keeps the inode, as a listening socket does */
    b = a;
    local_path_renew(&b);
    cr_assert_str_neq(a.temp, b.temp);
    dir_write(b.temp, "b", 0600);
    cr_assert_eq(local_path_publish(&b, NULL), 0);
    cr_assert_not(local_path_is_ours(&a));
    local_path_unlink(&a);
    cr_assert_eq(access("s", F_OK), 0);
    local_path_unlink(&b);
    cr_assert_neq(access("s", F_OK), 0);
    close(hold);
    struct link_error error = {0};
    cr_assert_eq(local_path_publish(&b, &error), -1, "nothing was bound");
    cr_assert_eq(error.code, ENOENT);
}
