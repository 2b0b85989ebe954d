"""A worker made with the package, for callers that have no part of it."""
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import prong

class Echo(prong.Worker):
    @prong.idempotent
    def echo(self, value: Any) -> Any:
        return value

    def greet(self, name: str, times: int = 1) -> str:
        return ", ".join([f"hello {name}"] * times)

    def fail(self, text: str) -> None:
        raise LookupError(text)

    def count(self, upto: int) -> Iterator[int]:
        yield from range(upto)

    def who(self) -> dict[str, Any]:
        return {"name": self.name, "pid": os.getpid()}


if __name__ == "__main__":
    Echo.run()
