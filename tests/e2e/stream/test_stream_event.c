/* The frame of a trigger, under a real prongd: an event and the frame nearest to it. */
#include <prong/stream.h>

#include "tests/e2e/worker/hub.h"

#include <string.h>

#include "tests/support/test.h"

enum { BYTES = 300, FRAMES = 4 };

/* Frames that were taken at 1000, 2000, ... ns, and one that is taken now. */
static prong_stream *
film(const char *url)
{
    static const uint8_t picture[BYTES];
    const prong_stream_options o = {.size_bytes = sizeof o, .slots = 8, .slot_bytes = BYTES};
    prong_stream *s = NULL;
    char why[300];
    cr_assert(prong_stream_create(url, "cam", &o, &s, why, sizeof why) == PRONG_OK, "%s", why);
    for (int n = 1; n <= FRAMES; n++) {
        const prong_frame_info info = {.mono_ns = n < FRAMES ? n * 1000 : 0};
        cr_assert(prong_stream_write(s, picture, BYTES, &info) == PRONG_OK);
    }
    return s;
}

/* Emit an event with this payload, in JSON, and take it. */
static const prong_event *
trigger(prong_client *c, prong_subscription *sub, const char *json)
{
    const prong_event *event = NULL;
    prong_writer *w = prong_writer_new();
    prong_value payload;
    cr_assert(prong_value_from_json(json, strlen(json), w, NULL, 0) == PRONG_OK);
    cr_assert(prong_writer_finish(w, &payload) == PRONG_OK);
    cr_assert(prong_emit(c, "trigger", &payload, 0, NULL) == PRONG_OK);
    prong_writer_free(w);
    cr_assert(prong_subscription_next(sub, HUB_MS, &event) == PRONG_OK);
    return event;
}

Test(stream_event, a_trigger_has_its_frame_and_the_delay_between_them, .init = hub_enter,
     .fini = hub_leave)
{
    const struct hub *hub = hub_up("plain");
    const char *const filter = "trigger";
    const prong_reader_options o = {.size_bytes = sizeof o, .timeout_ms = HUB_MS};
    prong_subscription *sub = NULL;
    prong_reader *r = NULL;
    const prong_frame *f = NULL;
    int64_t delay_ns = 0;
    prong_stream *s = film(hub->url);
    cr_assert(prong_subscribe(hub->client, &filter, 1, NULL, &sub) == PRONG_OK);
    cr_assert(prong_stream_open(hub->url, "cam", &o, &r, NULL, 0) == PRONG_OK);

    const prong_event *event = trigger(hub->client, sub, "{\"mono_ns\": 2400, \"value\": 1}");
    cr_expect(prong_event_mono_ns(event) == 2400);
    cr_assert(prong_reader_at_event(r, event, 0, &f, &delay_ns) == PRONG_OK);
    cr_expect(f->number == 2 && delay_ns == -400);
    prong_frame_release(f);
    event = trigger(hub->client, sub, "{\"mono_ns\": 2600}");
    cr_assert(prong_reader_at_event(r, event, 0, &f, &delay_ns) == PRONG_OK);
    cr_expect(f->number == 3 && delay_ns == 400);
    prong_frame_release(f);

    /* Without a time of its own the event has the one at which the hub took it. */
    static const char *const timeless[] = {"null", "{\"mono_ns\": \"soon\"}", "[2400]", "2400"};
    for (size_t i = 0; i < sizeof timeless / sizeof timeless[0]; i++) {
        event = trigger(hub->client, sub, timeless[i]);
        cr_assert(prong_reader_at_event(r, event, 0, &f, NULL) == PRONG_OK);
        cr_expect(f->number == FRAMES, "%s: frame %llu", timeless[i],
                  (unsigned long long)f->number);
        prong_frame_release(f);
    }
    prong_reader_free(r);
    prong_subscription_free(sub);
    prong_stream_free(s);
    hub_down();
}
