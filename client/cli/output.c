/* What the program says: see output.h. */
#include "client/cli/output.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/field.h"
#include "client/cli/table.h"

enum { LINE_BYTES_MAX = 2000 };

enum output_form
output_form(const struct cli *cli)
{
    static const char *const words[] = {[OUTPUT_TABLE] = "table",
                                        [OUTPUT_JSON] = "json",
                                        [OUTPUT_JSONL] = "jsonl",
                                        [OUTPUT_RAW] = "raw"};
    for (size_t i = 0; cli->options.output != NULL && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(cli->options.output, words[i]) == 0) {
            return (enum output_form)i;
        }
    }
    return cli->out_is_terminal ? OUTPUT_TABLE : OUTPUT_JSON;
}

/* ---- text on stderr ------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 0))) static void
say(const char *format, va_list arguments)
{
    char line[LINE_BYTES_MAX];
    const int n = vsnprintf(line, sizeof line, format, arguments);
    (void)fputs("prong: ", stderr);
    table_put_safe(stderr, line, n < 0 ? 0 : strlen(line));
    (void)fputc('\n', stderr);
}

void
output_say(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    (void)cli;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void
output_note(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    if (!cli->options.quiet) {
        va_start(arguments, format);
        say(format, arguments);
        va_end(arguments);
    }
}

int
output_usage(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    if (cli->verb != NULL && cli->verb->arguments != NULL) {
        (void)fprintf(stderr, "usage: prong %s%s%s\n", cli->verb->name,
                      cli->verb->arguments[0] != '\0' ? " " : "", cli->verb->arguments);
    }
    (void)fprintf(stderr, "See 'prong help%s%s'.\n", cli->verb != NULL ? " " : "",
                  cli->verb != NULL ? cli->verb->name : "");
    return CLI_USAGE;
}

void
output_block(const char *prefix, const char *text, size_t len)
{
    while (len > 0) {
        const char *newline = memchr(text, '\n', len);
        const size_t n = newline != NULL ? (size_t)(newline - text) : len;
        (void)fputs(prefix, stderr);
        table_put_safe(stderr, text, n);
        (void)fputc('\n', stderr);
        text += newline != NULL ? n + 1 : n;
        len -= newline != NULL ? n + 1 : n;
    }
}

/* ---- values on stdout ----------------------------------------------------------------------- */

static int
put_json(const struct cli *cli, const prong_value *value, bool pretty)
{
    char *text = NULL;
    const prong_err err = prong_value_to_json(value, pretty ? PRONG_JSON_PRETTY : 0, &text);
    if (err != PRONG_OK) {
        return output_error(cli, err, "the value", "it cannot be shown as JSON");
    }
    (void)fputs(text, stdout); /* output_end looks whether it could be written */
    (void)fputc('\n', stdout);
    prong_free(text);
    return CLI_OK;
}

int
output_value(const struct cli *cli, const prong_value *value)
{
    const enum output_form form = output_form(cli);
    const uint8_t *data;
    size_t len;
    prong_iter it;
    prong_value item;
    if (form == OUTPUT_RAW && prong_value_bin(value, &data, &len)) {
        (void)fwrite(data, 1, len, stdout);
        return CLI_OK;
    }
    if (form != OUTPUT_JSONL || prong_value_kind(value) != PRONG_KIND_ARRAY) {
        return put_json(cli, value,
                        cli->out_is_terminal && (form == OUTPUT_TABLE || form == OUTPUT_JSON));
    }
    (void)prong_iter_begin(&it, value);
    while (prong_iter_next(&it, NULL, &item)) {
        const int code = put_json(cli, &item, false);
        if (code != CLI_OK) {
            return code;
        }
    }
    return CLI_OK;
}

int
output_line(const struct cli *cli, const prong_value *value)
{
    return put_json(cli, value, false);
}

/* ---- failures ------------------------------------------------------------------------------- */

struct failure {
    prong_err code;
    prong_began began;
    const char *what, *text;
    const prong_value *details; /* or NULL */
};

static int
exit_of(const struct cli *cli, prong_err code)
{
    static const int exits[] = {
#define ERROR(number, name, exit_code, meaning) [number] = (exit_code),
#include "proto/tbl/errors.def"
#undef ERROR
    };
    /* The hub says UNAVAILABLE when nobody serves a call, the library when there is no hub. */
    if (code == PRONG_UNAVAILABLE &&
        (cli->client == NULL || !prong_client_is_connected(cli->client))) {
        return cli->no_hub;
    }
    return (size_t)code < sizeof exits / sizeof exits[0] ? exits[code] : CLI_FAILED;
}

/* The same object as prong_call_json gives. */
void
output_write_error(prong_writer *w, const prong_outcome *error)
{
    prong_writer_map(w, 5);
    field_put_int(w, "code", error->code);
    field_put_text(w, "name", prong_err_name(error->code));
    field_put_int(w, "began", error->began);
    prong_writer_key(w, "message");
    prong_writer_text(w, error->message, error->message_len);
    prong_writer_key(w, "details");
    if (error->details.len > 0) {
        prong_writer_raw(w, &error->details);
    } else {
        prong_writer_nil(w);
    }
}

