/* The environment of this process and the users, groups and CPUs of its system, as the reader asks
 * for them: see struct config_env in config.h. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/config/config.h"
#include "broker/config/files.h"
#include "proto/closest.h"

static const char *
process_get(void *context, const char *name)
{
    (void)context;
    return getenv(name);
}

static bool
process_has_group(void *context, const char *name)
{
    (void)context;
    return getgrnam(name) != NULL;
}

static bool
process_has_user(void *context, const char *name)
{
    (void)context;
    char *end = NULL;
    const unsigned long number = strtoul(name, &end, 10);
    const bool is_number = name[0] >= '0' && name[0] <= '9' && *end == '\0' && number < UINT32_MAX;
    return getpwnam(name) != NULL || (is_number && getpwuid((uid_t)number) != NULL);
}

/* The next name of a list that was begun; borrowed until the one after it, NULL at the end. */
static const char *
next_name(enum config_names names)
{
    if (names == CONFIG_NAMES_USERS) {
        const struct passwd *user = getpwent();
        return user != NULL ? user->pw_name : NULL;
    }
    const struct group *group = getgrent();
    return group != NULL ? group->gr_name : NULL;
}

static void
process_find_near(void *context, enum config_names names, const char *name,
                  char out[CONFIG_NEAR_BYTES_MAX])
{
    (void)context;
    unsigned distance = 0;
    out[0] = '\0';
    setpwent();
    setgrent();
    for (const char *candidate; (candidate = next_name(names)) != NULL;) {
        /* The entry is gone with the next one, so the closest is copied out at once. */
        struct closest near = {.word = name, .loose = true};
        closest_offer(&near, candidate);
        if (near.best != NULL && strlen(candidate) < CONFIG_NEAR_BYTES_MAX &&
            (out[0] == '\0' || near.distance < distance)) {
            distance = near.distance;
            snprintf(out, CONFIG_NEAR_BYTES_MAX, "%s", candidate);
        }
    }
    endpwent();
    endgrent();
}

static int
process_cpu_count(void *context)
{
    (void)context;
    return (int)sysconf(_SC_NPROCESSORS_CONF);
}

/* Beside the program that runs now, where all of them are put together. */
static char *
process_find_program(void *context, const char *name)
{
    (void)context;
    char own[CONFIG_PATH_BYTES_MAX];
    const ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    own[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(own, '/');
    char *path = NULL;
    if (slash != NULL) {
        slash[1] = '\0';
    }
    return asprintf(&path, "%s%s", slash != NULL ? own : "", name) >= 0 ? path : NULL;
}

const struct config_env config_env_process = {.get = process_get,
                                              .has_group = process_has_group,
                                              .has_user = process_has_user,
                                              .find_near = process_find_near,
                                              .cpu_count = process_cpu_count,
                                              .find_program = process_find_program,
                                              .read_file = config_files_read,
                                              .find_files = config_files_find};
