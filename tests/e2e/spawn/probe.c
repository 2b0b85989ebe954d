/* A worker for tests of prongd. `probe MODE [TAG]`: the tag only marks the command line, so that
 * its processes can be found however they hide. Every mode ends by itself after a minute. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { LIFE_S = 60 };

_Noreturn static void
wait_for_ever(void)
{
    alarm(LIFE_S);
    for (;;) {
        pause();
    }
}

static void
say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0) {
        _exit(95);
    }
}

/* Everything that a child inherits or is given. */
static int
report(void)
{
    char line[4096];
    for (char **at = environ; *at; at++) {
        printf("env %s\n", *at);
    }
    DIR *fds = opendir("/proc/self/fd");
    for (struct dirent *entry; fds && (entry = readdir(fds));) {
        const int fd = (int)strtol(entry->d_name, NULL, 10);
        snprintf(line, sizeof line, "/proc/self/fd/%s", entry->d_name);
        char link[256] = "";
        if (entry->d_name[0] != '.' && fd != dirfd(fds) &&
            readlink(line, link, sizeof link - 1) > 0) {
            printf("fd %d %s\n", fd, strncmp(link, "pipe:", 5) == 0 ? "pipe" : link);
        }
    }
    closedir(fds);
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status)) {
        if (strncmp(line, "SigBlk:", 7) == 0 || strncmp(line, "SigIgn:", 7) == 0 ||
            strncmp(line, "SigCgt:", 7) == 0) {
            fputs(line, stdout);
        }
    }
    fclose(status);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    printf("session %s\n", getsid(0) == getpid() ? "own" : "inherited");
    printf("group %s\n", getpgrp() == getpid() ? "own" : "inherited");
    printf("folder %s\n", getcwd(line, sizeof line));
    printf("files %lu\n", (unsigned long)files.rlim_cur);
    return 0;
}

static void
print_file(const char *path, const char *prefix)
{
    char line[1024];
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        printf("%s%s", prefix, line);
    }
    if (file) {
        fclose(file);
    }
}

