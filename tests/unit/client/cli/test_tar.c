/* A tar archive, as far as reading programs do not show it (tests/e2e/cli/test_doctor.py). */
#include "client/cli/tar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

Test(tar, a_file_is_a_header_and_whole_blocks)
{
    static const char data[513] = "x";
    static const size_t sizes[] = {0, 1, 511, 512, 513}, blocks[] = {0, 1, 1, 1, 2};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        cr_assert_not_null(out);
        cr_assert(tar_add(out, "folder/name", data, sizes[i], 1000));
        cr_assert(tar_end(out));
        cr_assert_eq(fclose(out), 0);
        cr_expect_eq(len, 512 * (1 + blocks[i] + 2));
        cr_expect_str_eq(text, "folder/name");
        cr_expect_eq(memcmp(text + 257, "ustar\00000", 8), 0);
        cr_expect_eq(strtoul(text + 124, NULL, 8), sizes[i]);
        cr_expect_eq(strtoul(text + 136, NULL, 8), 1000);
        free(text);
    }
}

Test(tar, a_name_that_is_too_long_is_refused_and_nothing_written)
{
    char name[TAR_NAME_LENGTH_MAX + 2], *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    memset(name, 'n', sizeof name);
    name[TAR_NAME_LENGTH_MAX + 1] = '\0';
    cr_expect_not(tar_add(out, name, "", 0, 0));
    cr_expect_eq(errno, ENAMETOOLONG);
    cr_assert_eq(fflush(out), 0);
    cr_expect_eq(len, 0);
    name[TAR_NAME_LENGTH_MAX] = '\0';
    cr_expect(tar_add(out, name, "", 0, 0));
    cr_assert_eq(fclose(out), 0);
    free(text);
}
