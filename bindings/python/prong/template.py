"""Warm start: a template imports what `preload` of its worker names, and forks each member of it. Workers of
this package do so by themselves, any other program by a call of serve(). See broker/spawn/template.h."""
from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import signal
import socket
import struct
import sys
import traceback

_HEAD = struct.Struct("=QIIII")  # struct template_request: id, argc, envc, step, text_bytes

def serve() -> None:
    """Return in processes that may go on: at once in one that is no template, else in its members only."""
    if "PRONG_TEMPLATE" not in os.environ:
        return
    link = socket.socket(fileno=int(os.environ.pop("PRONG_TEMPLATE")))
    libc, failure = ctypes.CDLL(None), ""
    for name in filter(None, os.environ.get("PRONG_PRELOAD", "").split(",")):
        try:
            importlib.import_module(name)
        except BaseException as error:
            traceback.print_exc()
            failure = failure or f"cannot import {name}: {str(error) or repr(error)}"
    libc.prctl(15, b"template")  # PR_SET_NAME
    gc.collect()
    gc.freeze()  # what the collector does not touch stays shared
    while True:
        data, fds, _, _ = socket.recv_fds(link, 256 * 1024, 3, socket.MSG_CMSG_CLOEXEC)
        if len(fds) < 3:
            os._exit(0)  # nobody wants a template any more
        birth, step = socket.socket(fileno=fds[0]), _HEAD.unpack_from(data)[3]
        why = failure or _threads()
        if why:
            _refuse(birth, step, why)
            if failure:
                os._exit(1)  # the hub tells the others who wait; the next one gets another template
        elif _fork(birth, step, libc):
            try:
                _become(data, fds, libc)
            except BaseException as error:
                _refuse(birth, step, error)
                os._exit(1)
            link.close()
            return birth.close()  # so the hub sees that it runs
        for fd in birth.detach(), *fds[1:]:
            os.close(fd)

def _threads() -> str:
    """Which threads there are beside this one; those that have just ended are waited for a moment."""
    for _ in range(20):
        others = [tid for tid in os.listdir("/proc/self/task") if tid != str(os.getpid())]
        if not others:
            return ""
        signal.sigtimedwait((), 0.01)
    import threading
    names = {str(thread.native_id): thread.name for thread in threading.enumerate()}
    for tid in set(others) - set(names):
        with open(f"/proc/self/task/{tid}/comm", encoding="utf-8", errors="replace") as file:
            names[tid] = file.read().strip()
    text = f"it has threads, and cannot be forked: {', '.join(names[tid] for tid in others)}"
    print(f"<3>{text}. What starts them belongs into setup().", file=sys.stderr, flush=True)
    return text

def _refuse(birth: socket.socket, step: int, why: str | BaseException) -> None:
    number = getattr(why, "errno", None) or 0
    with contextlib.suppress(OSError):  # nobody may wait for it any more
        birth.send(struct.pack("=ii", step, number) + str(why).encode("ascii", "replace")[:95])

def _fork(birth: socket.socket, step: int, libc: ctypes.CDLL) -> bool:
    """Fork a grandchild, which becomes a child of the hub. True in it, once the hub lets it go on."""
    template, hub = os.getpid(), os.getppid()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        middle = os.fork()
        if middle:
            with contextlib.suppress(ChildProcessError):  # a program may ignore SIGCHLD
                os.waitpid(middle, 0)
            return False
        middle = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == middle:
            os.sched_yield()
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() == hub and birth.send(bytes(8)) and birth.recv(1):
            return True
    except BaseException as error:
        _refuse(birth, step, error)
    if os.getpid() != template:
        os._exit(1)
    return False

def _become(data: bytes, fds: list[int], libc: ctypes.CDLL) -> None:
    """Be as if exec'ed for this member: session, descriptors, environment, folder, arguments."""
    number, argc, envc, _, _ = _HEAD.unpack_from(data)
    texts = data[_HEAD.size:].split(b"\0")
    os.setsid()
    for fd, target in (fds[1], 0), (fds[2], 1), (fds[2], 2):
        os.dup2(fd, target)
    os.close(fds[1])
    os.close(fds[2])
    libc.getenv.restype = ctypes.c_void_p  # the memory that /proc/PID/environ shows
    ctypes.memmove(libc.getenv(b"PRONG_INCARNATION"), b"%020d" % number, 20)
    os.environb.clear()
    pairs = (text.partition(b"=") for text in texts[1 + argc:1 + argc + envc])
    os.environb.update({name: value for name, _, value in pairs})
    os.chdir(texts[0] or b".")
    sys.argv[1:] = map(os.fsdecode, texts[2 + argc - len(sys.argv):1 + argc])
    libc.prctl(15, b"%b/%b" % (os.environb[b"PRONG_WORKER"], os.environb[b"PRONG_REPLICA"]))
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()  # Python's own does so by itself
