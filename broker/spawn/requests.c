/* Reads what the broker asks and hands it on: to workers.c, family.c, the keeper. The link's
 * descriptor is broker_link.c's. Runs in the spawner. */
#include "broker/spawn/requests.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/spawn/broker.h"
#include "broker/spawn/clock.h"
#include "broker/spawn/control.h"
#include "broker/spawn/template.h"
#include "broker/spawn/workers.h"

enum {
    READ_MAX = 32,        /* records per turn of the loop */
    END_GRACE_MS = 1000,  /* for the broker's own exit after SPAWN_END */
    TELL_AGAIN_MS = 20,   /* the system had no memory for a record to the keeper */
    JUNK_LOGGED_MAX = 20, /* then only each power of two: a broken broker may not fill the log */
};

static void
log_junk(struct spawner *spawner, const struct spawn_record *record, const char *what)
{
    const uint64_t count = ++spawner->junk_count;
    if (count <= JUNK_LOGGED_MAX || (count & (count - 1)) == 0) {
        logger_write(spawner->logger, LOGGER_WARN,
                     "the broker sent a bad record (%s; op %u, id %" PRIu64 ", %" PRIu64
                     " of them so far)",
                     what, record->op, record->id, count);
    }
}

/* Answer a request that cannot be fulfilled without saying anything about the end of its worker. */
static void
refuse(struct spawner *spawner, const struct spawn_record *request, enum spawn_step step, int error)
{
    struct spawn_record record = {
        .version = SPAWN_RECORDS_VERSION,
        .op = SPAWN_FAILED,
        .id = request->id,
        .signal = request->signal,
        .step = (int32_t)step,
        .error = error,
        .time_ns = clock_now_ns(),
    };
    const struct worker *worker = family_find_id(&spawner->family, request->id);
    if (worker) {
        memcpy(record.name, worker->name, sizeof record.name);
    }
    if (request->id != 0) {
        spawner_tell(spawner, &record, false);
    }
}

static void
refuse_junk(struct spawner *spawner, const struct spawn_record *request, int error,
            const char *what)
{
    log_junk(spawner, request, what);
    refuse(spawner, request, SPAWN_STEP_RECORD, error);
}

static void
handle_start(struct spawner *spawner, const struct spawn_record *request, char *text)
{
    if (!spawn_start_check(request, text) || (request->id & SPAWN_TEMPLATE) != 0) {
        refuse_junk(spawner, request, EINVAL, "malformed start");
        return;
    }
    if (family_find_id(&spawner->family, request->id) ||
        family_has_ended(&spawner->family, request->id) ||
        templates_has_unborn(spawner, request->id)) {
        refuse_junk(spawner, request, EEXIST, "id used twice");
        return;
    }
    if (spawner->is_ending) {
        workers_tell_failed(spawner, request,
                            &(struct child_fault){.step = SPAWN_STEP_FORK, .error = ECANCELED});
        return;
    }
    if (request->template_key != 0) {
        templates_start(spawner, request, text);
    } else {
        workers_start(spawner, request, text);
    }
}

/* Only a worker that is not reaped stands in the family, so its pid is still its own. */
static void
handle_signal(struct spawner *spawner, const struct spawn_record *request)
{
    const struct worker *worker = family_find_id(&spawner->family, request->id);
    if (request->signal < 1 || request->signal >= NSIG || request->whole_group > 1) {
        refuse_junk(spawner, request, EINVAL, "no such signal");
        return;
    }
    if (!worker) {
        if (!templates_cancel(spawner, request->id)) {
            refuse(spawner, request, SPAWN_STEP_SIGNAL, ESRCH);
        }
        return;
    }
    if (workers_signal(spawner, worker, request->signal, request->whole_group == 1) != 0) {
        refuse(spawner, request, SPAWN_STEP_SIGNAL, errno);
    }
}

static void
handle_end(struct spawner *spawner, const struct spawn_record *request)
{
    if (spawner->is_ending) {
        return;
    }
    spawner->is_ending = true;
    spawner->exit_code = request->status & 0xff;
    spawner->end_deadline_ns = clock_now_ns() + (int64_t)END_GRACE_MS * NS_PER_MS;
}

/* True if the keeper knows it, or need not. */
static bool
tell_once(const struct spawner *spawner, struct tidings *news, enum control_op op)
{
    if (news->is_due && !news->is_told) {
        news->is_told = control_send(spawner->setup->keeper_fd, op, 0);
    }
    return news->is_told || !news->is_due;
}

