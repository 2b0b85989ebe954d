/* Golden traces: stories told by the real core, compared with tests/golden/ byte for byte.
 *
 *     core_golden FOLDER            compare; 1 when a story has changed
 *     core_golden FOLDER --write    write them anew
 *
 * Numbers that mean nothing to a reader are shown by names: calls as #1, sessions and other drawn
 * numbers as ~1, in the order in which they come up; tokens are left out. */
#include "tests/unit/core/golden.h"

#include "tests/unit/core/notation.h"
#include "tests/unit/core/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALICE = 1, BOB = 2, DRAWN = 32, ROOM = 65536 };

#define FIRST_CALL (UINT64_C(1) << 40) /* with epoch 1: see init_state */

struct golden {
    struct world w;
    char *text; /* what was told so far */
    size_t len;
    size_t remarked; /* where the last remark ended */
    bool quiet;
    int64_t born_ns;
    uint64_t drawn[DRAWN]; /* ~1, ~2, ... */
    size_t drawn_count;
    size_t replies, processes, events; /* of the world that were told already */
    size_t signals[WORLD_PROCESSES];
};

static void
die(const char *what)
{
    (void)fprintf(stderr, "core_golden: %s\n", what);
    exit(2);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

__attribute__((format(printf, 2, 3))) static void
put(struct golden *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = g->quiet ? 0 : vsnprintf(g->text + g->len, ROOM - g->len, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= ROOM - g->len) {
        die("a story is too long");
    }
    g->len += (size_t)n;
}

/* When, and who to whom. */
static void
begin_line(struct golden *g, const char *from, const char *to)
{
    put(g, "%9.3f  %-8s %2s %-8s ", (double)(g->w.now_ns - g->born_ns) / 1e9, from,
        to[0] != '\0' ? "->" : "", to);
}

static size_t
name_of_drawn(struct golden *g, uint64_t number)
{
    size_t i = 0;
    while (i < g->drawn_count && g->drawn[i] != number) {
        i++;
    }
    if (i == DRAWN) {
        die("a story has too many drawn numbers");
    }
    if (i == g->drawn_count) {
        g->drawn[g->drawn_count++] = number;
    }
    return i + 1;
}

/* Text with names for the numbers in it. */
static void
put_named(struct golden *g, const char *text)
{
    while (*text != '\0') {
        const size_t digits = strspn(text, "0123456789");
        const uint64_t number = digits > 0 ? strtoull(text, NULL, 10) : 0;
        if (number >= FIRST_CALL && text[digits] == '.') { /* <process>.<secret> */
            put(g, "...");
            text += strcspn(text, "'");
        } else if (number > FIRST_CALL && number < FIRST_CALL + 1000) {
            put(g, "#%u", (unsigned)(number - FIRST_CALL));
            text += digits;
        } else if (number >= 1000000000) {
            put(g, "~%zu", name_of_drawn(g, number));
            text += digits;
        } else if (strncmp(text, "<16>", 4) == 0) {
            put(g, "id");
            text += 4;
        } else {
            put(g, "%.*s", digits > 0 ? (int)digits : 1, text);
            text += digits > 0 ? digits : 1;
        }
    }
}

static void
put_records(struct golden *g, const char *from, const char *to, struct span body)
{
    static struct record records[8];
    struct wire_diag diag;
    const size_t count = record_message(body, records, 8, &diag);
    if (count == 0) {
        die(diag.text);
    }
    for (size_t i = 0; i < count; i++) {
        char room[8192];
        struct shown s = {room, 0, sizeof room};
        struct mp_item head, op;
        (void)mp_next(&body, &head);
        (void)mp_next(&body, &op);
        notation_put(&s, "%s", wire_record_row(records[i].record)->name);
        for (uint32_t k = 1; k < head.count; k++) {
            notation_put(&s, " ");
            notation_show(&s, &body);
        }
        if (i == 0) {
            begin_line(g, from, to);
        } else {
            put(g, "%9s  %-8s %2s %-8s ", "", "", "", "");
        }
        put_named(g, room);
        put(g, "\n");
    }
}

/* ---- who is who --------------------------------------------------------------------------------
 */

static const char *
who_is(const struct golden *g, uint64_t peer)
{
    for (size_t i = 0; i < g->w.process_count; i++) {
        if (g->w.process[i].peer == peer) {
            return g->w.process[i].name;
        }
    }
    return peer == ALICE ? "alice" : "bob";
}

static uint64_t
peer_of(struct golden *g, const char *who)
{
    return strcmp(who, "alice") == 0 ? ALICE
           : strcmp(who, "bob") == 0 ? BOB
                                     : world_process(&g->w, who)->peer;
}

/* What stands for something else in what is said: see golden.h. */
static void
expand(struct golden *g, const char *who, const char *text, char out[8192])
{
    struct shown s = {out, 0, 8192};
    for (; *text != '\0'; text++) {
        if (*text == '@') {
            const struct process *p = world_process(&g->w, who);
            notation_put(&s, "'%s',%llu", p->name, (unsigned long long)p->session);
        } else if (*text == '#') {
            char *end;
            notation_put(&s, "%llu", (unsigned long long)FIRST_CALL + strtoull(text + 1, &end, 10));
            text = end - 1;
        } else if (strncmp(text, "ID", 2) == 0) {
            notation_put(&s,
                         strcmp(who, "bob") == 0 ? "b'the id of a Bob!'" : "b'the id of Alice!'");
            text++;
        } else {
            notation_put(&s, "%c", *text);
        }
    }
}

/* ---- what came of a step -----------------------------------------------------------------------
 */

static void
tell_reply(struct golden *g, struct reply *r)
{
    const char *who = who_is(g, r->peer);
    put_records(g, "hub", who, buf_span(&r->bytes));
    if (strchr(who, '/') != NULL) {
        struct process *p = world_process(&g->w, who);
        const uint64_t request = p->request;
        p->request = r->request;
        (void)world_given(&g->w, who); /* it is taken now */
        p->request = request;
    }
}

static void
tell_process(struct golden *g, size_t i)
{
    struct process *p = &g->w.process[i];
    if (i >= g->processes) {
        begin_line(g, "hub", "spawner");
        put(g, "start %s\n", p->name);
    }
    if (p->signals > g->signals[i]) {
        begin_line(g, "hub", "spawner");
        put(g, "signal %d to %s\n", p->signal, p->name);
        g->signals[i] = p->signals;
    }
}

static void
tell_events(struct golden *g)
{
    const char *text = g->w.events + g->events;
    while (*text != '\0') {
        const size_t len = strcspn(text, " ");
        begin_line(g, "hub", "events");
        put(g, "%.*s\n", (int)len, text);
        text += len + 1;
    }
    g->events = strlen(g->w.events);
}

static void
follow(struct golden *g)
{
    for (size_t i = 0; i < g->w.process_count; i++) {
        tell_process(g, i);
    }
    g->processes = g->w.process_count;
    tell_events(g);
    for (; g->replies < g->w.reply_count; g->replies++) {
        tell_reply(g, &g->w.replies[g->replies]);
    }
    if (g->w.ended) {
        begin_line(g, "hub", "spawner");
        put(g, "end\n");
        g->w.ended = false;
    }
}

/* ---- what parties do ---------------------------------------------------------------------------
 */

void
says(struct golden *g, const char *who, const char *text)
{
    char expanded[8192];
    struct buf b = {0};
    expand(g, who, text, expanded);
    notation_write(&b, expanded);
    put_records(g, who, "hub", buf_span(&b));
    (void)world_send(&g->w, peer_of(g, who), buf_span(&b));
    buf_deinit(&b);
    follow(g);
}

void
polls(struct golden *g, const char *replica)
{
    char text[64];
    (void)snprintf(text, sizeof text, "[17,@,%llu,1]",
                   (unsigned long long)world_process(&g->w, replica)->taken);
    says(g, replica, text);
}

void
reports(struct golden *g, const char *replica, const char *items)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "[18,@,[%s]] [17,@,%llu,1]", items,
                   (unsigned long long)world_process(&g->w, replica)->taken);
    says(g, replica, text);
}

