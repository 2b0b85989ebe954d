/* Preloaded into prongd (LD_PRELOAD): makes one chosen call of one chosen process fail.
 *
 * Every function of libc that prongd uses and that makes a system call, or takes memory, stands
 * here as a function of the same name, which counts and mostly hands on to the real one. What is to
 * fail is read from a file that the test maps, too ($PRONG_FAULTS), and there the counts are found
 * afterwards. The file is shared by keeper, spawner and the children before their exec, each of
 * which is a role of its own: the n-th call is the n-th of that role. The broker and workers never
 * see this library: it takes itself out of the environment before main. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* All functions, in the order of their counts. */
/* clang-format off */
#define FUNCTIONS(X) \
    X(access) X(calloc) X(chdir) X(close) X(close_range) X(closedir) X(dup2) X(dup3) X(execve) \
    X(faccessat) X(fcntl) X(flock) X(fork) X(fstat) X(fstatat) X(ftruncate) X(getcwd) X(getrlimit) \
    X(getsid) X(kill) X(malloc) X(mkdir) X(mkdirat) X(open) X(openat) X(opendir) X(pipe2) X(poll) \
    X(prctl) X(pread) X(pwrite) X(read) X(readdir) X(readlink) X(recv) X(recvmsg) X(rmdir) \
    X(sched_setaffinity) X(sched_setscheduler) X(send) X(sendmsg) X(sendto) X(setpriority) \
    X(setrlimit) X(setsid) X(setsockopt) X(sigaction) X(signal) X(signalfd) X(sigprocmask) \
    X(sigtimedwait) X(socket) X(socketpair) X(stat) X(syscall) X(unlinkat) X(waitid) X(waitpid) \
    X(write)
/* clang-format on */

#define NUMBER(name) F_##name,
enum function { FUNCTIONS(NUMBER) FUNCTION_COUNT };

enum role { ROLE_KEEPER, ROLE_SPAWNER, ROLE_CHILD, ROLE_COUNT };
enum mode { MODE_ERROR, MODE_SHORT, MODE_EMPTY }; /* short: half of the bytes; empty: 0 at once */
enum { FUNCTIONS_MAX = 64, NAME_BYTES_MAX = 24 };

_Static_assert((int)FUNCTION_COUNT <= (int)FUNCTIONS_MAX, "the counts have no room for them");

/* The file, in host order; tests/e2e/spawn/fault_case.py knows it as well. */
struct page {
    uint32_t phase;       /* of the scenario, as the test says it */
    uint32_t is_counting; /* calls before that count for nothing */
    uint32_t role, function, first, times, mode,
        error; /* fail calls first, first + 1, ... of times */
    _Atomic uint32_t hits;
    uint32_t hit_phase; /* of the first */
    _Atomic uint32_t counts[ROLE_COUNT][FUNCTIONS_MAX];
    char names[FUNCTIONS_MAX][NAME_BYTES_MAX];
};

static struct page *page;
static enum role role;

#define NAME(name) #name,
static const char *const names[] = {FUNCTIONS(NAME)};

__attribute__((constructor)) static void
open_page(void)
{
    const char *path = getenv("PRONG_FAULTS");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    struct page *mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    unsetenv("LD_PRELOAD");
    unsetenv("PRONG_FAULTS");
    if (mapped == MAP_FAILED) {
        return;
    }
    for (int i = 0; i < FUNCTION_COUNT; i++) {
        strncpy(mapped->names[i], names[i], NAME_BYTES_MAX - 1);
    }
    page = mapped;
}

/* Count a call; true if it is to fail. `mode` tells how, errno is set for MODE_ERROR. */
static bool
fails(enum function function, enum mode *mode)
{
    if (!page || !page->is_counting) {
        return false;
    }
    const uint32_t n = atomic_fetch_add(&page->counts[role][function], 1) + 1;
    if (page->times == 0 || page->function != function || page->role != role || n < page->first ||
        n - page->first >= page->times) {
        return false;
    }
    if (atomic_fetch_add(&page->hits, 1) == 0) {
        page->hit_phase = page->phase;
    }
    *mode = (enum mode)page->mode;
    errno = (int)page->error;
    return true;
}

