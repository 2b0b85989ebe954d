"""What faults.py brings a hub through."""
import collections
import json
import os
import re
import signal
import socket
import sys

from fault_case import ROLES, SECONDS, Ended
from fault_limits import LIMITS
import kit

DEAF = """
  deaf: {command: [sh, -c, "trap '' TERM; setsid sleep 60 & while :; do sleep 60; done"], ready: started, pids_max: 99}
"""
WARM = f"""
  warm:
    command: [{json.dumps(sys.executable)}, {json.dumps(os.path.join(kit.HERE, "warm.py"))}]
    preload: [decimal]
    autostart: false
    stdin: pipe
    cpu_affinity: ["0"]
    pids_max: 99
    restart_delay: 10ms
    max_restart_delay: 50ms
    max_restarts: 20
"""
Scenario = collections.namedtuple("Scenario", "name phases run end_codes codes roles")


def is_pending(pid, number):
    """Whether a process has not read this signal yet: two of them would be one."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            return bool(int(re.search(r"ShdPnd:\s+([0-9a-f]+)", file.read())[1], 16) >> (number - 1) & 1)
    except (OSError, TypeError):
        return False             # it is gone


def live(case):
    """From start to stop, with a death of everything that may die on the way."""
    case.phase("start")
    case.start()
    case.wait_news(b"READY=1")
    worker = case.serve()
    case.phase("death")
    case.ask("one", "offspring", 2)
    os.kill(worker, signal.SIGKILL)
    worker = case.serve(worker)
    case.phase("restart")
    case.ask("hub", "restart", worker="one")
    worker = case.serve(worker)
    case.phase("broker")
    broker = case.broker()
    os.kill(broker, signal.SIGKILL)
    case.until(lambda: case.broker() != broker, "the next broker")
    case.serve()
    case.forget_news()
    case.process.send_signal(signal.SIGHUP)
    for news in b"RELOADING=1", b"READY=1", b"WATCHDOG=1":
        case.wait_news(news)
    case.serve()
    case.check_descriptors()
    case.phase("stop")
    case.forget_news()
    case.process.terminate()
    case.wait_news(b"STOPPING=1")
    return case.wait_end()


def limits(case):
    """Workers with limits start, die and are stopped."""
    case.counting = False
    case.phase("start")
    case.start(LIMITS)
    case.counting = True
    case.phase("limits")
    for name in ("bound", "loose"):
        case.ask("hub", "start", worker=name)
    pids = case.serve_limited()
    case.phase("limits again")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    case.serve_limited(pids)
    case.check_descriptors()
    case.phase("limits end")
    case.process.terminate()
    return case.wait_end()


def warm(case):
    """A worker whose process is forked by a template starts; it dies, its template dies, the broker dies."""
    def serve(other_than=None):
        return case.until(lambda: (pid := case.ask("warm", "pid")) != other_than and pid, "another process")

    case.counting = False
    case.phase("start")
    case.start(WARM)
    case.counting = True
    case.phase("warm")
    case.ask("hub", "start", worker="warm")
    pid = serve()
    case.phase("warm again")
    os.kill(pid, signal.SIGKILL)
    pid = serve(pid)
    for child in kit.children(kit.children(case.process.pid)[0]):
        if kit.comm(child) == "template":
            os.kill(child, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    serve(pid)
    broker = case.broker()
    os.kill(broker, signal.SIGKILL)
    case.until(lambda: case.broker() != broker, "the next broker")
    case.ask("hub", "start", worker="warm")  # one that lives has stayed
    pid = serve()
    os.kill(pid, signal.SIGKILL)
    serve(pid)
    case.check_descriptors()
    case.phase("warm end")
    case.process.terminate()
    return case.wait_end()


def force(case):
    """Three times SIGTERM to a hub with a deaf worker and daemons."""
    case.counting = False
    case.phase("start")
    case.start(DEAF)
    case.ask("one", "offspring", 3)
    case.counting = True
    case.phase("force")
    try:
        for _ in range(3):
            case.process.terminate()
            case.until(lambda: not is_pending(case.process.pid, signal.SIGTERM), "the signal is read")
    except Ended:
        pass                     # a deaf worker may have been killed by its stop_timeout meanwhile
    return case.wait_end()


def lose_keeper(case):
    """The keeper is killed: the spawner ends everything."""
    case.counting = False
    case.phase("start")
    case.start(DEAF)
    case.ask("one", "offspring", 3)
    case.counting = True
    case.phase("keeper killed")
    case.process.kill()
    return case.wait_end()


def lose_spawner(case):
    """The spawner is killed: the keeper ends everything."""
    case.counting = False
    case.phase("start")
    case.start(DEAF)
    case.ask("one", "offspring", 3)
    case.counting = True
    case.phase("spawner killed")
    os.kill(kit.children(case.process.pid)[0], signal.SIGKILL)
    return case.wait_end()


def come_again(case):
    """A hub with a closed stdin, in the folder that a dead one has left."""
    case.phase("start again")
    os.makedirs(case.run_dir, 0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(os.path.join(case.run_dir, "hub.sock"))
    case.start(preexec_fn=lambda: os.close(0))
    case.counting = False
    case.phase("start again")
    case.process.terminate()
    return case.wait_end()


def come_second(case):
    """A second hub in the same folder gives way, and the first one notices nothing."""
    case.phase("start second")
    case.start(faulty=False)
    second = case.prongd()
    try:
        code = second.wait(SECONDS)
    finally:
        second.kill()
        second.wait()
    case.serve()
    case.process.terminate()
    if case.wait_end() != 0:
        raise AssertionError("the first hub has suffered")
    return code


SCENARIOS = [
    Scenario("life", ("start", "death", "restart", "broker", "stop"), live, {0}, set(), ROLES),
    Scenario("limits", ("start", "limits", "limits again", "limits end"), limits, {0}, set(), ("spawner", "child")),
    Scenario("warm", ("start", "warm", "warm again", "warm end"), warm, {0}, set(), ("spawner", "child")),
    Scenario("force", ("start", "force"), force, {0}, set(), ("keeper", "spawner")),
    Scenario("keeper", ("start", "keeper killed"), lose_keeper, {-signal.SIGKILL}, set(), ("spawner",)),
    Scenario("spawner", ("start", "spawner killed"), lose_spawner, {70}, set(), ("keeper",)),
    Scenario("again", ("start again",), come_again, {0}, set(), ("keeper",)),
    Scenario("second", ("start second",), come_second, {75}, set(), ("keeper",)),
]
