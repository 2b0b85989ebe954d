/* From configuration to process: see launch.h. */
#include "broker/shell/launch.h"
#include "broker/shell/confine.h"
#include "proto/mask.h"
#include "proto/mp.h"
#include "proto/write.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
put_text(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text) + 1);
}

/* The words of the configuration stand in the order of what they mean. */
static_assert((int)CONFIG_LOG_TO_FILE == SPEC_LOG_FILE &&
                  (int)CONFIG_LOG_TO_JOURNAL == SPEC_LOG_JOURNAL &&
                  (int)CONFIG_LOG_TO_INHERIT == SPEC_LOG_INHERIT &&
                  (int)CONFIG_LOG_TO_NONE == SPEC_LOG_NONE,
              "where lines go");
static_assert((int)CONFIG_LOG_ERROR == SPEC_LEVEL_ERROR &&
                  (int)CONFIG_LOG_WARN == SPEC_LEVEL_WARN &&
                  (int)CONFIG_LOG_INFO == SPEC_LEVEL_INFO &&
                  (int)CONFIG_LOG_DEBUG == SPEC_LEVEL_DEBUG,
              "levels");

/* NAME=value. In a value from an env_file a percent sign is one, so it is doubled for texts_add. */
static void
put_setting(struct buf *b, const struct config_pair *pair)
{
    buf_put(b, pair->name, strlen(pair->name));
    buf_put(b, "=", 1);
    for (const char *p = pair->value; *p != '\0' && pair->is_secret; p++) {
        buf_put(b, "%%", *p == '%' ? 2 : 0);
        buf_put(b, p, *p == '%' ? 0 : 1);
    }
    put_text(b, pair->is_secret ? "" : pair->value);
}

static enum spec_ready
ready_of(const char *ready)
{
    static const struct {
        const char *word;
        enum spec_ready ready;
    } words[] = {
        {"attach", SPEC_READY_ATTACH}, {"started", SPEC_READY_STARTED},
        {"notify", SPEC_READY_NOTIFY}, {"tcp:", SPEC_READY_TCP},
        {"log:", SPEC_READY_LOG},
    };
    size_t i = 0;
    while (strncmp(ready, words[i].word, strlen(words[i].word)) != 0) {
        i++; /* the reader has let nothing else pass */
    }
    return words[i].ready;
}

static const char *
ready_at(const char *ready)
{
    const char *colon = strchr(ready, ':');
    return colon != NULL ? colon + 1 : "";
}

/* depends_on, then restart_with; NULL when memory is out. */
static struct spec_other *
make_others(const struct config_worker *w)
{
    static const enum spec_when whens[] = {[CONFIG_WHEN_READY] = SPEC_WHEN_READY,
                                           [CONFIG_WHEN_STARTED] = SPEC_WHEN_STARTED,
                                           [CONFIG_WHEN_COMPLETED] = SPEC_WHEN_COMPLETED};
    struct spec_other *list = calloc(w->depends_on.count + w->restart_with.count + 1, sizeof *list);
    for (size_t i = 0; list != NULL && i < w->depends_on.count; i++) {
        const struct config_pair *pair = &w->depends_on.items[i];
        list[i] = (struct spec_other){pair->name, whens[pair->number]};
    }
    for (size_t i = 0; list != NULL && i < w->restart_with.count; i++) {
        list[w->depends_on.count + i] = (struct spec_other){.worker = w->restart_with.items[i]};
    }
    return list;
}

void
launch_texts_deinit(struct launch_texts *texts)
{
    buf_deinit(&texts->text);
    free(texts->others);
    *texts = (struct launch_texts){0};
}

/* The modules that a template imports, as the setting that tells it. Returns how many settings. */
static uint32_t
put_preload(struct buf *b, const struct config_list *modules)
{
    static const char name[] = "PRONG_PRELOAD=";
    if (modules->count == 0) {
        return 0;
    }
    buf_put(b, name, sizeof name - 1);
    for (size_t i = 0; i < modules->count; i++) {
        buf_put(b, ",", i > 0);
        buf_put(b, modules->items[i], strlen(modules->items[i]));
    }
    buf_put(b, "", 1);
    return 1;
}

