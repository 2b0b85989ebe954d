/* `prong call --map`: one call for each argument set of a file.
 *
 * The sets go to the hub in chunks of bounded size, each one CALL with PRONG_CALL_MAP, and some of
 * them are open at a time, so that no replica waits for the next. A chunk leaves when it is full,
 * or when the file has no more to read now: `tail -f | prong call --map -` calls at once. How many
 * sets a chunk may hold follows from how long the last ones took, because a CALL has an hour.
 *
 * A hub that is full refuses a chunk and says when it may have room: it is asked again, with fewer
 * chunks beside it, for as long as that takes. One that is too much for a hub at all is asked for
 * in pieces, down to single sets, so that only sets fail that can never be taken. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/call.h"
#include "client/cli/hub.h"
#include "client/cli/items.h"
#include "client/cli/lease.h"
#include "client/cli/lines.h"
#include "client/cli/output.h"
#include "client/cli/progress.h"
#include "client/cli/unit.h"

enum {
    HEAD_BYTES = 5, /* of an array in msgpack */
    OPEN_MAX = 64,  /* chunks */
    OPEN_BYTES_MAX = 8 * 1024 * 1024,
    CHUNK_BYTES_MAX = 1024 * 1024,
    SETS_FIRST = 16, /* of a chunk */
    SETS_MAX = 4096,
    SHORT_MS = 1000, /* a full chunk that took less: the next may be larger */
    LONG_MS = 60000, /* one that took more: smaller */
    DRAW_MS = 100,
    NOTE_MS = 1000, /* between lines where there is no terminal */
};

/* Sets that were read. Those before `from` have ended, and `step` of the others are asked for. */
struct chunk {
    prong_reply *reply; /* NULL: none is asked for now */
    uint64_t first;
    uint32_t count, told, from, step;
    uint8_t *is_told; /* of each set; owned */
    uint8_t *sets;    /* room for a head, then the sets; owned */
    size_t bytes, at; /* of `sets`; where `from` is */
    int64_t begin_ms, again_ms;
    bool is_hopeless; /* set `from` is too much for the hub */
    char refused[300];
};

struct map {
    struct cli *cli;
    const struct call_target *target;
    const char *worker; /* or the leased replica */
    struct lines lines;
    struct tally tally;
    struct progress progress;
    int64_t draw_ms; /* not before */
    struct chunk open[OPEN_MAX];
    size_t open_count, open_max, open_sets, open_bytes;
    uint8_t *sets; /* of the chunk to come: room for a head, then the sets; owned */
    size_t len, capacity;
    uint32_t count, limit;
    prong_value held;   /* the next set, not in the chunk yet; borrowed from lines */
    uint64_t read;      /* sets */
    int stop;           /* why no more is read: an exit code */
    int64_t give_up_ms; /* after SIGINT */
    bool is_unread, is_busy_told;
};

/* ---- reading -------------------------------------------------------------------------------- */

static void
stop_reading(struct map *m, int code)
{
    m->lines.is_over = true;
    m->lines.begin = m->lines.end;
    m->stop = m->stop == CLI_OK ? code : m->stop;
}

/* The set that is held, if one is, becomes one of the chunk. */
static int
add_held(struct map *m)
{
    const size_t need = m->len + m->held.len;
    if (m->held.len == 0) {
        return CLI_OK;
    }
    if (need > m->capacity) {
        const size_t capacity = 2 * need;
        uint8_t *sets = realloc(m->sets, capacity);
        if (sets == NULL) {
            return output_no_memory(m->cli);
        }
        m->sets = sets;
        m->capacity = capacity;
    }
    memcpy(m->sets + m->len, m->held.data, m->held.len);
    m->held = (prong_value){0};
    m->len = need;
    m->count++;
    m->read++;
    return CLI_OK;
}

static bool
has_room(const struct map *m)
{
    return m->held.len == 0 && m->count < m->limit && m->len < CHUNK_BYTES_MAX;
}

