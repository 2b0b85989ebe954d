#!/usr/bin/env python3
"""C is formatted as .clang-format says, judged by clang-format 14 (other versions decide differently)."""
import concurrent.futures
import os
import re
import shutil
import subprocess

import common

VERSION = "14"


def program_find():
    """(program, None) or (None, why not)."""
    seen = []
    for name in ("clang-format-" + VERSION, "clang-format"):
        path = shutil.which(name)
        if path is None:
            continue
        text = subprocess.run([path, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
        match = re.search(r"version (\d+)", text)
        if match and match.group(1) == VERSION:
            return path, None
        seen.append(match.group(1) if match else "?")
    return None, f"clang-format {VERSION} is wanted, found {', '.join(seen) or 'none'}"


def check(root, program, paths):
    """{path: lines that are not formatted} of some files."""
    result = subprocess.run([program, "--dry-run", "--Werror", "--style=file", *paths], cwd=root,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = {}
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: error", result.stdout, re.M):
        found.setdefault(path, set()).add(int(line))
    if result.returncode != 0 and not found:
        found[paths[0]] = {1}
    return found


def main():
    root = common.arguments(__doc__).root
    report = common.Report("format")
    program, why = program_find()
    if program is None:
        report.skip(why)
    paths = [f for f in common.files(root) if f.endswith(common.C_SUFFIXES)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        # Many in one process, which mostly begins.
        parts = [paths[i:i + 40] for i in range(0, len(paths), 40)]
        for found in pool.map(lambda part: check(root, program, part), parts):
            for path, numbers in sorted(found.items()):
                lines = sorted(numbers)
                shown = ", ".join(map(str, lines[:10])) + (", ..." if len(lines) > 10 else "")
                report.add(path, lines[0], f"is not formatted (lines {shown}): clang-format -i {path}")
    report.end(f"{len(paths)} files")


if __name__ == "__main__":
    main()
