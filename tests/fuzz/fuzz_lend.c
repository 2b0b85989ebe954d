/* Any bytes as what those who share memory tell each other. The first one says what the rest is:
 * records on the socket beside the hub's own, and what the hub grants; what others write into the
 * pages of a ring, and what a reader makes of it; or the handle of a frame or a buffer. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/shell/lend_streams.h"
#include "client/stream/memory.h"
#include "proto/ring/pass.h"
#include "proto/ring/ring.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD = sizeof(struct lend_record) };

struct input {
    const uint8_t *data;
    size_t len;
};

static void
require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static uint8_t
take(struct input *in)
{
    if (in->len == 0) {
        return 0;
    }
    in->len--;
    return *in->data++;
}

/* The next `n` bytes; fewer at the end, then zeros. */
static void
take_bytes(struct input *in, void *to, size_t n)
{
    const size_t some = n < in->len ? n : in->len;
    memset(to, 0, n);
    memcpy(to, in->data, some);
    in->data += some;
    in->len -= some;
}

/* A number of any length, most of them short. */
static uint64_t
take_number(struct input *in)
{
    uint64_t number = 0;
    take_bytes(in, &number, take(in) % 9);
    return number;
}

/* ---- records ---------------------------------------------------------------------------------
 */

/* Send `len` bytes of a record with descriptors and receive them. Whether they are one. */
static bool
pass(const struct lend_record *sent, size_t len, uint32_t count, struct lend_record *got)
{
    static int ends[2] = {-1,
                          -1}; /* one pair for all inputs: everything that is sent is received */
    int fds[LEND_FDS_MAX];
    enum pass_result result;
    if (ends[0] < 0) {
        require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    }
    for (uint32_t i = 0; i < count; i++) {
        fds[i] = ends[0];
    }
    if (len == RECORD) {
        require(pass_send(ends[0], sent, fds, count) == PASS_OK);
    } else {
        require(send(ends[0], sent, len, 0) == (ssize_t)len);
    }
    result = pass_receive(ends[1], got, fds);
    require((result == PASS_OK) == (len == RECORD && sent->version == LEND_VERSION));
    if (result == PASS_OK) {
        require(got->fds == count);
        require(memchr(got->name, '\0', sizeof got->name) != NULL &&
                memchr(got->group, '\0', sizeof got->group) != NULL &&
                memchr(got->text, '\0', sizeof got->text) != NULL);
        pass_close(fds, got->fds);
    }
    return result == PASS_OK;
}

static void
check_why(uint32_t refused, const char why[LEND_WHY_BYTES])
{
    require(refused < WIRE_ERR_COUNT);
    require(memchr(why, '\0', LEND_WHY_BYTES) != NULL && why[0] != '\0');
}

/* What a writer gets, and a page for its head when that is another ring. */
static void
plan_ring(struct lend_stream *s, const struct lend_record *ask, struct ring_head *page)
{
    char why[LEND_WHY_BYTES] = "";
    struct lend_plan plan;
    const uint32_t refused = lend_plan_ring(s, ask, &plan, why);
    if (refused != 0) {
        check_why(refused, why);
        return;
    }
    require(plan.slots >= RING_SLOTS_MIN && plan.slots <= RING_SLOTS_MAX);
    require(plan.slots >= lend_stream_holds(s) + LEND_SPARE_SLOTS);
    require(plan.slot_bytes >= ask->bytes && plan.slot_bytes % RING_PAGE == 0 &&
            plan.slot_bytes <= LEND_SLOT_BYTES_MAX);
    require(plan.generation > 0 && plan.first > 0 && plan.first <= LEND_NUMBER_MAX + 1);
    require(!plan.is_same || s->ring.slots == plan.slots);
    if (!plan.is_same) {
        require(plan.generation > s->ring.generation && plan.first > lend_ring_newest(&s->ring));
        memset(page, 0, sizeof *page);
    }
    s->ring = (struct lend_ring){.memory = {.fd = -1, .page = page},
                                 .slots = plan.slots,
                                 .slot_bytes = plan.slot_bytes,
                                 .generation = plan.generation,
                                 .first = plan.first};
}