static int
collect(struct map *m)
{
    prong_value set;
    int code = m->count == 0 ? add_held(m) : CLI_OK;
    while (code == CLI_OK && has_room(m)) {
        switch (lines_take(m->cli, &m->lines, &set, &code)) {
        case LINES_SET:
            m->held = set;
            /* A large one begins the next chunk, so that it is alone when it is too large. */
            code = m->count == 0 || m->len + m->held.len <= CHUNK_BYTES_MAX ? add_held(m) : CLI_OK;
            break;
        case LINES_NONE:
            return CLI_OK;
        case LINES_BAD:
            /* What was read before is done all the same. */
            stop_reading(m, code);
            return CLI_OK;
        }
    }
    return code;
}

/* ---- outcomes of our own -------------------------------------------------------------------- */

static int
put(struct map *m, uint64_t number, const prong_outcome *outcome)
{
    if (m->cli->out_is_terminal) {
        progress_clear(&m->progress);
    }
    return outcome_put(m->cli, &m->tally, &(struct which){.number = number}, outcome);
}

/* Sets that were not asked for, `from` to `to` of the file, have not begun and will not. */
static int
refuse_sets(struct map *m, uint64_t from, uint64_t to, prong_err err, const char *message)
{
    const prong_outcome outcome = {
        .code = err, .began = PRONG_BEGAN_NO, .message = message, .message_len = strlen(message)};
    int code = CLI_OK;
    for (; code == CLI_OK && from < to; from++) {
        code = put(m, from, &outcome);
    }
    return code;
}

static int
refuse_pending(struct map *m, prong_err err, const char *message)
{
    const uint32_t count = m->count;
    m->count = 0;
    m->len = HEAD_BYTES;
    return refuse_sets(m, m->read - count, m->read, err, message);
}

/* Too much for the hub or for one message: less of it is asked for, or one set is given up when the
 * chunk has its turn. */
static void
make_smaller(struct chunk *c, const char *why)
{
    c->is_hopeless = c->step == 1;
    c->step -= c->step / 2;
    c->again_ms = 0;
    (void)snprintf(c->refused, sizeof c->refused, "%s", why);
}

/* ---- asking --------------------------------------------------------------------------------- */

static bool
is_held_back(const struct map *m)
{
    size_t i = 0;
    while (i < m->open_count && m->open[i].reply != NULL) {
        i++;
    }
    return i < m->open_count;
}

static bool
may_send(const struct map *m)
{
    const struct lease *lease = m->cli->lease;
    return m->count > 0 && m->open_count < m->open_max && !is_held_back(m) &&
           (lease == NULL || !lease->is_unsure) &&
           (m->open_count == 0 || (m->open_sets + m->count <= 2 * (size_t)m->limit &&
                                   m->open_bytes + m->len <= OPEN_BYTES_MAX));
}

/* An array of `count` sets from where the chunk is. What stood before them has ended, or is the
 * room that was left for the first head. */
static prong_value
array_of(struct chunk *c, uint32_t count)
{
    uint8_t *head = c->sets + c->at - HEAD_BYTES;
    head[0] = 0xdd; /* with a length of 32 bits */
    for (int i = 1; i < HEAD_BYTES; i++) {
        head[i] = (uint8_t)(count >> (8 * (HEAD_BYTES - 1 - i)));
    }
    return (prong_value){head, HEAD_BYTES + c->bytes - c->at};
}

/* Where the sets end that are asked for now. */
static size_t
end_of_step(struct chunk *c)
{
    const prong_value rest = array_of(c, c->count - c->from);
    prong_value set = {c->sets + c->bytes, 0};
    prong_iter it;
    (void)prong_iter_begin(&it, &rest);
    for (uint32_t i = 0; i < c->step; i++) {
        (void)prong_iter_next(&it, NULL, &set);
    }
    return (size_t)(set.data - c->sets) + set.len;
}

