/* The methods of prong-gpio. Whatever a call asks for is checked as a whole before a line is
 * touched. */
#include "client/devices/gpio/kind.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PULSE_MS_MAX = 60 * 1000, NS_PER_MS = 1000 * 1000, TEXT_BYTES_MAX = 600 };

/* ---- arguments --------------------------------------------------------------------------------
 */

static prong_err
fail_no_line(prong_job *job, const struct gpio *g, const prong_value *name, bool outputs)
{
    char text[TEXT_BYTES_MAX];
    const char *word = "";
    size_t len = 0;
    (void)prong_value_text(name, &word, &len); /* what is no text is no line either */
    snprintf(text, sizeof text, "there is no %s '%.*s'; there are", outputs ? "output" : "line",
             len < 40 ? (int)len : 40, word);
    const char *before = " ";
    for (uint32_t i = 0; i < g->count; i++) {
        const size_t used = strlen(text);
        if (!outputs || g->lines[i].is.direction == GPIO_OUT) {
            snprintf(text + used, sizeof text - used, "%s%s", before, g->lines[i].name);
            before = ", ";
        }
    }
    return prong_job_fail(job, PRONG_INVALID_ARGUMENT, text);
}

/* The line that a text names, or an output; -1 when there is none. */
static int
find_line(const struct gpio *g, const prong_value *name, bool outputs)
{
    const char *word;
    size_t len;
    if (!prong_value_text(name, &word, &len)) {
        return -1;
    }
    for (uint32_t i = 0; i < g->count; i++) {
        const struct line *line = &g->lines[i];
        if (strlen(line->name) == len && memcmp(line->name, word, len) == 0) {
            return !outputs || line->is.direction == GPIO_OUT ? (int)i : -1;
        }
    }
    return -1;
}

/* 0, 1, false, true, and the same as texts, because a command line has nothing else. */
static bool
read_level(const prong_value *value, bool *level)
{
    static const char *const words[][2] = {{"0", "false"}, {"1", "true"}};
    int64_t number;
    const char *text;
    size_t len;
    if (prong_value_bool(value, level)) {
        return true;
    }
    if (prong_value_int(value, &number)) {
        *level = number == 1;
        return number == 0 || number == 1;
    }
    for (size_t i = 0; i < 4 && prong_value_text(value, &text, &len); i++) {
        const char *word = words[i / 2][i % 2];
        if (strlen(word) == len && memcmp(word, text, len) == 0) {
            *level = i / 2 == 1;
            return true;
        }
    }
    return false;
}

static bool
read_ms(const prong_value *value, int64_t *ms)
{
    const char *text;
    size_t len;
    char digits[8] = "";
    int used = 0;
    if (!prong_value_int(value, ms)) {
        if (!prong_value_text(value, &text, &len) || len == 0 || len >= sizeof digits) {
            return false;
        }
        memcpy(digits, text, len);
        if (sscanf(digits, "%" SCNd64 "%n", ms, &used) != 1 || used != (int)len) {
            return false;
        }
    }
    return *ms >= 1 && *ms <= PULSE_MS_MAX;
}

static bool
is_up(prong_job *job, const struct device *d)
{
    const struct gpio *g = d->state;
    if (g->chip == NULL) {
        char text[TEXT_BYTES_MAX];
        snprintf(text, sizeof text, "the chip is not there: %s", d->why);
        (void)prong_job_fail(job, PRONG_FAILED_PRECONDITION, text);
    }
    return g->chip != NULL;
}

/* A line does not work, though the chip was there. */
static prong_err
fail_lost(prong_job *job, struct device *d, uint32_t index, const char *what)
{
    const struct gpio *g = d->state;
    char text[TEXT_BYTES_MAX];
    snprintf(text, sizeof text, "line %s cannot be %s: %s", g->lines[index].name, what,
             strerror(errno));
    const prong_err code = prong_job_fail(job, PRONG_UNAVAILABLE, text);
    gpio_lose(d, text);
    return code;
}

