#!/usr/bin/env python3
"""Thin is a promise: what a program links or imports to talk to the hub stays small enough to be read."""
import ast

import common


def lines_of_c(text):
    """All of them: comments and blank lines count."""
    return text.count("\n")


def lines_of_python(text):
    """Those of code: a package in which every public name has its docstring is not thick because of that. What is
    generated has its source elsewhere."""
    if "made by prong-gen" in text.split("\n")[0]:
        return 0
    code = {n for n, line in enumerate(text.split("\n"), 1) if line.strip() and not line.strip().startswith("#")}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body and \
                isinstance(node.body[0], ast.Expr) and isinstance(getattr(node.body[0], "value", None), ast.Constant):
            code -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(code)


# What, folders, suffixes, how lines are counted, how many at most.
PROMISES = [
    ("C session and library", ("client/session/", "client/lib/"),
     (".c", ".h"), lines_of_c, 4000),
    ("C values and JSON", ("client/value/",), (".c", ".h"), lines_of_c, 1000),
    ("Python package", ("bindings/python/prong/", "bindings/python/src/"), (".py", ".pyi"), lines_of_python, 3960),
]


def main():
    root = common.arguments(__doc__).root
    report = common.Report("thin")
    paths = common.files(root)
    looked_at = []
    for what, folders, suffixes, count, lines_max in PROMISES:
        lines = {p: count(common.read(root, p) or "")
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
