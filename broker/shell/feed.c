/* Inputs into the core, its effects into the world.
 *
 * Connections of all links share one space of numbers: the link's place in the upper bits. */
#include "broker/shell/broker.h"
#include "broker/shell/launch.h"
#include "broker/shell/stack.h"
#include "broker/shell/usage.h"
#include "proto/name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINK_SHIFT = 48 };

static uint64_t
peer_of(const struct broker *b, const struct link_server *s, uint64_t peer)
{
    uint64_t i = 0;
    while (i < b->link_count && b->links[i] != s) {
        i++;
    }
    return i << LINK_SHIFT | peer;
}

static struct link_server *
link_of(const struct broker *b, uint64_t peer)
{
    return b->links[peer >> LINK_SHIFT];
}

/* ---- effects ----------------------------------------------------------------------------------
 */

struct follow *
broker_follow(struct broker *b, enum hub_input_kind kind)
{
    if (b->follow_count == b->follow_cap) {
        const size_t cap = b->follow_cap > 0 ? b->follow_cap * 2 : BROKER_FOLLOWS_MAX;
        struct follow *list = realloc(b->follows, cap * sizeof *list);
        if (list == NULL) {
            log_write(&b->log, LOG_ERROR, "out of memory");
            b->ended = true;
            b->exit_code = 71;
            return NULL;
        }
        b->follows = list;
        b->follow_cap = cap;
    }
    struct follow *f = &b->follows[b->follow_count++];
    *f = (struct follow){.input = {.kind = kind}};
    return f;
}

static void
send_simple(struct broker *b, enum spawn_op op, int status)
{
    const struct spawn_record r = {
        .version = SPAWN_RECORDS_VERSION, .op = (uint16_t)op, .status = status};
    spawn_link_send(&b->spawner, &r, NULL);
}

static void
start(struct broker *b, const struct hub_effect *e)
{
    struct spawn_record r;
    char *text = malloc(SPAWN_TEXT_BYTES_MAX);
    log_write(&b->log, LOG_DEBUG, "starting %s/%u as process %llu", e->spec->name,
              (unsigned)e->replica, (unsigned long long)e->process);
    if (text != NULL && launch_record(e, b->url, b->notice_path, &r, text)) {
        spawn_link_send(&b->spawner, &r, text);
    } else {
        struct follow *f = broker_follow(b, HUB_IN_START_FAILED);
        if (f != NULL) {
            f->input.process.id = e->process;
            f->input.process.step = spawn_step_text(SPAWN_STEP_RECORD);
            f->input.process.error = strerror(E2BIG);
            f->input.process.never = true;
        }
    }
    free(text);
}

/* Its end is told as that of every process. */
static void
adopt(struct broker *b, const struct hub_effect *e)
{
    if (!notice_adopt(b->notice, e->process, e->pid)) {
        struct follow *f = broker_follow(b, HUB_IN_START_FAILED);
        if (f != NULL) {
            f->input.process.id = e->process;
            f->input.process.step = "watching the process that was started by hand";
            f->input.process.error = strerror(errno);
        }
        return;
    }
    struct follow *f = broker_follow(b, HUB_IN_STARTED);
    if (f != NULL) {
        f->input.process.id = e->process;
        f->input.process.pid = e->pid;
    }
}

static void
write_stack(struct broker *b, const struct hub_effect *e)
{
    char who[SPAWN_NAME_BYTES_MAX];
    (void)snprintf(who, sizeof who, "%s/%u", e->spec->name, (unsigned)e->replica);
    stack_write(&b->log, who, e->pid);
}

static void
send_signal(struct broker *b, const struct hub_effect *e)
{
    if (e->external) {
        notice_signal(b->notice, e->process, e->signal);
        return;
    }
    log_write(&b->log, LOG_DEBUG, "signal %d for process %llu%s", e->signal,
              (unsigned long long)e->process, e->group ? " and its group" : "");
    const struct spawn_record r = {.version = SPAWN_RECORDS_VERSION,
                                   .op = SPAWN_SIGNAL,
                                   .id = e->process,
                                   .signal = e->signal,
                                   .whole_group = e->group};
    spawn_link_send(&b->spawner, &r, NULL);
}

