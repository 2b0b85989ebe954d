"""Values of Python there and back, what is refused, and that nothing which comes from outside can do harm."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import pathlib
import subprocess
import sys
import textwrap
from typing import Any

import msgpack
import pytest

from prong import _values
from prong._errors import InvalidArgumentError

np = pytest.importorskip("numpy")
pytestmark = pytest.mark.compat
UTC = datetime.timezone.utc


def pack(value: Any) -> bytes:
    """As a session does: TypeError names the place."""
    try:
        return bytes(_values.packer().pack(value))
    except Exception:
        raise _values.explain(value, "value") from None


def there_and_back(value: Any) -> Any:
    return _values.unpack(pack(value))


class Colour(enum.Enum):
    RED = "red"
    MANY = (1, 2)


class Level(enum.IntEnum):
    LOW = 3


class Text(str):
    pass


@dataclasses.dataclass
class Box:
    x: int
    tags: Any = ()


@dataclasses.dataclass
class Tree:
    name: str
    below: Any = None


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        127,
        128,
        -32,
        -33,
        2**63 - 1,
        -(2**63),
        2**64 - 1,
        0.0,
        -0.0,
        1.5,
        1e308,
        5e-324,
        math.inf,
        -math.inf,
        "",
        "grüße 日本 🐦",
        "\0",
        "x" * 70000,
        b"",
        b"\xff\0",
        b"y" * 70000,
        [],
        [[]],
        {},
        {"": {}},
        {"a": [1, {"b": None}]},
        {1: "int key", b"k": "bytes key", -5: 0},
        list(range(70000)),
        {str(i): i for i in range(70000)},
    ],
    ids=lambda v: f"{type(v).__name__}-{str(v)[:12]}",
)
def test_what_msgpack_has_stays_as_it_is(value: Any) -> None:
    found = there_and_back(value)
    assert found == value and type(found) is type(value)
    assert not isinstance(value, float) or math.copysign(1, found) == math.copysign(1, value)


def test_a_number_that_is_none_stays_one() -> None:
    assert math.isnan(there_and_back(math.nan))
    assert math.isnan(there_and_back(np.float64("nan")))


@pytest.mark.parametrize(
    "value, arrives",
    [
        ((1, (2,)), [1, [2]]),
        ({3}, [3]),
        (frozenset("a"), ["a"]),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (pathlib.Path("a") / "b", "a/b"),
        (pathlib.PurePosixPath("/x"), "/x"),
        (Colour.RED, "red"),
        (Colour.MANY, [1, 2]),
        (Level.LOW, 3),
        (Text("t"), "t"),
        (Box(1, (Colour.RED, {2})), {"x": 1, "tags": ["red", [2]]}),
        (Tree("a", [Tree("b")]), {"name": "a", "below": [{"name": "b", "below": None}]}),
        (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("s"), "s"),
        (np.bytes_(b"s"), b"s"),
        ({"k": (np.int16(1), Box(np.float64(2.5)))}, {"k": [1, {"x": 2.5, "tags": []}]}),
    ],
)
def test_the_table_of_what_else_is_taken(value: Any, arrives: Any) -> None:
    found = there_and_back(value)
    assert found == arrives
    assert type(found) is type(arrives)


@pytest.mark.parametrize(
    "value",
    [
        datetime.datetime(2024, 2, 29, 12, 30, 15, 123456, UTC),
        datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        datetime.datetime(1, 1, 1, tzinfo=UTC),
        datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
        datetime.datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC),
        datetime.datetime(2600, 1, 1, tzinfo=UTC),
        datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))),
    ],
)
def test_times_keep_their_moment(value: datetime.datetime) -> None:
    found = there_and_back(value)
    assert found == value and found.utcoffset() == datetime.timedelta(0)


def test_a_naive_time_is_local() -> None:
    value = datetime.datetime(2024, 6, 1, 12)
    assert there_and_back(value) == value.astimezone(UTC)


def test_timestamps_that_a_datetime_cannot_hold_stay_what_they_are() -> None:
    for stamp in (
        msgpack.Timestamp(1, 1),
        msgpack.Timestamp(2**62, 0),
        msgpack.Timestamp(-(2**62), 999_999_999),
        msgpack.Timestamp(2**34 - 1, 999),
    ):
        assert there_and_back([stamp, {"t": stamp}]) == [stamp, {"t": stamp}]
        assert pack(there_and_back([stamp])) == pack([stamp])
    assert there_and_back(msgpack.Timestamp(1, 1000)) == datetime.datetime(1970, 1, 1, 0, 0, 1, 1, UTC)


def test_bytes_that_look_like_a_timestamp_do_no_harm() -> None:
    for data in (b"\xd7\xff", b"\xc7\x0c\xff" * 9, pack(msgpack.Timestamp(1, 1))):
        assert there_and_back({"d": data, "s": [data]}) == {"d": data, "s": [data]}


@pytest.mark.parametrize(
    "value, place",
    [
        (object(), "value: object"),
        (1j, "value: complex"),
        ([1, object()], r"value\[1\]: object"),
        ({"a": {"b": [0, {1}, {2: object()}]}}, r"value\['a'\]\['b'\]\[2\]\[2\]: object"),
        (Box(1, [decimal.Decimal(1)]), r"value.tags\[0\]: Decimal"),
        ({"e": [Box(2, Tree("n", 1j))]}, r"value\['e'\]\[0\].tags.below: complex"),
        ((0, lambda: 0), r"value\[1\]: function"),
        ({"c": Box}, r"value\['c'\]: type"),
        ({"d": {1j: 0}}, r"value\['d'\]: a key of type complex"),
        (2**64, "value: .*"),
        ([-(2**63) - 1], r"value\[0\]"),
        ("\ud800", "value: .*surrogate"),
        ({"n": ["ok", "a\udfff"]}, r"value\['n'\]\[1\]: .*surrogate"),
        ({"\ud800": 1}, "value: .*"),
        (datetime.date(2024, 1, 1), "value: date"),
        (datetime.timedelta(1), "value: timedelta"),
        ({"r": range(3)}, r"value\['r'\]: range"),
        ([(x for x in ())], r"value\[0\]: generator"),
        (ValueError("x"), "value: ValueError"),
    ],
    ids=lambda v: str(v)[:30] if isinstance(v, str) else type(v).__name__,
)
def test_what_is_refused_is_named_with_its_place(value: Any, place: str) -> None:
    with pytest.raises(TypeError, match=f"(?s)^{place}"):
        pack(value)


def nested(depth: int, leaf: Any = 0) -> Any:
    for _ in range(depth):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize("depth", [31, 100, 250, 500])
def test_nested_values_arrive(depth: int) -> None:
    found, steps = there_and_back(nested(depth, "leaf")), 0
    while isinstance(found, list):
        found, steps = found[0], steps + 1
    assert (found, steps) == ("leaf", depth)


@pytest.mark.parametrize("depth", [2000, 5000, 200_000])
def test_too_deep_is_an_error_and_not_a_crash(depth: int) -> None:
    with pytest.raises(TypeError, match="value"):
        pack(nested(depth))
    wire = b"\x91" * depth + b"\xc0"
    with pytest.raises(ValueError):
        _values.unpack(wire)


@pytest.mark.parametrize("depth", [100, 600, 1000, 200_000])
def test_a_deep_value_with_a_timestamp_is_a_value_or_an_error(depth: int) -> None:
    """A place for each level on Python's stack would be a RecursionError, which nobody expects."""
    wire = b"\x91" * depth + b"\xd7\xff" + (1 << 34 | 1).to_bytes(8, "big")
    try:
        assert isinstance(_values.unpack(wire), list)
    except ValueError:
        assert depth > 100


