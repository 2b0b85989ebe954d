#!/usr/bin/env python3
"""Runs the tests of plain_bad.c one by one and sees that each fails, and says why.

Usage: check_plain.py PLAIN_BAD FRESH_DIR SCRATCH
"""
import os
import subprocess
import sys

# Test, and the words that the framework must say about it. None: it must pass. Exit codes: 0 passed,
# 77 skipped, 1 failed.
EXPECTED = {
    "good/passes": None,
    "good/an_orphan_that_dies_at_once": None,
    "good/takes_what_a_library_keeps_open": None,
    "skipped/stops_where_it_is": ["SKIP: no camera", "ok skipped/stops_where_it_is # SKIP"],
    "skipped/is_disabled": ["SKIP: skipped/is_disabled is disabled"],
    "bad/fails_an_assertion": ["plain_bad.c:", "one is not 2", "not ok bad/fails_an_assertion"],
    "bad/fails_an_expectation": ['"abc"', '"abd"', "not ok"],
    "bad/bytes_differ": ["neq says it too", "differ at byte 2: 0x63 and 0x64"],
    "bad/fails_in_fini": ["in fini", "not ok"],
    "bad/fails_in_a_thread": ["in a thread", "not ok"],
    "bad/fails_in_a_child": ["in a child", "an assertion failed|exit 1"],
    "bad/exits_early": ["called exit(0) before its end"],
    "bad/crashes": ["signal 11|signal 6|exit "],
    "bad/wrong_signal": ["expected signal 15"],
    "bad/no_signal": ["expected signal 15"],
    "bad/wrong_exit_code": ["exit 4, expected 3"],
    "bad/times_out": ["timed out"],
    "bad/leaks_a_descriptor": ["leaked descriptor", "/dev/null"],
    "bad/leaks_a_memfd": ["leaked descriptor", "memfd:left"],
    "bad/leaves_a_dead_child": ["child not waited for", "has ended"],
    "bad/leaves_a_child": ["child not waited for", "still alive", "left 1 process"],
    "bad/leaves_a_daemon": ["left 1 process"],
}


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, check=False)


def check_tests(program):
    wrong = []
    listed = run(program, "--list").stdout.split()
    if sorted(listed) != sorted(EXPECTED):
        wrong.append(f"plain_bad has other tests than expected: {sorted(set(listed) ^ set(EXPECTED))}")
    for name, words in EXPECTED.items():
        result = run(program, name)
        want = 0 if words is None else 77 if name.startswith("skipped/") else 1
        if result.returncode != want:
            wrong.append(f"{name}: exit {result.returncode}, expected {want}\n{result.stdout}")
        for word in words or []:
            if not any(w in result.stdout for w in word.split("|")):
                wrong.append(f"{name}: '{word}' was not said\n{result.stdout}")
    result = run(program, "nothing/here")
    if result.returncode != 1 or "zero tests ran" not in result.stdout:
        wrong.append(f"zero tests: exit {result.returncode}\n{result.stdout}")
    result = run(program)
    bad, good, skipped = (sum(1 for name in EXPECTED if name.startswith(kind + "/"))
                          for kind in ("bad", "good", "skipped"))
    if (result.returncode != 1
            or f"{good} passed, {bad} failed, {skipped} skipped" not in result.stdout):
        wrong.append(f"all at once: exit {result.returncode}\n{result.stdout}")
    return wrong


def check_fresh_dir(fresh_dir, scratch):
    wrong = []
    place = os.path.join(scratch, "tests", "tmp", "fresh")
    os.makedirs(os.path.join(place, "old"), exist_ok=True)
    result = run(fresh_dir, place, "/bin/sh", "-c", "pwd; ls -A; exit 7")
    if result.returncode != 7 or result.stdout.split() != [os.path.realpath(place)]:
        wrong.append(f"fresh_dir: exit {result.returncode}\n{result.stdout}")
    other = os.path.join(scratch, "other")
    os.makedirs(other, exist_ok=True)
    result = run(fresh_dir, other, "/bin/true")
    if result.returncode != 2 or not os.path.isdir(other):
        wrong.append(f"fresh_dir emptied a folder outside tests/tmp: exit {result.returncode}")
    return wrong


def main():
    program, fresh_dir, scratch = sys.argv[1:]
    # A deliberate crash should not also cost a core dump and a stack trace.
    os.environ["ASAN_OPTIONS"] = "abort_on_error=1:detect_leaks=0"
    wrong = check_tests(program) + check_fresh_dir(fresh_dir, scratch)
    for line in wrong:
        print(line)
    print(f"{len(EXPECTED) + 4} checks, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
