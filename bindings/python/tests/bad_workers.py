"""Workers that do what one does not expect of them."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import threading
from typing import Any, Iterator, List

import numpy as np

import prong

class Silent(Exception):
    pass


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Holding(Exception):
    """Cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Rude(BaseException):
    pass


def deep(n: int) -> int:
    return deep(n + 1) + 1


def raise_in_chain() -> None:
    try:
        raise KeyError("first")
    except KeyError as first:
        raise ValueError("second") from first


class Bad(prong.Worker):
    def setup(self) -> None:
        self.count = 0

    @prong.idempotent
    def echo(self, x: Any = None) -> Any:
        return x

    def pid(self) -> int:
        return os.getpid()

    def calls(self) -> int:
        self.count += 1
        return self.count

    def fail(self, how: str) -> Any:
        if how == "deep":
            return deep(0)
        if how == "memory":
            return bytearray(2**62)
        if how == "chain":
            raise_in_chain()
        raise {
            "text": ValueError("text"),
            "silent": Silent(),
            "mute": Mute(),
            "holding": Holding("held"),
            "surrogate": ValueError("a\ud800b"),
            "long": ValueError("x" * 100_000),
            "rude": Rude("rude"),
            "exit": SystemExit(3),
            "interrupt": KeyboardInterrupt(),
            "generator": GeneratorExit("g"),
            "stop": StopIteration(5),
            "cancelled": prong.CancelledError("mine"),
            "own": prong.AlreadyExistsError("own", {"k": [1]}),
            "numbers": KeyError(1),
            "bytes": OSError(2, "No such", b"\xff"),
            "invalid": prong.InvalidArgumentError("not this", began="no"),
        }[how]

    def fail_later(self, how: str, n: int = 3) -> Iterator[int]:
        yield from range(n)
        self.fail(how)

    def give(self, what: str, size: int = 0) -> Any:
        if what == "bytes":
            return bytes(size)
        if what == "array":
            return np.zeros(size, "u1")
        if what == "self":
            around: List[Any] = []
            around.append(around)
            return around
        return {
            "object": {"a": [1, object()]},
            "set": {1},
            "surrogate": "\ud800",
            "deep": self.nest(400),
            "worker": self,
            "type": int,
        }[what]

    def yields(self, what: str, size: int = 0) -> Iterator[Any]:
        yield 1
        yield self.give(what, size)
        yield 3

    @staticmethod
    def nest(depth: int) -> Any:
        value: Any = 0
        for _ in range(depth):
            value = [value]
        return value

    def junk(self, stream: str, size: int) -> int:
        """Bytes of every kind, without lines or with, on a descriptor of the process."""
        fd = {"stdout": 1, "stderr": 2}[stream]
        data = bytes(range(256)) * (size // 256)
        while data:
            data = data[os.write(fd, data) :]
        sys.stdout.write("and text without an end")
        sys.stdout.flush()
        return size

    def block(self) -> None:
        """In C, with the lock of the interpreter held."""
        while True:
            ctypes.PyDLL(None).pause()

    def count_and_die(self, n: int, number: int) -> Iterator[int]:
        yield from range(n)
        self.pause(0.1)
        os.kill(os.getpid(), number)
        yield n

    def crash(self) -> None:
        ctypes.string_at(0)

    def fork(self, how: str) -> Any:
        if how == "subprocess":
            return subprocess.check_output([sys.executable, "-c", "print('child')"], text=True)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(write, b"child")
            os.close(write)
            if how == "exit":
                os._exit(0)
            if how == "raise":
                raise ValueError("of the child")
            return "the child comes back, too"
        os.close(write)
        found = os.read(read, 100).decode()
        while os.read(read, 1):
            pass
        os.close(read)
        os.waitpid(pid, 0)
        return found

    def fork_and_call(self) -> Any:
        """The child uses the connection of its parent, which it may not."""
        self.hub.emit("some.event")
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                self.hub.emit("some.event")
                os.write(write, b"it went through")
            except prong.ProngError as error:
                os.write(write, f"{error.name}: {error}".encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            found = pipe.read()
        os.waitpid(pid, 0)
        self.hub.emit("some.event")
        return found

    def fork_and_end(self) -> int:
        """The signal of which the child dies that is told to end, at once."""
        pid = os.fork()
        if pid == 0:
            threading.Event().wait(20)
            os._exit(0)
        os.kill(pid, signal.SIGTERM)
        return os.waitpid(pid, 0)[1]

    def fork_while_blocked(self) -> bool:
        """Whether SIGTERM, which the method holds back, still is so after a fork."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return signal.SIGTERM in signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def threads(self, n: int) -> List[int]:
        """Each of them calls through self.hub."""
        self.emit("begun")
        found: List[int] = []

        def body(i: int) -> None:
            found.append(self.hub.call("helper", "echo", [i]))

        threads = [threading.Thread(target=body, args=(i,)) for i in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(found)


class ToldAgain(prong.Worker):
    """Told to end once more on every stretch of its end."""

    def setup(self) -> None:
        atexit.register(os.kill, os.getpid(), signal.SIGTERM)

    def teardown(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def pid(self) -> int:
        return os.getpid()


class ToldAgainAsync(ToldAgain):
    async def echo(self, x: Any = None) -> Any:
        return x


class Helper(prong.Worker):
    @prong.idempotent
    def echo(self, x: Any) -> Any:
        return x


class ExitsInSetup(prong.Worker):
    def setup(self) -> None:
        print("about to leave", file=sys.stderr)
        sys.exit(3)

    def echo(self) -> None:
        pass


class RaisesInSetup(prong.Worker):
    def setup(self) -> None:
        raise OSError("there is no camera")

    def echo(self) -> None:
        pass


class RaisesInTeardown(prong.Worker):
    def echo(self) -> int:
        return 1

    def teardown(self) -> None:
        raise OSError("it does not let go")


class BadAsync(prong.Worker):
    concurrency = 4

    @prong.idempotent
    async def echo(self, x: Any = None) -> Any:
        return x

    async def fail(self, how: str) -> Any:
        raise {"text": ValueError("text"), "mute": Mute(), "rude": Rude("rude"), "generator": GeneratorExit("g")}[how]

    async def exit(self) -> None:
        sys.exit(3)
