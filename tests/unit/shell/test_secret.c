/* The hub's secret and its token for network clients: files that nobody else may read. */
#include "broker/shell/broker.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"
#include "tests/unit/shell/capture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char why[400];
static char text[CAPTURE_TEXT];

static mode_t
mode_of(const char *name)
{
    char path[DIR_FILE_BYTES_MAX];
    struct stat st;
    return stat(dir_file(path, name), &st) == 0 ? st.st_mode & 07777 : 0;
}

static bool
load(bool first, uint8_t secret[16])
{
    why[0] = '\0';
    return secret_load(dir_path(), first, secret, why, sizeof why);
}

Test(secret, is_made_by_the_first_broker_and_read_by_later_ones, .init = dir_enter,
     .fini = dir_leave)
{
    uint8_t first[16] = {0}, second[16] = {0}, zeros[16] = {0};
    cr_assert(load(true, first), "%s", why);
    cr_assert(memcmp(first, zeros, 16) != 0, "it is nothing");
    cr_assert(mode_of("secret") == 0600, "mode %o", (unsigned)mode_of("secret"));
    cr_assert(load(false, second) && memcmp(first, second, 16) == 0, "another one");
}

Test(secret, of_an_earlier_hub_is_replaced_by_the_first_broker, .init = dir_enter,
     .fini = dir_leave)
{
    uint8_t first[16], second[16];
    cr_assert(load(true, first) && load(true, second), "%s", why);
    cr_assert(memcmp(first, second, 16) != 0, "the same");
}

Test(secret, that_others_could_read_is_replaced_and_closed, .init = dir_enter, .fini = dir_leave)
{
    uint8_t secret[16];
    dir_write("secret", "0123456789abcdef", 0644);
    cr_assert(load(false, secret) && memcmp(secret, "0123456789abcdef", 16) != 0, "it was taken");
    cr_assert(mode_of("secret") == 0600, "mode %o", (unsigned)mode_of("secret"));
}

Test(secret, that_is_cut_off_is_replaced, .init = dir_enter, .fini = dir_leave)
{
    uint8_t secret[16];
    dir_write("secret", "short", 0600);
    cr_assert(load(false, secret), "%s", why);
    struct stat st;
    cr_assert(stat("secret", &st) == 0 && st.st_size == 16, "size");
}

Test(secret, is_not_written_through_a_symbolic_link, .init = dir_enter, .fini = dir_leave)
{
    uint8_t secret[16];
    cr_assert(symlink("elsewhere", "secret") == 0, "symlink");
    cr_assert(!load(true, secret) && strstr(why, "/secret: ") != NULL, "%s", why);
    cr_assert(access("elsewhere", F_OK) != 0, "it was written");
}

Test(secret, without_a_folder_says_so, .init = dir_enter, .fini = dir_leave)
{
    uint8_t secret[16];
    char path[DIR_FILE_BYTES_MAX];
    cr_assert(!secret_load(dir_file(path, "nowhere"), true, secret, why, sizeof why),
              "it was made");
    cr_assert(strstr(why, "nowhere/secret: No such file") != NULL, "%s", why);
}

/* ---- the token
 * ----------------------------------------------------------------------------------- */

static bool
token(struct buf *b)
{
    char path[DIR_FILE_BYTES_MAX];
    buf_reset(b, SIZE_MAX);
    why[0] = '\0';
    return secret_token(dir_file(path, "token"), b, why, sizeof why);
}

Test(secret, a_token_is_made_where_there_is_none, .init = dir_enter, .fini = dir_leave)
{
    struct buf first = {0}, second = {0};
    cr_assert(token(&first), "%s", why);
    cr_assert(mode_of("token") == 0600, "mode %o", (unsigned)mode_of("token"));
    cr_assert(buf_span(&first).len == 64, "%zu bytes", buf_span(&first).len);
    (void)capture_file(text, "token");
    cr_assert(strlen(text) == 65 && text[64] == '\n' && strspn(text, "0123456789abcdef") == 64,
              "%s", text);
    cr_assert_arr_eq(buf_span(&first).data, text, 64, "not what is in the file");
    cr_assert(token(&second) && buf_span(&second).len == 64, "%s", why);
    cr_assert_arr_eq(buf_span(&second).data, buf_span(&first).data, 64, "another one");
    buf_deinit(&first);
    buf_deinit(&second);
}

struct file {
    const char *content;
    unsigned mode;
    const char *why; /* "": it is taken */
    size_t bytes;
};

static const struct file files[] = {
    {"0123456789abcdef0123456789abcdef", 0600, "", 32},
    {"0123456789abcdef0123456789abcdef\n", 0400, "", 32},
    {"0123456789abcdef0123456789abcdef\r\n\n", 0600, "", 32},
    {"0123456789abcdef0123456789abcdef", 0640, "others may read it: chmod 600 it", 0},
    {"0123456789abcdef0123456789abcdef", 0604, "others may read it: chmod 600 it", 0},
    {"0123456789abcdef0123456789abcde", 0600, "a token must have 32 to 256 bytes", 0},
    {"0123456789abcdef0123456789abcde\n", 0600, "a token must have 32 to 256 bytes", 0},
    {"", 0600, "a token must have 32 to 256 bytes", 0},
    {"\n\n", 0600, "a token must have 32 to 256 bytes", 0},
};

Test(secret, a_token_of_the_user_is_read_when_nobody_else_may, .init = dir_enter, .fini = dir_leave)
{
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct buf b = {0};
        (void)unlink("token");
        dir_write("token", files[i].content, files[i].mode);
        cr_assert(token(&b) == (files[i].why[0] == '\0'), "file %zu: %s", i, why);
        cr_assert(strstr(why, files[i].why) != NULL, "file %zu: %s", i, why);
        cr_assert(buf_span(&b).len == files[i].bytes, "file %zu: %zu bytes", i, buf_span(&b).len);
        buf_deinit(&b);
    }
}

Test(secret, a_token_has_at_most_256_bytes, .init = dir_enter, .fini = dir_leave)
{
    static char longest[300];
    struct buf b = {0};
    memset(longest, 'x', 256);
    longest[256] = '\n';
    dir_write("token", longest, 0600);
    cr_assert(token(&b) && buf_span(&b).len == 256, "%s", why);
    longest[256] = 'x';
    dir_write("token", longest, 0600);
    cr_assert(!token(&b) && strstr(why, "32 to 256 bytes") != NULL, "%s", why);
    buf_deinit(&b);
}

Test(secret, a_token_that_is_no_file_is_refused_at_once, .init = dir_enter, .fini = dir_leave)
{
    struct buf b = {0};
    cr_assert(mkfifo("token", 0600) == 0, "mkfifo");
    cr_assert(!token(&b) && strstr(why, "/token: it has to be a file") != NULL, "%s", why);
    buf_deinit(&b);
}

Test(secret, a_token_behind_a_symbolic_link_is_refused, .init = dir_enter, .fini = dir_leave)
{
    struct buf b = {0};
    dir_write("other", "0123456789abcdef0123456789abcdef", 0600);
    cr_assert(symlink("other", "token") == 0, "symlink");
    cr_assert(!token(&b) && strstr(why, "symbolic link") != NULL, "%s", why);
    buf_deinit(&b);
}
