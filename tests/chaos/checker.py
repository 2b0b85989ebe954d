"""Judges the history of a run, in the spirit of the total-queue checker of Jepsen: one pass over what was
written down, and what must be true of each call and each event.

A call: exactly one outcome, in time. `once` starts at most once, `again` at most twice. ok: it started and
ended (`once`: once each), and the value is its own. Began no: it never started, not even later. Began maybe
or ABORTED: the process that held it was killed before, or (UNAVAILABLE) the broker while it was outstanding.

An event: every reader gets the numbers in order and each once, and where some are missing the next one says
exactly how many; all readers see the same event under the same number; of one publisher they come in the
order in which they were published, each once; what was acknowledged is there or lies in a declared gap."""
import collections
import struct

RECORD = struct.Struct("=Qqiiiiii")                        # history.h: struct history_record
EVENT = struct.Struct("=QQQII")                            # reader.c: struct line
INVOKE, OUTCOME, START, END, BORN, KILL = range(1, 7)
NO, MAYBE, YES = 0, 1, 2
OK, UNAVAILABLE, ABORTED = 0, 14, 10
BROKER = -2                                                # instead of a replica, in KILL
ELSE = 0xffffffff                                          # an event that no publisher of the test made

Record = collections.namedtuple("Record", "call time_ns kind pid code began replica right")
Event = collections.namedtuple("Event", "number lost seq who again")


class Call:
    __slots__ = ("again", "invoked_ns", "outcomes", "starts", "ends")

    def __init__(self):
        self.again, self.invoked_ns, self.outcomes, self.starts, self.ends = None, None, [], [], []


def read(path, record=RECORD, kind=Record):
    with open(path, "rb") as file:
        data = file.read()
    return [kind(*fields) for fields in record.iter_unpack(data[:len(data) - len(data) % record.size])]


class Verdict:
    """What is wrong, first the counts that everybody asks for."""

    def __init__(self):
        self.problems, self.counts = [], collections.Counter()

    def wrong(self, kind, text):
        self.counts[kind] += 1
        if len(self.problems) < 20:
            self.problems.append(f"{kind}: {text}")

    def __bool__(self):
        return not self.problems


def name(call):
    return f"call {call & 0xffffffff} of client {call >> 32}"


def collect(records, verdict):
    calls, kills = {}, []
    for r in records:
        if r.kind == KILL:
            verdict.counts["broker kills"] += r.replica == BROKER
            kills.append(r)
        elif r.kind == INVOKE:
            call = calls.setdefault(r.call, Call())
            if call.invoked_ns is not None:
                verdict.wrong("phantom", f"{name(r.call)} was made twice")
            call.invoked_ns, call.again = r.time_ns, bool(r.code)
        elif r.kind != BORN:
            call = calls.setdefault(r.call, Call())
            {OUTCOME: call.outcomes, START: call.starts, END: call.ends}[r.kind].append(r)
    return calls, kills


def check_runs(number, call, verdict):
    """How often it began."""
    most = 2 if call.again else 1
    if len(call.starts) > most:
        verdict.wrong("begun again", f"{name(number)} starts {len(call.starts)} times, at most {most}")
    started = collections.Counter(r.pid for r in call.starts)
    if any(started[r.pid] == 0 for r in call.ends) or len(call.ends) > len(call.starts):
        verdict.wrong("phantom", f"{name(number)} ends where it did not start")
    if any(r.time_ns < call.invoked_ns for r in call.starts):
        verdict.wrong("phantom", f"{name(number)} starts before it is made")


def check_ok(number, call, outcome, verdict):
    if not outcome.right:
        verdict.wrong("wrong value", f"{name(number)} got the value of another")
    ends = [r for r in call.ends if r.time_ns <= outcome.time_ns]
    if not call.starts or not ends or (not call.again and (len(call.starts), len(call.ends)) != (1, 1)):
        verdict.wrong("phantom", f"{name(number)} is ok with {len(call.starts)} starts and {len(ends)} ends")


def check_maybe(number, call, outcome, kills, verdict):
    """Whoever had it last was killed before: the process that it started in, else the replica named. (Of `again`
    a second process may have had it, too, without having started it: then the first was killed all the more.)"""
    killed = [k for k in kills if k.time_ns <= outcome.time_ns]
    if outcome.code == UNAVAILABLE:
        # Of a broker that has just been killed a client may not have heard yet when it calls.
        held = any(k.replica == BROKER and k.time_ns >= call.invoked_ns - 10**9 for k in killed)
    elif call.starts:
        last = max(call.starts, key=lambda r: r.time_ns)
        held = any(k.pid == last.pid for k in killed)
    else:
        held = any(k.time_ns >= call.invoked_ns and outcome.replica in (-1, k.replica) for k in killed)
    if not held:
        verdict.wrong("false maybe", f"{name(number)} is told maybe, and nobody who had it was killed")


