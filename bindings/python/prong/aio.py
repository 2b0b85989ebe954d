"""The client for asyncio: the surface of prong.connect(), with `await`, `async for` and `async with`.

    async with prong.aio.connect() as hub:
        detector = hub.worker("detector")
        found = await detector.detect(path="a.jpg")
        async for event in hub.subscribe("detector.>"):
            ...

A task that is cancelled cancels its call at the hub. Everything belongs to the event loop in which it was made."""
from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Generator, Iterable, Sequence
from typing import Any, Callable, Optional, TypeVar, Union

from . import _client, _errors, _stream
from ._client import Steps
from ._link import FOREVER, GREETING, TICK, BaseLink, find, new_session, split, tls_context
from ._link import Reader as MessageReader
from ._session import Event, From, Position, Request, Session
from ._stream import SLICE, Frame, StreamWriter, end_of

__all__ = ["Client", "Lease", "Method", "Proxy", "Reader", "Results", "Subscription", "connect"]
T = TypeVar("T")

class Link(BaseLink, asyncio.Protocol):
    """A session in an event loop."""

    def __init__(self, url: str, session: Session, tls: tuple[Optional[str], Optional[str]]) -> None:
        super().__init__(url, session, tls, contextlib.nullcontext())
        self.loop = asyncio.get_running_loop()
        self.transport: Optional[asyncio.Transport] = None
        self.reader: Optional[MessageReader] = None
        self.keeper = self.loop.create_task(self._keep())

    async def _keep(self) -> None:
        """Connects, again and again, and keeps deadlines."""
        while not self.closed:
            if not self.is_open:
                try:
                    await asyncio.wait_for(self._open(), 2.0)
                except (OSError, asyncio.TimeoutError) as problem:
                    self.why = problem
                    await asyncio.sleep(random.uniform(0.01, 0.05))
            else:
                await asyncio.sleep(TICK)
            if not self.session.expire(time.monotonic()) and self.transport is not None:
                self.transport.abort()
            self._tell()

    async def _open(self) -> None:
        scheme, rest = split(self.url)
        if scheme == "ipc":
            await self.loop.create_unix_connection(lambda: self, rest)
            return
        host, _, port = rest.rpartition(":")
        tls = tls_context(self.tls[0]) if scheme == "tls+tcp" else None
        name = (self.tls[1] or host.strip("[]")) if tls is not None else None
        await self.loop.create_connection(lambda: self, host.strip("[]"), int(port), ssl=tls, server_hostname=name)

    def connection_made(self, transport: Any) -> None:
        """Of asyncio.Protocol."""
        self.transport, self.reader, self.is_open = transport, MessageReader(None, self.session.lead), True
        transport.write(GREETING)
        self.session.heard = time.monotonic()
        self.session.connected()
        self._flush()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Of asyncio.Protocol."""
        self.transport, self.is_open = None, False
        self.why = exc or self.why or ConnectionError("the hub closed the connection")
        self.session.lost()
        if not self.closed:
            self.keeper.cancel()
            self.keeper = self.loop.create_task(self._keep())

    def data_received(self, data: bytes) -> None:
        """Of asyncio.Protocol."""
        assert self.reader is not None and self.transport is not None
        try:
            problem = self._answers(self.reader.feed(data))
        except ConnectionError as error:
            problem = error
        self.why = problem or self.why
        if problem is not None:
            self.transport.abort()
        self._flush()
        self._tell()

    def _drop(self, why: BaseException) -> None:
        self.why = why
        if self.transport is not None:
            self.transport.abort()

    def _flush(self) -> None:
        if self.transport is not None and self.session.out:
            self.transport.write(b"".join(self.session.out))
            self.session.out.clear()

    def check(self) -> None:
        """Raises when the connection may not be used here or any more."""
        super().check()
        if asyncio.get_running_loop() is not self.loop:
            raise _errors.FailedPreconditionError("this connection belongs to another event loop", began="no")

    def ask(self, make: Callable[..., None], r: Request, *args: Any) -> None:
        """Register a request by a method of the session, and send it; in the own event loop alone."""
        self.check()
        super().ask(make, r, *args)

    async def wait(self, r: Request, until: float) -> bool:
        """Until it is ready; False when the (monotonic) time is over before."""
        if not r.ready and until > 0:
            waiter = self.loop.create_future()
            r.callback = lambda _: None if waiter.done() else waiter.set_result(None)
            await asyncio.wait([waiter], timeout=None if until == FOREVER else max(0.0, until - time.monotonic()))
        return r.ready

    async def close(self) -> None:
        """End everything."""
        if not self.closed:
            self._end()
            self.keeper.cancel()
            if self.transport is not None:
                self.transport.close()
            self._tell()
            await asyncio.sleep(0)

class Client(_client.Client):
    """A connection to a hub, made by prong.aio.connect(): what prong.Client has, but call, describe, emit, post and close
    are awaited, and there are no futures, fileno and poll."""

    async def _run(self, steps: Steps[T]) -> T:  # type: ignore[override]
        try:
            wanted = next(steps)
            while True:
                try:
                    ready = await self._link.wait(*wanted)
                except BaseException as problem:
                    wanted = steps.throw(problem)
                else:
                    wanted = steps.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _value(self, worker: str, method: str, args: Any, o: _client.Options) -> Any:
        return self._run(self._call(worker, method, args, o))

    def worker(self, worker: Union[str, type]) -> Any:
        """See prong.Client.worker; frontend methods of a class may be `async def`."""
        return Proxy(self, *_client.name_of(worker))

    def lease(self, worker: Union[str, type], ttl: float = 30.0, timeout: Optional[float] = None) -> Lease:
        """See prong.Client.lease; for `async with`."""
        return Lease(self, worker, ttl, timeout)

    def emit(self, topic: str, payload: Any = None, timeout: Optional[float] = None) -> Awaitable[int]:  # type: ignore[override]
        """See prong.Client.emit."""
        return super().emit(topic, payload, timeout)  # type: ignore[return-value]

    def post(self, topic: str, payload: Any = None) -> Awaitable[None]:  # type: ignore[override]
        """See prong.Client.post."""
        def steps() -> Steps[None]:
            yield from self._emit(topic, payload, None)
        return self._run(steps())

    def describe(self, worker: str) -> Awaitable[dict[str, Any]]:  # type: ignore[override]
        """See prong.Client.describe."""
        return self._run(self._describe(worker))

    def subscribe(self, *filters: str, from_: From = "new", timeout: float = 5.0) -> Subscription:
        """See prong.Client.subscribe. "new" means after the `async with`, or after the first event was asked for."""
        return Subscription(self, Position(filters, from_), timeout)

    def stream(self, name: str, *, policy: str = "latest", group: Optional[str] = None, hold: int = 1,
               oldest: bool = False, timeout: Optional[float] = None) -> Reader:
        """See prong.Client.stream. It is opened by the `async with`, or when the first frame is asked for."""
        return Reader(self, name, policy, group, hold, oldest, timeout)

    def create_stream(self, *args: Any, **named: Any) -> Awaitable[StreamWriter]:  # type: ignore[override]
        """See prong.Client.create_stream, and prong.StreamWriter for what it gives: its write() does not wait for anybody
        but lossless readers. With such, and patience, call it as `await asyncio.to_thread(writer.write, array)`."""
        return asyncio.to_thread(super().create_stream, *args, **named)

    def streams(self) -> Awaitable[list[dict[str, Any]]]:
        """See prong.Client.streams."""
        return asyncio.to_thread(super().streams)

    async def correlate(self, filters: Union[str, Sequence[str]], stream: str, *,  # type: ignore[override]
                        tolerance: float = 0.1, timeout: float = 1.0,
                        wait: Optional[float] = None) -> AsyncIterator[_stream.Pair]:
        """See prong.Client.correlate."""
        async with self.subscribe(*([filters] if isinstance(filters, str) else filters)) as events, \
                self.stream(stream, timeout=wait) as reader:
            async for event in events:
                try:
                    frame = await reader.at(_stream.moment(event), timeout)
                except (_errors.FailedPreconditionError, _errors.CancelledError):    # closed
                    return
                yield _stream.pair(event, frame, tolerance)

    async def close(self) -> None:  # type: ignore[override]
        """End the connection; what is outstanding ends with CancelledError, and its streams are closed."""
        self._end_streams("close")
        await self._link.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

class Subscription(_client.Subscription):
    """Events, one by one: `async for event in ...`, or `await next()`."""

    def next(self, timeout: Optional[float] = None) -> Awaitable[Optional[Event]]:  # type: ignore[override]
        """See prong.Subscription.next."""
        return super().next(timeout)  # type: ignore[return-value]

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        try:
            event = await self.next()
        except (_errors.FailedPreconditionError, _errors.CancelledError):
            raise StopAsyncIteration from None
        assert event is not None
        return event

    async def __aenter__(self) -> Subscription:
        client: Any = self._client
        await client._run(self._start())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

class Reader(_stream.Reader):
    """Frames of a stream: `async for frame in hub.stream("cam1")`, or `await next()`. See prong.Reader."""

    def _begin(self) -> None:
        """Nothing: the event loop shall not wait here."""

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def ring() -> None:
            with contextlib.suppress(RuntimeError):      # the event loop has ended
                loop.call_soon_threadsafe(done.set)
        opening, self._rouse = self._opening(ring), ring
        try:
            opening.begin()
            await done.wait()
            self._opened(opening)
        except BaseException:
            opening.drop()
            raise

    async def _started(self) -> None:
        if not (self._handle or self._closed or self._over):
            await self._open()

    async def next(self, timeout: Optional[float] = None) -> Optional[Frame]:  # type: ignore[override]
        """See prong.Reader.next."""
        until = end_of(timeout)
        await self._started()
        while True:
            frame = self._take()
            left = until - time.monotonic()
            if frame is not None or left <= 0:
                return frame
            await self._readable(min(left, SLICE))

    async def _readable(self, timeout: float) -> None:
        loop, fd = asyncio.get_running_loop(), self.fileno()
        waiter = loop.create_future()
        loop.add_reader(fd, lambda: None if waiter.done() else waiter.set_result(None))
        try:
            await asyncio.wait([waiter], timeout=timeout)
        finally:
            loop.remove_reader(fd)

    async def at(self, mono_ns: int, timeout: float = 1.0) -> Optional[Frame]:  # type: ignore[override]
        """See prong.Reader.at."""
        await self._started()
        return await asyncio.to_thread(super().at, mono_ns, timeout)

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        try:
            frame = await self.next()
        except (_errors.FailedPreconditionError, _errors.CancelledError):
            if os.getpid() != self._pid:
                raise
            raise StopAsyncIteration from None
        assert frame is not None
        return frame

    async def __aenter__(self) -> Reader:
        await self._started()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

class _Async:
    """`async for` over what prong.Results gives."""

    def __aiter__(self: Any) -> AsyncIterator[Any]:
        return self  # type: ignore[no-any-return]

    async def __anext__(self: Any) -> Any:
        return await self._client._run(self._item())

    async def __aenter__(self: Any) -> Any:
        await self._client._run(self._begin())
        return self

    async def __aexit__(self: Any, *_: object) -> None:
        self.cancel()

class Results(_Async, _client.Results):
    """What a method yields: `async for item in detector.frames.results()`. See prong.Results."""

class Mapped(_Async, _client.Mapped):
    """The outcomes of Method.map(): `async for value in detector.detect.map(...)`."""

class Method(_client.Method):
    """A method of a worker: await it, or use results, map and background. See prong.Method."""

    def results(self, *args: Any, **named: Any) -> Results:
        """See prong.Method.results; the call is made by the first item, or by `async with`."""
        return Results(self, args, named)

    def map(self, sets: Iterable[Any], ordered: bool = True, chunk: int = 4096) -> Mapped:
        """See prong.Method.map."""
        return Mapped(self, sets, ordered, chunk)

    def submit(self, *args: Any, **named: Any) -> Any:
        """The same as calling it, as a task."""
        return asyncio.ensure_future(self(*args, **named))

class Proxy(_client.Proxy):
    """A worker: its methods are attributes, to be awaited. See prong.Proxy."""
    _kind = Method

    def __dir__(self) -> list[str]:
        return ["backend", "hub"]

class Lease(Proxy, _client.Lease):
    """A replica for this client alone, from `async with` on; its calls renew it."""
    _hub: Any

    async def __aenter__(self) -> Lease:
        await self._hub._run(self._ask("lease"))
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._hub._link.closed:
            await self._hub._run(self._ask("release"))

class connect:
    """Connect to a hub: `async with prong.aio.connect() as hub`, or `hub = await prong.aio.connect()`. See prong.connect."""

    def __init__(self, url: Optional[str] = None, *, name: Optional[str] = None, token: Union[bytes, str, None] = None,
                 timeout: float = 5.0, tls_ca_file: Optional[str] = None, tls_name: Optional[str] = None) -> None:
        self._about = url, name, token, timeout, (tls_ca_file, tls_name)
        self._client: Optional[Client] = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Client:
        url, name, token, timeout, tls = self._about
        found = find(url)
        self._client = Client(Link(found, new_session(found, name, token), tls))
        try:
            await self._client._run(_client.greeted(self._client._link, timeout))
        except BaseException:
            await self._client.close()
            raise
        return self._client

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()
