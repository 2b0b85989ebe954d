"""The package beside peers that have no part of it: nng as a client and as a worker (pynng), and values in
every encoding of msgpack on their way through hub and worker and back."""
from __future__ import annotations

import datetime
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

import prong

pynng = pytest.importorskip("pynng")

HERE = Path(__file__).resolve().parent / "independent"
CALL, WAIT, RESULT, PARTIAL, PENDING, ERROR = 2, 3, 66, 67, 68, 69
SECONDS = 30

Case = tuple[Any, list[bytes]]                               # a value, and the encodings that mean it


@pytest.fixture
def hub(prong_hub: prong.Hub) -> prong.Hub:
    """With the worker `echo`, made with the package, and `nng`, made with nng."""
    prong_hub.spawn(f"{HERE / 'echo.py'}:Echo")
    prong_hub.spawn([sys.executable, str(HERE / "nng_worker.py")], name="nng")
    return prong_hub


class Nng:
    """A client of one REQ socket. `raw` gives values as the bytes that came."""

    def __init__(self, url: str, client: Any) -> None:
        self.socket = pynng.Req0(dial=url, recv_timeout=SECONDS * 1000)
        self.client, self.seq = client, 0

    def ask(self, data: bytes) -> bytes:
        self.socket.send(data)
        return bytes(self.socket.recv())

    def call(self, worker: str, method: str, args: bytes) -> list[Any]:
        """The record that ends the call, its value as bytes; items that came before are in front of it."""
        self.seq += 1
        head = [CALL, self.client, self.seq, self.seq - 1, worker, method, SECONDS * 1000, None]
        if self.client is None:
            head[6] = 20000
        reply = self.ask(b"\x99" + b"".join(map(msgpack.packb, head)) + args)
        items: list[Any] = []
        while True:
            unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
            unpacker.feed(reply)
            count = unpacker.read_array_header()
            record = [unpacker.unpack() for _ in range(count - 1)]
            assert record[1] == self.seq
            if record[0] == PARTIAL:
                items += unpacker.unpack()
            elif record[0] != PENDING:
                return [*items, *record, reply[unpacker.tell():]]
            reply = self.ask(msgpack.packb([WAIT, self.client, self.seq, len(items)]))

    def value(self, worker: str, raw: bytes) -> bytes:
        """The bytes that come back for an argument."""
        record = self.call(worker, "echo", b"\x91" + raw)
        assert record[0] == RESULT, record
        return bytes(record[2])


@pytest.fixture(params=["id", "nil"])
def nng(hub: prong.Hub, request: pytest.FixtureRequest) -> Iterator[Nng]:
    peer = Nng(hub.url, os.urandom(16) if request.param == "id" else None)
    yield peer
    peer.socket.close()


# ---- nng calls a worker of ours


def test_nng_calls_a_method_by_name_and_by_place(nng: Nng) -> None:
    record = nng.call("echo", "greet", msgpack.packb({"name": "nng", "times": 2}))
    assert (record[0], msgpack.unpackb(record[2])) == (RESULT, "hello nng, hello nng")
    record = nng.call("echo", "greet", msgpack.packb(["nng"]))
    assert (record[0], msgpack.unpackb(record[2])) == (RESULT, "hello nng")


def test_nng_is_told_of_an_exception(nng: Nng) -> None:
    args = msgpack.packb({"text": "nothing there"})
    op, _seq, code, began, message, details = nng.call("echo", "fail", args)
    assert (op, code, began) == (ERROR, 2, 2)
    assert "nothing there" in message
    about = msgpack.unpackb(details)
    assert about["type"] == "LookupError"
    assert "in fail" in about["traceback"]


def test_nng_is_told_of_arguments_that_do_not_fit(nng: Nng) -> None:
    for args in ({"name": 1}, {"nam": "x"}, {}, {"name": "x", "times": "y"}):
        op, _seq, code, _began, message, _details = nng.call("echo", "greet", msgpack.packb(args))
        assert (op, code) == (ERROR, 3), message
    op, _seq, code, began, _message, _details = nng.call("echo", "no_such_method", b"\x80")
    assert (op, code, began) == (ERROR, 12, 0)


def test_nng_gets_the_items_of_a_method_that_yields(hub: prong.Hub) -> None:
    peer = Nng(hub.url, os.urandom(16))
    record = peer.call("echo", "count", msgpack.packb({"upto": 5}))
    assert record[:5] == [0, 1, 2, 3, 4]
    assert record[5] == RESULT
    peer.socket.close()


# ---- a worker of nng serves a client of ours


