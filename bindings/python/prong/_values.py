"""Values of Python as msgpack and back. Pickle is used nowhere, so what arrives can only be data.

    None, bool, int (64 bits), float, str, bytes, list, dict   as they are
    bytearray, memoryview                                      bytes
    tuple, set, frozenset                                      list
    datetime                                                   a timestamp; comes back in UTC; a naive one is local time
    msgpack.Timestamp                                          a datetime, unless that cannot hold it
    pathlib paths, Enum, dataclass                             str, their value, dict of their fields
    numpy scalar, numpy array                                  number; array, read-only where it arrives
    numpy array of 1 MiB and more on a local socket            array in memory that both ends may write to
    what prong.array() has made, on a local socket             the same one, without a copy
    Frame of a stream                                          Frame: the same one, without a copy
"""
from __future__ import annotations

import datetime
import enum
import os
import re
import sys
import threading
from typing import Any

import msgpack

from . import _constants as c

ARRAY = c.EXT_ARRAY    # msgpack of [dtype, shape, order], then the bytes of the elements
DTYPE = re.compile(r"[<>|=]?[?biufcmMSUV][0-9]*(\[[0-9a-z]+\])?")

LARGE = 1 << 20        # bytes of an array from which on it goes through shared memory

class _Here(threading.local):
    """Who packs or unpacks in this thread, a Requester; None: nobody who may share memory."""
    owner: Any = None

here = _Here()

def sharing() -> Any:
    """What shares memory for it, made when it is needed first; None when there is nothing."""
    return here.owner.shared if here.owner is not None else None

def is_dataclass(value: Any) -> bool:
    """Whether it is an instance of one. The module dataclasses takes long to import: without it there is none."""
    found = sys.modules.get("dataclasses")
    return found is not None and found.is_dataclass(value) and not isinstance(value, type)

def fields(value: Any) -> list[str]:
    """The names of those of a dataclass."""
    return [f.name for f in sys.modules["dataclasses"].fields(value)]

