/* The worker SDK, part of libprong: a program whose functions others call through the hub.
 *
 *     static prong_err
 *     detect(prong_job *job, const prong_value *args, void *context)
 *     {
 *         prong_value path;
 *         if (!prong_value_find(args, "path", &path)) {
 *             return prong_job_fail(job, PRONG_INVALID_ARGUMENT, "detect needs a path");
 *         }
 *         prong_writer_int(prong_job_result(job), look_at(context, &path));
 *         return PRONG_OK;
 *     }
 *
 *     static const prong_method methods[] = {
 *         {"detect", detect, PRONG_IDEMPOTENT, "count the objects in a picture", &model},
 *     };
 *
 *     int
 *     main(void)
 *     {
 *         prong_worker *worker = prong_worker_new(methods, 1);
 *         const int code = prong_worker_run(worker);
 *         prong_worker_free(worker);
 *         return code;
 *     }
 *
 * The hub starts the program (`prong run --name detector -- ./detector`, or the configuration) and
 * tells it by the environment where it is: PRONG_URL, PRONG_WORKER, PRONG_REPLICA, PRONG_TOKEN.
 *
 * One thread. Methods, handlers, watches and timers run one after another in the thread that called
 * prong_worker_run (below: the worker's thread); libprong has no thread of its own. While a method
 * runs nothing else is served, so a method that takes long looks at prong_job_is_cancelled now and
 * then: that also keeps the connection to the hub, and connects again when the hub's broker was
 * started anew. Only prong_worker_loop starts threads, one for each function.
 *
 * Once. A method begins at most once for each call, whatever breaks, unless it is declared
 * idempotent. Its outcome is kept until the hub says that the caller has it, and told again after a
 * broken connection.
 *
 * Crowds. Calls of idempotent methods that take microseconds come and are answered many at a time
 * when there are many: they run one after another all the same. The hub learns how long a method
 * takes; `batch: 1` in the configuration switches it off.
 *
 * End. SIGTERM, prong_worker_stop or the hub's wish to stop: the running method ends and its
 * outcome is told, loop functions return, teardown runs, and prong_worker_run returns 0. SIGTERM is
 * handled only if the program left it as it was (SIG_DFL); a program with a handler of its own
 * calls prong_worker_stop in it. After prong_worker_free it is as it was again, unless the worker
 * was told to end by SIGTERM or by the hub: from then on it does nothing to this process, so that
 * a second one does not cut the end short. A child that a method forks uses nothing of the worker;
 * SIGTERM ends it as usual.
 *
 * Setting up (everything named prong_worker_new, _method, _on, _setup... up to prong_worker_run) is
 * done before prong_worker_run, by one thread. What is wrong there is returned, and kept as well:
 * prong_worker_run then prints it and returns 78, so a table needs no checks.
 *
 * Pointers are *borrowed* for the call unless it says otherwise; texts are UTF-8 and copied, also
 * those of tables. `context` is the program's, passed on and never looked at. Errors that a group
 * does not name: PRONG_INVALID_ARGUMENT (NULL, a name that is none, a second one of that name,
 * after the start), PRONG_RESOURCE_EXHAUSTED (memory). */
#ifndef PRONG_WORKER_H
#define PRONG_WORKER_H

#include <prong/prong.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct prong_worker prong_worker;
typedef struct prong_job prong_job; /* one call, while its method runs */

/* ---- methods -------------------------------------------------------------------------------- */

/* What may be done with a call when its process was lost before there was an outcome. */
typedef enum prong_policy {
    PRONG_ONCE,       /* nothing: the caller is told PRONG_ABORTED. The default */
    PRONG_IDEMPOTENT, /* it may begin again in another process, at most twice in all */
    PRONG_SHARED,     /* the same, and equal calls at one time may be answered by one run */
} prong_policy;

/* A method. Runs in the worker's thread.
 *
 *   args     a map of named or an array of positional arguments; valid until it returns
 *   returns  PRONG_OK with the result in prong_job_result(job) (nil when nothing was written); or
 *            an error, best by `return prong_job_fail(...)`, else with a text made from the code */
typedef prong_err (*prong_method_fn)(prong_job *job, const prong_value *args, void *context);

/* One row of a worker's table. Zero is the default of policy, help and context. */
typedef struct prong_method {
    const char *name; /* of A-Z a-z 0-9 _, at most 64 bytes */
    prong_method_fn function;
    prong_policy policy;
    const char *help; /* one line for people; may be NULL */
    void *context;
} prong_method;

