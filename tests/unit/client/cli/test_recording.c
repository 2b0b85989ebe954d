/* The file format of recordings: read back as written, cut off anywhere, any bit flipped, and a
 * disk that is full. */
#include "client/cli/recording.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/test.h"

enum { FRAMES = 3, FILE_BYTES_MAX = 4096 };

static int
memory_file(void)
{
    const int fd = memfd_create("recording", MFD_CLOEXEC);
    cr_assert(fd >= 0);
    return fd;
}

/* An empty map, a map with one pair. */
static const uint8_t no_meta[] = {0x80}, some_meta[] = {0x81, 0xa1, 'a', 0x01};

static struct recording_item
frame_item(uint64_t number)
{
    struct recording_item item = {.kind = RECORDING_FRAME,
                                  .at_ns = (int64_t)number * 1000 - 1500,
                                  .number = number,
                                  .missed = number == 2 ? 7 : 0,
                                  .mono_ns = INT64_MAX - 5,
                                  .time_us = 1700000000123456,
                                  .dtype = "<f4",
                                  .dims = 2,
                                  .shape = {number, 4},
                                  .meta = {some_meta, number == 1 ? sizeof some_meta : 0}};
    (void)snprintf(item.name, sizeof item.name, "cam%d", (int)number);
    return item;
}

static size_t
payload_of(uint64_t number, uint8_t payload[64])
{
    for (size_t i = 0; i < 64; i++) {
        payload[i] = (uint8_t)(number * 31 + i);
    }
    return (size_t)number * 16;
}

static void
append(struct recording *r, const struct recording_item *item, const void *payload, size_t bytes)
{
    prong_writer *w = prong_writer_new();
    prong_value head;
    recording_put(w, item);
    cr_assert_eq(prong_writer_finish(w, &head), PRONG_OK, "%s", prong_writer_problem(w));
    cr_assert(recording_append(r, &head, payload, bytes));
    prong_writer_free(w);
}

/* A begin, three frames, an event and an end; where each ends. Returns how many records. */
static size_t
write_small(struct recording *r, uint64_t ends[8])
{
    uint8_t payload[64];
    size_t count = 0;
    struct recording_item event = {.kind = RECORDING_EVENT, .at_ns = 9, .number = 5, .time_us = 6};
    const struct recording_item begin = {.kind = RECORDING_BEGIN,
                                         .streams = {no_meta, sizeof no_meta}};
    const struct recording_item end = {
        .kind = RECORDING_FINISH, .number = FRAMES, .events = 1, .missed = 7};
    cr_assert(recording_begin(r, memory_file()));
    append(r, &begin, NULL, 0);
    ends[count++] = r->offset;
    for (uint64_t n = 1; n <= FRAMES; n++) {
        const struct recording_item item = frame_item(n);
        append(r, &item, payload, payload_of(n, payload));
        ends[count++] = r->offset;
    }
    (void)snprintf(event.name, sizeof event.name, "plc.trigger");
    (void)snprintf(event.source, sizeof event.source, "plc/0");
    append(r, &event, some_meta, sizeof some_meta);
    ends[count++] = r->offset;
    append(r, &end, NULL, 0);
    ends[count++] = r->offset;
    return count;
}

static int
copy_of(const uint8_t *bytes, size_t len)
{
    const int fd = memory_file();
    cr_assert_eq(pwrite(fd, bytes, len, 0), (ssize_t)len);
    return fd;
}

static size_t
bytes_of(const struct recording *r, uint8_t bytes[FILE_BYTES_MAX])
{
    cr_assert_leq(r->offset, (uint64_t)FILE_BYTES_MAX);
    cr_assert_eq(pread(r->fd, bytes, (size_t)r->offset, 0), (ssize_t)r->offset);
    return (size_t)r->offset;
}

/* Whether the record is the one of this index that write_small wrote, payload and all. */
static bool
is_as_written(const struct recording *r, const struct recording_record *record, size_t index)
{
    struct recording_item item;
    uint8_t payload[64], wanted[64];
    if (!recording_get(&record->head, &item) || record->payload_bytes > sizeof payload ||
        recording_read(r, record, payload) != RECORDING_OK) {
        return false;
    }
    if (index == 0) {
        return item.kind == RECORDING_BEGIN;
    }
    if (index <= FRAMES) {
        const struct recording_item was = frame_item(index);
        const size_t bytes = payload_of(index, wanted);
        return item.kind == RECORDING_FRAME && item.number == index && item.at_ns == was.at_ns &&
               item.missed == was.missed && item.mono_ns == was.mono_ns &&
               item.time_us == was.time_us && strcmp(item.name, was.name) == 0 &&
               strcmp(item.dtype, "<f4") == 0 && item.dims == 2 && item.shape[0] == index &&
               item.shape[1] == 4 && item.meta.len == was.meta.len &&
               record->payload_bytes == bytes && memcmp(payload, wanted, bytes) == 0;
    }
    if (index == FRAMES + 1) {
        return item.kind == RECORDING_EVENT && item.number == 5 && item.time_us == 6 &&
               item.at_ns == 9 && strcmp(item.name, "plc.trigger") == 0 &&
               strcmp(item.source, "plc/0") == 0 && record->payload_bytes == sizeof some_meta &&
               memcmp(payload, some_meta, sizeof some_meta) == 0;
    }
    return item.kind == RECORDING_FINISH && item.number == FRAMES && item.events == 1 &&
           item.missed == 7;
}

