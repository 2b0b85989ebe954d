/* `prong signal`: the hub knows the processes and names of signals, this asks it. */
#include <inttypes.h>
#include <stdio.h>

#include "client/cli/field.h"
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/table.h"

static int
print_table(const struct cli *cli, const prong_value *list)
{
    struct table t;
    prong_iter it;
    prong_value entry, value;
    table_init(&t, "WORKER PID");
    (void)prong_iter_begin(&it, list);
    while (prong_iter_next(&it, NULL, &entry)) {
        const char *name = "";
        size_t len = 0;
        uint64_t pid = 0;
        if (prong_value_find(&entry, "replica", &value)) {
            (void)prong_value_text(&value, &name, &len);
        }
        if (prong_value_find(&entry, "pid", &value)) {
            (void)prong_value_uint(&value, &pid);
        }
        table_add(&t, TABLE_PLAIN, "%.*s", (int)len, name);
        table_add(&t, TABLE_PLAIN, "%" PRIu64, pid);
    }
    table_print(&t, stdout, cli->out_has_color);
    const bool failed = t.failed;
    table_deinit(&t);
    return failed ? output_no_memory(cli) : CLI_OK;
}

static int
ask(struct cli *cli, const prong_value *args)
{
    const struct hub_call call = {.worker = "hub",
                                  .method = "signal",
                                  .args = args,
                                  .options = {.timeout_ms = cli->options.timeout_ms}};
    prong_reply *reply = NULL;
    char what[160];
    int code = hub_call(cli, &call, &reply);
    if (code == CLI_OK && prong_reply_code(reply) != PRONG_OK) {
        (void)snprintf(what, sizeof what, "signal %.100s", cli->argv[0]);
        code = output_failure(cli, what, reply);
        code = prong_reply_code(reply) == PRONG_FAILED_PRECONDITION ? CLI_NOT_RUNNING : code;
    } else if (code == CLI_OK) {
        const prong_value *list = prong_reply_value(reply);
        code = output_form(cli) == OUTPUT_TABLE ? print_table(cli, list) : output_value(cli, list);
    }
    prong_reply_free(reply);
    return code;
}

int
verb_signal(struct cli *cli)
{
    prong_value args;
    prong_writer *w = prong_writer_new();
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, 3);
    field_put_text(w, "worker", cli->argv[0]);
    field_put_text(w, "signal", cli->argv[1]);
    field_put_text(w, "to", cli->options.group ? "group" : "process");
    int code = prong_writer_finish(w, &args) == PRONG_OK
                   ? CLI_OK
                   : output_usage(cli, "%s", prong_writer_problem(w));
    code = code != CLI_OK ? code : hub_connect(cli);
    code = code != CLI_OK ? code : ask(cli, &args);
    prong_writer_free(w);
    return code;
}
