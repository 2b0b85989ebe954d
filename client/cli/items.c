/* Items and outcomes: see items.h. */
#include "client/cli/items.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/hub.h"
#include "client/cli/output.h"

enum {
    HEAD_BYTES = 5, /* of an array in msgpack */
    LIST_MIB_MAX = 64,
};

/* ---- outcomes of many ----------------------------------------------------------------------- */

static void
name_one(const struct which *which, char *text, size_t size)
{
    if (which->replica != NULL) {
        (void)snprintf(text, size, "%s", which->replica);
    } else {
        (void)snprintf(text, size, "n = %" PRIu64, which->number);
    }
}

static void
count_one(struct tally *tally, const struct which *which, const prong_outcome *o)
{
    char name[PRONG_REPLICA_BYTES];
    if (o->code == PRONG_OK) {
        tally->done++;
        return;
    }
    if (tally->failed++ == 0) {
        name_one(which, name, sizeof name);
        tally->first_code = o->code;
        (void)snprintf(tally->first, sizeof tally->first, "%s: %s: %.*s", name,
                       prong_err_name(o->code), (int)o->message_len, o->message);
    }
}

static int
put_raw(struct cli *cli, const struct which *which, const prong_outcome *o)
{
    char name[PRONG_REPLICA_BYTES];
    const uint8_t *data;
    size_t len;
    if (o->code != PRONG_OK) {
        name_one(which, name, sizeof name);
        output_say(cli, "%s: %s: %.*s", name, prong_err_name(o->code), (int)o->message_len,
                   o->message);
        return CLI_OK;
    }
    if (!prong_value_bin(&o->value, &data, &len)) {
        return output_value(cli, &o->value);
    }
    (void)fwrite(data, 1, len, stdout);
    (void)fputc('\n', stdout);
    return CLI_OK;
}

int
outcome_put(struct cli *cli, struct tally *tally, const struct which *which,
            const prong_outcome *outcome)
{
    prong_writer *w;
    prong_value line;
    count_one(tally, which, outcome);
    if (output_form(cli) == OUTPUT_RAW) {
        return put_raw(cli, which, outcome);
    }
    w = prong_writer_new();
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, 2);
    prong_writer_key(w, which->replica != NULL ? "replica" : "n");
    if (which->replica != NULL) {
        prong_writer_string(w, which->replica);
    } else {
        prong_writer_uint(w, which->number);
    }
    prong_writer_key(w, outcome->code == PRONG_OK ? "value" : "error");
    if (outcome->code == PRONG_OK) {
        prong_writer_raw(w, &outcome->value);
    } else {
        output_write_error(w, outcome);
    }
    const int code =
        prong_writer_finish(w, &line) == PRONG_OK ? output_line(cli, &line) : output_no_memory(cli);
    prong_writer_free(w);
    return code;
}

int
tally_tell(const struct cli *cli, const struct tally *tally, const char *what)
{
    if (tally->failed == 0) {
        return CLI_OK;
    }
    output_say(cli, "%s: %" PRIu64 " of %" PRIu64 " failed%s%s", what, tally->failed,
               tally->failed + tally->done, tally->failed > 1 ? "; the first was " : ": ",
               tally->first);
    return CLI_FAILED;
}

/* ---- items ---------------------------------------------------------------------------------- */

void
items_init(struct items *items, const struct cli *cli, const char *worker)
{
    *items = (struct items){.worker = worker,
                            .as_lines = worker != NULL || cli->options.each ||
                                        output_form(cli) != OUTPUT_JSON,
                            .len = HEAD_BYTES};
    progress_init(&items->progress, cli);
}

void
items_deinit(struct items *items)
{
    free(items->list);
    items->list = NULL;
}

static int
keep(struct cli *cli, struct items *items, const prong_value *item)
{
    const size_t need = items->len + item->len;
    size_t capacity = items->capacity > 0 ? items->capacity : 4096;
    if (need > (size_t)LIST_MIB_MAX * 1024 * 1024) {
        output_say(cli, "more than %d MiB of items: take them as they come, with --each",
                   LIST_MIB_MAX);
        return CLI_FAILED;
    }
    while (capacity < need) {
        capacity *= 2;
    }
    if (capacity != items->capacity) {
        uint8_t *list = realloc(items->list, capacity);
        if (list == NULL) {
            return output_no_memory(cli);
        }
        items->list = list;
        items->capacity = capacity;
    }
    memcpy(items->list + items->len, item->data, item->len);
    items->len = need;
    return CLI_OK;
}

