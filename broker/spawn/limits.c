/* Reads the values of limits: see limits.h. Runs in the spawner, in the broker and in whatever
 * checks a configuration. */
#include "broker/spawn/limits.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(LIMIT_COUNT <= 64, "the bits of `given` are used up");

enum {
    PRIORITY_MAX = 99, /* of fifo and rr, as Linux has them */
    OOM_SCORE_MAX = 1000,
    NICE_FIRST = -20,
    NICE_LAST = 19,
    PERCENT_MAX = 100000,
    PIDS_MAX = 4194304, /* the kernel's own PID_MAX_LIMIT */
    MEMORY_BYTES_MIN = 1024 * 1024,
};

enum unit { UNIT_COUNT, UNIT_BYTES, UNIT_SECONDS, UNIT_MICROSECONDS };

/* What one value is read into, and where to say what is wrong with it. */
struct reading {
    struct limits *limits;
    const char *text;
    char *why; /* LIMITS_WHY_BYTES bytes */
};

__attribute__((format(printf, 2, 3))) static bool
refuse(const struct reading *reading, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reading->why, LIMITS_WHY_BYTES, format, args);
    va_end(args);
    return false;
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

static const struct factor {
    const char *name;
    enum unit unit;
    int64_t factor;
} factors[] = {
    {"", UNIT_COUNT, 1},
    {"B", UNIT_BYTES, 1},
    {"KiB", UNIT_BYTES, INT64_C(1) << 10},
    {"MiB", UNIT_BYTES, INT64_C(1) << 20},
    {"GiB", UNIT_BYTES, INT64_C(1) << 30},
    {"s", UNIT_SECONDS, 1},
    {"m", UNIT_SECONDS, 60},
    {"h", UNIT_SECONDS, 3600},
    {"ms", UNIT_MICROSECONDS, 1000},
    {"s", UNIT_MICROSECONDS, 1000 * 1000},
    {"m", UNIT_MICROSECONDS, INT64_C(60) * 1000 * 1000},
    {"h", UNIT_MICROSECONDS, INT64_C(3600) * 1000 * 1000},
};

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits at `*at`, at least one; a number that does not fit is the largest there is. */
static bool
take_digits(const char **at, int64_t *value)
{
    int64_t sum = 0;
    if (!is_digit(**at)) {
        return false;
    }
    for (; is_digit(**at); (*at)++) {
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, **at - '0', &sum)) {
            sum = INT64_MAX;
        }
    }
    *value = sum;
    return true;
}

/* What may be written for one number. */
struct range {
    int64_t low, high;
    enum unit unit;
    bool may_be_negative;
    bool may_be_unlimited;
};

/* A number with its unit in the first `len` bytes of `text`. */
static bool
read_number(const struct reading *reading, const char *text, size_t len, const struct range *range,
            int64_t *value)
{
    char copy[48];
    if (len >= sizeof copy) {
        return refuse(reading, "that is too long");
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (range->may_be_unlimited && strcmp(copy, LIMITS_UNLIMITED) == 0) {
        *value = LIMITS_NO_BOUND;
        return true;
    }
    const bool is_negative = copy[0] == '-';
    const char *at = copy + (is_negative ? 1 : 0);
    int64_t number = 0;
    const bool is_padded = at[0] == '0' && is_digit(at[1]);
    if (!take_digits(&at, &number)) {
        return refuse(reading, "there is no number in it");
    }
    if (is_padded) {
        return refuse(reading, "a number must not begin with 0, which elsewhere means octal");
    }
    int64_t factor = number == 0 && *at == '\0' ? 1 : 0; /* 0 needs no unit */
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
        if (factors[i].unit == range->unit && strcmp(factors[i].name, at) == 0) {
            factor = factors[i].factor;
        }
    }
    if (factor == 0) {
        return refuse(reading, *at == '\0' ? "the unit is missing" : "'%s' is not one of the units",
                      at);
    }
    if (__builtin_mul_overflow(number, factor, &number)) {
        number = INT64_MAX;
    }
    number = is_negative ? -number : number;
    if (number < range->low || (is_negative && !range->may_be_negative)) {
        return refuse(reading, "that is too small");
    }
    if (number > range->high || number == INT64_MAX) {
        return refuse(reading, "that is too large");
    }
    *value = number;
    return true;
}

