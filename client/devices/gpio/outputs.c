/* Outputs that are set together: see outputs.h. */
#include "client/devices/gpio/outputs.h"

#include <stdio.h>
#include <string.h>

/* ---- requests ---------------------------------------------------------------------------------
 */

static bool
is_same_kind(const struct gpio_line *a, const struct gpio_line *b)
{
    return a->direction == GPIO_OUT && b->direction == GPIO_OUT && a->bias == b->bias &&
           a->drive == b->drive && a->active_low == b->active_low;
}

uint32_t
gpio_requests_make(const struct gpio_line *const *lines, uint32_t count, uint32_t kinds_max,
                   uint32_t *requests)
{
    uint32_t made = 0, kinds = 0, last = 0; /* the request of outputs that was made last */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t same = 0;
        while (same < i && !is_same_kind(lines[same], lines[i])) {
            same++;
        }
        if (same < i) {
            requests[i] = requests[same];
        } else if (lines[i]->direction != GPIO_OUT) {
            requests[i] = made++;
        } else {
            last = kinds++ % kinds_max == 0 ? made++ : last;
            requests[i] = last;
        }
    }
    return made;
}

/* ---- sentences --------------------------------------------------------------------------------
 */

/* Append the names of those lines that are left, or of those that were set. */
static void
add_names(const char *title, const struct gpio_set *set, bool is_left, char *why, size_t why_bytes)
{
    const char *before = title;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->wanted[i] != GPIO_LEAVE && (set->left[i] != GPIO_LEAVE) == is_left) {
            const size_t used = strlen(why);
            snprintf(why + used, why_bytes - used, "%s%s", before, set->names[i]);
            before = ", ";
        }
    }
}

void
gpio_say_left(const struct gpio_set *set, int error, char *why, size_t why_bytes)
{
    if (gpio_set_done(set) == 0) {
        snprintf(why, why_bytes, "nothing was set: %s", strerror(error));
        return;
    }
    snprintf(why, why_bytes, "not all was set: %s", strerror(error));
    add_names("; set: ", set, false, why, why_bytes);
    add_names("; not set: ", set, true, why, why_bytes);
}

uint32_t
gpio_set_done(const struct gpio_set *set)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        done += set->wanted[i] != GPIO_LEAVE && set->left[i] == GPIO_LEAVE;
    }
    return done;
}
