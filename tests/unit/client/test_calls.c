/* Options of calls, many calls in one, calls in the background and leases. */
#include "tests/support/test.h"

#include <prong/prong.h>
#include <string.h>

#include "tests/unit/client/fake_hub.h"

static struct fake_hub hub;
static prong_client *c;

static void
connect_now(void)
{
    char why[300] = "";
    cr_assert_eq(prong_connect(hub.url, NULL, &c, why, sizeof why), PRONG_OK, "%s", why);
}

static void
set_up(void)
{
    fake_init(&hub);
    fake_start(&hub);
    connect_now();
}

static void
tear_down(void)
{
    prong_client_free(c);
    fake_deinit(&hub);
}

/* What the hub is told, as JSON. */
static void
expect_options(prong_call_options o, const char *json)
{
    prong_reply *r = NULL;
    char *text = NULL;
    static const uint8_t none = 0x90;
    o.size_bytes = sizeof o;
    cr_assert_eq(prong_call_async(c, "w", "options", &(prong_value){&none, 1}, &o, &r), PRONG_OK);
    cr_assert_eq(prong_reply_wait(r, 5000), PRONG_OK);
    cr_assert_eq(prong_value_to_json(prong_reply_value(r), 0, &text), PRONG_OK);
    cr_expect_str_eq(text, json);
    prong_free(text);
    prong_reply_free(r);
}

Test(calls, options_are_told_as_they_are, .init = set_up, .fini = tear_down)
{
    const uint8_t more[] = {0x81, 0xa1, 'x', 1};
    const prong_value map = {more, sizeof more};
    expect_options((prong_call_options){.timeout_ms = 0}, "null");
    expect_options((prong_call_options){.options = &map}, "{\"x\":1}");
    expect_options((prong_call_options){.policy = "once",
                                        .key = "k",
                                        .key_len = 1,
                                        .priority = 9,
                                        .parent = 77,
                                        .flags = PRONG_CALL_PROGRESS | PRONG_CALL_MAP,
                                        .options = &map},
                   "{\"progress\":true,\"map\":\"completed\",\"policy\":\"once\",\"priority\":9,"
                   "\"parent\":77,\"key\":{\"$bin\":\"aw==\"},\"x\":1}");
    expect_options((prong_call_options){.flags = PRONG_CALL_MAP | PRONG_CALL_ORDERED},
                   "{\"map\":\"ordered\"}");
}

Test(calls, options_that_are_wrong_say_what_is_allowed, .init = set_up, .fini = tear_down)
{
    static const uint8_t number = 1;
    const prong_value one = {&number, 1};
    const struct {
        prong_call_options o;
        const char *text;
    } rows[] = {
        {{.policy = "twice"}, "once, idempotent or shared"},
        {{.key = "k", .key_len = 129}, "128 bytes"},
        {{.key_len = 1}, "128 bytes"},
        {{.priority = 10}, "1 to 9"},
        {{.priority = -1}, "1 to 9"},
        {{.parent = UINT64_MAX}, "parent"},
        {{.flags = 1U << 30}, "flag"},
        {{.flags = PRONG_CALL_ORDERED}, "needs PRONG_CALL_MAP"},
        {{.flags = PRONG_CALL_MAP}, "array of argument sets"},
        {{.options = &one}, "map"},
        {{.flags = PRONG_CALL_BACKGROUND, .timeout_ms = 3600001}, "an hour"},
    };
    prong_reply *r = NULL;
    char text[200];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        prong_call_options o = rows[i].o;
        o.size_bytes = sizeof o;
        cr_expect_eq(prong_call_async(c, "w", "echo", NULL, &o, &r), PRONG_INVALID_ARGUMENT, "%zu",
                     i);
        prong_client_error_text(c, text, sizeof text);
        cr_expect_not_null(strstr(text, rows[i].text), "%zu: %s", i, text);
    }
    cr_expect_null(r);
}

Test(calls, outcomes_of_many_calls_are_items, .init = set_up, .fini = tear_down)
{
    prong_reply *r = NULL;
    prong_value item;
    prong_outcome o;
    cr_assert_eq(prong_call(c, "w/*", "map", NULL, 5000, &r), PRONG_OK);
    cr_assert_eq(prong_reply_next(r, 0, &item), PRONG_OK);
    cr_assert(prong_item_outcome(&item, &o));
    cr_expect(o.number == 0 && o.code == PRONG_OK && o.began == PRONG_BEGAN_YES);
    cr_expect(prong_value_kind(&o.value) == PRONG_KIND_TEXT && o.message_len == 0);
    cr_assert_eq(prong_reply_next(r, 0, &item), PRONG_OK);
    cr_assert(prong_item_outcome(&item, &o));
    cr_expect(o.number == 1 && o.code == PRONG_NOT_FOUND && o.began == PRONG_BEGAN_YES);
    cr_expect(o.value.len == 0 && o.message_len == 2 && memcmp(o.message, "no", 2) == 0);
    cr_expect_eq(prong_value_kind(&o.details), PRONG_KIND_NIL);
    cr_assert_eq(prong_reply_next(r, 0, &item), PRONG_OK);
    cr_assert(prong_item_outcome(&item, &o));
    cr_expect(o.number == 2 && prong_value_kind(&o.value) == PRONG_KIND_NIL);
    prong_reply_free(r);
    static const char *const bad[] = {"\x93\x01\x02\x03", "\x93\x01\x01\x03", "\x92\x01\x03",
                                      "\x93\xa1x\x01\x03", "\x07"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        item = (prong_value){(const uint8_t *)bad[i], strlen(bad[i])};
        cr_expect_not(prong_item_outcome(&item, &o), "%zu", i);
    }
}

