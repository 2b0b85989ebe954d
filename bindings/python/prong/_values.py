"""Values of Python as msgpack and back. Pickle is used nowhere, so what arrives can only be data.

    None, bool, int (64 bits), float, str, bytes, list, dict   as they are
    bytearray, memoryview                                      bytes
    tuple, set, frozenset                                      list
    datetime                                                   a timestamp; comes back in UTC; a naive one is local time
    msgpack.Timestamp                                          a datetime, unless that cannot hold it
    pathlib paths, Enum, dataclass                             str, their value, dict of their fields
    numpy scalar, numpy array                                  number; array, read-only where it arrives
"""
from __future__ import annotations

import dataclasses
import datetime
import enum
import os
import re
import sys
from typing import Any

import msgpack

from . import _constants as c

ARRAY = c.EXT_ARRAY    # msgpack of [dtype, shape, order], then the bytes of the elements
NANOSECONDS = re.compile(rb"\xd7\xff|\xc7\x0c\xff")      # how a timestamp that a datetime may not hold begins

def _default(value: Any) -> Any:
    """For what msgpack does not know by itself."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return _pack_array(value)
        if isinstance(value, numpy.generic) and not value.dtype.hasobject:
            plain = value.item()
            if not isinstance(plain, numpy.generic):
                return plain
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no form that another process could read")

def _pack_array(array: Any) -> msgpack.ExtType:
    if array.dtype.hasobject or array.dtype.names is not None:
        raise TypeError(f"a numpy array of dtype {array.dtype} holds Python objects or records")
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    head = msgpack.packb([array.dtype.str, array.shape, order])
    return msgpack.ExtType(ARRAY, head + array.tobytes(order))

def ext(kind: int, data: bytes) -> Any:
    """The hook of msgpack for what it does not know by itself."""
    head = msgpack.Unpacker(max_buffer_size=0)
    head.feed(data[:1024])
    try:
        dtype, shape, order = head.unpack() if kind == ARRAY else (None, (), "")
        if not isinstance(dtype, str) or order not in ("C", "F"):
            return msgpack.ExtType(kind, data)
    except (ValueError, TypeError):
        return msgpack.ExtType(kind, data)
    try:
        import numpy
    except ImportError:
        raise ModuleNotFoundError("a numpy array came, and numpy is not installed here") from None
    found = numpy.dtype(dtype)
    if found.hasobject:
        raise ValueError("an array of objects is not taken")
    elements: Any = numpy.frombuffer(data, found, offset=head.tell())
    return elements.reshape(shape, order=order)

def packer() -> msgpack.Packer:
    """One that is used by one thread at a time; `pack` of it raises what `explain` explains."""
    return msgpack.Packer(default=_default, datetime=True)

def explain(value: Any, where: str) -> TypeError:
    """Why a value cannot be packed, and which part of it."""
    def parts(v: Any) -> list[tuple[str, Any]]:
        if isinstance(v, dict):
            return [(f"[{k!r}]", x) for k, x in v.items()]
        if isinstance(v, (list, tuple)):
            return [(f"[{i}]", x) for i, x in enumerate(v)]
        if dataclasses.is_dataclass(v) and not isinstance(v, type):
            return [(f".{f.name}", getattr(v, f.name)) for f in dataclasses.fields(v)]
        return []
    error: Exception = TypeError("too deep")
    for depth in range(64):
        for name, part in [("", value)] if depth == 0 else parts(value):
            try:
                packer().pack(part)
            except Exception as problem:
                error, value, where = problem, part, where + name
                break
        else:
            break
    for key in value if isinstance(value, dict) else ():
        if not isinstance(key, (str, int, bytes)):
            error = TypeError(f"a key of type {type(key).__name__}")
    return TypeError(f"{where}: {error}")

def unpack(data: Any) -> Any:
    """One value. Raises ValueError and its like for what is none, ModuleNotFoundError for an array without numpy."""
    if NANOSECONDS.search(data) is None:
        return msgpack.unpackb(data, ext_hook=ext, strict_map_key=False, timestamp=3)
    return exact(msgpack.unpackb(data, ext_hook=ext, strict_map_key=False))

def exact(value: Any) -> Any:
    """With a datetime for each timestamp, but for those that it cannot hold: they stay a msgpack.Timestamp."""
    if isinstance(value, list):
        return [exact(v) for v in value]
    if isinstance(value, dict):
        return {k: exact(v) for k, v in value.items()}
    if isinstance(value, msgpack.Timestamp) and value.nanoseconds % 1000 == 0:
        try:
            return value.to_datetime()
        except (OverflowError, ValueError):
            pass
    return value

def unpack_plain(data: Any) -> Any:
    """The same for what `unpack` does not take: texts that are no UTF-8 and arrays are left as they are."""
    return msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogateescape")

def again(plain: Any) -> Any:
    """What `unpack_plain` gave as `unpack` would have given it, or the exception that it raises."""
    try:
        return unpack(msgpack.packb(plain, unicode_errors="surrogateescape"))
    except (ValueError, TypeError, ImportError) as problem:
        return problem

def too_large(size: int, limit: int) -> str:
    """What to tell of a value that no message holds."""
    return (f"{size} bytes are more than a message of this hub may be ({limit}; message_bytes of its configuration, "
            f"{c.MESSAGE_BYTES} unless it says otherwise). Large arrays go in parts: buffers in shared memory are not "
            "there yet")
