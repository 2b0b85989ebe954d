"""What a frontend sees: all of prong.connect(), with a real hub and real workers, and a broker that is killed meanwhile."""

from __future__ import annotations

import concurrent.futures
import inspect
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest
import tasks
from conftest import SECONDS, HubProcess, serve, until

import prong

HERE = Path(__file__).resolve().parent
Start = Callable[..., HubProcess]
CONFIG = f"""
workers:
  tasks: {{command: {serve(f"{HERE}/tasks.py:Tasks")}, restart_delay: 10ms}}
  pair: {{command: {serve(f"{HERE}/tasks.py:Tasks")}, replicas: 2}}
  many: {{command: {serve(f"{HERE}/tasks.py:Many")}}}
"""


@pytest.fixture
def process(start_hub: Start) -> HubProcess:
    return start_hub(CONFIG)


@pytest.fixture
def hub(process: HubProcess) -> Iterator[prong.Client]:
    with prong.connect(process.url, name="the tests") as client:
        yield client


def failure(call: Callable[[], Any]) -> prong.ProngError:
    with pytest.raises(prong.ProngError) as caught:
        call()
    return caught.value


def waiting(hub: prong.Client, call: Callable[[], Any], topic: str = "tasks.waiting") -> Any:
    """What call() gives, as soon as the method that it calls runs."""
    with hub.subscribe(topic) as events:
        found = call()
        assert events.next(SECONDS) is not None
    return found


# ---- calls


def test_ways_to_call(hub: prong.Client) -> None:
    both = hub.worker("tasks").both
    assert both(1) == [1, "x", [], {}]
    assert both(1, "b", 3, 4) == [1, "b", [3, 4], {}]
    assert both(a=1, b="b", c=5) == [1, "b", [], {"c": 5}]
    assert both(1, b="b", c=5) == [1, "b", [], {"c": 5}], "both ways: the worker knows the names"
    for call in (lambda: both(1, a=2), lambda: both(1, "b", 3, c=4)):
        with pytest.raises(TypeError, match=r"both got \d positional arguments"):
            call()
    assert hub.call("tasks", "both", {"a": 1}) == hub.call("tasks", "both", [1]) == hub.call("tasks", "both", (1,))
    assert hub.submit("tasks", "both", [1]).result(SECONDS) == both.submit(a=1).result(SECONDS) == [1, "x", [], {}]
    assert hub.worker("tasks").checked(path="p") == ["p", 0.5]
    assert hub.worker("tasks").checked("p", 1) == ["p", 1.0]


def test_what_a_worker_tells_about_itself(hub: prong.Client) -> None:
    """Names for completion, signatures and docstrings as they stand in its class."""
    proxy = hub.worker("tasks")
    names = dir(proxy)
    assert {"echo", "both", "count", "backend", "hub"} <= set(names) and "setup" not in names and "twice" not in names
    assert "twice" in dir(hub.worker(tasks.Tasks))
    assert str(inspect.signature(proxy.both)) == "(a: int, b: str = 'x', *rest: Any, **named: Any) -> Any"
    assert str(inspect.signature(proxy.checked)) == "(path: str, thresh: float = 0.5) -> Any"
    assert proxy.echo.__doc__ == "Give back what came.\n\nAnd nothing else." == inspect.getdoc(proxy.echo)
    about = hub.describe("tasks")
    assert about["echo"]["policy"] == "idempotent" and about["both"]["policy"] == "once" and about["count"]["yields"] is True
    assert repr(proxy) == f"<worker tasks at {hub.url}>" and repr(proxy.echo) == "<method echo of tasks>"
    assert proxy.echo is proxy.echo and not hasattr(proxy, "_secret")
    with pytest.raises(AttributeError):
        proxy.echo.nothing  # noqa: B018


