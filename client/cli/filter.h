/* Filters of topics: "detector.*", "hub.>". Pure. */
#ifndef PRONG_CLI_FILTER_H
#define PRONG_CLI_FILTER_H

#include <stdbool.h>

/* Tokens with dots between; "*" is any one token, ">" at the end is one or more. */
bool filter_matches(const char *filter, const char *topic);

#endif
