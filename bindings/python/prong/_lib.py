"""libprong by ctypes: found, loaded and declared when a program uses streams for the first time.

Frames are handed over in shared memory with atomic instructions and fences, and Python has neither: so this is the one
part of the package that is not Python alone."""
from __future__ import annotations

import ctypes
import os
import shutil
import sysconfig
from ctypes import POINTER, c_bool, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, Optional

from . import _errors

NAME = "libprong.so.0"
TEXT = 256                       # bytes of an error's text
MREMAP_MAYMOVE = 1

# ---- what stands in <prong/stream.h>

class Value(ctypes.Structure):
    """prong_value"""
    _fields_ = [("data", c_void_p), ("len", c_size_t)]

class StreamOptions(ctypes.Structure):
    """prong_stream_options"""
    _fields_ = [("size_bytes", c_size_t), ("slot_bytes", c_size_t), ("slots", c_uint32), ("patience_ms", c_int32)]

class FrameInfo(ctypes.Structure):
    """prong_frame_info"""
    _fields_ = [("dtype", c_char_p), ("dims", c_uint32), ("shape", POINTER(c_uint64)), ("mono_ns", c_int64),
                ("time_us", c_int64), ("meta", Value)]

class StreamCounts(ctypes.Structure):
    """prong_stream_counts"""
    _fields_ = [(name, c_uint64) for name in ("frames", "bytes", "skipped", "dropped", "generation")]

class ReaderOptions(ctypes.Structure):
    """prong_reader_options"""
    _fields_ = [("size_bytes", c_size_t), ("policy", c_int), ("group", c_char_p), ("hold", c_uint32), ("oldest", c_bool),
                ("timeout_ms", c_int32)]

class ReaderCounts(ctypes.Structure):
    """prong_reader_counts"""
    _fields_ = [(name, c_uint64) for name in ("taken", "missed", "dropped", "generation")]

class Frame(ctypes.Structure):
    """prong_frame"""
    _fields_ = [("number", c_uint64), ("missed", c_uint64), ("generation", c_uint64), ("mono_ns", c_int64),
                ("time_us", c_int64), ("data", c_void_p), ("bytes", c_size_t), ("dtype", c_char * 9), ("dims", c_uint32),
                ("shape", c_uint64 * 8), ("meta", Value)]

class Buffer(ctypes.Structure):
    """prong_buffer"""
    _fields_ = [("data", c_void_p), ("bytes", c_size_t), ("dtype", c_char * 9), ("dims", c_uint32), ("shape", c_uint64 * 8)]

class StreamInfo(ctypes.Structure):
    """prong_stream_info"""
    _fields_ = [("is_reader", c_bool), ("name", c_char * 65), ("group", c_char * 65), ("pid", c_int32),
                ("slots", c_uint32), ("readers", c_uint32), ("slot_bytes", c_size_t), ("generation", c_uint64),
                ("newest", c_uint64), ("frames", c_uint64), ("bytes", c_uint64), ("skipped", c_uint64),
                ("newest_us", c_int64), ("policy", c_int), ("hold", c_uint32), ("held", c_uint32), ("taken", c_uint64),
                ("missed", c_uint64), ("next", c_uint64), ("delay_ns", c_int64)]

FramePointer, BufferPointer, ValuePointer = POINTER(Frame), POINTER(Buffer), POINTER(Value)
_WHY = (c_char_p, c_size_t)
DECLARED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "prong_stream_create": (c_int, (c_char_p, c_char_p, POINTER(StreamOptions), POINTER(c_void_p), *_WHY)),
    "prong_stream_reserve": (c_int, (c_void_p, c_size_t, POINTER(c_void_p))),
    "prong_stream_commit": (c_int, (c_void_p, POINTER(FrameInfo), POINTER(c_uint64))),
    "prong_stream_copy": (None, (c_void_p, c_void_p, c_size_t)),
    "prong_stream_stats": (None, (c_void_p, POINTER(StreamCounts))),
    "prong_stream_open": (c_int, (c_char_p, c_char_p, POINTER(ReaderOptions), POINTER(c_void_p), *_WHY)),
    "prong_reader_next": (c_int, (c_void_p, c_int32, POINTER(FramePointer))),
    "prong_reader_at": (c_int, (c_void_p, c_int64, c_int32, POINTER(FramePointer))),
    "prong_reader_number": (c_int, (c_void_p, c_uint64, POINTER(FramePointer))),
    "prong_frame_release": (None, (FramePointer,)),
    **dict.fromkeys(("prong_stream_cancel", "prong_stream_free", "prong_reader_wake", "prong_reader_free", "prong_free",
                     "prong_memory_free"), (None, (c_void_p,))),
    **dict.fromkeys(("prong_stream_error_text", "prong_reader_error_text"), (c_char_p, (c_void_p,))),
    "prong_reader_fd": (c_int, (c_void_p,)),
    "prong_reader_stats": (None, (c_void_p, POINTER(ReaderCounts))),
    "prong_memory_open": (c_int, (c_char_p, c_uint32, POINTER(c_void_p), *_WHY)),
    "prong_memory_error_text": (None, (c_void_p, *_WHY)),
    "prong_buffer_new": (c_int, (c_void_p, c_size_t, POINTER(FrameInfo), POINTER(BufferPointer))),
    "prong_buffer_take": (c_int, (c_void_p, ValuePointer, POINTER(BufferPointer))),
    "prong_buffer_send": (None, (BufferPointer, c_int32)),
    "prong_frame_take": (c_int, (c_void_p, ValuePointer, POINTER(FramePointer))),
    "prong_writer_new": (c_void_p, ()),
    "prong_writer_free": (None, (c_void_p,)),
    "prong_writer_buffer": (None, (c_void_p, BufferPointer)),
    "prong_writer_frame": (None, (c_void_p, FramePointer)),
    "prong_writer_finish": (c_int, (c_void_p, ValuePointer)),
    "prong_stream_list": (c_int, (c_char_p, POINTER(POINTER(StreamInfo)), POINTER(c_size_t), *_WHY)),
}

