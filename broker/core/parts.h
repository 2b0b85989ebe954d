/* What each file of the core offers the others. What they share is state.h. */
#ifndef PRONG_CORE_PARTS_H
#define PRONG_CORE_PARTS_H

#include "broker/core/state.h"

/* hub.c */
uint64_t hub_draw(struct hub *hub); /* the next pseudo-random 53 bits */

/* effect.c: each returns the new effect to be filled, or NULL (hub->failed) */
struct hub_effect *effect_add(struct hub *hub, enum hub_effect_kind kind);
/* A copy of bytes for an effect, kept until the next step; empty when memory is out. */
struct span effect_bytes(struct hub *hub, struct span bytes);
/* A specification for an effect, kept until then, too: its worker may get another one before. */
const struct worker_spec *effect_spec(struct hub *hub, struct worker_spec *spec);
void effects_begin(struct hub *hub);

/* spares.c: put is false when there are enough, and the caller frees; get is NULL when there is
 * none. */
bool spares_put(struct spares *spares, struct node *n);
struct node *spares_get(struct spares *spares);

/* ticket.c */
void ticket_take(struct hub *hub, struct peer *peer, const struct hub_input *in);
/* Hash of the whole message, 0 on a network; only while it is being taken. Made when first asked
 * for: only those who give no client id need it, and it costs time in the size of the payload. */
uint64_t ticket_body_hash(const struct hub *hub, struct ticket *ticket);
/* A refusal of a whole message. */
void ticket_refuse(struct hub *hub, struct peer *peer, uint64_t request, enum wire_error code,
                   const char *text);
struct buf *slot_begin(struct slot *slot); /* where to encode the answer */
/* A payload in the answer. When it is long, and the message is complete with this answer, it is not
 * copied: it stays where it is until the next step. */
void slot_payload(struct slot *slot, struct span payload);
void slot_end(struct hub *hub, struct slot *slot);
void slot_park(struct hub *hub, struct slot *slot, struct node *list);
void slot_pending(struct hub *hub,
                  struct slot *slot); /* its call goes on, and is asked for again */
/* The request is done; `number` of the event that it stored, else 0. */
void slot_ack(struct hub *hub, struct slot *slot, uint64_t number);
void slot_fail(struct hub *hub, struct slot *slot, enum wire_error code, const char *text);
/* RESOURCE_EXHAUSTED, with the advice to try again. */
void slot_refuse_later(struct hub *hub, struct slot *slot, const char *text);
/* The same where nobody can say any more whether the method began. */
void slot_doubt(struct hub *hub, struct slot *slot, enum wire_error code, const char *text);
void ticket_expired(struct hub *hub, struct ticket *ticket);
void ticket_free(struct hub *hub, struct ticket *ticket);
void tickets_deinit(struct hub *hub); /* the spare ones */
void tickets_send(struct hub *hub);

/* peer.c */
void peer_opened(struct hub *hub, const struct hub_input *in);
void peer_closed(struct hub *hub, uint64_t id);
void peer_expired(struct hub *hub, struct peer *peer);
struct peer *peer_find(struct hub *hub, uint64_t id);
void peer_hello(struct hub *hub, struct slot *slot, const struct record *r);
/* To a worker when `replica` is not NULL, else with a client id that nobody has. */
void write_welcome(struct hub *hub, struct buf *b, const struct replica *replica);

/* client.c */
/* Who speaks: the client of a CALL, WAIT, CANCEL, EMIT or FETCH field. NULL after it was refused.
 */
struct client *client_of(struct hub *hub, struct slot *slot, const struct field *id);
struct client *client_find(struct hub *hub, struct peer *peer, const struct field *id);
void client_ack(struct hub *hub, struct client *client, uint64_t ack);
void client_leave(struct hub *hub, struct client *client);
/* The process of a replica is known now: clients that it made before are told from others. */
void clients_know(struct hub *hub, const struct replica *replica);
void client_expired(struct hub *hub, struct client *client);
void client_free(struct hub *hub, struct client *client);
/* The key of a call: its seq, or for the nameless what makes a repeat known. */
uint64_t client_call_key(const struct hub *hub, const struct slot *slot,
                         const struct client *client, uint64_t seq);
