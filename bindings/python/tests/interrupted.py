"""KeyboardInterrupt at random moments in a blocking call: interrupted.py URL KIND ROUNDS SEED [THREADS]

Prints how often it hit, and ends with 0 when the connection was usable after each and every value was the own one.
"""

from __future__ import annotations

import faulthandler
import random
import signal
import sys
import threading
import time
import traceback
from typing import Any, Callable, Dict, Iterator

import prong

class Interrupted(KeyboardInterrupt):
    pass


def interrupt(*_: Any) -> None:
    raise Interrupted


def one_call(hub: prong.Client, rng: random.Random) -> None:
    n = rng.getrandbits(32)
    assert hub.call("tasks", "echo", [n]) == n


def future(hub: prong.Client, rng: random.Random) -> None:
    n = rng.getrandbits(32)
    found = hub.submit("tasks", "echo", [n])
    try:
        assert found.result() == n
    except Interrupted:
        assert found.result() == n, "it may be waited for again"
        raise


def results(hub: prong.Client, rng: random.Random) -> None:
    with hub.worker("tasks").count.results(20) as items:
        for at, item in enumerate(items):
            assert item == at


def mapped(hub: prong.Client, rng: random.Random) -> None:
    first = rng.getrandbits(32)
    for at, item in enumerate(hub.worker("tasks").echo.map(range(first, first + 30), chunk=8)):
        assert item == first + at


def emit(hub: prong.Client, rng: random.Random) -> None:
    hub.emit("some.topic", rng.getrandbits(32))


def post(hub: prong.Client, rng: random.Random) -> None:
    for _ in range(20):
        hub.post("some.topic", rng.getrandbits(32))


def subscribe(hub: prong.Client, rng: random.Random) -> None:
    n = rng.getrandbits(32)
    with hub.subscribe("some.>") as events:
        hub.emit("some.topic", n)
        event = events.next(10)
        assert event is not None and event.payload == n


def lease(hub: prong.Client, rng: random.Random) -> None:
    n = rng.getrandbits(32)
    with hub.lease("leased", ttl=0.2) as own:
        assert own.echo(n) == n


def background(hub: prong.Client, rng: random.Random) -> None:
    n = rng.getrandbits(32)
    found = hub.worker("tasks").echo.background(n)
    try:
        assert found.result(10) == n
    except Interrupted:
        assert found.result(10) == n, "it may be asked for again"
        raise


def connect(hub: prong.Client, rng: random.Random) -> None:
    n = rng.getrandbits(32)
    with prong.connect(hub.url) as another:
        assert another.call("tasks", "echo", [n]) == n


def frames(hub: prong.Client, rng: random.Random) -> None:
    """A stream whose writer or reader was lost would be refused to the next, and a slot that was lost is missing."""
    n = rng.getrandbits(8)
    with hub.create_stream("cam", shape=(8,), slots=3) as writer, hub.stream("cam", timeout=0) as reader:
        for _ in range(10):
            try:
                writer.write(bytes([n] * 8))
            finally:
                frame = reader.next(0)
                assert frame is None or len(set(frame.data.tobytes())) == 1
        assert writer.counts["skipped"] == 0


KINDS: Dict[str, Callable[[prong.Client, random.Random], None]] = {
    f.__name__: f for f in (one_call, future, results, mapped, emit, post, subscribe, lease, background, connect, frames)
}


class Endless:
    """A subscription that lives through all interrupts: no event is missing and none comes twice."""

    def __init__(self, hub: prong.Client) -> None:
        self.events, self.seen, self.tries, self.stop = hub.subscribe("mine.>"), -1, 0, threading.Event()
        self.thread = threading.Thread(target=self.emit, args=(hub.url,), daemon=True)
        self.thread.start()

    def emit(self, url: str) -> None:
        with prong.connect(url) as hub:
            emitted = 0
            while not self.stop.wait(0.0001):
                if emitted <= self.seen + 5:
                    hub.emit("mine.n", emitted)
                    emitted += 1

    def __call__(self, hub: prong.Client, rng: random.Random) -> None:
        self.tries += 1
        event = self.events.next(10)
        assert event is not None, self.seen
        # What next() had taken when it was cut off before it returned is gone, as with every queue: one for each time.
        assert self.seen < event.payload <= self.seen + self.tries, (event, self.seen, self.tries)
        self.seen, self.tries = event.payload, 0


def others(hub: prong.Client, stop: threading.Event, failures: list[Any], counts: list[int]) -> Iterator[threading.Thread]:
    """Threads that call all the time on the same connection."""

    def body(seed: int) -> None:
        rng = random.Random(seed)
        try:
            while not stop.is_set():
                one_call(hub, rng)
                counts[seed] += 1
        except BaseException as problem:
            failures.append(problem)
            traceback.print_exc()
            stop.set()

    for seed in range(len(counts)):
        yield threading.Thread(target=body, args=(seed,), daemon=True)


def main() -> None:
    faulthandler.dump_traceback_later(25, exit=True)
    url, kind, rounds, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    counts = [0] * int(sys.argv[5]) if len(sys.argv) > 5 else []
    rng, hits, failures, stop = random.Random(seed), 0, [], threading.Event()
    with prong.connect(url) as hub:
        run: Any = Endless(hub) if kind == "endless" else KINDS[kind]
        one_call(hub, rng)
        start = time.perf_counter()
        for _ in range(5):
            run(hub, rng)
        usual = (time.perf_counter() - start) / 5
        threads = list(others(hub, stop, failures, counts))
        for thread in threads:
            thread.start()
        signal.signal(signal.SIGALRM, interrupt)
        for _ in range(rounds):
            try:
                try:
                    start = time.perf_counter()
                    signal.setitimer(signal.ITIMER_REAL, max(1e-6, rng.uniform(0, usual)))
                    run(hub, rng)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                usual += (time.perf_counter() - start - usual) / 10
            except Interrupted:
                hits += 1
            for _ in range(3):
                one_call(hub, rng)
        before = list(counts)
        end = time.monotonic() + 30
        while not failures and any(now < was + 3 for now, was in zip(counts, before)) and time.monotonic() < end:
            one_call(hub, rng)
        assert not failures, failures
        assert all(now >= was + 3 for now, was in zip(counts, before)), "a thread hangs"
        stop.set()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive(), "a thread hangs"
        if kind == "endless":
            run.stop.set()
            run.thread.join()
        assert len(hub._link.session.asks) <= 256
        assert hub.submit("tasks", "echo", [1]).result(10) == 1
    print(hits)


if __name__ == "__main__":
    main()
