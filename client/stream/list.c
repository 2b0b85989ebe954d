/* All streams of a hub, for people: see <prong/stream.h>. */
#include "client/stream/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static prong_stream_info
info_of(const struct lend_record *record, const char *stream)
{
    const uint64_t *n = record->numbers;
    prong_stream_info info = {.is_reader = record->op == LEND_READER,
                              .pid = record->pid,
                              .slots = record->slots,
                              .slot_bytes = (size_t)record->bytes,
                              .generation = record->generation};
    (void)snprintf(info.name, sizeof info.name, "%s", info.is_reader ? stream : record->name);
    (void)snprintf(info.group, sizeof info.group, "%s", record->group);
    if (info.is_reader) {
        info.policy = record->policy == RING_LOSSLESS ? PRONG_LOSSLESS : PRONG_LATEST;
        info.hold = record->hold;
        info.next = n[0];
        info.taken = n[1];
        info.missed = n[2];
        info.delay_ns = (int64_t)n[3];
        info.held = (uint32_t)n[4];
    } else {
        info.newest = n[0];
        info.frames = n[1];
        info.bytes = n[2];
        info.skipped = n[3];
        info.newest_us = (int64_t)n[4];
        info.readers = (uint32_t)n[5];
    }
    return info;
}

prong_err
prong_stream_list(const char *url, prong_stream_info **out, size_t *count, char *text, size_t size)
{
    const struct why why = {text, size};
    struct lend_record record = {.op = LEND_LIST};
    prong_stream_info *list = NULL;
    char stream[LEND_NAME_BYTES] = "";
    size_t n = 0;
    int fd = -1, fds[LEND_FDS_MAX];
    prong_err err = lend_connect(url, &fd, why);
    if (err == PRONG_OK) {
        err = lend_ask(fd, &record, why);
    }
    while (err == PRONG_OK && (err = lend_answer(fd, &record, fds, why)) == PRONG_OK &&
           record.op != LEND_END) {
        pass_close(fds, record.fds);
        prong_stream_info *more = realloc(list, (n + 1) * sizeof *list);
        if (more == NULL) {
            err = fail(why, PRONG_RESOURCE_EXHAUSTED, "out of memory");
            break;
        }
        list = more;
        list[n++] = info_of(&record, stream);
        memcpy(stream, list[n - 1].name, sizeof stream);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (err != PRONG_OK) {
        free(list);
        return err;
    }
    *out = list;
    *count = n;
    return PRONG_OK;
}
