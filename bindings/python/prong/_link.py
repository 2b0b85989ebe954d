"""One connection to a hub, shared by the threads of a process.

No thread of its own: whichever thread waits first reads the socket for all (leader and followers), and hands that on
when it has what it came for. Only futures need somebody who waits for them: a thread started with the first one."""
from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import struct
import threading
import time
import weakref
from typing import Any, Callable, Optional, Union

from . import _constants as c
from . import _errors
from ._session import HEAD, Request, Session

TICK = 1.0                       # seconds between two looks at deadlines
SEND_SECONDS = 20                # a hub that takes nothing for so long is not there
GREETING, HUB_GREETING = b"\0SP\0\0\x30\0\0", b"\0SP\0\0\x31\0\0"
FOREVER = float("inf")

# ---- finding and connecting

def candidates() -> list[str]:
    """Where the hub of this user listens, in the order in which hubs choose their directory."""
    if os.environ.get("PRONG_URL"):
        return [os.environ["PRONG_URL"]]
    dirs = [os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]]
    if os.environ.get("XDG_RUNTIME_DIR"):
        dirs.append(os.environ["XDG_RUNTIME_DIR"] + "/prong")
    dirs += [f"/run/user/{os.getuid()}/prong", "/run/prong"]
    return list(dict.fromkeys(f"ipc://{d}/hub.sock" for d in dirs if d.startswith("/")))

def split(url: str) -> tuple[str, str]:
    """("ipc", path) or ("tcp" or "tls+tcp", host:port); InvalidArgumentError otherwise."""
    scheme, sep, rest = url.partition("://")
    if scheme not in ("ipc", "tcp", "tls+tcp") or not sep or (scheme != "ipc" and not rest.rpartition(":")[2].isdigit()):
        raise _errors.InvalidArgumentError(
            f"{url!r} is no URL of a hub: ipc://PATH, tcp://HOST:PORT or tls+tcp://HOST:PORT", began="no")
    return scheme, rest

def is_held(url: str) -> bool:
    """Whether a local hub lives although its socket does not answer: its broker is being started anew."""
    scheme, path = split(url)
    try:
        with open(os.path.dirname(path) + "/lock", "rb") as lock:
            return scheme == "ipc" and os.path.exists(f"/proc/{int(lock.read(16))}")
    except (OSError, ValueError):
        return False

def find(url: Optional[str]) -> str:
    """The URL of the hub that is there; UnavailableError tells where it was looked for."""
    urls = candidates() if url is None else [url]
    for found in urls:
        scheme, rest = split(found)
        if len(urls) == 1 or scheme != "ipc" or os.path.exists(rest) or is_held(found):
            return found
    raise _errors.UnavailableError(f"no hub runs here: nothing at {', '.join(urls)} (prong up starts one)", began="no")

def new_session(url: str, name: Optional[str], token: Union[bytes, str, None]) -> Session:
    """With what HELLO says."""
    hello = {"proto": c.PROTO, "role": "client", "name": name, "token": token.encode() if isinstance(token, str) else token}
    return Session(split(url)[0], {key: value for key, value in hello.items() if value is not None}, url)

def open_socket(url: str, timeout: float, tls_ca_file: Optional[str], tls_name: Optional[str]) -> socket.socket:
    """Connected, greeted from our side. Raises OSError."""
    scheme, rest = split(url)
    if scheme == "ipc":
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
            sock.connect(rest)
        except BaseException:
            sock.close()
            raise
    else:
        host, _, port = rest.rpartition(":")
        sock = socket.create_connection((host.strip("[]"), int(port)), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if scheme == "tls+tcp":
            try:
                sock = tls_context(tls_ca_file).wrap_socket(sock, server_hostname=tls_name or host.strip("[]"))
            except BaseException:
                sock.close()
                raise
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
    if scheme != "tls+tcp":                          # TLS reads more than once for a message
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(TICK), 0))
    sock.sendall(GREETING)
    return sock

def tls_context(ca_file: Optional[str]) -> Any:
    """Whom we trust: the system's authorities, or those of a file."""
    import ssl
    return ssl.create_default_context(cafile=ca_file)

