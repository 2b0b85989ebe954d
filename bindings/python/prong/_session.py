"""What a client has asked of a hub, without sockets, threads or clock: as client/session of the C library.

A request ends exactly once. Until then it is asked again on every new connection under the same number, which the hub
knows, unless another broker answers that cannot know it. Every step may be cut off by an exception (KeyboardInterrupt):
then the connection is given up, and what was not finished is asked again."""
from __future__ import annotations

import collections
import functools
import os
import struct
from typing import Any, Callable, NamedTuple, Optional, TypeVar, Union

from . import _constants as c
from . import _errors, _values

GRACE = 2.0          # seconds that a connected hub may be late with an outcome
HELLO = 5.0          # seconds for the answer to HELLO
SILENCE = 40.0       # the hub answers everything within 25 s; later it is not there
IN_FLIGHT = 200      # requests at a time; the hub lets 256 of a connection wait
COLLECTED = c.MESSAGE_BYTES     # of items that nobody takes one by one
HEAD = struct.Struct(">QI")      # of a message: how many bytes follow the first number, id of the request
LEAD = {"ipc": b"\1", "tcp": b""}         # what stands before it

From = Union[str, int]
T = TypeVar("T")

class Closing:
    """The end of a `with` closes it."""

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()  # type: ignore[attr-defined]

class Event(NamedTuple):
    """What was published. `time`: seconds since the epoch, when the hub took it; `lost`: events of any topic that the hub
    no longer had before this one; `reset`: the hub was started anew, and its numbers begin anew with this event."""
    topic: str
    payload: Any
    number: int
    time: float
    source: str
    lost: int = 0
    reset: bool = False

class Request:
    """One thing asked. `ready` tells that there is something to take: items, or with `ended` the outcome."""
    # Defaults of the class: most requests need few of them, and one is made for each call.
    seq = history = first = size = 0
    client = record = b""
    sent = waits = stream = background = cancel = ready = ended = paused = False
    value: Any = None
    kept: Any = None                # what its arguments lie in, in shared memory
    error: Optional[BaseException] = None
    progress: Optional[list[Any]] = None
    note: Optional[Callable[[Optional[float], Optional[str]], None]] = None
    callback: Optional[Callable[[Request], None]] = None
    event: Any = None

    def __init__(self, kind: int, deadline: float) -> None:
        self.kind, self.deadline = kind, deadline
        self.items: list[Any] = []      # from the item number `first` on

    def outcome(self) -> Any:
        """What a call gave, its items if it yielded any; raises its error."""
        if self.error is not None:
            raise self.error
        return self.items if self.first or self.items else self.value

class Requester:
    """What both ends say: requests, each with an id of its own. `out` holds frames to be sent."""

    def __init__(self, scheme: str, url: str = "") -> None:
        self.url = url if scheme == "ipc" else ""
        self.in_memory: list[Any] = []               # what has been packed lies in it, in shared memory
        self.lead = LEAD["ipc" if scheme == "ipc" else "tcp"]
        self.packer = _values.packer()
        self.next_id = int.from_bytes(os.urandom(4), "big")
        self.out: list[bytes] = []

    @functools.cached_property
    def shared(self) -> Any:
        """Frames and large arrays as values: loads the library, so only when there is one. None without a local socket."""
        if not self.url:
            return None
        from ._shared import Shared
        return Shared(self.url, self.in_memory)

    def __enter__(self) -> None:
        """What this thread packs and unpacks meanwhile may lie in its shared memory."""
        _values.here.owner = self

    def __exit__(self, *_: object) -> None:
        _values.here.owner = None

    def take_memory(self) -> list[Any]:
        """What has been packed since, for whoever keeps it."""
        found = self.in_memory[:]
        self.in_memory.clear()
        return found

    def _frame(self, record: bytes) -> int:
        self.next_id = number = (self.next_id + 1) | 0x80000000 if self.next_id < 0xFFFFFFFF else 0x80000000
        self.out.append(self.lead + HEAD.pack(4 + len(record), number) + record)
        return number

