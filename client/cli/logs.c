/* `prong logs`, and the last lines of a worker that failed. There is no -f: the hub cannot tell new
 * lines when they come, and asking again and again would be no following. */
#include "client/cli/logs.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/cli/unit.h"

/* A negative number of lines leaves it to the hub how many. */
static int
ask(struct cli *cli, const char *target, int64_t lines, prong_reply **out)
{
    return hub_ask_number(cli, "logs", target, lines >= 0 ? "lines" : NULL, lines, out);
}

/* The text of one {time_us, replica, pid, line}. */
static bool
line_of(const prong_value *entry, const char **text, size_t *len)
{
    prong_value line;
    const uint8_t *data;
    if (!prong_value_find(entry, "line", &line) || !prong_value_bin(&line, &data, len)) {
        return false;
    }
    *text = (const char *)data;
    return true;
}

void
logs_tell_last(struct cli *cli, const char *target, int64_t lines)
{
    prong_reply *reply = NULL;
    prong_iter it;
    prong_value entry;
    const char *text;
    size_t len, count = 0;
    if (ask(cli, target, lines, &reply) != CLI_OK) {
        return;
    }
    (void)prong_iter_begin(&it, prong_reply_value(reply));
    while (prong_iter_next(&it, NULL, &entry)) {
        if (line_of(&entry, &text, &len)) {
            if (count++ == 0) {
                output_say(cli, "the last lines of %s:", target);
            }
            output_block("  | ", text, len);
            if (len == 0) {
                (void)fputs("  |\n", stderr);
            }
        }
    }
    if (count == 0) {
        output_say(cli, "%s wrote nothing", target);
    }
    prong_reply_free(reply);
}

/* "12:00:00.123456 detector/0 text" on a terminal, where colours of the worker's own are worth
 * keeping and commands to the terminal are not: so they are shown as '?'. */
static void
print_line(const prong_value *entry, bool with_replica)
{
    char when[UNIT_TIME_BYTES] = "";
    prong_value item;
    int64_t time_us = 0;
    const char *text;
    size_t len;
    if (prong_value_find(entry, "time_us", &item) && prong_value_int(&item, &time_us)) {
        unit_time_local(time_us, when);
    }
    (void)printf("%s ", when);
    if (with_replica && prong_value_find(entry, "replica", &item) &&
        prong_value_text(&item, &text, &len)) {
        table_put_safe(stdout, text, len);
        (void)fputc(' ', stdout);
    }
    if (line_of(entry, &text, &len)) {
        table_put_safe(stdout, text, len);
    }
    (void)fputc('\n', stdout);
}

/* The text alone, byte by byte as it was written. */
static void
print_raw(const prong_value *entry)
{
    const char *text;
    size_t len;
    if (line_of(entry, &text, &len)) {
        (void)fwrite(text, 1, len, stdout);
    }
    (void)fputc('\n', stdout);
}

static int
print_all(struct cli *cli, const char *target)
{
    const enum output_form form = output_form(cli);
    prong_reply *reply = NULL;
    prong_iter it;
    prong_value entry;
    int code = ask(cli, target, cli->options.lines, &reply);
    if (code != CLI_OK) {
        return code;
    }
    (void)prong_iter_begin(&it, prong_reply_value(reply));
    while (code == CLI_OK && prong_iter_next(&it, NULL, &entry)) {
        if (form == OUTPUT_TABLE) {
            print_line(&entry, true);
        } else if (form == OUTPUT_RAW) {
            print_raw(&entry);
        } else {
            code = output_value(
                cli, &entry); /* JSON Lines, also with json: several workers are one stream */
        }
    }
    prong_reply_free(reply);
    return code;
}

int
verb_logs(struct cli *cli)
{
    int code = hub_connect(cli);
    for (int i = 0; code == CLI_OK && i < cli->argc; i++) {
        code = print_all(cli, cli->argv[i]);
    }
    return code;
}