/* The real function, looked up at its first use. */
#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real) {                                                                                   \
        void *found = dlsym(RTLD_NEXT, #name);                                                     \
        memcpy(&real, &found, sizeof found);                                                       \
    }                                                                                              \
    enum mode mode = MODE_ERROR

/* A function that only fails or does not. */
#define WRAP(type, name, parameters, arguments, failure)                                           \
    EXPORT type name parameters                                                                    \
    {                                                                                              \
        REAL(name);                                                                                \
        return fails(F_##name, &mode) ? (failure) : real arguments;                                \
    }

/* A function that moves `bytes` bytes: all, half of them, or none. */
#define WRAP_BYTES(name, parameters, bytes, arguments)                                             \
    EXPORT ssize_t name parameters                                                                 \
    {                                                                                              \
        REAL(name);                                                                                \
        if (fails(F_##name, &mode)) {                                                              \
            if (mode != MODE_SHORT) {                                                              \
                return mode == MODE_EMPTY ? 0 : -1;                                                \
            }                                                                                      \
            bytes /= 2;                                                                            \
        }                                                                                          \
        return real arguments;                                                                     \
    }

/* A function that gives something up: it does so even if it fails. */
#define WRAP_CLOSE(name, type)                                                                     \
    EXPORT int name(type it)                                                                       \
    {                                                                                              \
        REAL(name);                                                                                \
        const bool is_failure = fails(F_##name, &mode);                                            \
        const int error = errno;                                                                   \
        const int result = real(it);                                                               \
        errno = is_failure ? error : errno;                                                        \
        return is_failure ? -1 : result;                                                           \
    }

/* clang-format off */
WRAP(int, access, (const char *path, int how), (path, how), -1)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), NULL)
WRAP(int, chdir, (const char *path), (path), -1)
WRAP_CLOSE(close, int)
WRAP(int, close_range, (unsigned first, unsigned last, int flags), (first, last, flags), -1)
WRAP_CLOSE(closedir, DIR *)
WRAP(int, dup2, (int from, int to), (from, to), -1)
WRAP(int, dup3, (int from, int to, int flags), (from, to, flags), -1)
WRAP(int, execve, (const char *path, char *const argv[], char *const envp[]), (path, argv, envp), -1)
WRAP(int, faccessat, (int fd, const char *path, int how, int flags), (fd, path, how, flags), -1)
WRAP(int, flock, (int fd, int operation), (fd, operation), -1)
WRAP(int, fstat, (int fd, struct stat *status), (fd, status), -1)
WRAP(int, fstatat, (int fd, const char *path, struct stat *status, int flags), (fd, path, status, flags), -1)
WRAP(int, ftruncate, (int fd, off_t length), (fd, length), -1)
WRAP(char *, getcwd, (char *buffer, size_t size), (buffer, size), NULL)
WRAP(int, getrlimit, (__rlimit_resource_t resource, struct rlimit *limit), (resource, limit), -1)
WRAP(pid_t, getsid, (pid_t pid), (pid), -1)
WRAP(int, kill, (pid_t pid, int number), (pid, number), -1)
WRAP(void *, malloc, (size_t size), (size), NULL)
WRAP(int, mkdir, (const char *path, mode_t mode_bits), (path, mode_bits), -1)
WRAP(int, mkdirat, (int fd, const char *path, mode_t mode_bits), (fd, path, mode_bits), -1)
WRAP(DIR *, opendir, (const char *path), (path), NULL)
WRAP(int, pipe2, (int ends[2], int flags), (ends, flags), -1)
WRAP(int, poll, (struct pollfd *polls, nfds_t count, int timeout_ms), (polls, count, timeout_ms), -1)
WRAP_BYTES(pread, (int fd, void *buffer, size_t size, off_t at), size, (fd, buffer, size, at))
WRAP_BYTES(pwrite, (int fd, const void *buffer, size_t size, off_t at), size, (fd, buffer, size, at))
WRAP_BYTES(read, (int fd, void *buffer, size_t size), size, (fd, buffer, size))
WRAP(struct dirent *, readdir, (DIR *directory), (directory), NULL)
WRAP_BYTES(readlink, (const char *path, char *buffer, size_t size), size, (path, buffer, size))
WRAP_BYTES(recv, (int fd, void *buffer, size_t size, int flags), size, (fd, buffer, size, flags))
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), mode == MODE_EMPTY ? 0 : -1)
WRAP(int, rmdir, (const char *path), (path), -1)
WRAP(int, sched_setaffinity, (pid_t pid, size_t size, const cpu_set_t *cpus), (pid, size, cpus), -1)
WRAP(int, sched_setscheduler, (pid_t pid, int policy, const struct sched_param *param), (pid, policy, param), -1)
WRAP_BYTES(send, (int fd, const void *buffer, size_t size, int flags), size, (fd, buffer, size, flags))
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), -1)
WRAP_BYTES(sendto, (int fd, const void *buffer, size_t size, int flags, __CONST_SOCKADDR_ARG to, socklen_t length), size, (fd, buffer, size, flags, to, length))
WRAP(int, setpriority, (__priority_which_t which, id_t who, int nice), (which, who, nice), -1)
WRAP(int, setrlimit, (__rlimit_resource_t resource, const struct rlimit *limit), (resource, limit), -1)
WRAP(pid_t, setsid, (void), (), -1)
WRAP(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size), (fd, level, option, value, size), -1)
WRAP(int, sigaction, (int number, const struct sigaction *new, struct sigaction *old), (number, new, old), -1)
WRAP(__sighandler_t, signal, (int number, __sighandler_t handler), (number, handler), SIG_ERR)
WRAP(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags), -1)
WRAP(int, sigprocmask, (int how, const sigset_t *set, sigset_t *old), (how, set, old), -1)
WRAP(int, sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout), (set, info, timeout), -1)
WRAP(int, socket, (int family, int type, int protocol), (family, type, protocol), -1)
WRAP(int, socketpair, (int family, int type, int protocol, int ends[2]), (family, type, protocol, ends), -1)
WRAP(int, stat, (const char *path, struct stat *status), (path, status), -1)
WRAP(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), -1)
WRAP(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options), -1)
WRAP(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), -1)
/* clang-format on */