static struct launch
put_launch(struct buf *text, const struct config_worker *w)
{
    put_text(text, w->working_dir != NULL ? w->working_dir : "");
    for (size_t i = 0; i < w->command.count; i++) {
        put_text(text, w->command.items[i]);
    }
    for (size_t i = 0; i < w->args.count; i++) {
        put_text(text, w->args.items[i]);
    }
    struct account account;
    const uint32_t own = confine_account(w, &account, text); /* the worker's may replace them */
    for (size_t i = 0; i < w->environment.count; i++) {
        put_setting(text, &w->environment.items[i]);
    }
    const uint32_t preload = put_preload(text, &w->preload);
    const uint32_t limitc = confine_limits(w, &account, text);
    /* Behind all that a start needs: the names of those that came from an env_file. */
    for (size_t i = 0; i < w->environment.count; i++) {
        if (w->environment.items[i].is_secret) {
            put_text(text, w->environment.items[i].name);
        }
    }
    return (struct launch){.argc = (uint32_t)(w->command.count + w->args.count),
                           .envc = own + (uint32_t)w->environment.count + preload,
                           .text = (const char *)text->data,
                           .text_bytes = text->w,
                           .limitc = limitc,
                           .is_warm = preload > 0};
}

bool
launch_spec(const struct config_worker *w, struct worker_spec *spec, struct launch_texts *texts)
{
    struct spec_other *others = make_others(w);
    texts->others = others;
    if (others == NULL) {
        return false;
    }
    *spec = (struct worker_spec){
        .name = w->name,
        .launch = put_launch(&texts->text, w),
        .replicas = (uint32_t)w->replicas,
        .autostart = w->autostart,
        .ready = ready_of(w->ready),
        .ready_at = ready_at(w->ready),
        .depends = others,
        .depend_count = (uint32_t)w->depends_on.count,
        .restart_with = others + w->depends_on.count,
        .restart_with_count = (uint32_t)w->restart_with.count,
        .restart = w->restart == CONFIG_RESTART_NO       ? SPEC_RESTART_NO
                   : w->restart == CONFIG_RESTART_ALWAYS ? SPEC_RESTART_ALWAYS
                                                         : SPEC_RESTART_ON_FAILURE,
        .start_timeout_ms = w->start_timeout_ms,
        .restart_delay_ms = w->restart_delay_ms,
        .restart_delay_ms_max = w->restart_delay_ms_max,
        .restarts_max = (uint32_t)w->restarts_max,
        .restart_window_ms = w->restart_window_ms,
        .stop_signal = w->stop_signal,
        .stop_timeout_ms = w->stop_timeout_ms,
        .queue_max = (uint32_t)w->queue_size,
        .batch_max = (uint32_t)w->batch,
        .calls_max = (uint64_t)w->calls_max,
        .memory_bytes_max = (uint64_t)w->memory_bytes_max,
        .age_ms_max = w->age_ms_max,
        .stop_first = w->update_order == CONFIG_UPDATE_STOP_FIRST,
        .busy_ms_max = w->busy_ms_max,
        .cancel_ms = w->cancel_ms,
        .heartbeat_ms = w->heartbeat_ms,
        .replace_stuck = w->replace_stuck,
        .output = {.log = (enum spec_log)w->log_to,
                   .level = (enum spec_level)w->log_level,
                   .file_bytes_max = (size_t)w->log_bytes_max,
                   .backups = (uint32_t)w->log_backups,
                   .is_events = w->output == CONFIG_OUTPUT_EVENTS,
                   .takes_input = w->takes_stdin == CONFIG_STDIN_PIPE},
    };
    return !texts->text.failed;
}

/* ---- one process ------------------------------------------------------------------------------
 */

/* Texts of one start: argv and environment as exec wants them, all in memory of their own. */
struct texts {
    char **items;
    size_t count, cap;
    bool failed;
};

/* As a replica's number: %i stays what it is, in texts that are not of the configuration. */
enum { AS_IS = -1 };

/* Add a copy of `text` with %i put in. %% is a percent sign, so that a text can have %i itself;
 * before anything else a percent sign stays as it is. */
static void
texts_add(struct texts *t, const char *text, uint32_t replica)
{
    struct buf b = {0};
    char number[16];
    const int digits = snprintf(number, sizeof number, "%u", (unsigned)replica);
    for (const char *p = text; *p != '\0'; p++) {
        if (p[0] == '%' && p[1] == 'i' && replica != (uint32_t)AS_IS) {
            buf_put(&b, number, (size_t)digits);
            p++;
        } else if (p[0] == '%' && p[1] == '%' && replica != (uint32_t)AS_IS) {
            buf_put(&b, "%", 1);
            p++;
        } else {
            buf_put(&b, p, 1);
        }
    }
    buf_put(&b, "", 1);
    if (t->count + 2 > t->cap) {
        const size_t cap = t->cap > 0 ? t->cap * 2 : 64;
        char **items = realloc(t->items, cap * sizeof(char *));
        if (items == NULL) {
            t->failed = true;
        } else {
            t->items = items;
            t->cap = cap;
        }
    }
    if (b.failed || t->failed) {
        t->failed = true;
        buf_deinit(&b);
        return;
    }
    t->items[t->count++] = (char *)b.data; /* moved */
    t->items[t->count] = NULL;
}

