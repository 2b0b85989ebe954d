/* Starts and ends templates, and brings members from their request to their place in the family;
 * processes are forked and told of by workers.c. Runs in the spawner. */
#include "broker/spawn/template.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/spawn/clock.h"
#include "broker/spawn/template_environment.h"
#include "broker/spawn/workers.h"

static_assert(sizeof(struct template_request) == 24, "template.py reads another layout");

enum {
    REQUEST_FDS = 3,
    /* A birth whose pair is closed without a word: so long is waited for the death of its template,
     * which says more. */
    SILENCE_MS = 500,
};

struct template
{
    uint64_t id, key;                  /* id: of its worker in the family */
    char worker[SPAWN_NAME_BYTES_MAX]; /* "detector" */
    int fd;                            /* for requests; owned */
    bool is_retired;                   /* no further start is for it */
    bool is_heard;                     /* it has answered a request */
    size_t members;                    /* that live */
    int64_t idle_ns;                   /* when it ends; CLOCK_NEVER_NS while somebody needs it */
    char why[SPAWN_WHY_BYTES];         /* the last that it refused, for those it could not tell */
    struct template *next;
};

/* A start that waits. */
struct unborn {
    struct spawn_record request;
    char *text; /* owned; of the request */
    struct template *template;
    int birth_fd;            /* owned; -1 after its end was seen */
    int given[REQUEST_FDS];  /* owned until they were sent, then -1 */
    int output_fd, input_fd; /* owned; our ends; input_fd -1 for none */
    int64_t silent_ns;       /* when the silence is an answer; CLOCK_NEVER_NS before that */
    struct unborn *next;
};

/* Why nothing comes of a start. */
struct failure {
    struct child_fault fault;
    int status;      /* of the template that ended, as waitpid gives it; else 0 */
    const char *why; /* for people; "" when the errno says it */
};

static struct failure
failed(int error, const char *why)
{
    return (struct failure){.fault = {.step = SPAWN_STEP_TEMPLATE, .error = error}, .why = why};
}

static void
close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* ---- templates --------------------------------------------------------------------------------
 */

/* "detector" of "detector/0". */
static void
copy_worker(const char *member, char out[SPAWN_NAME_BYTES_MAX])
{
    snprintf(out, SPAWN_NAME_BYTES_MAX, "%.*s", (int)strcspn(member, "/"), member);
}

static struct template *
find(const struct spawner *spawner, uint64_t id)
{
    struct template *t = spawner->templates.list;
    while (t && t->id != id) {
        t = t->next;
    }
    return t;
}

static bool
is_waited_for(const struct spawner *spawner, const struct template *t)
{
    const struct unborn *u = spawner->templates.unborn;
    while (u && u->template != t) {
        u = u->next;
    }
    return u != NULL;
}

/* It is forgotten when it is reaped. */
static void
end(struct spawner *spawner, struct template *t)
{
    const struct worker *worker = family_find_id(&spawner->family, t->id);
    t->is_retired = true;
    t->idle_ns = CLOCK_NEVER_NS;
    if (worker) {
        workers_signal(spawner, worker, SIGKILL, true); /* it is ours: there is no other error */
    }
}

/* Who needs it has changed. */
static void
consider(struct spawner *spawner, struct template *t)
{
    const bool is_waited = is_waited_for(spawner, t);
    if (t->is_retired && !is_waited) {
        end(spawner, t);
    } else if (t->members > 0 || is_waited) {
        t->idle_ns = CLOCK_NEVER_NS;
    } else {
        t->idle_ns = clock_now_ns() + (int64_t)TEMPLATE_LINGER_MS * NS_PER_MS;
    }
}

void
templates_retire(struct spawner *spawner, const char *member, uint64_t key)
{
    char worker[SPAWN_NAME_BYTES_MAX];
    copy_worker(member, worker);
    for (struct template *t = spawner->templates.list; t; t = t->next) {
        if (!t->is_retired && t->key != key && strcmp(t->worker, worker) == 0) {
            t->is_retired = true;
            consider(spawner, t);
        }
    }
}

