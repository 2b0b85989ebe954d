/* Tools that tell stacks: see tracer.h. */
#include "client/cli/tracer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/program.h"
#include "client/cli/text.h"
#include "client/cli/threads.h"
#include "client/cli/unit.h"

enum { TOOL_MS = 15000, TOOL_BYTES_MAX = 4 * 1024 * 1024, ARGUMENTS_MAX = 12, PID_BYTES = 16 };

/* One row per tool, in the order in which they are asked. "PID" among the arguments is the pid. */
static const struct tool {
    const char *name, *package;
    bool only_python;
    const char *arguments[ARGUMENTS_MAX];
    const char *proof; /* what a text has that tells a stack; its exit code alone proves nothing */
} tools[] = {
    {"py-spy", "py-spy", true, {"py-spy", "dump", "--pid", "PID", NULL}, "hread"},
    {"eu-stack", "elfutils", false, {"eu-stack", "-p", "PID", NULL}, "#0 "},
    {"gdb",
     "gdb",
     false,
     {"gdb", "-nx", "-batch", "-p", "PID", "-ex", "thread apply all bt", "-ex",
      "thread apply all -s py-bt", NULL},
     "#0 "},
};
enum { TOOL_COUNT = sizeof tools / sizeof tools[0] };
static_assert(sizeof tools / sizeof tools[0] <= TRACER_TRIED_MAX, "there is a place for each tool");

bool
tracer_is_python(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash != NULL ? slash + 1 : program;
    return strncmp(name, "python", 6) == 0 || strncmp(name, "pypy", 4) == 0;
}

static bool
is_python(pid_t pid)
{
    char path[64], program[PATH_MAX] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    const ssize_t n = readlink(path, program, sizeof program - 1);
    return n > 0 && tracer_is_python(program);
}

/* The state of the first thread; 0 when there is none. */
static char
state_of(pid_t pid)
{
    struct threads threads;
    const char state = threads_read(pid, &threads) ? threads.rows[0].state : '\0';
    threads_deinit(&threads);
    return state;
}

/* The last line of what a tool said, for people. */
static void
last_line(const struct capture *c, char *out, size_t size)
{
    size_t end = c->len;
    while (end > 0 && strchr("\r\n ", c->text[end - 1]) != NULL) {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && c->text[begin - 1] != '\n') {
        begin--;
    }
    (void)snprintf(out, size, "%.*s", (int)(end - begin < 200 ? end - begin : 200),
                   c->text + begin);
}

static void
note_failure(struct tracer *t, const struct tool *tool, const struct capture *c)
{
    struct tracer_try *tried = &t->tried[t->tried_count++];
    char line[201];
    tried->tool = tool->name;
    last_line(c, line, sizeof line);
    if (c->error != 0) {
        (void)snprintf(tried->why, sizeof tried->why, "%s", strerror(c->error));
    } else if (c->is_late) {
        (void)snprintf(tried->why, sizeof tried->why, "it did not end in time");
    } else if (line[0] == '\0') {
        (void)snprintf(tried->why, sizeof tried->why, "exit code %d", c->code);
    } else {
        (void)snprintf(tried->why, sizeof tried->why, "%s", line);
    }
}

/* The signal that stops a process to be traced may be still on its way when the tracer dies, and
 * then stops it for good. */
static void
let_run(pid_t pid, char was)
{
    if (was != 'T' && state_of(pid) == 'T') {
        (void)kill(pid, SIGCONT); /* not ours to signal: then it was not ours to trace either */
    }
}

