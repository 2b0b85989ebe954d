#!/usr/bin/env python3
"""The logic behind the line camera: how bright each frame is, and an event for those that are too dark."""
from __future__ import annotations

import prong

DARK = 50.0


class Inspector(prong.Worker):
    def setup(self) -> None:
        self.seen = 0

    @prong.loop
    def watch(self) -> None:
        for frame in self.hub.stream("lines", policy="lossless", oldest=True):
            brightness = float(frame.array.mean())
            self.seen += 1
            if brightness < DARK:
                self.emit("inspector.dark", {"frame": frame.number, "brightness": brightness, "mono_ns": frame.mono_ns})

    def count(self) -> int:
        """How many frames were looked at."""
        return self.seen


if __name__ == "__main__":
    Inspector.run()
