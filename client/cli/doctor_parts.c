/* Parts of the bundle that are looked up on this machine: see doctor.h. They run in a child. */
#include "client/cli/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "client/cli/capture.h"
#include "client/cli/procfile.h"
#include "client/cli/program.h"
#include "client/cli/threads.h"
#include "client/cli/unit.h"
#include "proto/clock/clock.h"

enum { PROGRAM_MS = 5000, TAIL_BYTES = 128 * 1024, FILE_BYTES_MAX = 256 * 1024, LINE_BYTES = 4096 };

/* ---- files ---------------------------------------------------------------------------------- */

int
doctor_write_file(const char *path, FILE *out, off_t from)
{
    char piece[16 * 1024];
    size_t left = FILE_BYTES_MAX;
    ssize_t n = -1;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || (from > 0 && lseek(fd, from, SEEK_SET) < 0)) {
        (void)fprintf(out, "(%s: %s)\n", path, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return CLI_FAILED;
    }
    while (left > 0 && (n = read(fd, piece, left < sizeof piece ? left : sizeof piece)) > 0) {
        (void)fwrite(piece, 1, (size_t)n, out);
        left -= (size_t)n;
    }
    if (n < 0) {
        (void)fprintf(out, "(%s: %s)\n", path, strerror(errno));
    }
    (void)close(fd);
    return n < 0 ? CLI_FAILED : CLI_OK;
}

int
doctor_write_tail(const char *path, FILE *out)
{
    struct stat about;
    const off_t from =
        stat(path, &about) == 0 && about.st_size > TAIL_BYTES ? about.st_size - TAIL_BYTES : 0;
    if (from > 0) {
        (void)fprintf(out, "(%" PRId64 " bytes before this are left out)\n", (int64_t)from);
    }
    return doctor_write_file(path, out, from);
}

static void
put_file(FILE *out, const char *path)
{
    (void)fprintf(out, "==== %s\n", path);
    (void)doctor_write_file(path, out, 0); /* one that is not there says so in its place */
    (void)fputc('\n', out);
}

/* ---- the machine ---------------------------------------------------------------------------- */

static int
write_about(struct cli *cli, const struct doctor *d, FILE *out)
{
    char when[UNIT_TIME_BYTES];
    (void)cli;
    unit_time(clock_wall_us(), when);
    (void)fprintf(out,
                  "prong %s\ntime %s\nuid %u, euid %u\nruntime folder %s\nconfiguration %s\n"
                  "folder of logs %s\nkeeper's pid %d\nhub answers: %s\n",
                  prong_version(), when, (unsigned)getuid(), (unsigned)geteuid(), d->dir, d->config,
                  d->log_dir, (int)d->keeper, d->is_reachable ? "yes" : "no");
#if defined(__GNUC__)
    (void)fprintf(out, "compiler %s\n", __VERSION__);
#endif
#if defined(__SANITIZE_ADDRESS__)
    (void)fprintf(out, "built with AddressSanitizer\n");
#endif
#if defined(__OPTIMIZE__)
    (void)fprintf(out, "built with optimisation\n");
#endif
    return CLI_OK;
}

static void
put_limits(FILE *out)
{
    static const struct {
        int resource;
        const char *name;
    } rows[] = {{RLIMIT_NOFILE, "open files"}, {RLIMIT_NPROC, "processes"},
                {RLIMIT_CORE, "core"},         {RLIMIT_MEMLOCK, "locked memory"},
                {RLIMIT_AS, "address space"},  {RLIMIT_STACK, "stack"}};
    (void)fprintf(out, "==== limits of this process (soft, hard; -1: none)\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rlimit limit = {0};
        (void)getrlimit(rows[i].resource, &limit); /* cannot fail with valid arguments */
        (void)fprintf(out, "%-14s %" PRId64 " %" PRId64 "\n", rows[i].name,
                      limit.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_cur,
                      limit.rlim_max == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_max);
    }
}

static int
write_system(struct cli *cli, const struct doctor *d, FILE *out)
{
    static const char *const files[] = {
        "/etc/os-release",
        "/proc/uptime",
        "/proc/loadavg",
        "/proc/meminfo",
        "/proc/pressure/cpu",
        "/proc/pressure/memory",
        "/proc/pressure/io",
        "/proc/self/cgroup",
        "/proc/mounts",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/pid_max",
        "/proc/sys/kernel/threads-max",
        "/proc/sys/kernel/yama/ptrace_scope",
        "/proc/sys/fs/file-max",
        "/proc/sys/fs/file-nr",
        "/proc/sys/net/core/somaxconn",
        "/proc/sys/net/core/wmem_max",
        "/proc/sys/net/unix/max_dgram_qlen",
        "/proc/sys/vm/overcommit_memory",
    };
    struct utsname name;
    (void)cli;
    (void)d;
    if (uname(&name) == 0) {
        (void)fprintf(out, "%s %s %s %s, %ld processors\n", name.sysname, name.release,
                      name.version, name.machine, sysconf(_SC_NPROCESSORS_ONLN));
    }
    put_limits(out);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        put_file(out, files[i]);
    }
    return CLI_OK;
}

