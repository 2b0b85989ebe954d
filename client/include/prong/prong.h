/* libprong: talk to a hub from C, or from any language that can call C.
 *
 * A client is one connection to a hub. Over it a program calls the methods of workers, emits events
 * and subscribes to them. In short:
 *
 *     prong_client *c = NULL;
 *     prong_reply *r = NULL;
 *     char why[256];
 *     if (prong_connect(NULL, NULL, &c, why, sizeof why) != PRONG_OK) { fputs(why, stderr); ... }
 *     prong_err e = prong_call(c, "detector", "detect", &args, 500, &r);
 *     if (e == PRONG_OK) { use(prong_reply_value(r)); }
 *     else { fputs(prong_reply_message(r), stderr); }
 *     prong_reply_free(r);
 *     prong_client_free(c);
 *
 * Outcomes. Every call has exactly one: a value, or a code with `began`, a message and details.
 * PRONG_OK and the other codes are gRPC's; `began` says whether the method may have begun, and
 * PRONG_BEGAN_NO is a guarantee, so whoever sees it may call again. Every call has a deadline; the
 * client gives up by itself two seconds after it when a connected hub is silent, and at the
 * deadline when there is no connection.
 *
 * Connection. When it breaks the client connects again by itself, and asks again for everything
 * that is outstanding under the same numbers: the hub knows them, so nothing runs twice and a
 * subscription goes on where it was. When another broker answers, one that cannot know, a call or
 * event that had been sent ends with PRONG_UNAVAILABLE, began maybe, and one that had not is sent
 * now.
 *
 * Threads. libprong has no thread of its own; libnng, which carries tcp and tls+tcp, has some. Any
 * thread may call any function on a client, and on different replies and subscriptions, at the same
 * time; one reply or one subscription is used by one thread at a time, except prong_reply_cancel,
 * which any thread may call. Whichever thread waits first reads the socket for all (leader and
 * followers), and hands that on when it has what it came for. What is asked without waiting
 * (prong_call_async, prong_reply_cancel) leaves with the next wait, dispatch or prong_flush, so
 * that many requests leave in one write; wayland-client does the same.
 *
 * Event loops. prong_fd() is readable whenever prong_dispatch(c, 0) has something to do, deadlines
 * and reconnects included, and stays the same for the client's life. Callbacks are an option and
 * run only inside prong_dispatch, in the thread that called it and without any lock held (after
 * mpv's client API, whose library never calls into the program from a thread of its own).
 *
 * Fork. A client belongs to the process that made it. In a child every function returns
 * PRONG_FAILED_PRECONDITION (or NULL, false, -1, 0 where there is no code), and the free functions
 * leave everything as it is. exec is fine: descriptors are close-on-exec. Signals: SIGPIPE is never
 * raised; a wait that a signal interrupts goes on.
 *
 * Pointers are *borrowed* for the call unless it says otherwise. Every out-parameter is written
 * only on PRONG_OK, except where it says otherwise. Texts are UTF-8. Times are milliseconds. */
#ifndef PRONG_PRONG_H
#define PRONG_PRONG_H

#include <prong/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct prong_client prong_client;
typedef struct prong_reply prong_reply;
typedef struct prong_subscription prong_subscription;

enum {
    PRONG_FOREVER = -1, /* as the timeout of a wait; a call always has an end */
};

/* The library's version, "0.1.0". Static storage. */
PRONG_API const char *prong_version(void);
/* "NOT_FOUND" for PRONG_NOT_FOUND; "UNKNOWN" for a number that is no code. Static storage. */
PRONG_API const char *prong_err_name(prong_err code);
/* What a code means, in a few words. Static storage. */
PRONG_API const char *prong_err_help(prong_err code);

/* ---- connection ----------------------------------------------------------------------------- */

/* How to connect. Zero is the default everywhere: prong_options o = {.size_bytes = sizeof o, .name
 * = "ui"}. Everything is copied. Later versions add fields at the end; `size_bytes` says which ones
 * are there. */
