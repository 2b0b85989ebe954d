#!/usr/bin/env python3
"""How much memory of the broker one of each thing takes that peers can make it hold.

usage: memory.py [--only ROW] [--connections N] [--clients N] [--parked N] [--subscribers N] [--filters N]
                 [--calls N] [--sets N] [--items N] [--topics N] [--payload BYTES] [--hub YAML] [--check]

Each row is a hub of its own: the broker's resident memory (VmRSS) before and with so many of the thing, and
the difference for one. What other things the row has to have beside it (the connections of the requests) is
measured in its own row and taken off, and so are the bytes of peers: `bytes` is what the hub adds to them.
--check ends with 1 when one takes more than the bound beside it, which is that of docs/limits.md.

Needs PRONG_BIN_DIR (default: build/release/bin).
"""
import argparse
import itertools
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("PRONG_SOURCE_DIR", ROOT)
os.environ.setdefault("PRONG_BIN_DIR", os.path.join(ROOT, "build", "release", "bin"))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e", "hub"))

import kit  # noqa: E402
import msgpack  # noqa: E402
from kit import LIMIT, OP  # noqa: E402

# What one may take, in bytes: about twice what was measured when this was written, on x86-64.
BOUNDS = {"connection": 3072, "client": 1024, "parked request": 1024, "subscriber": 2048, "filter": 512,
          "queued call": 1536, "set of a map": 64, "item": 64, "topic": 1024}
TTL_MS = LIMIT["TTL_MS_MAX"]
ITEM_BYTES = 100
REPORT_PARTIAL, REPORT_RESULT = 2, 0
# `idle` never gets ready, so that all its calls wait; `source` yields.
WORKERS = f"""idle: {{command: [sleep, inf], queue_size: 131072, start_timeout: 1h, stop_timeout: 0s}}
source: {{command: {json.dumps([sys.executable, "-B", os.path.abspath(__file__), "--worker"])}}}
"""


class Hub(kit.Case):
    """A hub outside of a test run: `with Hub(...) as hub`."""

    def runTest(self):
        pass

    def __init__(self, options):
        super().__init__()
        self.options = options

    def __enter__(self):
        self.setUp()
        self.peers = []
        hub = self.hub(WORKERS, hub=self.options, ready=False).wait_listening()
        hub.wait_replica("source")
        self.url, self.broker = hub.url, hub.broker
        return self

    def __exit__(self, *_):
        for peer in self.peers:
            peer.close()
        self.doCleanups()

    def resident(self):
        with open(f"/proc/{self.broker}/status", encoding="utf-8") as file:
            return 1024 * int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])

    def connect(self, **more):
        peer = kit.Client(self.url, **more)
        self.peers.append(peer)
        return peer

    def settle(self):
        """What was sent to it has arrived: each peer gets an answer to a PING behind it."""
        for peer in self.peers:
            token = os.urandom(4)
            request = peer.send([OP["PING"], token])
            while peer.receive()[0] != request:
                pass


def share(count, at_most):
    """`count` in pieces of at most so many."""
    return [min(at_most, count - n) for n in range(0, count, at_most)]


def connections(hub, count, _):
    for _ in range(count):
        hub.connect().ping()
    return {"connection": count}


def clients(hub, count, _):
    """Each acknowledges something, so that it is remembered although it has left."""
    peer = hub.connect()
    for many in share(count, 64):
        records = [[OP["CALL"], os.urandom(16), 1, 1, "idle", "echo", 0, None, []] for _ in range(many)]
        peer.ask(*records)
    return {"connection": 1, "client": count}


