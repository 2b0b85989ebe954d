/* From fork to exec, and the pipe that tells how it went; reaping is not its business. Runs in the
 * spawner, and in the child until exec: there async-signal-safe calls only. */
#include "broker/spawn/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "broker/spawn/apply.h"
#include "broker/spawn/records.h"

enum {
    LOWEST_SPARE_FD = 10, /* above every number that a child's descriptors get */
    EXIT_NOT_FOUND = 127, /* as a shell says it; the broker hears the errno anyway */
    EXIT_NOT_EXECUTABLE = 126,
};

/* What POSIX shells use when PATH is not set. */
static const char default_search_path[] = "/usr/local/bin:/usr/bin:/bin";

/* ---- from here to run_child: in the child, async-signal-safe calls only ---- */

_Noreturn static void
give_up(int fault_fd, enum spawn_step step, int error)
{
    const struct child_fault fault = {.step = (int32_t)step, .error = error};
    const ssize_t written = write(fault_fd, &fault, sizeof fault);
    (void)written; /* the parent is gone if this fails, and the exit status says enough then */
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

static bool
reset_signals(bool ignores_interrupt)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) {
        /* SIGKILL, SIGSTOP and two of glibc's own refuse; they need no reset. */
        sigaction(number, &action, NULL);
    }
    if (ignores_interrupt) {
        action.sa_handler = SIG_IGN;
        if (sigaction(SIGINT, &action, NULL) != 0) {
            return false;
        }
    }
    sigset_t empty;
    sigemptyset(&empty);
    return sigprocmask(SIG_SETMASK, &empty, NULL) == 0;
}

/* Make `source` be number `target`, open after exec. */
static bool
place(int source, int target)
{
    if (source == target) {
        const int flags = fcntl(source, F_GETFD);
        return flags >= 0 && fcntl(source, F_SETFD, flags & ~FD_CLOEXEC) == 0;
    }
    return dup2(source, target) == target;
}

/* Put the descriptors at their numbers and close all others but the fault pipe, which moves to the
 * number behind them. Returns that number, or -1 with errno set. */
static int
arrange_descriptors(const struct child_plan *plan, int *fault_fd, enum spawn_step *step)
{
    /* The targets 0 to 3 may be sources or the fault pipe itself: it steps aside first, and 3 is
     * overwritten last. 0 to 2 are never a source of one another's but where they stay in place. */
    const int aside = fcntl(*fault_fd, F_DUPFD_CLOEXEC, LOWEST_SPARE_FD);
    *step = SPAWN_STEP_OUTPUT;
    if (aside < 0) {
        return -1;
    }
    *fault_fd = aside;
    if (!place(plan->input, 0) || !place(plan->output, 1) || !place(plan->error, 2)) {
        return -1;
    }
    *step = SPAWN_STEP_FDS;
    if (plan->link >= 0 && !place(plan->link, SPAWN_BROKER_FD)) {
        return -1;
    }
    const int last = plan->link >= 0 ? SPAWN_BROKER_FD + 1 : SPAWN_BROKER_FD;
    if (dup3(aside, last, O_CLOEXEC) != last) {
        return -1;
    }
    *fault_fd = last;
    if (close_range((unsigned)last + 1, ~0U, 0) != 0) {
        return -1;
    }
    return setrlimit(RLIMIT_NOFILE, &plan->files);
}

/* exec the program, looking through the search path as execvp does but without its malloc and
 * without its retry by /bin/sh: a file without "#!" is an error that is told, not a guess. Returns
 * the errno that says most. */
static int
exec_program(const struct child_plan *plan)
{
    const char *program = plan->argv[0];
    if (strchr(program, '/')) {
        execve(program, plan->argv, plan->envp);
        return errno;
    }
    const char *at = plan->search_path ? plan->search_path : default_search_path;
    const size_t program_bytes = strlen(program) + 1;
    int error = ENOENT;
    for (bool more = true; more;) {
        char path[PATH_MAX];
        const size_t length = strcspn(at, ":");
        if (length + 1 + program_bytes <= sizeof path) {
            memcpy(path, at, length);
            path[length] = '/'; /* an empty element means the current folder */
            memcpy(path + length + (length > 0 ? 1 : 0), program, program_bytes);
            execve(path, plan->argv, plan->envp);
            if (errno == EACCES) {
                error = EACCES; /* found but not allowed says more than not found elsewhere */
            } else if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE && errno != ENODEV) {
                return errno;
            }
        }
        more = at[length] == ':';
        at += length + 1;
    }
    return error;
}

/* False if that cannot be asked for. */
static bool
die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return false;
    }
    if (getppid() != parent) {
        _exit(EXIT_NOT_EXECUTABLE); /* it died before PDEATHSIG was set: nobody wants us any more */
    }
    return true;
}

_Noreturn static void
run_child(const struct child_plan *plan, pid_t parent, int fault_fd)
{
    enum spawn_step step = SPAWN_STEP_SESSION;
    if (!die_with(parent) || setsid() < 0) {
        give_up(fault_fd, step, errno);
    }
    /* Before anything else, so that all it does counts there. The number 0 means the writer. */
    const ssize_t entered = plan->cgroup_fd >= 0 ? write(plan->cgroup_fd, "0", 1) : 1;
    if (entered != 1) {
        give_up(fault_fd, SPAWN_STEP_CGROUP, entered < 0 ? errno : EIO);
    }
    if (!reset_signals(plan->ignores_interrupt)) {
        give_up(fault_fd, SPAWN_STEP_SIGNALS, errno);
    }
    if (arrange_descriptors(plan, &fault_fd, &step) != 0) {
        give_up(fault_fd, step, errno);
    }
    step = apply_limits(plan->limits);
    if (step != SPAWN_STEP_NONE) {
        give_up(fault_fd, step, errno);
    }
    /* The kernel takes PDEATHSIG back from a process that changes its user or group. */
    if (plan->limits != NULL && !die_with(parent)) {
        give_up(fault_fd, SPAWN_STEP_SESSION, errno);
    }
    if (plan->folder[0] != '\0' && chdir(plan->folder) != 0) {
        give_up(fault_fd, SPAWN_STEP_FOLDER, errno);
    }
    prctl(PR_SET_NAME, plan->name); /* only for people who look while it hangs before exec */
    give_up(fault_fd, SPAWN_STEP_EXEC, exec_program(plan));
}

/* ---- in the parent ---- */

bool
child_fork(const struct child_plan *plan, struct child_birth *birth, struct child_fault *fault)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        *fault = (struct child_fault){.step = SPAWN_STEP_PIPE, .error = errno};
        return false;
    }
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
        run_child(plan, parent, ends[1]);
    }
    const int error = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        *fault = (struct child_fault){.step = SPAWN_STEP_FORK, .error = error};
        return false;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK); /* cannot fail for a descriptor that was just made */
    *birth = (struct child_birth){.pid = pid, .fault_fd = ends[0]};
    return true;
}

enum child_state
child_birth_read(int fault_fd, struct child_fault *fault)
{
    struct child_fault told;
    ssize_t got;
    do {
        got = read(fault_fd, &told, sizeof told);
    } while (got < 0 && errno == EINTR);
    if (got == (ssize_t)sizeof told) {
        *fault = told;
        return CHILD_FAILED;
    }
    return got < 0 && errno == EAGAIN ? CHILD_BEING_BORN : CHILD_RUNS;
}

const char *
child_environment_find(char *const envp[], const char *name)
{
    const size_t length = strlen(name);
    for (; *envp; envp++) {
        if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=') {
            return *envp + length + 1;
        }
    }
    return NULL;
}
