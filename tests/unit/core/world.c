/* A hub and the world around it: see world.h. */
#include "tests/unit/core/world.h"

#include "tests/unit/core/notation.h"
#include "tests/unit/core/world_inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint8_t world_nil[1] = {0};

static void
die(const char *what)
{
    (void)fprintf(stderr, "world: %s\n", what);
    abort();
}

void
world_disappoint(struct world *w, const char *what)
{
    if (w->out != NULL) {
        longjmp(*w->out, 1);
    }
    die(what);
}

/* ---- steps and what comes of them ------------------------------------------------------------ */

static void
close_request(struct world *w, uint64_t request)
{
    for (size_t i = 0; i < w->open_count; i++) {
        if (w->open[i] == request) {
            w->open[i] = w->open[--w->open_count];
            return;
        }
    }
    die("a reply to a request that is not open");
}

static void
keep_reply(struct world *w, const struct hub_effect *e)
{
    struct wire_diag diag;
    close_request(w, e->request);
    if (w->reply_count == WORLD_REPLIES) { /* the older half is forgotten */
        for (size_t i = 0; i < WORLD_REPLIES / 2; i++) {
            buf_deinit(&w->replies[i].bytes);
        }
        w->reply_count = WORLD_REPLIES / 2;
        memmove(w->replies, &w->replies[WORLD_REPLIES / 2], sizeof w->replies / 2);
    }
    struct reply *r = &w->replies[w->reply_count++];
    *r = (struct reply){.peer = e->peer, .request = e->request};
    const struct pieces body = pieces_cut(e->body, e->cuts, e->cut_count);
    buf_put_pieces(&r->bytes, &body, 0);
    r->count = record_message(buf_span(&r->bytes), r->record, 8, &diag);
    if (r->count == 0) {
        die(diag.text);
    }
}

static void
keep_process(struct world *w, const struct hub_effect *e)
{
    if (w->process_count == WORLD_PROCESSES) {
        die("too many processes");
    }
    struct process *p = &w->process[w->process_count++];
    *p = (struct process){.id = e->process, .edition = e->edition}; /* its number tells its pid */
    (void)snprintf(p->name, sizeof p->name, "%s/%u", e->spec->name, (unsigned)e->replica);
    (void)snprintf(p->token, sizeof p->token, "%s", e->token);
}

static void
keep_signal(struct world *w, const struct hub_effect *e)
{
    for (size_t i = 0; i < w->process_count; i++) {
        if (w->process[i].id == e->process) {
            w->process[i].signal = e->signal;
            w->process[i].signalled = true;
            w->process[i].signals++;
            w->process[i].killed |= e->signal == 9 && e->group;
            return;
        }
    }
    w->strangers++;
}

/* The keys that proto/tbl/events.def promises of a topic, NULL for a topic that it does not know.
 */
static const char *
promised_keys(struct span topic)
{
    static const struct {
        const char *topic, *keys;
    } rows[] = {
#define EVENT(name, topic, keys, when) {topic, keys},
#include "proto/tbl/events.def"
#undef EVENT
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (span_is(topic, rows[i].topic)) {
            return rows[i].keys;
        }
    }
    return NULL;
}

/* Whether a list "a, b, c" has this word. */
static bool
has_word(const char *list, struct span word)
{
    for (const char *at = list; *at != '\0'; at += strspn(at, ", ")) {
        const size_t len = strcspn(at, ", ");
        if (span_equal((struct span){(const uint8_t *)at, len}, word)) {
            return true;
        }
        at += len;
    }
    return false;
}

static void
keep_event(struct world *w, const struct hub_effect *e)
{
    const size_t n = strlen(w->events);
    const char *keys = promised_keys(e->topic);
    struct mp_item head, key;
    struct span body = e->body, value;
    if (!mp_next(&body, &head) || head.kind != MP_MAP) {
        die("an event of the hub is not a map");
    }
    if (keys == NULL) {
        die("an event of the hub is not in proto/tbl/events.def");
    }
    for (uint32_t i = 0; i < head.count; i++) {
        if (!mp_next(&body, &key) || !has_word(keys, key.bytes) || !mp_skip(&body, &value)) {
            die("a key of an event of the hub is not in proto/tbl/events.def");
        }
    }
    if (n + e->topic.len + 2 < sizeof w->events) {
        (void)snprintf(w->events + n, sizeof w->events - n, "%.*s ", (int)e->topic.len,
                       (const char *)e->topic.data);
    }
}

/* What it is answered with: numbers that tell the pid of the process. */
static void
keep_usage(struct world *w, const struct hub_effect *e)
{
    w->usage_asked = true;
    w->usage_call = e->call;
    w->usage_count = 0;
    for (size_t i = 0; i < e->usage_count && i < WORLD_PROCESSES; i++) {
        struct hub_usage *u = &w->usage[w->usage_count++];
        *u = e->usage[i];
        u->known = true;
        u->threads = 1;
        u->cpu_ms = u->pid * 10;
        u->rss_bytes = (uint64_t)u->pid * 4096;
    }
}

