/* The worker's side of the link. See pull.h; the rules are those of the design's section 4. */
#include "client/worker/pull.h"

#include <stdlib.h>
#include <string.h>

#include "proto/record.h"
#include "proto/write.h"

#define SP_ID_BIT (UINT32_C(1) << 31)

enum {
    /* What an emptied buffer may hold on to, beside what it needed last (buf_recycle): memory that
     * is taken anew for each call costs its page faults each time, 60 us for a call of 64 KiB.
     * Outcomes are many, so all of them have one bound. */
    KEEP_BYTES = 65536,
    KEEP_BYTES_EACH = 4096,
    KEEP_BYTES_ALL = 4 << 20,
    ITEM_BYTES = 16,
    LARGE_BYTES = 16384, /* an outcome of so many is not copied behind its head */
    REPORT_BYTES = 256,
};

#define MS_NS INT64_C(1000000)

/* Requests that have no answer yet. Several of PROGRESS: the newest shall not wait for an ACK that
 * the method is too busy to read. */
enum wait { ATTACH, POLL, STOP, CONTROL, REPORT, PROGRESS, WAITS = PROGRESS + 8 };

struct item {
    struct pull_job job;
    bool cancelled;
};

/* An outcome that the hub may still need. `payload` keeps its memory for the next one. */
struct kept {
    uint64_t call;
    bool is_error;
    bool told; /* on this connection */
    struct buf payload;
};

struct pull {
    struct buf worker, token, methods;
    uint64_t pid;
    /* Of this process. */
    uint64_t attach;  /* number of the last ATTACH */
    uint32_t last_id; /* SP ids count up */
    bool stopping, stop_asked;
    /* Of this connection. */
    bool connected, dead, welcome;
    bool attach_due;
    uint32_t awaits[WAITS]; /* SP ids; 0: none */
    int64_t heard_ns;
    unsigned refusal;
    char text[256];
    /* Of this session. */
    char replica[WIRE_NAME_BYTES_MAX + 16];
    uint64_t session, taken;
    uint64_t message_bytes;
    /* Calls: items[next] runs or is the next one. */
    struct buf work; /* the WORK that they point into */
    struct item *items;
    uint32_t item_count, item_room, next;
    bool running;
    struct buf progress;
    struct kept *kept;
    uint32_t kept_count, kept_room, untold;
    uint64_t kept_bytes;
    uint64_t spare_bytes; /* memory of kept[kept_count..kept_room), for the next outcomes */
    int64_t untold_ns;    /* no untold one was there before */
    struct buf out;
    struct cut cuts[CUTS_MAX]; /* large outcomes in it */
    uint32_t cut_count;
};

static void
copy(struct buf *b, struct span s)
{
    buf_recycle(b, KEEP_BYTES);
    buf_put(b, s.data, s.len);
}

struct pull *
pull_new(const struct pull_options *options)
{
    struct pull *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    copy(&p->worker, options->worker);
    copy(&p->token, options->token);
    copy(&p->methods, options->methods);
    p->pid = options->pid;
    p->last_id = options->sp_first;
    if (p->worker.failed || p->token.failed || p->methods.failed) {
        pull_free(p);
        return NULL;
    }
    return p;
}

void
pull_free(struct pull *p)
{
    if (p == NULL) {
        return;
    }
    for (uint32_t i = 0; i < p->kept_room; i++) {
        buf_deinit(&p->kept[i].payload);
    }
    free(p->kept);
    free(p->items);
    buf_deinit(&p->worker);
    buf_deinit(&p->token);
    buf_deinit(&p->methods);
    buf_deinit(&p->work);
    buf_deinit(&p->progress);
    buf_deinit(&p->out);
    free(p);
}

/* ---- the connection ------------------------------------------------------------------------- */

/* Give up what is outstanding; only ATTACH may follow. */
static void
give_up(struct pull *p)
{
    memset(p->awaits, 0, sizeof p->awaits);
    p->welcome = false;
    p->session = p->taken = 0;
    for (uint32_t i = 0; i < p->kept_count; i++) {
        p->kept[i].told = false;
    }
    p->untold = p->kept_count;
}

static void
attach_again(struct pull *p)
{
    give_up(p);
    p->attach_due = true;
}

void
pull_lost(struct pull *p)
{
    give_up(p);
    p->connected = p->dead = p->attach_due = false;
    p->refusal = 0;
}

void
pull_connected(struct pull *p, int64_t now_ns)
{
    pull_lost(p);
    p->connected = p->attach_due = true;
    p->heard_ns = now_ns;
}

