/* Wrong files, each with the exact message it must give: bad/NAME.yaml and bad/NAME.expect.
 *
 * The variable CONFIG_TEST_WRITE=1 writes the .expect files anew, for a reader to judge the
 * difference before it is committed. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/config.h"
#include "tests/support/test.h"
#include "tests/unit/config/helper.h"

enum { MESSAGE_BYTES_MAX = CONFIG_DIAG_BYTES_MAX + 100, FILES_MIN = 40 };

static int
is_yaml(const struct dirent *entry)
{
    const size_t len = strlen(entry->d_name);
    return len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

/* The file's one line without its end; empty when there is none. */
static void
read_expected(const char *path, char line[MESSAGE_BYTES_MAX])
{
    line[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(line, MESSAGE_BYTES_MAX, file) != NULL) {
            line[strcspn(line, "\n")] = '\0';
        }
        fclose(file);
    }
}

static void
write_expected(const char *path, const char *message)
{
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file, "cannot write %s", path);
    fprintf(file, "%s\n", message);
    cr_assert_eq(fclose(file), 0);
}

/* Paths in the folder of the wrong files lose that folder, which is another one on each machine. */
static void
without_folder(char *message)
{
    static const char folder[] = CONFIG_TEST_BAD_DIR "/";
    for (char *at = message; (at = strstr(at, folder)) != NULL;) {
        memmove(at, at + strlen(folder), strlen(at + strlen(folder)) + 1);
    }
}

static void
check_file(const char *name)
{
    char path[4096], expected[MESSAGE_BYTES_MAX], got[MESSAGE_BYTES_MAX], whole[MESSAGE_BYTES_MAX];
    struct config_env env = helper_env;
    struct config *config = NULL;
    struct config_diag diag;
    env.read_file = config_env_process.read_file;
    env.find_files = config_env_process.find_files;
    snprintf(path, sizeof path, "%s/%s", CONFIG_TEST_BAD_DIR, name);
    const int rc = config_load(path, &env, &config, &diag);
    cr_expect_eq(rc, -1, "%s was read without an error", name);
    config_free(config);
    if (rc == 0) {
        return;
    }
    cr_expect_str_eq(diag.file, path);
    cr_expect_eq(diag.error, 0, "%s", name);
    config_diag_format(&diag, whole, sizeof whole);
    without_folder(whole);
    /* The name of the file itself is known, so that it need not be in the file. */
    const char *own = strncmp(whole, name, strlen(name)) == 0 ? whole + strlen(name) + 1 : whole;
    snprintf(got, sizeof got, "%s", own);
    snprintf(strrchr(path, '.'), 8, ".expect");
    if (getenv("CONFIG_TEST_WRITE") != NULL) {
        write_expected(path, got);
    }
    read_expected(path, expected);
    cr_expect_str_eq(got, expected, "%s\n  gives    %s\n  expected %s", name, got, expected);
}

Test(config_bad, every_wrong_file_gives_exactly_its_message)
{
    struct dirent **entries = NULL;
    const int count = scandir(CONFIG_TEST_BAD_DIR, &entries, is_yaml, alphasort);
    cr_assert_geq(count, FILES_MIN, "only %d wrong files in %s", count, CONFIG_TEST_BAD_DIR);
    for (int i = 0; i < count; i++) {
        check_file(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}