static void
texts_free(struct texts *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->items[i]);
    }
    free(t->items);
}

/* Set NAME=value, over one that is there. */
static void
texts_set(struct texts *t, const char *setting, uint32_t replica)
{
    const size_t name = strcspn(setting, "=") + 1;
    for (size_t i = 0; i < t->count; i++) {
        if (strncmp(t->items[i], setting, name) == 0) {
            free(t->items[i]);
            t->items[i] = t->items[--t->count];
            break;
        }
    }
    texts_add(t, setting, replica);
}

__attribute__((format(printf, 2, 3))) static void
texts_setf(struct texts *t, const char *format, ...)
{
    char setting[600];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(setting, sizeof setting, format, args);
    va_end(args);
    texts_set(t, setting, (uint32_t)AS_IS);
}

/* Returns what stands behind the settings of the specification. */
static const char *
set_environment(struct texts *env, const struct hub_effect *start, const char *url,
                const char *notify, const char *text)
{
    for (char **e = environ; *e != NULL; e++) {
        /* What the spawner told this broker is not for workers. */
        if (strncmp(*e, "PRONG_EPOCH=", 12) != 0 && strncmp(*e, "PRONG_KEEPER_PID=", 17) != 0) {
            texts_add(env, *e, (uint32_t)AS_IS);
        }
    }
    texts_set(env, "PYTHONUNBUFFERED=1", 0);
    texts_set(env, "PYTHONFAULTHANDLER=1", 0); /* a process that hangs is asked where it is */
    for (uint32_t i = 0; i < start->spec->launch.envc; i++) {
        texts_set(env, text, start->replica);
        text += strlen(text) + 1;
    }
    texts_setf(env, "NOTIFY_SOCKET=%s", notify);
    if (start->spec->heartbeat_ms > 0) {
        texts_setf(env, "WATCHDOG_USEC=%lld", (long long)start->spec->heartbeat_ms * 1000);
    }
    texts_setf(env, "PRONG_URL=%s", url);
    texts_setf(env, "PRONG_WORKER=%s", start->spec->name);
    texts_setf(env, "PRONG_REPLICA=%u", (unsigned)start->replica);
    if (start->kind == HUB_OUT_START) {
        texts_setf(env, "PRONG_INCARNATION=%llu", (unsigned long long)start->process);
        texts_setf(env, "PRONG_TOKEN=%s", start->token);
    }
    return text;
}

/* Names the template that a process may be forked by, before %i is put in: not 0, and another one
 * for everything that differs (FNV-1a). */
static uint64_t
template_key(const struct hub_effect *start)
{
    const struct launch *launch = &start->spec->launch;
    uint64_t hash = 0xcbf29ce484222325U ^ start->edition;
    for (size_t i = 0; i < launch->text_bytes; i++) {
        hash = (hash ^ (unsigned char)launch->text[i]) * 0x100000001b3U;
    }
    return launch->is_warm ? hash | 1 : 0;
}

bool
launch_record(const struct hub_effect *start, const char *url, const char *notify,
              struct spawn_record *record, char *text)
{
    struct texts argv = {0}, env = {0}, dir = {0}, limits = {0};
    const char *p = start->spec->launch.text;
    texts_add(&dir, p, start->replica);
    p += strlen(p) + 1;
    for (uint32_t i = 0; i < start->spec->launch.argc; i++) {
        texts_add(&argv, p, start->replica);
        p += strlen(p) + 1;
    }
    p = set_environment(&env, start, url, notify, p);
    for (uint32_t i = 0; i < start->spec->launch.limitc; i++) {
        texts_add(&limits, p, start->replica);
        p += strlen(p) + 1;
    }
    *record = (struct spawn_record){.version = SPAWN_RECORDS_VERSION,
                                    .op = SPAWN_START,
                                    .id = start->process,
                                    .template_key = template_key(start),
                                    .status = start->spec->output.takes_input ? SPAWN_INPUT_PIPE
                                                                              : SPAWN_INPUT_NULL};
    (void)snprintf(record->name, sizeof record->name, "%s/%u", start->spec->name,
                   (unsigned)start->replica);
    bool ok =
        !argv.failed && !env.failed && !dir.failed && !limits.failed &&
        spawn_text_pack(record, text, SPAWN_TEXT_BYTES_MAX, dir.items[0], argv.items, env.items);
    for (size_t i = 0; ok && i < limits.count; i++) {
        ok = spawn_text_limit(record, text, SPAWN_TEXT_BYTES_MAX, limits.items[i]);
    }
    texts_free(&limits);
    texts_free(&argv);
    texts_free(&env);
    texts_free(&dir);
    return ok;
}

