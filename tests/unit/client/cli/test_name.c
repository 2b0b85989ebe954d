/* The name of a worker that was given none. */
#include "client/cli/name.h"

#include <string.h>

#include "tests/support/test.h"

Test(cli_name, it_is_that_of_the_program_or_the_script)
{
    static const struct {
        const char *command[4];
        const char *name;
    } rows[] = {
        {{"./detector"}, "detector"},
        {{"/opt/bin/cam.sh", "x.py"}, "cam"},
        {{"/opt/My Cam.py"}, "my-cam"},
        {{"python3", "detector.py"}, "detector"},
        {{"/usr/bin/python3.11", "-u", "/srv/Detect_2.py", "other.py"}, "detect_2"},
        {{"python3", "-m", "package.module"}, "package-module"},
        {{"python3", "-c", "print()"}, "python3"},
        {{"node", "ui.mjs"}, "ui"},
        {{"deno", "run", "main.ts"}, "main"},
        {{"java", "-jar", "app.jar"}, "app"},
        {{"cat"}, "cat"},
        {{"sh"}, "sh"},
        {{"./a.b.c.py"}, "a-b-c"},
        {{"/x/...--"}, "worker"},
        {{"hub.py"}, "hub-worker"},
        {{"/"}, "worker"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[PRONG_NAME_BYTES_MAX + 1];
        int count = 0;
        while (count < 4 && rows[i].command[count] != NULL) {
            count++;
        }
        name_guess(rows[i].command, count, name);
        cr_expect_str_eq(name, rows[i].name);
    }
}

Test(cli_name, it_is_never_too_long)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
                                  "abcdefghijklmnopqrstuvwxyz";
    const char *const command[] = {letters};
    char name[PRONG_NAME_BYTES_MAX + 1];
    name_guess(command, 1, name);
    cr_expect_eq(strlen(name), PRONG_NAME_BYTES_MAX);
}
