/* What the verbs that call methods share. */
#ifndef PRONG_CLI_CALL_H
#define PRONG_CLI_CALL_H

#include "client/cli/cli.h"

enum { CALL_TARGET_BYTES = PRONG_NAME_BYTES_MAX + 16 };

struct call_target {
    const char *text; /* as it was given: "detector/1.detect" */
    char worker[CALL_TARGET_BYTES];
    const char *method;
};

/* What the command line says of how to call. `timeout_ms` is left 0. */
prong_call_options call_options(const struct cli *cli);
/* The arguments of `prong call` from a file, one set a line: see map.c. */
int call_map(struct cli *cli, const struct call_target *target);
/* Begin a call in the background and print its handle: see background.c. */
int call_background(struct cli *cli, const struct call_target *target, const prong_value *args);
/* `prong wait --call`. */
int call_wait(struct cli *cli);
/* After a failure: tell on stderr which names there are, when it was because of one. */
void call_hint_names(struct cli *cli, const struct call_target *target, prong_err code);

#endif
