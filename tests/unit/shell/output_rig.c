/* What the tests of output.c share: see output_rig.h. */
#include "tests/unit/shell/output_rig.h"
#include "proto/mp.h"
#include "proto/name.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

char rig_text[CAPTURE_TEXT];

static bool
has_replica(void *context, const char *replica)
{
    const struct rig *r = context;
    cr_assert(strchr(replica, '/') != NULL, "%s is no replica", replica);
    return !r->is_gone;
}

static bool
running(void *context, uint64_t process, char out[HUB_CALL_BYTES])
{
    const struct rig *r = context;
    (void)snprintf(out, HUB_CALL_BYTES, "%s", r->call != NULL ? r->call : "");
    return r->call != NULL && process > 0;
}

static void
line(void *context, const struct output_line *l)
{
    struct rig *r = context;
    const size_t n = strlen(r->lines);
    (void)snprintf(r->lines + n, sizeof r->lines - n, "%s %d %.*s%s|", l->replica, (int)l->level,
                   (int)(l->len < 40 ? l->len : 40), l->text, l->is_event ? "!" : "");
}

static void
answer(void *context, uint64_t call, struct span payload)
{
    struct rig *r = context;
    r->answered = call;
    buf_reset(&r->answer, 0);
    buf_put(&r->answer, payload.data, payload.len);
}

void
rig_open(struct rig *r, const struct log *log)
{
    r->is_gone = r->is_old = false;
    r->epoch++;
    r->how.level = SPEC_LEVEL_DEBUG;
    r->lines[0] = '\0';
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    (void)dir_file(r->dir, "log");
    r->output = output_new(&(struct output_options){.epoll_fd = r->epoll_fd,
                                                    .dir = r->dir,
                                                    .log = log,
                                                    .since_us = r->since_us,
                                                    .epoch = r->epoch,
                                                    .has_replica = has_replica,
                                                    .running = running,
                                                    .line = line,
                                                    .answer = answer,
                                                    .context = r});
    cr_assert_not_null(r->output, "no memory");
}

void
rig_close(struct rig *r)
{
    output_free(r->output);
    buf_deinit(&r->answer);
    (void)close(r->epoll_fd);
}

void
rig_give(struct rig *r, const char *worker, uint32_t replica, int32_t process, int fd, size_t bytes,
         uint32_t backups)
{
    struct output_target target = {worker, replica, process, r->how, r->is_old};
    target.how.file_bytes_max = bytes;
    target.how.backups = backups;
    output_add(r->output, (uint64_t)process, fd, &target);
}

int
rig_add(struct rig *r, const char *worker, uint32_t replica, int32_t process, size_t file_bytes_max)
{
    int ends[2];
    cr_assert(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    rig_give(r, worker, replica, process, ends[0], file_bytes_max, 2);
    return ends[1];
}

void
rig_put(struct rig *r, int fd, const char *bytes, size_t len)
{
    struct epoll_event events[8];
    cr_assert(write(fd, bytes, len) == (ssize_t)len, "write");
    for (int n; (n = epoll_wait(r->epoll_fd, events, 8, 0)) > 0;) {
        for (int i = 0; i < n; i++) {
            struct source *source = events[i].data.ptr;
            source->ready(source, events[i].events);
        }
        output_turn(r->output, r->now_ns, false);
    }
}

void
rig_say(struct rig *r, int fd, const char *lines)
{
    rig_put(r, fd, lines, strlen(lines));
}

void
rig_end(struct rig *r, int32_t process, int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
    output_end(r->output, (uint64_t)process);
    output_turn(r->output, r->now_ns, false);
}

const char *
rig_lines_of(const char *name)
{
    static char out[CAPTURE_TEXT];
    size_t n = 0;
    const char *p = capture_file(rig_text, name);
    while (*p != '\0') {
        const size_t len = strcspn(p, "\n") + 1;
        cr_assert(len > LOG_TIME_BYTES - 5 && p[10] == 'T' && p[26] == 'Z' && p[27] == ' ', "%s",
                  p);
        memcpy(out + n, p + 28, len - 28);
        n += len - 28;
        p += len;
    }
    out[n] = '\0';
    return out;
}

enum follow_outcome
rig_ask(struct rig *r, const struct follow_question *question, struct buf *out)
{
    const char *refused = NULL;
    const enum follow_outcome outcome = output_ask(r->output, question, r->now_ns, out, &refused);
    cr_assert((outcome == FOLLOW_REFUSED) == (refused != NULL), "%s", refused);
    return outcome;
}

void
rig_list(struct rig *r, const char *worker, int64_t only, uint32_t count, struct buf *out)
{
    char name[100];
    (void)snprintf(name, sizeof name, only < 0 ? "%s" : "%s/%d", worker, (int)only);
    const struct follow_question question = {
        .names = {(const uint8_t *)name, strlen(name) + 1}, .lines = count, .level = LOG_DEBUG};
    cr_assert(rig_ask(r, &question, out) == FOLLOW_ANSWERED, "no answer");
}

const char *
rig_last(struct rig *r, const char *worker, int64_t only, uint32_t count)
{
    static char out[CAPTURE_TEXT];
    struct buf b = {0};
    struct mp_item item, name = {0};
    size_t n = 0;
    rig_list(r, worker, only, count, &b);
    struct span s = buf_span(&b);
    cr_assert(mp_next(&s, &item) && item.kind == MP_ARRAY, "no list");
    out[0] = '\0';
    while (s.len > 0 && mp_next(&s, &item)) {
        const bool is_key = item.kind == MP_STR && name.kind != MP_STR;
        if (name.kind == MP_STR && span_is(name.bytes, "line")) {
            n +=
                (size_t)snprintf(out + n, sizeof out - n, item.kind == MP_BIN ? "<%.*s>|" : "%.*s|",
                                 (int)item.bytes.len, (const char *)item.bytes.data);
        } else if (name.kind == MP_STR && span_is(name.bytes, "pid")) {
            n += (size_t)snprintf(out + n, sizeof out - n, "%llu ", (unsigned long long)item.uint);
        } else if (name.kind == MP_STR && span_is(name.bytes, "replica")) {
            n += (size_t)snprintf(out + n, sizeof out - n, "%.*s ", (int)item.bytes.len,
                                  (const char *)item.bytes.data);
        }
        name = is_key ? item : (struct mp_item){0};
    }
    buf_deinit(&b);
    return out;
}
