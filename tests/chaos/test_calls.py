"""Eight clients call while the four replicas of their worker are killed with -9 again and again; what clients
and workers wrote down is judged when all is over (checker.py).

PRONG_CHAOS_CALLS (5000) and PRONG_CHAOS_SEED (1) say how many calls, and which kills."""
import contextlib
import os
import random
import select
import signal
import sys
import time

import chaos
import checker
import kit

BROKER_KILLS = 8                                           # a hub gives up at more than ten in a minute
CALLERS, REPLICAS, AT_A_TIME, TIMEOUT_MS = 8, 4, 32, 20000 * kit.SLOW
WORKER = """worker:
  command: [%s]
  replicas: %d
  restart_delay: 5ms
  max_restart_delay: 20ms
  max_restarts: 1000
  restart_window: 1s
  environment: {PRONG_CHAOS_HISTORY: %s}
"""


class Calls(chaos.Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(chaos.SEED)
        self.history = os.path.join(self.dir, "history")

    def kill(self, pid, replica):
        """It is written down before, so that what follows from it comes later."""
        fd = os.open(self.history, os.O_WRONLY | os.O_APPEND)
        os.write(fd, checker.RECORD.pack(0, time.monotonic_ns(), checker.KILL, pid, 0, 0, replica, 0))
        os.close(fd)
        os.kill(pid, signal.SIGKILL)

    def kill_one(self, hub, is_brokers_turn):
        names = [(pid, kit.comm(pid)) for pid in kit.children(hub.spawner)]
        found = [(pid, int(name[7:])) for pid, name in names if name.startswith("worker/")]
        if is_brokers_turn:
            found = [(pid, checker.BROKER) for pid, name in names if name == "prong-broker"]
        if found:
            self.kill(*self.random.choice(found))

    def kill_until(self, hub, callers, broker_kills):
        """10 to 60 ms apart, as long as any of them runs; the broker is every fourth."""
        pidfds, kills = [os.pidfd_open(caller.pid) for caller in callers], 0
        try:
            while pidfds:
                ready = select.select(pidfds, [], [], self.random.uniform(0.01, 0.06))[0]
                for fd in ready:
                    pidfds.remove(fd)
                    os.close(fd)
                if pidfds and not ready:
                    kills += 1
                    with contextlib.suppress(OSError):         # one that ended while it was looked at
                        self.kill_one(hub, kills % 4 == 0 and kills // 4 <= broker_kills)
        finally:
            for fd in pidfds:
                os.close(fd)

    def call_and_kill(self, broker_kills):
        """The verdict, what was written down, and how often replicas were started again."""
        hub = self.hub(WORKER % (chaos.program("worker"), REPLICAS, self.history))
        begin = time.monotonic()
        each = -(-chaos.CALLS // CALLERS)
        callers = [self.start(chaos.program("caller"), hub.url, self.history, str(n), str(each), str(AT_A_TIME),
                              str(TIMEOUT_MS)) for n in range(CALLERS)]
        self.kill_until(hub, callers, broker_kills)
        seconds = time.monotonic() - begin
        self.assertEqual([caller.wait() for caller in callers], [0] * CALLERS)
        restarts = sum(r["restarts"] for r in hub.status()["workers"]["worker"]["replicas"])
        hub.stop()
        records = checker.read(self.history)
        verdict = checker.check_calls(records, TIMEOUT_MS)
        print(f"seed {chaos.SEED}: {checker.summary(verdict, seconds)}", file=sys.stderr)
        self.judge(verdict)
        self.assertEqual(verdict.counts["calls"], each * CALLERS)
        self.assertGreater(verdict.counts["kills"], 0)
        return verdict, records, restarts

    def test_none_is_lost_doubled_or_misjudged_while_workers_are_killed(self):
        _, records, restarts = self.call_and_kill(0)
        # Nobody died who was not killed; the last ones may not have been started again yet.
        killed = {(r.pid, r.replica) for r in records if r.kind == checker.KILL}
        self.assertIn(len(killed) - restarts, range(REPLICAS + 1), "restarts that no kill explains")

    def test_none_is_lost_doubled_or_misjudged_while_the_broker_is_killed_too(self):
        verdict, _, _ = self.call_and_kill(BROKER_KILLS)
        self.assertGreater(verdict.counts["broker kills"], 0)


if __name__ == "__main__":
    kit.main()
