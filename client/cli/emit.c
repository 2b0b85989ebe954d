/* `prong emit`: publish one event. */
#include <stdio.h>

#include "client/cli/args.h"
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/unit.h"

static int
print_number(const struct cli *cli, uint64_t number)
{
    prong_writer *w = prong_writer_new();
    prong_value object;
    int code = CLI_FAILED;
    /* Without -o nobody asked for it: an emit that went well is silent. */
    if (cli->options.output == NULL || output_form(cli) == OUTPUT_TABLE) {
        prong_writer_free(w);
        return CLI_OK;
    }
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, 1);
    prong_writer_key(w, "number");
    prong_writer_uint(w, number);
    code = prong_writer_finish(w, &object) == PRONG_OK ? output_value(cli, &object)
                                                       : output_no_memory(cli);
    prong_writer_free(w);
    return code;
}

static int
publish(struct cli *cli, const prong_value *payload)
{
    uint64_t number = 0;
    const int code = hub_connect(cli);
    if (code != CLI_OK) {
        return code;
    }
    const int32_t timeout_ms = unit_left_ms(cli->deadline_ms, PRONG_TTL_MS_MAX);
    const prong_err err =
        prong_emit(cli->client, cli->argv[0], payload, timeout_ms > 0 ? timeout_ms : 1, &number);
    return err == PRONG_OK ? print_number(cli, number)
                           : hub_refused(cli, err, cli->argv[0], payload);
}

int
verb_emit(struct cli *cli)
{
    prong_writer *w = prong_writer_new();
    prong_value payload;
    const bool has_payload = cli->argc > 1 || cli->options.json != NULL;
    int code = CLI_OK;
    if (w == NULL) {
        return output_no_memory(cli);
    }
    if (cli->argc > 1 && cli->options.json != NULL) {
        code = output_usage(cli, "--json and arguments exclude each other");
    } else if (cli->options.json != NULL) {
        code = args_write_json(cli, cli->options.json, w);
    } else if (has_payload) {
        code = args_write(cli, cli->argv + 1, cli->argc - 1, w);
    }
    if (code == CLI_OK && has_payload && prong_writer_finish(w, &payload) != PRONG_OK) {
        code = output_usage(cli, "%s", prong_writer_problem(w));
    }
    code = code != CLI_OK ? code : publish(cli, has_payload ? &payload : NULL);
    prong_writer_free(w);
    return code;
}
