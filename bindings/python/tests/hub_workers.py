"""Workers for test_hub.py, which are found by their module."""
from __future__ import annotations

import os
import sys
import threading
from typing import Any, Dict

import prong

class Echo(prong.Worker):
    def setup(self) -> None:
        self.base = os.environ.get("ECHO_BASE", "")

    def echo(self, text: str) -> str:
        return self.base + text

    def pid(self) -> int:
        return os.getpid()


class Unwilling(prong.Worker):
    def setup(self) -> None:
        raise OSError("no camera here")

class Adder(prong.Worker):
    """Made with an argument."""

    def __init__(self, first: int = 0) -> None:
        self.first = first

    def add(self, second: int) -> int:
        return self.first + second

IMPORTED_IN = os.getpid()


class Warm(prong.Worker):
    def setup(self) -> None:
        self.set_up_in = os.getpid()
        self.beside = threading.Thread(target=threading.Event().wait, name="beside", daemon=True)
        self.beside.start()

    def about(self) -> Dict[str, Any]:
        return {"imported_in": IMPORTED_IN, "pid": os.getpid(), "set_up_in": self.set_up_in,
                "number": os.environ.get("NUMBER"), "has_decimal": "decimal" in sys.modules,
                "threads": [t.name for t in threading.enumerate() if t is self.beside]}
