/* The keeper's loop, from the fork of the spawner to the last sweep. Lock and socket are rundir's,
 * the broker and all workers the spawner's. Runs in the keeper. */
#include "broker/spawn/keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "broker/spawn/cgroup.h"
#include "broker/spawn/clock.h"
#include "broker/spawn/control.h"
#include "broker/spawn/notify.h"
#include "broker/spawn/spawner.h"
#include "broker/spawn/sweep.h"

enum {
    NOTIFY_AGAIN_MS = 100,
    TELL_AGAIN_MS = 20,     /* the system had no memory for a record to the spawner */
    WATCHDOG_US_MIN = 1000, /* between two questions, however short the watchdog's time is */
    KILL_GRACE_MS = 2000,   /* for the spawner's own sweep after the third SIGTERM */
    STOP_LEVEL_MAX = 3,
};

/* What the service manager is told, in this order, each at most once; but a reload, which is told
 * as it begins, makes NEWS_READY due again for its end. */
enum news { NEWS_READY = 1, NEWS_STOPPING = 2 };

struct keeper {
    const struct keeper_setup *setup;
    pid_t pid;
    pid_t spawner_pid; /* 0 once it was reaped */
    int spawner_fd;
    int signal_fd;
    int parent_fd;   /* -1 without, and once its end was seen */
    int stop_level;  /* how often SIGTERM or SIGINT came: at 3 all is killed */
    int64_t kill_ns; /* when the spawner itself is killed; CLOCK_NEVER_NS before the third */
    int told_level;  /* as far as the spawner knows of stop_level */
    bool is_reload_due;
    int64_t tell_ns; /* when to try again to tell the spawner; CLOCK_NEVER_NS if it knows all */
    unsigned news_due, news_told; /* bits of enum news */
    int64_t notify_ns;            /* when to try again; CLOCK_NEVER_NS if nothing is due */
    int64_t ping_ns;              /* when to ask for the next sign of life; CLOCK_NEVER_NS */
    bool is_reloading;            /* RELOADING=1 was told */
    int exit_code;
};

bool
keeper_block_signals(sigset_t *set)
{
    static const int numbers[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaddset(set, numbers[i]);
        /* A parent like nohup may have it ignored, and an ignored SIGCHLD would reap behind our
         * back, an ignored SIGTERM never be seen by the signalfd. */
        if (signal(numbers[i], SIG_DFL) == SIG_ERR) {
            return false;
        }
    }
    /* A closed stderr is no reason to end, nor one that is a file at a limit of the system. */
    return sigprocmask(SIG_BLOCK, set, NULL) == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR &&
           signal(SIGXFSZ, SIG_IGN) != SIG_ERR;
}

static void
send_news(struct keeper *keeper, enum news news, const char *text)
{
    if (!(keeper->news_due & news) || (keeper->news_told & news)) {
        return;
    }
    switch (notify_send(keeper->setup->notify_address, text)) {
    case NOTIFY_SENT:
        keeper->news_told |= news;
        return;
    case NOTIFY_LATER:
        keeper->notify_ns = clock_now_ns() + (int64_t)NOTIFY_AGAIN_MS * NS_PER_MS;
        return;
    case NOTIFY_FAILED:
        keeper->news_told |= news;
        logger_write(keeper->setup->logger, LOGGER_WARN, "cannot tell the service manager at %s",
                     keeper->setup->notify_address);
        return;
    }
}

static void
send_all_news(struct keeper *keeper)
{
    char ready[64];
    keeper->notify_ns = CLOCK_NEVER_NS;
    if (!keeper->setup->notify_address) {
        return;
    }
    snprintf(ready, sizeof ready, "READY=1\nMAINPID=%ld", (long)keeper->pid);
    send_news(keeper, NEWS_READY, ready);
    send_news(keeper, NEWS_STOPPING, "STOPPING=1");
}

static void
announce(struct keeper *keeper, enum news news)
{
    keeper->news_due |= news;
    send_all_news(keeper);
}

/* A reload that a service manager is told of has a beginning and an end. Before the first READY=1
 * it would be taken for that, and while the hub stops it is of no interest. */
static void
tell_reloading(struct keeper *keeper)
{
    char text[64];
    if (keeper->news_told != NEWS_READY) {
        return;
    }
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_now_ns() / NS_PER_US);
    if (notify_send(keeper->setup->notify_address, text) == NOTIFY_SENT) {
        keeper->is_reloading = true;
    }
}

static void
note_reloaded(struct keeper *keeper)
{
    if (keeper->is_reloading) {
        keeper->is_reloading = false;
        keeper->news_told &= ~(unsigned)NEWS_READY;
        send_all_news(keeper);
    }
}

/* Tell the spawner what it does not know yet. It may fail for want of memory: then again a little
 * later, until it is told or gone. */