/* A worker with a table of methods, copied; more may be added. `methods` may be NULL with `count`
 * 0. Owned, freed with prong_worker_free. NULL when memory is out. */
PRONG_API prong_worker *prong_worker_new(const prong_method *methods, size_t count);
/* Accepts NULL. Not while prong_worker_run runs. Ends what prong_worker_next or
 * prong_worker_test_call started, teardown included. */
PRONG_API void prong_worker_free(prong_worker *worker);
/* Add one method; at most PRONG_METHODS_MAX in all. `function` NULL: its calls come only out of
 * prong_worker_next, and prong_worker_run answers them with PRONG_UNIMPLEMENTED. */
PRONG_API prong_err prong_worker_method(prong_worker *worker, const char *name,
                                        prong_method_fn function, prong_policy policy,
                                        const char *help, void *context);
/* Tell how the arguments of a method are called, for people and programs that ask for it (`prong
 * describe`); a call is not checked by it. `names`: with a space between, each of A-Z a-z 0-9 _, at
 * most 4096 bytes, in the order of positional ones; "" when there are none. */
PRONG_API prong_err prong_worker_arguments(prong_worker *worker, const char *method,
                                           const char *names);
/* Run `setup` before the first call, in the worker's thread; the hub calls the worker ready when it
 * returned PRONG_OK. Any other code ends prong_worker_run with 1; setup says itself, on stderr,
 * why. Run `teardown` after the last call if setup was successful; not after SIGKILL. Either may be
 * NULL. */
PRONG_API prong_err prong_worker_setup(prong_worker *worker,
                                       prong_err (*setup)(prong_worker *worker, void *context),
                                       void (*teardown)(prong_worker *worker, void *context),
                                       void *context);
/* How long a hub that is gone is sought before prong_worker_run returns 75: 0..3600000, default
 * 10000. Tries are 10 to 50 ms apart. */
PRONG_API prong_err prong_worker_reconnect(prong_worker *worker, int32_t budget_ms);

/* ---- beside the calls ----------------------------------------------------------------------- */

/* At most 128 of these in all. None of them runs any more once the worker is to end, but loops. */

/* Handle events of a topic in the worker's thread, between calls. `filter` is a topic in which a
 * token may be * and the last one >. The events begin with the first one after the worker got
 * ready; a reconnect loses none (`lost` and `reset` of the event say so if the hub did). At most 64
 * filters. `event` is valid until the function returns. */
PRONG_API prong_err prong_worker_on(prong_worker *worker, const char *filter,
                                    void (*function)(prong_worker *worker, const prong_event *event,
                                                     void *context),
                                    void *context);
/* Run a function about every `period_ms` (1..86400000) in the worker's thread, first one period
 * after the start. Periods that passed meanwhile are skipped, not caught up with. */
PRONG_API prong_err prong_worker_every(prong_worker *worker, int32_t period_ms,
                                       void (*function)(prong_worker *worker, void *context),
                                       void *context);
/* Wait for a descriptor of the program's own in the same wait, and run a function in the worker's
 * thread when it is ready.
 *
 *   fd      stays the program's; not closed while it is watched
 *   events  POLLIN, POLLOUT... of <poll.h>; a further call for the same fd replaces the first, and
 *           0 ends it. `revents` has what is ready, POLLERR and POLLHUP too
 *
 * May also be called later, by anything that runs in the worker's thread. */
PRONG_API prong_err prong_worker_watch(prong_worker *worker, int fd, short events,
                                       void (*function)(prong_worker *worker, int fd, short revents,
                                                        void *context),
                                       void *context);
/* Run a function in a thread of its own, beside the calls: a blocking grab from a camera, say. It
 * is started after setup, when the worker is attached, and returns when prong_worker_is_stopping:
 * the end of the worker waits for it. It uses prong_worker_emit, prong_worker_client and the
 * functions below that say "any"; what it shares with methods it locks. */
PRONG_API prong_err prong_worker_loop(prong_worker *worker,
                                      void (*function)(prong_worker *worker, void *context),
                                      void *context);

/* Whether the worker ends. Threads: any. */
PRONG_API bool prong_worker_is_stopping(const prong_worker *worker);
/* A descriptor that becomes readable when the worker ends, and stays so, to be waited for beside a
 * loop's own. Borrowed: neither read nor close it. -1 before the start. Threads: any. */
PRONG_API int prong_worker_stop_fd(const prong_worker *worker);
/* Wait so long, or until the worker ends; true when it does. For the pace of a loop.
 * `timeout_ms` >= 0. Threads: any. */