def test_what_holds_itself_is_an_error() -> None:
    around: list[Any] = []
    around.append({"again": around})
    loop = Tree("a")
    loop.below = [loop]
    mapping: dict[str, Any] = {}
    mapping["m"] = mapping
    for value in (around, loop, mapping, [around, mapping]):
        with pytest.raises(TypeError, match="value"):
            pack(value)


class Endless:
    """As a mock, it has every attribute."""

    def __getattr__(self, name: str) -> Any:
        return Endless()


def test_an_object_that_has_every_attribute_is_refused() -> None:
    with pytest.raises(TypeError, match="Endless"):
        pack([Endless()])


class Broken:
    def __fspath__(self) -> str:
        raise OSError("no path")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_an_object_that_fails_itself_is_a_type_error_with_its_place() -> None:
    with pytest.raises(TypeError, match=r"value\[0\]: no path"):
        pack([Broken()])
    with pytest.raises(TypeError, match="value"):
        pack({"a": {Broken(): 1}})


# ---- arrays

DTYPES = [
    "?",
    "i1",
    "u1",
    "<i2",
    ">i2",
    "<u4",
    ">u8",
    "<f2",
    "<f4",
    ">f8",
    "<c8",
    ">c16",
    "S3",
    "<U4",
    "M8[us]",
    "m8[ms]",
    "V5",
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3), (2, 3, 4)], ids=str)
def test_arrays_keep_type_shape_and_elements(dtype: str, shape: Any) -> None:
    count = math.prod(shape)
    size = np.dtype(dtype).itemsize
    raw = (
        (bytes(range(65, 91)) * (count * size // 26 + 1))[: count * size]
        if dtype[-2:] != "U4"
        else "abcd".encode("utf-32-le") * count
    )
    raw = bytes(b % 2 for b in raw) if dtype == "?" else raw
    array = np.frombuffer(raw, dtype).reshape(shape) if count else np.zeros(shape, dtype)
    for one in (array, np.asfortranarray(array), np.repeat(array, 2, 0)[::2] if shape else array, array.T):
        found = there_and_back([one])[0]
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape, found.tobytes()) == (one.dtype, one.shape, one.tobytes())
        assert not found.flags.writeable


def test_an_array_in_fortran_order_stays_in_it() -> None:
    array = np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3))
    found = there_and_back(array)
    assert found.flags.f_contiguous and not found.flags.c_contiguous and (found == array).all()


