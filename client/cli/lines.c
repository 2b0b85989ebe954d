/* Argument sets from JSON Lines: see lines.h. */
#include "client/cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/output.h"

enum { LINE_BYTES_MAX = 16 * 1024 * 1024, PIECE_BYTES = 64 * 1024 };

int
lines_open(struct cli *cli, const char *path, struct lines *lines)
{
    struct stat about;
    const bool is_stdin = strcmp(path, "-") == 0;
    *lines = (struct lines){.name = is_stdin ? "stdin" : path, .fd = STDIN_FILENO};
    lines->json = prong_writer_new();
    if (lines->json == NULL) {
        return output_no_memory(cli);
    }
    if (!is_stdin) {
        lines->fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (lines->fd < 0) {
        output_say(cli, "cannot open %s: %s", path, strerror(errno));
        return CLI_FAILED;
    }
    if (fstat(lines->fd, &about) == 0 && S_ISREG(about.st_mode)) {
        lines->size = (uint64_t)about.st_size;
    }
    return CLI_OK;
}

void
lines_close(struct lines *lines)
{
    if (lines->fd > STDIN_FILENO) {
        close(lines->fd);
    }
    free(lines->text);
    prong_writer_free(lines->json);
    *lines = (struct lines){.fd = -1};
}

static bool
make_room(struct lines *l)
{
    if (l->begin > 0) {
        memmove(l->text, l->text + l->begin, l->end - l->begin);
        l->end -= l->begin;
        l->begin = 0;
    }
    if (l->end == l->capacity) {
        const size_t capacity = l->capacity > 0 ? 2 * l->capacity : PIECE_BYTES;
        char *text = realloc(l->text, capacity);
        if (text == NULL) {
            return false;
        }
        l->text = text;
        l->capacity = capacity;
    }
    return true;
}

/* Read what is there now. false when nothing is. */
static bool
read_more(struct cli *cli, struct lines *l, int *code)
{
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    if (poll(&p, 1, 0) == 0) {
        return false;
    }
    if (!make_room(l)) {
        *code = output_no_memory(cli);
        return false;
    }
    const ssize_t n = read(l->fd, l->text + l->end, l->capacity - l->end);
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
        output_say(cli, "cannot read %s: %s", l->name, strerror(errno));
        *code = CLI_FAILED;
        return false;
    }
    l->is_over = n == 0;
    l->end += n > 0 ? (size_t)n : 0;
    return n >= 0;
}

/* The next line without its end: NULL when it is not there yet. */
static const char *
next_line(struct lines *l, size_t *len)
{
    const size_t left = l->end - l->begin;
    const char *line = l->text != NULL ? l->text + l->begin : "";
    const char *end = left > 0 ? memchr(line, '\n', left) : NULL;
    if (end == NULL && !(l->is_over && left > 0)) {
        return NULL;
    }
    *len = end != NULL ? (size_t)(end - line) : left;
    l->begin += *len + (end != NULL);
    l->taken += *len + (end != NULL);
    l->number++;
    return line;
}

static bool
is_empty(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr(" \t\r", line[i]) == NULL || line[i] == '\0') {
            return false;
        }
    }
    return true;
}

static enum lines_took
read_set(struct cli *cli, struct lines *l, const char *line, size_t len, prong_value *set)
{
    char why[200] = "out of memory";
    prong_writer_reset(l->json);
    if (prong_value_from_json(line, len, l->json, why, sizeof why) != PRONG_OK ||
        prong_writer_finish(l->json, set) != PRONG_OK) {
        /* "line 1, column 7: ..." is of a text of one line. */
        const char *column = strstr(why, "column");
        output_say(cli, "%s: line %" PRIu64 " is not JSON: %s", l->name, l->number,
                   column != NULL ? column : why);
        return LINES_BAD;
    }
    if (prong_value_kind(set) != PRONG_KIND_MAP && prong_value_kind(set) != PRONG_KIND_ARRAY) {
        output_say(cli, "%s: line %" PRIu64 " is no argument set: use a JSON object or array",
                   l->name, l->number);
        return LINES_BAD;
    }
    return LINES_SET;
}

enum lines_took
lines_take(struct cli *cli, struct lines *l, prong_value *set, int *code)
{
    for (;;) {
        size_t len = 0;
        const char *line = next_line(l, &len);
        if (line != NULL && !is_empty(line, len)) {
            *code = CLI_USAGE;
            return read_set(cli, l, line, len, set);
        }
        if (line == NULL && l->end - l->begin > LINE_BYTES_MAX) {
            output_say(cli, "%s: line %" PRIu64 " is longer than %d MiB", l->name, l->number + 1,
                       LINE_BYTES_MAX / 1024 / 1024);
            *code = CLI_USAGE;
            return LINES_BAD;
        }
        *code = CLI_OK;
        if (line == NULL && (l->is_over || !read_more(cli, l, code))) {
            return *code == CLI_OK ? LINES_NONE : LINES_BAD;
        }
    }
}
