/* prong: reads the command line and runs one verb. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/help.h"
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/unit.h"

/* A broker that died is there again within a second; a hub that ended is not. */
enum { RECONNECT_MS = 5000 };

/* As long as nobody waits for signals there is nothing to cancel or to take back. */
static void
end_at_once(int number)
{
    _exit(128 + number);
}

static void
set_signals(void)
{
    const struct sigaction end = {.sa_handler = end_at_once};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGINT, &end, NULL); /* none of these can fail */
    (void)sigaction(SIGTERM, &end, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL); /* a write fails with EPIPE instead */
}

/* Descriptors 0 to 2 must exist, or a socket would get such a number and be taken for stdout. */
static bool
tidy_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
            return false;
        }
    }
    return true;
}

static void
look_at_terminal(struct cli *cli)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    const bool has_color = !cli->options.no_color && (no_color == NULL || no_color[0] == '\0') &&
                           (terminal == NULL || strcmp(terminal, "dumb") != 0);
    cli->out_is_terminal = isatty(STDOUT_FILENO) == 1;
    cli->err_is_terminal = isatty(STDERR_FILENO) == 1;
    cli->out_has_color = cli->out_is_terminal && has_color;
    cli->err_has_color = cli->err_is_terminal && has_color;
}

/* --quiet: what goes to stdout goes nowhere. */
static void
hide_output(void)
{
    const int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)dup2(fd, STDOUT_FILENO); /* else it is shown */
        close(fd);
    }
}

/* The default of --timeout; a verb that goes on until it is ended does so here too. */
static int
read_timeout(struct cli *cli, struct option_reader *reader)
{
    const char *text = getenv("PRONG_TIMEOUT");
    char fault[OPTIONS_FAULT_BYTES_MAX];
    cli->has_timeout = cli->options.timeout_ms > 0;
    if (cli->has_timeout || cli->verb->timeout_ms == 0) {
        return CLI_OK;
    }
    cli->options.timeout_ms = cli->verb->timeout_ms;
    return text == NULL || text[0] == '\0' ||
                   options_read_value(reader, "--timeout", "PRONG_TIMEOUT", text, &cli->options,
                                      fault)
               ? CLI_OK
               : output_usage(cli, "%s", fault);
}

static int
run_verb(struct cli *cli, struct option_reader *reader)
{
    const struct verb *verb = cli->verb;
    if (cli->options.help) {
        help_print_verb(stdout, verb);
        return CLI_OK;
    }
    if (cli->argc < verb->argc_min) {
        return output_usage(cli, "%s needs %d argument%s", verb->name, verb->argc_min,
                            verb->argc_min == 1 ? "" : "s");
    }
    if (cli->argc > verb->argc_max) {
        return output_usage(cli, "unexpected argument '%.80s'", cli->argv[verb->argc_max]);
    }
    const int code = read_timeout(cli, reader);
    if (code != CLI_OK) {
        return code;
    }
    cli->deadline_ms =
        cli->options.timeout_ms > 0 ? unit_now_ms() + cli->options.timeout_ms : CLI_NEVER_MS;
    cli->no_hub = verb->no_hub != 0 ? verb->no_hub : CLI_NO_HUB;
    if (cli->options.quiet) {
        hide_output();
    }
    return verb->run(cli);
}

/* Options before the verb, the verb, options behind it. `words` and `rest` have room for all. */
static int
read_and_run(struct cli *cli, int argc, const char *const *argv, const char **words,
             const char **rest)
{
    char fault[OPTIONS_FAULT_BYTES_MAX];
    int word_count = 0, used = 0;
    struct option_reader reader = {.tables = {NULL, help_common_options()},
                                   .argc = argc,
                                   .argv = argv,
                                   .next = 1,
                                   .stops_at_argument = true};
    if (!options_read(&reader, &cli->options, words, &word_count, fault)) {
        return output_usage(cli, "%s", fault);
    }
    look_at_terminal(cli);
    if (word_count == 0 && cli->options.version) {
        return verb_version(cli);
    }
    if (word_count == 0) {
        help_print_all(cli->options.help ? stdout : stderr);
        return cli->options.help ? CLI_OK : CLI_USAGE;
    }
    cli->verb = help_find_verb(words, word_count, &used);
    if (cli->verb == NULL) {
        return help_no_such_verb(cli, words, word_count);
    }
    reader = (struct option_reader){.tables = {cli->verb->options, help_common_options()},
                                    .argc = word_count,
                                    .argv = words,
                                    .next = used,
                                    .stops_at_argument = cli->verb->stops_at_argument};
    if (!options_read(&reader, &cli->options, rest, &cli->argc, fault)) {
        return output_usage(cli, "%s", fault);
    }
    cli->argv = rest;
    look_at_terminal(cli);
    return cli->options.version ? verb_version(cli) : run_verb(cli, &reader);
}

int
main(int argc, char *argv[])
{
    struct cli cli = {.options = {.lines = -1},
                      .reconnect_ms = RECONNECT_MS,
                      .signal_fd = -1,
                      .no_hub = CLI_NO_HUB,
                      .deadline_ms = CLI_NEVER_MS};
    if (!tidy_descriptors()) {
        return CLI_FAILED; /* there is not even a stderr to say it on */
    }
    set_signals();
    const char **words = calloc((size_t)argc + 1, sizeof *words);
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    int code = words != NULL && rest != NULL
                   ? read_and_run(&cli, argc, (const char *const *)argv, words, rest)
                   : output_no_memory(&cli);
    code = output_end(&cli, code);
    hub_close(&cli);
    options_deinit(&cli.options);
    free(words);
    free(rest);
    return code;
}
