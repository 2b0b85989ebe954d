"""A program's view of a hub: calls, events, leases. The same for asyncio is in prong.aio."""
from __future__ import annotations

import itertools
import re
import time
import types
import weakref
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, TypeVar, Union

from . import _constants as c
from . import _errors
from ._link import FOREVER, Link, find, is_held, new_session
from ._session import GRACE, Closing, Event, From, Position, Request

if TYPE_CHECKING:                        # what few programs need is imported when they do
    import inspect

    from ._future import Future
    from ._stream import Frame, Reader, StreamWriter

T = TypeVar("T")
Steps = Generator[tuple[Request, float], bool, T]       # what waits: yields (request, until when), gets whether it is ready
TIMEOUT = c.TTL_MS_DEFAULT / 1000
LONGEST = c.TTL_MS_MAX / 1000
Progress = Callable[[Optional[float], Optional[str]], None]

class Options(NamedTuple):
    """How to call: `timeout` in seconds (at most an hour; default 30 s, an hour for what yields, is mapped or runs in the
    background), `key` (equal ones go to one replica), `priority` 1 to 9, `policy` ("once", "idempotent", "shared": no more
    often than the method allows), `progress` (called with a fraction of 1 or None, and a note or None)."""
    timeout: Optional[float] = None
    key: Union[bytes, str, None] = None
    priority: Optional[int] = None
    policy: Optional[str] = None
    progress: Optional[Progress] = None

PLAIN = Options()

# ---- what both surfaces share

def wire_options(o: Options, parent: Optional[tuple[int, float]], **more: Any) -> Optional[dict[str, Any]]:
    """The options of CALL."""
    found = dict(more, key=o.key, priority=o.priority, policy=o.policy, progress=o.progress is not None or None,
                 parent=None if parent is None else parent[0])
    return {name: value for name, value in found.items() if value is not None} or None

def seconds(timeout: Optional[float], default: float, parent: Optional[tuple[int, float]] = None) -> float:
    """A timeout that is possible, and no longer than that of the call within which it is made."""
    if timeout is None:
        timeout = default
    elif not 0 < timeout <= LONGEST:
        raise ValueError(f"timeout is {timeout!r}: more than 0 and at most {LONGEST:g} seconds")
    return timeout if parent is None else max(0.001, min(timeout, parent[1] - time.monotonic()))

def one_of_many(item: Any) -> Any:
    """The value of one of many calls; raises its error."""
    _, kind, payload = item
    if kind == c.KIND_ERROR:
        raise _errors.make(*payload)
    return payload

def parse_handle(handle: str) -> tuple[bytes, int]:
    """Client id and number of a call in the background."""
    found = re.fullmatch(r"([0-9a-f]{32})-(\d+)", handle)
    if not found:
        raise ValueError(f"{handle!r} is no handle of a call in the background")
    return bytes.fromhex(found[1]), int(found[2])

def name_of(worker: Any) -> tuple[str, Optional[type]]:
    """(name, class) for a name or a class of workers."""
    if not isinstance(worker, type):
        return worker, None
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", worker.__name__)
    return getattr(worker, "worker", None) or words.lower(), worker

class Source(str):
    """A default or annotation as it stands in the worker's source."""
    __repr__ = str.__str__

def signature(about: dict[str, Any]) -> Optional[inspect.Signature]:
    """Of a method as its worker describes it; annotations and defaults stay texts."""
    import ast
    import inspect
    try:
        found = ast.parse(f"def f{about['signature']}: ...").body[0]
    except (KeyError, SyntaxError):
        return None
    assert isinstance(found, ast.FunctionDef)
    names, given = found.args.args, [Source(ast.unparse(d)) for d in found.args.defaults]
    defaults: list[Any] = [inspect.Parameter.empty] * (len(names) - len(given)) + given
    rest = [(found.args.vararg, inspect.Parameter.VAR_POSITIONAL), (found.args.kwarg, inspect.Parameter.VAR_KEYWORD)]
    def text(node: Any) -> Any:
        return inspect.Parameter.empty if node is None else Source(ast.unparse(node))
    return inspect.Signature(
        [inspect.Parameter(a.arg, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=d, annotation=text(a.annotation))
         for a, d in zip(names, defaults)] +
        [inspect.Parameter(a.arg, kind, annotation=text(a.annotation)) for a, kind in rest if a is not None],
        return_annotation=text(found.returns))