static bool
read_whole(const struct reading *reading, const struct range *range, int64_t *value)
{
    return read_number(reading, reading->text, strlen(reading->text), range, value);
}

/* As read_whole, into an int. */
static bool
read_int(const struct reading *reading, const struct range *range, int *value)
{
    int64_t number = 0;
    if (!read_whole(reading, range, &number)) {
        return false;
    }
    *value = (int)number;
    return true;
}

/* ---- limits of setrlimit ----------------------------------------------------------------------
 */

static rlim_t
as_rlim(int64_t value)
{
    return value == LIMITS_NO_BOUND ? RLIM_INFINITY : (rlim_t)value;
}

static bool
read_resource(const struct reading *reading, const struct range *range, enum limit limit)
{
    const char *text = reading->text;
    const size_t first = strcspn(text, ":");
    int64_t soft = 0;
    int64_t hard = 0;
    if (!read_number(reading, text, first, range, &soft)) {
        return false;
    }
    hard = soft;
    if (text[first] == ':' &&
        !read_number(reading, text + first + 1, strlen(text + first + 1), range, &hard)) {
        return false;
    }
    if (as_rlim(soft) > as_rlim(hard)) {
        return refuse(reading, "the soft limit, which comes first, is above the hard one");
    }
    reading->limits->resources[limit] =
        (struct rlimit){.rlim_cur = as_rlim(soft), .rlim_max = as_rlim(hard)};
    return true;
}

/* ---- what the child sets ----------------------------------------------------------------------
 */

static bool
read_oom_score_adjust(const struct reading *reading)
{
    const struct range range = {
        .low = -OOM_SCORE_MAX, .high = OOM_SCORE_MAX, .may_be_negative = true};
    return read_int(reading, &range, &reading->limits->oom_score_adjust);
}

static bool
read_nice(const struct reading *reading)
{
    const struct range range = {.low = NICE_FIRST, .high = NICE_LAST, .may_be_negative = true};
    return read_int(reading, &range, &reading->limits->nice);
}

/* Items N and N-M with commas between them. */
static bool
read_cpu_affinity(const struct reading *reading)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    for (const char *at = reading->text;; at++) {
        int64_t first = 0;
        int64_t last = 0;
        if (!take_digits(&at, &first)) {
            return refuse(reading, "a CPU is a number, or a range such as 2-5");
        }
        last = first;
        if (*at == '-') {
            at++;
            if (!take_digits(&at, &last)) {
                return refuse(reading, "a range has a number at each end, such as 2-5");
            }
        }
        if (*at != ',' && *at != '\0') {
            return refuse(reading, "a CPU is a number, or a range such as 2-5");
        }
        if (last < first) {
            return refuse(reading, "a range begins with its lowest CPU");
        }
        if (last >= CPU_SETSIZE) {
            return refuse(reading, "CPUs are numbered from 0 to %d", CPU_SETSIZE - 1);
        }
        for (int64_t cpu = first; cpu <= last; cpu++) {
            CPU_SET((size_t)cpu, &cpus);
        }
        if (*at == '\0') {
            break;
        }
    }
    reading->limits->cpus = cpus;
    return true;
}

static const struct policy {
    const char *name;
    int policy;
    bool has_priority;
} policies[] = {
    {"other", SCHED_OTHER, false}, {"batch", SCHED_BATCH, false}, {"idle", SCHED_IDLE, false},
    {"fifo", SCHED_FIFO, true},    {"rr", SCHED_RR, true},
};

