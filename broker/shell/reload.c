/* The configuration read once more while the hub runs. What cannot be used changes nothing. */
#include "broker/shell/broker.h"
#include "broker/shell/confine.h"
#include "broker/shell/kept.h"
#include "broker/shell/launch.h"

#include <stdlib.h>
#include <string.h>

/* Everything that one reload points to. */
struct reload {
    struct config *config;
    struct worker_spec *specs;
    struct launch_texts *texts;
    size_t count;
};

static void
release(struct reload *r)
{
    for (size_t i = 0; r->texts != NULL && i < r->count; i++) {
        launch_texts_deinit(&r->texts[i]);
    }
    free(r->texts);
    free(r->specs);
    config_free(r->config);
}

static bool
make_specs(const struct broker *b, struct reload *r)
{
    r->count = r->config->worker_count;
    r->specs = calloc(r->count + 1, sizeof *r->specs);
    r->texts = calloc(r->count + 1, sizeof *r->texts);
    bool ok = r->specs != NULL && r->texts != NULL;
    for (size_t i = 0; i < r->count && ok; i++) {
        ok = launch_spec(&r->config->workers[i], &r->specs[i], &r->texts[i]);
        if (ok) {
            confine_warn(&b->log, &r->config->workers[i], &b->config->hub, r->specs[i].ready);
        }
    }
    return ok;
}

/* What holds at once of the hub's own options, and what only its next start will see. */
static void
take_hub(struct broker *b, const struct config *now)
{
    struct config_hub *was = &b->config->hub;
    char keys[400];
    was->log_level = now->hub.log_level;
    b->log.level = (enum log_level)now->hub.log_level;
    config_hub_differs(was, &now->hub, keys, sizeof keys);
    if (keys[0] != '\0') {
        log_write(&b->log, LOG_WARN,
                  "options of the hub that changed hold when it is started again: %s", keys);
    }
}

/* Where the lines of a replica go from now on. */
static const struct spec_output *
how_of(void *context, const char *replica)
{
    const struct broker *b = context;
    const struct worker_spec *spec = broker_spec_of(b, replica);
    return spec != NULL ? &spec->output : NULL;
}

static bool
refuse(struct broker *b, uint64_t call, const char *why)
{
    struct hub_input in = {.kind = HUB_IN_RELOAD, .reload = {.call = call, .wrong = why}};
    log_write(&b->log, LOG_ERROR, "the configuration was not read again: %s", why);
    broker_feed(b, &in);
    return false;
}

bool
broker_reload(struct broker *b, uint64_t call)
{
    struct reload r = {0};
    struct config_diag diag;
    if (b->config_path == NULL) {
        return refuse(b, call, "the hub was started without a configuration file");
    }
    if (config_load(b->config_path, &config_env_process, &r.config, &diag) != 0) {
        char text[CONFIG_DIAG_BYTES_MAX + 300];
        config_diag_format(&diag, text, sizeof text);
        return refuse(b, call, text);
    }
    const bool ok = make_specs(b, &r) || refuse(b, call, "out of memory");
    if (ok) {
        struct hub_input in = {.kind = HUB_IN_RELOAD,
                               .reload = {.call = call, .specs = r.specs, .count = r.count}};
        take_hub(b, r.config);
        broker_feed(b, &in);
        output_change(b->output, how_of, b);
        /* The old one goes with `r`: what is read of it while the hub runs is that of workers. */
        struct config *old = b->config;
        b->config = r.config;
        r.config = old;
        kept_write(b->runtime_dir, b->config, b->config_path, &b->log);
    }
    release(&r);
    return ok;
}