/* The outcome is not kept any longer: neither this call nor any before it is run again. */
void client_forget(struct call *call);
/* Room in the window of one that never acknowledges: its oldest outcomes are forgotten. */
void client_trim(struct hub *hub, struct client *client);

/* queue.c */
void queue_init(struct queue *queue);
/* false when memory is out. */
bool queue_add(struct queue *queue, struct call *call);
/* Out of where it waits. */
void queue_remove(struct call *call);
/* The same because it is given: then it is the turn of the next client. */
void queue_serve(struct call *call);
struct call *queue_first(const struct queue *queue);
/* How many would at least be given before one more call of this client. */
uint64_t queue_ahead(const struct queue *queue, const struct client *client, uint8_t priority);
/* Visit all; the visited one may leave the queue, others of its client may only come. */
void queue_each(struct queue *queue, void (*visit)(void *context, struct call *call),
                void *context);

/* admit.c: what clients ask */
void call_take(struct hub *hub, struct slot *slot, const struct record *r);
void call_wait(struct hub *hub, struct slot *slot, const struct record *r);
void call_cancel(struct hub *hub, struct slot *slot, const struct record *r);
/* Tell that a limit was reached: of which worker ("" for none; of memory, the stream), by whom. */
void hub_limit(struct hub *hub, enum hub_limit limit, const char *what, const char *who);
const char *hub_limit_name(enum hub_limit limit);

/* items.c: outcomes in pieces */
bool items_wait(const struct call *call); /* there are some to be fetched before the outcome */
bool items_progress_is_new(const struct call *call);
/* A PARTIAL with what there is, or with the progress alone. */
void items_tell(struct hub *hub, struct slot *slot, struct call *call);
void items_tell_all(struct hub *hub, struct call *call); /* there is something new */
/* The newest progress. */
void items_progress(struct hub *hub, struct call *call, struct span progress);
/* What a worker reports: [first, [items]]. false when that is not what it is. */
bool items_take(struct hub *hub, struct call *call, struct span payload);
bool items_add(struct hub *hub, struct call *call, struct span item);
bool items_have_room(const struct hub *hub, const struct call *call);
/* The REPORT is answered when there is room. */
void items_park(struct hub *hub, struct call *call, struct slot *report);
/* The caller has all items below this number. Whether it had said so before of fewer. */
bool items_received(struct hub *hub, struct call *call, uint64_t number);
void items_end(struct hub *hub, struct call *call); /* no more will come */
void items_free(struct hub *hub, struct call *call);

/* many.c: one CALL that is many */
/* Its arguments are sets of arguments, or it is for each replica. Queue its parts little by little,
 * or end it. */
void many_begin(struct hub *hub, struct call *call, bool each);
void many_fill(struct hub *hub, struct worker *worker); /* as many parts as may wait now */
void many_go_on(struct hub *hub);                       /* there is room for calls again */
void many_part_done(struct hub *hub, struct call *part);
void many_end(struct hub *hub, struct call *whole); /* it has ended: so do its parts */
void many_free(struct hub *hub, struct call *whole);

/* share.c: equal calls that are answered by one run */
/* Keyed hash of worker, method and arguments. */
uint64_t call_print(const struct hub *hub, const struct call *call);
bool share_join(struct hub *hub, struct call *call); /* it follows another one now */
void share_lead(struct hub *hub, struct call *call); /* equal ones may follow it */
/* The call has its outcome: so have its followers, or they go their own way. */
void share_done(struct hub *hub, struct call *call);
void share_leave(struct hub *hub, struct call *call);

/* nest.c: calls inside calls */
/* Put it inside its parent: its deadline is not later. One in the background has nothing from its
 * parent, which only has to be there. NULL, or why it cannot be. */
const char *nest_enter(struct hub *hub, struct call *call, uint64_t parent, bool background,
                       enum wire_error *code);
/* The call inside which this one was made. Parts are made by the caller of their whole. */
const struct call *nest_above(const struct call *call);
/* NULL, or why its parents keep it from ever beginning. */
const char *nest_refusal(const struct hub *hub, const struct call *call);
/* The call has ended; what was made inside it ends with it when nobody needs it any more. */
void nest_leave(struct hub *hub, struct call *call, bool cancels);
/* It is to run again: what its first run had asked for is not needed. */
void nest_again(struct hub *hub, struct call *call);

