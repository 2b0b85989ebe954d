#!/usr/bin/env python3
"""A device: read in a loop beside the calls, triggered by a descriptor, its frames a stream of results."""
from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import prong

Frame = npt.NDArray[np.uint8]


class Camera(prong.Worker):
    """Grabs pictures all the time; others ask for them, and a datagram triggers one."""

    def setup(self) -> None:
        self.number = 0
        self.frame: Frame = np.zeros((48, 64), np.uint8)
        self.port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port.bind(("127.0.0.1", 0))
        self.add_reader(self.port.fileno(), self.triggered)  # in the same wait as the calls

    def teardown(self) -> None:
        self.remove_reader(self.port.fileno())
        self.port.close()

    @prong.loop
    def grab(self) -> None:
        """Beside the calls, in a thread: a real one would block in its driver here."""
        while not self.stopping:
            number = self.number + 1
            self.frame, self.number = np.full((48, 64), number % 256, np.uint8), number
            self.pause(0.005)

    def triggered(self) -> None:
        """Somebody wrote to the port, say the light barrier of a conveyor."""
        part = self.port.recv(100).decode()
        self.emit("triggered", {"part": part, "number": self.number})

    def address(self) -> tuple[str, int]:
        host, port = self.port.getsockname()
        return host, port

    def snapshot(self) -> Frame:
        return self.frame

    def frames(self, count: int) -> Iterator[dict[str, Any]]:
        """So many frames that follow each other. A caller that does not take them makes it wait."""
        last = 0
        while count > 0 and not self.cancelled:
            if self.number > last:
                last, count = self.number, count - 1
                self.progress(1.0 / (count + 1), f"frame {last}")
                yield {"number": last, "frame": self.frame}
            self.pause(0.001)


def main() -> None:
    with prong.Hub() as hub:
        hub.spawn(Camera)
        camera = hub.worker(Camera)

        picture = camera.snapshot()
        print("snapshot:", picture.dtype, picture.shape)

        numbers = [item["number"] for item in camera.frames.results(count=10)]
        print("frames:", len(numbers), "in order:", numbers == sorted(set(numbers)))

        barrier = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with barrier, hub.subscribe("camera.triggered") as triggered:
            host, port = camera.address()
            for part in ("A1", "A2"):
                barrier.sendto(part.encode(), (host, port))
                event = triggered.next(timeout=10.0)
                print("triggered:", event.payload["part"] if event else None)


if __name__ == "__main__":
    main()
