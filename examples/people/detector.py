#!/usr/bin/env python3
"""Looks for people in the frames of a camera, together with its other replicas: each frame goes to one of them."""
from __future__ import annotations

import os
import time
from typing import Any

import cv2
import prong

SCALE = 1.0  # of the picture that is searched: what is found is at least 128 pixels of it high


class Detector(prong.Worker):
    def setup(self) -> None:
        cv2.setNumThreads(1)  # the replicas are what runs at the same time
        self.people = cv2.HOGDescriptor()
        self.people.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())

    def find(self, picture: Any) -> list[list[int]]:
        """Boxes [x, y, width, height] of people in a picture: blue, green and red."""
        small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), None, fx=SCALE, fy=SCALE)
        boxes, _ = self.people.detectMultiScale(small, hitThreshold=0.0, winStride=(8, 8), scale=1.1)
        return [[round(float(side) / SCALE) for side in box] for box in boxes]

    @prong.loop
    def watch(self) -> None:
        """Look at every frame that this replica gets, and tell what is in it."""
        for frame in self.hub.stream("camera", policy=os.environ["POLICY"], group="detectors"):
            boxes = self.find(frame.array)
            self.emit("people.found", {
                "frame": frame.number, "at_us": frame.meta["pts_us"], "mono_ns": frame.mono_ns, "boxes": boxes,
                "missed": frame.missed, "delay": (time.monotonic_ns() - frame.mono_ns) / 1e9, "by": self.name})


if __name__ == "__main__":
    Detector.run()
