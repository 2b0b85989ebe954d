/* The runtime directory of a hub: see hubdir.h. */
#include "client/cli/hubdir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "client/cli/output.h"
#include "client/cli/unit.h"

#define IPC "ipc://"

__attribute__((format(printf, 2, 3))) static bool
put(char out[PATH_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(out, PATH_MAX, format, arguments);
    va_end(arguments);
    return n >= 0 && n < PATH_MAX;
}

bool
hubdir_of_url(const char *url, char dir[PATH_MAX])
{
    const char *path = strncmp(url, IPC, strlen(IPC)) == 0 ? url + strlen(IPC) : "";
    const char *slash = strrchr(path, '/');
    return path[0] == '/' && slash != path && strcmp(slash + 1, HUBDIR_SOCKET) == 0 &&
           put(dir, "%.*s", (int)(slash - path), path);
}

static bool
is_name(const char *name)
{
    const size_t length = strlen(name);
    return length >= 1 && length <= PRONG_NAME_BYTES_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

static void
trim(char *dir)
{
    size_t length = strlen(dir);
    while (length > 1 && dir[length - 1] == '/') {
        dir[--length] = '\0';
    }
}

bool
hubdir_default(const struct hubdir_sources *s, char dir[PATH_MAX])
{
    const char *list = s->runtime_directory != NULL ? s->runtime_directory : "";
    const char *xdg = s->xdg_runtime_dir != NULL ? s->xdg_runtime_dir : "";
    const unsigned long uid = (unsigned long)s->uid;
    struct stat status;
    bool may_start = true, fits;
    if (list[0] == '/') {
        fits = put(dir, "%.*s", (int)strcspn(list, ":"), list);
    } else if (xdg[0] == '/') {
        fits = put(dir, "%s/prong", xdg);
    } else if (put(dir, "%s/%lu", s->run_user, uid) && stat(dir, &status) == 0 &&
               S_ISDIR(status.st_mode)) {
        fits = put(dir, "%s/%lu/prong", s->run_user, uid);
    } else {
        fits = put(dir, "%s/prong", s->run);
        may_start = s->uid == 0;
    }
    if (!fits) {
        dir[0] = '\0';
    }
    trim(dir);
    return fits && may_start;
}

static int
choose_default(const struct cli *cli, bool to_start, char dir[PATH_MAX])
{
    const struct hubdir_sources sources = {.runtime_directory = getenv("RUNTIME_DIRECTORY"),
                                           .xdg_runtime_dir = getenv("XDG_RUNTIME_DIR"),
                                           .run_user = "/run/user",
                                           .run = "/run",
                                           .uid = geteuid()};
    const bool may_start = hubdir_default(&sources, dir);
    if (dir[0] == '\0') {
        return output_usage(cli, "the path of the runtime directory is too long");
    }
    if (to_start && !may_start) { /* the words and, in our numbers, the exit code of prongd */
        output_say(cli,
                   "no runtime directory: neither $RUNTIME_DIRECTORY nor $XDG_RUNTIME_DIR is set "
                   "and /run/user/%lu does not exist; say --runtime-dir DIR",
                   (unsigned long)sources.uid);
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int
put_option(const struct cli *cli, const char *option, char dir[PATH_MAX])
{
    char here[PATH_MAX];
    if (option[0] == '/' ? !put(dir, "%s", option)
                         : !getcwd(here, sizeof here) || !put(dir, "%s/%s", here, option)) {
        return output_usage(cli, "the path of the runtime directory is too long");
    }
    trim(dir);
    return CLI_OK;
}

/* From --runtime-dir and --name. */
static int
choose_by_options(const struct cli *cli, bool to_start, char dir[PATH_MAX])
{
    const struct options *o = &cli->options;
    char base[PATH_MAX];
    if (o->endpoint != NULL) {
        return output_usage(cli, "--endpoint and --%s exclude each other",
                            o->runtime_dir != NULL ? "runtime-dir" : "name");
    }
    if (o->hub_name != NULL && !is_name(o->hub_name)) {
        return output_usage(cli, "--name '%.64s': use 1 to %d of a-z 0-9 _ -", o->hub_name,
                            (int)PRONG_NAME_BYTES_MAX);
    }
    const int code = o->runtime_dir != NULL ? put_option(cli, o->runtime_dir, base)
                                            : choose_default(cli, to_start, base);
    if (code == CLI_OK &&
        !(o->hub_name != NULL ? put(dir, "%s/%s", base, o->hub_name) : put(dir, "%s", base))) {
        return output_usage(cli, "the path of the runtime directory is too long");
    }
    return code;
}

static bool
is_chosen(const struct options *o)
{
    return o->runtime_dir != NULL || o->hub_name != NULL;
}

int
hubdir_choose(const struct cli *cli, bool to_start, char dir[PATH_MAX])
{
    const struct options *o = &cli->options;
    const char *url = o->endpoint != NULL ? o->endpoint : getenv("PRONG_URL");
    if (is_chosen(o)) {
        return choose_by_options(cli, to_start, dir);
    }
    if (url != NULL && url[0] != '\0') {
        return hubdir_of_url(url, dir)
                   ? CLI_OK
                   : output_usage(cli,
                                  "%s is '%.200s', which is no hub of this machine that could "
                                  "be started or looked at: use --runtime-dir or --name",
                                  o->endpoint != NULL ? "--endpoint" : "PRONG_URL", url);
    }
    return choose_default(cli, to_start, dir);
}

int
hubdir_url(const struct cli *cli, char url[PATH_MAX], const char **out)
{
    char dir[PATH_MAX];
    *out = cli->options.endpoint;
    if (!is_chosen(&cli->options)) {
        return CLI_OK;
    }
    const int code = choose_by_options(cli, false, dir);
    if (code != CLI_OK) {
        return code;
    }
    *out = url;
    return put(url, IPC "%s/" HUBDIR_SOCKET, dir)
               ? CLI_OK
               : output_usage(cli, "the path of the runtime directory is too long");
}

static bool
make(const char *dir)
{
    const mode_t umask_before = umask(0077); /* a umask may not take away our own access */
    const bool made = mkdir(dir, 0700) == 0 || errno == EEXIST;
    const int error = errno;
    umask(umask_before);
    errno = error;
    return made;
}

bool
hubdir_make(const struct cli *cli, const char *dir)
{
    char base[PATH_MAX];
    const char *slash = strrchr(dir, '/');
    if (cli->options.hub_name != NULL && slash != NULL && slash != dir) {
        (void)put(base, "%.*s", (int)(slash - dir), dir); /* shorter than dir */
        if (!make(base)) {
            return false;
        }
    }
    return make(dir);
}

/* ---- the lock ------------------------------------------------------------------------------- */

static int
open_lock(const char *dir)
{
    char path[PATH_MAX + 8];
    (void)snprintf(path, sizeof path, "%s/lock", dir);
    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

pid_t
hubdir_owner(const char *dir)
{
    char text[32] = "";
    const int fd = open_lock(dir);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    }
    pid_t pid = 0;
    /* Shared and for a moment: a prongd that starts just then would be told that a hub runs, and
     * one that `down` looks for is one that started long ago. */
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        const ssize_t got = pread(fd, text, sizeof text - 1, 0);
        const long number = got > 0 ? strtol(text, NULL, 10) : 0;
        pid = number > 0 ? (pid_t)number : -1;
    }
    close(fd);
    return pid;
}

static void
on_alarm(int number)
{
    (void)number; /* it is there to interrupt flock */
}

bool
hubdir_wait_free(const char *dir, int64_t deadline_ms)
{
    const struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    const int fd = open_lock(dir);
    bool is_free = fd < 0;
    if (fd < 0) {
        return true; /* the directory is gone, or was never a hub's */
    }
    (void)sigaction(SIGALRM, &action, NULL);
    while (!is_free) {
        const int32_t left_ms = unit_left_ms(deadline_ms, 3600000) + 1;
        /* It rings again, should the first time be over before flock was reached. */
        const struct itimerval timer = {{0, 50000}, {left_ms / 1000, left_ms % 1000 * 1000}};
        (void)setitimer(ITIMER_REAL, &timer, NULL);
        is_free = flock(fd, LOCK_SH) == 0;
        const int error = errno;
        (void)setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
        if (!is_free && (error != EINTR || unit_now_ms() >= deadline_ms)) {
            break;
        }
    }
    close(fd);
    return is_free;
}
