/* The spawner's loop and its state; how the broker and workers are started, read and reaped stands
 * in broker.c, requests.c and workers.c. Runs in the spawner. */
#include "broker/spawn/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "broker/spawn/broker.h"
#include "broker/spawn/clock.h"
#include "broker/spawn/control.h"
#include "broker/spawn/requests.h"
#include "broker/spawn/sweep.h"
#include "broker/spawn/workers.h"

/* The places of struct spawner.polls; the births of workers, and those that wait for a template,
 * follow. */
enum { POLL_KEEPER, POLL_SIGNALS, POLL_BROKER, POLL_BROKER_BIRTH, POLL_WORKERS };

enum { POLL_AGAIN_MS = 20, POLL_FAILURES_MAX = 50 };

void
spawner_finish(struct spawner *spawner, int exit_code)
{
    if (!spawner->is_finished) {
        spawner->is_finished = true;
        spawner->exit_code = exit_code;
    }
}

void
spawner_tell(struct spawner *spawner, const struct spawn_record *record, bool has_output)
{
    if (spawner->link.fd < 0) {
        return; /* the next broker is told what stands in the family */
    }
    struct spawn_record told = *record;
    told.epoch = spawner->broker.epoch;
    if (!broker_link_queue(&spawner->link, &told, has_output)) {
        broker_kill(spawner, "it does not read what it is told");
    }
}

static void
note_keeper_gone(struct spawner *spawner)
{
    if (!spawner->is_keeper_gone) {
        spawner->is_keeper_gone = true;
        logger_write(spawner->logger, LOGGER_ERROR, "the keeper is gone: ending everything");
        spawner_finish(spawner, EX_SOFTWARE);
    }
}

static void
tell_broker(struct spawner *spawner, enum spawn_op op, int status)
{
    const struct spawn_record record = {.version = SPAWN_RECORDS_VERSION,
                                        .op = (uint16_t)op,
                                        .status = status,
                                        .time_ns = clock_now_ns()};
    spawner_tell(spawner, &record, false);
}

/* One that hangs is asked once, so that its queue does not fill with the same question. */
static void
ping_broker(struct spawner *spawner)
{
    if (spawner->link.fd >= 0 && !spawner->broker.is_pinged) {
        spawner->broker.is_pinged = true;
        tell_broker(spawner, SPAWN_PING, 0);
    }
}

static void
read_keeper(struct spawner *spawner)
{
    struct control_record record;
    enum control_result result;
    while ((result = control_receive(spawner->setup->keeper_fd, &record)) == CONTROL_GOT) {
        switch (record.op) {
        case CONTROL_STOP:
            stop_note_asked(&spawner->stop, record.level, clock_now_ns());
            tell_broker(spawner, SPAWN_STOP, record.level);
            break;
        case CONTROL_KILL:
            spawner_finish(spawner, 0);
            break;
        case CONTROL_RELOAD:
            spawner->is_reloading = true;
            tell_broker(spawner, SPAWN_RELOAD, 0);
            if (spawner->link.fd < 0) {
                requests_reloaded(spawner); /* the next broker reads the configuration anew */
            }
            break;
        case CONTROL_REOPEN:
            tell_broker(spawner, SPAWN_REOPEN, 0);
            break;
        case CONTROL_PING:
            ping_broker(spawner);
            break;
        default:
            break; /* one program is both ends: no other op exists */
        }
    }
    if (result == CONTROL_CLOSED) {
        note_keeper_gone(spawner);
    }
}

/* Returns true if SIGCHLD was among the signals. */
static bool
read_signals(struct spawner *spawner)
{
    bool has_dead = false;
    struct signalfd_siginfo infos[8];
    for (;;) {
        const ssize_t got = read(spawner->signal_fd, infos, sizeof infos);
        if (got <= 0) {
            break;
        }
        for (size_t i = 0; i < (size_t)got / sizeof infos[0]; i++) {
            has_dead = has_dead || infos[i].ssi_signo == SIGCHLD;
        }
    }
    /* SIGTERM is also our PDEATHSIG. From anybody else it says nothing here: a stop goes through
     * the keeper, to which a service manager sends it too. */
    if (getppid() != spawner->setup->keeper_pid) {
        note_keeper_gone(spawner);
    }
    return has_dead;
}