@pytest.mark.parametrize(
    "array",
    [
        np.array([Colour]),
        np.array([None, "a"], dtype=object),
        np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
        np.zeros(2, dtype=[("a", object)]),
    ],
    ids=str,
)
def test_arrays_of_objects_and_records_are_refused_with_their_place(array: Any) -> None:
    with pytest.raises(TypeError, match=r"value\['f'\]\[1\]: a numpy array of dtype .*"):
        pack({"f": [0, array]})


def ext(head: Any, data: bytes = b"") -> bytes:
    return bytes(
        msgpack.packb(msgpack.ExtType(_values.ARRAY, (head if isinstance(head, bytes) else msgpack.packb(head)) + data))
    )


@pytest.mark.parametrize(
    "wire",
    [
        ext(["|O", [1], "C"], b"\0" * 8),
        ext(["<i4", [2], "C"], b"\0" * 4),
        ext(["<i4", [-1], "C"], b"\0" * 5),
        ext(["nothing", [1], "C"], b"\0"),
        ext(["<i4", ["a"], "C"], b"\0" * 4),
        ext(["<i4", [2**40, 2**40], "C"], b"\0" * 4),
        ext(["<i4", None, "C"], b"\0" * 8),
        ext(["<i4", {}, "C"], b"\0" * 4),
        ext(["V0", [1], "C"], b""),
        ext(["<i4", [1] * 100, "C"], b"\0" * 4),
        ext([["a", "O"], [1], "C"], b"\0" * 8),
        ext(b""),
        ext(b"\xc1"),
        ext(["<i4"]),
        ext(7),
        ext("abc"),
        ext({"a": 1, "b": 2, "c": 3}),
        ext(["<i4", [1], "X"], b"\0" * 4),
        ext(["O", [1], "C"], b"\0" * 8),
        ext(["i4,O", [1], "C"], b"\0" * 12),
        ext([None, [1], "C"], b"\0" * 8),
        ext(["<i4", [1], ["C"]], b"\0" * 4),
        ext(["0)=", [1], "C"], b"\0" * 4),
        ext(["(2,2)i4", [1], "C"], b"\0" * 16),
    ],
    ids=lambda w: w[:24].hex(),
)
def test_arrays_that_are_none_are_a_value_error_or_left_as_they_are(wire: bytes) -> None:
    """Never an object of Python, never another exception than those that a session expects."""
    try:
        found = _values.unpack(wire)
    except (ValueError, TypeError, ImportError):
        return
    assert isinstance(found, msgpack.ExtType) or (isinstance(found, np.ndarray) and not found.dtype.hasobject)


def test_extensions_of_others_come_back_as_they_were() -> None:
    for kind in (0, 1, 77, 79, 127, -2, -128):
        wire = b"\x92\x01\xd4" + kind.to_bytes(1, "big", signed=True) + b"\x10"
        for unpack in (_values.unpack, _values.unpack_plain):
            found = unpack(wire)
            assert isinstance(found[1], msgpack.ExtType) and tuple(found[1]) == (kind, b"\x10")
            assert pack(found) == wire


def test_a_large_array_is_one_copy_at_most() -> None:
    array = np.arange(1 << 20, dtype="u4")
    found = there_and_back(array)
    assert (found == array).all() and found.base is not None


# ---- bytes that are no value


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"\xc1",
        b"\x91",
        b"\x92\x01",
        b"\xd9\x05ab",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xffx",
        b"\xdd\xff\xff\xff\xff\x01",
        b"\xdf\xff\xff\xff\xff",
        b"\x01\x02",
        b"\xa1\xff",
        b"\x81\x90\x01",
        b"\x81\x80\x01",
        b"\xd4",
        b"\xc9\xff\xff\xff\xff\x00",
        b"\xd6\xff\0",
        b"\xc7\x0d\xff" + bytes(13),
        b"\xc7\x0c\xff" + b"\xff" * 12,
        b"\xd7\xff" + b"\xff" * 8,
        b"\xd7\xff\xff",
    ],
    ids=lambda w: w.hex()[:24],
)
def test_bytes_that_are_no_value_are_one_kind_of_error(wire: bytes) -> None:
    for unpack in (_values.unpack, _values.unpack_plain):
        try:
            unpack(wire)
        except (ValueError, TypeError):
            pass