static void
plan_reader(struct lend_stream *s, const struct lend_record *ask)
{
    char why[LEND_WHY_BYTES] = "";
    struct lend_grant grant;
    const uint32_t refused = lend_plan_reader(s, ask, &grant, why);
    if (refused != 0) {
        check_why(refused, why);
        return;
    }
    require(grant.seat < RING_READERS_MAX && s->seats[grant.seat].kind == LEND_SEAT_FREE);
    require(grant.hold >= 1 && grant.hold <= RING_HOLD_MAX && grant.policy <= RING_LOSSLESS);
    require((grant.group == LEND_NO_SEAT) == (ask->group[0] == '\0'));
    if (grant.is_new_group) {
        struct lend_seat *group = &s->seats[grant.group];
        require(grant.group != grant.seat && group->kind == LEND_SEAT_FREE);
        *group = (struct lend_seat){.kind = LEND_SEAT_GROUP, .policy = grant.policy};
        memcpy(group->name, ask->group, sizeof group->name);
    } else if (grant.group != LEND_NO_SEAT) {
        require(strcmp(s->seats[grant.group].name, ask->group) == 0);
    }
    s->seats[grant.seat] = (struct lend_seat){
        .kind = LEND_SEAT_READER, .policy = grant.policy, .hold = grant.hold, .group = grant.group};
    require(s->ring.slots == 0 || lend_stream_holds(s) + LEND_SPARE_SLOTS <= s->ring.slots);
}

/* Fields that are likely, or all of its bytes: one byte everywhere, and others at the beginning. */
static void
take_record(struct input *in, struct lend_record *record)
{
    static const char *const groups[] = {"", "g", "h", "No group"};
    const uint8_t how = take(in);
    if (how >= 240) {
        memset(record, take(in), RECORD);
        take_bytes(in, record, take(in) * 2u % RECORD);
        record->version = how % 4 != 0 ? LEND_VERSION : record->version;
        return;
    }
    *record = (struct lend_record){.version = (uint16_t)(how == 0 ? take(in) : LEND_VERSION),
                                   .slots = take(in),
                                   .hold = take(in) % 40,
                                   .policy = take(in) % 4,
                                   .bytes = take_number(in),
                                   .generation = take_number(in),
                                   .numbers = {take_number(in)}};
    memcpy(record->group, groups[how % 4], strlen(groups[how % 4]));
}

static void
try_records(struct input *in)
{
    static struct ring_head page;
    static struct lend_stream stream;
    stream = (struct lend_stream){.name = "cam"};
    while (in->len > 0) {
        const uint8_t what = take(in);
        struct lend_record sent, got;
        take_record(in, &sent);
        const size_t cut = what / 8 % 4 == 3 ? take(in) * 2u : RECORD;
        if (what % 8 == 7) {
            stream.seats[take(in) % RING_READERS_MAX].kind = LEND_SEAT_FREE;
        } else if (what % 8 == 6 && stream.ring.slots != 0) { /* the writer scribbles */
            atomic_store(&page.newest, take_number(in));
            stream.ring.is_doubtful = take(in) % 4 == 0;
        } else if (!pass(&sent, cut < RECORD ? cut : RECORD, what / 32 % (LEND_FDS_MAX + 1),
                         &got)) {
            continue;
        } else if (what % 2 == 0) {
            plan_ring(&stream, &got, &page);
        } else {
            plan_reader(&stream, &got);
        }
    }
}

/* ---- pages -----------------------------------------------------------------------------------
 */

/* Those of a ring without the frames, a reader and a group. */
struct pages {
    void *head, *desk, *group;
    size_t head_bytes;
};

/* Another number somewhere in a page. */
static void
scribble(struct input *in, void *page, size_t bytes)
{
    uint64_t *numbers = page;
    const size_t place = take(in) | (size_t)take(in) << 8;
    numbers[place % (bytes / sizeof *numbers)] = take_number(in);
}

static void
read_frame(struct input *in, struct ring_reader *r, uint8_t how)
{
    struct ring_taken t;
    const uint64_t number = take_number(in);
    const enum ring_result result = how == 0   ? ring_reader_number(r, number, &t)
                                    : how == 1 ? ring_reader_nearest(r, (int64_t)number, &t)
                                               : ring_reader_next(r, &t);
    require(result <= RING_LOST);
    if (result == RING_TAKEN) {
        require(t.slot < r->slots && t.pin < r->hold);
        if (number % 4 != 0) {
            (void)ring_reader_release(r, &t);
        }
    }
}

static void
write_frame(struct ring_writer *w)
{
    uint64_t blockers;
    const int slot = ring_writer_mark(w, &blockers);
    if (slot != RING_NO_SLOT) {
        require(slot >= 0 && (uint32_t)slot < w->slots);
        if (ring_writer_confirm(w, slot)) {
            (void)ring_writer_publish(w, slot, 1);
        }
    }
}

