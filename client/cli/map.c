/* `prong call --map`: one call for each argument set of a file.
 *
 * The sets go to the hub in chunks of bounded size, each one CALL with PRONG_CALL_MAP, and some of
 * them are open at a time, so that no replica waits for the next. A chunk leaves when it is full,
 * or when the file has no more to read now: `tail -f | prong call --map -` calls at once. How many
 * sets a chunk may hold follows from how long the last ones took, because a CALL has an hour. */
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

struct chunk {
    prong_reply *reply;
    uint64_t first;
    uint32_t count, told;
    uint8_t *is_told; /* of each set; owned */
    size_t bytes;
    int64_t begin_ms;
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
    size_t open_count, open_sets, open_bytes;
    uint8_t *sets; /* of the chunk to come: room for a head, then the sets; owned */
    size_t len, capacity;
    uint32_t count, limit;
    prong_value held;   /* the next set, not in the chunk yet; borrowed from lines */
    uint64_t read;      /* sets */
    int stop;           /* why no more is read: an exit code */
    int64_t give_up_ms; /* after SIGINT */
    bool is_unread;
    char refused[300]; /* why the library did not take the chunk to come; "" */
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

/* What was read and not asked for has not begun and will not. */
static int
refuse_pending(struct map *m, prong_err err, const char *message)
{
    const prong_outcome outcome = {
        .code = err, .began = PRONG_BEGAN_NO, .message = message, .message_len = strlen(message)};
    int code = CLI_OK;
    for (uint32_t i = 0; code == CLI_OK && i < m->count; i++) {
        code = put(m, m->read - m->count + i, &outcome);
    }
    m->count = 0;
    m->len = HEAD_BYTES;
    m->refused[0] = '\0';
    return code;
}

/* The library did not take it: most likely it is one set, too large for a message. */
static int
refuse_chunk(struct map *m, prong_err err, const prong_value *args)
{
    if (err != PRONG_RESOURCE_EXHAUSTED) {
        return hub_refused(m->cli, err, m->target->text, args);
    }
    prong_client_error_text(m->cli->client, m->refused, sizeof m->refused - 1);
    if (m->refused[0] == '\0') {
        (void)snprintf(m->refused, sizeof m->refused, "%s", prong_err_help(err));
    }
    return CLI_OK;
}

/* ---- asking --------------------------------------------------------------------------------- */

static bool
may_send(const struct map *m)
{
    const struct lease *lease = m->cli->lease;
    return m->count > 0 && m->open_count < OPEN_MAX && (lease == NULL || !lease->is_unsure) &&
           (m->open_count == 0 || (m->open_sets + m->count <= 2 * (size_t)m->limit &&
                                   m->open_bytes + m->len <= OPEN_BYTES_MAX));
}

static int
send_chunk(struct map *m)
{
    const int64_t deadline_ms = m->cli->has_timeout ? m->cli->deadline_ms : CLI_NEVER_MS;
    struct chunk *c = &m->open[m->open_count];
    prong_call_options o = call_options(m->cli);
    o.flags = PRONG_CALL_STREAM | PRONG_CALL_MAP |
              (m->cli->options.ordered ? (uint32_t)PRONG_CALL_ORDERED : 0);
    o.timeout_ms = PRONG_TTL_MS_MAX;
    if (deadline_ms != CLI_NEVER_MS) {
        o.timeout_ms = unit_left_ms(deadline_ms, PRONG_TTL_MS_MAX);
        o.timeout_ms += o.timeout_ms == 0; /* 0 is a default */
    }
    *c = (struct chunk){.first = m->read - m->count,
                        .count = m->count,
                        .is_told = calloc(m->count, 1),
                        .bytes = m->len,
                        .begin_ms = unit_now_ms()};
    if (c->is_told == NULL) {
        return output_no_memory(m->cli);
    }
    m->sets[0] = 0xdd; /* an array with a length of 32 bits */
    for (int i = 1; i < HEAD_BYTES; i++) {
        m->sets[i] = (uint8_t)(m->count >> (8 * (HEAD_BYTES - 1 - i)));
    }
    const prong_value args = {m->sets, m->len};
    const prong_err err =
        prong_call_async(m->cli->client, m->worker, m->target->method, &args, &o, &c->reply);
    if (err != PRONG_OK) {
        free(c->is_told);
        return refuse_chunk(m, err, &args);
    }
    m->open_count++;
    m->open_sets += c->count;
    m->open_bytes += c->bytes;
    m->count = 0;
    m->len = HEAD_BYTES;
    return CLI_OK;
}

/* ---- outcomes ------------------------------------------------------------------------------- */

static int
take_items(struct map *m, struct chunk *c)
{
    prong_value item;
    prong_outcome outcome;
    int code = CLI_OK;
    while (code == CLI_OK && prong_reply_next(c->reply, 0, &item) == PRONG_OK) {
        if (!prong_item_outcome(&item, &outcome) || outcome.number >= c->count ||
            c->is_told[outcome.number]) {
            return output_error(m->cli, PRONG_INTERNAL, m->target->text,
                                "an item that is no outcome");
        }
        c->is_told[outcome.number] = 1;
        c->told++;
        code = put(m, c->first + outcome.number, &outcome);
    }
    return code;
}

/* The chunk as a whole has failed: each of its sets that has no outcome gets this one. */
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
    int code = CLI_OK;
    for (uint32_t i = 0; code == CLI_OK && c->told < c->count && i < c->count; i++) {
        code = c->is_told[i] ? CLI_OK : put(m, c->first + i, &outcome);
    }
    return code;
}