# What msgpack for Python cannot make a value of, although each is well-formed.
UNREADABLE = [
    b"\xa1\xff",
    b"\x81\x90\x01",
    b"\xc7\x0d\xff" + bytes(13),
    b"\x91" * 2000 + b"\x01",
    ext(["|O", [1], "C"], b"\0" * 8),
    b"\x91" * 1010 + b"\xd7\xff" + b"\0" * 8,
]


@pytest.mark.parametrize("bad", UNREADABLE, ids=lambda w: w.hex()[:16])
def test_a_part_that_cannot_be_read_leaves_the_others(bad: bytes) -> None:
    """A record in which the payload of one item is bad, between items of every kind."""
    good = [
        None,
        True,
        -1,
        -100,
        200,
        70000,
        2**40,
        1.5,
        "a" * 40,
        "b" * 300,
        b"c" * 300,
        [1] * 20,
        [1] * 70000,
        {"k": [1]},
        {str(i): i for i in range(20)},
        {str(i): i for i in range(70000)},
        np.arange(100),
        np.arange(30000),
        msgpack.ExtType(1, b"12345678"),
        msgpack.ExtType(2, b"123"),
        3.0,
        datetime.datetime(2024, 1, 1, tzinfo=UTC),
        -70000,
        -(2**40),
        2**63,
        "d" * 70000,
        b"e" * 70000,
    ]
    items = [b"\x93\x01\xa1t" + pack(value) for value in good]
    items.insert(5, b"\x93\x02\xa1t" + bad)
    wire = b"\x93\x51\xcd\x01\x00\xdc" + len(items).to_bytes(2, "big") + b"".join(items)
    found, end = _values.unpack_parts(wire, False)
    assert end == len(wire) and found[:2] == [81, 256] and len(found[2]) == len(items)
    assert found[2][5][:2] == [2, "t"] and isinstance(found[2].pop(5)[2], (ValueError, TypeError))
    assert repr([f[2] for f in found[2]]) == repr([there_and_back(v) for v in good])


def test_plainly_texts_that_are_no_utf8_and_arrays_are_left_as_they_are() -> None:
    wire = b"\x92\x01\x93\xa2a\xff" + ext(["|O", [1], "C"], b"\0" * 8) + b"\xc7\x0d\xff" + bytes(13)
    found = _values.unpack_parts(wire, True)[0][1]
    assert found[0] == "a\udcff" and isinstance(found[1], msgpack.ExtType) and isinstance(found[2], ValueError)


def test_every_cut_of_a_record_is_an_error_and_no_hang() -> None:
    wire = pack([1, "abc", {"k": [1, 2, b"xyz", 1.5, 2**40]}, [np.arange(3), datetime.datetime(2024, 1, 1, tzinfo=UTC)]])
    for stop in range(len(wire)):
        with pytest.raises(Exception) as caught:
            found, end = _values.unpack_parts(wire[:stop], False)
            assert end > stop, found
            raise ValueError
        assert caught.type in (ValueError, TypeError, IndexError), caught


# ---- without numpy


def test_without_numpy(tmp_path: pathlib.Path) -> None:
    """An array that comes is a clear error; everything else works; and numpy is not imported by importing prong."""
    wire = pack(np.arange(2)).hex()
    program = textwrap.dedent(f"""
        import sys
        sys.modules["numpy"] = None
        import prong, prong.aio
        from prong import _values
        assert _values.unpack(_values.packer().pack({{"a": (1, b"x")}})) == {{"a": [1, b"x"]}}
        try:
            _values.unpack(bytes.fromhex({wire!r}))
        except ImportError as problem:
            print(problem)
        try:
            _values.packer().pack(object())
        except TypeError as problem:
            print(problem)
        del sys.modules["numpy"]
        """)
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "a numpy array came, and numpy is not installed here",
        "object has no form that another process could read",
    ], done.stderr
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import prong, sys; print([m for m in ('numpy', 'asyncio', 'ssl', 'pickle') if m in sys.modules])",
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert "numpy" not in done.stdout and "ssl" not in done.stdout, done.stdout


def test_an_error_of_the_package_can_be_sent_on() -> None:
    import copy
    import pickle

    error = InvalidArgumentError("text", {"type": "T"}, began="no")
    for found in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(found), found.code, found.began, found.details, str(found)) == (
            InvalidArgumentError,
            3,
            "no",
            {"type": "T"},
            "text",
        )
