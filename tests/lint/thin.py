#!/usr/bin/env python3
"""Thin is a promise: what a program links or imports to talk to the hub stays small enough to be read."""
import common

# What, folders, suffixes, lines at most (comments and blank lines count).
PROMISES = [
    ("C session and library", ("client/session/", "client/lib/"),
     (".c", ".h"), 4000),
    ("C values and JSON", ("client/value/",), (".c", ".h"), 1000),
    ("Python package", ("bindings/python/prong/", "bindings/python/src/"), (".py", ".pyi"), 2000),
]


def main():
    root = common.arguments(__doc__).root
    report = common.Report("thin")
    paths = common.files(root)
    looked_at = []
    for what, folders, suffixes, lines_max in PROMISES:
        lines = {p: (common.read(root, p) or "").count("\n")
                 for p in paths if p.startswith(folders) and p.endswith(suffixes)}
        total = sum(lines.values())
        looked_at.append(f"{what}: {total} of {lines_max} lines")
        if total > lines_max:
            largest = max(lines, key=lines.get)
            report.add(largest, lines[largest], f"{what} has {total} lines, {lines_max} are promised; "
                                                "this is the largest file")
    report.end("; ".join(looked_at))


if __name__ == "__main__":
    main()