/* Call with the next sets of a chunk. */
static int
ask(struct map *m, struct chunk *c)
{
    const int64_t deadline_ms = m->cli->has_timeout ? m->cli->deadline_ms : CLI_NEVER_MS;
    char text[sizeof c->refused] = "";
    prong_call_options o = call_options(m->cli);
    o.flags = PRONG_CALL_STREAM | PRONG_CALL_MAP |
              (m->cli->options.ordered ? (uint32_t)PRONG_CALL_ORDERED : 0);
    o.timeout_ms = PRONG_TTL_MS_MAX;
    if (deadline_ms != CLI_NEVER_MS) {
        o.timeout_ms = unit_left_ms(deadline_ms, PRONG_TTL_MS_MAX);
        o.timeout_ms += o.timeout_ms == 0; /* 0 is a default */
    }
    const size_t end = end_of_step(c);
    prong_value args = array_of(c, c->step);
    args.len -= c->bytes - end;
    c->begin_ms = unit_now_ms();
    const prong_err err =
        prong_call_async(m->cli->client, m->worker, m->target->method, &args, &o, &c->reply);
    if (err == PRONG_OK) {
        return CLI_OK;
    }
    c->reply = NULL;
    if (err != PRONG_RESOURCE_EXHAUSTED) {
        return hub_refused(m->cli, err, m->target->text, &args);
    }
    prong_client_error_text(m->cli->client, text, sizeof text - 1);
    make_smaller(c, text[0] != '\0' ? text : prong_err_help(err));
    return CLI_OK;
}

/* The sets that were collected become a chunk of their own. */
static int
send_chunk(struct map *m)
{
    struct chunk *c = &m->open[m->open_count];
    *c = (struct chunk){.first = m->read - m->count,
                        .count = m->count,
                        .step = m->count,
                        .is_told = calloc(m->count, 1),
                        .sets = m->sets,
                        .bytes = m->len,
                        .at = HEAD_BYTES};
    m->sets = malloc(HEAD_BYTES);
    m->capacity = m->len = HEAD_BYTES;
    m->count = 0;
    m->open_count++;
    m->open_sets += c->count;
    m->open_bytes += c->bytes;
    return c->is_told == NULL || m->sets == NULL ? output_no_memory(m->cli) : ask(m, c);
}

/* ---- outcomes ------------------------------------------------------------------------------- */

static int
take_items(struct map *m, struct chunk *c)
{
    prong_value item;
    prong_outcome outcome;
    int code = CLI_OK;
    while (code == CLI_OK && prong_reply_next(c->reply, 0, &item) == PRONG_OK) {
        if (!prong_item_outcome(&item, &outcome) || outcome.number >= c->step ||
            c->is_told[c->from + outcome.number]) {
            return output_error(m->cli, PRONG_INTERNAL, m->target->text,
                                "an item that is no outcome");
        }
        c->is_told[c->from + outcome.number] = 1;
        c->told++;
        code = put(m, c->first + c->from + outcome.number, &outcome);
    }
    return code;
}

/* Each of the next `count` sets of a chunk that has no outcome gets this one. */
static int
put_rest(struct map *m, const struct chunk *c, uint32_t count, const prong_outcome *outcome)
{
    int code = CLI_OK;
    for (uint32_t i = c->from; code == CLI_OK && i < c->from + count; i++) {
        code = c->is_told[i] ? CLI_OK : put(m, c->first + i, outcome);
    }
    return code;
}

/* The call as a whole has failed, and so have its sets. */
static int
fail_rest(struct map *m, const struct chunk *c)
{
    const prong_value *details = prong_reply_details(c->reply);
    const char *message = prong_reply_message(c->reply);
    const prong_outcome outcome = {.code = prong_reply_code(c->reply),
                                   .began = prong_reply_began(c->reply),
                                   .message = message,
                                   .message_len = strlen(message),
                                   .details = details != NULL ? *details : (prong_value){0}};
    return put_rest(m, c, c->step, &outcome);
}