/* Fill the list for poll; returns its length, and the time of the next deadline. */
static nfds_t
prepare_polls(struct spawner *spawner, int64_t *deadline_ns)
{
    struct pollfd *polls = spawner->polls;
    *deadline_ns = spawner->broker.restart_ns;
    if (spawner->orphans_ns < *deadline_ns) {
        *deadline_ns = spawner->orphans_ns;
    }
    const int64_t stop_ns =
        spawner->is_ending ? spawner->end_deadline_ns : stop_deadline_ns(&spawner->stop);
    if (stop_ns < *deadline_ns) {
        *deadline_ns = stop_ns;
    }
    if (spawner->keeper_ns < *deadline_ns) {
        *deadline_ns = spawner->keeper_ns;
    }
    const int64_t templates_ns = templates_deadline_ns(spawner);
    if (templates_ns < *deadline_ns) {
        *deadline_ns = templates_ns;
    }
    polls[POLL_KEEPER] = (struct pollfd){.fd = spawner->setup->keeper_fd, .events = POLLIN};
    polls[POLL_SIGNALS] = (struct pollfd){.fd = spawner->signal_fd, .events = POLLIN};
    polls[POLL_BROKER] = (struct pollfd){.fd = spawner->link.fd,
                                         .events = broker_link_events(&spawner->link, deadline_ns)};
    polls[POLL_BROKER_BIRTH] = (struct pollfd){.fd = spawner->broker.fault_fd, .events = POLLIN};
    nfds_t used = POLL_WORKERS;
    const struct family *family = &spawner->family;
    for (size_t i = 0; family->birth_count > 0 && i < family->worker_count; i++) {
        if (family->workers[i]->fault_fd >= 0) {
            polls[used++] = (struct pollfd){.fd = family->workers[i]->fault_fd, .events = POLLIN};
        }
    }
    return used + templates_poll(spawner, polls + used);
}

/* Births that are over: backwards, because a failed one gives its place to the last. */
static void
read_births(struct spawner *spawner)
{
    const struct family *family = &spawner->family;
    for (size_t i = family->worker_count; family->birth_count > 0 && i-- > 0;) {
        if (family->workers[i]->fault_fd >= 0) {
            workers_read_birth(spawner, family->workers[i]);
        }
    }
}

/* A stop that the broker does not bring to its end is ended without it, as by a third signal. */
static void
check_stop(struct spawner *spawner, int64_t now_ns)
{
    switch (stop_check(&spawner->stop, now_ns)) {
    case STOP_GOES_ON:
        return;
    case STOP_LATE:
        logger_write(spawner->logger, LOGGER_ERROR,
                     "the stop has taken hub.stop_timeout, %" PRId64
                     " ms, and %d ms more: killing everything",
                     spawner->stop.timeout_ms, (int)STOP_GRACE_MS);
        break;
    case STOP_UNANSWERED:
        logger_write(spawner->logger, LOGGER_ERROR,
                     "the broker (pid %ld) does not answer: killing everything",
                     (long)spawner->broker.pid);
        break;
    }
    spawner_finish(spawner, 0);
}

/* What time alone brings about. */
static void
check_deadlines(struct spawner *spawner)
{
    const int64_t now_ns = clock_now_ns();
    if (!spawner->is_ending) {
        check_stop(spawner, now_ns);
    } else if (now_ns >= spawner->end_deadline_ns) {
        spawner_finish(spawner, spawner->exit_code);
    }
    if (now_ns >= spawner->keeper_ns) {
        requests_tell_keeper(spawner);
    }
    if (now_ns >= spawner->orphans_ns) {
        workers_check_orphans(spawner);
    }
    templates_check(spawner, now_ns);
    if (!spawner->is_finished && now_ns >= spawner->broker.restart_ns) {
        broker_start(spawner);
    }
}

/* Wait for what the list says. Without memory for that every descriptor is asked a little later, as
 * none of them blocks; that this goes on for POLL_FAILURES_MAX turns ends the hub. */
static bool
wait_for_any(struct spawner *spawner, nfds_t count, int timeout_ms)
{
    struct pollfd *polls = spawner->polls;
    if (poll(polls, count, timeout_ms) >= 0) {
        spawner->poll_failures = 0;
        return true;
    }
    if (errno != EINTR && errno != EAGAIN && ++spawner->poll_failures > POLL_FAILURES_MAX) {
        logger_write(spawner->logger, LOGGER_ERROR, "poll failed: %s", strerror(errno));
        return false;
    }
    for (nfds_t i = 0; i < count; i++) {
        polls[i].revents = POLLIN;
    }
    poll(NULL, 0, errno == EINTR ? 0 : POLL_AGAIN_MS);
    return true;
}

