/* The environment of a template (template.h). Pure. */
#ifndef PRONG_BROKER_SPAWN_TEMPLATE_ENVIRONMENT_H
#define PRONG_BROKER_SPAWN_TEMPLATE_ENVIRONMENT_H

#include <stdint.h>

enum { TEMPLATE_OWN_COUNT = 5 };

/* What a template has in its environment beyond its members: one text for each setting. */
struct template_own {
    char texts[TEMPLATE_OWN_COUNT][48];
};

/* The environment of a template, made from that of a member; the caller frees the list, and `own`
 * has to live as long. NULL without memory. The incarnation has 20 digits, because a member writes
 * its own number over it where /proc shows it: by that daemons of a member are known (orphans.h).
 */
char **template_environment(char *const envp[], uint64_t id, struct template_own *own);

#endif