# ---- the client

class Client(Closing):
    """A connection to a hub, made by prong.connect(). Any thread may use it; a forked child may not, and gets a
    FailedPreconditionError. A lost connection is made again, and what was asked is asked again: nothing runs twice."""

    def __init__(self, link: Any) -> None:
        self._link = link
        self._parent: Optional[Callable[[], Optional[tuple[int, float]]]] = None
        self._described: dict[str, dict[str, Any]] = {}
        self._streams: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self._over = False               # a worker's: it is to end

    def _run(self, steps: Steps[T]) -> T:
        """Waits for what the steps wait for. That of prong.aio gives an awaitable: this is all in which they differ."""
        try:
            wanted = next(steps)
            while True:
                try:
                    ready = self._link.wait(*wanted)
                except BaseException as problem:
                    wanted = steps.throw(problem)
                else:
                    wanted = steps.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    # -- connection

    @property
    def url(self) -> str:
        """Of the hub."""
        return self._link.url  # type: ignore[no-any-return]

    @property
    def is_connected(self) -> bool:
        """As far as is known now."""
        return self._link.session.welcome  # type: ignore[no-any-return]

    def fileno(self) -> int:
        """A descriptor for select and the like: readable when there is something to take. Then poll() first, and after it
        look at every subscription, with next(0), and at the futures."""
        return self._link.fileno()  # type: ignore[no-any-return]

    def poll(self) -> None:
        """Take what is there without waiting, and run the callbacks of futures here: for loops that wait on fileno()."""
        self._link.silence()
        self._link.wait(Request(c.PING, FOREVER), 0)

    def close(self) -> None:
        """End the connection; what is outstanding ends with CancelledError, and its streams are closed."""
        self._end_streams("close")
        self._link.close()

    def _end_streams(self, how: str) -> None:
        for found in [ref() for ref in self._streams.valuerefs()]:
            if found is not None:
                getattr(found, how)()

    def __enter__(self) -> Any:
        return self

    def __reduce__(self) -> Any:
        raise TypeError("a connection cannot be sent to another process: call prong.connect() there")

    # -- calls

    def worker(self, worker: Union[str, type]) -> Any:
        """The methods of a worker as attributes: "detector", "detector/1" for one replica, "detector/*" for each one, or a
        class of prong.Worker, whose frontend methods then run here."""
        return Proxy(self, *name_of(worker))

    def describe(self, worker: str) -> dict[str, Any]:
        """What a worker offers: {method: {"policy", "help", "signature", ...}}."""
        return self._run(self._describe(worker))

    def _describe(self, worker: str) -> Steps[dict[str, Any]]:
        found: dict[str, Any] = yield from self._call("hub", "describe", {"worker": worker.partition("/")[0]}, Options(5.0))
        self._described[worker] = found
        return found

    def _start(self, worker: str, method: str, args: Any, o: Options, default: float, **more: Any) -> Request:
        parent = self._parent() if self._parent is not None else None
        if o is PLAIN and parent is None and not more:
            r = Request(c.CALL, time.monotonic() + default)
            self._link.ask(self._link.session.call, r, worker, method, args, None, default)
            return r
        ttl = seconds(o.timeout, default, parent)
        r = Request(c.CALL, time.monotonic() + ttl)
        r.note = o.progress
        r.stream, r.background = more.pop("stream", False), more.get("background", False)
        r.callback = more.pop("callback", None)
        sent = 0 if r.background and o.timeout is None else ttl
        self._link.ask(self._link.session.call, r, worker, method, args, wire_options(o, parent, **more), sent)
        return r

    def _outcome(self, r: Request) -> Steps[Any]:
        """Of what was started here."""
        try:
            if not (yield r, r.deadline + GRACE):
                self._link.expire(r.deadline + GRACE)
        except BaseException:
            self._link.cancel(r)
            raise
        return r.outcome()

    def _call(self, worker: str, method: str, args: Any, o: Options) -> Steps[Any]:
        value = yield from self._outcome(self._start(worker, method, args, o, TIMEOUT))
        return [one_of_many(item) for item in sorted(value)] if worker.endswith("/*") else value

    def _value(self, worker: str, method: str, args: Any, o: Options) -> Any:
        """What _run(_call(...)) gives for one replica, without the steps: they would take a third of the call's time."""
        r, link = self._start(worker, method, args, o, TIMEOUT), self._link
        try:
            if not link.wait(r, r.deadline + GRACE):
                link.expire(r.deadline + GRACE)
        except BaseException:
            link.cancel(r)
            raise
        return r.outcome()

    def call(self, worker: str, method: str, args: Any = (), *, timeout: Optional[float] = None, **options: Any) -> Any:
        """Call a method by its name and wait: the value, or a ProngError. `args`: a dict of named or a sequence of
        positional arguments. What a method yields comes as one list. Further options: see Options."""
        o = PLAIN if timeout is None and not options else Options(timeout, **options)
        if worker.endswith("/*"):
            return self._run(self._call(worker, method, args, o))
        return self._value(worker, method, args, o)

    def submit(self, worker: str, method: str, args: Any = (), *, timeout: Optional[float] = None, **options: Any) -> Future:
        """The same without waiting."""
        from ._future import Future
        future, link = Future(), self._link

        def told(r: Request) -> None:
            if not r.ended:
                return
            if not future.done() and (future.running() or future.set_running_or_notify_cancel()):
                try:
                    future.set_result(r.outcome())
                except Exception as error:
                    future.set_exception(error)
            r.callback = None                        # now: what is cut off before is told again
            link.pumped(-1)
            link.ring()
        link.pumped(1)
        try:
            r = self._start(worker, method, args, Options(timeout, **options), TIMEOUT, callback=told)
        except BaseException:
            link.pumped(-1)
            raise
        future._stop = lambda: link.cancel(r)

        def waits(until: float) -> bool:
            ready: bool = link.wait(r, until)
            link._tell()
            return ready
        future._wait = waits
        future._again = lambda: told(r) if r.callback is not None else None
        return future

    def resume(self, handle: str) -> Background:
        """A call in the background, by the handle that Background.handle gave in any program of this user."""
        return Background(self, handle)

    def lease(self, worker: Union[str, type], ttl: float = 30.0, timeout: Optional[float] = None) -> Lease:
        """One replica for this client alone, for `ttl` seconds from its last call on; to be used in a `with`."""
        return Lease(self, worker, ttl, timeout)

    # -- events

    def _emit(self, topic: str, payload: Any, timeout: Optional[float]) -> Steps[Request]:
        while len(self._link.session.asks) >= c.WINDOW:       # the hub is slower than we are
            oldest = next(iter(self._link.session.asks.values()), None)
            if oldest is not None and not (yield oldest, oldest.deadline + GRACE):
                self._link.expire(oldest.deadline + GRACE)
        r = Request(c.EMIT, time.monotonic() + seconds(timeout, TIMEOUT))
        self._link.ask(self._link.session.emit, r, topic, payload)
        return r

    def emit(self, topic: str, payload: Any = None, timeout: Optional[float] = None) -> int:
        """Publish an event and wait until the hub has it: its number."""
        def steps() -> Steps[int]:
            return int((yield from self._outcome((yield from self._emit(topic, payload, timeout)))))
        return self._run(steps())

    def post(self, topic: str, payload: Any = None) -> None:
        """Publish an event without waiting for the hub, unless 256 are on their way. A refused one is forgotten."""
        def steps() -> Steps[None]:
            yield (yield from self._emit(topic, payload, None)), 0
        self._run(steps())

    def subscribe(self, *filters: str, from_: From = "new", timeout: float = 5.0) -> Subscription:
        """Events whose topics fit a filter: "*" is any token, ">" at the end all the rest. `from_`: "new" (after this
        returned), "oldest" (that the hub still has), "last" (the newest of each topic, then what follows) or a number."""
        found = Subscription(self, Position(filters, from_), timeout)
        self._run(found._start())
        return found

    # -- streams

    def stream(self, name: str, *, policy: str = "latest", group: Optional[str] = None, hold: int = 1,
               oldest: bool = False, timeout: Optional[float] = None) -> Reader:
        """Read a stream of frames, which lie in shared memory: `for frame in hub.stream("cam1")`.

        policy   "latest": the newest frame, and how many were missed; "lossless": each one, the writer waits for it
        group    readers that share the frames: each goes to exactly one of them, and all have the policy of the first
        hold     frames that it has at a time: asked for one more, it lets go of the oldest
        oldest   begin with the oldest frame that is there, not with the newest ("latest") or the next one ("lossless")
        timeout  seconds that a stream which is not there yet is waited for; None: for ever

        Raises NotFoundError (no such stream in this time), ResourceExhaustedError (it has too few slots for one more
        reader), InvalidArgumentError, UnavailableError, and UnimplementedError when the hub is on another machine."""
        from ._stream import Reader
        return Reader(self, name, policy, group, hold, oldest, timeout)

    def create_stream(self, name: str, shape: Optional[Sequence[int]] = None, dtype: Any = "u1", *, slots: int = 8,
                      patience: float = 1.0) -> StreamWriter:
        """Write a stream, or go on with the one of a writer that ended.

        name          of a-z 0-9 _ -, at most 64 of them
        shape, dtype  of the frames that are expected; larger ones make new memory, and readers follow
        slots         2 to 256. What readers hold needs slots, what lossless ones have not taken, and what is still to be
                      found by its time
        patience      seconds that a write waits for a lossless reader before it goes on without it; at most 60

        Raises AlreadyExistsError (it has a writer), InvalidArgumentError, ResourceExhaustedError, UnavailableError."""
        from ._stream import StreamWriter
        return StreamWriter(self, name, shape, dtype, slots, patience)

    def streams(self) -> Any:
        """The streams of the hub, each with its readers: what `prong stream ls` shows, a list of dicts."""
        from ._stream import streams
        return streams(self.url)

    def correlate(self, filters: Union[str, Sequence[str]], stream: str, *, tolerance: float = 0.1, timeout: float = 1.0,
                  wait: Optional[float] = None) -> Iterator[tuple[Event, Optional[Frame], Optional[float]]]:
        """Events, each with the frame of a stream that was taken nearest to it: (event, frame, delay). When an event
        happened its payload says ("mono_ns", as devices tell it), else it is when the hub took it.

        tolerance  seconds that they may differ; frame and delay are None when no frame is so near
        timeout    seconds that a frame of the event's time or later is waited for
        wait       seconds that a stream which is not there yet is waited for; None: for ever

        The frame is there until the next event is asked for; `delay` is how many seconds it was taken after the event."""
        from ._stream import correlate
        return correlate(self, filters, stream, tolerance, timeout, wait)

