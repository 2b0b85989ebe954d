/* Effects: the list that a step leaves, and the bytes that it points to. */
#include "broker/core/parts.h"

#include <stdlib.h>
#include <string.h>

struct kept {
    struct kept *next;
    uint8_t bytes[];
};

struct hub_effect *
effect_add(struct hub *hub, enum hub_effect_kind kind)
{
    if (hub->effect_count == hub->effect_cap) {
        const size_t cap = hub->effect_cap > 0 ? hub->effect_cap * 2 : 64;
        struct hub_effect *list = realloc(hub->effects, cap * sizeof *list);
        if (list == NULL) {
            hub->failed = true;
            return NULL;
        }
        hub->effects = list;
        hub->effect_cap = cap;
    }
    struct hub_effect *e = &hub->effects[hub->effect_count++];
    *e = (struct hub_effect){.kind = kind};
    return e;
}

struct span
effect_bytes(struct hub *hub, struct span bytes)
{
    struct kept *k = malloc(sizeof *k + bytes.len);
    if (k == NULL) {
        hub->failed = true;
        return (struct span){0};
    }
    if (bytes.len > 0) {
        memcpy(k->bytes, bytes.data, bytes.len);
    }
    k->next = hub->kept;
    hub->kept = k;
    return (struct span){k->bytes, bytes.len};
}

const struct worker_spec *
effect_spec(struct hub *hub, struct worker_spec *spec)
{
    if (!spec->in_effect) {
        spec->in_effect = true;
        spec->next_in_effect = hub->specs_kept;
        hub->specs_kept = spec_ref(spec);
    }
    return spec;
}

void
effects_begin(struct hub *hub)
{
    LIST_EACH(n, &hub->sent)
    {
        ticket_free(hub, CONTAINER(n, struct ticket, link));
    }
    calls_begin(hub);
    while (hub->kept != NULL) {
        struct kept *k = hub->kept;
        hub->kept = k->next;
        free(k);
    }
    while (hub->specs_kept != NULL) {
        struct worker_spec *spec = hub->specs_kept;
        hub->specs_kept = spec->next_in_effect;
        spec->in_effect = false;
        spec_unref(spec);
    }
    hub->effect_count = 0;
}
