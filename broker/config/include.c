/* The files of one reading: see reader.h.
 *
 * They are read one after the other, the included ones after the one that names them, so that only
 * one is in memory and nothing here calls itself. `next` is a chain: what a file includes is put in
 * behind it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/reader.h"

enum { SHOWN_BYTES_MAX = CONFIG_PLACE_BYTES_MAX - 30 };

/* Some editors put a byte order mark in front of UTF-8. libyaml, which is told the encoding, would
 * take it for a character of the first line, whose indent is then another one. */
static void
set_source(struct config_reader *reader, const struct config_source *source)
{
    static const char mark[] = "\xef\xbb\xbf";
    reader->source = *source;
    if (source->size_bytes >= 3 && memcmp(source->data, mark, 3) == 0) {
        reader->source.data = (const char *)source->data + 3;
        reader->source.size_bytes -= 3;
    }
}

int
config_include_begin(struct config_reader *reader, const struct config_source *source,
                     const struct config_file *file)
{
    const char *slash = source->name != NULL ? strrchr(source->name, '/') : NULL;
    const char *base = slash != NULL ? slash + 1 : source->name != NULL ? source->name : "";
    set_source(reader, source);
    reader->name = source->name;
    reader->files = calloc(CONFIG_FILES_MAX, sizeof *reader->files);
    if (reader->files == NULL) {
        return config_fail_nomem(reader);
    }
    reader->file_count = 1;
    struct config_origin *first = &reader->files[0];
    const size_t size = strlen(source->directory) + 1 + strlen(base) + 1;
    first->directory = config_text_new(source->directory, strlen(source->directory));
    first->path = malloc(size);
    if (first->path == NULL || first->directory == NULL) {
        return config_fail_nomem(reader);
    }
    snprintf(first->path, size, "%s%s%s", source->directory,
             strcmp(source->directory, "/") == 0 ? "" : "/", base);
    first->was_read = true;
    first->device = file->device;
    first->inode = file->inode;
    return 0;
}

void
config_include_deinit(struct config_reader *reader)
{
    for (uint32_t i = 0; i < reader->file_count; i++) {
        free(reader->files[i].path);
        free(reader->files[i].directory);
    }
    free(reader->files);
    reader->files = NULL;
    reader->file_count = 0;
    free(reader->data);
    reader->data = NULL;
}

void
config_shown_path(const struct config_reader *reader, const char *path, char *out,
                  size_t size_bytes)
{
    const char *directory = reader->files[0].directory;
    const size_t len = strlen(directory);
    const char *slash = reader->name != NULL ? strrchr(reader->name, '/') : NULL;
    const int prefix = slash != NULL ? (int)(slash + 1 - reader->name) : 0;
    const bool is_below = len > 1 && strncmp(path, directory, len) == 0 && path[len] == '/';
    if (is_below && reader->name != NULL) {
        snprintf(out, size_bytes, "%.*s%s", prefix, reader->name, path + len + 1);
    } else {
        snprintf(out, size_bytes, "%s", path);
    }
    config_make_harmless(out);
}

void
config_place(const struct config_reader *reader, struct config_mark at, struct config_mark from,
             char out[CONFIG_PLACE_BYTES_MAX])
{
    char shown[CONFIG_PATH_BYTES_MAX];
    if (at.file == from.file) {
        snprintf(out, CONFIG_PLACE_BYTES_MAX, "line %u", at.line);
        return;
    }
    if (at.file > 0) {
        config_shown_path(reader, reader->files[at.file].path, shown, sizeof shown);
    } else {
        snprintf(shown, sizeof shown, "%s", reader->name != NULL ? reader->name : "configuration");
    }
    /* The end of a path is what tells files apart. */
    const size_t len = strlen(shown);
    const char *end = len > SHOWN_BYTES_MAX ? shown + len - SHOWN_BYTES_MAX + 3 : shown;
    while (end > shown && ((unsigned char)*end & 0xc0) == 0x80) {
        end++;
    }
    snprintf(out, CONFIG_PLACE_BYTES_MAX, "%s%.*s:%u:%u", end > shown ? "..." : "", SHOWN_BYTES_MAX,
             end, at.line, at.column);
}

/* ---- what is to be read ------------------------------------------------------------------------
 */

/* Put a path behind the last one of the file that is read now. */
static int
add_file(struct config_reader *reader, struct config_mark at, const char *path)
{
    const uint32_t depth = reader->files[reader->current].depth + 1;
    if (depth > CONFIG_INCLUDE_DEPTH_MAX) {
        return config_fail(reader, at, "files may be included at most %d deep",
                           CONFIG_INCLUDE_DEPTH_MAX);
    }
    if (reader->file_count == CONFIG_FILES_MAX) {
        return config_fail(reader, at, "a configuration may have at most %d files",
                           CONFIG_FILES_MAX);
    }
    struct config_origin *file = &reader->files[reader->file_count];
    const char *slash = strrchr(path, '/');
    const size_t len = slash == path ? 1 : (size_t)(slash - path);
    file->path = config_text_new(path, strlen(path));
    file->directory = config_text_new(path, len);
    if (file->path == NULL || file->directory == NULL) {
        free(file->path);
        free(file->directory);
        return config_fail_nomem(reader);
    }
    file->at = at;
    file->depth = depth;
    file->next = reader->files[reader->last].next;
    reader->files[reader->last].next = reader->file_count;
    reader->last = reader->file_count++;
    return 0;
}