bool
pull_is_attached(const struct pull *p)
{
    return p->welcome;
}

const char *
pull_replica(const struct pull *p)
{
    return p->replica;
}

unsigned
pull_refusal(const struct pull *p, const char **text)
{
    *text = p->text;
    return p->refusal;
}

int64_t
pull_deadline_ns(const struct pull *p)
{
    if (!p->connected) {
        return PULL_NEVER;
    }
    return p->heard_ns + (p->welcome ? PULL_SILENCE_MS : PULL_WELCOME_MS) * MS_NS;
}

bool
pull_is_dead(const struct pull *p, int64_t now_ns)
{
    return p->connected && (p->dead || p->refusal != 0 || now_ns >= pull_deadline_ns(p));
}

/* ---- sending -------------------------------------------------------------------------------- */

static uint32_t
await(struct pull *p, enum wait what)
{
    p->last_id = (p->last_id + 1) | SP_ID_BIT;
    return p->awaits[what] = p->last_id;
}

/* Too much is kept, mostly because ACKs were lost: ATTACH and REPORT let the hub name what it does
 * not need, and meanwhile nothing more is taken. */
static bool
is_full(const struct pull *p)
{
    return p->kept_count >= PULL_KEPT_MAX || p->kept_bytes >= PULL_KEPT_BYTES_MAX;
}

static bool
is_busy(const struct pull *p)
{
    return p->running || p->next < p->item_count;
}

static void
write_attach(struct pull *p)
{
    struct buf *b = &p->out;
    write_op(b, WIRE_ATTACH);
    write_map(b, 8);
    write_text(b, "token");
    write_str(b, buf_span(&p->token));
    write_text(b, "worker");
    write_str(b, buf_span(&p->worker));
    write_text(b, "pid");
    write_uint(b, p->pid);
    write_text(b, "attach");
    write_uint(b, ++p->attach);
    write_text(b, "methods");
    write_raw(b, buf_span(&p->methods));
    write_text(b, "proto");
    write_uint(b, WIRE_PROTO);
    write_text(b, "running");
    write_array(b, p->item_count - p->next);
    for (uint32_t i = p->next; i < p->item_count; i++) {
        write_uint(b, p->items[i].job.call);
    }
    write_text(b, "done");
    write_array(b, p->kept_count);
    for (uint32_t i = 0; i < p->kept_count; i++) {
        write_uint(b, p->kept[i].call);
    }
}

/* The head of POLL, REPORT and CONTROL. */
static void
write_head(struct pull *p, enum wire_op op)
{
    write_op(&p->out, op);
    write_text(&p->out, p->replica);
    write_uint(&p->out, p->session);
}

static void
write_poll(struct pull *p, unsigned capacity)
{
    write_head(p, WIRE_POLL);
    write_uint(&p->out, p->taken);
    write_uint(&p->out, capacity);
}

static void
write_item(struct pull *p, const struct kept *k)
{
    const struct span payload = buf_span(&k->payload);
    const bool fits = payload.len + REPORT_BYTES <= p->message_bytes;
    write_array(&p->out, 3);
    write_uint(&p->out, k->call);
    write_uint(&p->out, fits && !k->is_error ? WIRE_REPORT_RESULT : WIRE_REPORT_ERROR);
    if (fits && payload.len >= LARGE_BYTES && p->cut_count < CUTS_MAX) {
        p->cuts[p->cut_count++] = (struct cut){p->out.w, payload};
        return;
    }
    if (fits) {
        write_raw(&p->out, payload);
        return;
    }
    write_array(&p->out, 4);
    write_uint(&p->out, WIRE_ERR_RESOURCE_EXHAUSTED);
    write_uint(&p->out, WIRE_BEGAN_YES);
    write_text(&p->out, "the outcome is longer than the hub takes in one message");
    write_nil(&p->out);
}

/* Outcomes of calls that came together are told together, because a message costs more than a short
 * call; but nobody waits long for what is done. */
static bool
is_report_due(const struct pull *p, int64_t now_ns)
{
    return p->untold > 0 &&
           (!is_busy(p) || p->stopping || now_ns - p->untold_ns >= PULL_TOGETHER_MS * MS_NS);
}

/* As many of the untold outcomes as one message takes. */
static void
write_report(struct pull *p)
{
    uint64_t bytes = REPORT_BYTES;
    uint32_t count = 0, end = 0;
    while (end < p->kept_count && count < WIRE_REPORT_ITEMS_MAX) {
        const struct kept *k = &p->kept[end];
        const uint64_t more = ITEM_BYTES + k->payload.w - k->payload.r;
        if (!k->told && count > 0 && bytes + more > p->message_bytes) {
            break;
        }
        bytes += k->told ? 0 : more;
        count += !k->told;
        end++;
    }
    write_head(p, WIRE_REPORT);
    write_array(&p->out, count);
    for (uint32_t i = 0; i < end; i++) {
        if (!p->kept[i].told) {
            write_item(p, &p->kept[i]);
            p->kept[i].told = true;
        }
    }
    p->untold -= count;
}

