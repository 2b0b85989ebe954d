/* `prong stack`: where the processes of workers are. The hub says which they are; the rest is
 * looked up here, on the same machine, because who asks may be allowed what the hub's user is not.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/field.h"
#include "client/cli/hub.h"
#include "client/cli/hubdir.h"
#include "client/cli/output.h"
#include "client/cli/procfile.h"
#include "client/cli/status.h"
#include "client/cli/table.h"
#include "client/cli/text.h"
#include "client/cli/threads.h"
#include "client/cli/tracer.h"

/* All that is known of one process. */
struct found {
    const struct status_replica *replica; /* borrowed */
    pid_t pid;
    char command[200];
    struct threads threads;
    struct tracer tracer;
    char advice[240]; /* why no tool could tell, and what to do */
};

/* ---- looking -------------------------------------------------------------------------------- */

/* Whether the process of this number here is that of the replica: in another pid namespace it is
 * somebody else. One whose environment is not to be read is believed. */
static bool
is_same(const struct found *f)
{
    char value[PRONG_NAME_BYTES_MAX + 16];
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)f->pid);
    const size_t len = strcspn(f->replica->name, "/");
    return !procfile_variable(path, "PRONG_WORKER", value, sizeof value) ||
           (strlen(value) == len && memcmp(value, f->replica->name, len) == 0);
}

static int
look(struct cli *cli, struct found *f)
{
    char path[64];
    if (!threads_read(f->pid, &f->threads)) {
        output_say(cli, "%s, pid %d: %s", f->replica->name, (int)f->pid, strerror(errno));
        return errno == EACCES || errno == EPERM ? CLI_DENIED : CLI_NOT_RUNNING;
    }
    if (!is_same(f)) {
        output_say(cli,
                   "%s: pid %d is another process here: ask where the hub runs, it counts its "
                   "processes in a namespace of its own",
                   f->replica->name, (int)f->pid);
        return CLI_FAILED;
    }
    (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)f->pid);
    (void)procfile_words(path, f->command, sizeof f->command);
    if (!tracer_run(cli, f->pid, cli->deadline_ms, &f->tracer)) {
        return output_no_memory(cli);
    }
    if (f->tracer.output.is_interrupted) {
        return 128 + cli->signal_number;
    }
    for (size_t i = 0; f->tracer.tool == NULL && i < f->tracer.tried_count; i++) {
        /* One that is not there was not refused. */
        if (strncmp(f->tracer.tried[i].why, "not installed", 13) != 0) {
            tracer_explain(f->pid, f->advice, sizeof f->advice);
        }
    }
    return CLI_OK;
}

/* ---- printing ------------------------------------------------------------------------------- */

static int
print_threads(const struct cli *cli, const struct threads *threads)
{
    struct table t;
    table_init(&t, "TID NAME STATE WCHAN SYSCALL");
    for (size_t i = 0; i < threads->count; i++) {
        const struct thread_row *r = &threads->rows[i];
        const bool is_bad = r->state == 'D' || r->state == 'T' || r->state == 'Z';
        table_add(&t, TABLE_PLAIN, "%d", r->tid);
        table_add(&t, TABLE_PLAIN, "%s", r->name);
        table_add(&t, is_bad ? TABLE_BAD : TABLE_PLAIN, "%s", threads_state_text(r->state));
        table_add(&t, TABLE_PLAIN, "%s", r->wchan[0] != '\0' ? r->wchan : "-");
        table_add(&t, TABLE_PLAIN, "%s", r->syscall[0] != '\0' ? r->syscall : "-");
    }
    table_print(&t, stdout, cli->out_has_color);
    const bool failed = t.failed;
    table_deinit(&t);
    if (threads->is_cut) {
        (void)printf("... and more threads\n");
    }
    return failed ? output_no_memory(cli) : CLI_OK;
}

static void
tell_tried(const struct cli *cli, const struct found *f)
{
    for (size_t i = 0; i < f->tracer.tried_count; i++) {
        output_note(cli, "%s: %s", f->tracer.tried[i].tool, f->tracer.tried[i].why);
    }
    if (f->advice[0] != '\0') {
        output_note(cli, "%s", f->advice);
    } else if (f->tracer.tool == NULL) {
        output_note(cli, "for the stack of the program install gdb or elfutils, for Python py-spy");
    }
}

static int
print_readable(const struct cli *cli, const struct found *f)
{
    (void)printf("%s (pid %d): ", f->replica->name, (int)f->pid);
    table_put_safe(stdout, f->command, strlen(f->command));
    (void)fputc('\n', stdout);
    const int code = print_threads(cli, &f->threads);
    if (f->tracer.tool != NULL) {
        (void)printf("\nstack, by %s:\n", f->tracer.tool);
        table_put_safe(stdout, f->tracer.output.text, f->tracer.output.len);
    } else if (f->threads.kernel_stack[0] != '\0') {
        (void)printf("\nstack in the kernel:\n");
        table_put_safe(stdout, f->threads.kernel_stack, strlen(f->threads.kernel_stack));
    }
    (void)fflush(stdout); /* before what is told on stderr */
    if (f->tracer.tool == NULL) {
        tell_tried(cli, f);
    }
    return code;
}

