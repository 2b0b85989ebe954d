/* The methods read and write of prong-modbus, in the worker's thread: see kind.h. What they ask for
 * is done by the device's thread, for which they wait. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/devices/modbus/kind.h"

enum { LOOK_MS = 20, STEPS_MAX = 1000, MESSAGE_BYTES_MAX = 500 };

/* What a call asks for. */
struct task {
    struct modbus_request request;
    size_t *points; /* by their place; NULL: none has a name */
    size_t count;   /* of points */
    uint16_t *words;
};

static void
task_deinit(struct task *task)
{
    free(task->request.steps);
    free(task->points);
    free(task->words);
    *task = (struct task){0};
}

/* ---- the thread -------------------------------------------------------------------------------
 */

/* Take a request back that has not begun; one that runs does nothing more. True in the first case.
 */
static bool
withdraw(struct modbus *m)
{
    pthread_mutex_lock(&m->lock);
    const bool is_idle = m->stage == MODBUS_WAITING;
    m->stage = is_idle ? MODBUS_IDLE : m->stage;
    m->is_unwanted = true;
    pthread_mutex_unlock(&m->lock);
    return is_idle;
}

/* False when it is over. */
static bool
is_under_way(struct modbus *m)
{
    pthread_mutex_lock(&m->lock);
    const bool is = m->stage == MODBUS_WAITING || m->stage == MODBUS_RUNNING;
    pthread_mutex_unlock(&m->lock);
    return is;
}

static bool
submit(struct modbus *m, struct modbus_request *request)
{
    pthread_mutex_lock(&m->lock);
    const bool can = m->stage != MODBUS_OVER;
    if (can) {
        m->stage = MODBUS_WAITING;
        m->request = request;
        m->is_unwanted = false;
    }
    pthread_mutex_unlock(&m->lock);
    bell_ring(m->wake_fd);
    return can;
}

/* Have a request done, and wait until it is: what has gone out has an answer within the timeout. A
 * call that nobody waits for any more begins nothing more; its deadline is the same. */
static void
have_done(struct modbus *m, prong_job *job, struct modbus_request *request)
{
    struct bus_error *error = &request->error;
    if (!submit(m, request)) {
        error->code = PRONG_UNAVAILABLE;
        (void)snprintf(error->why, sizeof error->why, "the device ends");
        return;
    }
    while (is_under_way(m)) {
        struct pollfd p = {.fd = m->done_fd, .events = POLLIN};
        if (poll(&p, 1, LOOK_MS) > 0) {
            bell_hear(m->done_fd);
        }
        const bool is_late = prong_job_remaining_ms(job) <= 0;
        if ((is_late || prong_job_is_cancelled(job)) && withdraw(m)) {
            error->code = is_late ? PRONG_DEADLINE_EXCEEDED : PRONG_CANCELLED;
            (void)snprintf(error->why, sizeof error->why, "the unit was busy with other requests");
            return;
        }
    }
    pthread_mutex_lock(&m->lock);
    const bool was_begun = m->stage == MODBUS_DONE || request->done > 0 || error->code != PRONG_OK;
    m->stage = m->stage == MODBUS_DONE ? MODBUS_IDLE : m->stage;
    m->request = NULL;
    pthread_mutex_unlock(&m->lock);
    if (!was_begun) {
        error->code = PRONG_UNAVAILABLE;
        (void)snprintf(error->why, sizeof error->why, "the device ends");
    }
}

/* ---- arguments --------------------------------------------------------------------------------
 */

/* The point of that name, or `count`. */
static size_t
find_point(const struct modbus *m, const prong_value *name)
{
    const char *text = NULL;
    size_t len = 0;
    if (!prong_value_text(name, &text, &len)) {
        return m->count;
    }
    size_t i = 0;
    while (i < m->count && (strlen(m->names[i]) != len || memcmp(m->names[i], text, len) != 0)) {
        i++;
    }
    return i;
}