static void
give_env(struct broker *b, const struct hub_effect *e)
{
    struct follow *f = broker_follow(b, HUB_IN_LOGS);
    if (f != NULL) {
        f->input.logs.call = e->call;
        launch_list_environment(e, b->url, b->notice_path, &f->payload);
        if (f->payload.failed) {
            buf_deinit(&f->payload); /* no memory: the caller gets null, not half of it */
        }
    }
}

/* The samples are taken now: the answer is told before anything else comes. What is lent stands in
 * the payload, and `lent` is set to it when that has its place. */
static void
give_usage(struct broker *b, const struct hub_effect *e)
{
    struct follow *f = broker_follow(b, HUB_IN_USAGE);
    if (f == NULL) {
        return;
    }
    f->input.usage.call = e->call;
    f->usage = calloc(e->usage_count, sizeof *f->usage);
    for (size_t i = 0; f->usage != NULL && i < e->usage_count; i++) {
        f->usage[i] = e->usage[i];
        usage_sample(&f->usage[i]);
    }
    f->input.usage.list = f->usage;
    f->input.usage.count = f->usage != NULL ? e->usage_count : 0; /* none: as if all were gone */
    if (e->lent) {
        lender_sum(b->lender, &f->lent, &f->payload);
    }
}

static int64_t
stop_by_ns(const struct broker *b, int64_t since_ns)
{
    return since_ns + b->config->hub.stop_timeout_ms * 1000000;
}

static void
stopping(struct broker *b)
{
    send_simple(b, SPAWN_STOPPING, 0);
    b->stop_by_ns = stop_by_ns(b, b->now_ns);
    log_write(&b->log, LOG_INFO, "stopping");
}

static void
end(struct broker *b)
{
    b->ended = true;
    b->exit_code = 0;
}

static void
carry_out(struct broker *b, const struct hub_effect *e)
{
    switch (e->kind) {
    case HUB_OUT_REPLY: {
        const struct pieces body = pieces_cut(e->body, e->cuts, e->cut_count);
        link_server_reply(link_of(b, e->peer), e->request, &body);
        return;
    }
    case HUB_OUT_CLOSE:
        link_server_close_peer(link_of(b, e->peer), e->peer & ((UINT64_C(1) << LINK_SHIFT) - 1));
        return;
    case HUB_OUT_START:
        start(b, e);
        return;
    case HUB_OUT_SIGNAL:
        send_signal(b, e);
        return;
    case HUB_OUT_ADOPT:
        adopt(b, e);
        return;
    case HUB_OUT_STACK:
        write_stack(b, e);
        return;
    case HUB_OUT_RELOAD: {
        struct follow *f = broker_follow(b, HUB_IN_RELOAD);
        if (f != NULL) {
            f->input.reload.call = e->call;
        }
        return;
    }
    case HUB_OUT_LOGS:
        broker_give_logs(b, e);
        return;
    case HUB_OUT_LOG_LEVEL:
        broker_set_level(b, e);
        return;
    case HUB_OUT_SEND:
        broker_send_input(b, e);
        return;
    case HUB_OUT_ENV:
        give_env(b, e);
        return;
    case HUB_OUT_USAGE:
        give_usage(b, e);
        return;
    case HUB_OUT_EVENT:
        log_event(&b->log, e->topic, e->body);
        if (span_is(e->topic, "hub.admin")) {
            output_sweep(b->output); /* it may have taken a worker or some of its replicas away */
        }
        if (span_is(e->topic, "hub.reload")) {
            send_simple(b, SPAWN_RELOADED, 0);
        }
        return;
    case HUB_OUT_READY:
        send_simple(b, SPAWN_READY, 0);
        log_write(&b->log, LOG_INFO, "every worker is ready");
        return;
    case HUB_OUT_STOPPING:
        stopping(b);
        return;
    case HUB_OUT_END:
        end(b);
        return;
    }
}

static void
step(struct broker *b, struct hub_input *in)
{
    struct hub_effects effects;
    in->now_ns = b->now_ns;
    in->wall_us = b->wall_us;
    if (!hub_step(b->hub, in, &effects)) {
        /* A broker that could not tell what it decided is worth nothing: the next one starts clean.
         */
        log_write(&b->log, LOG_ERROR, "out of memory");
        b->ended = true;
        b->exit_code = 71;
    }
    for (size_t i = 0; i < effects.count; i++) {
        carry_out(b, &effects.list[i]);
    }
}