typedef struct prong_options {
    size_t size_bytes; /* sizeof(prong_options) */
    const char *name;  /* of the program, for people: at most 64 bytes; default: none */
    const void *token; /* the hub's token, on a network endpoint; at most 256 bytes */
    size_t token_len;  /* its length in bytes */
    const char
        *tls_ca_file; /* tls+tcp: PEM of who signed the hub's certificate; default: the system's */
    const char *tls_name; /* tls+tcp: name expected in the certificate; default: the URL's host */
    int32_t connect_timeout_ms; /* for connecting and being greeted; default 5000 */
    int32_t reconnect_ms; /* how long a lost connection is sought before everything outstanding ends
                             with PRONG_UNAVAILABLE; default 0: until each one's own deadline;
                             -1: a lost connection is not sought */
    uint32_t message_bytes_max; /* largest answer that is taken; default 16 MiB */
} prong_options;

/* Connect to a hub and greet it.
 *
 *   url         ipc://PATH, tcp://HOST:PORT or tls+tcp://HOST:PORT; NULL: $PRONG_URL, else the
 *               first of $RUNTIME_DIRECTORY/hub.sock (where a service manager set it),
 *               $XDG_RUNTIME_DIR/prong/hub.sock, /run/user/UID/prong/hub.sock and
 *               /run/prong/hub.sock that exists: a hub that is there and cannot be reached is
 *               never passed over for the next
 *   options     NULL for all defaults
 *   out         owned, freed with prong_client_free
 *   error       room for a NUL-terminated text on failure that says what was tried, or NULL
 *   error_size  of that room, in bytes
 *
 * A local hub whose lock is held but whose broker is just being started anew is waited for.
 *
 * Errors: PRONG_INVALID_ARGUMENT (URL, options), PRONG_UNAVAILABLE (nobody there),
 * PRONG_DEADLINE_EXCEEDED (no answer in time), PRONG_PERMISSION_DENIED, PRONG_UNAUTHENTICATED
 * (token), PRONG_RESOURCE_EXHAUSTED (memory, descriptors), and what the hub refuses with.
 * Threads: any. */
PRONG_API prong_err prong_connect(const char *url, const prong_options *options, prong_client **out,
                                  char *error, size_t error_size);
/* End everything and free the client. Accepts NULL. Threads that wait on it return; what is
 * outstanding ends with PRONG_CANCELLED. Replies and subscriptions stay the caller's, to be freed
 * before or after. No other function may be called with the client once this one was entered, and
 * it may not be called from a callback. */
PRONG_API void prong_client_free(prong_client *c);
/* The URL of the hub. Valid until the client is freed. */
PRONG_API const char *prong_client_url(const prong_client *c);
/* Whether the hub is connected and has greeted us, as far as is known now. Threads: any. */
PRONG_API bool prong_client_is_connected(prong_client *c);
/* Copy the last failure that has no reply of its own (connection, emit, subscribe), NUL-terminated
 * and cut to `size` bytes; "" when there was none. Threads: any; the last failure of any thread. */
PRONG_API void prong_client_error_text(prong_client *c, char *text, size_t size);

/* ---- event loop ----------------------------------------------------------------------------- */

/* A descriptor to wait on for readability (poll, epoll, glib, libuv...). Borrowed: neither read nor
 * close it. It is made on the first use, and from then on it becomes readable, too, when something
 * waits to be sent. -1 when descriptors are out. Threads: any. */
PRONG_API int prong_fd(prong_client *c);
/* Send what waits, take what came, keep deadlines, connect again if needed, run callbacks.
 *
 *   timeout_ms  0 returns when nothing is there to do now; > 0 or PRONG_FOREVER waits so long for
 *               something to come. A reconnect that is due may add up to 50 ms on a local
 *               socket and 250 ms on a network, also to 0; four times that where somebody
 *               listens who is slow to greet.
 *
 * Errors: PRONG_DEADLINE_EXCEEDED (nothing came in `timeout_ms` > 0), PRONG_UNAVAILABLE (no
 * connection, and none is sought), PRONG_FAILED_PRECONDITION (forked child; or called from a
 * callback). Threads: any; callbacks of one client never run at the same time. */
