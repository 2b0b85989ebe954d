/* Calls in the background: beginning one, `prong wait --call` and `prong cancel`. */
#include <stdio.h>
#include <unistd.h>

#include "client/cli/call.h"
#include "client/cli/hub.h"
#include "client/cli/items.h"
#include "client/cli/output.h"
#include "client/cli/unit.h"

/* The text alone unless JSON was asked for, so that a shell can keep it in a variable. */
static int
print_handle(const struct cli *cli, const char *handle)
{
    const enum output_form form = output_form(cli);
    prong_writer *w;
    prong_value object;
    if (cli->options.output == NULL || (form != OUTPUT_JSON && form != OUTPUT_JSONL)) {
        (void)puts(handle);
        return CLI_OK;
    }
    w = prong_writer_new();
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, 1);
    prong_writer_key(w, "handle");
    prong_writer_string(w, handle);
    const int code = prong_writer_finish(w, &object) == PRONG_OK ? output_value(cli, &object)
                                                                 : output_no_memory(cli);
    prong_writer_free(w);
    return code;
}

int
call_background(struct cli *cli, const struct call_target *target, const prong_value *args)
{
    struct hub_call call = {.worker = target->worker,
                            .method = target->method,
                            .args = args,
                            .options = call_options(cli)};
    char handle[PRONG_HANDLE_BYTES];
    prong_reply *reply = NULL;
    call.options.flags = PRONG_CALL_BACKGROUND | PRONG_CALL_PROGRESS; /* for who waits */
    /* The default of a call that somebody waits for is none of one that nobody does. */
    call.options.timeout_ms = cli->has_timeout ? (int32_t)cli->options.timeout_ms : 0;
    int code = hub_call(cli, &call, &reply);
    if (code == CLI_OK && prong_reply_handle(reply, handle, sizeof handle)) {
        code = print_handle(cli, handle);
    } else if (code == CLI_OK && prong_reply_code(reply) != PRONG_OK) {
        code = output_failure(cli, target->text, reply);
        call_hint_names(cli, target, prong_reply_code(reply));
    } else if (code == CLI_OK) {
        output_note(cli, "%s has ended already", target->text);
        code = output_value(cli, prong_reply_value(reply));
    }
    prong_reply_free(reply);
    return code;
}

/* ---- waiting for one ------------------------------------------------------------------------ */

static int
resume(struct cli *cli, const char *handle, prong_reply **out)
{
    const prong_call_options o = {.size_bytes = sizeof o, .flags = PRONG_CALL_STREAM};
    const prong_err err = prong_resume(cli->client, handle, &o, out);
    return err != PRONG_OK ? hub_refused(cli, err, handle, NULL) : CLI_OK;
}

/* Until the outcome is there, or the time of the verb is over: the call goes on then. */
static int
await(struct cli *cli, struct items *items, prong_reply *reply)
{
    int code = CLI_OK;
    while (code == CLI_OK && !prong_reply_is_done(reply)) {
        const enum hub_woke woke =
            hub_wait(cli, cli->deadline_ms, cli->options.each ? STDOUT_FILENO : -1);
        if (woke == HUB_UNREAD) {
            return HUB_ENOUGH;
        }
        code = hub_woke_code(cli, woke, "the outcome");
        code = code == CLI_OK ? items_look(cli, items, reply) : code;
    }
    return code == CLI_OK ? items_look(cli, items, reply) : code;
}

int
call_wait(struct cli *cli)
{
    struct items items;
    prong_reply *reply = NULL;
    cli->no_hub = CLI_NO_HUB; /* as for a call: 3 is for workers that do not run */
    int code = hub_connect(cli);
    code = code == CLI_OK ? resume(cli, cli->options.call, &reply) : code;
    items_init(&items, cli, NULL);
    code = code == CLI_OK ? await(cli, &items, reply) : code;
    progress_clear(&items.progress);
    if (code == CLI_OK) {
        code = items_end(cli, &items, "the call", reply);
    } else if (code == CLI_TIMEOUT || code == CLI_INTERRUPTED) {
        output_note(cli, "the call goes on");
    }
    prong_reply_free(reply);
    items_deinit(&items);
    return code == HUB_ENOUGH ? CLI_OK : code;
}

/* What became of it is told, but not printed: that it has ended is what was wanted. */
int
verb_cancel(struct cli *cli)
{
    prong_reply *reply = NULL;
    int code = hub_connect(cli);
    code = code == CLI_OK ? resume(cli, cli->argv[0], &reply) : code;
    if (code == CLI_OK) {
        prong_reply_cancel(reply);
    }
    while (code == CLI_OK && !prong_reply_is_done(reply)) {
        prong_value item;
        while (prong_reply_next(reply, 0, &item) == PRONG_OK) {
            /* Taken, so that the outcome comes. */
        }
        if (!prong_reply_is_done(reply)) {
            code = hub_woke_code(cli, hub_wait(cli, cli->deadline_ms, -1), "the outcome");
        }
    }
    if (code == CLI_OK && prong_reply_code(reply) == PRONG_NOT_FOUND &&
        prong_reply_began(reply) == PRONG_BEGAN_MAYBE) {
        code = output_failure(cli, "the call", reply);
    } else if (code == CLI_OK && prong_reply_code(reply) != PRONG_CANCELLED) {
        output_note(cli, "the call had ended already");
    }
    prong_reply_free(reply);
    return code;
}
