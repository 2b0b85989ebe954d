/* From configuration to process: a worker's specification, and the environment that one replica
 * gets. */
#ifndef PRONG_SHELL_LAUNCH_H
#define PRONG_SHELL_LAUNCH_H

#include "broker/config/config.h"
#include "broker/core/hub.h"
#include "broker/spawn/records.h"
#include "proto/buf.h"

/* What a specification points to beside the configuration. All zero: nothing. */
struct launch_texts {
    struct buf text;
    struct spec_other *others;
};

/* The specification of a configured worker, valid as long as `texts` and the configuration are.
 * false when memory is out. */
bool launch_spec(const struct config_worker *worker, struct worker_spec *spec,
                 struct launch_texts *texts);
void launch_texts_deinit(struct launch_texts *texts);

/* Fill a SPAWN_START from a HUB_OUT_START (`notify`: the socket for NOTIFY_SOCKET): name, folder,
 * arguments, and the hub's own environment with the worker's and the hub's settings on top; in all
 * that is the worker's, %i is the number of the replica and %% a percent sign. `text` has
 * SPAWN_TEXT_BYTES_MAX bytes. false when it does not fit or memory is out. */
bool launch_record(const struct hub_effect *start, const char *url, const char *notify,
                   struct spawn_record *record, char *text);

/* What a start would set now, of the replica and worker of a HUB_OUT_ENV, without what is new for
 * each process: a list of {name, value, from}, in the order of the names. `from` is hub (inherited
 * by it), worker (of its configuration), env_file, or prong. Unless the effect says `reveal`,
 * secrets are masked: those of an env_file, and what proto/mask.h takes for one. `out` has failed
 * when memory was out. */
void launch_list_environment(const struct hub_effect *env, const char *url, const char *notify,
                             struct buf *out);

/* Where a start failed, for people: "exec '/srv/detector'", "working folder '/data'", "setting user
 * 'vision'". The program, folder or value is that of `spec`, which may be NULL; one that is too
 * long for what the core keeps of a reason loses its beginning. */
enum { LAUNCH_STEP_BYTES = 96 };
void launch_explain(const struct spawn_record *failed, const struct worker_spec *spec,
                    char out[LAUNCH_STEP_BYTES]);

/* Whether a start that failed at this step with this errno would fail again: what cannot be
 * executed will not become executable by itself, as with 126 and 127 of a shell, nor will a limit
 * that the hub may not set. What the system is only short of may come. */
bool launch_never(enum spawn_step step, int error);

#endif