PRONG_API prong_err prong_dispatch(prong_client *c, int32_t timeout_ms);
/* Send what waits, without waiting for anything.
 * Errors: PRONG_UNAVAILABLE (no connection now; what waits stays), PRONG_FAILED_PRECONDITION. */
PRONG_API prong_err prong_flush(prong_client *c);

/* ---- calls ---------------------------------------------------------------------------------- */

enum {
    /* Ask the worker for progress. */
    PRONG_CALL_PROGRESS = 1,
    /* The items are taken with prong_reply_next while the call runs: more are asked for only when
     * what has come was taken. Without it they are collected, and the call is cancelled when they
     * are more than 16 MiB. */
    PRONG_CALL_STREAM = 2,
    /* The reply ends with PRONG_OK as soon as the hub has accepted the call, which then runs in the
     * background: it lives on when this client leaves, for `timeout_ms` or an hour when that is 0,
     * and its outcome is kept for ten minutes. prong_reply_handle names it; see prong_resume. */
    PRONG_CALL_BACKGROUND = 4,
    /* `args` is an array of up to 65536 argument sets, each a map or an array, and the method is
     * called once for each. The outcomes come as items, as they complete: prong_reply_next and
     * prong_item_outcome. The value is {"done": n, "failed": m}. */
    PRONG_CALL_MAP = 8,
    /* With PRONG_CALL_MAP: in the order of the argument sets. */
    PRONG_CALL_ORDERED = 16,
};

enum {
    /* Room for the text of a handle: 32 hexadecimal digits, "-", a number and the NUL. */
    PRONG_HANDLE_BYTES = 50,
    /* Room for the name of a replica, "detector/1", and its NUL. */
    PRONG_REPLICA_BYTES = 80,
};

/* Something is new about a reply: items, progress or its outcome. Runs inside prong_dispatch. It
 * may use and free the reply and start other calls; it must not wait. */
typedef void (*prong_reply_fn)(void *context, prong_reply *reply);

/* How to call; zero is the default everywhere. Borrowed for the call. */
typedef struct prong_call_options {
    size_t size_bytes;          /* sizeof(prong_call_options) */
    int32_t timeout_ms;         /* 1..3600000; default 30000. Sent to the hub and the worker */
    uint32_t flags;             /* PRONG_CALL_*; default 0 */
    const prong_value *options; /* a map of further options of CALL (PROTOCOL.md); default: none */
    uint64_t tag;               /* the caller's, given back by prong_reply_tag */
    prong_reply_fn notify;      /* default: none */
    void *context;              /* for notify */
    const char *policy; /* "once", "idempotent" or "shared": it begins at most as often as both this
                           and its method allow; default: as its method allows */
    const void *key;    /* calls with equal keys go to one replica, as long as it serves; at most
                           128 bytes; default: none */
    size_t key_len;     /* its length in bytes */
    int32_t priority;   /* 1..9: of the calls that wait the highest goes first; default 5 */
    uint64_t parent;    /* in a worker: prong_job_number of the call within which this one is made;
                           it ends with that one at the latest; default: none. See prong_job_call */
} prong_call_options;

/* Call a method and wait for its outcome.
 *
 *   worker      "detector"; "detector/1" for one replica; "detector/" and a star for each one there
 *               is, with outcomes as items (prong_item_outcome); "hub" for the hub itself
 *   method      name of the method
 *   args        a map of named or an array of positional arguments; NULL for none
 *   timeout_ms  1..3600000; 0 for 30000. The call ends by then, or two seconds later (see above)
 *   out         written always: owned, freed with prong_reply_free; NULL only when memory is out
 *               or with PRONG_FAILED_PRECONDITION. May be NULL itself when only the code matters
 *
 * Errors: those of the worker and the hub, one to one; PRONG_DEADLINE_EXCEEDED, PRONG_UNAVAILABLE
 * (see above), PRONG_CANCELLED, PRONG_INVALID_ARGUMENT (names, args, timeout),
 * PRONG_RESOURCE_EXHAUSTED (memory, message too large, items without PRONG_CALL_STREAM),
 * PRONG_FAILED_PRECONDITION (forked child; from a callback). The reply has message, began and
 * details. Threads: any. */
