#!/usr/bin/env python3
"""A short run of `call` as a test: ratios and counts with slack, never times.

usage: short.py CALL PRONG_BROKER [--optimised]

The ratios are those of one run on one CPU, where they vary little, whatever else the machine does. The
counts are made by running the broker under strace and under valgrind for N and for 3 N calls; the
difference has no start-up in it. A tool that is missing, or may not trace here, is left out, and so are
instructions when the compiler was not asked to save any.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

CALLS = 400
WARM = 1.2  # `call` warms up with a fifth more

# What the hub may cost at most; in brackets what it did when this was written.
P50_TO_RELAY_MAX = 2.5  # (1.3) the target is 1.6
P50_TO_NNG_MAX = 1.0  # (0.45) below REQ/REP without any hub
SYSCALLS_MAX = 7.0  # (6.0) two each of epoll_wait, read and send
INSTRUCTIONS_MAX = 18000  # (14200) in the broker's own memory: no system calls

failures = []


def check(text, value, limit):
    print(f"{text}: {value:.2f}, at most {limit}")
    if value > limit:
        failures.append(text)


def call(program, *more):
    """The cells that `call` printed."""
    out = subprocess.run([program, "--json", "--pin", "--bytes", "64", "--in-flight", "1", *more],
                         stdout=subprocess.PIPE, check=True, timeout=100).stdout
    return json.loads(out)["cells"]


def ratios(program):
    for cell in call(program, "--rounds", "5", "--seconds", "0.15"):
        if cell["way"] == "relay":
            check("p50 to that of a bare relay", cell["hub_p50_ratio"], P50_TO_RELAY_MAX)
        elif cell["way"] == "nng":
            check("p50 to that of nng's REQ/REP", cell["hub_p50_ratio"], P50_TO_NNG_MAX)


def count(program, folder, command, total):
    """What a tool counts in the broker for one call; total() reads its file. None when it cannot."""
    counts = []
    for calls in (CALLS, 3 * CALLS):
        file = os.path.join(folder, f"counts.{calls}")
        wrapper = os.path.join(folder, "broker")
        with open(wrapper, "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\nexec {command(file)} \"$@\"\n")
        os.chmod(wrapper, 0o700)
        call(program, "--only", "hub", "--rounds", "1", "--calls", str(calls), "--broker", wrapper)
        counts.append(total(file))
    if None in counts:
        return None
    return (counts[1] - counts[0]) / (2 * CALLS * WARM)


def strace_total(file):
    """Of the summary's last line: percent, seconds, microseconds a call, calls, errors or not, "total"."""
    with open(file, encoding="ascii") as f:
        words = [line.split() for line in f if line.rstrip().endswith("total")]
    return int(words[-1][3]) if words else None


def callgrind_total(file):
    """The part written when the hub began to stop; the end itself is too fast for valgrind."""
    with open(file + ".1", encoding="ascii") as f:
        for line in f:
            if line.startswith(("totals:", "summary:")):
                return int(line.split()[1])
    return None


def can_trace():
    return shutil.which("strace") is not None and subprocess.run(
        ["strace", "-o", os.devnull, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def main():
    program, broker = sys.argv[1:3]
    optimised = "--optimised" in sys.argv[3:]
    ratios(program)
    with tempfile.TemporaryDirectory() as folder:
        if can_trace():
            check("system calls of the broker for one call",
                  count(program, folder, lambda file: f"strace -f -c -o {file} {broker}", strace_total),
                  SYSCALLS_MAX)
        if optimised and shutil.which("valgrind") is not None:
            check("instructions of the broker for one call",
                  count(program, folder,
                        lambda file: "valgrind --tool=callgrind --dump-before=worker_stop_all"
                                     f" --callgrind-out-file={file} {broker}", callgrind_total),
                  INSTRUCTIONS_MAX)
    for text in failures:
        print(f"too much: {text}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
