/* What the workers of a world are, and how that changes while a hub runs: see sim.h. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const sim_workers[WORKERS] = {"alpha", "beta"};

/* ---- drawing ----------------------------------------------------------------------------------
 */

static uint32_t
new_program(struct sim *s, bool bad)
{
    s->last_program += 2;
    return s->last_program + bad;
}

/* What happens again and again must not fill the hour that a world waits at its end: there it is
 * seldom, and everywhere when no reload could change it before. */
static int64_t
again_ms(struct sim *s)
{
    const bool seldom = !s->chaos || s->had.reloads == 0;
    return (seldom ? 100 : s->faults.pace) * (500 + (int64_t)sim_choose(s, 8000));
}

/* All but its program and its replicas. */
static void
draw_numbers(struct sim *s, size_t worker, struct config *c)
{
    const bool stands = s->had.stands > 0 && worker == 1;
    c->calls_max = s->had.renews > 0 && sim_choose(s, 3) > 0 ? 3 + sim_choose(s, 40) : 0;
    c->age_ms_max = s->had.ages > 0 && sim_choose(s, 2) == 0 ? again_ms(s) : 0;
    c->busy_ms_max =
        s->had.watched > 0 && sim_choose(s, 3) > 0 ? 500 + (int64_t)sim_choose(s, 6000) : 0;
    c->heartbeat_ms = s->had.watched > 0 && sim_choose(s, 2) == 0 ? again_ms(s) : 0;
    c->stop_first = sim_choose(s, 3) == 0;
    c->stands = stands && sim_choose(s, 3) > 0;
    c->restarts_with = stands && sim_choose(s, 3) == 0;
}

void
config_draw(struct sim *s)
{
    for (size_t i = 0; i < WORKERS; i++) {
        s->configs[i].program = new_program(s, false);
        draw_numbers(s, i, &s->configs[i]);
    }
}

void
config_calm(struct sim *s)
{
    for (size_t i = 0; i < WORKERS && s->had.reloads > 0; i++) {
        struct config *c = &s->configs[i];
        c->gone = false;
        c->program = sim_choose(s, 2) == 0 ? new_program(s, false) : c->program;
        c->replicas = 1 + (uint32_t)sim_choose(s, REPLICAS_MAX);
        draw_numbers(s, i, c);
    }
}

/* Each may stay as it is. Beta may go: nobody stands on it. */
static void
change(struct sim *s, size_t worker, struct config *c)
{
    const uint64_t what = sim_choose(s, 6);
    if (what == 1 || what == 2) {
        c->program = new_program(s, false);
    }
    if (what == 2 || what == 3) {
        draw_numbers(s, worker, c);
    }
    if (what == 3 || what == 4) {
        c->replicas = 1 + (uint32_t)sim_choose(s, REPLICAS_MAX);
    }
    c->gone = worker == 1 && (what == 5 ? !c->gone : c->gone && sim_choose(s, 3) > 0);
}

/* ---- what the hub is told ---------------------------------------------------------------------
 */

void
config_spec(const struct config *c, size_t worker, bool tight, struct worker_spec *spec)
{
    static const struct spec_other alpha = {"alpha", SPEC_WHEN_READY};
    spec_defaults(spec);
    spec->name = sim_workers[worker];
    /* Its text is whatever tells programs apart: the core does not look into it. */
    spec->launch = (struct launch){
        .argc = 1, .text = (const char *)&c->program, .text_bytes = sizeof c->program};
    spec->replicas = c->replicas;
    spec->restarts_max = 1000;
    spec->restart_delay_ms = 10;
    spec->restart_delay_ms_max = 200;
    spec->start_timeout_ms = 5000;
    spec->stop_timeout_ms = 500;
    spec->queue_max = tight ? 2 : 30;
    spec->calls_max = c->calls_max;
    spec->age_ms_max = c->age_ms_max;
    spec->busy_ms_max = c->busy_ms_max;
    spec->heartbeat_ms = c->heartbeat_ms;
    spec->stop_first = c->stop_first;
    spec->depends = &alpha;
    spec->depend_count = c->stands;
    spec->restart_with = &alpha;
    spec->restart_with_count = c->restarts_with;
}

uint32_t
config_program(const struct worker_spec *spec)
{
    uint32_t program;
    memcpy(&program, spec->launch.text, sizeof program);
    return program;
}

void
config_reload(struct sim *s, uint64_t call, bool bad)
{
    struct config next[WORKERS];
    struct worker_spec specs[WORKERS];
    struct hub_input in = {.kind = HUB_IN_RELOAD};
    memcpy(next, s->configs, sizeof next);
    for (size_t i = 0; s->chaos && i < WORKERS; i++) {
        change(s, i, &next[i]);
    }
    if (bad) {
        /* One that waits for another takes what comes without having tried it. */
        const bool may_wait = next[1].stands || next[1].restarts_with || next[1].gone;
        struct config *c = &next[may_wait ? 0 : sim_choose(s, WORKERS)];
        c->program = new_program(s, true);
    } else {
        memcpy(s->configs, next, sizeof next);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        if (!next[i].gone) {
            config_spec(&next[i], i, s->had.tight > 0, &specs[in.reload.count++]);
        }
        sim_note(s, "%s: %s program %u, %u replicas", sim_workers[i], next[i].gone ? "gone," : "",
                 (unsigned)next[i].program, (unsigned)next[i].replicas);
    }
    in.reload.call = call;
    in.reload.specs = specs;
    in.reload.wrong = s->chaos && sim_choose(s, 10) == 0 ? "it is not what it should be" : NULL;
    world_feed(s, &in);
}