/* lease.c: replicas that serve one client */
/* `only`: the replica that is wanted, or -1 for any. */
void lease_ask(struct hub *hub, struct call *call, struct worker *worker, int64_t only,
               uint64_t ttl_ms);
void lease_pump(struct hub *hub, struct worker *worker);
/* NULL, or why this client cannot renew or release it. */
const char *lease_renew(struct hub *hub, struct replica *replica, const struct client *client,
                        uint64_t ttl_ms);
const char *lease_release(struct hub *hub, struct replica *replica, const struct client *client);
void lease_end(struct hub *hub, struct replica *replica, const char *why);
void lease_leave(struct hub *hub, struct client *client); /* it is gone */
void lease_lost(struct hub *hub, struct call *call);      /* a call that waited for one has ended */

/* poison.c: calls that kill, and the list of dead letters */
/* A replica died by itself with what it had been given. */
void poison_blame(struct hub *hub, struct replica *replica);
bool poison_is(struct hub *hub, const struct call *call);
/* An equal call did what it should. */
void poison_clear(struct hub *hub, const struct call *call);
void poison_expired(struct hub *hub);
void poison_deinit(struct hub *hub);
struct letter {
    struct node link; /* in hub->letters */
    uint64_t id, time_us, print;
    uint32_t deaths;
    char worker[WIRE_NAME_BYTES_MAX + 1], method[WIRE_NAME_BYTES_MAX + 1];
    char who[2 * WIRE_NAME_BYTES_MAX], reason[96];
    struct buf args; /* empty when they were too long to be kept */
};
struct letter *letter_find(struct hub *hub, uint64_t id);
void letter_drop(struct hub *hub, struct letter *letter);
/* Equal calls may run again. */
void letter_pardon(struct hub *hub, const struct letter *letter);

/* call.c */
void calls_settle(struct hub *hub);
void calls_begin(struct hub *hub);  /* what effects pointed to is free now */
void calls_deinit(struct hub *hub); /* the spare ones */
struct call *call_new(struct hub *hub, struct client *client, uint64_t seq, uint64_t key);
/* A part of a whole: `part` is its number. NULL when memory is out. */
struct call *call_part(struct hub *hub, struct call *whole, uint32_t part);
void call_charge(struct hub *hub, struct call *call); /* count its bytes anew */
void call_keep(struct hub *hub, struct call *call);   /* its outcome, for as long from now on */
/* Whether it may have begun; NO is certain. */
enum wire_began call_began(const struct call *call);
struct call *call_by_number(struct hub *hub, uint64_t number);
struct call *call_find(struct hub *hub, struct client *client, uint64_t key);
/* The one outcome. Later ones are ignored. */
void call_result(struct hub *hub, struct call *call, struct span value);
struct failure {
    enum wire_error code;
    enum wire_began began;
    struct span text, details;
};
void call_failure(struct hub *hub, struct call *call, const struct failure *f);
void call_fail(struct hub *hub, struct call *call, enum wire_error code, enum wire_began began,
               const char *text);
void call_expired(struct hub *hub, struct call *call);
void call_drop(struct hub *hub, struct call *call); /* forget it, whatever its state */
/* Forget it when its outcome is with the client and no replica holds it. */
void call_settle(struct hub *hub, struct call *call);
void call_unqueue(struct call *call);
void call_end(struct hub *hub, struct call *call, const char *who); /* cancel */
void slot_answer_call(struct hub *hub, struct slot *slot, struct call *call);

/* route.c */
/* Queue it for its worker, or give it out at once, or end it. */
void route_call(struct hub *hub, struct call *call);
/* A call that was given to a replica and is to be given again: back into the queue, before those
 * that came after it. */
void route_again(struct hub *hub, struct call *call);
/* The replica that alone may serve it, as things are; NULL when each of them may. */
struct replica *route_own(const struct hub *hub, const struct call *call);
/* How many replicas have room for a call of anybody. */
uint32_t route_room(const struct worker *worker);
bool route_has_room(const struct replica *replica);
/* There may be a call and room for it: give out what can be when the turn ends. */
void route_soon(struct hub *hub, struct worker *worker);
/* The turn ends: give waiting calls to replicas that have room. */
void route_turn(struct hub *hub);
/* A replica has told the outcome of a call: how long its method takes. */
void route_learn(struct hub *hub, const struct replica *replica, const struct call *call);
/* Whether calls may wait for this worker (or one replica): somebody serves or will. */
bool route_has_hope(const struct hub *hub, const struct worker *worker, int64_t only);
/* End every waiting call that nobody will serve. */
void route_sweep(struct hub *hub, struct worker *worker);

