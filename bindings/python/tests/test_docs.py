"""The pages: what stands on them runs as it stands there, and every public name is documented."""
from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest
from conftest import SECONDS, HubProcess

import prong
import prong.aio

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"^<!-- (file|run): (.+?) -->\n```\w+\n(.*?)^```$", re.M | re.S)
PAGES = sorted(page.name for page in DOCS.glob("*.md") if BLOCK.search(page.read_text(encoding="utf-8")))


def blocks(page: str) -> List[Tuple[str, str, str]]:
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_what_stands_on_the_page_runs_as_it_says(page: str, folder: str, own_processes: str) -> None:
    files = {name: text for kind, name, text in blocks(page) if kind == "file"}
    for name, text in files.items():
        Path(folder, name).write_text(text, encoding="utf-8")
    env = {**os.environ, "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])}
    os.environ["PATH"] = env["PATH"]
    hub = HubProcess(folder, files["prong.yaml"]) if "prong.yaml" in files else None
    if hub is not None:
        env["PRONG_URL"] = hub.url
    try:
        for kind, command, wanted in blocks(page):
            if kind == "run":
                done = subprocess.run(shlex.split(command), cwd=folder, env=env, text=True, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, timeout=SECONDS, check=False)
                said = re.sub(r" in [0-9.]+s\n$", "\n", done.stdout)     # of pytest
                assert (said, done.returncode) == (wanted, 0), done.stderr
    finally:
        assert hub is None or hub.stop() == 0


def test_there_are_such_pages() -> None:
    assert len(PAGES) >= 7


def public() -> Iterator[Tuple[str, object]]:
    for module in prong, prong.aio:
        for name in module.__all__:
            yield f"{module.__name__}.{name}", getattr(module, name)


def test_every_public_name_is_in_the_reference() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^::: (\S+)$", text, re.M)) | set(re.findall(r"`([\w.]+)`", text))
    assert sorted(name for name, _ in public() if name not in named and name != "prong.aio") == []


def test_every_public_name_is_documented() -> None:
    bare = []
    for name, thing in public():
        if inspect.ismodule(thing) or not callable(thing):
            continue
        # A Method shows that of the remote one; its own is in the source.
        if not inspect.getdoc(thing) and not isinstance(vars(thing).get("__doc__"), property):
            bare.append(name)
        for part, value in vars(thing).items() if inspect.isclass(thing) else ():
            is_method = callable(value) or isinstance(value, (property, classmethod, staticmethod))
            if is_method and not part.startswith("_") and not inspect.getdoc(getattr(thing, part)):
                bare.append(f"{name}.{part}")
    assert bare == []


def test_every_error_is_in_the_table_of_the_page() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    errors = [e for _, e in public() if isinstance(e, type) and issubclass(e, prong.ProngError)]
    for error in errors:
        assert error is prong.ProngError or f"| `{error.__name__}` | {error.code} |" in text, error
