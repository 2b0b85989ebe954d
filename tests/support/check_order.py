#!/usr/bin/env python3
"""In every test program with Criterion, libnanomsg is needed before libnng (see cmake/ProngTest.cmake).

Usage: check_order.py FOLDER_OF_PROGRAMS
"""
import os
import re
import subprocess
import sys


def needed(program):
    text = subprocess.run(["readelf", "-d", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False).stdout
    return re.findall(r"\(NEEDED\).*\[(lib\w+)", text)


def main():
    folder = sys.argv[1]
    wrong = 0
    both = 0
    for name in sorted(os.listdir(folder)):
        libraries = needed(os.path.join(folder, name))
        if "libcriterion" not in libraries or "libnng" not in libraries:
            continue
        both += 1
        if "libnanomsg" not in libraries[:libraries.index("libnng")]:
            print(f"{name}: libnng before libnanomsg: {' '.join(libraries)}")
            wrong += 1
    print(f"{both} programs with Criterion and libnng, {wrong} wrong")
    # tests/support/beside_nng_test.c is one, so none at all means that nothing was looked at.
    return 1 if wrong or not both else 0


if __name__ == "__main__":
    sys.exit(main())
