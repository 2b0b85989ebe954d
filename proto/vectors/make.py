#!/usr/bin/env python3
"""Writes golden.jsonl and refused/*.hex anew (README.md says what they are).

    python3 make.py            writes
    python3 make.py --check    says what differs from what is there

The encoder here is small and its own, so that no msgpack library judges itself. Names of fields, their
types and limits come from ../constants.json; a record that is new there needs a row in refused.BASE.
"""
import json
import os
import sys

sys.dont_write_bytecode = True  # beside data files nobody wants a cache
import golden  # noqa: E402
import refused  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


def refused_text(why, error, data):
    text = data.hex()
    lines = [text[i:i + 96] for i in range(0, len(text), 96)]
    return "\n".join([f"# why: {why}", f"# error: {error}", *lines]) + "\n"


def wanted():
    """{path: text} of all that should be there."""
    with open(os.path.join(HERE, "..", "constants.json"), encoding="utf-8") as file:
        tables = json.load(file)
    texts = {"golden.jsonl": "".join(json.dumps(v) + "\n" for v in golden.vectors(tables))}
    for name, why, error, data in refused.vectors(tables):
        path = os.path.join("refused", name + ".hex")
        assert path not in texts, path
        texts[path] = refused_text(why, error, data)
    return texts


def present():
    """The same of all that is there."""
    folder = os.path.join(HERE, "refused")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    paths = ["golden.jsonl", *(os.path.join("refused", name) for name in names)]
    texts = {}
    for path in paths:
        if os.path.exists(os.path.join(HERE, path)):
            with open(os.path.join(HERE, path), encoding="ascii") as file:
                texts[path] = file.read()
    return texts


def main():
    new, old = wanted(), present()
    differ = sorted(path for path in new.keys() | old.keys() if new.get(path) != old.get(path))
    if sys.argv[1:] == ["--check"]:
        for path in differ:
            print(f"proto/vectors/{path} is not what make.py writes: run python3 proto/vectors/make.py")
        sys.exit(1 if differ else 0)
    os.makedirs(os.path.join(HERE, "refused"), exist_ok=True)
    for path in differ:
        if path not in new:
            os.remove(os.path.join(HERE, path))
            continue
        with open(os.path.join(HERE, path), "w", encoding="ascii") as file:
            file.write(new[path])


if __name__ == "__main__":
    main()