def test_a_worker_of_nng_answers(hub: prong.Hub) -> None:
    w = hub.worker("nng")
    assert w.echo({"a": [1, None, b"x"]}) == {"a": [1, None, b"x"]}
    futures = [w.echo.submit(n) for n in range(20)]
    assert [f.result(SECONDS) for f in futures] == list(range(20))
    assert list(w.echo.map([(n,) for n in range(20)], ordered=True)) == list(range(20))


def test_a_worker_of_nng_fails(hub: prong.Hub) -> None:
    with pytest.raises(prong.FailedPreconditionError, match="not today") as caught:
        hub.worker("nng").fail()
    assert (caught.value.type, caught.value.began) == ("Refused", "yes")
    assert "in nng_worker" in (caught.value.traceback or "")


def test_a_worker_of_nng_yields(hub: prong.Hub) -> None:
    assert list(hub.worker("nng").count.results(upto=7)) == list(range(7))


# ---- values in every encoding


def floats(value: float) -> list[bytes]:
    """As a double, and as a single where that is the same."""
    found = [b"\xcb" + struct.pack(">d", value)]
    try:
        single = struct.pack(">f", value)
    except OverflowError:
        return found
    if math.isnan(value) or struct.unpack(">f", single)[0] == value:
        found.append(b"\xca" + single)
    return found


def integers(value: int) -> list[bytes]:
    """Every form that holds it, the shortest first."""
    found = []
    if -32 <= value < 128:
        found.append(struct.pack(">b", value))
    for code, form in zip(b"\xcc\xcd\xce\xcf\xd0\xd1\xd2\xd3", "BHIQbhiq"):
        try:
            found.append(bytes([code]) + struct.pack(">" + form, value))
        except struct.error:
            continue
    return found


def sized(heads: dict[str, int], fixed: int, most: int, size: int, body: bytes) -> list[bytes]:
    """What has its size in front: the short form, where there is one, and each longer one."""
    found = [bytes([fixed | size]) + body] if fixed and size <= most else []
    for form, code in heads.items():
        if size < 1 << 8 * struct.calcsize(form):
            found.append(bytes([code]) + struct.pack(">" + form, size) + body)
    return found


def generated() -> Iterator[Case]:
    """Every format of msgpack at its edges, in every encoding that is allowed."""
    yield None, [b"\xc0"]
    yield False, [b"\xc2"]
    yield True, [b"\xc3"]
    edges = {0, 1, -1, -32, -33, 127, -127, -128, -129}
    for bits in (8, 15, 16, 31, 32, 53, 63, 64):
        edges |= {(1 << bits) - 1, 1 << bits, -(1 << bits), -(1 << bits) - 1}
    for value in sorted(edges):
        if -(1 << 63) <= value < 1 << 64:
            yield value, integers(value)
    for number in (0.0, -0.0, 0.5, -1.5, 1e300, 5e-324, math.inf, -math.inf, math.nan, 3.4028234663852886e38):
        yield number, floats(number)
    for size in (0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536):
        yield "a" * size, sized({"B": 0xD9, "H": 0xDA, "I": 0xDB}, 0xA0, 31, size, b"a" * size)
        yield b"b" * size, sized({"B": 0xC4, "H": 0xC5, "I": 0xC6}, 0, 0, size, b"b" * size)
        yield [1] * size, sized({"H": 0xDC, "I": 0xDD}, 0x90, 15, size, b"\x01" * size)
        pairs: dict[int, None] = dict.fromkeys(range(size))
        body = b"".join(msgpack.packb(n) + b"\xc0" for n in pairs)
        yield pairs, sized({"H": 0xDE, "I": 0xDF}, 0x80, 15, size, body)
        if size:
            fixed = {1: b"\xd4", 2: b"\xd5", 4: b"\xd6", 8: b"\xd7", 16: b"\xd8"}.get(size)
            body = b"\x55" + b"e" * size
            wide = sized({"B": 0xC7, "H": 0xC8, "I": 0xC9}, 0, 0, size, body)
            yield msgpack.ExtType(0x55, body[1:]), ([fixed + body] if fixed else []) + wide
    for text in ("\u00e9", "\u65e5\u672c", "\U0001f600", "a\0b"):
        yield text, [msgpack.packb(text)]
    deep: Any = []
    for _ in range(30):
        deep = [deep, {"k": deep}] if len(msgpack.packb(deep)) < 1000 else [deep]
    yield deep, [msgpack.packb(deep)]


def hexadecimal(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


MEANINGS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("nil", "bool", "number", "string", "array", "map"), lambda v: v),
    "bignum": int, "binary": hexadecimal, "timestamp": lambda v: msgpack.Timestamp(*v),
    "ext": lambda v: msgpack.ExtType(v[0], hexadecimal(v[1])),
}


