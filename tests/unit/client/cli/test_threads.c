/* Threads of a process, and words of /proc. */
#include "client/cli/procfile.h"
#include "client/cli/threads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"

Test(threads, a_process_that_waits_is_shown_with_where_it_does)
{
    int ends[2];
    struct threads threads;
    char c, words[32];
    cr_assert_eq(pipe(ends), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        _exit(read(ends[0], &c, 1) == 0 ? 0 : 1);
    }
    /* Until it is there. Its name is the test's. */
    do {
        cr_assert(threads_read(pid, &threads));
        cr_assert_eq(threads.count, 1);
        cr_assert_eq(threads.rows[0].tid, pid);
        words[0] = threads.rows[0].state;
        if (words[0] != 'S') {
            threads_deinit(&threads);
        }
    } while (words[0] != 'S');
    cr_expect_str_eq(threads_state_text(threads.rows[0].state), "sleeping");
    cr_expect_gt(strlen(threads.rows[0].name), 0);
    /* A system may hide the call from who may not trace. */
    cr_expect(strcmp(threads.rows[0].syscall, "read") == 0 || threads.rows[0].syscall[0] == '\0',
              "%s", threads.rows[0].syscall);
    threads_deinit(&threads);
    close(ends[0]);
    close(ends[1]);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    cr_expect_not(threads_read(pid, &threads), "nobody is there any more");
    cr_expect_eq(errno, ENOENT);
    threads_deinit(&threads);
}

Test(threads, the_environment_and_arguments_are_read_by_words)
{
    char text[64], name[64];
    FILE *file = fopen("environ", "w");
    cr_assert_not_null(file);
    cr_assert_gt(fwrite("A=1\0EMPTY=\0PATHS=x=y\0", 1, 21, file), 0);
    fclose(file);
    cr_expect(procfile_variable("environ", "A", text, sizeof text));
    cr_expect_str_eq(text, "1");
    cr_expect(procfile_variable("environ", "EMPTY", text, sizeof text));
    cr_expect_str_eq(text, "");
    cr_expect(procfile_variable("environ", "PATHS", text, sizeof text));
    cr_expect_str_eq(text, "x=y");
    cr_expect_not(procfile_variable("environ", "PATH", text, sizeof text));
    cr_expect_not(procfile_variable("nothing", "A", text, sizeof text));
    cr_expect(procfile_words("environ", text, sizeof text));
    cr_expect_str_eq(text, "A=1 EMPTY= PATHS=x=y");
    cr_expect_not(procfile_words("nothing", text, sizeof text));
    file = fmemopen(name, sizeof name, "w");
    cr_assert_not_null(file);
    cr_expect(procfile_names("environ", file));
    fclose(file);
    cr_expect_str_eq(name, "A\nEMPTY\nPATHS\n");
    cr_assert_eq(unlink("environ"), 0);
}