PRONG_API prong_err prong_call(prong_client *c, const char *worker, const char *method,
                               const prong_value *args, int32_t timeout_ms, prong_reply **out);
/* The same in JSON, for scripts and thin bindings.
 *
 *   args  JSON object or array; NULL for none
 *   out   written always: owned, freed with prong_free. On PRONG_OK the value; else an
 *         object {"code": 5, "name": "NOT_FOUND", "began": 0, "message": ..., "details": ...};
 *         NULL when memory is out
 *
 * Errors and threads: as prong_call. */
PRONG_API prong_err prong_call_json(prong_client *c, const char *worker, const char *method,
                                    const char *args, int32_t timeout_ms, char **out);
/* Start a call and return at once; the outcome comes into the reply. It leaves with the next wait,
 * dispatch or prong_flush of any thread, at once when one is waiting: calls that are started in a
 * row leave together.
 *
 *   worker, method, args  as for prong_call; copied
 *   options               NULL for all defaults
 *   out                   owned, freed with prong_reply_free
 *
 * Errors: PRONG_INVALID_ARGUMENT (names, args, options: the text says what is allowed),
 * PRONG_RESOURCE_EXHAUSTED (memory; or 256 requests are outstanding), PRONG_UNAVAILABLE (the
 * connection is lost and not sought), PRONG_FAILED_PRECONDITION (forked child). The text is in
 * prong_client_error_text. Everything else comes as the outcome. Threads: any. */
PRONG_API prong_err prong_call_async(prong_client *c, const char *worker, const char *method,
                                     const prong_value *args, const prong_call_options *options,
                                     prong_reply **out);

/* Wait until a reply has its outcome. This says only that it is there: see prong_reply_code.
 *
 *   timeout_ms  >= 0, or PRONG_FOREVER. 0 takes what has come already
 *
 * Errors: PRONG_DEADLINE_EXCEEDED (not there yet; ask again), PRONG_FAILED_PRECONDITION (forked
 * child; from a callback). Threads: any. */
PRONG_API prong_err prong_reply_wait(prong_reply *r, int32_t timeout_ms);
/* Wait until any of the client's asynchronous calls has its outcome. Each is given once, in the
 * order in which they ended; those with a callback or already waited for are left out.
 *
 *   out  borrowed: the handle that prong_call_async gave
 *
 * Errors: PRONG_DEADLINE_EXCEEDED, PRONG_NOT_FOUND (none is outstanding),
 * PRONG_FAILED_PRECONDITION. Threads: any. */
PRONG_API prong_err prong_wait_any(prong_client *c, int32_t timeout_ms, prong_reply **out);
/* Take the next item of a call whose method yields, or of one to many (PRONG_CALL_MAP, every
 * replica). Progress may come between items: prong_reply_progress has the newest.
 *
 *   item  borrowed, valid until the next prong_reply_next on this reply or its end
 *
 * Errors: PRONG_OUT_OF_RANGE (no more items: the outcome is there), PRONG_DEADLINE_EXCEEDED (none
 * yet), PRONG_FAILED_PRECONDITION. Items that came before an error are given first. */
PRONG_API prong_err prong_reply_next(prong_reply *r, int32_t timeout_ms, prong_value *item);
/* Ask the hub to end a call. The outcome still comes, PRONG_CANCELLED or whatever was faster; a
 * call that was not sent yet ends at once. Leaves with the next wait, dispatch or prong_flush of
 * any thread, at once when one is waiting. Nothing happens to a call that ended. Threads: any. */
PRONG_API void prong_reply_cancel(prong_reply *r);
/* Free the reply; one without an outcome is cancelled and its outcome ignored. Accepts NULL. */
PRONG_API void prong_reply_free(prong_reply *r);

/* What a reply holds. NULL stands for a reply for which there was no memory. Pointers are valid
 * until the reply is freed. Before the outcome is there: false, PRONG_UNKNOWN, MAYBE, "", NULL. */
