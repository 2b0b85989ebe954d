/* `prong describe`: what can be called. */
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/status.h"
#include "client/cli/table.h"

/* The methods of workers, one reply each. */
struct described {
    const char *name;
    prong_reply *reply;
};

static const char *
text_of(const prong_value *map, const char *key, size_t *len)
{
    prong_value value;
    const char *text = "";
    *len = 0;
    if (prong_value_find(map, key, &value)) {
        (void)prong_value_text(&value, &text, len);
    }
    return text;
}

/* "worker, lines" of the arguments that a method tells about itself. */
static void
add_arguments(struct table *t, const prong_value *about)
{
    prong_value args, key;
    prong_iter it;
    char names[300] = "";
    size_t used = 0;
    if (prong_value_find(about, "args", &args) && prong_iter_begin(&it, &args)) {
        prong_value ignored;
        const char *name;
        size_t len;
        while (prong_iter_next(&it, &key, &ignored)) {
            if (prong_value_text(&key, &name, &len) && used + len + 3 < sizeof names) {
                used += (size_t)snprintf(names + used, sizeof names - used, "%s%.*s",
                                         used > 0 ? ", " : "", (int)len, name);
            }
        }
    }
    table_add(t, TABLE_PLAIN, "%s", names);
}

static int
print_table(const struct cli *cli, const struct described *list, size_t count)
{
    struct table t;
    table_init(&t, "METHOD ARGUMENTS POLICY HELP");
    for (size_t i = 0; i < count; i++) {
        prong_iter it;
        prong_value key, about;
        const char *name, *text;
        size_t name_len, len;
        (void)prong_iter_begin(&it, prong_reply_value(list[i].reply));
        while (prong_iter_next(&it, &key, &about)) {
            if (!prong_value_text(&key, &name, &name_len)) {
                continue;
            }
            table_add(&t, TABLE_PLAIN, "%s.%.*s", list[i].name, (int)name_len, name);
            add_arguments(&t, &about);
            text = text_of(&about, "policy", &len);
            table_add(&t, TABLE_PLAIN, "%.*s", (int)len, text);
            text = text_of(&about, "help", &len);
            table_add(&t, TABLE_PLAIN, "%.*s", (int)len, text);
        }
    }
    table_print(&t, stdout, cli->out_has_color);
    const bool failed = t.failed;
    table_deinit(&t);
    return failed ? output_no_memory(cli) : CLI_OK;
}

/* {"worker": {"method": {...}}}. */
static int
print_json(const struct cli *cli, const struct described *list, size_t count)
{
    prong_writer *w = prong_writer_new();
    prong_value all;
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        prong_writer_key(w, list[i].name);
        prong_writer_raw(w, prong_reply_value(list[i].reply));
    }
    const int code =
        prong_writer_finish(w, &all) == PRONG_OK ? output_value(cli, &all) : output_no_memory(cli);
    prong_writer_free(w);
    return code;
}

/* Whether a worker has ever attached cannot be seen in the status, so the hub's refusal is how one
 * that has not told its methods is known; it is left out, with a note. */
static int
ask_or_note(struct cli *cli, const char *worker, struct described *list, size_t *count)
{
    prong_writer *w = prong_writer_new();
    prong_value args;
    prong_reply *reply = NULL;
    const struct hub_call call = {
        .worker = "hub", .method = "describe", .args = &args, .options = {.timeout_ms = 5000}};
    int code = w != NULL ? CLI_OK : output_no_memory(cli);
    if (code == CLI_OK) {
        prong_writer_map(w, 1);
        prong_writer_key(w, "worker");
        prong_writer_string(w, worker);
        code =
            prong_writer_finish(w, &args) == PRONG_OK ? hub_call(cli, &call, &reply) : CLI_FAILED;
    }
    prong_writer_free(w);
    if (code == CLI_OK && prong_reply_code(reply) == PRONG_OK) {
        list[(*count)++] = (struct described){worker, reply};
        return CLI_OK;
    }
    if (code == CLI_OK && (prong_reply_code(reply) == PRONG_FAILED_PRECONDITION ||
                           prong_reply_code(reply) == PRONG_NOT_FOUND)) {
        output_note(cli, "%s: %s", worker, prong_reply_message(reply));
    } else if (code == CLI_OK) {
        code = output_failure(cli, worker, reply);
    }
    prong_reply_free(reply);
    return code;
}

static int
print(const struct cli *cli, const struct described *list, size_t count)
{
    return output_form(cli) == OUTPUT_TABLE ? print_table(cli, list, count)
                                            : print_json(cli, list, count);
}

static int
describe_all(struct cli *cli)
{
    struct status status = {0};
    int code = status_get(cli, &status);
    if (code != CLI_OK) {
        return code;
    }
    struct described *list = calloc(status.worker_count + 1, sizeof *list);
    size_t count = 0;
    if (list == NULL) {
        status_deinit(&status);
        return output_no_memory(cli);
    }
    code = ask_or_note(cli, "hub", list, &count);
    for (size_t i = 0; code == CLI_OK && i < status.worker_count; i++) {
        code = ask_or_note(cli, status.workers[i].name, list, &count);
    }
    if (code == CLI_OK) {
        code = print(cli, list, count);
    }
    for (size_t i = 0; i < count; i++) {
        prong_reply_free(list[i].reply);
    }
    free(list);
    status_deinit(&status);
    return code;
}

int
verb_describe(struct cli *cli)
{
    struct described one = {0};
    int code = hub_connect(cli);
    if (code == CLI_OK && cli->argc == 0) {
        return describe_all(cli);
    }
    one.name = code == CLI_OK ? cli->argv[0] : NULL;
    code = code != CLI_OK ? code : hub_ask_worker(cli, "describe", one.name, &one.reply);
    code = code != CLI_OK ? code : print(cli, &one, 1);
    prong_reply_free(one.reply);
    return code;
}
