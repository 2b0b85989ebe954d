/* Arguments of a call: see arguments.h. One that is mistyped is not left out without a word: a
 * `send` whose `to` is spelled wrongly would go to everybody. */
#include "client/devices/arguments.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES_MAX = 65 };

/* The next of the names, and false when there is none. */
static bool
next_name(const char **names, char name[NAME_BYTES_MAX])
{
    const size_t len = strcspn(*names, " ");
    (void)snprintf(name, NAME_BYTES_MAX, "%.*s", (int)len, *names);
    *names += len + strspn(*names + len, " ");
    return len > 0;
}

static uint32_t
count_of(const char *names)
{
    char name[NAME_BYTES_MAX];
    uint32_t count = 0;
    while (next_name(&names, name)) {
        count++;
    }
    return count;
}

static bool
refuse(const char *method, const char *names, const char *typed, char *why, size_t why_size)
{
    char name[NAME_BYTES_MAX];
    const char *before = "; it has ";
    int used = snprintf(why, why_size, "%s has no argument '%s'", method, typed);
    while (used >= 0 && (size_t)used < why_size && next_name(&names, name)) {
        used += snprintf(why + used, why_size - (size_t)used, "%s%s", before, name);
        before = ", ";
    }
    return false;
}

static bool
is_one(const char *names, const char *text, size_t len)
{
    char name[NAME_BYTES_MAX];
    while (next_name(&names, name)) {
        if (strlen(name) == len && memcmp(name, text, len) == 0) {
            return true;
        }
    }
    return false;
}

bool
arguments_check(const char *method, const char *names, const prong_value *args, char *why,
                size_t why_size)
{
    prong_iter it;
    prong_value key, value;
    if (names == NULL) {
        return true;
    }
    if (prong_value_kind(args) == PRONG_KIND_ARRAY) {
        if (prong_value_count(args) > count_of(names)) {
            (void)snprintf(why, why_size, "%s takes %u arguments at most, and not %u", method,
                           count_of(names), prong_value_count(args));
            return false;
        }
        return true;
    }
    (void)prong_iter_begin(&it, args); /* what is no map is an empty walk */
    while (prong_iter_next(&it, &key, &value)) {
        const char *text = "?";
        size_t len = 1;
        if (!prong_value_text(&key, &text, &len) || !is_one(names, text, len)) {
            char typed[NAME_BYTES_MAX];
            (void)snprintf(typed, sizeof typed, "%.*s",
                           (int)(len < sizeof typed ? len : sizeof typed), text);
            return refuse(method, names, typed, why, why_size);
        }
    }
    return true;
}
