/* circus.ini: see work.h. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/import/work.h"

/* ---- $(circus.name) and ((circus.name)) -------------------------------------------------------
 */

static size_t
expand(const struct import_at *at, const char *text, struct buf *out)
{
    static const char *const forms[][2] = {{"$(", ")"}, {"((", "))"}};
    static const char wid[] = "circus.wid", env[] = "circus.env.";
    for (size_t i = 0; i < 2; i++) {
        const char *name = text + 2;
        const char *close =
            strncmp(text, forms[i][0], 2) == 0 ? import_find_end(name, forms[i][1]) : NULL;
        if (close == NULL) {
            continue;
        }
        const size_t len = (size_t)(close - name);
        if (len == strlen(wid) && strncasecmp(name, wid, len) == 0) {
            import_lost(at, "the number of a replica begins at 0, not at 1", NULL);
            import_put(out, "%i");
        } else if (len > strlen(env) && strncasecmp(name, env, strlen(env)) == 0) {
            import_put(out, "${");
            buf_put(out, name + strlen(env), len - strlen(env));
            import_put(out, "}");
        } else if (strncasecmp(name, "circus.", 7) == 0) {
            import_lost(at, "a variable of circus in it is not known here, and stays as it is",
                        "put in what it stands for");
            return 0;
        } else {
            return 0;
        }
        return len + 2 + strlen(forms[i][1]);
    }
    return 0;
}

/* In sections of variables $NAME is one of the daemon's own. */
static size_t
expand_variable(const struct import_at *at, const char *text, struct buf *out)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    const size_t len = text[0] == '$' ? strspn(text + 1, letters) : 0;
    const size_t used = expand(at, text, out);
    if (used > 0 || len == 0 || strchr("0123456789", text[1]) != NULL) {
        return used;
    }
    import_put(out, "${");
    buf_put(out, text + 1, len);
    import_put(out, ":-}");
    return len + 1;
}

/* ---- keys of a watcher ------------------------------------------------------------------------
 */

static void
take_command(const struct import_at *at, const struct import_row *row, const char *value)
{
    import_command(at, row->target, value);
}

static void
take_respawn(const struct import_at *at, const struct import_row *row, const char *value)
{
    const int truth = import_truth(value);
    if (truth < 0) {
        import_lost(at, "that is neither true nor false", NULL);
    } else {
        import_option(at, row->target, truth > 0 ? "always" : "no");
    }
}

static void
take_retries(const struct import_at *at, const struct import_row *row, const char *value)
{
    if (strcmp(value, "-1") == 0) {
        import_lost(at, "a worker that dies too often is given up", "max_restarts is 1000 at most");
    } else {
        import_take_number(at, row, value);
    }
}

/* rlimit_nofile and the like keep their names. */
static void
take_own_name(const struct import_at *at, const struct import_row *row, const char *value)
{
    const struct import_row same = {at->key, import_take_number, at->key, NULL, NULL};
    (void)row;
    import_take_number(at, &same, value);
}

#define LOG_WHY     "the hub writes the output of each replica into a log of its own"
#define LOG_INSTEAD "hub.log_dir says where; prong logs shows it"

/* clang-format off */
static const struct import_row watcher_rows[] = {
    {"cmd", take_command, "command", NULL, NULL},
    {"args", take_command, "args", NULL, NULL},
    {"shell", NULL, NULL, NULL, NULL}, /* looked at with cmd */
    {"working_dir", import_take_text, "working_dir", NULL, NULL},
    {"numprocesses", import_take_number, "replicas", NULL, NULL},
    {"singleton", NULL, NULL, "replicas: 1 says how many there are, not how many there may be", NULL},
    {"copy_env", import_take_true, "a worker always has the hub's environment", NULL, NULL},
    {"copy_path", NULL, NULL, "sys.path is Python's own", "set PYTHONPATH in environment"},
    {"autostart", import_take_bool, "autostart", NULL, NULL},
    {"respawn", take_respawn, "restart", NULL, NULL},
    {"max_retry", take_retries, "max_restarts", NULL, NULL},
    {"max_age", import_take_seconds, "max_age", NULL, NULL},
    {"stop_signal", import_take_text, "stop_signal", NULL, NULL},
    {"graceful_timeout", import_take_seconds, "stop_timeout", NULL, NULL},
    {"stop_children", import_take_false, "the stop signal goes to the process alone; what is left of its group is killed", NULL, NULL},
    {"warmup_delay", NULL, NULL, "replicas start together", NULL},
    {"uid", import_take_text, "user", NULL, NULL},
    {"gid", import_take_text, "group", NULL, NULL},
    {"priority", import_take_order, NULL, NULL, NULL},
    {"rlimit_*", take_own_name, NULL, NULL, NULL},
    {"stdout_stream.max_bytes", import_take_size, "log_max_bytes", NULL, NULL},
    {"stdout_stream.backup_count", import_take_number, "log_backups", NULL, NULL},
    {"stdout_stream.*", NULL, NULL, LOG_WHY, LOG_INSTEAD},
    {"stderr_stream.*", NULL, NULL, LOG_WHY, LOG_INSTEAD},
    {"stdout_stream", NULL, NULL, LOG_WHY, LOG_INSTEAD},
    {"stderr_stream", NULL, NULL, LOG_WHY, LOG_INSTEAD},
    {"use_sockets", NULL, NULL, "the hub opens no socket for a program", NULL},
    {"virtualenv", NULL, NULL, "virtual environments are not entered", "name the python of it in command"},
    {"send_hup", NULL, NULL, "a reload stops and starts", NULL},
    {"hooks.*", NULL, NULL, "there are no hooks", "prong events tells what happens"},
    {NULL, NULL, NULL, "it is no key of a watcher that is known here", NULL},
};