/* Interrupted, and the hub does not say what came of it. */
static void
leave_rest(struct map *m, const struct chunk *c)
{
    static const char message[] = "interrupted, before the hub said that it is cancelled";
    const prong_outcome outcome = {.code = PRONG_CANCELLED,
                                   .began = PRONG_BEGAN_MAYBE,
                                   .message = message,
                                   .message_len = sizeof message - 1};
    (void)put_rest(m, c, c->count - c->from, &outcome);
}

static void
forget(struct map *m, size_t index)
{
    struct chunk *c = &m->open[index];
    m->open_sets -= c->count;
    m->open_bytes -= c->bytes;
    prong_reply_free(c->reply);
    free(c->is_told);
    free(c->sets);
    m->open_count--;
    memmove(c, c + 1, (m->open_count - index) * sizeof *c);
}

static bool
is_over_time(const struct map *m)
{
    return m->cli->has_timeout && unit_now_ms() >= m->cli->deadline_ms;
}

static bool
has_lost_lease(const struct map *m)
{
    return m->cli->lease != NULL && m->cli->lease->is_lost;
}

/* Why sets that are not asked for yet are not to be; PRONG_OK when they are. */
static prong_err
why_not(const struct map *m, const char **text)
{
    const prong_err err = m->give_up_ms != CLI_NEVER_MS ? PRONG_CANCELLED
                          : is_over_time(m)             ? PRONG_DEADLINE_EXCEEDED
                          : has_lost_lease(m)           ? PRONG_FAILED_PRECONDITION
                                                        : PRONG_OK;
    *text = err == PRONG_CANCELLED           ? "interrupted"
            : err == PRONG_DEADLINE_EXCEEDED ? "the time was over (--timeout)"
                                             : "the lease was lost";
    return err;
}

/* The next sets of the chunk have their turn. */
static void
advance(struct map *m, size_t index, uint32_t count)
{
    struct chunk *c = &m->open[index];
    if (c->from + count == c->count) {
        forget(m, index);
        return;
    }
    c->step = count;
    c->at = end_of_step(c);
    c->from += count;
    c->told = c->from;
    c->step = 2 * count < c->count - c->from ? 2 * count : c->count - c->from;
    c->is_hopeless = false;
    c->again_ms = 0;
}

/* The hub is full, and says when to ask again: not with so much at a time. */
static void
put_off(struct map *m, struct chunk *c, int64_t retry_ms)
{
    if (!m->is_busy_told) {
        progress_clear(&m->progress);
        output_say(m->cli, "%s: the hub is asked again until it has room: %s", m->target->text,
                   prong_reply_message(c->reply));
        m->is_busy_told = true;
    }
    if (m->open_count > 1) {
        m->open_max = m->open_count - 1;
    } else {
        c->step -= c->step / 2;
    }
    /* In order it is looked at when it has its turn, which may be long after it was refused. */
    c->again_ms = c->begin_ms + retry_ms;
}

/* Whether a chunk that was refused was told to come again, or is to come in pieces. */
static bool
comes_again(struct map *m, struct chunk *c)
{
    const char *text;
    prong_value v;
    int64_t retry_ms;
    if (prong_reply_code(c->reply) != PRONG_RESOURCE_EXHAUSTED || why_not(m, &text) != PRONG_OK) {
        return false;
    }
    const prong_value *details = prong_reply_details(c->reply);
    if (details != NULL && prong_value_find(details, "retry_after_ms", &v) &&
        prong_value_int(&v, &retry_ms)) {
        put_off(m, c, retry_ms);
    } else {
        make_smaller(c, prong_reply_message(c->reply));
    }
    prong_reply_free(c->reply);
    c->reply = NULL;
    return true;
}

