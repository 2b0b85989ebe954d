#!/usr/bin/env python3
"""What a call from Python to Python costs through Prong, beside the other ways to have processes work in Python.

usage: peers.py [--rounds N] [--seconds S] [--pin | --no-pin] [--json] [--check]

All of them run in one go and take turns, in rounds: a figure is the median of the rounds, a ratio the median of
the ratios within each round. Everything is done twice, once with all processes wherever the system puts them and
once with all of them on one CPU. An argument and a result are 64 bytes; a map has two processes to run in.

--check is the test `bench_python_short`: fewer and shorter rounds, on one CPU, and 1 when a ratio is worse than
TARGETS allow with slack, also when it is measured once more, or when `import prong` imports one of HEAVY.

Needs what the package needs, and PRONG_BIN_DIR (default: build/release/bin). Rows of loky need loky.
"""
from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGE = os.path.join(ROOT, "bindings", "python")
sys.path.insert(0, PACKAGE)

import prong  # noqa: E402

PAYLOAD = b"x" * 64
PROCESSES = 2
WARM = 30
IMPORTS = 15
OURS = "prong call", "prong map"

# What Prong's figure, divided by that of another, is at most for times and at least for rates. The second number
# is what --check asserts: the machine of a test does other things as well.
TARGETS = {
    "PPE submit": (0.45, 0.6),
    "Queue": (1.0, 2.0),
    "PPE map 1": (15.0, 10.0),
    "Pool map 1": (5.0, 3.0),
}
IMPORT_MS = 60
# What a program that only calls does not pay for.
HEAVY = ("asyncio", "concurrent.futures", "inspect", "logging", "multiprocessing", "ssl", "subprocess")


class Echo(prong.Worker):
    @prong.idempotent
    def echo(self, value):
        return value


def echo(value):
    return value


def pipe_peer(pipe):
    for value in iter(pipe.recv, None):
        pipe.send(value)


def queue_peer(there, back):
    for value in iter(there.get, None):
        back.put(value)


# ---- the ways: each yields {name: function of nothing, one round trip} and {name: function of a number, so many calls}

@contextlib.contextmanager
def prong_ways():
    with prong.Hub() as hub:
        one, two = (hub.spawn(Echo, name=name, replicas=n) for name, n in (("one", 1), ("two", PROCESSES)))
        call, method = one.echo, two.echo
        hub.spawn("prong.pool:Pool", name="pool", replicas=PROCESSES)
        with prong.Executor(hub, "pool", policy="idempotent") as pool:
            yield ({"prong call": lambda: call(PAYLOAD), "prong submit": lambda: call.submit(PAYLOAD).result()},
                   {"prong map": lambda n: drain(method.map([PAYLOAD] * n)),
                    "prong Executor map": lambda n: drain(pool.map(echo, [PAYLOAD] * n))})


@contextlib.contextmanager
def standard_ways():
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    there, back = spawn.Queue(), spawn.Queue()
    peers = [spawn.Process(target=pipe_peer, args=(theirs,), daemon=True),
             spawn.Process(target=queue_peer, args=(there, back), daemon=True)]
    for peer in peers:
        peer.start()

    def by_pipe():
        ours.send(PAYLOAD)
        ours.recv()

    def by_queue():
        there.put(PAYLOAD)
        back.get()
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as one, spawn.Pool(PROCESSES) as pool, \
            concurrent.futures.ProcessPoolExecutor(PROCESSES, spawn) as two:
        yield ({"Pipe": by_pipe, "Queue": by_queue, "PPE submit": lambda: one.submit(echo, PAYLOAD).result()},
               {"PPE map 1": lambda n: drain(two.map(echo, [PAYLOAD] * n, chunksize=1)),
                "Pool map 1": lambda n: pool.map(echo, [PAYLOAD] * n, chunksize=1)})
        ours.send(None)
        there.put(None)
        for peer in peers:
            peer.join()


@contextlib.contextmanager
def loky_ways():
    try:
        from loky import get_reusable_executor
    except ImportError:
        print("loky is not installed and is left out", file=sys.stderr)
        yield {}, {}
        return
    # One of its executors at a time is what loky is for, so both have two processes.
    pool = get_reusable_executor(PROCESSES, timeout=None)
    try:
        yield ({"loky submit": lambda: pool.submit(echo, PAYLOAD).result()},
               {"loky map 1": lambda n: drain(pool.map(echo, [PAYLOAD] * n, chunksize=1))})
    finally:
        pool.shutdown()


def drain(values):
    for _ in values:
        pass


# ---- measuring

def microseconds(way, seconds):
    """The median of round trips."""
    for _ in range(WARM):
        way()
    clock, times = time.perf_counter_ns, []
    end = clock() + seconds * 1e9
    while clock() < end:
        begin = clock()
        way()
        times.append(clock() - begin)
    return statistics.median(times) / 1000


