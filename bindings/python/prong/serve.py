"""Runs a class of workers: python3 -m prong.serve FILE.py:Class [JSON], or package.module:Class [JSON]. The JSON object
holds the arguments that the class is made with."""
from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import types
from typing import Any

def load(target: str) -> Any:
    """What "FILE.py:Name" or "package.module:Name" names. A file is loaded under the name __prong_main__, so that its
    `if __name__ == "__main__":` part does not run, as multiprocessing does when it spawns."""
    where, _, name = target.rpartition(":")
    if not where:
        raise SystemExit(f"{target!r}: FILE.py:Class or package.module:Class is wanted")
    if where.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(where)))
        module = types.ModuleType("__prong_main__")
        sys.modules[module.__name__] = module
        module.__dict__.update(runpy.run_path(where, run_name=module.__name__))
        found: Any = module
    else:
        found = importlib.import_module(where)
    for part in name.split("."):
        found = getattr(found, part)
    return found

def main() -> None:
    """The command line."""
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    load(sys.argv[1]).run(**json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}"))

if __name__ == "__main__":
    main()
