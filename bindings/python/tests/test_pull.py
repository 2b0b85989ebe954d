"""A worker's side of its link, without sockets: the vectors, the rules of PROTOCOL.md 10, one by one and under a broker that
loses connections wherever it can."""

from __future__ import annotations

import random
from typing import Any, Dict, List, Optional, Tuple

import msgpack
import pytest
import wire
from wire import golden, pack

from prong import _constants as c
from prong import _pull, _values
from prong._pull import Job, Pull

pytestmark = pytest.mark.compat
ABOUT = {"token": b"t", "worker": "w", "methods": {"m": {"policy": "once"}}}


def asked(pull: Pull) -> List[Tuple[int, List[Any]]]:
    """(SP id, records) of each message that waits to be sent, which are gone then."""
    return list(wire.frames(pull.out))


def connected(capacity: int = 1, session: int = 7) -> Pull:
    """Attached, and its CONTROL asked."""
    pull = Pull("ipc", dict(ABOUT), capacity)
    welcome(pull, session)
    return pull


def welcome(pull: Pull, session: int) -> List[List[Any]]:
    """A new connection; the records that come after WELCOME, CONTROL left out."""
    pull.connected()
    ((number, (record,)),) = asked(pull)
    assert record[0] == c.ATTACH
    assert pull.answer(
        number, pack([c.WELCOME, {"replica": "w/0", "session": session, "limits": {"message_bytes": 10_000}}])
    )
    found = [record for _, records in asked(pull) for record in records]
    assert found.pop() == [c.CONTROL, "w/0", session]
    return found


def poll(pull: Pull) -> Tuple[int, List[Any]]:
    """The POLL that it sends now."""
    pull.flush(True)
    ((number, records),) = asked(pull)
    assert records[-1][0] == c.POLL
    return number, records[-1]


def work(number: int, *calls: int, method: str = "m", args: Any = ()) -> bytes:
    return pack([c.WORK, number, [[n, method, 5000, "pid 1", None, list(args)] for n in calls]])


def taken(pull: Pull) -> List[int]:
    """The calls that are to begin, which begin now."""
    found = [job.call for job in pull.jobs]
    pull.jobs.clear()
    return found


# ---- the vectors


