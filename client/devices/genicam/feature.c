/* The features of a camera: see feature.h. */
#include "client/devices/genicam/feature.h"

#include <arv.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEATURES_MAX = 4096, CATEGORIES_MAX = 256 };

enum kind {
    KIND_CATEGORY,
    KIND_ENUM,
    KIND_BOOL,
    KIND_COMMAND,
    KIND_TEXT,
    KIND_FLOAT,
    KIND_INT,
    KIND_OTHER,
};

static const char *const kind_words[] = {
    [KIND_CATEGORY] = "category", [KIND_ENUM] = "enumeration", [KIND_BOOL] = "boolean",
    [KIND_COMMAND] = "command",   [KIND_TEXT] = "string",      [KIND_FLOAT] = "float",
    [KIND_INT] = "integer",       [KIND_OTHER] = "register",
};

/* An enumeration is an integer to Aravis, too; so the order matters. */
static enum kind
kind_of(ArvGcNode *node)
{
    return ARV_IS_GC_CATEGORY(node)      ? KIND_CATEGORY
           : ARV_IS_GC_ENUMERATION(node) ? KIND_ENUM
           : ARV_IS_GC_BOOLEAN(node)     ? KIND_BOOL
           : ARV_IS_GC_COMMAND(node)     ? KIND_COMMAND
           : ARV_IS_GC_STRING(node)      ? KIND_TEXT
           : ARV_IS_GC_FLOAT(node)       ? KIND_FLOAT
           : ARV_IS_GC_INTEGER(node)     ? KIND_INT
                                         : KIND_OTHER;
}

/* ---- texts ------------------------------------------------------------------------------------
 */