Test(calls, a_call_in_the_background_is_waited_for_by_its_handle, .init = set_up, .fini = tear_down)
{
    char handle[PRONG_HANDLE_BYTES] = "", again[PRONG_HANDLE_BYTES];
    prong_reply *r = NULL;
    int64_t n = 0;
    cr_expect_eq(prong_call_background(c, "w", "hold", NULL, NULL, handle, 10),
                 PRONG_INVALID_ARGUMENT);
    cr_expect_eq(prong_call_background(c, "w", "h o", NULL, NULL, handle, sizeof handle),
                 PRONG_INVALID_ARGUMENT);
    cr_assert_eq(prong_call_background(c, "w", "hold", NULL, NULL, handle, sizeof handle),
                 PRONG_OK);
    cr_expect(strlen(handle) == 34 && strcmp(handle + 32, "-1") == 0, "%s", handle);
    prong_client_free(c);
    connect_now(); /* another client */
    cr_assert_eq(prong_resume(c, handle, NULL, &r), PRONG_OK);
    cr_assert_eq(prong_reply_wait(r, 5000), PRONG_OK);
    cr_expect_eq(prong_reply_code(r), PRONG_OK, "%s", prong_reply_message(r));
    cr_expect(prong_value_int(prong_reply_value(r), &n) && n == 1);
    cr_expect_not(prong_reply_handle(r, again, sizeof again));
    prong_reply_free(r);
    (void)prong_call(c, "w", "echo", NULL, 5000, NULL); /* the fake hub tells clients not apart */
    const prong_call_options o = {.size_bytes = sizeof o, .flags = PRONG_CALL_BACKGROUND};
    cr_assert_eq(prong_call_async(c, "w", "hold", NULL, &o, &r), PRONG_OK);
    cr_expect_not(prong_reply_handle(r, again, sizeof again));
    cr_assert_eq(prong_reply_wait(r, 5000), PRONG_OK);
    cr_expect(prong_reply_code(r) == PRONG_OK && prong_reply_value(r) == NULL);
    cr_expect_eq(prong_reply_began(r), PRONG_BEGAN_MAYBE);
    cr_expect_not(prong_reply_handle(r, again, PRONG_HANDLE_BYTES - 1));
    cr_expect(prong_reply_handle(r, again, sizeof again) && strncmp(handle, again, 32) != 0);
    prong_reply_free(r);
}

Test(calls, a_handle_that_is_none_is_refused, .init = set_up, .fini = tear_down)
{
    static const char *const bad[] = {
        "",
        "0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdef-",
        "0123456789abcdef0123456789abcdef-0",
        "0123456789abcdef0123456789abcdef-9007199254740992",
        "0123456789abcdef0123456789abcdef-99999999999999999999999",
        "0123456789abcdef0123456789abcdef-1x",
        "0123456789abcdef0123456789abcdeF-1",
        "0123456789abcdef0123456789abcde-1",
        NULL,
    };
    prong_reply *r = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_eq(prong_resume(c, bad[i], NULL, &r), PRONG_INVALID_ARGUMENT, "%s", bad[i]);
    }
    cr_assert_eq(prong_resume(c, "0123456789abcdef0123456789abcdef-9007199254740991", NULL, &r),
                 PRONG_OK);
    cr_assert_eq(prong_reply_wait(r, 5000), PRONG_OK);
    cr_expect_eq(prong_reply_code(r), PRONG_NOT_FOUND);
    cr_expect_eq(prong_reply_began(r), PRONG_BEGAN_MAYBE);
    prong_reply_free(r);
    cr_assert_eq(prong_resume(c, "0123456789abcdef0123456789abcdef-1", NULL, &r), PRONG_OK);
    prong_reply_free(r); /* before it was sent */
    prong_value none = {0};
    cr_expect_eq(prong_wait_any(c, 0, &r), PRONG_NOT_FOUND);
    cr_expect_not(prong_item_outcome(&none, NULL));
}

Test(calls, a_replica_is_leased_renewed_and_given_back, .init = set_up, .fini = tear_down)
{
    char replica[PRONG_REPLICA_BYTES] = "", text[200];
    cr_expect_eq(prong_lease(c, "w", 0, 0, replica, sizeof replica), PRONG_INVALID_ARGUMENT);
    cr_expect_eq(prong_lease(c, "w", 3600001, 0, replica, sizeof replica), PRONG_INVALID_ARGUMENT);
    cr_expect_eq(prong_lease(c, "w", 1000, 0, replica, 10), PRONG_INVALID_ARGUMENT);
    prong_client_error_text(c, text, sizeof text);
    cr_expect_not_null(strstr(text, "PRONG_REPLICA_BYTES"), "%s", text);
    cr_assert_eq(prong_lease(c, "w", 1000, 0, replica, sizeof replica), PRONG_OK);
    cr_expect_str_eq(replica, "w/1");
    cr_expect_eq(prong_lease_renew(c, replica, 0), PRONG_INVALID_ARGUMENT);
    cr_expect_eq(prong_lease_renew(c, replica, 1000), PRONG_OK);
    cr_expect_eq(prong_lease_release(c, replica), PRONG_OK);
}
