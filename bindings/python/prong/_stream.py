"""Streams of frames in shared memory: readers, writers, and events with the frames that belong to them."""
from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
import select
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from . import _errors, _values
from . import _lib as c
from ._link import FOREVER
from ._session import Closing, Event

if TYPE_CHECKING:
    from ._client import Client

POLICIES = {"latest": 0, "lossless": 1}
OK, CANCELLED, DEADLINE_EXCEEDED, NOT_FOUND = 0, 1, 4, 5
SLICE = 0.25          # seconds after which a wait looks whether the hub has come back
AT_SLICE = 0.05       # the same of a wait within the library, in which no signal is handled
MS_MAX = 2 ** 31 - 1
HOLD_MAX = 32

def milliseconds(timeout: Optional[float]) -> int:
    """As the library takes it."""
    return -1 if timeout is None else min(MS_MAX, max(0, math.ceil(timeout * 1000)))

def end_of(timeout: Optional[float]) -> float:
    """When a wait that begins now ends."""
    return FOREVER if timeout is None else time.monotonic() + timeout

def monotonic_ns(when: float) -> int:
    """What CLOCK_MONOTONIC showed at a time that is told in seconds since the epoch."""
    return time.monotonic_ns() - int((time.time() - when) * 1e9)

def let_go(function: Callable[[Any], Any], things: list[Any]) -> None:
    """Call it with each of them exactly once, whatever interrupts, and whoever does so, too: what is taken out of the list
    is given to the function between two instructions of the interpreter."""
    with contextlib.suppress(IndexError):            # of the empty list
        list(map(function, iter(things.pop, None)))

class Frame:
    """A frame of a stream. What it says of itself stays; its content is there until it is released.

    number, missed    counts up by one with each frame of the stream; frames between the reader's last one and this one
    mono_ns, time     when it was taken: nanoseconds of CLOCK_MONOTONIC, seconds since the epoch
    dtype, shape      as numpy writes them, "|u1", and a tuple
    stream, generation    its name; counts up when the stream gets new memory"""
    number: int
    missed: int
    generation: int
    mono_ns: int
    time: float
    dtype: str
    shape: tuple[int, ...]
    _view: memoryview
    _pins = 0                # calls that it is an argument or result of; it is released after the last
    _is_unwanted = False

    def __init__(self, stream: str, url: str, lib: Any, pid: int) -> None:
        self.stream, self._url, self._lib, self._pid, self._meta = stream, url, lib, pid, b""
        self._slot: Any = [c.FramePointer()]         # until it is released; of a copy, nothing
        # What an interrupt keeps __del__ from; no instruction of the interpreter is in between here.
        self._guard = weakref.ref(self, functools.partial(next, map(lib.prong_frame_release, iter(self._slot))))

    def _fill(self, known: Optional[c.Memory]) -> c.Memory:
        """From what the library has written to the pointer."""
        s = self._slot[0].contents
        self.number, self.missed, self.generation, self.mono_ns = s.number, s.missed, s.generation, s.mono_ns
        self.time, self.dtype, self.shape = s.time_us / 1e6, s.dtype.decode(), tuple(s.shape[:s.dims])
        if s.meta.len:
            self._meta = ctypes.string_at(s.meta.data, s.meta.len)
        memory = c.memory(known, s.generation, s.data)
        self._view = memory.part(s.data, s.bytes)
        return memory

    @property
    def data(self) -> memoryview:
        """Its bytes where they lie, read-only."""
        if os.getpid() != self._pid:
            raise _errors.FailedPreconditionError("this frame belongs to the process that took it", began="no")
        view: Optional[memoryview] = self.__dict__.get("_view")
        if view is None:
            raise _errors.FailedPreconditionError(
                f"frame {self.number} of {self.stream} was released: a reader has as many frames as its `hold` says, and "
                "lets go of the oldest for one more; keep() is a copy", began="no")
        return view if self._slot is None else view.toreadonly()

    @property
    def array(self) -> Any:
        """A numpy array of what lies there, read-only and without a copy. One that is still used after the release shows
        what is written there next."""
        import numpy
        return numpy.ndarray(self.shape, self.dtype, self.data)

    @property
    def meta(self) -> dict[str, Any]:
        """What the writer told of it."""
        return _values.unpack(self._meta) if self._meta else {}

    def keep(self) -> Frame:
        """A copy, which stays, and may be written to."""
        found: Frame = object.__new__(type(self))
        found.__dict__.update(self.__dict__, _slot=None, _view=memoryview(bytearray(self.data)))
        return found

    def __dlpack__(self, **how: Any) -> Any:
        """For other libraries' from_dlpack(frame), without a copy: those that know of read-only arrays."""
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)                    # main memory

    def release(self) -> None:
        """Let go of it: its place may be written to."""
        if self._slot is None:
            return
        self.__dict__.pop("_view", None)
        if self._pins:
            self._is_unwanted = True
            return
        if os.getpid() == self._pid:     # a child must not let go of what its parent holds
            let_go(self._lib.prong_frame_release, self._slot)

    def __enter__(self) -> Frame:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, TypeError):         # not whole, or the interpreter ends
            self.release()

    def __repr__(self) -> str:
        return f"<frame {self.number} of {self.stream}: {self.dtype} {self.shape}>"

