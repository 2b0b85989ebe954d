"""Warm start: a template imports what `preload` of its worker names, and forks each member of it.

Workers of this package are templates by themselves; any other program is one as `python3 -m prong.template FILE
ARGS...`, or by a call of serve(). The other half is broker/spawn/template.c."""
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
_TEXT_MAX = 128 * 1024  # SPAWN_TEXT_BYTES_MAX
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


def serve() -> None:
    """Return in processes that may go on: at once in one that is no template, else in its members only."""
    if "PRONG_TEMPLATE" not in os.environ:
        return
    link = socket.socket(fileno=int(os.environ.pop("PRONG_TEMPLATE")))
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    incarnation = libc.getenv(b"PRONG_INCARNATION")  # where /proc/PID/environ has it
    failure = _preload(os.environ.pop("PRONG_PRELOAD", ""))
    libc.prctl(_PR_SET_NAME, b"template")
    gc.collect()
    gc.freeze()  # what the collector does not touch stays shared
    while True:
        try:
            data, fds, _, _ = socket.recv_fds(link, _HEAD.size + _TEXT_MAX, 3, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            os._exit(1)  # after a failure: whoever waits was told, and the next one gets another template
        if len(fds) < 3:
            os._exit(0)
        birth, (number, argc, envc, step, _) = socket.socket(fileno=fds[0]), _HEAD.unpack_from(data)
        why = failure or _threads()
        if why:
            _refuse(birth, step, 0, why)
            link.setblocking(not failure)
        elif _fork(birth, step, libc):
            link.close()
            try:
                ctypes.memmove(incarnation, b"%020d" % number, 20)
                _become([os.fsdecode(text) for text in data[_HEAD.size:].split(b"\0")], argc, envc, fds)
            except OSError as error:
                _refuse(birth, step, error.errno or 0)
                os._exit(1)
            libc.prctl(_PR_SET_NAME, f"{os.environ['PRONG_WORKER']}/{os.environ['PRONG_REPLICA']}".encode())
            return birth.close()  # it runs
        for fd in birth.detach(), *fds[1:]:
            os.close(fd)


def _preload(names: str) -> str:
    for name in filter(None, names.split(",")):
        try:
            importlib.import_module(name)
        except BaseException as error:
            traceback.print_exc()
            return f"cannot import {name}: {error!r}"
    return ""


def _threads() -> str:
    """Which threads there are beside this one; those that have just ended are waited for a moment."""
    import threading
    for _ in range(20):
        others = [tid for tid in os.listdir("/proc/self/task") if tid != str(os.getpid())]
        if not others:
            return ""
        signal.sigtimedwait((), 0.01)
    names = {str(thread.native_id): thread.name for thread in threading.enumerate()}
    for tid in filter(lambda tid: tid not in names, others):
        with open(f"/proc/self/task/{tid}/comm", encoding="utf-8", errors="replace") as file:
            names[tid] = file.read().strip()
    text = f"it has threads, and cannot be forked: {', '.join(names[tid] for tid in others)}"
    print(f"<3>{text}. What starts them belongs into setup().", file=sys.stderr, flush=True)
    return text


def _refuse(birth: socket.socket, step: int, error: int, why: str = "") -> None:
    with contextlib.suppress(OSError):  # nobody may wait for it any more
        birth.send(struct.pack("=ii", step, error) + why.encode("ascii", "replace")[:95])


def _fork(birth: socket.socket, step: int, libc: ctypes.CDLL) -> bool:
    """Fork a grandchild, which becomes a child of the hub. True in it, once the hub lets it go on."""
    template, hub, (get, put) = os.getpid(), os.getppid(), os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        middle = os.fork()
        if middle == 0:
            if os.fork() != 0:
                os._exit(0)
            os.close(put)
            if os.read(get, 1) and os.getppid() == hub:  # its parent was waited for, and the hub has it now
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                birth.send(bytes(8))
                if os.getppid() == hub and birth.recv(1):
                    os.close(get)
                    return True
            os._exit(1)
        with contextlib.suppress(ChildProcessError):  # a program may ignore SIGCHLD
            os.waitpid(middle, 0)
        os.write(put, b".")
    except BaseException as error:
        _refuse(birth, step, getattr(error, "errno", 0) or 0, repr(error))
        if os.getpid() != template:
            os._exit(1)
    os.close(get)
    os.close(put)
    return False


def _become(texts: list[str], argc: int, envc: int, fds: list[int]) -> None:
    """Be as if exec'ed for this member: folder, arguments, environment, session, descriptors."""
    os.setsid()
    for fd, number in (fds[1], 0), (fds[2], 1), (fds[2], 2):
        os.dup2(fd, number)
    for fd in fds[1:]:
        os.close(fd)
    os.environ.clear()
    os.environ.update({name: value for name, _, value in (t.partition("=") for t in texts[1 + argc:1 + argc + envc])})
    os.environ.pop("PRONG_PRELOAD", None)
    if texts[0]:
        os.chdir(texts[0])
    if len(sys.argv) > 1:
        sys.argv[1:] = texts[1:1 + argc][1 - len(sys.argv):]
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()  # Python's own does so by itself


if __name__ == "__main__":
    import runpy
    sys.argv[:] = sys.argv[1:] or sys.exit("usage: python3 -m prong.template FILE [ARGUMENT...]")
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    serve()
    runpy.run_path(sys.argv[0], run_name="__main__")