static prong_err
fail_name(const struct modbus *m, prong_job *job, const prong_value *name)
{
    char message[MESSAGE_BYTES_MAX];
    const char *text = NULL;
    size_t len = 0;
    if (!prong_value_text(name, &text, &len)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "the name of a point must be a text");
    }
    size_t used =
        (size_t)snprintf(message, sizeof message, "there is no point '%.*s'; there %s",
                         (int)(len < 64 ? len : 64), text, m->count == 0 ? "are none" : "are ");
    for (size_t i = 0; i < m->count && used < sizeof message; i++) {
        used += (size_t)snprintf(message + used, sizeof message - used, "%s%s", i > 0 ? ", " : "",
                                 m->names[i]);
    }
    return prong_job_fail(job, PRONG_NOT_FOUND, message);
}

/* Room for so many points, steps and words. */
static bool
make_room(struct task *task, size_t points, size_t words)
{
    task->points = calloc(points + 1, sizeof *task->points);
    task->request.steps = calloc(points + 1, sizeof *task->request.steps);
    task->words = calloc(words + 1, sizeof *task->words);
    return task->points != NULL && task->request.steps != NULL && task->words != NULL;
}

static prong_err
fail_memory(prong_job *job)
{
    return prong_job_fail(job, PRONG_RESOURCE_EXHAUSTED, "out of memory");
}

/* table and address, and so many registers or bits behind it that have no name. */
static prong_err
take_range(prong_job *job, struct task *task, const prong_value *table, int64_t count)
{
    prong_value value;
    const char *text = NULL;
    char name[16];
    size_t len = 0;
    int64_t address = -1;
    struct modbus_step step = {.bit = -1};
    (void)prong_value_text(table, &text, &len); /* empty then */
    (void)snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : 0), text);
    if (!modbus_table_find(name, &step.table)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                              "'table' is coil, discrete, input or holding");
    }
    if (!device_argument(job, "address", 1, &value) || !prong_value_int(&value, &address) ||
        address < 0 || address >= MODBUS_ADDRESSES) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "'address' is a number from 0 to 65535");
    }
    const bool is_bits = modbus_table_has_bits(step.table);
    const int64_t max = task->request.is_write
                            ? (is_bits ? MODBUS_BITS_WRITE_MAX : MODBUS_REGISTERS_WRITE_MAX)
                            : (is_bits ? MODBUS_BITS_MAX : MODBUS_REGISTERS_MAX);
    if (count < 1 || count > max || address + count > MODBUS_ADDRESSES) {
        char message[MESSAGE_BYTES_MAX];
        (void)snprintf(message, sizeof message,
                       "of table %s 1 to %d are %s at a time, within its addresses", name, (int)max,
                       task->request.is_write ? "written" : "read");
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, message);
    }
    step.address = (uint16_t)address;
    step.count = (uint16_t)count;
    if (!make_room(task, 0, (size_t)count)) {
        return fail_memory(job);
    }
    step.words = task->words;
    task->request.steps[0] = step;
    task->request.count = 1;
    return PRONG_OK;
}

/* ---- outcomes ---------------------------------------------------------------------------------
 */

/* A map of the first `count` points of the task and their values; nil for a text that is none. */
static void
put_points(const struct modbus *m, const struct task *task, size_t count, prong_writer *out)
{
    prong_writer_map(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        const size_t at = task->points[i];
        struct modbus_point point = m->points[at];
        point.bit = task->request.is_write ? -1 : point.bit; /* what is written is the bit alone */
        prong_writer_key(out, m->names[at]);
        if (!modbus_value_put(&point, task->request.steps[i].words, out)) {
            prong_writer_nil(out);
        }
    }
}

static void
put_words(const struct modbus_step *step, prong_writer *out)
{
    prong_writer_array(out, step->count);
    for (size_t i = 0; i < step->count; i++) {
        if (modbus_table_has_bits(step->table)) {
            prong_writer_bool(out, step->words[i] != 0);
        } else {
            prong_writer_uint(out, step->words[i]);
        }
    }
}

