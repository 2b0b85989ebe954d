"""A whole worker that yields, with nothing but a socket and msgpack: one call at a time, no inventory. Beside the
work, as request 2, it waits for commands, so that it ends what nobody waits for any longer."""
import itertools
import os
import socket
import struct

import msgpack



def count(to=None, size=0):
    return (n if size == 0 else [n, "x" * size] for n in (itertools.count() if to is None else range(to)))


def fail():
    raise ValueError("no")


methods = {"count": count, "echo": lambda **named: named, "fail": fail, "pid": os.getpid}
hub = socket.socket(socket.AF_UNIX)
hub.connect(os.environ["PRONG_URL"].removeprefix("ipc://"))
hub.sendall(b"\0SP\0\0\x30\0\0")
stream = hub.makefile("rb")
assert stream.read(8) == b"\0SP\0\0\x31\0\0"


def say(request, *records):
    body = struct.pack(">I", 0x80000000 + request) + b"".join(map(msgpack.packb, records))
    hub.sendall(struct.pack(">BQ", 1, len(body)) + body)


def ask(*records):
    say(1, *records)
    while True:
        body = stream.read(struct.unpack(">xQ", stream.read(9))[0])
        answer = msgpack.Unpacker(strict_map_key=False)
        answer.feed(body[4:])
        if body[3] == 1:
            return list(answer)
        cancelled.update(about["call"] for _, verb, about in answer if verb == "cancel")
        say(2, [19, *me])


def run(call, method, args):
    """What a method returns, or the number of items when it yields."""
    value = methods[method](**args) if isinstance(args, dict) else methods[method](*args)
    if not hasattr(value, "__next__"):
        return value
    n = -1
    for n, item in enumerate(value):
        answer = ask([18, *me, [[call, 2, [n, [item]]]]])
        while answer[0][0] == 68:                              # PENDING: there is no room for more yet
            answer = ask([18, *me, [[call, 2, [n + 1, []]]]])
        if call in cancelled:
            break
    return n + 1


about = ask([16, {"token": os.environ["PRONG_TOKEN"], "methods": {name: {} for name in methods}}])[0][1]
me, reports, taken, cancelled = (about["replica"], about["session"]), [], 0, set()
say(2, [19, *me])
while True:
    answer = ask([18, *me, reports], [17, *me, taken, 1])
    reports, (number, calls) = [], next(r[1:] for r in answer if r[0] == 81)
    for call, method, _ttl, _caller, _options, args in calls:
        taken = number
        try:
            reports.append([call, 0, run(call, method, args)])
        except Exception as error:
            reports.append([call, 1, [2, 2, str(error), {"type": type(error).__name__}]])
