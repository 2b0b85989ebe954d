"""Talks to a hub with nothing but a socket and msgpack (pip install msgpack).

    python3 example.py call detector.detect path=a.jpg
    python3 example.py work          started by the hub: a worker with one method, echo
"""
import itertools
import os
import socket
import struct
import sys

import msgpack


class Hub:
    """One connection, one request at a time."""

    def __init__(self, url):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(url.removeprefix("ipc://"))
        self.socket.sendall(b"\0SP\0\0\x30\0\0")                      # we are REQ
        assert self.read(8) == b"\0SP\0\0\x31\0\0", "no REP at the other end"
        self.ids = itertools.cycle(range(0x80000000, 0x100000000))

    def read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("the hub closed the connection")
            data += part
        return data

    def ask(self, *records):
        """Sends the records as one message and returns the records of its answer."""
        body = b"".join(msgpack.packb(list(r)) for r in records)
        request = next(self.ids)
        self.socket.sendall(struct.pack(">BQI", 1, 4 + len(body), request) + body)
        kind, length, answered = struct.unpack(">BQI", self.read(13))
        assert kind == 1 and answered == request
        replies = msgpack.Unpacker(strict_map_key=False)
        replies.feed(self.read(length - 4))
        return list(replies)


def call(hub, client, seq, worker, method, args, ttl_ms=0):
    """The value of one call; an exception when it failed. Everything up to seq - 1 is acknowledged."""
    reply, = hub.ask([2, client, seq, seq - 1, worker, method, ttl_ms, None, args])
    received = 0
    while reply[0] in (67, 68):                                       # PARTIAL, PENDING
        if reply[0] == 67:
            received = reply[2] + len(reply[4])
        reply, = hub.ask([3, client, seq, received])                  # WAIT
    if reply[0] != 66:                                                # RESULT
        raise RuntimeError(reply)
    return reply[2]


def attach(hub, methods):
    """Says that this process is ready; the replica and session that every later request names."""
    about = {"token": os.environ["PRONG_TOKEN"], "worker": os.environ["PRONG_WORKER"],
             "pid": os.getpid(), "attach": 1, "methods": methods, "capacity": 1}
    reply, = hub.ask([16, about])
    if reply[0] != 65:                                                # WELCOME
        raise RuntimeError(reply)
    return reply[1]["replica"], reply[1]["session"]


def work(hub, methods):
    """A worker for one call at a time. It ends when the hub closes the connection."""
    replica, session = attach(hub, {name: {"policy": "idempotent"} for name in methods})
    reports, taken = [], 0
    while True:
        for reply in hub.ask([18, replica, session, reports], [17, replica, session, taken, 1]):
            if reply[0] == 69:                                        # ERROR
                raise RuntimeError(reply)
            if reply[0] == 81 and reply[2]:                           # WORK, and not an empty one
                taken = reply[1]
                reports = [run(methods, item) for item in reply[2]]
                break
        else:
            reports = []


def run(methods, item):
    number, method, _ttl_ms, _caller, _options, args = item
    try:
        value = methods[method](**args) if isinstance(args, dict) else methods[method](*args)
        return [number, 0, value]
    except Exception as error:                                        # UNKNOWN, the method had begun
        return [number, 1, [2, 2, str(error), {"type": type(error).__name__}]]


def main():
    hub = Hub(os.environ["PRONG_URL"])
    if sys.argv[1] == "work":
        work(hub, {"echo": lambda **named: named})
    else:
        worker, method = sys.argv[2].rsplit(".", 1)
        args = dict(argument.split("=", 1) for argument in sys.argv[3:])
        print(call(hub, os.urandom(16), 1, worker, method, args))


if __name__ == "__main__":
    main()