static void
keep(struct world *w, const struct hub_effect *e)
{
    switch (e->kind) {
    case HUB_OUT_REPLY:
        keep_reply(w, e);
        return;
    case HUB_OUT_CLOSE:
        w->closes++;
        return;
    case HUB_OUT_START:
        keep_process(w, e);
        return;
    case HUB_OUT_SIGNAL:
        keep_signal(w, e);
        return;
    case HUB_OUT_ENV:
        w->logs = *e;
        (void)snprintf(w->logs_worker, sizeof w->logs_worker, "%s", e->spec->name);
        return;
    case HUB_OUT_LOGS:
        w->logs = *e;
        (void)snprintf(w->logs_worker, sizeof w->logs_worker, "%.*s", (int)e->body.len,
                       e->body.len > 0 ? (const char *)e->body.data : "");
        return;
    case HUB_OUT_LOG_LEVEL:
        w->level = *e;
        return;
    case HUB_OUT_SEND:
        w->sent = *e;
        (void)snprintf(w->sent_bytes, sizeof w->sent_bytes, "%.*s", (int)e->body.len,
                       e->body.len > 0 ? (const char *)e->body.data : "");
        return;
    case HUB_OUT_ADOPT:
        w->adopted = e->process;
        w->adopted_pid = e->pid;
        return;
    case HUB_OUT_STACK:
        w->stacks++;
        return;
    case HUB_OUT_RELOAD:
        w->reload = e->call;
        return;
    case HUB_OUT_USAGE:
        keep_usage(w, e);
        return;
    case HUB_OUT_READY:
        w->ready = true;
        return;
    case HUB_OUT_STOPPING:
        w->stopping = true;
        return;
    case HUB_OUT_END:
        w->ended = true;
        return;
    case HUB_OUT_EVENT:
        keep_event(w, e);
        return;
    }
}

static void
step(struct world *w, struct hub_input *in)
{
    struct hub_effects out;
    in->now_ns = w->now_ns;
    in->wall_us = (uint64_t)w->now_ns / 1000;
    if (w->inside != NULL) {
        w->inside(true);
    }
    const bool ok = hub_step(w->hub, in, &out);
    if (w->inside != NULL) {
        w->inside(false);
    }
    if (!ok) {
        world_disappoint(w, "hub_step failed");
    }
    w->effects += out.count;
    for (size_t i = 0; i < out.count; i++) {
        keep(w, &out.list[i]);
    }
    hub_check(w->hub);
    if (w->usage_asked && !w->holds_usage) {
        world_usage(w);
    }
}

void
world_usage(struct world *w)
{
    struct hub_input in = {.kind = HUB_IN_USAGE};
    in.usage.call = w->usage_call;
    in.usage.list = w->usage;
    in.usage.count = w->usage_count;
    w->usage_asked = false;
    step(w, &in);
}

void
world_step(struct world *w, struct hub_input *in)
{
    w->effects = 0;
    step(w, in);
    if (!w->crowd) {
        world_turn(w);
    }
}

void
world_turn(struct world *w)
{
    step(w, &(struct hub_input){.kind = HUB_IN_TURN});
}

void
world_options(struct hub_options *options)
{
    *options = (struct hub_options){
        .secret = "sixteen secrets",
        .name = "test",
        .version = "1",
        .epoch = 1,
        .events_bytes = 65536,
        .message_bytes = 1 << 20,
        .drain_ms = 30000,
        .token = {(const uint8_t *)"a token of the network", 22},
    };
}

bool
world_init_with(struct world *w, const struct hub_options *options)
{
    memset(w, 0, sizeof *w);
    w->now_ns = 1000000000;
    w->next_request = 1;
    w->capacity = 100;
    memcpy(w->client, "client of a test", sizeof w->client);
    w->hub = hub_new(options);
    return w->hub != NULL;
}

void
world_init(struct world *w)
{
    struct hub_options options;
    world_options(&options);
    if (!world_init_with(w, &options)) {
        die("hub_new failed");
    }
}

void
world_deinit(struct world *w)
{
    for (size_t i = 0; i < w->reply_count; i++) {
        buf_deinit(&w->replies[i].bytes);
    }
    buf_deinit(&w->message);
    hub_free(w->hub);
}

void
world_worker(struct world *w, const char *name, void (*set)(struct worker_spec *))
{
    struct worker_spec spec;
    spec_defaults(&spec);
    spec.name = name;
    spec.launch = (struct launch){.argc = 1, .text = "\0true", .text_bytes = 6};
    if (set != NULL) {
        set(&spec);
    }
    world_step(w, &(struct hub_input){.kind = HUB_IN_WORKER, .worker = {&spec}});
}