Test(cli_recording, is_read_back_as_it_was_written)
{
    struct recording written, r;
    struct recording_record record;
    uint64_t ends[8];
    const size_t count = write_small(&written, ends);
    cr_assert_eq(recording_open(&r, dup(written.fd)), RECORDING_OK);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq(recording_next(&r, &record), RECORDING_OK);
            cr_assert(is_as_written(&r, &record, i), "record %zu", i);
            cr_assert_eq(r.offset, ends[i]);
        }
        cr_assert_eq(recording_next(&r, &record), RECORDING_END);
        recording_rewind(&r);
    }
    recording_close(&r);
    recording_close(&r);
    recording_close(&written);
}

Test(cli_recording, is_good_up_to_where_it_was_cut_off)
{
    struct recording written;
    uint64_t ends[8];
    uint8_t bytes[FILE_BYTES_MAX];
    const size_t count = write_small(&written, ends);
    const size_t len = bytes_of(&written, bytes);
    recording_close(&written);
    for (size_t cut = 0; cut <= len; cut++) {
        struct recording r;
        struct recording_record record;
        const enum recording_result opened = recording_open(&r, copy_of(bytes, cut));
        cr_assert_eq(opened, cut < 16 ? RECORDING_TORN : RECORDING_OK, "cut at %zu", cut);
        size_t i = 0;
        for (; opened == RECORDING_OK && i < count && ends[i] <= cut; i++) {
            cr_assert_eq(recording_next(&r, &record), RECORDING_OK, "cut at %zu", cut);
            cr_assert(is_as_written(&r, &record, i), "cut at %zu, record %zu", cut, i);
        }
        const bool is_between = cut == 16 || (i > 0 && ends[i - 1] == cut);
        cr_assert(opened != RECORDING_OK ||
                      recording_next(&r, &record) == (is_between ? RECORDING_END : RECORDING_TORN),
                  "cut at %zu", cut);
        recording_close(&r);
    }
}

Test(cli_recording, never_gives_out_what_a_flipped_bit_changed)
{
    struct recording written;
    uint64_t ends[8];
    uint8_t bytes[FILE_BYTES_MAX];
    const size_t count = write_small(&written, ends);
    const size_t len = bytes_of(&written, bytes);
    recording_close(&written);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        struct recording r;
        struct recording_record record;
        size_t good = 0, index = 0;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum recording_result result = recording_open(&r, copy_of(bytes, len));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert((result == RECORDING_OK) == (bit / 8 >= 16), "bit %zu", bit);
        while (result == RECORDING_OK || result == RECORDING_DAMAGED) {
            result = recording_next(&r, &record);
            if (result == RECORDING_OK && is_as_written(&r, &record, index)) {
                good++;
            }
            const bool is_hit = index < count && bit / 8 < ends[index] &&
                                bit / 8 >= (index > 0 ? ends[index - 1] : 16);
            cr_assert(result != RECORDING_OK || is_hit || is_as_written(&r, &record, index),
                      "bit %zu, record %zu", bit, index);
            cr_assert(!(is_hit && result == RECORDING_OK && is_as_written(&r, &record, index)),
                      "bit %zu of record %zu was not noticed", bit, index);
            index++;
        }
        /* One record is lost, or it and those behind it when its length is. */
        cr_assert(bit / 8 < 16 || good == count - 1 || result == RECORDING_BROKEN, "bit %zu", bit);
        recording_close(&r);
    }
}

Test(cli_recording, of_zeros_at_the_end_is_cut_off_and_other_files_are_none)
{
    struct recording written, r;
    struct recording_record record;
    uint64_t ends[8];
    uint8_t bytes[FILE_BYTES_MAX] = {0};
    const size_t count = write_small(&written, ends), len = bytes_of(&written, bytes);
    recording_close(&written);
    cr_assert_eq(recording_open(&r, copy_of(bytes, len + 100)), RECORDING_OK);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(recording_next(&r, &record), RECORDING_OK);
    }
    cr_assert_eq(recording_next(&r, &record), RECORDING_TORN);
    recording_close(&r);
    static const uint8_t other[] = "{\"this\": \"is something else\"}";
    cr_assert_eq(recording_open(&r, copy_of(other, sizeof other)), RECORDING_FOREIGN);
    recording_close(&r);
}