static bool
wants_poll(const struct pull *p)
{
    return p->awaits[POLL] == 0 && !is_busy(p) && !p->stopping;
}

/* What is said in a session, one message at a time. 0 when there is nothing now. */
static uint32_t
write_next(struct pull *p, int64_t now_ns)
{
    if (is_report_due(p, now_ns)) {
        write_report(p);
        p->untold_ns = now_ns;
        if (p->untold > 0 || !wants_poll(p) || is_full(p)) {
            return await(p, REPORT);
        }
        write_poll(p,
                   PULL_CALLS_MAX); /* both in one message: its answer comes when there is work */
        return await(p, POLL);
    }
    if (wants_poll(p) && is_full(p) && p->taken > 0) {
        attach_again(p);
        return 0;
    }
    if (wants_poll(p)) {
        write_poll(p, is_full(p) ? 0 : PULL_CALLS_MAX);
        return await(p, POLL);
    }
    if (p->stopping && p->awaits[POLL] != 0 && p->awaits[STOP] == 0) {
        /* No capacity: the POLL before it is answered at once, with WORK if there was some. */
        write_poll(p, 0);
        return await(p, STOP);
    }
    if (p->awaits[CONTROL] == 0) {
        write_head(p, WIRE_CONTROL);
        return await(p, CONTROL);
    }
    uint32_t place = PROGRESS;
    while (place < WAITS && p->awaits[place] != 0) {
        place++;
    }
    if (p->running && place < WAITS && p->progress.w > p->progress.r) {
        write_head(p, WIRE_REPORT);
        write_array(&p->out, 1);
        write_array(&p->out, 3);
        write_uint(&p->out, p->items[p->next].job.call);
        write_uint(&p->out, WIRE_REPORT_PROGRESS);
        write_raw(&p->out, buf_span(&p->progress));
        buf_reset(&p->progress, KEEP_BYTES);
        return await(p, place);
    }
    return 0;
}

