#!/usr/bin/env python3
"""numpy arrays to workers and back: arguments, results, state of the backend, large ones in shared memory."""
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import prong

Array = npt.NDArray[Any]


class Filter(prong.Worker):
    def setup(self) -> None:
        self.background: npt.NDArray[np.float32] = np.zeros((0, 0), np.float32)

    @prong.idempotent                                        # no harm when it runs a second time
    def fill(self, array: Array, value: float) -> Array:
        """The array with every element changed. The caller's own stays what it was."""
        result: Array = array.copy()
        result[...] = value
        return result

    def learn(self, frame: Array) -> None:
        """Keeps an array in the backend, so that it need not travel with every call."""
        self.background = frame.astype(np.float32)

    def difference(self, frame: Array) -> float:
        return float(np.abs(frame - self.background).max())

    @prong.idempotent
    def blur(self, band: Array) -> Array:
        """The mean of three rows, for each row but the first and the last."""
        mean: Array = (band[:-2] + band[1:-1] + band[2:]) / 3
        return mean


def bands(image: Array, rows: int) -> list[dict[str, Array]]:
    """The image in pieces, each with one row more above and below."""
    return [{"band": image[top - 1:top + rows + 1]} for top in range(1, len(image) - 1, rows)]


def main() -> None:
    with prong.Hub() as hub:
        hub.spawn(Filter, replicas=2)
        f = hub.worker(Filter)

        ones = np.ones((100, 100), dtype=np.float64)
        threes = f.fill(ones, value=3.0)
        print("back came:", threes.dtype, threes.shape, threes[0, 0], "mine is still", ones[0, 0])

        # State belongs to one process. A lease is a replica for this program alone.
        with hub.lease("filter", ttl=30.0) as mine:
            mine.learn(frame=np.full((4, 4), 10, dtype=np.uint8))
            print("difference:", mine.difference(frame=np.full((4, 4), 12, dtype=np.uint8)))

        # From 1 MiB on an array goes through shared memory by itself: one copy in, none out, no limit of a message.
        image = np.arange(3000 * 2000, dtype=np.float32).reshape(3000, 2000)
        here = (image[:-2] + image[1:-1] + image[2:]) / 3
        print(f"{image.nbytes >> 20} MiB at once:", bool(np.array_equal(f.blur(band=image), here)))

        # In pieces both replicas work at one time, and what they give comes back in order.
        blurred = np.vstack(list(f.blur.map(bands(image, rows=500), ordered=True)))
        print("in pieces:", blurred.shape, bool(np.array_equal(blurred, here)))

        try:
            f.fill(np.array([object()]), value=0.0)
        except TypeError as error:                           # no pickle anywhere
            print("refused:", type(error).__name__)


if __name__ == "__main__":
    main()