static void
happens(struct golden *g, const char *who, const char *what)
{
    begin_line(g, who, "");
    put(g, "%s\n", what);
}

void
leaves(struct golden *g, const char *who)
{
    happens(g, who, "the connection is lost");
    world_close(&g->w, peer_of(g, who));
    follow(g);
}

void
returns(struct golden *g, const char *who)
{
    happens(g, who, "there is a new connection");
    world_open(&g->w, peer_of(g, who));
}

void
reconnects(struct golden *g, const char *who)
{
    leaves(g, who);
    if (strchr(who, '/') == NULL) {
        returns(g, who);
        return;
    }
    happens(g, who, "there is a new connection");
    struct process *p = world_process(&g->w, who);
    p->peer = 1000 + g->w.next_request;
    p->taken = 0;
    world_open(&g->w, p->peer);
}

void
dies(struct golden *g, const char *replica, int status)
{
    char text[64];
    const bool killed = (status & 0x7f) != 0;
    (void)snprintf(text, sizeof text, "%s %d", killed ? "killed by signal" : "exited with",
                   killed ? status : status >> 8);
    happens(g, replica, text);
    world_exited(&g->w, replica, status);
    follow(g);
}

void
attaches(struct golden *g, const char *replica, unsigned attach, const char *inventory)
{
    char text[1024];
    struct process *p = world_process(&g->w, replica);
    const uint64_t request = g->w.next_request;
    struct field session;
    (void)snprintf(text, sizeof text,
                   "[16,{'token':'%s','attach':%u,'methods':{'echo':{'policy':'once'},'again':{"
                   "'policy':'idempotent'},'look':{'policy':'shared'}}%s%s}]",
                   p->token, attach, inventory[0] != '\0' ? "," : "", inventory);
    says(g, replica, text);
    const struct record *r = world_expect(&g->w, request, 0, WIRE_REC_WELCOME);
    if (!record_key(RECORD_FIELD(r, WELCOME, ABOUT), WIRE_KEY_WELCOME_session, &session)) {
        die("WELCOME without a session");
    }
    p->session = session.item.uint;
    polls(g, replica);
}