/* Half of a pid is that of another process, which is none of a test's business: nothing of a number
 * is written then. */
EXPORT ssize_t
write(int fd, const void *buffer, size_t size)
{
    REAL(write);
    if (!fails(F_write, &mode)) {
        return real(fd, buffer, size);
    }
    if (mode != MODE_SHORT) {
        return mode == MODE_EMPTY ? 0 : -1;
    }
    const char *at = buffer;
    bool is_number = true;
    for (size_t i = 0; i < size; i++) {
        is_number &= at[i] >= '0' && at[i] <= '9';
    }
    return is_number ? (ssize_t)size / 2 : real(fd, buffer, size / 2);
}

EXPORT pid_t
fork(void)
{
    REAL(fork);
    if (fails(F_fork, &mode)) {
        return -1;
    }
    const pid_t pid = real();
    if (pid == 0 && role < ROLE_CHILD) {
        role++;
    }
    return pid;
}

EXPORT int
open(const char *path, int flags, ...)
{
    REAL(open);
    va_list rest;
    va_start(rest, flags);
    const mode_t bits = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails(F_open, &mode) ? -1 : real(path, flags, bits);
}

EXPORT int
openat(int fd, const char *path, int flags, ...)
{
    REAL(openat);
    va_list rest;
    va_start(rest, flags);
    const mode_t bits = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails(F_openat, &mode) ? -1 : real(fd, path, flags, bits);
}

EXPORT int
fcntl(int fd, int command, ...)
{
    REAL(fcntl);
    va_list rest;
    va_start(rest, command);
    const long value = va_arg(rest, long);
    va_end(rest);
    return fails(F_fcntl, &mode) ? -1 : real(fd, command, value);
}

EXPORT int
prctl(int option, ...)
{
    REAL(prctl);
    va_list rest;
    unsigned long values[4];
    va_start(rest, option);
    for (int i = 0; i < 4; i++) {
        values[i] = va_arg(rest, unsigned long);
    }
    va_end(rest);
    return fails(F_prctl, &mode) ? -1 : real(option, values[0], values[1], values[2], values[3]);
}

EXPORT long
syscall(long number, ...)
{
    REAL(syscall);
    va_list rest;
    long values[6];
    va_start(rest, number);
    for (int i = 0; i < 6; i++) {
        values[i] = va_arg(rest, long);
    }
    va_end(rest);
    return fails(F_syscall, &mode)
               ? -1
               : real(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}
