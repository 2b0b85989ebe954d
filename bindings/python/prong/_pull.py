"""A worker's side of the link to its hub, without sockets: as client/worker/pull.c of the C library.

Owns what was taken and what is kept: calls from the moment their WORK was taken until ACK names them. A broken connection
decides nothing: after it comes ATTACH with an inventory."""
from __future__ import annotations

import collections
import os
import time
from typing import Any, Optional, Union

import msgpack

from . import _constants as c
from . import _values
from ._session import SILENCE, Requester

TOGETHER = 0.001      # seconds that an outcome may wait for those of the calls behind it
CROWD = 64            # calls taken at a time by who runs one at a time: the hub gives more than one only of short ones
ITEMS_BYTES = 262144  # of items that wait here while the hub has no room
KEPT = 2048           # outcomes, then it takes no more until it has attached anew and knows what is not needed

class Job:
    """A call that is to run, runs, or has yielded items that the hub does not have."""
    cancelled = False
    first = size = flying = 0
    progress: Any = None

    def __init__(self, call: int, method: str, ttl_ms: int, caller: str, options: Any, args: Any) -> None:
        self.call, self.method, self.caller, self.options, self.args = call, method, caller, options, args
        self.deadline = time.monotonic() + ttl_ms / 1000
        self.items: list[bytes] = []                 # from number `first` on; the first `flying` of them are on their way