void
world_configured(struct world *w)
{
    world_step(w, &(struct hub_input){.kind = HUB_IN_CONFIGURED});
}

void
world_stop(struct world *w)
{
    world_step(w, &(struct hub_input){.kind = HUB_IN_STOP});
}

struct buf *
world_message(struct world *w)
{
    buf_reset(&w->message, SIZE_MAX);
    return &w->message;
}

static void
open_peer(struct world *w, uint64_t peer, bool local)
{
    struct hub_input in = {.kind = HUB_IN_OPENED, .peer = peer};
    in.opened.local = local;
    in.opened.uid = peer >= 900 && peer < 1000 ? 1000 : 0;
    in.opened.pid = (int32_t)(100 + peer % 10);
    in.opened.start_ticks = 7;
    world_step(w, &in);
}

void
world_open(struct world *w, uint64_t peer)
{
    open_peer(w, peer, true);
}

void
world_open_network(struct world *w, uint64_t peer)
{
    open_peer(w, peer, false);
}

void
world_close(struct world *w, uint64_t peer)
{
    /* Whatever was open on it is answered by nobody; the test does not look at it again. */
    world_step(w, &(struct hub_input){.kind = HUB_IN_CLOSED, .peer = peer});
}

uint64_t
world_send_as(struct world *w, uint64_t peer, uint32_t sp_id, struct span body)
{
    struct hub_input in = {.kind = HUB_IN_MESSAGE, .peer = peer};
    in.message.request = w->next_request++;
    in.message.sp_id = sp_id;
    in.message.body = body;
    if (w->open_count == sizeof w->open / sizeof w->open[0]) {
        die("too many open requests");
    }
    w->open[w->open_count++] = in.message.request;
    world_step(w, &in);
    return in.message.request;
}

uint64_t
world_send(struct world *w, uint64_t peer, struct span body)
{
    return world_send_as(w, peer, 0x80000000u | (uint32_t)w->next_request, body);
}

/* ---- what is said ------------------------------------------------------------------ */

__attribute__((format(printf, 4, 0))) static uint64_t
say(struct world *w, uint64_t peer, uint32_t sp_id, const char *format, va_list args)
{
    struct buf *b = world_message(w);
    const int n = vsnprintf(w->text, sizeof w->text, format, args);
    if (n < 0 || (size_t)n >= sizeof w->text) {
        die("what is to be said is too long");
    }
    notation_write(b, w->text);
    return world_send_as(w, peer, sp_id, buf_span(b));
}

uint64_t
world_say(struct world *w, uint64_t peer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const uint64_t request = say(w, peer, 0x80000000u | (uint32_t)w->next_request, format, args);
    va_end(args);
    return request;
}

uint64_t
world_say_as(struct world *w, uint64_t peer, uint32_t sp_id, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const uint64_t request = say(w, peer, sp_id, format, args);
    va_end(args);
    return request;
}

const char *
world_text(struct world *w, uint64_t request)
{
    const struct reply *r = world_reply(w, request);
    struct shown s = {w->text, 0, sizeof w->text};
    struct span rest = r == NULL ? (struct span){0} : buf_span(&r->bytes);
    w->text[0] = '\0';
    for (size_t i = 0; rest.len > 0; i++) {
        struct mp_item head, op;
        if (!mp_next(&rest, &head) || !mp_next(&rest, &op)) {
            die("not a record");
        }
        notation_put(&s, "%s%s", i > 0 ? "; " : "", wire_record_row(r->record[i].record)->name);
        for (uint32_t k = 1; k < head.count; k++) {
            notation_put(&s, " ");
            notation_show(&s, &rest);
        }
    }
    return w->text;
}

bool
world_says(struct world *w, uint64_t request, const char *part)
{
    return strstr(world_text(w, request), part) != NULL;
}

/* ---- time ------------------------------------------------------------------------------------ */

void
world_pass_ms(struct world *w, int64_t ms)
{
    const int64_t end = w->now_ns + ms * 1000000;
    int64_t at;
    while ((at = hub_deadline_ns(w->hub)) <= end) {
        w->now_ns = at > w->now_ns ? at : w->now_ns;
        world_step(w, &(struct hub_input){.kind = HUB_IN_TIME});
    }
    w->now_ns = end;
    world_step(w, &(struct hub_input){.kind = HUB_IN_TIME});
}

/* ---- replies --------------------------------------------------------------------------------- */

struct reply *
world_reply(struct world *w, uint64_t request)
{
    for (size_t i = 0; i < w->reply_count; i++) {
        if (w->replies[i].request == request) {
            return &w->replies[i];
        }
    }
    return NULL;
}

