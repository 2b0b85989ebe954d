#!/usr/bin/env python3
"""Frames of 1920x1080x3 bytes through a stream, beside the other ways to get them to another process.

usage: streams.py [--rounds N] [--seconds S] [--json] [--check]

The cases are those of the program `stream` (its source says what they are) and two of Python: shared memory with two
Events, one slot, the usual handshake; and a Pipe. All of them run in one go and take turns, in rounds: a figure is the
median of the rounds, a ratio the median of the ratios within each round.

--check is the test `bench_stream_short`: fewer and shorter rounds, and 1 when a ratio is worse than TARGETS allow with
slack, or a frame was torn.

Needs PRONG_BENCH_DIR (default: build/release/bench).
"""
from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from multiprocessing import shared_memory

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(os.environ.get("PRONG_BENCH_DIR", os.path.join(ROOT, "build", "release", "bench")), "stream")
FRAME = 1920 * 1080 * 3
PAGE = 4096
SOURCE = b"\x07" * FRAME  # not bytes(FRAME), which is the one page of zeros again and again, and copied from the cache

# From the commit of a frame to its reader; and a bare eventfd, in turns with it, within the same case.
WAKE, EVENTFD = "wake by a stream", "wake by an eventfd"

# A name, the case of `stream` (None: of this file), its options.
CASES = {
    "memcpy": ["memcpy"],
    "write, no reader": ["write", "--readers", "0"],
    "write, 1 reader": ["write", "--readers", "1"],
    "write, 3 readers": ["write", "--readers", "3"],
    "write, 1 stopped": ["stopped", "--readers", "1"],
    "lossless, 1 reader": ["lossless", "--readers", "1"],
    "lossless, 3 readers": ["lossless", "--readers", "3"],
    "in place, 1 reader": ["place", "--readers", "1"],
    "nng PAIR": ["nng"],
    "pipe in C": ["pipe"],
    "Python shared memory, Event": None,
    "Python Pipe": None,
    "Python Pipe, duplex": None,
    WAKE: ["wake"],
}

# Above / below, figure by figure: how many times as much at least (rates) or at most (latencies); with what --check
# asserts.
TARGETS = [
    ("write, 1 reader", "memcpy", "rate", 0.9, 0.5),
    ("write, 1 reader", "Python shared memory, Event", "rate", 1.5, 0.5),
    ("write, 1 reader", "nng PAIR", "rate", 10, 3),
    ("write, 1 reader", "Python Pipe", "rate", 40, 4),
    ("lossless, 3 readers", "lossless, 1 reader", "rate", 0.8, 0.3),
    ("write, 3 readers", "write, 1 reader", "rate", 0.8, 0.3),
    ("write, 1 stopped", "write, no reader", "rate", 0.95, 0.6),
    (WAKE, EVENTFD, "p50_us", 1.3, 4.0),
]


def _touch(frame: memoryview) -> int:
    return sum(frame[::PAGE])


def _shared_reader(name: str, full: object, free: object, ready: object) -> None:
    memory = shared_memory.SharedMemory(name=name)
    ready.set()
    while True:
        full.wait()
        full.clear()
        _touch(memory.buf)
        free.set()


def shared(seconds: float) -> float:
    memory = shared_memory.SharedMemory(create=True, size=FRAME)
    full, free, ready = (multiprocessing.Event() for _ in range(3))
    reader = multiprocessing.Process(target=_shared_reader, args=(memory.name, full, free, ready), daemon=True)
    reader.start()
    ready.wait()
    free.set()
    source = memoryview(SOURCE)
    memory.buf[:FRAME] = source
    begin, frames = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        free.wait()
        free.clear()
        memory.buf[:FRAME] = source
        full.set()
        frames += 1
    rate = frames / (time.monotonic() - begin)
    reader.kill()
    reader.join()
    memory.close()
    memory.unlink()
    return rate


def _pipe_reader(pipe: object, ready: object) -> None:
    frame = bytearray(FRAME)
    ready.set()
    while True:
        pipe.recv_bytes_into(frame)
        _touch(memoryview(frame))


def pipe(seconds: float, duplex: bool) -> float:
    there, here = multiprocessing.Pipe(duplex)
    ready = multiprocessing.Event()
    reader = multiprocessing.Process(target=_pipe_reader, args=(there, ready), daemon=True)
    reader.start()
    ready.wait()
    begin, frames = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        here.send_bytes(SOURCE)
        frames += 1
    rate = frames / (time.monotonic() - begin)
    reader.kill()
    reader.join()
    return rate


def measure(name: str, seconds: float) -> dict[str, float]:
    if CASES[name] is None:
        rate = shared(seconds) if "shared" in name else pipe(seconds, "duplex" in name)
        return {"rate": rate, "gbps": rate * FRAME / 1e9, "p50_us": 0.0, "torn": 0}
    done = subprocess.run([PROGRAM, *CASES[name], "--seconds", str(seconds)], stdout=subprocess.PIPE, check=True,
                          timeout=seconds + 60)
    return json.loads(done.stdout)


def median_ratio(rounds: list[dict], above: str, below: str, key: str) -> float:
    return statistics.median(r[above][key] / r[below][key] for r in rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        options.rounds, options.seconds = 2, 0.2
    rounds = [{name: measure(name, options.seconds) for name in CASES} for _ in range(options.rounds)]
    for figures in rounds:
        figures[EVENTFD] = {**figures[WAKE], "p50_us": figures[WAKE]["bare_us"]}
    torn = measure_torn(options.seconds)
    if options.json:
        print(json.dumps({"rounds": rounds, "torn": torn}))
    else:
        print(f"{'median of ' + str(len(rounds)) + ' rounds':30} {'frames/s':>10} {'GB/s':>7} {'p50 us':>8}")
        for name in rounds[0]:
            rate, gbps, p50 = (statistics.median(r[name][key] for r in rounds) for key in ("rate", "gbps", "p50_us"))
            print(f"{name:30} {rate:10.0f} {gbps:7.2f} {p50:8.1f}" if p50 == 0 else f"{name:30} {'':10} {'':7} {p50:8.1f}")
        print(f"{'torn':30} {torn['torn']:10} of {torn['got']} frames that readers of each policy got")
    failed = torn["torn"] != 0
    for above, below, key, target, allowed in TARGETS:
        ratio = median_ratio(rounds, above, below, key)
        good, passed = (ratio >= target, ratio >= allowed) if key == "rate" else (ratio <= target, ratio <= allowed)
        failed = failed or not passed
        print(f"{above} / {below}: {ratio:.2f} (target {target}{'' if good else ', missed'})", file=sys.stderr)
    return 1 if options.check and failed else 0


def measure_torn(seconds: float) -> dict[str, float]:
    done = subprocess.run([PROGRAM, "torn", "--readers", "2", "--seconds", str(seconds)], stdout=subprocess.PIPE,
                          check=True, timeout=seconds + 60)
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
