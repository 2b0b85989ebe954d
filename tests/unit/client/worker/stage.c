/* A hub that does what the test says. */
#include "tests/unit/client/worker/stage.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "proto/link/link.h"
#include "proto/link/source.h"
#include "proto/name.h"
#include "proto/write.h"
#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

enum { QUEUE_MAX = 64 };

static struct stage {
    char url[8 + DIR_FILE_BYTES_MAX];
    struct link_server *server;
    int epoll_fd;
    uint64_t peer, poll;
    pid_t child;
    struct request queue[QUEUE_MAX];
    size_t head, tail;
    struct request now, control;
} stage;

void
stage_enter(void)
{
    dir_enter();
    stage = (struct stage){.epoll_fd = -1};
}

void
stage_leave(void)
{
    if (stage.child > 0) {
        kill(stage.child, SIGKILL);
        (void)until_exit(stage.child, NULL, STAGE_MS);
    }
    stage_close();
    buf_deinit(&stage.now.body);
    buf_deinit(&stage.control.body);
    while (stage.head < stage.tail) {
        buf_deinit(&stage.queue[stage.head++].body);
    }
    dir_leave();
}

/* ---- the server ------------------------------------------------------------------------------ */

static void
on_opened(void *context, struct link_server *s, uint64_t peer, const struct link_cred *cred)
{
    (void)context;
    (void)s;
    (void)cred;
    stage.peer = peer;
}

static void
on_message(void *context, struct link_server *s, uint64_t peer, uint64_t request, uint32_t sp_id,
           struct span body)
{
    struct wire_diag diag;
    struct request r = {.request = request};
    (void)context;
    (void)s;
    (void)peer;
    (void)sp_id;
    buf_put(&r.body, body.data, body.len);
    r.count = record_message(buf_span(&r.body), r.record, STAGE_RECORDS_MAX, &diag);
    cr_assert(r.count > 0, "the worker says what the hub refuses: %s", diag.text);
    if (r.record[0].record == WIRE_REC_CONTROL) {
        buf_deinit(&stage.control.body);
        stage.control = r;
        return;
    }
    if (r.record[r.count - 1].record == WIRE_REC_POLL) {
        stage.poll = request;
    }
    cr_assert(stage.tail < QUEUE_MAX);
    stage.queue[stage.tail++] = r;
}

static void
on_oversized(void *context, struct link_server *s, uint64_t peer, uint64_t request, uint64_t bytes)
{
    (void)context;
    (void)s;
    (void)peer;
    (void)request;
    (void)bytes;
    cr_assert(false, "oversized");
}

static void
on_closed(void *context, struct link_server *s, uint64_t peer)
{
    (void)context;
    (void)s;
    if (peer == stage.peer) {
        stage.control.request = 0;
    }
}

void
stage_open(void)
{
    char path[DIR_FILE_BYTES_MAX];
    static const struct link_handler handler = {
        .opened = on_opened, .message = on_message, .oversized = on_oversized, .closed = on_closed};
    struct link_error error;
    (void)snprintf(stage.url, sizeof stage.url, "ipc://%s", dir_file(path, "hub.sock"));
    stage.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    const struct link_server_options options = {.epoll_fd = stage.epoll_fd,
                                                .message_bytes_max = WIRE_MESSAGE_BYTES,
                                                .socket_mode = 0600,
                                                .peers_max = 8,
                                                .out_bytes_max = WIRE_OUT_BYTES_MAX};
    cr_assert(link_server_open(stage.url, &options, &handler, &stage.server, &error) == 0, "%s",
              error.text);
}

void
stage_close(void)
{
    link_server_free(stage.server);
    stage.server = NULL;
    if (stage.epoll_fd >= 0) {
        close(stage.epoll_fd);
    }
    stage.epoll_fd = -1;
    stage.control.request = 0;
}

/* One turn of the server's loop. */
static void
turn(int timeout_ms)
{
    struct epoll_event events[16];
    const int n = epoll_wait(stage.epoll_fd, events, 16, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct source *source = events[i].data.ptr;
        source->ready(source, events[i].events);
    }
    link_server_turn(stage.server);
}

static bool
has_message(void *unused)
{
    (void)unused;
    turn(10);
    return stage.head < stage.tail;
}

struct request *
stage_expect(enum wire_record op)
{
    cr_assert(until(STAGE_MS, has_message, NULL), "no %s", wire_record_row(op)->name);
    buf_deinit(&stage.now.body);
    stage.now = stage.queue[stage.head++];
    if (stage.head == stage.tail) {
        stage.head = stage.tail = 0;
    }
    cr_assert(stage.now.record[0].record == op, "%s instead of %s",
              wire_record_row(stage.now.record[0].record)->name, wire_record_row(op)->name);
    return &stage.now;
}