/* Fork the process of a template with `its_end` as descriptor 3. */
static bool
fork_template(struct spawner *spawner, const struct spawn_record *request,
              const struct start_parts *member, int its_end, struct child_fault *fault)
{
    struct template_own own;
    char worker[SPAWN_NAME_BYTES_MAX];
    struct spawn_record record = *request;
    record.id |= SPAWN_TEMPLATE;
    record.status = SPAWN_INPUT_NULL;
    copy_worker(request->name, worker);
    snprintf(record.name, sizeof record.name, "%.*s/template", SPAWN_NAME_BYTES_MAX - 10, worker);
    struct start_parts parts = *member;
    parts.envp = template_environment(member->envp, record.id, &own);
    if (!parts.envp) {
        *fault = (struct child_fault){.step = SPAWN_STEP_FORK, .error = ENOMEM};
        return false;
    }
    const bool is_forked = workers_fork(spawner, &record, &parts, its_end, fault);
    free(parts.envp);
    return is_forked;
}

static struct template *
make_template(struct spawner *spawner, const struct spawn_record *request,
              const struct start_parts *parts, struct child_fault *fault)
{
    int pair[2] = {-1, -1};
    struct template *t = calloc(1, sizeof *t);
    *fault = (struct child_fault){.step = SPAWN_STEP_FORK, .error = ENOMEM};
    if (t && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        *fault = (struct child_fault){.step = SPAWN_STEP_PIPE, .error = errno};
    }
    const bool is_forked = pair[0] >= 0 && fork_template(spawner, request, parts, pair[1], fault);
    close_fd(&pair[1]);
    if (!is_forked) {
        close_fd(&pair[0]);
        free(t);
        return NULL;
    }
    *t = (struct template){.id = request->id | SPAWN_TEMPLATE,
                           .key = request->template_key,
                           .fd = pair[0],
                           .idle_ns = CLOCK_NEVER_NS,
                           .next = spawner->templates.list};
    copy_worker(request->name, t->worker);
    spawner->templates.list = t;
    return t;
}

static struct template *
get_template(struct spawner *spawner, const struct spawn_record *request,
             const struct start_parts *parts, struct child_fault *fault)
{
    char worker[SPAWN_NAME_BYTES_MAX];
    copy_worker(request->name, worker);
    templates_retire(spawner, request->name, request->template_key);
    for (struct template *t = spawner->templates.list; t; t = t->next) {
        if (!t->is_retired && t->key == request->template_key && strcmp(t->worker, worker) == 0) {
            return t;
        }
    }
    return make_template(spawner, request, parts, fault);
}

/* ---- starts that wait -------------------------------------------------------------------------
 */

static void
free_unborn(struct unborn *u)
{
    for (int i = 0; i < REQUEST_FDS; i++) {
        close_fd(&u->given[i]);
    }
    close_fd(&u->birth_fd);
    close_fd(&u->output_fd);
    close_fd(&u->input_fd);
    free(u->text);
    free(u);
}

static void
remove_unborn(struct spawner *spawner, struct unborn *u)
{
    struct unborn **at = &spawner->templates.unborn;
    while (*at != u) {
        at = &(*at)->next;
    }
    *at = u->next;
    spawner->templates.unborn_count--;
    struct template *t = u->template;
    free_unborn(u);
    consider(spawner, t);
}

/* It is over with this start. */
static void
fail(struct spawner *spawner, struct unborn *u, const struct failure *how)
{
    const struct spawn_record request = u->request;
    remove_unborn(spawner, u);
    workers_tell_unborn(spawner, &request, &how->fault, how->status, how->why);
}