/* ---- the environment, to look at ---------------------------------------------------------------
 */

static int
compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether a text of a row of NULs ended by `end` is this name, alone or in front of a =. */
static bool
has_name(const char *text, const char *end, const char *name, size_t len)
{
    for (; text < end; text += strlen(text) + 1) {
        if (strncmp(text, name, len) == 0 && (text[len] == '=' || text[len] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Where a setting comes from, by who would have set it last. */
static const char *
origin(const struct worker_spec *spec, const char *name, size_t len)
{
    const struct launch *launch = &spec->launch;
    static const char own[] = "PRONG_URL\0PRONG_WORKER\0PRONG_REPLICA\0NOTIFY_SOCKET";
    /* Only with a heartbeat; else it is that of the hub's own service manager. */
    static const char watchdog[] = "WATCHDOG_USEC";
    /* Unless the worker sets them. */
    static const char python[] = "PYTHONUNBUFFERED\0PYTHONFAULTHANDLER";
    const char *settings = launch->text, *end = launch->text + launch->text_bytes;
    for (uint32_t i = 0; i <= launch->argc; i++) {
        settings += strlen(settings) + 1;
    }
    const char *secrets = settings;
    for (uint32_t i = 0; i < launch->envc; i++) {
        secrets += strlen(secrets) + 1;
    }
    static const char preload[] = "PRONG_PRELOAD";
    if (has_name(own, own + sizeof own, name, len) ||
        (launch->is_warm && has_name(preload, preload + sizeof preload, name, len)) ||
        (spec->heartbeat_ms > 0 && has_name(watchdog, watchdog + sizeof watchdog, name, len))) {
        return "prong";
    }
    const char *behind = secrets;
    for (uint32_t i = 0; i < launch->limitc; i++) {
        secrets += strlen(secrets) + 1;
    }
    if (has_name(secrets, end, name, len)) {
        return "env_file";
    }
    if (has_name(settings, behind, name, len)) {
        return "worker";
    }
    return has_name(python, python + sizeof python, name, len) ? "prong" : "hub";
}

static void
write_value(struct buf *out, const char *value)
{
    const struct span bytes = {(const uint8_t *)value, strlen(value)};
    if (mp_is_utf8(bytes)) {
        write_str(out, bytes);
    } else {
        write_bin(out, bytes);
    }
}

/* The value without passwords in URLs and the like. */
static void
write_masked(struct buf *out, const char *value)
{
    const size_t size = mask_text(value, (char[1]){0}, 1) + 1;
    char *masked = malloc(size);
    if (masked == NULL) {
        out->failed = true;
        return;
    }
    mask_text(value, masked, size);
    write_value(out, masked);
    free(masked);
}

static void
write_setting(struct buf *out, char *setting, const struct hub_effect *e)
{
    const size_t len = strcspn(setting, "=");
    const char *from = origin(e->spec, setting, len);
    const char *value = setting[len] == '=' ? setting + len + 1 : "";
    setting[len] = '\0';
    write_map(out, 3);
    write_text(out, "name");
    write_value(out, setting);
    write_text(out, "value");
    if (e->reveal) {
        write_value(out, value);
    } else if (strcmp(from, "env_file") == 0 || mask_is_secret(setting)) {
        write_text(out, MASK_SHOWN);
    } else {
        write_masked(out, value);
    }
    write_text(out, "from");
    write_text(out, from);
}

void
launch_list_environment(const struct hub_effect *e, const char *url, const char *notify,
                        struct buf *out)
{
    struct texts env = {0};
    const char *text = e->spec->launch.text;
    for (uint32_t i = 0; i <= e->spec->launch.argc; i++) {
        text += strlen(text) + 1;
    }
    (void)set_environment(&env, e, url, notify, text); /* limits are not of the environment */
    out->failed = out->failed || env.failed;
    qsort(env.items, env.count, sizeof *env.items, compare_texts);
    write_array(out, (uint32_t)env.count);
    for (size_t i = 0; i < env.count; i++) {
        write_setting(out, env.items[i], e);
    }
    texts_free(&env);
}

/* As much of a path as fits in `room` bytes with the NUL, from its end, where its name stands; fit
 * for a log and for msgpack. */
static void
put_path(const char *path, char *out, size_t room)
{
    const size_t len = strlen(path);
    const bool is_utf8 = mp_is_utf8((struct span){(const uint8_t *)path, len});
    const size_t cut = len < room ? 0 : len - room + sizeof "...";
    const char *from = path + cut;
    while (cut > 0 && is_utf8 && ((unsigned char)*from & 0xc0) == 0x80) {
        from++; /* not in the middle of a character */
    }
    (void)snprintf(out, room, "%s%s", cut > 0 ? "..." : "", from);
    for (; *out != '\0'; out++) {
        const unsigned char c = (unsigned char)*out;
        if (c < ' ' || c == 0x7f || (c > 0x7f && !is_utf8)) {
            *out = '?';
        }
    }
}

/* The value of a limit for people: of a user or group the name behind its number. NULL if it is not
 * limited. */
static const char *
find_limit(const struct launch *launch, enum limit limit)
{
    const char *text = launch->text;
    for (uint32_t i = 0; i < 1 + launch->argc + launch->envc; i++) {
        text += strlen(text) + 1;
    }
    for (uint32_t i = 0; i < launch->limitc; i++, text += strlen(text) + 1) {
        const size_t len = strcspn(text, "=");
        if (strncmp(text, limits_key(limit), len) == 0 && limits_key(limit)[len] == '\0') {
            const char *name = strchr(text + len, '/');
            return name != NULL ? name + 1 : text + len + 1;
        }
    }
    return NULL;
}

/* The step as people know it: nobody has configured the groups that a user brings along. */
static enum spawn_step
known_step(enum spawn_step step, const struct launch *launch)
{
    if (step != SPAWN_STEP_GROUPS) {
        return step;
    }
    return find_limit(launch, LIMIT_USER) != NULL ? SPAWN_STEP_USER : SPAWN_STEP_GROUP;
}

/* What of its launch a failed step is about: the folder, the program, or the value of a limit; NULL
 * for none. */
static const char *
find_subject(enum spawn_step step, const struct launch *launch)
{
    const enum limit limit = spawn_step_limit(step);
    if (step == SPAWN_STEP_FOLDER) {
        return launch->text;
    }
    if (step == SPAWN_STEP_EXEC) {
        return launch->text + strlen(launch->text) + 1;
    }
    return limit != LIMIT_COUNT ? find_limit(launch, limit) : NULL;
}

void
launch_explain(const struct spawn_record *failed, const struct worker_spec *spec,
               char out[LAUNCH_STEP_BYTES])
{
    enum spawn_step step = (enum spawn_step)failed->step;
    step = spec != NULL ? known_step(step, &spec->launch) : step;
    const char *what = step == SPAWN_STEP_FOLDER ? "working folder" : spawn_step_text(step);
    const char *slash = strchr(failed->name, '/');
    const char *subject = spec != NULL && slash != NULL ? find_subject(step, &spec->launch) : NULL;
    /* The core keeps 95 characters of "could not start: STEP: ERROR". */
    const size_t around = strlen("could not start:  '': ") + strlen(strerror(failed->error));
    size_t n = (size_t)snprintf(out, LAUNCH_STEP_BYTES, "%s", what);
    struct texts texts = {0};
    if (subject != NULL && LAUNCH_STEP_BYTES > around + n + sizeof "...") {
        texts_add(&texts, subject, (uint32_t)strtoul(slash + 1, NULL, 10));
    }
    if (texts.count > 0) {
        const size_t room = LAUNCH_STEP_BYTES - around - n;
        memcpy(out + n, " '", 3);
        put_path(texts.items[0], out + n + 2, room);
        n = strlen(out);
        memcpy(out + n, "'", 2);
    }
    texts_free(&texts);
}

bool
launch_never(enum spawn_step step, int error)
{
    if (spawn_error_passes(error)) {
        return false;
    }
    return step == SPAWN_STEP_RECORD || step == SPAWN_STEP_FOLDER || step == SPAWN_STEP_EXEC ||
           spawn_step_limit(step) != LIMIT_COUNT;
}
