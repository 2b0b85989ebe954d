/* What looks like a secret is masked. */
#include "client/cli/mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

static void
expect(const struct mask *mask, const char *in, const char *out)
{
    size_t len = 0;
    char *got = mask_copy(mask, in, strlen(in), &len);
    cr_assert_not_null(got);
    cr_expect_str_eq(got, out, "%s\ngave\n%s\nnot\n%s", in, got, out);
    cr_expect_eq(len, strlen(out));
    free(got);
}

Test(mask, values_behind_the_name_of_a_secret)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", ""},
        {"nothing here\n", "nothing here\n"},
        {"PRONG_TOKEN=12.abcdef next=1", "PRONG_TOKEN=*** next=1"},
        {"DB_PASSWORD=\"a b\" X=1\n", "DB_PASSWORD=\"***\" X=1\n"},
        {"password = hunter2", "password = ***"},
        {"a=1&api_key=xyz&b=2", "a=1&api_key=***&b=2"},
        {"{\"token\":\"a\\\"b\",\"n\":1}", "{\"token\":\"***\",\"n\":1}"},
        {"{\"secret\": 12, \"n\": 1}", "{\"secret\": ***, \"n\": 1}"},
        {"{'secret':'x','n':1}", "{'secret':'***','n':1}"},
        {"environment: {API_KEY: a b, MODEL: m}", "environment: {API_KEY: ***, MODEL: m}"},
        {"    AWS_SECRET_ACCESS_KEY: a, b # x\n    MODEL: m",
         "    AWS_SECRET_ACCESS_KEY: ***\n    MODEL: m"},
        {"Authorization: Bearer abc.def\n", "Authorization: ***\n"},
        {"run --password foo --model m", "run --password *** --model m"},
        {"run --password=foo --model m", "run --password=*** --model m"},
        {"[\"--auth-token\", \"foo\", \"x\"]", "[\"--auth-token\", \"***\", \"x\"]"},
        {"args: [--api-key, foo, x]", "args: [--api-key, ***, x]"},
        {"password: |\n  line one\n  line two\n\n  three\nother: 1\n",
         "password: ***\n  ***\n  ***\n\n  ***\nother: 1\n"},
        {"tokens:\n- one\n- two\nother:\n- x", "tokens:\n***\n***\nother:\n- x"},
        {"old_tokenvalue=x connection_string=y", "old_tokenvalue=*** connection_string=***"},
        {"Set-Cookie: a=b", "Set-Cookie: ***"},
        /* what only says where it is, or is none */
        {"token_file: /etc/token", "token_file: /etc/token"},
        {"HUB_PASSWORD_FILE=/run/secrets/x", "HUB_PASSWORD_FILE=/run/secrets/x"},
        {"PWD=/srv/me", "PWD=/srv/me"},
        {"token_count=3 token_bytes_max=4", "token_count=3 token_bytes_max=4"},
        {"the token was refused", "the token was refused"},
        {"key: detector", "key: detector"},
        {"keys: 3, monkey=1, author=me", "keys: 3, monkey=1, author=me"},
        {"password=", "password="},
        {"password", "password"},
        {"\"password", "\"password"},
    };
    const struct mask mask = {.count = 0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect(&mask, rows[i].in, rows[i].out);
    }
}

Test(mask, passwords_in_urls)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"rtsp://admin:pa55@cam:554/s", "rtsp://admin:***@cam:554/s"},
        {"url=nats://u:p@ss@h,nats://u:q@h2", "url=nats://u:***@h,nats://u:***@h2"},
        {"http://h:80/a@b", "http://h:80/a@b"},
        {"ssh://git@host/x", "ssh://git@host/x"},
        {"https://ghp_0123456789abcdef@host/x", "https://***@host/x"},
        {"ipc:///run/prong/hub.sock", "ipc:///run/prong/hub.sock"},
        {"tcp://127.0.0.1:7707", "tcp://127.0.0.1:7707"},
        {"x://", "x://"},
        {"redis://:p@h", "redis://:***@h"},
        {"amqp://u:p,{q@h", "amqp://u:***@h"},
        {"x://@h", "x://@h"},
        {"rtsp://h/s?password=a,b;c)d&x=1, y", "rtsp://h/s?password=***&x=1, y"},
        {"https://h/v?sv=1&sig=ab%3D&design=2 signature=c",
         "https://h/v?sv=1&sig=***&design=2 signature=c"},
        {"(http://h/?pwd=a&key=b), key=c", "(http://h/?pwd=***&key=***), key=c"},
        {"{\"url\":\"http://h/user=a_password=b_x=1\",\"n\":1}",
         "{\"url\":\"http://h/user=a_password=***\",\"n\":1}"},
        {"http://key:80/ http://pwd/", "http://key:80/ http://pwd/"},
    };
    const struct mask mask = {.count = 0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect(&mask, rows[i].in, rows[i].out);
    }
}

Test(mask, what_is_known_is_masked_wherever_it_stands)
{
    struct mask mask = {.count = 0};
    cr_assert(mask_learn(&mask, " 0123abcd\n", 10));
    cr_assert(mask_learn(&mask, "0123abcd-longer", 15));
    cr_assert(mask_learn(&mask, "abc\n", 4)); /* too short */
    cr_assert(mask_learn(&mask, "abc\0defghi", 10));
    cr_expect_eq(mask.count, 2);
    expect(&mask, "worker said 0123abcd!\nx0123abcd-longerx abc", "worker said ***!\nx***x abc");
    expect(&mask, "name-0123abcd=1 http://h/0123abcd", "name-***=1 http://h/***");
    mask_deinit(&mask);
    expect(&mask, "0123abcd", "0123abcd");
    for (int i = 0; i < MASK_SECRETS_MAX + 2; i++) {
        char secret[16];
        snprintf(secret, sizeof secret, "secret%04d", i);
        cr_assert(mask_learn(&mask, secret, strlen(secret)));
    }
    cr_expect_eq(mask.count, MASK_SECRETS_MAX);
    mask_deinit(&mask);
    mask_deinit(&mask);
}

Test(mask, what_has_the_name_of_a_secret_is_known_elsewhere_too)
{
    static const char text[] =
        "API_KEY: sesame-open\nurl: rtsp://u:longpass@h\nX_TOKEN=\"quoted one\"\n"
        "secret: short\nmodel: not-a-secret\npasswords:\n  - in-a-list\n";
    struct mask mask = {.count = 0};
    cr_assert(mask_learn_from(&mask, text, sizeof text - 1));
    cr_expect_eq(mask.count, 4);
    expect(&mask, "sesame-open longpass quoted one short not-a-secret - in-a-list",
           "*** *** *** short not-a-secret ***");
    mask_deinit(&mask);
}

Test(mask, any_bytes_are_text)
{
    const struct mask mask = {.count = 0};
    char bytes[512];
    size_t len = 0;
    unsigned seed = 1;
    for (int round = 0; round < 2000; round++) {
        const size_t n = (seed >> 8) % sizeof bytes;
        for (size_t i = 0; i < n; i++) {
            static const char letters[] = "token=:\"'\\{},-| \n://@ab\0\xff";
            seed = seed * 1103515245U + 12345U;
            bytes[i] = letters[(seed >> 16) % sizeof letters];
        }
        char *got = mask_copy(&mask, bytes, n, &len);
        cr_assert_not_null(got);
        cr_assert_eq(got[len], '\0');
        free(got);
        seed = seed * 1103515245U + 12345U;
    }
}