def test_names_of_classes() -> None:
    from prong._client import name_of

    for name, worker in (
        ("Tasks", "tasks"),
        ("ObjectDetector", "object_detector"),
        ("HTTPServer2", "http_server2"),
        ("A1B", "a1_b"),
    ):
        assert (
            name_of(type(name, (), {})) == (worker, name_of(type(name, (), {}))[1])
            or name_of(type(name, (), {}))[0] == worker
        )
    assert name_of(type("X", (prong.Worker,), {"worker": "own"}))[0] == "own"


def test_frontend_methods_run_here(hub: prong.Client) -> None:
    assert hub.worker(tasks.Tasks).twice("x") == [os.getpid(), "x", "x"]
    assert isinstance(failure(lambda: hub.worker("tasks").twice("x")), prong.UnimplementedError)


def test_options(hub: prong.Client) -> None:
    told: List[Any] = []
    steps = hub.worker("tasks").steps
    assert steps.options(progress=lambda fraction, note: told.append((fraction, note)))(4) == "there"
    assert told and told[-1][0] <= 1.0 and all(note == f"step {round(fraction * 4)}" for fraction, note in told)
    assert hub.call("tasks", "steps", [2], progress=lambda fraction, note: told.append(note)) == "there"
    pids = {hub.worker("pair").pid.options(key=b"k", policy="once")() for _ in range(8)}
    assert len(pids) == 1, "one key, one replica"
    assert {hub.worker(f"pair/{n}").pid() for n in (0, 1)} == set(hub.worker("pair/*").pid())
    assert hub.worker("tasks").who.options(timeout=3.0)()[2] <= 3.0
    for timeout in (0, -1, 3601, float("nan")):
        with pytest.raises(ValueError, match="timeout is"):
            hub.call("tasks", "echo", timeout=timeout)
    assert isinstance(failure(lambda: hub.call("tasks", "echo", priority=10)), prong.InvalidArgumentError)
    assert hub.call("tasks", "echo", [1], priority=9) == 1
    assert isinstance(failure(lambda: hub.call("tasks", "echo", policy="sometimes")), prong.InvalidArgumentError)
    with pytest.raises((TypeError, ValueError)):
        hub.worker("tasks").echo.options(nothing=1)


def test_each_code_is_a_class(hub: prong.Client) -> None:
    classes = [getattr(prong, n) for n in prong.__all__ if n.endswith("Error") and n != "ProngError"]
    assert len(classes) == 16 and sorted(c.code for c in classes) == list(range(1, 17))
    for cls in classes:
        error = failure(lambda cls=cls: hub.call("tasks", "fail", ["said", cls.__name__]))
        assert type(error) is cls and (error.message, error.details["more"], error.began) == ("said", 1, "yes")
    with pytest.raises(TimeoutError):
        hub.call("tasks", "fail", ["said", "DeadlineExceededError"])
    with pytest.raises(ConnectionError):
        hub.call("tasks", "fail", ["said", "UnavailableError"])


def test_errors_where_they_come_about(hub: prong.Client, process: HubProcess, folder: str) -> None:
    late = hub.worker("tasks").wait.options(timeout=0.2)
    error = failure(late)
    assert isinstance(error, prong.DeadlineExceededError) and error.began != "no"
    assert isinstance(failure(lambda: hub.emit("hub.worker.ready")), prong.PermissionDeniedError)
    assert isinstance(failure(lambda: hub.emit("no topic")), prong.InvalidArgumentError)
    assert isinstance(failure(lambda: hub.subscribe("no filter")), prong.InvalidArgumentError)
    assert isinstance(failure(lambda: prong.connect(f"ipc://{folder}/nothing.sock")), prong.UnavailableError)
    for url in ("nonsense", "http://x", "tcp://host", "ipc:/x"):
        assert isinstance(failure(lambda url=url: prong.connect(url)), prong.InvalidArgumentError)
    with pytest.raises(TypeError, match="cannot be sent to another process"):
        __import__("pickle").dumps(hub)
    another = prong.connect(process.url)
    another.close()
    another.close()
    for call in (
        lambda: another.call("tasks", "echo"),
        lambda: another.emit("a.b"),
        another.fileno,
        lambda: another.submit("tasks", "echo"),
    ):
        assert isinstance(failure(call), prong.FailedPreconditionError)


