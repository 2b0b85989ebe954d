#!/usr/bin/env python3
"""Every header compiles alone and twice: all in C17, the public ones in C++17 as well."""
import concurrent.futures
import os
import shutil
import subprocess

import common

C_FLAGS = ["-x", "c", "-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes"]
CXX_FLAGS = ["-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic"]
FOLDERS = ("proto/", "broker/", "client/", "tests/support/")
PUBLIC = "client/include/"


def compile_alone(root, compiler, flags, path, more=()):
    name = path[len(PUBLIC):] if path.startswith(PUBLIC) else path
    text = f'#include "{name}"\n#include "{name}"\nint prong_header_alone;\n'
    return subprocess.run([compiler, *flags, "-Werror", "-D_GNU_SOURCE", "-I.", "-I" + PUBLIC,
                           *(more or ["-fsyntax-only"]), "-"], input=text, cwd=root, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def check(root, compiler, cxx, path):
    """Findings of one header, as texts."""
    wrong = []
    result = compile_alone(root, compiler, C_FLAGS, path)
    if result.returncode != 0:
        wrong.append(f"does not compile alone in C17:\n{result.stdout}")
    if cxx is None or not path.startswith(PUBLIC):
        return wrong
    result = compile_alone(root, cxx, CXX_FLAGS, path)
    if result.returncode != 0:
        wrong.append(f"does not compile alone in C++17:\n{result.stdout}")
    elif "PRONG_API" in (common.read(root, path) or ""):
        expanded = compile_alone(root, cxx, CXX_FLAGS, path, ["-E"])
        if 'extern "C"' not in expanded.stdout:
            wrong.append('declares functions without extern "C": C++ programs could not link them')
    return wrong


def main():
    options = common.arguments(__doc__, compiler="C compiler")
    root = options.root
    report = common.Report("headers")
    headers = [f for f in common.files(root) if f.endswith(".h") and f.startswith(FOLDERS)]
    if not headers:
        report.skip("there is no header yet")
    # clang has its own C++ front end, gcc needs the package g++.
    cxx = next((c for c in ("g++", "clang++") if shutil.which(c)), None)
    public = sum(1 for f in headers if f.startswith(PUBLIC))
    if cxx is None and public:
        report.note("SKIP: no C++ compiler (apt-get install g++): public headers only checked in C")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda path: check(root, options.compiler or "cc", cxx, path), headers)
        for path, wrong in zip(headers, results):
            for text in wrong:
                report.add(path, 1, text)
    report.end(f"{len(headers)} headers, {public} of them public")


if __name__ == "__main__":
    main()
