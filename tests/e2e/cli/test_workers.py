"""status, start, stop, restart, scale, logs, describe, wait."""
import os
import signal

import hub

PY, W = hub.sys.executable, hub.WORKER


class Workers(hub.Case):
    config = hub.CONFIG + f"""
  beta: {{command: [{PY}, {W}], autostart: false, replicas: 2}}
  bad: {{command: [{PY}, {W}, die, "3"], autostart: false, restart: "no"}}
  slow: {{command: [{PY}, {W}, never], autostart: false}}
"""

    def states(self, worker):
        return [r["state"] for r in self.replicas(worker)]

    def pids(self, worker):
        return [r["pid"] for r in self.replicas(worker)]

    # ---- status -------------------------------------------------------------------------------------

    def test_status_as_json(self):
        found = self.ok("status").json()
        self.assertEqual(sorted(found), ["hub", "workers"])
        self.assertEqual(list(found["workers"]), ["alpha", "beta", "bad", "slow"])
        replica, = found["workers"]["alpha"]["replicas"]
        self.assertEqual((replica["replica"], replica["state"]), ("alpha/0", "ready"))
        os.kill(replica["pid"], 0)
        self.assertEqual(list(self.ok("ps", "alpha").json()["workers"]), ["alpha"])
        lines = self.ok("status", "-o", "jsonl", "beta").lines()
        self.assertEqual([r["replica"] for r in lines], ["beta/0", "beta/1"])
        self.assertEqual([r["replica"] for r in self.ok("status", "-o", "jsonl", "beta/1").lines()],
                         ["beta/1"])
        self.assertIn("did you mean alpha?", self.fails(5, "status", "alhpa").err)
        self.fails(5, "status", "alpha/9")

    def test_status_as_a_table(self):
        text = self.ok("status", "-o", "table").out
        self.assertEqual(text.split("\n", maxsplit=1)[0].split(),
                         "WORKER STATE PID UPTIME CPU MEMORY RESTARTS CALLS QUEUED REASON".split())
        self.assertRegex(text, r"(?m)^alpha/0 +ready +\d+ +\d+m?s +\d+\.\d% +\d+\.\d[MG] +0 +0 +0$")
        self.assertRegex(text, r"(?m)^beta/1 +stopped +- +- +- +- +0 +0$")
        self.assertNotIn("\x1b", text)
        self.assertIn("\x1b[32mready\x1b[0m", self.on_terminal("status")[1])
        self.assertNotIn("\x1b", self.on_terminal("status", env={"NO_COLOR": "1"})[1])
        self.assertNotIn("\x1b", self.on_terminal("status", "--no-color")[1])

    def test_clients(self):
        child, fd = self.blocking("alpha")
        found = {c["who"].split()[0] + (" call" if "call" in c["who"] else ""): c
                 for c in self.ok("status", "--clients").json()}
        self.assertTrue(found["alpha/0"]["replica"])
        mine = found["prong call"]
        self.assertEqual((mine["connections"], mine["unfinished"], mine["replica"]), (1, 1, False))
        self.assertGreater(mine["payload_bytes"], 0)
        table = self.ok("status", "--clients", "-o", "table").out
        self.assertRegex(table, r"(?m)^CLIENT +CONNECTIONS +UNFINISHED +CALLS +BACKGROUND +BYTES +LEASES$")
        self.assertRegex(table, rf"(?m)^prong call pid {child.pid} uid \d+ +1 +1 +1 +0 +\S+[BK] +0$")
        self.assertIn("leave out", self.fails(2, "status", "alpha", "--clients").err)
        os.write(fd, b"done\n")
        self.assertEqual(self.end(child).code, 0)

    def test_check(self):
        self.ok("status", "--check")
        self.assertEqual(self.ok("status", "--check", "-q").out, "")
        self.fails(3, "status", "--check", "beta")
        self.ok("stop", "alpha")
        self.fails(3, "status", "--check")

    # ---- start, stop, restart, scale ----------------------------------------------------------------

    def test_start_and_stop_wait_until_it_is_so(self):
        self.ok("start", "beta")
        self.assertEqual(self.states("beta"), ["ready", "ready"])
        pids = self.pids("beta")
        self.ok("start", "beta")                     # what runs is left alone
        self.assertEqual(self.pids("beta"), pids)
        self.ok("stop", "beta/1")
        self.assertEqual(self.states("beta"), ["ready", "stopped"])
        found = self.ok("stop", "beta", "alpha").json()["workers"]
        self.assertEqual(list(found), ["alpha", "beta"])
        self.assertEqual(self.states("beta") + self.states("alpha"), ["stopped"] * 3)

    def test_restart_gives_new_processes(self):
        before = self.pids("alpha")
        self.ok("restart", "alpha")
        self.assertEqual(self.states("alpha"), ["ready"])
        self.assertNotEqual(self.pids("alpha"), before)
        self.ok("restart", "beta")                   # one that did not run
        self.assertEqual(self.states("beta"), ["ready", "ready"])

    def test_one_that_does_not_get_ready(self):
        result = self.fails(150, "start", "bad")
        self.assertIn("bad/0 is not ready: it is failed: exited with 3", result.err)
        self.assertIn("  | started as bad\n", result.err)
        self.assertIn("  | no ?[31mcamera?[0m found\n", result.err)
        result = self.fails(124, "start", "slow", "--timeout", "300ms")
        self.assertIn("slow/0 is not ready: it is starting", result.err)
        self.ok("stop", "slow")

    def test_not_waiting(self):
        self.ok("start", "slow", "--no-wait")
        self.assertEqual(self.states("slow"), ["starting"])
        self.ok("stop", "slow", "--no-wait")

    def test_nothing_is_done_when_one_name_is_wrong(self):
        for verb in ("start", "stop", "restart"):
            self.fails(5, verb, "alpha", "omega")
        self.assertEqual(self.states("alpha"), ["ready"])

    def test_scale(self):
        self.ok("scale", "alpha", "3")
        self.assertEqual(self.states("alpha"), ["ready"] * 3)
        self.ok("scale", "alpha", "1")
        self.assertEqual(self.states("alpha"), ["ready"])
        self.ok("scale", "alpha", "0")
        self.assertEqual(self.states("alpha"), [])
        self.assertRegex(self.ok("status", "alpha", "-o", "table").out, r"(?m)^alpha +- +-")
        self.fails(2, "scale", "alpha", "many")
        self.fails(1, "scale", "alpha", "1000")
        self.fails(5, "scale", "omega", "1")

    # ---- logs and describe --------------------------------------------------------------------------

    def test_logs(self):
        self.fails(150, "start", "bad")
        lines = self.ok("logs", "bad").lines()
        self.assertEqual([(x["replica"], x["msg"]) for x in lines],
                         [("bad/0", "started as bad"), ("bad/0", "no \x1b[31mcamera\x1b[0m found")])
        self.assertEqual(len(self.ok("logs", "-n", "1", "bad").lines()), 1)
        self.assertEqual(self.ok("logs", "-o", "raw", "alpha").out, "started as alpha\n")
        self.assertRegex(self.ok("logs", "-o", "table", "-n1", "bad").out,
                         r"^\d\d:\d\d:\d\d\.\d{6} INFO  bad/0 no \?\[31mcamera")
        self.assertEqual(len(self.ok("logs", "bad", "alpha").lines()), 3)
        self.fails(5, "logs", "omega")
        self.fails(5, "logs", "-n", "5", "omega")

    def test_describe(self):
        found = self.ok("describe", "alpha").json()
        self.assertEqual(found["alpha"]["add"], {"policy": "once", "help": "a sum of two numbers"})
        everything = self.ok("describe")
        self.assertEqual(sorted(everything.json()), ["alpha", "hub"])
        self.assertIn("beta: the worker has not told its methods", everything.err)
        self.assertRegex(self.ok("describe", "-o", "table").out, r"(?m)^hub\.logs +worker, lines +the last")
        self.fails(5, "describe", "omega")
        self.fails(1, "describe", "beta")

    # ---- wait ---------------------------------------------------------------------------------------

    def test_wait_for_ready(self):
        self.ok("wait", "alpha")
        self.ok("wait", "alpha/0", "--for", "ready")
        self.ok("start", "beta", "--no-wait")
        self.ok("wait", "beta", "--for", "ready")
        self.assertEqual(self.states("beta"), ["ready", "ready"])
        self.fails(5, "wait", "omega")

    def test_wait_for_what_will_not_come(self):
        self.ok("start", "bad", "--no-wait")
        result = self.fails(3, "wait", "bad")
        self.assertIn("bad/0 is failed: exited with 3", result.err)
        self.ok("start", "slow", "--no-wait")
        self.fails(124, "wait", "slow", "--timeout", "200ms")
        self.fails(124, "wait", "alpha", "--for", "exited", "--timeout", "200ms")

    def test_wait_for_the_end_of_a_process(self):
        child = self.start("wait", "alpha", "--for", "stopped")
        self.ok("stop", "alpha", "--no-wait")
        self.assertEqual(self.end(child).code, 0)
        self.ok("start", "bad", "--no-wait")
        self.ok("wait", "bad", "--for", "exited")
        self.ok("start", "beta")
        pid = self.pids("beta")[0]
        before = self.ok("emit", "test.before", "-j").json()["number"]
        os.kill(pid, signal.SIGKILL)
        self.ok("wait", "--event", "hub.worker.exited", "--from", str(before))
        self.assertNotEqual(self.pids("beta")[0], pid)

    def test_an_interrupt_ends_a_wait(self):
        child = self.start("wait", "slow", "--for", "exited", "--timeout", "40s")
        self.assertEqual(self.end(child).code, 0)    # it never ran
        self.ok("start", "slow", "--no-wait")
        child = self.start("wait", "slow")
        child.send_signal(signal.SIGINT)
        # Killed before it set its handler, or interrupted after.
        self.assertIn(self.end(child).code, (130, -signal.SIGINT))

    def test_changes_are_told_as_events(self):
        self.ok("stop", "alpha")
        found = self.ok("events", "hub.admin", "--from", "oldest", "-n", "1").json()["payload"]
        self.assertEqual((found["method"], found["worker"]), ("stop", "alpha"))


if __name__ == "__main__":
    hub.main()
