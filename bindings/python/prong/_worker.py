"""Workers: a class whose public methods others call through the hub. How it is run: prong._serve."""
from __future__ import annotations

import contextvars
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Optional, TypeVar

from ._client import Client, Source, name_of
from ._errors import DataLossError, InvalidArgumentError
from ._pull import Job

if TYPE_CHECKING:                        # what a program that only calls does not need is imported when it is used
    import logging

F = TypeVar("F", bound=Callable[..., Any])
current: contextvars.ContextVar[Optional[Job]] = contextvars.ContextVar("prong_job", default=None)

def once(method: F) -> F:
    """It begins at most once for each call, whatever breaks. The default."""
    method._prong_policy = "once"  # type: ignore[attr-defined]
    return method

def idempotent(method: F) -> F:
    """It may begin again in another process when its own was lost, at most twice in all."""
    method._prong_policy = "idempotent"  # type: ignore[attr-defined]
    return method

def shared(method: F) -> F:
    """Idempotent, and equal calls at one time may be answered by one run."""
    method._prong_policy = "shared"  # type: ignore[attr-defined]
    return method

def frontend(method: F) -> F:
    """It runs in the program that calls hub.worker(Class).method(): `self` is the proxy there, with self.backend for the
    methods that run in the worker."""
    method._prong_frontend = True  # type: ignore[attr-defined]
    return method

def on(*filters: str) -> Callable[[F], F]:
    """It is called with each Event whose topic fits, between the calls, from the start of the worker on. After a new start
    it goes on where it was in the events that the hub still has."""
    def mark(method: F) -> F:
        method._prong_on = filters  # type: ignore[attr-defined]
        return method
    return mark

def loop(method: F) -> F:
    """It runs beside the calls, in a thread of its own (`async def`: as a task), until self.stopping. When it raises, the
    process ends with 1 and is started again as its configuration says."""
    method._prong_loop = True  # type: ignore[attr-defined]
    return method

def unquoted(annotation: Any) -> Any:
    """One that `from __future__ import annotations` has left a text."""
    return Source(annotation) if isinstance(annotation, str) else annotation

