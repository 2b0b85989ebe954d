/* `prong env`: what a process of a worker would find in its environment. */
#include <stdio.h>

#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/table.h"

/* A text of an entry, which is bytes when the system gave something that is no UTF-8. */
static const char *
field(const prong_value *entry, const char *key, size_t *len)
{
    prong_value value;
    const uint8_t *bytes;
    const char *text = "";
    *len = 0;
    if (prong_value_find(entry, key, &value) && !prong_value_text(&value, &text, len) &&
        prong_value_bin(&value, &bytes, len)) {
        text = (const char *)bytes;
    }
    return text;
}

static void
put(const prong_value *entry, const char *key, bool safe)
{
    size_t len;
    const char *text = field(entry, key, &len);
    if (safe) {
        table_put_safe(stdout, text, len);
    } else {
        (void)fwrite(text, 1, len, stdout);
    }
}

/* NAME=value as `env` prints it. On a terminal with where it comes from: lines, because values are
 * too long for columns. */
static int
print_lines(const prong_value *list, bool safe)
{
    prong_iter it;
    prong_value entry;
    (void)prong_iter_begin(&it, list);
    while (prong_iter_next(&it, NULL, &entry)) {
        if (safe) {
            size_t len;
            const char *from = field(&entry, "from", &len);
            (void)printf("%-8.*s  ", (int)len, from);
        }
        put(&entry, "name", safe);
        (void)putchar('=');
        put(&entry, "value", safe);
        (void)putchar('\n');
    }
    return CLI_OK;
}

int
verb_env(struct cli *cli)
{
    const enum output_form form = output_form(cli);
    prong_reply *reply = NULL;
    int code = hub_connect(cli);
    if (code == CLI_OK) {
        code = hub_ask_number(cli, "env", cli->argv[0], cli->options.reveal ? "reveal" : NULL, 1,
                              &reply);
    }
    if (code == CLI_OK && (form == OUTPUT_TABLE || form == OUTPUT_RAW)) {
        code = print_lines(prong_reply_value(reply), form == OUTPUT_TABLE);
    } else if (code == CLI_OK) {
        code = output_value(cli, prong_reply_value(reply));
    }
    prong_reply_free(reply);
    return code;
}