PRONG_API bool prong_worker_pause(prong_worker *worker, int32_t timeout_ms);
/* End the worker: prong_worker_run will return `exit_code` (0..255) unless an earlier stop said
 * something else. 75 asks the hub to start it again without blame. Threads: any, and signal
 * handlers. */
PRONG_API void prong_worker_stop(prong_worker *worker, int exit_code);

/* ---- running -------------------------------------------------------------------------------- */

/* Serve until the end. Sets the process's name to "detector/0", as ps and top show it (the name is
 * cut to 15 bytes).
 *
 * Returns the process's exit code, with a text on stderr where it is not 0:
 *
 *   0   stopped            64  not started by a hub: the environment is missing
 *   1   setup failed       71  memory, descriptors or threads are out
 *   75  the hub is gone    77  the hub does not take this process for the worker
 *   78  the worker was set up wrongly (or what prong_worker_stop said) */
PRONG_API int prong_worker_run(prong_worker *worker);

/* The same without methods as callbacks, for bindings: take the next call, and end it with
 * prong_job_end. Everything else (handlers, watches, timers) is served meanwhile.
 *
 *   timeout_ms  >= 0, or PRONG_FOREVER
 *   job         valid until prong_job_end. A job that was not ended ends with PRONG_UNKNOWN
 *
 * Errors: PRONG_DEADLINE_EXCEEDED (no call yet), PRONG_CANCELLED (the worker ends:
 * prong_worker_finish). Threads: the worker's, that is the one of the first prong_worker_next. */
PRONG_API prong_err prong_worker_next(prong_worker *worker, int32_t timeout_ms, prong_job **job);
/* End a job as if its method had returned `code`. The job is gone. */
PRONG_API void prong_job_end(prong_job *job, prong_err code);
/* Tell outcomes, end loops, tear down; after prong_worker_next gave PRONG_CANCELLED, or at any
 * time. Returns the exit code as prong_worker_run does. */
PRONG_API int prong_worker_finish(prong_worker *worker);

/* ---- a worker is a client too --------------------------------------------------------------- */

/* A client of the same hub, on a connection of its own, made when first asked for. Valid until the
 * worker is freed; not to be freed by the program. NULL when the hub cannot be reached, or without
 * a hub (prong_worker_test_call): the text is in prong_worker_error_text. Threads: any. */
PRONG_API prong_client *prong_worker_client(prong_worker *worker);
/* Publish an event and wait until the hub has stored it, at most 5 s; prong_emit of the worker's
 * client. For many small ones there is prong_post. Errors: as prong_emit, and PRONG_UNAVAILABLE
 * when there is no client. Threads: any. */
PRONG_API prong_err prong_worker_emit(prong_worker *worker, const char *topic,
                                      const prong_value *payload);
/* Copy the last failure of the functions of the worker, NUL-terminated and cut to `size` bytes; ""
 * when there was none. Threads: any. */
PRONG_API void prong_worker_error_text(prong_worker *worker, char *text, size_t size);
/* "detector/0"; "" before the start. Valid until the worker is freed. Threads: any. */
PRONG_API const char *prong_worker_name(const prong_worker *worker);

/* ---- a job ---------------------------------------------------------------------------------- */

/* All of these: in the worker's thread, while the method runs. */

/* Where the result is written, empty at first. Owned by the job. Frames and buffers whose handles
 * are written to it (<prong/stream.h>) the method may let go of at once: the worker holds a frame
 * until the caller has the outcome or its deadline has passed, and the hub keeps a buffer for it.
 */
PRONG_API prong_writer *prong_job_result(prong_job *job);
/* Say why the method fails; the last one stands. Returns the code, for `return
 * prong_job_fail(...)`. It changes the outcome only when the method returns an error.
 *
 *   code     any but PRONG_OK
 *   message  for people; cut to 4096 bytes; NULL: a text made from the code */
PRONG_API prong_err prong_job_fail(prong_job *job, prong_err code, const char *message);
/* Where further details for programs are written, one map as a rule; sent with an error only.
 * Owned by the job. */
PRONG_API prong_writer *prong_job_details(prong_job *job);
/* Tell the caller how far it is: 0..1 (cut to it), or NaN when only the note is known; `note` may
 * be NULL. Never waits: when the hub is slower than the method, the newest is told. */
