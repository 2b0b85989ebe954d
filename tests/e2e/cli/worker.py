#!/usr/bin/env python3
"""A worker without any library: a socket, a little msgpack, and the protocol of proto/PROTOCOL.md.

    worker.py             serves the methods at the end, one call at a time
    worker.py die CODE    says two lines and ends before it attaches
    worker.py never       does not attach
    worker.py gate FIFO   attaches when somebody has written a line to the fifo
"""
import inspect
import itertools
import os
import signal
import socket
import struct
import sys
import traceback


# ---- msgpack: what this needs of it -----------------------------------------------------------------

def pack(v):
    if v is None or isinstance(v, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[v]
    if isinstance(v, int):
        return struct.pack(">Bq", 0xd3, v) if v < 0 else struct.pack(">BQ", 0xcf, v)
    if isinstance(v, float):
        return struct.pack(">Bd", 0xcb, v)
    if isinstance(v, str):
        return struct.pack(">BI", 0xdb, len(v.encode())) + v.encode()
    if isinstance(v, bytes):
        return struct.pack(">BI", 0xc6, len(v)) + v
    if isinstance(v, dict):
        return struct.pack(">BI", 0xdf, len(v)) + b"".join(pack(k) + pack(x) for k, x in v.items())
    return struct.pack(">BI", 0xdd, len(v)) + b"".join(map(pack, v))


NUMBERS = {0xca: "f", 0xcb: "d", 0xcc: "B", 0xcd: "H", 0xce: "I", 0xcf: "Q",
           0xd0: "b", 0xd1: "h", 0xd2: "i", 0xd3: "q"}
# Head byte -> format of the length, what follows.
COUNTED = {0xc4: ("B", bytes), 0xc5: ("H", bytes), 0xc6: ("I", bytes),
           0xd9: ("B", str), 0xda: ("H", str), 0xdb: ("I", str),
           0xdc: ("H", list), 0xdd: ("I", list), 0xde: ("H", dict), 0xdf: ("I", dict)}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def value(self):
        head = self.take(1)[0]
        if head < 0x80 or head >= 0xe0:
            return head if head < 0x80 else head - 0x100
        if head < 0xc0:
            kind = dict if head < 0x90 else list if head < 0xa0 else str
            return self.counted(kind, head & (0x1f if kind is str else 0x0f))
        if head in NUMBERS:
            return self.number(NUMBERS[head])
        if head in COUNTED:
            form, kind = COUNTED[head]
            return self.counted(kind, self.number(form))
        return {0xc0: None, 0xc2: False, 0xc3: True}[head]

    def counted(self, kind, count):
        if kind is dict:
            return {self.value(): self.value() for _ in range(count)}
        if kind is list:
            return [self.value() for _ in range(count)]
        return self.take(count).decode() if kind is str else self.take(count)

    def all(self):
        while self.at < len(self.data):
            yield self.value()


# ---- the worker -------------------------------------------------------------------------------------

class Hub:
    """One connection, one request at a time."""

    def __init__(self, url):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(url[len("ipc://"):])
        self.socket.sendall(b"\0SP\0\0\x30\0\0")
        assert self.read(8) == b"\0SP\0\0\x31\0\0"
        self.ids = itertools.count(0x80000001)
        self.seq = itertools.count(1)
        self.client = os.urandom(16)

    def read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                sys.exit(0)
            data += part
        return data

    def ask(self, *records):
        body = b"".join(map(pack, records))
        self.socket.sendall(struct.pack(">BQI", 1, 4 + len(body), next(self.ids)) + body)
        _, length, _ = struct.unpack(">BQI", self.read(13))
        return list(Reader(self.read(length - 4)).all())


class Failure(Exception):
    """An error with a code of its own."""


def work(hub):
    about = {"token": os.environ["PRONG_TOKEN"], "worker": os.environ["PRONG_WORKER"],
             "pid": os.getpid(), "attach": 1, "capacity": 1,
             "methods": {name: {"policy": "once", "help": f.__doc__} for name, f in METHODS.items()}}
    welcome, = hub.ask([16, about])
    replica, session = welcome[1]["replica"], welcome[1]["session"]
    reports, taken = [], 0
    while True:
        replies = hub.ask([18, replica, session, reports], [17, replica, session, taken, 1])
        works = [r for r in replies if r[0] == 81 and r[2]]
        reports = []
        for reply in works:
            taken = reply[1]
            for number, method, _ttl, _caller, _options, args in reply[2]:
                def progress(fraction, note, number=number):
                    hub.ask([18, replica, session, [[number, 3, [fraction, note]]]])

                def give(first, items, number=number):
                    # PENDING: there is no room for more yet.
                    while any(r[0] == 68 for r in
                              hub.ask([18, replica, session, [[number, 2, [first, items]]]])):
                        items = []
                reports.append(run(hub, progress, give, [number, method, args]))


def drain(generator, give):
    """What a method that yields returns in the end."""
    for first in itertools.count():
        try:
            give(first, [next(generator)])
        except StopIteration as end:
            return end.value


def run(hub, progress, give, call):
    number, method, args = call
    try:
        named = args if isinstance(args, dict) else {"args": args}
        value = METHODS[method](hub, progress, **named)
        return [number, 0, drain(value, give) if inspect.isgenerator(value) else value]
    except Failure as error:
        return [number, 1, [error.args[0], 2, error.args[1], None]]
    except Exception as error:                       # pylint: disable=broad-except
        details = {"type": type(error).__name__, "traceback": traceback.format_exc(),
                   "replica": os.environ["PRONG_WORKER"] + "/" + os.environ["PRONG_REPLICA"]}
        return [number, 1, [2, 2, str(error), details]]


def echo(_hub, _progress, **named):
    """gives back what it was given"""
    return named


def add(_hub, _progress, a=0, b=0):
    """a sum of two numbers"""
    for name, value in (("a", a), ("b", b)):
        if isinstance(value, str):
            raise Failure(3, f"'{name}' must be a number, not a text")
    return a + b


def fail(_hub, _progress, code=2, text="it went wrong"):
    """fails, with a code or an exception"""
    if code != 2:
        raise Failure(code, text)
    raise ValueError(text)


def die(_hub, _progress):
    """ends the process in the middle of the call"""
    print("about to die", flush=True)
    os._exit(7)


def block(hub, progress, fifo):
    """returns when somebody has written a line to a fifo"""
    progress(0.5, "half\x1b[2J way")
    hub.ask([5, hub.client, next(hub.seq), "test.blocking", None, None])
    with open(fifo, encoding="utf-8") as file:
        return file.readline().strip()


def blob(_hub, _progress):
    """bytes that are no text"""
    return b"\x00\xff\n"


def emit(hub, _progress, topic, payload=None):
    """publishes an event"""
    hub.ask([5, hub.client, next(hub.seq), topic, None, payload])


def about(_hub, _progress):
    """where and how it runs"""
    return {"cwd": os.getcwd(), "argv": sys.argv, "pid": os.getpid(),
            "env": {k: v for k, v in os.environ.items() if k.startswith("TEST_")}}


def count(_hub, _progress, n=3, value=None, fails=False):
    """yields numbers"""
    yield from range(n)
    if fails:
        raise ValueError("no more")
    return value


def lines(_hub, _progress, fifo):
    """yields the lines of a fifo, until an empty one"""
    with open(fifo, encoding="utf-8") as file:
        yield from iter(lambda: file.readline().strip(), "")


def me(_hub, _progress, fails=""):
    """who serves; fails on the replicas that are named"""
    name = os.environ["PRONG_WORKER"] + "/" + os.environ["PRONG_REPLICA"]
    if name in fails.split():
        raise Failure(9, "not me")
    return name


METHODS = {f.__name__: f for f in (echo, add, fail, die, block, blob, emit, about, count, lines, me)}


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("started as", os.environ["PRONG_WORKER"], flush=True)
    if sys.argv[1:2] == ["die"]:
        print("no \x1b[31mcamera\x1b[0m found", file=sys.stderr, flush=True)
        sys.exit(int(sys.argv[2]))
    if sys.argv[1:2] == ["never"]:
        signal.pause()
    if sys.argv[1:2] == ["gate"]:
        with open(sys.argv[2], encoding="utf-8") as file:
            file.readline()
    work(Hub(os.environ["PRONG_URL"]))


if __name__ == "__main__":
    main()
