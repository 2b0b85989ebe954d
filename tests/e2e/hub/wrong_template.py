"""Templates that do not do what is asked: wrong_template.py HOW."""
import os
import signal
import socket
import sys

LINK = socket.socket(fileno=int(os.environ["PRONG_TEMPLATE"]))


def request():
    """The pair of a birth."""
    fds = socket.recv_fds(LINK, 1 << 18, 3)[1]
    return socket.socket(fileno=fds[0])


def itself():
    """It says that it is the member."""
    request().send(bytes(8))


def child():
    """The member stays its child."""
    birth = request()
    if os.fork() == 0:
        birth.send(bytes(8))


def stranger():
    """Another child of the hub is named; the kernel lets nobody but root do that."""
    birth = request()
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                found = file.read() == "prong-broker\n" and os.getpgid(pid) == pid and parent(pid) == os.getppid()
        except OSError:
            continue
        if found:
            credentials = pid.to_bytes(4, sys.byteorder) + os.getuid().to_bytes(4, sys.byteorder) * 2
            birth.sendmsg([bytes(8)], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])


def parent(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def junk():
    """It answers with what is no answer."""
    request().send(b"junk")


def silent():
    """It takes the request, and closes the pair."""
    request().close()


def deaf():
    """It wants no requests."""
    LINK.close()


def binary():
    """Its reason is no text."""
    request().send(bytes([1, 0, 0, 0, 0, 0, 0, 0]) + b"\xff\x1b[2J\n" * 30)


if __name__ == "__main__":
    KEPT = globals()[sys.argv[1]]()
    while True:
        signal.pause()