PRONG_API void prong_job_progress(prong_job *job, double fraction, const char *note);
/* Give the caller an item, before the outcome; as many as the method likes. They are numbered,
 * arrive in order and once each, whatever breaks, and before the outcome does. The first leaves at
 * once, and so does each that comes a millisecond after the one before; those between leave
 * together with the next one, with any other look at the connection, or with the outcome.
 *
 * Waits while the caller does not take what it has: the hub holds 1 MiB, and 256 KiB may wait here.
 * The connection is served meanwhile. A method that has yielded does not begin again when its
 * worker is lost, whatever its policy.
 *
 *   value  copied; NULL: what was written to prong_job_item
 *
 * Errors: PRONG_CANCELLED (as prong_job_is_cancelled says: end the method, nobody takes the items),
 * PRONG_RESOURCE_EXHAUSTED (memory; longer than a message), PRONG_INVALID_ARGUMENT (not one whole
 * object). After an error the item is not given. */
PRONG_API prong_err prong_job_yield(prong_job *job, const prong_value *value);
/* Where an item is written for prong_job_yield(job, NULL); empty at first and after each yield.
 * Owned by the job. A frame whose handle is in an item is held until the outcome of the whole call
 * was taken, so a method can give no more of them than the `hold` of the reader they come from. */
PRONG_API prong_writer *prong_job_item(prong_job *job);
/* Send the items that wait to leave together, before something that takes long. Never waits. */
PRONG_API void prong_job_flush(prong_job *job);
/* Whether nobody waits for the outcome any longer: the caller cancelled, or its deadline has
 * passed. The method may end as it likes; PRONG_CANCELLED is usual. Not true because the worker is
 * to end: the running job may finish. Looks at the connection at most once in a millisecond and
 * never waits, except up to 100 ms at a time for a hub that was just started anew. */
PRONG_API bool prong_job_is_cancelled(prong_job *job);
/* Milliseconds until the caller's deadline, 0 when it has passed: the timeout for calls made
 * meanwhile. */
PRONG_API int32_t prong_job_remaining_ms(const prong_job *job);
/* Valid until the method returns. */
PRONG_API const char *prong_job_method(const prong_job *job);
/* Who calls: the replica ("camera/0"), or pid and uid of a client, as the hub says. */
PRONG_API const char *prong_job_caller(const prong_job *job);
/* The arguments, and further options of the call (nil or a map). */
PRONG_API const prong_value *prong_job_args(const prong_job *job);
PRONG_API const prong_value *prong_job_options(const prong_job *job);
PRONG_API prong_worker *prong_job_worker(const prong_job *job);
/* The number of this call, for `parent` in prong_call_options of calls made within it; 0 without a
 * hub. */
PRONG_API uint64_t prong_job_number(const prong_job *job);
/* Call another worker within this call, over prong_worker_client, and wait for the outcome: the new
 * call ends with the deadline of this one at the latest, and is cancelled when this one is. The
 * connection of the worker is served while it waits. A call that could only wait for itself,
 * because its callers occupy every replica that could run it, is refused with
 * PRONG_FAILED_PRECONDITION.
 *
 *   worker, method, args  as for prong_call
 *   timeout_ms  1..3600000, and never longer than prong_job_remaining_ms; 0 for all of that
 *   out         written always: owned, freed with prong_reply_free; NULL when there is no client,
 *               or the call was refused before it was asked. May be NULL itself
 *
 * Errors: as prong_call; PRONG_UNAVAILABLE when there is no client. Without a reply the text is in
 * prong_worker_error_text. */
PRONG_API prong_err prong_job_call(prong_job *job, const char *worker, const char *method,
                                   const prong_value *args, int32_t timeout_ms, prong_reply **out);

/* ---- tests ---------------------------------------------------------------------------------- */

/* Call a method directly: no hub, no process, no environment. Setup runs before the first one,
 * teardown in prong_worker_free. The job has 30 s, is never cancelled, and its progress goes
 * nowhere. What it yields is in prong_worker_test_item.
 *
 *   args  NULL for none
 *   out   reset and written always: the result, or a map {"message": ..., "details": ...}; may be
 *         NULL
 *
 * Errors: what the caller would get; PRONG_UNIMPLEMENTED (no such method),
 * PRONG_FAILED_PRECONDITION (setup failed). */
PRONG_API prong_err prong_worker_test_call(prong_worker *worker, const char *method,
                                           const prong_value *args, prong_writer *out);
/* Item `index`, from 0, of what the last prong_worker_test_call yielded; false when there are not
 * so many. Borrowed, valid until the next one or the end of the worker. */
PRONG_API bool prong_worker_test_item(const prong_worker *worker, uint32_t index,
                                      prong_value *item);

#ifdef __cplusplus
}
#endif

#endif
