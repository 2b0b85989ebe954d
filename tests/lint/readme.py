#!/usr/bin/env python3
"""The code in README.md is the code of the examples, which are built and run by other tests.

A fenced block behind a comment that names a file must hold exactly that file."""
import pathlib
import re
import sys

BLOCK = re.compile(r"<!-- (\S+) -->\n```\w*\n(.*?)```\n", re.S)


def faults(text, read):
    blocks = BLOCK.findall(text)
    if not blocks:
        yield "README.md: no block names its file: <!-- path --> in the line before it"
    for path, code in blocks:
        there = read(path)
        if there is None:
            yield f"README.md: {path} does not exist"
        elif there != code:
            yield f"README.md: the block of {path} differs from the file"


def main():
    root = pathlib.Path(sys.argv[1])

    def read(path):
        file = root / path
        return file.read_text() if file.is_file() else None

    sample = "<!-- a.c -->\n```c\nint a;\n```\n"
    assert not list(faults(sample, {"a.c": "int a;\n"}.get)), "a good sample was refused"
    assert list(faults(sample, {"a.c": "int b;\n"}.get)), "a stale block was not noticed"
    assert list(faults(sample, {}.get)), "a missing file was not noticed"
    assert list(faults("nothing", {}.get)), "no block was not noticed"
    found = list(faults((root / "README.md").read_text(), read))
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
