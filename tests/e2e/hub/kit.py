"""What the end-to-end tests of the hub share: a hub in a folder of its own, a peer of plain sockets, a look
at what is left afterwards. Nothing sleeps: descriptors, pidfds and lines of the log are waited for, and
what cannot be waited for is looked at again and again until a deadline (`until`)."""
import contextlib
import fcntl
import functools
import itertools
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import msgpack

BIN = os.environ.get("PRONG_BIN_DIR", "")
TEST_BIN = os.environ.get("PRONG_TEST_BIN_DIR", "")
SOURCE = os.environ.get("PRONG_SOURCE_DIR", "")
HERE = os.path.dirname(os.path.abspath(__file__))
SLOW = int(os.environ.get("PRONG_TEST_SLOW", "1"))         # 4 with a sanitizer
SECONDS = 15 * SLOW                                        # for whatever has to happen soon
THIRTY = [sys.executable, os.path.join(HERE, "thirty.py")]

with open(os.path.join(SOURCE, "proto", "constants.json"), encoding="utf-8") as _file:
    CONSTANTS = json.load(_file)
OP = {o["name"]: o["number"] for o in CONSTANTS["ops"]}
ERR = {e["name"]: e["number"] for e in CONSTANTS["errors"]}
ERR_NAME = {e["number"]: e["name"] for e in CONSTANTS["errors"]}
LIMIT = {limit["name"]: limit["value"] for limit in CONSTANTS["limits"]}
NO, MAYBE, YES = 0, 1, 2
GREETING = b"\0SP\0\0\x30\0\0"
HUB_GREETING = b"\0SP\0\0\x31\0\0"


def worker_command(*words):
    """worker.py, as a list for the configuration."""
    return json.dumps([sys.executable, os.path.join(HERE, "worker.py"), *words])


def until(condition, what, seconds=None):
    """The first true value of condition(), looked at every 5 ms."""
    end = time.monotonic() + (SECONDS if seconds is None else seconds)
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited for in vain: {what}")
        select.select([], [], [], 0.005)


# ---- processes ----------------------------------------------------------------------------------------------


def tagged(tag):
    """Living processes whose environment holds the tag, us left out: {pid: command line}."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if tag.encode() not in file.read().split(b"\0"):
                        continue
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    if file.read().rpartition(")")[2].split()[0] in "ZX":
                        continue
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    found[int(name)] = file.read().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
    return found


def wait_gone(pids, seconds, pidfds=None):
    """Those of the pids that still live after so many seconds. `pidfds`: opened before, not closed here."""
    end, left, own = time.monotonic() + seconds, {}, pidfds is None
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            left[pid] = os.pidfd_open(pid) if own else pidfds[pid]
    gone = []
    for pid, fd in left.items():
        if select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
            gone.append(pid)
    if own:
        for fd in left.values():
            os.close(fd)
    return set(left) - set(gone)


def fds(pid):
    """What the descriptors of a process are, sorted; without the numbers, which may change."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}").split(":[")[0])
    return sorted(found)


def peak_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(word) for word in file.read().split()]


def comm(pid):
    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read().strip()


# ---- a peer of plain sockets --------------------------------------------------------------------------------


class Closed(Exception):
    """The hub closed the connection."""


