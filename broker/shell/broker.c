/* The broker: see broker.h. */
#include "broker/shell/broker.h"
#include "broker/shell/confine.h"
#include "broker/shell/launch.h"
#include "proto/clock/clock.h"
#include "proto/ring/lend.h"
#include "proto/wire.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { EVENTS_PER_TURN = 64, HURRY_MS = 2000 };

static void
read_clocks(struct broker *b)
{
    b->now_ns = clock_mono_ns();
    b->wall_us = (uint64_t)clock_wall_us();
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static int
fail(struct broker *b, int code, const char *text)
{
    log_write(&b->log, LOG_ERROR, "%s", text);
    return code;
}

/* The group of the configuration may enter the folder and use a socket in it. */
static int
open_to_group(struct broker *b, const char *runtime_dir, const char *socket)
{
    char path[4200];
    const char *name = b->config->hub.group;
    const struct group *group = name == NULL ? NULL : getgrnam(name);
    if (name == NULL) {
        return EX_OK;
    }
    if (group == NULL) {
        log_write(&b->log, LOG_ERROR, "hub: group: there is no group '%s'", name);
        return EX_CONFIG;
    }
    (void)snprintf(path, sizeof path, "%s/%s", runtime_dir, socket);
    if (chown(path, (uid_t)-1, group->gr_gid) != 0 || chmod(path, 0660) != 0 ||
        chown(runtime_dir, (uid_t)-1, group->gr_gid) != 0 || chmod(runtime_dir, 0750) != 0) {
        log_write(&b->log, LOG_ERROR, "cannot give %s to the group '%s': %s", runtime_dir, name,
                  strerror(errno));
        return EX_NOPERM;
    }
    return EX_OK;
}

/* What is on its way, for each socket: so much as calls may hold, coming in and going out. */
static size_t
held_bytes_max(const struct config_hub *hub)
{
    const int64_t calls = 2 * hub->payload_bytes_max, messages = 16 * hub->message_bytes_max;
    return (size_t)(calls > messages ? calls : messages);
}

static int
open_link(struct broker *b, const char *url, bool use_nng)
{
    const struct config_hub *hub = &b->config->hub;
    const struct link_server_options options = {
        .epoll_fd = b->epoll_fd,
        .use_nng = use_nng,
        .message_bytes_max = (size_t)hub->message_bytes_max,
        .socket_mode = hub->group != NULL ? 0660 : 0600,
        .peers_max = WIRE_PEERS_MAX + WIRE_PEERS_SPARE,
        .out_bytes_max = WIRE_OUT_BYTES_MAX,
        .held_bytes_max = held_bytes_max(hub),
        .tls_cert_file = hub->tls_cert_file,
        .tls_key_file = hub->tls_key_file,
    };
    struct link_handler handler = broker_link_handler;
    struct link_error error;
    handler.context = b;
    if (link_server_open(url, &options, &handler, &b->links[b->link_count], &error) != 0) {
        log_write(&b->log, LOG_ERROR, "cannot listen on %s: %s", url, error.text);
        return error.code == EACCES ? EX_NOPERM : EX_CANTCREAT;
    }
    log_write(&b->log, LOG_INFO, "listening on %s", link_server_url(b->links[b->link_count]));
    b->link_count++;
    return EX_OK;
}

static int
open_links(struct broker *b, const char *runtime_dir)
{
    const struct config_hub *hub = &b->config->hub;
    (void)snprintf(b->url, sizeof b->url, "ipc://%s/hub.sock", runtime_dir);
    int code = open_link(b, b->url, hub->local_engine == CONFIG_ENGINE_NNG);
    if (code == EX_OK) {
        code = open_to_group(b, runtime_dir, "hub.sock");
    }
    for (size_t i = 0; i < hub->listen.count && code == EX_OK; i++) {
        code = open_link(b, hub->listen.items[i], true);
    }
    return code;
}

uint64_t
broker_epoch(void)
{
    const char *text = getenv("PRONG_EPOCH");
    return text != NULL ? strtoull(text, NULL, 10) : 1;
}

/* As the core and the lender want it; their count. */
static size_t
silences_of(const struct config_map *map, struct hub_silence out[WIRE_SILENCES_MAX])
{
    for (size_t i = 0; i < map->count; i++) {
        out[i] = (struct hub_silence){map->items[i].name, map->items[i].number};
    }
    return map->count;
}

static int
open_hub(struct broker *b, const char *runtime_dir)
{
    const struct config_hub *c = &b->config->hub;
    const char *slash = strrchr(runtime_dir, '/');
    char why[400], token_path[4200];
    struct buf token = {0};
    struct hub_silence silences[WIRE_SILENCES_MAX];
    struct hub_options options = {
        .name = slash != NULL ? slash + 1 : runtime_dir,
        .version = PRONG_VERSION,
        .epoch = broker_epoch(),
        .uid = getuid(),
        .events_bytes = (uint64_t)c->events_size_bytes,
        .message_bytes = (uint64_t)c->message_bytes_max,
        .calls_max = (uint64_t)c->calls_max,
        .payload_bytes_max = (uint64_t)c->payload_bytes_max,
        .client_calls_max = (uint64_t)c->client_calls_max,
        .client_bytes_max = (uint64_t)c->client_bytes_max,
        .drain_ms = c->stop_timeout_ms,
        .silences = silences,
        .silence_count = silences_of(&c->max_silence, silences),
    };
    if (!secret_load(runtime_dir, options.epoch == 1, options.secret, why, sizeof why)) {
        return fail(b, EX_CANTCREAT, why);
    }
    (void)snprintf(token_path, sizeof token_path, "%s/token", runtime_dir);
    if (c->listen.count > 0 && !secret_token(c->token_file != NULL ? c->token_file : token_path,
                                             &token, why, sizeof why)) {
        return fail(b, EX_CONFIG, why);
    }
    options.token = buf_span(&token);
    b->hub = hub_new(&options);
    buf_deinit(&token);
    return b->hub != NULL ? EX_OK : fail(b, EX_OSERR, "out of memory");
}

static int
tell_workers(struct broker *b)
{
    for (size_t i = 0; i < b->config->worker_count; i++) {
        struct worker_spec spec;
        struct launch_texts texts = {0};
        const bool ok = launch_spec(&b->config->workers[i], &spec, &texts);
        struct hub_input in = {.kind = HUB_IN_WORKER, .worker = {&spec}};
        if (ok) {
            confine_warn(&b->log, &b->config->workers[i], &b->config->hub, spec.ready);
            broker_feed(b, &in);
        }
        launch_texts_deinit(&texts);
        if (!ok) {
            return fail(b, EX_OSERR, "out of memory");
        }
    }
    return EX_OK;
}

static void
spawner_record(void *context, const struct spawn_record *record, int fd)
{
    broker_feed_record(context, record, fd);
}

static void
spawner_gone(void *context)
{
    struct broker *b = context;
    b->ended = true;
    b->exit_code = EX_OSERR;
}

/* When the first broker of this hub began: it made the secret. 0 when that is not to be known. */
static uint64_t
hub_since_us(const char *runtime_dir)
{
    char path[4200];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/secret", runtime_dir);
    return stat(path, &st) != 0
               ? 0
               : (uint64_t)st.st_mtim.tv_sec * 1000000 + (uint64_t)st.st_mtim.tv_nsec / 1000;
}

/* Where output is kept without hub: log_dir. A service manager gives a folder that outlives the
 * runtime folder: the first one of a list with colons, as for RUNTIME_DIRECTORY. */
static void
choose_log_dir(struct broker *b, const char *runtime_dir)
{
    const char *list = getenv("LOGS_DIRECTORY");
    const int length = list != NULL && list[0] == '/' ? (int)strcspn(list, ":") : 0;
    if (length > 0 && length < (int)sizeof b->log_dir) {
        (void)snprintf(b->log_dir, sizeof b->log_dir, "%.*s", length, list);
    } else {
        (void)snprintf(b->log_dir, sizeof b->log_dir, "%s/log", runtime_dir);
    }
}

const struct worker_spec *
broker_spec_of(const struct broker *b, const char *replica)
{
    static const char template[] = "/template";
    char first[LOGLINE_WHO_BYTES];
    const size_t len = strcspn(replica, "/");
    if (strcmp(replica + len, template) != 0 || len + sizeof "/0" > sizeof first) {
        return hub_replica_spec(b->hub, replica);
    }
    (void)snprintf(first, sizeof first, "%.*s/0", (int)len, replica);
    return hub_replica_spec(b->hub, first);
}

static bool
has_replica(void *context, const char *replica)
{
    const struct broker *b = context;
    return broker_spec_of(b, replica) != NULL;
}

static void
noticed(void *context, struct hub_input *in)
{
    broker_feed(context, in);
}

static uint64_t
process_of_pid(void *context, int32_t pid)
{
    const struct broker *b = context;
    return hub_process_of_pid(b->hub, pid);
}

static int
open_notice(struct broker *b, const char *runtime_dir)
{
    const struct notice_options options = {
        .epoll_fd = b->epoll_fd,
        .path = b->notice_path,
        .log = &b->log,
        .tell = noticed,
        .find = process_of_pid,
        .context = b,
    };
    (void)snprintf(b->notice_path, sizeof b->notice_path, "%s/notify", runtime_dir);
    b->notice = notice_new(&options);
    return b->notice != NULL ? open_to_group(b, runtime_dir, "notify") : EX_CANTCREAT;
}

static void
lender_told(void *context, const struct hub_lent_news *news)
{
    struct hub_input in = {.kind = HUB_IN_LENT, .lent = *news};
    broker_feed(context, &in);
}

static int
open_lender(struct broker *b, const char *runtime_dir)
{
    struct hub_silence silences[WIRE_SILENCES_MAX];
    const struct lender_options options = {
        .epoll_fd = b->epoll_fd,
        .path = b->memory_path,
        .log = &b->log,
        .memory_bytes_max = (uint64_t)b->config->hub.memory_bytes_max,
        .silences = silences,
        .silence_count = silences_of(&b->config->hub.stream_silence, silences),
        .tell = lender_told,
        .context = b,
    };
    (void)snprintf(b->memory_path, sizeof b->memory_path, "%s/" LEND_SOCKET, runtime_dir);
    b->lender = lender_new(&options);
    return b->lender != NULL ? open_to_group(b, runtime_dir, LEND_SOCKET) : EX_CANTCREAT;
}

int
broker_open(struct broker *b, const char *runtime_dir, struct config *config,
            const char *config_path, bool is_quiet)
{
    *b = (struct broker){.epoll_fd = -1,
                         .log = log_start(),
                         .config = config,
                         .runtime_dir = runtime_dir,
                         .config_path = config_path,
                         .stop_by_ns = HUB_NEVER};
    b->spawner.fd = -1;
    b->log.lost = &b->log_lost;
    b->log.level = is_quiet ? LOG_WARN : (enum log_level)config->hub.log_level;
    choose_log_dir(b, runtime_dir);
    b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    const struct output_options output = {
        .epoll_fd = b->epoll_fd,
        .dir = config->hub.log_dir != NULL ? config->hub.log_dir : b->log_dir,
        .log = &b->log,
        .since_us = hub_since_us(runtime_dir),
        .epoch = broker_epoch(),
        .has_replica = has_replica,
        .running = broker_feed_running,
        .line = broker_feed_line,
        .answer = broker_feed_answer,
        .context = b,
    };
    const struct input_options input = {
        .epoll_fd = b->epoll_fd, .ended = broker_feed_input_ended, .context = b};
    b->output = output_new(&output);
    b->input = input_new(&input);
    b->spawner.context = b;
    b->spawner.record = spawner_record;
    b->spawner.gone = spawner_gone;
    if (b->epoll_fd < 0 || b->output == NULL || b->input == NULL) {
        return fail(b, EX_OSERR, "out of memory or descriptors");
    }
    read_clocks(b);
    int code = open_hub(b, runtime_dir);
    if (code == EX_OK) {
        code = tell_workers(b);
    }
    /* First, because whoever finds the hub's own socket looks for this one beside it. */
    if (code == EX_OK) {
        code = open_lender(b, runtime_dir);
    }
    if (code == EX_OK) {
        code = open_links(b, runtime_dir);
    }
    if (code == EX_OK) {
        code = open_notice(b, runtime_dir);
    }
    if (code == EX_OK && !spawn_link_open(&b->spawner, b->epoll_fd, SPAWN_BROKER_FD)) {
        code =
            fail(b, EX_USAGE, "descriptor 3 is not the spawner: prong-broker is started by prongd");
    }
    return code;
}

/* ---- running ----------------------------------------------------------------------------------
 */

/* Milliseconds until the core or a stop that takes too long wants the time; -1 for never. */
static int
timeout_ms(const struct broker *b)
{
    const int64_t hub_ns = hub_deadline_ns(b->hub);
    const int64_t notice_ns = notice_deadline_ns(b->notice);
    const int64_t output_ns = output_deadline_ns(b->output);
    const int64_t shell_ns = notice_ns < output_ns ? notice_ns : output_ns;
    const int64_t first_ns = shell_ns < hub_ns ? shell_ns : hub_ns;
    const int64_t lender_ns = lender_deadline_ns(b->lender, b->now_ns);
    const int64_t soon_ns = lender_ns < first_ns ? lender_ns : first_ns;
    const int64_t at_ns = b->stop_by_ns < soon_ns ? b->stop_by_ns : soon_ns;
    if (at_ns == HUB_NEVER) {
        return -1;
    }
    const int64_t left_ns = at_ns - clock_mono_ns();
    if (left_ns <= 0) {
        return 0;
    }
    /* Rounded up: a turn just before a deadline would do nothing and come again. */
    const int64_t left_ms = (left_ns + 999999) / 1000000;
    return left_ms > 3600000 ? 3600000 : (int)left_ms;
}

static void
keep_time(struct broker *b)
{
    if (b->now_ns >= hub_deadline_ns(b->hub)) {
        struct hub_input in = {.kind = HUB_IN_TIME};
        broker_feed(b, &in);
    }
    if (b->now_ns >= b->stop_by_ns) {
        /* First what still drains is asked to end, then what still runs is killed. */
        struct hub_input in = {.kind = HUB_IN_STOP};
        log_write(&b->log, LOG_WARN, "stopping takes too long: %s",
                  b->hurries == 0 ? "running calls are given up" : "killing what still runs");
        b->hurries++;
        b->stop_by_ns = b->now_ns + (int64_t)HURRY_MS * 1000000;
        broker_feed(b, &in);
    }
}

int
broker_run(struct broker *b)
{
    struct epoll_event events[EVENTS_PER_TURN];
    while (!b->ended) {
        const int n = epoll_wait(b->epoll_fd, events, EVENTS_PER_TURN, timeout_ms(b));
        read_clocks(b);
        for (int i = 0; i < n; i++) {
            struct source *source = events[i].data.ptr;
            source->ready(source, events[i].events);
        }
        keep_time(b);
        notice_turn(b->notice, b->now_ns);
        lender_turn(b->lender);
        output_turn(b->output, b->now_ns, n == EVENTS_PER_TURN);
        input_turn(b->input);
        struct hub_input turn = {.kind = HUB_IN_TURN};
        broker_feed(b, &turn);
        for (size_t i = 0; i < b->link_count; i++) {
            link_server_turn(b->links[i]);
        }
    }
    if (b->exit_code == 0) {
        const struct spawn_record end = {.version = SPAWN_RECORDS_VERSION, .op = SPAWN_END};
        spawn_link_send(&b->spawner, &end, NULL);
        spawn_link_flush(&b->spawner);
        log_write(&b->log, LOG_INFO, "stopped");
    }
    return b->exit_code;
}

void
broker_close(struct broker *b)
{
    while (b->link_count > 0) {
        link_server_free(b->links[--b->link_count]);
    }
    spawn_link_close(&b->spawner);
    output_free(b->output);
    input_free(b->input);
    notice_free(b->notice);
    lender_free(b->lender);
    hub_free(b->hub);
    config_free(b->config);
    free(b->follows);
    if (b->epoll_fd >= 0) {
        (void)close(b->epoll_fd);
    }
    *b = (struct broker){.epoll_fd = -1};
}