class Subscription(Closing):
    """Events, one by one; made by Client.subscribe(). One thread at a time."""

    def __init__(self, client: Client, position: Position, timeout: float) -> None:
        self._client, self._position, self._timeout = client, position, timeout
        self._request: Optional[Request] = None
        self._closed = False

    def _fetch(self, wait: float = c.PARK_MS / 1000, deadline: float = FOREVER) -> Request:
        p, link = self._position, self._client._link
        r = Request(c.FETCH, deadline)
        r.history = p.history
        r.callback = self._told if wait else None
        link.ask(link.session.fetch, r, p.filters, p.next, 1024, 1 << 20, wait)
        self._request = r
        return r

    def _told(self, r: Request) -> None:
        if r.value and r.value[3]:
            self._client._link.ring()

    def _start(self) -> Steps[None]:
        """Find the position to begin at."""
        if self._request is None and not self._position.history:
            r, self._request = self._fetch(0, time.monotonic() + seconds(self._timeout, 5.0)), None
            yield from self._client._outcome(r)
            self._request = r
            self._take()

    def _take(self) -> None:
        r, self._request = self._request, None
        assert r is not None
        self._position.take(r)
        if not self._position.ready:
            self._fetch()

    def _next(self, until: float) -> Steps[Optional[Event]]:
        yield from self._start()
        while not self._position.ready:
            self._client._link.check()
            if self._closed:
                raise _errors.FailedPreconditionError("the subscription was closed", began="no")
            if not (yield self._request or self._fetch(), until):
                return None
            self._take()
        event = self._position.ready.popleft()
        if not self._position.ready and self._request is None:
            self._fetch()
        return event

    @property
    def lost(self) -> int:
        """Events of any topic that the hub no longer had when they were asked for."""
        return self._position.lost

    @property
    def history(self) -> int:
        """Which numbering event.number belongs to: another one when the hub was started anew."""
        return self._position.history

    def next(self, timeout: Optional[float] = None) -> Optional[Event]:
        """The next event; None when none came in `timeout` seconds. 0 takes what is there, None waits for ever."""
        return self._client._run(self._next(FOREVER if timeout is None else time.monotonic() + timeout))

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            event = self.next()
        except (_errors.FailedPreconditionError, _errors.CancelledError):
            raise StopIteration from None
        assert event is not None
        return event

    def close(self) -> None:
        """No more events."""
        r, self._request, self._closed = self._request, None, True
        self._position.ready.clear()
        if r is not None:
            self._client._link.cancel(r)