static bool
open_pipes(struct spawner *spawner, struct unborn *u, struct child_fault *fault)
{
    int birth[2] = {-1, -1};
    int output[2] = {-1, -1};
    int input[2] = {-1, -1};
    *fault = (struct child_fault){.step = SPAWN_STEP_PIPE};
    const bool is_open =
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, birth) == 0 &&
        setsockopt(birth[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) == 0 &&
        workers_open_pipes(u->request.status == SPAWN_INPUT_PIPE, output, input);
    fault->error = is_open ? 0 : errno;
    if (is_open && input[0] < 0) {
        input[0] = fcntl(spawner->null_fd, F_DUPFD_CLOEXEC, 0);
        fault->error = input[0] < 0 ? errno : 0;
    }
    /* The caller frees them in any case. */
    u->birth_fd = birth[0];
    u->output_fd = output[0];
    u->input_fd = input[1];
    u->given[0] = birth[1];
    u->given[1] = input[0];
    u->given[2] = output[1];
    return fault->error == 0;
}

/* NULL with `fault` set without memory or descriptors. */
static struct unborn *
make_unborn(struct spawner *spawner, const struct spawn_record *request, const char *text,
            struct child_fault *fault)
{
    struct unborn *u = malloc(sizeof *u);
    *fault = (struct child_fault){.step = SPAWN_STEP_FORK, .error = ENOMEM};
    if (!u) {
        return NULL;
    }
    *u = (struct unborn){.request = *request,
                         .text = malloc(request->text_bytes),
                         .birth_fd = -1,
                         .given = {-1, -1, -1},
                         .output_fd = -1,
                         .input_fd = -1,
                         .silent_ns = CLOCK_NEVER_NS};
    if (!u->text || !open_pipes(spawner, u, fault)) {
        free_unborn(u);
        return NULL;
    }
    memcpy(u->text, text, request->text_bytes);
    return u;
}

/* Room for the descriptors, aligned as the kernel wants it. */
union rights {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(REQUEST_FDS * sizeof(int))];
};

/* Returns 0, or the errno. */
static int
send_request(const struct unborn *u)
{
    struct template_request head = {.id = u->request.id,
                                    .argc = u->request.argc,
                                    .envc = u->request.envc,
                                    .step = SPAWN_STEP_TEMPLATE,
                                    .text_bytes = u->request.text_bytes};
    struct iovec parts[] = {{.iov_base = &head, .iov_len = sizeof head},
                            {.iov_base = u->text, .iov_len = u->request.text_bytes}};
    union rights rights = {.header = {0}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = rights.bytes,
                             .msg_controllen = sizeof rights.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof u->given);
    memcpy(CMSG_DATA(header), u->given, sizeof u->given);
    ssize_t sent;
    do {
        sent = sendmsg(u->template->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

/* Returns false if `u` is no more. */
static bool
ask(struct spawner *spawner, struct unborn *u)
{
    const int error = u->given[0] >= 0 ? send_request(u) : 0;
    if (error == EAGAIN) {
        return true;
    }
    if (error == EPIPE || error == ECONNRESET) {
        /* It has closed its end: it is dead or of no use, and its end says why. */
        end(spawner, u->template);
    } else if (error != 0) {
        fail(spawner, u, &(const struct failure){.fault = {SPAWN_STEP_TEMPLATE, error}, .why = ""});
        return false;
    }
    for (int i = 0; i < REQUEST_FDS; i++) {
        close_fd(&u->given[i]);
    }
    return true;
}

void
templates_start(struct spawner *spawner, const struct spawn_record *request, char *text)
{
    struct child_fault fault = {.step = SPAWN_STEP_FORK, .error = EAGAIN};
    struct start_parts parts = {0};
    struct unborn *u = NULL;
    struct templates *all = &spawner->templates;
    /* One place for the template, too. */
    if (spawner->family.worker_count + all->unborn_count + 1 < SPAWN_CHILDREN_MAX) {
        u = make_unborn(spawner, request, text, &fault);
    }
    if (u) {
        fault = (struct child_fault){.step = SPAWN_STEP_FORK, .error = ENOMEM};
        u->template = workers_split(request, text, &parts)
                          ? get_template(spawner, request, &parts, &fault)
                          : NULL;
    }
    free(parts.argv);
    if (!u || !u->template) {
        if (u) {
            free_unborn(u);
        }
        workers_tell_failed(spawner, request, &fault);
        return;
    }
    u->next = all->unborn;
    all->unborn = u;
    all->unborn_count++;
    consider(spawner, u->template);
    ask(spawner, u);
}

static struct unborn *
find_unborn(const struct spawner *spawner, uint64_t id)
{
    struct unborn *u = spawner->templates.unborn;
    while (u && u->request.id != id) {
        u = u->next;
    }
    return u;
}

bool
templates_has_unborn(const struct spawner *spawner, uint64_t id)
{
    return find_unborn(spawner, id) != NULL;
}

bool
templates_cancel(struct spawner *spawner, uint64_t id)
{
    struct unborn *u = find_unborn(spawner, id);
    if (!u) {
        return false;
    }
    struct template *t = u->template;
    const struct failure how =
        failed(ECANCELED, t->is_heard ? "it was told to end before it was forked"
                                      : "it had not finished its imports");
    fail(spawner, u, &how);
    if (!t->is_heard && !is_waited_for(spawner, t)) {
        end(spawner, t);
    }
    return true;
}

/* ---- births -----------------------------------------------------------------------------------
 */

/* What comes through the pair of a birth. */
struct report {
    struct child_fault fault;
    char why[SPAWN_WHY_BYTES];
};

enum report_result { REPORT_CAME, REPORT_LATER, REPORT_END };

static pid_t
take_pid(struct msghdr *message)
{
    struct ucred sender = {0};
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
        if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_CREDENTIALS &&
            at->cmsg_len >= CMSG_LEN(sizeof sender)) {
            memcpy(&sender, CMSG_DATA(at), sizeof sender);
        }
    }
    return sender.pid;
}

/* The text is shown to people and goes over the wire, whatever was sent. */
static void
make_printable(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~') {
            *text = '?';
        }
    }
}