/* ---- the hub's folder ----------------------------------------------------------------------- */

static void
put_entry(FILE *out, int dir_fd, const char *name)
{
    struct stat about;
    if (fstatat(dir_fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        (void)fprintf(out, "%s: %s\n", name, strerror(errno));
        return;
    }
    const char *kind = S_ISDIR(about.st_mode)    ? "folder"
                       : S_ISSOCK(about.st_mode) ? "socket"
                       : S_ISLNK(about.st_mode)  ? "link"
                       : S_ISREG(about.st_mode)  ? "file"
                                                 : "other";
    (void)fprintf(out, "%-7s %04o %u:%u %10" PRId64 " %" PRId64 " %s\n", kind,
                  (unsigned)(about.st_mode & 07777), (unsigned)about.st_uid, (unsigned)about.st_gid,
                  (int64_t)about.st_size, (int64_t)about.st_mtime, name);
}

static int
put_folder(FILE *out, const char *path)
{
    const struct dirent *entry;
    (void)fprintf(out, "==== %s (kind, mode, owner, bytes, time of change, name)\n", path);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        (void)fprintf(out, "(%s)\n", strerror(errno));
        return CLI_FAILED;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, "..") != 0) {
            put_entry(out, dirfd(dir), entry->d_name);
        }
    }
    (void)closedir(dir);
    return CLI_OK;
}

static int
write_folders(struct cli *cli, const struct doctor *d, FILE *out)
{
    (void)cli;
    const int code = put_folder(out, d->dir);
    (void)put_folder(out, d->log_dir); /* one that is not there says so */
    return code;
}

/* The local sockets whose path is in the hub's folder, one a line for the listener and each
 * connection. */
static int
write_sockets(struct cli *cli, const struct doctor *d, FILE *out)
{
    char line[LINE_BYTES];
    FILE *in = fopen("/proc/net/unix", "re");
    (void)cli;
    if (in == NULL) {
        (void)fprintf(out, "(/proc/net/unix: %s)\n", strerror(errno));
        return CLI_FAILED;
    }
    for (bool is_head = true; fgets(line, sizeof line, in) != NULL; is_head = false) {
        if (is_head || strstr(line, d->dir) != NULL) {
            (void)fputs(line, out);
        }
    }
    (void)fclose(in);
    return CLI_OK;
}

static int
write_config(struct cli *cli, const struct doctor *d, FILE *out)
{
    (void)cli;
    if (d->config[0] == '\0') {
        (void)fprintf(out, "# no configuration was found\n");
        return CLI_OK;
    }
    (void)fprintf(out, "# %s\n", d->config);
    return doctor_write_file(d->config, out, 0);
}

static int
write_hub_log(struct cli *cli, const struct doctor *d, FILE *out)
{
    char path[PATH_MAX + 16];
    (void)cli;
    (void)snprintf(path, sizeof path, "%s/hub.log", d->dir);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        (void)fprintf(out, "(there is no hub.log: prongd was not started by prong up)\n");
        return CLI_OK;
    }
    return doctor_write_tail(path, out);
}

/* What a program says. It is ended before this part is, with all that it started. */
static int
put_program(struct cli *cli, FILE *out, const char *path, const char *const argv[])
{
    const struct capture_limits limits = {unit_now_ms() + PROGRAM_MS, FILE_BYTES_MAX};
    struct capture said;
    if (!capture_run(cli, path, argv, &limits, &said)) {
        return CLI_FAILED;
    }
    (void)fwrite(said.text, 1, said.len, out);
    if (said.error != 0 || said.is_late) {
        (void)fprintf(out, "(%s: %s)\n", path,
                      said.is_late ? "it did not end in time" : strerror(said.error));
    }
    const int code = said.code == 0 && !said.is_late ? CLI_OK : CLI_FAILED;
    capture_deinit(&said);
    return code;
}

/* What the configuration comes to, with its defaults and all that it includes. */
static int
write_whole(struct cli *cli, const struct doctor *d, FILE *out)
{
    char path[PATH_MAX];
    if (d->config[0] == '\0' || !program_find("prong-broker", path)) {
        (void)fprintf(out, "# there is no configuration, or no prong-broker\n");
        return CLI_OK;
    }
    const char *const argv[] = {path, "--show", d->config, NULL};
    return put_program(cli, out, path, argv);
}