/* serve.c: the worker's requests */
void serve_attach(struct hub *hub, struct slot *slot, const struct record *r);
void serve_poll(struct hub *hub, struct slot *slot, const struct record *r);
void serve_report(struct hub *hub, struct slot *slot, const struct record *r);
void serve_control(struct hub *hub, struct slot *slot, const struct record *r);
void serve_command(struct hub *hub, struct replica *replica, const char *verb, uint64_t call);
/* Send one WORK (or an empty one when no calls are given) and what may be forgotten. */
void serve_work(struct hub *hub, struct replica *replica);
void serve_ack(struct hub *hub, struct replica *replica, uint64_t call);
/* Another session begins, or none: parked requests of the old one end. */
void serve_detach(struct hub *hub, struct replica *replica);
void slot_forget(struct hub *hub, struct slot *slot); /* its connection or ticket is gone */

/* worker.c */
struct worker *worker_find(struct hub *hub, struct span name);
struct worker *worker_add(struct hub *hub, const struct worker_spec *spec);
bool worker_resize(struct hub *hub, struct worker *worker, uint32_t replicas);
struct replica *replica_find(struct hub *hub, const struct target *target);
struct replica *replica_of_process(struct hub *hub, uint64_t process);
/* That was given this PRONG_TOKEN; NULL. */
struct replica *replica_of_token(struct hub *hub, struct span token);
void worker_free(struct hub *hub, struct worker *worker);
struct method *worker_method(const struct worker *worker, const char *name, size_t len);
void replica_name(const struct replica *replica, char out[WIRE_NAME_BYTES_MAX + 16]);
void worker_ready_check(struct hub *hub);
void worker_stop_all(struct hub *hub, bool fast);
void worker_end_check(struct hub *hub);
/* Replicas above what is wanted are forgotten once they have stopped. */
void worker_prune(struct hub *hub, struct worker *worker);

/* Whose process has this session: the one that has the place, or its heir, or one that leaves. */
struct replica *replica_of_session(struct hub *hub, const struct target *target, uint64_t session);
/* NULL when memory is out; freed with its worker, or by worker_prune when it leaves. */
struct replica *replica_new(struct worker *worker, uint32_t index);
/* Its next process is made from this. false when memory is out. */
bool replica_take_spec(struct replica *replica, struct worker_spec *spec);
/* No process, no call: it can be forgotten. */
bool worker_is_empty(const struct worker *worker);
/* usage.c: what the processes of replicas use */
/* Have all that run sampled; usage_take stores it in the replicas. `call`: the number of the call
 * that waits for it, 0 when the core itself wants to know; `lent`: it wants to know what is lent,
 * too. Whether there is anything to ask: if not nothing will come. */
bool usage_ask(struct hub *hub, uint64_t call, bool lent);
/* The answer. A replica that has another process meanwhile is left alone, and so is one whose
 * process is gone. */
void usage_take(struct hub *hub, const struct hub_input *in);
/* The replica has no process any more, or another one. */
void usage_forget(struct replica *replica);

/* life.c */
enum life_input {
#define LIFE_INPUT(name, text) LIFE_IN_##name,
#include "broker/core/life.def"
#undef LIFE_INPUT
    LIFE_IN_COUNT,
};
enum { LIFE_SIGABRT = 6 }; /* on every Linux; the core includes no <signal.h> */
void life_step(struct hub *hub, struct replica *replica, enum life_input input);
/* Of the last process that ended, as a shell gives it: its exit code, or 128 and the signal. */
uint32_t life_exit_code(const struct replica *r);
void life_notified(struct hub *hub, const struct hub_input *in);
/* For the files below. */
void life_tell(struct hub *hub, const struct replica *replica, enum hub_event event);
void life_set_deadline(struct hub *hub, struct replica *replica, int64_t ms);
bool life_set_process(struct hub *hub, struct replica *replica, uint64_t process);
void life_signal(struct hub *hub, const struct replica *replica, int signal, bool group);
const char *life_text(enum life life);
bool life_serves(enum life life); /* attached and taking calls */
bool life_has_hope(const struct replica *replica);
void life_started(struct hub *hub, const struct hub_input *in);
void life_start_failed(struct hub *hub, const struct hub_input *in);
void life_exited(struct hub *hub, const struct hub_input *in);
void life_alive(struct hub *hub, const struct hub_input *in);

