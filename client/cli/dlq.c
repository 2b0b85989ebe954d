/* `prong dlq`: the calls with which two replicas died, which the hub runs no more. */
#include <inttypes.h>
#include <stdio.h>

#include "client/cli/call.h"
#include "client/cli/hub.h"
#include "client/cli/items.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/cli/unit.h"

/* The arguments of a method about one letter. */
static int
write_letter(struct cli *cli, const char *word, prong_writer **out, prong_value *args)
{
    int64_t number;
    if (!unit_count(word, &number) || number == 0) {
        return output_usage(cli, "'%.40s' is no number of a letter (see prong dlq list)", word);
    }
    prong_writer *w = *out = prong_writer_new();
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, 1);
    prong_writer_key(w, "letter");
    prong_writer_int(w, number);
    return prong_writer_finish(w, args) == PRONG_OK ? CLI_OK : output_no_memory(cli);
}

static void
add_text(struct table *t, const prong_value *letter, const char *key)
{
    prong_value value;
    const char *text = "";
    size_t len = 0;
    if (prong_value_find(letter, key, &value)) {
        (void)prong_value_text(&value, &text, &len);
    }
    table_add(t, TABLE_PLAIN, "%.*s", (int)len, text);
}

static uint64_t
uint_of(const prong_value *letter, const char *key)
{
    prong_value value;
    uint64_t number = 0;
    return prong_value_find(letter, key, &value) && prong_value_uint(&value, &number) ? number : 0;
}

static int
print_table(const struct cli *cli, const prong_value *list)
{
    struct table t;
    prong_iter it;
    prong_value letter;
    table_init(&t, "LETTER WORKER METHOD DEATHS TIME CALLER REASON");
    (void)prong_iter_begin(&it, list);
    while (prong_iter_next(&it, NULL, &letter)) {
        char when[UNIT_TIME_BYTES];
        unit_time((int64_t)uint_of(&letter, "time_us"), when);
        table_add(&t, TABLE_PLAIN, "%" PRIu64, uint_of(&letter, "letter"));
        add_text(&t, &letter, "worker");
        add_text(&t, &letter, "method");
        table_add(&t, TABLE_PLAIN, "%" PRIu64, uint_of(&letter, "deaths"));
        table_add(&t, TABLE_PLAIN, "%.19sZ", when); /* nobody needs parts of a second */
        add_text(&t, &letter, "who");
        add_text(&t, &letter, "reason");
    }
    table_print(&t, stdout, cli->out_has_color);
    const bool failed = t.failed;
    table_deinit(&t);
    return failed ? output_no_memory(cli) : CLI_OK;
}

int
verb_dlq_list(struct cli *cli)
{
    prong_reply *reply = NULL;
    int code = hub_connect(cli);
    code = code == CLI_OK ? hub_ask(cli, "dlq_list", NULL, "dlq list", &reply) : code;
    if (code == CLI_OK) {
        const prong_value *list = prong_reply_value(reply);
        code = output_form(cli) == OUTPUT_TABLE ? print_table(cli, list) : output_value(cli, list);
    }
    prong_reply_free(reply);
    return code;
}

int
verb_dlq_show(struct cli *cli)
{
    prong_writer *w = NULL;
    prong_value args;
    prong_reply *reply = NULL;
    int code = write_letter(cli, cli->argv[0], &w, &args);
    code = code == CLI_OK ? hub_connect(cli) : code;
    code = code == CLI_OK ? hub_ask(cli, "dlq_show", &args, "dlq show", &reply) : code;
    code = code == CLI_OK ? output_value(cli, prong_reply_value(reply)) : code;
    prong_reply_free(reply);
    prong_writer_free(w);
    return code;
}

/* As prong call: the outcome is that of the call. */
int
verb_dlq_retry(struct cli *cli)
{
    struct items items;
    prong_writer *w = NULL;
    prong_value args;
    prong_reply *reply = NULL;
    int code = write_letter(cli, cli->argv[0], &w, &args);
    items_init(&items, cli, NULL);
    code = code == CLI_OK ? hub_connect(cli) : code;
    if (code == CLI_OK) {
        const uint32_t progress = items.progress.is_wanted ? PRONG_CALL_PROGRESS : 0;
        const struct hub_call call = {
            .worker = "hub",
            .method = "dlq_retry",
            .args = &args,
            .options = {.timeout_ms = unit_left_ms(cli->deadline_ms, PRONG_TTL_MS_MAX),
                        .flags = PRONG_CALL_STREAM | progress},
            .look = items_look,
            .context = &items,
            .ends_unread = cli->options.each};
        code = hub_call(cli, &call, &reply);
    }
    code = code == CLI_OK ? items_end(cli, &items, "dlq retry", reply) : code;
    progress_clear(&items.progress);
    prong_reply_free(reply);
    prong_writer_free(w);
    items_deinit(&items);
    return code;
}

/* Nothing is dropped when one of the numbers is none. */
int
verb_dlq_drop(struct cli *cli)
{
    int code = CLI_OK;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; code == CLI_OK && i < cli->argc; i++) {
            prong_writer *w = NULL;
            prong_value args;
            char what[60];
            (void)snprintf(what, sizeof what, "dlq drop %.40s", cli->argv[i]);
            code = write_letter(cli, cli->argv[i], &w, &args);
            code =
                code == CLI_OK && round == 1 ? hub_ask(cli, "dlq_drop", &args, what, NULL) : code;
            prong_writer_free(w);
        }
        code = code == CLI_OK && round == 0 ? hub_connect(cli) : code;
    }
    return code;
}
