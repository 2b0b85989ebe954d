/* What a camera sends beside each picture: see chunks.h. */
#include "client/devices/genicam/chunks.h"

#include <arv.h>
#include <stdio.h>
#include <stdlib.h>

struct chunks {
    ArvChunkParser *parser;
    size_t count;
    struct chunk {
        const char *name; /* of the selector; the options' */
        char feature[96]; /* with "Chunk" before it */
        GType type;       /* of the feature's node */
    } of[CHUNKS_MAX];
};

static bool
enable(ArvDevice *device, const char *name, char *why)
{
    return feature_set(device, "ChunkSelector", name, why) == PRONG_OK &&
           feature_set(device, "ChunkEnable", "true", why) == PRONG_OK;
}

static bool
add(struct chunks *c, ArvDevice *device, const char *name, char *why)
{
    char text[FEATURE_WHY_BYTES];
    struct chunk *chunk = &c->of[c->count];
    chunk->name = name;
    (void)snprintf(chunk->feature, sizeof chunk->feature, "Chunk%s", name);
    ArvGcNode *node = arv_device_get_feature(device, chunk->feature);
    if (node == NULL) {
        (void)snprintf(text, sizeof text, "the camera has no feature '%s'", chunk->feature);
        feature_copy_text(why, FEATURE_WHY_BYTES, text);
        return false;
    }
    chunk->type = G_OBJECT_TYPE(node);
    c->count++;
    return enable(device, name, why);
}

bool
chunks_open(ArvDevice *device, const struct options *options, struct chunks **out, char *why)
{
    const size_t count = options_count(options, "chunks");
    *out = NULL;
    if (count == 0) {
        return true;
    }
    struct chunks *c = calloc(1, sizeof *c);
    if (c == NULL) {
        feature_copy_text(why, FEATURE_WHY_BYTES, "out of memory");
        return false;
    }
    bool is_good = feature_set(device, "ChunkModeActive", "true", why) == PRONG_OK;
    for (size_t i = 0; is_good && i < count && i < CHUNKS_MAX; i++) {
        is_good = add(c, device, options_item(options, "chunks", i), why);
    }
    if (is_good) {
        c->parser = arv_device_create_chunk_parser(device);
        *out = c;
    } else {
        chunks_close(c);
    }
    return is_good;
}

bool
chunks_are_in(const struct chunks *c, void *buffer)
{
    return c != NULL && arv_buffer_has_chunks(buffer);
}

/* Write one, or nothing and give the error. */
static GError *
put(struct chunks *c, const struct chunk *chunk, ArvBuffer *buffer, prong_writer *out)
{
    GError *error = NULL;
    if (chunk->type == ARV_TYPE_GC_BOOLEAN) {
        const gboolean is_true =
            arv_chunk_parser_get_boolean_value(c->parser, buffer, chunk->feature, &error);
        if (error == NULL) {
            prong_writer_bool(out, is_true);
        }
    } else if (g_type_is_a(chunk->type, ARV_TYPE_GC_STRING)) { /* enumerations, too */
        const char *text =
            arv_chunk_parser_get_string_value(c->parser, buffer, chunk->feature, &error);
        char valid[128];
        if (error == NULL) {
            feature_copy_text(valid, sizeof valid, text);
            prong_writer_string(out, valid);
        }
    } else if (g_type_is_a(chunk->type, ARV_TYPE_GC_FLOAT)) {
        const double number =
            arv_chunk_parser_get_float_value(c->parser, buffer, chunk->feature, &error);
        if (error == NULL) {
            prong_writer_double(out, number);
        }
    } else {
        const gint64 number =
            arv_chunk_parser_get_integer_value(c->parser, buffer, chunk->feature, &error);
        if (error == NULL) {
            prong_writer_int(out, number);
        }
    }
    return error;
}

void
chunks_put(struct chunks *c, void *buffer, prong_writer *out)
{
    prong_writer_map(out, (uint32_t)c->count);
    for (size_t i = 0; i < c->count; i++) {
        prong_writer_key(out, c->of[i].name);
        GError *error = put(c, &c->of[i], buffer, out);
        if (error != NULL) {
            prong_writer_nil(out);
            g_error_free(error);
        }
    }
}

void
chunks_close(struct chunks *c)
{
    if (c != NULL) {
        g_clear_object(&c->parser);
        free(c);
    }
}
