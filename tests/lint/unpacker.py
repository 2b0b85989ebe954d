#!/usr/bin/env python3
"""msgpack-c's unpacker never reads a peer's bytes: it allocates what a head promises and recurses. It is in
no source of ours, and the broker as it was linked does not have it."""
import os
import re
import subprocess

import common

FOLDERS = ("proto/", "broker/", "client/")
NAME = re.compile(r"\bmsgpack_unpack\w*")


def source_check(report, root, path):
    code = common.code_only(common.read(root, path) or "")
    for number, line in enumerate(code.split("\n"), 1):
        for name in NAME.findall(line):
            report.add(path, number, f"'{name}': bytes of a peer are read by proto/mp.h and proto/record.h only")


def program_check(report, root, program):
    """All its symbols: those of a shared msgpack-c that it needs, those of a static one that it has."""
    listed = subprocess.run(["nm", "--format=posix", os.path.join(root, program)], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False)
    names = [line.split()[0] for line in listed.stdout.splitlines() if line]
    if listed.returncode != 0 or "main" not in names:
        report.add(program, 1, f"has no symbols to look at:\n{listed.stdout[:500]}")
    for name in filter(NAME.match, names):
        report.add(program, 1, f"is linked with '{name}'")


def main():
    options = common.arguments(__doc__, program="the broker as it was linked")
    report = common.Report("unpacker")
    sources = [f for f in common.files(options.root)
               if f.startswith(FOLDERS) and f.endswith(common.C_SUFFIXES + (".def", ".inc"))]
    for path in sources:
        source_check(report, options.root, path)
    if options.program is not None:
        program_check(report, options.root, options.program)
    report.end(f"{len(sources)} files{'' if options.program is None else ' and the broker'}")


if __name__ == "__main__":
    main()
