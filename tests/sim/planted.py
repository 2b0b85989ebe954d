#!/usr/bin/env python3
"""Bugs planted into copies of the sources: the simulator has to notice each.

usage: planted.py --folder DIR [--cc COMPILER] [--seconds N] [--jobs N] [--bug NAME]... [--verbose] LIBRARY...

Each bug is a place in a source and what stands there instead; a place that is gone is an error, so that the
list follows the code. Prints how long each took to be found, and ends with 1 when one was not.
"""
import argparse
import concurrent.futures
import glob
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
(ADMIT, CALL, CLIENT, EMIT, FETCH, ITEMS, LEASE, END, MANY, NEST, PEER, PICK, POISON, QUEUE, ROUTE, SERVE, SHARE,
 TICKET) = (f"broker/core/{name}.c" for name in (
     "admit", "call", "client", "emit", "fetch", "items", "lease", "end", "many", "nest", "peer", "pick", "poison",
     "queue", "route", "serve", "share", "ticket"))
(DEPEND, HANG, HEIR, LIFE, RELOAD, RENEW, WORKER) = (f"broker/core/{name}.c" for name in (
    "depend", "hang", "heir", "life", "reload", "renew", "worker"))
SESSION, PULL, STREAM = "client/session/session.c", "client/worker/pull.c", "client/worker/stream.c"

