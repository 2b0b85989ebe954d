/* Codes and limits, made by prong-gen from proto/tbl: do not edit.
 *
 * Usable from C and C++. */
#ifndef PRONG_CODES_H
#define PRONG_CODES_H

/* How something ended. The numbers and names are the canonical codes of gRPC; the same number
 * stands in ERROR on the wire. */
typedef enum prong_err {
    /* it was done */
    PRONG_OK = 0,
    /* the call was cancelled */
    PRONG_CANCELLED = 1,
    /* the method failed without saying how */
    PRONG_UNKNOWN = 2,
    /* the request or an argument is wrong */
    PRONG_INVALID_ARGUMENT = 3,
    /* the deadline passed before there was an outcome */
    PRONG_DEADLINE_EXCEEDED = 4,
    /* no such worker, method, call or thing */
    PRONG_NOT_FOUND = 5,
    /* there is one already */
    PRONG_ALREADY_EXISTS = 6,
    /* this peer may not do that */
    PRONG_PERMISSION_DENIED = 7,
    /* a queue or a limit is full */
    PRONG_RESOURCE_EXHAUSTED = 8,
    /* not in this state */
    PRONG_FAILED_PRECONDITION = 9,
    /* the worker died while it had the call */
    PRONG_ABORTED = 10,
    /* outside what is possible */
    PRONG_OUT_OF_RANGE = 11,
    /* the hub or the worker does not have that */
    PRONG_UNIMPLEMENTED = 12,
    /* a fault of the hub or of a library */
    PRONG_INTERNAL = 13,
    /* nobody can serve this now */
    PRONG_UNAVAILABLE = 14,
    /* it was done, but the outcome is lost */
    PRONG_DATA_LOSS = 15,
    /* say who you are first (HELLO with a token) */
    PRONG_UNAUTHENTICATED = 16,
} prong_err;

/* Whether the method of a call that failed may have begun. */
typedef enum prong_began {
    /* the method has not begun and will not: guaranteed */
    PRONG_BEGAN_NO = 0,
    /* the method may have begun */
    PRONG_BEGAN_MAYBE = 1,
    /* the method has begun */
    PRONG_BEGAN_YES = 2,
} prong_began;

/* Limits of the protocol. What is longer or more is refused with PRONG_INVALID_ARGUMENT. */
enum {
    /* bytes: worker and method names */
    PRONG_NAME_BYTES_MAX = 64,
    /* bytes: topics and filters */
    PRONG_TOPIC_BYTES_MAX = 128,
    /* bytes: texts in maps */
    PRONG_TEXT_BYTES_MAX = 4096,
    /* filters: in one FETCH */
    PRONG_FILTERS_MAX = 32,
    /* methods: of one worker */
    PRONG_METHODS_MAX = 256,
    /* calls: that one replica may run at a time */
    PRONG_CAPACITY_MAX = 1024,
    /* events: in one EVENTS */
    PRONG_FETCH_ITEMS_MAX = 65536,
    /* ms: longest time to live */
    PRONG_TTL_MS_MAX = 3600000,
};

#endif
