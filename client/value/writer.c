/* Building values. See prong/value.h.
 *
 * Owns the bytes of a writer. Pure; any thread, one at a time per object. */
#include "client/value/writer.h"

#include <stdlib.h>
#include <string.h>

#include "proto/mp.h"
#include "proto/write.h"

/* A container that is being written: objects still to come, keys of a map included. */
struct level {
    uint64_t left;
    bool is_map;
};

struct prong_writer {
    struct buf out;
    const char *problem;          /* NULL while all is well */
    struct writer_holder *holder; /* NULL: there is none */
    uint32_t depth;
    struct level level[PRONG_DEPTH_MAX + 1]; /* level[0] is the one object itself */
};

prong_writer *
prong_writer_new(void)
{
    prong_writer *w = calloc(1, sizeof *w);
    if (w != NULL) {
        w->level[0].left = 1;
    }
    return w;
}

static void
forget(const prong_writer *w)
{
    if (w->holder != NULL) {
        w->holder->forget(w->holder);
    }
}

void
prong_writer_free(prong_writer *w)
{
    if (w != NULL) {
        forget(w);
        buf_deinit(&w->out);
        free(w);
    }
}

void
prong_writer_reset(prong_writer *w)
{
    forget(w);
    buf_reset(&w->out, WIRE_MESSAGE_BYTES);
    w->problem = NULL;
    w->depth = 0;
    w->level[0] = (struct level){.left = 1};
}

struct buf *
writer_bytes(prong_writer *w)
{
    return &w->out;
}

void
writer_set_holder(prong_writer *w, struct writer_holder *holder)
{
    w->holder = holder;
}

bool
writer_has_holder(const prong_writer *w)
{
    return w->holder != NULL;
}

void
writer_hold(prong_writer *w, const struct writer_kind *kind, void *thing)
{
    if (!w->holder->hold(w->holder, kind, thing)) {
        kind->let_go(thing, false);
        w->out.failed = true; /* memory is out: its finish says so */
    }
}

static bool
refuse(prong_writer *w, const char *problem)
{
    if (w->problem == NULL) {
        w->problem = problem;
    }
    return false;
}

/* Take the place of one object in the innermost container that is not complete. */
static bool
begin(prong_writer *w, bool is_text)
{
    if (w->problem != NULL) {
        return false;
    }
    while (w->depth > 0 && w->level[w->depth].left == 0) {
        w->depth--;
    }
    struct level *in = &w->level[w->depth];
    if (in->left == 0) {
        return refuse(w, "an object was written after the whole one was complete");
    }
    if (in->is_map && in->left % 2 == 0 && !is_text) {
        return refuse(w, "a key of a map must be a text");
    }
    in->left--;
    return true;
}

static bool
begin_container(prong_writer *w, uint64_t objects, bool is_map)
{
    if (!begin(w, false)) {
        return false;
    }
    if (w->depth == PRONG_DEPTH_MAX) {
        return refuse(w, "more levels of arrays and maps than PRONG_DEPTH_MAX");
    }
    w->level[++w->depth] = (struct level){.left = objects, .is_map = is_map};
    return true;
}

/* Bytes of a text, bin or ext: a message can never hold more than this anyway. */
static bool
begin_bytes(prong_writer *w, const void *data, size_t len, bool is_text)
{
    if (len > WIRE_MESSAGE_BYTES_HARD) {
        return refuse(w, "longer than 1 GiB");
    }
    if (is_text && !mp_is_utf8((struct span){data, len})) {
        return refuse(w, "a text is not UTF-8");
    }
    return begin(w, is_text);
}

void
prong_writer_nil(prong_writer *w)
{
    if (begin(w, false)) {
        write_nil(&w->out);
    }
}

void
prong_writer_bool(prong_writer *w, bool v)
{
    if (begin(w, false)) {
        write_bool(&w->out, v);
    }
}

void
prong_writer_int(prong_writer *w, int64_t v)
{
    if (begin(w, false)) {
        write_int(&w->out, v);
    }
}

void
prong_writer_uint(prong_writer *w, uint64_t v)
{
    if (begin(w, false)) {
        write_uint(&w->out, v);
    }
}

void
prong_writer_double(prong_writer *w, double v)
{
    if (begin(w, false)) {
        write_double(&w->out, v);
    }
}

void
prong_writer_text(prong_writer *w, const char *text, size_t len)
{
    if (begin_bytes(w, text, len, true)) {
        write_str(&w->out, (struct span){(const uint8_t *)text, len});
    }
}

void
prong_writer_string(prong_writer *w, const char *text)
{
    prong_writer_text(w, text, strlen(text));
}

void
prong_writer_key(prong_writer *w, const char *key)
{
    while (w->problem == NULL && w->depth > 0 && w->level[w->depth].left == 0) {
        w->depth--;
    }
    const struct level *in = &w->level[w->depth];
    if (w->problem == NULL && (!in->is_map || in->left % 2 != 0)) {
        refuse(w, "a key where no key is wanted");
    }
    prong_writer_string(w, key);
}

void
prong_writer_bin(prong_writer *w, const void *data, size_t len)
{
    if (begin_bytes(w, data, len, false)) {
        write_bin(&w->out, (struct span){data, len});
    }
}

void
prong_writer_ext(prong_writer *w, int type, const void *data, size_t len)
{
    if (type < -128 || type > 127) {
        refuse(w, "the type of an extension must be from -128 to 127");
    } else if (begin_bytes(w, data, len, false)) {
        write_ext(&w->out, type, (struct span){data, len});
    }
}

void
prong_writer_array(prong_writer *w, uint32_t count)
{
    if (begin_container(w, count, false)) {
        write_array(&w->out, count);
    }
}

void
prong_writer_map(prong_writer *w, uint32_t pairs)
{
    if (begin_container(w, 2 * (uint64_t)pairs, true)) {
        write_map(&w->out, pairs);
    }
}

void
prong_writer_raw(prong_writer *w, const prong_value *object)
{
    if (!prong_value_is_whole(object)) {
        refuse(w, "what was given as encoded is not exactly one object");
    } else if (begin(w, prong_value_kind(object) == PRONG_KIND_TEXT)) {
        buf_put(&w->out, object->data, object->len);
    }
}

static bool
is_complete(const prong_writer *w)
{
    for (uint32_t i = 0; i <= w->depth; i++) {
        if (w->level[i].left != 0) {
            return false;
        }
    }
    return true;
}

prong_err
prong_writer_finish(prong_writer *w, prong_value *out)
{
    if (w->out.failed) {
        return PRONG_RESOURCE_EXHAUSTED;
    }
    if (w->problem != NULL || !is_complete(w)) {
        return PRONG_INVALID_ARGUMENT;
    }
    const struct span bytes = buf_span(&w->out);
    *out = (prong_value){bytes.data, bytes.len};
    return PRONG_OK;
}

const char *
prong_writer_problem(const prong_writer *w)
{
    if (w->problem != NULL) {
        return w->problem;
    }
    return w->out.failed ? "out of memory" : is_complete(w) ? "" : "the object is not complete";
}
