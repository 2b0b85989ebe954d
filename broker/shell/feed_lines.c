/* Inputs and effects that are about what workers write and read. */
#include "broker/shell/broker.h"
#include "proto/mp.h"
#include "proto/write.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- effects ----------------------------------------------------------------------------------
 */

void
broker_give_logs(struct broker *b, const struct hub_effect *e)
{
    const struct follow_question question = {.call = e->call,
                                             .names = e->body,
                                             .lines = e->lines,
                                             .level = (enum log_level)e->level,
                                             .follows = e->logs.follows,
                                             .since_us = e->logs.since_us,
                                             .after = e->logs.after,
                                             .wait_ms = (int64_t)e->logs.wait_ms};
    struct buf answer = {0};
    const char *refused = NULL;
    const enum follow_outcome outcome =
        output_ask(b->output, &question, b->now_ns, &answer, &refused);
    struct follow *f =
        outcome == FOLLOW_WAITS || answer.failed ? NULL : broker_follow(b, HUB_IN_LOGS);
    if (f == NULL) {
        buf_deinit(&answer); /* one without memory: the call ends with its deadline */
        return;
    }
    f->input.logs.call = e->call;
    f->input.logs.refused = refused;
    f->payload = answer;
}

void
broker_set_level(struct broker *b, const struct hub_effect *e)
{
    if (e->spec == NULL) {
        b->log.level = (enum log_level)e->level;
    } else {
        output_set_level(b->output, e->spec->name, (enum log_level)e->level);
    }
}

void
broker_send_input(struct broker *b, const struct hub_effect *e)
{
    static const enum hub_sent what[] = {
        [INPUT_TAKEN] = HUB_SENT, [INPUT_FULL] = HUB_SENT_FULL, [INPUT_CLOSED] = HUB_SENT_CLOSED};
    const enum input_outcome outcome = input_send(b->input, e->process, e->body, e->ends);
    struct follow *f = broker_follow(b, HUB_IN_SENT);
    if (f != NULL) {
        f->input.sent.call = e->call;
        f->input.sent.what = what[outcome];
        f->input.sent.held_bytes = input_held(b->input, e->process);
    }
}

void
broker_take_output(struct broker *b, const struct spawn_record *r, int fd)
{
    char worker[SPAWN_NAME_BYTES_MAX];
    if (fd < 0) {
        return;
    }
    memcpy(worker, r->name, sizeof worker);
    worker[sizeof worker - 1] = '\0';
    char *slash = strchr(worker, '/');
    if (slash == NULL) {
        (void)close(fd);
        return;
    }
    *slash = '\0';
    struct worker_spec defaults;
    const bool is_template = (r->id & SPAWN_TEMPLATE) != 0;
    const struct worker_spec *spec = hub_process_spec(b->hub, r->id);
    spec = spec != NULL ? spec : broker_spec_of(b, r->name); /* of an earlier broker */
    spec_defaults(&defaults);                                /* of a worker that is no more */
    struct output_target target = {.worker = worker,
                                   .replica = is_template ? LOGLINE_TEMPLATE
                                                          : (uint32_t)strtoul(slash + 1, NULL, 10),
                                   .pid = r->pid,
                                   .how = spec != NULL ? spec->output : defaults.output,
                                   .is_old = r->op != SPAWN_STARTED};
    target.how.is_events = target.how.is_events && !is_template; /* it is no replica */
    output_add(b->output, r->id, fd, &target);
}

/* ---- inputs -----------------------------------------------------------------------------------
 */

bool
broker_feed_running(void *context, uint64_t process, char out[HUB_CALL_BYTES])
{
    const struct broker *b = context;
    return hub_running(b->hub, process, out);
}

/* It may make its process ready; and it is an event, where its worker is one whose lines are. */
void
broker_feed_line(void *context, const struct output_line *line)
{
    struct broker *b = context;
    const struct span text = {(const uint8_t *)line->text, line->len};
    struct buf payload = {0};
    notice_line(b->notice, line->process, line->text, line->len);
    if (!line->is_event) {
        return;
    }
    write_map(&payload, 3);
    write_text(&payload, "replica");
    write_text(&payload, line->replica);
    write_text(&payload, "level");
    write_text(&payload, spec_level_word((enum spec_level)line->level));
    write_text(&payload, "line");
    if (mp_is_utf8(text)) {
        write_str(&payload, text);
    } else {
        write_bin(&payload, text);
    }
    if (!payload.failed) {
        struct hub_input in = {.kind = HUB_IN_LINE};
        in.line.replica = line->replica;
        in.line.payload = buf_span(&payload);
        broker_feed(b, &in);
    }
    buf_deinit(&payload);
}

void
broker_feed_answer(void *context, uint64_t call, struct span payload)
{
    struct hub_input in = {.kind = HUB_IN_LOGS};
    in.logs.call = call;
    in.logs.payload = payload;
    broker_feed(context, &in);
}

void
broker_feed_input_ended(void *context, uint64_t process)
{
    struct broker *b = context;
    const struct spawn_record r = {
        .version = SPAWN_RECORDS_VERSION, .op = SPAWN_INPUT_END, .id = process};
    spawn_link_send(&b->spawner, &r, NULL);
}