/* ---- set --------------------------------------------------------------------------------------
 */

static prong_err
want_level(prong_job *job, const struct gpio *g, const prong_value *name, const prong_value *value,
           enum gpio_level wanted[GPIO_LINES_MAX])
{
    bool level;
    const int index = find_line(g, name, true);
    if (index < 0) {
        return fail_no_line(job, g, name, true);
    }
    if (!read_level(value, &level)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "a line is set to 0 or 1");
    }
    wanted[index] = level ? GPIO_TO_1 : GPIO_TO_0;
    return PRONG_OK;
}

/* {line: value, ...}, or one line and its value. */
static prong_err
read_wanted(prong_job *job, const struct gpio *g, enum gpio_level wanted[GPIO_LINES_MAX])
{
    const prong_value *args = prong_job_args(job);
    const bool is_pair = prong_value_kind(args) == PRONG_KIND_ARRAY;
    prong_value name, value;
    prong_iter it;
    if (prong_value_count(args) == 0 || (is_pair && prong_value_count(args) != 2)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                              "set needs LINE=VALUE, one or several, or a line and a value");
    }
    if (is_pair) {
        return prong_value_at(args, 0, &name) && prong_value_at(args, 1, &value)
                   ? want_level(job, g, &name, &value, wanted)
                   : PRONG_INVALID_ARGUMENT;
    }
    prong_err code = PRONG_OK;
    (void)prong_iter_begin(&it, args); /* what is no map is an empty walk */
    while (code == PRONG_OK && prong_iter_next(&it, &name, &value)) {
        code = want_level(job, g, &name, &value, wanted);
    }
    return code;
}

/* A map of those lines that were set, and their values now. */
static void
put_set(const struct gpio_set *set, prong_writer *out)
{
    prong_writer_map(out, gpio_set_done(set));
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->wanted[i] != GPIO_LEAVE && set->left[i] == GPIO_LEAVE) {
            prong_writer_key(out, set->names[i]);
            prong_writer_int(out, set->wanted[i] == GPIO_TO_1);
        }
    }
}

/* Some of it was done, or nothing. */
static prong_err
fail_set(prong_job *job, struct device *d, const struct gpio_set *set)
{
    char text[TEXT_BYTES_MAX];
    gpio_say_left(set, errno, text, sizeof text);
    prong_writer *details = prong_job_details(job);
    prong_writer_map(details, 1);
    prong_writer_key(details, "set");
    put_set(set, details);
    const prong_err code = prong_job_fail(job, PRONG_UNAVAILABLE, text);
    gpio_lose(d, text);
    return code;
}

static prong_err
call_set(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    struct device *d = context;
    struct gpio *g = d->state;
    struct gpio_set set = {.count = g->count};
    const prong_err code = read_wanted(job, g, set.wanted);
    if (code != PRONG_OK) {
        return code;
    }
    if (!is_up(job, d)) {
        return PRONG_FAILED_PRECONDITION;
    }
    for (uint32_t i = 0; i < g->count; i++) {
        set.names[i] = g->lines[i].name;
        set.left[i] = set.wanted[i];
    }
    if (!gpio_chip_set(g->chip, set.left)) {
        return fail_set(job, d, &set);
    }
    for (uint32_t i = 0; i < g->count; i++) {
        g->lines[i].pulse_ns = set.wanted[i] != GPIO_LEAVE ? 0 : g->lines[i].pulse_ns;
    }
    put_set(&set, prong_job_result(job));
    d->count.sends++;
    return PRONG_OK;
}

/* ---- get --------------------------------------------------------------------------------------
 */