/* What the journal has of the unit that the keeper runs in. */
static int
write_journal(struct cli *cli, const struct doctor *d, FILE *out)
{
    char path[PATH_MAX], cgroup[64], line[LINE_BYTES] = "";
    (void)snprintf(cgroup, sizeof cgroup, "/proc/%d/cgroup", (int)d->keeper);
    FILE *in = d->keeper > 0 ? fopen(cgroup, "re") : NULL;
    const char *unit = NULL;
    while (in != NULL && unit == NULL && fgets(line, sizeof line, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const char *end = strstr(line, ".service");
        char *slash = strrchr(line, '/');
        unit = end != NULL && slash != NULL && slash < end ? slash + 1 : NULL;
    }
    if (in != NULL) {
        (void)fclose(in);
    }
    if (unit == NULL || !program_resolve("journalctl", path)) {
        (void)fprintf(out, "(the hub is no unit of systemd, or there is no journalctl)\n");
        return CLI_OK;
    }
    const char *const argv[] = {"journalctl", "--no-pager", "-n", "1000", "--unit", unit, NULL};
    return put_program(cli, out, path, argv);
}

/* ---- processes ------------------------------------------------------------------------------ */

/* How many descriptors there are of which kind: "socket", "pipe", a path. */
static void
put_descriptors(FILE *out, pid_t pid)
{
    char path[64], target[PATH_MAX];
    size_t sockets = 0, pipes = 0, others = 0;
    const struct dirent *entry;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        const ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        sockets += strncmp(target, "socket:", 7) == 0;
        pipes += strncmp(target, "pipe:", 5) == 0;
        others += n > 0 && strncmp(target, "socket:", 7) != 0 && strncmp(target, "pipe:", 5) != 0;
    }
    (void)fprintf(out, "---- descriptors: %zu sockets, %zu pipes, %zu others%s\n", sockets, pipes,
                  others, dir == NULL ? " (they are not to be seen)" : "");
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

static void
put_threads(FILE *out, pid_t pid)
{
    struct threads threads;
    (void)fprintf(out, "---- threads (number, name, state, where in the kernel, system call)\n");
    if (!threads_read(pid, &threads)) {
        (void)fprintf(out, "(%s)\n", strerror(errno));
        return;
    }
    for (size_t i = 0; i < threads.count; i++) {
        const struct thread_row *r = &threads.rows[i];
        (void)fprintf(out, "%d %s %s %s %s\n", r->tid, r->name, threads_state_text(r->state),
                      r->wchan[0] != '\0' ? r->wchan : "-",
                      r->syscall[0] != '\0' ? r->syscall : "-");
    }
    (void)fputs(threads.kernel_stack, out);
    threads_deinit(&threads);
}

static void
put_process(FILE *out, const struct doctor_process *p)
{
    static const char *const files[] = {"status", "limits", "cgroup", "wchan", "oom_score_adj"};
    char path[96], words[LINE_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)p->pid);
    (void)procfile_words(path, words, sizeof words);
    (void)fprintf(out, "======== pid %d, child of %d: %s: %s\n", (int)p->pid, (int)p->parent,
                  p->name, words);
    put_descriptors(out, p->pid);
    put_threads(out, p->pid);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)p->pid, files[i]);
        (void)fprintf(out, "---- %s\n", files[i]);
        (void)doctor_write_file(path, out, 0);
        (void)fputc('\n', out);
    }
    (void)fprintf(out, "---- names of the environment\n");
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)p->pid);
    if (!procfile_names(path, out)) {
        (void)fprintf(out, "(%s)\n", strerror(errno));
    }
    (void)fflush(out); /* what is told of the others stays when one of them hangs us */
}

static int
write_processes(struct cli *cli, const struct doctor *d, FILE *out)
{
    (void)cli;
    for (size_t i = 0; i < d->process_count; i++) {
        put_process(out, &d->processes[i]);
    }
    if (d->process_count == 0) {
        (void)fprintf(out, "(no process of the hub is to be seen)\n");
    }
    return CLI_OK;
}

/* ---- the table ------------------------------------------------------------------------------ */

const struct doctor_part *
doctor_parts(size_t *count)
{
    static const struct doctor_part parts[] = {
        {.name = "about.txt", .write = write_about},
        {.name = "system.txt", .write = write_system},
        {.name = "config.yaml", .write = write_config, .needs_dir = true},
        {.name = "config-whole.yaml", .write = write_whole, .needs_dir = true},
        {.name = "folders.txt", .write = write_folders, .needs_dir = true},
        {.name = "sockets.txt", .write = write_sockets, .needs_dir = true},
        {.name = "processes.txt", .write = write_processes, .needs_dir = true},
        {.name = "logs/hub.log", .write = write_hub_log, .needs_dir = true},
        {.name = "logs/journal.log", .write = write_journal, .needs_dir = true},
    };
    *count = sizeof parts / sizeof parts[0];
    return parts;
}
