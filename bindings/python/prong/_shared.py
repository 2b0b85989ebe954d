"""Frames and large arrays as arguments and results: what travels is a handle, and both ends map the memory.

An array that is sent is copied once, into memory that the hub lends; what arrives is an array on that memory, and the
last one that has it gives it back. A frame travels without any copy."""
from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from typing import Any, Optional

import msgpack

from . import _constants as c
from . import _errors, _values
from . import _lib as lib

LINGER_MS = 60000        # that a result waits for its caller
HOLD = 2                 # frames of one stream that arrived and are in use at a time
GONE = 15

class Gone(_errors.DataLossError, ValueError):
    """What a handle stands for is no more; a value like any other that cannot be read."""

class Buffer:
    """One hold of a buffer, until nothing refers to it. `url`: of its hub, when array() has made it."""

    def __init__(self, library: Any, pointer: Any, url: str = "") -> None:
        self.library, self.pointer, self.url, self.pid, self.linger_ms = library, pointer, url, os.getpid(), 0

    def array(self) -> Any:
        """On its memory, which stays as long as any view of it."""
        import numpy
        at = self.pointer.contents
        memory = (ctypes.c_ubyte * at.bytes).from_address(at.data)
        memory.buffer = self
        return numpy.ndarray(tuple(at.shape[:at.dims]), at.dtype.decode(), memory)

    def leave(self) -> bool:
        """It waits for the caller by itself."""
        self.linger_ms = LINGER_MS
        return True

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, TypeError):         # not whole, or the interpreter ends
            if self.pid == os.getpid():
                self.library.prong_buffer_send(self.pointer, self.linger_ms)

