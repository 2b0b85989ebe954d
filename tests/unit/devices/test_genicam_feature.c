/* Against the camera that Aravis makes up. */
#include "client/devices/genicam/feature.h"

#include <arv.h>
#include <string.h>

#include "tests/support/test.h"

static ArvDevice *
open_camera(void)
{
    GError *error = NULL;
    arv_enable_interface("Fake");
    arv_disable_interface("GigEVision");
    arv_disable_interface("USB3Vision");
    arv_update_device_list();
    ArvDevice *device = arv_open_device("Fake_1", &error);
    cr_assert(device != NULL && error == NULL, "the camera is there");
    return device;
}

static void
close_camera(ArvDevice *device)
{
    g_object_unref(device);
    arv_shutdown();
}

static void
expect_value(ArvDevice *device, const char *name, const char *expected)
{
    char why[FEATURE_WHY_BYTES] = "";
    char *json = NULL;
    prong_value value;
    prong_writer *out = prong_writer_new();
    cr_assert_eq(feature_get(device, name, out, why), PRONG_OK, "%s: %s", name, why);
    cr_assert_eq(prong_writer_finish(out, &value), PRONG_OK);
    cr_assert_eq(prong_value_to_json(&value, 0, &json), PRONG_OK);
    cr_assert_str_eq(json, expected, "%s", name);
    prong_free(json);
    prong_writer_free(out);
}

Test(feature, a_value_is_set_as_its_type_wants_it)
{
    ArvDevice *device = open_camera();
    static const struct {
        const char *name, *value, *shown;
    } rows[] = {
        {"Width", "256", "256"},
        {"Width", "0x80", "128"},
        {"Height", "010", "10"},
        {"PixelFormat", "Mono16", "\"Mono16\""},
        {"ExposureTimeAbs", "1.5e4", "15000.0"},
        {"TestBoolean", "true", "true"},
        {"TestBoolean", "0", "false"},
        {"TestStringReg", "a text", "\"a text\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[FEATURE_WHY_BYTES] = "";
        cr_assert_eq(feature_set(device, rows[i].name, rows[i].value, why), PRONG_OK, "%s: %s",
                     rows[i].name, why);
        expect_value(device, rows[i].name, rows[i].shown);
    }
    close_camera(device);
}

Test(feature, what_cannot_be_is_refused_with_what_can)
{
    ArvDevice *device = open_camera();
    static const struct {
        const char *name, *value;
        prong_err code;
        const char *why;
    } rows[] = {
        {"Width", "0", PRONG_INVALID_ARGUMENT,
         "'Width' is a whole number from 1 to 2048, and not '0'"},
        {"Width", "12a", PRONG_INVALID_ARGUMENT, "not '12a'"},
        {"Width", "", PRONG_INVALID_ARGUMENT, "not ''"},
        {"Width", "99999999999999999999", PRONG_INVALID_ARGUMENT, "from 1 to 2048"},
        {"ExposureTimeAbs", "nan", PRONG_INVALID_ARGUMENT, "from 10 to 1e+07"},
        {"ExposureTimeAbs", "5", PRONG_INVALID_ARGUMENT, "from 10 to 1e+07"},
        {"PixelFormat", "mono8", PRONG_INVALID_ARGUMENT, "Mono8"},
        {"TestBoolean", "yes", PRONG_INVALID_ARGUMENT, "true or false"},
        {"SensorWidth", "1", PRONG_FAILED_PRECONDITION, "cannot be written"},
        {"AcquisitionStart", "1", PRONG_FAILED_PRECONDITION, "execute it"},
        {"ImageFormatControl", "1", PRONG_NOT_FOUND, "no feature 'ImageFormatControl'"},
        {"Nothing", "1", PRONG_NOT_FOUND, "no feature 'Nothing'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[FEATURE_WHY_BYTES] = "";
        cr_assert_eq(feature_set(device, rows[i].name, rows[i].value, why), rows[i].code, "%s: %s",
                     rows[i].name, why);
        cr_assert(strstr(why, rows[i].why) != NULL, "%s", why);
    }
    close_camera(device);
}

Test(feature, a_command_is_executed_and_nothing_else_is)
{
    ArvDevice *device = open_camera();
    char why[FEATURE_WHY_BYTES] = "";
    prong_writer *out = prong_writer_new();
    cr_assert_eq(feature_execute(device, "TriggerSoftware", why), PRONG_OK, "%s", why);
    cr_assert_eq(feature_execute(device, "Width", why), PRONG_FAILED_PRECONDITION);
    cr_assert_eq(feature_get(device, "TriggerSoftware", out, why), PRONG_FAILED_PRECONDITION);
    cr_assert(strstr(why, "execute it") != NULL, "%s", why);
    prong_writer_free(out);
    close_camera(device);
}

static void
count_one(void *context)
{
    ++*(size_t *)context;
}

Test(feature, the_list_has_each_feature_once_with_what_it_may_be)
{
    ArvDevice *device = open_camera();
    char why[FEATURE_WHY_BYTES] = "";
    size_t called = 0;
    prong_value list, feature, value;
    prong_writer *out = prong_writer_new();
    cr_assert_eq(feature_list(device, out, count_one, &called, why), PRONG_OK, "%s", why);
    cr_assert_eq(prong_writer_finish(out, &list), PRONG_OK, "%s", prong_writer_problem(out));
    cr_assert_eq(called, prong_value_count(&list));
    bool has_width = false;
    for (uint32_t i = 0; i < prong_value_count(&list); i++) {
        cr_assert(prong_value_at(&list, i, &feature));
        cr_assert(prong_value_find(&feature, "name", &value));
        char *name = prong_value_string(&value);
        if (strcmp(name, "Width") == 0) {
            int64_t max = 0;
            cr_assert_not(has_width);
            has_width = true;
            cr_assert(prong_value_find(&feature, "max", &value) && prong_value_int(&value, &max));
            cr_assert_eq(max, 2048);
        }
        prong_free(name);
    }
    cr_assert(has_width);
    prong_writer_free(out);
    close_camera(device);
}

Test(feature, a_text_of_the_camera_is_cut_between_two_characters)
{
    char to[5];
    feature_copy_text(to, sizeof to, "abc\xc3\xa4");
    cr_assert_str_eq(to, "abc");
    feature_copy_text(to, sizeof to, "\xff");
    cr_assert_str_eq(to, "\xef\xbf\xbd");
    feature_copy_text(to, sizeof to, NULL);
    cr_assert_str_eq(to, "");
}