def test_calls_within_calls(hub: prong.Client) -> None:
    pair = hub.worker("pair")
    assert pair.through("tasks", "echo", [1]) == 1
    error = failure(lambda: pair.through("tasks", "fail", ["deep"]))
    assert isinstance(error, prong.UnknownError) and error.message == "deep" and error.began == "yes"
    error = failure(lambda: pair.through("tasks", "echo", [1, 2]))
    assert isinstance(error, prong.InvalidArgumentError) and error.began == "yes", "the outer one had begun"
    error = failure(lambda: hub.call("tasks", "through", ["tasks", "echo", [1]]))
    assert isinstance(error, prong.FailedPreconditionError), "it can never run: its only replica is taken"
    assert "pair/" in pair.through("tasks", "who", [])[1], "who calls"


def test_one_of_each_replica(hub: prong.Client) -> None:
    assert len({who[0] for who in hub.worker("pair/*").who()}) == 2
    assert hub.worker("pair/*").echo(5) == [5, 5]
    assert isinstance(failure(lambda: hub.worker("pair/*").fail()), prong.UnknownError)
    assert isinstance(failure(lambda: hub.worker("pair/7").echo()), prong.NotFoundError)


# ---- futures


def test_two_thousand_at_once(hub: prong.Client) -> None:
    futures = [hub.submit("many", "echo", [n]) for n in range(2000)]
    assert [f.result(SECONDS) for f in futures] == list(range(2000))


def test_futures_are_those_of_the_library(hub: prong.Client) -> None:
    tasks = hub.worker("tasks")
    futures = {tasks.echo.submit(n): n for n in range(50)}
    for future in concurrent.futures.as_completed(futures, SECONDS):
        assert future.result() == futures[future] and future.exception() is None  # type: ignore[index]
    told: List[Any] = []
    future = tasks.fail.submit("no")
    future.add_done_callback(told.append)
    assert isinstance(future.exception(SECONDS), prong.UnknownError)
    until(lambda: told == [future], "its callback")
    done, left = concurrent.futures.wait([tasks.echo.submit(1), tasks.echo.submit(2)], SECONDS)
    assert len(done) == 2 and not left
    with pytest.raises(TypeError, match=r"arguments of tasks\.echo"):
        tasks.echo.submit(object())
    slow = waiting(hub, tasks.wait.submit)
    with pytest.raises(concurrent.futures.TimeoutError):
        slow.result(0.01)
    slow.cancel()


def test_cancel_reaches_the_method(hub: prong.Client) -> None:
    for worker, topic in (("tasks", "tasks"), ("many", "many")):
        future = waiting(hub, hub.worker(worker).wait.submit, f"{topic}.waiting")
        with hub.subscribe(f"{topic}.cancelled") as cancelled:
            assert future.cancel() and future.cancelled() and future.cancel()
            assert cancelled.next(SECONDS) is not None
        with pytest.raises(concurrent.futures.CancelledError):
            future.result()
        assert hub.call(worker, "echo", [1]) == 1
    done = hub.submit("tasks", "echo", [1])
    assert done.result(SECONDS) == 1 and not done.cancel()


def test_what_is_queued_is_cancelled_without_having_begun(hub: prong.Client) -> None:
    first = waiting(hub, hub.worker("tasks").wait.submit)
    queued = [hub.submit("tasks", "once", ["key"]) for _ in range(20)]
    assert all(f.cancel() for f in queued)
    first.cancel()
    assert hub.call("tasks", "counts") == []


def test_a_callback_may_call_and_wait(hub: prong.Client) -> None:
    found: List[Any] = []
    done = threading.Event()

    def callback(future: Any) -> None:
        found.append(hub.call("tasks", "echo", [future.result() + 1]))
        found.append(hub.submit("tasks", "echo", [9]).result(SECONDS))
        done.set()

    hub.submit("tasks", "echo", [1]).add_done_callback(callback)
    assert done.wait(SECONDS) and found == [2, 9]