static void
loop(struct spawner *spawner)
{
    bool has_dead = false;
    check_deadlines(spawner);
    while (!spawner->is_finished) {
        int64_t deadline_ns;
        const nfds_t count = prepare_polls(spawner, &deadline_ns);
        struct pollfd *polls = spawner->polls;
        const int timeout_ms = has_dead ? 0 : clock_poll_timeout_ms(deadline_ns);
        if (!wait_for_any(spawner, count, timeout_ms)) {
            spawner_finish(spawner, EX_OSERR);
            return;
        }
        if (polls[POLL_KEEPER].revents) {
            read_keeper(spawner);
        }
        if (polls[POLL_BROKER].revents) {
            requests_read(spawner);
        }
        if (polls[POLL_BROKER_BIRTH].revents) {
            broker_read_birth(spawner);
        }
        templates_turn(spawner);
        read_births(spawner);
        if (polls[POLL_SIGNALS].revents) {
            has_dead = read_signals(spawner) || has_dead;
        }
        if (has_dead) {
            has_dead = workers_reap(spawner);
        }
        check_deadlines(spawner);
        if (spawner->link.fd >= 0 && clock_now_ns() >= spawner->link.retry_ns &&
            broker_link_flush(&spawner->link, &spawner->family) == SPAWN_IO_CLOSED) {
            requests_read(spawner); /* it finds the end after what was said before it */
        }
    }
}

static bool
acquire(struct spawner *spawner)
{
    spawner->signal_fd = signalfd(-1, spawner->setup->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    spawner->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    spawner->text = malloc(SPAWN_TEXT_BYTES_MAX);
    spawner->polls = calloc(POLL_WORKERS + 3 * SPAWN_CHILDREN_MAX, sizeof *spawner->polls);
    return spawner->signal_fd >= 0 && spawner->null_fd >= 0 && spawner->text && spawner->polls;
}

static void
release(struct spawner *spawner)
{
    if (spawner->signal_fd >= 0) {
        close(spawner->signal_fd);
    }
    if (spawner->null_fd >= 0) {
        close(spawner->null_fd);
    }
    if (spawner->broker.fault_fd >= 0) {
        close(spawner->broker.fault_fd);
    }
    free(spawner->text);
    free(spawner->polls);
}

static void
sweep(struct spawner *spawner)
{
    const struct sweep_result swept =
        sweep_children(clock_now_ns() + (int64_t)SWEEP_DEADLINE_MS * NS_PER_MS);
    if (swept.survivors > 0) {
        logger_write(spawner->logger, LOGGER_ERROR, "%d processes survived SIGKILL for %d ms",
                     swept.survivors, (int)SWEEP_DEADLINE_MS);
    }
    workers_sweep_cgroups(spawner);
    if (spawner->is_keeper_gone) { /* else the keeper does it */
        cgroups_clean(spawner->setup->keeper_pid);
        rundir_unlink_socket(spawner->setup->rundir);
    }
}

int
spawner_run(const struct spawner_setup *setup)
{
    struct spawner spawner = {
        .setup = setup,
        .logger = setup->logger,
        .broker = {.fault_fd = -1},
        .link = {.fd = -1},
        .signal_fd = -1,
        .null_fd = -1,
        .orphans_ns = CLOCK_NEVER_NS,
        .keeper_ns = CLOCK_NEVER_NS,
    };
    stop_init(&spawner.stop);
    cgroups_init(&spawner.cgroups, setup->keeper_pid);
    prctl(PR_SET_NAME, "prongd/spawner"); /* for people who look at a list of processes */
    /* SIGTERM is blocked and read by the signalfd. SIGKILL would leave daemonised processes behind,
     * because they come to us when the keeper sweeps nothing any more. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 ||
        setsid() < 0) {
        logger_write(setup->logger, LOGGER_ERROR, "prctl or setsid failed (errno %d)", errno);
        return EX_OSERR;
    }
    if (getppid() != setup->keeper_pid) {
        return EX_SOFTWARE; /* it died before PDEATHSIG was set; nothing was started yet */
    }
    int exit_code = EX_OSERR;
    if (!family_init(&spawner.family)) {
        logger_write(setup->logger, LOGGER_ERROR, "cannot start: no memory");
        return exit_code;
    }
    if (broker_link_init(&spawner.link) && acquire(&spawner)) {
        loop(&spawner);
        exit_code = spawner.exit_code;
    } else {
        logger_write(setup->logger, LOGGER_ERROR, "cannot start: no memory or descriptors");
    }
    /* Our descriptors go first: at the limit of them the sweep could not read /proc. */
    broker_link_deinit(&spawner.link);
    family_deinit(&spawner.family);
    templates_deinit(&spawner);
    release(&spawner);
    sweep(&spawner);
    return exit_code;
}
