#!/usr/bin/env python3
"""The arrows between modules: who may include whom. An include names its module from the tree's root."""
import os
import re

import common

ANY = "*"

# Folder -> what its files may include in quotes: a folder, or a single file. A row holds for the folders
# below that have none of their own, except where EXACT says otherwise. A folder without a row is a
# finding: whoever adds a module says here what it may know.
ALLOWED = {
    "proto": ["proto", "proto/tbl"],
    "proto/tbl": ["proto", "proto/tbl"],
    "proto/gen": ["proto", "proto/tbl", "proto/gen"],
    # Not for what is pure: it is told the time.
    "proto/clock": [],
    "proto/link": ["proto", "proto/tbl", "proto/clock", "proto/link"],
    "proto/ring": ["proto/ring"],
    "proto/device": ["proto/device", "proto/tbl"],
    "broker": ["broker/shell", "broker/core", "broker/config", "broker/spawn/records.h", "proto",
               "proto/tbl", "proto/link"],
    "broker/core": ["proto", "proto/tbl", "broker/core"],
    "broker/docs": ["broker/core/life.def", "broker/core/exit.def"],
    # What a limit may be is said once, where it is put into force.
    "broker/config": ["proto", "proto/tbl", "proto/device", "broker/config", "broker/spawn/limits.h",
                      "broker/spawn/limits.def"],
    "broker/import": ["proto", "proto/tbl", "broker/config", "broker/import"],
    "broker/shell": ["proto", "proto/tbl", "proto/clock", "proto/link", "proto/ring", "broker/core",
                     "broker/config", "broker/import", "broker/shell", "broker/spawn/records.h",
                     "broker/spawn/limits.h", "broker/spawn/limits.def", "broker/spawn/line.h"],
    # The spawner forks, so it knows nothing that could ever start a thread.
    "broker/spawn": ["broker/spawn"],
    "client/include": ["client/include"],
    # Pure, like the core: it never sees a connection.
    "client/session": ["proto", "proto/tbl", "client/session", "client/include"],
    # No connection either.
    "client/value": ["proto", "proto/tbl", "client/value", "client/include"],
    "client/lib": ["proto", "proto/tbl", "proto/clock", "proto/link", "client/session", "client/lib",
                   "client/include"],
    "client/worker": ["proto", "proto/tbl", "proto/link", "client/session", "client/value", "client/lib",
                      "client/worker", "client/include"],
    "client/stream": ["proto", "proto/clock", "proto/ring", "client/stream", "client/value", "client/include"],
    # The exit codes stand beside the codes of the protocol; "did you mean" and what a secret is are the
    # broker's, too.
    "client/cli": ["client/lib", "client/worker", "client/cli", "client/include", "client/picture",
                   "proto/tbl/errors.def", "proto/clock", "proto/closest.h", "proto/mask.h"],
    # Frames as files; knows no hub.
    "client/picture": ["client/picture", "client/include"],
    # Which part of an address is a secret is the broker's word, too.
    "client/devices": ["client/devices", "client/include", "client/picture", "proto/clock", "proto/device",
                       "proto/mask.h"],
    "client/web": ["client/lib", "client/worker", "client/web", "client/include"],
    # What an application sees: <prong/...>, and the headers beside its own files.
    "examples": [],
    "bindings": [],
    "tests": [ANY],
    "bench": [ANY],
}

# What lies below these is a module of its own.
EXACT = ("proto", "broker", "client")

# The start of an include in angle brackets -> the only folders (with those below) that may have it.
OUTSIDE = {
    # One example shows that a program without any library of ours is enough.
    "nng/": ["proto/link", "examples/hostwatch/plain_nng.c", "tests", "bench"],
    "yaml.h": ["broker/config", "tests"],
    # It chooses between Criterion and the small framework that stands in for it.
    "criterion/": ["tests/support"],
    "pthread.h": ["client", "proto/link", "broker/shell", "examples", "tests", "bench"],
    "prong/": ["client", "examples", "bindings", "tests", "bench"],
    "msgpack": ["proto", "broker/shell", "client", "bindings", "examples", "tests", "bench"],
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">\n]+)[">]', re.M)


def row_of(path):
    """The longest folder with a row that holds path; None without one."""
    own = os.path.dirname(path)
    folder = own
    while folder:
        if folder in ALLOWED and (folder == own or folder not in EXACT):
            return folder
        folder = os.path.dirname(folder)
    return None


def is_below(path, folder):
    return path == folder or path.startswith(folder + "/")


def quoted(report, root, path, row, line, target):
    allowed = ALLOWED[row]
    if ANY in allowed:
        return
    if ".." in target.split("/"):
        report.add(path, line, f'"{target}" climbs; name the module from the root')
        return
    if target in allowed:
        return
    if row == "examples" and os.path.exists(os.path.join(root, os.path.dirname(path), target)):
        return
    if target.startswith("prong/"):
        # The public headers among themselves, and written in quotes by others.
        target = "client/include/" + target
    other = row_of(target)
    if other is None:
        report.add(path, line, f'"{target}" does not name its module')
    elif other not in allowed:
        known = ", ".join(allowed) if allowed else "<prong/...> only"
        report.add(path, line, f'{row} may not include "{target}" ({other}); allowed: {known}')
    elif not os.path.exists(os.path.join(root, target)) and not target.endswith(".inc"):
        report.add(path, line, f'"{target}" does not exist')


def main():
    root = common.arguments(__doc__).root
    report = common.Report("includes")
    sources = [f for f in common.files(root) if f.endswith(common.C_SUFFIXES + (".def", ".inc"))]
    for path in sources:
        row = row_of(path)
        if row is None:
            report.add(path, 1, f"folder '{os.path.dirname(path)}' is unknown: give it a row in "
                                "tests/lint/includes.py")
            continue
        text = common.read(root, path) or ""
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            if match.group(1) == '"':
                quoted(report, root, path, row, line, match.group(2))
                continue
            for start, folders in OUTSIDE.items():
                if match.group(2).startswith(start) and not any(is_below(path, f) for f in folders):
                    report.add(path, line, f"{row} may not include <{match.group(2)}>; only "
                                           + ", ".join(folders))
    report.end(f"{len(sources)} files")


if __name__ == "__main__":
    main()
