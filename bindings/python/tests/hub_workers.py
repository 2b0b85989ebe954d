"""Workers for test_hub.py, which are found by their module."""
from __future__ import annotations

import os

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
