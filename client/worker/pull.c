/* The worker's side of the link: the connection, its sessions and what is said in them. See pull.h;
 * the rules are those of the design's section 4. */
#include "client/worker/pull_inside.h"

#include <stdlib.h>
#include <string.h>

#define SP_ID_BIT (UINT32_C(1) << 31)

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
    p->let_go = options->let_go;
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
    for (uint32_t i = 0; i < p->kept_count; i++) {
        stream_free(p, &p->kept[i].stream);
        kept_let_go(p, &p->kept[i].held);
    }
    for (uint32_t i = 0; i < p->kept_room; i++) {
        buf_deinit(&p->kept[i].payload);
    }
    stream_free(p, &p->stream);
    kept_let_go(p, &p->held);
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
    stream_rewind(p);
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

uint32_t
pull_new_id(struct pull *p)
{
    p->last_id = (p->last_id + 1) | SP_ID_BIT;
    return p->last_id;
}

static uint32_t
await(struct pull *p, enum wait what)
{
    return p->awaits[what] = pull_new_id(p);
}

/* Too much is kept, mostly because ACKs were lost: ATTACH and REPORT let the hub name what it does
 * not need, and meanwhile nothing more is taken. */
static bool
is_full(const struct pull *p)
{
    return p->kept_count >= PULL_KEPT_MAX || p->kept_bytes + p->stream_bytes >= PULL_KEPT_BYTES_MAX;
}

bool
pull_is_busy(const struct pull *p)
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

void
pull_write_head(struct pull *p, enum wire_op op)
{
    write_op(&p->out, op);
    write_text(&p->out, p->replica);
    write_uint(&p->out, p->session);
}

void
pull_write_bytes(struct pull *p, struct span bytes)
{
    if (bytes.len >= CUT_BYTES && p->cut_count < CUTS_MAX) {
        p->cuts[p->cut_count++] = (struct cut){p->out.w, bytes};
    } else {
        buf_put(&p->out, bytes.data, bytes.len);
    }
}

static void
write_poll(struct pull *p, unsigned capacity)
{
    pull_write_head(p, WIRE_POLL);
    write_uint(&p->out, p->taken);
    write_uint(&p->out, capacity);
}

static bool
wants_poll(const struct pull *p)
{
    return p->awaits[POLL] == 0 && !pull_is_busy(p) && !p->stopping;
}

/* What is said in a session, one message at a time. 0 when there is nothing now. */
static uint32_t
write_next(struct pull *p, int64_t now_ns)
{
    const uint32_t items = stream_write(p, now_ns); /* before the outcome of their call */
    if (items != 0) {
        return items;
    }
    if (kept_is_due(p, now_ns)) {
        kept_write(p);
        p->untold_ns = now_ns;
        if (kept_tellable(p) > 0 || !wants_poll(p) || is_full(p)) {
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
        pull_write_head(p, WIRE_CONTROL);
        return await(p, CONTROL);
    }
    uint32_t place = PROGRESS;
    while (place < WAITS && p->awaits[place] != 0) {
        place++;
    }
    if (p->running && place < WAITS && p->progress.w > p->progress.r) {
        pull_write_head(p, WIRE_REPORT);
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
take_ack(struct pull *p, const struct record *r)
{
    const struct field *what = RECORD_FIELD(r, ACK, WHAT);
    struct span inside = what->inside;
    uint64_t call;
    while (what->item.kind == MP_ARRAY && record_number(&inside, &call)) {
        kept_forget(p, call);
    }
}

static void
take_welcome(struct pull *p, const struct record *r)
{
    const struct field *about = RECORD_FIELD(r, WELCOME, ABOUT);
    struct field replica, session;
    if (!record_key(about, WIRE_KEY_WELCOME_replica, &replica) ||
        !record_key(about, WIRE_KEY_WELCOME_session, &session) ||
        replica.item.bytes.len >= sizeof p->replica) {
        p->dead = true;
        return;
    }
    memcpy(p->replica, replica.item.bytes.data, replica.item.bytes.len);
    p->replica[replica.item.bytes.len] = '\0';
    p->session = session.item.uint;
    p->message_bytes = record_limit(r, "message_bytes", WIRE_MESSAGE_BYTES);
    if (p->message_bytes <= REPORT_BYTES) {
        p->message_bytes = WIRE_MESSAGE_BYTES;
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
    if (number <= p->taken || pull_is_busy(p)) {
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
    return id != 0 ? stream_awaits(p, id) : NULL;
}

static void
take_record(struct pull *p, int64_t now_ns, uint32_t id, const struct record *r, struct buf *memory)
{
    if (r->record == WIRE_REC_ACK) {
        take_ack(p, r);
        stream_take_ack(p, id);
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
    return pull_is_busy(p) || p->untold > 0 || p->awaits[REPORT] != 0;
}

bool
pull_is_over(const struct pull *p)
{
    return p->stopping && !pull_has_untold(p) && p->awaits[POLL] == 0 && p->welcome;
}
