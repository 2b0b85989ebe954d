/* Options in which workers name each other, and how a worker says that it is ready. */
#ifndef PRONG_CONFIG_DEPENDS_H
#define PRONG_CONFIG_DEPENDS_H

#include "broker/config/reader.h"

/* Checks of one text (config_check of options.h). */
bool config_worker_name_check(const char *text, char *why, size_t why_bytes);
bool config_ready_check(const char *text, char *why, size_t why_bytes);

/* What fits together when all workers are known: those that are named are there, none stands on
 * itself over others, and a heartbeat can be heard. 0, or -1 with the diagnosis filled. */
int config_check_depends(struct config_reader *reader);

#endif
