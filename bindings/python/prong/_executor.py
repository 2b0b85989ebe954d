"""Functions in other processes, with the interface of concurrent.futures."""
from __future__ import annotations

import concurrent.futures
import functools
import os
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

from ._client import LONGEST, Client, Method
from ._future import Future
from ._hub import Hub, place

class Executor(concurrent.futures.Executor):
    """A drop-in for ProcessPoolExecutor, over the replicas of a worker that runs prong.pool.

    hub, worker   where: by default a private hub with `max_workers` processes (one for each processor), ended by shutdown()
    policy        "idempotent": what was lost with its process may run again, and short functions travel in crowds, which
                  is some times faster; "once": as ProcessPoolExecutor
    timeout       seconds that each call may take, an hour at most

    Functions are sent by name, so they are defined at the top of a module; arguments and results are values as everywhere
    in Prong (a tuple comes back as a list). The death of a process fails its own call alone, with AbortedError."""

    def __init__(self, hub: Optional[Client] = None, worker: str = "pool", *, max_workers: Optional[int] = None,
                 policy: str = "once", timeout: float = LONGEST) -> None:
        self._own = None
        if hub is None:
            hub = self._own = Hub()
            try:
                self._own.spawn("prong.pool:Pool", name=worker, replicas=max_workers or os.cpu_count() or 1)
            except BaseException:
                self._own.close()
                raise
        self._method: Method = hub.worker(worker).apply.options(policy=policy, timeout=timeout)
        self._open: set[concurrent.futures.Future[Any]] = set()
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Run fn(*args, **kwargs) in another process."""
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        name, first, named = function_name(fn)
        future = self._method.submit(name, [*first, *args], {**named, **kwargs})
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: Optional[float] = None,
            chunksize: int = 4096) -> Iterator[Any]:
        """fn of each element, in order; `chunksize` of them travel in one message, each is a call of its own."""
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        name, first, named = function_name(fn)
        method = self._method if timeout is None else self._method.options(timeout=timeout)
        return method.map(((name, [*first, *args], named) for args in zip(*iterables)), chunk=max(chunksize, 1024))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more calls; those that were made end first, unless they are cancelled."""
        self._closed = True
        for future in list(self._open) if cancel_futures else ():
            future.cancel()
        if wait:
            concurrent.futures.wait(list(self._open))
        if self._own is not None and (wait or not self._open):
            self._own.close()

def function_name(fn: Callable[..., Any]) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """How a worker finds a function, and the arguments that a functools.partial has already."""
    if isinstance(fn, functools.partial):
        name, args, named = function_name(fn.func)
        return name, (*args, *fn.args), {**named, **fn.keywords}
    return place(fn), (), {}

