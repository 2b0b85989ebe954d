/* `prong reload`: the hub reads its configuration again; this asks for it and tells what it did. */
#include <stdio.h>

#include "client/cli/hub.h"
#include "client/cli/output.h"

/* "added: a, b", one line for each kind of change. Whether there was any. */
static bool
print_list(const prong_value *outcome, const char *key)
{
    prong_value list, name;
    prong_iter it;
    bool any = false;
    if (!prong_value_find(outcome, key, &list) || !prong_iter_begin(&it, &list)) {
        return false;
    }
    while (prong_iter_next(&it, NULL, &name)) {
        const char *text = "";
        size_t len = 0;
        (void)prong_value_text(&name, &text, &len);
        (void)printf("%s%s%.*s", any ? ", " : key, any ? "" : ": ", (int)len, text);
        any = true;
    }
    if (any) {
        (void)putchar('\n');
    }
    return any;
}

/* Workers that went back to what they were, each with the reason; how many. */
static int
tell_back(const struct cli *cli, const prong_value *outcome)
{
    prong_value map, name, reason;
    prong_iter it;
    int count = 0;
    if (!prong_value_find(outcome, "rolled_back", &map) || !prong_iter_begin(&it, &map)) {
        return 0;
    }
    while (prong_iter_next(&it, &name, &reason)) {
        const char *who = "", *why = "";
        size_t who_len = 0, why_len = 0;
        (void)prong_value_text(&name, &who, &who_len);
        (void)prong_value_text(&reason, &why, &why_len);
        output_say(cli, "%.*s went back to its former configuration: its new process %.*s",
                   (int)who_len, who, (int)why_len, why);
        count++;
    }
    return count;
}

int
verb_reload(struct cli *cli)
{
    const struct hub_call call = {
        .worker = "hub", .method = "reload", .options = {.timeout_ms = cli->options.timeout_ms}};
    prong_reply *reply = NULL;
    int code = hub_connect(cli);
    code = code != CLI_OK ? code : hub_call(cli, &call, &reply);
    if (code == CLI_OK && prong_reply_code(reply) != PRONG_OK) {
        code = output_failure(cli, "reload", reply);
        code = prong_reply_code(reply) == PRONG_FAILED_PRECONDITION ? CLI_CONFIG : code;
    } else if (code == CLI_OK) {
        const prong_value *outcome = prong_reply_value(reply);
        if (output_form(cli) != OUTPUT_TABLE) {
            code = output_value(cli, outcome);
        } else {
            const bool added = print_list(outcome, "added");
            const bool changed = print_list(outcome, "changed");
            const bool removed = print_list(outcome, "removed");
            if (!added && !changed && !removed) {
                output_note(cli, "nothing differs");
            }
        }
        code = tell_back(cli, outcome) > 0 && code == CLI_OK ? CLI_FAILED : code;
    }
    prong_reply_free(reply);
    return code;
}
