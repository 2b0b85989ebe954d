#!/usr/bin/env python3
"""The core is pure: no socket, clock, thread, lock, log, environment, random source or mutable global.

Compiles the folders in --of and proto/*.c anew with fixed flags, links them into one object, and compares
what it needs from outside with an exact list; then looks for what a symbol table does not show.
"""
import os
import re
import subprocess
import tempfile

import common

# Fixed, so that neither sanitizers nor a distribution's hardening bring symbols of their own. Not
# position-independent, because otherwise constant tables of pointers count as writable data.
FLAGS = ["-std=c17", "-O1", "-g0", "-D_GNU_SOURCE", "-fno-stack-protector", "-U_FORTIFY_SOURCE",
         "-fno-pie", "-fno-pic", "-fno-common", "-w"]

WRITABLE = "bBdDC"

FORBIDDEN = [
    (re.compile(r"\b(?:__)?rdtscp?\b|\b__builtin_(?:ia32|readcyclecounter)\w*"), "reads the processor's clock"),
    (re.compile(r"\b(?:__asm__|__asm|asm)\b"), "is assembly"),
    (re.compile(r"\b(?:time|clock|gettimeofday|clock_gettime|localtime(?:_r)?|gmtime(?:_r)?)\s*\("),
     "asks for the time"),
    (re.compile(r"\b(?:s?rand|random|arc4random|getrandom|getentropy)\s*\("), "asks for randomness"),
    (re.compile(r"\b(?:secure_)?getenv\s*\("), "reads the environment"),
    (re.compile(r"\b(?:_Thread_local|__thread|_Atomic|volatile)\b"), "is for threads"),
    (re.compile(r"\b__(?:DATE|TIME|TIMESTAMP)__\b"), "differs from build to build"),
    (re.compile(r"\b(?:f|v|vf)?printf\s*\("), "prints"),
]


def allowed_read(path):
    with open(path, encoding="utf-8") as file:
        return {line.split("#")[0].strip() for line in file} - {""}


def run(report, root, command, about):
    result = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            check=False)
    if result.returncode != 0:
        report.add(about, 1, f"'{command[0]}' failed:\n{result.stdout}")
        return None
    return result.stdout


def symbols_check(report, root, compiler, sources, allowed, scratch):
    objects = []
    owner = {}
    before = report.count
    for path in sources:
        target = os.path.join(scratch, path.replace("/", "_") + ".o")
        if run(report, root, [compiler, *FLAGS, "-I.", "-Iclient/include", "-c", path, "-o", target],
               path) is None:
            continue
        objects.append(target)
        listed = run(report, root, ["nm", "--format=posix", target], path) or ""
        for name, kind in (line.split()[:2] for line in listed.splitlines()):
            if kind in WRITABLE:
                report.add(path, 1, f"'{name}' is writable data ({kind}); state hangs off one struct")
            if kind == "U":
                owner.setdefault(name, path)
    if report.count > before and len(objects) < len(sources):
        return
    whole = os.path.join(scratch, "whole.o")
    if run(report, root, ["ld", "-r", "-o", whole, *objects], "ld") is None:
        return
    needed = run(report, root, ["nm", "-u", "--format=posix", whole], "nm") or ""
    for name in sorted(line.split()[0] for line in needed.splitlines()):
        if name not in allowed:
            report.add(owner.get(name, "?"), 1,
                       f"needs '{name}', which is not in tests/lint/core_symbols.txt")


def words_check(report, root, path):
    code = common.code_only(common.read(root, path) or "")
    for number, line in enumerate(code.split("\n"), 1):
        for pattern, what in FORBIDDEN:
            match = pattern.search(line)
            if match:
                report.add(path, number, f"'{match.group(0).strip()}' {what}")


def main():
    options = common.arguments(__doc__, of="folder that is to be pure", compiler="C compiler",
                               allow="list of allowed symbols")
    root = options.root
    folder = options.of or "broker/core"
    report = common.Report(f"purity of {folder}")
    every = common.files(root)
    own = [f for f in every if f.startswith(folder + "/") and f.endswith((".c", ".h"))]
    if not any(f.endswith(".c") for f in own):
        report.skip(f"{folder} has no C source yet")
    below = [f for f in every if os.path.dirname(f) == "proto" and f.endswith((".c", ".h"))]
    allow = options.allow or os.path.join(os.path.dirname(__file__), "core_symbols.txt")
    for path in own + below:
        words_check(report, root, path)
    with tempfile.TemporaryDirectory() as scratch:
        symbols_check(report, root, options.compiler or "cc", [f for f in own + below if f.endswith(".c")],
                      allowed_read(allow), scratch)
    report.end(f"{len(own)} files and {len(below)} of proto")


if __name__ == "__main__":
    main()
