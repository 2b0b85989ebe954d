"""One hub for faults.py, with at most one fault: how it is started, brought through its life and judged."""
import collections
import errno
import itertools
import mmap
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "hub"))
import fault_limits  # noqa: E402
import kit  # noqa: E402

PRONGD = os.path.join(kit.BIN, "prongd")
LIBRARY = os.path.join(kit.TEST_BIN, "spawn_faults.so")
WORKER = os.path.join(kit.TEST_BIN, "spawn_family_worker")
SECONDS = 20                     # for a whole case; without a fault it takes a fifth of one
CRIPPLED_SECONDS = 8             # for one with a call that fails for ever, which mostly is in vain
STOP_SECONDS = 6                 # for a crippled hub, after each SIGTERM; hub.stop_timeout is 3 s
ROLES = ("keeper", "spawner", "child")
FOREVER = 0xFFFFFFFF

# The documented codes that a failing call may bring about. 64 and 78 are for what the user wrote.
EXIT_CODES = {69, 70, 71, 73, 77}
# What the system is short of for a while: a worker is not given up for one such failure.
PASSING = {errno.EAGAIN, errno.ENOMEM, errno.ETXTBSY, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EINTR, errno.EBUSY}

PAGE = struct.Struct("=8I")      # as far as the test writes: phase to error
FUNCTIONS_MAX, NAME_BYTES, COUNTS_AT = 64, 24, 40
NAMES_AT = COUNTS_AT + 4 * FUNCTIONS_MAX * len(ROLES)
PAGE_BYTES = NAMES_AT + FUNCTIONS_MAX * NAME_BYTES

CONFIG = f"""
hub:
  stop_timeout: 3s
workers:
  one:
    command: [{WORKER}]
    working_dir: .
    restart_delay: 10ms
    max_restart_delay: 50ms
    max_restarts: 20
    stop_timeout: 1s
"""


Wish = collections.namedtuple("Wish", "role function first times mode error text")
Outcome = collections.namedtuple("Outcome", "what phase problem log reason")


class Ended(Exception):
    """prongd has ended by itself."""


class Told(Exception):
    """The worker was given up, with a reason."""