/* A pattern with what stands in front of it, the folder of the file, taken as it is. Owned. */
static char *
escape_folder(const char *path, size_t folder)
{
    char *pattern = malloc(strlen(path) + folder + 1);
    char *to = pattern;
    for (const char *at = path; pattern != NULL && *at != '\0'; at++) {
        if ((size_t)(at - path) < folder && strchr("*?[\\", *at) != NULL) {
            *to++ = '\\';
        }
        *to++ = *at;
        *to = '\0';
    }
    return pattern;
}

static int
add_matches(struct config_reader *reader, struct config_mark at, const char *path, size_t folder)
{
    struct config_diag why = {0};
    struct config_list found = {0};
    char quoted[CONFIG_QUOTE_BYTES_MAX];
    char *pattern = escape_folder(path, folder);
    int rc = pattern != NULL ? reader->env->find_files(reader->env->context, pattern, &found, &why)
                             : config_fail_nomem(reader);
    if (rc != 0 && pattern != NULL && why.error == ENOMEM) {
        config_fail_nomem(reader);
    } else if (rc != 0 && pattern != NULL) {
        config_quote(path + folder, quoted);
        config_fail(reader, at, "cannot look for %s: %s", quoted, why.text);
    }
    for (size_t i = 0; rc == 0 && i < found.count; i++) {
        rc = add_file(reader, at, found.items[i]);
    }
    for (size_t i = 0; i < found.count; i++) {
        free(found.items[i]);
    }
    free(found.items);
    free(pattern);
    return rc;
}

int
config_include_add(struct config_reader *reader, const yaml_event_t *event)
{
    const struct config_mark at = config_mark_of(reader, event);
    if (config_event_is_null(event)) {
        return config_fail(reader, at, "a value is missing in 'include'");
    }
    if (reader->env == NULL || reader->env->read_file == NULL || reader->env->find_files == NULL) {
        return config_fail(reader, at, "files cannot be included here");
    }
    char *path = config_store_path(reader, &config_include_option, event);
    if (path == NULL) {
        return -1;
    }
    const char *directory = reader->files[reader->current].directory;
    const size_t len = strlen(directory);
    const bool is_below = strncmp(path, directory, len) == 0 && path[len] == '/';
    const size_t folder = is_below ? len + 1 : 0;
    const int rc = strpbrk(path + folder, "*?[") != NULL ? add_matches(reader, at, path, folder)
                                                         : add_file(reader, at, path);
    free(path);
    return rc;
}

/* ---- one after the other -----------------------------------------------------------------------
 */

static bool
is_same(const struct config_origin *a, const struct config_origin *b)
{
    return strcmp(a->path, b->path) == 0 ||
           (a->inode != 0 && a->inode == b->inode && a->device == b->device);
}

/* Whether `index` is being read while `file` is: it includes it, or what includes it, ... */
static bool
is_around(const struct config_reader *reader, uint32_t index, const struct config_origin *file)
{
    while (file->depth > 0 && file->at.file != index) {
        file = &reader->files[file->at.file];
    }
    return file->depth > 0;
}

static int
refuse_again(struct config_reader *reader, const struct config_origin *file, uint32_t earlier)
{
    char quoted[CONFIG_QUOTED_PATH_BYTES_MAX];
    char place[CONFIG_PLACE_BYTES_MAX];
    config_quote_path(reader, file->path, quoted);
    if (is_around(reader, earlier, file)) {
        return config_fail(reader, file->at, "%s would be included in itself", quoted);
    }
    config_place(reader, reader->files[earlier].at, file->at, place);
    return config_fail(reader, file->at, "%s is included twice; first in %s", quoted, place);
}

/* Whether the file that comes next was read before, by its name or by what it is. */
static int
check_again(struct config_reader *reader, uint32_t index)
{
    for (uint32_t i = 0; i < reader->file_count; i++) {
        const struct config_origin *other = &reader->files[i];
        if (i != index && other->was_read && is_same(other, &reader->files[index])) {
            return refuse_again(reader, &reader->files[index], i);
        }
    }
    return 0;
}

int
config_include_next(struct config_reader *reader)
{
    const uint32_t index = reader->files[reader->current].next;
    struct config_origin *origin = &reader->files[index];
    struct config_file file = {0};
    struct config_diag why = {0};
    char quoted[CONFIG_QUOTED_PATH_BYTES_MAX];
    if (index == 0) {
        return 0;
    }
    if (reader->env->read_file(reader->env->context, origin->path, &file, &why) != 0) {
        config_quote_path(reader, origin->path, quoted);
        return why.error == ENOMEM
                   ? config_fail_nomem(reader)
                   : config_fail(reader, origin->at, "cannot include %s: %s", quoted, why.text);
    }
    origin->was_read = true;
    origin->device = file.device;
    origin->inode = file.inode;
    free(reader->data);
    reader->data = file.data;
    set_source(reader, &(struct config_source){.name = origin->path,
                                               .directory = origin->directory,
                                               .data = file.data,
                                               .size_bytes = file.size_bytes});
    reader->current = index;
    reader->last = index;
    return check_again(reader, index) == 0 ? 1 : -1;
}
