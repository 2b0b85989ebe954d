/* Addresses as texts. */
#include "client/devices/net.h"
#include "tests/support/test.h"

Test(net, an_address_with_its_port_reads_back_as_it_is_written)
{
    static const char *const rows[] = {"127.0.0.1:9000", "0.0.0.0:1", "[::1]:65535",
                                       "[2001:db8::7]:80"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct net_address address;
        char text[DEVICE_PEER_BYTES_MAX];
        cr_assert(net_parse_both(rows[i], &address), "%s", rows[i]);
        net_format(&address, text);
        cr_expect_str_eq(text, rows[i]);
    }
}

Test(net, what_is_no_address_is_refused)
{
    static const char *const rows[] = {
        "",        ":",        "127.0.0.1",       "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
        "here:80", "::1:9000", "[::1]",           "[::1:80",    "[]:80",       "[127.0.0.1]:80",
        "1.2.3:4", "[::1]80",  "127.0.0.1: 9000", "[x]:80",     "127.0.0.1:9x"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct net_address address;
        cr_expect_not(net_parse_both(rows[i], &address), "%s", rows[i]);
    }
}