class Reader:
    """Frames out of the bytes of a socket."""

    def __init__(self, sock: Any, lead: bytes) -> None:
        self.sock, self.lead = sock, len(lead)
        self.pending = getattr(sock, "pending", None)            # of TLS
        self.chunks: list[bytes] = []
        self.have, self.want, self.greeted = 0, 8, False

    def read(self) -> list[tuple[int, bytes]]:
        """What one look at the socket gives: (SP id, body) of each whole message. Raises OSError at its end."""
        data = self.sock.recv(65536 if self.want <= 65536 else min(1 << 20, max(65536, self.want - self.have)))
        while self.pending is not None and data and self.pending():
            data += self.sock.recv(65536)
        if not data:
            raise ConnectionError("the hub closed the connection")
        return self.feed(data)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The same for bytes that somebody else has read."""
        if self.have:
            self.chunks.append(data)
            self.have += len(data)
            if self.have < self.want:
                return []
            data = b"".join(self.chunks)
            self.chunks, self.have = [], 0
        at, end, size, found = 0, len(data), self.lead + HEAD.size, []
        if not self.greeted and end >= 8:
            if data[:8] != HUB_GREETING:
                raise ConnectionError("no hub: it does not speak the Scalability Protocols as one that replies")
            self.greeted, at = True, 8
        self.want = size if self.greeted else 8
        while self.greeted and end - at >= size:
            length, number = HEAD.unpack_from(data, at + self.lead)
            stop = at + size - 4 + length
            if stop > end:
                self.want = stop - at
                break
            found.append((number, data[at + size:stop]))
            at = stop
        if at < end:
            self.chunks, self.have = [data[at:]], end - at
        return found

# ---- sharing

class Flag:
    """What a thread waits for: it takes what set() has put. A threading.Event is no good here, KeyboardInterrupt in its
    wait() may leave its inner lock taken, or a set() that has woken nobody."""
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()

    def wait(self, seconds: float) -> None:
        self.lock.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))

    def set(self) -> None:
        try:
            self.lock.release()
        except RuntimeError:                         # it is set
            pass

class BaseLink:
    """What the links of threads and of asyncio share: a session, and the way to it."""
    is_open = forked = False

    def __init__(self, url: str, session: Session, tls: tuple[Optional[str], Optional[str]], mutex: Any) -> None:
        self.url, self.session, self.tls, self.mutex = url, session, tls, mutex
        self.pid, self.closed = os.getpid(), False
        _links.add(self)
        self.why: Optional[BaseException] = None     # there is no connection

    def check(self) -> None:
        """Raises when the connection may not be used here or any more."""
        if self.forked:
            raise _errors.FailedPreconditionError(
                f"this connection was made by process {self.pid}: a fork does not share it, connect again", began="no")
        if self.closed:
            raise _errors.FailedPreconditionError("this connection was closed", began="no")

    def after_fork(self) -> None:
        """In the child: it is the parent's."""
        self.forked = True

    def ask(self, make: Callable[..., None], r: Request, *args: Any) -> None:
        """Register a request by a method of the session, and send it."""
        with self.mutex:
            if self.forked or self.closed:
                self.check()
            self._step(make, r, *args)

    def cancel(self, r: Request) -> None:
        """Nobody waits for it any more."""
        with self.mutex:
            if not self.closed:
                self._step(self.session.cancel, r)

    def expire(self, now: float) -> None:
        """End what is over by this (monotonic) time."""
        with self.mutex:
            self.session.expire(now)

    def take(self, r: Request) -> list[Any]:
        """The items that came; more are asked for."""
        with self.mutex:
            return self._step(self.session.take, r)  # type: ignore[no-any-return]

    def _flush(self) -> None:
        raise NotImplementedError

    def _drop(self, why: BaseException) -> None:
        raise NotImplementedError

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        """One of the session, and what it has to send. KeyboardInterrupt and the like may leave it half done: a new
        connection asks again."""
        try:
            found = step(*args)
            self._flush()
            return found
        except BaseException as problem:
            if not isinstance(problem, Exception):
                self._drop(problem)
            raise

    def _answers(self, messages: list[tuple[int, bytes]]) -> Optional[BaseException]:
        """Take them; why the connection is no good, or None."""
        session = self.session
        session.heard = time.monotonic()
        for number, body in messages:
            session.answer(number, body)
        refusal = session.refusal
        if refusal is not None:
            session.end_all(lambda began: refusal)
        return refusal

    def _tell(self) -> None:
        """Run what waits for news, without any lock held."""
        news = self.session.news
        while news:
            try:
                r = news.popleft()
            except IndexError:                       # another thread took it
                return
            try:
                if r.note is not None and r.progress is not None and not r.ended:
                    r.note(*r.progress)
                if r.callback is not None and r.ready:
                    r.callback(r)
            except Exception:
                import logging
                logging.getLogger("prong").exception("in what the program does with the news of a call")
            except BaseException:
                news.appendleft(r)                   # KeyboardInterrupt: again with the next wait
                raise

    def _end(self) -> None:
        self.closed = True
        self.session.end_all(lambda began: _errors.CancelledError("the connection was closed", began=began))

    def ring(self) -> None:
        """There is something to take, whatever the socket says."""

    def silence(self) -> None:
        """Everything was taken."""