def check_calls(records, timeout_ms, grace_ms=2500):
    verdict = Verdict()
    calls, kills = collect(records, verdict)
    for number, call in calls.items():
        if call.invoked_ns is None:
            verdict.wrong("phantom", f"{name(number)} was never made")
            continue
        check_runs(number, call, verdict)
        if not call.outcomes:
            verdict.wrong("lost", f"{name(number)} has no outcome")
            continue
        if len(call.outcomes) > 1:
            verdict.wrong("doubled", f"{name(number)} has {len(call.outcomes)} outcomes")
        outcome = call.outcomes[0]
        if outcome.time_ns - call.invoked_ns > (timeout_ms + grace_ms) * 1e6:
            verdict.wrong("late", f"{name(number)} ends {(outcome.time_ns - call.invoked_ns) / 1e9:.1f} s after it "
                                  "was made")
        if outcome.code == OK:
            verdict.counts["ok"] += 1
            check_ok(number, call, outcome, verdict)
        elif outcome.began == NO:
            verdict.counts["no"] += 1
            if call.starts:
                verdict.wrong("false no", f"{name(number)} was told to have never begun, and started")
        else:
            verdict.counts["maybe"] += 1
            check_maybe(number, call, outcome, kills, verdict)
    verdict.counts["calls"] = len(calls)
    verdict.counts["kills"] = len(kills)
    verdict.counts["begun twice"] = sum(len(call.starts) == 2 for call in calls.values())
    return verdict


def summary(verdict, seconds):
    c = verdict.counts
    return (f"{c['calls']} calls, {c['kills']} kills ({c['broker kills']} of the broker): lost {c['lost']}, "
            f"doubled {c['doubled']}, maybe {c['maybe']}, no {c['no']}, ok {c['ok']}, begun twice (again) {c['begun twice']}; {c['calls'] / seconds:.0f} calls/s")


# ---- events -------------------------------------------------------------------------------------------------


def check_reader(label, events, posted, truth, verdict):
    """One reader's numbers; the sum of what it lost."""
    last, lost, seqs = None, 0, {}
    for e in events:
        if last is not None and e.number <= last:
            verdict.wrong("doubled", f"{label}: number {e.number} after {last}")
        elif last is not None and e.number - last - 1 != e.lost:
            verdict.wrong("lost", f"{label}: from {last} to {e.number}, and {e.lost} are told to be lost")
        if truth.setdefault(e.number, (e.who, e.seq)) != (e.who, e.seq):
            verdict.wrong("doubled", f"{label}: number {e.number} is another event elsewhere")
        lost += e.lost if last is not None else 0
        last = e.number
        if e.who == ELSE:
            continue
        if e.who not in posted or e.seq >= posted[e.who]:
            verdict.wrong("phantom", f"{label}: event {e.seq} of {e.who} was never published")
        if e.seq <= seqs.get(e.who, -1):
            verdict.wrong("doubled", f"{label}: event {e.seq} of {e.who} comes after {seqs[e.who]}")
        seqs[e.who] = e.seq
    if events and lost + len(events) != events[-1].number - events[0].number + 1:
        verdict.wrong("lost", f"{label}: {len(events)} received and {lost} lost are not all that passed")
    return lost


def check_events(readers, posted):
    """`readers`: {label: [Event]}, each from before the first event to after the last; `posted`: {publisher:
    how many were acknowledged}."""
    verdict, truth = Verdict(), {}
    lost = {label: check_reader(label, events, posted, truth, verdict) for label, events in readers.items()}
    last = max(events[-1].number for events in readers.values())
    for label, events in readers.items():
        if events[-1].number != last:                      # all of them read to the same end
            verdict.wrong("lost", f"{label}: ends with {events[-1].number}, the last one is {last}")
        mine = sum(e.who != ELSE for e in events)
        missing = sum(posted.values()) - mine
        if missing > lost[label]:
            verdict.wrong("lost", f"{label}: {missing} acknowledged events did not come, {lost[label]} are told lost")
        if lost[label] == 0 and missing == 0:
            complete = collections.Counter(e.who for e in events if e.who != ELSE)
            if complete != collections.Counter(posted):
                verdict.wrong("lost", f"{label}: {complete} of {posted}")
        # Where somebody saw all numbers, what fell into a gap is known one by one.
        if any(lost[other] == 0 for other in readers):
            numbers = {e.number for e in events}
            gap = sum(events[0].number < n < events[-1].number for n in truth.keys() - numbers)
            if gap != lost[label]:
                verdict.wrong("lost", f"{label}: {gap} are missing, {lost[label]} are told to be lost")
    verdict.counts["received"] = sum(map(len, readers.values()))
    return verdict, lost
