/* Topics on which nothing comes for too long: hub.silent, once, and hub.heard when something comes
 * again. See events.h. */
#include "broker/core/parts.h"

#include <stdlib.h>
#include <string.h>

bool
silences_init(struct ring *ring, const struct hub_options *options)
{
    if (options->silence_count == 0) {
        return true;
    }
    ring->silences = calloc(options->silence_count, sizeof *ring->silences);
    if (ring->silences == NULL) {
        return false;
    }
    for (size_t i = 0; i < options->silence_count; i++) {
        struct silence *s = &ring->silences[i];
        const struct span topic = span_text(options->silences[i].topic);
        s->len = (uint16_t)(topic.len < sizeof s->topic ? topic.len : 0);
        memcpy(s->topic, topic.data, s->len);
        s->max_ns = options->silences[i].max_ms * NS_PER_MS;
        list_init(&s->heard);
    }
    ring->silence_count = options->silence_count;
    return true;
}

static void
watch(struct hub *hub, struct silence *s)
{
    if (!deadline_set(&hub->deadlines, &s->deadline, DEADLINE_SILENCE, s->since_ns + s->max_ns)) {
        hub->failed = true;
    }
}

void
silences_begin(struct hub *hub)
{
    for (size_t i = 0; i < hub->ring.silence_count; i++) {
        hub->ring.silences[i].since_ns = hub->now_ns;
        watch(hub, &hub->ring.silences[i]);
    }
}

struct silence *
silence_find(struct ring *ring, struct span topic)
{
    for (size_t i = 0; i < ring->silence_count; i++) {
        struct silence *s = &ring->silences[i];
        if (span_equal((struct span){(const uint8_t *)s->topic, s->len}, topic)) {
            return s;
        }
    }
    return NULL;
}

void
silence_ends(struct hub *hub, struct silence *s, uint64_t number)
{
    if (s->silent) {
        s->silent = false;
        s->lasted_ns = hub->now_ns - s->since_ns;
        list_append(&hub->ring.heard, &s->heard);
    }
    s->since_ns = hub->now_ns;
    s->number = number;
}

/* The fields that both events have, into hub->scratch. */
static void
write_silence(struct buf *b, const struct silence *s, uint32_t pairs, int64_t lasted_ns)
{
    buf_reset(b, SIZE_MAX);
    write_map(b, pairs);
    write_text(b, "topic");
    write_str(b, (struct span){(const uint8_t *)s->topic, s->len});
    write_text(b, "silent_ms");
    write_uint(b, (uint64_t)(lasted_ns / NS_PER_MS));
}

void
silence_expired(struct hub *hub, struct silence *s)
{
    if (hub->now_ns < s->since_ns + s->max_ns) {
        watch(hub, s);
        return;
    }
    s->silent = true;
    write_silence(&hub->scratch, s, 3, hub->now_ns - s->since_ns);
    write_text(&hub->scratch, "number");
    write_uint(&hub->scratch, s->number);
    hub_event(hub, HUB_EVENT_silent, buf_span(&hub->scratch));
}

void
silences_tell(struct hub *hub)
{
    /* To tell of one may end another, that of hub.heard itself, but each only once. */
    LIST_EACH(n, &hub->ring.heard)
    {
        struct silence *s = CONTAINER(n, struct silence, heard);
        list_remove(n);
        watch(hub, s);
        write_silence(&hub->scratch, s, 2, s->lasted_ns);
        hub_event(hub, HUB_EVENT_heard, buf_span(&hub->scratch));
        n_next = hub->ring.heard.next;
    }
}
