#!/usr/bin/env python3
"""Arrays of 6 MB as arguments and results of calls, beside the same through multiprocessing's Pipe.

usage: arrays.py [--rounds N] [--calls N] [--json]

    argument    worker.total(array): copied once, into shared memory that is used again
    result      worker.make(): the same the other way
    in place    the argument is prong.array(), filled anew for each call
    returned    worker.fill(): the result is one that the worker has from prong.array() and fills anew
    Pipe        the array is sent through a Pipe, and its total comes back

They take turns, in rounds: a time is the median of the rounds for one call, page faults are those of both processes for one
call, the least of all rounds. Needs PRONG_BIN_DIR (default: build/release/bin), msgpack and numpy."""
from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bindings", "python"))

import numpy as np

import prong

SHAPE = (1080, 1920, 3)


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


class Arrays(prong.Worker):
    own = None

    def setup(self) -> None:
        self.picture = np.ones(SHAPE, "u1")

    def total(self, array):
        return int(array[::64, ::8].sum())

    def make(self):
        return self.picture

    def fill(self):
        if self.own is None:
            self.own = prong.array(SHAPE, "u1")
        np.copyto(self.own, self.picture)
        return self.own

    def faults(self):
        return faults()


def _pipe(end) -> None:
    while True:
        array = end.recv()
        end.send((int(array[::64, ::8].sum()), faults()))


def ways(worker, hub):
    """name: (one call, page faults of the other process)."""
    picture = np.ones(SHAPE, "u1")
    own = prong.array(SHAPE, "u1", hub=hub) if hasattr(prong, "array") else None
    near, far = multiprocessing.Pipe()
    multiprocessing.get_context("fork").Process(target=_pipe, args=(far,), daemon=True).start()
    told = [0]

    def in_place() -> None:
        np.copyto(own, picture)
        worker.total(own)

    def through_pipe() -> None:
        near.send(picture)
        told[0] = near.recv()[1]
    found = {"argument": lambda: worker.total(picture), "result": lambda: worker.make()[0, 0, 0]}
    if own is not None:
        found.update({"in place": in_place, "returned": lambda: worker.fill()[0, 0, 0]})
    return {**{name: (way, worker.faults) for name, way in found.items()}, "Pipe": (through_pipe, lambda: told[0])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=20, help="of each way in each round")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    os.environ.setdefault("PRONG_BIN_DIR", os.path.join(ROOT, "build", "release", "bin"))
    with prong.Hub() as hub:
        table = {}
        all_ways = ways(hub.spawn(Arrays), hub)
        for round_ in range(given.rounds + 1):       # the first one is to warm up
            for name, (way, theirs) in all_ways.items():
                before, began = faults() + theirs(), time.perf_counter()
                for _ in range(given.calls):
                    way()
                us = (time.perf_counter() - began) / given.calls * 1e6
                if round_:
                    table.setdefault(name, []).append((us, (faults() + theirs() - before) / given.calls))
    found = {name: {"us": round(statistics.median(us for us, _ in rows)), "faults": round(min(n for _, n in rows))}
             for name, rows in table.items()}
    if given.json:
        print(json.dumps(found))
        return
    for name, row in found.items():
        print(f"{name:10} {row['us']:8} us {row['faults']:7} page faults")


if __name__ == "__main__":
    main()