def ask_waiting(hub, count):
    """CALLs that wait, in the foreground. Half of what a connection may park, so that there is room for a PING."""
    for n in share(count, LIMIT["PARKED_MAX"] // 2):
        peer = hub.connect()
        for _ in range(n):
            peer.begin("idle", "echo", ttl_ms=TTL_MS)
    hub.settle()


def waits(hub, count, _):
    """A connection of the same client parks a WAIT for each of its calls."""
    for caller in list(hub.peers):
        peer = hub.connect(like=caller)
        for seq in range(1, caller.seq + 1):
            peer.send([OP["WAIT"], caller.id, seq, 0])
    hub.settle()
    return {"connection": len(hub.peers) // 2, "parked request": count}


def subscribers(hub, count, _):
    for _ in range(count):
        peer = hub.connect()
        peer.send([OP["FETCH"], peer.id, ["some.topic", "other.>"], "new", 1000, 1000000, LIMIT["PARK_MS"]])
    hub.settle()
    return {"connection": count, "client": count, "subscriber": count}


def filters(hub, count, _):
    """That all differ, as many in a FETCH as may be."""
    numbers = iter(range(count))
    for many in share(count, LIMIT["FILTERS_MAX"]):
        peer = hub.connect()
        texts = [f"some.topic.{n}.*" for n in itertools.islice(numbers, many)]
        peer.send([OP["FETCH"], peer.id, texts, "new", 1000, 1000000, LIMIT["PARK_MS"]])
    hub.settle()
    return {"connection": len(hub.peers), "client": len(hub.peers), "subscriber": len(hub.peers), "filter": count}


def calls(hub, count, payload):
    """In the background, where nobody waits for them: 256 of each client, 64 clients on a connection."""
    callers = share(count, LIMIT["WINDOW"])
    for first in range(0, len(callers), LIMIT["PEER_CLIENTS_MAX"]):
        peer = hub.connect()
        for many in callers[first:first + LIMIT["PEER_CLIENTS_MAX"]]:
            client = os.urandom(16)
            replies = peer.ask(*[[OP["CALL"], client, seq, 0, "idle", "echo", TTL_MS, {"background": True},
                                  ["x" * payload]] for seq in range(1, many + 1)])
            if any(reply[0] != OP["PENDING"] for reply in replies):
                raise AssertionError(f"refused: {replies[-1]}")
    return {"connection": len(hub.peers), "client": len(callers), "queued call": count}


def sets_of_a_map(hub, count, _):
    peer = hub.connect()
    peer.begin("idle", "echo", [["x" * ITEM_BYTES]] * count, ttl_ms=TTL_MS, options={"map": "completed"})
    hub.settle()
    return {"connection": 1, "client": 1, "set of a map": count}


def items(hub, count, _):
    """Of a stream in the background that nobody fetches. The worker comes when all were taken."""
    peer = hub.connect()
    peer.ask(peer.record("source", "yield", [count], ttl_ms=TTL_MS, options={"background": True}))
    hub.meet.next("yielded", 60).go()
    return {"connection": 1, "client": 1, "item": count}


def topics(hub, count, _):
    """Each with one event of a few bytes, which the ring holds."""
    peer = hub.connect()
    numbers = iter(range(count))
    for many in share(count, LIMIT["RECORDS_MAX"]):
        records = []
        for n in itertools.islice(numbers, many):
            peer.seq += 1
            records.append([OP["EMIT"], peer.id, peer.seq, f"some.topic.{n}", None, n])
        peer.ask(*records)
    return {"connection": 1, "client": 1, "topic": count}


def measure(options, known, what, count, fill, before=None):
    """One row; `known` has what is taken off, and gets this one."""
    payload = {"queued call": options.payload, "set of a map": ITEM_BYTES + 3, "item": ITEM_BYTES + 2}.get(what, 0)
    with Hub("calls_max: 131072\n" + options.hub) as hub:
        if before is not None:
            before(hub, count)
        base = hub.resident()
        holds = fill(hub, count, payload)
        now = hub.resident()
    others = sum(known.get(other, 0) * n for other, n in holds.items() if other != what)
    known[what] = (now - base - others) / count - payload
    ok = known[what] <= BOUNDS[what]
    print(f"{what:15} {count:8} {base / 1024:10.0f} {now / 1024:10.0f} {payload:10} {known[what]:8.0f} "
          f"{BOUNDS[what]:7}{'' if ok else '  TOO MUCH'}", flush=True)
    return ok


def work():
    """The worker `source`: yields so many texts and waits for the test when the hub has them all."""
    peer = kit.Peer(os.environ["PRONG_URL"])
    about = peer.ask([OP["ATTACH"], {"token": os.environ["PRONG_TOKEN"], "worker": os.environ["PRONG_WORKER"],
                                     "methods": {"yield": {}}}])[0][1]
    name = about["replica"], about["session"]
    peer.socket.settimeout(None)
    reply = peer.ask([OP["POLL"], *name, 0, 1])[0]
    call, _, _, _, _, (count,) = reply[2][0]
    done = 0
    for many in share(count, 1000):
        peer.ask([OP["REPORT"], *name, [[call, REPORT_PARTIAL, [done, ["x" * ITEM_BYTES] * many]]]],
                 [OP["PING"], b""])
        done += many
    with kit.socket.socket(kit.socket.AF_UNIX) as s:
        s.connect(os.environ["PRONG_TEST_MEET"])
        s.sendall(msgpack.packb(["yielded", os.getpid()]))
        s.recv(1)
    while True:
        peer.ask([OP["POLL"], *name, reply[1], 1])


def main():
    if sys.argv[1:] == ["--worker"]:
        work()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="one row, by its name; nothing is taken off")
    parser.add_argument("--connections", type=int, default=900)
    parser.add_argument("--clients", type=int, default=4000)
    parser.add_argument("--parked", type=int, default=10000)
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--filters", type=int, default=10000)
    parser.add_argument("--calls", type=int, default=100000)
    parser.add_argument("--sets", type=int, default=LIMIT["PARTS_MAX"])
    parser.add_argument("--items", type=int, default=100000)
    parser.add_argument("--topics", type=int, default=10000)
    parser.add_argument("--payload", type=int, default=0, help="bytes of the arguments of a call")
    parser.add_argument("--hub", default="", help="options of the hub, such as larger limits")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    known = {}
    rows = [("connection", options.connections, connections), ("client", options.clients, clients),
            ("parked request", options.parked, waits, ask_waiting), ("subscriber", options.subscribers, subscribers),
            ("filter", options.filters, filters),
            ("queued call", options.calls, calls), ("set of a map", options.sets, sets_of_a_map),
            ("item", options.items, items), ("topic", options.topics, topics)]
    print(f"{'one':15} {'of':>8} {'KiB before':>10} {'KiB with':>10} {'of peers':>10} {'bytes':>8} {'bound':>7}")
    good = [measure(options, known, *row) for row in rows if options.only in (None, row[0])]
    sys.exit(1 if options.check and not all(good) else 0)


if __name__ == "__main__":
    main()
