"""Outcomes that are not waited for."""
from __future__ import annotations

import concurrent.futures
import time
from typing import Any, Callable, Optional

from ._link import FOREVER

class Future(concurrent.futures.Future):  # type: ignore[type-arg]
    """The outcome of a call that is not waited for. cancel() cancels it at the hub and is always possible before the
    outcome; the running method sees that it is cancelled."""
    _stop: Callable[[], None]
    _wait: Callable[[float], bool]
    _again: Callable[[], None]

    def result(self, timeout: Optional[float] = None) -> Any:
        """The value, or the error raised. This thread reads what comes meanwhile, if no other does."""
        self._until(timeout)
        return super().result(timeout if timeout is None else 0)

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        """The error, or None."""
        self._until(timeout)
        return super().exception(timeout if timeout is None else 0)

    def _until(self, timeout: Optional[float]) -> None:
        if not self.done() and self._wait(FOREVER if timeout is None else time.monotonic() + timeout):
            try:
                super().exception(1.0)               # whoever read the outcome is about to set it
            except concurrent.futures.TimeoutError:
                self._again()                        # unless KeyboardInterrupt came between

    def cancel(self) -> bool:
        """True unless the outcome is there already."""
        if self.cancelled() or not super().cancel():
            return self.cancelled()
        self.set_running_or_notify_cancel()
        self._stop()
        return True