static void
forget(struct map *m, size_t index)
{
    struct chunk *c = &m->open[index];
    m->open_sets -= c->count;
    m->open_bytes -= c->bytes;
    prong_reply_free(c->reply);
    free(c->is_told);
    m->open_count--;
    memmove(c, c + 1, (m->open_count - index) * sizeof *c);
}

static bool
is_over_time(const struct map *m)
{
    return m->cli->has_timeout && unit_now_ms() >= m->cli->deadline_ms;
}

static int
end_chunk(struct map *m, size_t index)
{
    struct chunk *c = &m->open[index];
    const prong_err err = prong_reply_code(c->reply);
    const int64_t took_ms = unit_now_ms() - c->begin_ms;
    int code = CLI_OK;
    if (c->count == m->limit && took_ms < SHORT_MS && m->limit < SETS_MAX) {
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
    if (err != PRONG_OK && c->told == 0 && prong_reply_began(c->reply) == PRONG_BEGAN_NO &&
        m->stop == CLI_OK && !is_over_time(m)) {
        progress_clear(&m->progress);
        stop_reading(m, output_failure(m->cli, m->target->text, c->reply));
        call_hint_names(m->cli, m->target, err);
    }
    forget(m, index);
    return code;
}

/* In order only the first chunk is looked at: what the next ones have waits with the library. */
static int
take(struct map *m)
{
    int code = CLI_OK;
    for (size_t i = 0; code == CLI_OK && i < m->open_count;) {
        code = take_items(m, &m->open[i]);
        const bool is_done = prong_reply_is_done(m->open[i].reply);
        if (code == CLI_OK && is_done) {
            /* It may have become done with items that came behind those that were taken. */
            code = take_items(m, &m->open[i]);
            code = code == CLI_OK ? end_chunk(m, i) : code;
        } else if (m->cli->options.ordered) {
            break;
        } else {
            i++;
        }
    }
    if (code == CLI_OK && fflush(stdout) != 0) {
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
        prong_reply_cancel(m->open[i].reply);
    }
    m->stop = CLI_OK; /* whatever it was, this is why it ends */
    stop_reading(m, code);
    m->give_up_ms = unit_now_ms() + HUB_CANCEL_MS;
    return CLI_OK;
}

static int
wait_for_more(struct map *m, int64_t show_ms)
{
    const bool wants = has_room(m) && !m->lines.is_over;
    int64_t until_ms = m->give_up_ms < show_ms ? m->give_up_ms : show_ms;
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

static bool
has_lost_lease(const struct map *m)
{
    return m->cli->lease != NULL && m->cli->lease->is_lost;
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

/* Why the sets of the chunk to come are not to be asked for; PRONG_OK when they are. */
static prong_err
why_not(const struct map *m, const char **text)
{
    const prong_err err = m->give_up_ms != CLI_NEVER_MS ? PRONG_CANCELLED
                          : is_over_time(m)             ? PRONG_DEADLINE_EXCEEDED
                          : has_lost_lease(m)           ? PRONG_FAILED_PRECONDITION
                          : m->refused[0] != '\0'       ? PRONG_RESOURCE_EXHAUSTED
                                                        : PRONG_OK;
    *text = err == PRONG_CANCELLED             ? "interrupted"
            : err == PRONG_DEADLINE_EXCEEDED   ? "the time was over (--timeout)"
            : err == PRONG_FAILED_PRECONDITION ? "the lease was lost"
                                               : m->refused;
    return err;
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