static void
write_threads(prong_writer *w, const struct threads *threads)
{
    prong_writer_array(w, (uint32_t)threads->count);
    for (size_t i = 0; i < threads->count; i++) {
        const struct thread_row *r = &threads->rows[i];
        char name[sizeof r->name];
        (void)snprintf(name, sizeof name, "%s", r->name);
        text_make_utf8(name, strlen(name)); /* a thread names itself */
        prong_writer_map(w, 5);
        field_put_int(w, "tid", r->tid);
        field_put_text(w, "name", name);
        prong_writer_key(w, "state");
        prong_writer_text(w, &r->state, 1);
        field_put_text(w, "wchan", r->wchan);
        field_put_text(w, "syscall", r->syscall);
    }
}

static void
write_found(prong_writer *w, const struct found *f)
{
    const struct tracer *t = &f->tracer;
    prong_writer_map(w, 8);
    field_put_text(w, "replica", f->replica->name);
    field_put_int(w, "pid", f->pid);
    prong_writer_key(w, "threads");
    write_threads(w, &f->threads);
    prong_writer_key(w, "tool");
    if (t->tool != NULL) {
        prong_writer_string(w, t->tool);
    } else {
        prong_writer_nil(w);
    }
    prong_writer_key(w, "stack");
    prong_writer_text(w, t->tool != NULL ? t->output.text : "",
                      t->tool != NULL ? t->output.len : 0);
    field_put_text(w, "kernel_stack", f->threads.kernel_stack);
    prong_writer_key(w, "tried");
    prong_writer_map(w, (uint32_t)t->tried_count);
    for (size_t i = 0; i < t->tried_count; i++) {
        char why[sizeof t->tried[i].why];
        (void)snprintf(why, sizeof why, "%s", t->tried[i].why);
        text_make_utf8(why, strlen(why));
        field_put_text(w, t->tried[i].tool, why);
    }
    field_put_text(w, "advice", f->advice);
}

static int
print_object(const struct cli *cli, const struct found *f)
{
    prong_writer *w = prong_writer_new();
    prong_value object;
    if (w == NULL) {
        return output_no_memory(cli);
    }
    write_found(w, f);
    const int code = prong_writer_finish(w, &object) != PRONG_OK ? output_no_memory(cli)
                     : output_form(cli) == OUTPUT_JSON           ? output_value(cli, &object)
                                                                 : output_line(cli, &object);
    prong_writer_free(w);
    return code;
}

static int
show(struct cli *cli, const struct status_replica *replica, bool is_first)
{
    struct found f = {.replica = replica, .pid = (pid_t)replica->pid};
    int code = look(cli, &f);
    if (code == CLI_OK && output_form(cli) == OUTPUT_TABLE) {
        (void)fputs(is_first ? "" : "\n", stdout);
        code = print_readable(cli, &f);
    } else if (code == CLI_OK && output_form(cli) == OUTPUT_RAW) {
        (void)fwrite(f.tracer.tool != NULL ? f.tracer.output.text : "", 1, f.tracer.output.len,
                     stdout);
    } else if (code == CLI_OK) {
        code = print_object(cli, &f);
    }
    threads_deinit(&f.threads);
    tracer_deinit(&f.tracer);
    return code;
}

/* ---- the verb ------------------------------------------------------------------------------- */

static int
show_all(struct cli *cli, const struct status *status)
{
    const struct status_choice choice = {cli->argv, (size_t)cli->argc, false};
    size_t count = 0;
    int code = CLI_OK;
    for (size_t i = 0; i < status->worker_count; i++) {
        const struct status_worker *w = &status->workers[i];
        for (size_t k = 0; k < w->replica_count && code == CLI_OK; k++) {
            if (status_is_chosen(&choice, w, &w->replicas[k]) && w->replicas[k].pid > 0) {
                code = show(cli, &w->replicas[k], count++ == 0);
            }
        }
    }
    if (code == CLI_OK && count == 0) {
        output_say(cli, "no process of %s%s runs", cli->argv[0],
                   cli->argc > 1 ? " and others" : "");
        return CLI_NOT_RUNNING;
    }
    return code;
}

int
verb_stack(struct cli *cli)
{
    struct status status = {0};
    char dir[PATH_MAX];
    int code = hub_connect(cli);
    if (code == CLI_OK && !hubdir_of_url(prong_client_url(cli->client), dir)) {
        output_say(cli,
                   "the hub is not reached by its local socket: ask on the machine it runs on");
        code = CLI_FAILED;
    }
    code = code != CLI_OK ? code : status_get(cli, &status);
    for (int i = 0; code == CLI_OK && i < cli->argc; i++) {
        if (status_find(&status, cli->argv[i]) == NULL) {
            code = status_no_such(cli, &status, cli->argv[i]);
        }
    }
    if (code == CLI_OK && !hub_take_signals(cli)) {
        code = output_no_memory(cli);
    }
    code = code != CLI_OK ? code : show_all(cli, &status);
    status_deinit(&status);
    return code;
}
