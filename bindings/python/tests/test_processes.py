"""Forks, processes of multiprocessing, threads, event loops and KeyboardInterrupt in programs that use a hub."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import SECONDS, HubProcess, serve

HERE = Path(__file__).resolve().parent


@pytest.fixture
def tasks(start_hub: Callable[..., HubProcess]) -> HubProcess:
    """A hub with the workers `tasks`, `leased` and `many`."""
    return start_hub(f"""
workers:
  tasks: {{command: {serve(f"{HERE}/tasks.py:Tasks")}, replicas: 2}}
  leased: {{command: {serve(f"{HERE}/tasks.py:Tasks")}}}
  many: {{command: {serve(f"{HERE}/tasks.py:Many")}}}
""")


def run(*command: str, **more: Any) -> str:
    """What a program of Python prints; it ends by itself, with 0."""
    done = subprocess.run(
        [sys.executable, *command],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=3 * SECONDS,
        check=False,
        **more,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "kind, rounds",
    [
        ("one_call", 250),
        ("future", 250),
        ("results", 150),
        ("mapped", 120),
        ("emit", 200),
        ("post", 150),
        ("subscribe", 200),
        ("lease", 40),
        ("background", 150),
        ("connect", 150),
        ("frames", 300),
        ("endless", 400),
    ],
)
def test_an_interrupt_leaves_the_connection_usable(tasks: HubProcess, kind: str, rounds: int) -> None:
    """At random moments, many times: no reply goes to another call, nothing is lost, nothing hangs."""
    assert int(run(f"{HERE}/interrupted.py", tasks.url, kind, str(rounds), "1")) > rounds / 20


@pytest.mark.parametrize("kind", ["one_call", "mapped", "endless"])
def test_an_interrupt_does_no_harm_to_other_threads(tasks: HubProcess, kind: str) -> None:
    assert int(run(f"{HERE}/interrupted.py", tasks.url, kind, "150", "2", "3")) > 7


@pytest.mark.parametrize("kind", ["handles", "at_exit", "forks_and_threads", "processes", "all_of_them", "loop_in_a_child"])
def test_processes_threads_and_loops_together(tasks: HubProcess, kind: str) -> None:
    """No hang, no lost reply, and a clear error where something may not be used: see the functions in together.py."""
    assert run(f"{HERE}/together.py", tasks.url, kind) == ""