static void
tell_spawner(struct keeper *keeper)
{
    bool is_told = true;
    if (keeper->told_level < keeper->stop_level) {
        const enum control_op op =
            keeper->stop_level == STOP_LEVEL_MAX ? CONTROL_KILL : CONTROL_STOP;
        is_told = control_send(keeper->spawner_fd, op, keeper->stop_level);
        keeper->told_level = is_told ? keeper->stop_level : keeper->told_level;
    }
    if (keeper->is_reload_due) {
        keeper->is_reload_due = !control_send(keeper->spawner_fd, CONTROL_RELOAD, 0);
        is_told = is_told && !keeper->is_reload_due;
        if (!keeper->is_reload_due) {
            tell_reloading(keeper);
        }
    }
    keeper->tell_ns =
        is_told ? CLOCK_NEVER_NS : clock_now_ns() + (int64_t)TELL_AGAIN_MS * NS_PER_MS;
}

/* Half the watchdog's time, as sd_watchdog_enabled(3) proposes. */
static void
plan_ping(struct keeper *keeper)
{
    const int64_t half_us = keeper->setup->watchdog_us / 2;
    if (keeper->setup->watchdog_us > 0 && keeper->setup->notify_address) {
        keeper->ping_ns =
            clock_now_ns() + (half_us > WATCHDOG_US_MIN ? half_us : WATCHDOG_US_MIN) * NS_PER_US;
    }
}

/* The watchdog is fed for an answer of the broker's loop and for nothing else: keeper and spawner
 * turning says nothing of the hub. One that cannot be sent is made good by the next. */
static void
feed_watchdog(const struct keeper *keeper)
{
    if (keeper->setup->notify_address) {
        notify_send(keeper->setup->notify_address, "WATCHDOG=1");
    }
}

static void
stop(struct keeper *keeper, const char *why)
{
    static const char *const texts[STOP_LEVEL_MAX + 1] = {
        [1] = "stopping in order",
        [2] = "asked again: stopping in a hurry",
        [3] = "asked a third time: killing everything",
    };
    if (keeper->stop_level == STOP_LEVEL_MAX) {
        return;
    }
    const int level = ++keeper->stop_level;
    logger_write(keeper->setup->logger, LOGGER_INFO, "%s: %s", why, texts[level]);
    announce(keeper, NEWS_STOPPING);
    tell_spawner(keeper);
    if (level == STOP_LEVEL_MAX) {
        keeper->kill_ns = clock_now_ns() + (int64_t)KILL_GRACE_MS * NS_PER_MS;
    }
}

/* Reap the spawner; as PID 1 of a container also whatever else comes to us. */
static void
reap(struct keeper *keeper)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR);) {
        if (pid != keeper->spawner_pid) {
            continue;
        }
        keeper->spawner_pid = 0;
        keeper->exit_code = EX_SOFTWARE;
        if (WIFEXITED(status)) {
            keeper->exit_code = WEXITSTATUS(status);
            return; /* what else is there is for the sweep */
        }
        const bool is_ours = keeper->stop_level == STOP_LEVEL_MAX;
        logger_write(keeper->setup->logger, is_ours ? LOGGER_WARN : LOGGER_ERROR,
                     "the spawner died: signal %d (%s): ending everything", WTERMSIG(status),
                     strsignal(WTERMSIG(status)));
        return;
    }
}

static void
handle_signal(struct keeper *keeper, int number)
{
    switch (number) {
    case SIGCHLD:
        reap(keeper);
        break;
    case SIGTERM:
    case SIGINT:
        stop(keeper, strsignal(number));
        break;
    case SIGHUP:
        keeper->is_reload_due = true;
        tell_spawner(keeper);
        break;
    case SIGUSR1:
        control_send(keeper->spawner_fd, CONTROL_REOPEN, 0);
        break;
    default:
        logger_write(keeper->setup->logger, LOGGER_INFO, "%s ignored", strsignal(number));
        break;
    }
}

