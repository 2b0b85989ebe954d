/* The broker's process as the spawner sees it: its start, greeting, death and restart. What the
 * broker asks for is read in requests.c. Runs in the spawner. */
#include "broker/spawn/broker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "broker/spawn/clock.h"
#include "broker/spawn/requests.h"
#include "broker/spawn/template.h"
#include "broker/spawn/workers.h"

enum {
    /* After a start that failed: memory may come back, a program that is being replaced is there
     * again. A broker that crashed is started again at once. */
    START_AGAIN_MS = 200,
    SOCKET_BYTES = 512 * 1024, /* a few of the largest records; the system may allow less */
};

/* The broker's environment: ours with the epoch and the keeper's pid. `added` holds these two
 * strings and has to live as long as the result, which the caller frees. NULL without memory. */
static char **
make_environment(const struct spawner *spawner, char added[2][48])
{
    char *const *ours = spawner->setup->environment;
    size_t count = 0;
    while (ours[count]) {
        count++;
    }
    char **made = calloc(count + 3, sizeof *made);
    if (!made) {
        return NULL;
    }
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(ours[i], "PRONG_EPOCH=", 12) != 0 &&
            strncmp(ours[i], "PRONG_KEEPER_PID=", 17) != 0) {
            made[used++] = ours[i];
        }
    }
    snprintf(added[0], sizeof added[0], "PRONG_EPOCH=%" PRIu64, spawner->broker.epoch);
    snprintf(added[1], sizeof added[1], "PRONG_KEEPER_PID=%ld", (long)spawner->setup->keeper_pid);
    made[used++] = added[0];
    made[used++] = added[1];
    return made;
}

/* Fork the broker with `its_end` as descriptor 3. */
static bool
fork_broker(struct spawner *spawner, int its_end, struct child_birth *birth,
            struct child_fault *fault)
{
    char added[2][48];
    char **environment = make_environment(spawner, added);
    if (!environment) {
        *fault = (struct child_fault){.step = SPAWN_STEP_FORK};
        return false;
    }
    const struct child_plan plan = {
        .name = "prong-broker",
        .folder = "",
        .argv = spawner->setup->broker_argv,
        .envp = environment,
        .input = spawner->null_fd,
        .output = STDOUT_FILENO,
        .error = STDERR_FILENO,
        .link = its_end,
        .cgroup_fd = -1,
        .ignores_interrupt = true,
        .files = spawner->setup->files,
    };
    const bool is_forked = child_fork(&plan, birth, fault);
    free(environment);
    return is_forked;
}

/* Tell the new broker all that a former one may have known. */
static void
greet(struct spawner *spawner)
{
    const struct family *family = &spawner->family;
    struct spawn_record record = {.version = SPAWN_RECORDS_VERSION};
    for (size_t i = 0; i < family->worker_count; i++) {
        const struct worker *worker = family->workers[i];
        if (worker->fault_fd < 0) {
            record.op = SPAWN_ALIVE;
            record.id = worker->id;
            record.pid = worker->pid;
            record.time_ns = worker->time_ns;
            memcpy(record.name, worker->name, sizeof record.name);
            spawner_tell(spawner, &record, true);
            workers_tell_input(spawner, worker);
        }
    }
    for (size_t i = 0; i < family->ended_count; i++) {
        spawner_tell(spawner, &family->ended[i].record, true);
    }
    record = (struct spawn_record){
        .version = SPAWN_RECORDS_VERSION, .op = SPAWN_ALIVE_END, .time_ns = clock_now_ns()};
    spawner_tell(spawner, &record, false);
    if (spawner->stop.level > 0) {
        record.op = SPAWN_STOP;
        record.status = spawner->stop.level;
        record.time_ns = spawner->stop.began_ns;
        spawner_tell(spawner, &record, false);
    }
}

/* No process came of a start. */
static void
note_failed_start(struct spawner *spawner, const struct child_fault *fault)
{
    logger_write(spawner->logger, LOGGER_ERROR, "cannot start the broker %s: %s: %s",
                 spawner->setup->broker_argv[0], spawn_step_text((enum spawn_step)fault->step),
                 fault->error ? strerror(fault->error) : "no memory");
    if (!spawner->broker.ladder.has_spoken) {
        spawner_finish(spawner, EX_OSERR);
    }
}

