"""A hub that a program has for itself."""
from __future__ import annotations

import atexit
import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from typing import Any, Mapping, Optional, Sequence, Union

from . import _errors
from ._client import Client, Proxy, Subscription, name_of, open_link
from ._link import is_held

Path = Union[str, "os.PathLike[str]", None]

def program(name: str) -> str:
    """The path of prongd or prong: in $PRONG_BIN_DIR, where this package installed it, or in PATH."""
    given, own = os.environ.get("PRONG_BIN_DIR", ""), sysconfig.get_path("scripts")
    found = shutil.which(name, path=os.pathsep.join(filter(None, (given, own, os.environ.get("PATH", "")))))
    if found is None:
        raise _errors.NotFoundError(
            f"there is no {name}: not in $PRONG_BIN_DIR ({given or 'not set'}), not in {own} (the package is the client "
            "alone when there is no C compiler, cmake or library; pip install -v says why), not in PATH", began="no")
    return found

def _new_folder() -> str:
    """For a hub, short enough for a socket. Those that killed programs left a minute ago are taken away."""
    bases = filter(None, (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()))
    base = next((b for b in bases if len(b) <= 70 and os.access(b, os.W_OK)), "/tmp")
    for old in glob.glob(f"{base}/prong-hub-*"):
        with contextlib.suppress(OSError):
            if time.time() - os.stat(old).st_mtime > 60 and not is_held(f"ipc://{old}/hub.sock"):
                shutil.rmtree(old, ignore_errors=True)
    return tempfile.mkdtemp(prefix="prong-hub-", dir=base)

def place(cls: Any) -> str:
    """Where another process finds a class or function: FILE.py:Name or package.module:Name."""
    module = sys.modules.get(cls.__module__)
    spec, file, place = getattr(module, "__spec__", None), getattr(module, "__file__", None), cls.__module__
    if place == "__main__":
        place = spec.name if spec else os.path.abspath(file) if file and os.path.isfile(file) else ""
    if not place or "<locals>" in cls.__qualname__:
        where = "a function" if place else "a notebook or at a prompt"
        raise TypeError(f"no other process finds {cls.__qualname__}, defined in {where}: put it at the top of a module")
    return f"{place}:{cls.__qualname__}"

class Hub(Client):
    """A private hub, which ends with this program whatever ends that, and a client of it.

    config       a file of workers, as for prongd; None: none, see spawn()
    runtime_dir  its folder, which stays; None: a new one, which goes with the hub
    log          a file for its log and the lines of its workers; None: these lines, warnings and errors go to stderr

    Raises NotFoundError without the program prongd, UnavailableError when it does not start."""

    def __init__(self, config: Path = None, *, runtime_dir: Path = None, log: Path = None) -> None:
        prongd, self._pid, self._own = program("prongd"), os.getpid(), "" if runtime_dir else _new_folder()
        folder, end = os.path.abspath(runtime_dir or self._own), time.monotonic() + 20
        with open(log or os.devnull, "ab") as out:       # a session of its own: ctrl-c is for this program
            self._process = subprocess.Popen(
                [prongd, "--with-parent", str(self._pid), "--runtime-dir", folder, *([] if log else ["--quiet"]),
                 *(["--config", os.fspath(config)] if config else ["--no-config"])], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=out if log else None, start_new_session=True)
        atexit.register(self.close)
        try:
            while not os.path.exists(f"{folder}/hub.sock") and time.monotonic() < end:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.002)
                    raise self._ended()
            super().__init__(open_link(f"ipc://{folder}/hub.sock", None, None, 5.0, None, None, None))
        except BaseException:
            self.close()
            raise

    def _ended(self) -> _errors.UnavailableError:
        return _errors.UnavailableError(f"prongd ended with {self._process.returncode}, and its log says why", began="no")

    def spawn(self, target: Union[type, str, Sequence[str]], *, name: Optional[str] = None, replicas: int = 1,
              arguments: Optional[Mapping[str, Any]] = None, environment: Optional[Mapping[str, str]] = None,
              preload: Sequence[str] = (), wait: bool = True, **keys: Any) -> Proxy:
        """Run a worker in new processes: its Proxy. A class of the program's own file is read from there once more,
        and what stands below `if __name__ == "__main__":` does not run there.

        target       a class of prong.Worker; "package.module:Class" or "FILE.py:Class"; or a command, with a `name`
        arguments    that the class is made with in each process, as JSON can tell them
        environment  what differs from this program's;  preload: modules that its processes share
        wait         until every replica is ready;  keys: working_dir, restart, ready, output, log, stdin of a configuration

        Raises UnavailableError with the reason and the last lines of a replica that does not get ready (the worker is
        taken out again), AlreadyExistsError, and TypeError for a class that no other process can find."""
        cls = target if isinstance(target, type) else None
        where = place(target) if isinstance(target, type) else target
        if isinstance(where, str):
            name = name or name_of(cls or type(where.rpartition(":")[2], (), {}))[0]
            where = [sys.executable, "-m", "prong.serve", where, *([json.dumps(arguments)] if arguments else [])]
            environment = {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), **(environment or {})}
        if name is None:
            raise TypeError("a command needs the name of its worker")
        command = [shutil.which(where[0]) or where[0], *where[1:]]
        with self.subscribe("hub.worker.*") as events:
            self.call("hub", "run", {
                "working_dir": os.getcwd(), "log": "inherit", **({"preload": list(preload)} if preload else {}), **keys,
                "name": name, "command": command, "replicas": replicas, "environment": dict(environment or {})})
            if wait:
                self._wait_ready(events, name, replicas)
        return Proxy(self, name, cls)

    def _wait_ready(self, events: Subscription, name: str, replicas: int) -> None:
        ready: set[str] = set()
        failed: Optional[dict[str, Any]] = None
        while len(ready) < replicas:
            event = events.next(1.0)
            if self._process.poll() is not None:
                raise self._ended()
            if event is not None and event.payload["worker"] == name and event.topic.endswith((".exited", ".failed")):
                if failed is None:
                    failed = event.payload
                    self.call("hub", "stop", {"worker": name})
            elif event is not None and event.payload["worker"] == name and event.topic.endswith(".ready"):
                ready.add(event.payload["replica"])
            if failed is not None:
                with contextlib.suppress(_errors.FailedPreconditionError):       # until its last process has ended
                    self.call("hub", "remove", {"worker": name})
                    raise _errors.UnavailableError(f"{failed['replica']} did not get ready: {failed.get('reason')}",
                                                   {"replica": failed["replica"], "log": failed.get("log")}, began="no")

    def close(self) -> None:
        """End it and all that runs in it, and wait for that. In a forked child nothing happens: it is its parent's."""
        if os.getpid() != self._pid:
            return
        atexit.unregister(self.close)
        if hasattr(self, "_link"):
            super().close()
        try:
            self._process.terminate()
            self._process.wait()
        except BaseException:            # ctrl-c: in a hurry
            self._process.terminate()
            self._process.wait()
            raise
        finally:
            if self._own:
                shutil.rmtree(self._own, ignore_errors=True)
