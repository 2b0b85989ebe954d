/* What the tests of calls share: see story.h. */
#include "tests/unit/core/story.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *
id_of(unsigned who)
{
    return who == TWO ? STORY_TWO : STORY_ONE;
}

void
story_worker(struct world *w, const char *name, uint32_t replicas, uint32_t queue_max)
{
    struct worker_spec spec;
    spec_defaults(&spec);
    spec.name = name;
    spec.launch = (struct launch){.argc = 1, .text = "\0true", .text_bytes = 6};
    spec.replicas = replicas;
    spec.queue_max = queue_max;
    world_step(w, &(struct hub_input){.kind = HUB_IN_WORKER, .worker = {&spec}});
}

static void
begin(struct world *w, uint32_t replicas)
{
    char name[WORLD_NAME];
    w->capacity = 1;
    story_worker(w, "echo", replicas, 1024);
    world_configured(w);
    world_open(w, ONE);
    world_open(w, TWO);
    for (uint32_t i = 0; i < replicas; i++) {
        (void)snprintf(name, sizeof name, "echo/%u", i);
        world_serve(w, name);
    }
}

void
story_begin(struct world *w, uint32_t replicas)
{
    world_init(w);
    begin(w, replicas);
}

void
story_begin_with(struct world *w, uint32_t replicas, const struct hub_options *options)
{
    cr_assert(world_init_with(w, options), "there is memory");
    begin(w, replicas);
}

void
story_end(struct world *w)
{
    world_close(w, ONE);
    world_close(w, TWO);
    /* Background outcomes are kept longest; then the clients themselves are forgotten. */
    world_pass_ms(w, WIRE_REMEMBER_MS + WIRE_BACKGROUND_KEEP_MS);
    const struct hub_counts left = hub_counts(w->hub);
    cr_assert(left.calls == 0 && left.unfinished == 0, "%zu calls are left", left.calls);
    cr_assert(left.payload_bytes == 0, "%zu bytes are left", left.payload_bytes);
    cr_assert(left.clients == 0, "%zu clients are left", left.clients);
    world_deinit(w);
}

__attribute__((format(printf, 2, 0))) static void
format_into(char text[8192], const char *format, va_list args)
{
    const int n = vsnprintf(text, 8192, format, args);
    cr_assert(n >= 0 && n < 8192, "a text of a story is too long");
}

uint64_t
story_call(struct world *w, unsigned who, unsigned seq, const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    format_into(text, format, args);
    va_end(args);
    return world_say(w, who, "[2,%s,%u,0,%s]", id_of(who), seq, text);
}

uint64_t
story_wait(struct world *w, unsigned who, unsigned seq, unsigned received)
{
    return world_say(w, who, "[3,%s,%u,%u]", id_of(who), seq, received);
}

void
story_cancel(struct world *w, unsigned who, unsigned seq)
{
    char want[32];
    const uint64_t r = world_say(w, who, "[4,%s,%u]", id_of(who), seq);
    (void)snprintf(want, sizeof want, "ACK %u 0", seq);
    expect_text(w, r, want);
}

uint64_t
story_report(struct world *w, const char *replica, const char *format, ...)
{
    char text[8192];
    va_list args;
    const struct process *p = world_process(w, replica);
    va_start(args, format);
    format_into(text, format, args);
    va_end(args);
    return world_say(w, p->peer, "[18,'%s',%llu,[%s]]", replica, (unsigned long long)p->session,
                     text);
}

static void
end_call(struct world *w, const char *replica, uint64_t call, unsigned kind, const char *payload)
{
    struct process *p = world_process(w, replica);
    const unsigned long long session = p->session;
    p->request = world_say(w, p->peer, "[18,'%s',%llu,[[%llu,%u,%s]]] [17,'%s',%llu,%llu,1]",
                           replica, session, (unsigned long long)call, kind, payload, replica,
                           session, (unsigned long long)p->taken);
}

void
story_done(struct world *w, const char *replica, uint64_t call, const char *value)
{
    end_call(w, replica, call, WIRE_REPORT_RESULT, value);
}

void
story_failed(struct world *w, const char *replica, uint64_t call)
{
    end_call(w, replica, call, WIRE_REPORT_ERROR, "[2,2,'it failed',null]");
}

void
story_attach(struct world *w, const char *replica, unsigned attach, const char *about)
{
    struct process *p = world_process(w, replica);
    struct field session;
    if (p->peer != 0) {
        world_close(w, p->peer);
    }
    p->peer = 50000 + w->next_request;
    world_open(w, p->peer);
    const uint64_t r = world_say(w, p->peer, "[16,{'token':'%s','attach':%u,'capacity':1,%s}]",
                                 p->token, attach, about);
    const struct record *welcome = world_expect(w, r, 0, WIRE_REC_WELCOME);
    cr_assert(record_key(RECORD_FIELD(welcome, WELCOME, ABOUT), WIRE_KEY_WELCOME_session, &session),
              "WELCOME has a session");
    p->session = session.item.uint;
    p->taken = 0;
    world_poll(w, replica, 1);
}

uint64_t
story_control(struct world *w, const char *replica)
{
    const struct process *p = world_process(w, replica);
    return world_say(w, p->peer, "[19,'%s',%llu]", replica, (unsigned long long)p->session);
}

unsigned
story_events(const struct world *w, const char *topic)
{
    unsigned count = 0;
    const size_t len = strlen(topic);
    for (const char *p = w->events; (p = strstr(p, topic)) != NULL; p += len) {
        count += (p == w->events || p[-1] == ' ') && p[len] == ' ';
    }
    return count;
}