class Results:
    """What a method yields, one by one as it comes. `value`: what it returned, after the last one. A loop that is left
    early leaves the call running: use `with`, or cancel()."""

    def __init__(self, method: Method, args: Sequence[Any], named: dict[str, Any]) -> None:
        self._method, self._args, self._named = method, args, named
        self._client = method._proxy._hub
        self._convert: Callable[[Any], Any] = one_of_many if method._proxy._name.endswith("/*") else lambda item: item
        self._requests: deque[Request] = deque()
        self._items: deque[Any] = deque()
        self._begun = False
        self.value: Any = None

    def _begin(self) -> Steps[None]:
        if not self._begun:
            self._begun = True
            given = yield from self._method._given(self._args, self._named)
            self._requests.append(self._method._start(given, LONGEST, stream=True))

    def _more(self) -> None:
        """One of the requests has given all its items."""

    def _item(self) -> Steps[Any]:
        """The next item; StopAsyncIteration at the end, which may leave a generator."""
        yield from self._begin()
        link = self._client._link
        while not self._items:
            if not self._requests:
                raise StopAsyncIteration
            r = self._requests[0]
            if r.ended and not r.items:
                if r.error is not None:
                    raise r.error
                self.value = r.value
                self._requests.popleft()
                self._more()
                continue
            try:
                if not r.items and not (yield r, r.deadline + GRACE):
                    link.expire(r.deadline + GRACE)
                self._items.extend(link.take(r))
            except BaseException:
                self.cancel()
                raise
        return self._convert(self._items.popleft())

    @property
    def progress(self) -> Optional[tuple[Optional[float], Optional[str]]]:
        """The newest (fraction, note) of the running call."""
        found = self._requests[0].progress if self._requests else None
        return None if found is None else (found[0], found[1])

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._items:
            return self._convert(self._items.popleft())
        try:
            return self._client._run(self._item())
        except StopAsyncIteration:
            raise StopIteration from None

    def cancel(self) -> None:
        """End the call: what it yields from now on is thrown away."""
        for r in self._requests:
            self._client._link.cancel(r)

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

