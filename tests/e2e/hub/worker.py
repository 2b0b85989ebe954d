"""The worker of these tests. Every method that has to wait waits for the test: it connects to the socket
PRONG_TEST_MEET, says who it is, and goes on when the test answers or hangs up.

    worker.py [MODE...]   wait: meet the test before attaching; exit: end at once with 1;
                          die: end with 3 after attaching"""
import os
import signal
import socket
import struct
import sys

import msgpack


def meet(what):
    """True when the test said so, False when it hung up."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.environ["PRONG_TEST_MEET"])
        s.sendall(msgpack.packb([what, os.getpid()]))
        return s.recv(1) == b"y"


def daemon():
    """A grandchild that has left the session, the group and the descriptors of this process."""
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(r)
            null = os.open("/dev/null", os.O_RDWR)
            for fd in 0, 1, 2:
                os.dup2(null, fd)
            for name in signal.SIGTERM, signal.SIGHUP, signal.SIGINT:
                signal.signal(name, signal.SIG_IGN)
            os.write(w, b"%d" % os.getpid())
            os.closerange(3, 256)
            while True:
                signal.pause()
        os._exit(0)
    os.wait()
    os.close(w)
    pid = int(os.read(r, 16))
    os.close(r)
    return pid


def hold_deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return meet("hold")


def write(lines, size=100, first=0):
    for n in range(first, first + lines):
        sys.stdout.write(f"line {n:08} {'x' * (size - 14)}\n")
    sys.stdout.flush()
    return lines


def fail(text="no"):
    raise ValueError(text)


METHODS = {
    "echo": ("idempotent", lambda *a, **k: k or list(a)),
    "fail": ("once", fail),
    "pid": ("idempotent", os.getpid),
    "hold": ("once", lambda what="hold": meet(what)),
    "hold_again": ("idempotent", lambda what="hold": meet(what)),
    "hold_deaf": ("once", hold_deaf),
    "end": ("once", lambda code=1: os._exit(code)),
    "daemon": ("once", daemon),
    "write": ("once", write),
    "environment": ("idempotent", lambda name: os.environ.get(name)),
    "big": ("idempotent", lambda size: b"b" * size),
}


class Hub:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ["PRONG_URL"].removeprefix("ipc://"))
        self.socket.sendall(b"\0SP\0\0\x30\0\0")
        self.stream = self.socket.makefile("rb")
        self.request = 0x80000000
        if self.stream.read(8) != b"\0SP\0\0\x31\0\0":
            raise ConnectionError

    def ask(self, *records):
        self.request += 1
        body = struct.pack(">I", self.request) + b"".join(map(msgpack.packb, records))
        self.socket.sendall(struct.pack(">BQ", 1, len(body)) + body)
        head = self.stream.read(9)
        if len(head) < 9:
            raise ConnectionError
        answer = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
        answer.feed(self.stream.read(struct.unpack(">xQ", head)[0])[4:])
        return list(answer)


def run(item):
    number, method, _ttl, _caller, _options, args = item
    function = METHODS[method][1]
    try:
        return [number, 0, function(**args) if isinstance(args, dict) else function(*args)]
    except Exception as error:
        return [number, 1, [3, 2, str(error), {"type": type(error).__name__, "k": 5}]]


def serve(state):
    """One connection, until it breaks. Reports that were not acknowledged are told again on the next."""
    hub = Hub()
    state["attach"] += 1
    answer = hub.ask([16, {"token": os.environ["PRONG_TOKEN"], "worker": os.environ["PRONG_WORKER"],
                           "pid": os.getpid(), "attach": state["attach"], "capacity": 1, "running": [],
                           "done": list(state["kept"]), "proto": 1,
                           "methods": {m: {"policy": p} for m, (p, _) in METHODS.items()}}])[0]
    if answer[0] != 65:
        sys.exit(f"not attached: {answer}")
    replica, session, taken = answer[1]["replica"], answer[1]["session"], 0
    reports = list(state["kept"].values())
    while True:
        work = None
        for reply in hub.ask([18, replica, session, reports], [17, replica, session, taken, 1]):
            if reply[0] == 70 and isinstance(reply[1], list):
                for number in reply[1]:
                    state["kept"].pop(number, None)
            elif reply[0] == 69:
                raise ConnectionError
            elif reply[0] == 81 and reply[2]:
                work = reply
        reports = []
        if work:
            taken = work[1]
            for item in work[2]:
                reports.append(run(item))
                state["kept"][item[0]] = reports[-1]


def main():
    if "exit" in sys.argv:
        sys.exit(1)
    if "wait" in sys.argv and not meet("start"):
        sys.exit(1)
    state = {"attach": 0, "kept": {}}
    while True:
        try:
            serve(state)
        except OSError:
            # The broker is being started anew. Its socket is renamed into place, so looking again soon is
            # all there is to do; the test waits for what follows, not for this.
            signal.sigtimedwait({signal.SIGUSR1}, 0.01)


if __name__ == "__main__":
    main()
