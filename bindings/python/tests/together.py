"""A frontend with forks, processes, threads and event loops: together.py URL KIND. Ends with 0, and prints nothing."""

from __future__ import annotations

import asyncio
import faulthandler
import multiprocessing
import os
import random
import select
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List

import prong
import prong.aio

SECONDS = 30.0


def calls(url: str, first: int, n: int) -> int:
    """So many calls on a connection of its own."""
    with prong.connect(url) as hub:
        for i in range(first, first + n):
            assert hub.call("tasks", "echo", [i]) == i
    return first


def child(function: Callable[[], None]) -> int:
    """Fork, run it there, and the pid."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def wait(pid: int) -> None:
    """It ends soon, with 0."""
    pidfd = os.pidfd_open(pid)
    try:
        assert select.select([pidfd], [], [], SECONDS)[0], "a child hangs"
    finally:
        os.close(pidfd)
    assert os.waitpid(pid, 0)[1] == 0


def refused(what: Callable[[], Any]) -> None:
    """A clear error, at once."""
    try:
        found = what()
    except prong.FailedPreconditionError as error:
        assert "fork" in str(error) and error.began == "no", error
    else:
        raise AssertionError(f"{what} gave {found!r}")


def handles(url: str) -> None:
    """What a child may do with the things of its parent: nothing. Its parent goes on with all of them."""
    hub = prong.connect(url)
    tasks, events = hub.worker("tasks"), hub.subscribe("some.>")
    stream, future = tasks.large.results(60, 50_000), tasks.echo.submit("of the parent")
    late = hub.submit("many", "together", [2])
    background = tasks.echo.background("kept")
    items, method, fd = [next(stream) for _ in range(3)], tasks.echo, hub.fileno()
    lease = hub.lease("leased")
    lease.__enter__()
    pid = os.getpid()

    def use() -> None:
        refused(lambda: tasks.echo(1))
        refused(lambda: method.submit(1))
        refused(lambda: method.map([1]))
        refused(lambda: method.background(1))
        refused(lambda: tasks.count.results(3))
        refused(lambda: hub.emit("some.topic"))
        refused(lambda: hub.post("some.topic"))
        refused(lambda: hub.subscribe("some.>"))
        refused(lambda: events.next(1))
        refused(lambda: late.result(1))
        refused(lambda: background.result(1))
        refused(lambda: hub.describe("tasks"))
        refused(lambda: lease.echo(1))
        refused(lambda: hub.lease("leased").__enter__())
        refused(hub.fileno)
        refused(hub.poll)
        refused(lambda: list(stream))
        late.cancel()
        events.close()
        stream.cancel()
        hub.close()
        assert os.getpid() != pid
        calls(url, 0, 3)

    for _ in range(3):
        wait(child(use))
    hub.emit("some.topic", "still here")
    event = events.next(10)
    assert event is not None and event.payload == "still here"
    assert [item[:4] for item in items + list(stream)] == [n.to_bytes(4, "big") for n in range(60)]
    assert future.result(10) == "of the parent" and background.result(10) == "kept"
    assert hub.fileno() == fd and hub.call("many", "together", [2]) == 2 and late.result(10) == 2
    assert lease.echo(1) == 1
    lease.__exit__(None, None, None)
    hub.close()


def at_exit(url: str) -> None:
    """A child that ends as programs do, with all that it runs then, leaves its parent alone."""
    hub = prong.connect(url)
    future = hub.submit("many", "together", [2])
    pid = os.fork()
    if pid == 0:
        sys.exit(0)
    wait(pid)
    assert hub.call("many", "together", [2]) == 2 and future.result(10) == 2


def forks_and_threads(url: str) -> None:
    """Threads call all the time on one connection while the program forks; the children connect anew."""
    stop, counts, failures = threading.Event(), [0] * 4, list[BaseException]()
    with prong.connect(url) as hub:

        def body(n: int) -> None:
            rng = random.Random(n)
            try:
                while not stop.is_set():
                    value = rng.getrandbits(40)
                    assert (
                        hub.call("tasks", "echo", [value]) if n % 2 else hub.submit("tasks", "echo", [value]).result(10)
                    ) == value
                    counts[n] += 1
            except BaseException as problem:
                failures.append(problem)

        threads = [threading.Thread(target=body, args=(n,), daemon=True) for n in range(4)]
        for thread in threads:
            thread.start()
        for n in range(25):
            pids = [child(lambda n=n: calls(url, n, 2)) for _ in range(2)]  # type: ignore[misc]
            for pid in pids:
                wait(pid)
        before = list(counts)
        end = time.monotonic() + SECONDS
        while any(now < was + 5 for now, was in zip(counts, before)) and not failures:
            assert time.monotonic() < end, "a thread hangs"
            assert hub.call("tasks", "echo", [1]) == 1
        stop.set()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        assert not failures, failures


def processes(url: str) -> None:
    """multiprocessing in its three ways, beside threads and calls of this process."""
    with prong.connect(url) as hub:
        for how in ("fork", "spawn", "forkserver"):
            context = multiprocessing.get_context(how)
            with context.Pool(2) as pool:
                pending = pool.starmap_async(calls, [(url, n, 10) for n in range(8)])
                futures = [hub.submit("tasks", "echo", [n]) for n in range(50)]
                assert pending.get(SECONDS) == list(range(8))
                assert [f.result(SECONDS) for f in futures] == list(range(50))
            process: Any = context.Process(target=use_handle, args=(hub,))
            if how == "fork":
                process.start()
                process.join(SECONDS)
                assert process.exitcode == 0
            else:
                try:
                    process.start()
                except TypeError as error:
                    assert "cannot be sent to another process" in str(error)
                else:
                    raise AssertionError("a connection was pickled")
            assert hub.call("tasks", "echo", [how]) == how


def use_handle(hub: prong.Client) -> None:
    refused(lambda: hub.call("tasks", "echo", [1]))


async def looped(url: str, n: int) -> None:
    """An event loop with a connection of its own."""
    async with prong.aio.connect(url) as hub:
        tasks = hub.worker("tasks")
        assert await asyncio.gather(*(tasks.echo(i) for i in range(n))) == list(range(n))
        assert [i async for i in tasks.count.results(n)] == list(range(n))
        async with hub.subscribe("loop.>") as events:
            await hub.emit("loop.topic", n)
            assert (await events.next(10)).topic == "loop.topic"  # type: ignore[union-attr]


def all_of_them(url: str) -> None:
    """Threads, two event loops in threads, forks and processes at one time, on shared and own connections."""
    with prong.connect(url) as hub, ThreadPoolExecutor(8) as threads:
        shared: List[Any] = [threads.submit(hub.call, "tasks", "echo", [n]) for n in range(200)]
        loops = [threads.submit(lambda: asyncio.run(looped(url, 60))) for _ in range(2)]
        pids = [child(lambda: calls(url, 0, 5)) for _ in range(5)]
        spawned = multiprocessing.get_context("spawn").Process(target=calls, args=(url, 0, 20))
        spawned.start()
        mapped = threads.submit(lambda: list(hub.worker("tasks").echo.map(range(500), chunk=50)))
        for pid in pids:
            wait(pid)
        assert [f.result(SECONDS) for f in shared] == list(range(200))
        for loop in loops:
            loop.result(SECONDS)
        assert mapped.result(SECONDS) == list(range(500))
        spawned.join(SECONDS)
        assert spawned.exitcode == 0


def loop_in_a_child(url: str) -> None:
    """A connection of prong.aio does not survive a fork either, and says so; nor another event loop."""

    async def run() -> None:
        async with prong.aio.connect(url) as hub:
            assert await hub.call("tasks", "echo", [1]) == 1
            pid = os.fork()
            if pid == 0:
                try:
                    await hub.call("tasks", "echo", [2])
                except prong.FailedPreconditionError as error:
                    os._exit(0 if "fork" in str(error) else 3)
                except BaseException:
                    traceback.print_exc()
                os._exit(1)
            await asyncio.get_running_loop().run_in_executor(None, wait, pid)
            assert await hub.call("tasks", "echo", [3]) == 3
            failures: List[Any] = []

            def other() -> None:
                async def call() -> None:
                    try:
                        await hub.call("tasks", "echo", [4])
                    except prong.FailedPreconditionError as error:
                        failures.append(str(error))

                asyncio.run(call())

            await asyncio.get_running_loop().run_in_executor(None, other)
            assert failures == ["this connection belongs to another event loop"], failures

    asyncio.run(run())


if __name__ == "__main__":
    if sys.argv[2] != "at_exit":  # its end would wait in a forked child for a thread that is not there
        faulthandler.dump_traceback_later(60, exit=True)
    globals()[sys.argv[2]](sys.argv[1])