def kawanet(folder: Path) -> Iterator[Case]:
    """The cases of msgpack-test-suite by Yusuke Kawasaki (npm, MIT)."""
    path = folder / "msgpack-test-suite.json"                # kept between runs
    if not path.exists():
        if shutil.which("npm") is None:
            pytest.skip("there is no npm to get msgpack-test-suite with")
        with tempfile.TemporaryDirectory(dir=str(folder)) as own:
            done = subprocess.run(["npm", "pack", "--silent", "msgpack-test-suite@1.0.0"], cwd=own,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"npm does not get msgpack-test-suite: {done.stderr[-300:]}")
            shutil.unpack_archive(f"{own}/msgpack-test-suite-1.0.0.tgz", own)
            os.replace(f"{own}/package/dist/{path.name}", str(path))
    for group in json.loads(path.read_text(encoding="utf-8")).values():
        for case in group:
            kind = "bignum" if "bignum" in case else next(k for k in case if k != "msgpack")
            yield MEANINGS[kind](case[kind]), [hexadecimal(e) for e in case["msgpack"]]


@pytest.fixture(scope="module", params=["generated", "kawanet"])
def cases(request: pytest.FixtureRequest) -> list[Case]:
    if request.param == "generated":
        return list(generated())
    found = list(kawanet(Path(request.config.cache.mkdir("msgpack-test-suite"))))
    assert len(found) == 85 and sum(len(encodings) for _, encodings in found) == 233
    return found


def same(found: Any, meant: Any) -> bool:
    """Equal, and of one kind: a number may be whole or not, as msgpack does not care; True is none. A time
    may be a datetime where that loses nothing."""
    if isinstance(found, datetime.datetime) and isinstance(meant, msgpack.Timestamp):
        return found.tzinfo is not None and msgpack.Timestamp.from_datetime(found) == meant
    if isinstance(meant, (list, tuple)) and not isinstance(meant, msgpack.ExtType):
        return isinstance(found, list) and len(found) == len(meant) and all(map(same, found, meant))
    if isinstance(meant, dict):
        return (isinstance(found, dict) and found.keys() == meant.keys()
                and all(same(found[k], v) for k, v in meant.items()))
    if isinstance(meant, float) and math.isnan(meant):
        return isinstance(found, float) and math.isnan(found)
    numbers = (int, float)
    if isinstance(meant, numbers) and not isinstance(meant, bool):
        return isinstance(found, numbers) and not isinstance(found, bool) and found == meant
    return type(found) is type(meant) and bool(found == meant)


def test_same_tells_apart_what_is_not_the_same() -> None:
    different = [(1, True), (1, 1.5), (b"a", "a"), ([1], [1, 2]), ({"a": 1}, {"a": 2}), ({"a": 1}, {"b": 1})]
    assert not any(same(a, b) or same(b, a) for a, b in different)
    assert same(1.0, 1) and same([{"a": math.nan}], [{"a": math.nan}])
    time = datetime.datetime(2018, 1, 2, 3, 4, 5, 678901, datetime.timezone.utc)
    assert same(time, msgpack.Timestamp(1514862245, 678901000))
    assert not same(time, msgpack.Timestamp(1514862245, 678901234))


def test_the_hub_changes_no_byte(hub: prong.Hub, cases: list[Case], nng: Nng) -> None:
    """Whatever way a value is encoded: neither end decodes it here."""
    for _meant, encodings in cases:
        for raw in encodings:
            assert nng.value("nng", raw) == raw, raw[:40].hex()


def test_a_client_of_ours_reads_every_encoding(hub: prong.Hub, cases: list[Case]) -> None:
    w = hub.worker("nng")
    for meant, encodings in cases:
        for raw in encodings:
            found = w.answer(raw=raw)
            assert same(found, meant), (raw[:40].hex(), found)


def test_a_worker_of_ours_reads_every_encoding(hub: prong.Hub, cases: list[Case]) -> None:
    """And writes the value again, in a form that means the same."""
    peer = Nng(hub.url, os.urandom(16))
    for meant, encodings in cases:
        shortest = min(encodings, key=len)
        for raw in encodings:
            back = peer.value("echo", raw)
            assert same(msgpack.unpackb(back, strict_map_key=False), meant), (raw[:40].hex(), back[:40].hex())
            if not isinstance(meant, (int, float)):          # of a number the form says whether it was whole
                assert back == shortest, (raw[:40].hex(), back[:40].hex())
    peer.socket.close()


def test_a_value_goes_from_client_to_worker_and_back(hub: prong.Hub, cases: list[Case]) -> None:
    """Both ends are ours, and what comes back is encoded as what went."""
    echo = hub.worker("echo").echo
    for meant, _encodings in cases:
        back = echo(meant)
        assert same(back, meant), repr(meant)[:80]
        assert msgpack.packb(back, datetime=True) == msgpack.packb(meant)
