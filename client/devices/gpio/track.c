#include "client/devices/gpio/track.h"

enum { NS_PER_MS = 1000 * 1000 };

void
gpio_track_begin(struct gpio_track *t, const struct gpio_line *line, bool level, bool is_numbered)
{
    *t = (struct gpio_track){
        .wanted = line->edge,
        .debounce_ns = (int64_t)line->debounce_ms * NS_PER_MS,
        .alternates = line->edge == GPIO_EDGE_BOTH && line->debounce_ms == 0 && !is_numbered,
        .level = level,
        .steady = level,
        .sequence = t->sequence,
        .missed = t->missed,
    };
}

static bool
is_wanted(const struct gpio_track *t, bool value)
{
    return t->wanted == GPIO_EDGE_BOTH ||
           t->wanted == (value ? GPIO_EDGE_RISING : GPIO_EDGE_FALLING);
}

/* The level has stayed long enough. Back where it was, it was a bounce and nothing else. */
static bool
count_waiting(struct gpio_track *t, uint32_t line, struct gpio_edge *out)
{
    t->is_waiting = false;
    if (t->level == t->steady) {
        return false;
    }
    t->steady = t->level;
    if (!is_wanted(t, t->level)) {
        return false;
    }
    t->sequence++;
    *out = (struct gpio_edge){.mono_ns = t->since_ns, .line = line, .value = t->level};
    return true;
}

bool
gpio_track_edge(struct gpio_track *t, const struct gpio_edge *edge, struct gpio_edge *out)
{
    bool tells = false;
    if (t->debounce_ns == 0) {
        const uint32_t lost = t->alternates ? edge->value == t->level : edge->lost;
        t->missed += lost;
        t->sequence += 1U + lost;
        t->level = edge->value;
        t->steady = edge->value;
        *out = *edge;
        return true;
    }
    if (t->is_waiting && edge->mono_ns - t->since_ns >= t->debounce_ns) {
        tells = count_waiting(t, edge->line, out);
    }
    t->level = edge->value;
    t->is_waiting = true;
    t->since_ns = edge->mono_ns;
    return tells;
}

int64_t
gpio_track_due_ns(const struct gpio_track *t)
{
    return t->is_waiting ? t->since_ns + t->debounce_ns : INT64_MAX;
}

bool
gpio_track_settle(struct gpio_track *t, const struct gpio_edge *now, struct gpio_edge *out)
{
    if (gpio_track_due_ns(t) > now->mono_ns) {
        return false;
    }
    if (now->value != t->level) {
        t->level = now->value;
        t->since_ns = now->mono_ns;
        return false;
    }
    return count_waiting(t, now->line, out);
}

/* Few and almost sorted already: each line's own are. */
void
gpio_edges_sort(struct gpio_edge *edges, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct gpio_edge edge = edges[i];
        size_t at = i;
        for (; at > 0 && edges[at - 1].mono_ns > edge.mono_ns; at--) {
            edges[at] = edges[at - 1];
        }
        edges[at] = edge;
    }
}