void
broker_start(struct spawner *spawner)
{
    struct broker *broker = &spawner->broker;
    struct child_fault fault = {.step = SPAWN_STEP_PIPE};
    struct child_birth birth;
    int pair[2] = {-1, -1};
    broker->epoch++;
    bool is_started = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0;
    if (is_started) {
        for (int i = 0; i < 2; i++) {
            /* Only a wish: a smaller buffer means more waiting, not less function. */
            setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &(int){SOCKET_BYTES}, sizeof(int));
        }
        is_started = fork_broker(spawner, pair[1], &birth, &fault);
        close(pair[1]);
    }
    if (!is_started) {
        if (pair[0] >= 0) {
            close(pair[0]);
        }
        note_failed_start(spawner, &fault);
        broker->restart_ns = clock_now_ns() + (int64_t)START_AGAIN_MS * NS_PER_MS;
        return;
    }
    broker->pid = birth.pid;
    broker->fault_fd = birth.fault_fd;
    broker->fault = (struct child_fault){0};
    broker->has_spoken = false;
    broker->is_pinged = false;
    broker->restart_ns = CLOCK_NEVER_NS;
    broker_link_open(&spawner->link, pair[0]);
    logger_write(spawner->logger, LOGGER_INFO, "broker started (pid %ld, epoch %" PRIu64 ")",
                 (long)broker->pid, broker->epoch);
    greet(spawner);
}

void
broker_read_birth(struct spawner *spawner)
{
    struct broker *broker = &spawner->broker;
    if (broker->fault_fd < 0) {
        return;
    }
    const enum child_state state = child_birth_read(broker->fault_fd, &broker->fault);
    if (state == CHILD_BEING_BORN) {
        return;
    }
    close(broker->fault_fd);
    broker->fault_fd = -1;
    if (state == CHILD_FAILED) {
        note_failed_start(spawner, &broker->fault);
    }
}

static void
log_death(struct spawner *spawner, int wait_status)
{
    const struct broker *broker = &spawner->broker;
    if (WIFSIGNALED(wait_status)) {
        logger_write(spawner->logger, LOGGER_ERROR,
                     "broker (pid %ld, epoch %" PRIu64 ") died: signal %d (%s)", (long)broker->pid,
                     broker->epoch, WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
    } else {
        logger_write(spawner->logger, spawner->is_ending ? LOGGER_INFO : LOGGER_ERROR,
                     "broker (pid %ld, epoch %" PRIu64 ") ended: exit code %d", (long)broker->pid,
                     broker->epoch, WEXITSTATUS(wait_status));
    }
}

void
broker_note_death(struct spawner *spawner, int wait_status)
{
    struct broker *broker = &spawner->broker;
    requests_read_last(spawner);
    broker_read_birth(spawner);
    if (broker->fault_fd >= 0) {
        close(broker->fault_fd);
        broker->fault_fd = -1;
    }
    broker_link_close(&spawner->link);
    log_death(spawner, wait_status);
    broker->pid = 0;
    templates_drop_unborn(spawner);
    requests_reloaded(spawner); /* the next broker reads the configuration anew anyway */
    if (spawner->is_ending) {
        spawner_finish(spawner, spawner->exit_code);
        return;
    }
    const int64_t now_ns = clock_now_ns();
    stop_note_broker_gone(&spawner->stop, now_ns);
    const int verdict = ladder_note_death(&broker->ladder, broker->has_spoken, wait_status, now_ns);
    if (verdict != LADDER_RESTART) {
        logger_write(spawner->logger, LOGGER_ERROR,
                     verdict == EX_UNAVAILABLE ? "the broker died too often: giving up (%d)"
                                               : "the broker refused to start (exit code %d)",
                     verdict);
        spawner_finish(spawner, verdict);
        return;
    }
    const bool is_fault = broker->fault.step != SPAWN_STEP_NONE;
    broker->restart_ns = now_ns + (is_fault ? (int64_t)START_AGAIN_MS * NS_PER_MS : 0);
}

void
broker_kill(struct spawner *spawner, const char *why)
{
    if (why) {
        logger_write(spawner->logger, LOGGER_ERROR, "killing the broker (pid %ld): %s",
                     (long)spawner->broker.pid, why);
    }
    if (spawner->broker.pid > 0) {
        kill(spawner->broker.pid, SIGKILL);
    }
    broker_link_close(&spawner->link);
}
