"""Frames and large arrays as arguments and results: what travels is a handle, and both ends map the memory.

An array that is sent is copied once, into memory that the hub lends; what arrives is an array on that memory, and the
last one that has it gives it back. A frame travels without any copy."""
from __future__ import annotations

import contextlib
import ctypes
import os
from typing import Any, Optional

import msgpack

from . import _constants as c
from . import _errors
from . import _lib as lib

LINGER_MS = 60000        # that a result waits for its caller
HOLD = 2                 # frames of one stream that arrived and are in use at a time
GONE = 15

class Gone(_errors.DataLossError, ValueError):
    """What a handle stands for is no more; a value like any other that cannot be read."""

class Buffer:
    """One hold of a buffer, until nothing refers to it."""

    def __init__(self, library: Any, pointer: Any) -> None:
        self.library, self.pointer, self.pid = library, pointer, os.getpid()

    def array(self) -> Any:
        """On its memory, which stays as long as any view of it."""
        import numpy
        at = self.pointer.contents
        memory = (ctypes.c_ubyte * at.bytes).from_address(at.data)
        memory.buffer = self
        return numpy.ndarray(tuple(at.shape[:at.dims]), at.dtype.decode(), memory)

    def leave(self) -> bool:
        """It waits for the caller by itself."""
        self.send(LINGER_MS)
        return True

    def send(self, linger_ms: int) -> None:
        """Let go of it, but for whoever has its handle."""
        pointer, self.pointer = self.pointer, None
        if pointer and self.pid == os.getpid():
            self.library.prong_buffer_send(pointer, linger_ms)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, TypeError):         # not whole, or the interpreter ends
            self.send(0)

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
            why = ctypes.create_string_buffer(lib.TEXT)
            self.memory = ctypes.c_void_p()
            code = found.prong_memory_open(self.url.encode(), HOLD, ctypes.byref(self.memory), why, lib.TEXT)
            if code:
                raise lib.failure(code, why.value)
            self.pid = os.getpid()
        return found

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

    def array(self, array: Any) -> Optional[msgpack.ExtType]:
        """The handle of a copy; None when it had better go into the message."""
        if array.ndim > 8 or len(array.dtype.str) > 8:
            return None
        import numpy
        pointer = lib.BufferPointer()
        shape = (ctypes.c_uint64 * max(1, array.ndim))(*array.shape)
        info = lib.FrameInfo(dtype=array.dtype.str.encode(), dims=array.ndim, shape=shape)
        try:
            library = self._library()
            code = library.prong_buffer_new(self.memory, array.nbytes, ctypes.byref(info), ctypes.byref(pointer))
            if code:
                raise self._failure(library, code)
        except _errors.ProngError:
            return None
        buffer = Buffer(library, pointer)
        numpy.copyto(buffer.array(), array)
        self.kept.append(buffer)
        return self._handle(library, library.prong_writer_buffer, pointer)

    def frame(self, frame: Any) -> msgpack.ExtType:
        """The handle of a frame, which stays until it was taken."""
        if not frame._is_held:
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
            frame = Frame(msgpack.unpackb(data)[0], library, os.getpid())
            code = library.prong_frame_take(self.memory, ctypes.byref(value), ctypes.byref(frame._slot[0]))
            if not code:
                self.maps[frame.stream] = frame._fill(self.maps.get(frame.stream))
                return frame
            frame._slot = None
        error = self._failure(library, code)
        raise Gone(error.message, code=error.code, began="no") if error.code == GONE else ValueError(str(error))