class Link(BaseLink):
    """A session on a socket. Every public function may be called by any thread."""

    def __init__(self, url: str, session: Session, tls: tuple[Optional[str], Optional[str]],
                 reconnect: Optional[float]) -> None:
        super().__init__(url, session, tls, threading.Lock())
        self.reconnect = reconnect
        self.sock: Optional[socket.socket] = None
        self.reader: Optional[Reader] = None
        self.poller = select.poll()
        self.patient = False                         # recv of the socket waits for no longer than a TICK
        self.leader: Optional[int] = None            # the thread that reads
        self.followers: dict[Request, None] = {}
        self.lost_at, self.retry_at = time.monotonic(), 0.0
        self.pump: Optional[threading.Thread] = None
        self.futures = Request(0, FOREVER)           # ready while there are none
        self.futures.ready = True
        self.waking = Flag()
        self.bell: Optional[tuple[socket.socket, socket.socket, Any]] = None
        weakref.finalize(self, self.waking.set)

    @property
    def is_open(self) -> bool:  # type: ignore[override]
        """There is a connection."""
        return self.sock is not None

    def _flush(self) -> None:
        out = self.session.out
        if out and self.sock is not None:
            try:
                self.sock.sendall(out[0] if len(out) == 1 else b"".join(out))
                out.clear()
            except OSError as problem:
                self._drop(problem)
            except BaseException as problem:
                self._drop(problem)
                raise

    def _drop(self, why: BaseException) -> None:
        """The connection is no good any more."""
        self.why = why
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)     # the thread that reads it wakes up
            self.sock.close()
            self.sock = self.reader = None
            self.lost_at = time.monotonic()
        self.session.lost()
        self.retry_at = time.monotonic() + random.uniform(0.004, 0.014)
        self.ring()

    def wait(self, r: Request, until: float) -> bool:
        """Until it is ready; False when the (monotonic) time is over before."""
        me = threading.get_ident()
        nested = self.leader == me               # called by a callback of somebody else's wait
        try:
            while not r.ready:
                with self.mutex:
                    if self.forked or self.closed:
                        self.check()
                    if self.leader is None:
                        self.leader = me
                    elif self.leader != me and not r.ready:
                        r.event = r.event or Flag()
                        r.event.wait(0)              # what was put for an earlier wait
                        self.followers[r] = None
                if self.leader == me:
                    self._lead(r, until)
                elif not r.ready:
                    r.event.wait(max(0.0, until - time.monotonic()))
                if not r.ready and time.monotonic() >= until:
                    return False
            return True
        finally:
            try:
                self._leave(r, not nested)
            except BaseException:                    # KeyboardInterrupt: others must not wait for us
                self._leave(r, not nested)
                raise

    def _leave(self, r: Request, leads: bool) -> None:
        """It waits no longer; somebody else reads now."""
        with self.mutex:
            if self.followers.pop(r, self) is None:
                r.event.set()                        # another thread may wait for the same
            if self.leader == threading.get_ident() and leads:
                self.leader = None
                if self.closed and self.sock is not None:
                    self.sock.close()                # close() left that to us
            if self.leader is None and self.followers:
                next(iter(self.followers)).event.set()

    def _lead(self, r: Request, until: float) -> None:
        """Read for everybody until r is ready. What is cut off in the middle is asked again on a new connection."""
        try:
            while not r.ready and not self.closed:
                left = until - time.monotonic()
                if self.sock is None:
                    self._connect(max(left, 0.0))
                elif ((left >= TICK and self.patient) or self.poller.poll(max(0, min(left, TICK)) * 1000)) and self._take():
                    pass
                elif left > 0:
                    with self.mutex:
                        if not self.session.expire(time.monotonic()):
                            self._drop(ConnectionError("the hub is silent"))
                if left <= 0:
                    break
        except BaseException as problem:
            with self.mutex:
                self._drop(problem)
            raise
        finally:
            if self.session.news:
                self._tell()

    def _take(self) -> bool:
        """What has come; False when nothing did, for a second where the socket is patient."""
        reader = self.reader
        if reader is None:                           # a thread that sent something has lost the connection
            return True
        try:
            if self.patient:
                messages = reader.read()
            else:                                    # TLS: reading and writing are not for two threads at a time
                with self.mutex:
                    messages = reader.read()
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            with self.mutex:
                if self.reader is reader:
                    self._drop(error)
            return True
        with self.mutex:
            problem = self._answers(messages)
            if problem is not None:
                self._drop(problem)
            if self.session.out:
                self._flush()
        if self.session.news:
            self._tell()
        return True

    def _connect(self, left: float) -> None:
        """One try; otherwise a short wait for the next."""
        now = time.monotonic()
        with self.mutex:
            self.session.expire(now)
            if self.reconnect is not None and now > self.lost_at + self.reconnect:
                self.session.end_all(lambda began: _errors.UnavailableError(f"{self.url}: {self.why}", began=began))
        if now < self.retry_at:
            select.select([], [], [], min(self.retry_at - now, left))
            return
        try:
            sock = open_socket(self.url, min(max(left, 0.05), 2.0), *self.tls)
        except OSError as problem:
            self.why = problem
            self.retry_at = time.monotonic() + random.uniform(0.01, 0.05)
            return
        with self.mutex:
            reader, poller = Reader(sock, self.session.lead), select.poll()
            poller.register(sock, select.POLLIN)
            self.sock, self.reader, self.poller, self.patient = sock, reader, poller, reader.pending is None
            if self.bell is not None:
                self.bell[2].register(sock, select.EPOLLIN)
            self.session.heard = time.monotonic()
            self.session.connected()
            self._flush()

    def after_fork(self) -> None:
        """In the child: let go of the parent's descriptors, whose locks may be held by threads that are not here."""
        super().after_fork()
        self.mutex = threading.Lock()
        if self.sock is not None:
            self.sock.close()
        for part in self.bell or ():
            part.close()

    def close(self) -> None:
        """End everything; threads that wait return."""
        if self.forked or self.closed:
            return
        with self.mutex:
            self._end()
            if self.sock is not None:
                self.sock.close() if self.leader is None else self.sock.shutdown(socket.SHUT_RDWR)
            for part in self.bell or ():
                part.close()
        self._tell()
        self.waking.set()

    # ---- futures and event loops

    def pumped(self, count: int) -> None:
        """So many more futures wait (or fewer); a thread of ours waits for them all."""
        with self.mutex:
            self.futures.size += count
            self.futures.ready = self.futures.size == 0
            if self.futures.ready and self.futures.event is not None:
                self.futures.event.set()
            if not self.futures.ready:
                self.waking.set()
            if self.pump is None:
                self.pump = threading.Thread(target=_pump, args=(weakref.ref(self), self.waking), daemon=True, name="prong")
                self.pump.start()

    def fileno(self) -> int:
        """Readable when there is something to take: the socket, or the bell for what another call read in passing."""
        with self.mutex:
            self.check()
            if self.bell is None:
                self.bell = (*socket.socketpair(), select.epoll())
                self.bell[0].setblocking(False)
                self.bell[1].setblocking(False)
                self.bell[2].register(self.bell[0], select.EPOLLIN)
                if self.sock is not None:
                    self.bell[2].register(self.sock, select.EPOLLIN)
        self.ring()
        return int(self.bell[2].fileno())

    def ring(self) -> None:
        """There is something to take, whatever the socket says."""
        if self.bell is not None:
            try:
                self.bell[1].send(b"!")
            except OSError:
                pass

    def silence(self) -> None:
        """Everything was taken."""
        if self.bell is not None and self.sock is not None:
            try:
                while self.bell[0].recv(4096):
                    pass
            except OSError:
                pass

def _pump(reference: Any, waking: Flag) -> None:
    """Waits for the futures of a link for as long as there is one."""
    while True:
        waking.wait(FOREVER)
        link = reference()
        if link is None or link.closed:
            return
        try:
            link.wait(link.futures, FOREVER)
        except _errors.ProngError:
            return
        del link

_links: weakref.WeakSet[BaseLink] = weakref.WeakSet()

def _forked() -> None:
    for link in list(_links):
        link.after_fork()

os.register_at_fork(after_in_child=_forked)