class Pull(Requester):
    """One thread at a time. `jobs`: calls to begin."""

    def __init__(self, scheme: str, about: dict[str, Any], capacity: int, url: str = "") -> None:
        super().__init__(scheme, url)
        self.lent: dict[int, list[Any]] = {}         # by call, what its outcome lies in
        self.about, self.capacity = about, capacity
        self.jobs: collections.deque[Job] = collections.deque()
        self.running: dict[int, Job] = {}            # begun or to begin, by call
        self.reports: list[list[Any]] = []           # outcomes that wait to leave together
        self.since = 0.0                             # when the first of them came about
        self.kept: dict[int, bytes] = {}             # by call, the items of the REPORT in which its outcome was told
        self.waits: dict[int, Union[str, Job]] = {}  # by SP id, what was asked
        self.replica, self.session, self.taken, self.attach = "", 0, 0, 0
        self.report_head = self.poll_head = self.control = b""
        self.attached = self.stopping = self.stop_asked = False
        self.polled = -1                             # capacity of the newest POLL that has no answer
        self.refusal: Optional[list[Any]] = None
        self.heard, self.limit = 0.0, c.MESSAGE_BYTES
        self.records = 3                             # in the newest message: ACK, ACK, WORK

    # ---- the connection

    def connected(self) -> None:
        """A connection stands: ATTACH is to be sent."""
        self.lost()
        self.attach += 1
        self.refusal = None
        self._ask("attach", self.packer.pack([c.ATTACH, {
            **self.about, "pid": os.getpid(), "attach": self.attach, "capacity": self.capacity, "proto": c.PROTO,
            "running": list(self.running), "done": [*self.kept, *(r[0] for r in self.reports)]}]))

    def lost(self) -> None:
        """Every POLL is given up; what was not acknowledged is told again."""
        self.out.clear()
        self.waits.clear()
        self.attached, self.polled, self.session, self.taken = False, -1, 0, 0
        for job in self.running.values():
            job.flying = 0

    def is_silent(self, now: float) -> bool:
        """The hub answers everything within 25 s; later it is not there."""
        return bool(self.waits) and now > self.heard + (SILENCE if self.attached else 5.0)

    def _ask(self, what: Union[str, Job], record: bytes) -> None:
        self.waits[self._frame(record)] = what

    def _welcome(self, about: dict[str, Any]) -> None:
        self.replica, self.session, self.attached = about["replica"], about["session"], True
        self.limit = about.get("limits", {}).get("message_bytes", self.limit)
        pack = self.packer.pack
        tail = pack(self.replica) + pack(self.session)
        self.report_head, self.poll_head = b"\x94" + pack(c.REPORT) + tail, b"\x95" + pack(c.POLL) + tail
        for told in dict.fromkeys(self.kept.values()):
            self._ask("report", self.report_head + told)
        for job in self.running.values():
            self.send_items(job)
        self.control = b"\x93" + pack(c.CONTROL) + tail
        self._ask("control", self.control)

    # ---- outcomes

    def end(self, job: Job, kind: int, payload: Any) -> None:
        """A call has its outcome; flush() tells it."""
        if not self.reports:
            self.since = time.monotonic()
        self.reports.append([job.call, kind, payload])
        self.running.pop(job.call, None)

    def _told(self) -> bytes:
        """REPORT of what waits; it is kept until ACK names it."""
        reports, self.reports = self.reports, []
        with self:
            try:
                items: bytes = self.packer.pack(reports)
                if len(items) > self.limit - 256:
                    items = self._one_by_one(reports)
            except Exception:                        # one of them cannot be packed
                items = self._one_by_one(reports)
        for report in reports:
            self.kept[report[0]] = items
        self._lend(reports[0][0])
        return self.report_head + items

    def _lend(self, call: int) -> None:
        """What was packed lies in shared memory until the caller has it: buffers wait for him, frames for ACK."""
        if self.in_memory:
            self.lent.setdefault(call, []).extend(thing for thing in self.take_memory() if not thing.leave())

    def _one_by_one(self, reports: list[list[Any]]) -> bytes:
        """What cannot be sent becomes an error; several messages when one is not enough: the first of them now."""
        parts: list[bytes] = []
        size = 0
        for n, report in enumerate(reports):
            try:
                part = self.packer.pack(report)
                if len(part) > self.limit - 256:
                    raise TypeError(f"the value of {report[0]}: {_values.too_large(len(part), self.limit)}")
            except Exception:
                try:
                    self.packer.pack(report[2])
                    error, code = TypeError(_values.too_large(len(part), self.limit)), 8
                except Exception:
                    error, code = _values.explain(report[2], "the value it returned"), 2
                part = self.packer.pack([report[0], c.KIND_ERROR, [code, c.BEGAN_YES, str(error), {"type": "TypeError"}]])
            if size + len(part) > self.limit - 256:
                self.reports = reports[n:]
                break
            parts.append(part)
            size += len(part)
        del reports[len(parts):]
        return array(parts)

    def flush(self, poll: bool) -> None:
        """Tell outcomes, and ask for work when there is room for more than was asked for."""
        if not self.attached:
            return
        while len(self.reports) > c.REPORT_ITEMS_MAX:
            self.reports, rest = self.reports[:c.REPORT_ITEMS_MAX], self.reports[c.REPORT_ITEMS_MAX:]
            self._ask("report", self._told())
            self.reports += rest
        record = self._told() if self.reports else b""
        while self.reports:
            self._ask("report", record)
            record = self._told()
        free = 0 if self.stopping or len(self.kept) >= KEPT else self.capacity - len(self.running)
        if self.capacity == 1 and free == 1:
            free = CROWD
        if poll and (free > self.polled or (self.stopping and self.polled > 0)):
            self.polled = free
            if self.stopping and record:             # its ACK must not wait behind a POLL that is parked
                self._ask("report", record)
                record = b""
            tail = self.packer.pack(self.taken) + self.packer.pack(free)
            self._ask("stop" if self.stopping else "poll", record + self.poll_head + tail)
        elif record:
            self._ask("report", record)

    def is_over(self) -> bool:
        """It stops, and the hub knows everything."""
        return self.stopping and self.attached and not (self.running or self.reports or
                                                        any(w in ("poll", "report") for w in self.waits.values()))

    # ---- items and progress

    def give(self, job: Job, value: Any) -> None:
        """One item more of a call; raises TypeError for what cannot be sent."""
        try:
            with self:
                item = self.packer.pack(value)
        except Exception:
            raise _values.explain(value, "an item that it yielded") from None
        self._lend(job.call)
        if len(item) > self.limit - 256:
            raise TypeError(_values.too_large(len(item), self.limit))
        job.items.append(item)
        job.size += len(item)

    def send_items(self, job: Job) -> None:
        """Unless some are on their way: their ACK, which comes when there is room for more, sends the next."""
        if not self.attached or job.flying or not job.items:
            return
        size, parts = 0, list[bytes]()
        for item in job.items[:c.REPORT_ITEMS_MAX]:
            if parts and size + len(item) > self.limit - 512:
                break
            parts.append(item)
            size += len(item)
        job.flying = len(parts)
        payload = b"\x92" + self.packer.pack(job.first) + array(parts)
        self._ask(job, self.report_head + b"\x91\x93" + self.packer.pack(job.call) + b"\x02" + payload)

    def tell_progress(self, job: Job, payload: Any) -> None:
        """Never waits: while one is on its way the newest is remembered."""
        job.progress = payload
        if self.attached and "progress" not in self.waits.values():
            job.progress = None
            self._ask("progress", self.report_head + self.packer.pack([[job.call, c.KIND_PROGRESS, payload]]))

    # ---- answers

    def answer(self, number: int, body: bytes) -> bool:
        """True unless the connection is no good."""
        self.heard = time.monotonic()
        what = self.waits.pop(number, None)
        with self:
            try:
                records = self._unpacked(body)
            except (ValueError, TypeError, ImportError):     # of one call: the others have nothing to do with it
                records, at = [], 0
                while at < len(body):
                    record, at = _values.unpack_parts(body, False, at)
                    records.append(record)
        return all([self._take(record, what) for record in records])

    def _unpacked(self, body: bytes) -> list[Any]:
        """Its records. As many as in the message before are unpacked in one go, in a third of the time."""
        odd = 0xFF in body and _values.has_nanoseconds(body)
        if not odd and self.records < 16:
            try:
                found: list[Any] = msgpack.unpackb(bytes((0x90 | self.records,)) + body, ext_hook=_values.ext,
                                                   strict_map_key=False, timestamp=3)
                return found
            except ValueError:
                pass
        unpacker = msgpack.Unpacker(ext_hook=_values.ext, strict_map_key=False, timestamp=0 if odd else 3, max_buffer_size=0)
        unpacker.feed(body)
        found = [_values.exact(record) if odd else record for record in unpacker]
        self.records = len(found)
        return found

    def _take(self, record: list[Any], what: Union[str, Job, None]) -> bool:
        op = record[0]
        if op == c.ACK:
            if type(record[1]) is list:
                for call in record[1]:
                    self.kept.pop(call, None)
                    self.lent.pop(call, None)
            if isinstance(what, Job):
                self._acked(what)
        elif what is None:
            return True                              # of an earlier session
        elif op == c.WORK:
            if what == "poll" and "poll" not in self.waits.values():
                self.polled = -1
            if record[1] > self.taken and record[2]:
                self.taken = record[1]
                for work in record[2]:
                    job = Job(*work)
                    if job.call not in self.running and job.call not in self.kept:
                        self.running[job.call] = job
                        self.jobs.append(job)
        elif op == c.WELCOME:
            self._welcome(record[1])
        elif op == c.COMMAND:
            self.stop_asked |= record[1] == "stop"
            if record[1] == "cancel" and record[2].get("call") in self.running:
                self.running[record[2]["call"]].cancelled = True
            self._ask("control", self.control)
        elif op == c.PENDING and isinstance(what, Job):
            self._ask(what, self.report_head + self.packer.pack([[what.call, 2, [what.first + what.flying, []]]]))
        elif op == c.ERROR:
            if what == "attach":
                self.refusal = record[2:]
            return False                             # another broker, or it lost us: attach again
        if what == "progress":
            for job in self.running.values():
                if job.progress is not None:
                    self.tell_progress(job, job.progress)
                    break
        return True

    def _acked(self, job: Job) -> None:
        gone, job.flying = job.flying, 0
        job.size -= sum(map(len, job.items[:gone]))
        del job.items[:gone]
        job.first += gone
        self.send_items(job)

def array(parts: list[bytes]) -> bytes:
    return (bytes([0x90 | len(parts)]) if len(parts) < 16 else b"\xdc" + len(parts).to_bytes(2, "big")) + b"".join(parts)
