/* `prong send`: write to the stdin of a worker. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/unit.h"

enum {
    CHUNK_BYTES = 16 * 1024,
    TEXT_BYTES_MAX = 64 * 1024, /* as much as the hub takes at a time */
    AGAIN_MS = 50,              /* when the program has not read what it has */
};

/* One piece; the outcome's code, or the exit code of what went wrong before in `*code`. */
static prong_err
send_once(struct cli *cli, const char *bytes, size_t len, bool ends, int *code, prong_reply **reply)
{
    prong_writer *w = prong_writer_new();
    prong_value args;
    prong_err err = PRONG_INTERNAL;
    if (w == NULL) {
        *code = output_no_memory(cli);
        return err;
    }
    prong_writer_map(w, 2 + ends);
    prong_writer_key(w, "replica");
    prong_writer_string(w, cli->argv[0]);
    prong_writer_key(w, "data");
    prong_writer_bin(w, bytes, len);
    if (ends) {
        prong_writer_key(w, "end");
        prong_writer_bool(w, true);
    }
    if (prong_writer_finish(w, &args) == PRONG_OK) {
        const int32_t left_ms = unit_left_ms(cli->deadline_ms, PRONG_TTL_MS_MAX);
        const struct hub_call call = {.worker = "hub",
                                      .method = "send",
                                      .args = &args,
                                      .options = {.timeout_ms = left_ms > 0 ? left_ms : 1}};
        *code = hub_call(cli, &call, reply);
        err = *code == CLI_OK ? prong_reply_code(*reply) : err;
    } else {
        *code = output_usage(cli, "%s", prong_writer_problem(w));
    }
    prong_writer_free(w);
    return err;
}

/* One piece of more: a program that does not read yet is asked again, for as long as --timeout
 * says.
 */
static int
send_piece(struct cli *cli, const char *bytes, size_t len, bool ends, bool again)
{
    char what[160];
    (void)snprintf(what, sizeof what, "send %.120s", cli->argv[0]);
    cli->deadline_ms = unit_now_ms() + cli->options.timeout_ms;
    for (;;) {
        prong_reply *reply = NULL;
        int code = CLI_OK;
        const prong_err err = send_once(cli, bytes, len, ends, &code, &reply);
        const bool is_full = code == CLI_OK && err == PRONG_RESOURCE_EXHAUSTED;
        if (code == CLI_OK && err != PRONG_OK &&
            !(is_full && again && unit_now_ms() + AGAIN_MS < cli->deadline_ms)) {
            code = output_failure(cli, what, reply);
        }
        prong_reply_free(reply);
        if (code != CLI_OK || err == PRONG_OK) {
            return code;
        }
        const int64_t until_ms = unit_now_ms() + AGAIN_MS;
        enum hub_woke woke = HUB_WOKE;
        while (woke == HUB_WOKE && unit_now_ms() < until_ms) {
            woke = hub_wait(cli, until_ms, -1);
        }
        if (woke != HUB_LATE && woke != HUB_WOKE) {
            return hub_woke_code(cli, woke, what);
        }
    }
}

/* stdin as it comes, until it ends. */
static int
send_stdin(struct cli *cli)
{
    static char bytes[CHUNK_BYTES];
    for (;;) {
        const enum hub_woke woke = hub_wait_input(cli, CLI_NEVER_MS, -1, STDIN_FILENO);
        if (woke == HUB_INTERRUPTED || woke == HUB_GONE) {
            return hub_woke_code(cli, woke, "stdin");
        }
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&in, 1, 0) != 1) {
            continue;
        }
        const ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
        if (n < 0 && errno != EINTR) {
            output_say(cli, "cannot read stdin: %s", strerror(errno));
            return CLI_FAILED;
        }
        if (n == 0) {
            return cli->options.end ? send_piece(cli, "", 0, true, true) : CLI_OK;
        }
        const int code = n > 0 ? send_piece(cli, bytes, (size_t)n, false, true) : CLI_OK;
        if (code != CLI_OK) {
            return code;
        }
    }
}

int
verb_send(struct cli *cli)
{
    static char line[TEXT_BYTES_MAX + 2];
    const char *text = cli->argc > 1 ? cli->argv[1] : "";
    const bool is_stdin = strcmp(text, "-") == 0;
    if (cli->argc < 2 && !cli->options.end) {
        return output_usage(cli, "send needs a TEXT, - for stdin, or --end");
    }
    if (strlen(text) >= TEXT_BYTES_MAX) {
        return output_usage(cli,
                            "a text has less than %d bytes; longer ones come from stdin with -",
                            TEXT_BYTES_MAX);
    }
    const int n = cli->argc > 1 ? snprintf(line, sizeof line, "%s\n", text) : 0;
    const int code = hub_connect(cli);
    if (code != CLI_OK) {
        return code;
    }
    return is_stdin ? send_stdin(cli) : send_piece(cli, line, (size_t)n, cli->options.end, false);
}