class Opening:
    """The library opens a reader, in a thread of its own: it may wait long for a stream to be, and knows no ctrl-c."""

    def __init__(self, lib: Any, arguments: tuple[Any, ...], told: Callable[[], Any]) -> None:
        self.lib, self.arguments, self.told = lib, arguments, told
        self.own, self.why, self.code = [ctypes.c_void_p()], ctypes.create_string_buffer(c.TEXT), -1
        self.dropped = False

    def begin(self) -> None:
        """Return at once."""
        threading.Thread(target=self.run, name="prong-open", daemon=True).start()

    def run(self) -> None:
        """Until it is open, or failed."""
        self.code = self.lib.prong_stream_open(*self.arguments, ctypes.byref(self.own[0]), self.why, c.TEXT)
        if self.dropped:
            self.drop()
        self.told()

    def drop(self) -> None:
        """Nobody wants it any more."""
        self.dropped = True
        if any(self.own):                # the last that the library does is to write it there
            let_go(self.lib.prong_reader_free, self.own)

class Open(Closing):
    """What readers and writers have in common: a thing of the library's, in the process that opened it."""
    _kind: str
    _counts: Any

    def __init__(self, client: Client, name: str) -> None:
        self.name, self._pid, self._lib = name, os.getpid(), c.library()
        self._lock = threading.RLock()
        self._handle = ctypes.c_void_p()             # what is asked; and what is to be freed
        self._own = [self._handle]
        self._memory: Optional[c.Memory] = None
        self._closed, self._over = False, client._over
        client._streams[id(self)] = self

    def _call(self, name: str, *arguments: Any) -> Any:
        return getattr(self._lib, f"prong_{self._kind}_{name}")(self._handle, *arguments)

    def _check(self) -> None:
        """Raises when it may not be used here or any more."""
        if os.getpid() != self._pid:
            raise _errors.FailedPreconditionError(
                f"this {self._kind} of {self.name} belongs to another process: a forked child opens its own", began="no")
        if self._closed:
            raise _errors.FailedPreconditionError(f"this {self._kind} of {self.name} was closed", began="no")

    @property
    def counts(self) -> dict[str, int]:
        """How many: of a reader taken and missed frames, and how often the writer gave it up (dropped); of a writer
        frames and bytes written, frames skipped since all slots were held, and lossless readers given up (dropped). And
        the generation of the memory."""
        with self._lock:
            self._check()
            found = self._counts()
            self._call("stats", ctypes.byref(found))
            return {name: getattr(found, name) for name, _ in found._fields_}

    def _end(self) -> None:
        """The worker is to end. Any thread, and signal handlers."""

    def close(self) -> None:
        """No more frames. Those that somebody holds stay until they are released."""
        self._closed = True
        if os.getpid() == self._pid:
            with self._lock:
                self._handle, self._memory = ctypes.c_void_p(), None
                let_go(getattr(self._lib, f"prong_{self._kind}_free"), self._own)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, TypeError):         # not whole, or the interpreter ends
            self.close()

    def __reduce__(self) -> Any:
        raise TypeError(f"a {self._kind} of a stream cannot be sent to another process: open the stream there")

