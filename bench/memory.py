#!/usr/bin/env python3
"""How much memory of the broker one connection, parked request, subscriber and queued call takes.

usage: memory.py [--connections N] [--parked N] [--subscribers N] [--calls N] [--payload BYTES] [--hub YAML] [--check]

Each row is a hub of its own: the broker's resident memory (VmRSS) before and with so many of the thing, and
the difference for one. What other things the row has to have beside it (the connections of the requests) is
measured in its own row and taken off. --check ends with 1 when one takes more than the bound beside it, which
is that of docs/limits.md.

Needs PRONG_BIN_DIR (default: build/release/bin).
"""
import argparse
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("PRONG_SOURCE_DIR", ROOT)
os.environ.setdefault("PRONG_BIN_DIR", os.path.join(ROOT, "build", "release", "bin"))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e", "hub"))

import kit  # noqa: E402
from kit import LIMIT, OP  # noqa: E402

# What one may take, in bytes: about twice what was measured when this was written, on x86-64.
BOUNDS = {"connection": 3072, "parked request": 1024, "subscriber": 3072, "queued call": 2048}
TTL_MS = LIMIT["TTL_MS_MAX"]
# A worker that never gets ready, so that all its calls wait.
WORKER = "echo: {command: [sleep, inf], queue_size: 65536, start_timeout: 1h, stop_timeout: 0s}"


class Hub(kit.Case):
    """A hub outside of a test run: `with Hub() as hub`."""

    def runTest(self):
        pass

    def __init__(self, options):
        super().__init__()
        self.options = options

    def __enter__(self):
        self.setUp()
        self.peers = []
        hub = self.hub(WORKER, hub=self.options, ready=False).wait_listening()
        kit.until(lambda: hub.status()["workers"]["echo"]["replicas"][0]["pid"], "the worker")
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


def ask_calls(hub, count, payload):
    """CALLs that wait: each is a call in the queue and a request that is parked. Half of what a connection may
    park, so that there is room for a PING."""
    args = ["x" * payload]
    for n in share(count, LIMIT["PARKED_MAX"] // 2):
        peer = hub.connect()
        for _ in range(n):
            peer.begin("echo", "echo", args, ttl_ms=TTL_MS)
    hub.settle()
    return {"connection": len(hub.peers), "parked request": count, "queued call": count}


def ask_waits(hub, count, _):
    """A connection of the same client parks a WAIT for each of its calls."""
    for caller in list(hub.peers):
        peer = hub.connect(like=caller)
        for seq in range(1, caller.seq + 1):
            peer.send([OP["WAIT"], caller.id, seq, 0])
    hub.settle()
    return {"connection": len(hub.peers) // 2, "parked request": count}


def subscribe(hub, count, _):
    for _ in range(count):
        peer = hub.connect()
        peer.send([OP["FETCH"], peer.id, ["some.topic", "other.>"], "new", 1000, 1000000, LIMIT["PARK_MS"]])
    hub.settle()
    return {"connection": count, "subscriber": count}


def measure(options, known, what, count, fill, before=None):
    """One row; `known` has what is taken off, and gets this one."""
    payload = options.payload if what == "queued call" else 0
    with Hub(options.hub) as hub:
        if before is not None:
            before(hub, count, payload)
        base = hub.resident()
        holds = fill(hub, count, payload)
        now = hub.resident()
    own = now - base - sum(known[k] * n for k, n in holds.items() if k != what)
    known[what] = own / holds[what]
    ok = known[what] <= BOUNDS[what] + payload
    print(f"{what:15} {holds[what]:8} {base / 1024:10.0f} {now / 1024:10.0f} {known[what]:9.0f} "
          f"{BOUNDS[what] + payload:7}{'' if ok else '  TOO MUCH'}", flush=True)
    return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=900)
    parser.add_argument("--parked", type=int, default=10000)
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=16000)
    parser.add_argument("--payload", type=int, default=0, help="bytes of the arguments of a call")
    parser.add_argument("--hub", default="", help="options of the hub, such as larger limits")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    known = {}
    print(f"{'one':15} {'of':>8} {'KiB before':>10} {'KiB with':>10} {'bytes':>9} {'bound':>7}")
    good = [measure(options, known, "connection", options.connections, connections),
            measure(options, known, "parked request", options.parked, ask_waits, before=ask_calls),
            measure(options, known, "subscriber", options.subscribers, subscribe),
            measure(options, known, "queued call", options.calls, ask_calls)]
    sys.exit(1 if options.check and not all(good) else 0)


if __name__ == "__main__":
    main()
