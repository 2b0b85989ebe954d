/* `prong status`. */
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/status.h"
#include "client/cli/table.h"
#include "client/cli/unit.h"

#include <stdio.h>

static const struct {
    const char *key;
    bool is_size;
} shares[] = {{"connections", false}, {"unfinished", false},   {"calls", false},
              {"background", false},  {"payload_bytes", true}, {"leases", false}};

static int
print_clients(const struct cli *cli, const prong_value *list)
{
    struct table t;
    prong_iter it;
    prong_value client, value;
    table_init(&t, "CLIENT CONNECTIONS UNFINISHED CALLS BACKGROUND BYTES LEASES");
    (void)prong_iter_begin(&it, list);
    while (prong_iter_next(&it, NULL, &client)) {
        const char *who = "";
        size_t len = 0;
        if (prong_value_find(&client, "who", &value)) {
            (void)prong_value_text(&value, &who, &len);
        }
        table_add(&t, TABLE_PLAIN, "%.*s", (int)len, who);
        for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
            uint64_t number = 0;
            char size[UNIT_SIZE_BYTES];
            if (prong_value_find(&client, shares[i].key, &value)) {
                (void)prong_value_uint(&value, &number);
            }
            unit_size(number, size);
            if (shares[i].is_size) {
                table_add(&t, TABLE_PLAIN, "%s", size);
            } else {
                table_add(&t, TABLE_PLAIN, "%llu", (unsigned long long)number);
            }
        }
    }
    table_print(&t, stdout, cli->out_has_color);
    const bool failed = t.failed;
    table_deinit(&t);
    return failed ? output_no_memory(cli) : CLI_OK;
}

static int
show_clients(struct cli *cli)
{
    prong_reply *reply = NULL;
    if (cli->argc > 0 || cli->options.check) {
        return output_usage(cli, "--clients shows all clients: leave out workers and --check");
    }
    int code = hub_connect(cli);
    code = code != CLI_OK ? code : hub_ask(cli, "clients", NULL, "clients", &reply);
    if (code == CLI_OK) {
        code = output_form(cli) == OUTPUT_TABLE ? print_clients(cli, prong_reply_value(reply))
                                                : output_value(cli, prong_reply_value(reply));
    }
    prong_reply_free(reply);
    return code;
}

int
verb_status(struct cli *cli)
{
    if (cli->options.clients) {
        return show_clients(cli);
    }
    struct status status = {0};
    const struct status_choice choice = {cli->argv, (size_t)cli->argc, false};
    int code = hub_connect(cli);
    if (code == CLI_OK) {
        code = status_get(cli, &status);
    }
    for (int i = 0; code == CLI_OK && i < cli->argc; i++) {
        if (status_find(&status, cli->argv[i]) == NULL) {
            code = status_no_such(cli, &status, cli->argv[i]);
        }
    }
    if (code == CLI_OK) {
        code = status_print(cli, &status, &choice);
    }
    if (code == CLI_OK && cli->options.check) {
        const struct status_wish wish = {
            .goal = STATUS_READY,
            .choice = {cli->argv, (size_t)cli->argc,
                       true}, /* without arguments: who starts by itself */
            .replicas = -1};
        code = status_judge(&wish, &status) == STATUS_DONE ? CLI_OK : CLI_NOT_RUNNING;
    }
    status_deinit(&status);
    return code;
}
