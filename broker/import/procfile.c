/* A Procfile: see work.h. */
#include <stdlib.h>
#include <string.h>

#include "broker/import/work.h"

/* foreman gives the first process this port and each further one a hundred more. */
enum { PORT_FIRST = 5000, PORT_STEP = 100 };

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
/* What only a shell does. A = before the first blank sets a variable. */
#define SHELL_LETTERS "$`|&;<>()*?[]{}~#!\\\n"

static bool
needs_shell(const char *line)
{
    const size_t word = strcspn(line, " \t");
    return strpbrk(line, SHELL_LETTERS) != NULL || memchr(line, '=', word) != NULL ||
           strncmp(line, "cd ", 3) == 0 || strncmp(line, "exec ", 5) == 0;
}

static void
add_process(struct import_at *at, const char *name, const char *line)
{
    char port[16], sh[] = "sh", flag[] = "-c", *shell[] = {sh, flag, NULL};
    at->worker = import_worker_new(at, name);
    if (at->worker == NULL) {
        return;
    }
    import_option(at, "ready", "started");
    if (needs_shell(line)) {
        import_note(at, "through a shell, because it uses what only a shell does");
        shell[2] = strdup(line);
        if (shell[2] == NULL) {
            at->import->failed = true;
            return;
        }
        at->worker->has_command = import_option_words(at, "command", shell, 3);
        free(shell[2]);
    } else {
        import_command(at, "command", line);
    }
    if (strstr(line, "PORT") != NULL || strcmp(name, "web") == 0) {
        (void)snprintf(port, sizeof port, "%zu",
                       PORT_FIRST + PORT_STEP * (at->import->worker_count - 1));
        import_note(at, "PORT is what foreman would give it; all replicas have the same");
        import_environment(at, "PORT", 4, port, strlen(port));
    }
}

/* One line, without its end. */
static bool
read_line(struct import_at *at, char *line)
{
    line += strspn(line, " \t");
    size_t len = strlen(line);
    while (len > 0 && strchr(" \t\r", line[len - 1]) != NULL) {
        line[--len] = '\0';
    }
    if (len == 0 || line[0] == '#') {
        return true;
    }
    const size_t name = strspn(line, NAME_LETTERS);
    if (name == 0 || line[name] != ':') {
        at->key = NULL;
        import_lost(at, "a line of a Procfile is NAME: COMMAND", NULL);
        return false;
    }
    line[name] = '\0';
    at->key = line;
    const char *command = line + name + 1;
    add_process(at, line, command + strspn(command, " \t"));
    return true;
}

bool
import_procfile(struct import *import)
{
    struct import_at at = {.import = import, .worker = &import->defaults};
    const struct import_source *source = import->source;
    bool is_good = true;
    import_note(&at, "foreman reads it, too");
    import_option(&at, "env_file", "\"-.env\"");
    for (size_t i = 0; is_good && i < source->size_bytes;) {
        const char *begin = source->data + i;
        const char *newline = memchr(begin, '\n', source->size_bytes - i);
        const size_t len = newline != NULL ? (size_t)(newline - begin) : source->size_bytes - i;
        char *line = strndup(begin, len);
        at.line++;
        at.worker = NULL;
        if (line == NULL) {
            import->failed = true;
            return true;
        }
        is_good = read_line(&at, line);
        free(line);
        i += len + 1;
    }
    return is_good;
}
