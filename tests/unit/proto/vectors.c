/* The vectors of proto/vectors: see vectors.h. */
#include "tests/unit/proto/vectors.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* A copy without room behind it, so that a sanitizer sees a read too far. */
static struct span
exact_copy(const struct buf *b)
{
    const struct span s = buf_span(b);
    uint8_t *copy = malloc(s.len > 0 ? s.len : 1);
    CHECK(copy != NULL, "no memory");
    if (s.len > 0) {
        memcpy(copy, s.data, s.len);
    }
    return (struct span){copy, s.len};
}

static void
free_copy(struct span s)
{
    free((void *)(uintptr_t)s.data);
}

size_t
each_golden(void (*each)(const struct golden *g, void *context), void *context)
{
    struct buf file = {0};
    size_t count = 0;
    read_source(&file, "proto/vectors/golden.jsonl");
    char *saved = NULL;
    for (char *line = strtok_r((char *)file.data, "\n", &saved); line != NULL;
         line = strtok_r(NULL, "\n", &saved)) {
        json_error_t error;
        json_t *row = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        CHECK(row != NULL, "line %zu of golden.jsonl: %s", count + 1, error.text);
        const char *hex = json_string_value(json_object_get(row, "hex"));
        struct golden g = {
            .name = json_string_value(json_object_get(row, "name")),
            .record = json_object_get(row, "record"),
            .decode_only = json_is_true(json_object_get(row, "decode_only")),
        };
        CHECK(hex != NULL && g.name != NULL && g.record != NULL, "line %zu is not whole",
              count + 1);
        struct buf bytes = {0};
        put_hex(&bytes, hex);
        g.bytes = exact_copy(&bytes);
        each(&g, context);
        free_copy(g.bytes);
        buf_deinit(&bytes);
        json_decref(row);
        count++;
    }
    buf_deinit(&file);
    return count;
}

/* The "# error:" line, cut into its two parts in place. */
static void
parse_error_line(char *text, struct refused *r)
{
    static const char mark[] = "# error: ";
    char *line = strstr(text, mark);
    CHECK(line != NULL, "%s has no error line", r->name);
    char *code = line + sizeof mark - 1;
    code[strcspn(code, "\n")] = '\0';
    char *words = code + strcspn(code, " ");
    if (*words == ' ') {
        *words++ = '\0';
    }
    r->code = code;
    r->words = words;
}

static void
one_refused(const char *name, void (*each)(const struct refused *r, void *context), void *context)
{
    struct buf file = {0};
    struct buf bytes = {0};
    char path[1024];
    (void)snprintf(path, sizeof path, "proto/vectors/refused/%s", name);
    read_source(&file, path);
    put_hex(&bytes, (const char *)file.data);
    struct refused r = {.name = name, .bytes = exact_copy(&bytes)};
    parse_error_line((char *)file.data, &r);
    each(&r, context);
    free_copy(r.bytes);
    buf_deinit(&bytes);
    buf_deinit(&file);
}

size_t
each_refused(void (*each)(const struct refused *r, void *context), void *context)
{
    char path[4096];
    size_t count = 0;
    source_path(path, sizeof path, "proto/vectors/refused");
    DIR *folder = opendir(path);
    CHECK(folder != NULL, "cannot open %s", path);
    for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        const size_t len = strlen(e->d_name);
        if (len > 4 && strcmp(e->d_name + len - 4, ".hex") == 0) {
            one_refused(e->d_name, each, context);
            count++;
        }
    }
    (void)closedir(folder);
    return count;
}
