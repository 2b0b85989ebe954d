/* `prong run`: add a worker to the running hub, as if it had been in its configuration.
 *
 * What would work in the caller's shell shall work here: so the program is looked for here, with
 * the caller's PATH and folder, and only its absolute path goes to the hub. The environment does
 * not go with it: it may hold secrets, and the hub's own is what a restart would have. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/field.h"
#include "client/cli/hub.h"
#include "client/cli/name.h"
#include "client/cli/output.h"
#include "client/cli/program.h"
#include "client/cli/status.h"
#include "client/cli/unit.h"

enum { REMOVE_MS = 10000 };

static int
write_environment(const struct cli *cli, prong_writer *w)
{
    const struct texts *list = &cli->options.environment;
    prong_writer_key(w, "environment");
    prong_writer_map(w, (uint32_t)list->count);
    for (size_t i = 0; i < list->count; i++) {
        const char *equals = strchr(list->items[i], '=');
        char name[256];
        if (equals == NULL || equals == list->items[i] ||
            (size_t)(equals - list->items[i]) >= sizeof name) {
            return output_usage(cli, "--env '%.80s': use NAME=VALUE", list->items[i]);
        }
        (void)snprintf(name, sizeof name, "%.*s", (int)(equals - list->items[i]), list->items[i]);
        field_put_text(w, name, equals + 1);
    }
    return CLI_OK;
}

static void
write_preload(const struct cli *cli, prong_writer *w)
{
    const struct texts *list = &cli->options.preload;
    if (list->count == 0) {
        return;
    }
    prong_writer_key(w, "preload");
    prong_writer_array(w, (uint32_t)list->count);
    for (size_t i = 0; i < list->count; i++) {
        prong_writer_string(w, list->items[i]);
    }
}

static void
write_command(const struct cli *cli, const char *program, prong_writer *w)
{
    prong_writer_key(w, "command");
    prong_writer_array(w, (uint32_t)cli->argc);
    prong_writer_string(w, program);
    for (int i = 1; i < cli->argc; i++) {
        prong_writer_string(w, cli->argv[i]);
    }
}

static int
write_args(const struct cli *cli, const char *name, const char *program, prong_writer *w)
{
    const struct options *o = &cli->options;
    char here[PATH_MAX];
    if (getcwd(here, sizeof here) == NULL) {
        output_say(cli, "cannot tell the current folder: %s", strerror(errno));
        return CLI_FAILED;
    }
    const struct {
        const char *key, *word;
    } words[] = {{"restart", o->restart},
                 {"ready", o->ready},
                 {"output", o->run_output},
                 {"log", o->run_log},
                 {"stdin", o->run_stdin}};
    enum { WORDS = sizeof words / sizeof words[0] };
    uint32_t given = 0;
    for (size_t i = 0; i < WORDS; i++) {
        given += words[i].word != NULL;
    }
    prong_writer_map(w, 4U + (o->replicas > 0) + (o->preload.count > 0) + given);
    field_put_text(w, "name", name);
    field_put_text(w, "working_dir", here);
    write_command(cli, program, w);
    if (o->replicas > 0) {
        field_put_int(w, "replicas", o->replicas);
    }
    for (size_t i = 0; i < WORDS; i++) {
        if (words[i].word != NULL) {
            field_put_text(w, words[i].key, words[i].word);
        }
    }
    write_preload(cli, w);
    return write_environment(cli, w);
}

static int
ask_run(struct cli *cli, const char *name, const char *program)
{
    prong_writer *w = prong_writer_new();
    int code = w != NULL ? write_args(cli, name, program, w) : output_no_memory(cli);
    code = code != CLI_OK ? code : hub_ask_written(cli, "run", name, w, NULL);
    prong_writer_free(w);
    return code;
}

/* Take it out again, whatever it is doing: after a `run` that failed nothing is left. */
static void
take_back(struct cli *cli, struct status_watch *watch, const char *name)
{
    const struct status_wish gone = {
        .goal = STATUS_STOPPED, .choice = {&name, 1, false}, .replicas = -1};
    enum status_verdict verdict = STATUS_LOST;
    cli->deadline_ms = unit_now_ms() + REMOVE_MS;
    int code = hub_ask_worker(cli, "stop", name, NULL);
    code = code != CLI_OK ? code : status_get(cli, &watch->status);
    code = code != CLI_OK ? code : status_watch_until(cli, watch, &gone, &verdict);
    if (code == CLI_OK && verdict == STATUS_DONE &&
        hub_ask_worker(cli, "remove", name, NULL) == CLI_OK) {
        output_note(cli, "%s was taken out of the hub again", name);
    } else {
        output_say(cli, "%s is still in the hub: prong stop %s, then prong remove %s", name, name,
                   name);
    }
}

static int
wait_ready(struct cli *cli, struct status_watch *watch, const char *name)
{
    const struct status_wish wish = {.goal = STATUS_READY,
                                     .choice = {&name, 1, false},
                                     .one_life = true,
                                     .may_end = cli->options.ready != NULL &&
                                                strcmp(cli->options.ready, "started") == 0,
                                     .replicas = -1};
    enum status_verdict verdict = STATUS_LOST;
    int code = status_get(cli, &watch->status);
    code = code != CLI_OK ? code : status_watch_until(cli, watch, &wish, &verdict);
    if (code == CLI_OK && verdict == STATUS_DONE) {
        return status_print(cli, &watch->status, &wish.choice);
    }
    if (code == CLI_OK) {
        code = status_tell_missing(cli, &watch->status, &wish);
    }
    take_back(cli, watch, name);
    return code;
}

int
verb_run(struct cli *cli)
{
    struct status_watch watch = {0};
    char name[PRONG_NAME_BYTES_MAX + 1], program[PATH_MAX];
    name_guess(cli->argv, cli->argc, name);
    if (cli->options.name != NULL && strlen(cli->options.name) > PRONG_NAME_BYTES_MAX) {
        return output_usage(cli, "--name is longer than %d bytes", (int)PRONG_NAME_BYTES_MAX);
    }
    if (cli->options.name != NULL) {
        (void)snprintf(name, sizeof name, "%s", cli->options.name);
    }
    if (!program_resolve(cli->argv[0], program)) {
        output_say(cli, "cannot run %s: %s", cli->argv[0],
                   errno == ENOENT && strchr(cli->argv[0], '/') == NULL ? "it is not in PATH"
                                                                        : strerror(errno));
        return CLI_USAGE;
    }
    int code = hub_connect(cli);
    code = code != CLI_OK ? code : status_watch_begin(cli, &watch);
    code = code != CLI_OK ? code : ask_run(cli, name, program);
    code = code != CLI_OK ? code : wait_ready(cli, &watch, name);
    status_watch_end(&watch);
    return code;
}
