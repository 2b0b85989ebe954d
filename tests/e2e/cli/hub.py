"""What the tests of the command line share: a hub in a folder of its own, `prong` run to its end, and a
look at what is left afterwards. Python 3 standard library only."""
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BIN = os.environ.get("PRONG_BIN_DIR", "")
HERE = os.path.dirname(os.path.abspath(__file__))
WORKER = os.path.join(HERE, "worker.py")
SLOW = int(os.environ.get("PRONG_TEST_SLOW", "1"))
DEADLINE = 60 * SLOW

# A program that says 30 lines and ends, as words of a command, and what is to be shown of them.
TALKER = ["sh", "-c", "seq 1001 1030; exit 3"]
TALKER_SHOWN = [f"  | {n}" for n in range(1011, 1031)]

CONFIG = f"""
workers:
  alpha: {{command: [{sys.executable}, {WORKER}]}}
"""


def tagged(tag):
    """Processes whose environment holds the tag, dead ones left out."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if tag.encode() not in file.read():
                    continue
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if not is_alive(name):
                    continue
                found[int(name)] = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found


def is_alive(pid):
    """Whether it runs: one that is dead and that nobody has waited for yet does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parent(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def remaining(tag):
    """The tagged processes that do not end by themselves within a moment. `prong down` returns when the
    hub's lock is free, and whoever gave it up is then about to exit."""
    for pid in tagged(tag):
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            continue
        select.select([fd], [], [], 2 * SLOW)
        os.close(fd)
    return tagged(tag)


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Case(unittest.TestCase):
    """A test in a new folder; `self.dir`/run is the runtime directory. `config` starts a hub."""
    config = None
    maxDiff = None

    def setUp(self):
        # Short: the path of a socket has 107 bytes.
        self.dir = tempfile.mkdtemp(prefix="prg")
        self.tag = "PRONG_TEST_TAG=" + self.dir
        self.env = {"PATH": os.environ["PATH"], "HOME": self.dir, "PRONG_TEST_TAG": self.dir,
                    "TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.run_dir = os.path.join(self.dir, "run")
        self.children = []
        self.addCleanup(self.clean)
        # Whatever hangs is cut off before ctest would do it, which cannot clean up.
        signal.signal(signal.SIGALRM, self.late)
        signal.alarm(2 * DEADLINE)
        if self.config is not None:
            self.up(self.config)

    def late(self, _number, _frame):
        self.fail("the test took too long")

    def clean(self):
        signal.alarm(2 * DEADLINE)
        if os.path.exists(os.path.join(self.run_dir, "lock")):
            self.prong("down", "-q")
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.communicate()
        faults = self.faults()
        left = remaining(self.tag)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)
        self.assertEqual(left, {}, "these were left running")
        self.assertEqual(faults, [], "in hub.log")

    def faults(self):
        """What a hub logged that no hub may log: one that crashes is started anew, and hides it."""
        found = []
        for folder, _, names in os.walk(self.dir):
            if "hub.log" in names:
                with open(os.path.join(folder, "hub.log"), encoding="utf-8", errors="replace") as file:
                    found += [x for x in file if re.search(r"Sanitizer|runtime error:|Assertion|panic", x)]
        return found

    # ---- running prong ----------------------------------------------------------------------------

    def command(self, *words, where=True):
        """The words of a command; where: with the test's runtime directory."""
        return [os.path.join(BIN, "prong"), *(["--runtime-dir", self.run_dir] if where else []), *words]

    def start(self, *words, stdin=subprocess.DEVNULL, env_more=None, **more):
        child = subprocess.Popen(self.command(*words), stdin=stdin, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, cwd=self.dir, env={**self.env, **(env_more or {})},
                                 text=True, **more)
        self.children.append(child)
        return child

    def end(self, child):
        out, err = child.communicate(timeout=DEADLINE)
        return Result(child.returncode, out, err)

    def prong(self, *words, stdin=None, where=True, env=None, cwd=None, text=True):
        done = subprocess.run(self.command(*words, where=where), input=stdin, cwd=cwd or self.dir,
                              stdin=subprocess.DEVNULL if stdin is None else None,
                              env={**self.env, **(env or {})}, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=text, timeout=DEADLINE, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *words, **more):
        result = self.prong(*words, **more)
        self.assertEqual(result.code, 0, result)
        return result

    def fails(self, code, *words, **more):
        result = self.prong(*words, **more)
        self.assertEqual(result.code, code, result)
        return result

    def up(self, config, *more):
        path = os.path.join(self.dir, "prong.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        return self.ok("up", "--config", path, *more)

    def on_terminal(self, *words, env=None, until=None, then=None):
        """(exit code, all that a terminal would get of stdout and stderr); when `until` was shown `then` is done."""
        master, slave = pty.openpty()
        child = subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                                 cwd=self.dir, env={**self.env, "TERM": "xterm", **(env or {})})
        self.children.append(child)
        os.close(slave)
        text = b""
        while select.select([master], [], [], DEADLINE)[0]:
            try:
                part = os.read(master, 65536)
            except OSError:                          # EIO: nobody has the other end any longer
                break
            if not part:
                break
            text += part
            if until is not None and until.encode() in text:
                until = None
                then()
        os.close(master)
        return child.wait(DEADLINE), text.decode()

    def fifo(self):
        """(path, descriptor) of something that the method `block` waits for until a line is written."""
        path = os.path.join(self.dir, f"fifo{len(self.children)}")
        os.mkfifo(path)
        fd = os.open(path, os.O_RDWR)                # for reading too, so that nobody's open blocks
        self.addCleanup(os.close, fd)
        return path, fd

    def blocking(self, worker, *more):
        """A call of `block` that has begun, and the descriptor that ends it."""
        path, fd = self.fifo()
        before = self.ok("emit", "test.before", "-j").json()["number"]
        child = self.start("call", worker + ".block", "fifo=" + path, *more)
        self.ok("wait", "--event", "test.blocking", "--from", str(before), "-q")
        return child, fd

    def logged(self, worker, line):
        """Look at a worker's output again and again until it has this line."""
        end = time.monotonic() + DEADLINE
        while line not in self.ok("logs", "-o", "raw", worker).out.splitlines():
            self.assertLess(time.monotonic(), end, f"{worker} did not say '{line}'")
            select.select([], [], [], 0.01)

    def until_settled(self, child):
        """Until it only waits: it sleeps and has not woken up for a while. A guess that makes it likely
        that what follows is seen as news; a test may not fail when it is wrong."""
        end, before, since = time.monotonic() + DEADLINE, None, 0
        while time.monotonic() < end and child.poll() is None:
            with open(f"/proc/{child.pid}/status", encoding="utf-8") as file:
                text = file.read()
            if "\nState:\tS" not in text or text != before:
                before, since = text, time.monotonic()
            elif time.monotonic() - since > 0.1 * SLOW:
                return
            select.select([], [], [], 0.01)

    def first_line(self, *children):
        """The one that says something on stderr, or ends, first."""
        fds = {child.stderr.fileno(): child for child in children}
        ready = select.select(list(fds), [], [], DEADLINE)[0]
        self.assertTrue(ready, "none of them ended")
        return fds[ready[0]]

    @staticmethod
    def quoted(result):
        """The lines of a worker that were shown on stderr."""
        return [line for line in result.err.splitlines() if line.startswith("  | ")]

    def first(self, *children):
        """The one that ends first; its stdout and stderr must fit into pipes."""
        child = self.first_line(*children)
        child.wait(DEADLINE)
        return child

    def replicas(self, worker):
        return self.ok("status", "-j").json()["workers"][worker]["replicas"]


def main():
    if not os.access(os.path.join(BIN, "prong-broker"), os.X_OK):
        print("SKIP: PRONG_BIN_DIR has no prong-broker")
        sys.exit(77)
    unittest.main()
