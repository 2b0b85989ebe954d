#!/usr/bin/env python3
"""A frontend that saves: for each line that comes to the trigger's port, the annotated frame nearest to that moment."""
from __future__ import annotations

import sys

import cv2
import prong

def main() -> None:
    folder = sys.argv[1]
    with prong.connect() as hub:
        for event, frame, delay in hub.correlate("trigger.data", "people", tolerance=2.0, timeout=3.0):
            if frame is None or delay is None:
                print(f"no frame near {event.payload['value']!r}", flush=True)
            else:
                path = f"{folder}/{event.payload['value']}.png"
                cv2.imwrite(path, frame.array)
                side = "after" if delay >= 0 else "before"
                print(f"{path}: frame with {frame.meta['people']} people, "
                      f"taken {abs(delay) * 1000:.0f} ms {side} the trigger", flush=True)


if __name__ == "__main__":
    main()
