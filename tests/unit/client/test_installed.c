/* What a program sees that has nothing but the installed headers and one library. */
#include "tests/support/test.h"

#include <prong/prong.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Test(installed, names_and_values_work)
{
    prong_writer *w = prong_writer_new();
    char *json = NULL;
    prong_value v;
    cr_assert_eq(prong_value_from_json("{\"a\":[1,2.5]}", 13, w, NULL, 0), PRONG_OK);
    cr_assert_eq(prong_writer_finish(w, &v), PRONG_OK);
    cr_assert_eq(prong_value_to_json(&v, 0, &json), PRONG_OK);
    cr_expect_str_eq(json, "{\"a\":[1,2.5]}");
    prong_free(json);
    prong_writer_free(w);
    cr_expect_str_eq(prong_version(), "0.1.0");
    cr_expect_str_eq(prong_err_name(PRONG_NOT_FOUND), "NOT_FOUND");
    cr_expect_str_eq(prong_err_name((prong_err)99), "UNKNOWN");
    cr_expect_not_null(strstr(prong_err_help(PRONG_UNAVAILABLE), "nobody"));
}

Test(installed, connecting_to_nobody_says_what_was_tried)
{
    prong_client *c = NULL;
    char why[300];
    cr_expect_eq(prong_connect("ipc:///nowhere/hub.sock", NULL, &c, why, sizeof why),
                 PRONG_UNAVAILABLE);
    cr_expect_null(c);
    cr_expect_not_null(strstr(why, "/nowhere/hub.sock"), "%s", why);
    cr_expect_eq(prong_connect("carrier-pigeon://x", NULL, &c, why, sizeof why),
                 PRONG_INVALID_ARGUMENT);
    cr_expect_not_null(strstr(why, "carrier-pigeon"), "%s", why);
    cr_expect_eq(prong_connect(NULL, &(prong_options){.name = "x"}, &c, why, sizeof why),
                 PRONG_INVALID_ARGUMENT);
    cr_expect_not_null(strstr(why, "size_bytes"), "%s", why);
    setenv("XDG_RUNTIME_DIR", "/nowhere/run", 1);
    unsetenv("PRONG_URL");
    if (access("/run/prong/hub.sock", F_OK) != 0 && access("/run/user", F_OK) != 0) {
        cr_expect_eq(prong_connect(NULL, NULL, &c, why, sizeof why), PRONG_UNAVAILABLE);
        cr_expect_not_null(strstr(why, "/nowhere/run/prong/hub.sock"), "%s", why);
        cr_expect_not_null(strstr(why, "/run/prong/hub.sock"), "%s", why);
    }
    setenv("PRONG_URL", "ipc:///nowhere/env.sock", 1);
    cr_expect_eq(prong_connect(NULL, NULL, &c, why, sizeof why), PRONG_UNAVAILABLE);
    cr_expect_not_null(strstr(why, "/nowhere/env.sock"), "%s", why);
}
