/* What may stand in `listen`: pure checks of a URL, nothing is resolved or opened. */
#ifndef PRONG_CONFIG_URL_H
#define PRONG_CONFIG_URL_H

#include <stdbool.h>
#include <stddef.h>

/* A config_check (options.h): tcp://HOST:PORT on loopback, or tls+tcp://HOST:PORT. */
bool config_url_check(const char *text, char *why, size_t why_bytes);

bool config_url_needs_tls(const char *url);

#endif
