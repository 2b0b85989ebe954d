#!/usr/bin/env python3
"""seeds.py FOLDER: writes the vectors of proto/vectors as files of bytes, to begin fuzzing with."""
import glob
import json
import os
import sys

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "proto", "vectors")


def inputs():
    with open(os.path.join(VECTORS, "golden.jsonl"), encoding="ascii") as file:
        for line in file:
            vector = json.loads(line)
            yield "golden-" + "".join(c if c.isalnum() else "-" for c in vector["name"]), vector["hex"]
    for path in glob.glob(os.path.join(VECTORS, "refused", "*.hex")):
        with open(path, encoding="ascii") as file:
            text = "".join(line for line in file if not line.startswith("#"))
        yield "refused-" + os.path.basename(path)[:-4], text


def main():
    for name, text in inputs():
        with open(os.path.join(sys.argv[1], name), "wb") as file:
            file.write(bytes.fromhex(text))


if __name__ == "__main__":
    main()