Test(cli_recording, of_a_later_version_is_told)
{
    struct recording written, r;
    uint64_t ends[8];
    (void)write_small(&written, ends);
    uint8_t head[16];
    cr_assert_eq(pread(written.fd, head, sizeof head, 0), 16);
    head[8] = 2;
    const uint32_t crc = crc_of(&written.crc, head, 12);
    memcpy(head + 12, &crc, 4); /* these tests run on little-endian machines */
    cr_assert_eq(pwrite(written.fd, head, sizeof head, 0), 16);
    cr_assert_eq(recording_open(&r, dup(written.fd)), RECORDING_NEWER);
    recording_close(&r);
    recording_close(&written);
}

Test(cli_recording, ends_with_what_fits_on_a_full_disk)
{
    struct recording written, r;
    struct recording_record record;
    uint64_t ends[8];
    uint8_t large[2048] = {1};
    const struct recording_item item = frame_item(1);
    const size_t count = write_small(&written, ends);
    const uint64_t before = written.offset;
    const struct rlimit limit = {before + 300, RLIM_INFINITY};
    prong_writer *w = prong_writer_new();
    prong_value head;
    recording_put(w, &item);
    cr_assert_eq(prong_writer_finish(w, &head), PRONG_OK);
    cr_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_not(recording_append(&written, &head, large, sizeof large));
    cr_assert_eq(written.offset, before);
    cr_assert_eq(lseek(written.fd, 0, SEEK_END), (off_t)before);
    cr_assert(recording_append(&written, &head, large, 16), "what fits is taken");
    prong_writer_free(w);
    cr_assert_eq(recording_open(&r, dup(written.fd)), RECORDING_OK);
    for (size_t i = 0; i < count + 1; i++) {
        cr_assert_eq(recording_next(&r, &record), RECORDING_OK);
    }
    cr_assert_eq(recording_next(&r, &record), RECORDING_END);
    recording_close(&r);
    recording_close(&written);
}

Test(cli_recording, heads_that_say_what_cannot_be_are_refused)
{
    static const char *const bad[] = {
        "{\"kind\":\"frame\",\"dtype\":\"|u1\",\"shape\":[1]}",
        "{\"kind\":\"frame\",\"stream\":\"a\",\"shape\":[1]}",
        "{\"kind\":\"frame\",\"stream\":\"a\",\"dtype\":\"|u1\"}",
        "{\"kind\":\"frame\",\"stream\":\"a\",\"dtype\":\"|u1\",\"shape\":[-1]}",
        "{\"kind\":\"frame\",\"stream\":\"a\",\"dtype\":\"|u1\",\"shape\":[1,1,1,1,1,1,1,1,1]}",
        "{\"kind\":\"frame\",\"stream\":\"a\",\"dtype\":\"|u1\",\"shape\":\"1\"}",
        "{\"kind\":\"event\",\"source\":\"a\"}",
    };
    struct recording_item item;
    prong_writer *w = prong_writer_new();
    prong_value head;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        prong_writer_reset(w);
        cr_assert_eq(prong_value_from_json(bad[i], strlen(bad[i]), w, NULL, 0), PRONG_OK);
        cr_assert_eq(prong_writer_finish(w, &head), PRONG_OK);
        cr_assert_not(recording_get(&head, &item), "%s", bad[i]);
    }
    static const char later[] = "{\"kind\":\"index\"}";
    prong_writer_reset(w);
    cr_assert_eq(prong_value_from_json(later, sizeof later - 1, w, NULL, 0), PRONG_OK);
    cr_assert_eq(prong_writer_finish(w, &head), PRONG_OK);
    cr_assert(recording_get(&head, &item));
    cr_assert_eq(item.kind, RECORDING_OTHER);
    prong_writer_free(w);
}

Test(cli_recording, the_crc_is_that_of_zlib)
{
    struct crc crc;
    crc_init(&crc);
    cr_assert_eq(crc_of(&crc, "", 0), 0u);
    cr_assert_eq(crc_of(&crc, "123456789", 9), 0xcbf43926u);
    /* Eight bytes at a time and one at a time come to the same, wherever it begins. */
    uint8_t data[64];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 37 + 11);
    }
    for (size_t begin = 0; begin < 8; begin++) {
        for (size_t len = 0; begin + len <= sizeof data; len++) {
            uint32_t slow = UINT32_MAX;
            for (size_t i = 0; i < len; i++) {
                slow = (slow >> 8) ^ crc.tables[0][(slow ^ data[begin + i]) & 0xff];
            }
            cr_assert_eq(crc_of(&crc, data + begin, len), ~slow, "%zu from %zu", len, begin);
        }
    }
}
