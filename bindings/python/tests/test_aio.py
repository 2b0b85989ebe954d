"""prong.aio: what prong.connect() has, with await, and cancellation that cancels."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any, Awaitable, Callable, List

import pytest
import tasks
from conftest import SECONDS, HubProcess, serve, until

import prong
import prong.aio

HERE = Path(__file__).resolve().parent
Start = Callable[..., HubProcess]
Body = Callable[[Any], Awaitable[None]]


@pytest.fixture
def run(start_hub: Start) -> Callable[[Body], None]:
    """Runs an `async def` with a connection, in an event loop of its own, which is left clean."""
    process = start_hub(f"""
workers:
  tasks: {{command: {serve(f"{HERE}/tasks.py:Tasks")}, restart_delay: 10ms}}
  pair: {{command: {serve(f"{HERE}/tasks.py:Tasks")}, replicas: 2}}
  many: {{command: {serve(f"{HERE}/tasks.py:Many")}}}
""")

    def run(body: Body) -> None:
        async def main() -> None:
            async with prong.aio.connect(process.url, name="the tests") as hub:
                hub.process = process
                await asyncio.wait_for(body(hub), 2 * SECONDS)
            left = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            await asyncio.wait(left, timeout=5) if left else None
            assert all(t.done() for t in left), left

        asyncio.run(main())

    return run


async def fails(cls: Any, what: Any) -> Any:
    with pytest.raises(cls) as caught:
        await what
    return caught.value


def test_calls(run: Callable[[Body], None]) -> None:
    async def body(hub: Any) -> None:
        worker = hub.worker("tasks")
        assert await worker.echo(1) == await worker.echo(x=1) == await hub.call("tasks", "echo", [1]) == 1
        assert await worker.both(1, b="b", c=5) == [1, "b", [], {"c": 5}]
        assert await asyncio.gather(*(hub.worker("many").echo(n) for n in range(1000))) == list(range(1000))
        assert await worker.echo.submit(7) == 7
        assert await hub.worker("pair/*").echo(5) == [5, 5]
        assert (await hub.describe("tasks"))["echo"]["policy"] == "idempotent"
        told: List[Any] = []
        assert await worker.steps.options(progress=lambda *p: told.append(p))(3) == "there" and told
        error = await fails(prong.UnknownError, worker.fail("no"))
        assert error.type == "LookupError" and error.began == "yes"
        await fails(prong.NotFoundError, hub.call("nobody", "x"))
        await fails(prong.DeadlineExceededError, worker.wait.options(timeout=0.1)())
        await fails(TypeError, worker.echo(object()))
        own = hub.worker(tasks.Tasks)
        assert own.backend.echo is not own.echo and await own.backend.echo(3) == 3

    run(body)


def test_a_cancelled_task_cancels_its_call(run: Callable[[Body], None]) -> None:
    async def body(hub: Any) -> None:
        for name in ("tasks", "many"):
            async with hub.subscribe(f"{name}.waiting", f"{name}.cancelled") as events:
                task = asyncio.ensure_future(hub.call(name, "wait"))
                assert (await events.next(SECONDS)).topic == f"{name}.waiting"
                task.cancel()
                await fails(asyncio.CancelledError, task)
                assert (await events.next(SECONDS)).topic == f"{name}.cancelled"
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(hub.call(name, "wait"), 0.05)
            assert await hub.call(name, "echo", [1]) == 1

    run(body)


def test_streams_and_maps(run: Callable[[Body], None]) -> None:
    async def body(hub: Any) -> None:
        count = hub.worker("tasks").count
        items = count.results(2500)
        assert [i async for i in items] == list(range(2500)) and items.value == "done"
        got: List[int] = []
        with pytest.raises(prong.UnknownError, match="after all"):
            async for item in count.results(3, fail=True):
                got.append(item)
        assert got == [0, 1, 2]
        assert [x async for x in hub.worker("pair").echo.map(range(500), chunk=64)] == list(range(500))
        assert sorted([x async for x in hub.worker("pair").echo.map(range(100), ordered=False)]) == list(range(100))
        async with hub.subscribe("tasks.ended") as ended:
            async with hub.worker("tasks").endless.results() as endless:
                async for item in endless:
                    if item == 50:
                        break
            assert await ended.next(SECONDS) is not None

            async def take() -> None:
                async for _ in hub.worker("tasks").endless.results():
                    pass

            task = asyncio.ensure_future(take())
            await hub.worker("pair").echo(1)
            task.cancel()
            await fails(asyncio.CancelledError, task)
            assert await hub.call("tasks", "echo", [1], timeout=SECONDS) == 1, "a stream that is cancelled ends its method"
        both = await asyncio.gather(*(collect(hub.worker("many").count.results(200)) for _ in range(8)))
        assert both == [list(range(200))] * 8

    run(body)


async def collect(items: Any) -> List[Any]:
    return [item async for item in items]


def test_events(run: Callable[[Body], None]) -> None:
    async def body(hub: Any) -> None:
        async with hub.subscribe("a.>") as events, hub.subscribe("a.x") as others:
            first = await hub.emit("a.x", 1)
            await hub.post("a.y", 2)
            event = await events.next(SECONDS)
            assert (event.topic, event.payload, event.number) == ("a.x", 1, first)
            assert (await events.next(SECONDS)).payload == 2 and await events.next(0.01) is None
            assert (await others.next(SECONDS)).payload == 1
            waits = asyncio.ensure_future(events.next())
            await asyncio.sleep(0)  # lint:allow it begins to wait
            waits.cancel()
            await fails(asyncio.CancelledError, waits)
            for n in range(300):
                await hub.post("a.z", n)
            got = []
            async for event in events:
                got.append(event.payload)
                if len(got) == 300:
                    break
            assert got == list(range(300)), "what is cancelled in a wait loses nothing"
        assert [e async for e in events] == []
        never = hub.subscribe("a.>", from_="oldest")
        cancelled = asyncio.ensure_future(never.next())
        await asyncio.sleep(0)  # lint:allow it begins to look for its position
        cancelled.cancel()
        await fails(asyncio.CancelledError, cancelled)
        assert (await never.next(SECONDS)).payload == 1, "nor does what is cancelled before it has begun"

    run(body)


def test_leases_and_background(run: Callable[[Body], None]) -> None:
    async def body(hub: Any) -> None:
        async with hub.lease("tasks", ttl=20) as own:
            assert await own.echo(1) == 1
            async with prong.aio.connect(hub.url) as another:
                await fails(prong.ProngError, another.call("tasks", "echo", [1], timeout=0.2))
        assert await hub.call("tasks", "echo", [1]) == 1
        found = await hub.worker("tasks").echo.background("kept")
        assert await found.result(SECONDS) == "kept" == await hub.resume(found.handle).result(SECONDS)

    run(body)


def test_close_ends_what_waits(run: Callable[[Body], None]) -> None:
    async def body(hub: Any) -> None:
        another = await prong.aio.connect(hub.url)
        async with hub.subscribe("many.waiting") as events:
            waits = asyncio.ensure_future(another.call("many", "wait"))
            assert await events.next(SECONDS) is not None
        await another.close()
        await another.close()
        await fails(prong.CancelledError, waits)
        await fails(prong.FailedPreconditionError, another.call("tasks", "echo", [1]))
        await fails(prong.UnavailableError, prong.aio.connect("ipc:///nowhere/hub.sock").__aenter__())

    run(body)


def test_a_broker_that_is_killed(run: Callable[[Body], None]) -> None:
    async def body(hub: Any) -> None:
        outcomes: List[Any] = []
        stop = asyncio.Event()

        async def calls(n: int) -> None:
            while not stop.is_set():
                try:
                    assert await hub.call("many", "echo", [n]) == n
                    outcomes.append(n)
                except prong.UnavailableError as error:
                    assert error.began == "maybe"

        tasks = [asyncio.ensure_future(calls(n)) for n in range(5)]
        events = hub.subscribe("mine.>")
        await events.__aenter__()
        for _ in range(2):
            goal = len(outcomes) + 50
            while len(outcomes) < goal:
                await asyncio.sleep(0.001)  # lint:allow others run
            pid = hub.process.broker()
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(until, lambda pid=pid: hub.process.broker() != pid, "another broker")
            goal = len(outcomes) + 50
            while len(outcomes) < goal:
                await asyncio.sleep(0.001)  # lint:allow others run
            await hub.emit("mine.n", "after")
            event = await events.next(SECONDS)
            assert event is not None and event.payload == "after" and event.reset
        stop.set()
        await asyncio.gather(*tasks)
        events.close()

    run(body)


def test_two_event_loops(run: Callable[[Body], None]) -> None:
    """Each with its own connection; that of another loop is refused."""

    async def body(hub: Any) -> None:
        failures: List[Any] = []

        async def other() -> None:
            async with prong.aio.connect(hub.url) as own:
                assert await asyncio.gather(*(own.worker("many").echo(n) for n in range(200))) == list(range(200))
                await fails(prong.FailedPreconditionError, hub.call("many", "echo", [1]))

        def thread() -> None:
            try:
                asyncio.run(other())
            except BaseException as problem:
                failures.append(problem)

        threads = [threading.Thread(target=thread) for _ in range(2)]
        for one in threads:
            one.start()
        assert await asyncio.gather(*(hub.worker("many").echo(n) for n in range(200))) == list(range(200))
        for one in threads:
            await asyncio.to_thread(one.join)
        assert not failures, failures

    run(body)