class Peer:
    """One connection that speaks SP REQ; `greet` False leaves even that to the caller."""

    def __init__(self, url, greet=True, context=None, seconds=None):
        self.seconds = SECONDS if seconds is None else seconds
        scheme, rest = url.split("://", 1)
        self.framed = b"\1" if scheme == "ipc" else b""
        self.socket = self.connect_local(rest) if scheme == "ipc" else self.connect_network(rest, context)
        self.ids = itertools.count(0x80000001)
        self.greeted = False
        if greet:
            try:
                self.write(GREETING)
            except Closed:
                self.close()
                raise

    def connect_local(self, path):
        """Not with settimeout: then a full backlog would be an error instead of being waited for."""
        s = socket.socket(socket.AF_UNIX)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(self.seconds), 0))
        try:
            s.connect(path)
        except OSError:
            s.close()
            raise
        s.settimeout(self.seconds)
        return s

    def connect_network(self, address, context):
        host, port = address.rsplit(":", 1)
        s = socket.create_connection((host.strip("[]"), int(port)), self.seconds)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s if context is None else context.wrap_socket(s, server_hostname=host.strip("[]"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def write(self, data):
        """All of it, or Closed."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as error:
            raise Closed from error

    def read(self, count):
        data = bytearray()
        while len(data) < count:
            try:
                part = self.socket.recv(min(count - len(data), 1 << 20))
            except (ConnectionResetError, ssl.SSLError) as error:
                raise Closed from error
            if not part:
                raise Closed
            data += part
        return bytes(data)

    def frame(self, body, request):
        return self.framed + struct.pack(">QI", 4 + len(body), request) + body

    def send_body(self, body, request=None):
        request = next(self.ids) if request is None else request
        self.write(self.frame(body, request))
        return request

    def send(self, *records, request=None):
        return self.send_body(b"".join(map(msgpack.packb, records)), request)

    def receive_bytes(self):
        """(request, body) of the next answer."""
        if not self.greeted:
            greeting = self.read(8)
            if greeting != HUB_GREETING:
                raise AssertionError(f"the hub greets with {greeting.hex()}")
            self.greeted = True
        head = self.read(len(self.framed) + 8)
        if head[:-8] != self.framed:
            raise AssertionError(f"framing {head.hex()}")
        body = self.read(int.from_bytes(head[-8:], "big"))
        return int.from_bytes(body[:4], "big"), body[4:]

    def receive(self):
        """(request, records) of the next answer."""
        request, body = self.receive_bytes()
        answer = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
        answer.feed(body)
        return request, list(answer)

    def ask(self, *records):
        """The records of the answer."""
        request = self.send(*records)
        answered, replies = self.receive()
        if answered != request:
            raise AssertionError(f"answer to {answered:#x}, asked was {request:#x}: {replies}")
        return replies

    def ping(self):
        token = os.urandom(4)
        if self.ask([OP["PING"], token]) != [[OP["PONG"], token]]:
            raise AssertionError("no PONG")

    def is_silent(self):
        """Nothing more comes: what was asked has had one answer. The PONG overtakes nothing."""
        self.ping()
        return not select.select([self.socket], [], [], 0)[0]

    def is_closed(self):
        """Read on to the end."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True


class Failure(Exception):
    """An ERROR as the outcome of a call."""

    def __init__(self, record):
        super().__init__(f"{ERR_NAME.get(record[2])} began {record[3]}: {record[4]} {record[5]}")
        self.seq, self.code, self.began, self.message, self.details = record[1:6]


class Client(Peer):
    """A Peer with a client id, which may go on with that of another one."""

    def __init__(self, url, like=None, hello=None, **more):
        super().__init__(url, **more)
        self.id = os.urandom(16) if like is None else like.id
        self.seq = 0 if like is None else like.seq
        if hello is not None:
            reply = self.ask([OP["HELLO"], {"proto": 1, "role": "client", "token": hello}])[0]
            if reply[0] != OP["WELCOME"]:
                raise Failure(reply)

    def record(self, worker, method, args=(), ttl_ms=0, seq=None, ack=0, options=None):
        if seq is None:
            self.seq += 1
            seq = self.seq
        return [OP["CALL"], self.id, seq, ack, worker, method, ttl_ms, options,
                args if isinstance(args, dict) else list(args)]

    def begin(self, worker, method, args=(), **more):
        """Send a CALL and leave the outcome to `end`; its seq."""
        record = self.record(worker, method, args, **more)
        self.send(record)
        return record[2]

    def end(self, seq):
        """The value, or Failure. Asks again as long as the hub says that the call goes on."""
        while True:
            _, replies = self.receive()
            if len(replies) != 1 or replies[0][1] != seq:
                raise AssertionError(f"answer {replies} to call {seq}")
            reply = replies[0]
            if reply[0] == OP["RESULT"]:
                return reply[2]
            if reply[0] == OP["ERROR"]:
                raise Failure(reply)
            self.send([OP["WAIT"], self.id, seq, 0])

    def call(self, worker, method, /, *args, ttl_ms=0, **named):
        """Call and acknowledge all that came before."""
        seq = self.begin(worker, method, named or args, ttl_ms=ttl_ms, ack=self.seq)
        return self.end(seq)

    def admin(self, method, /, **named):
        return self.call("hub", method, **named)


class Steady(threading.Thread):
    """A client that calls all the time. What it saw is told at the end: nothing may have failed, unless
    `again`: then it connects anew when it lost the hub, counts the failures, and goes on."""

    def __init__(self, hub, worker="echo", again=False, url=None):
        super().__init__(daemon=True)
        self.hub, self.worker, self.again = hub, worker, again
        self.url = url or hub.url
        self.count, self.lost, self.failures, self.error, self.slowest = 0, 0, [], None, 0.0
        self.stopping = threading.Event()
        self.client = Client(self.url)
        self.start()

    def run(self):
        n = 0
        while not self.stopping.is_set():
            n += 1
            began = time.monotonic()
            try:
                if self.client.call(self.worker, "echo", n=n) != {"n": n}:
                    raise AssertionError(f"call {n} got another's value")
                self.count += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
            except Failure as failure:
                self.failures.append(failure)
            except (Closed, OSError, AssertionError) as error:
                if not self.again or isinstance(error, AssertionError):
                    self.error = error
                    return
                self.lost += 1
                self.client.close()
                if not self.reconnect():
                    return
        self.client.close()

    def reconnect(self):
        """With the same client id, as soon as there is somebody."""
        while not self.stopping.is_set():
            try:
                self.client = Client(self.url, like=self.client)
                return True
            except (Closed, OSError):  # nobody there, or a broker that died while it was greeted
                select.select([], [], [], 0.005)
        return False

    def more(self, calls=20, seconds=None):
        """So many calls more have come back by now."""
        want = self.count + calls
        until(lambda: self.count >= want or self.error, f"{calls} calls of another client", seconds)

    def finish(self, case):
        self.stopping.set()
        self.join(SECONDS)
        case.assertFalse(self.is_alive(), "a client hangs")
        case.assertIsNone(self.error, repr(self.error))
        if not self.again:
            case.assertEqual(self.failures, [])
        return self.count


class Meet:
    """Where workers wait for the test: each comes with [what, pid]."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.open = []

    def next(self, what=None, seconds=None):
        self.listener.settimeout(SECONDS if seconds is None else seconds)
        s, _ = self.listener.accept()
        s.settimeout(SECONDS)
        self.open.append(s)
        who = msgpack.unpackb(s.recv(4096))
        if what is not None and who[0] != what:
            raise AssertionError(f"{who} came, {what} was waited for")
        return Met(s, who[1])

    def is_empty(self):
        return not select.select([self.listener], [], [], 0)[0]

    def close(self):
        for s in [self.listener, *self.open]:
            s.close()


class Met:
    def __init__(self, s, pid):
        self.socket, self.pid = s, pid

    def go(self):
        self.socket.sendall(b"y")
        self.socket.close()

    def refuse(self):
        self.socket.close()


# ---- a hub --------------------------------------------------------------------------------------------------


class Hub:
    """prongd in `dir`/run with a configuration. Its stderr is read by a thread, line by line."""

    def __init__(self, case, config, run_dir=None, arguments=(), wrap=(), env=None, name="prong.yaml", **more):
        self.case, self.dir = case, case.dir
        self.run_dir = run_dir or os.path.join(case.dir, "run")
        self.url = f"ipc://{self.run_dir}/hub.sock"
        self.config = os.path.join(case.dir, name)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config)
        self.lines, self.news = [], threading.Condition()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify = os.path.join(case.dir, f"notify{len(case.hubs)}")
        self.notify.bind(notify)
        self.process = subprocess.Popen(
            [*wrap, os.path.join(BIN, "prongd"), "--config", self.config, "--runtime-dir", self.run_dir, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=case.dir,
            env={**case.env, "NOTIFY_SOCKET": notify, **(env or {})}, **more)
        # The hub does not wait for us: what has no room in the pipe is lost. A user has so much for 64 pipes.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.process.stderr, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.code = None
        case.hubs.append(self)

    def read(self):
        for line in self.process.stderr:
            with self.news:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.lines.append(None)
            self.news.notify_all()

    @property
    def log(self):
        with self.news:
            return "\n".join(line for line in self.lines if line is not None)

    def wait_log(self, pattern, start=0, seconds=None):
        """(match, number of the line behind it) of the first such line from `start` on."""
        end = time.monotonic() + (SECONDS if seconds is None else seconds)
        with self.news:
            while True:
                while start < len(self.lines):
                    line = self.lines[start]
                    start += 1
                    if line is None:
                        raise AssertionError(f"no line with {pattern} came before the end\n{self.log}")
                    found = re.search(pattern, line)
                    if found:
                        return found, start
                if not self.news.wait(max(0, end - time.monotonic())):
                    raise AssertionError(f"no line with {pattern}\n{self.log}")

    def wait_ready(self):
        """READY=1: it listens and every worker serves."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for fd in select.select([self.notify, self.process.stderr][:1], [], [], 0.1)[0]:
                if b"READY=1" in fd.recv(4096):
                    return self
            if self.process.poll() is not None:
                break
        raise AssertionError(f"the hub is not ready\n{self.log}")

    def wait_listening(self):
        self.wait_log(r"listening on ipc")
        return self

    def network_url(self, scheme="tcp"):
        return self.wait_log(rf"listening on ({re.escape(scheme)}://\S+)")[0][1]

    def token(self):
        with open(os.path.join(self.run_dir, "token"), "rb") as file:
            return file.read().strip()

    @property
    def keeper(self):
        return self.process.pid

    @property
    def spawner(self):
        return children(self.keeper)[0]

    @property
    def broker(self):
        def found():
            with contextlib.suppress(OSError, IndexError):
                for pid in children(self.spawner):
                    if comm(pid) == "prong-broker":
                        return pid
            return None
        return until(found, "a broker")

    def client(self, **more):
        client = Client(self.url, **more)
        self.case.addCleanup(client.close)
        return client

    def peer(self, **more):
        peer = Peer(self.url, **more)
        self.case.addCleanup(peer.close)
        return peer

    def status(self, client=None):
        if client is not None:
            return client.admin("status")
        with Client(self.url) as client:
            return client.admin("status")

    def replicas(self, worker):
        """As status tells them. A process may attach before the spawner has told its pid: not before that,
        because a 0 for os.kill would be ourselves."""
        def found():
            replicas = self.status()["workers"][worker]["replicas"]
            return all(r["pid"] > 0 for r in replicas if r["state"] in ("ready", "busy")) and replicas
        return until(found, f"the pids of {worker}")

    def wait_replica(self, worker, state="ready", number=0, other_than=None):
        """The replica in this state, and not the process `other_than`."""
        def found():
            r = self.replicas(worker)[number]
            return r if r["state"] == state and r["pid"] != other_than else None
        return until(found, f"{worker}/{number} {state}")

    def wait_end(self, seconds=None):
        """The exit code of prongd."""
        if self.code is None:
            try:
                self.code = self.process.wait(SECONDS if seconds is None else seconds)
            except subprocess.TimeoutExpired:
                self.case.fail(f"prongd does not end\n{self.log}")
            # End of file: nobody of the hub has its stderr any longer.
            self.reader.join(SECONDS)
            self.process.stderr.close()
            self.notify.close()
        return self.code

    def stop(self):
        if self.code is None and self.process.poll() is None:
            self.process.terminate()
        return self.wait_end()

    def assert_nothing_left(self, seconds=0):
        """No process, no socket, no open lock."""
        left = wait_gone(tagged(self.case.tag), seconds)
        self.case.assertEqual({p: c for p, c in tagged(self.case.tag).items() if p in left}, {}, self.log)
        self.case.assertFalse(os.path.exists(os.path.join(self.run_dir, "hub.sock")), self.log)
        leftover = [n for n in os.listdir(self.run_dir) if n not in ("lock", "secret", "log", "token")]
        self.case.assertEqual(leftover, [])


FAULTS = re.compile(r"Sanitizer|runtime error:|[Aa]ssertion .*failed|core dumped")


class Case(unittest.TestCase):
    """A test in a new folder, short enough for a socket. Afterwards no process, descriptor or socket is left,
    every hub has ended with 0 (`self.codes` says which may end otherwise), and no sanitizer has spoken."""
    maxDiff = None
    engine = "native"
    codes = (0,)

    def setUp(self):
        self.fds_before = self.own_fds()
        self.dir = tempfile.mkdtemp(prefix="prg")
        self.tag = "PRONG_TEST_TAG=" + self.dir
        self.env = {"PATH": os.environ["PATH"], "HOME": self.dir, "PRONG_TEST_TAG": self.dir, "TZ": "UTC",
                    "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
                    "PRONG_TEST_MEET": os.path.join(self.dir, "meet")}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.hubs, self.threads = [], []
        self.meet = Meet(os.path.join(self.dir, "meet"))
        self.addCleanup(self.clean)

    @staticmethod
    def own_fds():
        return len(os.listdir("/proc/self/fd"))

    def clean(self):
        """Runs after the cleanups of the test, which came later."""
        problems = []
        self.meet.close()                                  # a worker that waits for the test goes on
        for thread in self.threads:
            thread.stopping.set()
        for hub in self.hubs:
            try:
                code = hub.stop()
                if code not in self.codes:
                    problems.append(f"prongd ended with {code}\n{hub.log}")
                if FAULTS.search(hub.log):
                    problems.append(hub.log)
            except AssertionError as error:
                problems.append(str(error))
        for thread in self.threads:
            thread.join(SECONDS)
        left = tagged(self.tag)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for hub in self.hubs:
            hub.wait_end()
            if os.path.exists(os.path.join(hub.run_dir, "hub.sock")):
                problems.append("the socket is still there")
        if left:
            problems.append(f"left running: {left}")
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.own_fds() != self.fds_before and not problems:
            problems.append(f"the test leaks descriptors: {fds(os.getpid())}")
        if problems:
            self.fail("\n".join(problems))

    def hub(self, workers="echo: {command: %s}" % worker_command(), hub="", ready=True, **more):
        """A hub with these workers (YAML, one a line) and options."""
        config = "hub:\n  local_engine: %s\n%s" % (self.engine, indent(hub)) + "workers:\n" + indent(workers)
        hub = Hub(self, config if workers else config.replace("workers:\n", ""), **more)
        return hub.wait_ready() if ready else hub

    def steady(self, hub, **more):
        thread = Steady(hub, **more)
        self.threads.append(thread)
        return thread

    def fails(self, code, began, end):
        """end() raises Failure with this code and began; the failure."""
        with self.assertRaises(Failure) as caught:
            end()
        failure = caught.exception
        self.assertEqual((ERR_NAME[failure.code], failure.began), (code, began), failure)
        return failure


def indent(text):
    return "".join(f"  {line}\n" for line in text.splitlines())


def with_nng(cls):
    """The same cases once more, with libnng behind the local socket."""
    twin = type(cls.__name__ + "WithNng", (cls,), {"engine": "nng", "__module__": cls.__module__})
    sys.modules[cls.__module__].__dict__[twin.__name__] = twin
    return cls


def needs_root(function):
    @functools.wraps(function)
    def checked(self, *args):
        if os.geteuid() != 0:
            self.skipTest("only root can do that")
        return function(self, *args)
    return checked


def main():
    for name in ("prongd", "prong-broker"):
        if not os.access(os.path.join(BIN, name), os.X_OK):
            print(f"SKIP: PRONG_BIN_DIR has no {name}")
            sys.exit(77)
    unittest.main(verbosity=2)
