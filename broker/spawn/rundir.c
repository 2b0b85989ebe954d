/* Owns the descriptors of the runtime directory and of its lock; makes no socket, but removes a
 * dead hub's. Runs in prongd before it forks; keeper and spawner remove the socket at the end. */
#include "broker/spawn/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "broker/spawn/records.h"

/* The broker binds a temporary name and renames it, so the longer one has to fit sun_path. */
#define LONGEST_SOCKET "/" RUNDIR_SOCKET ".XXXXXXXX"

enum {
    PATH_LENGTH_MAX = (int)(sizeof(((struct sockaddr_un *)NULL)->sun_path) -
                            sizeof LONGEST_SOCKET), /* sizeof counts the NUL of sun_path */
};

__attribute__((format(printf, 3, 4))) static bool
fail(struct rundir_fault *fault, int exit_code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault->text, sizeof fault->text, format, arguments);
    va_end(arguments);
    fault->exit_code = exit_code;
    return false;
}

static bool
is_absolute(const char *path)
{
    return path && path[0] == '/';
}

/* printf into a path; false if it does not fit. */
__attribute__((format(printf, 2, 3))) static bool
put(char path[PATH_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int wanted = vsnprintf(path, PATH_MAX, format, arguments);
    va_end(arguments);
    return wanted >= 0 && wanted < PATH_MAX;
}

static bool
is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* A relative --runtime-dir is fixed to the folder of now: the broker and workers get it as it is.
 */
static bool
put_option(const char *option, char path[PATH_MAX])
{
    char here[PATH_MAX];
    if (is_absolute(option)) {
        return put(path, "%s", option);
    }
    return getcwd(here, sizeof here) && put(path, "%s/%s", here, option);
}

/* The first source that says something; false if none does, `*fits` false if its path is too long.
 */
static bool
put_base(const struct rundir_sources *s, char path[PATH_MAX], bool *fits)
{
    char user[PATH_MAX];
    if (s->option) {
        *fits = put_option(s->option, path);
        return true;
    }
    if (is_absolute(s->runtime_directory)) {
        *fits = put(path, "%.*s", (int)strcspn(s->runtime_directory, ":"), s->runtime_directory);
        return true;
    }
    if (is_absolute(s->xdg_runtime_dir)) {
        *fits = put(path, "%s/prong", s->xdg_runtime_dir);
        return true;
    }
    if (put(user, "%s/%lu", s->run_user, (unsigned long)s->uid) && is_directory(user)) {
        *fits = put(path, "%s/prong", user);
        return true;
    }
    *fits = put(path, "%s/prong", s->run);
    return s->uid == 0;
}

bool
rundir_choose(const struct rundir_sources *sources, char path[PATH_MAX], size_t *base_length,
              struct rundir_fault *fault)
{
    bool fits = true;
    if (!put_base(sources, path, &fits)) {
        return fail(fault, EX_CANTCREAT,
                    "no runtime directory: neither $RUNTIME_DIRECTORY nor $XDG_RUNTIME_DIR is set "
                    "and %s/%lu does not exist; say --runtime-dir DIR",
                    sources->run_user, (unsigned long)sources->uid);
    }
    size_t length = fits ? strlen(path) : 0;
    while (length > 1 && path[length - 1] == '/') {
        /* With a slash at its end a symbolic link would be followed in spite of O_NOFOLLOW. */
        path[--length] = '\0';
    }
    *base_length = length;
    if (fits && sources->name) {
        char base[PATH_MAX];
        memcpy(base, path, length + 1);
        fits = put(path, "%s/%s", base, sources->name);
    }
    if (!fits || strlen(path) > (size_t)PATH_LENGTH_MAX) {
        return fail(fault, EX_CANTCREAT,
                    "runtime directory %s is too long for the address of a socket (at most %d "
                    "bytes): use a shorter --runtime-dir",
                    fits ? path : "", (int)PATH_LENGTH_MAX);
    }
    return true;
}

static int
code_of(int error)
{
    return error == EACCES || error == EPERM ? EX_NOPERM : EX_CANTCREAT;
}

/* Whoever may write to the parent could put a directory of his own in our place. */
static bool
check_parent(const char *path, struct rundir_fault *fault)
{
    char parent[PATH_MAX];
    struct stat status;
    const char *slash = strrchr(path, '/');
    const int length = slash == path ? 1 : (int)(slash - path);
    if (!put(parent, "%.*s", length, path) || stat(parent, &status) != 0) {
        return fail(fault, code_of(errno), "cannot look at %s: %s", parent, strerror(errno));
    }
    if ((status.st_mode & S_IWOTH) && !(status.st_mode & S_ISVTX)) {
        return fail(fault, EX_NOPERM,
                    "everybody may rename things in %s: chmod o-w or +t it, or choose another "
                    "--runtime-dir",
                    parent);
    }
    return true;
}

/* Make one directory and open it; -1 with the fault set. */
static int
open_directory(const char *path, struct rundir_fault *fault)
{
    if (!check_parent(path, fault)) {
        return -1;
    }
    const mode_t umask_before = umask(0077); /* a umask may not take away our own access */
    const int made = mkdir(path, 0700);
    const int error = errno;
    umask(umask_before);
    if (made != 0 && error != EEXIST) {
        fail(fault, code_of(error), "cannot create the runtime directory %s: %s", path,
             strerror(error));
        return -1;
    }
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        const bool is_other = errno == ENOTDIR || errno == ELOOP;
        fail(fault, code_of(errno), "cannot use %s as the runtime directory: %s", path,
             is_other ? "it is a symbolic link or no directory; remove it or name another one with "
                        "--runtime-dir"
                      : strerror(errno));
        return -1;
    }
    struct stat status;
    const uid_t self = geteuid();
    if (fstat(fd, &status) != 0) {
        fail(fault, EX_CANTCREAT, "cannot look at %s: %s", path, strerror(errno));
    } else if (status.st_uid != self) {
        fail(fault, EX_NOPERM,
             "the runtime directory %s belongs to user %lu, not to us (%lu): chown it or name "
             "another one with --runtime-dir",
             path, (unsigned long)status.st_uid, (unsigned long)self);
    } else if (status.st_mode & (S_IWGRP | S_IWOTH)) {
        fail(fault, EX_NOPERM,
             "others may write to the runtime directory %s (mode %04o): chmod go-w it", path,
             (unsigned)(status.st_mode & 07777));
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

/* The pid in a lock that somebody else holds, 0 if it cannot be read. */
static long
read_owner(int lock_fd)
{
    char text[32] = "";
    const ssize_t got = pread(lock_fd, text, sizeof text - 1, 0);
    return got > 0 ? strtol(text, NULL, 10) : 0;
}

static bool
write_owner(int lock_fd)
{
    char text[32];
    const int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    return ftruncate(lock_fd, 0) == 0 && pwrite(lock_fd, text, (size_t)length, 0) == length;
}

/* Win the lock; -1 with the fault set. O_NONBLOCK is for a FIFO in its place. */
static int
take_lock(int dir_fd, const char *path, struct rundir_fault *fault)
{
    const int fd =
        openat(dir_fd, RUNDIR_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0) {
        fail(fault, code_of(errno), "cannot open the lock %s/" RUNDIR_LOCK ": %s", path,
             errno == ELOOP ? "it is a symbolic link; remove it" : strerror(errno));
        return -1;
    }
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        fail(fault, EX_CANTCREAT, "%s/" RUNDIR_LOCK " is no regular file: remove it", path);
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            fail(fault, EX_TEMPFAIL,
                 "another hub runs in %s (pid %ld): stop it, or give this one its own --name", path,
                 read_owner(fd));
        } else {
            fail(fault, EX_CANTCREAT, "cannot lock %s/" RUNDIR_LOCK ": %s", path, strerror(errno));
        }
    } else if (!write_owner(fd)) {
        fail(fault, EX_CANTCREAT, "cannot write %s/" RUNDIR_LOCK ": %s", path, strerror(errno));
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

static bool
unlink_socket(const struct rundir *rundir, const char *name)
{
    struct stat status;
    if (fstatat(rundir->dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT;
    }
    return S_ISSOCK(status.st_mode) && unlinkat(rundir->dir_fd, name, 0) == 0;
}

bool
rundir_unlink_socket(const struct rundir *rundir)
{
    (void)unlink_socket(rundir, RUNDIR_NOTIFY); /* the broker says what is in its way */
    (void)unlink_socket(rundir, RUNDIR_MEMORY);
    /* Of a hub that is gone; where they cannot be removed, the broker cannot write either. */
    (void)unlinkat(rundir->dir_fd, SPAWN_FILE_CONFIG, 0);
    (void)unlinkat(rundir->dir_fd, SPAWN_FILE_CONFIG_NEW, 0);
    return unlink_socket(rundir, RUNDIR_SOCKET);
}

bool
rundir_open(const struct rundir_sources *sources, struct rundir *rundir, struct rundir_fault *fault)
{
    *rundir = (struct rundir){.dir_fd = -1, .lock_fd = -1};
    size_t base_length = 0;
    if (!rundir_choose(sources, rundir->path, &base_length, fault)) {
        return false;
    }
    if (sources->name) {
        /* The folder above the name must be as safe as the one below it. */
        char base[PATH_MAX];
        memcpy(base, rundir->path, base_length);
        base[base_length] = '\0';
        const int base_fd = open_directory(base, fault);
        if (base_fd < 0) {
            return false;
        }
        close(base_fd);
    }
    rundir->dir_fd = open_directory(rundir->path, fault);
    if (rundir->dir_fd < 0) {
        return false;
    }
    rundir->lock_fd = take_lock(rundir->dir_fd, rundir->path, fault);
    bool ok = rundir->lock_fd >= 0;
    if (ok && !rundir_unlink_socket(rundir)) {
        ok = fail(fault, EX_CANTCREAT,
                  "%s/" RUNDIR_SOCKET " cannot be removed or is no socket: move it away",
                  rundir->path);
    }
    if (!ok) {
        rundir_close(rundir);
    }
    return ok;
}

void
rundir_close(struct rundir *rundir)
{
    if (rundir->lock_fd >= 0) {
        close(rundir->lock_fd);
    }
    if (rundir->dir_fd >= 0) {
        close(rundir->dir_fd);
    }
    rundir->lock_fd = -1;
    rundir->dir_fd = -1;
}