BUGS = [
    # what is told of a call
    ("began_no_after_a_loss", ROUTE, "&(struct failure){code, call_began(call), span", "&(struct failure){code, WIRE_BEGAN_NO, span"),
    ("began_no_at_the_deadline", CALL, "const enum wire_began began = call_began(call);",
     "const enum wire_began began = WIRE_BEGAN_NO;"),
    ("began_no_when_cancelled", CALL, "WIRE_ERR_CANCELLED, call_began(call), why", "WIRE_ERR_CANCELLED, WIRE_BEGAN_NO, why"),
    # how often it runs
    ("once_runs_again", END, "call->policy != POLICY_ONCE && call->runs < 2", "call->runs < 2"),
    ("idempotent_runs_a_third_time", END, "call->runs < 2 &&\n           (call->items == NULL || call->items->end == 0) && !poison_is(hub, call);",
     "call->runs < 3;"),
    ("a_repeat_is_another_call", ADMIT, "struct call *call = is_newest ? NULL : call_find(hub, c, key);", "struct call *call = NULL;"),
    ("an_outcome_told_is_forgotten", CALL, "call->acked = call->acked || (told && !repeatable);",
     "call->acked = call->acked || told;"),
    ("inventory_of_running_not_read", SERVE, "(has_running && is_listed(&running, call->number))", "false"),
    ("inventory_of_done_not_read", SERVE, "(has_done && is_listed(&done, call->number))", "false"),
    ("all_given_again_after_attach", SERVE,
     "call->work = 0; /* taken under the numbers of an earlier session */\n            continue;", "call->work = 0;"),
    ("another_broker_is_asked_again", SESSION, "            if (r->sent && r->ask.kind != SESSION_FETCH) {",
     "            if (false) {"),
    ("running_left_out_of_the_inventory", PULL, "write_uint(b, p->items[i].job.call);", "write_uint(b, 1000000);"),
    ("done_left_out_of_the_inventory", PULL, "write_uint(b, p->kept[i].call);", "write_uint(b, 1000000);"),
    ("a_stock_repeat_runs_again", CLIENT, "if (!t->peer->local) {", "if (true) {"),
    ("a_stock_repeat_is_known_for_a_moment", CALL, "nameless ? WIRE_DEDUP_MS_NIL_CLIENT",
     "nameless ? 10"),
    ("an_acknowledged_call_runs_again", ADMIT, "!c->nameless && slot->seq <= c->ack", "false"),
    ("given_back_counts_as_begun", SERVE, "        call->runs--;\n        route_again", "        route_again"),
    ("a_late_attach_is_taken", SERVE, "numbered && number.item.uint < r->attach", "false"),
    # whether it ends
    ("acknowledged_too_far", SESSION, "return s->asks != NULL ? s->asks->call.seq - 1 : s->seq;", "return s->seq;"),
    ("a_dead_worker_keeps_its_calls", END,
     '    life_end_calls(hub, r, "the worker died while it had the call", true);', ""),
    ("the_queue_is_not_swept", "broker/core/life.c", "        route_sweep(hub, w);\n        worker_ready_check", "        worker_ready_check"),
    ("work_is_sometimes_not_given_out", ROUTE, "    if (list_is_empty(&w->crowd)) {\n        list_append",
     "    if (list_is_empty(&w->crowd) && hub->now_ns % 7 != 0) {\n        list_append"),
    ("a_deadline_is_kept_late", ADMIT, "DEADLINE_CALL, at_ns)", "DEADLINE_CALL, at_ns + 7200000 * (int64_t)NS_PER_MS)"),
    ("a_parked_request_waits_too_long", TICKET, "hub->now_ns + (int64_t)WIRE_PARK_MS",
     "hub->now_ns + 2 * (int64_t)WIRE_PARK_MS"),
    ("a_wait_is_for_another_call", ADMIT, "call_find(hub, c, slot->seq);\n    if (call == NULL) {\n        slot_doubt",
     "call_find(hub, c, slot->seq - 1);\n    if (call == NULL) {\n        slot_doubt"),
    # calls of more than one piece
    ("items_are_doubled", ITEMS, "for (; count > 0 && first < items->end; first++, count--) {", "for (; false;) {"),
    ("one_item_too_many_is_forgotten", ITEMS, "items->first < number && items->first < items->end",
     "items->first <= number && items->first < items->end"),
    ("the_outcome_comes_before_its_items", CALL, "    if (items_wait(call)) {", "    if (false) {"),
    ("a_call_that_yielded_runs_again", END, "(call->items == NULL || call->items->end == 0) && ", ""),
    ("the_last_of_many_is_left_out", MANY, "if (++m->next == m->total) {", "if (++m->next + 1 >= m->total) {"),
    ("many_are_told_as_they_come", MANY, "    if (!m->ordered) {", "    if (true) {"),
    ("one_of_many_is_told_as_another", MANY, "write_uint(b, part->part);", "write_uint(b, part->part + (part->part == 3));"),
    ("many_forget_that_one_began", CALL, "bool part = call->many != NULL && call->many->began;", "bool part = false;"),
    ("a_policy_is_not_narrowed", ROUTE, "method->policy < call->policy_max ? method->policy : call->policy_max",
     "method->policy"),
    ("the_last_of_a_line_is_lost", QUEUE, "    if (--l->count > 0) {", "    if (--l->count > 1) {"),
    ("an_inner_call_outlives_its_outer_one", NEST,
     "    call->parent = outer;\n    list_append(&outer->inner, &call->outer);\n    if (outer->deadline",
     "    if (false && outer->deadline"),
    ("what_ran_in_the_background_is_forgotten", CALL, "call->background         ? WIRE_BACKGROUND_KEEP_MS",
     "call->background         ? 10"),
    ("followers_wait_for_ever", SHARE, "    while (!list_is_empty(&s->followers)) {", "    while (false) {"),
    ("a_lease_never_ends", "broker/core/hub.c", '        lease_end(hub, CONTAINER(d, struct replica, lease_end), "not renewed");', ""),
    ("the_outcome_overtakes_the_items", STREAM, "return s == NULL || s->sent == s->count;", "return true;"),
    # processes that are replaced, and workers that change
    ("an_heir_does_not_take_the_queue_over", HEIR, "    to->queue = from->queue;\n    from->queue = queue;\n", "    (void)queue;\n"),
    ("a_session_of_one_that_leaves_is_not_found", WORKER, "if (old->index == r->index && old->session == session) {", "if (false) {"),
    ("one_that_leaves_is_forgotten_with_its_calls", WORKER, "        if (r->life == LIFE_STOPPED || r->life == LIFE_FAILED) {\n            replica_free",
     "        if (r->life != LIFE_READY) {\n            replica_free"),
    ("what_goes_back_keeps_the_new_one", RENEW, "    spec_unref(w->spec);\n    w->spec = w->former;\n", "    spec_unref(w->former);\n"),
    ("what_cannot_run_is_kept", RENEW, "    if (failed) {", "    if (false) {"),
    ("a_replacement_that_stops_first_goes_back", LIFE, "const bool told = r->life == LIFE_STOPPING && !r->overdue && !r->hung;",
     "const bool told = false;"),
    ("max_busy_is_not_cleared_by_an_outcome", HANG, "return r->spec->busy_ms_max > 0 && is_at_work(r)",
     "return r->spec->busy_ms_max > 0 && r->heard_ns > 0"),
    ("who_answers_counts_as_hung", SERVE, "    r->asked_ns = 0;\n", ""),
    ("it_starts_before_the_other_is_ready", DEPEND, "if (w == NULL || !is_so_far(w, other->when)) {", "if (w == NULL) {"),
    # events
    ("an_emit_is_stored_twice", EMIT, "(c->emit_seen[back / 64] >> back % 64 & 1) != 0 ? EMIT_SEEN : EMIT_NEW", "EMIT_NEW"),
    ("a_reader_misses_one", PICK, "ring_get(ring, f->from, &e); f->from++) {",
     "ring_get(ring, f->from, &e); f->from += 1 + (g->count == 7)) {"),
    ("a_stock_emit_is_stored_twice", EMIT, "if (call == NULL || !call->emitted) {", "if (true) {"),
    ("the_window_of_emits_is_off_by_one", EMIT, "|= UINT64_C(1) << back % 64", "|= UINT64_C(2) << back % 64"),
    ("one_too_many_is_told_lost", PICK, "f->lost += gone > f->from ? gone - f->from : 0;",
     "f->lost += gone > f->from ? gone - f->from + 1 : 0;"),
    ("what_was_lost_is_not_told", PICK, "f->lost += gone > f->from ? gone - f->from : 0;", ""),
    ("a_reader_is_not_always_woken", FETCH, "        wake_topic(ring, t, &woken);",
     "        if (ring->next % 7 != 0) {\n            wake_topic(ring, t, &woken);\n        }"),
    # what is kept, and who is answered
    ("a_request_is_answered_twice", TICKET, "    t->peer->ticket_count--;\n    t->peer = NULL;",
     "    t->peer->ticket_count--;\n    *effect_add(hub, HUB_OUT_REPLY) = *e;\n    t->peer = NULL;"),
    ("requests_of_a_closed_connection_stay", PEER,
     "    LIST_EACH(n, &p->tickets)\n    {\n        ticket_free(hub, CONTAINER(n, struct ticket, link));\n    }\n", ""),
    ("a_process_is_never_forgotten", END, "    (void)life_set_process(hub, r, 0);", ""),
    ("payloads_are_counted_for_ever", CALL,
     "    }\n    hub->payload_bytes -= call->charged;", "    }"),
    ("a_client_is_never_forgotten", CLIENT, "    forget_later(hub, c, keep_ms);", "    (void)keep_ms;"),
]