static bool
read_sched(const struct reading *reading)
{
    const char *text = reading->text;
    const size_t len = strcspn(text, ":");
    const struct range range = {.low = 1, .high = PRIORITY_MAX};
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        const struct policy *policy = &policies[i];
        int64_t priority = 0;
        if (strlen(policy->name) != len || strncmp(policy->name, text, len) != 0) {
            continue;
        }
        if (!policy->has_priority && text[len] == ':') {
            return refuse(reading, "%s has no priority; nice is what ranks its processes",
                          policy->name);
        }
        if (policy->has_priority && text[len] == '\0') {
            return refuse(reading, "%s needs a priority, such as %s:10", policy->name,
                          policy->name);
        }
        if (policy->has_priority &&
            !read_number(reading, text + len + 1, strlen(text + len + 1), &range, &priority)) {
            return false;
        }
        reading->limits->sched_policy = policy->policy;
        reading->limits->sched_priority = (int)priority;
        return true;
    }
    return refuse(reading, "there is no such policy");
}

static bool
read_umask(const struct reading *reading)
{
    const char *text = reading->text;
    const size_t len = strlen(text);
    if (len < 1 || len > 4 || strspn(text, "01234567") != len) {
        return refuse(reading, "it has to be of 1 to 4 digits from 0 to 7");
    }
    const unsigned long value = strtoul(text, NULL, 8);
    if (value > 0777) {
        return refuse(reading, "that is too large");
    }
    reading->limits->umask = (mode_t)value;
    return true;
}

/* One number of a user or group; -1 would mean "as it is" to the kernel. */
static bool
take_id(const struct reading *reading, const char **at, uint32_t *id)
{
    int64_t number = 0;
    if (!take_digits(at, &number) || number >= UINT32_MAX) {
        return refuse(reading, "it has to be a number below %" PRIu32, UINT32_MAX);
    }
    *id = (uint32_t)number;
    return true;
}

/* "65534" or "65534/nobody". */
static bool
read_id(const struct reading *reading, uint32_t *id)
{
    const char *at = reading->text;
    uint32_t number = 0;
    if (!take_id(reading, &at, &number)) {
        return false;
    }
    if (*at != '\0' && *at != '/') {
        return refuse(reading, "behind the number may come /NAME");
    }
    *id = number;
    return true;
}

static bool
read_user(const struct reading *reading)
{
    return read_id(reading, &reading->limits->user);
}

static bool
read_group(const struct reading *reading)
{
    return read_id(reading, &reading->limits->group);
}

/* Numbers with commas between them, or nothing at all. */
static bool
read_groups(const struct reading *reading)
{
    gid_t groups[LIMITS_GROUPS_MAX];
    size_t count = 0;
    for (const char *at = reading->text; *at != '\0';) {
        if (count == LIMITS_GROUPS_MAX) {
            return refuse(reading, "there may be at most %d groups", (int)LIMITS_GROUPS_MAX);
        }
        if (!take_id(reading, &at, &groups[count++])) {
            return false;
        }
        if (*at == ',' && is_digit(at[1])) {
            at++;
        } else if (*at != '\0') {
            return refuse(reading, "groups are numbers with commas between them");
        }
    }
    memcpy(reading->limits->groups, groups, count * sizeof groups[0]);
    reading->limits->group_count = count;
    return true;
}

static bool
read_no_new_privs(const struct reading *reading)
{
    return strcmp(reading->text, "true") == 0 || refuse(reading, "only true means anything here");
}

/* ---- what the cgroup holds --------------------------------------------------------------------
 */

static bool
read_cgroup(const struct reading *reading)
{
    const bool is_required = strcmp(reading->text, "required") == 0;
    if (!is_required && strcmp(reading->text, "auto") != 0) {
        return refuse(reading, "there is no such word");
    }
    reading->limits->is_cgroup_required = is_required;
    return true;
}

static bool
read_memory(const struct reading *reading, int64_t low, int64_t *bytes)
{
    const struct range range = {
        .low = low, .high = INT64_MAX, .unit = UNIT_BYTES, .may_be_unlimited = true};
    return read_whole(reading, &range, bytes);
}