PRONG_API bool prong_reply_is_done(prong_reply *r);
PRONG_API prong_err prong_reply_code(prong_reply *r);
/* Whether the method may have begun. YES after PRONG_OK. */
PRONG_API prong_began prong_reply_began(prong_reply *r);
/* What the method returned; NULL after an error. */
PRONG_API const prong_value *prong_reply_value(prong_reply *r);
/* The error for people, NUL-terminated; "" after PRONG_OK. */
PRONG_API const char *prong_reply_message(prong_reply *r);
/* The error for programs: nil or a map (type, traceback, replica, retry_after_ms...); NULL after
 * PRONG_OK, and when the error is the library's own. */
PRONG_API const prong_value *prong_reply_details(prong_reply *r);
/* The newest progress: `fraction` (0..1, or NaN when only a note is known) and `note`, cut to
 * `note_size` bytes and NUL-terminated; either may be NULL. false when none has come. */
PRONG_API bool prong_reply_progress(prong_reply *r, double *fraction, char *note, size_t note_size);
PRONG_API uint64_t prong_reply_tag(const prong_reply *r);

/* ---- calls to many --------------------------------------------------------------------------- */

/* The outcome of one of many calls. In caller's storage; borrows from the item. */
typedef struct prong_outcome {
    uint64_t number;     /* place of the argument set, from 0; or number of the replica */
    prong_err code;      /* PRONG_OK with `value`, else an error with the rest */
    prong_began began;   /* YES after PRONG_OK */
    prong_value value;   /* what the method returned; empty after an error */
    const char *message; /* the error for people, not NUL-terminated; "" after PRONG_OK */
    size_t message_len;  /* in bytes */
    prong_value details; /* nil or a map; empty after PRONG_OK */
} prong_outcome;

/* Take an item of PRONG_CALL_MAP or of a call of every replica apart; false, with nothing written,
 * when it is not such an item. Threads: any. */
PRONG_API bool prong_item_outcome(const prong_value *item, prong_outcome *out);

/* ---- calls in the background ----------------------------------------------------------------- */

/* Call a method in the background, and wait until the hub has accepted that.
 *
 *   worker, method, args  as for prong_call
 *   options  NULL for all defaults; its timeout_ms is how long the call may take, default an hour
 *   handle   room for a NUL-terminated text that names the call to prong_resume, in any program of
 *            the same user
 *   size     of that room in bytes, PRONG_HANDLE_BYTES at least
 *
 * Errors: as prong_call; PRONG_INVALID_ARGUMENT (also of `options` and `size`). Acceptance is
 * waited for 30 s: PRONG_DEADLINE_EXCEEDED and PRONG_UNAVAILABLE leave open whether the call runs.
 * The text is in prong_client_error_text. Threads: any. */
PRONG_API prong_err prong_call_background(prong_client *c, const char *worker, const char *method,
                                          const prong_value *args,
                                          const prong_call_options *options, char *handle,
                                          size_t size);
/* Copy the handle of a call with PRONG_CALL_BACKGROUND, NUL-terminated, once it was accepted: its
 * reply is done with PRONG_OK and has no value, `began` is maybe. (A call that ended before its
 * acceptance was heard of ends the reply with its own outcome.) false, with nothing written, for
 * every other reply and when `size` is below PRONG_HANDLE_BYTES. Threads: any. */
PRONG_API bool prong_reply_handle(prong_reply *r, char *text, size_t size);
/* Wait for the outcome of a call in the background: a reply as prong_call_async gives it, with
 * items and progress. To free it before its outcome only ends this waiting; prong_reply_cancel
 * cancels the call itself. Others may wait for it, too, but items go to whoever asks first.
 *
 *   handle   as prong_reply_handle gave it
 *   options  of these only size_bytes, timeout_ms (how long to wait; default an hour, the longest
 *            that such a call lives), PRONG_CALL_STREAM, tag, notify and context count; may be NULL
 *   out      owned, freed with prong_reply_free
 *
 * Errors: as prong_call_async; at most 64 of these and of subscriptions at a time. The outcome is
 * PRONG_NOT_FOUND, began maybe, when the hub does not know the call (any more). Threads: any. */
