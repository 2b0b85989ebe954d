"""The vectors of the protocol and a hub of a few lines, for what is tested without sockets."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

import msgpack

from prong import _constants as c

VECTORS = Path(__file__).resolve().parents[3] / "proto" / "vectors"
ID = bytes(range(16))


def meant(value: Any) -> Any:
    """What a value of golden.jsonl stands for."""
    if isinstance(value, list):
        return [meant(v) for v in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, what),) = value.items()
        if kind == "bin":
            return bytes.fromhex(what)
        if kind == "float":
            return struct.unpack(">d", bytes.fromhex(what))[0]
        if kind == "int":
            return int(what)
        if kind == "ext" and what[0] == -1:
            return msgpack.Timestamp.from_bytes(bytes.fromhex(what[1]))
        if kind == "ext":
            return msgpack.ExtType(what[0], bytes.fromhex(what[1]))
    return {k: meant(v) for k, v in value.items()}


def golden(*ops: int) -> List[Any]:
    """(name, bytes, record, whether these are the only bytes for it) of the good records of some operations."""
    lines = [json.loads(line) for line in (VECTORS / "golden.jsonl").read_text("ascii").splitlines()]
    return [
        (line["name"], bytes.fromhex(line["hex"]), meant(line["record"]), not line.get("decode_only"))
        for line in lines
        if line["record"][0] in ops
    ]


def refused() -> List[Tuple[str, bytes]]:
    """(name, bytes) of the messages that nobody takes."""
    return [
        (
            path.stem,
            bytes.fromhex("".join(line for line in path.read_text("ascii").splitlines() if not line.startswith("#"))),
        )
        for path in sorted((VECTORS / "refused").glob("*.hex"))
    ]


def frames(out: List[bytes]) -> Iterator[Tuple[int, List[Any]]]:
    """(SP id, records) of what is to be sent on a local socket, which is taken out."""
    data = b"".join(out)
    out.clear()
    at = 0
    while at < len(data):
        kind, size, number = struct.unpack_from(">BQI", data, at)
        assert kind == 1 and number & 0x80000000
        reader = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
        reader.feed(data[at + 13 : at + 9 + size])
        yield number, list(reader)
        at += 9 + size
    assert at == len(data)


def pack(*records: Any) -> bytes:
    return b"".join(map(msgpack.packb, records))


class FakeHub:
    """Keeps the promises of PROTOCOL.md 4 and 5 to a client, and remembers what it did."""

    def __init__(self) -> None:
        self.epoch, self.number = 1, 0
        self.history = 1
        self.ran: List[Tuple[bytes, int]] = []
        self.stored: List[Any] = []
        self.calls: Dict[Tuple[bytes, int], Any] = {}
        self.events: Dict[Tuple[bytes, int], int] = {}
        self.cancelled: Set[Tuple[bytes, int]] = set()

    def restart(self) -> None:
        """Another broker, without any memory."""
        self.epoch += 1
        self.calls.clear()

    def serve(self, session: Any) -> bool:
        """Answer what the session has to say, until it has nothing more to say; whether there was anything."""
        found = False
        while session.out:
            found = True
            for number, records in frames(session.out):
                (record,) = records
                answer = self.answer(record)
                if answer is not None:
                    session.answer(number, pack(answer))
        return found

    def answer(self, record: List[Any]) -> Optional[List[Any]]:
        op = record[0]
        if op == c.HELLO:
            return [
                c.WELCOME,
                {"hub": "h", "epoch": self.epoch, "history": self.history, "limits": {"message_bytes": 100_000}},
            ]
        if op == c.PING:
            return [c.PONG, record[1]]
        if op == c.EMIT:
            key = record[1], record[2]
            if key not in self.events:
                self.stored.append((record[3], record[5]))
                self.events[key] = len(self.stored)
            return [c.ACK, record[2], self.events[key]]
        if op == c.FETCH:
            start = len(self.stored) if record[3] == "new" else 0 if record[3] in ("oldest", "last") else record[3]
            items = [[n, 0, topic, "", payload] for n, (topic, payload) in enumerate(self.stored)][start : start + record[4]]
            return [c.EVENTS, self.history, start + len(items), 0, items]
        key = record[1], record[2]
        if op == c.CANCEL:
            self.cancelled.add(key)
            return [c.ACK, record[2], 0]
        if op == c.CALL:
            assert 0 <= record[3] < record[2]
            for old in [k for k in self.calls if k[0] == key[0] and k[1] <= record[3]]:
                del self.calls[old]
            if key not in self.calls:
                assert key not in self.ran, f"call {key[1]} would run twice"
                self.ran.append(key)
                self.calls[key] = {"method": record[5], "args": record[8], "received": 0, "waited": False}
            return self.outcome(record[2], self.calls[key])
        assert op == c.WAIT, record
        if key not in self.calls:
            return [c.ERROR, record[2], 5, 0, "no such call", None]
        self.calls[key]["waited"] = True
        self.calls[key]["received"] = max(self.calls[key]["received"], record[3])
        return self.outcome(record[2], self.calls[key])

    def outcome(self, seq: int, call: Any) -> List[Any]:
        args = call["args"]
        if call["method"] == "later" and not call["waited"]:
            return [c.PENDING, seq]
        if call["method"] == "frames" and call["received"] < args[0]:
            first = call["received"]
            return [
                c.PARTIAL,
                seq,
                first,
                [first / args[0], "on the way"],
                [f"item {first}", f"item {first + 1}"][: args[0] - first],
            ]
        if call["method"] == "fail":
            return [c.ERROR, seq, 2, 2, args[0], {"type": "ValueError", "traceback": "here"}]
        return [c.RESULT, seq, args]


class Cut:
    """Raises KeyboardInterrupt at the n-th line (or step of the interpreter) that is run in some files."""

    def __init__(self, count: int, *files: str, opcodes: bool = False) -> None:
        self.left, self.files, self.opcodes, self.done = count, files, opcodes, False

    def trace(self, frame: Any, event: str, _: Any) -> Optional[Callable[..., Any]]:
        if not frame.f_code.co_filename.endswith(self.files):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = self.opcodes, not self.opcodes
        if event in ("line", "opcode"):
            self.left -= 1
            if self.left == 0:
                self.done = True
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.trace

    def __enter__(self) -> Cut:
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
