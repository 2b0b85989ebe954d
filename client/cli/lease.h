/* A replica that serves this program alone, for `prong call --lease`: taken, renewed while the
 * program waits for something, and given back. */
#ifndef PRONG_CLI_LEASE_H
#define PRONG_CLI_LEASE_H

#include "client/cli/cli.h"

struct lease {
    char replica[PRONG_REPLICA_BYTES]; /* "detector/1"; "" for none */
    prong_reply *renewal;              /* on its way, or NULL */
    int64_t renew_ms;                  /* when the next one is due */
    bool is_unsure;                    /* the broker was lost: it is renewed before anything else */
    bool is_lost;                      /* that was told */
};

/* Wait until a replica of the worker is ours. It is cli->lease then, until it is given back. */
int lease_take(struct cli *cli, const char *worker, struct lease *lease);
/* Renew it when it is time. Returns when to be called again, CLI_NEVER_MS without a lease. */
int64_t lease_serve(struct cli *cli);
/* A call said that the broker may have been started anew, which would have ended the lease. */
void lease_doubt(struct cli *cli);
/* Give it back; nothing when there is none. Returns `code`, or CLI_FAILED when that was CLI_OK and
 * the lease had been lost. */
int lease_give_back(struct cli *cli, struct lease *lease, int code);

#endif
