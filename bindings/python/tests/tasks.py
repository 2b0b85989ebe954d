"""Workers that tests of clients call."""

from __future__ import annotations

import asyncio
import os
from typing import Any, AsyncIterator, Dict, Iterator, List, Optional

import prong

class Tasks(prong.Worker):
    """One at a time."""

    def setup(self) -> None:
        self.begun: Dict[Any, int] = {}

    @prong.idempotent
    def echo(self, x: Any = None) -> Any:
        """Give back what came.

        And nothing else."""
        return x

    def once(self, key: Any) -> int:
        """How often it has begun with this key."""
        self.begun[key] = self.begun.get(key, 0) + 1
        return self.begun[key]

    def counts(self) -> List[int]:
        """How often each key began."""
        return list(self.begun.values())

    @prong.shared
    def pid(self) -> int:
        return os.getpid()

    def both(self, a: int, b: str = "x", *rest: Any, **named: Any) -> Any:
        """Arguments of every kind."""
        return [a, b, list(rest), named]

    def wait(self) -> str:
        """Until nobody waits for it."""
        self.emit("waiting", self.remaining)
        while not self.cancelled:
            self.pause(0.002)
        self.emit("cancelled")
        return "nobody waited"

    def count(self, n: int, fail: bool = False) -> Iterator[int]:
        """The numbers below n, and then 'done'."""
        yield from range(n)
        if fail:
            raise ValueError("after all of them")
        return "done"

    def large(self, n: int, size: int) -> Iterator[bytes]:
        for i in range(n):
            yield i.to_bytes(4, "big") * (size // 4)

    def endless(self) -> Iterator[int]:
        """Until nobody takes it."""
        n = 0
        try:
            while True:
                yield n
                n += 1
        finally:
            self.emit("ended", n)

    def steps(self, n: int) -> str:
        """Tell how far it is."""
        for i in range(n):
            self.progress((i + 1) / n, f"step {i + 1}")
        return "there"

    def checked(self, path: str, thresh: float = 0.5) -> Any:
        return [path, thresh]

    def fail(self, text: str = "no", code: Optional[str] = None) -> None:
        if code is not None:
            raise getattr(prong, code)(text, {"more": 1})
        raise LookupError(text)

    def through(self, worker: str, method: str, args: Any) -> Any:
        """Another call within this one."""
        return self.hub.call(worker, method, args)

    def who(self) -> List[Any]:
        return [self.name, self.caller, self.remaining]

    def publish(self, topic: str, payload: Any) -> int:
        return self.emit(topic, payload)

    def die(self, signal: int = 9) -> None:
        os.kill(os.getpid(), signal)

    @prong.frontend
    def twice(self, x: Any) -> Any:
        """Runs in the caller."""
        return [os.getpid(), self.backend.echo(x), self.backend.echo(x)]


class Many(prong.Worker):
    """Several at a time."""

    concurrency = 8

    async def setup(self) -> None:
        self.now = self.most = 0
        self.gate = asyncio.Event()

    @prong.idempotent
    async def echo(self, x: Any = None) -> Any:
        return x

    async def together(self, n: int) -> int:
        """Returns when so many run at a time."""
        self.now += 1
        if self.now >= n:
            self.gate.set()
        await self.gate.wait()
        return self.now

    async def wait(self) -> str:
        await self.aio.emit("many.waiting")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await self.aio.emit("many.cancelled")
            raise
        return "never"

    async def count(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            await asyncio.sleep(0)  # lint:allow a turn of the loop
            yield i

    def plain(self, x: int) -> int:
        return x + 1

    async def inner(self, worker: str, method: str, args: Any) -> Any:
        return await self.aio.call(worker, method, args)
