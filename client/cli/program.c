/* Programs: see program.h. */
#include "client/cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/cli/cli.h"

static bool
is_program(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : EACCES;
        return false;
    }
    return access(path, X_OK) == 0;
}

static bool
join(char path[PATH_MAX], const char *dir, size_t dir_len, const char *name)
{
    char here[PATH_MAX] = "";
    const bool is_relative = dir_len == 0 || dir[0] != '/';
    if (is_relative && getcwd(here, sizeof here) == NULL) {
        return false;
    }
    const int n = snprintf(path, PATH_MAX, "%s%s%.*s%s%s", here,
                           is_relative && dir_len > 0 ? "/" : "", (int)dir_len, dir, "/", name);
    return n >= 0 && n < PATH_MAX;
}

static bool
find_in_path(const char *name, char path[PATH_MAX])
{
    const char *dirs = getenv("PATH");
    int error = ENOENT;
    for (const char *p = dirs != NULL ? dirs : "/usr/local/bin:/usr/bin:/bin";; p++) {
        const size_t n = strcspn(p, ":");
        if (join(path, p, n, name) && is_program(path)) {
            return true;
        }
        error = errno == EACCES ? EACCES : error;
        p += n;
        if (*p == '\0') {
            errno = error;
            return false;
        }
    }
}

bool
program_resolve(const char *word, char path[PATH_MAX])
{
    if (strchr(word, '/') == NULL) {
        return find_in_path(word, path);
    }
    const bool ok =
        word[0] == '/' ? snprintf(path, PATH_MAX, "%s", word) < PATH_MAX : join(path, "", 0, word);
    return ok && is_program(path);
}

bool
program_find(const char *name, char path[PATH_MAX])
{
    const ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length > 0) {
        path[length] = '\0';
        char *slash = strrchr(path, '/');
        const size_t dir_len = slash != NULL ? (size_t)(slash - path) : 0;
        char dir[PATH_MAX];
        memcpy(dir, path, dir_len);
        if (dir_len > 0 && join(path, dir, dir_len, name) && is_program(path)) {
            return true;
        }
    }
    return (join(path, PRONG_LIBEXECDIR, strlen(PRONG_LIBEXECDIR), name) && is_program(path)) ||
           find_in_path(name, path);
}

/* exec wants pointers to char that it does not write to. */
static char *const *
as_argv(const char *const argv[])
{
    union {
        const char *const *given;
        char *const *wanted;
    } list = {argv};
    return list.wanted;
}

static void
clear_signals(posix_spawnattr_t *attributes)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGPIPE, SIGALRM};
    sigset_t none, defaults;
    /* None of these can fail: the arguments are valid, and glibc and musl only copy. */
    (void)sigemptyset(&none);
    (void)sigemptyset(&defaults);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)sigaddset(&defaults, numbers[i]);
    }
    (void)posix_spawnattr_setsigmask(attributes, &none);
    (void)posix_spawnattr_setsigdefault(attributes, &defaults);
}

int
program_start(const char *path, const char *const argv[], int out_fd, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) {
        return error;
    }
    error = posix_spawnattr_init(&attributes);
    if (error != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    clear_signals(&attributes);
    if (out_fd >= 0) {
        flags |= POSIX_SPAWN_SETSID;
        error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        error =
            error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
        error =
            error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, out_fd, STDERR_FILENO);
    }
    error = error != 0 ? error : posix_spawnattr_setflags(&attributes, flags);
    error =
        error != 0 ? error : posix_spawn(pid, path, &actions, &attributes, as_argv(argv), environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

int
program_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void
program_become(const char *path, const char *const argv[])
{
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execv(path, as_argv(argv));
}

int
program_exit_code(int sysexit)
{
    static const struct {
        int theirs, ours;
    } codes[] = {{EX_OK, CLI_OK},         {EX_USAGE, CLI_USAGE},   {EX_TEMPFAIL, CLI_NO_HUB},
                 {EX_NOPERM, CLI_DENIED}, {EX_CONFIG, CLI_CONFIG}, {EX_NOUSER, CLI_NO_SUCH},
                 {130, CLI_INTERRUPTED}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].theirs == sysexit) {
            return codes[i].ours;
        }
    }
    return CLI_FAILED;
}