static void
put_object(const struct cli *cli, const struct failure *f)
{
    const enum output_form form = output_form(cli);
    prong_writer *w = prong_writer_new();
    prong_value object;
    if (cli->options.output == NULL || (form != OUTPUT_JSON && form != OUTPUT_JSONL) || w == NULL) {
        prong_writer_free(w);
        return;
    }
    output_write_error(
        w, &(prong_outcome){.code = f->code,
                            .began = f->began,
                            .message = f->text,
                            .message_len = strlen(f->text),
                            .details = f->details != NULL ? *f->details : (prong_value){0}});
    if (prong_writer_finish(w, &object) == PRONG_OK) {
        /* What fails here is told on stderr; the exit code is that of `f` all the same. */
        (void)put_json(cli, &object, cli->out_is_terminal && form == OUTPUT_JSON);
    }
    prong_writer_free(w);
}

static void
put_text_detail(const char *text, size_t len)
{
    if (memchr(text, '\n', len) == NULL) {
        (void)fputc(' ', stderr);
        table_put_safe(stderr, text, len);
        (void)fputc('\n', stderr);
        return;
    }
    (void)fputc('\n', stderr);
    output_block("    ", text, len);
}

/* A list of texts is lines of output. */
static bool
put_lines_detail(const prong_value *list)
{
    prong_iter it;
    prong_value item;
    const char *text;
    size_t len;
    (void)prong_iter_begin(&it, list);
    while (prong_iter_next(&it, NULL, &item)) {
        if (!prong_value_text(&item, &text, &len)) {
            return false;
        }
    }
    (void)fputc('\n', stderr);
    (void)prong_iter_begin(&it, list);
    while (prong_iter_next(&it, NULL, &item) && prong_value_text(&item, &text, &len)) {
        output_block("    ", text, len);
    }
    return true;
}

static void
put_details(const prong_value *details)
{
    prong_iter it;
    prong_value key, value;
    const char *name, *text;
    size_t name_len, len;
    if (details == NULL || prong_value_kind(details) != PRONG_KIND_MAP) {
        return;
    }
    (void)prong_iter_begin(&it, details);
    while (prong_iter_next(&it, &key, &value)) {
        if (!prong_value_text(&key, &name, &name_len)) {
            continue;
        }
        (void)fputs("  ", stderr);
        table_put_safe(stderr, name, name_len);
        (void)fputc(':', stderr);
        if (prong_value_text(&value, &text, &len)) {
            put_text_detail(text, len);
        } else if (prong_value_kind(&value) != PRONG_KIND_ARRAY || !put_lines_detail(&value)) {
            char *json = NULL;
            if (prong_value_to_json(&value, 0, &json) == PRONG_OK) {
                put_text_detail(json, strlen(json));
                prong_free(json);
            }
        }
    }
}

static int
fail(const struct cli *cli, const struct failure *f)
{
    static const char *const began[] = {[PRONG_BEGAN_NO] = "it had not begun",
                                        [PRONG_BEGAN_MAYBE] = "it may have begun",
                                        [PRONG_BEGAN_YES] = "it had begun"};
    const bool has_color = cli->err_has_color;
    const bool is_call = f->details != NULL;
    char line[LINE_BYTES_MAX];
    put_object(cli, f);
    (void)snprintf(line, sizeof line, "%s%s", f->text,
                   f->text[0] == '\0' ? prong_err_help(f->code) : "");
    (void)fprintf(stderr, "prong: ");
    table_put_safe(stderr, f->what, strlen(f->what));
    (void)fprintf(stderr, ": %s%s%s: ", has_color ? "\033[31m" : "", prong_err_name(f->code),
                  has_color ? "\033[0m" : "");
    table_put_safe(stderr, line, strlen(line));
    (void)fprintf(stderr, is_call ? " (%s)\n" : "\n", began[f->began]);
    put_details(f->details);
    return exit_of(cli, f->code);
}

int
output_failure(const struct cli *cli, const char *what, prong_reply *reply)
{
    static const uint8_t nil = 0xc0;
    const prong_value none = {&nil, 1};
    const prong_value *details = prong_reply_details(reply);
    const struct failure f = {prong_reply_code(reply), prong_reply_began(reply), what,
                              prong_reply_message(reply), details != NULL ? details : &none};
    return fail(cli, &f);
}

int
output_error(const struct cli *cli, prong_err code, const char *what, const char *text)
{
    const struct failure f = {code, PRONG_BEGAN_NO, what, text, NULL};
    return fail(cli, &f);
}

int
output_no_memory(const struct cli *cli)
{
    output_say(cli, "out of memory");
    return CLI_FAILED;
}

bool
output_flush(void)
{
    static int failure;
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return true;
    }
    failure =
        failure != 0 ? failure : errno; /* the next write may succeed, or say something else */
    errno = failure;
    return false;
}

int
output_end(const struct cli *cli, int code)
{
    struct pollfd fd = {.fd = STDOUT_FILENO};
    errno = 0;
    if (output_flush()) {
        return code;
    }
    /* Whoever read it has what he wanted: `prong events | head -1`. An earlier write may have been
     * told so, and errno has other things in it since. */
    if (errno == EPIPE || (poll(&fd, 1, 0) == 1 && (fd.revents & POLLERR) != 0)) {
        return code;
    }
    output_say(cli, "cannot write the output%s%s", errno != 0 ? ": " : "",
               errno != 0 ? strerror(errno) : "");
    return code != CLI_OK ? code : CLI_FAILED;
}
