/* supervisord.conf: see work.h. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/import/work.h"

/* ---- %(name)s ---------------------------------------------------------------------------------
 */

static void
put_known(const struct import_at *at, const char *name, size_t len, struct buf *out)
{
    const char *original =
        at->worker != NULL && at->worker->original != NULL ? at->worker->original : "";
    if (len > 4 && strncmp(name, "ENV_", 4) == 0) {
        import_put(out, "${");
        buf_put(out, name + 4, len - 4);
        import_put(out, "}");
    } else if (len == 12 && strncmp(name, "program_name", len) == 0) {
        import_put_literal(out, original, strlen(original));
    } else if (len == 11 && strncmp(name, "process_num", len) == 0) {
        import_put(out, "%i");
    } else if (len == 4 && strncmp(name, "here", len) == 0) {
        import_put_literal(out, at->import->source->directory,
                           strlen(at->import->source->directory));
    }
}

/* "%(process_num)02d" and the like, and "%%". */
static size_t
expand(const struct import_at *at, const char *text, struct buf *out)
{
    if (strncmp(text, "%%", 2) == 0) {
        /* It stands for one there, and where replicas are numbered it does so here. */
        import_put(out, "%%");
        return 2;
    }
    const char *name = text + 2;
    const char *close = strncmp(text, "%(", 2) == 0 ? import_find_end(name, ")") : NULL;
    if (close == NULL) {
        return 0;
    }
    const size_t form = strspn(close + 1, "0123456789");
    const char kind = close[1 + form];
    char why[200];
    if (kind != 's' && kind != 'd') {
        return 0;
    }
    put_known(at, name, (size_t)(close - name), out);
    if (out->w == 0) {
        (void)snprintf(why, sizeof why, "%%(%.*s)%c is not known here, and stays as it is",
                       (int)(close - name < 60 ? close - name : 60), name, kind);
        import_lost(at, why, "put in what it stands for");
        import_put(out, "%%");
        buf_put(out, text + 1, (size_t)(close - text) + form + 1);
    } else if (form > 0) {
        import_lost(at, "the number of a replica has no leading zeros here", NULL);
    }
    return (size_t)(close - text) + form + 2;
}

/* ---- keys of a program ------------------------------------------------------------------------
 */

static void
take_command(const struct import_at *at, const struct import_row *row, const char *value)
{
    import_command(at, row->target, value);
}

static void
take_restart(const struct import_at *at, const struct import_row *row, const char *value)
{
    const int truth = import_truth(value);
    if (truth >= 0 || strcasecmp(value, "unexpected") == 0) {
        import_option(at, row->target, truth > 0 ? "always" : truth == 0 ? "no" : "on-failure");
    } else {
        import_lost(at, "that is none of true, false and unexpected", NULL);
    }
}

/* A list of codes that are no failure. Here that is 0 alone. */
static void
take_exit_codes(const struct import_at *at, const struct import_row *row, const char *value)
{
    (void)row;
    if (strcmp(value, "0") != 0) {
        import_lost(at, "an exit code other than 0 is a failure here",
                    "let the program exit with 0, or use restart: no");
    }
}

static void
take_retries(const struct import_at *at, const struct import_row *row, const char *value)
{
    import_note(at, "counted within restart_window, not in a row");
    import_take_number(at, row, value);
}

/* One NAME=value of a list that commas separate; values may have quotes. */
static const char *
take_setting(const struct import_at *at, const char *text)
{
    const size_t name = strcspn(text, "=,\n");
    const char *value = text + name + 1;
    char quote = '\0';
    if (text[name] != '=') {
        import_lost(at, "a part of it is not NAME=value", NULL);
        return NULL;
    }
    value += strspn(value, " \t");
    if (*value == '"' || *value == '\'') {
        quote = *value++;
    }
    const char *end = quote != '\0' ? strchr(value, quote) : value + strcspn(value, ",\n");
    if (end == NULL) {
        import_lost(at, "a quote in it is not closed", NULL);
        return NULL;
    }
    size_t name_len = name, value_len = (size_t)(end - value);
    while (name_len > 0 && strchr(" \t", text[name_len - 1]) != NULL) {
        name_len--;
    }
    while (quote == '\0' && value_len > 0 && strchr(" \t", value[value_len - 1]) != NULL) {
        value_len--;
    }
    if (!import_environment(at, text, name_len, value, value_len)) {
        import_lost(at, "a variable is given twice; the first one is taken", NULL);
    }
    return quote != '\0' ? end + 1 : end;
}

static void
take_environment(const struct import_at *at, const struct import_row *row, const char *value)
{
    (void)row;
    value += strspn(value, " \t\n,");
    while (value != NULL && *value != '\0') {
        value = take_setting(at, value);
        value = value != NULL ? value + strspn(value, " \t\n,") : NULL;
    }
}

/* The default names of processes are what replicas are called anyway. */
static void
take_process_name(const struct import_at *at, const struct import_row *row, const char *value)
{
    (void)row;
    if (strncmp(value, "%(program_name)s", 16) != 0 && strncmp(value, "%(process_num)", 14) != 0) {
        import_lost(at, "replicas have numbers for names", "they are NAME/0, NAME/1 and so on");
    }
}

