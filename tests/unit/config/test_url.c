/* What may stand in `listen`. */
#include "broker/config/url.h"

#include <string.h>

#include "tests/support/test.h"

Test(config_url, loopback_without_tls_and_anything_with_it_is_accepted)
{
    static const char *const good[] = {
        "tcp://127.0.0.1:7707",   "tcp://127.255.0.9:1",      "tcp://[::1]:7707",
        "tcp://localhost:7707",   "tcp://LocalHost:0",        "tcp://[0:0:0:0:0:0:0:1]:65535",
        "tls+tcp://0.0.0.0:7707", "tls+tcp://[::]:7707",      "tls+tcp://vision.example:7707",
        "tls+tcp://10.0.0.1:80",  "tls+tcp://127.0.0.1:7707", "tls+tcp://[fe80::1]:1",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char why[256] = "";
        cr_expect(config_url_check(good[i], why, sizeof why), "%s: %s", good[i], why);
    }
}

Test(config_url, tcp_beyond_this_machine_is_refused_and_tls_named)
{
    static const char *const bad[] = {
        "tcp://0.0.0.0:7707",        "tcp://[::]:7707",
        "tcp://192.168.1.2:7707",    "tcp://vision:7707",
        "tcp://128.0.0.1:7707",      "tcp://127.1:7707",
        "tcp://localhost.evil:1",    "tcp://[::ffff:127.0.0.1]:1",
        "tcp://127.0.0.1.example:1", "tcp://2130706433:1",
        "tcp://0x7f.0.0.1:1",        "tcp://0127.0.0.1:1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char why[256] = "";
        cr_expect_not(config_url_check(bad[i], why, sizeof why), "%s", bad[i]);
        cr_expect(strstr(why, "write tls+tcp://") != NULL, "%s: %s", bad[i], why);
    }
}

Test(config_url, what_is_no_url_is_refused_with_a_reason)
{
    static const char *const bad[] = {
        "",
        "7707",
        "tcp:127.0.0.1:7707",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:x",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:99999999999",
        "tcp://127.0.0.1:+1",
        "tcp://127.0.0.1:07",
        "tcp://127.0.0.1:1/path",
        "tcp://user@127.0.0.1:1",
        "tcp://:7707",
        "tcp://*:7707",
        "tcp://::1:7707",
        "tcp://[::1]",
        "tcp://[::1]7707",
        "tcp://[::1:7707",
        "tcp://[localhost]:1",
        "tcp://-a:1",
        "tcp://.a:1",
        "tcp://a b:1",
        "TCP://127.0.0.1:1",
        "ipc:///run/x",
        "ws://127.0.0.1:1",
        "tls+tcp://:1",
        "tls+tcp://\xc3\xa4:1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char why[256] = "";
        cr_expect_not(config_url_check(bad[i], why, sizeof why), "%s", bad[i]);
        cr_expect_neq(why[0], '\0', "%s", bad[i]);
    }
    char host[400] = "tls+tcp://", why[256];
    memset(host + strlen(host), 'a', 300);
    memcpy(host + 310, ":1", 3);
    cr_expect_not(config_url_check(host, why, sizeof why));
}

Test(config_url, only_tls_needs_a_certificate)
{
    cr_expect(config_url_needs_tls("tls+tcp://a:1"));
    cr_expect_not(config_url_needs_tls("tcp://a:1"));
}
