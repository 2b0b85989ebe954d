#!/usr/bin/env python3
"""What may not be in the tree: traces of the machine it was made on, sleeps in tests, functions of the
C library that know no bounds, notes without an issue, functions over 70 lines.

A line that must hold such a thing says "lint:allow" in a comment.
"""
import re

import common

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70

# The lints themselves hold the words they look for.
SELF = ("tests/lint/hygiene.py", "tests/lint/selftest.py")

# Where nothing may sleep.
TESTS = ("tests/", "bindings/python/tests/")

# Inputs for decoders: any bytes at all.
NOT_TEXT = "tests/fuzz/corpus/"

SCRIPTS = (".py", ".sh", ".ts", ".js", ".mjs", ".go", ".rs", ".java")

# In every text file.
ANYWHERE = [
    (re.compile(r"(?<![\w.$}*-])/(?:work|root|home)/[\w.]"), "absolute path of somebody's machine"),
    (re.compile(r"(?:--(?:extra-)?index-url|_authToken|PIP_INDEX_URL|NPM_CONFIG_REGISTRY)\b"),
     "package registry set"),
    (re.compile(r"(?:https?|sparse\+https?)://[^\s\"'<>]*(?:files\.pythonhosted\.org|pypi\.org/simple|"
                r"registry\.(?:npmjs|yarnpkg)\.|proxy\.golang\.org|index\.crates\.io|"
                r"repo\d?\.maven\.|/artifactory/|/nexus/|deb\.debian\.org)"),
     "address of a package registry"),
    (re.compile(r"\b(?:TODO|FIXME)\b(?!\(#\d+\))"), "note without an issue: write TODO(#123)"),
]

# In C, outside comments and literals.
UNBOUNDED = (re.compile(r"\b(strcpy|stpcpy|strcat|sprintf|vsprintf|atoi|atol|atoll|atof|alloca|gets|"
                        r"tmpnam|mktemp|strtok)\s*\("), "knows no bounds or no errors")

SLEEPS_C = re.compile(r"\b(?:u|nano|clock_nano|thrd_)?sleep\s*\(")
SLEEPS_SCRIPT = re.compile(r"\bsleep\s*\(|\bsetTimeout\s*\(|^\s*sleep\s+[\d.]+\s*$|;\s*sleep\s+[\d.]+")


def functions(code):
    """(line, name, lines of the body) of each function in C without comments and literals.

    A heuristic: at depth 0 of the braces, a "{" after ")" opens a body, unless an "=" outside brackets
    came since the last ";" or "}". Of #if ... #else only the first branch is read, so that braces pair.
    """
    depth = 0
    brackets = 0
    assigned = False
    last = ""
    name = "?"
    word = ""
    begin = None
    waits = []
    skipping = 0
    continued = False
    for number, line in enumerate(code.split("\n"), 1):
        stripped = line.strip()
        if continued or stripped.startswith("#"):
            directive = "" if continued else stripped[1:].strip()
            continued = line.rstrip().endswith("\\")
            if directive.startswith("if"):
                waits.append(False)
                skipping += 1 if skipping else 0
            elif directive.startswith(("else", "elif")) and skipping == 0:
                skipping = 1
            elif directive.startswith("endif") and waits:
                waits.pop()
                skipping -= 1 if skipping else 0
            continue
        if skipping:
            continue
        for token in re.findall(r"\w+|\S", line):
            if token in "([":
                if depth == 0 and brackets == 0 and token == "(":
                    name = word
                brackets += 1
            elif token in ")]":
                brackets -= 1
            elif token == "{":
                if depth == 0 and last == ")" and not assigned:
                    begin = (number, name)
                # extern "C" { is no depth: what is in it is at the top.
                if not (depth == 0 and last == '"'):
                    depth += 1
            elif token == "}":
                depth = max(0, depth - 1)
                if depth == 0:
                    if begin:
                        yield begin[0], begin[1], number - begin[0] + 1
                    begin = None
                    assigned = False
            elif depth == 0 and brackets == 0:
                if token == "=":
                    assigned = True
                elif token == ";":
                    assigned = False
            if token.isidentifier():
                word = token
            last = token


def check_c(report, path, text):
    code = common.code_only(text)
    # code_only keeps every line, so both go in step; the permission stands in a comment.
    for number, (line, whole) in enumerate(zip(code.split("\n"), text.split("\n")), 1):
        if "lint:allow" in whole:
            continue
        match = UNBOUNDED[0].search(line)
        if match:
            report.add(path, number, f"{match.group(1)} {UNBOUNDED[1]}")
        if path.startswith(TESTS) and SLEEPS_C.search(line):
            report.add(path, number, "a test waits for an event with a deadline, it does not sleep")
    for line, name, lines in functions(code):
        if lines > FUNCTION_LINES_MAX:
            report.add(path, line, f"function {name} has {lines} lines, at most {FUNCTION_LINES_MAX}")
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        report.note(f"{path} has {lines} lines; over {FILE_LINES_MAX} its first comment gives a reason")


def check(report, root, path):
    text = common.read(root, path)
    if text is None or path in SELF or path.startswith(NOT_TEXT):
        return
    for number, line in enumerate(text.split("\n"), 1):
        if "lint:allow" in line:
            continue
        for pattern, what in ANYWHERE:
            match = pattern.search(line)
            if match:
                report.add(path, number, f"'{match.group(0)}': {what}")
        if path.startswith(TESTS) and path.endswith(SCRIPTS) and SLEEPS_SCRIPT.search(line):
            report.add(path, number, "a test waits for an event with a deadline, it does not sleep")
    if path.endswith(common.C_SUFFIXES):
        check_c(report, path, text)


def main():
    root = common.arguments(__doc__).root
    report = common.Report("hygiene")
    paths = common.files(root)
    for path in paths:
        check(report, root, path)
    report.end(f"{len(paths)} files")


if __name__ == "__main__":
    main()