class Case:
    """One hub in a folder of its own, with at most one fault."""

    def __init__(self, scenario, wish=None, baseline=None):
        self.scenario, self.wish, self.baseline = scenario, wish, baseline
        self.dir = tempfile.mkdtemp(prefix="prf")
        self.run_dir = os.path.join(self.dir, "run", "hub")
        self.url = f"ipc://{self.run_dir}/hub.sock"
        is_forever = wish is not None and wish.times == FOREVER
        self.end = time.monotonic() + (CRIPPLED_SECONDS if is_forever else SECONDS)
        self.process = None
        self.shared_fds = None
        with open(os.path.join(self.dir, "page"), "w+b") as file:
            file.truncate(PAGE_BYTES)
            self.page = mmap.mmap(file.fileno(), PAGE_BYTES)
        self.counting = True
        self.write_page(0)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(os.path.join(self.dir, "notify"))

    def write_page(self, phase):
        wish = self.wish
        number = 0 if wish is None else FUNCTION_NUMBERS[wish.function]
        fault = (0, 0, 0, 0, 0, 0) if wish is None else (ROLES.index(wish.role), number, wish.first, wish.times,
                                                         wish.mode, wish.error)
        self.page[:PAGE.size] = PAGE.pack(phase, self.counting, *fault)

    def phase(self, name):
        self.write_page(self.scenario.phases.index(name))
        self.now = name

    @property
    def hits(self):
        return struct.unpack_from("=2I", self.page, PAGE.size)

    def counts(self):
        """{(role, function): calls}"""
        found = {}
        for role, name in itertools.product(ROLES, FUNCTION_NUMBERS):
            at = COUNTS_AT + 4 * (ROLES.index(role) * FUNCTIONS_MAX + FUNCTION_NUMBERS[name])
            found[role, name] = struct.unpack_from("=I", self.page, at)[0]
        return found

    # ---- what scenarios do --------------------------------------------------------------------------

    def prongd(self, faulty=True, **more):
        env = {"PATH": os.environ["PATH"], "PRONG_TEST_TAG": self.dir, "LC_ALL": "C",
               "NOTIFY_SOCKET": os.path.join(self.dir, "notify")}
        if self.scenario.name == "life":
            env["WATCHDOG_USEC"] = "40000"
        if faulty:
            env.update(LD_PRELOAD=LIBRARY, PRONG_FAULTS=os.path.join(self.dir, "page"))
        parent = ["--with-parent", str(os.getpid())] if self.scenario.name == "life" else []
        with open(os.path.join(self.dir, "log"), "ab") as log:
            return subprocess.Popen(
                [PRONGD, "--config", "prong.yaml", "--runtime-dir", "run", "--name", "hub", *parent], cwd=self.dir,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, env=env, **more)

    def start(self, more="", **options):
        with open(os.path.join(self.dir, "prong.yaml"), "w", encoding="utf-8") as file:
            file.write(CONFIG + more)
        self.process = self.prongd(**options)
        self.serve()

    def until(self, condition, what):
        while True:
            has_ended = self.process.poll() is not None    # asked first: what it said last has come by then
            found = condition()
            if found:
                return found
            if has_ended:
                raise Ended
            if time.monotonic() > self.end:
                raise AssertionError(f"waited for in vain in {self.now}: {what}")
            select.select([], [], [], 0.002)

    def ask(self, worker, method, /, *args, **named):
        """The value of a call, however often the broker goes away meanwhile."""
        def once():
            try:
                with kit.Client(self.url, seconds=5) as client:
                    return [client.call(worker, method, *args, ttl_ms=3000, **named)]
            except kit.Failure as failure:
                self.look_for_given_up()
                self.last_failure = failure
            except (OSError, kit.Closed):
                pass
            return None
        return self.until(once, f"{worker}.{method}")[0]

    def look_for_given_up(self):
        with kit.Client(self.url, seconds=5) as client:
            workers = client.admin("status")["workers"]
        for worker in workers.values():
            for replica in worker["replicas"]:
                if replica["state"] == "failed":
                    raise Told(replica["reason"])
        return workers

    def wait_news(self, text):
        """What the service manager has to be told, unless it cannot be reached."""
        if self.wish and self.wish.role == "keeper" and self.wish.function in ("socket", "sendto"):
            return
        def came():
            try:
                while text not in self.notify.recv(4096, socket.MSG_DONTWAIT):
                    pass         # other news
                return True
            except BlockingIOError:
                return False
        self.until(came, text)

    def forget_news(self):
        """Take what has come: a full queue of signs of life would turn other news away."""
        try:
            while True:
                self.notify.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass

    def serve(self, other_than=None):
        """The pid of the worker, which has to be another one now."""
        return self.until(lambda: (pid := self.ask("one", "pid")) != other_than and pid, "another worker")

    def serve_limited(self, other_than=(None, None)):
        """The pids of the two workers with limits, which are in force."""
        def found():
            try:
                workers = self.look_for_given_up()
            except (OSError, kit.Closed, kit.Failure):
                return None
            replicas = [workers[name]["replicas"][0] for name in ("bound", "loose")]
            is_new = all(r["state"] == "ready" and r["pid"] not in (0, old) for r, old in zip(replicas, other_than))
            return is_new and [r["pid"] for r in replicas]
        def in_force():
            try:
                for pid in pids:
                    fault_limits.check(pid, is_loose=pid == pids[1])
            except AssertionError:
                if not is_early:
                    raise
                return False
            return True
        pids = self.until(found, "the workers with limits")
        # A pipe that seems to have ended says that the program runs, although it may not yet.
        is_early = self.wish and (self.wish.function, self.wish.text) == ("read", "empty")
        self.until(in_force, "limits in force")
        if fault_limits.CGROUP and not fault_limits.cgroup_of(self.process.pid, pids[0]):
            raise AssertionError("a worker runs without the cgroup that it requires")
        can_be_said = not self.wish or self.wish.function not in ("write", "poll")
        is_silent = can_be_said and "loose/0 starts without" not in self.log()
        if is_silent and not fault_limits.cgroup_of(self.process.pid, pids[1]):
            raise AssertionError("a worker runs without its cgroup, and no word of it")
        return pids

    def broker(self):
        def found():
            for spawner in kit.children(self.process.pid):
                for child in kit.children(spawner):
                    if kit.comm(child) == "prong-broker":
                        return child
            return None
        return self.until(lambda: self.quietly(found), "a broker")

    @staticmethod
    def quietly(function):
        try:
            return function()
        except OSError:
            return None

    def descriptors(self):
        spawner = kit.children(self.process.pid)[0]
        return [fd.replace(self.dir, "") for fd in kit.fds(self.process.pid) + kit.fds(spawner)]

    def check_descriptors(self):
        """No more of them than without a fault."""
        def more():
            return list((collections.Counter(self.descriptors()) - collections.Counter(self.baseline)).elements())
        if self.baseline is None:
            self.shared_fds = self.descriptors()
        else:
            try:
                self.until(lambda: not more(), "descriptors")
            except AssertionError as error:
                raise AssertionError(f"descriptors left open: {more()}") from error

    # ---- its end ------------------------------------------------------------------------------------

    def wait_end(self):
        try:
            return self.process.wait(max(0.1, self.end - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"prongd does not end ({self.now})") from error

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def judge_exit(self, code, log):
        """What is wrong with prongd having ended by itself with this code; None if nothing."""
        if not self.wish:
            return f"exit code {code} without a fault"
        if code < 0:
            return f"prongd died of signal {-code}"
        allowed = EXIT_CODES | ({75} if self.wish.function == "flock" else set()) | self.scenario.codes
        if code not in allowed:
            return f"exit code {code}"
        lines = re.findall(r"^(?:\S+ (?:ERROR|WARN) |prongd: ).*", log, re.M)
        # What cannot be said because the saying fails is excused.
        if not lines and self.wish.function not in ("write", "poll"):
            return f"exit code {code} and no word why"
        return None

    def left(self, has_ended):
        """What is left behind: processes, then files of the runtime directory that do not belong there."""
        found = kit.tagged("PRONG_TEST_TAG=" + self.dir)
        alive = kit.wait_gone(found, 3)
        if alive:
            return f"processes are left: {[(pid, found[pid]) for pid in alive]}"
        is_excused = self.wish and self.wish.function in ("unlinkat", "fstatat")
        cgroups = fault_limits.cgroups_of(self.process.pid) if self.process else []
        # Without memory for ever the last sweep cannot read where they are: the next hub removes them.
        has_no_memory = self.wish and self.wish.function == "malloc" and self.wish.times == FOREVER
        if cgroups and not is_excused and not has_no_memory:
            return f"cgroups are left: {cgroups}"
        there = set(os.listdir(self.run_dir)) if os.path.isdir(self.run_dir) else set()
        files = there - {"lock", "secret", "token", "log"}
        if has_ended and self.scenario.name == "again":
            files -= {"hub.sock"}    # that of the dead hub, for the next one to remove
        if files and not is_excused:
            return f"files are left: {sorted(files)}"
        return None

    def end_crippled(self):
        """What is wrong with the end of a hub for which a call fails for ever; None if nothing."""
        code = None
        for _ in range(3):
            self.end = time.monotonic() + STOP_SECONDS
            self.process.terminate()
            try:
                code = self.wait_end()
                break
            except AssertionError:
                continue
        if code is None:
            return "three times SIGTERM do not end it"
        return None if code == 0 else self.judge_exit(code, self.log())

    def run(self):
        what, problem, reason = "served", None, ""
        try:
            code = self.scenario.run(self)
            if code not in self.scenario.end_codes:
                what, problem = f"exit {code}", self.judge_exit(code, self.log())
        except Told as told:
            what, reason = "told", str(told)
            if not re.search(r"could not start: .+: .+|exited with \d+|killed by", str(told)):
                problem = f"a worker was given up without a reason: {told}"
            if self.wish and self.wish.times != FOREVER and self.wish.error in PASSING:
                problem = f"a worker was given up for what passes: {told}"
            self.process.terminate()
            if self.wait_end() != 0:
                problem = "told, but the stop failed"
        except Ended:
            code = self.process.wait()
            what, problem = f"exit {code}", self.judge_exit(code, self.log())
        except (AssertionError, OSError, kit.Closed) as error:
            what, problem = "failed", f"{type(error).__name__}: {error}"
            if self.wish and self.wish.times == FOREVER and self.process.poll() is None:
                what, problem = "crippled", self.end_crippled()
        try:
            problem = problem or self.left(what.startswith("exit"))
            log = self.log()
            if not problem and re.search(r"signal (4|6|7|8|11) ", log):
                problem = "a process crashed"
        finally:
            for pid in kit.tagged("PRONG_TEST_TAG=" + self.dir):
                with_no_error(os.kill, pid, signal.SIGKILL)
            if self.process:
                if self.process.poll() is None:
                    self.process.kill()
                self.process.wait()
                fault_limits.remove_cgroups(self.process.pid)
            self.notify.close()
            shutil.rmtree(self.dir, ignore_errors=True)
        hits, phase = self.hits
        return Outcome(what if hits or not self.wish else "not hit", self.scenario.phases[phase], problem, log,
                       reason)


def with_no_error(function, *arguments):
    try:
        function(*arguments)
    except OSError:
        pass


FUNCTION_NUMBERS = {}


def read_names():
    """The order of the functions is the library's."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(PAGE_BYTES)
        subprocess.run([PRONGD, "--version"], env={"LD_PRELOAD": LIBRARY, "PRONG_FAULTS": file.name}, check=True,
                       stdout=subprocess.DEVNULL)
        page = file.read()
    for i in range(FUNCTIONS_MAX):
        name = page[NAMES_AT + i * NAME_BYTES:][:NAME_BYTES].split(b"\0")[0].decode()
        if name:
            FUNCTION_NUMBERS[name] = i