void
broker_feed(struct broker *b, struct hub_input *in)
{
    step(b, in);
    for (size_t i = 0; i < b->follow_count; i++) {
        struct follow f = b->follows[i]; /* the list may move when more is added */
        if (f.input.kind == HUB_IN_LOGS) {
            f.input.logs.payload = buf_span(&f.payload);
        }
        if (f.input.kind == HUB_IN_USAGE && !f.payload.failed) {
            f.input.usage.lent = &f.lent;
        }
        if (f.input.kind == HUB_IN_RELOAD) {
            b->reload_due = true; /* after this one is through: it is a step of its own */
            b->reload_call = f.input.reload.call;
        } else {
            step(b, &f.input);
        }
        buf_deinit(&f.payload);
        free(f.usage);
    }
    b->follow_count = 0;
    if (b->reload_due) {
        b->reload_due = false;
        (void)broker_reload(b, b->reload_call); /* the core tells whoever asked */
    }
}

/* ---- links ------------------------------------------------------------------------------------
 */

static void
opened(void *context, struct link_server *s, uint64_t peer, const struct link_cred *cred)
{
    struct broker *b = context;
    struct hub_input in = {.kind = HUB_IN_OPENED, .peer = peer_of(b, s, peer)};
    in.opened.local = cred->known && cred->local;
    in.opened.uid = cred->uid;
    in.opened.pid = cred->pid;
    in.opened.start_ticks = cred->start_ticks;
    log_write(&b->log, LOG_DEBUG, "connection %llu of pid %d, uid %u", (unsigned long long)in.peer,
              in.opened.local ? (int)cred->pid : 0, in.opened.local ? (unsigned)cred->uid : 0U);
    broker_feed(b, &in);
}

static void
message(void *context, struct link_server *s, uint64_t peer, uint64_t request, uint32_t sp_id,
        struct span body)
{
    struct broker *b = context;
    struct hub_input in = {.kind = HUB_IN_MESSAGE, .peer = peer_of(b, s, peer)};
    in.message.request = request;
    in.message.sp_id = sp_id;
    in.message.body = body;
    broker_feed(b, &in);
}

static void
oversized(void *context, struct link_server *s, uint64_t peer, uint64_t request,
          uint64_t size_bytes)
{
    struct broker *b = context;
    struct hub_input in = {.kind = HUB_IN_OVERSIZED, .peer = peer_of(b, s, peer)};
    in.message.request = request;
    in.message.size_bytes = size_bytes;
    broker_feed(b, &in);
}

static void
closed(void *context, struct link_server *s, uint64_t peer)
{
    struct broker *b = context;
    struct hub_input in = {.kind = HUB_IN_CLOSED, .peer = peer_of(b, s, peer)};
    log_write(&b->log, LOG_DEBUG, "connection %llu is closed", (unsigned long long)in.peer);
    broker_feed(b, &in);
}

const struct link_handler broker_link_handler = {
    .opened = opened, .message = message, .oversized = oversized, .closed = closed};

/* ---- the spawner ------------------------------------------------------------------------------
 */

/* `log`: the last words of one that has ended. */
static void
feed_process(struct broker *b, const struct spawn_record *r, enum hub_input_kind kind,
             struct span log)
{
    struct hub_input in = {.kind = kind};
    char step[LAUNCH_STEP_BYTES];
    launch_explain(r, hub_process_spec(b->hub, r->id), step);
    in.process.id = r->id;
    in.process.pid = r->pid;
    in.process.status = r->status;
    in.process.out_of_memory = r->out_of_memory != 0;
    in.process.error = r->why[0] != '\0' ? r->why : strerror(r->error);
    in.process.step = step;
    in.process.never = launch_never((enum spawn_step)r->step, r->error);
    in.process.name = r->name;
    in.process.log = log;
    broker_feed(b, &in);
}

/* The spawner has a template: nobody's replica, and only what it writes is for us. */
static void
note_template(struct broker *b, const struct spawn_record *r)
{
    const struct spawn_record forget = {
        .version = SPAWN_RECORDS_VERSION, .op = SPAWN_FORGET, .id = r->id};
    if (r->op == SPAWN_STARTED) {
        log_write(&b->log, LOG_DEBUG, "%s runs (pid %d)", r->name, (int)r->pid);
        return;
    }
    if (r->op == SPAWN_EXITED || r->op == SPAWN_FAILED) {
        output_end(b->output, r->id);
        log_write(&b->log, LOG_DEBUG, "%s has ended (pid %d)", r->name, (int)r->pid);
        spawn_link_send(&b->spawner, &forget, NULL);
    }
}