static enum report_result
receive_report(int fd, struct report *report, pid_t *pid)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    *report = (struct report){.fault = {0}};
    struct iovec part = {.iov_base = report, .iov_len = sizeof *report - 1}; /* a NUL stays */
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t got;
    do {
        got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < (ssize_t)sizeof report->fault) {
        const bool is_later = got < 0 && (errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS);
        return is_later ? REPORT_LATER : REPORT_END;
    }
    make_printable(report->why);
    *pid = take_pid(&message);
    return REPORT_CAME;
}

/* A child of ours that was not reaped, so that its number stays its own, and nobody that is known.
 */
static bool
is_new_child(const struct spawner *spawner, pid_t pid, uint64_t template_id)
{
    siginfo_t info = {0};
    const struct adopted *adopted = family_find_adopted(&spawner->family, pid);
    return pid > 0 && pid != spawner->broker.pid && !family_find_pid(&spawner->family, pid) &&
           (!adopted || adopted->owner == template_id) &&
           waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* What a process that is exec'ed gets between fork and exec, and cannot be inherited from the
 * template: a cgroup of its own, and the CPUs where they differ from replica to replica. */
static bool
confine(struct spawner *spawner, const struct unborn *u, pid_t pid, bool *has_cgroup,
        struct child_fault *fault)
{
    struct start_parts parts = {0};
    int procs_fd = -1;
    const struct worker *template = family_find_id(&spawner->family, u->template->id);
    *fault = (struct child_fault){.step = SPAWN_STEP_FORK, .error = ENOMEM};
    if (!workers_split(&u->request, u->text, &parts)) {
        return false;
    }
    free(parts.argv);
    const struct limits *limits = u->request.limitc > 0 ? &parts.limits : NULL;
    if (!workers_enter_cgroup(spawner, &u->request, limits, &procs_fd, fault)) {
        close_fd(&procs_fd);
        return false;
    }
    *has_cgroup = procs_fd >= 0;
    *fault = (struct child_fault){.step = SPAWN_STEP_NONE};
    if (procs_fd >= 0) {
        char text[16];
        const int bytes = snprintf(text, sizeof text, "%d", (int)pid);
        const ssize_t written = write(procs_fd, text, (size_t)bytes);
        if (written != bytes) { /* half of a pid is another one */
            *fault =
                (struct child_fault){.step = SPAWN_STEP_CGROUP, .error = written < 0 ? errno : EIO};
        }
        close(procs_fd);
    } else if (template && template->has_cgroup) {
        /* It would stay in that of the template, and die with it. */
        *fault = (struct child_fault){.step = SPAWN_STEP_CGROUP, .error = EAGAIN};
    }
    if (fault->step == SPAWN_STEP_NONE && limits_has(limits, LIMIT_CPU_AFFINITY) &&
        sched_setaffinity(pid, sizeof limits->cpus, &limits->cpus) != 0) {
        *fault = (struct child_fault){.step = SPAWN_STEP_CPU_AFFINITY, .error = errno};
    }
    return fault->step == SPAWN_STEP_NONE;
}

/* Tell the member that it is taken. */
static bool
let_go(const struct unborn *u, struct child_fault *fault)
{
    ssize_t sent;
    do {
        sent = send(u->birth_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    *fault = (struct child_fault){.step = SPAWN_STEP_TEMPLATE, .error = errno};
    return sent == 1;
}

/* Give the member that is there, as this pid, its place. False with `how` filled if that cannot be;
 * then it sees that nobody wants it, and ends. */
static bool
take_in(struct spawner *spawner, struct unborn *u, pid_t pid, struct failure *how)
{
    struct worker worker = {.id = u->request.id,
                            .pid = pid,
                            .output_fd = u->output_fd,
                            .input_fd = u->input_fd,
                            .fault_fd = u->birth_fd,
                            .time_ns = clock_now_ns(),
                            .template_id = u->template->id};
    memcpy(worker.name, u->request.name, sizeof worker.name);
    *how = failed(0, "what was forked is not a child of the hub");
    if (!is_new_child(spawner, pid, u->template->id)) {
        return false;
    }
    how->why = "";
    if (confine(spawner, u, pid, &worker.has_cgroup, &how->fault) && let_go(u, &how->fault)) {
        if (family_add(&spawner->family, &worker)) {
            family_remove_adopted(&spawner->family, pid);
            u->birth_fd = u->output_fd = u->input_fd = -1; /* moved */
            u->template->members++;
            u->template->why[0] = '\0'; /* it forks again */
            return true;
        }
        kill(pid, SIGKILL); /* no memory: nobody would ever know of it */
        how->fault = (struct child_fault){.step = SPAWN_STEP_FORK, .error = ENOMEM};
    }
    if (worker.has_cgroup) {
        cgroup_kill(&spawner->cgroups, u->request.id);
        cgroup_remove(&spawner->cgroups, u->request.id);
    }
    return false;
}

/* Read what comes of `u`, which may be no more then. */
static void
hear(struct spawner *spawner, struct unborn *u)
{
    struct report report;
    pid_t pid = 0;
    if (u->birth_fd < 0) {
        return;
    }
    switch (receive_report(u->birth_fd, &report, &pid)) {
    case REPORT_LATER:
        return;
    case REPORT_END:
        close_fd(&u->birth_fd);
        u->silent_ns = clock_now_ns() + (int64_t)SILENCE_MS * NS_PER_MS;
        return;
    case REPORT_CAME:
        break;
    }
    u->template->is_heard = true;
    struct failure how = failed(report.fault.error, report.why);
    if (report.fault.step == SPAWN_STEP_NONE) {
        if (take_in(spawner, u, pid, &how)) {
            remove_unborn(spawner, u);
            return;
        }
    } else {
        memcpy(u->template->why, report.why, sizeof report.why);
    }
    fail(spawner, u, &how);
}

/* ---- what the spawner's loop calls ------------------------------------------------------------
 */

nfds_t
templates_poll(const struct spawner *spawner, struct pollfd *polls)
{
    nfds_t used = 0;
    for (const struct unborn *u = spawner->templates.unborn; u; u = u->next) {
        if (u->birth_fd >= 0) {
            polls[used++] = (struct pollfd){.fd = u->birth_fd, .events = POLLIN};
        }
        if (u->given[0] >= 0) {
            polls[used++] = (struct pollfd){.fd = u->template->fd, .events = POLLOUT};
        }
    }
    return used;
}

void
templates_turn(struct spawner *spawner)
{
    struct unborn *next;
    for (struct unborn *u = spawner->templates.unborn; u; u = next) {
        next = u->next; /* what is done with one takes away that one alone */
        if (ask(spawner, u)) {
            hear(spawner, u);
        }
    }
}

int64_t
templates_deadline_ns(const struct spawner *spawner)
{
    int64_t first_ns = CLOCK_NEVER_NS;
    for (const struct template *t = spawner->templates.list; t; t = t->next) {
        first_ns = t->idle_ns < first_ns ? t->idle_ns : first_ns;
    }
    for (const struct unborn *u = spawner->templates.unborn; u; u = u->next) {
        first_ns = u->silent_ns < first_ns ? u->silent_ns : first_ns;
    }
    return first_ns;
}

void
templates_check(struct spawner *spawner, int64_t now_ns)
{
    struct unborn *next;
    for (struct unborn *u = spawner->templates.unborn; u; u = next) {
        next = u->next;
        if (now_ns >= u->silent_ns) {
            const struct failure how = failed(0, "what was forked ended at once");
            fail(spawner, u, &how);
        }
    }
    for (struct template *t = spawner->templates.list; t; t = t->next) {
        if (now_ns >= t->idle_ns) {
            end(spawner, t);
        }
    }
}

/* Forget a template, with `how` for those who wait for it. */
static void
forget(struct spawner *spawner, struct template *t, const struct failure *how)
{
    struct template **at = &spawner->templates.list;
    struct unborn *next;
    for (struct unborn *u = spawner->templates.unborn; u; u = next) {
        next = u->next;
        if (u->template == t) {
            fail(spawner, u, how);
        }
    }
    while (*at != t) {
        at = &(*at)->next;
    }
    *at = t->next;
    close(t->fd);
    free(t);
}

void
templates_note_end(struct spawner *spawner, uint64_t id, int wait_status)
{
    char why[SPAWN_WHY_BYTES];
    struct unborn *next;
    struct template *t = find(spawner, id);
    if (!t) {
        return;
    }
    t->is_retired = true; /* nothing new comes to it meanwhile */
    for (struct unborn *u = spawner->templates.unborn; u; u = next) {
        next = u->next;
        if (u->template == t) {
            hear(spawner, u); /* its last words */
        }
    }
    if (t->why[0] != '\0') {
        memcpy(why, t->why, sizeof why);
    } else if (WIFSIGNALED(wait_status)) {
        snprintf(why, sizeof why, "killed by signal %d", WTERMSIG(wait_status));
    } else {
        snprintf(why, sizeof why, "exited with %d before it was asked to fork",
                 WEXITSTATUS(wait_status));
    }
    struct failure how = failed(0, why);
    how.status = wait_status;
    forget(spawner, t, &how);
}

void
templates_note_fault(struct spawner *spawner, uint64_t id, const struct child_fault *fault)
{
    struct template *t = find(spawner, id);
    if (t) {
        forget(spawner, t, &(const struct failure){.fault = *fault, .why = ""});
    }
}

void
templates_note_member_end(struct spawner *spawner, uint64_t template_id)
{
    struct template *t = template_id != 0 ? find(spawner, template_id) : NULL;
    if (t) {
        t->members--;
        consider(spawner, t);
    }
}

void
templates_drop_unborn(struct spawner *spawner)
{
    while (spawner->templates.unborn) {
        remove_unborn(spawner, spawner->templates.unborn);
    }
}

void
templates_deinit(struct spawner *spawner)
{
    struct templates *all = &spawner->templates;
    while (all->unborn) {
        struct unborn *u = all->unborn;
        all->unborn = u->next;
        free_unborn(u);
    }
    while (all->list) {
        struct template *t = all->list;
        all->list = t->next;
        close(t->fd);
        free(t);
    }
    *all = (struct templates){0};
}
