/* hub.signal: a signal to the processes of a worker. What they make of it is theirs; a process that
 * ends by it has died, and is treated as after any other death. */
#include "broker/core/admin.h"

#include "proto/closest.h"
#include "proto/signals.h"

#include <stdio.h>
#include <string.h>

enum { TYPED_BYTES_MAX = 20 };

/* The number of the argument; 0 after it was refused. */
static int
read_signal(struct request *q)
{
    const struct span text = admin_text(q, PARAM_signal_signal);
    const int number = text.len > 0 ? signals_number((const char *)text.data, text.len) : 0;
    char shown[81], typed[TYPED_BYTES_MAX + 1], why[300];
    struct closest near = {.word = typed, .loose = true};
    size_t count;
    const struct signals_row *rows = signals_table(&count);
    if (number > 0) {
        return number;
    }
    (void)span_show(text, shown, sizeof shown);
    (void)snprintf(typed, sizeof typed, "%.*s", TYPED_BYTES_MAX,
                   strncmp(shown, "SIG", 3) == 0 ? shown + 3 : shown);
    for (size_t i = 0; i < count; i++) {
        closest_offer(&near, rows[i].name);
    }
    (void)snprintf(why, sizeof why,
                   "there is no signal '%s'%s%s%s; use a name such as HUP or SIGHUP, or a number "
                   "from 1 to %d",
                   shown, near.best != NULL ? ", did you mean " : "",
                   near.best != NULL ? near.best : "", near.best != NULL ? "?" : "", SIGNALS_MAX);
    admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, why);
    return 0;
}

static bool
is_meant(const struct replica *r, int64_t only)
{
    return (only < 0 || r->index == only) && r->process != 0 && r->pid > 0;
}

static void
send(struct request *q, const struct replica *r, int number, bool group)
{
    life_signal(q->hub, r, number, group);
}

/* To each, and the answer names them: [{replica, pid}, ...]. */
static void
send_all(struct request *q, const struct worker *w, int64_t only, int number, bool group)
{
    struct buf *b = &q->hub->scratch;
    char name[WIRE_NAME_BYTES_MAX + 16];
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->replica_count; i++) {
        count += is_meant(w->replicas[i], only);
    }
    if (count == 0) {
        admin_fail(q, WIRE_ERR_FAILED_PRECONDITION, "no process of it runs");
        return;
    }
    buf_reset(b, SIZE_MAX);
    write_array(b, count);
    for (uint32_t i = 0; i < w->replica_count; i++) {
        const struct replica *r = w->replicas[i];
        if (is_meant(r, only)) {
            send(q, r, number, group);
            replica_name(r, name);
            write_map(b, 2);
            write_text(b, "replica");
            write_text(b, name);
            write_text(b, "pid");
            write_uint(b, (uint64_t)r->pid);
        }
    }
    admin_give_scratch(q);
}

void
admin_signal(struct request *q)
{
    int64_t only;
    const struct span to = admin_text(q, PARAM_signal_to);
    const bool group = span_is(to, "group");
    const int number = read_signal(q);
    if (number == 0) {
        return;
    }
    if (to.len > 0 && !group && !span_is(to, "process")) {
        admin_fail(q, WIRE_ERR_INVALID_ARGUMENT, "to must be process or group");
        return;
    }
    struct worker *w = admin_worker(q, PARAM_signal_worker, &only);
    if (w != NULL) {
        send_all(q, w, only, number, group);
    }
}
