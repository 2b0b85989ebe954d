/* News of streams become events, with a bound on how many. */
#include "broker/core/parts.h"
#include "tests/support/test.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

enum { READER = 2 };

static void
begin(struct world *w)
{
    world_init(w);
    world_open(w, READER);
    world_worker(w, "camera", NULL);
    world_configured(w);
    w->events[0] = '\0';
}

static void
tell(struct world *w, struct hub_lent_news news)
{
    struct hub_input in = {.kind = HUB_IN_LENT, .lent = news};
    world_step(w, &in);
}

static void
expect(struct world *w, const char *topic, const char *text)
{
    const uint64_t r = world_say(w, READER, "[6,null,['%s'],1,1000,1000000,0]", topic);
    cr_expect(world_says(w, r, text), "%s: %s", topic, world_text(w, r));
}

static const struct hub_lent_news started = {.kind = HUB_STREAM_STARTED,
                                             .stream = "cam1",
                                             .pid = 77,
                                             .uid = 5,
                                             .reason = "opened",
                                             .generation = 3,
                                             .number = 9,
                                             .slots = 8,
                                             .slot_bytes = 4096};

Test(lent, each_kind_has_its_event)
{
    struct world w;
    struct hub_lent_news news = started;
    begin(&w);
    tell(&w, news);
    expect(&w, "hub.stream.started",
           "{'stream': 'cam1', 'pid': 77, 'untold': 0, 'who': 'pid 77 uid 5', 'generation': 3, "
           "'number': 9, 'slots': 8, 'slot_bytes': 4096, 'reason': 'opened'}");
    news.kind = HUB_STREAM_CHANGED;
    tell(&w, news);
    expect(&w, "hub.stream.changed",
           "{'stream': 'cam1', 'pid': 77, 'untold': 0, 'who': 'pid 77 uid 5', 'generation': 3, "
           "'number': 9, 'slots': 8, 'slot_bytes': 4096}");
    news.kind = HUB_STREAM_STOPPED;
    news.reason = "ended";
    tell(&w, news);
    expect(&w, "hub.stream.stopped",
           "{'stream': 'cam1', 'pid': 77, 'untold': 0, 'who': 'pid 77 uid 5', 'generation': 3, "
           "'number': 9, 'reason': 'ended'}");
    news = (struct hub_lent_news){.kind = HUB_STREAM_DROPPED, .stream = "cam1", .group = "g"};
    tell(&w, news);
    expect(&w, "hub.stream.dropped",
           "{'stream': 'cam1', 'pid': 0, 'untold': 0, 'who': '', 'group': 'g'}");
    news = (struct hub_lent_news){
        .kind = HUB_STREAM_SILENT, .stream = "cam1", .silent_ms = 2000, .number = 9};
    tell(&w, news);
    expect(&w, "hub.stream.silent", "{'stream': 'cam1', 'silent_ms': 2000, 'number': 9}");
    news.kind = HUB_STREAM_HEARD;
    tell(&w, news);
    expect(&w, "hub.stream.heard", "{'stream': 'cam1', 'silent_ms': 2000}");
    world_deinit(&w);
}

Test(lent, a_replica_is_told_by_its_name)
{
    struct world w;
    struct hub_lent_news news = started;
    begin(&w);
    world_serve(&w, "camera/0");
    news.pid = worker_find(w.hub, span_text("camera"))->replicas[0]->pid;
    tell(&w, news);
    expect(&w, "hub.stream.started", "'who': 'camera/0'");
    world_deinit(&w);
}