def _default(value: Any) -> Any:
    """For what msgpack does not know by itself."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            shared = sharing() if value.nbytes >= LARGE or f"{__package__}._shared" in sys.modules else None
            return (shared.array(value) if shared is not None else None) or _pack_array(value)
        if isinstance(value, numpy.generic) and not value.dtype.hasobject:
            plain = value.item()
            if not isinstance(plain, numpy.generic):
                return plain
    streams = sys.modules.get(f"{__package__}._stream")
    if streams is not None and isinstance(value, streams.Frame):
        shared = sharing() if value._slot is not None else None      # at another hub its handle says something else
        return shared.frame(value) if shared is not None and shared.url == value._url else _default(value.array)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc)
    if is_dataclass(value):
        return {name: getattr(value, name) for name in fields(value)}
    raise TypeError(f"{type(value).__name__} has no form that another process could read")

def _pack_array(array: Any) -> msgpack.ExtType:
    if array.dtype.hasobject or array.dtype.names is not None:
        raise TypeError(f"a numpy array of dtype {array.dtype} holds Python objects or records")
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    head = msgpack.packb([array.dtype.str, array.shape, order])
    return msgpack.ExtType(ARRAY, head + array.tobytes(order))

def _ext_type(kind: int, data: bytes) -> msgpack.ExtType:
    """Also with the numbers below 0 that msgpack keeps for itself, and which it would refuse."""
    return tuple.__new__(msgpack.ExtType, (kind, data))

def ext(kind: int, data: bytes) -> Any:
    """The hook of msgpack for what it does not know by itself."""
    shared = sharing() if kind in (c.EXT_FRAME, c.EXT_BUFFER) else None
    if shared is not None:
        return shared.ext(kind, data)
    head = msgpack.Unpacker(max_buffer_size=0)
    head.feed(data[:1024])
    try:
        dtype, shape, order = head.unpack() if kind == ARRAY else (None, (), "")
        if not isinstance(dtype, str) or order not in ("C", "F"):
            return _ext_type(kind, data)
    except (ValueError, TypeError, msgpack.UnpackException):
        return _ext_type(kind, data)
    try:
        import numpy
    except ImportError:
        raise ModuleNotFoundError("a numpy array came, and numpy is not installed here") from None
    if not DTYPE.fullmatch(dtype):                   # objects and records; numpy would take it for an expression
        raise ValueError(f"an array of {dtype[:40]!r} is not taken")
    elements: Any = numpy.frombuffer(data, dtype, offset=head.tell())
    return elements.reshape(shape, order=order)

def packer() -> msgpack.Packer:
    """One that is used by one thread at a time; `pack` of it raises what `explain` explains."""
    return msgpack.Packer(default=_default, datetime=True)

def explain(value: Any, where: str) -> TypeError:
    """Why a value cannot be packed, and which part of it."""
    def parts(v: Any) -> list[tuple[str, Any]]:
        if isinstance(v, dict):
            return [(f"[{k!r}]" if isinstance(k, (str, int, bytes)) else "", x) for k, x in v.items()]
        if isinstance(v, (list, tuple)):
            return [(f"[{i}]", x) for i, x in enumerate(v)]
        if is_dataclass(v):
            return [(f".{name}", getattr(v, name)) for name in fields(v)]
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

def has_nanoseconds(data: bytes) -> bool:
    """Whether there may be a timestamp in it that a datetime does not hold. Looking for one byte costs next to nothing."""
    return 0xFF in data and (b"\xd7\xff" in data or b"\xc7\x0c\xff" in data)

def unpack(data: bytes) -> Any:
    """One value. Raises ValueError and its like for what is none, ModuleNotFoundError for an array without numpy."""
    if 0xFF not in data or not has_nanoseconds(data):
        return msgpack.unpackb(data, ext_hook=ext, strict_map_key=False, timestamp=3)
    return exact(msgpack.unpackb(data, ext_hook=ext, strict_map_key=False))

def exact(value: Any) -> Any:
    """With a datetime for each timestamp, but for those that it cannot hold: they stay a msgpack.Timestamp."""
    try:
        return _exact(value)
    except RecursionError:
        raise ValueError("nested too deep for a value with timestamps") from None

def _exact(value: Any) -> Any:
    if isinstance(value, list):
        return [_exact(v) for v in value]
    if isinstance(value, dict):
        return {k: _exact(v) for k, v in value.items()}
    if isinstance(value, msgpack.Timestamp) and value.nanoseconds % 1000 == 0:
        try:
            return value.to_datetime()
        except (OverflowError, ValueError):
            pass
    return value

def unpack_plain(data: bytes) -> Any:
    """The same for what `unpack` does not take: texts that are no UTF-8 and arrays are left as they are."""
    return msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogateescape", ext_hook=_ext_type)

SKIP = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1),
        0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}
FIXED = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
         0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}

def _head(data: Any, at: int) -> tuple[int, int]:
    """(where what follows the head of an object begins, objects in it) of the one that begins there."""
    kind = data[at]
    if 0xC0 > kind >= 0x80:
        return (at + 1 + (kind & 31), 0) if kind >= 0xA0 else (at + 1, (kind & 15) * (1 if kind >= 0x90 else 2))
    if kind in SKIP:
        width, more = SKIP[kind]
        return at + 1 + width + more + int.from_bytes(data[at + 1:at + 1 + width], "big"), 0
    if 0xDC <= kind <= 0xDF:
        width = 4 if kind & 1 else 2
        return at + 1 + width, int.from_bytes(data[at + 1:at + 1 + width], "big") * (1 if kind < 0xDE else 2)
    return at + 1 + FIXED.get(kind, 0), 0

def unpack_parts(data: Any, plain: bool, at: int = 0, level: int = 0) -> tuple[Any, int]:
    """(value, end) of the record that begins there, in which an exception stands for each payload that cannot be read. With
    `plain`, what unpack_plain makes of it. Payloads are the last of each array in the last array; they may be nested as
    deep as others like."""
    begin, count = _head(data, at)
    if level < 3 and (0x90 <= data[at] < 0xA0 or data[at] in (0xDC, 0xDD)):
        found = []
        for _ in range(count):
            part, begin = unpack_parts(data, plain, begin, level + 1)
            found.append(part)
        return found, begin
    while count:
        begin, more = _head(data, begin)
        count += more - 1
    problem: Any = None
    for take in (unpack, unpack_plain)[:1 + plain]:
        try:
            return take(data[at:begin]), begin
        except (ValueError, TypeError, ImportError) as error:
            problem = problem or error
    return problem, begin

def too_large(size: int, limit: int) -> str:
    """What to tell of a value that no message holds."""
    return (f"{size} bytes are more than a message of this hub may be ({limit}; message_bytes of its configuration, "
            f"{c.MESSAGE_BYTES} unless it says otherwise). Large arrays go through shared memory on a "
            "local socket, where libprong is, and in parts elsewhere")
