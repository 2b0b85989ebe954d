/* What comes of a call in pieces, on stdout: items of a method that yields, and the outcomes of
 * calls to many. */
#ifndef PRONG_CLI_ITEMS_H
#define PRONG_CLI_ITEMS_H

#include "client/cli/cli.h"
#include "client/cli/progress.h"

enum { TALLY_TEXT_BYTES = 400 };

/* How many calls of many came to what. */
struct tally {
    uint64_t done, failed;
    char first[TALLY_TEXT_BYTES]; /* of the failures, in a sentence */
    prong_err first_code;
};

/* Which of many calls. */
struct which {
    const char *replica; /* NULL: the argument set of a number */
    uint64_t number;
};

/* One line of JSON, {"n": 3, "value": ...} or {"replica": "detector/1", "error": {...}}; with -o
 * raw the value alone, and an error on stderr. */
int outcome_put(struct cli *cli, struct tally *tally, const struct which *which,
                const prong_outcome *outcome);
/* Tell on stderr how many failed. CLI_OK when none did, else CLI_FAILED. */
int tally_tell(const struct cli *cli, const struct tally *tally, const char *what);

struct items {
    struct progress progress;
    const char *worker; /* the items are outcomes of its replicas; NULL: they are items */
    bool as_lines;      /* each as it comes, else one list at the end */
    uint64_t count;
    struct tally tally;
    uint8_t *list; /* of what is shown at the end: room for its head, then the objects; owned */
    size_t len, capacity;
};

/* `worker` as above. */
void items_init(struct items *items, const struct cli *cli, const char *worker);
void items_deinit(struct items *items);
/* A `look` of hub_call, whose context is the items: take all that has come, and the progress. */
int items_look(struct cli *cli, void *context, prong_reply *reply);
/* At the end: the failure that is in the reply, or what is to be shown last. `what` is the subject
 * of a sentence. NULL for a reply of which nobody wants more. */
int items_end(struct cli *cli, struct items *items, const char *what, prong_reply *reply);

#endif