static bool
ask(struct cli *cli, pid_t pid, const struct tool *tool, int64_t deadline_ms, struct tracer *t)
{
    char path[PATH_MAX], number[PID_BYTES];
    const char *argv[ARGUMENTS_MAX];
    struct capture output;
    if (!program_resolve(tool->name, path)) {
        t->tried[t->tried_count].tool = tool->name;
        (void)snprintf(t->tried[t->tried_count++].why, sizeof t->tried[0].why,
                       "not installed (package %s)", tool->package);
        return true;
    }
    (void)snprintf(number, sizeof number, "%d", (int)pid);
    for (int i = 0; i < ARGUMENTS_MAX; i++) {
        const char *argument = tool->arguments[i];
        argv[i] = argument != NULL && strcmp(argument, "PID") == 0 ? number : argument;
    }
    const int64_t tool_ms = unit_now_ms() + TOOL_MS;
    const struct capture_limits limits = {tool_ms < deadline_ms ? tool_ms : deadline_ms,
                                          TOOL_BYTES_MAX};
    const char was = state_of(pid);
    if (!capture_run(cli, path, argv, &limits, &output)) {
        return false;
    }
    if (output.is_late || output.is_interrupted) {
        let_run(pid, was);
    }
    if (output.is_interrupted ||
        (output.code == 0 && strstr(output.text, tool->proof) != NULL && !output.is_late)) {
        t->tool = output.is_interrupted ? NULL : tool->name;
        t->output = output; /* moved */
        return true;
    }
    note_failure(t, tool, &output);
    capture_deinit(&output);
    return true;
}

bool
tracer_run(struct cli *cli, pid_t pid, int64_t deadline_ms, struct tracer *t)
{
    const bool python = is_python(pid);
    bool ok = true;
    *t = (struct tracer){.tool = NULL};
    (void)setenv("DEBUGINFOD_URLS", "",
                 1); /* gdb would ask a server; that it may fail is no harm */
    for (size_t i = 0; ok && t->tool == NULL && !t->output.is_interrupted && i < TOOL_COUNT; i++) {
        if (python || !tools[i].only_python) {
            ok = ask(cli, pid, &tools[i], deadline_ms, t);
        }
    }
    if (t->tool != NULL) {
        text_make_utf8(t->output.text, t->output.len);
    }
    return ok;
}

void
tracer_deinit(struct tracer *t)
{
    capture_deinit(&t->output);
    *t = (struct tracer){.tool = NULL};
}

/* A number in a file; -1 when there is none. */
static int
read_number(const char *path)
{
    char text[16] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    return n > 0 ? (int)strtol(text, NULL, 10) : -1;
}

/* Whether we have CAP_SYS_PTRACE; also when that is not to be known. */
static bool
may_trace(void)
{
    enum { CAP_SYS_PTRACE_BIT = 19 };
    char text[4096] = "";
    const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    const char *line = n > 0 ? strstr(text, "\nCapEff:") : NULL;
    if (fd >= 0) {
        (void)close(fd);
    }
    return line == NULL ||
           (strtoull(line + strlen("\nCapEff:"), NULL, 16) >> CAP_SYS_PTRACE_BIT & 1);
}

void
tracer_explain(pid_t pid, char *out, size_t size)
{
    char path[64];
    struct stat about;
    const int scope = read_number("/proc/sys/kernel/yama/ptrace_scope");
    out[0] = '\0';
    (void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
    if (stat(path, &about) == 0 && geteuid() != 0 && about.st_uid != geteuid()) {
        (void)snprintf(out, size,
                       "the process is of user %u: ask as that user or as root (sudo prong stack)",
                       (unsigned)about.st_uid);
    } else if (scope == 3) {
        (void)snprintf(out, size,
                       "kernel.yama.ptrace_scope is 3: nobody may trace until the machine is "
                       "started anew");
    } else if (scope >= 1 && geteuid() != 0) {
        (void)snprintf(out, size,
                       "kernel.yama.ptrace_scope is %d: only %s may trace a process; ask as root "
                       "(sudo prong stack), or set it to 0 (sysctl kernel.yama.ptrace_scope=0)",
                       scope, scope == 1 ? "its parents" : "root");
    } else if (geteuid() == 0 && !may_trace()) {
        (void)snprintf(out, size,
                       "in a container root needs the capability SYS_PTRACE for that (docker run "
                       "--cap-add SYS_PTRACE)");
    }
}
