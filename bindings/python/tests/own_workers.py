"""Workers that use all that a worker has."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import enum
import os
import pathlib
import socket
from typing import Any, AsyncIterator, Dict, List, Literal, Optional, Tuple, Union

import numpy as np

import prong

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Box:
    x: int
    y: float = 0.5
    tags: Tuple[str, ...] = ()


class Typed(prong.Worker):
    """Each method gives back what it got, and of which type."""

    def number(self, v: int) -> Any:
        return [repr(v)]

    def real(self, v: float) -> Any:
        return [repr(v)]

    def maybe(self, v: Optional[str] = None) -> Any:
        return [repr(v)]

    def union(self, v: Union[int, str]) -> Any:
        return [repr(v)]

    def items(self, v: List[int]) -> Any:
        return [repr(v)]

    def pair(self, v: Tuple[int, str]) -> Any:
        return [repr(v)]

    def mapping(self, v: Dict[str, float]) -> Any:
        return [repr(v)]

    def colour(self, v: Colour) -> Any:
        return [repr(v)]

    def path(self, v: pathlib.Path) -> Any:
        return [repr(v)]

    def box(self, v: Box) -> Any:
        return [repr(v)]

    def time(self, v: datetime.datetime) -> Any:
        return [v.isoformat()]

    def literal(self, v: Literal["a", 1]) -> Any:
        return [repr(v)]

    def array(self, v: np.ndarray) -> Any:
        return [str(v.dtype), list(v.shape)]

    def data(self, v: bytes) -> Any:
        return [repr(v)]


class Whole(prong.Worker):
    """Handlers, loops and descriptors beside calls."""

    def setup(self) -> None:
        self.heard: List[Any] = []
        self.looped = 0
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.environ["READER_PATH"])
        self.server.bind(os.environ["READER_PATH"])
        self.add_reader(self.server, self.readable, "dgram")

    def teardown(self) -> None:
        with open(os.environ["READER_PATH"] + ".ended", "w") as file:
            file.write(f"{self.stopping} {self.looped > 0}")

    def readable(self, kind: str) -> None:
        self.post("read", [kind, self.server.recv(100)])

    @prong.on("plc.trigger", "plc.other")
    def triggered(self, event: prong.Event) -> None:
        if event.payload == "raise":
            raise ValueError("of the handler")
        self.heard.append(event.payload)
        self.emit("heard", [os.getpid(), event.payload])

    @prong.loop
    def grab(self) -> None:
        while not self.pause(0.001):
            self.looped += 1
            if self.looped == 3:
                self.emit("loops")

    def state(self) -> Any:
        return [self.heard, self.looped, self.name]

    def unwatch(self) -> None:
        self.remove_reader(self.server)

    def leave(self, code: int) -> str:
        self.stop(code)
        return "gone"

    def say(self, text: str) -> None:
        self.log.warning("%s\nin two lines", text)
        print("plainly", text)

    def pid(self) -> int:
        return os.getpid()


class WholeAsync(prong.Worker):
    concurrency = 16

    async def setup(self) -> None:
        await asyncio.sleep(0)  # lint:allow a turn of the loop
        self.heard: List[Any] = []
        self.running = self.most = 0
        self.ticks = 0

    async def teardown(self) -> None:
        await asyncio.sleep(0)  # lint:allow a turn of the loop
        print("torn down in its loop", flush=True)

    @prong.on("plc.>")
    async def triggered(self, event: prong.Event) -> None:
        self.heard.append(event.payload)
        await self.aio.emit("whole_async.heard", event.payload)

    @prong.loop
    async def tick(self) -> None:
        while not self.stopping:
            self.ticks += 1
            await asyncio.sleep(0.001)  # lint:allow a tick

    async def gather(self, n: int) -> int:
        """How many ran at a time, when n were wanted."""
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(5000):
            if self.most >= n:
                break
            await asyncio.sleep(0.001)  # lint:allow others come
        self.running -= 1
        return self.most

    async def state(self) -> Any:
        return [self.heard, self.ticks]

    def plain(self) -> str:
        return self.name

    async def nested(self, n: int) -> Any:
        return await asyncio.gather(*(self.aio.call("whole_async", "plain") for _ in range(n)))

    async def frames(self, n: int) -> AsyncIterator[int]:
        try:
            for i in range(n):
                yield i
        finally:
            await self.aio.emit("whole_async.frames_ended")

    async def forever(self) -> None:
        await self.aio.emit("whole_async.waits")
        try:
            await asyncio.Event().wait()
        finally:
            await self.aio.emit("whole_async.cancelled", self.remaining > 0)