PRONG_API prong_err prong_resume(prong_client *c, const char *handle,
                                 const prong_call_options *options, prong_reply **out);

/* ---- leases ---------------------------------------------------------------------------------- */

/* Have one replica of a worker for this client alone: it serves nobody else until the lease ends,
 * by prong_lease_release, because it was not renewed within `ttl_ms`, or because this client was
 * away for 5 s. It is called by its name, and so it keeps what one call leaves in it for the next.
 *
 *   worker      "detector" for any replica, "detector/1" for that one
 *   ttl_ms      1..3600000: how long without being renewed
 *   timeout_ms  as of prong_call: the hub may let it wait for a replica
 *   replica     room for its name, "detector/1", NUL-terminated
 *   size        of that room in bytes, PRONG_REPLICA_BYTES at least
 *
 * Errors: as prong_call; PRONG_INVALID_ARGUMENT (also of ttl_ms and size), and what the hub refuses
 * with: PRONG_NOT_FOUND, PRONG_UNAVAILABLE, PRONG_RESOURCE_EXHAUSTED (none is free). The text is in
 * prong_client_error_text, for all three. Threads: any. */
PRONG_API prong_err prong_lease(prong_client *c, const char *worker, int32_t ttl_ms,
                                int32_t timeout_ms, char *replica, size_t size);
/* `ttl_ms` more from now on. Errors: as prong_lease; PRONG_NOT_FOUND or PRONG_FAILED_PRECONDITION
 * when the lease has ended. */
PRONG_API prong_err prong_lease_renew(prong_client *c, const char *replica, int32_t ttl_ms);
/* Give it back. Errors: as prong_lease_renew. */
PRONG_API prong_err prong_lease_release(prong_client *c, const char *replica);

/* ---- events --------------------------------------------------------------------------------- */

/* Publish an event and wait until the hub has stored it.
 *
 *   topic       dot-separated tokens of A-Z a-z 0-9 _ -, at most 128 bytes; "hub." is
 *               the hub's alone
 *   payload     any one object; NULL for nil
 *   timeout_ms  1..3600000; 0 for 30000
 *   number      the event's number in the hub's history, 0 when only that it is stored is known
 *               (after a reconnect); may be NULL
 *
 * Errors: as prong_call; PRONG_UNAVAILABLE and PRONG_DEADLINE_EXCEEDED leave open whether it was
 * stored. The text is in prong_client_error_text. Threads: any. */
PRONG_API prong_err prong_emit(prong_client *c, const char *topic, const prong_value *payload,
                               int32_t timeout_ms, uint64_t *number);
/* Publish an event without waiting for anything. It leaves at once, is kept for 30 s while there is
 * no hub, and is counted when it fails later.
 *
 * Errors: PRONG_INVALID_ARGUMENT, PRONG_RESOURCE_EXHAUSTED (memory; or 256 requests are
 * outstanding: the hub is slower than the caller), PRONG_UNAVAILABLE (the connection is lost and
 * not sought), PRONG_FAILED_PRECONDITION. These are not counted. Threads: any. */
PRONG_API prong_err prong_post(prong_client *c, const char *topic, const prong_value *payload);
/* How many posted events were refused or given up so far; the text of the last is in
 * prong_client_error_text. Takes what has come first. */
PRONG_API uint64_t prong_post_failures(prong_client *c);
/* How many posted events have no outcome yet. 0: the hub has stored all of them but those that
 * prong_post_failures counts. For whoever must not let go of something before its event is safe.
 * Takes what has come first. Threads: any. */
PRONG_API uint64_t prong_post_pending(prong_client *c);

/* Where a subscription begins. */
enum {
    PRONG_FROM_NEW,    /* with the first event after prong_subscribe returned */
    PRONG_FROM_OLDEST, /* with the oldest that the hub still has */
    PRONG_FROM_LAST,   /* with the newest of each matching topic, then what follows */
    PRONG_FROM_NUMBER, /* with the event of a number */
};