/* The step behind those that were done has failed: which one, why, and what that means. */
static prong_err
fail_step(const struct modbus *m, prong_job *job, const struct task *task)
{
    char message[MESSAGE_BYTES_MAX];
    const struct modbus_request *request = &task->request;
    const struct bus_error *error = &request->error;
    const struct modbus_step *step = &request->steps[request->done];
    const bool may_be_done = request->is_write && error->may_be_done;
    const char *meaning = !request->is_write ? ""
                          : may_be_done      ? ": it may have been written"
                                             : ": it was not written";
    if (task->count > 0 && request->count == task->count) {
        (void)snprintf(message, sizeof message, "%s: %s%s", m->names[task->points[request->done]],
                       error->why, meaning);
    } else {
        (void)snprintf(message, sizeof message, "%s %d: %s%s", modbus_table_name(step->table),
                       step->address, error->why, meaning);
    }
    prong_writer *w = prong_job_details(job);
    prong_writer_map(w, (error->fault == BUS_EXCEPTION) + 2U * request->is_write);
    if (error->fault == BUS_EXCEPTION) {
        prong_writer_key(w, "exception");
        prong_writer_int(w, error->exception);
    }
    if (request->is_write) {
        prong_writer_key(w, "written");
        put_points(m, task, task->count > 0 ? request->done : 0, w);
        prong_writer_key(w, "may_be_written");
        prong_writer_bool(w, may_be_done);
    }
    return prong_job_fail(job, error->code, message);
}

/* ---- read -------------------------------------------------------------------------------------
 */

static bool
has_point(const struct task *task, size_t at)
{
    size_t i = 0;
    while (i < task->count && task->points[i] != at) {
        i++;
    }
    return i < task->count;
}

/* Which points: one name, an array of names, or nothing for all. */
static prong_err
choose_points(const struct modbus *m, prong_job *job, struct task *task)
{
    prong_value names = {0}, name;
    (void)device_argument(job, "points", 0, &names); /* nothing then */
    const prong_kind kind = prong_value_kind(&names);
    const bool is_all = kind == PRONG_KIND_NONE || kind == PRONG_KIND_NIL;
    const size_t count = is_all                     ? m->count
                         : kind == PRONG_KIND_ARRAY ? prong_value_count(&names)
                                                    : 1;
    size_t words = 0;
    if (count > STEPS_MAX) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "these are more points than there are");
    }
    if (is_all && count == 0) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                              "the device has no points: say table, address and count");
    }
    if (!make_room(task, count, count * MODBUS_REGISTERS_MAX)) {
        return fail_memory(job);
    }
    for (size_t i = 0; i < count; i++) {
        name = names;
        if (!is_all && kind == PRONG_KIND_ARRAY && !prong_value_at(&names, (uint32_t)i, &name)) {
            return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "'points' cannot be read");
        }
        const size_t at = is_all ? i : find_point(m, &name);
        if (at == m->count) {
            return fail_name(m, job, &name);
        }
        if (has_point(task, at)) {
            continue; /* a map has it once */
        }
        const struct modbus_point *point = &m->points[at];
        task->points[task->count] = at;
        task->request.steps[task->count++] = (struct modbus_step){
            point->table, point->address, point->count, -1, task->words + words};
        words += point->count;
    }
    task->request.count = task->count;
    return PRONG_OK;
}

/* The same with as few requests as may be. False when that makes no difference, or memory is out.
 */
static bool
merge(const struct modbus *m, const struct task *task, struct plan *plan, struct task *merged)
{
    struct modbus_point *points = calloc(task->count + 1, sizeof *points);
    for (size_t i = 0; points != NULL && i < task->count; i++) {
        points[i] = m->points[task->points[i]];
        points[i].every_ms = 0;
    }
    const bool is_fewer =
        points != NULL && plan_make(points, task->count, plan) && plan->count < task->count;
    free(points);
    if (!is_fewer || !make_room(merged, plan->count, plan->count * MODBUS_BITS_MAX)) {
        return false;
    }
    merged->request.count = plan->count;
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_request *r = &plan->requests[i];
        merged->request.steps[i] = (struct modbus_step){r->table, r->address, r->count, -1,
                                                        merged->words + i * MODBUS_BITS_MAX};
    }
    return true;
}