static void
take_start_number(const struct import_at *at, const struct import_row *row, const char *value)
{
    (void)row;
    if (strcmp(value, "0") != 0) {
        import_lost(at, "the numbers of replicas begin at 0", NULL);
    }
}

#define LOG_WHY     "the hub writes the output of each replica into a log of its own"
#define LOG_INSTEAD "hub.log_dir says where; prong logs shows it"

/* clang-format off */
static const struct import_row program_rows[] = {
    {"command", take_command, "command", NULL, NULL},
    {"directory", import_take_text, "working_dir", NULL, NULL},
    {"environment", take_environment, NULL, NULL, NULL},
    {"numprocs", import_take_number, "replicas", NULL, NULL},
    {"numprocs_start", take_start_number, NULL, NULL, NULL},
    {"process_name", take_process_name, NULL, NULL, NULL},
    {"autostart", import_take_bool, "autostart", NULL, NULL},
    {"autorestart", take_restart, "restart", NULL, NULL},
    {"exitcodes", take_exit_codes, NULL, NULL, NULL},
    {"startretries", take_retries, "max_restarts", NULL, NULL},
    {"startsecs", NULL, NULL, "a program without Prong's protocol is ready as soon as it runs",
     "max_restarts and restart_window bound what dies soon"},
    {"stopsignal", import_take_text, "stop_signal", NULL, NULL},
    {"stopwaitsecs", import_take_seconds, "stop_timeout", NULL, NULL},
    {"stopasgroup", import_take_false, "the stop signal goes to the process alone; what is left of its group is killed", NULL, NULL},
    {"killasgroup", NULL, NULL, NULL, NULL},
    {"user", import_take_text, "user", NULL, NULL},
    {"umask", import_take_text, "umask", NULL, NULL},
    {"priority", import_take_order, NULL, NULL, NULL},
    {"redirect_stderr", import_take_true, "stdout and stderr go into one log", NULL, NULL},
    {"stdout_logfile_maxbytes", import_take_size, "log_max_bytes", NULL, NULL},
    {"stdout_logfile_backups", import_take_number, "log_backups", NULL, NULL},
    {"stdout_logfile", NULL, NULL, LOG_WHY, LOG_INSTEAD},
    {"stderr_logfile*", NULL, NULL, LOG_WHY, LOG_INSTEAD},
    {"stdout_*", NULL, NULL, LOG_WHY, NULL},
    {"stderr_*", NULL, NULL, LOG_WHY, NULL},
    {"serverurl", NULL, NULL, "there is no such server", "PRONG_URL is the hub's"},
    {NULL, NULL, NULL, "it is no key of a program that is known here", NULL},
};

static const struct import_row supervisord_rows[] = {
    {"environment", take_environment, NULL, NULL, NULL},
    {"umask", import_take_text, "umask", NULL, NULL},
    {"nodaemon", NULL, NULL, NULL, NULL},
    {"user", NULL, NULL, "the hub runs as the user that starts it", NULL},
    {"directory", NULL, NULL, "a worker begins in the directory of the configuration", "working_dir in defaults"},
    {"logfile*", NULL, NULL, "the hub writes its own log to stderr", NULL},
    {NULL, NULL, NULL, "it is of supervisord itself", NULL},
};

static const struct {
    const char *start, *why, *instead;
} lost_sections[] = {
    {"eventlistener:", "events of supervisord do not exist here", "prong events prints those of the hub"},
    {"fcgi-program:", "the hub opens no socket for a program", NULL},
    {"group:", "there are no groups of workers", "verbs take several names"},
    {"include", "the files that it names are not looked at", "import each of them, and name the results in include:"},
    {"unix_http_server", "the hub always has a local socket", NULL},
    {"inet_http_server", "there is no web server", "hub.listen opens ports for clients"},
    {"supervisorctl", "prong finds the hub by itself", NULL},
    {"rpcinterface:", "there is no such interface", NULL},
    {"ctlplugin:", "there are no such plugins", NULL},
};
/* clang-format on */

static void
begin_section(struct import_at *at)
{
    at->worker = NULL;
    if (strncmp(at->section, "program:", 8) == 0) {
        at->worker = import_worker_new(at, at->section + 8);
        if (at->worker != NULL) {
            import_option(at, "ready", "started");
        }
        return;
    }
    if (strcmp(at->section, "supervisord") == 0) {
        at->worker = &at->import->defaults;
        return;
    }
    for (size_t i = 0; i < sizeof lost_sections / sizeof lost_sections[0]; i++) {
        if (strncmp(at->section, lost_sections[i].start, strlen(lost_sections[i].start)) == 0) {
            import_lost(at, lost_sections[i].why, lost_sections[i].instead);
            return;
        }
    }
    import_lost(at, "it is no section that is known here", NULL);
}

bool
import_supervisor(struct import *import, const struct import_ini *ini)
{
    struct import_at at = {.import = import, .expand = expand};
    for (size_t i = 0; i < ini->count; i++) {
        const struct import_entry *entry = &ini->entries[i];
        at.section = entry->section;
        at.key = entry->key;
        at.line = entry->line;
        if (entry->key == NULL) {
            begin_section(&at);
        } else if (at.worker != NULL) {
            import_key(&at, at.worker == &import->defaults ? supervisord_rows : program_rows,
                       entry->value);
        }
    }
    return true;
}