def test_close_ends_what_waits(process: HubProcess) -> None:
    hub = prong.connect(process.url)
    future = waiting(hub, hub.worker("tasks").wait.submit)
    found: List[Any] = []

    def wait() -> None:
        with pytest.raises(prong.CancelledError) as caught:
            hub.call("many", "wait")
        found.append(caught.value)

    thread = threading.Thread(target=wait)
    with prong.connect(process.url) as another, another.subscribe("many.waiting") as events:
        thread.start()
        assert events.next(SECONDS) is not None
        hub.close()
    thread.join(SECONDS)
    assert found and isinstance(future.exception(SECONDS), prong.CancelledError)


def test_a_callback_that_ctrl_c_has_cut_off_is_made_up_for(hub: prong.Client) -> None:
    link = hub._link
    link._tell = link.session.news.clear
    future = hub.submit("many", "echo", [7])
    assert hub.call("many", "echo", [1]) == 1
    until(lambda: not link.session.asks, "both outcomes")
    del link._tell
    assert not future.done() and future.result(SECONDS) == 7


def test_fifty_threads_on_one_connection(hub: prong.Client) -> None:
    failures: List[Any] = []

    def body(n: int) -> None:
        try:
            for i in range(8):
                assert hub.call("many", "echo", [[n, i]]) == [n, i]
                assert hub.submit("many", "echo", [[n, i]]).result(SECONDS) == [n, i]
            assert list(hub.worker("many").count.results(5)) == list(range(5))
        except BaseException as problem:
            failures.append(problem)

    threads = [threading.Thread(target=body, args=(n,)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert not failures, failures


# ---- many


def test_map(hub: prong.Client) -> None:
    tasks = hub.worker("pair")
    assert list(tasks.echo.map([])) == []
    assert list(tasks.echo.map(range(1000), chunk=64)) == list(range(1000))
    assert sorted(tasks.echo.map(range(300), ordered=False, chunk=64)) == list(range(300))
    assert list(tasks.both.map([(1, "b"), [2], {"a": 3}, 4])) == [
        [1, "b", [], {}],
        [2, "x", [], {}],
        [3, "x", [], {}],
        [4, "x", [], {}],
    ]
    drawn: List[int] = []
    with tasks.echo.map((drawn.append(n) or n for n in range(10_000)), chunk=10) as found:  # type: ignore[func-returns-value]
        assert next(found) == 0
        assert len(drawn) <= 30, "an endless source is drawn from as its values are taken"
    items = tasks.checked.map([("a",), (1,), ("b",)])
    assert next(items) == ["a", 0.5]
    with pytest.raises(prong.InvalidArgumentError, match="path: str"):
        next(items)
    assert next(items) == ["b", 0.5] and list(items) == [], "an error stands in its place"
    with pytest.raises(TypeError, match="object"):
        list(tasks.echo.map([1, object()]))


def test_map_of_what_no_message_holds_together(hub: prong.Client) -> None:
    sets = [bytes([n]) * (3 << 20) for n in range(9)]
    assert [len(x) == 3 << 20 and x[0] == n for n, x in enumerate(hub.worker("tasks").echo.map(sets))] == [True] * 9
    with pytest.raises(prong.ResourceExhaustedError):
        list(hub.worker("tasks").echo.map([b"x" * (17 << 20)]))


# ---- streams


def test_what_a_method_yields(hub: prong.Client) -> None:
    count = hub.worker("tasks").count
    items = count.results(2500)
    assert list(items) == list(range(2500)) and items.value == "done" and list(items) == []
    assert count(3) == [0, 1, 2], "a call gets all in one list"
    items = count.results(3, fail=True)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(prong.UnknownError, match="after all of them"):
        next(items)
    assert list(hub.worker("many").count.results(300)) == list(range(300))
    assert list(hub.worker("tasks").echo.results(5)) == [], "what does not yield has no items"
    assert list(count.results(0)) == []


def test_a_slow_reader_holds_its_writer_up(hub: prong.Client) -> None:
    """No more than some MiB are anywhere while nobody takes them; then all of them come."""
    with hub.worker("tasks").large.results(200, 100_000) as items:
        assert next(items)[:4] == bytes(4)
        hub.worker("pair").echo(1)
        held = sum(len(i) for i in items._items) + sum(len(i) for r in items._requests for i in r.items)
        assert held <= 2 << 20
        for n, item in enumerate(items, 1):
            assert item == n.to_bytes(4, "big") * 25_000
    assert n == 199


def test_a_stream_that_is_left_ends_its_method(hub: prong.Client) -> None:
    with hub.subscribe("tasks.ended") as ended:
        with hub.worker("tasks").endless.results() as items:
            for item in items:
                if item == 100:
                    break
        assert ended.next(SECONDS) is not None
        items = hub.worker("tasks").endless.results()
        assert next(items) == 0
        items.cancel()
        with pytest.raises(prong.CancelledError):
            list(items)
        assert ended.next(SECONDS) is not None
    assert hub.call("tasks", "echo", [1]) == 1


# ---- background


def test_background_is_found_again_by_another_program(hub: prong.Client) -> None:
    with hub.subscribe("tasks.done") as done:
        found = hub.worker("tasks").echo.background("kept")
        event = done.next(SECONDS)
        assert event is not None and event.payload["value"] == "kept"
    program = "import prong, sys\nwith prong.connect(sys.argv[1]) as hub: print(hub.resume(sys.argv[2]).result(20))"
    out = subprocess.run(
        [sys.executable, "-c", program, hub.url, found.handle], stdout=subprocess.PIPE, text=True, check=True
    )
    assert out.stdout == "kept\n"
    assert found.result(SECONDS) == "kept" == hub.resume(found.handle).result()
    slow = waiting(hub, hub.worker("tasks").wait.background)
    with pytest.raises(prong.DeadlineExceededError, match="goes on"):
        slow.result(0.05)
    for handle in ("", "x-1", "0" * 32, f"{'0' * 32}-x"):
        with pytest.raises(ValueError, match="no handle"):
            hub.resume(handle)
    error = failure(lambda: hub.resume(f"{'0' * 32}-1").result(SECONDS))
    assert isinstance(error, prong.NotFoundError)
    assert isinstance(failure(lambda: hub.worker("pair").fail.background("later").result(SECONDS)), prong.UnknownError)
    os.kill(hub.call("hub", "status")["workers"]["tasks"]["replicas"][0]["pid"], signal.SIGKILL)


# ---- events


def test_where_subscriptions_begin(hub: prong.Client) -> None:
    first = hub.emit("a.x", 1)
    assert hub.emit("a.y", {"k": [2]}) == first + 1
    hub.emit("b.x", 3)
    hub.emit("a.x", 4)

    def got(*filters: str, from_: Any, n: int) -> List[Any]:
        with hub.subscribe(*filters, from_=from_) as events:
            found = [events.next(SECONDS).payload for _ in range(n)]  # type: ignore[union-attr]
            assert events.next(0) is None
            return found

    assert got("a.>", from_="oldest", n=3) == [1, {"k": [2]}, 4]
    assert got("a.x", "b.*", from_=first + 1, n=2) == [3, 4]
    assert got("a.>", from_="last", n=2) == [{"k": [2]}, 4]
    with hub.subscribe("*.x") as events:
        hub.post("a.x", 5)
        hub.post("a.y", 6)
        hub.post("b.x", 7)
        event = events.next(SECONDS)
        assert event is not None and (event.topic, event.payload, event.source, event.lost) == ("a.x", 5, "", 0)
        assert abs(event.time - __import__("time").time()) < 600 and event.number == first + 4
        assert events.next(SECONDS).payload == 7  # type: ignore[union-attr]
        assert events.next(0.01) is None
    assert failure(lambda: events.next(0)).code == 9 and list(events) == []


def test_events_of_a_worker_are_named_after_it(hub: prong.Client) -> None:
    with hub.subscribe("tasks.>", "other.>") as events:
        hub.call("tasks", "publish", ["found", 1])
        hub.call("tasks", "publish", ["other.topic", 2])
        assert [(e.topic, e.payload, e.source) for e in (events.next(SECONDS), events.next(SECONDS))] == [  # type: ignore[union-attr]
            ("tasks.found", 1, "tasks/0"),
            ("other.topic", 2, "tasks/0"),
        ]


def test_an_iterator_ends_with_its_subscription(process: HubProcess) -> None:
    with prong.connect(process.url) as hub:
        events = hub.subscribe("some.>")
        found: List[Any] = []
        thread = threading.Thread(target=lambda: found.extend(events))
        thread.start()
        for n in range(100):
            hub.emit("some.topic", n)
        until(lambda: len(found) == 100, "the events")
    thread.join(SECONDS)
    assert not thread.is_alive() and [e.payload for e in found] == list(range(100))


def test_what_the_hub_no_longer_has_is_counted(start_hub: Start) -> None:
    with prong.connect(start_hub("hub: {events_size: 64KiB}").url) as hub, hub.subscribe("some.>") as events:
        for _ in range(3000):
            hub.post("some.topic", bytes(100))
        last = hub.emit("some.topic", "the last")
        found = []
        while not found or found[-1].payload != "the last":
            found.append(events.next(SECONDS))
        assert events.lost > 0 and events.lost == sum(e.lost for e in found)  # type: ignore[union-attr]
        assert events.lost + len(found) == 3001 and found[-1].number == last  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "payload",
    [b"\x81\x91\x01\x02", b"\x91" * 1500 + b"\x01", b"\xa1\xff", b"\xc7\x0d\xff" + bytes(13), b"\xd4\x80\x00"],
    ids=lambda p: p.hex()[:10],
)
def test_an_event_that_cannot_be_read_is_one_event(hub: prong.Client, payload: bytes) -> None:
    """Emitted by a program in another language. Its payload is what can be made of it, or the error; the others come."""
    from prong import _constants as c
    from prong._session import Request

    with hub.subscribe("some.>") as events:
        hub.emit("some.topic", "before")
        link, r = hub._link, Request(c.EMIT, float("inf"))

        def emit(r: Any) -> None:
            link.session.emit(r, "some.topic", None)

        packer = link.session.packer

        class Raw:
            def pack(self, record: Any) -> bytes:
                return packer.pack(record)[:-1] + payload

        link.session.packer = Raw()
        try:
            link.ask(emit, r)
        finally:
            link.session.packer = packer
        assert link.wait(r, float("inf")) and r.outcome() > 0
        hub.emit("some.topic", "after")
        found = [events.next(SECONDS).payload for _ in range(3)]  # type: ignore[union-attr]
        assert found[0] == "before" and found[2] == "after"
        assert isinstance(found[1], (Exception, str, tuple))


# ---- leases


def test_a_lease_is_for_one_client_alone(hub: prong.Client, process: HubProcess) -> None:
    with hub.lease("tasks", ttl=20) as own:
        pid = own.pid()
        assert own.echo(1) == 1 and own.echo.submit(2).result(SECONDS) == 2 and list(own.count.results(3)) == [0, 1, 2]
        own.renew()
        with prong.connect(process.url) as another:
            assert isinstance(failure(lambda: another.call("tasks", "echo", [1], timeout=0.2)), prong.ProngError)
            assert isinstance(failure(lambda: another.lease("tasks", timeout=0.2).__enter__()), prong.DeadlineExceededError)
            waits = another.submit("tasks", "pid")
    with prong.connect(process.url) as another:
        assert another.call("tasks", "pid") == pid, "given back"
    assert waits.done()
    with hub.lease(tasks.Tasks, ttl=20) as own:
        assert own.twice(3)[1:] == [3, 3]


# ---- waiting on descriptors


def test_fileno_with_select(hub: prong.Client) -> None:
    """One wait for a pipe, a subscription and futures."""
    read, write = os.pipe()
    got: List[Any] = []
    with hub.subscribe("some.>") as events:
        futures = {hub.submit("tasks", "echo", [n]): n for n in range(20)}
        for n in range(20):
            hub.post("some.topic", n)
        os.write(write, b"p")
        while len(got) < 41:
            ready = select.select([read, hub.fileno()], [], [], SECONDS)[0]
            assert ready, got
            if read in ready:
                got.append(os.read(read, 1))
            if hub.fileno() in ready:
                hub.poll()
                while True:
                    event = events.next(0)
                    if event is None:
                        break
                    got.append(("event", event.payload))
                for future in [f for f in futures if f.done()]:
                    got.append(("value", future.result()))
                    del futures[future]
    os.close(read)
    os.close(write)
    assert sorted(x[1] for x in got if x[0] == "event") == sorted(x[1] for x in got if x[0] == "value") == list(range(20))


# ---- the broker dies


def killed(process: HubProcess) -> None:
    """kill -9 of the broker; returns when there is another."""
    pid = process.broker()
    os.kill(pid, signal.SIGKILL)
    until(lambda: process.broker() != pid, "another broker")


def test_a_broker_that_is_killed(process: HubProcess) -> None:
    """What was on its way ends with UNAVAILABLE, began maybe, and has begun once at most; everything else has its own
    outcome. Subscriptions go on in the events of the new broker and say so; none comes twice and none of
    its own is missing."""
    stop, failures, ends = threading.Event(), list[Any](), [0]
    outcomes: List[Any] = []
    emitted: List[int] = []
    seen: List[Any] = []

    def told(call: Callable[[], Any]) -> Any:
        """The value, or what the death of a broker makes of it."""
        try:
            return call()
        except prong.UnavailableError as error:
            assert error.began == "maybe" and "started anew" in error.message, error
            ends[0] += 1
            return error

    with prong.connect(process.url) as hub, prong.connect(process.url) as other:
        events = other.subscribe("mine.>")

        def once() -> None:
            outcomes.append(told(lambda: hub.call("tasks", "once", [len(outcomes)])))

        def future() -> None:
            value = told(lambda: hub.submit("pair", "echo", [7]).result(SECONDS))
            assert value == 7 or isinstance(value, prong.UnavailableError)

        def emit() -> None:
            number = told(lambda: hub.emit("mine.n", len(emitted)))
            emitted.append(-1 if isinstance(number, prong.ProngError) else number)

        def read() -> None:
            event = events.next(0.1)
            if event is not None:
                seen.append(event)

        def stream() -> None:
            items: List[int] = []
            told(lambda: items.extend(hub.worker("many").count.results(2000)))
            assert items == list(range(len(items)))

        def run(body: Callable[[], None]) -> threading.Thread:
            def guarded() -> None:
                try:
                    while not stop.is_set():
                        body()
                except BaseException as problem:
                    failures.append(problem)

            thread = threading.Thread(target=guarded, daemon=True)
            thread.start()
            return thread

        def goes_on() -> None:
            calls, got = len(outcomes) + 20, len(seen) + 20
            until(lambda: failures or (len(outcomes) > calls and len(seen) > got), "calls and events go on")
            assert not failures, failures

        threads = [run(body) for body in (once, future, emit, read, stream)]
        for _ in range(3):
            goes_on()
            killed(process)
        goes_on()
        stop.set()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        assert not failures, failures
        last = hub.emit("mine.n", "last")
        while seen[-1].payload != "last":
            event = events.next(SECONDS)
            assert event is not None
            seen.append(event)
        assert seen[-1].number == last
        payloads = [e.payload for e in seen[:-1]]
        assert payloads == sorted(set(payloads)), "each event once, in order"
        anew = max(n for n, e in enumerate(seen) if e.reset)
        assert 1 <= sum(e.reset for e in seen) <= 3
        known = [n for n, number in enumerate(emitted) if number >= 0 and n >= seen[anew].payload]
        assert [p for p in payloads[anew:] if emitted[p] >= 0] == known, "all that the last broker took"
        assert ends[0] > 0 and all(o == 1 or isinstance(o, prong.UnavailableError) for o in outcomes)
        assert set(hub.call("tasks", "counts")) == {1}, "each call began once at most"


def test_a_worker_that_is_killed(hub: prong.Client) -> None:
    """A once call may have begun and says so; an idempotent one runs again."""
    future = waiting(hub, hub.worker("tasks").wait.submit)
    os.kill(hub.call("hub", "status")["workers"]["tasks"]["replicas"][0]["pid"], signal.SIGKILL)
    error = future.exception(SECONDS)
    assert isinstance(error, prong.AbortedError) and error.began != "no" and error.replica == "tasks/0"
    assert error.details["signal"] == signal.SIGKILL
    assert hub.call("tasks", "echo", [1]) == 1


def test_without_a_hub_calls_end_by_their_deadline(start_hub: Start) -> None:
    process = start_hub(CONFIG)
    with prong.connect(process.url) as hub, prong.connect(process.url, reconnect=0.1) as short:
        assert hub.call("tasks", "echo", [1]) == short.call("tasks", "echo", [1]) == 1
        process.stop()
        error = failure(lambda: hub.call("tasks", "echo", timeout=0.3))
        assert isinstance(error, prong.DeadlineExceededError) and not hub.is_connected
        assert failure(lambda: hub.call("tasks", "echo", timeout=0.1)).began == "no"
        error = failure(lambda: short.call("tasks", "echo", timeout=20.0))
        assert isinstance(error, prong.UnavailableError)
        assert isinstance(hub.submit("tasks", "echo", timeout=0.1).exception(SECONDS), prong.DeadlineExceededError)


# ---- networks


def network(process: HubProcess, scheme: str) -> str:
    return process.wait_log(rf"listening on ({re.escape(scheme)}://\S+)")[1]


def test_tcp_with_a_token(start_hub: Start) -> None:
    process = start_hub(CONFIG + 'hub: {listen: ["tcp://127.0.0.1:0"]}\n')
    url, token = network(process, "tcp"), (process.run_dir / "token").read_text().strip()
    for given in (token, token.encode()):
        with prong.connect(url, token=given) as hub:
            assert hub.call("tasks", "echo", ["x" * 100_000]) == "x" * 100_000
            assert list(hub.worker("tasks").count.results(500)) == list(range(500))
    for wrong in (None, "0" * 64, "x"):
        assert isinstance(failure(lambda wrong=wrong: prong.connect(url, token=wrong)), prong.UnauthenticatedError)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make a certificate with")
def test_tls(start_hub: Start, folder: str) -> None:
    for name in ("cert", "other"):
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout",
                f"{folder}/{name}.key",
                "-out",
                f"{folder}/{name}.pem",
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )
    process = start_hub(
        CONFIG
        + f"""
hub: {{listen: ["tls+tcp://127.0.0.1:0"], tls_cert_file: {folder}/cert.pem, tls_key_file: {folder}/cert.key}}
"""
    )
    url, token = network(process, "tls+tcp"), (process.run_dir / "token").read_text().strip()
    with prong.connect(url, token=token, tls_ca_file=f"{folder}/cert.pem") as hub:
        assert hub.call("tasks", "echo", ["x" * 3_000_000]) == "x" * 3_000_000
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            found = [threads.submit(hub.call, "many", "echo", [bytes([n % 250]) * 20_000]) for n in range(200)]
            assert [f.result(SECONDS)[0] for f in found] == [n % 250 for n in range(200)]
    with prong.connect(url, token=token, tls_ca_file=f"{folder}/cert.pem", tls_name="localhost") as hub:
        assert hub.call("tasks", "echo", [1]) == 1
    for more in ({"tls_ca_file": f"{folder}/other.pem"}, {"tls_ca_file": f"{folder}/cert.pem", "tls_name": "elsewhere"}):
        error = failure(lambda more=more: prong.connect(url, token=token, timeout=5.0, **more))
        assert isinstance(error, prong.UnavailableError) and "certificate" in error.message
