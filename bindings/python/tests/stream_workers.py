"""Workers with loops over streams."""

from __future__ import annotations

import prong

class Watch(prong.Worker):
    """A member of a group, of a stream that its reader may have to wait for."""

    @prong.loop
    def watch(self) -> None:
        for frame in self.hub.stream("cam", policy="lossless", group="watchers", oldest=True):
            self.emit("saw", {"number": frame.number, "first": int(frame.array.flat[0])})
        self.emit("left")


class WatchAsync(prong.Worker):
    """The same in an event loop, beside a thread."""

    @prong.loop
    async def watch(self) -> None:
        async for frame in self.aio.stream("cam", policy="lossless", oldest=True):
            await self.aio.emit("watch_async.saw", {"number": frame.number, "first": int(frame.array.flat[0])})

    @prong.loop
    def nothing(self) -> None:
        for frame in self.hub.stream("never"):
            raise AssertionError(frame)
        self.emit("left")
