/* What stands in the heads of a recording: the third part of recording.h. */
#include "client/cli/recording.h"

#include <string.h>

#include "client/cli/field.h"

static const char *const kinds[] = {[RECORDING_FRAME] = "frame",
                                    [RECORDING_EVENT] = "event",
                                    [RECORDING_BEGIN] = "begin",
                                    [RECORDING_FINISH] = "end"};

static void
put_frame(prong_writer *w, const struct recording_item *item)
{
    prong_writer_map(w, 8 + (item->missed > 0) + (item->meta.len > 0));
    field_put_text(w, "kind", kinds[item->kind]);
    field_put_int(w, "at_ns", item->at_ns);
    field_put_text(w, "stream", item->name);
    field_put_uint(w, "number", item->number);
    field_put_int(w, "mono_ns", item->mono_ns);
    field_put_int(w, "time_us", item->time_us);
    field_put_text(w, "dtype", item->dtype);
    prong_writer_key(w, "shape");
    prong_writer_array(w, item->dims);
    for (uint32_t i = 0; i < item->dims; i++) {
        prong_writer_uint(w, item->shape[i]);
    }
    if (item->missed > 0) {
        field_put_uint(w, "missed", item->missed);
    }
    if (item->meta.len > 0) {
        prong_writer_key(w, "meta");
        prong_writer_raw(w, &item->meta);
    }
}

void
recording_put(prong_writer *w, const struct recording_item *item)
{
    switch (item->kind) {
    case RECORDING_FRAME:
        put_frame(w, item);
        return;
    case RECORDING_EVENT:
        prong_writer_map(w, 6);
        field_put_text(w, "kind", kinds[item->kind]);
        field_put_int(w, "at_ns", item->at_ns);
        field_put_text(w, "topic", item->name);
        field_put_uint(w, "number", item->number);
        field_put_int(w, "time_us", item->time_us);
        field_put_text(w, "source", item->source);
        return;
    case RECORDING_BEGIN:
        prong_writer_map(w, 4);
        field_put_text(w, "kind", kinds[item->kind]);
        field_put_text(w, "prong", prong_version());
        field_put_int(w, "time_us", item->time_us);
        prong_writer_key(w, "streams");
        prong_writer_raw(w, &item->streams);
        return;
    case RECORDING_FINISH:
        prong_writer_map(w, 4);
        field_put_text(w, "kind", kinds[item->kind]);
        field_put_uint(w, "frames", item->number);
        field_put_uint(w, "events", item->events);
        field_put_uint(w, "missed", item->missed);
        return;
    case RECORDING_OTHER:
        return;
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

static int64_t
get_int(const prong_value *map, const char *key)
{
    prong_value value;
    int64_t number = 0;
    return prong_value_find(map, key, &value) && prong_value_int(&value, &number) ? number : 0;
}

static bool
get_shape(const prong_value *head, struct recording_item *item)
{
    prong_value shape, length;
    if (!prong_value_find(head, "shape", &shape) || prong_value_kind(&shape) != PRONG_KIND_ARRAY ||
        prong_value_count(&shape) > PRONG_FRAME_DIMS_MAX) {
        return false;
    }
    item->dims = prong_value_count(&shape);
    for (uint32_t i = 0; i < item->dims; i++) {
        if (!prong_value_at(&shape, i, &length) || !prong_value_uint(&length, &item->shape[i])) {
            return false;
        }
    }
    return true;
}

bool
recording_get(const prong_value *head, struct recording_item *item)
{
    char kind[16];
    *item = (struct recording_item){.kind = RECORDING_OTHER};
    field_text(head, "kind", kind, sizeof kind);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i], kind) == 0) {
            item->kind = (enum recording_kind)i;
        }
    }
    item->at_ns = get_int(head, "at_ns");
    item->mono_ns = get_int(head, "mono_ns");
    item->time_us = get_int(head, "time_us");
    item->missed = field_uint(head, "missed");
    item->events = field_uint(head, "events");
    item->number = field_uint(head, item->kind == RECORDING_FINISH ? "frames" : "number");
    field_text(head, item->kind == RECORDING_EVENT ? "topic" : "stream", item->name,
               sizeof item->name);
    field_text(head, "source", item->source, sizeof item->source);
    field_text(head, "dtype", item->dtype, sizeof item->dtype);
    (void)prong_value_find(head, "meta", &item->meta); /* none is of length 0 */
    (void)prong_value_find(head, "streams", &item->streams);
    switch (item->kind) {
    case RECORDING_FRAME:
        return item->name[0] != '\0' && item->dtype[0] != '\0' && get_shape(head, item);
    case RECORDING_EVENT:
        return item->name[0] != '\0';
    case RECORDING_BEGIN:
    case RECORDING_FINISH:
    case RECORDING_OTHER:
        return true;
    }
    return false;
}