# ---- finding it

def places() -> list[str]:
    """Where it is looked for: beside the programs, in the order in which these are; and in the package's own folder."""
    given, path = os.environ.get("PRONG_BIN_DIR"), shutil.which("prongd")
    programs = [given, sysconfig.get_path("scripts"), os.path.dirname(os.path.realpath(path)) if path else None]
    below = ["lib", "lib64", *(f"lib/{arch}" for arch in [sysconfig.get_config_var("MULTIARCH")] if arch)]
    folders = [os.path.normpath(f"{folder}/../{lib}") for folder in programs if folder for lib in below]
    folders.insert(len(below) if given else 0, os.path.dirname(os.path.abspath(__file__)))
    return [f"{folder}/{NAME}" for folder in dict.fromkeys(folders)]

def _declare(path: str) -> Any:
    lib = ctypes.CDLL(path)
    try:
        for name, (result, arguments) in DECLARED.items():
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError:
        raise _errors.UnimplementedError(f"{path} is of another version of Prong: it has no {name}", began="no") from None
    return lib

_loaded: Optional[Any] = None

def library() -> Any:
    """The library; NotFoundError tells where it was looked for."""
    global _loaded
    if _loaded is None:
        there = [path for path in places() if os.path.exists(path)]
        try:
            _loaded = _declare(there[0] if there else NAME)
        except OSError as problem:
            raise _errors.NotFoundError(
                f"streams need {NAME}, which comes with the programs of the hub: {problem}; looked in "
                f"{', '.join(map(os.path.dirname, places()))} and where the system has its libraries", began="no") from None
    return _loaded

def failure(code: int, text: Optional[bytes]) -> _errors.ProngError:
    """The exception for what a function of the library told."""
    return _errors.make(code, 0, (text or b"").decode("utf-8", "replace"), None)

def told(function: Any, *arguments: Any) -> None:
    """Call one that tells its failure in a text at the end, and raise that."""
    why = ctypes.create_string_buffer(TEXT)
    code = function(*arguments, why, TEXT)
    if code:
        raise failure(code, why.value)

def fill(into: Any, array: Any) -> None:
    """Copy an array into one of the same kind in shared memory."""
    if array.flags.c_contiguous:
        library().prong_stream_copy(into.ctypes.data, array.ctypes.data, array.nbytes)
    else:
        into[...] = array

# ---- memory

def _libc() -> Any:
    lib = ctypes.CDLL(None, use_errno=True)
    lib.mremap.restype, lib.mremap.argtypes = c_void_p, (c_void_p, c_size_t, c_size_t, c_int)
    lib.munmap.argtypes = (c_void_p, c_size_t)
    return lib

class _Map:
    """A map of shared memory, until the last view of it is gone."""

    def __init__(self, begin: int, size: int) -> None:
        self.libc, self.size = _libc(), size
        self.begin = self.libc.mremap(begin, 0, size, MREMAP_MAYMOVE)      # size 0: one more map of the same pages
        if self.begin in (None, c_void_p(-1).value):
            raise _errors.ResourceExhaustedError(f"no map of {size} bytes: {os.strerror(ctypes.get_errno())}", began="no")

    def __del__(self) -> None:
        if getattr(self, "begin", None) not in (None, c_void_p(-1).value):
            self.libc.munmap(self.begin, self.size)

class Memory:
    """The shared memory that an address of the library's lies in, mapped once more: the library ends its own map when a
    stream gets another ring or is closed, and a view that somebody still has must not crash then."""

    def __init__(self, address: int, generation: int) -> None:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                begin, end = (int(word, 16) for word in line.split(" ", 1)[0].split("-"))
                if begin <= address < end:
                    break
            else:
                raise _errors.InternalError(f"no memory is mapped at {address:#x}", began="no")
        self.begin, self.end, self.generation = begin, end, generation
        own = _Map(begin, end - begin)
        pages = (ctypes.c_ubyte * own.size).from_address(own.begin)
        pages.map = own  # type: ignore[attr-defined]
        self.view = memoryview(pages).cast("B")

    def part(self, address: int, size: int) -> memoryview:
        """Of it."""
        return self.view[address - self.begin:address - self.begin + size]

def memory(known: Optional[Memory], generation: int, address: int) -> Memory:
    """That of this generation of a stream."""
    if known is None or known.generation != generation or not known.begin <= address < known.end:
        return Memory(address, generation)
    return known