class Method:
    """One row of a worker's table."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        import inspect

        from ._check import Parameters
        self.function, self.name = function, name
        self.parameters = Parameters(function)
        self.policy = getattr(function, "_prong_policy", "once")
        self.yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        self.is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)

    def about(self) -> dict[str, Any]:
        """For ATTACH, and so for describe."""
        import inspect
        doc = inspect.getdoc(self.function) or ""
        signature = self.parameters.signature        # annotations that are texts as they stand in the source
        signature = signature.replace(
            parameters=[p.replace(annotation=unquoted(p.annotation)) for p in signature.parameters.values()],
            return_annotation=unquoted(signature.return_annotation))
        found = {"policy": self.policy, "signature": str(signature),
                 "args": {n: str(p) for n, p in signature.parameters.items()}}
        if doc:
            found.update(help=doc.split("\n")[0][:1000], doc=doc[:4000])
        if self.yields:
            found["yields"] = True
        return found

    def call(self, args: Any) -> Any:
        """Call it with what came."""
        p = self.parameters
        if p.plain and type(args) is list and p.least <= len(args) <= p.most:
            return self.function(*args)
        try:
            if isinstance(args, DataLossError):      # what it stood for is gone
                raise args
            if isinstance(args, Exception):
                raise InvalidArgumentError(f"the arguments cannot be read here: {args}", began="no")
            given, named = p(args)
        except (DataLossError, InvalidArgumentError) as error:
            error.refused = True
            raise
        return self.function(*given, **named)

class Worker:
    """A backend: public methods are remote. They run one after another in the process's main thread; `async def` methods
    run in an event loop, up to `concurrency` at a time; what a generator yields reaches the caller as it comes.

    An exception reaches the caller as a ProngError with its type, text and traceback; one of prong's own keeps its code.
    Called directly, without a hub, everything works on the spot: what it emits is in `emitted`."""
    worker: ClassVar[Optional[str]] = None
    concurrency: ClassVar[int] = 1
    _runner: Any = None
    _emitted: Optional[list[tuple[str, Any]]] = None
    _stopping: Optional[threading.Event] = None

    def setup(self) -> Any:
        """Before the first call, in the new process; the worker is ready when it returns. May be async."""

    def teardown(self) -> Any:
        """After the last call, when setup returned; not after SIGKILL. May be async."""

    # -- while it runs

    @property
    def name(self) -> str:
        """The replica, "detector/0"; the worker's name without a hub."""
        return self._runner.pull.replica if self._runner else name_of(type(self))[0]

    @property
    def hub(self) -> Client:
        """A client of the same hub, for any thread. Calls made within a call end with it, and with its deadline."""
        return self._running().client()  # type: ignore[no-any-return]

    @property
    def aio(self) -> Any:
        """The same for `async def` methods: a prong.aio.Client."""
        return self._running().aio_client()

    @property
    def backend(self) -> Any:
        """For @prong.frontend methods, in whose `self` it is the worker; here, without a hub, this object."""
        return self

    @property
    def log(self) -> logging.Logger:
        """A logger whose lines reach the hub's log with their levels."""
        import logging
        return logging.getLogger(self.name.partition("/")[0])

    @property
    def emitted(self) -> list[tuple[str, Any]]:
        """(topic, payload) of what was emitted without a hub."""
        if self._emitted is None:
            self._emitted = []
        return self._emitted

    def _topic(self, topic: str) -> str:
        return topic if "." in topic else f"{self.name.partition('/')[0]}.{topic}"

    def emit(self, topic: str, payload: Any = None) -> int:
        """Publish an event and wait until the hub has it: its number. A topic without a dot is put below the worker's
        name: "found" is "detector.found"."""
        if self._runner is None:
            self.emitted.append((self._topic(topic), payload))
            return len(self.emitted)
        return self.hub.emit(self._topic(topic), payload)

    def post(self, topic: str, payload: Any = None) -> None:
        """The same without waiting for the hub."""
        if self._runner is None:
            self.emit(topic, payload)
        else:
            self.hub.post(self._topic(topic), payload)

    def progress(self, fraction: Optional[float] = None, note: Optional[str] = None) -> None:
        """Tell the caller how far the running call is: 0 to 1, and a text. Never waits."""
        job = current.get()
        if job is not None and self._runner is not None:
            self._runner.progress(job, None if fraction is None else min(1.0, max(0.0, float(fraction))), note)

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the running call any longer. A method that takes long looks at it now and then: that
        also keeps the connection to the hub. An `async def` method is cancelled as a task."""
        job = current.get()
        return job is not None and self._runner is not None and self._runner.is_cancelled(job)

    @property
    def remaining(self) -> float:
        """Seconds until the deadline of the running call; infinite outside of one."""
        job = current.get()
        return float("inf") if job is None else max(0.0, job.deadline - time.monotonic())

    @property
    def caller(self) -> str:
        """Who calls: a replica, or pid and uid of a program."""
        job = current.get()
        return "" if job is None else job.caller

    @property
    def _stop_event(self) -> threading.Event:
        if self._stopping is None:
            self._stopping = threading.Event()
        return self._stopping

    @property
    def stopping(self) -> bool:
        """Whether the worker is to end: @prong.loop functions return then."""
        return self._stop_event.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait so long or until the worker is to end; True when it is."""
        return self._stop_event.wait(seconds)

    def stop(self, code: int = 0) -> None:
        """End the process with this exit code, after the running call; 75 asks the hub to start it again."""
        self._stop_event.set()
        if self._runner is not None:
            self._runner.stop(code)

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Call `callback` between the calls whenever a descriptor (or an object with fileno()) is readable."""
        self._running().add_reader(fd if isinstance(fd, int) else fd.fileno(), callback, args)

    def remove_reader(self, fd: Any) -> None:
        """Wait for it no longer."""
        self._running().remove_reader(fd if isinstance(fd, int) else fd.fileno())

    def _running(self) -> Any:
        if self._runner is None:
            raise RuntimeError(f"{type(self).__name__} does not run in a hub here: there is none to ask")
        return self._runner

    # -- being run

    @classmethod
    def run(cls, **arguments: Any) -> None:
        """Serve the hub that started this program, with an object made with these arguments, and exit. The codes: 0
        stopped, 1 setup failed, 64 not started by a hub, 75 the hub is gone, 77 the hub does not take this process."""
        from ._serve import serve
        if "PRONG_TEMPLATE" in os.environ:
            from . import template
            template.serve()             # only those that it forks come back
        sys.exit(serve(cls, arguments))

    def __enter__(self) -> Any:
        self.setup()
        return self

    def __exit__(self, *_: Any) -> None:
        self.teardown()

    async def __aenter__(self) -> Any:
        found = self.setup()
        if hasattr(found, "__await__"):
            await found
        return self

    async def __aexit__(self, *_: Any) -> None:
        found = self.teardown()
        if hasattr(found, "__await__"):
            await found

def members(worker: Worker, mark: str) -> list[Any]:
    """Its functions that a decorator has marked."""
    return [getattr(worker, n) for n in dir(type(worker)) if hasattr(getattr(type(worker), n), mark)]

def table(worker: Worker) -> dict[str, Method]:
    """Its remote methods by name."""
    import inspect
    found = {}
    for name in dir(type(worker)):
        static = inspect.getattr_static(type(worker), name)
        function = getattr(static, "__func__", static)
        if (not name.startswith("_") and name not in BASE and inspect.isfunction(function)
                and not any(hasattr(function, mark) for mark in ("_prong_frontend", "_prong_on", "_prong_loop"))):
            found[name] = Method(getattr(worker, name), name)
    return found

BASE = frozenset(dir(Worker))
