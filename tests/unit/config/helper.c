/* What the tests of the configuration share: see helper.h. */
#include "tests/unit/config/helper.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/object.h"
#include "broker/config/value.h"
#include "tests/support/test.h"

static const char *
get(void *context, const char *name)
{
    static const char *const pairs[][2] = {
        {"HOME", "/people/ada"}, {"WORD", "many"}, {"TWO", "2"}, {"EMPTY", ""}};
    (void)context;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (strcmp(pairs[i][0], name) == 0) {
            return pairs[i][1];
        }
    }
    return NULL;
}

static bool
has_group(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "nobody_has_it") != 0;
}

static bool
has_user(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "nobody_has_it") != 0 && strcmp(name, "visoin") != 0 && name[0] != '4';
}

static void
find_near(void *context, enum config_names names, const char *name, char out[CONFIG_NEAR_BYTES_MAX])
{
    (void)context;
    const bool is_near = names == CONFIG_NAMES_USERS && strcmp(name, "visoin") == 0;
    snprintf(out, CONFIG_NEAR_BYTES_MAX, "%s", is_near ? "vision" : "");
}

static int
cpu_count(void *context)
{
    (void)context;
    return 4;
}

/* What helper_files was given. */
static const struct helper_file *files;
static size_t file_count;

static int
read_file(void *context, const char *path, struct config_file *file, struct config_diag *diag)
{
    (void)context;
    for (size_t i = 0; i < file_count; i++) {
        if (strcmp(files[i].path, path) == 0 && files[i].text != NULL) {
            const size_t size =
                files[i].size_bytes > 0 ? files[i].size_bytes : strlen(files[i].text);
            file->data = config_text_new(files[i].text, size);
            file->size_bytes = size;
            diag->error = ENOMEM;
            return file->data != NULL ? 0 : -1;
        }
    }
    diag->error = ENOENT;
    snprintf(diag->text, sizeof diag->text, "No such file or directory");
    return -1;
}

static int
find_files(void *context, const char *pattern, struct config_list *found, struct config_diag *diag)
{
    (void)context;
    for (size_t i = 0; i < file_count; i++) {
        if (fnmatch(pattern, files[i].path, FNM_PATHNAME | FNM_PERIOD) == 0) {
            char *path = config_text_new(files[i].path, strlen(files[i].path));
            if (path == NULL || config_list_add(found, path) != 0) {
                free(path);
                diag->error = ENOMEM;
                return -1;
            }
        }
    }
    return 0;
}

const struct config_env helper_env = {.get = get,
                                      .has_group = has_group,
                                      .has_user = has_user,
                                      .find_near = find_near,
                                      .cpu_count = cpu_count,
                                      .read_file = read_file,
                                      .find_files = find_files};

void
helper_files(const struct helper_file *rows, size_t count)
{
    files = rows;
    file_count = count;
}

const char helper_sample[] = "hub:\n"
                             "  listen: [\"tcp://127.0.0.1:7707\", \"tls+tcp://0.0.0.0:7708\"]\n"
                             "  local_engine: nng\n"
                             "  group: prong\n"
                             "  message_max: 1MiB\n"
                             "  token_file: secret/token\n"
                             "  tls_cert_file: /etc/ssl/cert.pem\n"
                             "  tls_key_file: ${HOME}/key.pem\n"
                             "  stop_timeout: 90s\n"
                             "  max_silence: {sensor.cpu: 5s, hub.worker.ready: \"${DAY:-24h}\"}\n"
                             "  stream_silence: {cam1: 2s}\n"
                             "  log_level: debug\n"
                             "defaults:\n"
                             "  restart: always\n"
                             "  environment: {MODEL: yolo.onnx, SHARED: \"yes\"}\n"
                             "  args: [--verbose]\n"
                             "  working_dir: work\n"
                             "workers:\n"
                             "  detector:\n"
                             "    command: [python3, detector.py]\n"
                             "    replicas: 2\n"
                             "    environment: {MODEL: \"${WORD}.onnx\", GPU: \"%i\"}\n"
                             "  camera:\n"
                             "    command:\n"
                             "      - ./camera\n"
                             "      - $HOME\n"
                             "    args: []\n"
                             "    restart: no\n"
                             "    working_dir: /srv\n"
                             "    stop_signal: SIGINT\n"
                             "    ready: started\n";

struct config *
helper_load(const char *text)
{
    const struct config_source source = {
        .name = "x.yaml", .directory = "/etc/prong", .data = text, .size_bytes = strlen(text)};
    struct config *config = NULL;
    struct config_diag diag;
    const int rc = config_load_text(&source, &helper_env, &config, &diag);
    cr_assert_eq(rc, 0, "line %u, column %u: %s", diag.line, diag.column, diag.text);
    cr_assert_not_null(config);
    return config;
}

const char *
helper_fail(const char *text)
{
    static char message[CONFIG_DIAG_BYTES_MAX + 100];
    const struct config_source source = {
        .name = "x.yaml", .directory = "/etc/prong", .data = text, .size_bytes = strlen(text)};
    struct config *config = NULL;
    struct config_diag diag;
    cr_assert_eq(config_load_text(&source, &helper_env, &config, &diag), -1, "it was read");
    cr_assert_null(config);
    config_diag_format(&diag, message, sizeof message);
    return message;
}

static void
expect_default(const struct config_option *option, const void *object, const char *what)
{
    char why[CONFIG_WHY_BYTES_MAX];
    int64_t value = 0;
    const void *member = (const char *)object + option->offset;
    const char *text = NULL;
    const struct config_list *list = member;
    const struct config_map *map = member;
    switch (option->kind) {
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_PATH:
        memcpy(&text, member, sizeof text);
        if (option->fallback == NULL) {
            cr_expect_null(text, "%s of %s is set", option->key, what);
        } else {
            cr_expect_str_eq(text, option->fallback, "%s of %s", option->key, what);
        }
        break;
    case CONFIG_KIND_LIST:
        cr_expect(option->fallback == NULL || strcmp(option->fallback, "[]") == 0);
        cr_expect_eq(list->count, 0, "%s of %s has items", option->key, what);
        break;
    case CONFIG_KIND_MAP:
        cr_expect_str_eq(option->fallback, "{}");
        cr_expect_eq(map->count, 0, "%s of %s has items", option->key, what);
        break;
    case CONFIG_KIND_INT:
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_ENUM:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_SIGNAL:
        if (option->fallback == NULL) {
            cr_expect_eq(config_object_number(option, object), 0, "%s of %s", option->key, what);
            cr_expect_gt(option->min, 0, "%s: 0 has a meaning of its own", option->key);
            break;
        }
        cr_expect(config_value_parse(option, option->fallback, &value, why), "default of %s: %s",
                  option->key, why);
        cr_expect_eq(config_object_number(option, object), value, "%s of %s", option->key, what);
        break;
    }
}

void
helper_expect_defaults(const struct config_table *table, const void *object, const char *what)
{
    for (size_t i = 0; i < table->count; i++) {
        expect_default(&table->options[i], object, what);
    }
}
