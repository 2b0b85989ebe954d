"""A worker with nothing but nng (pynng) and msgpack, one call at a time. It does not even decode the values
that it echoes: their bytes go back as they came."""
from __future__ import annotations

import os
from typing import Any

import msgpack
import pynng

ATTACH, POLL, REPORT, WORK = 16, 17, 18, 81
METHODS = ["echo", "answer", "fail", "count"]


def elements(data: bytes) -> list[bytes]:
    """The elements of an array, each as its bytes."""
    unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
    unpacker.feed(data)
    found: list[bytes] = []
    for _ in range(unpacker.read_array_header()):
        begin = unpacker.tell()
        unpacker.skip()
        found.append(data[begin:unpacker.tell()])
    return found


def array(*parts: bytes) -> bytes:
    head: bytes = msgpack.Packer().pack_array_header(len(parts))
    return head + b"".join(parts)


def records(message: bytes) -> list[bytes]:
    unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
    unpacker.feed(message)
    found: list[bytes] = []
    begin = 0
    while begin < len(message):
        unpacker.skip()
        found.append(message[begin:unpacker.tell()])
        begin = unpacker.tell()
    return found


def run(method: str, args: bytes) -> list[tuple[int, bytes]]:
    """What is to be reported: kind and bytes."""
    if method == "echo":                                     # positional: the first argument, untouched
        return [(0, elements(args)[0])]
    given = msgpack.unpackb(args, strict_map_key=False)
    if method == "answer":                                   # the bytes that are asked for, as a value
        return [(0, given["raw"])]
    if method == "count":
        return [(2, msgpack.packb([0, list(range(given["upto"]))])), (0, msgpack.packb(given["upto"]))]
    details = {"type": "Refused", "traceback": "in nng_worker"}
    return [(1, msgpack.packb([9, 2, "not today", details]))]  # FAILED_PRECONDITION, began yes


def main() -> None:
    with pynng.Req0(dial=os.environ["PRONG_URL"]) as hub:
        def ask(*asked: Any) -> list[bytes]:
            hub.send(b"".join(r if isinstance(r, bytes) else msgpack.packb(r) for r in asked))
            return records(hub.recv())

        about = {"token": os.environ["PRONG_TOKEN"], "worker": os.environ["PRONG_WORKER"], "pid": os.getpid(),
                 "attach": 1, "methods": {name: {"policy": "idempotent"} for name in METHODS}, "capacity": 1}
        welcome = msgpack.unpackb(ask([ATTACH, about])[0])[1]
        me = [welcome["replica"], welcome["session"]]
        reports: list[bytes] = []
        taken = 0
        while True:
            report = array(*map(msgpack.packb, [REPORT, *me]), array(*reports))
            answer = ask(report, [POLL, *me, taken, 1])
            reports = []
            for record in answer:
                parts = elements(record)
                if msgpack.unpackb(parts[0]) == WORK:
                    for work in elements(parts[2]):
                        call, method, _ttl, _caller, _options, args = elements(work)
                        taken = msgpack.unpackb(parts[1])
                        reports += [array(call, msgpack.packb(kind), value)
                                    for kind, value in run(msgpack.unpackb(method), args)]


if __name__ == "__main__":
    main()