Test(lent, memory_that_was_refused_is_a_limit_told_once_a_second_and_counted)
{
    static const struct hub_lent_news refused = {
        .kind = HUB_MEMORY_REFUSED, .stream = "cam1", .pid = 77, .uid = 5};
    struct world w;
    begin(&w);
    tell(&w, refused);
    tell(&w, refused);
    world_pass_ms(&w, 999);
    tell(&w, refused);
    cr_expect_str_eq(w.events, "hub.limit ", "%s", w.events);
    world_pass_ms(&w, 1);
    tell(&w, refused);
    cr_expect_str_eq(w.events, "hub.limit hub.limit ", "%s", w.events);
    expect(&w, "hub.limit", "{'limit': 'memory_max', 'stream': 'cam1', 'who': 'pid 77 uid 5'}");
    const uint64_t r = world_say(&w, READER, "[2,null,1,0,'hub','metrics',0,null,{}]");
    cr_expect(world_says(&w, r, "'memory': {'refused': 4}"), "%s", world_text(&w, r));
    world_deinit(&w);
}

static size_t
count(const struct world *w, const char *topic)
{
    size_t n = 0;
    for (const char *at = w->events; (at = strstr(at, topic)) != NULL; at++) {
        n++;
    }
    return n;
}

/* What silences tell is bounded by how long they are. */
Test(lent, who_comes_and_goes_all_the_time_does_not_push_others_out)
{
    static const struct hub_lent_news silent = {.kind = HUB_STREAM_SILENT, .stream = "cam1"};
    struct world w;
    begin(&w);
    for (int i = 0; i < LENT_NEWS_BURST + 30; i++) {
        tell(&w, started);
    }
    cr_expect(count(&w, "started") == LENT_NEWS_BURST, "%zu", count(&w, "started"));
    tell(&w, silent);
    cr_expect(count(&w, "silent") == 1, "%s", w.events);
    w.events[0] = '\0';
    world_pass_ms(&w, 1000 / LENT_NEWS_PER_SECOND - 1);
    tell(&w, started);
    cr_expect_str_eq(w.events, "", "%s", w.events);
    world_pass_ms(&w, 1);
    tell(&w, started);
    expect(&w, "hub.stream.started", "'untold': 31");
    tell(&w, started);
    cr_expect(count(&w, "started") == 1, "%s", w.events);
    w.events[0] = '\0';
    world_pass_ms(&w, 3600000);
    for (int i = 0; i < LENT_NEWS_BURST + 1; i++) {
        tell(&w, started);
    }
    cr_expect(count(&w, "started") == LENT_NEWS_BURST, "a long rest earns no more");
    world_deinit(&w);
}

Test(lent, what_the_shell_says_stands_in_the_metrics)
{
    struct world w;
    struct buf b = {0};
    begin(&w);
    w.holds_usage = true;
    const uint64_t r = world_say(&w, READER, "[2,null,1,0,'hub','metrics',0,null,{}]");
    cr_assert(w.usage_asked, "also when no process runs");
    write_text(&b, "cam1");
    write_map(&b, 1);
    write_text(&b, "frames");
    write_uint(&b, 5);
    const struct hub_lent lent = {.bytes = 1,
                                  .bytes_max = 2,
                                  .buffers = 3,
                                  .connections = 4,
                                  .silent = 6,
                                  .stream_count = 1,
                                  .streams = buf_span(&b)};
    struct hub_input in = {.kind = HUB_IN_USAGE};
    in.usage.call = w.usage_call;
    in.usage.lent = &lent;
    world_step(&w, &in);
    cr_expect(world_says(&w, r,
                         "'memory': {'refused': 0, 'bytes': 1, 'bytes_max': 2, 'buffers': 3, "
                         "'connections': 4, 'silent': 6, 'streams': 1}"),
              "%s", world_text(&w, r));
    cr_expect(world_says(&w, r, "'streams': {'cam1': {'frames': 5}}"), "%s", world_text(&w, r));
    buf_deinit(&b);

    const uint64_t second = world_say(&w, READER, "[2,null,2,0,'hub','metrics',0,null,{}]");
    const struct hub_lent nothing = {0};
    in.usage.call = w.usage_call;
    in.usage.lent = &nothing;
    world_step(&w, &in);
    cr_expect(world_says(&w, second, "'streams': {}"), "%s", world_text(&w, second));
    world_deinit(&w);
}
