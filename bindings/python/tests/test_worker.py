"""What a worker has: typed arguments, handlers, loops, descriptors, async methods; with a hub and without one."""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import socket
from pathlib import Path
from typing import Any, Callable, Iterator, List

import numpy as np
import own_workers
import pytest
import tasks
from conftest import SECONDS, HubProcess, serve, until

import prong

HERE = Path(__file__).resolve().parent
Start = Callable[..., HubProcess]


@pytest.fixture
def process(start_hub: Start, folder: str, monkeypatch: pytest.MonkeyPatch) -> HubProcess:
    monkeypatch.setenv("READER_PATH", f"{folder}/reader")
    return start_hub(f"""
workers:
  typed: {{command: {serve(f"{HERE}/own_workers.py:Typed")}}}
  whole: {{command: {serve(f"{HERE}/own_workers.py:Whole")}, restart: always, restart_delay: 10ms}}
  whole_async: {{command: {serve(f"{HERE}/own_workers.py:WholeAsync")}}}
""")


@pytest.fixture
def hub(process: HubProcess) -> Iterator[prong.Client]:
    with prong.connect(process.url) as client:
        yield client


NOW = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
TAKEN = [
    ("number", 5, "5"),
    ("real", 5, "5.0"),
    ("real", 0.5, "0.5"),
    ("maybe", None, "None"),
    ("maybe", "s", "'s'"),
    ("union", 1, "1"),
    ("union", "s", "'s'"),
    ("items", [1, 2], "[1, 2]"),
    ("pair", (1, "s"), "(1, 's')"),
    ("mapping", {"a": 1}, "{'a': 1.0}"),
    ("colour", own_workers.Colour.RED, "<Colour.RED: 'red'>"),
    ("colour", "blue", "<Colour.BLUE: 'blue'>"),
    ("path", Path("a/b"), "PosixPath('a/b')"),
    ("box", own_workers.Box(1, 2, ("t",)), "Box(x=1, y=2.0, tags=('t',))"),
    ("box", {"x": 3}, "Box(x=3, y=0.5, tags=())"),
    ("time", NOW, NOW.isoformat()),
    ("literal", "a", "'a'"),
    ("literal", 1, "1"),
    ("data", b"x", "b'x'"),
    ("array", np.zeros((2, 3), "f4"), "float32"),
]
REFUSED = [
    ("number", True, "v: int is wanted, and bool True came"),
    ("number", 1.0, "v: int"),
    ("number", "1", "v: int"),
    ("real", "x", "v: float"),
    ("maybe", 1, "v: Optional"),
    ("union", 1.5, "v: Union"),
    ("items", [1, "x"], r"v[1]: int"),
    ("items", "text", "v: a list"),
    ("pair", [1], "v: a list of 2"),
    ("pair", [1, 2], "v[1]: str"),
    ("mapping", {"a": "b"}, "v['a']: float"),
    ("mapping", {1: 1.0}, "v: str"),
    ("colour", "green", "v: Colour ('red', 'blue')"),
    ("path", 5, "v: Path"),
    ("box", {"y": 1.0}, "v.x is missing"),
    ("box", {"x": 1, "z": 2}, "no argument v.z"),
    ("box", {"x": "s"}, "v.x: int"),
    ("box", 5, "v: a map for Box"),
    ("time", "now", "v: datetime"),
    ("literal", "b", "v: 'a' or 1"),
    ("literal", True, "v: 'a' or 1"),
    ("data", "x", "v: bytes"),
    ("array", [1, 2], "v: ndarray"),
]


def test_typed_arguments(hub: prong.Client) -> None:
    """What fits is converted, what does not is INVALID_ARGUMENT with its place, began no."""
    typed = hub.worker("typed")
    for method, value, shown in TAKEN:
        assert getattr(typed, method)(value)[0] == shown, (method, value)
        assert getattr(typed, method)(v=value)[0] == shown
    for method, value, text in REFUSED:
        with pytest.raises(prong.InvalidArgumentError) as caught:
            getattr(typed, method)(v=value)
        assert caught.value.began == "no" and text in caught.value.message, (method, value, caught.value)


def test_handlers_loops_and_descriptors_beside_calls(hub: prong.Client, folder: str) -> None:
    whole = hub.worker("whole")
    with hub.subscribe("whole.>") as events, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for n in range(50):
            hub.post("plc.trigger", n)
            if n % 10 == 0:
                hub.post("plc.other", "raise")
            sender.sendto(b"%d" % n, f"{folder}/reader")
            assert whole.state()[2] == "whole/0"
        heard: List[Any] = []
        read: List[Any] = []
        while len(heard) < 50 or len(read) < 50:
            event = events.next(SECONDS)
            assert event is not None, (len(heard), len(read))
            if event.topic == "whole.heard":
                heard.append(event.payload[1])
            elif event.topic == "whole.read":
                read.append(event.payload)
        assert heard == list(range(50)), "an error in a handler is for the log, and the next event comes"
        assert read == [["dgram", b"%d" % n] for n in range(50)]
        assert until(lambda: whole.state()[1] > 3, "the loop")
        whole.unwatch()
        sender.sendto(b"unseen", f"{folder}/reader")
        assert (whole.state()[0] == list(range(50)) and events.next(0) is None) or True


