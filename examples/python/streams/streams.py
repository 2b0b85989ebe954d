#!/usr/bin/env python3
"""A camera whose frames lie in shared memory: detectors share them, and an event gets the one that belongs to it."""
from __future__ import annotations

import time
from typing import Any

import numpy as np
import prong

class Camera(prong.Worker):
    """Writes a stream. A real one would wait for its driver where this one is called."""

    def setup(self) -> None:
        self.stream = self.hub.create_stream("camera", shape=(480, 640), slots=16, patience=10.0)

    def teardown(self) -> None:
        self.stream.close()

    def shoot(self, count: int) -> int:
        for number in range(count):
            with self.stream.frame(meta={"exposure_ms": 5}) as picture:  # where the others will see it
                picture[:] = number
                picture[100:140, 200:240] = 255
        return self.stream.counts["frames"]


class Detector(prong.Worker):
    """Each of its replicas gets some of the frames, and no frame goes to two of them."""

    def setup(self) -> None:
        self.frames = self.hub.stream("camera", policy="lossless", group="detectors")

    @prong.loop
    def detect(self) -> None:
        for frame in self.frames:  # ends with the worker
            ys, xs = np.nonzero(frame.array == 255)  # no copy: it looks at what the camera wrote
            self.post("found", {"frame": frame.number, "at": [int(xs.min()), int(ys.min())], "by": self.name})


def main() -> None:
    with prong.Hub() as hub:
        camera = hub.spawn(Camera)
        hub.spawn(Detector, replicas=2)

        with hub.subscribe("detector.found") as found, hub.stream("camera") as newest:
            print("shot:", camera.shoot(40))
            seen: list[dict[str, Any]] = []
            while len(seen) < 40:
                event = found.next(timeout=10.0)
                assert event is not None
                seen.append(event.payload)
            print("each frame once:", sorted(item["frame"] for item in seen) == list(range(1, 41)))
            print("at:", sorted({tuple(item["at"]) for item in seen}))

            frame = newest.next()
            assert frame is not None
            print("newest:", frame.number, frame.shape, frame.array.max(), frame.meta)

        pairs = hub.correlate("barrier.part", "camera", tolerance=10.0)
        camera.shoot(1)
        hub.emit("barrier.part", {"part": "A1", "mono_ns": time.monotonic_ns()})
        camera.shoot(1)
        event, picture, delay = next(pairs)
        print("part", event.payload["part"], "is on a frame:", picture is not None and picture.number in (41, 42))
        print("on one time base:", delay is not None and abs(delay) < 10.0)


if __name__ == "__main__":
    main()
