/* The hub's methods about what workers write and read: the shell has the lines and the pipes, here
 * is who may be named, and what is asked of the shell. */
#include "broker/core/admin.h"

#include <stdio.h>

enum {
    LOG_LINES = 20,
    LOG_LINES_MAX = 1000,
    FOLLOW_WORKERS_MAX = 64,
    FOLLOW_WAIT_MS_MAX = 60000,
    LOG_WORD_BYTES = 80, /* of a name in the list of an effect: "detector/0" */
};

/* A level that an argument says; false after it was refused. */
static bool
read_level(const struct request *q, enum admin_param p, enum spec_level *level)
{
    if (q->value[p].len == 0 || spec_level_read(admin_text(q, p), level)) {
        return true;
    }
    admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, "level must be error, warn, info or debug");
    return false;
}

static uint32_t
line_count(const struct request *q, enum admin_param p)
{
    const uint64_t lines = admin_uint(q, p, LOG_LINES);
    return (uint32_t)(lines > LOG_LINES_MAX ? LOG_LINES_MAX : lines);
}

/* One name more in the list of an effect. */
static void
put_name(struct buf *names, const struct worker *w, int64_t only)
{
    char text[LOG_WORD_BYTES];
    int n = snprintf(text, sizeof text, "%s", w->spec->name);
    if (only >= 0) {
        n = snprintf(text, sizeof text, "%s/%d", w->spec->name, (int)only);
    }
    buf_put(names, text, (size_t)n + 1);
}

/* Ask the shell for lines of those in hub->scratch. */
static struct hub_effect *
ask_lines(const struct request *q, enum admin_param lines)
{
    struct hub_effect *e = effect_add(q->hub, HUB_OUT_LOGS);
    if (e != NULL) {
        e->call = q->call->number;
        e->lines = line_count(q, lines);
        e->level = SPEC_LEVEL_DEBUG;
        e->body = effect_bytes(q->hub, buf_span(&q->hub->scratch));
    }
    return e;
}

void
admin_logs(struct request *q)
{
    int64_t only;
    struct worker *w = admin_worker(q, PARAM_logs_worker, &only);
    buf_reset(&q->hub->scratch, SIZE_MAX);
    if (w != NULL) {
        put_name(&q->hub->scratch, w, only);
        (void)ask_lines(q, PARAM_logs_lines); /* without memory the whole step fails */
    }
}

/* The names of an argument into hub->scratch; false after one was refused. */
static bool
read_names(const struct request *q, enum admin_param p)
{
    struct span list = q->value[p];
    struct mp_item head = {0}, name;
    buf_reset(&q->hub->scratch, SIZE_MAX);
    if (list.len == 0) {
        return true;
    }
    (void)mp_next(&list, &head);
    if (head.count > FOLLOW_WORKERS_MAX) {
        admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, "at most 64 workers can be named; none is all");
        return false;
    }
    for (uint32_t i = 0; i < head.count && mp_next(&list, &name); i++) {
        int64_t only;
        const struct worker *w = admin_find(q, name.bytes, &only);
        if (w == NULL) {
            return false;
        }
        put_name(&q->hub->scratch, w, only);
    }
    return true;
}

void
admin_follow(struct request *q)
{
    enum spec_level level = SPEC_LEVEL_DEBUG;
    const uint64_t wait_ms = admin_uint(q, PARAM_follow_wait_ms, 0);
    if (!read_level(q, PARAM_follow_level, &level) || !read_names(q, PARAM_follow_workers)) {
        return;
    }
    struct hub_effect *e = ask_lines(q, PARAM_follow_lines);
    if (e == NULL) {
        return;
    }
    e->level = level;
    e->logs.follows = true;
    e->logs.since_us = admin_uint(q, PARAM_follow_since_us, 0);
    e->logs.wait_ms = wait_ms > FOLLOW_WAIT_MS_MAX ? FOLLOW_WAIT_MS_MAX : wait_ms;
    e->logs.after = effect_bytes(q->hub, admin_text(q, PARAM_follow_after));
}

