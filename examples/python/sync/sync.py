#!/usr/bin/env python3
"""Workers that agree on a moment: all are armed, one event triggers them, and they wait for each other."""
from __future__ import annotations

import asyncio

import prong

STATIONS = 3


class Meeting(prong.Worker):
    """Where others wait for each other: a call that returns when as many have come as were said to come."""

    concurrency = 16                                         # so many calls wait here at one time

    async def setup(self) -> None:
        self.waiting: dict[str, list[asyncio.Event]] = {}

    async def meet(self, place: str, count: int) -> int:
        """Waits for the others; the number of those who came before."""
        here = self.waiting.setdefault(place, [])
        mine = asyncio.Event()
        here.append(mine)
        before = len(here) - 1
        if len(here) == count:
            for event in self.waiting.pop(place):
                event.set()
        await mine.wait()
        return before


class Station(prong.Worker):
    """One of the stations along a line, each a process of its own."""

    def setup(self) -> None:
        self.exposure = 0.0

    def arm(self, exposure: float) -> str:
        self.exposure = exposure
        return self.name

    @prong.on("line.trigger")
    def trigger(self, event: prong.Event) -> None:
        """The same event, with the same number, in every station."""
        before = self.hub.worker(Meeting).meet(place=str(event.number), count=STATIONS)
        self.emit("exposed", {"part": event.payload["part"], "moment": event.number, "before": before,
                              "by": self.name, "exposure": self.exposure})


def main() -> None:
    with prong.Hub() as hub:
        hub.spawn(Meeting)
        hub.spawn(Station, replicas=STATIONS)

        # A call returns when its work is done, and one to all replicas when all have done it.
        armed = hub.worker("station/*").arm(exposure=0.5)
        print("armed:", *sorted(armed))

        with hub.subscribe("station.exposed") as exposed:
            for part in (1, 2):
                moment = hub.emit("line.trigger", {"part": part})
                events = [exposed.next(timeout=10.0) for _ in range(STATIONS)]
                shots = [event.payload for event in events if event is not None]
                print(f"part {part}: exposed by", *sorted(shot["by"] for shot in shots))
                print("  on one event:", {shot["moment"] for shot in shots} == {moment})
                print("  nobody before all had come:", sorted(shot["before"] for shot in shots) == [0, 1, 2])


if __name__ == "__main__":
    main()
