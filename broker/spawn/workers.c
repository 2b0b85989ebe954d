/* Starts and reaps workers and tells the broker; which ones, and whether again, is the broker's
 * business, and what is known of them family.c's. Runs in the spawner. */
#include "broker/spawn/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/spawn/broker.h"
#include "broker/spawn/clock.h"
#include "broker/spawn/orphans.h"
#include "broker/spawn/template.h"

/* A bomb of dying processes may not keep the loop from the broker: the rest is reaped next turn. */
enum { REAP_MAX = 256 };

/* A record about a worker, with what all of them have. */
static struct spawn_record
make_record(enum spawn_op op, uint64_t id, const char name[SPAWN_NAME_BYTES_MAX])
{
    struct spawn_record record = {
        .version = SPAWN_RECORDS_VERSION,
        .op = (uint16_t)op,
        .id = id,
        .time_ns = clock_now_ns(),
    };
    memcpy(record.name, name, sizeof record.name);
    return record;
}

void
workers_tell_unborn(struct spawner *spawner, const struct spawn_record *request,
                    const struct child_fault *fault, int status, const char *why)
{
    struct spawn_record record = make_record(SPAWN_FAILED, request->id, request->name);
    record.step = fault->step;
    record.error = fault->error;
    record.status = status;
    snprintf(record.why, sizeof record.why, "%s", why);
    family_note_end(&spawner->family, &record);
    spawner_tell(spawner, &record, false);
}

void
workers_tell_failed(struct spawner *spawner, const struct spawn_record *request,
                    const struct child_fault *fault)
{
    workers_tell_unborn(spawner, request, fault, 0, "");
}

bool
workers_split(const struct spawn_record *request, char *text, struct start_parts *parts)
{
    const size_t argc = request->argc;
    const size_t envc = request->envc;
    char **strings = calloc(argc + envc + 2, sizeof *strings);
    if (!strings) {
        return false;
    }
    char *at = text + strlen(text) + 1; /* behind the folder */
    for (size_t i = 0; i < argc + envc; i++) {
        strings[i < argc ? i : i + 1] = at;
        at += strlen(at) + 1;
    }
    *parts = (struct start_parts){.folder = text, .argv = strings, .envp = strings + argc + 1};
    for (uint32_t i = 0; i < request->limitc; i++) {
        limits_add(&parts->limits, at); /* the check of the record has shown that it can be read */
        at += strlen(at) + 1;
    }
    return true;
}

static void
close_pipe(const int ends[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0) {
            close(ends[i]);
        }
    }
}

bool
workers_open_pipes(bool has_input, int output[2], int input[2])
{
    if (pipe2(output, O_CLOEXEC) != 0) {
        return false;
    }
    if (has_input && pipe2(input, O_CLOEXEC) != 0) {
        const int error = errno;
        close_pipe(output);
        output[0] = output[1] = -1;
        errno = error;
        return false;
    }
    if (has_input) {
        fcntl(input[1], F_SETFL, O_NONBLOCK); /* as with that of the output */
    }
    /* Only our end: the worker's own may block, as programs expect of their stdout. */
    fcntl(output[0], F_SETFL, O_NONBLOCK); /* cannot fail for a descriptor that was just made */
    return true;
}

/* Fork with an output pipe, and one for its input if that is asked for. On success the worker is
 * part of the family. */
static bool
fork_worker(struct spawner *spawner, const struct spawn_record *request, struct child_plan *plan,
            struct child_fault *fault)
{
    int output[2] = {-1, -1};
    int input[2] = {-1, -1};
    if (!workers_open_pipes(request->status == SPAWN_INPUT_PIPE, output, input)) {
        *fault = (struct child_fault){.step = SPAWN_STEP_PIPE, .error = errno};
        return false;
    }
    if (input[0] >= 0) {
        plan->input = input[0];
    }
    plan->output = output[1];
    plan->error = output[1];
    struct child_birth birth;
    const bool is_forked = child_fork(plan, &birth, fault);
    if (!is_forked) {
        close_pipe(output);
        close_pipe(input);
        return false;
    }
    close(output[1]);
    if (input[0] >= 0) {
        close(input[0]);
    }
    struct worker worker = {
        .id = request->id,
        .pid = birth.pid,
        .output_fd = output[0],
        .input_fd = input[1],
        .fault_fd = birth.fault_fd,
        .time_ns = clock_now_ns(),
        .has_cgroup = plan->cgroup_fd >= 0,
    };
    memcpy(worker.name, request->name, sizeof worker.name);
    if (!family_add(&spawner->family, &worker)) {
        /* No memory: nobody would ever know of this child, so it may not live. It is reaped as one
         * of the unknown. */
        kill(birth.pid, SIGKILL);
        close(output[0]);
        if (input[1] >= 0) {
            close(input[1]);
        }
        close(birth.fault_fd);
        *fault = (struct child_fault){.step = SPAWN_STEP_FORK, .error = ENOMEM};
        return false;
    }
    return true;
}

