"""The worker of test_shared.py."""
from __future__ import annotations

import os
from typing import Any

import numpy as np

import prong

class Shared(prong.Worker):
    canvas: Any = None

    def fill(self, array: Any, n: float) -> list[int]:
        array[...] = n
        return list(array.shape)

    def draw(self, n: int) -> Any:
        """On the same canvas each time."""
        if self.canvas is None:
            self.canvas = prong.array((600, 800, 3), "u1")
        self.canvas[...] = n
        return self.canvas

    def draws(self, count: int) -> Any:
        for n in range(count):
            array = prong.array((10, 10), "<i4")
            array[...] = n
            yield {"array": array}

    def plus(self, array: Any, n: float) -> Any:
        return (array + n).astype(array.dtype)

    def looks(self, array: Any) -> dict[str, Any]:
        return {"shape": list(array.shape), "writable": bool(array.flags.writeable), "sum": int(array.sum())}

    def dies(self, array: Any) -> None:
        os._exit(int(array.flat[0]) + 3)

    def same(self, frame: Any) -> Any:
        return frame

    def frame_slowly(self, frame: Any) -> dict[str, Any]:
        self.pause(0.2)
        array = frame.array
        return {"number": frame.number, "least": int(np.min(array)), "most": int(np.max(array)), "meta": frame.meta}