static void
note_exit(struct broker *b, const struct spawn_record *r)
{
    const struct spawn_record forget = {
        .version = SPAWN_RECORDS_VERSION, .op = SPAWN_FORGET, .id = r->id};
    struct buf words = {0};
    output_end(b->output, r->id);
    input_end(b->input, r->id);
    notice_forget(b->notice, r->id);
    output_last_words(b->output, r->name, r->id, &words);
    feed_process(b, r, HUB_IN_EXITED, words.failed ? (struct span){0} : buf_span(&words));
    buf_deinit(&words);
    spawn_link_send(&b->spawner, &forget, NULL);
}

/* It may get ready in a way that is to be looked for. */
static void
watch_start(struct broker *b, const struct spawn_record *r)
{
    const struct worker_spec *spec = hub_process_spec(b->hub, r->id);
    const char *slash = strchr(r->name, '/');
    if (spec != NULL && slash != NULL) {
        notice_watch(b->notice, r->id, spec, (uint32_t)strtoul(slash + 1, NULL, 10));
    }
}

/* The status counts up, and a new broker is told all of it at once. The stop may have begun with an
 * earlier broker: there is one budget for all of them. */
static void
ask_to_stop(struct broker *b, const struct spawn_record *r)
{
    struct hub_input in = {.kind = HUB_IN_STOP};
    for (; b->stop_level < r->status; b->stop_level++) {
        broker_feed(b, &in);
    }
    if (b->hurries == 0 && stop_by_ns(b, r->time_ns) < b->stop_by_ns) {
        b->stop_by_ns = stop_by_ns(b, r->time_ns);
    }
    send_simple(b, SPAWN_STOPPING, r->status);
}

void
broker_feed_record(struct broker *b, const struct spawn_record *r, int fd)
{
    const struct span nothing = {0};
    if (r->op == SPAWN_STARTED || r->op == SPAWN_ALIVE || r->op == SPAWN_EXITED) {
        broker_take_output(b, r, fd);
    } else if (r->op == SPAWN_INPUT && fd >= 0) {
        input_add(b->input, r->id, fd);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    if ((r->id & SPAWN_TEMPLATE) != 0) {
        note_template(b, r);
        return;
    }
    switch ((enum spawn_op)r->op) {
    case SPAWN_STARTED:
        feed_process(b, r, HUB_IN_STARTED, nothing);
        watch_start(b, r);
        return;
    case SPAWN_ALIVE:
        feed_process(b, r, HUB_IN_ALIVE, nothing);
        return;
    case SPAWN_FAILED:
        if (r->step != SPAWN_STEP_SIGNAL) {
            output_end(b->output, r->id);
            feed_process(b, r, HUB_IN_START_FAILED, nothing);
        }
        return;
    case SPAWN_EXITED:
        note_exit(b, r);
        return;
    case SPAWN_ALIVE_END: {
        struct hub_input in = {.kind = HUB_IN_CONFIGURED};
        b->configured = true;
        broker_feed(b, &in);
        send_simple(b, SPAWN_STOP_TIMEOUT, (int)b->config->hub.stop_timeout_ms);
        return;
    }
    case SPAWN_STOP:
        ask_to_stop(b, r);
        return;
    case SPAWN_RELOAD:
        if (!broker_reload(b, 0)) {
            send_simple(b, SPAWN_RELOADED, 0); /* else the event of its end tells it */
        }
        return;
    case SPAWN_PING:
        send_simple(b, SPAWN_PONG, 0);
        return;
    case SPAWN_REOPEN:
        output_reopen(b->output);
        log_write(&b->log, LOG_INFO, "the log files of the workers are opened anew");
        return;
    case SPAWN_INPUT: /* its descriptor was taken above */
        return;
    case SPAWN_INPUT_END:
    case SPAWN_START:
    case SPAWN_SIGNAL:
    case SPAWN_READY:
    case SPAWN_STOPPING:
    case SPAWN_END:
    case SPAWN_FORGET:
    case SPAWN_STOP_TIMEOUT:
    case SPAWN_PONG:
    case SPAWN_RELOADED:
        break;
    }
    log_write(&b->log, LOG_ERROR, "the spawner sent a record %d, which only a broker sends",
              (int)r->op);
}