class Reader(Open):
    """Frames of a stream, one by one; made by Client.stream(). One thread at a time, but close() from any. A forked child
    opens its own.

    It has the newest `hold` frames that it gave: asked for one more, it lets go of the oldest."""
    _kind, _counts = "reader", c.ReaderCounts

    def __init__(self, client: Client, name: str, policy: str, group: Optional[str], hold: int, oldest: bool,
                 timeout: Optional[float]) -> None:
        if policy not in POLICIES:
            raise ValueError(f"policy is {policy!r}: one of {', '.join(POLICIES)}")
        if not 1 <= hold <= HOLD_MAX:
            raise ValueError(f"hold is {hold!r}: 1 to {HOLD_MAX}")
        self._rouse: Callable[[], Any] = bool            # ends a wait for the stream to be there
        super().__init__(client, name)
        self._url, self._hold = client.url, hold
        self._options = c.ReaderOptions(ctypes.sizeof(c.ReaderOptions), POLICIES[policy], group.encode() if group else None,
                                        hold, oldest, milliseconds(timeout))
        self._given: list[Frame] = []
        self._poller = select.poll()
        self._begin()

    # -- opening

    def _opening(self, told: Callable[[], Any]) -> Opening:
        return Opening(self._lib, (self._url.encode(), self.name.encode(), ctypes.byref(self._options)), told)

    def _begin(self) -> None:
        """Wait until it is open; that of prong.aio does so later."""
        bell = threading.Lock()          # which, unlike an Event, a signal handler may ring while this waits for it
        bell.acquire()

        def ring() -> None:
            with contextlib.suppress(RuntimeError):      # it has rung
                bell.release()
        opening, self._rouse = self._opening(ring), ring
        try:
            if self._options.timeout_ms == 0:
                opening.run()
            else:
                opening.begin()
            bell.acquire()
            self._opened(opening)
        except BaseException:
            opening.drop()
            raise

    def _opened(self, opening: Opening) -> None:
        if self._closed or self._over:   # meanwhile; what is asked for next tells it
            opening.drop()
            return
        if opening.code != OK:
            raise c.failure(opening.code, opening.why.value)
        self._own = opening.own
        self._handle = self._own[0]
        self._poller.register(self.fileno(), select.POLLIN)

    # -- asking the library

    def _check(self) -> None:
        super()._check()
        if self._over:
            raise _errors.CancelledError("the worker is to end", began="no")
        if not self._handle:
            raise _errors.FailedPreconditionError(f"this reader of {self.name} is not open yet", began="no")

    def _ask(self, function: str, *arguments: Any) -> tuple[int, Optional[Frame]]:
        """(code, frame) of a function that gives a frame."""
        with self._lock:
            self._check()
            self._given = [frame for frame in self._given if any(frame._slot)]
            while len(self._given) >= self._hold:
                self._given.pop(0).release()
            frame = Frame(self.name, self._url, self._lib, self._pid)
            self._given.append(frame)    # before it is one: a KeyboardInterrupt from here on loses no slot
            code = self._call(function, *arguments, ctypes.byref(frame._slot[0]))
            if code == OK:
                self._memory = frame._fill(self._memory)
                return code, frame
            self._given.pop()
            if code == CANCELLED:
                self._check()
            elif code not in (DEADLINE_EXCEEDED, NOT_FOUND):
                raise c.failure(code, self._call("error_text"))
            return code, None

    def _take(self) -> Optional[Frame]:
        """The next frame, if it is there."""
        code = CANCELLED                 # of a wake that was meant for somebody else
        while code == CANCELLED:
            code, frame = self._ask("next", 0)
        return frame

    # -- frames

    def next(self, timeout: Optional[float] = None) -> Optional[Frame]:
        """The next frame; None when none came in `timeout` seconds. 0 takes what is there, None waits for ever.

        Raises DataLossError when the writer gave up a lossless reader, which then goes on with the oldest frame that is
        there."""
        until = end_of(timeout)
        while True:
            frame = self._take()
            left = until - time.monotonic()
            if frame is not None or left <= 0:
                return frame
            self._poller.poll(math.ceil(min(left, SLICE) * 1000))

    def at(self, mono_ns: int, timeout: float = 1.0) -> Optional[Frame]:
        """The frame nearest to a time of CLOCK_MONOTONIC, beside those of next(). Waits `timeout` seconds for one of that
        time or later. None when there is no frame at all. How far back one can go the number of slots says."""
        until = end_of(timeout)
        while True:
            now = time.monotonic()
            end = max(now, min(until, now + AT_SLICE))
            code, frame = self._ask("at", mono_ns, milliseconds(end - now))
            # One of that time or later is there when the library did not wait so long; it need not be the nearest.
            if (end == until or now >= until or (frame is not None and time.monotonic() < end)) and code != CANCELLED:
                return frame
            if frame is not None:
                frame.release()

    def frame_at(self, time: float, timeout: float = 1.0) -> Any:
        """The same for seconds since the epoch, as Frame.time and Event.time are."""
        return self.at(monotonic_ns(time), timeout)

    def number(self, number: int) -> Frame:
        """The frame with this number; DataLossError when it is gone, or not there yet. Never waits."""
        _, frame = self._ask("number", number)
        if frame is None:
            raise _errors.DataLossError(f"frame {number} of {self.name} is not there", began="no")
        return frame

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        try:
            frame = self.next()
        except (_errors.FailedPreconditionError, _errors.CancelledError):
            if os.getpid() != self._pid:
                raise
            raise StopIteration from None
        assert frame is not None
        return frame

    def fileno(self) -> int:
        """A descriptor that is readable when next(0) should be asked, until it gives None."""
        with self._lock:
            self._check()
            return int(self._call("fd"))

    # -- the end

    def _end(self) -> None:
        self._over = True
        self._rouse()
        with self._lock:
            if self._handle and os.getpid() == self._pid:
                self._call("wake")

    def close(self) -> None:
        self._closed = True
        self._end()
        self._given = []
        super().close()

