/* Any bytes as what a broker may ask of the spawner: a start with its limits, and the texts in
 * which a system tells its cgroups.
 *
 * The first three bytes count arguments, settings and limits; the rest is the text. What is found
 * sound can be walked string by string, and each of its limits can be read a second time. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker/spawn/cgroup.h"
#include "broker/spawn/limits.h"
#include "broker/spawn/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COUNTS = 3 };

static void
require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void
check_limits(const char *setting)
{
    struct limits limits = {0};
    require(limits_add(&limits, setting));
    require(limits.given != 0 && !limits_add(&limits, setting));
    for (int i = 0; i < LIMIT_COUNT; i++) {
        const struct rlimit *resource = &limits.resources[i];
        require(!limits_has(&limits, (enum limit)i) || resource->rlim_cur <= resource->rlim_max);
    }
    require(limits.group_count <= LIMITS_GROUPS_MAX);
}

static void
check_start(const uint8_t *data, size_t size)
{
    struct spawn_record record = {.id = 1, .name = "w/0"};
    record.argc = data[0];
    record.envc = data[1];
    record.limitc = data[2];
    record.text_bytes = (uint32_t)(size - COUNTS);
    const char *text = (const char *)data + COUNTS;
    if (!spawn_start_check(&record, text)) {
        return;
    }
    const uint32_t settings = 1 + record.argc + record.envc;
    for (uint32_t i = 0; i < settings + record.limitc; i++) {

        if (i >= settings) {
            check_limits(text);
        }
        text += strlen(text) + 1;
    }
    require(text == (const char *)data + size);
}

/* Every value of every limit, and the text of /proc/self/mountinfo. */
static void
check_texts(const uint8_t *data, size_t size)
{
    static char path[PATH_MAX];
    char why[CGROUP_WHY_BYTES] = "";
    char reason[LIMITS_WHY_BYTES] = "";
    char *text = malloc(size + 1);
    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    for (int i = 0; i < LIMIT_COUNT; i++) {
        struct limits limits = {0};
        const bool is_taken = limits_set(&limits, (enum limit)i, text, reason);
        require(is_taken == limits_has(&limits, (enum limit)i));
        require(is_taken || reason[0] != '\0');
    }
    if (cgroup_find(text, "0::/a/b\n", path, why)) {
        require(strlen(path) < PATH_MAX);
    } else {
        require(why[0] != '\0');
    }
    (void)cgroup_find("30 24 0:26 / /x rw - cgroup2\n", text, path, why);
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > COUNTS && size - COUNTS <= SPAWN_TEXT_BYTES_MAX) {
        check_start(data, size);
    }
    check_texts(data, size);
    return 0;
}
