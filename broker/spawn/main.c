/* prongd: reads the arguments, takes the runtime directory, then becomes the keeper. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "broker/spawn/keeper.h"
#include "broker/spawn/log.h"
#include "broker/spawn/notify.h"
#include "broker/spawn/options.h"
#include "broker/spawn/parent.h"
#include "broker/spawn/rundir.h"

#define BROKER_PROGRAM "prong-broker"

extern char **environ;

/* Descriptors 0 to 2 must exist, or a pipe would get such a number and be taken for stderr. What
 * else was inherited is nobody's business here, and an open pipe would keep its other end waiting.
 */
static bool
tidy_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
            return false;
        }
    }
    return close_range(STDERR_FILENO + 1, ~0U, 0) == 0;
}

/* Each worker costs the spawner a descriptor. `before` is the limit as it was, which children get
 * back: programs that use select() rely on a low one. False if it cannot be known. */
static bool
raise_file_limit(struct rlimit *before)
{
    if (getrlimit(RLIMIT_NOFILE, before) != 0) {
        return false;
    }
    const struct rlimit raised = {.rlim_cur = before->rlim_max, .rlim_max = before->rlim_max};
    setrlimit(RLIMIT_NOFILE, &raised); /* if it fails fewer workers fit, and that is told then */
    return true;
}

/* The broker beside our own program, else where it is installed; false if it is in neither place.
 */
static bool
find_broker(char path[PATH_MAX])
{
    const ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length > 0) {
        path[length] = '\0';
        char *name = strrchr(path, '/');
        if (name && (size_t)(name - path) + sizeof "/" BROKER_PROGRAM <= PATH_MAX) {
            memcpy(name, "/" BROKER_PROGRAM, sizeof "/" BROKER_PROGRAM);
            if (access(path, X_OK) == 0) {
                return true;
            }
        }
    }
    snprintf(path, PATH_MAX, "%s/" BROKER_PROGRAM, PRONG_LIBEXECDIR);
    return access(path, X_OK) == 0;
}

/* What belongs to the service manager's main process, and would confuse those below it. */
static void
clean_environment(void)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unsetenv(names[i]); /* cannot fail with such names */
    }
}

/* Choose the runtime directory and win its lock. 0, or the exit code of prongd, which was told. */
static int
take_rundir(const struct options *options, const struct logger *logger, struct rundir *rundir)
{
    const struct rundir_sources sources = {
        .option = options->runtime_dir,
        .name = options->name,
        .runtime_directory = getenv("RUNTIME_DIRECTORY"),
        .xdg_runtime_dir = getenv("XDG_RUNTIME_DIR"),
        .run_user = "/run/user",
        .run = "/run",
        .uid = geteuid(),
    };
    struct rundir_fault fault;
    if (!rundir_open(&sources, rundir, &fault)) {
        logger_write(logger, LOGGER_ERROR, "%s", fault.text);
        return fault.exit_code;
    }
    return 0;
}

/* Watch the process of --with-parent, if it was given; else -1 in `fd`. 0, or the exit code, as
 * above. */
static int
watch_parent(const struct options *options, const struct logger *logger, int *fd)
{
    *fd = options->parent_pid > 0 ? parent_open(options->parent_pid) : -1;
    if (options->parent_pid == 0 || *fd >= 0) {
        return 0;
    }
    if (errno == ESRCH) {
        logger_write(logger, LOGGER_ERROR,
                     "--with-parent %d: that process did not start prongd, or has ended",
                     options->parent_pid);
        return EX_USAGE;
    }
    logger_write(logger, LOGGER_ERROR, "cannot watch process %d: %s", options->parent_pid,
                 strerror(errno));
    return EX_OSERR;
}

static int
run(const struct options *options, const struct logger *logger, sigset_t signals)
{
    struct rlimit files;
    if (!raise_file_limit(&files)) {
        logger_write(logger, LOGGER_ERROR, "cannot start: limit of open files: %s",
                     strerror(errno));
        return EX_OSERR;
    }
    char broker_found[PATH_MAX];
    const char *broker = options->broker;
    if (!broker) {
        if (!find_broker(broker_found)) {
            logger_write(logger, LOGGER_ERROR,
                         "cannot find " BROKER_PROGRAM
                         " beside prongd or in %s: name it with --broker PATH",
                         PRONG_LIBEXECDIR);
            return EX_OSERR;
        }
        broker = broker_found;
    }
    struct rundir rundir;
    int parent_fd, fault = watch_parent(options, logger, &parent_fd);
    fault = fault == 0 ? take_rundir(options, logger, &rundir) : fault;
    if (fault != 0) {
        return fault;
    }
    /* exec wants pointers to char that it does not write to. */
    union {
        const char *given[7];
        char *list[7];
    } argv = {{broker, "--runtime-dir", rundir.path}};
    if (options->config) {
        argv.given[3] = "--config";
        argv.given[4] = options->config;
    } else if (options->no_config) {
        argv.given[3] = "--no-config";
    }
    if (options->quiet) {
        argv.given[options->config ? 5 : options->no_config ? 4 : 3] = "--quiet";
    }
    char *notify = getenv("NOTIFY_SOCKET");
    char *notify_address = notify && notify[0] != '\0' ? strdup(notify) : NULL;
    if (notify && notify[0] != '\0' && !notify_address) {
        /* A service manager that hears nothing would take the hub for one that hangs. */
        logger_write(logger, LOGGER_ERROR, "cannot start: no memory");
        rundir_close(&rundir);
        return EX_OSERR;
    }
    const int64_t watchdog_us =
        notify_watchdog_us(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), (long)getpid());
    clean_environment();
    const struct keeper_setup setup = {
        .logger = logger,
        .rundir = &rundir,
        .broker_argv = argv.list,
        .environment = environ,
        .notify_address = notify_address,
        .watchdog_us = watchdog_us,
        .files = files,
        .parent_fd = parent_fd,
        .signals = signals,
    };
    const int exit_code = keeper_run(&setup);
    free(notify_address);
    rundir_close(&rundir);
    return exit_code;
}

int
main(int argc, char *argv[])
{
    sigset_t signals;
    const bool is_blocked = keeper_block_signals(&signals);
    const int error = errno;
    if (!tidy_descriptors()) {
        /* Mostly there is not even a stderr to say it on. */
        fprintf(stderr, "prongd: cannot open /dev/null for descriptors 0 to 2, or close others\n");
        return EX_OSERR;
    }
    if (!is_blocked) {
        fprintf(stderr, "prongd: cannot block signals: %s\n", strerror(error));
        return EX_OSERR;
    }
    struct options options;
    char fault[OPTIONS_FAULT_BYTES_MAX];
    if (!options_parse(argc, argv, &options, fault)) {
        fprintf(stderr, "prongd: %s\n", fault);
        return EX_USAGE;
    }
    if (options.help) {
        options_print_help(stdout);
        return 0;
    }
    if (options.man) {
        options_print_man(stdout, PRONG_VERSION);
        return 0;
    }
    if (options.version) {
        puts("prongd " PRONG_VERSION);
        return 0;
    }
    struct logger logger = logger_make(STDERR_FILENO, getenv("JOURNAL_STREAM"));
    logger.is_quiet = options.quiet;
    return run(&options, &logger, signals);
}
