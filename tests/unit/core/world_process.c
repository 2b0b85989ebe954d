/* Processes of workers and what they say: the second part of world.h. */
#include "tests/unit/core/world.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/core/world_inside.h"

struct process *
world_process(struct world *w, const char *name)
{
    const char *hash = strchr(name, '#');
    const size_t len = hash != NULL ? (size_t)(hash - name) : strlen(name);
    const unsigned long wanted = hash != NULL ? strtoul(hash + 1, NULL, 10) : 0;
    unsigned long seen = 0;
    struct process *found = NULL;
    for (size_t i = 0; i < w->process_count && (wanted == 0 || seen < wanted); i++) {
        struct process *p = &w->process[i];
        if (strlen(p->name) == len && memcmp(p->name, name, len) == 0) {
            seen++;
            found = p;
        }
    }
    if (found != NULL && (wanted == 0 || seen == wanted)) {
        return found;
    }
    world_disappoint(w, "there is no such process");
    return NULL;
}

static int32_t
pid_of(const struct world *w, const struct process *p)
{
    return (int32_t)(1000 + (p - w->process));
}

void
world_started(struct world *w, const char *name)
{
    struct process *p = world_process(w, name);
    struct hub_input in = {.kind = HUB_IN_STARTED};
    in.process.id = p->id;
    in.process.pid = pid_of(w, p);
    in.process.name = p->name;
    p->running = true;
    world_step(w, &in);
}

static void
end_process(struct world *w, const char *name, int status, bool out_of_memory)
{
    struct process *p = world_process(w, name);
    struct hub_input in = {.kind = HUB_IN_EXITED};
    if (p->peer != 0) {
        world_close(w, p->peer);
        p->peer = 0;
    }
    in.process.id = p->id;
    in.process.pid = pid_of(w, p);
    in.process.status = status;
    in.process.out_of_memory = out_of_memory;
    p->running = false;
    world_step(w, &in);
}

void
world_exited(struct world *w, const char *name, int status)
{
    end_process(w, name, status, false);
}

void
world_starved(struct world *w, const char *name)
{
    enum { KILLED = 9 };
    end_process(w, name, KILLED, true);
}

void
world_start_failed(struct world *w, const char *name, bool never)
{
    struct hub_input in = {.kind = HUB_IN_START_FAILED};
    in.process.id = world_process(w, name)->id;
    in.process.step = never ? "exec" : "fork";
    in.process.never = never;
    in.process.error = "no luck";
    world_step(w, &in);
}

void
world_alive(struct world *w, uint64_t id, const char *name)
{
    struct hub_input in = {.kind = HUB_IN_ALIVE};
    in.process.id = id;
    in.process.pid = 4711;
    in.process.name = name;
    world_step(w, &in);
}

static void
write_method(struct buf *b, const char *name, const char *policy)
{
    write_text(b, name);
    write_map(b, 1);
    write_text(b, "policy");
    write_text(b, policy);
}

void
world_attach(struct world *w, const char *name)
{
    struct process *p = world_process(w, name);
    struct buf *b = world_message(w);
    p->peer = 100 + (uint64_t)(p - w->process) * 10 + w->next_request * 10000;
    world_open(w, p->peer);
    write_op(b, WIRE_ATTACH);
    write_map(b, 3);
    write_text(b, "capacity");
    write_uint(b, w->capacity);
    write_text(b, "token");
    write_text(b, p->token);
    write_text(b, "methods");
    write_map(b, 3);
    write_method(b, "echo", "once");
    write_method(b, "again", "idempotent");
    write_method(b, "same", "shared");
    const uint64_t request = world_send(w, p->peer, buf_span(b));
    const struct record *r = world_expect(w, request, 0, WIRE_REC_WELCOME);
    struct field session;
    if (!record_key(RECORD_FIELD(r, WELCOME, ABOUT), WIRE_KEY_WELCOME_session, &session)) {
        world_disappoint(w, "WELCOME without a session");
    }
    p->session = session.item.uint;
    p->taken = 0;
}

static void
write_poll(const struct process *p, struct buf *b, uint64_t capacity)
{
    write_op(b, WIRE_POLL);
    write_text(b, p->name);
    write_uint(b, p->session);
    write_uint(b, p->taken);
    write_uint(b, capacity);
}

void
world_poll(struct world *w, const char *name, uint64_t capacity)
{
    struct process *p = world_process(w, name);
    struct buf *b = world_message(w);
    write_poll(p, b, capacity);
    p->request = world_send(w, p->peer, buf_span(b));
}

uint64_t
world_given(struct world *w, const char *name)
{
    struct process *p = world_process(w, name);
    const struct reply *r = world_reply(w, p->request);
    for (size_t i = 0; r != NULL && i < r->count; i++) {
        if (r->record[i].record != WIRE_REC_WORK) {
            continue;
        }
        struct span items = RECORD_FIELD(&r->record[i], WORK, ITEMS)->inside;
        struct record item;
        p->taken = RECORD_FIELD(&r->record[i], WORK, NUMBER)->item.uint;
        return record_item(&items, WIRE_REC_WORK_ITEM, &item)
                   ? RECORD_FIELD(&item, WORK_ITEM, CALL)->item.uint
                   : 0;
    }
    return 0;
}

void
world_done(struct world *w, const char *name, uint64_t call)
{
    struct process *p = world_process(w, name);
    struct buf *b = world_message(w);
    write_op(b, WIRE_REPORT);
    write_text(b, p->name);
    write_uint(b, p->session);
    write_array(b, 1);
    write_array(b, 3);
    write_uint(b, call);
    write_uint(b, WIRE_REPORT_RESULT);
    write_text(b, "done");
    write_poll(p, b, 1);
    p->request = world_send(w, p->peer, buf_span(b));
}

void
world_serve(struct world *w, const char *name)
{
    world_started(w, name);
    world_attach(w, name);
    world_poll(w, name, 1);
}