class Mapped(Results):
    """The outcomes of Method.map(): two messages of argument sets are on their way."""

    def __init__(self, method: Method, sets: Iterable[Any], ordered: bool, chunk: int) -> None:
        super().__init__(method, (), {})
        self._source, self._chunk, self._how = iter(sets), min(chunk, c.PARTS_MAX), "ordered" if ordered else "completed"
        self._convert = one_of_many

    def _begin(self) -> Steps[None]:
        if not self._begun:
            self._begun = True
            yield from self._method._proxy._used()
            self._more()
            self._more()

    def _more(self) -> None:
        part = [item if isinstance(item, (dict, list, tuple)) else [item]
                for item in itertools.islice(self._source, self._chunk)]
        if part:
            self._send(part)

    def _send(self, part: list[Any]) -> None:
        try:
            self._requests.append(self._method._start(part, LONGEST, stream=True, map=self._how))
        except _errors.ResourceExhaustedError:       # more than a message holds
            if len(part) < 2:
                raise
            self._send(part[:len(part) // 2])
            self._send(part[len(part) // 2:])

class Background:
    """A call that runs although its caller leaves; the hub keeps its outcome for ten minutes."""

    def __init__(self, client: Client, handle: str) -> None:
        self._client, self.handle, self._who = client, handle, parse_handle(handle)

    def result(self, timeout: Optional[float] = None) -> Any:
        """Wait for the outcome; DeadlineExceededError when it is not there in `timeout` seconds (an hour), and then it may
        be asked for again."""
        def steps() -> Steps[Any]:
            r, link = Request(c.CALL, time.monotonic() + seconds(timeout, LONGEST)), self._client._link
            link.ask(link.session.resume, r, *self._who)
            if not (yield r, r.deadline):
                raise _errors.DeadlineExceededError("the call goes on", began="maybe")
            return r.outcome()
        return self._client._run(steps())

class Method:
    """A method of a worker: call it, or one of the functions below."""

    def __init__(self, proxy: Proxy, name: str, options: Options = PLAIN) -> None:
        self._proxy, self._name, self._options = proxy, name, options

    def _given(self, args: Sequence[Any], named: dict[str, Any]) -> Steps[Any]:
        """A map when there are names, else an array; with both, the worker is asked how its arguments are called."""
        yield from self._proxy._used()
        if not named or not args:
            return named or args
        about = yield from self._proxy._methods()
        texts = about.get(self._name, {}).get("args", {}).items()
        rest = next((i for i, (_, text) in enumerate(texts) if text.startswith("*")), None)
        known = [name for name, _ in texts][:rest]
        if len(args) > len(known) or any(name in named for name in known[:len(args)]):
            raise TypeError(f"{self._name} got {len(args)} positional arguments beside {', '.join(named)}; its arguments "
                            f"are {', '.join(known)}")
        return {**dict(zip(known, args)), **named}

    def _start(self, given: Any, default: float, **more: Any) -> Request:
        return self._proxy._hub._start(self._proxy._name, self._name, given, self._options, default, **more)

    def _call(self, args: Sequence[Any], named: dict[str, Any]) -> Steps[Any]:
        given = yield from self._given(args, named)
        return (yield from self._proxy._hub._call(self._proxy._name, self._name, given, self._options))

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call it and wait for the value."""
        proxy = self._proxy
        if proxy._simple and not (args and named):
            return proxy._hub._value(proxy._name, self._name, named or args, self._options)
        return proxy._hub._run(self._call(args, named))

    def options(self, **options: Any) -> Method:
        """The same method, called otherwise: see prong.Options."""
        return type(self)(self._proxy, self._name, self._options._replace(**options))

    def submit(self, *args: Any, **named: Any) -> Future:
        """Call it without waiting: a concurrent.futures.Future."""
        hub = self._proxy._hub
        given = hub._run(self._given(args, named))
        return hub.submit(self._proxy._name, self._name, given, **self._options._asdict())

    def results(self, *args: Any, **named: Any) -> Results:
        """Call a method that yields, and iterate over what it yields."""
        found = Results(self, args, named)
        self._proxy._hub._run(found._begin())
        return found

    def map(self, sets: Iterable[Any], ordered: bool = True, chunk: int = 4096) -> Results:
        """Call it once for each element: a dict is named, a tuple or list positional arguments, anything else the one
        argument. The values come in order, or as they complete; an error is raised in its place. `chunk` elements (at most
        65536) travel in one message, if it holds them."""
        found = Mapped(self, sets, ordered, chunk)
        self._proxy._hub._run(found._begin())
        return found

    def background(self, *args: Any, **named: Any) -> Background:
        """Call it so that it runs although this program ends; returns when the hub has accepted it."""
        def steps() -> Steps[Background]:
            r = self._start((yield from self._given(args, named)), LONGEST, background=True)
            yield from self._proxy._hub._outcome(r)
            return Background(self._proxy._hub, f"{r.client.hex()}-{r.seq}")
        return self._proxy._hub._run(steps())

    def __getattr__(self, name: str) -> Any:
        if name == "__signature__":
            return signature(self._proxy._hub._run(self._proxy._methods()).get(self._name, {}))
        raise AttributeError(f"a remote method has no attribute {name}")

    @property
    def __doc__(self) -> Optional[str]:  # type: ignore[override]
        try:
            about = self._proxy._hub._run(self._proxy._methods()).get(self._name, {})
        except _errors.ProngError:
            return type(self).__call__.__doc__
        return str(about.get("doc", about.get("help", "")))

    def __repr__(self) -> str:
        return f"<method {self._name} of {self._proxy._name}>"

class Proxy:
    """A worker: its methods are attributes. With a class, the methods of it that are marked @prong.frontend run here, with
    `self.backend` for the others."""
    _kind: type[Method] = Method

    def __init__(self, hub: Client, name: str, cls: Optional[type] = None) -> None:
        self._hub, self._name, self._cls = hub, name, cls
        self._simple = not name.endswith("/*")       # a call of it is nothing but that, and has one value

    @property
    def hub(self) -> Client:
        """The connection that it uses."""
        return self._hub

    @property
    def backend(self) -> Proxy:
        """The worker without the frontend methods of its class."""
        found: Proxy = object.__new__(type(self))
        found.__dict__.update({name: value for name, value in self.__dict__.items() if name.startswith("_")}, _cls=None)
        return found

    def _used(self) -> Steps[None]:
        yield from ()

    def _methods(self) -> Steps[dict[str, Any]]:
        """As the worker describes them."""
        found = self._hub._described.get(self._name)
        return found if found is not None else (yield from self._hub._describe(self._name))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        own: Any = getattr(self._cls, name, None)
        found: Any = types.MethodType(own, self) if getattr(own, "_prong_frontend", False) else self._kind(self, name)
        self.__dict__[name] = found
        return found

    def __dir__(self) -> list[str]:
        own = [n for n in dir(self._cls) if getattr(getattr(self._cls, n), "_prong_frontend", False)] if self._cls else []
        try:
            return ["backend", "hub", *own, *self._hub._run(self._methods())]
        except _errors.ProngError:
            return ["backend", "hub", *own]

    def __repr__(self) -> str:
        return f"<worker {self._name} at {self._hub.url}>"

class Lease(Proxy):
    """A replica for this client alone, from `with` on; its calls renew it."""

    def __init__(self, hub: Client, worker: Union[str, type], ttl: float, timeout: Optional[float]) -> None:
        super().__init__(hub, *name_of(worker))
        self._ttl, self._timeout, self._until, self._simple = ttl, timeout, 0.0, False

    def _ask(self, method: str) -> Steps[Lease]:
        name = "worker" if method == "lease" else "replica"
        args = {name: self._name, **({} if method == "release" else {"ttl_ms": int(self._ttl * 1000)})}
        found = yield from self._hub._call("hub", method, args, Options(self._timeout))
        if method == "lease":
            self._name = found["replica"]
        self._until = time.monotonic() + self._ttl
        return self

    def _used(self) -> Steps[None]:
        if time.monotonic() > self._until - self._ttl / 2:
            yield from self._ask("renew")

    def renew(self) -> Any:
        """So long again from now on."""
        return self._hub._run(self._ask("renew"))

    def __enter__(self) -> Lease:
        return self._hub._run(self._ask("lease"))

    def __exit__(self, *_: object) -> None:
        if not self._hub._link.closed:
            self._hub._run(self._ask("release"))

def connect(url: Optional[str] = None, *, name: Optional[str] = None, token: Union[bytes, str, None] = None,
            timeout: float = 5.0, reconnect: Optional[float] = None, tls_ca_file: Optional[str] = None,
            tls_name: Optional[str] = None) -> Client:
    """Connect to a hub.

    url          ipc://PATH, tcp://HOST:PORT or tls+tcp://HOST:PORT; None: $PRONG_URL, else this user's hub, else /run/prong
    name, token  of this program, for people; of the hub, on a network endpoint
    timeout      seconds until it must be connected
    reconnect    seconds that a lost connection is sought until everything fails; None: each call until its own deadline

    Raises UnavailableError, DeadlineExceededError, UnauthenticatedError, InvalidArgumentError."""
    return Client(open_link(url, name, token, timeout, reconnect, tls_ca_file, tls_name))

def open_link(url: Optional[str], name: Optional[str], token: Union[bytes, str, None], timeout: float,
              reconnect: Optional[float], tls_ca_file: Optional[str], tls_name: Optional[str]) -> Link:
    """A connection that the hub has greeted."""
    found = find(url)
    link = Link(found, new_session(found, name, token), (tls_ca_file, tls_name), reconnect)
    client = Client(link)
    try:
        client._run(greeted(link, timeout))
    except BaseException:
        link.close()
        raise
    return link

def greeted(link: Any, timeout: float) -> Steps[None]:
    """Until the hub has answered; at once an error when nobody is there."""
    r = Request(c.PING, time.monotonic() + timeout)
    link.ask(link.session.ping, r)
    while not (yield r, min(r.deadline, time.monotonic() + 0.02)):
        if not link.is_open and link.why is not None and not is_held(link.url):
            raise _errors.UnavailableError(f"{link.url}: {link.why}", began="no")
        if time.monotonic() > r.deadline:
            raise _errors.DeadlineExceededError(f"{link.url}: no answer in {timeout:g} s ({link.why})", began="no")
    r.outcome()