/* Everything that bounds it, as it is in force: one "what value" a line. */
static int
report_limits(void)
{
    static const struct {
        const char *name;
        int number;
    } resources[] = {
        {"as", RLIMIT_AS},
        {"core", RLIMIT_CORE},
        {"cpu", RLIMIT_CPU},
        {"data", RLIMIT_DATA},
        {"fsize", RLIMIT_FSIZE},
        {"memlock", RLIMIT_MEMLOCK},
        {"nofile", RLIMIT_NOFILE},
        {"nproc", RLIMIT_NPROC},
        {"msgqueue", RLIMIT_MSGQUEUE},
        {"rtprio", RLIMIT_RTPRIO},
        {"rttime", RLIMIT_RTTIME},
        {"stack", RLIMIT_STACK},
        {"sigpending", RLIMIT_SIGPENDING},
    };
    for (size_t i = 0; i < sizeof resources / sizeof resources[0]; i++) {
        struct rlimit limit = {0};
        getrlimit((__rlimit_resource_t)resources[i].number, &limit);
        printf("%s %lld:%lld\n", resources[i].name, (long long)limit.rlim_cur,
               (long long)limit.rlim_max);
    }
    struct sched_param param = {0};
    cpu_set_t cpus;
    uid_t users[3] = {0};
    gid_t groups[3] = {0};
    gid_t list[64];
    int signal_of_parent = 0;
    sched_getparam(0, &param);
    sched_getaffinity(0, sizeof cpus, &cpus);
    getresuid(&users[0], &users[1], &users[2]);
    getresgid(&groups[0], &groups[1], &groups[2]);
    prctl(PR_GET_PDEATHSIG, &signal_of_parent);
    printf("nice %d\nsched %d:%d\ncpus %d first %d\n", getpriority(PRIO_PROCESS, 0),
           sched_getscheduler(0), param.sched_priority, CPU_COUNT(&cpus), CPU_ISSET(0, &cpus));
    printf("umask %03o\n", (unsigned)umask(0));
    printf("users %u %u %u\ngroup %u %u %u\ngroups", users[0], users[1], users[2], groups[0],
           groups[1], groups[2]);
    const int count = getgroups(64, list);
    for (int i = 0; i < count; i++) {
        printf(" %u", list[i]);
    }
    printf("\nparent %d\nprivileges %d\n", signal_of_parent,
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    print_file("/proc/self/oom_score_adj", "oom ");
    print_file("/proc/self/cgroup", "cgroup ");
    char folder[4096];
    printf("folder %s\n", getcwd(folder, sizeof folder) ? folder : "none");
    return 0;
}

/* Fork; the child leaves the session, and its parent dies: a daemon. Returns in the daemon only. */
static void
become_daemon(void)
{
    setsid();
    if (fork() != 0) {
        _exit(0);
    }
}

static void
say_pid(const char *what)
{
    char text[64];
    snprintf(text, sizeof text, "%s %ld\n", what, (long)getpid());
    say(text);
}

/* Start the program anew without an environment: only the command line still tells what it is. */
_Noreturn static void
start_without_environment(char *tag)
{
    char *const argv[] = {(char[]){"probe"}, (char[]){"hide"}, tag, NULL};
    char *const none[] = {NULL};
    execve("/proc/self/exe", argv, none);
    _exit(94);
}

static void
make_daemon(bool is_cleared, char *tag)
{
    if (fork() == 0) {
        become_daemon();
        if (is_cleared) {
            start_without_environment(tag);
        }
        say_pid("up");
        wait_for_ever();
    }
}

/* Five sessions of six processes each. */
static void
make_tree(void)
{
    for (int i = 0; i < 5; i++) {
        if (fork() == 0) {
            setsid();
            for (int j = 0; j < 5; j++) {
                if (fork() == 0) {
                    wait_for_ever();
                }
            }
            if (i == 4) {
                say_pid("up");
            }
            wait_for_ever();
        }
    }
}

/* A daemon that is never the same process for longer than a millisecond. */
static void
make_chain(void)
{
    if (fork() == 0) {
        become_daemon();
        say_pid("up");
        const time_t end = time(NULL) + LIFE_S;
        while (time(NULL) < end) {
            const struct timespec pace = {.tv_nsec = 1000 * 1000};
            if (fork() != 0) {
                _exit(0);
            }
            setsid();
            nanosleep(&pace, NULL); /* lint:allow: the pace of a nasty program, not of a test */
        }
        _exit(0);
    }
}

/* A process of our own group and session, whose parent is dead. */
static void
make_background(void)
{
    if (fork() == 0) {
        if (fork() != 0) {
            _exit(0);
        }
        say_pid("up");
        wait_for_ever();
    }
}

/* As much output as the pipe takes, for ever. */
_Noreturn static void
flood(void)
{
    alarm(LIFE_S);
    for (;;) {
        say("0123456789abcde\n");
    }
}

int
main(int argc, char *argv[])
{
    const char *mode = argc > 1 ? argv[1] : "";
    char *tag = argc > 2 ? argv[2] : (char[]){""};
    if (strcmp(mode, "report") == 0) {
        return report();
    } else if (strcmp(mode, "limits") == 0) {
        return report_limits();
    } else if (strcmp(mode, "exit") == 0) {
        return (int)strtol(tag, NULL, 10);
    } else if (strcmp(mode, "signal") == 0) {
        raise((int)strtol(tag, NULL, 10));
    } else if (strcmp(mode, "speak") == 0) {
        say("to stdout\n");
        return write(STDERR_FILENO, "to stderr\n", 10) == 10 ? 0 : 1;
    } else if (strcmp(mode, "flood") == 0) {
        flood();
    } else if (strcmp(mode, "hide") == 0) {
        say_pid("up");
    } else if (strcmp(mode, "daemon") == 0) {
        make_daemon(false, tag);
    } else if (strcmp(mode, "cleared") == 0) {
        make_daemon(true, tag);
    } else if (strcmp(mode, "tree") == 0) {
        make_tree();
    } else if (strcmp(mode, "chain") == 0) {
        make_chain();
    } else if (strcmp(mode, "background") == 0) {
        make_background();
    } else if (strcmp(mode, "stubborn") == 0) {
        signal(SIGTERM, SIG_IGN);
        say_pid("up");
    } else {
        say_pid("up");
    }
    wait_for_ever();
}
