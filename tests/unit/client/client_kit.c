/* See client_kit.h. */
#include "tests/unit/client/client_kit.h"

#include <poll.h>
#include <time.h>

#include "tests/support/test.h"

struct fake_hub hub;
prong_client *c;

void
connect_with(prong_options o)
{
    char why[300] = "";
    o.size_bytes = sizeof o;
    cr_assert_eq(prong_connect(hub.url, &o, &c, why, sizeof why), PRONG_OK, "%s", why);
}

void
set_up(void)
{
    fake_init(&hub);
    fake_start(&hub);
    connect_with((prong_options){.name = "test"});
}

void
tear_down(void)
{
    prong_client_free(c);
    fake_deinit(&hub);
}

int64_t
now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
call_int(const char *method)
{
    prong_reply *r = NULL;
    int64_t n = -1;
    cr_assert_eq(prong_call(c, "w", method, NULL, 5000, &r), PRONG_OK, "%s",
                 prong_reply_message(r));
    cr_assert(prong_value_int(prong_reply_value(r), &n));
    prong_reply_free(r);
    return n;
}

prong_reply *
start(const char *method, int32_t timeout_ms, uint32_t flags, uint64_t tag)
{
    prong_reply *r = NULL;
    const prong_call_options o = {
        .size_bytes = sizeof o, .timeout_ms = timeout_ms, .flags = flags, .tag = tag};
    cr_assert_eq(prong_call_async(c, "w", method, NULL, &o, &r), PRONG_OK);
    return r;
}

void
await_messages(int count)
{
    const int64_t end = now_ms() + 10000;
    while (hub.messages < count) {
        cr_assert_lt(now_ms(), end, "%d messages", hub.messages);
        (void)poll(NULL, 0, 1);
    }
}
