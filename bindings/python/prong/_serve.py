"""Running a worker: the connection, the one wait, the end. No thread: methods run where the socket is read."""
from __future__ import annotations

import contextlib
import faulthandler
import inspect
import logging
import os
import random
import select
import signal
import socket
import sys
import threading
import time
import traceback
import types
from typing import Any, Callable, Optional

from . import _client, _errors
from ._constants import KIND_ERROR, KIND_RESULT
from ._link import Reader, open_socket, split
from ._pull import ITEMS_BYTES, TOGETHER, Job, Pull
from ._worker import Method, Worker, current, members, table

BUDGET = 10.0       # seconds that a hub which is gone is sought
STOP = 2.0          # seconds that the end waits for the hub
LOOK = 0.001        # a method that yields or asks whether it is cancelled looks at the socket so often at most
TICK = 10.0         # between two looks at whether the hub is silent
AT_ONCE = 64        # events given to a handler before something else has its turn
USAGE, AGAIN, DENIED = 64, 75, 77
PASSING = (4, 8, 9, 14)

class Runner:
    """A worker and its hub. Everything but client() and stop() belongs to the main thread."""

    def __init__(self, worker: Worker) -> None:
        self.worker, self.url = worker, os.environ["PRONG_URL"]
        self.methods: dict[str, Method] = table(worker)
        self.token = os.environ["PRONG_TOKEN"]
        about = {"token": self.token.encode(), "worker": os.environ["PRONG_WORKER"],
                 "methods": {name: m.about() for name, m in self.methods.items()}}
        self.is_async = any(m.is_async for m in self.methods.values()) or any(
            inspect.iscoroutinefunction(f) for f in [worker.setup, worker.teardown, *members(worker, "_prong_on"),
                                                     *members(worker, "_prong_loop")])
        self.pull = Pull(split(self.url)[0], about, worker.concurrency if self.is_async else 1, self.url)
        self.pull.replica = f"{os.environ['PRONG_WORKER']}/{os.environ.get('PRONG_REPLICA', '0')}"
        self.sock: Optional[socket.socket] = None
        self.reader: Optional[Reader] = None
        self.code: Optional[int] = None
        self.over = self.ready = self.forked = False
        self.lost_at, self.retry_at, self.looked_at, self.stop_until = time.monotonic(), 0.0, 0.0, float("inf")
        self.readers: dict[int, Callable[[], Any]] = {}
        self.poller, self.one = select.poll(), select.poll()
        self.wake_in, self.wake_out = socket.socketpair()
        self.wake_in.setblocking(False)
        self.wake_out.setblocking(False)
        self.lock = threading.Lock()
        self.clients: dict[str, Any] = {}
        self.subscriptions: list[tuple[Any, Callable[[Any], Any], str]] = []
        self.loops: list[threading.Thread] = []

    # ---- the connection

    def after_fork(self) -> None:
        """In a child that a method forked: it cannot speak for the worker."""
        self.forked = self.over = True
        self.retry_at = float("inf")
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def end_child(self) -> None:
        """A child that a method forked has come back from it."""
        print(f"<3>{self.pull.replica}: a method forked, and its child came back: it ends here", file=sys.stderr, flush=True)
        os._exit(1)

    def connect(self) -> None:
        """One try, when it is due."""
        now = time.monotonic()
        if now < self.retry_at:
            return
        try:
            self.sock = open_socket(self.url, 1.0, None, None)
        except OSError as problem:
            self.lost(str(problem))
            return
        self.reader = Reader(self.sock, self.pull.lead)
        self.watch_socket(True)
        self.pull.heard = now
        self.pull.connected()

    def watch_socket(self, is_open: bool) -> None:
        for poller in (self.poller, self.one):
            poller.register(self.sock, select.POLLIN) if is_open else poller.unregister(self.sock)  # type: ignore[arg-type]

    def lost(self, why: str) -> None:
        """No hub now: try again soon, or give up."""
        now = time.monotonic()
        if self.sock is not None:
            self.watch_socket(False)
            self.sock.close()
            self.sock = None
        if self.pull.attached:
            self.lost_at = now
        self.pull.lost()
        self.retry_at = now + random.uniform(0.01, 0.05)
        if self.retry_at > self.lost_at + BUDGET and not self.worker.stopping:
            self.abandon(AGAIN, f"the hub is gone since {BUDGET:g} s: {why}")

    def abandon(self, code: int, why: str) -> None:
        """There is nothing left to be done."""
        print(f"<3>{self.pull.about['worker']}: {why}", file=sys.stderr, flush=True)
        self.stop(code)
        self.over = True

    def send(self) -> None:
        """What waits to leave."""
        out = self.pull.out
        if out and self.sock is not None:
            try:
                self.sock.sendall(out[0] if len(out) == 1 else b"".join(out))
                out.clear()
            except OSError as problem:
                self.lost(str(problem))

    def receive(self) -> None:
        """What has come."""
        if self.reader is None or self.sock is None:
            return
        try:
            messages = self.reader.read()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as problem:
            self.lost(str(problem))
            return
        is_well = True
        for number, body in messages:
            is_well &= self.pull.answer(number, body)
        if not is_well:
            code, text = (self.pull.refusal[0], self.pull.refusal[2]) if self.pull.refusal else (9, "attach again")
            if self.ready or code in PASSING:
                self.lost(text)
            else:
                self.abandon(DENIED, f"the hub refused this worker: {text}")
        elif self.pull.attached and not self.ready:
            self.ready = True
            self.attached()
        if self.pull.stop_asked:
            self.stop(0)
        if self.pull.out:
            self.send()

    def look(self) -> None:
        """What has come while a method runs; at most once a millisecond."""
        now = time.monotonic()
        if now < self.looked_at + LOOK:
            return
        self.looked_at = now
        if self.sock is None:
            self.connect()
        if self.sock is not None and self.one.poll(0):
            self.receive()

    def attached(self) -> None:
        """The hub knows us: begin what runs beside the calls."""
        with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="utf-8") as comm:
            comm.write(self.pull.replica[:15])
        for function in members(self.worker, "_prong_loop"):
            self.start_loop(function)

    def client(self) -> _client.Client:
        """self.hub: on a connection of its own."""
        with self.lock:
            if "sync" not in self.clients:
                found = self.clients["sync"] = _client.connect(self.url, name=self.pull.replica, token=self.token)
                found._parent = parent
        if self.worker.stopping:
            self.end_streams()
        return self.clients["sync"]  # type: ignore[no-any-return]

    def end_streams(self) -> None:
        """Whoever waits for a frame waits no longer. Any thread, and signal handlers."""
        for client in list(self.clients.values()):
            client._over = True
            client._end_streams("_end")

    # ---- beside the calls

    def subscribe(self) -> None:
        """Before the hub calls the worker ready: the events of the handlers begin here, or where one that had this place
        was, as the newest event of a topic of its own tells."""
        for function in members(self.worker, "_prong_on"):
            topic = f"prong.handled.{self.pull.replica.replace('/', '.')}.{function.__name__}"
            with self.client().subscribe(topic, from_="last") as found:
                last = found.next(0)
                start = last.payload[1] if last is not None and last.payload[0] == found.history else "new"
            self.subscriptions.append((self.client().subscribe(*function._prong_on, from_=start), function, topic))

    def handle_events(self) -> None:
        """Those that have come."""
        self.client().poll()
        for subscription, function, topic in self.subscriptions:
            event = None
            for _ in range(AT_ONCE):
                found = subscription.next(0)
                if found is None:
                    break
                event = found
                try:
                    function(event)
                except Exception:
                    self.worker.log.exception("in %s, with event %d %s", function.__name__, event.number, event.topic)
            else:
                self.client()._link.ring()
            if event is not None:
                self.client().post(topic, [subscription.history, event.number + 1])

    def start_loop(self, function: Any) -> None:
        """In a thread of its own."""
        def body() -> None:
            try:
                function()
            except BaseException:
                self.worker.log.exception("in %s: the process ends", function.__name__)
                self.stop(1)
        self.loops.append(threading.Thread(target=body, name=function.__name__, daemon=True))
        self.loops[-1].start()

    def add_reader(self, fd: int, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """See Worker.add_reader."""
        def readable() -> None:
            try:
                callback(*args)
            except Exception:
                self.worker.log.exception("in what waits for descriptor %d", fd)
        self.readers[fd] = readable
        self.poller.register(fd, select.POLLIN)

    def remove_reader(self, fd: int) -> None:
        """See Worker.remove_reader."""
        if self.readers.pop(fd, None):
            self.poller.unregister(fd)

    def stop(self, code: int) -> None:
        """Any thread, and signal handlers."""
        if self.code is None:
            self.code = code
        self.worker._stop_event.set()
        self.end_streams()
        with contextlib.suppress(OSError):
            self.wake_out.send(b"!")

    # ---- calls

    def is_cancelled(self, job: Job) -> bool:
        """Nobody waits for it."""
        if not self.is_async:
            self.look()
        return job.cancelled or self.over or time.monotonic() >= job.deadline

    def progress(self, job: Job, fraction: Optional[float], note: Optional[str]) -> None:
        """See Worker.progress."""
        self.pull.tell_progress(job, [fraction, note])
        self.send()
        if not self.is_async:
            self.look()

    def failed(self, job: Job, error: BaseException) -> None:
        """Its outcome is an error, whatever it is and does when it is asked for its text."""
        known = isinstance(error, _errors.ProngError)
        code = error.code if isinstance(error, _errors.ProngError) else 2
        began = 0 if known and error.refused else 2  # type: ignore[attr-defined]
        details = {"type": type(error).__name__, **(error.details if isinstance(error, _errors.ProngError) else {})}
        if began:
            lines = "".join(traceback.format_exception(type(error), error, own(error)))
            details["traceback"] = sendable(lines if len(lines) < 16000 else f"{lines[:8000]}\n[...]\n{lines[-8000:]}")
        try:
            text = error.message if isinstance(error, _errors.ProngError) else str(error)
        except Exception:
            text = ""
        self.pull.end(job, KIND_ERROR, [code, began, sendable(text[:4000]) or type(error).__name__, details])

    def unknown(self, job: Job) -> None:
        """There is no such method."""
        self.pull.end(job, KIND_ERROR, [12, 0, f"{self.pull.about['worker']} has no method {job.method}", None])

    def run_jobs(self) -> None:
        """All that were taken, in their order."""
        pull, methods = self.pull, self.methods
        while pull.jobs and not self.over:
            job = pull.jobs.popleft()
            method = methods.get(job.method)
            if job.cancelled or method is None:
                self.unknown(job) if method is None else pull.end(job, KIND_ERROR, [1, 0, "cancelled", None])
                continue
            current.set(job)
            try:
                value = method.call(job.args)
                if type(value) is types.GeneratorType:
                    value = self.stream(job, value)
                pull.end(job, KIND_RESULT, value)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self.failed(job, error)
            if self.forked:
                self.end_child()
            if pull.jobs and time.monotonic() > pull.since + TOGETHER:
                pull.flush(False)
                self.send()
        current.set(None)

    def stream(self, job: Job, items: Any) -> Any:
        """What it yields leaves as it comes, but waits while the caller does not take it."""
        pull, value = self.pull, None
        failed: Optional[Exception] = None
        try:
            while True:
                try:
                    pull.give(job, next(items))
                except StopIteration as end:
                    value = end.value
                    break
                except Exception as error:           # which comes after what it has yielded
                    failed = error
                    break
                self.look()
                pull.send_items(job)
                self.send()
                while job.size > ITEMS_BYTES and not self.is_cancelled(job):
                    self.wait_once(self.one)
                if job.cancelled:
                    raise _errors.CancelledError("cancelled")
            while job.items and not self.is_cancelled(job):
                pull.send_items(job)
                self.send()
                self.wait_once(self.one)
            if job.items:
                raise _errors.CancelledError("cancelled")
            if failed is not None:
                raise failed
            return value
        finally:
            items.close()
            job.items.clear()

    # ---- the wait and the end

    def before_wait(self) -> float:
        """Connected, everything said: seconds until there is something to do."""
        now = time.monotonic()
        if self.sock is None:
            self.connect()
        elif now > self.pull.heard + 1 and self.pull.is_silent(now):
            self.lost("the hub does not answer")
        if self.pull.out:
            self.send()
        if self.sock is not None and self.code is None:
            return TICK
        return max(0.0, min(TICK, self.stop_until - now) if self.sock is not None else self.retry_at - now)

    def wait_once(self, poller: Any) -> None:
        """For whatever comes first."""
        for fd, _ in poller.poll(self.before_wait() * 1000):
            if self.sock is not None and fd == self.sock.fileno():
                self.receive()
            elif fd == self.wake_in.fileno():
                self.wake_in.recv(4096)
            elif fd in self.readers:
                self.readers[fd]()

    def turn(self) -> bool:
        """Between calls: False at the end."""
        if self.code is not None and not self.pull.stopping:
            self.pull.stopping = True
            self.stop_until = time.monotonic() + STOP
        self.pull.flush(True)
        if self.pull.out:
            self.send()
        return not self.pull.stopping or not (self.over or self.pull.is_over() or (
            time.monotonic() > self.stop_until and not self.pull.running))

    def until(self, value: Any) -> Any:
        """Of what may be a coroutine, the value."""
        return value

    def main(self) -> int:
        """The whole life; the exit code."""
        self.poller.register(self.wake_in, select.POLLIN)
        self.until(self.worker.setup())
        self.lost_at = time.monotonic()              # from now on it is sought
        self.subscribe()
        if self.subscriptions and not self.is_async:
            self.readers[self.client().fileno()] = self.handle_events
            self.poller.register(self.client().fileno(), select.POLLIN)
        while self.turn():
            self.wait_once(self.poller)
            self.run_jobs()
        if self.forked:
            self.end_child()
        self.worker._stop_event.set()
        self.end_beside()
        self.until(self.worker.teardown())
        return self.code or 0

    def end_beside(self) -> None:
        """What ran beside the calls ends."""
        self.end_streams()
        for thread in self.loops:
            thread.join()

def parent() -> Optional[tuple[int, float]]:
    """The call within which another is made."""
    job = current.get()
    return None if job is None else (job.call, job.deadline)

def sendable(text: str) -> str:
    """Without what no message takes."""
    return text.encode("utf-8", "replace").decode()

def own(error: BaseException) -> Any:
    """The traceback of an exception without our part of it."""
    found = error.__traceback__
    here = os.path.dirname(__file__)
    while found is not None and found.tb_next and os.path.dirname(found.tb_frame.f_code.co_filename) == here:
        found = found.tb_next
    return found

class LevelFormatter(logging.Formatter):
    """Each line with the level that the hub's log reads: <3> for errors, <7> for debugging."""

    def format(self, record: logging.LogRecord) -> str:
        level = next((n for bound, n in ((40, 3), (30, 4), (20, 6)) if record.levelno >= bound), 7)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).split("\n"))