def rate(way, seconds):
    """Calls a second, of as many at once as fit into the time."""
    count, took = 250, 0.0
    while took < seconds / 2:
        count = max(count * 2, int(count * seconds / took) if took else 0)
        begin = time.perf_counter()
        way(count)
        took = time.perf_counter() - begin
    return count / took


def compare(ways, measure, ours, rounds, seconds):
    """{name: (figure, ratio of ours to it)}"""
    found = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(measure(way, seconds))
    return {name: (statistics.median(figures), statistics.median(a / b for a, b in zip(found[ours], figures)))
            for name, figures in found.items()}


def run(rounds, seconds):
    with contextlib.ExitStack() as stack:
        single, many = {}, {}
        for open_ways in (prong_ways, standard_ways, loky_ways):
            trips, maps = stack.enter_context(open_ways())
            single.update(trips)
            many.update(maps)
        return (compare(single, microseconds, OURS[0], rounds, seconds),
                compare(many, rate, OURS[1], rounds, seconds))


def import_ms(rounds):
    """What `import prong` adds to the start of an interpreter, and beside it what its one dependency and what a
    ProcessPoolExecutor add: {name: (milliseconds, of them of processor time)}."""
    texts = {"nothing": "pass", "prong": "import prong", "msgpack": "import msgpack",
             "PPE": "from concurrent.futures import ProcessPoolExecutor"}
    found = {name: [] for name in texts}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": PACKAGE, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(rounds + 1):
            for name, text in texts.items():
                begin = time.perf_counter()
                process = subprocess.Popen([sys.executable, "-c", text], env=environment)
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = status
                took = time.perf_counter() - begin
                if status != 0:
                    raise RuntimeError(f"{text} ended with {status}")
                found[name].append((took * 1000, (used.ru_utime + used.ru_stime) * 1000))
    bare = found.pop("nothing")
    # The first round compiles.
    return {name: tuple(statistics.median(a[i] - b[i] for a, b in zip(times[1:], bare[1:])) for i in (0, 1))
            for name, times in found.items()}


# ---- telling

def missed(rows, which):
    """What misses its target (which: 0) or what --check asserts (1), as texts."""
    found = []
    for name, limits in TARGETS.items():
        ratio, limit = rows[name][1], limits[which]
        if ratio > limit if limits[0] <= 1 else ratio < limit:
            found.append(f"{name}: Prong has {ratio:.2f} of it, {'at most' if limits[0] <= 1 else 'at least'} {limit}")
    return found


def table(title, unit, rows):
    print(f"{title:28}{unit:>12}   Prong / it   target")
    for name, (figure, ratio) in rows.items():
        target = TARGETS.get(name, ("",))[0]
        print(f"  {name:26}{figure:12,.1f}{ratio:13.2f}   {target}")


def both(rounds, seconds, pinned):
    """All rows, with the processes on one CPU or anywhere."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)} if pinned else cpus)
    try:
        trips, maps = run(rounds, seconds)
    finally:
        os.sched_setaffinity(0, cpus)
    return trips, maps


def heavy_imports():
    """Those that `import prong` brings."""
    text = f"import sys, prong; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", text], check=True, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": PACKAGE}).stdout.split()


def check():
    """The test."""
    heavy = heavy_imports()
    if heavy:
        print("import prong brings", ", ".join(heavy))
        return 1
    for rounds, seconds in ((5, 0.1), (11, 0.2)):
        trips, maps = both(rounds, seconds, True)
        table("round trip", "us", trips)
        table("map", "calls/s", maps)
        wrong = missed({**trips, **maps}, 1)
        if not wrong:
            return 0
        print("\n".join(wrong), flush=True)
    return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each way in each round")
    parser.add_argument("--pin", action=argparse.BooleanOptionalAction, help="only with, or only without")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    os.environ.setdefault("PRONG_BIN_DIR", os.path.join(ROOT, "build", "release", "bin"))
    if given.check:
        return check()
    found, wrong = {}, []
    for pinned in (False, True) if given.pin is None else (given.pin,):
        trips, maps = both(given.rounds, given.seconds, pinned)
        where = "on one CPU" if pinned else "anywhere"
        found[where] = {"round trip us": trips, "calls/s": maps}
        wrong += [f"{where}: {text}" for text in missed({**trips, **maps}, 0)]
        if not given.json:
            table(f"round trip, {where}", "us", trips)
            table(f"map, {where}", "calls/s", maps)
    found["import ms"] = imports = import_ms(IMPORTS)
    if imports["prong"][0] > IMPORT_MS:
        wrong.append(f"import prong: {imports['prong'][0]:.0f} ms, at most {IMPORT_MS}")
    if given.json:
        print(json.dumps({**found, "missed": wrong}))
    else:
        print(f"{'import':28}{'ms':>12}{'processor':>13}")
        for name, (took, used) in imports.items():
            print(f"  {name:26}{took:12.1f}{used:13.1f}   {IMPORT_MS if name == 'prong' else ''}")
        print("\n".join(["missed:", *wrong] if wrong else ["every target is met"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
