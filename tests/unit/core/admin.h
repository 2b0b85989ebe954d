/* What the tests of the hub's own methods share. */
#ifndef PRONG_TESTS_CORE_ADMIN_H
#define PRONG_TESTS_CORE_ADMIN_H

#include "tests/unit/core/world.h"

enum { ROOT = 1, USER = 900, OTHER_USER = 901, NETWORK = 30 };

/* What is asked and a part of the answer. */
struct asked {
    const char *method, *args, *answer;
};

/* A hub with the worker echo, and ROOT connected. */
void admin_begin(struct world *w);
/* Call a method; its request. `args` in the notation of notation.h. */
uint64_t admin_ask(struct world *w, uint64_t peer, const char *method, const char *args);

#endif
