"""worker.py whose processes may be forked by a template, and which tells what such a process is."""
import os
import sys

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "bindings", "python"))
import prong.template  # noqa: E402
import worker  # noqa: E402


def status(field):
    with open("/proc/self/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file)[field]


def shown(name):
    """A variable as /proc has it."""
    with open("/proc/self/environ", "rb") as file:
        return dict(entry.partition("=")[::2] for entry in file.read().decode().split("\0")).get(name)


def about():
    heavy = sys.modules.get("heavy")
    return {"argv": sys.argv[1:], "folder": os.getcwd(), "session": os.getsid(0), "group": os.getpgid(0),
            "parent": os.getppid(), "comm": status("Name"), "ignores": int(status("SigIgn"), 16),
            "blocks": int(status("SigBlk"), 16), "imported_by": heavy and heavy.PID,
            "incarnation": os.environ["PRONG_INCARNATION"], "shown": shown("PRONG_INCARNATION"),
            "token": shown("PRONG_TOKEN"), "replica": os.environ["PRONG_REPLICA"], "number": os.environ.get("NUMBER"),
            "threads": os.environ.get("OPENBLAS_NUM_THREADS"), "cpus": sorted(os.sched_getaffinity(0)),
            "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))}


worker.METHODS["about"] = ("idempotent", about)
worker.METHODS["read"] = ("once", lambda: sys.stdin.readline())

worker.METHODS["draw"] = ("once", lambda: int(sys.modules["numpy"].random.randint(1 << 30)))

if __name__ == "__main__":
    prong.template.serve()
    worker.main()
