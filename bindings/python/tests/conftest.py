"""What the tests share: hubs of their own in folders of their own, and a look at what is left afterwards.

A test that needs a hub takes `hub` (no workers) or `start_hub` (a configuration). Every process that a test
starts inherits PRONG_TEST_TAG; one that lives on after its test is a failure of that test.
"""
from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 30.0                       # for whatever has to happen soon; never what a test asserts
T = TypeVar("T")


def until(condition: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """The first true value of condition(), looked at every 5 ms."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited for in vain: {what}")
        select.select([], [], [], 0.005)


def serve(target: str, *arguments: str) -> str:
    """The command of a worker class (FILE.py:Class or package.module:Class), for a configuration."""
    return json.dumps([sys.executable, "-m", "prong.serve", target, *arguments])


def tagged(tag: str) -> Dict[int, str]:
    """Living processes whose environment holds the tag: {pid: command line}."""
    found = {}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            if tag.encode() not in Path(f"/proc/{int(name)}/environ").read_bytes().split(b"\0"):
                continue
            if Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX":
                continue
            found[int(name)] = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def children(pid: int) -> List[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


class HubProcess:
    """prongd in a folder of its own, with this configuration (YAML); ready when the constructor returns."""

    def __init__(self, folder: str, config: str, ready: bool = True) -> None:
        self.folder = Path(folder)
        self.run_dir = self.folder / "run"
        self.url = f"ipc://{self.run_dir}/hub.sock"
        self.config = self.folder / "prong.yaml"
        self.config.write_text(config, encoding="utf-8")
        self.log_path = self.folder / "hub.log"
        bin_dir = os.environ["PRONG_BIN_DIR"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(self.log_path, "wb") as log:
            notify.bind(str(self.folder / "notify"))
            self.process = subprocess.Popen(
                [f"{bin_dir}/prongd", "--config", str(self.config), "--runtime-dir", str(self.run_dir)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, cwd=folder,
                env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify"), "PRONG_URL": self.url,
                     "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}"})
            if ready:
                until(lambda: self._is_ready(notify), f"the hub gets ready\n{self.log}")

    def _is_ready(self, notify: socket.socket) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"prongd ended with {self.process.returncode}\n{self.log}")
        return bool(select.select([notify], [], [], 0.1)[0]) and b"READY=1" in notify.recv(4096)

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_log(self, pattern: str) -> re.Match[str]:
        """The first match in what the hub has written."""
        return until(lambda: re.search(pattern, self.log, re.M), f"a line with {pattern}")

    def prong(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The command line program, for this hub."""
        return subprocess.run([os.environ["PRONG_BIN_DIR"] + "/prong", *arguments], check=check, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS,
                              env={**os.environ, "PRONG_URL": self.url})

    def status(self) -> Dict[str, object]:
        found: Dict[str, object] = json.loads(self.prong("status", "-o", "json").stdout)
        return found

    def broker(self) -> int:
        """The pid of the broker that is now."""
        def find() -> Optional[int]:
            with contextlib.suppress(OSError):
                for spawner in children(self.process.pid):
                    for pid in children(spawner):
                        if comm(pid) == "prong-broker":
                            return pid
            return None
        return until(find, "a broker") or 0

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(SECONDS)


@pytest.fixture(autouse=True)
def own_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Nothing of the caller's hub is to be seen, and no process is left. The value is the tag."""
    for name in ("URL", "TOKEN", "WORKER", "REPLICA", "INCARNATION"):
        monkeypatch.delenv(f"PRONG_{name}", raising=False)
    if "PRONG_BIN_DIR" not in os.environ:
        monkeypatch.setenv("PRONG_BIN_DIR", str(ROOT / "build" / "dev" / "bin"))
    package = str(ROOT / "bindings" / "python")
    if package not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        monkeypatch.setenv("PYTHONPATH", package, prepend=os.pathsep)
    tag = os.urandom(8).hex()
    monkeypatch.setenv("PRONG_TEST_TAG", tag)
    yield tag
    gc.collect()                 # a socket that nobody closed is told by the test that left it
    # Helpers of multiprocessing and loky stay for the next test of this process, and end with it.
    helpers = re.compile(r"resource_tracker|forkserver|loky")

    def left() -> Dict[int, str]:
        return {p: c for p, c in tagged("PRONG_TEST_TAG=" + tag).items() if not helpers.search(c)}
    try:
        until(lambda: not left(), "the end of all that was started", 10)
    except AssertionError:
        found = left()
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        pytest.fail(f"left running: {found}")


@pytest.fixture
def folder() -> Iterator[str]:
    """A new folder with a path that is short enough for a socket in it."""
    path = tempfile.mkdtemp(prefix="prp")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start_hub(own_processes: str, folder: str) -> Iterator[Callable[..., HubProcess]]:
    """start_hub(config="", ready=True): a HubProcess, which has to end with 0 and leave no socket."""
    started: List[HubProcess] = []

    def start(config: str = "", ready: bool = True) -> HubProcess:
        started.append(HubProcess(tempfile.mkdtemp(dir=folder), config, ready))
        return started[-1]
    yield start
    codes = [hub.stop() for hub in started]
    assert codes == [0] * len(started), "\n".join(hub.log for hub in started)
    assert not [hub.url for hub in started if (hub.run_dir / "hub.sock").exists()]


@pytest.fixture
def hub(start_hub: Callable[..., HubProcess]) -> HubProcess:
    """A hub without workers."""
    return start_hub()