/* What was read together, to each of the points. */
static void
hand_out(const struct plan *plan, const struct task *merged, struct task *task)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_request *r = &plan->requests[i];
        for (size_t k = r->first; k < r->first + r->points; k++) {
            const struct modbus_step *to = &task->request.steps[plan->order[k]];
            memcpy(to->words, merged->request.steps[i].words + (to->address - r->address),
                   to->count * sizeof *to->words);
        }
    }
}

/* Together, unless the unit refuses that: then each alone, as it is with readings that recur. */
static prong_err
have_read(struct modbus *m, prong_job *job, struct task *task)
{
    struct plan plan = {0};
    struct task merged = {0};
    prong_err err = PRONG_OK;
    bool is_settled = false;
    if (task->count > 1 && merge(m, task, &plan, &merged)) {
        have_done(m, job, &merged.request);
        is_settled = !bus_is_refused(&merged.request.error);
        if (merged.request.error.code == PRONG_OK) {
            hand_out(&plan, &merged, task);
        } else if (is_settled) {
            err = fail_step(m, job, &merged);
        }
    }
    if (!is_settled) {
        have_done(m, job, &task->request);
        err = task->request.error.code != PRONG_OK ? fail_step(m, job, task) : PRONG_OK;
    }
    plan_deinit(&plan);
    task_deinit(&merged);
    return err;
}

prong_err
modbus_call_read(prong_job *job, const prong_value *args, void *context)
{
    struct modbus *m = ((struct device *)context)->state;
    struct task task = {0};
    prong_value table, value;
    int64_t count = 1;
    const bool is_range = prong_value_find(args, "table", &table);
    if (prong_value_find(args, "count", &value) && !prong_value_int(&value, &count)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "'count' is a number");
    }
    prong_err err = is_range ? take_range(job, &task, &table, count) : choose_points(m, job, &task);
    err = err == PRONG_OK ? have_read(m, job, &task) : err;
    if (err == PRONG_OK && is_range) {
        put_words(&task.request.steps[0], prong_job_result(job));
    } else if (err == PRONG_OK) {
        put_points(m, &task, task.count, prong_job_result(job));
    }
    task_deinit(&task);
    return err;
}

/* ---- write ------------------------------------------------------------------------------------
 */

/* Check one value and add it to the task. Everything is checked before anything is written. */
static prong_err
add_point(const struct modbus *m, prong_job *job, struct task *task, const prong_value *name,
          const prong_value *value)
{
    char why[DEVICE_WHY_BYTES_MAX], message[MESSAGE_BYTES_MAX];
    const size_t at = find_point(m, name);
    if (at == m->count) {
        return fail_name(m, job, name);
    }
    const struct modbus_point *point = &m->points[at];
    if (!modbus_table_is_writable(point->table)) {
        (void)snprintf(message, sizeof message, "%s is in table %s, which can only be read",
                       m->names[at], modbus_table_name(point->table));
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, message);
    }
    if (point->count > MODBUS_REGISTERS_WRITE_MAX) {
        (void)snprintf(message, sizeof message, "%s has %d registers, and %d can be written",
                       m->names[at], point->count, MODBUS_REGISTERS_WRITE_MAX);
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, message);
    }
    uint16_t *words = task->words + task->count * MODBUS_REGISTERS_MAX;
    if (!modbus_value_take(point, value, words, why, sizeof why)) {
        (void)snprintf(message, sizeof message, "%s %s", m->names[at], why);
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, message);
    }
    task->request.steps[task->count] =
        (struct modbus_step){point->table, point->address, point->count, point->bit, words};
    task->points[task->count++] = at;
    task->request.count = task->count;
    return PRONG_OK;
}