static const struct {
    const char *start, *why, *instead;
} lost_sections[] = {
    {"circus", "it is of circusd itself", NULL},
    {"socket:", "the hub opens no socket for a program", NULL},
    {"plugin:", "there are no such plugins", "prong events tells what happens"},
};
/* clang-format on */

static const char *
value_of(const struct import_ini *ini, const char *section, const char *key)
{
    for (size_t i = 0; i < ini->count; i++) {
        if (ini->entries[i].key != NULL && strcmp(ini->entries[i].section, section) == 0 &&
            strcmp(ini->entries[i].key, key) == 0) {
            return ini->entries[i].value;
        }
    }
    return NULL;
}

/* cmd and args as one text for a shell. */
static void
take_shell(const struct import_at *at, const char *cmd, const char *args)
{
    struct buf line = {0};
    import_put(&line, cmd);
    import_put(&line, args != NULL ? " " : "");
    import_put(&line, args != NULL ? args : "");
    buf_put(&line, "", 1);
    char sh[] = "sh", flag[] = "-c", *words[] = {sh, flag, (char *)line.data};
    if (!line.failed) {
        at->worker->has_command = import_option_words(at, "command", words, 3);
    }
    at->import->failed = at->import->failed || line.failed;
    buf_deinit(&line);
}

static void
begin_watcher(struct import_at *at, const struct import_ini *ini)
{
    const char *shell = value_of(ini, at->section, "shell");
    at->worker = import_worker_new(at, at->section + strlen("watcher:"));
    if (at->worker == NULL) {
        return;
    }
    import_option(at, "ready", "started");
    if (value_of(ini, at->section, "respawn") == NULL) {
        import_note(at, "the default of circus");
        import_option(at, "restart", "always");
    }
    const char *cmd = value_of(ini, at->section, "cmd");
    if (shell != NULL && import_truth(shell) == 1 && cmd != NULL) {
        take_shell(at, cmd, value_of(ini, at->section, "args"));
    }
}

static void
begin_section(struct import_at *at, const struct import_ini *ini)
{
    at->worker = NULL;
    if (strncmp(at->section, "watcher:", 8) == 0) {
        begin_watcher(at, ini);
        return;
    }
    if (strcmp(at->section, "env") == 0 || strncmp(at->section, "env:", 4) == 0) {
        return; /* when all watchers are known */
    }
    for (size_t i = 0; i < sizeof lost_sections / sizeof lost_sections[0]; i++) {
        if (strncmp(at->section, lost_sections[i].start, strlen(lost_sections[i].start)) == 0) {
            import_lost(at, lost_sections[i].why, lost_sections[i].instead);
            return;
        }
    }
    import_lost(at, "it is no section that is known here", NULL);
}

/* The time that fnmatch takes doubles with each star. */
static bool
is_simple(const char *pattern)
{
    int stars = 0;
    for (; *pattern != '\0'; pattern++) {
        stars += *pattern == '*';
    }
    return stars <= 4;
}

/* The narrowest section wins: 0 for one that has the name of the watcher, 1 for one whose pattern
 * it is, 2 for the one of all. -1: it is for others. */
static int
width_of(const char *section, const char *watcher)
{
    char list[300], *rest = list, *one;
    int width = -1;
    if (strcmp(section, "env") == 0) {
        return 2;
    }
    (void)snprintf(list, sizeof list, "%s", section + strlen("env:"));
    while (width != 0 && (one = strsep(&rest, ", ")) != NULL) {
        if (strcmp(one, watcher) == 0) {
            width = 0;
        } else if (*one != '\0' && is_simple(one) && fnmatch(one, watcher, 0) == 0) {
            width = 1;
        }
    }
    return width;
}

static void
give_environment(struct import_at *at, const struct import_ini *ini, struct import_worker *worker,
                 int width)
{
    for (size_t i = 0; i < ini->count; i++) {
        const struct import_entry *entry = &ini->entries[i];
        if (entry->key == NULL ||
            (strcmp(entry->section, "env") != 0 && strncmp(entry->section, "env:", 4) != 0) ||
            width_of(entry->section, worker->original) != width) {
            continue;
        }
        at->section = entry->section;
        at->key = entry->key;
        at->line = entry->line;
        at->worker = worker;
        /* A wider section's variable that a narrower one has is meant to be replaced. */
        (void)import_environment(at, entry->key, strlen(entry->key), entry->value,
                                 strlen(entry->value));
    }
}

static bool
is_shell_command(const struct import_at *at)
{
    return at->worker->has_command && (strcmp(at->key, "cmd") == 0 || strcmp(at->key, "args") == 0);
}

bool
import_circus(struct import *import, const struct import_ini *ini)
{
    struct import_at at = {.import = import, .expand = expand};
    bool has_shell = false;
    for (size_t i = 0; i < ini->count; i++) {
        const struct import_entry *entry = &ini->entries[i];
        at.section = entry->section;
        at.key = entry->key;
        at.line = entry->line;
        if (entry->key == NULL) {
            begin_section(&at, ini);
            has_shell = at.worker != NULL && at.worker->has_command;
        } else if (at.worker != NULL && !(has_shell && is_shell_command(&at))) {
            import_key(&at, watcher_rows, entry->value);
        }
    }
    at.expand = expand_variable;
    for (size_t i = 0; i < import->worker_count; i++) {
        for (int width = 0; width < 3; width++) {
            give_environment(&at, ini, &import->workers[i], width);
        }
    }
    return true;
}