static bool
has_control(void *unused)
{
    (void)unused;
    turn(10);
    return stage.control.request != 0;
}

struct request *
stage_control(void)
{
    cr_assert(until(STAGE_MS, has_control, NULL), "no CONTROL");
    return &stage.control;
}

void
stage_answer(struct request *r, struct buf *b)
{
    cr_assert(!b->failed && r->request != 0);
    link_server_reply(stage.server, r->request, &(struct pieces){1, {buf_span(b)}});
    link_server_turn(stage.server);
    r->request = 0;
    buf_deinit(b);
}

void
stage_hang_up(void)
{
    link_server_close_peer(stage.server, stage.peer);
    link_server_turn(stage.server);
}

/* ---- the worker ------------------------------------------------------------------------------ */

/* The child is made first, so that it has no descriptor of the server. */
static void
run_child(int (*program)(void), bool with_hub)
{
    char log[DIR_FILE_BYTES_MAX], path[DIR_FILE_BYTES_MAX];
    const pid_t parent = getpid();
    dir_file(log, "log");
    dir_file(path, "hub.sock");
    fflush(NULL);
    stage.child = fork();
    cr_assert(stage.child >= 0);
    if (stage.child == 0) {
        procs_die_with(parent);
        const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || dup2(fd, 2) < 0 || (with_hub && !until_path(path, STAGE_MS))) {
            _exit(98);
        }
        (void)snprintf(stage.url, sizeof stage.url, "ipc://%s", path);
        setenv("PRONG_URL", stage.url, 1);
        setenv("PRONG_WORKER", "detector", 1);
        setenv("PRONG_REPLICA", "1", 1);
        setenv("PRONG_TOKEN", "7.secret", 1);
        _exit(program());
    }
}

pid_t
stage_start(int (*program)(void))
{
    run_child(program, true);
    stage_open();
    return stage.child;
}

void
stage_run(int (*program)(void))
{
    run_child(program, false);
}

/* The loop goes on meanwhile: the worker may say something at its end. */
static bool
has_exited(void *status)
{
    if (stage.server != NULL) {
        turn(5);
    }
    return until_exit(stage.child, status, 1);
}

int
stage_exit(void)
{
    int status = -1;
    cr_assert(until(STAGE_MS, has_exited, &status), "the worker does not end");
    stage.child = 0;
    return (status & 0x7f) != 0 ? 1000 + (status & 0x7f) : status >> 8 & 0xff;
}

bool
stage_logged(const char *text)
{
    char path[DIR_FILE_BYTES_MAX], log[4096];
    const int fd = open(dir_file(path, "log"), O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, log, sizeof log - 1) : 0;
    log[n > 0 ? n : 0] = '\0';
    close(fd);
    return strstr(log, text) != NULL;
}

/* ---- what the hub says ------------------------------------------------------------------------
 */

void
stage_welcome(struct request *attach, uint64_t session)
{
    struct buf b = {0};
    write_op(&b, WIRE_WELCOME);
    write_map(&b, 2);
    write_text(&b, "replica");
    write_text(&b, "detector/1");
    write_text(&b, "session");
    write_uint(&b, session);
    stage_answer(attach, &b);
}

void
stage_attach(uint64_t session)
{
    stage_welcome(stage_expect(WIRE_REC_ATTACH), session);
}

void
stage_give(struct request *poll, uint64_t number, uint64_t call, const char *method,
           uint64_t ttl_ms)
{
    struct buf b = {0};
    write_op(&b, WIRE_WORK);
    write_uint(&b, number);
    write_array(&b, 1);
    write_array(&b, 6);
    write_uint(&b, call);
    write_text(&b, method);
    write_uint(&b, ttl_ms);
    write_text(&b, "pid 1 uid 0");
    write_nil(&b);
    write_array(&b, 0);
    stage_answer(poll, &b);
}

void
stage_give_none(struct request *poll, uint64_t number)
{
    struct buf b = {0};
    write_op(&b, WIRE_WORK);
    write_uint(&b, number);
    write_array(&b, 0);
    stage_answer(poll, &b);
}

uint64_t
stage_poll(void)
{
    return stage.poll;
}

uint64_t
stage_reported(const struct request *report, bool *is_error)
{
    struct record item;
    struct span inside = RECORD_FIELD(&report->record[0], REPORT, ITEMS)->inside;
    cr_assert(record_item(&inside, WIRE_REC_REPORT_ITEM, &item), "nothing is reported");
    *is_error = RECORD_FIELD(&item, REPORT_ITEM, KIND)->item.uint == WIRE_REPORT_ERROR;
    return RECORD_FIELD(&item, REPORT_ITEM, CALL)->item.uint;
}
