#!/usr/bin/env python3
"""Draws what the detectors found into the frames, as a stream of its own."""
from __future__ import annotations

import cv2
import prong

class Painter(prong.Worker):
    def setup(self) -> None:
        self.camera: prong.Reader | None = None
        self.drawn = self.hub.create_stream("people", shape=(576, 768, 3), slots=16)

    def teardown(self) -> None:
        self.drawn.close()

    @prong.on("people.found")
    def draw(self, event: prong.Event) -> None:
        """The frame is looked up by its number: it is still in the ring, three seconds long."""
        if self.camera is None:
            self.camera = self.hub.stream("camera", hold=1)
        found = event.payload
        try:
            frame = self.camera.number(found["frame"])
        except prong.DataLossError:
            self.log.warning("frame %d is gone already", found["frame"])
            return
        with frame, self.drawn.frame(frame.shape, meta={"format": "bgr24", "people": len(found["boxes"])},
                                     mono_ns=frame.mono_ns) as picture:
            picture[:] = frame.array
            for x, y, width, height in found["boxes"]:
                cv2.rectangle(picture, (x, y), (x + width, y + height), (0, 255, 0), 2)
            cv2.putText(picture, f"{found['frame']}: {len(found['boxes'])}", (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.8,
                        (0, 255, 255), 2)


if __name__ == "__main__":
    Painter.run()