static void
use_pages(struct input *in, const struct pages *p, uint32_t slots)
{
    const uint8_t kind = take(in);
    struct ring_reader reader = {.head = p->head,
                                 .desk = p->desk,
                                 .group = kind % 2 == 0 ? p->group : NULL,
                                 .slots = slots,
                                 .hold = kind / 4 % RING_HOLD_MAX + 1,
                                 .generation = 1,
                                 .policy = kind / 2 % 2 == 0 ? RING_LATEST : RING_LOSSLESS};
    struct ring_writer writer;
    ring_writer_init(&writer, p->head);
    writer.desks[0] = (struct ring_known){p->desk, reader.policy, reader.hold, false};
    while (in->len > 0) {
        const uint8_t what = take(in);
        switch (what % 8) {
        case 0:
            scribble(in, p->head, p->head_bytes);
            break;
        case 1:
            scribble(in, p->group, RING_PAGE);
            break;
        case 2:
            scribble(in, p->desk, RING_PAGE);
            break;
        case 3:
            write_frame(&writer);
            break;
        case 4:
            (void)ring_group_bury(p->group, p->head, p->desk, reader.hold);
            break;
        default:
            read_frame(in, &reader, what % 8 - 5);
        }
    }
}

static void
try_pages(struct input *in)
{
    const uint32_t slots = RING_SLOTS_MIN + take(in) % (RING_SLOTS_MAX - RING_SLOTS_MIN + 1);
    struct pages p = {.head_bytes = ring_data_offset(slots, 0, 0)};
    p.head = calloc(1, p.head_bytes);
    p.desk = calloc(1, RING_PAGE);
    p.group = calloc(1, RING_PAGE);
    if (p.head != NULL && p.desk != NULL && p.group != NULL) {
        *(struct ring_head *)p.head = (struct ring_head){.magic = RING_MAGIC,
                                                         .version = RING_VERSION,
                                                         .slots = slots,
                                                         .slot_bytes = RING_PAGE,
                                                         .generation = 1,
                                                         .first = 1};
        use_pages(in, &p, slots);
    }
    free(p.head);
    free(p.desk);
    free(p.group);
}

/* ---- handles ---------------------------------------------------------------------------------
 */

/* There is no hub, so a good one is only asked for. */
static void
try_handle(struct input *in)
{
    static char nowhere[] = "ipc:///nonexistent/hub.sock";
    prong_memory m = {.lock = PTHREAD_MUTEX_INITIALIZER,
                      .url = nowhere,
                      .fd = -1,
                      .owner = getpid(),
                      .hold = 1,
                      .refs = 1};
    const prong_value value = {in->data, in->len};
    const prong_frame *frame = NULL;
    prong_buffer *buffer = NULL;
    prong_err err = prong_frame_take(&m, &value, &frame);
    require(err == PRONG_INVALID_ARGUMENT || err == PRONG_UNAVAILABLE);
    err = prong_buffer_take(&m, &value, &buffer);
    require(err == PRONG_INVALID_ARGUMENT || err == PRONG_UNAVAILABLE);
    require(frame == NULL && buffer == NULL && m.refs == 1);
    (void)pthread_mutex_destroy(&m.lock);
}

/* Types and shapes come with handles, and from writers. */
static void
try_shape(struct input *in)
{
    char dtype[RING_DTYPE_BYTES + 1];
    uint64_t shape[RING_DIMS_MAX];
    struct shape out;
    const size_t bytes = (size_t)take_number(in) + 1;
    prong_frame_info info = {
        .dtype = dtype, .dims = take(in) % (RING_DIMS_MAX + 2), .shape = shape};
    take_bytes(in, dtype, RING_DTYPE_BYTES);
    dtype[RING_DTYPE_BYTES] = '\0';
    for (uint32_t i = 0; i < RING_DIMS_MAX; i++) {
        shape[i] = take_number(in);
    }
    if (bytes > LEND_SLOT_BYTES_MAX ||
        shape_check(&info, bytes, &out, (struct why){NULL, 0}) != PRONG_OK) {
        return;
    }
    require(out.dims >= 1 && out.dims <= RING_DIMS_MAX && strcmp(out.dtype, dtype) == 0);
    for (uint32_t i = 0; i < out.dims; i++) {
        require(out.shape[i] >= 1 && out.shape[i] <= bytes);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct input * in) = {try_records, try_pages, try_handle,
                                                       try_shape};
    struct input in = {data, size};
    tries[take(&in) % (sizeof tries / sizeof tries[0])](&in);
    return 0;
}
