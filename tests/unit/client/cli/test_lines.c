/* Argument sets from JSON Lines: from files, from a pipe piece by piece, and what is refused. */
#include "client/cli/lines.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/test.h"

/* What one take gives: the set as JSON, "-" for none now, "!" for a bad one. */
static const char *
take(struct lines *lines, char out[64], int *code)
{
    const struct cli cli = {.signal_fd = -1};
    struct cli copy = cli;
    prong_value set;
    char *json = NULL;
    switch (lines_take(&copy, lines, &set, code)) {
    case LINES_SET:
        cr_assert_eq(prong_value_to_json(&set, 0, &json), PRONG_OK);
        (void)snprintf(out, 64, "%s", json);
        prong_free(json);
        return out;
    case LINES_NONE:
        return "-";
    case LINES_BAD:
        return "!";
    }
    return "?";
}

struct pipe_lines {
    struct lines lines;
    int write_fd;
};

static void
begin(struct pipe_lines *p)
{
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    p->lines = (struct lines){.name = "pipe", .fd = fds[0], .json = prong_writer_new()};
    cr_assert_not_null(p->lines.json);
    p->write_fd = fds[1];
}

static void
say(const struct pipe_lines *p, const char *text)
{
    cr_assert_eq(write(p->write_fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void
end(struct pipe_lines *p)
{
    close(p->write_fd);
}

Test(cli_lines, are_taken_when_they_are_whole)
{
    struct pipe_lines p;
    char out[64];
    int code;
    begin(&p);
    cr_assert_str_eq(take(&p.lines, out, &code), "-");
    say(&p, "{\"a\": ");
    cr_assert_str_eq(take(&p.lines, out, &code), "-");
    say(&p, "1}\n[2]\n{");
    cr_assert_str_eq(take(&p.lines, out, &code), "{\"a\":1}");
    cr_assert_str_eq(take(&p.lines, out, &code), "[2]");
    cr_assert_str_eq(take(&p.lines, out, &code), "-");
    cr_assert_not(p.lines.is_over);
    say(&p, "}");
    end(&p);
    cr_assert_str_eq(take(&p.lines, out, &code), "{}");
    cr_assert_str_eq(take(&p.lines, out, &code), "-");
    cr_assert(p.lines.is_over);
    cr_assert_eq(p.lines.number, 3);
    lines_close(&p.lines);
    lines_close(&p.lines); /* twice is once */
}

Test(cli_lines, that_are_empty_are_passed_over_and_counted)
{
    struct pipe_lines p;
    char out[64];
    int code;
    begin(&p);
    say(&p, "\n \t\r\n{}\r\n\n");
    end(&p);
    cr_assert_str_eq(take(&p.lines, out, &code), "{}");
    cr_assert_eq(p.lines.number, 3);
    cr_assert_str_eq(take(&p.lines, out, &code), "-");
    lines_close(&p.lines);
}

Test(cli_lines, that_are_no_sets_are_refused)
{
    static const char *const wrong[] = {"{",       "5\n",        "\"x\"\n", "null\n",
                                        "{} {}\n", "{\"a\":}\n", "\x01\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct pipe_lines p;
        char out[64];
        int code = 0;
        begin(&p);
        say(&p, wrong[i]);
        end(&p);
        cr_assert_str_eq(take(&p.lines, out, &code), "!", "%s", wrong[i]);
        cr_assert_eq(code, CLI_USAGE);
        lines_close(&p.lines);
    }
}

Test(cli_lines, of_a_file_know_its_size)
{
    char path[64], out[64];
    struct cli cli = {.signal_fd = -1};
    struct lines lines;
    int code;
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    cr_assert_eq(fputs("{}\n[]\n", file), 1);
    cr_assert_eq(fflush(file), 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(file));
    cr_assert_eq(lines_open(&cli, path, &lines), CLI_OK);
    cr_assert_eq(lines.size, 6);
    cr_assert_str_eq(take(&lines, out, &code), "{}");
    cr_assert_eq(lines.taken, 3);
    cr_assert_str_eq(take(&lines, out, &code), "[]");
    cr_assert_str_eq(take(&lines, out, &code), "-");
    cr_assert(lines.is_over);
    lines_close(&lines);
    (void)fclose(file);
    cr_assert_eq(lines_open(&cli, "/none/such", &lines), CLI_FAILED);
    lines_close(&lines);
}
