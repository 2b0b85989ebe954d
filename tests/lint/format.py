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


def check(root, program, path):
    result = subprocess.run([program, "--dry-run", "--Werror", "--style=file", path], cwd=root,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode == 0:
        return []
    lines = re.findall(r"^\S+?:(\d+):\d+: error", result.stdout, re.M)
    return sorted({int(line) for line in lines}) or [1]


def main():
    root = common.arguments(__doc__).root
    report = common.Report("format")
    program, why = program_find()
    if program is None:
        report.skip(why)
    paths = [f for f in common.files(root) if f.endswith(common.C_SUFFIXES)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, lines in zip(paths, pool.map(lambda p: check(root, program, p), paths)):
            if lines:
                shown = ", ".join(map(str, lines[:10])) + (", ..." if len(lines) > 10 else "")
                report.add(path, lines[0], f"is not formatted (lines {shown}): clang-format -i {path}")
    report.end(f"{len(paths)} files")


if __name__ == "__main__":
    main()