bool
workers_enter_cgroup(struct spawner *spawner, const struct spawn_record *request,
                     const struct limits *limits, int *procs_fd, struct child_fault *fault)
{
    struct cgroup_made made;
    char keys[256];
    if (!cgroup_is_wanted(limits)) {
        return true;
    }
    cgroup_make(&spawner->cgroups, request->id, limits, &made);
    *procs_fd = made.procs_fd;
    if (made.missing == 0) {
        return true;
    }
    cgroup_list_keys(made.missing, keys, sizeof keys);
    const bool is_required = limits->is_cgroup_required;
    /* Once of each worker. */
    if (cgroups_is_news(&spawner->cgroups, request->name, made.missing)) {
        logger_write(spawner->logger, is_required ? LOGGER_ERROR : LOGGER_WARN,
                     "%s %s: not in force: %s (%s)", request->name,
                     is_required ? "cannot start" : "starts without some of its limits", keys,
                     made.why);
    }
    *fault = (struct child_fault){.step = (int32_t)SPAWN_STEP_CGROUP + (int32_t)made.first,
                                  .error = made.error};
    return !is_required;
}

void
workers_tell_input(struct spawner *spawner, const struct worker *worker)
{
    if (worker->input_fd >= 0) {
        const struct spawn_record record = make_record(SPAWN_INPUT, worker->id, worker->name);
        spawner_tell(spawner, &record, true);
    }
}

bool
workers_fork(struct spawner *spawner, const struct spawn_record *request,
             const struct start_parts *parts, int link, struct child_fault *fault)
{
    struct child_plan plan = {
        .name = request->name,
        .folder = parts->folder,
        .argv = parts->argv,
        .envp = parts->envp,
        .search_path = child_environment_find(parts->envp, "PATH"),
        .input = spawner->null_fd,
        .link = link,
        .ignores_interrupt = true,
        .files = spawner->setup->files,
        .limits = request->limitc > 0 ? &parts->limits : NULL,
        .cgroup_fd = -1,
    };
    const bool is_forked =
        workers_enter_cgroup(spawner, request, plan.limits, &plan.cgroup_fd, fault) &&
        fork_worker(spawner, request, &plan, fault);
    if (plan.cgroup_fd >= 0) {
        close(plan.cgroup_fd);
        if (!is_forked) {
            cgroup_remove(&spawner->cgroups, request->id);
        }
    }
    return is_forked;
}

void
workers_start(struct spawner *spawner, const struct spawn_record *request, char *text)
{
    struct child_fault fault = {.step = SPAWN_STEP_FORK, .error = EAGAIN};
    struct start_parts parts = {0};
    bool is_started = false;
    templates_retire(spawner, request->name, 0);
    if (family_has_room(&spawner->family)) {
        fault.error = ENOMEM;
        is_started = workers_split(request, text, &parts) &&
                     workers_fork(spawner, request, &parts, -1, &fault);
    }
    free(parts.argv);
    if (!is_started) {
        workers_tell_failed(spawner, request, &fault);
    }
}

int
workers_signal(struct spawner *spawner, const struct worker *worker, int number, bool is_group)
{
    int result = kill(is_group ? -worker->pid : worker->pid, number);
    if (result != 0 && errno == ESRCH && is_group) {
        result = kill(worker->pid, number); /* it has not made its own group yet */
    }
    const int error = errno;
    if (worker->has_cgroup && is_group && number == SIGKILL) {
        cgroup_kill(&spawner->cgroups, worker->id);
    }
    errno = error;
    return result;
}

/* A worker is no more: keep that, and tell it. */
static void
end_worker(struct spawner *spawner, struct worker *worker, const struct spawn_record *record)
{
    const uint64_t template_id = worker->template_id;
    family_end(&spawner->family, worker, record);
    spawner_tell(spawner, record, false);
    templates_note_member_end(spawner, template_id);
}

