/* What the hub tells a device, read by the table. */
#include <string.h>

#include "client/devices/options.h"
#include "tests/support/test.h"

static void
expect_refused(const char *json, const char *part)
{
    struct options o;
    char why[300] = "";
    cr_expect_not(options_load(&o, json, why, sizeof why), "%s", json);
    cr_expect_not_null(strstr(why, part), "%s gives: %s", json, why);
    cr_expect_null(o.json);
}

Test(options, have_the_defaults_of_the_table)
{
    struct options o;
    char why[300];
    cr_assert(options_load(&o, "{\"kind\": \"tcp-listen\", \"port\": 9000}", why, sizeof why), "%s",
              why);
    cr_expect_str_eq(o.kind->program, "prong-io");
    cr_expect_eq(options_number(&o, "port"), 9000);
    cr_expect_str_eq(options_text(&o, "address"), "127.0.0.1");
    cr_expect_eq(options_number(&o, "max_bytes"), 65536);
    cr_expect_eq(options_number(&o, "reconnect_min"), 100);
    cr_expect_eq(options_number(&o, "reconnect_max"), 30000);
    cr_expect_eq(options_number(&o, "framing"), 0);
    cr_expect_str_eq(options_text(&o, "framing"), "line");
    cr_expect_eq(options_number(&o, "length_bytes"), 2);
    cr_expect_null(options_text(&o, "delimiter"));
    options_deinit(&o);
    options_deinit(&o);
}

Test(options, have_what_they_are_given)
{
    struct options o;
    char why[300];
    cr_assert(
        options_load(&o, "{\"kind\": \"watch\", \"paths\": [\"/a\", \"/b\"]}", why, sizeof why));
    cr_expect_eq(options_count(&o, "paths"), 2);
    cr_expect_str_eq(options_item(&o, "paths", 1), "/b");
    cr_expect_null(options_item(&o, "paths", 2));
    options_deinit(&o);
    cr_assert(options_load(&o, "{\"kind\": \"fifo\", \"path\": \"/f\", \"create\": false}", why,
                           sizeof why));
    cr_expect_eq(options_number(&o, "create"), 0);
    options_deinit(&o);
}

Test(options, that_are_wrong_are_refused_with_the_reason)
{
    expect_refused("", "no JSON object");
    expect_refused("[1]", "no JSON object");
    expect_refused("{\"port\": 1}", "there is no kind ''");
    expect_refused("{\"kind\": \"tcp\"}", "there is no kind 'tcp'");
    expect_refused("{\"kind\": \"tcp-listen\"}", "'port' of kind tcp-listen is missing");
    expect_refused("{\"kind\": \"tcp-listen\", \"port\": \"1\"}", "'port'");
    expect_refused("{\"kind\": \"tcp-listen\", \"port\": 65536}", "within its limits");
    expect_refused("{\"kind\": \"tcp-listen\", \"port\": 1, \"framing\": \"x\"}", "'framing'");
    expect_refused("{\"kind\": \"tcp-listen\", \"port\": 1, \"every\": 1}", "'every' is no option");
    expect_refused("{\"kind\": \"tcp-listen\", \"port\": 1, \"port\": 2}", "duplicate");
    expect_refused("{\"kind\": \"watch\", \"paths\": []}", "'paths'");
    expect_refused("{\"kind\": \"watch\", \"paths\": [1]}", "'paths'");
    expect_refused("{\"kind\": \"fifo\", \"path\": \"/f\", \"create\": 1}", "'create'");
    expect_refused("{\"kind\": \"cron\", \"schedule\": \"* * * * 9\"}", "'schedule'");
    expect_refused("{\"kind\": \"gpio\", \"chip\": \"0\", \"lines\": {}}", "'lines'");
    expect_refused("{\"kind\": \"modbus\"}", "needs either 'host' or 'path'");
    expect_refused("{\"kind\": \"modbus\", \"host\": \"a\", \"path\": \"/b\"}", "needs either");
    expect_refused("{\"kind\": \"mqtt\", \"host\": \"a\", \"password\": \"p\", "
                   "\"password_file\": \"/f\"}",
                   "'password_file' cannot stand beside 'password'");
    expect_refused("{\"kind\": \"mqtt\", \"host\": \"a\", \"tls_cert\": \"/c\"}",
                   "'tls_cert' needs 'tls_key'");
    expect_refused("{\"kind\": \"modbus\", \"host\": \"a\", \"points\": {\"p\": \"in 1\"}}",
                   "'points'");
    expect_refused("{\"kind\": \"modbus\", \"host\": \"a\", \"points\": {\"\": \"coil 1\"}}",
                   "'points'");
    expect_refused("{\"kind\": \"modbus\", \"host\": \"a\", \"points\": {\"p\": 1}}", "'points'");
}