/* points={name: value, ...}, one after the other in this order. */
static prong_err
take_points(const struct modbus *m, prong_job *job, struct task *task, const prong_value *points)
{
    prong_iter it;
    prong_value name, value;
    const uint32_t count = prong_value_count(points);
    if (prong_value_kind(points) != PRONG_KIND_MAP || count == 0 || count > STEPS_MAX) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "'points' is a map of names and values");
    }
    if (!make_room(task, count, (size_t)count * MODBUS_REGISTERS_MAX) ||
        !prong_iter_begin(&it, points)) {
        return fail_memory(job);
    }
    prong_err err = PRONG_OK;
    while (err == PRONG_OK && prong_iter_next(&it, &name, &value)) {
        err = add_point(m, job, task, &name, &value);
    }
    return err;
}

/* table=, address= and values=[...]: registers from 0 to 65535, or bits. */
static prong_err
take_words(prong_job *job, struct task *task, const prong_value *args, const prong_value *table)
{
    prong_value values, value;
    char why[DEVICE_WHY_BYTES_MAX], message[MESSAGE_BYTES_MAX];
    if (!prong_value_find(args, "values", &values) ||
        prong_value_kind(&values) != PRONG_KIND_ARRAY) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "'values' is an array");
    }
    prong_err err = take_range(job, task, table, prong_value_count(&values));
    if (err != PRONG_OK) {
        return err;
    }
    const struct modbus_step *step = &task->request.steps[0];
    const struct modbus_point one = {
        .table = step->table,
        .type = modbus_table_has_bits(step->table) ? MODBUS_BOOL : MODBUS_UINT16,
        .count = 1,
        .bit = -1,
    };
    if (!modbus_table_is_writable(step->table)) {
        (void)snprintf(message, sizeof message, "table %s can only be read",
                       modbus_table_name(step->table));
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT, message);
    }
    for (uint32_t i = 0; i < step->count; i++) {
        if (!prong_value_at(&values, i, &value) ||
            !modbus_value_take(&one, &value, &step->words[i], why, sizeof why)) {
            (void)snprintf(message, sizeof message, "a value of table %s %s",
                           modbus_table_name(step->table), why);
            return prong_job_fail(job, PRONG_INVALID_ARGUMENT, message);
        }
    }
    return PRONG_OK;
}

static prong_err
take_writing(const struct modbus *m, prong_job *job, struct task *task)
{
    prong_value first, value;
    const prong_value *args = prong_job_args(job);
    task->request.is_write = true;
    if (prong_value_find(args, "table", &first)) {
        return take_words(job, task, args, &first);
    }
    if (prong_value_find(args, "points", &first)) {
        return take_points(m, job, task, &first);
    }
    if (!device_argument(job, "point", 0, &first) || !device_argument(job, "value", 1, &value)) {
        return prong_job_fail(job, PRONG_INVALID_ARGUMENT,
                              "write needs point and value, points, or table, address and values");
    }
    return make_room(task, 1, MODBUS_REGISTERS_MAX) ? add_point(m, job, task, &first, &value)
                                                    : fail_memory(job);
}

prong_err
modbus_call_write(prong_job *job, const prong_value *args, void *context)
{
    struct device *d = context;
    struct modbus *m = d->state;
    struct task task = {0};
    (void)args;
    prong_err err = take_writing(m, job, &task);
    if (err == PRONG_OK) {
        have_done(m, job, &task.request);
        for (size_t i = 0; i < task.request.done; i++) {
            const struct modbus_step *step = &task.request.steps[i];
            d->count.sent_bytes += step->count * (modbus_table_has_bits(step->table) ? 1U : 2U);
        }
        d->count.sends += task.request.done;
        err = task.request.error.code != PRONG_OK ? fail_step(m, job, &task) : PRONG_OK;
    }
    if (err == PRONG_OK && task.count > 0) {
        put_points(m, &task, task.count, prong_job_result(job));
    } else if (err == PRONG_OK) {
        put_words(&task.request.steps[0], prong_job_result(job));
    }
    task_deinit(&task);
    return err;
}