void
workers_read_birth(struct spawner *spawner, struct worker *worker)
{
    struct child_fault fault;
    struct spawn_record record;
    switch (child_birth_read(worker->fault_fd, &fault)) {
    case CHILD_BEING_BORN:
        return;
    case CHILD_RUNS:
        family_set_running(&spawner->family, worker);
        record = make_record(SPAWN_STARTED, worker->id, worker->name);
        record.pid = worker->pid;
        worker->time_ns = record.time_ns;
        spawner_tell(spawner, &record, true);
        workers_tell_input(spawner, worker);
        return;
    case CHILD_FAILED:
        record = make_record(SPAWN_FAILED, worker->id, worker->name);
        record.step = fault.step;
        record.error = fault.error;
        /* Nobody wrote to its output. The process is in _exit, and unknown from now on: it is
         * reaped as such. */
        close(worker->output_fd);
        worker->output_fd = -1;
        if (worker->has_cgroup) {
            cgroup_remove(&spawner->cgroups, worker->id);
        }
        end_worker(spawner, worker, &record);
        templates_note_fault(spawner, record.id, &fault);
        return;
    }
}

/* A worker was reaped: tell it, and kill those who belonged to it. */
static void
note_exit(struct spawner *spawner, struct worker *worker, int wait_status)
{
    struct spawn_record record = make_record(SPAWN_EXITED, worker->id, worker->name);
    record.pid = worker->pid;
    record.status = wait_status;
    if (worker->has_cgroup) {
        record.out_of_memory = WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL &&
                               cgroup_was_out_of_memory(&spawner->cgroups, worker->id);
        cgroup_remove(&spawner->cgroups, worker->id);
    }
    orphans_kill_owned(&spawner->family, record.id);
    end_worker(spawner, worker, &record);
    templates_note_end(spawner, record.id, wait_status);
}

/* Reap one process that is known to be dead. */
static void
reap_one(struct spawner *spawner, pid_t pid)
{
    struct worker *worker = family_find_pid(&spawner->family, pid);
    if (worker && worker->fault_fd >= 0) {
        workers_read_birth(spawner, worker);
        worker = family_find_pid(&spawner->family, pid);
    }
    const bool is_broker = pid == spawner->broker.pid;
    if (worker || is_broker) {
        /* Before it is reaped, because until then its number cannot name another group. */
        kill(-pid, SIGKILL); /* mostly nobody is left */
    }
    if (worker && worker->has_cgroup) {
        cgroup_kill(&spawner->cgroups, worker->id);
    }
    int wait_status = 0;
    if (waitpid(pid, &wait_status, WNOHANG) != pid) {
        return; /* it was not dead after all; its SIGCHLD will come */
    }
    if (is_broker) {
        broker_note_death(spawner, wait_status);
    } else if (worker) {
        note_exit(spawner, worker, wait_status);
    } else {
        family_remove_adopted(&spawner->family, pid);
    }
}

static bool
is_known(const void *context, uint64_t id)
{
    const struct family *family = context;
    return family_find_id(family, id) != NULL;
}

void
workers_sweep_cgroups(struct spawner *spawner)
{
    spawner->cgroups.has_rest = spawner->cgroups.is_open;
    cgroups_sweep(&spawner->cgroups, NULL, NULL);
}

bool
workers_reap(struct spawner *spawner)
{
    int reaped = 0;
    for (; reaped < REAP_MAX; reaped++) {
        siginfo_t dead = {0};
        int result;
        do {
            result = waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT);
        } while (result != 0 && errno == EINTR);
        if (result != 0 || dead.si_pid == 0) {
            break;
        }
        reap_one(spawner, dead.si_pid);
    }
    if (reaped > 0) {
        workers_check_orphans(spawner);
        cgroups_sweep(&spawner->cgroups, is_known, &spawner->family);
    }
    return reaped == REAP_MAX;
}

void
workers_check_orphans(struct spawner *spawner)
{
    const bool is_complete = orphans_check(&spawner->family, spawner->broker.pid, spawner->logger);
    spawner->orphans_ns =
        is_complete ? CLOCK_NEVER_NS : clock_now_ns() + (int64_t)ORPHANS_AGAIN_MS * NS_PER_MS;
}