def build(cc, source, target):
    subprocess.run([cc, "-O1", "-D_GNU_SOURCE", f"-I{ROOT}", f"-I{ROOT}/client/include", "-w", "-c", source,
                    "-o", target], check=True)


def plant(options, objects, bug):
    """Whether the simulator finds it, in how many seconds, and what it says."""
    name, file, place, instead = bug
    with open(f"{ROOT}/{file}", encoding="utf-8") as f:
        text = f.read()
    if place not in text:
        sys.exit(f"planted.py: {name}: {file} has no {place!r} any more")
    source, program = (os.path.join(options.folder, name + end) for end in (".c", ""))
    with open(source, "w", encoding="utf-8") as f:
        f.write(text.replace(place, instead))
    build(options.cc, source, source + ".o")
    with_bug = {**objects, file: source + ".o"}
    subprocess.run([options.cc, "-o", program, *with_bug.values(), *options.libraries], check=True)
    begin = time.monotonic()
    run = subprocess.run([program, "--quick", "--seconds", str(options.seconds)], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=False)
    seconds = time.monotonic() - begin
    for path in source, source + ".o", program:
        os.unlink(path)
    said = [line for line in run.stdout.splitlines() if "WRONG, seed" in line or "ssertion" in line]
    return run.returncode != 0, seconds, said[0][:110] if said else run.stdout.strip()[-110:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count()))
    parser.add_argument("--bug", action="append", default=[])
    parser.add_argument("--verbose", action="store_true", help="say how each was noticed")
    parser.add_argument("libraries", nargs="+")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    sources = sorted(glob.glob(f"{ROOT}/broker/core/*.c") + glob.glob(f"{ROOT}/tests/sim/*.c"))
    sources += sorted(glob.glob(f"{ROOT}/client/session/*.c"))
    sources += [f"{ROOT}/client/worker/{name}.c" for name in ("pull", "kept", "stream")]
    objects = {}
    for source in sources:
        name = os.path.relpath(source, ROOT)
        objects[name] = os.path.join(options.folder, name.replace("/", "_") + ".o")
    bugs = [bug for bug in BUGS if not options.bug or bug[0] in options.bug]
    missed, begin = [], time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda name: build(options.cc, f"{ROOT}/{name}", objects[name]), objects))
        for bug, (found, seconds, said) in zip(bugs, pool.map(lambda bug: plant(options, objects, bug), bugs)):
            how = f" ({said})" if options.verbose else ""
            print(f"{'found' if found else 'MISSED'} after {seconds:5.1f} s: {bug[0]}{how}", flush=True)
            if not found:
                missed.append(bug[0])
    print(f"{len(bugs) - len(missed)} of {len(bugs)} planted bugs found, {time.monotonic() - begin:.0f} s in all")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