/* Events have come: take them with prong_subscription_next(s, 0, ...) until it gives none. Runs
 * inside prong_dispatch; it may free the subscription; it must not wait. */
typedef void (*prong_subscription_fn)(void *context, prong_subscription *s);

/* How to subscribe; zero is the default everywhere. */
typedef struct prong_subscribe_options {
    size_t size_bytes;  /* sizeof(prong_subscribe_options) */
    uint32_t from;      /* PRONG_FROM_*; default new */
    uint32_t items_max; /* events fetched at a time, 1..65536; default 1024 */
    uint64_t number;    /* for PRONG_FROM_NUMBER: the first event wanted */
    uint32_t bytes_max; /* bytes fetched at a time, about; default 1 MiB */
    int32_t timeout_ms; /* for subscribing itself; default 5000 */
    uint64_t history;   /* for PRONG_FROM_NUMBER: the history that the number is of, so that a
                           hub started anew is noticed; default 0: not known */
    prong_subscription_fn notify; /* default: none */
    void *context;                /* for notify */
} prong_subscribe_options;

/* One event, in the library's storage. Later versions add fields at the end. */
typedef struct prong_event {
    uint64_t number;     /* in the hub's history, counted from 1 */
    uint64_t history;    /* which history: changes when the hub's numbers start anew */
    int64_t time_us;     /* when the hub took it, microseconds since 1970 */
    const char *topic;   /* NUL-terminated */
    const char *source;  /* replica that emitted it, "hub", or "" for a client */
    prong_value payload; /* its content */
    uint64_t lost; /* events that fell out of the hub's memory unread since the one before this;
                      all topics count, for nobody knows any more which they had */
    bool reset; /* the first of a new history: what was unread of the old one is gone, uncounted */
} prong_event;

/* Subscribe. Returns when the hub has told the position, so that an event emitted afterwards, by
 * anyone, is not missed. One batch is fetched ahead of the reader, no more.
 *
 *   filters  1..32 texts: topics in which a token may be * and the last one >
 *   count    how many
 *   options  NULL for all defaults
 *   out      owned, freed with prong_subscription_free
 *
 * Errors: PRONG_INVALID_ARGUMENT, PRONG_DEADLINE_EXCEEDED, PRONG_UNAVAILABLE,
 * PRONG_RESOURCE_EXHAUSTED (memory; 64 subscriptions), PRONG_FAILED_PRECONDITION, and what the hub
 * refuses with. The text is in prong_client_error_text. Threads: any. */
PRONG_API prong_err prong_subscribe(prong_client *c, const char *const *filters, size_t count,
                                    const prong_subscribe_options *options,
                                    prong_subscription **out);
/* Take the next event.
 *
 *   timeout_ms  >= 0, or PRONG_FOREVER; 0 takes only what has come already
 *   out         borrowed, valid until the next prong_subscription_next on this
 *               subscription or its end
 *
 * Errors: PRONG_DEADLINE_EXCEEDED (none yet), PRONG_UNAVAILABLE (the connection is lost and not
 * sought), PRONG_FAILED_PRECONDITION (forked child; waiting in a callback), PRONG_CANCELLED (the
 * client was freed), and what the hub refuses with. A reconnect is not an error. Threads: any, one
 * at a time for one subscription. */
PRONG_API prong_err prong_subscription_next(prong_subscription *s, int32_t timeout_ms,
                                            const prong_event **out);
/* Where the next event would be taken from: with its history, what to store to go on later with
 * PRONG_FROM_NUMBER. Either may be NULL. */
PRONG_API void prong_subscription_position(prong_subscription *s, uint64_t *number,
                                           uint64_t *history);
/* All events lost so far: the sum of `lost` of those taken, and what was lost since. */
PRONG_API uint64_t prong_subscription_lost(prong_subscription *s);
/* Accepts NULL. The last event taken ends with it. */
PRONG_API void prong_subscription_free(prong_subscription *s);

#ifdef __cplusplus
}
#endif

#endif
