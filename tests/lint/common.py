"""What the lints share: which files there are, C without comments and strings, reporting, the end.

A lint is a program with --root DIR that prints "FILE:LINE: message" for each finding and exits 0 (clean),
1 (findings) or 77 (nothing to look at: "SKIP: reason"). Python 3 standard library only.
"""
import argparse
import os
import re
import subprocess
import sys

SKIP_CODE = 77
C_SUFFIXES = (".c", ".h", ".cc", ".cpp", ".hpp")

# For a tree that is no git repository: what is built or fetched is not ours.
NOT_OURS = {".git", "build", "node_modules", "__pycache__", "target"}


def arguments(description, **extra):
    """Parses --root and the lint's own options (name=help)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", default=os.path.join(os.path.dirname(__file__), "..", ".."))
    for name, text in extra.items():
        parser.add_argument("--" + name.replace("_", "-"), default=None, help=text)
    options = parser.parse_args()
    options.root = os.path.realpath(options.root)
    return options


def files(root):
    """Paths relative to root: tracked ones and new ones that git would not ignore."""
    found = None
    if os.path.exists(os.path.join(root, ".git")):
        # safe.directory: in a container the tree often belongs to another user than the one who tests.
        listed = subprocess.run(["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z", "--cached",
                                 "--others", "--exclude-standard"],
                                stdout=subprocess.PIPE, check=False)
        if listed.returncode == 0:
            found = listed.stdout.decode("utf-8", "surrogateescape").split("\0")
    if found is None:
        found = []
        for folder, folders, names in os.walk(root):
            folders[:] = [f for f in folders if f not in NOT_OURS and not f.startswith("build-")]
            found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    # A file that was deleted but not yet committed is still listed.
    return sorted({f for f in found if f and os.path.isfile(os.path.join(root, f))})


def read(root, path):
    """The text of a file, None when it is not text."""
    with open(os.path.join(root, path), "rb") as file:
        data = file.read()
    if b"\0" in data:
        return None
    return data.decode("utf-8", "replace")


_TOKENS = re.compile(
    r"""(?P<comment>/\*.*?\*/|//(?:[^\n\\]|\\.)*)|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""",
    re.DOTALL)


def code_only(text):
    """C source with comments blanked and literals emptied; every line keeps its number."""
    def blank(match):
        lines = "\n" * match.group(0).count("\n")
        if match.group("comment"):
            return " " + lines
        quote = match.group(0)[0]
        return quote + lines + quote
    return _TOKENS.sub(blank, text)


class Report:
    """Collects findings; end() prints them and says how the lint ends."""

    def __init__(self, name):
        self.name = name
        self.count = 0
        self.seen = 0

    def add(self, path, line, message):
        self.count += 1
        print(f"{path}:{line}: {message}")

    def note(self, message):
        print(f"note: {message}")

    def skip(self, reason):
        print(f"SKIP: {reason}")
        sys.exit(SKIP_CODE)

    def end(self, looked_at):
        print(f"{self.name}: {looked_at}, {self.count} finding{'' if self.count == 1 else 's'}")
        sys.exit(1 if self.count else 0)
