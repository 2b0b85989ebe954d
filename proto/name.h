/* Names on the wire: workers, methods, topics and filters. Pure. */
#ifndef PRONG_PROTO_NAME_H
#define PRONG_PROTO_NAME_H

#include "proto/buf.h"

/* A worker, or one of its replicas. `worker` points into what was read. */
struct target {
    struct span worker;
    bool one;       /* a replica is named */
    uint32_t index; /* its number, when one */
    bool each;      /* all of its replicas */
};

bool name_is_worker(struct span s);
bool name_is_method(struct span s);
bool name_is_topic(struct span s);
/* A topic in which any token may be `*` and the last one `>`. */
bool name_is_filter(struct span s);
/* "detector" or "detector/1". false when it is neither. */
bool name_target(struct span s, struct target *out);
/* Those, or "detector/" and a star. */
bool name_targets(struct span s, struct target *out);
/* `*` matches one token, a last `>` one or more. Both sides must be valid. */
bool name_matches(struct span filter, struct span topic);

bool span_equal(struct span a, struct span b);
bool span_is(struct span a, const char *text);
struct span span_text(const char *text);
/* What a peer sent, as it may stand in a message for people: printable ASCII, the rest as `?`, and
 * no more than fits, because the message is a text on the wire again, which must be UTF-8, and may
 * end on a terminal. Returns `out`, of at least one byte. */
const char *span_show(struct span bytes, char *out, size_t out_bytes);

#endif