def serve(cls: type[Worker], arguments: dict[str, Any]) -> int:
    """Run a worker that a hub has started, made with these arguments; the exit code."""
    missing = [n for n in ("PRONG_URL", "PRONG_WORKER", "PRONG_TOKEN") if not os.environ.get(n)]
    if missing:
        print(f"{cls.__name__} is a worker and is started by a hub: {', '.join(missing)} is not in the environment.\n"
              f"Try: prong run --name {_client.name_of(cls)[0]} -- python3 {sys.argv[0]}", file=sys.stderr)
        return USAGE
    faulthandler.enable()
    if not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(LevelFormatter("%(name)s: %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    worker = cls(**arguments)
    runner = Runner(worker)
    if runner.is_async:
        from ._serve_async import AsyncRunner  # asyncio is most of what others would import
        runner = AsyncRunner(worker)
    worker._runner = runner
    os.register_at_fork(after_in_child=runner.after_fork)
    handles = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and threading.current_thread() is threading.main_thread()
    if handles:
        signal.signal(signal.SIGTERM, lambda *_: runner.stop(0))
        # A child that a method forks ends as any other, also when it is told before it knows that it is one.
        masks: dict[int, Any] = {}
        mask, me = signal.pthread_sigmask, threading.get_ident
        os.register_at_fork(
            before=lambda: masks.update({me(): mask(signal.SIG_BLOCK, {signal.SIGTERM})}),
            after_in_parent=lambda: mask(signal.SIG_SETMASK, masks.pop(me())), after_in_child=lambda: (
                signal.signal(signal.SIGTERM, signal.SIG_DFL), mask(signal.SIG_SETMASK, masks.pop(me()))))
    try:
        return runner.main()
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        if handles:                                  # it ends: one more must not cut that short
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.stdout.flush()