void
requests_tell_keeper(struct spawner *spawner)
{
    const bool is_ready_known = tell_once(spawner, &spawner->ready, CONTROL_READY);
    const bool is_stopping_known = tell_once(spawner, &spawner->stopping, CONTROL_STOPPING);
    const bool is_reload_known = tell_once(spawner, &spawner->reloaded, CONTROL_RELOADED);
    spawner->keeper_ns = is_ready_known && is_stopping_known && is_reload_known
                             ? CLOCK_NEVER_NS
                             : clock_now_ns() + (int64_t)TELL_AGAIN_MS * NS_PER_MS;
}

void
requests_reloaded(struct spawner *spawner)
{
    if (spawner->is_reloading) {
        spawner->is_reloading = false;
        spawner->reloaded = (struct tidings){.is_due = true}; /* another one than last time */
        requests_tell_keeper(spawner);
    }
}

/* Lost when the keeper does not read: then it could not tell the service manager either. */
static void
handle_pong(struct spawner *spawner)
{
    if (spawner->broker.is_pinged) {
        spawner->broker.is_pinged = false;
        control_send(spawner->setup->keeper_fd, CONTROL_PONG, 0);
    }
}

/* What may still count after the broker's death; false for every other op. */
static bool
handle_last_word(struct spawner *spawner, const struct spawn_record *request)
{
    switch (request->op) {
    case SPAWN_READY:
        spawner->ready.is_due = true;
        requests_tell_keeper(spawner);
        return true;
    case SPAWN_STOPPING:
        stop_note_answer(&spawner->stop, request->status, clock_now_ns());
        spawner->stopping.is_due = true;
        requests_tell_keeper(spawner);
        return true;
    case SPAWN_END:
        handle_end(spawner, request);
        return true;
    case SPAWN_FORGET:
        family_forget(&spawner->family, request->id); /* unknown: it was dropped for its age */
        return true;
    default:
        return false;
    }
}

static void
handle(struct spawner *spawner, const struct spawn_record *request, char *text)
{
    if (request->op == SPAWN_START) {
        handle_start(spawner, request, text);
    } else if (request->text_bytes > 0) {
        refuse_junk(spawner, request, EINVAL, "text where none belongs");
        return;
    } else if (request->op == SPAWN_SIGNAL) {
        handle_signal(spawner, request);
    } else if (request->op == SPAWN_INPUT_END) {
        family_end_input(&spawner->family, request->id); /* unknown: it has ended meanwhile */
    } else if (request->op == SPAWN_STOP_TIMEOUT) {
        if (!stop_set_timeout(&spawner->stop, request->status)) {
            refuse_junk(spawner, request, EINVAL, "no such time");
            return;
        }
    } else if (request->op == SPAWN_PONG) {
        handle_pong(spawner);
    } else if (request->op == SPAWN_RELOADED) {
        requests_reloaded(spawner);
    } else if (!handle_last_word(spawner, request)) {
        refuse_junk(spawner, request, EOPNOTSUPP, "unknown op");
        return;
    }
    spawner->broker.has_spoken = true;
}

void
requests_read(struct spawner *spawner)
{
    for (int i = 0; i < READ_MAX && spawner->link.fd >= 0; i++) {
        struct spawn_record request;
        switch (spawn_record_receive(spawner->link.fd, &request, spawner->text,
                                     SPAWN_TEXT_BYTES_MAX, NULL)) {
        case SPAWN_IO_DONE:
            handle(spawner, &request, spawner->text);
            break;
        case SPAWN_IO_JUNK:
            refuse_junk(spawner, &request, EBADMSG, "not of this version or size");
            break;
        case SPAWN_IO_CLOSED:
            /* It exits, mostly: then the signal comes too late to change its exit status. */
            broker_kill(spawner, NULL);
            return;
        case SPAWN_IO_LATER:
        case SPAWN_IO_NO_ROOM:
            return;
        }
    }
}

void
requests_read_last(struct spawner *spawner)
{
    /* The sender is dead, so what is there is bounded by the socket's buffer. */
    while (spawner->link.fd >= 0) {
        struct spawn_record request;
        const enum spawn_io got = spawn_record_receive(spawner->link.fd, &request, spawner->text,
                                                       SPAWN_TEXT_BYTES_MAX, NULL);
        if (got == SPAWN_IO_DONE) {
            handle_last_word(spawner, &request);
            spawner->broker.has_spoken = true;
        } else if (got != SPAWN_IO_JUNK) {
            return;
        }
    }
}