void
feature_copy_text(char *to, size_t size, const char *from)
{
    char *valid = g_utf8_make_valid(from != NULL ? from : "", -1);
    size_t len = strlen(valid);
    if (len >= size) {
        len = size - 1;
        while (len > 0 && ((unsigned char)valid[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    memcpy(to, valid, len);
    to[len] = '\0';
    g_free(valid);
}

static prong_err
fail(prong_err code, char *why, const char *text)
{
    feature_copy_text(why, FEATURE_WHY_BYTES, text);
    return code;
}

/* The camera does not answer. */
static bool
is_silence(const GError *error)
{
    return error->domain == ARV_DEVICE_ERROR && (error->code == ARV_DEVICE_ERROR_TIMEOUT ||
                                                 error->code == ARV_DEVICE_ERROR_TRANSFER_ERROR ||
                                                 error->code == ARV_DEVICE_ERROR_NOT_CONNECTED);
}

prong_err
feature_failed(GError *error, const char *what, char *why)
{
    char text[FEATURE_WHY_BYTES];
    const prong_err code = is_silence(error) ? PRONG_UNAVAILABLE : PRONG_FAILED_PRECONDITION;
    (void)snprintf(text, sizeof text, "%s: %s", what, error->message);
    g_error_free(error);
    return fail(code, why, text);
}

static void
put_text(prong_writer *out, const char *text)
{
    char *valid = g_utf8_make_valid(text != NULL ? text : "", -1);
    prong_writer_string(out, valid);
    g_free(valid);
}

/* ---- finding ----------------------------------------------------------------------------------
 */

/* A feature that is there, and not a category; NULL with the code and the reason. */
static ArvGcNode *
find(ArvDevice *device, const char *name, prong_err *code, char *why)
{
    char text[FEATURE_WHY_BYTES];
    GError *error = NULL;
    ArvGcNode *node = arv_device_get_feature(device, name);
    if (!ARV_IS_GC_FEATURE_NODE(node) || kind_of(node) == KIND_CATEGORY) {
        (void)snprintf(text, sizeof text, "the camera has no feature '%s'", name);
        *code = fail(PRONG_NOT_FOUND, why, text);
        return NULL;
    }
    const bool is_there = arv_gc_feature_node_is_available(ARV_GC_FEATURE_NODE(node), &error);
    if (error != NULL) {
        *code = feature_failed(error, name, why);
        return NULL;
    }
    if (!is_there) {
        (void)snprintf(text, sizeof text, "the camera has no '%s' as it is set up now", name);
        *code = fail(PRONG_FAILED_PRECONDITION, why, text);
        return NULL;
    }
    *code = PRONG_OK;
    return node;
}

static ArvGcAccessMode
access_of(ArvGcNode *node)
{
    return arv_gc_feature_node_get_actual_access_mode(ARV_GC_FEATURE_NODE(node));
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Write the value, or nothing and give the error. */
static GError *
put_value(ArvGcNode *node, prong_writer *out)
{
    GError *error = NULL;
    const char *text = NULL;
    gboolean is_true = FALSE;
    double real = 0;
    gint64 number = 0;
    switch (kind_of(node)) {
    case KIND_ENUM:
        text = arv_gc_enumeration_get_string_value(ARV_GC_ENUMERATION(node), &error);
        break;
    case KIND_TEXT:
        text = arv_gc_string_get_value(ARV_GC_STRING(node), &error);
        break;
    case KIND_BOOL:
        is_true = arv_gc_boolean_get_value(ARV_GC_BOOLEAN(node), &error);
        break;
    case KIND_FLOAT:
        real = arv_gc_float_get_value(ARV_GC_FLOAT(node), &error);
        break;
    case KIND_INT:
        number = arv_gc_integer_get_value(ARV_GC_INTEGER(node), &error);
        break;
    case KIND_CATEGORY:
    case KIND_COMMAND:
    case KIND_OTHER:
        prong_writer_nil(out);
        return NULL;
    }
    if (error != NULL) {
        return error;
    }
    switch (kind_of(node)) {
    case KIND_BOOL:
        prong_writer_bool(out, is_true);
        break;
    case KIND_FLOAT:
        prong_writer_double(out, real);
        break;
    case KIND_INT:
        prong_writer_int(out, number);
        break;
    case KIND_ENUM:
    case KIND_TEXT:
    case KIND_CATEGORY:
    case KIND_COMMAND:
    case KIND_OTHER:
        put_text(out, text);
        break;
    }
    return NULL;
}

prong_err
feature_get(ArvDevice *device, const char *name, prong_writer *out, char *why)
{
    char text[FEATURE_WHY_BYTES];
    prong_err code;
    ArvGcNode *node = find(device, name, &code, why);
    if (node == NULL) {
        return code;
    }
    const enum kind kind = kind_of(node);
    if (kind == KIND_COMMAND || kind == KIND_OTHER || access_of(node) == ARV_GC_ACCESS_MODE_WO) {
        (void)snprintf(text, sizeof text, "'%s' (%s) cannot be read%s", name, kind_words[kind],
                       kind == KIND_COMMAND ? ": execute it" : "");
        return fail(PRONG_FAILED_PRECONDITION, why, text);
    }
    GError *error = put_value(node, out);
    return error == NULL ? PRONG_OK : feature_failed(error, name, why);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* "A, B, C" of an enumeration, as far as there is room. */
static void
words_of(ArvGcEnumeration *node, char *text, size_t size)
{
    guint count = 0;
    const char **words = arv_gc_enumeration_dup_available_string_values(node, &count, NULL);
    size_t used = 0;
    text[0] = '\0';
    for (guint i = 0; words != NULL && i < count && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    g_free(words);
}

static bool
has_word(ArvGcEnumeration *node, const char *word)
{
    guint count = 0;
    const char **words = arv_gc_enumeration_dup_available_string_values(node, &count, NULL);
    bool is_there = false;
    for (guint i = 0; words != NULL && i < count; i++) {
        is_there = is_there || strcmp(words[i], word) == 0;
    }
    g_free(words);
    return is_there;
}

static prong_err
set_enum(ArvGcNode *node, const char *name, const char *value, GError **error, char *why)
{
    char words[FEATURE_WHY_BYTES], text[2 * FEATURE_WHY_BYTES];
    if (!has_word(ARV_GC_ENUMERATION(node), value)) {
        words_of(ARV_GC_ENUMERATION(node), words, sizeof words);
        (void)snprintf(text, sizeof text, "'%s' cannot be '%.64s', but one of: %s", name, value,
                       words);
        return fail(PRONG_INVALID_ARGUMENT, why, text);
    }
    arv_gc_enumeration_set_string_value(ARV_GC_ENUMERATION(node), value, error);
    return PRONG_OK;
}

static prong_err
set_bool(ArvGcNode *node, const char *name, const char *value, GError **error, char *why)
{
    char text[FEATURE_WHY_BYTES];
    const bool is_true = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (!is_true && strcmp(value, "false") != 0 && strcmp(value, "0") != 0) {
        (void)snprintf(text, sizeof text, "'%s' is true or false, and not '%.64s'", name, value);
        return fail(PRONG_INVALID_ARGUMENT, why, text);
    }
    arv_gc_boolean_set_value(ARV_GC_BOOLEAN(node), is_true, error);
    return PRONG_OK;
}

static prong_err
set_float(ArvGcNode *node, const char *name, const char *value, GError **error, char *why)
{
    char text[FEATURE_WHY_BYTES];
    char *end = NULL;
    const double number = g_ascii_strtod(value, &end);
    /* A camera that has no limits says the largest numbers that there are. */
    const double min = arv_gc_float_get_min(ARV_GC_FLOAT(node), NULL);
    const double max = arv_gc_float_get_max(ARV_GC_FLOAT(node), NULL);
    if (end == value || *end != '\0' || !isfinite(number) || number < min || number > max) {
        (void)snprintf(text, sizeof text, "'%s' is a number from %g to %g, and not '%.64s'", name,
                       min, max, value);
        return fail(PRONG_INVALID_ARGUMENT, why, text);
    }
    arv_gc_float_set_value(ARV_GC_FLOAT(node), number, error);
    return PRONG_OK;
}

static prong_err
set_int(ArvGcNode *node, const char *name, const char *value, GError **error, char *why)
{
    char text[FEATURE_WHY_BYTES], steps[64] = "";
    char *end = NULL;
    const gint64 min = arv_gc_integer_get_min(ARV_GC_INTEGER(node), NULL);
    const gint64 max = arv_gc_integer_get_max(ARV_GC_INTEGER(node), NULL);
    const gint64 step = arv_gc_integer_get_inc(ARV_GC_INTEGER(node), NULL);
    const bool is_hex = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
    errno = 0;
    const gint64 number = g_ascii_strtoll(value, &end, is_hex ? 16 : 10);
    if (step > 1) {
        (void)snprintf(steps, sizeof steps, " in steps of %" PRId64, (int64_t)step);
    }
    if (end == value || *end != '\0' || errno != 0 || number < min || number > max ||
        (step > 1 && ((guint64)number - (guint64)min) % (guint64)step != 0)) {
        (void)snprintf(text, sizeof text,
                       "'%s' is a whole number from %" PRId64 " to %" PRId64 "%s, and not '%.64s'",
                       name, (int64_t)min, (int64_t)max, steps, value);
        return fail(PRONG_INVALID_ARGUMENT, why, text);
    }
    arv_gc_integer_set_value(ARV_GC_INTEGER(node), number, error);
    return PRONG_OK;
}

prong_err
feature_set(ArvDevice *device, const char *name, const char *value, char *why)
{
    char text[FEATURE_WHY_BYTES];
    GError *error = NULL;
    prong_err code;
    ArvGcNode *node = find(device, name, &code, why);
    if (node == NULL) {
        return code;
    }
    const enum kind kind = kind_of(node);
    if (kind == KIND_COMMAND || kind == KIND_OTHER || access_of(node) == ARV_GC_ACCESS_MODE_RO) {
        (void)snprintf(text, sizeof text, "'%s' (%s) cannot be written%s", name, kind_words[kind],
                       kind == KIND_COMMAND ? ": execute it" : "");
        return fail(PRONG_FAILED_PRECONDITION, why, text);
    }
    switch (kind) {
    case KIND_ENUM:
        code = set_enum(node, name, value, &error, why);
        break;
    case KIND_BOOL:
        code = set_bool(node, name, value, &error, why);
        break;
    case KIND_FLOAT:
        code = set_float(node, name, value, &error, why);
        break;
    case KIND_INT:
        code = set_int(node, name, value, &error, why);
        break;
    case KIND_TEXT:
    case KIND_CATEGORY:
    case KIND_COMMAND:
    case KIND_OTHER:
        arv_gc_string_set_value(ARV_GC_STRING(node), value, &error);
        break;
    }
    return error == NULL ? code : feature_failed(error, name, why);
}

prong_err
feature_execute(ArvDevice *device, const char *name, char *why)
{
    char text[FEATURE_WHY_BYTES];
    GError *error = NULL;
    prong_err code;
    ArvGcNode *node = find(device, name, &code, why);
    if (node == NULL) {
        return code;
    }
    if (kind_of(node) != KIND_COMMAND) {
        (void)snprintf(text, sizeof text, "'%s' (%s) is no command", name,
                       kind_words[kind_of(node)]);
        return fail(PRONG_FAILED_PRECONDITION, why, text);
    }
    arv_gc_command_execute(ARV_GC_COMMAND(node), &error);
    return error == NULL ? PRONG_OK : feature_failed(error, name, why);
}

/* ---- listing ----------------------------------------------------------------------------------
 */

struct found {
    ArvGcNode *node;
    const char *name, *category; /* the description's */
};

/* The features of all categories, each once. The description is the camera's, so that nothing is
 * believed: not that it ends, nor that a category is not within itself. */
static GArray *
collect(ArvDevice *device)
{
    GArray *features = g_array_new(FALSE, FALSE, sizeof(struct found));
    GPtrArray *categories = g_ptr_array_new();
    GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_ptr_array_add(categories, (gpointer)(uintptr_t) "Root");
    for (guint i = 0; i < categories->len && i < CATEGORIES_MAX; i++) {
        const char *category = g_ptr_array_index(categories, i);
        ArvGcNode *node = arv_device_get_feature(device, category);
        const GSList *at =
            ARV_IS_GC_CATEGORY(node) ? arv_gc_category_get_features(ARV_GC_CATEGORY(node)) : NULL;
        for (; at != NULL && features->len < FEATURES_MAX; at = at->next) {
            const struct found f = {arv_device_get_feature(device, at->data), at->data, category};
            if (!ARV_IS_GC_FEATURE_NODE(f.node) || !g_hash_table_add(seen, at->data)) {
                continue;
            }
            if (kind_of(f.node) == KIND_CATEGORY) {
                g_ptr_array_add(categories, at->data);
            } else {
                g_array_append_val(features, f);
            }
        }
    }
    g_hash_table_destroy(seen);
    g_ptr_array_free(categories, TRUE);
    return features;
}

static void
put_pair(prong_writer *out, const char *key, const char *text)
{
    prong_writer_key(out, key);
    put_text(out, text);
}

/* Smallest and largest, where the camera has them. Returns how many pairs that are, or would be
 * without `out`. */
static uint32_t
put_range(ArvGcNode *node, prong_writer *out)
{
    if (kind_of(node) == KIND_FLOAT) {
        const double min = arv_gc_float_get_min(ARV_GC_FLOAT(node), NULL);
        const double max = arv_gc_float_get_max(ARV_GC_FLOAT(node), NULL);
        if (min <= -G_MAXDOUBLE || max >= G_MAXDOUBLE) {
            return 0;
        }
        if (out != NULL) {
            prong_writer_key(out, "min");
            prong_writer_double(out, min);
            prong_writer_key(out, "max");
            prong_writer_double(out, max);
        }
        return 2;
    }
    const gint64 min = arv_gc_integer_get_min(ARV_GC_INTEGER(node), NULL);
    const gint64 max = arv_gc_integer_get_max(ARV_GC_INTEGER(node), NULL);
    if (min == G_MININT64 || max == G_MAXINT64) {
        return 0;
    }
    if (out != NULL) {
        prong_writer_key(out, "min");
        prong_writer_int(out, min);
        prong_writer_key(out, "max");
        prong_writer_int(out, max);
        prong_writer_key(out, "step");
        prong_writer_int(out, arv_gc_integer_get_inc(ARV_GC_INTEGER(node), NULL));
    }
    return 3;
}

static void
put_words(ArvGcNode *node, prong_writer *out)
{
    guint count = 0;
    const char **words =
        arv_gc_enumeration_dup_available_string_values(ARV_GC_ENUMERATION(node), &count, NULL);
    prong_writer_key(out, "values");
    prong_writer_array(out, words != NULL ? count : 0);
    for (guint i = 0; words != NULL && i < count; i++) {
        put_text(out, words[i]);
    }
    g_free(words);
}

static const char *
unit_of(ArvGcNode *node)
{
    const char *unit = kind_of(node) == KIND_FLOAT ? arv_gc_float_get_unit(ARV_GC_FLOAT(node))
                       : kind_of(node) == KIND_INT ? arv_gc_integer_get_unit(ARV_GC_INTEGER(node))
                                                   : NULL;
    return unit != NULL && unit[0] != '\0' ? unit : NULL;
}

static const char *
help_of(ArvGcNode *node)
{
    const char *help = arv_gc_feature_node_get_description(ARV_GC_FEATURE_NODE(node));
    if (help == NULL || help[0] == '\0') {
        help = arv_gc_feature_node_get_tooltip(ARV_GC_FEATURE_NODE(node));
    }
    return help != NULL && help[0] != '\0' ? help : NULL;
}

/* Gives the error of a camera that does not answer any more. */
static GError *
put_feature(const struct found *f, prong_writer *out)
{
    static const char *const access_words[] = {[ARV_GC_ACCESS_MODE_RO] = "ro",
                                               [ARV_GC_ACCESS_MODE_WO] = "wo",
                                               [ARV_GC_ACCESS_MODE_RW] = "rw"};
    enum { PAIRS = 5 };
    const enum kind kind = kind_of(f->node);
    const ArvGcAccessMode access = access_of(f->node);
    const bool is_readable = access != ARV_GC_ACCESS_MODE_WO &&
                             arv_gc_feature_node_is_available(ARV_GC_FEATURE_NODE(f->node), NULL);
    const bool has_range = kind == KIND_INT || kind == KIND_FLOAT;
    const char *unit = unit_of(f->node), *help = help_of(f->node);
    prong_writer_map(out, PAIRS + (has_range ? put_range(f->node, NULL) : 0) + (kind == KIND_ENUM) +
                              (unit != NULL) + (help != NULL));
    put_pair(out, "name", f->name);
    put_pair(out, "category", f->category);
    put_pair(out, "type", kind_words[kind]);
    put_pair(out, "access", access >= 0 ? access_words[access] : "rw");
    prong_writer_key(out, "value");
    GError *error = is_readable ? put_value(f->node, out) : NULL;
    if (error != NULL && is_silence(error)) {
        return error;
    }
    if (!is_readable || error != NULL) {
        prong_writer_nil(out);
    }
    g_clear_error(&error);
    if (has_range) {
        (void)put_range(f->node, out);
    }
    if (kind == KIND_ENUM) {
        put_words(f->node, out);
    }
    if (unit != NULL) {
        put_pair(out, "unit", unit);
    }
    if (help != NULL) {
        put_pair(out, "help", help);
    }
    return NULL;
}

prong_err
feature_list(ArvDevice *device, prong_writer *out, void (*between)(void *context), void *context,
             char *why)
{
    GArray *features = collect(device);
    prong_err code = PRONG_OK;
    prong_writer_array(out, features->len);
    for (guint i = 0; i < features->len && code == PRONG_OK; i++) {
        const struct found *f = &g_array_index(features, struct found, i);
        between(context);
        GError *error = put_feature(f, out);
        code = error != NULL ? feature_failed(error, f->name, why) : PRONG_OK;
    }
    g_array_free(features, TRUE);
    if (code == PRONG_OK && prong_writer_problem(out)[0] != '\0') {
        code = fail(PRONG_INTERNAL, why, prong_writer_problem(out));
    }
    return code;
}
