#!/usr/bin/env python3
"""A short run of `call` as a test: ratios and counts with slack, never times.

usage: short.py CALL PRONG_BROKER [--optimised]

The ratios are medians of rounds in which the hub and its neighbours take turns on one CPU, where they vary
little, whatever else the machine does; one that is too large is measured once more, with more rounds. The
counts are made by running the broker under strace and under valgrind for N and for 3 N calls; the
difference has no start-up in it. A tool that is missing, or may not trace here, is left out.

Ratios and instructions are judged when the compiler was asked to save any; otherwise it is only seen that
everything runs, and system calls are counted, which are the same in every build.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

# By bytes and calls in flight: so many times the p50 of a neighbour may be the hub's at most; in brackets
# what it was when this was written. The targets are 1.6 times the relay and 1.0 times nng, one in flight.
P50_RATIO_MAX = {
    (64, 1): {"relay": 2.0, "nng": 0.8},  # (1.25, 0.45)
    (64, 64): {"nng": 0.6},  # (0.17 to 0.24)
    (65536, 1): {"relay": 2.0, "nng": 1.15},  # (1.35, 0.85)
    (65536, 64): {"nng": 1.5},  # (0.8 to 1.1)
}
# By calls in flight: of the broker for one call of 64 bytes, in its own memory, so no system calls. When
# the machine is busy, calls come in smaller crowds and cost more: the least of several counts is judged.
INSTRUCTIONS_MAX = {1: 18000, 64: 12000}  # (14300, 7500 to 11300; busy up to 16200)
INSTRUCTIONS_TRIES = 5
SYSCALLS_MAX = 7.0  # (6.0) one in flight: two each of epoll_wait, read and send

ROUNDS, ROUNDS_AGAIN, SECONDS = 9, 21, 0.15
CALLS = 400
WARM = 1.2  # `call` warms up with a fifth more


def is_within(text, value, limit):
    print(f"{text}: {value:.2f}, at most {limit}", flush=True)
    return value <= limit


def call(program, *more):
    """The cells that `call` printed."""
    out = subprocess.run([program, "--json", "--pin", *map(str, more)], stdout=subprocess.PIPE, check=True,
                         timeout=200).stdout
    return json.loads(out)["cells"]


def large_ratios(program, rounds, *more):
    """{bytes and in flight: [what is too large]}, nothing for what is well."""
    wrong = {}
    for cell in call(program, "--rounds", rounds, "--seconds", SECONDS, *more):
        where = cell["bytes"], cell["in_flight"]
        limit = P50_RATIO_MAX[where].get(cell["way"])
        text = f"{where[0]} bytes, {where[1]} in flight: p50 to that of {cell['way']}"
        if limit is not None and not is_within(text, cell["hub_p50_ratio"], limit):
            wrong.setdefault(where, []).append(text)
    return wrong


def failed_ratios(program):
    failed = []
    for size, in_flight in large_ratios(program, ROUNDS):
        print(f"once more, {ROUNDS_AGAIN} rounds:")
        for texts in large_ratios(program, ROUNDS_AGAIN, "--bytes", size, "--in-flight", in_flight).values():
            failed += texts
    return failed


def count(program, command, total, in_flight=1):
    """What a tool counts in the broker for one call; total() reads its file."""
    counts = []
    with tempfile.TemporaryDirectory() as folder:
        for calls in (CALLS, 3 * CALLS):
            file = os.path.join(folder, f"counts.{calls}")
            wrapper = os.path.join(folder, "broker")
            with open(wrapper, "w", encoding="ascii") as f:
                f.write(f"#!/bin/sh\nexec {command(file)} \"$@\"\n")
            os.chmod(wrapper, 0o700)
            call(program, "--bytes", 64, "--in-flight", in_flight, "--only", "hub", "--rounds", 1, "--calls",
                 calls, "--broker", wrapper)
            counts.append(total(file))
    return (counts[1] - counts[0]) / (2 * CALLS * WARM)


def strace_total(file):
    """Of the summary's last line: percent, seconds, microseconds a call, calls, errors or not, "total"."""
    with open(file, encoding="ascii") as f:
        words = [line.split() for line in f if line.rstrip().endswith("total")]
    return int(words[-1][3])


def callgrind_total(file):
    """The part written when the hub began to stop; the end itself is too fast for valgrind."""
    with open(file + ".1", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(("totals:", "summary:")))


def can_trace():
    return shutil.which("strace") is not None and subprocess.run(
        ["strace", "-o", os.devnull, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def failed_syscalls(program, broker):
    if not can_trace():
        print("SKIP: strace is missing or may not trace: no system calls are counted")
        return []
    text = "system calls of the broker for one call"
    calls = count(program, lambda file: f"strace -f -c -o {file} {broker}", strace_total)
    return [] if is_within(text, calls, SYSCALLS_MAX) else [text]


def failed_instructions(program, broker):
    if shutil.which("valgrind") is None:
        print("SKIP: valgrind is missing: no instructions are counted")
        return []
    failed = []
    for in_flight, limit in INSTRUCTIONS_MAX.items():
        text = f"instructions of the broker for one call, {in_flight} in flight"
        for _ in range(INSTRUCTIONS_TRIES):
            instructions = count(program, lambda file: "valgrind --tool=callgrind --dump-before=worker_stop_all"
                                 f" --callgrind-out-file={file} {broker}", callgrind_total, in_flight)
            if is_within(text, instructions, limit):
                break
        else:
            failed.append(text)
    return failed


def main():
    program, broker = sys.argv[1:3]
    failed = failed_syscalls(program, broker)
    if "--optimised" in sys.argv[3:]:
        failed += failed_ratios(program) + failed_instructions(program, broker)
    else:
        call(program, "--rounds", 1, "--seconds", 0.05)
    for text in failed:
        print(f"too much: {text}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