class Session(Requester):
    """Not for several threads at a time. `news` holds requests whose callback is due."""

    def __init__(self, scheme: str, hello: dict[str, Any], url: str = "") -> None:
        super().__init__(scheme, url)
        self.client = os.urandom(c.CLIENT_BYTES)
        self.hello = hello
        self.asks: dict[int, Request] = {}              # by number, the oldest first
        self.others: dict[int, Request] = {}            # by identity: FETCHes and calls that are resumed
        self.flight: dict[int, Request] = {}            # by SP id
        self.queue: collections.deque[Request] = collections.deque()
        self.news: collections.deque[Request] = collections.deque()
        self.seq = self.hello_id = self.epoch = self.history = 0
        self.welcome = False
        self.refusal: Optional[_errors.ProngError] = None
        self.heard, self.limit = 0.0, c.MESSAGE_BYTES

    # ---- asking

    def call(self, r: Request, worker: str, method: str, args: Any, options: Optional[dict[str, Any]], ttl: float) -> None:
        """Ask for a call; TypeError names the argument that cannot be sent."""
        r.client, r.seq = self.client, self.seq + 1
        ack = next(iter(self.asks), r.seq) - 1
        ms = int(ttl * 1000 + 0.999)
        try:
            with self:
                r.record = self.packer.pack((c.CALL, r.client, r.seq, ack, worker, method, ms, options, args))
        except Exception:
            raise _values.explain(args, f"arguments of {worker}.{method}") from None
        if self.in_memory:
            r.kept = self.take_memory()
        self._register(r)

    def emit(self, r: Request, topic: str, payload: Any) -> None:
        """Ask for an event to be stored. It has all in its message: nobody knows when everybody has taken it."""
        r.client, r.seq = self.client, self.seq + 1
        try:
            r.record = self.packer.pack((c.EMIT, r.client, r.seq, topic, None, payload))
        except Exception:
            raise _values.explain(payload, f"payload of {topic}") from None
        self._register(r)

    def fetch(self, r: Request, filters: list[str], start: Any, items: int, size: int, wait: float) -> None:
        """Ask for events."""
        r.record = self.packer.pack((c.FETCH, self.client, filters, start, items, size, int(wait * 1000)))
        self.others[id(r)] = r
        self._send(r)

    def ping(self, r: Request) -> None:
        """Ask whether somebody is there."""
        r.record = self.packer.pack((c.PING, None))
        self.others[id(r)] = r
        self._send(r)

    def resume(self, r: Request, client: bytes, seq: int) -> None:
        """Wait for a call in the background, of whichever client."""
        r.client, r.seq, r.waits, r.sent = client, seq, True, True
        self.others[id(r)] = r
        self._send(r)

    def _register(self, r: Request) -> None:
        if len(r.record) > self.limit:
            raise _errors.ResourceExhaustedError(_values.too_large(len(r.record), self.limit), began="no")
        self.seq = r.seq                             # first: a number that was cut off here is nobody's
        self.asks[r.seq] = r
        self._send(r)

    def _send(self, r: Request) -> None:
        if not self.welcome:
            return
        if len(self.flight) >= IN_FLIGHT:
            self.queue.append(r)
            return
        r.sent = True
        self.flight[self._frame(
            self.packer.pack((c.WAIT, r.client, r.seq, r.first + len(r.items))) if r.waits else r.record)] = r
        if r.cancel:
            self._frame(self.packer.pack((c.CANCEL, r.client, r.seq)))

    def cancel(self, r: Request) -> None:
        """End a call: its outcome still comes. Every other request is forgotten."""
        if r.ended:
            return
        if r.kind == c.CALL and r.sent:
            r.cancel = True
            r.stream = False
            if self.welcome:
                self._frame(self.packer.pack((c.CANCEL, r.client, r.seq)))
            self.more(r)
        else:
            self.end(r, None, _errors.CancelledError("cancelled before it was sent", began="no"))

    def more(self, r: Request) -> None:
        """Ask for what follows the items that were taken."""
        if r.paused:
            r.paused = False
            self._send(r)

    def take(self, r: Request) -> list[Any]:
        """The items that came, to be given to the program; the next ones are asked for."""
        paused, r.paused = r.paused, False
        items, r.first, r.items = r.items, r.first + len(r.items), []
        r.ready = r.ended
        if paused:
            self._send(r)
        return items

    # ---- outcomes

    def end(self, r: Request, value: Any, error: Optional[BaseException] = None) -> None:
        """It has its outcome. What is cut off in here is found by the next connection, and ended again."""
        if not r.ended:
            r.value, r.error, r.kept = value, error, None
            r.ended = r.ready = True
        if r.event is not None or r.callback is not None:
            self._tell(r)
        self.asks.pop(r.seq, None) if self.asks.get(r.seq) is r else self.others.pop(id(r), None)

    def _tell(self, r: Request) -> None:
        if r.event is not None:
            r.event.set()
        if r.callback is not None:
            self.news.append(r)

    def end_all(self, error: Callable[[str], BaseException]) -> None:
        """Everything ends now: `error` gets whether it may have begun."""
        for r in [*self.asks.values(), *self.others.values()]:
            self.end(r, None, error("maybe" if r.sent else "no"))
        self.queue.clear()

    def expire(self, now: float) -> bool:
        """End what is over its deadline; False when the connection is silent for too long."""
        for r in [*self.asks.values(), *self.others.values()]:
            if now >= r.deadline + (GRACE if self.welcome and r.sent else 0):
                text = "no outcome by the deadline" if self.welcome else "no connection to the hub until the deadline"
                self.end(r, None, _errors.DeadlineExceededError(text, began="maybe" if r.sent else "no"))
        return now < self.heard + (HELLO if self.hello_id else SILENCE) or not (self.flight or self.hello_id)

    # ---- the connection

    def connected(self) -> None:
        """A connection stands: HELLO is to be sent."""
        self.lost()
        self.refusal = None
        self.hello_id = self._frame(self.packer.pack((c.HELLO, self.hello)))

    def lost(self) -> None:
        """What was on its way is asked again on the next connection."""
        self.welcome = False
        self.hello_id = 0
        self.flight.clear()
        self.queue.clear()
        self.out.clear()

    def _begin(self, about: dict[str, Any]) -> None:
        another = self.epoch not in (0, about.get("epoch", 0))
        self.epoch, self.history = about.get("epoch", 0), about.get("history", 0)
        self.limit = about.get("limits", {}).get("message_bytes", self.limit)
        self.welcome = True
        for r in [*self.asks.values(), *self.others.values()]:
            if r.ended:
                self.end(r, None)
            elif another and r.sent and r.kind != c.FETCH:
                # Another broker has no memory of what was sent to the one before: asked again it might run twice.
                self.end(r, None, _errors.UnavailableError(
                    "the hub was started anew and does not know any more what came of this", began="maybe"))
            elif r.kind == c.FETCH and r.history not in (0, self.history):
                self.end(r, (self.history, 0, 0, []))
            elif not r.paused:
                self._send(r)

    def answer(self, number: int, body: bytes) -> None:
        """An answer has come; ids that are not known are of requests that ended."""
        r = self.flight.pop(number, None)
        try:
            with self:
                try:
                    record = _values.unpack(body)
                except (ValueError, TypeError, ImportError):
                    if r is None or r.kind != c.FETCH:   # what one has published must not end the subscriptions of others
                        raise
                    record = _values.unpack_parts(body, True)[0]
            if r is not None and record[0] == c.RESULT:
                self.end(r, record[2])
            elif r is not None:
                self._answered(r, record, len(body))
            elif number == self.hello_id and record[0] == c.WELCOME:
                self.hello_id = 0
                self._begin(record[1])
            elif number == self.hello_id:
                self.refusal = _errors.make(*record[2:6])
        except Exception as problem:                 # no answer is asked for again that fails again
            if r is not None:
                self.end(r, None, problem)
        while self.queue and len(self.flight) < IN_FLIGHT:
            r = self.queue.popleft()
            if not r.ended:
                self._send(r)
                if self.queue and self.queue[-1] is r:
                    break

    def _answered(self, r: Request, record: list[Any], size: int) -> None:
        op = record[0]
        if op == c.ERROR:
            # NOT_FOUND about WAIT: the call itself was there.
            began = max(record[3], 1) if r.waits and record[2] == 5 else record[3]
            self.end(r, None, _errors.make(record[2], began, record[4], record[5]))
        elif op in (c.PENDING, c.PARTIAL) and r.background and not r.cancel:
            self.end(r, None)
        elif op == c.PENDING:
            r.waits = True
            self._send(r)
        elif op == c.PARTIAL:
            self._partial(r, record, size)
        elif op in (c.ACK, c.PONG):
            self.end(r, record[-1])
        elif op == c.EVENTS:
            self.history = record[1]
            self.end(r, tuple(record[1:]))
        else:
            self.end(r, None, _errors.InternalError(f"the hub's answer does not fit the request: {record[0]}"))

    def _partial(self, r: Request, record: list[Any], size: int) -> None:
        """Items are numbered: what came before a reconnect is not taken twice."""
        first, progress, items = record[2], record[3], record[4]
        have = r.first + len(r.items)
        if first > have:
            if have:
                self.end(r, None, _errors.DataLossError("items of the outcome are missing"))
                return
            r.first = first
        r.waits = True
        r.items.extend(items[have - first:] if first < have else items)
        if progress is not None:
            r.progress = progress
            if r.note is not None:
                self.news.append(r)
        r.size += size if items else 0
        if r.cancel:
            r.first, r.items = r.first + len(r.items), []
            self._send(r)
        elif not r.stream and r.size > COLLECTED:
            self.end(r, None, _errors.ResourceExhaustedError(
                "the method yields more than 16 MiB: take its items one by one, with .results()"))
            self._frame(self.packer.pack((c.CANCEL, r.client, r.seq)))
        elif r.stream and items:
            r.paused = r.ready = True
            self._tell(r)
        else:
            self._send(r)

class Position:
    """Where a subscription is; its events in order."""

    def __init__(self, filters: tuple[str, ...], from_: From) -> None:
        self.filters = list(filters)
        self.next: From = from_
        self.history = self.lost = self.pending = 0
        self.reset = False
        self.ready: collections.deque[Event] = collections.deque()

    def take(self, r: Request) -> None:
        """What a FETCH gave."""
        history, after, lost, items = r.outcome()
        if self.history not in (0, history):
            self.next, self.reset, self.history = "oldest", True, history
            return
        pending, reset, ready = self.pending + lost, self.reset, self.ready.copy()
        for number, time_us, topic, source, payload in items:
            ready.append(Event(topic, payload, number, time_us / 1e6, source, pending, reset))
            pending, reset = 0, False
        lost += self.lost
        # All at once: KeyboardInterrupt comes before, and they are fetched again, or after it.
        (self.history, self.next, self.lost, self.pending, self.reset,
         self.ready) = history, after, lost, pending, reset, ready