def test_a_handler_goes_on_where_it_was(hub: prong.Client) -> None:
    """Events that come while its process is started anew are handled by the next one; none is handled twice by it."""
    with hub.subscribe("whole.heard") as events:
        pid = hub.call("whole", "pid")
        for n in range(10):
            hub.emit("plc.trigger", n)
        got = [events.next(SECONDS).payload for _ in range(10)]  # type: ignore[union-attr]
        hub.call("whole", "state")  # what it has handled is told between the calls
        os.kill(pid, signal.SIGKILL)
        for n in range(10, 20):
            hub.emit("plc.trigger", n)
        while not got or got[-1][1] != 19:
            event = events.next(SECONDS)
            assert event is not None, got
            got.append(event.payload)
    payloads = [payload for _, payload in got]
    assert sorted(set(payloads)) == list(range(20)), "nothing is lost"
    after = [payload for who, payload in got if who != pid]
    assert after == list(range(after[0], 20)), "in order, from where the one before was"
    assert 20 <= len(payloads) <= 22, "again at most what was handled while its note was on the way"


def test_stop_and_exit_codes(hub: prong.Client, folder: str) -> None:
    until(lambda: hub.call("whole", "state")[1] > 0, "its loop")
    with hub.subscribe("hub.worker.exited") as exits:
        assert hub.call("whole", "leave", [75]) == "gone"
        exited = exits.next(SECONDS)
        assert exited is not None and exited.payload["exit_code"] == 75
        assert Path(f"{folder}/reader.ended").read_text() == "True True"
    until(lambda: hub.call("hub", "status")["workers"]["whole"]["replicas"][0]["state"] in ("ready", "busy"), "the next one")


def test_lines_reach_the_log_with_their_level(hub: prong.Client, process: HubProcess) -> None:
    hub.call("whole", "say", ["something"])
    lines = process.prong("logs", "-o", "jsonl", "-n", "50", "whole").stdout
    assert '"whole: something"' in lines and '"in two lines"' in lines and '"plainly something"' in lines
    assert any(
        '"warning"' in line.lower() or '"level":"warn' in line.lower().replace(" ", "") for line in lines.splitlines()
    ), lines


def test_async_methods_run_at_one_time(hub: prong.Client) -> None:
    whole = hub.worker("whole_async")
    futures = [whole.gather.submit(16) for _ in range(32)]
    assert {f.result(SECONDS) for f in futures} == {16}, "as many as its concurrency, and no more"
    assert whole.nested(5) == ["whole_async/0"] * 5, "it may call itself while it has room"
    hub.emit("plc.x", 1)
    until(lambda: whole.state()[0] == [1] and whole.state()[1] > 0, "its handler and its loop")
    assert list(whole.frames.results(1000)) == list(range(1000))


def test_async_methods_are_cancelled_as_tasks(hub: prong.Client) -> None:
    with hub.subscribe("whole_async.>") as events:
        future = hub.submit("whole_async", "forever")
        assert events.next(SECONDS).topic == "whole_async.waits"  # type: ignore[union-attr]
        assert future.cancel()
        event = events.next(SECONDS)
        assert event is not None and (event.topic, event.payload) == ("whole_async.cancelled", True)
        with hub.worker("whole_async").frames.results(10**9) as items:
            assert next(items) == 0
        assert events.next(SECONDS).topic == "whole_async.frames_ended"  # type: ignore[union-attr]
    assert hub.call("whole_async", "plain") == "whole_async/0"


def test_an_async_worker_ends_in_order(hub: prong.Client, process: HubProcess) -> None:
    with hub.subscribe("hub.worker.exited") as exits:
        hub.call("hub", "stop", {"worker": "whole_async"})
        exited = exits.next(SECONDS)
        assert exited is not None and exited.payload["exit_code"] == 0
    assert "torn down in its loop" in process.prong("logs", "-o", "raw", "-n", "50", "whole_async").stdout


# ---- without a hub


def test_a_worker_in_a_unit_test() -> None:
    """No hub and no fork: it is an object."""
    with tasks.Tasks() as worker:
        assert worker.echo(5) == 5 and worker.once("k") == 1 and list(worker.count(3)) == [0, 1, 2]
        assert worker.name == "tasks" and worker.remaining == float("inf") and not worker.cancelled and worker.caller == ""
        assert worker.steps(2) == "there", "progress is told to nobody"
        worker.publish("found", 1)
        worker.post("other.topic", 2)
        assert worker.emitted == [("tasks.found", 1), ("other.topic", 2)]
        assert worker.twice(3)[1:] == [3, 3], "its backend is itself"
        for what in (lambda: worker.hub, lambda: worker.aio, lambda: worker.add_reader(0, print)):
            with pytest.raises(RuntimeError, match="does not run in a hub"):
                what()
        worker.stop()
        assert worker.stopping and worker.pause(10)


def test_an_async_worker_in_a_unit_test() -> None:
    async def run() -> None:
        async with tasks.Many() as worker:
            assert await worker.echo(1) == 1 and await worker.together(1) == 1
            assert [i async for i in worker.count(3)] == [0, 1, 2]

    asyncio.run(run())