class Pin:
    """Keeps a frame from being released, until nothing refers to it."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame
        frame._pins += 1

    def leave(self) -> bool:
        """Not before the caller has it."""
        return False

    def __del__(self) -> None:
        self.frame._pins -= 1
        if self.frame._pins == 0 and self.frame._is_unwanted:
            self.frame.release()

class Shared:
    """Of one connection on a local socket; used by one thread at a time. `kept` gets what a value needs that is packed: it
    is to be kept until the other end has taken it."""

    def __init__(self, url: str, kept: list[Any]) -> None:
        self.url, self.pid, self.memory, self.kept = url, 0, ctypes.c_void_p(), kept
        self.maps: dict[str, lib.Memory] = {}        # by stream

    def _library(self) -> Any:
        found = lib.library()
        if self.pid != os.getpid():
            memory = ctypes.c_void_p()
            lib.told(found.prong_memory_open, self.url.encode(), HOLD, ctypes.byref(memory))
            self.memory, self.pid = memory, os.getpid()
        return found

    def __del__(self) -> None:
        """The connection ends with the last of what came over it."""
        with contextlib.suppress(AttributeError, TypeError):         # the interpreter ends
            if self.pid == os.getpid():
                lib.library().prong_memory_free(self.memory)

    def _failure(self, library: Any, code: int) -> _errors.ProngError:
        why = ctypes.create_string_buffer(lib.TEXT)
        library.prong_memory_error_text(self.memory, why, lib.TEXT)
        return lib.failure(code, why.value)

    @staticmethod
    def _handle(library: Any, write: Any, thing: Any) -> msgpack.ExtType:
        writer, value = library.prong_writer_new(), lib.Value()
        try:
            write(writer, thing)
            if library.prong_writer_finish(writer, ctypes.byref(value)):
                raise MemoryError
            found: msgpack.ExtType = msgpack.unpackb(ctypes.string_at(value.data, value.len))
            return found
        finally:
            library.prong_writer_free(writer)

    def buffer(self, shape: tuple[int, ...], dtype: str, size: int, url: str = "") -> Buffer:
        """A new one."""
        pointer = lib.BufferPointer()
        info = lib.FrameInfo(dtype=dtype.encode(), dims=len(shape), shape=(ctypes.c_uint64 * max(1, len(shape)))(*shape))
        library = self._library()
        code = library.prong_buffer_new(self.memory, size, ctypes.byref(info), ctypes.byref(pointer))
        if code:
            raise self._failure(library, code)
        return Buffer(library, pointer, url)

    def array(self, array: Any) -> Optional[msgpack.ExtType]:
        """The handle of what it lies in, else that of a copy; None when it had better go into the message."""
        buffer = made(array, self.url)
        if array.ndim > 8 or len(array.dtype.str) > 8 or (buffer is None and array.nbytes < _values.LARGE):
            return None
        if buffer is None:
            try:
                buffer = self.buffer(array.shape, array.dtype.str, array.nbytes)
            except _errors.ProngError:
                return None
            lib.fill(buffer.array(), array)
        self.kept.append(buffer)
        handle = msgpack.unpackb(self._handle(buffer.library, buffer.library.prong_writer_buffer, buffer.pointer).data)
        return msgpack.ExtType(c.EXT_BUFFER, msgpack.packb([handle[0], array.dtype.str, array.shape]))

    def frame(self, frame: Any) -> msgpack.ExtType:
        """The handle of a frame, which stays until it was taken."""
        if not any(frame._slot):
            raise TypeError(f"{frame!r} was released; frame.array of a copy (keep()) can be sent")
        self.kept.append(Pin(frame))
        return self._handle(frame._lib, frame._lib.prong_writer_frame, frame._slot[0])

    def ext(self, kind: int, data: bytes) -> Any:
        """What a handle stands for."""
        raw = msgpack.packb(msgpack.ExtType(kind, data))
        try:
            library = self._library()
        except _errors.ProngError as problem:
            raise ValueError(str(problem)) from None
        value = lib.Value(ctypes.cast(ctypes.c_char_p(raw), ctypes.c_void_p), len(raw))
        if kind == c.EXT_BUFFER:
            pointer = lib.BufferPointer()
            code = library.prong_buffer_take(self.memory, ctypes.byref(value), ctypes.byref(pointer))
            if not code:
                return Buffer(library, pointer).array()
        else:
            from ._stream import Frame
            frame = Frame(msgpack.unpackb(data)[0], self.url, library, os.getpid())
            code = library.prong_frame_take(self.memory, ctypes.byref(value), ctypes.byref(frame._slot[0]))
            if not code:
                self.maps[frame.stream] = frame._fill(self.maps.get(frame.stream))
                return frame
            frame._slot = None
        error = self._failure(library, code)
        raise Gone(error.message, code=error.code, began="no") if error.code == GONE else ValueError(str(error))

# ---- arrays that the program fills where they lie

@functools.cache
def _of(url: str) -> Shared:
    return Shared(url, [])

def array(shape: Any, dtype: Any = float, hub: Any = None) -> Any:
    """A numpy array in memory that the hub lends, to be filled where it lies: passed as an argument, or returned, it is not
    copied, and everybody who has it may write to it. What is in it at first is not said, as with numpy.empty.

    shape, dtype  as numpy takes them; at most 8 dimensions and 1 GiB
    hub           a client, also one of prong.aio, or a URL; None: the hub that runs this worker, else what connect() finds

    A reshaped one or one of another dtype is still the same memory; a part of it is passed as other arrays are. The hub has
    the memory back when nobody has an array of it any more. Raises InvalidArgumentError, ResourceExhaustedError,
    UnavailableError, NotFoundError (no libprong here), and UnimplementedError when the hub is on another machine."""
    from ._link import find
    from ._stream import layout
    url = getattr(hub, "url", None) or find(hub)
    return _of(url).buffer(*layout(shape, dtype), url).array()

def made(array: Any, url: str) -> Optional[Buffer]:
    """What it lies in when array() has made that for this hub, and it is all of it."""
    base = array.base
    while hasattr(base, "base"):
        base = base.base
    buffer = getattr(base, "buffer", None)
    if not (isinstance(buffer, Buffer) and buffer.url == url and buffer.pid == os.getpid() and array.flags.c_contiguous):
        return None
    at = buffer.pointer.contents
    return buffer if (array.__array_interface__["data"][0], array.nbytes) == (at.data, at.bytes) else None