/* There may be room now for those that the hub refused. */
static void
hurry(struct map *m)
{
    for (size_t i = 0; i < m->open_count; i++) {
        m->open[i].again_ms = 0;
    }
}

static int
end_call(struct map *m, size_t index)
{
    struct chunk *c = &m->open[index];
    const prong_err err = prong_reply_code(c->reply);
    const int64_t took_ms = unit_now_ms() - c->begin_ms;
    const bool is_refused =
        err != PRONG_OK && c->told == c->from && prong_reply_began(c->reply) == PRONG_BEGAN_NO;
    int code = CLI_OK;
    if (is_refused && comes_again(m, c)) {
        return CLI_OK;
    }
    if (c->step == m->limit && took_ms < SHORT_MS && m->limit < SETS_MAX) {
        m->limit *= 2;
    } else if (took_ms > LONG_MS && m->limit > 1) {
        m->limit /= 2;
    }
    if (err != PRONG_OK) {
        code = fail_rest(m, c);
    }
    if (err == PRONG_UNAVAILABLE) {
        lease_doubt(m->cli);
    }
    /* Refused as a whole: so would the next ones be. */
    if (is_refused && m->stop == CLI_OK && !is_over_time(m)) {
        progress_clear(&m->progress);
        stop_reading(m, output_failure(m->cli, m->target->text, c->reply));
        call_hint_names(m->cli, m->target, err);
    }
    prong_reply_free(c->reply);
    c->reply = NULL;
    advance(m, index, c->step);
    hurry(m);
    return code;
}

/* A chunk of which nothing is asked for: ask, if it is time, or say that it will not be. */
static int
go_on(struct map *m, size_t index)
{
    struct chunk *c = &m->open[index];
    const char *text;
    const prong_err err = why_not(m, &text);
    int code = CLI_OK;
    if (err != PRONG_OK) {
        code = refuse_sets(m, c->first + c->from, c->first + c->count, err, text);
        forget(m, index);
    } else if (c->is_hopeless) {
        const uint64_t number = c->first + c->from;
        code = refuse_sets(m, number, number + 1, PRONG_RESOURCE_EXHAUSTED, c->refused);
        advance(m, index, 1);
    } else if (unit_now_ms() >= c->again_ms &&
               (m->cli->lease == NULL || !m->cli->lease->is_unsure)) {
        code = ask(m, c);
    }
    return code;
}

static int
take_call(struct map *m, size_t index)
{
    int code = take_items(m, &m->open[index]);
    if (code == CLI_OK && prong_reply_is_done(m->open[index].reply)) {
        /* It may have become done with items that came behind those that were taken. */
        code = take_items(m, &m->open[index]);
        code = code == CLI_OK ? end_call(m, index) : code;
    }
    return code;
}

/* In order only the first chunk is looked at: what the next ones have waits with the library. */
static int
take(struct map *m)
{
    int code = CLI_OK;
    for (size_t i = 0; code == CLI_OK && i < m->open_count;) {
        const size_t open_count = m->open_count;
        code = m->open[i].reply == NULL ? go_on(m, i) : take_call(m, i);
        if (m->open_count < open_count) {
            continue; /* another one stands there now */
        }
        if (m->cli->options.ordered) {
            break;
        }
        i++;
    }
    if (code == CLI_OK && !output_flush()) {
        m->is_unread = errno == EPIPE;
        return m->is_unread ? CLI_OK : CLI_FAILED; /* output_end says why */
    }
    return code;
}

/* ---- progress ------------------------------------------------------------------------------- */

/* Of a file of which not all is read yet the share is that of its bytes, about. */
static double
fraction(const struct map *m)
{
    const uint64_t ended = m->tally.done + m->tally.failed;
    const double share = m->read > 0 ? (double)ended / (double)m->read : 0;
    if (m->lines.is_over) {
        return share;
    }
    return m->lines.size > 0 ? share * (double)m->lines.taken / (double)m->lines.size : NAN;
}