void
comes_up(struct golden *g, const char *replica)
{
    struct process *p = world_process(&g->w, replica);
    happens(g, replica, "its process runs, attaches and polls");
    const bool quiet = g->quiet;
    g->quiet = true;
    world_started(&g->w, replica);
    p->peer = 1000 + g->w.next_request;
    world_open(&g->w, p->peer);
    attaches(g, replica, 1, "");
    /* What it was given at once is told. */
    g->quiet = quiet;
    struct reply *r = world_reply(&g->w, g->w.next_request - 1);
    if (r != NULL) {
        tell_reply(g, r);
    }
}

void
passes(struct golden *g, int64_t ms)
{
    const int64_t end = g->w.now_ns + ms * 1000000;
    int64_t at;
    while ((at = hub_deadline_ns(g->w.hub)) < end) {
        g->w.now_ns = at > g->w.now_ns ? at : g->w.now_ns;
        world_step(&g->w, &(struct hub_input){.kind = HUB_IN_TIME});
        follow(g);
    }
    g->w.now_ns = end;
    world_step(&g->w, &(struct hub_input){.kind = HUB_IN_TIME});
    follow(g);
}

void
stops(struct golden *g)
{
    happens(g, "spawner", "the hub is told to stop");
    world_stop(&g->w);
    follow(g);
}

void
remark(struct golden *g, const char *text)
{
    put(g, "%s# %s\n", g->len == g->remarked ? "" : "\n", text);
    g->remarked = g->len;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static void
set_up(struct golden *g, uint32_t replicas)
{
    struct worker_spec spec;
    char name[WORLD_NAME];
    world_init(&g->w);
    spec_defaults(&spec);
    spec.name = "echo";
    spec.launch = (struct launch){.argc = 1, .text = "\0true", .text_bytes = 6};
    spec.replicas = replicas;
    spec.queue_max = 4;
    g->quiet = true;
    world_step(&g->w, &(struct hub_input){.kind = HUB_IN_WORKER, .worker = {&spec}});
    world_configured(&g->w);
    world_open(&g->w, ALICE);
    world_open(&g->w, BOB);
    for (uint32_t i = 0; i < replicas; i++) {
        (void)snprintf(name, sizeof name, "echo/%u", i);
        comes_up(g, name);
    }
    follow(g);
    g->quiet = false;
    g->drawn_count = 0;
    g->born_ns = g->w.now_ns;
}

/* The text of one story, in g->text. */
static void
tell(struct golden *g, const struct golden_story *story)
{
    char *text = g->text;
    *g = (struct golden){.text = text};
    set_up(g, story->replicas);
    put(g, "# %s\n", story->title);
    g->remarked = g->len;
    story->tell(g);
    world_deinit(&g->w);
}

static bool
write_file(const char *path, const struct golden *g)
{
    FILE *f = fopen(path, "wb");
    bool ok = f != NULL && fwrite(g->text, 1, g->len, f) == g->len;
    ok = f != NULL && fclose(f) == 0 && ok;
    if (!ok) {
        perror(path);
    }
    return ok;
}

/* Whether the file says the same; else the first line that differs is shown. */
static bool
is_same(const char *path, const struct golden *g)
{
    static char was[ROOM];
    FILE *f = fopen(path, "rb");
    const size_t len = f != NULL ? fread(was, 1, sizeof was, f) : 0;
    if (f == NULL || fclose(f) != 0) {
        perror(path);
        return false;
    }
    if (len == g->len && memcmp(was, g->text, len) == 0) {
        return true;
    }
    size_t at = 0, line = 1, start = 0;
    for (; at < len && at < g->len && was[at] == g->text[at]; at++) {
        line += was[at] == '\n';
        start = was[at] == '\n' ? at + 1 : start;
    }
    (void)fprintf(stderr, "%s:%zu:\n- %.*s\n+ %.*s\n", path, line, (int)strcspn(was + start, "\n"),
                  was + start, (int)strcspn(g->text + start, "\n"), g->text + start);
    return false;
}

int
main(int argc, char **argv)
{
    static struct golden g;
    bool ok = true;
    const bool writes = argc == 3 && strcmp(argv[2], "--write") == 0;
    if (argc < 2 || (argc > 2 && !writes)) {
        (void)fprintf(stderr, "usage: core_golden FOLDER [--write]\n");
        return 2;
    }
    g.text = calloc(1, ROOM);
    if (g.text == NULL) {
        die("out of memory");
    }
    for (unsigned i = 0; i < golden_story_count; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s.txt", argv[1], golden_stories[i].name);
        tell(&g, &golden_stories[i]);
        ok = (writes ? write_file(path, &g) : is_same(path, &g)) && ok;
    }
    free(g.text);
    if (!ok && !writes) {
        (void)fprintf(stderr, "if it is meant to be so: core_golden %s --write\n", argv[1]);
    }
    return ok ? 0 : 1;
}