@pytest.mark.parametrize(
    "name, data, record, exact",
    golden(c.ATTACH, c.POLL, c.REPORT, c.CONTROL),
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_requests_are_written_as_in_the_vectors(name: str, data: bytes, record: List[Any], exact: bool) -> None:
    pull = connected()
    op = record[0]
    if op == c.ATTACH:
        pull.about = record[1]
        pull.connected()
        ((_, ((_, about),)),) = asked(pull)
        own = {"pid", "attach", "capacity", "running", "done", "proto"}
        assert {k: v for k, v in about.items() if k not in own} == {k: v for k, v in record[1].items() if k not in own}
        return
    pull.running.clear()
    pull._welcome({"replica": record[1], "session": record[2]})
    ((_, control),) = asked(pull)
    if op == c.CONTROL:
        assert pack(*control) == data
        return
    if op == c.POLL:
        if record[4] == 0:
            pull.kept = dict.fromkeys(range(_pull.KEPT), b"")
        pull.taken, pull.capacity = record[3], record[4]
        pull.flush(True)
    else:
        for call, kind, payload in record[3]:
            if kind in (c.KIND_RESULT, c.KIND_ERROR):
                pull.end(Job(call, "m", 1, "", None, ()), kind, payload)
        kinds = {item[1] for item in record[3]}
        if kinds & {c.KIND_PARTIAL, c.KIND_PROGRESS}:
            pytest.skip("items and progress leave in messages of their own")
        pull.reports = pull.reports or []
        if not record[3]:
            pytest.skip("a REPORT of nothing is not sent")
        pull.flush(False)
    assert b"".join(pull.out)[13:] == data


@pytest.mark.parametrize(
    "name, data, record, exact",
    golden(c.WELCOME, c.WORK, c.COMMAND, c.ACK, c.PENDING, c.ERROR),
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_replies_are_understood_as_in_the_vectors(name: str, data: bytes, record: List[Any], exact: bool) -> None:
    pull, op = connected(capacity=4), record[0]
    if op == c.WELCOME:
        pull.connected()
        ((number, _),) = asked(pull)
        if "replica" not in record[1]:
            pytest.skip("an answer to HELLO")
        pull.answer(number, data)
        assert (pull.replica, pull.session, pull.attached) == (record[1]["replica"], record[1]["session"], True)
    elif op == c.WORK:
        number, _ = poll(pull)
        assert pull.answer(number, memoryview(data))
        assert [(j.call, j.method, j.caller, j.options, j.args) for j in pull.jobs] == [
            (call, method, caller, options, args) for call, method, _, caller, options, args in record[2]
        ]
        assert pull.taken == (record[1] if record[2] else 0)
        assert set(pull.running) == {item[0] for item in record[2]}
    elif op == c.COMMAND:
        (control,) = pull.waits
        call = record[2].get("call", 0)
        pull.running[call] = job = Job(call, "m", 1, "", None, ())
        assert pull.answer(control, data)
        assert (job.cancelled, pull.stop_asked) == (record[1] == "cancel", record[1] == "stop")
        assert asked(pull)[-1][1] == [[c.CONTROL, "w/0", 7]]
    elif op == c.ACK:
        calls = record[1] if isinstance(record[1], list) else []
        pull.kept = dict.fromkeys([*calls, 2**50], b"")
        pull._ask("report", b"\x90")
        assert pull.answer(max(pull.waits), data)
        assert list(pull.kept) == [2**50]
    elif op == c.PENDING:
        job = Job(5, "m", 1, "", None, ())
        pull.running[5] = job
        pull.give(job, "x")
        pull.send_items(job)
        ((number, _),) = asked(pull)
        assert pull.answer(number, data)
        assert asked(pull)[0][1] == [[c.REPORT, "w/0", 7, [[5, c.KIND_PARTIAL, [1, []]]]]]
    else:
        number, _ = poll(pull)
        assert not pull.answer(number, data), "attach again"


@pytest.mark.parametrize("what", ["attach", "poll", "report", "control", "items"])
def test_what_nobody_takes_does_no_harm(what: str) -> None:
    """The connection is given up at most, and then everything is as before."""
    for name, data in wire.refused():
        pull = connected(capacity=4)
        kept, job = Job(1, "m", 1, "", None, ()), Job(2, "m", 1, "", None, ())
        pull.running.update({1: kept, 2: job})
        pull.end(kept, c.KIND_RESULT, "kept")
        pull.flush(False)
        if what == "attach":
            pull.connected()
        elif what == "poll":
            pull.flush(True)
        elif what == "items":
            pull.give(job, "x")
            pull.send_items(job)
        number = max(pull.waits) if what != "control" else min(pull.waits)
        try:
            pull.answer(number, memoryview(data))
        except Exception as problem:
            assert isinstance(problem, (ValueError, TypeError, LookupError)), (name, problem)
        pull.jobs.clear()
        for call in set(pull.running) - {2}:
            del pull.running[call]
        welcome(pull, 8)
        assert 2 in pull.running


# ---- the rules, by their numbers in DESIGN.md 4


def test_rule_1_a_broken_connection_ends_and_forgets_nothing() -> None:
    pull = connected(capacity=4)
    number, _ = poll(pull)
    pull.answer(number, work(1, 11, 12, 13))
    begun = pull.jobs.popleft()
    pull.lost()
    assert taken(pull) == [12, 13], "what was taken is run"
    pull.end(begun, c.KIND_RESULT, "done while away")
    assert welcome(pull, 8) == []
    pull.flush(True)
    ((_, (report, again)),) = asked(pull)
    assert report == [c.REPORT, "w/0", 8, [[11, c.KIND_RESULT, "done while away"]]]
    assert again[:3] == [c.POLL, "w/0", 8]


def test_rule_2_an_answer_to_an_earlier_poll_is_dropped() -> None:
    pull = connected()
    number, _ = poll(pull)
    pull.lost()
    assert pull.answer(number, work(1, 11)) and taken(pull) == []
    pull.connected()
    assert pull.answer(number, work(1, 11)) and taken(pull) == [], "not after ATTACH either"
    assert dict(pull.running) == {} and pull.taken == 0


def test_rule_2_first_the_inventory_then_the_poll() -> None:
    pull = connected(capacity=4)
    number, _ = poll(pull)
    pull.answer(number, work(1, 11, 12))
    pull.end(pull.jobs.popleft(), c.KIND_RESULT, 1)
    pull.flush(False)
    asked(pull)
    pull.end(pull.jobs.popleft(), c.KIND_RESULT, 2)
    pull.running[13] = Job(13, "m", 1, "", None, ())
    pull.connected()
    pull.flush(True)
    ((_, ((op, about),)),) = asked(pull)
    assert op == c.ATTACH, "and no POLL before WELCOME"
    assert about["running"] == [13] and sorted(about["done"]) == [11, 12]


def test_rule_3_attach_is_counted_and_the_session_named() -> None:
    pull, numbers = Pull("ipc", dict(ABOUT), 1), []
    for session in (3, 5, 9):
        pull.connected()
        ((number, ((_, about),)),) = asked(pull)
        numbers.append(about["attach"])
        pull.answer(number, pack([c.WELCOME, {"replica": "w/0", "session": session}]))
        asked(pull)
        assert poll(pull)[1][:4] == [c.POLL, "w/0", session, 0]
    assert numbers == [1, 2, 3]


def test_rule_3_another_session_means_to_attach_again() -> None:
    for what in (poll, lambda pull: (max(pull.waits), None)):
        pull = connected()
        number, _ = what(pull)
        assert not pull.answer(number, pack([c.ERROR, 0, 9, 0, "attach first", None]))
        assert pull.refusal is None, "which is no refusal"
    pull.connected()
    ((number, _),) = asked(pull)
    assert not pull.answer(number, pack([c.ERROR, 0, 7, 0, "no", None]))
    assert pull.refusal is not None and pull.refusal[0] == 7


def test_rule_4_work_is_taken_once_by_its_number() -> None:
    pull = connected(capacity=9)
    number, record = poll(pull)
    assert record[3:] == [0, 9]
    pull.answer(number, work(1, 11))
    assert taken(pull) == [11]
    pull.end(pull.running[11], c.KIND_RESULT, None)
    number, record = poll(pull)
    assert record[3:] == [1, 9]
    pull.answer(number, pack([c.ACK, [11], 0]) + work(1, 11))
    assert taken(pull) == [], "given again, since POLL and WORK crossed; and nothing else is known of it any more"
    number, record = poll(pull)
    pull.answer(number, work(2, 12))
    assert taken(pull) == [12] and poll(pull)[1][3:] == [2, 8]
    welcome(pull, 8)
    assert poll(pull)[1][3:] == [0, 8], "another session counts anew"


def test_rule_4_a_call_that_is_here_is_not_begun_again() -> None:
    """Although the new session gives it under a new number."""
    pull = connected(capacity=9)
    number, _ = poll(pull)
    pull.answer(number, work(1, 11, 12))
    first = pull.jobs.popleft()
    pull.end(first, c.KIND_RESULT, 1)
    pull.flush(False)
    welcome(pull, 8)
    number, _ = poll(pull)
    taken(pull)
    pull.answer(number, work(1, 11, 12, 13))
    assert taken(pull) == [13]


def test_rule_5_nothing_is_asked_before_welcome() -> None:
    pull = Pull("ipc", dict(ABOUT), 1)
    pull.flush(True)
    assert not pull.out
    pull.connected()
    pull.end(Job(1, "m", 1, "", None, ()), c.KIND_RESULT, 1)
    pull.flush(True)
    assert [[r[0] for r in records] for _, records in asked(pull)] == [[c.ATTACH]]


def test_rule_6_an_outcome_is_kept_until_ack_names_its_call() -> None:
    pull = connected(capacity=4)
    number, _ = poll(pull)
    pull.answer(number, work(1, 11, 12))
    for job in list(pull.jobs):
        pull.end(job, c.KIND_RESULT, job.call)
    pull.flush(False)
    ((report, _),) = asked(pull)
    pull.answer(report, pack([c.ACK, [], 0]))
    assert set(pull.kept) == {11, 12}, "received is not needed no more"
    told = welcome(pull, 8)
    assert told == [[c.REPORT, "w/0", 8, [[11, c.KIND_RESULT, 11], [12, c.KIND_RESULT, 12]]]], "once, though for two"
    number, _ = poll(pull)
    pull.answer(number, pack([c.ACK, [12], 0], [c.WORK, 0, []]))
    assert set(pull.kept) == {11}
    pull.connected()
    ((_, ((_, about),)),) = asked(pull)
    assert about["done"] == [11]


# ---- outcomes


def ended(pull: Pull, value: Any, kind: int = c.KIND_RESULT, call: int = 1) -> List[Any]:
    """What is reported."""
    pull.end(Job(call, "m", 1, "", None, ()), kind, value)
    pull.flush(False)
    ((_, ((_, _, _, (item,)),)),) = asked(pull)
    return item  # type: ignore[no-any-return]


def test_what_cannot_be_sent_is_an_error_with_its_place() -> None:
    code, began, text, details = ended(connected(), {"a": [1, object()]})[2]
    assert (code, began, details) == (2, c.BEGAN_YES, {"type": "TypeError"})
    assert text.startswith("the value it returned['a'][1]: object")


def test_what_no_message_holds_is_resource_exhausted() -> None:
    code, began, text, _ = ended(connected(), b"x" * 10_000)[2]
    assert (code, began) == (8, c.BEGAN_YES) and "10000" in text


def test_one_bad_outcome_leaves_the_others() -> None:
    pull = connected(capacity=9)
    for n, value in enumerate([1, object(), "x" * 20_000, 4]):
        pull.end(Job(n + 1, "m", 1, "", None, ()), c.KIND_RESULT, value)
    pull.flush(False)
    items = [item for _, records in asked(pull) for record in records for item in record[3]]
    assert [(call, kind) for call, kind, _ in items] == [(1, 0), (2, 1), (3, 1), (4, 0)]


def test_outcomes_that_are_too_many_for_one_message_leave_in_several() -> None:
    pull = connected(capacity=9)
    for n in range(9):
        pull.end(Job(n, "m", 1, "", None, ()), c.KIND_RESULT, bytes([n]) * 4000)
    pull.flush(True)
    messages = asked(pull)
    items = [item for _, records in messages for record in records if record[0] == c.REPORT for item in record[3]]
    assert [(call, payload) for call, _, payload in items] == [(n, bytes([n]) * 4000) for n in range(9)]
    assert len(messages) == 5 and messages[-1][1][-1][0] == c.POLL and set(pull.kept) == set(range(9))
    told = welcome(pull, 8)
    assert sorted(item[0] for record in told for item in record[3]) == list(range(9))


def test_more_outcomes_than_a_report_holds() -> None:
    pull = connected(capacity=1)
    pull.limit = 1 << 20
    for n in range(c.REPORT_ITEMS_MAX + 5):
        pull.end(Job(n, "m", 1, "", None, ()), c.KIND_RESULT, None)
    pull.flush(False)
    assert [len(records[0][3]) for _, records in asked(pull)] == [c.REPORT_ITEMS_MAX, 5]


# ---- capacity


def test_it_polls_again_only_with_more_room() -> None:
    pull = connected(capacity=3)
    number, record = poll(pull)
    assert record[4] == 3
    pull.flush(True)
    assert not pull.out
    pull.answer(number, work(1, 11))
    taken(pull)
    number, record = poll(pull)
    assert record[4] == 2
    pull.end(pull.running[11], c.KIND_RESULT, None)
    number, record = poll(pull)
    assert record[4] == 3, "there is more room than that POLL said"


def test_one_at_a_time_takes_crowds() -> None:
    pull = connected(capacity=1)
    number, record = poll(pull)
    assert record[4] == _pull.CROWD
    pull.answer(number, work(1, 11, 12, 13))
    pull.flush(True)
    assert not pull.out and taken(pull) == [11, 12, 13]


def test_too_many_kept_outcomes_take_no_more_work() -> None:
    pull = connected(capacity=3)
    pull.kept = dict.fromkeys(range(_pull.KEPT), b"")
    number, record = poll(pull)
    assert record[4] == 0
    pull.answer(number, pack([c.ACK, [5], 0], [c.WORK, 0, []]))
    assert poll(pull)[1][4] == 3


def test_it_is_over_when_the_hub_knows_everything() -> None:
    pull = connected(capacity=3)
    number, _ = poll(pull)
    control = min(pull.waits)
    pull.answer(control, pack([c.COMMAND, "stop", {}]))
    assert pull.stop_asked
    asked(pull)
    pull.stopping = True
    pull.running[9] = job = Job(9, "m", 1, "", None, ())
    pull.flush(True)
    assert not pull.is_over()
    pull.end(job, c.KIND_RESULT, 1)
    pull.flush(True)
    reports = {n: records for n, records in asked(pull) if records[0][0] == c.REPORT}
    assert not pull.is_over()
    pull.answer(number, pack([c.WORK, 0, []]))
    for n in reports:
        pull.answer(n, pack([c.ACK, [9], 0]))
    assert pull.is_over()


# ---- items, progress, commands


def streaming() -> Tuple[Pull, Job]:
    pull = connected(capacity=3)
    pull.running[5] = job = Job(5, "m", 1, "", None, ())
    return pull, job


def items_of(pull: Pull) -> Tuple[int, int, List[Any]]:
    """(SP id, number of the first, items) of the REPORT that is sent now."""
    ((number, ((op, _, _, ((call, kind, (first, items)),)),)),) = asked(pull)
    assert (op, call, kind) == (c.REPORT, 5, c.KIND_PARTIAL)
    return number, first, items


def test_items_are_numbered_and_the_next_wait_for_the_ack() -> None:
    pull, job = streaming()
    pull.give(job, "a")
    pull.send_items(job)
    number, first, items = items_of(pull)
    assert (first, items) == (0, ["a"])
    for value in ("b", "c"):
        pull.give(job, value)
        pull.send_items(job)
    assert not pull.out
    pull.answer(number, pack([c.ACK, [], 0]))
    number, first, items = items_of(pull)
    assert (first, items, job.first) == (1, ["b", "c"], 1)
    pull.answer(number, pack([c.ACK, [], 0]))
    assert not pull.out and job.first == 3 and job.size == 0 and not job.items


def test_items_that_were_not_acknowledged_are_given_again() -> None:
    pull, job = streaming()
    for value in "abc":
        pull.give(job, value)
        pull.send_items(job)
    number, _, _ = items_of(pull)
    pull.answer(number, pack([c.ACK, [], 0]))
    items_of(pull)
    assert welcome(pull, 8) == [[c.REPORT, "w/0", 8, [[5, c.KIND_PARTIAL, [1, ["b", "c"]]]]]]


def test_a_pending_report_of_items_asks_for_room() -> None:
    pull, job = streaming()
    pull.give(job, "a")
    pull.send_items(job)
    number, _, _ = items_of(pull)
    for _ in range(2):
        pull.answer(number, pack([c.PENDING, 0]))
        number, first, items = items_of(pull)
        assert (first, items) == (1, [])
    pull.give(job, "b")
    pull.answer(number, pack([c.ACK, [], 0]))
    assert items_of(pull)[1:] == (1, ["b"])


def test_items_are_cut_into_messages() -> None:
    pull, job = streaming()
    for n in range(5):
        pull.give(job, bytes([n]) * 4000)
    found: List[bytes] = []
    pull.send_items(job)
    while pull.out:
        number, first, items = items_of(pull)
        assert first == len(found) and len(items) <= 2
        found += items
        pull.answer(number, pack([c.ACK, [], 0]))
    assert found == [bytes([n]) * 4000 for n in range(5)]


def test_an_item_that_cannot_be_sent_raises_where_it_is_yielded() -> None:
    pull, job = streaming()
    with pytest.raises(TypeError, match=r"an item that it yielded\['x'\]: object"):
        pull.give(job, {"x": object()})
    with pytest.raises(TypeError, match="20003 bytes are more than a message"):
        pull.give(job, b"x" * 20_000)
    assert not job.items and job.size == 0


def test_progress_never_waits_and_the_newest_is_told() -> None:
    pull, job = streaming()
    for n in range(5):
        pull.tell_progress(job, [n / 10, None])
    ((number, (record,)),) = asked(pull)
    assert record[3] == [[5, c.KIND_PROGRESS, [0.0, None]]]
    pull.answer(number, pack([c.ACK, [], 0]))
    ((number, (record,)),) = asked(pull)
    assert record[3] == [[5, c.KIND_PROGRESS, [0.4, None]]]
    pull.answer(number, pack([c.ACK, [], 0]))
    assert not pull.out


def test_a_cancel_of_another_call_is_nobodys() -> None:
    pull, job = streaming()
    for call in (6, 5):
        control = next(n for n, what in pull.waits.items() if what == "control")
        pull.answer(control, pack([c.COMMAND, "cancel", {"call": call}]))
        asked(pull)
        assert job.cancelled == (call == 5)


# What msgpack for Python cannot make a value of, although each is well-formed.
UNREADABLE = [
    b"\x81\x91\x01\x02",
    b"\x91" * 1500 + b"\x01",
    b"\x91\xa1\xff",
    b"\x91\xc7\x0d\xff" + bytes(13),
    b"\x91\xc7\x01\x4e\xc1",
]


@pytest.mark.parametrize("bad", UNREADABLE, ids=lambda b: b.hex()[:12])
def test_arguments_that_cannot_be_read_are_those_of_one_call_alone(bad: bytes) -> None:
    """And no fault of the worker."""
    pull = connected(capacity=9)
    number, _ = poll(pull)
    item = b"\x96\x0c\xa1m\xcd\x13\x88\xa0\xc0" + bad
    good = [msgpack.packb([n, "m", 5000, "", None, ["good"]]) for n in (11, 13)]
    pull.answer(number, memoryview(pack([c.ACK, [], 0]) + b"\x93\x51\x01\x93" + good[0] + item + good[1]))
    assert [job.call for job in pull.jobs] == [11, 12, 13]
    assert [job.args for job in pull.jobs if job.call != 12] == [["good"], ["good"]]
    odd = pull.jobs[1].args
    assert isinstance(odd, Exception) or tuple(odd[0]) == (_values.ARRAY, b"\xc1")


# ---- all of them together


class Broker:
    """The hub's side of the rules, for one worker: what it knows of each call."""

    def __init__(self, calls: int) -> None:
        self.queue = list(range(1, calls + 1))
        self.given: Dict[int, int] = {}  # by call, the number of the WORK
        self.outcomes: Dict[int, Any] = {}
        self.acked: List[int] = []
        self.session = self.attach = 0
        self.numbers: Dict[int, List[int]] = {}
        self.parked: Optional[Tuple[int, int]] = None

    def take(self, number: int, records: List[Any], rng: random.Random) -> List[Tuple[int, bytes]]:
        """(SP id, answer) for what a message of the worker asks, and for what was parked."""
        found: List[Any] = []
        for record in records:
            if record[0] == c.ATTACH:
                about = record[1]
                if about["attach"] <= self.attach:
                    continue
                self.attach, self.session, self.parked, self.numbers = about["attach"], self.session + 1, None, {}
                held = set(about["running"]) | set(about["done"])
                for call in [call for call in self.given if call not in held]:
                    del self.given[call]  # it never arrived
                    self.queue.insert(0, call)
                found.append([c.WELCOME, {"replica": "w/0", "session": self.session}])
            elif record[0] == c.REPORT:
                for call, _, value in record[3]:
                    self.given.pop(call, None)
                    self.outcomes.setdefault(call, value)
                done = [call for call in self.outcomes if call not in self.acked and rng.random() < 0.5]
                self.acked += done
                found.append([c.ACK, done, 0])
            elif record[0] == c.POLL:
                if record[2] != self.session:
                    found.append([c.ERROR, 0, 9, 0, "attach first", None])
                else:
                    self.parked = number, record[4]
                    for n in [n for n in self.numbers if n <= record[3]]:
                        del self.numbers[n]
        answers = [(number, pack(*found))] if found else []
        return answers + self.give()

    def give(self) -> List[Tuple[int, bytes]]:
        """WORK, when somebody waits for it."""
        if self.parked is None or not (self.queue or self.numbers):
            return []
        (number, room), self.parked = self.parked, None
        if self.numbers:
            n, calls = min(self.numbers.items())
        else:
            n, calls = getattr(self, "last", 0) + 1, self.queue[:room]
            del self.queue[: len(calls)]
            if not calls:
                self.parked = number, room
                return []
            self.numbers[n] = calls
            self.given.update(dict.fromkeys(calls, n))
        self.last = max(getattr(self, "last", 0), n)
        return [(number, work(n, *calls, args=[0]))]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_lost_each_call_runs_once_and_has_its_outcome(seed: int) -> None:
    """Connections break at any moment, with what was on its way in both directions; answers come late, also those of an
    earlier connection; calls take as long as they like."""
    rng = random.Random(seed)
    broker, pull = Broker(60), Pull("ipc", dict(ABOUT), rng.choice([1, 3]))
    ran: List[int] = []
    begun: List[Job] = []
    late: List[Tuple[int, bytes]] = []
    pull.connected()
    for step in range(20_000):
        if len(broker.outcomes) == 60 and not pull.reports and step % 7 == 0:
            break
        breaks = step < 2000 and rng.random() < 0.05
        to_hub = asked(pull)
        if breaks:
            to_hub = to_hub[: rng.randint(0, len(to_hub))]
        for number, records in to_hub:
            late += broker.take(number, records, rng)
        late += broker.give()
        if breaks:
            pull.lost()
            pull.connected()
            rng.shuffle(late)
        while late and rng.random() < 0.8:
            number, body = late.pop(0)
            if not pull.answer(number, body):
                pull.lost()
                pull.connected()
        while pull.jobs and len(begun) < pull.capacity:
            begun.append(pull.jobs.popleft())
            ran.append(begun[-1].call)
        while begun and rng.random() < 0.7:
            job = begun.pop(rng.randrange(len(begun)))
            pull.end(job, c.KIND_RESULT, job.call * 2)
        pull.flush(rng.random() < 0.9)
    assert sorted(ran) == list(range(1, 61)), "each of them once"
    assert broker.outcomes == {n: n * 2 for n in range(1, 61)}
