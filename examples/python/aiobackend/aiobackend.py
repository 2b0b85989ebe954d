#!/usr/bin/env python3
"""asyncio on both sides: calls that wait together in one backend, and a frontend that awaits them."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import prong
import prong.aio

CALLS = 10


class Gateway(prong.Worker):
    """Talks to many slow things at one time: its methods are coroutines in one event loop."""

    concurrency = CALLS

    async def setup(self) -> None:
        """In the event loop, before the first call."""
        self.inside = 0
        self.full = asyncio.Event()
        self.log.info("the loop runs: %s", asyncio.get_running_loop().is_running())

    async def teardown(self) -> None:
        self.log.info("%d calls are still inside", self.inside)

    async def fetch(self, number: int) -> int:
        """Waits for something that comes only when as many calls as possible wait for it."""
        self.inside += 1
        if self.inside == CALLS:
            self.full.set()
        try:
            await self.full.wait()
        finally:
            self.inside -= 1
        return number * number

    async def forever(self) -> None:
        """Ends by being cancelled."""
        self.emit("waiting", None)
        try:
            await asyncio.Event().wait()
        finally:
            self.emit("cancelled", None)

    async def count(self, upto: int) -> AsyncIterator[int]:
        for number in range(upto):
            yield number


async def frontend(url: str) -> None:
    async with prong.aio.connect(url) as hub:
        gateway = hub.worker(Gateway)

        # None of these ends before all of them have begun.
        print("squares:", *await asyncio.gather(*(gateway.fetch(n) for n in range(CALLS))))
        print("counted:", *[number async for number in gateway.count.results(upto=5)])

        async with hub.subscribe("gateway.*") as events:
            task = asyncio.create_task(gateway.forever())
            async for event in events:
                print(event.topic)
                if event.topic == "gateway.cancelled":       # by the coroutine, in the other process
                    break
                task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("and here:", task.cancelled())


def main() -> None:
    with prong.Hub() as hub:
        hub.spawn(Gateway)
        asyncio.run(frontend(hub.url))


if __name__ == "__main__":
    main()
