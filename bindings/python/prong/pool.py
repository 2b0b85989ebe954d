"""The worker behind prong.Executor: it runs functions that are given by name. python3 -m prong.pool"""
from __future__ import annotations

from typing import Any, Callable

from . import serve
from ._worker import Worker, idempotent

class Pool(Worker):
    """Runs functions of modules that can be imported here, for whoever may call it."""
    _known: dict[str, Callable[..., Any]]

    def setup(self) -> None:
        """No functions are known yet."""
        self._known = {}

    @idempotent
    def apply(self, function: str, args: list, kwargs: dict) -> Any:  # type: ignore[type-arg]
        """Call "module:function" or "FILE.py:function"."""
        found = self._known.get(function)
        if found is None:
            found = self._known[function] = serve.load(function)
        return found(*args, **kwargs)

if __name__ == "__main__":
    Pool.run()