# ---- writing

def layout(shape: Optional[Sequence[int]], dtype: Any) -> tuple[tuple[int, ...], str, int]:
    """(shape, dtype, bytes) of a frame; without numpy for dtypes that are texts."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape or ())
    try:
        import numpy
        found = numpy.dtype(dtype)
        if found.hasobject or found.names is not None:
            raise TypeError(f"a numpy array of dtype {found} holds Python objects or records")
        text, item = found.str, found.itemsize
    except ImportError:
        text = dtype if dtype[0] in "<>|=" else ("|" if dtype[1:] == "1" else "<") + dtype
        item = int(text[2:])
    return shape, text, math.prod(shape) * item

class StreamWriter(Open):
    """The writer of a stream, made by Client.create_stream(). Threads take turns; a forked child makes its own."""
    _kind, _counts = "stream", c.StreamCounts

    def __init__(self, client: Client, name: str, shape: Optional[Sequence[int]], dtype: Any, slots: int,
                 patience: float) -> None:
        if not 0 <= patience <= 60:
            raise ValueError(f"patience is {patience!r}: 0 to 60 seconds")
        super().__init__(client, name)
        self._shape, self._dtype, self._packer, self._making = shape, dtype, _values.packer(), False
        options = c.StreamOptions(ctypes.sizeof(c.StreamOptions), layout(shape, dtype)[2] if shape is not None else 0, slots,
                                  milliseconds(patience) or -1)
        c.told(self._lib.prong_stream_create, client.url.encode(), name.encode(), ctypes.byref(options),
               ctypes.byref(self._handle))

    def _told(self, code: int) -> None:
        if code != OK:
            raise c.failure(code, self._call("error_text"))

    def _reserve(self, size: int) -> memoryview:
        at = ctypes.c_void_p()
        self._told(self._call("reserve", size, ctypes.byref(at)))
        self._memory = c.memory(self._memory, self.counts["generation"], at.value or 0)
        return self._memory.part(at.value or 0, size)

    def _commit(self, shape: tuple[int, ...], dtype: str, meta: Optional[dict[str, Any]], mono_ns: Optional[int]) -> int:
        try:
            packed = self._packer.pack(meta) if meta else b""
        except (TypeError, ValueError, OverflowError):
            raise _values.explain(meta, "meta") from None
        info = c.FrameInfo(dtype.encode(), len(shape), (ctypes.c_uint64 * len(shape))(*shape), mono_ns or 0, 0,
                           c.Value(ctypes.cast(ctypes.c_char_p(packed), ctypes.c_void_p), len(packed)))
        number = ctypes.c_uint64()
        self._told(self._call("commit", ctypes.byref(info), ctypes.byref(number)))
        return number.value

    @contextlib.contextmanager
    def _frame(self, form: tuple[tuple[int, ...], str, int], meta: Optional[dict[str, Any]],
               mono_ns: Optional[int]) -> Iterator[tuple[memoryview, list[int]]]:
        """Its bytes, and a list that gets its number."""
        shape, dtype, size = form
        with self._lock:
            self._check()
            if self._making:
                raise _errors.FailedPreconditionError("a frame of this stream is being made", began="no")
            self._making = True
            try:
                numbers: list[int] = []
                yield self._reserve(size), numbers
                numbers.append(self._commit(shape, dtype, meta, mono_ns))
            finally:
                self._making = False
                if self._handle:
                    self._call("cancel")             # nothing happens when it was committed

    @contextlib.contextmanager
    def frame(self, shape: Optional[Sequence[int]] = None, dtype: Any = None, meta: Optional[dict[str, Any]] = None,
              mono_ns: Optional[int] = None) -> Iterator[Any]:
        """Make a frame in place: `with writer.frame() as array: array[:] = ...`. It is shown at the end of the block, with
        what `meta` holds then, and thrown away when that raises. Shape and dtype are the stream's unless they are given;
        the array must not be used after the block. Raises what write() does."""
        import numpy
        if shape is None and self._shape is None:
            raise TypeError(f"{self.name} was made without a shape: say that of the frame")
        form = layout(self._shape if shape is None else shape, self._dtype if dtype is None else dtype)
        with self._frame(form, meta, mono_ns) as (view, _):
            array = numpy.ndarray(form[0], form[1], view)
            yield array
            array.flags.writeable = False

    def write(self, data: Any, meta: Optional[dict[str, Any]] = None, mono_ns: Optional[int] = None) -> int:
        """Copy a numpy array, or bytes and their like, into the next frame: its number. Bytes have the stream's shape and
        dtype, if it has a shape. `meta`: at most 1024 bytes of msgpack; `mono_ns`: when it was taken, else now.

        Waits for lossless readers as long as the stream's patience. Raises ResourceExhaustedError when all slots are held
        (the frame is skipped, and counted), InvalidArgumentError, and UnavailableError when larger slots are needed and
        there is no hub."""
        if hasattr(data, "__array_interface__"):
            import numpy
            form = layout(data.shape, data.dtype)
            with self._frame(form, meta, mono_ns) as (view, numbers):
                c.fill(numpy.ndarray(form[0], form[1], view), numpy.asarray(data))
            return numbers[0]
        given = memoryview(data).cast("B")
        form = layout(*((given.nbytes, "u1") if self._shape is None else (self._shape, self._dtype)))
        if form[2] != given.nbytes:
            raise _errors.InvalidArgumentError(
                f"frames of {self.name} have {form[2]} bytes ({form[1]} {form[0]}), not {given.nbytes}", began="no")
        with self._frame(form, meta, mono_ns) as (view, numbers):
            view[:] = given
        return numbers[0]

# ---- looking

def streams(url: str) -> list[dict[str, Any]]:
    """See Client.streams."""
    lib, out, count = c.library(), ctypes.POINTER(c.StreamInfo)(), ctypes.c_size_t()
    c.told(lib.prong_stream_list, url.encode(), ctypes.byref(out), ctypes.byref(count))
    found: list[dict[str, Any]] = []
    for row in out[:count.value]:
        if row.is_reader:
            found[-1]["readers"].append({
                "pid": row.pid, "policy": list(POLICIES)[row.policy], "group": row.group.decode() or None, "hold": row.hold,
                "held": row.held, "taken": row.taken, "missed": row.missed, "next": row.next, "delay": row.delay_ns / 1e9})
        else:
            found.append({
                "name": row.name.decode(), "writer": row.pid or None, "slots": row.slots, "slot_bytes": row.slot_bytes,
                "generation": row.generation, "newest": row.newest, "frames": row.frames, "bytes": row.bytes,
                "skipped": row.skipped, "time": row.newest_us / 1e6 if row.newest_us else None, "readers": []})
    lib.prong_free(out)
    return found

# ---- events and their frames

Pair = tuple["Event", Optional[Frame], Optional[float]]

def moment(event: Event) -> int:
    """When what it tells of happened, by CLOCK_MONOTONIC."""
    told = event.payload.get("mono_ns") if isinstance(event.payload, dict) else None
    return told if isinstance(told, int) else monotonic_ns(event.time)

def pair(event: Event, frame: Optional[Frame], tolerance: float) -> Pair:
    """With the frame that is near enough."""
    if frame is not None:
        delay = (frame.mono_ns - moment(event)) / 1e9
        if abs(delay) <= tolerance:
            return event, frame, delay
        frame.release()
    return event, None, None

def correlate(client: Client, filters: Union[str, Sequence[str]], name: str, tolerance: float, timeout: float,
              wait: Optional[float]) -> Iterator[Pair]:
    """See Client.correlate."""
    events = client.subscribe(*([filters] if isinstance(filters, str) else filters))
    reader = Reader(client, name, "latest", None, 1, False, wait)

    def pairs() -> Iterator[Pair]:
        with events, reader:
            while True:
                try:
                    reader._check()
                    event = events.next(SLICE)
                    found = None if event is None else pair(event, reader.at(moment(event), timeout), tolerance)
                except (_errors.FailedPreconditionError, _errors.CancelledError):    # closed, or the worker is to end
                    return
                if found is not None:
                    yield found
    return pairs()