static bool
read_memory_max(const struct reading *reading)
{
    return read_memory(reading, MEMORY_BYTES_MIN, &reading->limits->memory_bytes_max);
}

static bool
read_memory_high(const struct reading *reading)
{
    return read_memory(reading, MEMORY_BYTES_MIN, &reading->limits->memory_bytes_high);
}

static bool
read_memory_swap_max(const struct reading *reading)
{
    return read_memory(reading, 0, &reading->limits->swap_bytes_max);
}

static bool
read_cpu_weight(const struct reading *reading)
{
    const struct range range = {.low = 1, .high = LIMITS_WEIGHT_MAX};
    return read_whole(reading, &range, &reading->limits->cpu_weight);
}

static bool
read_cpu_max(const struct reading *reading)
{
    const struct range range = {.low = 1, .high = PERCENT_MAX};
    const size_t len = strlen(reading->text);
    if (strcmp(reading->text, LIMITS_UNLIMITED) == 0) {
        reading->limits->cpu_percent_max = LIMITS_NO_BOUND;
        return true;
    }
    if (len == 0 || reading->text[len - 1] != '%') {
        return refuse(reading, "the %% is missing");
    }
    return read_number(reading, reading->text, len - 1, &range, &reading->limits->cpu_percent_max);
}

static bool
read_pids_max(const struct reading *reading)
{
    const struct range range = {.low = 1, .high = PIDS_MAX, .may_be_unlimited = true};
    return read_whole(reading, &range, &reading->limits->pids_max);
}

/* ---- by key -----------------------------------------------------------------------------------
 */

static const char *const keys[] = {
#define LIMIT(id, key, accepts) [LIMIT_##id] = #key,
#include "broker/spawn/limits.def"
};

#define LIMIT(id, key, accepts) const char limits_accepts_##key[] = accepts;
#include "broker/spawn/limits.def"

/* Has a case for each row, so that a row without a reader does not compile. */
static bool
read_value(const struct reading *reading, enum limit limit)
{
    switch (limit) {
#define LIMIT_RESOURCE(id, key, resource, unit_, low_, high_, accepts)                             \
    case LIMIT_##id: {                                                                             \
        const struct range range = {                                                               \
            .low = (low_), .high = (high_), .unit = UNIT_##unit_, .may_be_unlimited = true};       \
        return read_resource(reading, &range, limit);                                              \
    }
#define LIMIT_SETTING(id, key, accepts)                                                            \
    case LIMIT_##id:                                                                               \
        return read_##key(reading);
#define LIMIT_CGROUP(id, key, accepts)                                                             \
    case LIMIT_##id:                                                                               \
        return read_##key(reading);
#include "broker/spawn/limits.def"
    case LIMIT_COUNT:
        break;
    }
    return false;
}

bool
limits_has(const struct limits *limits, enum limit limit)
{
    return limits != NULL && (limits->given & UINT64_C(1) << limit) != 0;
}

const char *
limits_key(enum limit limit)
{
    return keys[limit];
}

bool
limits_set(struct limits *limits, enum limit limit, const char *value, char why[LIMITS_WHY_BYTES])
{
    char unused[LIMITS_WHY_BYTES];
    const struct reading reading = {limits, value, why != NULL ? why : unused};
    if (!read_value(&reading, limit)) {
        return false;
    }
    limits->given |= UINT64_C(1) << limit;
    return true;
}

bool
limits_add(struct limits *limits, const char *setting)
{
    const size_t len = strcspn(setting, "=");
    for (int i = 0; setting[len] == '=' && i < LIMIT_COUNT; i++) {
        if (strlen(keys[i]) == len && strncmp(keys[i], setting, len) == 0) {
            return !limits_has(limits, (enum limit)i) &&
                   limits_set(limits, (enum limit)i, setting + len + 1, NULL);
        }
    }
    return false;
}
