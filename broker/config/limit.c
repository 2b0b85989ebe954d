/* Checks of the options that become limits: see limit.h. */
#include "broker/config/limit.h"

#include <stdio.h>
#include <string.h>

#include "proto/closest.h"

/* What stands for a word that is not known here, with quotes; "" for nothing. */
static const char *
find_word(const char *text, const char *const words[])
{
    char word[CLOSEST_BYTES_MAX];
    const size_t len = strcspn(text, ":");
    if (len >= sizeof word) {
        return "";
    }
    memcpy(word, text, len);
    word[len] = '\0';
    struct closest near = {.word = word, .loose = true};
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], word) == 0) {
            return "";
        }
        closest_offer(&near, words[i]);
    }
    return near.best != NULL ? near.best : "";
}

/* The word that was most likely meant: of a policy, or for no limit at all, which others call by
 * other names. */
static const char *
find_meant(enum limit limit, const char *text)
{
    static const char *const policies[] = {"other", "batch", "idle", "fifo", "rr", NULL};
    static const char *const unlimited[] = {LIMITS_UNLIMITED, NULL};
    if (limit == LIMIT_SCHED) {
        return find_word(text, policies);
    }
    if (strcmp(text, "infinity") == 0 || strcmp(text, "max") == 0 || strcmp(text, "-1") == 0) {
        return LIMITS_UNLIMITED;
    }
    return find_word(text, unlimited);
}

static bool
check(enum limit limit, const char *accepts, const char *text, char *why, size_t why_bytes)
{
    struct limits limits = {0};
    char reason[LIMITS_WHY_BYTES];
    if (limit == LIMIT_CPU_AFFINITY && strcmp(text, CONFIG_REPLICA_MARK) == 0) {
        return true;
    }
    if (limits_set(&limits, limit, text, reason)) {
        return true;
    }
    const bool is_bounded = strstr(accepts, LIMITS_UNLIMITED) != NULL || limit == LIMIT_SCHED;
    const char *meant = is_bounded ? find_meant(limit, text) : "";
    if (meant[0] != '\0') {
        snprintf(why, why_bytes, "did you mean '%s'? Allowed: %s", meant, accepts);
    } else {
        snprintf(why, why_bytes, "%.90s. Allowed: %s", reason, accepts);
    }
    return false;
}

#define LIMIT(id, key, accepts)                                                                    \
    bool config_limit_##key(const char *text, char *why, size_t why_bytes)                         \
    {                                                                                              \
        return check(LIMIT_##id, limits_accepts_##key, text, why, why_bytes);                      \
    }
#include "broker/spawn/limits.def"
