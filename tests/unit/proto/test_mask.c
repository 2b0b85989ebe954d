/* What is taken for a secret, and how a text looks without it. */
#include "proto/mask.h"

#include <string.h>

#include "tests/support/test.h"

Test(mask, names_of_secrets_are_known)
{
    static const char *const secret[] = {"PASSWORD",
                                         "DB_PASSWORD",
                                         "password",
                                         "PGPASSWORD",
                                         "MYSQL_PWD",
                                         "GITHUB_TOKEN",
                                         "AWS_SECRET_ACCESS_KEY",
                                         "SECRET",
                                         "API_KEY",
                                         "apiKey",
                                         "ApiKey",
                                         "APIKEY",
                                         "--db-password",
                                         "client-secret",
                                         "STRIPE_KEYS",
                                         "PASSPHRASE",
                                         "x.token",
                                         "KEY2",
                                         "BASIC_AUTH",
                                         "CREDENTIALS",
                                         "SMTP_PASS",
                                         "SENTRY_DSN",
                                         "Authorization",
                                         "--key",
                                         "KEY",
                                         "DJANGO_SECRET_KEY",
                                         "A_VERY_LONG_NAME_THAT_GOES_ON_AND_ON_PASSWORD",
                                         "AVERYLONGWORDTHATGOESONANDONANDONANDONPASSWORD"};
    static const char *const open[] = {"PWD",
                                       "OLDPATH",
                                       "HOME",
                                       "MONKEY",
                                       "KEYBOARD",
                                       "TOKENIZER",
                                       "PATH",
                                       "TOKEN_FILE",
                                       "TLS_KEY_PATH",
                                       "AWS_ACCESS_KEY_ID",
                                       "AUTHOR",
                                       "COMPASS",
                                       "",
                                       "_",
                                       "SSH_AUTH_SOCK",
                                       "MODEL",
                                       "PASSENGER",
                                       "bypass",
                                       "key",
                                       "keys",
                                       "TOKEN_BYTES_MAX"};
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
        cr_expect(mask_is_secret(secret[i]), "%s", secret[i]);
    }
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        cr_expect_not(mask_is_secret(open[i]), "%s", open[i]);
    }
}

Test(mask, what_goes_to_strangers_is_masked_more_readily)
{
    static const char *const more[] = {"tokenizer", "my_secretvalue", "CONNECTION_STRING",
                                       "ConnectionString", "xpasswordx"};
    static const char *const open[] = {"MONKEY",     "key",          "keys", "PWD",
                                       "TOKEN_FILE", "SECRET_COUNT", "",     "SSH_AUTH_SOCK",
                                       "AUTHOR",     "bypass",       "to2ke"};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        cr_expect_not(mask_is_secret(more[i]), "%s", more[i]);
        cr_expect(mask_may_be_secret(more[i], strlen(more[i])), "%s", more[i]);
    }
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        cr_expect_not(mask_may_be_secret(open[i], strlen(open[i])), "%s", open[i]);
    }
    cr_expect(mask_may_be_secret("DB_PASSWORD", 11));
    cr_expect_not(mask_may_be_secret("DB_PASSWORD", 6), "behind the end");
}

Test(mask, secrets_in_a_text_are_replaced_and_the_rest_stays)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"plain text", "plain text"},
        {"http://ada:lovelace@host/x", "http://ada:***@host/x"},
        {"see amqp://u:p:q@h:1 and redis://:x@h", "see amqp://u:***@h:1 and redis://:***@h"},
        {"http://host:80/a@b:c", "http://host:80/a@b:c"},
        {"http://ada@host", "http://ada@host"},
        {"http://u:p@ss@host", "http://u:***@host"},
        {"--password=hunter2 --level=3", "--password=*** --level=3"},
        {"DB_PASSWORD=hunter2", "DB_PASSWORD=***"},
        {"DB_PASSWORD= x", "DB_PASSWORD= x"},
        {"a=b=c KEY=d=e", "a=b=c KEY=***"},
        {"run --db-password hunter2 --level 3", "run --db-password *** --level 3"},
        {"--password  x", "--password  ***"},
        {"--password --level", "--password --level"},
        {"a --password", "a --password"},
        {"${API_KEY:-a b} ${MODEL:-x}", "${API_KEY:-***} ${MODEL:-x}"},
        {"://", "://"},
        {"=x", "=x"},
        {"rtsp://h/s?password=x&channel=1 b", "rtsp://h/s?password=***&channel=1 b"},
        {"rtsp://h/user=admin_password=x_y_channel=1?z", "rtsp://h/user=admin_password=***"},
        {"rtsp://h/user=admin&password=x/y&channel=1",
         "rtsp://h/user=admin&password=***&channel=1"},
        {"http://u:p@h/?usr=a&pwd=b&key=c#token=d", "http://u:***@h/?usr=a&pwd=***&key=***"},
        {"http://h/?apiKey=it's&token=&a=b", "http://h/?apiKey=***&token=&a=b"},
        {"http://u:it's@h/", "http://u:***@h/"},
        {"http://pwd:80/key/x?token_id=3&monkey=4", "http://pwd:80/key/x?token_id=3&monkey=4"},
        {"https://h/x?X-Amz-Expires=9&X-Amz-Signature=ab sig=c",
         "https://h/x?X-Amz-Expires=9&X-Amz-Signature=*** sig=c"},
        {"http://h/x pwd=/home key=a token=b&c", "http://h/x pwd=/home key=a token=***"},
        {"TOKEN=http://h/?a=b&c=d x", "TOKEN=*** x"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[200];
        cr_expect_eq(mask_text(rows[i][0], out, sizeof out), strlen(rows[i][1]), "%s", rows[i][0]);
        cr_expect_str_eq(out, rows[i][1]);
    }
}

Test(mask, blanks_do_not_end_a_password_where_all_of_it_is_one_url)
{
    static const char *const rows[][2] = {
        {"rtsp://u:a b@h/1?pwd=c d&x=e f", "rtsp://u:***@h/1?pwd=***&x=e f"},
        {"rtsp://h:554/a@b:c", "rtsp://h:554/a@b:c"},
        {"/videos/key=1 b.avi", "/videos/key=1 b.avi"},
        {"/videos/token=1 b.avi", "/videos/token=*** b.avi"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[200];
        cr_expect_eq(mask_url(rows[i][0], out, sizeof out), strlen(rows[i][1]), "%s", rows[i][0]);
        cr_expect_str_eq(out, rows[i][1]);
    }
}

Test(mask, what_does_not_fit_is_cut_and_counted)
{
    char out[8];
    cr_expect_eq(mask_text("x://u:p@h", out, sizeof out), 11);
    cr_expect_str_eq(out, "x://u:*");
    cr_expect_eq(mask_text("abc", out, 1), 3);
    cr_expect_str_eq(out, "");
}

Test(mask, an_option_without_its_value_is_told_from_one_with_it)
{
    cr_expect(mask_is_option("--password"));
    cr_expect(mask_is_option("-db-token"));
    cr_expect_not(mask_is_option("--password=x"));
    cr_expect_not(mask_is_option("password"));
    cr_expect_not(mask_is_option("--level"));
}
