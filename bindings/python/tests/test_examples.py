"""Every example runs as a user would run it, says what it should, and leaves nothing behind; the pages that
explain them show the code that ran."""
from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import tagged

import prong

HERE = Path(__file__).resolve()
PYTHON = HERE.parents[1]                                     # bindings/python
EXAMPLES = HERE.parents[3] / "examples" / "python"
SECONDS = 60.0

EXPECTED = {
    "hello": r"""
        hello, Python, from greeter/[01]
        {'name': 'Python'}
        \['hello, Ada, from greeter/[01]', 'hello, Grace, from greeter/[01]'\]
        """,
    "pingpong": """
        heard: gotcha
        pong: GOTCHA
        calls so far: 2
        in another process: True
        rally: A B C
        refused: .*text.*
        """,
    "sync": """
        armed: station/0 station/1 station/2
        part 1: exposed by station/0 station/1 station/2
          on one event: True
          nobody before all had come: True
        part 2: exposed by station/0 station/1 station/2
          on one event: True
          nobody before all had come: True
        """,
    "arrays": r"""
        back came: float64 \(100, 100\) 3.0 mine is still 1.0
        difference: 2.0
        22 MiB at once: True
        in pieces: \(2998, 2000\) True
        refused: TypeError
        """,
    "context": """
        answers: 0 500500 2001000 4501500 8002000 12502500 18003000 24503500
        calls: 8
        events: 8
        """,
    "aiobackend": """
        squares: 0 1 4 9 16 25 36 49 64 81
        counted: 0 1 2 3 4
        gateway.waiting
        gateway.cancelled
        and here: True
        """,
    "streams": r"""
        shot: 40
        each frame once: True
        at: \[\(200, 100\)\]
        newest: 40 \(480, 640\) 255 {'exposure_ms': 5}
        part A1 is on a frame: True
        on one time base: True
        """,
    "camera": r"""
        snapshot: uint8 \(48, 64\)
        frames: 10 in order: True
        triggered: A1
        triggered: A2
        """,
}


def environment(folder: Path) -> dict[str, str]:
    """That of a user without a hub, with the package that is tested and a folder for what is temporary. The tag
    by which processes that are left over are found goes along."""
    keep = ("PRONG_BIN_DIR", "PRONG_TEST_TAG")
    own = {k: v for k, v in os.environ.items() if not k.startswith("PRONG_") or k in keep}
    path = os.pathsep.join([str(Path(prong.__file__).parents[1]), *filter(None, [own.get("PYTHONPATH")])])
    return {**own, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder),
            "XDG_RUNTIME_DIR": str(folder)}


def program(name: str) -> Path:
    """What a user starts: the file that is called as its folder, or the frontend in it."""
    file = EXAMPLES / name / f"{name}.py"
    return file if file.exists() else file.with_name("frontend.py")

def test_there_is_an_expectation_for_each_example() -> None:
    assert sorted(EXPECTED) == sorted({f.parent.name for f in EXAMPLES.glob("*/*.py")})
    assert all(program(name).is_file() for name in EXPECTED)

@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example(name: str, tmp_path: Path, own_processes: str) -> None:
    """own_processes looks for what is left of it."""
    if name in ("arrays", "camera", "streams"):
        pytest.importorskip("numpy")
    temporary = tmp_path / "t"
    temporary.mkdir()
    done = subprocess.run([sys.executable, str(program(name))], cwd=str(tmp_path), text=True,
                          env=environment(temporary), timeout=SECONDS, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0, done.stderr
    expected = textwrap.dedent(EXPECTED[name]).lstrip("\n")
    assert re.fullmatch(expected, done.stdout), done.stdout + done.stderr
    # There stands what its workers log; from the hub nothing is heard.
    assert re.fullmatch(r"(\S+ INFO [a-z_]+/\d+\[[^]]+\] .*\n)*", done.stderr), done.stderr
    assert tagged(f"PRONG_TEST_TAG={own_processes}") == {}   # nothing lives on, not even for a moment
    assert list(temporary.iterdir()) == []
    assert list(tmp_path.iterdir()) == [temporary]


BLOCK = re.compile(r"(<!-- (?P<file>\S+) -->\n)?```python\n(?P<code>.*?)```\n", re.DOTALL)


def stale(text: str, read: dict[str, str]) -> list[str]:
    """The blocks of a page that are not in the file that the line before them names. Lines that a page leaves
    out at the beginning or end of a file are fine, others are not."""
    found = []
    for block in BLOCK.finditer(text):
        if block["file"] is None or f"\n{block['code']}" not in "\n" + read.get(block["file"], ""):
            found.append(block["code"])
    return found


def test_stale_blocks_are_noticed() -> None:
    files = {"a.py": "one\ntwo\nthree\n"}
    assert stale("<!-- a.py -->\n```python\ntwo\nthree\n```\n", files) == []
    assert stale("<!-- a.py -->\n```python\none\nthree\n```\n", files) == ["one\nthree\n"]
    assert stale("<!-- a.py -->\n```python\nwo\n```\n", files) == ["wo\n"]
    assert stale("<!-- b.py -->\n```python\none\n```\n", files) == ["one\n"]
    assert stale("text\n```python\none\n```\n", files) == ["one\n"]


@pytest.mark.parametrize("page", ["concepts.md", "origin.md"])
def test_the_pages_show_the_code_of_the_examples(page: str) -> None:
    files = {f"examples/python/{f.parent.name}/{f.name}": f.read_text(encoding="utf-8")
             for f in EXAMPLES.glob("*/*.py")}
    text = (PYTHON / "docs" / page).read_text(encoding="utf-8")
    assert BLOCK.search(text)
    assert stale(text, files) == []


@pytest.mark.parametrize("page", ["concepts.md", "origin.md"])
def test_the_pages_name_nothing_that_is_not_there(page: str) -> None:
    """What stands in backquotes as prong.x, a method of Worker as self.x, or an example's file."""
    text = (PYTHON / "docs" / page).read_text(encoding="utf-8")
    for name in re.findall(r"`@?prong\.([A-Za-z_]\w*)", text):
        assert hasattr(prong, name) or name == "aio", name
    for name in re.findall(r"`self\.([a-z_]+)", text):
        assert name in ("logger", "backend") or hasattr(prong.Worker, name), name
    for file in re.findall(r"`(examples/\S+?\.py)`", text):
        assert (HERE.parents[3] / file).is_file(), file