/* Returns when it has to be told again. */
static int64_t
show(struct map *m)
{
    char note[PROGRESS_NOTE_BYTES], of[32] = "", failed[48] = "";
    const int64_t now_ms = unit_now_ms();
    if (m->draw_ms == 0 && !m->progress.is_terminal) {
        m->draw_ms = now_ms + NOTE_MS; /* a line that nothing is done yet is of no use */
    }
    if (!m->progress.is_wanted) {
        return CLI_NEVER_MS;
    }
    if (now_ms < m->draw_ms) {
        return m->draw_ms;
    }
    if (m->lines.is_over) {
        (void)snprintf(of, sizeof of, " of %" PRIu64, m->read);
    }
    if (m->tally.failed > 0) {
        (void)snprintf(failed, sizeof failed, ", %" PRIu64 " failed", m->tally.failed);
    }
    (void)snprintf(note, sizeof note, "%" PRIu64 "%s%s", m->tally.done + m->tally.failed, of,
                   failed);
    progress_show(&m->progress, fraction(m), note);
    m->draw_ms = now_ms + (m->progress.is_terminal ? DRAW_MS : NOTE_MS);
    return CLI_NEVER_MS;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int
interrupt(struct map *m)
{
    const int code = 128 + m->cli->signal_number;
    if (m->give_up_ms != CLI_NEVER_MS) {
        return code;
    }
    for (size_t i = 0; i < m->open_count; i++) {
        if (m->open[i].reply != NULL) {
            prong_reply_cancel(m->open[i].reply);
        }
    }
    m->stop = CLI_OK; /* whatever it was, this is why it ends */
    stop_reading(m, code);
    m->give_up_ms = unit_now_ms() + HUB_CANCEL_MS;
    return CLI_OK;
}

/* When a chunk of which nothing is asked for is to be looked at again. */
static int64_t
next_turn_ms(const struct map *m)
{
    const size_t looked_at = m->cli->options.ordered && m->open_count > 0 ? 1 : m->open_count;
    const bool is_sure = m->cli->lease == NULL || !m->cli->lease->is_unsure;
    int64_t until_ms = CLI_NEVER_MS;
    for (size_t i = 0; is_sure && i < looked_at; i++) {
        const struct chunk *c = &m->open[i];
        if (c->reply == NULL) {
            until_ms = c->again_ms < until_ms ? c->again_ms : until_ms;
            until_ms = m->cli->has_timeout && m->cli->deadline_ms < until_ms ? m->cli->deadline_ms
                                                                             : until_ms;
        }
    }
    return until_ms;
}

static int
wait_for_more(struct map *m, int64_t show_ms)
{
    const bool wants = has_room(m) && !m->lines.is_over;
    int64_t until_ms = m->give_up_ms < show_ms ? m->give_up_ms : show_ms;
    const int64_t turn_ms = next_turn_ms(m);
    until_ms = turn_ms < until_ms ? turn_ms : until_ms;
    if (m->cli->has_timeout && !m->lines.is_over && m->cli->deadline_ms < until_ms) {
        until_ms = m->cli->deadline_ms;
    }
    switch (hub_wait_input(m->cli, until_ms, STDOUT_FILENO, wants ? m->lines.fd : -1)) {
    case HUB_WOKE:
        return CLI_OK;
    case HUB_LATE:
        return unit_now_ms() >= m->give_up_ms ? 128 + m->cli->signal_number : CLI_OK;
    case HUB_INTERRUPTED:
        return interrupt(m);
    case HUB_UNREAD:
        m->is_unread = true;
        return CLI_OK;
    case HUB_GONE: {
        const int code = take(m);
        return code != CLI_OK
                   ? code
                   : output_error(m->cli, PRONG_UNAVAILABLE, m->target->text, "the hub is gone");
    }
    }
    return CLI_FAILED;
}

/* Reasons to read no more. */
static void
look_around(struct map *m)
{
    (void)lease_serve(m->cli);
    if (is_over_time(m) && !m->lines.is_over) {
        progress_clear(&m->progress);
        output_say(m->cli, "%s was not read to its end in time (--timeout)", m->lines.name);
        stop_reading(m, CLI_TIMEOUT);
    }
    if (has_lost_lease(m)) {
        stop_reading(m, CLI_FAILED);
    }
}

/* Send or refuse the chunk to come. false when it has to wait, or there is none. */
static bool
act(struct map *m, int *code)
{
    const char *text;
    const prong_err err = why_not(m, &text);
    if (err == PRONG_OK && may_send(m)) {
        *code = send_chunk(m);
        return true;
    }
    /* In order it has its turn when all before it have ended. */
    if (err != PRONG_OK && m->count > 0 && (!m->cli->options.ordered || m->open_count == 0)) {
        *code = refuse_pending(m, err, text);
        return true;
    }
    return false;
}

static int
run(struct map *m)
{
    int code = CLI_OK;
    while (code == CLI_OK && !m->is_unread) {
        look_around(m);
        code = collect(m);
        if (code != CLI_OK || act(m, &code)) {
            continue; /* there may be more to read */
        }
        const size_t open_count = m->open_count;
        code = take(m);
        if (code != CLI_OK ||
            (m->lines.is_over && m->open_count == 0 && m->count == 0 && m->held.len == 0)) {
            break;
        }
        /* A chunk that has ended may have made room for one that waits. */
        if (m->open_count == open_count) {
            code = wait_for_more(m, show(m));
        }
    }
    if (!m->progress.is_terminal) {
        m->draw_ms = 1;
        (void)show(m); /* how it ended stays */
    }
    progress_clear(&m->progress);
    return code;
}

static int
finish(struct map *m, int code)
{
    const bool is_late = is_over_time(m);
    for (size_t i = 0; m->give_up_ms != CLI_NEVER_MS && i < m->open_count; i++) {
        leave_rest(m, &m->open[i]);
    }
    while (m->open_count > 0) {
        forget(m, m->open_count - 1);
    }
    (void)prong_flush(m->cli->client); /* that they are cancelled */
    const int told = tally_tell(m->cli, &m->tally, m->target->text);
    if (m->tally.done == 0 && m->tally.first_code == PRONG_UNIMPLEMENTED) {
        call_hint_names(m->cli, m->target, PRONG_UNIMPLEMENTED);
    }
    if (code != CLI_OK || m->is_unread) {
        return code;
    }
    return m->stop != CLI_OK ? m->stop : told != CLI_OK && is_late ? CLI_TIMEOUT : told;
}

int
call_map(struct cli *cli, const struct call_target *target)
{
    struct lease lease = {.replica = ""};
    struct map *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return output_no_memory(cli);
    }
    *m = (struct map){.cli = cli,
                      .target = target,
                      .worker = target->worker,
                      .sets = malloc(HEAD_BYTES),
                      .len = HEAD_BYTES,
                      .capacity = HEAD_BYTES,
                      .limit = SETS_FIRST,
                      .open_max = OPEN_MAX,
                      .give_up_ms = CLI_NEVER_MS};
    progress_init(&m->progress, cli);
    int code = lines_open(cli, cli->options.map, &m->lines);
    code = code == CLI_OK && m->sets == NULL ? output_no_memory(cli) : code;
    code = code == CLI_OK ? hub_connect(cli) : code;
    if (code == CLI_OK && cli->options.lease) {
        code = lease_take(cli, target->worker, &lease);
        m->worker = lease.replica;
    }
    if (code == CLI_OK) {
        code = finish(m, run(m));
    }
    lines_close(&m->lines);
    free(m->sets);
    free(m);
    return lease_give_back(cli, &lease, code);
}