/* All lines, or those that are named: one by one, or {"lines": name or list of names}. */
static prong_err
read_named(prong_job *job, const struct gpio *g, bool named[GPIO_LINES_MAX])
{
    const prong_value *args = prong_job_args(job);
    prong_value names = *args, name;
    prong_iter it;
    if (prong_value_kind(args) == PRONG_KIND_MAP && prong_value_count(args) > 0 &&
        !prong_value_find(args, "lines", &names)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "get takes nothing, or 'lines'");
    }
    const bool is_one = prong_value_kind(&names) == PRONG_KIND_TEXT;
    const bool is_all = !is_one && prong_value_count(&names) == 0;
    (void)prong_iter_begin(&it, &names); /* what is no list is an empty walk */
    for (uint32_t i = 0; i < g->count; i++) {
        named[i] = is_all;
    }
    while (is_one || prong_iter_next(&it, NULL, &name)) {
        name = is_one ? names : name;
        const int index = find_line(g, &name, false);
        if (index < 0) {
            return fail_no_line(job, g, &name, false);
        }
        named[index] = true;
        if (is_one) {
            break;
        }
    }
    return PRONG_OK;
}

static prong_err
call_get(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    struct device *d = context;
    struct gpio *g = d->state;
    bool named[GPIO_LINES_MAX] = {false};
    int levels[GPIO_LINES_MAX];
    uint32_t count = 0;
    const prong_err code = read_named(job, g, named);
    if (code != PRONG_OK) {
        return code;
    }
    if (!is_up(job, d)) {
        return PRONG_FAILED_PRECONDITION;
    }
    for (uint32_t i = 0; i < g->count; i++) {
        levels[i] = named[i] ? gpio_chip_get(g->chip, i) : 0;
        count += named[i];
        if (levels[i] < 0) {
            return fail_lost(job, d, i, "read");
        }
    }
    prong_writer *out = prong_job_result(job);
    prong_writer_map(out, count);
    for (uint32_t i = 0; i < g->count; i++) {
        if (named[i]) {
            prong_writer_key(out, g->lines[i].name);
            prong_writer_int(out, levels[i]);
        }
    }
    return PRONG_OK;
}

/* ---- pulse ------------------------------------------------------------------------------------
 */

static prong_err
call_pulse(prong_job *job, const prong_value *args, void *context)
{
    (void)args;
    struct device *d = context;
    struct gpio *g = d->state;
    prong_value name = {0}, value;
    int64_t ms = 0;
    bool level = true;
    const int index = device_argument(job, "line", 0, &name) ? find_line(g, &name, true) : -1;
    if (index < 0) {
        return fail_no_line(job, g, &name, true);
    }
    if (!device_argument(job, "ms", 1, &value) || !read_ms(&value, &ms)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "'ms' must be a number from 1 to 60000");
    }
    if (device_argument(job, "value", 2, &value) && !read_level(&value, &level)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "'value' must be 0 or 1");
    }
    if (!is_up(job, d)) {
        return PRONG_FAILED_PRECONDITION;
    }
    if (!gpio_set_one(g, (uint32_t)index, level)) {
        return fail_lost(job, d, (uint32_t)index, "set");
    }
    struct line *line = &g->lines[index];
    line->pulse_ns = stamp_now().mono_ns + ms * NS_PER_MS;
    line->pulse_back = !level;
    gpio_arm(d);
    prong_writer *out = prong_job_result(job);
    prong_writer_map(out, 3);
    prong_writer_key(out, "line");
    prong_writer_string(out, line->name);
    prong_writer_key(out, "value");
    prong_writer_int(out, level);
    prong_writer_key(out, "ms");
    prong_writer_int(out, ms);
    d->count.sends++;
    return PRONG_OK;
}

const struct device_method gpio_methods[] = {
    {"set", call_set, PRONG_ONCE, "set outputs: LINE=VALUE, one or several", NULL},
    {"get", call_get, PRONG_IDEMPOTENT, "the levels of all lines, or of those in 'lines'", NULL},
    {"pulse", call_pulse, PRONG_ONCE,
     "set 'line' to 'value' (1) for 'ms' and then back; returns at once", "line ms value"},
};
const size_t gpio_method_count = sizeof gpio_methods / sizeof gpio_methods[0];
