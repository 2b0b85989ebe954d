/* The environment of this process and the users, groups and CPUs of its system, as the reader asks
 * for them: see struct config_env in config.h. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/config/config.h"
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

static void
process_find_near(void *context, enum config_names names, const char *name,
                  char out[CONFIG_NEAR_BYTES_MAX])
{
    (void)context;
    unsigned distance = 0;
    const bool is_users = names == CONFIG_NAMES_USERS;
    out[0] = '\0';
    if (is_users) {
        setpwent();
    } else {
        setgrent();
    }
    for (;;) {
        const struct passwd *user = is_users ? getpwent() : NULL;
        const struct group *group = is_users ? NULL : getgrent();
        if (user == NULL && group == NULL) {
            break;
        }
        /* The entry is gone with the next one, so the closest is copied out at once. */
        struct closest near = {.word = name, .loose = true};
        const char *candidate = user != NULL ? user->pw_name : group->gr_name;
        closest_offer(&near, candidate);
        if (near.best != NULL && strlen(candidate) < CONFIG_NEAR_BYTES_MAX &&
            (out[0] == '\0' || near.distance < distance)) {
            distance = near.distance;
            snprintf(out, CONFIG_NEAR_BYTES_MAX, "%s", candidate);
        }
    }
    if (is_users) {
        endpwent();
    } else {
        endgrent();
    }
}

static int
process_cpu_count(void *context)
{
    (void)context;
    return (int)sysconf(_SC_NPROCESSORS_CONF);
}

const struct config_env config_env_process = {.get = process_get,
                                              .has_group = process_has_group,
                                              .has_user = process_has_user,
                                              .find_near = process_find_near,
                                              .cpu_count = process_cpu_count};
