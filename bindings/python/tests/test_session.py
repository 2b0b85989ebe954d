"""What a client says to a hub and makes of the answers, without sockets: the vectors of the protocol, reconnects, the end
of everything, and an exception at any moment."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Optional

import msgpack
import pytest
import wire
from wire import FakeHub, golden, pack

from prong import _constants as c
from prong import _errors, _session
from prong._session import Request, Session

pytestmark = pytest.mark.compat
REPLIES = (c.WELCOME, c.RESULT, c.PARTIAL, c.PENDING, c.ERROR, c.ACK, c.EVENTS, c.PONG)
FOREVER = float("inf")


def connected(hub: Optional[FakeHub] = None) -> Session:
    session = Session("ipc", {"proto": c.PROTO})
    session.connected()
    (hub or FakeHub()).serve(session)
    assert session.welcome
    return session


def call(session: Session, method: str, args: Any = (), kind: int = c.CALL, **more: Any) -> Request:
    r = Request(kind, more.pop("deadline", FOREVER))
    r.stream, r.background = more.pop("stream", False), more.pop("background", False)
    session.call(r, "w", method, args, more or None, 5.0)
    return r


def said(session: Session) -> List[List[Any]]:
    """The records of all frames that wait to be sent, which are gone then."""
    return [record for _, records in wire.frames(session.out) for record in records]


def reconnect(session: Session, hub: FakeHub) -> None:
    session.lost()
    session.connected()
    hub.serve(session)


# ---- the vectors


@pytest.mark.parametrize(
    "name, data, record, exact",
    golden(c.HELLO, c.CALL, c.WAIT, c.CANCEL, c.EMIT, c.FETCH, c.PING),
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_requests_are_written_as_in_the_vectors(name: str, data: bytes, record: List[Any], exact: bool) -> None:
    session = connected()
    r = Request(record[0], FOREVER)
    op = record[0]
    if op == c.HELLO:
        session.hello = record[1]
        session.connected()
    elif op == c.CALL:
        _, session.client, seq, ack, worker, method, ttl_ms, options, args = record
        if ack >= seq:
            pytest.skip("no client of ours acknowledges a call before it has made it")
        session.seq = seq - 1
        if ack + 1 < seq:
            session.asks[ack + 1] = Request(c.CALL, FOREVER)
        session.call(r, worker, method, args, options, ttl_ms / 1000)
    elif op == c.EMIT:
        _, session.client, seq, topic, options, payload = record
        if options is not None:
            pytest.skip("there are no options of EMIT")
        session.seq = seq - 1
        session.emit(r, topic, payload)
    elif op == c.WAIT:
        r.first = record[3]
        session.resume(r, record[1], record[2])
    elif op == c.CANCEL:
        r.kind, r.sent, r.client, r.seq = c.CALL, True, record[1], record[2]
        session.cancel(r)
    elif op == c.FETCH:
        _, session.client, filters, start, items, size, wait_ms = record
        session.fetch(r, filters, start, items, size, wait_ms / 1000 if wait_ms < 1e9 else 0)
        if wait_ms >= 1e9:
            pytest.skip("waits are seconds, as a float")
    else:
        if record[1] is not None:
            pytest.skip("our PING has no payload")
        session.ping(r)
    body = b"".join(session.out)[13:]
    if exact:
        assert body == data
    else:
        assert msgpack.unpackb(body, strict_map_key=False) == msgpack.unpackb(data, strict_map_key=False)


def ask(session: Session, op: int) -> Request:
    """What a reply of this kind may be the answer to."""
    r = Request({c.ACK: c.EMIT, c.EVENTS: c.FETCH, c.PONG: c.PING}.get(op, c.CALL), FOREVER)
    if r.kind == c.EMIT:
        session.emit(r, "a.b", 1)
    elif r.kind == c.FETCH:
        session.fetch(r, [">"], "new", 1, 1, 0)
    elif r.kind == c.PING:
        session.ping(r)
    else:
        r.stream = op == c.PARTIAL
        session.call(r, "w", "m", (), None, 1.0)
    return r


@pytest.mark.parametrize("name, data, record, exact", golden(*REPLIES), ids=lambda v: v if isinstance(v, str) else "")
def test_replies_are_understood_as_in_the_vectors(name: str, data: bytes, record: List[Any], exact: bool) -> None:
    session, op = connected(), record[0]
    if op == c.WELCOME:
        session.connected()
        ((number, _),) = wire.frames(session.out)
        session.answer(number, data)
        about = record[1]
        assert session.welcome and session.epoch == about.get("epoch", 0) and session.history == about.get("history", 0)
        assert session.limit == about.get("limits", {}).get("message_bytes", session.limit)
        return
    r = ask(session, op)
    ((number, _),) = wire.frames(session.out)
    session.answer(number, memoryview(data))
    if op == c.RESULT:
        assert r.ended and repr(r.outcome()) == repr(record[2])
    elif op == c.ERROR:
        with pytest.raises(_errors.ProngError) as caught:
            r.outcome()
        error = caught.value
        assert type(error) is _errors.BY_CODE[record[2]] and error.code == record[2] and error.name == c.ERRORS[record[2]][0]
        assert (error.began, error.message, error.details) == (("no", "maybe", "yes")[record[3]], record[4], record[5] or {})
    elif op == c.PENDING:
        assert not r.ready and said(session) == [[c.WAIT, r.client, r.seq, 0]]
    elif op == c.PARTIAL:
        assert r.progress == record[3] and not r.ended
        if record[4]:
            assert r.ready and session.take(r) == record[4]
        assert said(session) == [[c.WAIT, r.client, r.seq, record[2] + len(record[4])]]
    elif op == c.ACK:
        assert r.outcome() == record[2]
    elif op == c.PONG:
        assert r.outcome() == record[1]
    else:
        assert r.outcome() == tuple(record[1:])
        position = _session.Position((">",), "new")
        position.take(r)
        assert [[e.number, round(e.time * 1e6), e.topic, e.source, e.payload] for e in position.ready] == [
            [n, round(t / 1e6 * 1e6), topic, source, payload] for n, t, topic, source, payload in record[4]
        ]
        assert position.next == record[2] and position.lost == record[3]


@pytest.mark.parametrize("op", [c.RESULT, c.ACK, c.EVENTS, c.PONG, c.PARTIAL, c.WELCOME])
def test_what_nobody_takes_does_no_harm(op: int) -> None:
    """Whatever is asked ends, or is asked again: nobody waits for an answer that was there. And what else is asked on the
    connection has its own outcome."""
    for name, data in wire.refused():
        hub = FakeHub()
        session = connected(hub)
        other = call(session, "later", ["mine"])
        others = dict(session.flight)
        session.out.clear()
        if op == c.WELCOME:
            session.connected()
            ((number, _),) = wire.frames(session.out)
            session.answer(number, data)
            session.expire(FOREVER)
            assert other.ended and isinstance(other.error, _errors.ProngError), name
            continue
        r = ask(session, op)
        (number,) = set(session.flight) - set(others)
        session.out.clear()
        session.answer(number, memoryview(data))
        if not r.ended:
            assert r.paused or r in session.flight.values(), f"{name}: it would wait for ever"
            assert not r.paused or r.ready, name
        session.cancel(r)
        ((waits, _),) = others.items()
        session.answer(waits, pack([c.RESULT, other.seq, "mine"]))
        assert other.outcome() == "mine", name


# ---- numbers


def test_ack_names_the_calls_whose_outcome_is_here() -> None:
    hub = FakeHub()
    session = connected(hub)
    slow = call(session, "echo", [0])
    ((number, (first,)),) = wire.frames(session.out)
    for n in range(1, 4):
        r = call(session, "echo", [n])
        assert next(wire.frames([session.out[-1]]))[1][0][2:4] == [n + 1, 0]
        hub.serve(session)
        assert r.outcome() == [n]
    session.answer(number, pack(hub.answer(first)))
    assert slow.outcome() == [0]
    call(session, "echo")
    assert said(session)[0][2:4] == [5, 4]


def test_what_cannot_be_sent_uses_no_number() -> None:
    session = connected()
    with pytest.raises(TypeError, match=r"arguments of w.m\['a'\]\[1\]: object"):
        call(session, "m", {"a": [0, object()]})
    with pytest.raises(TypeError, match=r"payload of a\.b: complex"):
        session.emit(Request(c.EMIT, FOREVER), "a.b", 1j)
    with pytest.raises(
        _errors.ResourceExhaustedError, match=r"1000\d\d bytes are more than a message of this hub may be \(100000"
    ) as caught:
        call(session, "m", [b"x" * 100_000])
    assert caught.value.began == "no"
    assert not session.out and not session.asks
    assert call(session, "echo").seq == 1


def test_request_ids_go_round() -> None:
    session = connected()
    session.next_id = 0xFFFFFFFE
    for _ in range(3):
        session.ping(Request(c.PING, FOREVER))
    assert list(session.flight) == [0xFFFFFFFF, 0x80000000, 0x80000001]


def test_on_a_network_frames_have_no_kind() -> None:
    session = Session("tcp", {})
    session.connected()
    assert session.out[0][:8] == (len(session.out[0]) - 8).to_bytes(8, "big")


# ---- the course of a call


def test_items_come_as_they_are_taken() -> None:
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "frames", [5], stream=True)
    found = []
    while not (r.ended and not r.items):
        hub.serve(session)
        assert r.ready
        assert len(r.items) <= 2, "no more than one PARTIAL ahead"
        found += session.take(r)
    assert found == [f"item {n}" for n in range(5)] and r.value == [5]


def test_items_that_nobody_takes_one_by_one_are_one_list() -> None:
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "frames", [5])
    hub.serve(session)
    assert r.outcome() == [f"item {n}" for n in range(5)]


def test_too_many_items_for_one_list_end_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_session, "COLLECTED", 100)
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "frames", [100])
    hub.serve(session)
    with pytest.raises(_errors.ResourceExhaustedError, match="results"):
        r.outcome()
    assert hub.cancelled == {(r.client, r.seq)}


def test_an_error_has_everything_that_came_with_it() -> None:
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "fail", ["text"])
    hub.serve(session)
    assert isinstance(r.error, _errors.UnknownError)
    assert (r.error.type, r.error.traceback, str(r.error), r.error.began) == ("ValueError", "here", "text", "yes")
    assert "here" in str(r.error.__cause__)


def test_progress_is_told_and_the_newest_is_kept() -> None:
    hub = FakeHub()
    session = connected(hub)
    r = Request(c.CALL, FOREVER)
    r.note = lambda fraction, note: None
    session.call(r, "w", "frames", [3], {"progress": True}, 1.0)
    hub.serve(session)
    assert r.progress == [2 / 3, "on the way"] and session.news[0] is r and r.ended


def test_a_background_call_ends_when_it_is_accepted_and_is_resumed_by_its_numbers() -> None:
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "later", ["v"], kind=c.CALL, background=True)
    hub.serve(session)
    assert r.ended and r.outcome() is None
    another = connected(hub)
    again = Request(c.CALL, FOREVER)
    another.resume(again, r.client, r.seq)
    hub.serve(another)
    assert again.outcome() == ["v"]


def test_two_answers_to_one_request_are_one() -> None:
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "echo", [1])
    ((number, _),) = wire.frames(session.out)
    session.answer(number, pack([c.RESULT, r.seq, "first"]))
    session.answer(number, pack([c.RESULT, r.seq, "second"]))
    session.answer(number ^ 1, pack([c.RESULT, r.seq, "of nobody"]))
    assert r.outcome() == "first" and not session.asks and not session.flight


# ---- cancelling


def test_what_was_not_sent_is_cancelled_without_a_word() -> None:
    session = Session("ipc", {})
    requests = [call(session, "echo"), ask(session, c.EVENTS), ask(session, c.ACK)]
    for r in requests:
        session.cancel(r)
        with pytest.raises(_errors.CancelledError) as caught:
            r.outcome()
        assert caught.value.began == "no"
    hub = FakeHub()
    session.connected()
    hub.serve(session)
    assert hub.ran == [] and hub.stored == [] and not session.asks and not session.others


def test_what_was_sent_is_cancelled_at_the_hub_and_has_its_outcome() -> None:
    session = connected()
    r = call(session, "later", stream=True)
    ((number, _),) = wire.frames(session.out)
    session.cancel(r)
    assert said(session) == [[c.CANCEL, r.client, r.seq]] and not r.ended
    session.answer(number, pack([c.PARTIAL, r.seq, 0, None, ["thrown", "away"]]))
    assert said(session)[0] == [c.WAIT, r.client, r.seq, 2] and not r.items and not r.ready
    (number,) = session.flight
    session.answer(number, pack([c.ERROR, r.seq, 1, 2, "cancelled", None]))
    with pytest.raises(_errors.CancelledError):
        r.outcome()


def test_a_cancel_that_may_be_lost_is_said_again() -> None:
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "later")
    session.out.clear()
    session.cancel(r)
    session.lost()
    session.connected()
    ((number, _),) = wire.frames(session.out)
    session.answer(number, pack([c.WELCOME, {"epoch": hub.epoch, "history": 1}]))
    assert [record[0] for record in said(session)] == [c.CALL, c.CANCEL]


def test_a_stream_that_is_paused_goes_on_when_it_is_cancelled() -> None:
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "frames", [9], stream=True)
    hub.serve(session)
    assert r.paused
    session.cancel(r)
    hub.serve(session)
    assert r.ended and hub.cancelled == {(r.client, r.seq)}


# ---- the window


def test_more_than_the_window_waits_in_order() -> None:
    hub = FakeHub()
    session = connected(hub)
    requests = [call(session, "echo", [n]) for n in range(_session.IN_FLIGHT + 50)]
    assert len(session.flight) == _session.IN_FLIGHT and len(session.queue) == 50
    session.cancel(requests[_session.IN_FLIGHT + 7])
    hub.serve(session)
    assert [r.value for r in requests if r.error is None] == [
        [n] for n in range(len(requests)) if n != _session.IN_FLIGHT + 7
    ]
    assert requests[_session.IN_FLIGHT + 7].error.began == "no"  # type: ignore[union-attr]
    assert not session.flight and not session.queue and not session.asks


def test_what_goes_on_takes_its_place_in_the_window() -> None:
    """PENDING is answered by WAIT, which may have to queue itself: nothing is lost and nothing goes in a circle."""
    hub = FakeHub()
    session = connected(hub)
    requests = [call(session, ["later", "echo", "frames"][n % 3], [n % 7 + 1]) for n in range(_session.IN_FLIGHT * 3)]
    hub.serve(session)
    assert all(r.ended for r in requests) and len(hub.ran) == len(requests)


# ---- reconnects


def test_what_had_no_answer_is_asked_again_under_its_number() -> None:
    hub = FakeHub()
    session = connected(hub)
    lost = call(session, "echo", ["was not delivered"])
    session.out.clear()
    unanswered = call(session, "echo", ["its answer is lost"])
    ((_, (record,)),) = wire.frames(session.out)
    hub.answer(record)
    emitted = Request(c.EMIT, FOREVER)
    session.emit(emitted, "a.b", "once")
    ((_, (record,)),) = wire.frames(session.out)
    hub.answer(record)
    session.lost()
    while_away = call(session, "echo", ["asked without a connection"])
    assert not session.out
    session.connected()
    hub.serve(session)
    assert [r.outcome() for r in (lost, unanswered, while_away)] == [
        ["was not delivered"],
        ["its answer is lost"],
        ["asked without a connection"],
    ]
    assert emitted.outcome() == 1 and hub.stored == [("a.b", "once")] and len(hub.ran) == 3


def test_after_pending_it_is_waited_for_on_the_next_connection() -> None:
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "later", ["v"])
    ((number, (record,)),) = wire.frames(session.out)
    session.answer(number, pack(hub.answer(record)))
    session.lost()
    session.connected()
    ((number, _),) = wire.frames(session.out)
    session.answer(number, pack([c.WELCOME, {"epoch": hub.epoch, "history": 1}]))
    assert said(session) == [[c.WAIT, r.client, r.seq, 0]]


@pytest.mark.parametrize("cut", range(12))
def test_items_are_neither_lost_nor_doubled_by_a_reconnect(cut: int) -> None:
    """The connection breaks after `cut` messages, when an answer was not read, and the hub gives again what no WAIT has
    named."""
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "frames", [7], stream=True)
    found: List[Any] = []
    for step in range(60):
        if r.ended and not r.items:
            break
        for number, (record,) in list(wire.frames(session.out)):
            answer = hub.answer(record)
            if step != cut:
                session.answer(number, pack(answer))
        if step == cut:
            session.lost()
            session.connected()
        elif r.ready:
            found += session.take(r)
    assert found == [f"item {n}" for n in range(7)] and len(hub.ran) == 1


def test_items_that_are_there_already_are_skipped() -> None:
    session = connected()
    r = call(session, "frames", stream=True)
    ((number, _),) = wire.frames(session.out)
    session.answer(number, pack([c.PARTIAL, r.seq, 0, None, ["a", "b"]]))
    session.lost()
    assert session.take(r) == ["a", "b"]
    session.connected()
    ((number, _),) = wire.frames(session.out)
    session.answer(number, pack([c.WELCOME, {"epoch": 1, "history": 1}]))
    ((number, (record,)),) = wire.frames(session.out)
    assert record == [c.WAIT, r.client, r.seq, 2]
    session.answer(number, pack([c.PARTIAL, r.seq, 1, None, ["b", "c"]]))
    assert session.take(r) == ["c"]


def test_items_that_are_missing_are_an_error() -> None:
    session = connected()
    r = call(session, "frames", stream=True)
    ((number, _),) = wire.frames(session.out)
    session.answer(number, pack([c.PARTIAL, r.seq, 0, None, ["a"]]))
    session.take(r)
    ((number, _),) = wire.frames(session.out)
    session.answer(number, pack([c.PARTIAL, r.seq, 2, None, ["c"]]))
    assert isinstance(r.error, _errors.DataLossError)


def test_a_paused_stream_asks_for_nothing_after_a_reconnect_until_it_is_taken() -> None:
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "frames", [4], stream=True)
    hub.serve(session)
    session.lost()
    session.connected()
    ((number, _),) = wire.frames(session.out)
    session.answer(number, pack([c.WELCOME, {"epoch": hub.epoch, "history": 1}]))
    assert not session.out and r.items == ["item 0", "item 1"]
    session.take(r)
    assert said(session) == [[c.WAIT, r.client, r.seq, 2]]


def test_another_broker_is_not_asked_for_what_the_one_before_was_told() -> None:
    hub = FakeHub()
    session = connected(hub)
    sent, emitted = call(session, "echo", [1]), Request(c.EMIT, FOREVER)
    session.emit(emitted, "a.b", 1)
    waiting = Request(c.FETCH, FOREVER)
    session.fetch(waiting, [">"], 0, 1, 1, 0)
    session.out.clear()
    session.lost()
    fresh = call(session, "echo", [2])
    hub.restart()
    session.connected()
    hub.serve(session)
    for r in (sent, emitted):
        assert isinstance(r.error, _errors.UnavailableError) and r.error.began == "maybe"
    assert fresh.outcome() == [2] and waiting.ended and hub.stored == [] and len(hub.ran) == 1


def test_a_subscription_learns_that_the_numbers_begin_anew() -> None:
    hub = FakeHub()
    session = connected(hub)
    hub.stored += [("a.b", n) for n in range(3)]
    position = _session.Position(("a.>",), "oldest")

    def fetch() -> Request:
        r = Request(c.FETCH, FOREVER)
        r.history = position.history
        session.fetch(r, position.filters, position.next, 2, 1000, 0)
        return r

    r = fetch()
    hub.serve(session)
    position.take(r)
    assert [e.payload for e in position.ready] == [0, 1] and position.next == 2
    r = fetch()
    session.lost()
    hub.restart()
    hub.history, hub.stored = 2, [("a.b", "new")]
    session.connected()
    hub.serve(session)
    position.take(r)
    assert position.next == "oldest" and position.reset
    r = fetch()
    hub.serve(session)
    position.take(r)
    event = position.ready[-1]
    assert (event.payload, event.reset, position.history) == ("new", True, 2)


def test_a_call_of_which_the_hub_knows_no_more_may_have_begun() -> None:
    hub = FakeHub()
    session = connected(hub)
    r = call(session, "later")
    ((number, (record,)),) = wire.frames(session.out)
    session.answer(number, pack(hub.answer(record)))
    hub.calls.clear()
    hub.serve(session)
    assert isinstance(r.error, _errors.NotFoundError) and r.error.began == "maybe"


def test_a_refused_hello_is_told() -> None:
    session = Session("tcp", {})
    session.connected()
    number = session.hello_id
    session.answer(number, pack([c.ERROR, 0, 16, 0, "another token is wanted", None]))
    assert isinstance(session.refusal, _errors.UnauthenticatedError) and not session.welcome


# ---- time


def test_deadlines_end_what_has_no_outcome() -> None:
    session = Session("ipc", {})
    away = call(session, "echo", deadline=10.0)
    assert session.expire(9.9) and not away.ended
    assert session.expire(10.0)
    assert isinstance(away.error, TimeoutError) and away.error.began == "no"  # type: ignore[attr-defined]
    session = connected()
    r = call(session, "echo", deadline=10.0)
    session.expire(10.0 + _session.GRACE - 0.1)
    assert not r.ended, "the hub says itself that the time is over"
    session.expire(10.0 + _session.GRACE)
    assert isinstance(r.error, _errors.DeadlineExceededError) and r.error.began == "maybe"
    assert not session.asks


def test_a_hub_that_is_silent_is_not_there() -> None:
    session = connected()
    session.heard = 100.0
    assert session.expire(100.0 + 10 * _session.SILENCE), "nothing was asked"
    call(session, "later")
    assert session.expire(100.0 + _session.SILENCE - 1)
    assert not session.expire(100.0 + _session.SILENCE)
    session.lost()
    session.connected()
    assert session.expire(100.0 + _session.HELLO - 1)
    assert not session.expire(100.0 + _session.HELLO)


def test_the_end_of_everything_says_what_may_have_begun() -> None:
    session = connected()
    sent = call(session, "echo")
    session.lost()
    away = call(session, "echo")
    session.end_all(lambda began: _errors.CancelledError("closed", began=began))
    assert (sent.error.began, away.error.began) == ("maybe", "no")  # type: ignore[union-attr]
    assert not session.asks and not session.others


# ---- an exception at any moment


def story(session: Session, hub: FakeHub, requests: Dict[str, Request], found: Dict[str, List[Any]]) -> None:
    """Whatever was not finished is gone on with, as the threads of a link do."""
    if not session.hello_id and not session.welcome:
        session.connected()
    hub.serve(session)
    for name, method, args, stream in (
        ("echo", "echo", ["e"], False),
        ("later", "later", ["l"], False),
        ("frames", "frames", [5], True),
        ("list", "frames", [3], False),
        ("fail", "fail", ["f"], False),
    ):
        if name not in requests:
            r = Request(c.CALL, FOREVER)
            r.stream, r.callback = stream, lambda r: None
            requests[name] = r
            session.call(r, "w", method, args, None, 5.0)
    hub.serve(session)
    if "emit" not in requests:
        requests["emit"] = r = Request(c.EMIT, FOREVER)
        session.emit(r, "a.b", "payload")
    hub.serve(session)
    r = requests["frames"]
    while r.seq and (r.items or not r.ended):
        if r.ready:
            found["items"] = found.get("items", []) + session.take(r)
        if not hub.serve(session) and not r.ready:
            break


@pytest.mark.parametrize("share", range(4))
def test_an_interrupt_at_any_line_loses_and_doubles_nothing(share: int) -> None:
    """KeyboardInterrupt before each line of the session once. Then the connection is given up, and made again. What was cut
    off before it was asked has no number, and is nobody's; everything else has its own outcome once."""
    count, cuts = share + 1, 0
    while True:
        hub, session = FakeHub(), Session("ipc", {})
        requests: Dict[str, Request] = {}
        found: Dict[str, List[Any]] = {}
        cut = wire.Cut(count, "prong/_session.py")
        try:
            with cut:
                story(session, hub, requests, found)
        except KeyboardInterrupt:
            cuts += 1
        lost_take = cut.done and sum(len(v) for v in found.values()) != 5
        session.lost()
        for _ in range(3):
            story(session, hub, requests, found)
        for name, r in requests.items():
            if (r.seq == 0 and not r.ended) or (r not in session.asks.values() and not r.ended):
                continue  # it was never asked
            assert r.ended, (count, name)
        outcome = {name: r.value if r.error is None else str(r.error) for name, r in requests.items() if r.ended}
        expected = {"echo": ["e"], "later": ["l"], "frames": [5], "list": [3], "fail": "f", "emit": 1}
        assert outcome == {name: expected[name] for name in outcome}, count
        if requests["list"].ended:
            assert requests["list"].outcome() == ["item 0", "item 1", "item 2"], count
        if requests["frames"].ended and not lost_take:
            assert found["items"] == [f"item {n}" for n in range(5)], count
        assert len(hub.ran) == len(set(hub.ran)) and len(hub.stored) <= 1
        r = call(session, "echo", ["after"])
        hub.serve(session)
        assert r.outcome() == ["after"]
        if not cut.done:
            break
        count += 4
    assert cuts > 30


def test_time_is_monotonic_only() -> None:
    """No part of it asks for the time of day; the session asks for none at all."""
    session = connected()
    before = time.monotonic()
    call(session, "echo", deadline=before + 1)
    assert session.heard == 0.0