void
admin_logs_came(struct hub *hub, const struct hub_input *in)
{
    struct call *call = call_by_number(hub, in->logs.call);
    if (call == NULL) {
        return;
    }
    if (in->logs.refused != NULL) {
        call_fail(hub, call, WIRE_ERR_INVALID_ARGUMENT, WIRE_BEGAN_NO, in->logs.refused);
    } else {
        call_result(hub, call, in->logs.payload);
    }
}

void
admin_log_level(struct request *q)
{
    int64_t only = -1;
    enum spec_level level = SPEC_LEVEL_INFO;
    struct worker *w = NULL;
    const bool is_worker = q->value[PARAM_log_level_worker].len > 0 &&
                           !span_is(admin_text(q, PARAM_log_level_worker), "hub");
    if (!read_level(q, PARAM_log_level_level, &level)) {
        return;
    }
    if (is_worker && (w = admin_worker(q, PARAM_log_level_worker, &only)) == NULL) {
        return;
    }
    if (only >= 0) {
        admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, "a level is that of a worker, not of one replica");
        return;
    }
    struct hub_effect *e = effect_add(q->hub, HUB_OUT_LOG_LEVEL);
    if (e != NULL) {
        e->spec = w != NULL ? effect_spec(q->hub, w->spec) : NULL;
        e->level = level;
        admin_done(q);
    }
}

/* ---- stdin ------------------------------------------------------------------------------------
 */

/* The replica that bytes can be sent to; NULL after it was refused. */
static struct replica *
find_reader(struct request *q)
{
    int64_t only;
    char text[200];
    struct worker *w = admin_worker(q, PARAM_send_replica, &only);
    if (w == NULL) {
        return NULL;
    }
    if (only < 0 && w->replica_count != 1) {
        (void)snprintf(text, sizeof text, "%s has %u replicas: name one, as %s/0", w->spec->name,
                       (unsigned)w->replica_count, w->spec->name);
        admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, text);
        return NULL;
    }
    struct replica *r = w->replicas[only < 0 ? 0 : only];
    if (!w->spec->output.takes_input) {
        (void)snprintf(text, sizeof text, "%s reads nothing: it has no 'stdin: pipe'",
                       w->spec->name);
        admin_fail(q, WIRE_ERR_FAILED_PRECONDITION, text);
        return NULL;
    }
    if (r->process == 0 || r->pid <= 0) {
        (void)snprintf(text, sizeof text, "%s/%u is %s", w->spec->name, (unsigned)r->index,
                       life_text(r->life));
        admin_fail(q, WIRE_ERR_UNAVAILABLE, text);
        return NULL;
    }
    return r;
}

void
admin_send(struct request *q)
{
    if (admin_text(q, PARAM_send_data).len > HUB_SEND_BYTES_MAX) {
        admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, "at most 65536 bytes can be sent at a time");
        return;
    }
    const struct replica *r = find_reader(q);
    struct hub_effect *e = r == NULL ? NULL : effect_add(q->hub, HUB_OUT_SEND);
    if (e != NULL) {
        e->call = q->call->number;
        e->process = r->process;
        e->body = effect_bytes(q->hub, admin_text(q, PARAM_send_data));
        e->ends = admin_bool(q, PARAM_send_end);
    }
}

void
admin_sent(struct hub *hub, const struct hub_input *in)
{
    char text[160];
    struct call *call = call_by_number(hub, in->sent.call);
    if (call == NULL) {
        return;
    }
    switch (in->sent.what) {
    case HUB_SENT:
        call_result(hub, call, (struct span){0});
        return;
    case HUB_SENT_FULL:
        (void)snprintf(text, sizeof text,
                       "the program does not read: %llu bytes wait for it already",
                       (unsigned long long)in->sent.held_bytes);
        call_fail(hub, call, WIRE_ERR_RESOURCE_EXHAUSTED, WIRE_BEGAN_NO, text);
        return;
    case HUB_SENT_CLOSED:
        call_fail(hub, call, WIRE_ERR_UNAVAILABLE, WIRE_BEGAN_NO, "the program's stdin is closed");
        return;
    }
}