static void
read_signals(struct keeper *keeper)
{
    struct signalfd_siginfo info;
    while (read(keeper->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        handle_signal(keeper, (int)info.ssi_signo);
    }
}

static void
read_spawner(struct keeper *keeper)
{
    struct control_record record;
    enum control_result result;
    while ((result = control_receive(keeper->spawner_fd, &record)) == CONTROL_GOT) {
        if (record.op == CONTROL_READY) {
            logger_write(keeper->setup->logger, LOGGER_INFO, "ready");
            announce(keeper, NEWS_READY);
        } else if (record.op == CONTROL_STOPPING) {
            announce(keeper, NEWS_STOPPING);
        } else if (record.op == CONTROL_PONG) {
            feed_watchdog(keeper);
        } else if (record.op == CONTROL_RELOADED) {
            note_reloaded(keeper);
        }
    }
    if (result == CONTROL_CLOSED) {
        close(keeper->spawner_fd); /* its exit status comes with SIGCHLD */
        keeper->spawner_fd = -1;
    }
}

/* Whoever started us has ended. When the hub stops already it is as fast as it was asked to be. */
static void
end_with_parent(struct keeper *keeper)
{
    close(keeper->parent_fd);
    keeper->parent_fd = -1;
    if (keeper->stop_level == 0) {
        stop(keeper, "the process that started prongd has ended");
    }
}

static void
check_deadlines(struct keeper *keeper)
{
    const int64_t now_ns = clock_now_ns();
    if (now_ns >= keeper->notify_ns) {
        send_all_news(keeper);
    }
    if (now_ns >= keeper->tell_ns) {
        tell_spawner(keeper);
    }
    if (now_ns >= keeper->ping_ns) {
        control_send(keeper->spawner_fd, CONTROL_PING, 0); /* or it is gone, or does not read */
        plan_ping(keeper);
    }
    if (now_ns >= keeper->kill_ns && keeper->spawner_pid > 0) {
        keeper->kill_ns = CLOCK_NEVER_NS;
        kill(keeper->spawner_pid, SIGKILL); /* not reaped, so it is still that process */
    }
}

static int64_t
next_deadline_ns(const struct keeper *keeper)
{
    const int64_t deadlines[] = {keeper->kill_ns, keeper->notify_ns, keeper->tell_ns,
                                 keeper->ping_ns};
    int64_t first_ns = deadlines[0];
    for (size_t i = 1; i < sizeof deadlines / sizeof deadlines[0]; i++) {
        first_ns = deadlines[i] < first_ns ? deadlines[i] : first_ns;
    }
    return first_ns;
}

static void
loop(struct keeper *keeper)
{
    while (keeper->spawner_pid > 0) {
        struct pollfd polls[] = {{.fd = keeper->signal_fd, .events = POLLIN},
                                 {.fd = keeper->spawner_fd, .events = POLLIN},
                                 {.fd = keeper->parent_fd, .events = POLLIN}};
        /* Whatever poll says, the first two are asked, and neither blocks. */
        poll(polls, 3, clock_poll_timeout_ms(next_deadline_ns(keeper)));
        if (keeper->spawner_fd >= 0) {
            read_spawner(keeper);
        }
        read_signals(keeper);
        if (polls[2].revents != 0) {
            end_with_parent(keeper);
        }
        check_deadlines(keeper);
    }
}

static int
run_spawner(const struct keeper_setup *setup, pid_t keeper_pid, int keeper_fd)
{
    const struct spawner_setup ours = {
        .logger = setup->logger,
        .rundir = setup->rundir,
        .broker_argv = setup->broker_argv,
        .environment = setup->environment,
        .files = setup->files,
        .signals = &setup->signals,
        .keeper_pid = keeper_pid,
        .keeper_fd = keeper_fd,
    };
    const int exit_code = spawner_run(&ours);
    close(keeper_fd);
    return exit_code;
}

/* Everything has ended that can be asked to: kill the rest and leave no socket. */
static void
clean_up(const struct keeper *keeper)
{
    const struct sweep_result swept =
        sweep_children(clock_now_ns() + (int64_t)SWEEP_DEADLINE_MS * NS_PER_MS);
    if (swept.reaped + swept.survivors > 0) {
        logger_write(keeper->setup->logger, LOGGER_WARN,
                     "the spawner left processes: %d killed, %d survived", swept.reaped,
                     swept.survivors);
    }
    cgroups_clean(keeper->pid);
    rundir_unlink_socket(keeper->setup->rundir); /* one that cannot be removed harms nobody */
    if (keeper->spawner_fd >= 0) {
        close(keeper->spawner_fd);
    }
    if (keeper->parent_fd >= 0) {
        close(keeper->parent_fd);
    }
    close(keeper->signal_fd);
}

int
keeper_run(const struct keeper_setup *setup)
{
    struct keeper keeper = {
        .setup = setup,
        .pid = getpid(),
        .parent_fd = setup->parent_fd,
        .kill_ns = CLOCK_NEVER_NS,
        .notify_ns = CLOCK_NEVER_NS,
        .tell_ns = CLOCK_NEVER_NS,
        .ping_ns = CLOCK_NEVER_NS,
        .exit_code = EX_OSERR,
    };
    int pair[2];
    keeper.signal_fd = signalfd(-1, &setup->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (keeper.signal_fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        logger_write(setup->logger, LOGGER_ERROR, "cannot start: %s", strerror(errno));
        if (keeper.signal_fd >= 0) {
            close(keeper.signal_fd);
        }
        return keeper.exit_code;
    }
    keeper.spawner_pid = fork();
    if (keeper.spawner_pid == 0) {
        close(keeper.signal_fd); /* the spawner makes its own */
        close(pair[0]);
        if (keeper.parent_fd >= 0) {
            close(keeper.parent_fd);
        }
        return run_spawner(setup, keeper.pid, pair[1]);
    }
    close(pair[1]);
    keeper.spawner_fd = pair[0];
    if (keeper.spawner_pid < 0) {
        logger_write(setup->logger, LOGGER_ERROR, "cannot fork: %s", strerror(errno));
        keeper.spawner_pid = 0;
    }
    plan_ping(&keeper);
    loop(&keeper);
    clean_up(&keeper);
    return keeper.exit_code;
}