static int
put_replica(struct cli *cli, struct items *items, const prong_value *item)
{
    char name[PRONG_REPLICA_BYTES];
    prong_outcome outcome;
    if (!prong_item_outcome(item, &outcome)) {
        return output_error(cli, PRONG_INTERNAL, items->worker, "an item that is no outcome");
    }
    (void)snprintf(name, sizeof name, "%.*s/%" PRIu64, (int)strcspn(items->worker, "/"),
                   items->worker, outcome.number);
    return outcome_put(cli, &items->tally, &(struct which){.replica = name}, &outcome);
}

/* With -o raw the bytes as they are: a newline is the method's business. */
static int
put(struct cli *cli, struct items *items, const prong_value *item)
{
    if (items->worker != NULL) {
        return put_replica(cli, items, item);
    }
    if (!items->as_lines) {
        return keep(cli, items, item);
    }
    return output_form(cli) == OUTPUT_RAW ? output_value(cli, item) : output_line(cli, item);
}

int
items_look(struct cli *cli, void *context, prong_reply *reply)
{
    struct items *items = context;
    char note[PROGRESS_NOTE_BYTES];
    double fraction;
    prong_value item;
    const uint64_t before = items->count;
    int code = CLI_OK;
    while (code == CLI_OK && prong_reply_next(reply, 0, &item) == PRONG_OK) {
        if (items->as_lines && cli->out_is_terminal) {
            progress_clear(&items->progress);
        }
        items->count++;
        code = put(cli, items, &item);
    }
    if (prong_reply_is_done(reply)) {
        progress_clear(&items->progress);
    } else if (prong_reply_progress(reply, &fraction, note, sizeof note)) {
        progress_show(&items->progress, fraction, note);
    }
    if (code == CLI_OK && items->as_lines && items->count > before && !output_flush()) {
        return errno == EPIPE ? HUB_ENOUGH : CLI_FAILED; /* output_end says why */
    }
    return code;
}

/* ---- the end -------------------------------------------------------------------------------- */

static int
put_list(struct cli *cli, struct items *items)
{
    const prong_value list = {items->list, items->len};
    items->list[0] = 0xdd; /* an array with a length of 32 bits */
    for (int i = 1; i < HEAD_BYTES; i++) {
        items->list[i] = (uint8_t)(items->count >> (8 * (HEAD_BYTES - 1 - i)));
    }
    return output_value(cli, &list);
}

/* What a method that yielded returns besides is no item: it would not be known from them. */
static void
note_value(const struct cli *cli, const char *what, const prong_value *value)
{
    char *json = NULL;
    if (prong_value_kind(value) != PRONG_KIND_NIL &&
        prong_value_to_json(value, 0, &json) == PRONG_OK) {
        output_note(cli, "%s returned %s", what, json);
        prong_free(json);
    }
}

int
items_end(struct cli *cli, struct items *items, const char *what, prong_reply *reply)
{
    const prong_value *value = prong_reply_value(reply);
    progress_clear(&items->progress);
    if (reply == NULL) {
        return CLI_OK;
    }
    if (prong_reply_code(reply) != PRONG_OK) {
        /* What came until then is shown: nobody can ask for it again. */
        if (items->count > 0 && !items->as_lines && cli->options.output == NULL) {
            (void)put_list(cli, items);
        }
        return output_failure(cli, what, reply);
    }
    if (items->worker != NULL) {
        return tally_tell(cli, &items->tally, what);
    }
    if (items->count > 0) {
        note_value(cli, what, value);
        return items->as_lines ? CLI_OK : put_list(cli, items);
    }
    return cli->options.each && prong_value_kind(value) == PRONG_KIND_NIL
               ? CLI_OK
               : output_value(cli, value);
}