const struct record *
world_expect(struct world *w, uint64_t request, size_t n, enum wire_record record)
{
    const struct reply *r = world_reply(w, request);
    if (r == NULL || n >= r->count) {
        world_disappoint(w, "there is no such reply");
    }
    if (r->record[n].record != record) {
        if (w->out == NULL) {
            (void)fprintf(stderr, "wanted %s, got %s\n", wire_record_row(record)->name,
                          world_text(w, request));
        }
        world_disappoint(w, "another reply than expected");
    }
    return &r->record[n];
}

/* ---- clients --------------------------------------------------------------------------------- */

static void
write_client(struct world *w, struct buf *b, const uint8_t *client)
{
    if (client == world_nil) {
        write_nil(b);
    } else {
        write_bin(b, (struct span){client != NULL ? client : w->client, 16});
    }
}

uint64_t
world_call(struct world *w, uint64_t peer, const struct world_call *c)
{
    struct buf *b = world_message(w);
    write_op(b, WIRE_CALL);
    write_client(w, b, c->client);
    write_uint(b, c->seq);
    write_uint(b, c->ack);
    write_text(b, c->worker);
    write_text(b, c->method);
    write_uint(b, c->ttl_ms);
    write_nil(b);
    write_map(b, 0);
    const uint64_t request = world_send(w, peer, buf_span(b));
    return request;
}

int
world_outcome(struct world *w, uint64_t request, unsigned *began)
{
    const struct reply *r = world_reply(w, request);
    if (r == NULL || r->record[0].record == WIRE_REC_PENDING) {
        return -1;
    }
    if (r->record[0].record == WIRE_REC_RESULT) {
        return 0;
    }
    const struct record *e = world_expect(w, request, 0, WIRE_REC_ERROR);
    if (began != NULL) {
        *began = (unsigned)RECORD_FIELD(e, ERROR, BEGAN)->item.uint;
    }
    return (int)RECORD_FIELD(e, ERROR, CODE)->item.uint;
}

static uint64_t
ask_hub(struct world *w, const char *method, const char *name, const char *value)
{
    static const uint8_t admin[16] = "the admin client";
    struct buf *b = world_message(w);
    world_open(w, 800);
    write_op(b, WIRE_CALL);
    write_bin(b, (struct span){admin, 16});
    write_uint(b, w->next_request);
    write_uint(b, w->next_request - 1);
    write_text(b, "hub");
    write_text(b, method);
    write_uint(b, 1000);
    write_nil(b);
    write_map(b, name != NULL ? 1 : 0);
    if (name != NULL) {
        write_text(b, name);
        write_text(b, value);
    }
    const uint64_t request = world_send(w, 800, buf_span(b));
    world_close(w, 800);
    return request;
}

int
world_admin(struct world *w, const char *method, const char *name, const char *value)
{
    return world_outcome(w, ask_hub(w, method, name, value), NULL);
}

/* The value of a text key anywhere behind `after` in the bytes; good enough for status. */
static struct span
value_behind(struct span s, const char *key)
{
    struct mp_item item;
    while (s.len > 0 && mp_next(&s, &item)) {
        if (item.kind == MP_STR && span_is(item.bytes, key)) {
            return s;
        }
    }
    return (struct span){0};
}

const char *
world_state(struct world *w, const char *name)
{
    const uint64_t request = ask_hub(w, "status", NULL, NULL);
    const struct record *r = world_expect(w, request, 0, WIRE_REC_RESULT);
    struct span s = value_behind(RECORD_FIELD(r, RESULT, VALUE)->raw, name);
    struct mp_item state;
    s = value_behind(s, "state");
    if (s.len == 0 || !mp_next(&s, &state)) {
        return "none";
    }
    (void)snprintf(w->state, sizeof w->state, "%.*s", (int)state.bytes.len,
                   (const char *)state.bytes.data);
    return w->state;
}

/* ---- what many stories begin with ------------------------------------------------------------ */

void
world_begin(struct world *w, void (*set)(struct worker_spec *))
{
    world_init(w);
    world_worker(w, "echo", set);
    world_configured(w);
    world_open(w, WORLD_CLIENT);
    world_open(w, WORLD_ADMIN);
}

void
world_tell(struct world *w, const char *method, const char *worker)
{
    if (world_admin(w, method, "worker", worker) != 0) {
        (void)fprintf(stderr, "%s %s: ", method, worker);
        world_disappoint(w, "it was refused");
    }
}

uint64_t
world_call_echo(struct world *w, uint64_t seq)
{
    return world_call(w, WORLD_CLIENT,
                      &(struct world_call){"echo", "echo", seq, 0, WIRE_TTL_MS_MAX, NULL});
}
