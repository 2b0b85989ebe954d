/* The hub under arbitrary input: bytes become connections, messages (raw or well formed), processes
 * that start, attach, poll, report and die, news of streams, and time that passes. After each step
 * every invariant must hold, and every reply must be to a request that is open and be well formed
 * itself. */
#include "broker/core/hub.h"
#include "proto/record.h"
#include "proto/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PEERS = 6,
    PROCESSES = 8,
    OPEN_MAX = 4096,
    RICH = 16, /* what is at least this does the same with more to choose from */
};

struct proc {
    uint64_t id, session, taken;
    char name[80], token[64];
    bool started;
};

struct run {
    struct hub *hub;
    int64_t now_ns;
    const uint8_t *data;
    size_t len;
    bool open_peer[PEERS];
    uint64_t peer_id[PEERS], next_peer, next_request, steps;
    struct proc proc[PROCESSES];
    size_t proc_count;
    struct {
        uint64_t request, peer;
        size_t proc; /* PROCESSES: none */
    } asked[OPEN_MAX];
    size_t asked_count;
    uint64_t given[16];
    size_t given_count;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t
take(struct run *r)
{
    if (r->len == 0) {
        return 0;
    }
    r->len--;
    return *r->data++;
}

static struct proc *
proc_of(struct run *r, uint8_t n)
{
    return r->proc_count == 0 ? NULL : &r->proc[n % r->proc_count];
}

static void
learn_record(struct run *r, struct proc *p, const struct record *rec)
{
    struct field f;
    struct record item;
    if (p == NULL) {
        return;
    }
    if (rec->record == WIRE_REC_WELCOME &&
        record_key(RECORD_FIELD(rec, WELCOME, ABOUT), WIRE_KEY_WELCOME_session, &f)) {
        p->session = f.item.uint;
        p->taken = 0;
    }
    if (rec->record == WIRE_REC_WORK) {
        struct span items = RECORD_FIELD(rec, WORK, ITEMS)->inside;
        p->taken = RECORD_FIELD(rec, WORK, NUMBER)->item.uint;
        while (record_item(&items, WIRE_REC_WORK_ITEM, &item)) {
            r->given[r->given_count++ % 16] = RECORD_FIELD(&item, WORK_ITEM, CALL)->item.uint;
        }
    }
}

static void
learn_reply(struct run *r, const struct hub_effect *e)
{
    static struct record records[WIRE_RECORDS_MAX + 8];
    struct wire_diag diag;
    size_t i = 0;
    while (i < r->asked_count && r->asked[i].request != e->request) {
        i++;
    }
    if (i == r->asked_count) {
        abort(); /* an answer to nothing */
    }
    struct buf whole = {0};
    const struct pieces body = pieces_cut(e->body, e->cuts, e->cut_count);
    buf_put_pieces(&whole, &body, 0);
    const size_t n =
        record_message(buf_span(&whole), records, sizeof records / sizeof records[0], &diag);
    if (n == 0) {
        abort(); /* the hub does not speak its own protocol */
    }
    for (size_t k = 0; k < n; k++) {
        learn_record(r, r->asked[i].proc < PROCESSES ? &r->proc[r->asked[i].proc] : NULL,
                     &records[k]);
    }
    r->asked[i] = r->asked[--r->asked_count];
    buf_deinit(&whole);
}

static void
learn_start(struct run *r, const struct hub_effect *e)
{
    struct proc *p = NULL;
    char name[80];
    (void)snprintf(name, sizeof name, "%s/%u", e->spec->name, (unsigned)e->replica);
    for (size_t i = 0; i < r->proc_count; i++) {
        p = strcmp(r->proc[i].name, name) == 0 ? &r->proc[i] : p;
    }
    if (p == NULL && r->proc_count < PROCESSES) {
        p = &r->proc[r->proc_count++];
    }
    if (p != NULL) {
        *p = (struct proc){.id = e->process};
        (void)snprintf(p->name, sizeof p->name, "%s", name);
        (void)snprintf(p->token, sizeof p->token, "%s", e->token);
    }
}

static void
forget_peer(struct run *r, uint64_t peer)
{
    for (size_t i = 0; i < r->asked_count;) {
        if (r->asked[i].peer == peer) {
            r->asked[i] = r->asked[--r->asked_count];
        } else {
            i++;
        }
    }
}

/* The sample that is asked for last is answered when the step is over, as the shell does. */
static void
learn_usage(const struct hub_effect *e, struct hub_input *answer, struct hub_usage usage[PROCESSES])
{
    static const uint8_t streams[] = {0xa3, 'c', 'a', 'm', 0x81, 0xa2, 'u', 'p', 0xc3};
    static const struct hub_lent lent = {.bytes = 4096,
                                         .bytes_max = 1 << 30,
                                         .buffers = 1,
                                         .connections = 2,
                                         .silent = 1,
                                         .stream_count = 1,
                                         .streams = {streams, sizeof streams}};
    *answer = (struct hub_input){.kind = HUB_IN_USAGE};
    answer->usage.call = e->call;
    answer->usage.list = usage;
    answer->usage.lent = e->lent && e->usage_count % 2 == 0 ? &lent : NULL;
    for (size_t i = 0; i < e->usage_count && i < PROCESSES; i++) {
        usage[i] = e->usage[i];
        usage[i].known = usage[i].pid % 3 != 0;
        usage[i].cpu_ms = usage[i].pid;
        answer->usage.count++;
    }
}

static void
step_once(struct run *r, struct hub_input *in)
{
    struct hub_effects out;
    struct hub_input answer = {.kind = HUB_IN_TIME};
    struct hub_usage usage[PROCESSES];
    in->now_ns = r->now_ns;
    in->wall_us = (uint64_t)r->now_ns / 1000;
    if (!hub_step(r->hub, in, &out)) {
        abort();
    }
    for (size_t i = 0; i < out.count; i++) {
        if (out.list[i].kind == HUB_OUT_REPLY) {
            learn_reply(r, &out.list[i]);
        } else if (out.list[i].kind == HUB_OUT_START) {
            learn_start(r, &out.list[i]);
        } else if (out.list[i].kind == HUB_OUT_USAGE) {
            learn_usage(&out.list[i], &answer, usage);
        }
    }
    hub_check(r->hub);
    if (answer.kind == HUB_IN_USAGE) {
        step_once(r, &answer);
    }
}

/* Some inputs come together before a turn ends. */
static void
step(struct run *r, struct hub_input *in)
{
    step_once(r, in);
    if (++r->steps % 4 != 0) {
        step_once(r, &(struct hub_input){.kind = HUB_IN_TURN});
    }
}

static void
send_bytes(struct run *r, uint8_t peer, size_t proc, struct span body)
{
    const size_t p = peer % PEERS;
    if (!r->open_peer[p] || r->asked_count == OPEN_MAX) {
        return;
    }
    struct hub_input in = {.kind = HUB_IN_MESSAGE, .peer = r->peer_id[p]};
    in.message.request = ++r->next_request;
    in.message.sp_id = 0x80000000u | (uint32_t)(body.len & 3);
    in.message.body = body;
    r->asked[r->asked_count].request = in.message.request;
    r->asked[r->asked_count].peer = in.peer;
    r->asked[r->asked_count++].proc = proc;
    step(r, &in);
}

static void
write_client(struct buf *b, uint8_t n)
{
    uint8_t id[16] = {0};
    id[0] = n & 3;
    if ((n & 4) != 0) {
        write_nil(b);
    } else {
        write_bin(b, (struct span){id, sizeof id});
    }
}

static void
write_call(struct run *r, struct buf *b)
{
    static const char *const targets[] = {"w", "w/0", "w/1", "hub", "x"};
    static const char *const methods[] = {"echo",  "again", "status", "restart", "stop",
                                          "start", "scale", "logs",   "describe"};
    static const uint16_t ttls[] = {0, 1, 50, 30000};
    write_op(b, WIRE_CALL);
    write_client(b, take(r));
    write_uint(b, take(r) + 1u);
    write_uint(b, take(r) / 4);
    write_text(b, targets[take(r) % 5]);
    write_text(b, methods[take(r) % 9]);
    write_uint(b, ttls[take(r) % 4]);
    write_map(b, 1);
    write_text(b, "progress");
    write_bool(b, true);
    write_map(b, 1);
    write_text(b, "worker");
    write_text(b, "w");
}

/* The number of a call that some worker was given; one that nobody knows before there was any. */
static uint64_t
given_of(struct run *r)
{
    return r->given[take(r) % 16] + (r->given_count == 0);
}

/* A method of the hub itself with arguments that may be its own. */
static void
write_hub_call(struct run *r, struct buf *b)
{
    static const struct {
        const char *method, *text; /* text: its first argument, NULL for a number */
    } rows[] = {{"lease", "w"},       {"lease", "w/0"},   {"renew", "w/0"},   {"renew", "w/1"},
                {"release", "w/0"},   {"release", "w/1"}, {"dlq_show", NULL}, {"dlq_retry", NULL},
                {"dlq_drop", NULL},   {"restart", "w"},   {"stop", "w/0"},    {"start", "w"},
                {"dlq_list", "none"}, {"status", "none"}, {"remove", "w"},    {"scale", "w"},
                {"metrics", "none"}};
    static const uint16_t numbers[] = {1, 2, 100, 2000};
    const size_t row = take(r) % (sizeof rows / sizeof rows[0]);
    const bool none = rows[row].text != NULL && strcmp(rows[row].text, "none") == 0;
    const bool two = row < 4 || row == 15;
    write_text(b, "hub");
    write_text(b, rows[row].method);
    write_uint(b, 1000);
    write_nil(b);
    write_array(b, none ? 0 : two ? 2 : 1);
    if (none) {
        return;
    }
    if (rows[row].text != NULL) {
        write_text(b, rows[row].text);
    } else {
        write_uint(b, take(r) % 4 + 1u);
    }
    if (two) {
        write_uint(b, row == 15 ? take(r) % 4 : numbers[take(r) % 4]);
    }
}

/* Options by the bits of a byte. */
static void
write_options(struct run *r, struct buf *b, uint8_t bits)
{
    static const char *const policies[] = {"once", "idempotent", "shared", "never"};
    static const char *const maps[] = {"ordered", "completed", "ordered", "nonsense"};
    static const char *const flags[] = {"progress", "background"};
    uint32_t count = 0;
    for (unsigned i = 0; i < 7; i++) {
        count += bits >> i & 1;
    }
    write_map(b, count);
    for (unsigned i = 0; i < 2; i++) {
        if ((bits >> i & 1) != 0) {
            write_text(b, flags[i]);
            write_bool(b, true);
        }
    }
    if ((bits & 4) != 0) {
        write_text(b, "map");
        write_text(b, maps[take(r) % 4]);
    }
    if ((bits & 8) != 0) {
        write_text(b, "policy");
        write_text(b, policies[take(r) % 4]);
    }
    if ((bits & 16) != 0) {
        const uint8_t key = take(r) % 8;
        write_text(b, "key");
        write_bin(b, (struct span){&key, 1});
    }
    if ((bits & 32) != 0) {
        write_text(b, "priority");
        write_uint(b, take(r) % WIRE_PRIORITY_MAX + 1u);
    }
    if ((bits & 64) != 0) {
        write_text(b, "parent");
        write_uint(b, given_of(r));
    }
}

/* A CALL with any of the options, or one of the hub's methods with its arguments. */
static void
write_rich_call(struct run *r, struct buf *b)
{
    static const char *const targets[] = {"w", "w/0", "w/*", "w"};
    static const char *const methods[] = {"echo", "again", "look", "look"};
    static const uint16_t ttls[] = {0, 1, 500, 30000};
    write_op(b, WIRE_CALL);
    write_client(b, take(r));
    write_uint(b, take(r) + 1u);
    write_uint(b, take(r) / 4);
    const uint8_t bits = take(r), which = take(r);
    if (which >= 192) {
        write_hub_call(r, b);
        return;
    }
    write_text(b, targets[which % 4]);
    write_text(b, methods[which / 4 % 4]);
    write_uint(b, ttls[which / 16 % 4]);
    write_options(r, b, bits);
    const uint32_t sets = take(r) % 5;
    write_array(b, sets);
    for (uint32_t i = 0; i < sets; i++) {
        write_array(b, 1);
        write_uint(b, take(r) % 3);
    }
}

static void
write_small(struct run *r, struct buf *b, uint8_t what)
{
    static const char *const topics[] = {"a.b", "a.c", "b", "hub.x"};
    static const char *const filters[] = {">", "a.*", "hub.>", "b"};
    switch (what % 4) {
    case 0:
        write_op(b, WIRE_CANCEL);
        write_client(b, take(r));
        write_uint(b, take(r) + 1u);
        return;
    case 1:
        write_op(b, WIRE_WAIT);
        write_client(b, take(r));
        write_uint(b, take(r) + 1u);
        write_uint(b, what >= RICH ? take(r) % 8 : 0);
        return;
    case 2:
        write_op(b, WIRE_EMIT);
        write_client(b, take(r));
        write_uint(b, take(r) + 1u);
        write_text(b, topics[take(r) % 4]);
        write_nil(b);
        write_bin(b, (struct span){r->data, r->len < 900 ? r->len : 900});
        return;
    default:
        write_op(b, WIRE_FETCH);
        write_client(b, take(r));
        write_array(b, 1);
        write_text(b, filters[take(r) % 4]);
        if (take(r) % 3 == 0) {
            write_text(b, "last");
        } else {
            write_uint(b, take(r));
        }
        write_uint(b, 10);
        write_uint(b, 1000);
        write_uint(b, take(r) * 200u);
        return;
    }
}

/* Of one call: its outcome, items or progress. */
static void
write_report(struct run *r, struct buf *b, const struct proc *p, uint8_t what)
{
    write_op(b, WIRE_REPORT);
    write_text(b, p->name);
    write_uint(b, p->session);
    write_array(b, 1);
    write_array(b, 3);
    write_uint(b, given_of(r));
    const uint8_t kind = take(r) % 4;
    write_uint(b, kind);
    if (what >= RICH && kind == WIRE_REPORT_PARTIAL) {
        const uint32_t first = take(r) % 4, count = take(r) % 4;
        write_array(b, 2);
        write_uint(b, first);
        write_array(b, count);
        for (uint32_t i = 0; i < count; i++) {
            write_uint(b, i);
        }
        return;
    }
    write_array(b, 4);
    write_uint(b, 2);
    write_uint(b, what >= RICH ? take(r) % 3 : 1);
    write_text(b, "failed");
    write_nil(b);
}

/* What a worker process says: ATTACH, POLL, CONTROL, or REPORT and POLL together. */
static void
write_worker(struct run *r, struct buf *b, const struct proc *p, uint8_t what)
{
    if (what % 4 == 0) {
        write_op(b, WIRE_ATTACH);
        write_map(b, 3 + (what >= RICH));
        if (what >= RICH) {
            write_text(b, "capacity");
            write_uint(b, take(r) % 4 + 1u);
        }
        write_text(b, "token");
        write_text(b, p->token);
        write_text(b, "attach");
        write_uint(b, take(r) % 8);
        write_text(b, "methods");
        write_map(b, 3);
        write_text(b, "echo");
        write_map(b, 0);
        write_text(b, "again");
        write_map(b, 1);
        write_text(b, "policy");
        write_text(b, "idempotent");
        write_text(b, "look");
        write_map(b, 1);
        write_text(b, "policy");
        write_text(b, "shared");
        return;
    }
    if (what % 4 == 1) {
        write_op(b, WIRE_CONTROL);
        write_text(b, p->name);
        write_uint(b, p->session);
        return;
    }
    if (what % 4 == 2) {
        write_report(r, b, p, what);
    }
    write_op(b, WIRE_POLL);
    write_text(b, p->name);
    write_uint(b, p->session);
    write_uint(b, p->taken - (p->taken > 0 && take(r) % 8 == 0));
    write_uint(b, take(r) % 3);
}

static void
act_peer(struct run *r, uint8_t what)
{
    const size_t p = take(r) % PEERS;
    struct hub_input in = {.kind = HUB_IN_OPENED};
    if (r->open_peer[p]) {
        in.kind = HUB_IN_CLOSED;
        in.peer = r->peer_id[p];
        r->open_peer[p] = false;
        forget_peer(r, in.peer);
    } else {
        r->open_peer[p] = true;
        in.peer = r->peer_id[p] = ++r->next_peer;
        in.opened.local = p != 5;
        in.opened.uid = p == 4 ? 1000 : 0;
        in.opened.pid = what % 3 + 1;
    }
    step(r, &in);
}

static void
act_process(struct run *r, uint8_t what)
{
    struct proc *p = proc_of(r, take(r));
    if (p == NULL) {
        return;
    }
    struct hub_input in = {.kind = p->started ? HUB_IN_EXITED : HUB_IN_STARTED};
    if (!p->started && what % 8 == 7) {
        in.kind = HUB_IN_START_FAILED;
    }
    in.process.id = p->id;
    in.process.pid = 100;
    in.process.step = "fork";
    in.process.error = "no luck";
    in.process.never = what % 16 == 7;
    in.process.error = "No such file or directory";
    in.process.name = p->name;
    in.process.status = take(r) << 8 | (what & 8);
    p->started = in.kind == HUB_IN_STARTED;
    step(r, &in);
}

/* News of streams: what the shell's bounds let through, of anybody. */
static void
act_lent(struct run *r, uint8_t what)
{
    static const char *const streams[] = {
        "cam", "0123456789abcdef_0123456789abcdef-0123456789abcdef_0123456789abc", "w", ""};
    static const char *const reasons[] = {"opened", "ended", "closed", "disconnected"};
    static const int32_t pids[] = {0, 100, 7, INT32_MAX};
    const uint8_t n = take(r);
    struct hub_input in = {.kind = HUB_IN_LENT};
    in.lent = (struct hub_lent_news){.kind = (enum hub_lent_kind)(what % (HUB_MEMORY_REFUSED + 1)),
                                     .pid = pids[n % 4],
                                     .uid = n / 4 % 2 * UINT32_MAX,
                                     .stream = streams[n / 8 % 4],
                                     .group = streams[n / 32 % 4],
                                     .reason = reasons[n % 4],
                                     .generation = (uint64_t)take(r) << 40,
                                     .number = (uint64_t)take(r) << 39,
                                     .slots = take(r),
                                     .slot_bytes = (uint64_t)take(r) << 22,
                                     .silent_ms = (uint64_t)take(r) << 32};
    step(r, &in);
}

static void
act(struct run *r)
{
    const uint8_t op = take(r), what = op / 8, peer = take(r);
    struct buf b = {0};
    struct proc *p;
    switch (op % 8) {
    case 0:
        act_peer(r, what);
        break;
    case 1:
        act_process(r, what);
        break;
    case 2:
        if (what >= RICH) {
            act_lent(r, what);
            break;
        }
        r->now_ns += (int64_t)take(r) * take(r) * 1000000;
        step(r, &(struct hub_input){.kind = HUB_IN_TIME});
        break;
    case 3: {
        const size_t n = take(r) < r->len ? r->data[-1] : r->len;
        send_bytes(r, peer, PROCESSES, (struct span){r->data, n});
        r->data += n;
        r->len -= n;
        break;
    }
    case 4:
        for (unsigned i = 0; i < (what % 4 == 3 ? 2 : 1); i++) {
            if (what >= RICH) {
                write_rich_call(r, &b);
            } else {
                write_call(r, &b);
            }
        }
        send_bytes(r, peer, PROCESSES, buf_span(&b));
        break;
    case 5:
        write_small(r, &b, what);
        send_bytes(r, peer, PROCESSES, buf_span(&b));
        break;
    case 6:
    case 7:
        p = proc_of(r, take(r));
        if (p != NULL) {
            write_worker(r, &b, p, what);
            send_bytes(r, peer % 4, (size_t)(p - r->proc), buf_span(&b));
        }
        break;
    default:
        break;
    }
    buf_deinit(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct run run; /* large, and zero is its beginning */
    struct worker_spec spec;
    const struct hub_options options = {.secret = "sixteen secrets",
                                        .name = "fuzz",
                                        .version = "1",
                                        .epoch = 1,
                                        .events_bytes = 8192,
                                        .message_bytes = 1 << 20,
                                        .drain_ms = 3000};
    run = (struct run){.data = data, .len = len, .now_ns = 1, .hub = hub_new(&options)};
    if (run.hub == NULL) {
        return 0;
    }
    spec_defaults(&spec);
    spec.name = "w";
    spec.replicas = 2;
    spec.queue_max = 4;
    spec.launch = (struct launch){.argc = 1, .text = "\0true", .text_bytes = 6};
    step(&run, &(struct hub_input){.kind = HUB_IN_WORKER, .worker = {&spec}});
    step(&run, &(struct hub_input){.kind = HUB_IN_CONFIGURED});
    while (run.len > 0) {
        act(&run);
    }
    hub_free(run.hub);
    return 0;
}
