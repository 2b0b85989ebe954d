/* What may stand as a topic of events, or as a stream: pure checks. */
#ifndef PRONG_CONFIG_TOPIC_H
#define PRONG_CONFIG_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

/* A config_check (options.h): tokens of letters, digits, _ and - with dots between. */
bool config_topic_check(const char *text, char *why, size_t why_bytes);
/* The same: named as workers are. */
bool config_stream_check(const char *text, char *why, size_t why_bytes);

#endif
