/* `prong call`: one method of one worker. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/args.h"
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/table.h"

enum { BAR_WIDTH = 30, NOTE_BYTES = 200, TARGET_BYTES = PRONG_NAME_BYTES_MAX + 16 };

/* "detector/1.detect" at its last dot. */
static int
split_target(struct cli *cli, char worker[TARGET_BYTES], const char **method)
{
    const char *target = cli->argv[0], *dot = strrchr(target, '.');
    if (dot == NULL || dot == target || dot[1] == '\0') {
        return output_usage(cli, "'%.100s' is no WORKER.METHOD, such as detector.detect", target);
    }
    if ((size_t)(dot - target) >= TARGET_BYTES) {
        return output_usage(cli, "the name of the worker is longer than %d bytes",
                            (int)PRONG_NAME_BYTES_MAX);
    }
    (void)snprintf(worker, TARGET_BYTES, "%.*s", (int)(dot - target), target);
    *method = dot + 1;
    return CLI_OK;
}

/* ---- progress ------------------------------------------------------------------------------- */

static void
draw_bar(double fraction, const char *note)
{
    char bar[BAR_WIDTH + 1];
    const double part = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
    const int full = isnan(fraction) ? 0 : (int)(part * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++) {
        bar[i] = i < full ? '#' : '.';
    }
    bar[BAR_WIDTH] = '\0';
    if (isnan(fraction)) {
        (void)fputs("\r\033[K", stderr);
    } else {
        (void)fprintf(stderr, "\r\033[K[%s] %3d%% ", bar, (int)(part * 100));
    }
    table_put_safe(stderr, note, strlen(note));
    (void)fflush(stderr);
}

static int
look(struct cli *cli, prong_reply *reply)
{
    char note[NOTE_BYTES];
    double fraction;
    prong_value item;
    int code = CLI_OK;
    if (cli->err_is_terminal && prong_reply_progress(reply, &fraction, note, sizeof note)) {
        if (prong_reply_is_done(reply)) {
            (void)fputs("\r\033[K", stderr);
        } else {
            table_make_safe(note);
            draw_bar(fraction, note);
        }
    }
    /* Items of a method that yields: each is a line, as soon as it is there. */
    while (code == CLI_OK && prong_reply_next(reply, 0, &item) == PRONG_OK) {
        code = output_value(cli, &item);
        (void)fflush(stdout);
    }
    return code;
}

/* ---- the call ------------------------------------------------------------------------------- */

static void
hint(struct cli *cli, prong_reply *reply)
{
    size_t key_len;
    const char *word = prong_reply_code(reply) != PRONG_INVALID_ARGUMENT
                           ? NULL
                           : args_find_mistyped(cli->argv + 1, cli->argc - 1,
                                                prong_reply_message(reply), &key_len);
    if (word != NULL) {
        output_say(cli, "did you mean %.*s:=%s", (int)key_len, word, word + key_len + 1);
    }
}

static int
make_call(struct cli *cli, const struct hub_call *call)
{
    prong_reply *reply = NULL;
    int code = hub_connect(cli);
    code = code != CLI_OK ? code : hub_call(cli, call, &reply);
    if (code == CLI_OK && prong_reply_code(reply) != PRONG_OK) {
        code = output_failure(cli, cli->argv[0], reply);
        hint(cli, reply);
    } else if (code == CLI_OK) {
        code = output_value(cli, prong_reply_value(reply));
    }
    prong_reply_free(reply);
    return code;
}

int
verb_call(struct cli *cli)
{
    char worker[TARGET_BYTES];
    const char *method = NULL;
    prong_value args;
    prong_writer *w = prong_writer_new();
    int code = split_target(cli, worker, &method);
    if (w == NULL) {
        return output_no_memory(cli);
    }
    if (code == CLI_OK && cli->options.timeout_ms > PRONG_TTL_MS_MAX) {
        code = output_usage(cli, "--timeout: a call takes from 1ms to 1h"); /* before the verb */
    }
    code = code != CLI_OK ? code : args_write(cli, cli->argv + 1, cli->argc - 1, w);
    if (code == CLI_OK && prong_writer_finish(w, &args) != PRONG_OK) {
        code = output_usage(cli, "%s", prong_writer_problem(w));
    }
    if (code == CLI_OK && prong_value_kind(&args) != PRONG_KIND_MAP &&
        prong_value_kind(&args) != PRONG_KIND_ARRAY) {
        code = output_usage(cli, "arguments are a JSON object, or an array of positional ones");
    }
    if (code == CLI_OK) {
        const bool shows = cli->err_is_terminal && !cli->options.quiet;
        const struct hub_call call = {.worker = worker,
                                      .method = method,
                                      .args = &args,
                                      .timeout_ms = (int32_t)cli->options.timeout_ms,
                                      .flags = PRONG_CALL_STREAM |
                                               (shows ? (uint32_t)PRONG_CALL_PROGRESS : 0),
                                      .look = look};
        code = make_call(cli, &call);
    }
    prong_writer_free(w);
    return code;
}
