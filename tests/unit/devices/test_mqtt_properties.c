/* Properties of MQTT messages as maps, and back. */
#include "client/devices/mqtt/properties.h"

#include <mqtt_protocol.h>
#include <string.h>

#include "tests/support/test.h"

/* The JSON of a map that was read as properties and written again; owned by the caller. */
static char *
there_and_back(const char *json)
{
    prong_writer *in = prong_writer_new(), *out = prong_writer_new();
    mosquitto_property *properties = NULL;
    prong_value value;
    char why[300] = "", *text = NULL;
    cr_assert_eq(prong_value_from_json(json, strlen(json), in, why, sizeof why), PRONG_OK, "%s",
                 why);
    cr_assert_eq(prong_writer_finish(in, &value), PRONG_OK);
    cr_assert(mqtt_properties_read(&value, &properties, why, sizeof why), "%s: %s", json, why);
    mqtt_properties_write(properties, out);
    cr_assert_eq(prong_writer_finish(out, &value), PRONG_OK, "%s", prong_writer_problem(out));
    cr_assert_eq(prong_value_to_json(&value, 0, &text), PRONG_OK);
    mosquitto_property_free_all(&properties);
    prong_writer_free(in);
    prong_writer_free(out);
    return text;
}

Test(mqtt_properties, come_back_as_they_went)
{
    static const char all[] =
        "{\"response_topic\":\"a\",\"correlation_data\":{\"$bin\":\"AP8=\"},\"content_type\":\"\","
        "\"message_expiry\":4294967295,\"user\":{\"\":\"\",\"unit\":\"mm\"}}";
    static const struct {
        const char *json, *expected;
    } rows[] = {
        {"{}", "{}"},
        {"{\"response_topic\":\"a/b\"}", "{\"response_topic\":\"a/b\"}"},
        {all, all},
        {"{\"user\":{}}", "{}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = there_and_back(rows[i].json);
        cr_expect_str_eq(text, rows[i].expected);
        prong_free(text);
    }
}

Test(mqtt_properties, of_two_with_one_name_the_first_is_taken)
{
    mosquitto_property *p = NULL;
    prong_writer *out = prong_writer_new();
    prong_value value;
    char *text = NULL;
    cr_expect_not(mqtt_properties_any(NULL));
    cr_assert_eq(mosquitto_property_add_string_pair(&p, MQTT_PROP_USER_PROPERTY, "a", "1"), 0);
    cr_assert_eq(mosquitto_property_add_byte(&p, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 1), 0);
    cr_assert_eq(mosquitto_property_add_string_pair(&p, MQTT_PROP_USER_PROPERTY, "a", "2"), 0);
    cr_assert_eq(mosquitto_property_add_string_pair(&p, MQTT_PROP_USER_PROPERTY, "b", "3"), 0);
    cr_expect(mqtt_properties_any(p));
    mqtt_properties_write(p, out);
    cr_assert_eq(prong_writer_finish(out, &value), PRONG_OK);
    cr_assert_eq(prong_value_to_json(&value, 0, &text), PRONG_OK);
    cr_expect_str_eq(text, "{\"user\":{\"a\":\"1\",\"b\":\"3\"}}");
    prong_free(text);
    prong_writer_free(out);
    mosquitto_property_free_all(&p);
}

Test(mqtt_properties, that_are_none_are_refused)
{
    static const char *const rows[] = {
        "[]",
        "1",
        "{\"x\":1}",
        "{\"response_topic\":1}",
        "{\"content_type\":\"a\\u0000b\"}",
        "{\"message_expiry\":-1}",
        "{\"message_expiry\":4294967296}",
        "{\"correlation_data\":1}",
        "{\"user\":\"a\"}",
        "{\"user\":{\"a\":1}}",
        "{\"response_topic\":\"a/#\"}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        prong_writer *in = prong_writer_new();
        mosquitto_property *properties = NULL;
        prong_value value;
        char why[300] = "";
        cr_assert_eq(prong_value_from_json(rows[i], strlen(rows[i]), in, why, sizeof why),
                     PRONG_OK);
        cr_assert_eq(prong_writer_finish(in, &value), PRONG_OK);
        cr_expect_not(mqtt_properties_read(&value, &properties, why, sizeof why), "%s", rows[i]);
        cr_expect_not_null(strstr(why, "'properties' is a map of"), "%s", rows[i]);
        mosquitto_property_free_all(&properties);
        prong_writer_free(in);
    }
}
