"""A whole client with nothing but a socket and msgpack: items, many calls in one, the background, a lease. What it
gets is printed, a line of JSON each."""
import json
import os
import socket
import struct
import sys

import msgpack

hub = socket.socket(socket.AF_UNIX)
hub.connect(os.environ["PRONG_URL"].removeprefix("ipc://"))
hub.sendall(b"\0SP\0\0\x30\0\0")
stream = hub.makefile("rb")
assert stream.read(8) == b"\0SP\0\0\x31\0\0"
client, last, worker = os.urandom(16), 0, sys.argv[1]


def ask(*record):
    body = b"\x80\0\0\1" + msgpack.packb(record)
    hub.sendall(struct.pack(">BQ", 1, len(body)) + body)
    return msgpack.unpackb(stream.read(struct.unpack(">xQ", stream.read(9))[0])[4:], strict_map_key=False)


def fetch(reply):
    """The items of a call and its value, as they come."""
    received, seq = 0, reply[1]
    while reply[0] in (67, 68):                                # PARTIAL, PENDING
        for n, item in enumerate(reply[4] if reply[0] == 67 else [], reply[2] if reply[0] == 67 else 0):
            if n == received:
                yield item
                received += 1
        reply = ask(3, client, seq, received)                  # WAIT
    yield {"value": reply[2]} if reply[0] == 66 else {"error": reply[2:5]}


def call(target, method, args, **options):
    global last
    last += 1
    return fetch(ask(2, client, last, last - 1, target, method, 0, options, args))


for target, method, args, options in (
        (worker, "count", {"to": 3}, {}), (worker, "echo", [{"n": n} for n in range(3)], {"map": "ordered"}),
        (f"{worker}/*", "echo", {}, {}), (worker, "fail", [{}], {"map": "completed"})):
    print(json.dumps(list(call(target, method, args, **options))), flush=True)
later = ask(2, client, 100, 4, worker, "echo", 0, {"background": True}, {"n": 100})
print(json.dumps([later, list(fetch(later))]), flush=True)
last = 100
(lease,) = call("hub", "lease", {"worker": worker, "ttl_ms": 60000})
replica = lease["value"]["replica"]
print(json.dumps([lease, *call(replica, "echo", {"n": 1}), *call("hub", "release", {"replica": replica})]), flush=True)