/* end.c: the end of a process */
enum verdict { VERDICT_CLEAN, VERDICT_AGAIN, VERDICT_NEVER, VERDICT_DEATH };
enum verdict end_judge(int32_t status);
void end_write_reason(struct replica *replica, int32_t status, bool out_of_memory);
/* What follows. */
enum life end_take(struct hub *hub, struct replica *replica, enum verdict verdict);
/* The lines that the process which has ended wrote last, a list of texts. */
void life_write_words(const struct hub *hub, struct buf *b);
/* What the replica had been given ends (ABORTED, maybe begun), or is given to another where its
 * policy allows that. */
void life_end_calls(struct hub *hub, struct replica *replica, const char *why, bool died);

/* heir.c: a process that is to take the place of another one */
/* Start it; false when memory is out. */
bool heir_make(struct hub *hub, struct replica *replica, const char *why);
void heir_takes_over(struct hub *hub, struct replica *heir);
void heir_stop(struct hub *hub, struct replica *replica); /* it is not wanted any more */
/* It survives SIGKILL: another one gets its place, if its worker is to have that. */
void heir_beside(struct hub *hub, struct replica *stuck);
void heir_drop(struct replica *replica); /* it has ended */

/* renew.c: when processes are replaced */
void renew_begin(struct hub *hub, struct replica *replica); /* it is ready */
void renew_check(struct hub *hub, struct replica *replica); /* it may be due now */
void renew_expired(struct hub *hub, struct replica *replica);
/* Its process is gone; `told`: as it had been told to. */
void renew_ended(struct hub *hub, struct replica *replica, bool told);
/* Its processes are to be made from this specification (moved). */
void renew_to(struct hub *hub, struct worker *worker, struct worker_spec *spec);
void renew_roll(struct hub *hub, struct worker *worker); /* the next of them, if it is time */
/* Processes of some worker may only have so much memory: look at them now and then. */
void renew_watch(struct hub *hub);
void renew_look(struct hub *hub);   /* it is time to */
void renew_looked(struct hub *hub); /* what they use is known */

/* reload.c: another configuration */
void reload_take(struct hub *hub, const struct hub_input *in);
void reload_note_back(struct hub *hub, const struct worker *worker, const char *reason);
void reload_check(struct hub *hub); /* all may be done now */
void reload_reap(struct hub *hub);  /* workers that are gone */
void reload_deinit(struct hub *hub);

/* depend.c: workers that stand on others */
/* Whether it has to wait for others; then that is noted, and it is started when they are so far. */
bool depend_waits(struct hub *hub, struct replica *replica);
bool depend_is_completed(const struct replica *replica); /* it ran, did its work and ended with 0 */
bool depend_has_hope(const struct replica *replica);     /* what it waits for may come */
void depend_changed(struct hub *hub, struct replica *replica, enum life was);
void depend_restarted(struct hub *hub, struct worker *worker); /* others may have to start again */
bool depend_has_ended(const struct worker *worker);
void depend_stop(struct hub *hub); /* the hub stops: those on whom nobody stands */

/* hang.c: processes that hang */
void hang_begin(struct hub *hub, struct replica *replica);   /* it is ready */
void hang_changed(struct hub *hub, struct replica *replica); /* its limits have */
void hang_given(struct hub *hub, struct replica *replica);   /* its first call */
void hang_left(struct hub *hub, struct replica *replica);    /* nobody waits for one that it has */
void hang_sign(struct hub *hub, struct replica *replica);    /* it said that it lives */
void hang_expired(struct hub *hub, struct replica *replica);

/* admin.c */
void admin_call(struct hub *hub, struct call *call, struct peer *peer);
void admin_logs_came(struct hub *hub, const struct hub_input *in);
void admin_sent(struct hub *hub, const struct hub_input *in);
/* What a call of status or metrics waited for was sampled: it goes on. 0 for none. */
void admin_usage_came(struct hub *hub, uint64_t call);

#endif
