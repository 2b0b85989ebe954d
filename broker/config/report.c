/* Messages of the reader: see reader.h. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "broker/config/reader.h"
#include "broker/config/value.h"
#include "proto/mask.h"

/* The second has to be so much larger that a text which is cut in it is cut in the quotes too. */
enum { QUOTED_BYTES_MAX = 60, MASKED_BYTES_MAX = 4 * QUOTED_BYTES_MAX };

struct config_mark
config_mark_of(const struct config_reader *reader, const yaml_event_t *event)
{
    return (struct config_mark){(uint32_t)event->start_mark.line + 1,
                                (uint32_t)event->start_mark.column + 1, reader->current};
}

const char *
config_event_text(const yaml_event_t *event)
{
    return (const char *)event->data.scalar.value;
}

bool
config_event_is_null(const yaml_event_t *event)
{
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL"};
    if (event->type != YAML_SCALAR_EVENT || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return false;
    }
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        if (strcmp(config_event_text(event), nothing[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* A terminal obeys C0 and C1 control characters; a message shows a question mark instead. */
static bool
is_control(const unsigned char *at)
{
    return at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0);
}

void
config_quote(const char *text, char out[CONFIG_QUOTE_BYTES_MAX])
{
    size_t used = 0;
    char masked[MASKED_BYTES_MAX];
    out[used++] = '\'';
    mask_text(text, masked, sizeof masked);
    const unsigned char *at = (const unsigned char *)masked;
    while (*at != '\0' && used < QUOTED_BYTES_MAX) {
        if (is_control(at)) {
            at += at[0] == 0xc2 ? 2 : 1;
            out[used++] = '?';
        } else {
            out[used++] = (char)*at++;
        }
    }
    /* Never cut inside a character: go back over its continuation bytes and its first byte. */
    if (*at != '\0') {
        while (used > 1 && ((unsigned char)out[used - 1] & 0xc0) == 0x80) {
            used--;
        }
        if (used > 1 && (unsigned char)out[used - 1] >= 0xc0) {
            used--;
        }
        memcpy(out + used, "...", 3);
        used += 3;
    }
    out[used++] = '\'';
    out[used] = '\0';
}

void
config_quote_path(const struct config_reader *reader, const char *path,
                  char out[CONFIG_QUOTED_PATH_BYTES_MAX])
{
    enum { SHOWN_BYTES_MAX = CONFIG_QUOTED_PATH_BYTES_MAX - 6 };
    char shown[CONFIG_PATH_BYTES_MAX];
    config_shown_path(reader, path, shown, sizeof shown);
    const size_t len = strlen(shown);
    const char *end = len < SHOWN_BYTES_MAX ? shown : shown + len - SHOWN_BYTES_MAX + 1;
    while (((unsigned char)*end & 0xc0) == 0x80) {
        end++;
    }
    snprintf(out, CONFIG_QUOTED_PATH_BYTES_MAX, "'%s%.*s'", end > shown ? "..." : "",
             SHOWN_BYTES_MAX, end);
}

void
config_make_harmless(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (is_control(at)) {
            if (at[0] == 0xc2) {
                *at++ = '?';
            }
            *at = '?';
        }
    }
}

/* What is wrong, and where in its file. */
__attribute__((format(printf, 3, 0))) static void
say(struct config_diag *diag, struct config_mark at, const char *format, va_list args)
{
    vsnprintf(diag->text, sizeof diag->text, format, args);
    config_make_harmless(diag->text); /* a check may quote words of the file as they are */
    diag->line = at.line;
    diag->column = at.column;
    diag->error = 0;
}

int
config_fail(struct config_reader *reader, struct config_mark at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(reader->diag, at, format, args);
    va_end(args);
    if (at.file > 0) {
        config_shown_path(reader, reader->files[at.file].path, reader->diag->included,
                          sizeof reader->diag->included);
    }
    return -1;
}

int
config_fail_other(struct config_reader *reader, const char *path, uint32_t line, const char *format,
                  ...)
{
    va_list args;
    va_start(args, format);
    say(reader->diag, (struct config_mark){.line = line, .column = 1}, format, args);
    va_end(args);
    config_shown_path(reader, path, reader->diag->included, sizeof reader->diag->included);
    return -1;
}

int
config_fail_nomem(struct config_reader *reader)
{
    config_fail(reader, (struct config_mark){0}, "out of memory");
    reader->diag->error = ENOMEM;
    return -1;
}

int
config_fail_value(struct config_reader *reader, const struct config_option *option,
                  const yaml_event_t *event, const char *why)
{
    char accepted[300], got[CONFIG_QUOTE_BYTES_MAX] = "a list";
    config_option_describe(option, accepted, sizeof accepted);
    if (event->type == YAML_MAPPING_START_EVENT) {
        snprintf(got, sizeof got, "a map");
    } else if (config_event_is_null(event)) {
        snprintf(got, sizeof got, "nothing");
    } else if (event->type == YAML_SCALAR_EVENT) {
        config_quote(config_event_text(event), got);
    }
    return config_fail(reader, config_mark_of(reader, event), "'%s' must be %s, got %s%s%s",
                       option->key, accepted, got, why[0] != '\0' ? ": " : "", why);
}

/* The bytes of a line of the file, without its end. */
static const char *
find_line(const struct config_source *source, size_t line, size_t *len)
{
    const char *at = source->data, *end = at + source->size_bytes;
    for (size_t i = 0; i < line; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL) {
            break;
        }
        at = newline + 1;
    }
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    *len = (size_t)((newline != NULL ? newline : end) - at);
    return at;
}

/* The mistakes that are made most, and about which libyaml's words are dark, get a hint. */
static const char *
find_hint(const struct config_reader *reader)
{
    const yaml_parser_t *yaml = &reader->yaml;
    const char *context = yaml->context != NULL ? yaml->context : "";
    size_t len = 0, indent = 0;
    const char *line = find_line(&reader->source, yaml->problem_mark.line, &len);
    while (indent < len && (line[indent] == ' ' || line[indent] == '\t')) {
        indent++;
    }
    if (memchr(line, '\t', indent) != NULL) {
        return "; YAML is indented with spaces, this line has a tab";
    }
    if (strstr(yaml->problem, "cannot start any token") != NULL) {
        return "; a text that begins with % @ or ` is put in quotes";
    }
    if (strstr(context, "alias") != NULL || strstr(context, "anchor") != NULL) {
        return "; a text that begins with * or & is put in quotes";
    }
    if (strstr(context, "flow") != NULL && memmem(line, len, "${", 2) != NULL) {
        return "; a text with ${ is put in quotes when it stands inside { } or [ ]";
    }
    return "";
}

/* A byte that is no UTF-8 has no mark, only an offset. */
static struct config_mark
mark_of_offset(const struct config_reader *reader, size_t offset)
{
    const struct config_source *source = &reader->source;
    const unsigned char *data = source->data;
    struct config_mark mark = {1, 1, reader->current};
    for (size_t i = 0; i < offset && i < source->size_bytes; i++) {
        if (data[i] == '\n') {
            mark.line++;
            mark.column = 1;
        } else if ((data[i] & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

int
config_fail_yaml(struct config_reader *reader)
{
    const yaml_parser_t *yaml = &reader->yaml;
    const struct config_mark at = {(uint32_t)yaml->problem_mark.line + 1,
                                   (uint32_t)yaml->problem_mark.column + 1, reader->current};
    if (yaml->error == YAML_MEMORY_ERROR || yaml->problem == NULL) {
        return config_fail_nomem(reader);
    }
    if (yaml->error == YAML_READER_ERROR) {
        return config_fail(reader, mark_of_offset(reader, yaml->problem_offset),
                           "the file has to be plain text in UTF-8: %s", yaml->problem);
    }
    const char *hint = find_hint(reader);
    if (yaml->context == NULL) {
        return config_fail(reader, at, "%s%s", yaml->problem, hint);
    }
    if (yaml->context_mark.index == yaml->problem_mark.index) {
        return config_fail(reader, at, "%s %s%s", yaml->problem, yaml->context, hint);
    }
    return config_fail(reader, at, "%s %s that began in line %zu, column %zu%s", yaml->problem,
                       yaml->context, yaml->context_mark.line + 1, yaml->context_mark.column + 1,
                       hint);
}
