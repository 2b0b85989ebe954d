"""The checker itself: a good history passes, and each of many histories with one injected fault does not."""
import collections
import random
import unittest

import checker
from checker import ELSE, EVENT, INVOKE, KILL, END, MAYBE, NO, OUTCOME, RECORD, START, YES, Event, Record

TIMEOUT_MS, CALLS = 20000, 400
ABORTED, UNAVAILABLE = checker.ABORTED, checker.UNAVAILABLE


class History:
    """Calls one after another, 1 ms apart: of every ten one is aborted, one refused, one begun twice, one held
    by a process that was killed before it started it; the others are ok."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.now, self.pid, self.records = 10**9, 1000, []
        for n in range(CALLS):
            self.call(n % 8 << 32 | n // 8, n % 10)

    def add(self, kind, call=0, pid=1, code=0, began=0, replica=-1, right=0):
        self.now += self.random.randrange(1000, 100000)
        self.records.append(Record(call, self.now, kind, pid, code, began, replica, right))

    def kill(self):
        self.add(KILL, pid=self.pid, replica=self.pid % 4)
        self.pid += 1

    def run(self, call):
        self.add(START, call, self.pid, replica=self.pid % 4)

    def call(self, call, what):
        again = what == 2 or what % 2 == 1
        self.add(INVOKE, call, code=again)
        if what == 1:
            self.add(OUTCOME, call, code=UNAVAILABLE, began=NO)
            return
        if what in (0, 2):
            self.run(call)
            self.kill()
        if what == 3:
            self.kill()
        if what in (0, 3):
            self.add(OUTCOME, call, code=ABORTED, began=MAYBE, replica=(self.pid - 1) % 4)
            return
        self.run(call)
        self.add(END, call, self.pid, replica=self.pid % 4)
        self.add(OUTCOME, call, code=0, began=YES, right=1)

    def pick(self, kind, test=lambda r: True):
        return self.random.choice([i for i, r in enumerate(self.records) if r.kind == kind and test(r)])

    def starts(self, r):
        return sum(other.kind == START and other.call == r.call for other in self.records)

    def is_once(self, r):
        return any(other.kind == INVOKE and other.call == r.call and not other.code for other in self.records)


def once_ok(h):
    return lambda r: r.code == 0 and h.is_once(r)


def remove(h, kind, test=lambda r: True):
    del h.records[h.pick(kind, test)]


def repeat(h, kind, test=lambda r: True, **more):
    r = h.records[h.pick(kind, test)]
    h.records.append(r._replace(time_ns=h.now + 1000, **more))


def change(h, kind, test=lambda r: True, **more):
    i = h.pick(kind, test)
    h.records[i] = h.records[i]._replace(**more)


# What is injected, and what it has to be called. The first six are those of every total-queue checker.
FAULTS = {
    "an outcome is lost": ("lost", lambda h: remove(h, OUTCOME)),
    "an outcome is doubled": ("doubled", lambda h: repeat(h, OUTCOME)),
    "an outcome of nothing that was asked": ("phantom", lambda h: h.add(OUTCOME, 99 << 32, code=UNAVAILABLE)),
    "a start of nothing that was asked": ("phantom", lambda h: h.add(START, 99 << 32, 1)),
    "an invoke is doubled": ("phantom", lambda h: repeat(h, INVOKE)),
    "once starts again elsewhere": ("begun again", lambda h: repeat(h, START, h.is_once, pid=7)),
    "once starts again in the same process": ("begun again", lambda h: repeat(h, START, h.is_once)),
    "again starts a third time": ("begun again", lambda h: repeat(h, START, lambda r: h.starts(r) == 2, pid=7)),
    "a refused call starts later": ("false no", lambda h: h.add(START, h.records[h.pick(
        OUTCOME, lambda r: r.code == UNAVAILABLE)].call, 7)),
    "a call that began is told no": ("false no", lambda h: change(
        h, OUTCOME, lambda r: r.code == ABORTED and h.starts(r) == 1, began=NO)),
    "a maybe without any kill": ("false maybe", lambda h: change(h, OUTCOME, once_ok(h), code=ABORTED, began=MAYBE)),
    "a maybe of a broker that lives": ("false maybe", lambda h: change(
        h, OUTCOME, lambda r: r.code == ABORTED, code=UNAVAILABLE)),
    "a maybe of a process that lives": ("false maybe", lambda h: change(
        h, START, lambda r: h.is_once(r) and not any(o.kind == END and o.call == r.call for o in h.records), pid=7)),
    "a maybe that names a replica that lives": ("false maybe", lambda h: change(
        h, OUTCOME, lambda r: r.code == ABORTED and h.starts(r) == 0, replica=9)),
    "a maybe before the kill": ("false maybe", lambda h: change(
        h, KILL, lambda r: any(o.kind == START and o.pid == r.pid and h.is_once(o) for o in h.records),
        time_ns=h.now + 1)),
    "ok without a start": ("phantom", lambda h: remove(h, START, lambda r: h.is_once(r) and any(
        o.kind == END and o.call == r.call for o in h.records))),
    "ok without an end": ("phantom", lambda h: remove(h, END)),
    "an end too many": ("phantom", lambda h: repeat(h, END, h.is_once)),
    "an end in another process": ("phantom", lambda h: change(h, END, pid=7)),
    "ok before the end": ("phantom", lambda h: change(h, END, time_ns=h.now + 1)),
    "a start before the call was made": ("phantom", lambda h: change(h, START, time_ns=1)),
    "the value of another call": ("wrong value", lambda h: change(h, OUTCOME, lambda r: r.code == 0, right=0)),
    "an outcome long after the deadline": ("late", lambda h: change(h, OUTCOME, time_ns=h.now + 10**11)),
}


class CallChecker(unittest.TestCase):
    def test_a_good_history_passes(self):
        for seed in range(20):
            verdict = checker.check_calls(History(seed).records, TIMEOUT_MS)
            self.assertEqual(verdict.problems, [])
            c = verdict.counts
            self.assertEqual((c["calls"], c["ok"], c["no"], c["maybe"], c["begun twice"]), (400, 280, 40, 80, 40))

    def test_the_order_of_the_records_does_not_matter(self):
        h = History(1)
        h.random.shuffle(h.records)
        self.assertEqual(checker.check_calls(h.records, TIMEOUT_MS).problems, [])

    def test_each_injected_fault_is_flagged(self):
        for seed in range(5):
            for text, (kind, inject) in FAULTS.items():
                h = History(seed)
                inject(h)
                verdict = checker.check_calls(h.records, TIMEOUT_MS)
                self.assertTrue(verdict.counts[kind], f"seed {seed}: {text}: {verdict.problems}")
                self.assertFalse(verdict)

    def test_a_record_has_the_size_of_the_struct(self):
        self.assertEqual((RECORD.size, EVENT.size), (40, 32))


def readers():
    """20 000 events of two publishers and of the hub; one reader has all, the other lost two pieces."""
    steady, seq = [], collections.Counter()
    chance = random.Random(1)
    for number in range(5, 20005):
        who = chance.choice([0, 1, 1, ELSE])
        steady.append(Event(number, 0, 0 if who == ELSE else seq[who], who, 0))
        seq[who] += 1
    stopped = steady[:3000] + [steady[7000]._replace(lost=4000)] + steady[7001:9000]
    stopped += [steady[9100]._replace(lost=100)] + steady[9101:]
    return {"steady": steady, "stopped": stopped}, {0: seq[0], 1: seq[1]}


def of(events, who, index):
    return [i for i, e in enumerate(events) if e.who == who][index]


def swap(events, i, j):
    events[i], events[j] = events[j], events[i]


def set_event(events, i, **more):
    events[i] = events[i]._replace(**more)


EVENT_FAULTS = {
    "one is missing": lambda r, p: r["stopped"].pop(1000),
    "one is missing at the end": lambda r, p: r["stopped"].pop(),
    "one is missing for everybody": lambda r, p: [r["steady"].pop(1000), r["stopped"].pop(1000)],
    "one comes twice": lambda r, p: r["stopped"].insert(1000, r["stopped"][1000]),
    "two change places": lambda r, p: swap(r["stopped"], 1000, 1001),
    "one too few is told lost": lambda r, p: set_event(r["stopped"], 3000, lost=3999),
    "one too many is told lost": lambda r, p: set_event(r["stopped"], 3000, lost=4001),
    "lost where nothing is missing": lambda r, p: set_event(r["stopped"], 1000, lost=1),
    "one that was never published": lambda r, p: set_event(r["steady"], of(r["steady"], 0, -1), seq=10**9),
    "a publisher that is none": lambda r, p: set_event(r["steady"], of(r["steady"], 0, 5), who=7),
    "another event under its number": lambda r, p: set_event(r["stopped"], of(r["stopped"], 0, 5), seq=77),
    "stored twice": lambda r, p: [r[x].append(r[x][-1]._replace(number=20005, who=0, seq=0)) for x in r],
    "an acknowledged one was never stored": lambda r, p: p.update({0: p[0] + 1}),
}


class EventChecker(unittest.TestCase):
    def test_good_readers_pass(self):
        verdict, lost = checker.check_events(*readers())
        self.assertEqual(verdict.problems, [])
        self.assertEqual(lost, {"steady": 0, "stopped": 4100})

    def test_each_injected_fault_is_flagged(self):
        for text, inject in EVENT_FAULTS.items():
            events, posted = readers()
            inject(events, posted)
            self.assertFalse(checker.check_events(events, posted)[0], text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