bool
pull_send(struct pull *p, int64_t now_ns, uint32_t *id, struct pieces *body)
{
    if (!p->connected || p->dead || p->refusal != 0) {
        return false;
    }
    buf_recycle(&p->out, KEEP_BYTES);
    p->cut_count = 0;
    *id = p->welcome && !p->attach_due ? write_next(p, now_ns) : 0;
    if (p->attach_due) {
        write_attach(p);
        *id = await(p, ATTACH);
        p->attach_due = false;
        p->heard_ns = now_ns; /* WELCOME is waited for from now on */
    }
    p->dead = p->out.failed;
    *body = pieces_cut(buf_span(&p->out), p->cuts, p->cut_count);
    return *id != 0 && !p->dead;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void
forget(struct pull *p, uint64_t call)
{
    for (uint32_t i = 0; i < p->kept_count; i++) {
        if (p->kept[i].call == call) {
            const struct kept gone = p->kept[i];
            p->untold -= !gone.told;
            p->kept_bytes -= gone.payload.w - gone.payload.r;
            p->kept[i] = p->kept[--p->kept_count];
            p->kept[p->kept_count] = gone; /* its memory is for the next one */
            struct buf *spare = &p->kept[p->kept_count].payload;
            buf_recycle(spare, KEEP_BYTES_EACH);
            if (p->spare_bytes + spare->cap > KEEP_BYTES_ALL) {
                buf_reset(spare, KEEP_BYTES_EACH);
            }
            p->spare_bytes += spare->cap;
            return;
        }
    }
}

static void
take_ack(struct pull *p, const struct record *r)
{
    const struct field *what = RECORD_FIELD(r, ACK, WHAT);
    struct span inside = what->inside;
    uint64_t call;
    while (what->item.kind == MP_ARRAY && record_number(&inside, &call)) {
        forget(p, call);
    }
}

static void
take_welcome(struct pull *p, const struct record *r)
{
    const struct field *about = RECORD_FIELD(r, WELCOME, ABOUT);
    struct field replica, session, limits;
    if (!record_key(about, WIRE_KEY_WELCOME_replica, &replica) ||
        !record_key(about, WIRE_KEY_WELCOME_session, &session) ||
        replica.item.bytes.len >= sizeof p->replica) {
        p->dead = true;
        return;
    }
    memcpy(p->replica, replica.item.bytes.data, replica.item.bytes.len);
    p->replica[replica.item.bytes.len] = '\0';
    p->session = session.item.uint;
    p->message_bytes = WIRE_MESSAGE_BYTES;
    struct mp_item key, value;
    struct span inside =
        record_key(about, WIRE_KEY_WELCOME_limits, &limits) ? limits.inside : (struct span){0};
    struct span skipped;
    while (mp_next(&inside, &key)) {
        const bool it_is = key.kind == MP_STR && span_is(key.bytes, "message_bytes");
        struct span rest = inside;
        if (it_is && mp_next(&rest, &value) && value.kind == MP_UINT && value.uint > REPORT_BYTES) {
            p->message_bytes = value.uint;
        }
        if (!mp_skip(&inside, &skipped)) {
            break;
        }
    }
    p->welcome = true;
}

/* Take one WORK: its number, and its calls into storage of our own, or with the memory that they
 * stand in. */
static void
take_work(struct pull *p, int64_t now_ns, const struct record *r, struct buf *memory)
{
    const struct field *items = RECORD_FIELD(r, WORK, ITEMS);
    const uint64_t number = RECORD_FIELD(r, WORK, NUMBER)->item.uint;
    if (number <= p->taken || is_busy(p)) {
        return; /* a repeat; or not asked for, then POLL says that it was not taken */
    }
    struct span inside = items->inside;
    if (memory != NULL && items->item.count > 0) {
        buf_swap(&p->work, memory);
    } else {
        copy(&p->work, inside);
        inside = buf_span(&p->work);
    }
    if (items->item.count > p->item_room) {
        struct item *more = realloc(p->items, items->item.count * sizeof *more);
        p->item_room = more != NULL ? items->item.count : p->item_room;
        p->items = more != NULL ? more : p->items;
    }
    if (p->work.failed || items->item.count > p->item_room) {
        p->dead = true;
        return;
    }
    struct record item;
    p->item_count = p->next = 0;
    while (record_item(&inside, WIRE_REC_WORK_ITEM, &item)) {
        const uint64_t left_ms = RECORD_FIELD(&item, WORK_ITEM, TTL_MS)->item.uint;
        const uint64_t ttl_ms = left_ms < WIRE_TTL_MS_MAX ? left_ms : WIRE_TTL_MS_MAX;
        p->items[p->item_count++].job = (struct pull_job){
            .call = RECORD_FIELD(&item, WORK_ITEM, CALL)->item.uint,
            .method = RECORD_FIELD(&item, WORK_ITEM, METHOD)->item.bytes,
            .caller = RECORD_FIELD(&item, WORK_ITEM, CALLER)->item.bytes,
            .options = RECORD_FIELD(&item, WORK_ITEM, OPTIONS)->raw,
            .args = RECORD_FIELD(&item, WORK_ITEM, ARGS)->raw,
            .deadline_ns = now_ns + (int64_t)ttl_ms * MS_NS,
        };
        p->items[p->item_count - 1].cancelled = false;
    }
    p->taken = number;
}

static void
take_command(struct pull *p, const struct record *r)
{
    const struct span verb = RECORD_FIELD(r, COMMAND, VERB)->item.bytes;
    struct field call;
    p->stop_asked |= span_is(verb, "stop");
    if (!span_is(verb, "cancel") ||
        !record_key(RECORD_FIELD(r, COMMAND, ABOUT), WIRE_KEY_COMMAND_call, &call)) {
        return;
    }
    for (uint32_t i = p->next; i < p->item_count; i++) {
        p->items[i].cancelled |= p->items[i].job.call == call.item.uint;
    }
}

static void
take_error(struct pull *p, uint32_t id, const struct record *r)
{
    const struct span message = RECORD_FIELD(r, ERROR, MESSAGE)->item.bytes;
    const unsigned code = (unsigned)RECORD_FIELD(r, ERROR, CODE)->item.uint;
    const size_t len = message.len < sizeof p->text ? message.len : sizeof p->text - 1;
    if (id == p->awaits[ATTACH]) {
        memcpy(p->text, message.data, len);
        p->text[len] = '\0';
        p->refusal = code;
    } else if (code == WIRE_ERR_FAILED_PRECONDITION) {
        attach_again(p); /* another broker, or it lost us */
    } else {
        p->dead = true;
    }
}

/* The place of a request that has no answer and was not given up; NULL when it is not such one. */
static uint32_t *
awaited(struct pull *p, uint32_t id)
{
    for (uint32_t i = 0; i < WAITS; i++) {
        if (id != 0 && p->awaits[i] == id) {
            return &p->awaits[i];
        }
    }
    return NULL;
}

static void
take_record(struct pull *p, int64_t now_ns, uint32_t id, const struct record *r, struct buf *memory)
{
    if (r->record == WIRE_REC_ACK) {
        take_ack(p, r);
    } else if (awaited(p, id) == NULL) {
        return; /* of an earlier session, or given up */
    } else if (r->record == WIRE_REC_ERROR) {
        take_error(p, id, r);
    } else if (r->record == WIRE_REC_WELCOME && id == p->awaits[ATTACH]) {
        take_welcome(p, r);
    } else if (r->record == WIRE_REC_WORK && (id == p->awaits[POLL] || id == p->awaits[STOP])) {
        take_work(p, now_ns, r, memory);
    } else if (r->record == WIRE_REC_COMMAND && id == p->awaits[CONTROL]) {
        take_command(p, r);
    }
}

void
pull_answer(struct pull *p, int64_t now_ns, uint32_t id, struct span body, struct buf *memory)
{
    struct wire_diag diag;
    struct record r;
    if (!p->connected || p->dead) {
        return;
    }
    p->heard_ns = now_ns;
    while (body.len > 0) {
        if (!record_next(&body, &r, &diag)) {
            p->dead = true;
            return;
        }
        take_record(p, now_ns, id, &r, memory);
    }
    uint32_t *place = awaited(p, id);
    if (place != NULL) {
        *place = 0;
    }
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* items[next] has its outcome. */
static bool
keep(struct pull *p, bool is_error, struct buf *payload)
{
    if (p->kept_count == p->kept_room) {
        const uint32_t room = p->kept_room > 0 ? 2 * p->kept_room : 8;
        struct kept *more = realloc(p->kept, room * sizeof *more);
        if (more == NULL) {
            return false;
        }
        memset(more + p->kept_room, 0, (room - p->kept_room) * sizeof *more);
        p->kept = more;
        p->kept_room = room;
    }
    struct kept *k = &p->kept[p->kept_count];
    p->spare_bytes -= k->payload.cap;
    buf_swap(&k->payload, payload);
    k->call = p->items[p->next++].job.call;
    k->is_error = is_error;
    k->told = false;
    p->kept_count++;
    p->kept_bytes += k->payload.w - k->payload.r;
    p->untold++;
    p->running = false;
    buf_reset(&p->progress, KEEP_BYTES);
    return true;
}

bool
pull_has_work(const struct pull *p)
{
    return !p->running && p->next < p->item_count;
}

bool
pull_begin(struct pull *p, int64_t now_ns, const struct pull_job **job)
{
    p->untold_ns = p->untold == 0 ? now_ns : p->untold_ns;
    while (pull_has_work(p)) {
        const struct item *i = &p->items[p->next];
        if (!i->cancelled && now_ns < i->job.deadline_ns) {
            p->running = true;
            *job = &i->job;
            return true;
        }
        struct buf b = {0};
        write_array(&b, 4);
        write_uint(&b, i->cancelled ? WIRE_ERR_CANCELLED : WIRE_ERR_DEADLINE_EXCEEDED);
        write_uint(&b, WIRE_BEGAN_NO);
        write_text(&b, i->cancelled ? "cancelled before it began"
                                    : "the deadline passed before it began");
        write_nil(&b);
        const bool is_kept = !b.failed && keep(p, true, &b);
        buf_deinit(&b);
        if (!is_kept) {
            p->dead = true; /* no memory: it stays, and is tried again */
            return false;
        }
    }
    return false;
}

bool
pull_is_cancelled(const struct pull *p)
{
    return p->running && p->items[p->next].cancelled;
}

void
pull_progress(struct pull *p, struct span payload)
{
    if (p->running) {
        copy(&p->progress, payload);
    }
}

bool
pull_end(struct pull *p, bool is_error, struct buf *payload)
{
    return p->running && !payload->failed && keep(p, is_error, payload);
}

/* ---- the end -------------------------------------------------------------------------------- */

void
pull_stop(struct pull *p)
{
    p->stopping = true;
}

bool
pull_is_asked_to_stop(const struct pull *p)
{
    return p->stop_asked;
}

bool
pull_has_untold(const struct pull *p)
{
    return is_busy(p) || p->untold > 0 || p->awaits[REPORT] != 0;
}

bool
pull_is_over(const struct pull *p)
{
    return p->stopping && !pull_has_untold(p) && p->awaits[POLL] == 0 && p->welcome;
}
