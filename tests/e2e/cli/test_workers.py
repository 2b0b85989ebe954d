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
  once: {{command: [{PY}, {W}], autostart: false, restart: "no"}}
"""

    def states(self, worker):
        return [r["state"] for r in self.replicas(worker)]

    def pids(self, worker):
        return [r["pid"] for r in self.replicas(worker)]

    # ---- status -------------------------------------------------------------------------------------

    def test_status_as_json(self):
        found = self.ok("status").json()
        self.assertEqual(sorted(found), ["hub", "workers"])
        self.assertEqual(list(found["workers"]), ["alpha", "beta", "bad", "slow", "once"])
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

    # ---- signal -------------------------------------------------------------------------------------

    def test_signal(self):
        self.fails(3, "signal", "beta", "HUP")       # nothing of it runs
        self.fails(3, "signal", "beta/1", "KILL", "-j")
        self.ok("start", "beta")
        pids = self.pids("beta")
        found = self.ok("signal", "beta", "WINCH").json()
        self.assertEqual(found, [{"replica": f"beta/{n}", "pid": pid} for n, pid in enumerate(pids)])
        text = self.ok("kill", "beta/1", "sigcont", "--group", "-o", "table").out
        self.assertRegex(text, rf"^WORKER +PID\nbeta/1 +{pids[1]}\n$")
        self.assertIn("did you mean WINCH?", self.fails(1, "signal", "beta", "WINHC").err)
        self.assertIn("a number from 1 to 64", self.fails(1, "signal", "beta", "65").err)
        self.fails(5, "signal", "omega", "HUP")
        self.fails(5, "signal", "beta/9", "HUP")
        self.fails(2, "signal", "beta")
        self.assertEqual(self.pids("beta"), pids)
        # One that ends by it has died, and is started again.
        before = self.ok("emit", "test.before", "-j").json()["number"]
        self.ok("signal", "beta/0", "9")
        event = self.ok("wait", "--event", "hub.worker.exited", "--from", str(before)).json()["payload"]
        self.assertEqual((event["replica"], event["pid"], event["who"]), ("beta/0", pids[0], ""))
        told = self.ok("events", "hub.admin", "--from", str(before), "-n", "1").json()["payload"]
        self.assertEqual((told["method"], told["worker"], told["signal"]), ("signal", "beta/0", "9"))
        # To the group: a shell catches it, and its child does not.
        self.ok("run", "--name", "shell", "--ready", "started", "--", "sh", "-c",
                "trap 'echo got it' USR1; tail -f /dev/null & echo begun; "
                "while kill -0 $! 2>&-; do wait $!; done; echo child gone; exec tail -f /dev/null")
        self.logged("shell", "begun")
        self.ok("signal", "shell", "USR1")
        self.logged("shell", "got it")
        self.assertNotIn("child gone", self.ok("logs", "shell").out)
        self.ok("signal", "shell", "USR1", "--group")
        self.logged("shell", "child gone")

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

    def test_wait_for_several_and_for_a_failure(self):
        self.ok("wait", "alpha", "beta/0", "--for", "ready", "--any")
        self.fails(3, "wait", "alpha", "beta/0")     # beta is stopped, and stays so
        self.fails(5, "wait", "alpha", "omega", "--any")
        self.ok("wait", "beta", "slow", "--for", "stopped")
        self.ok("start", "slow", "--no-wait")
        child = self.start("wait", "slow", "beta", "--any")
        self.ok("start", "beta")
        self.assertEqual(self.end(child).code, 0)
        self.fails(124, "wait", "slow", "beta", "--timeout", "200ms")
        self.ok("stop", "slow")
        self.fails(3, "wait", "bad", "--for", "failed")      # it does not run, so it cannot
        self.fails(124, "wait", "alpha", "--for", "failed", "--timeout", "200ms")
        child = self.start("wait", "bad", "alpha", "--for", "failed", "--any")
        self.ok("start", "bad", "--no-wait")
        self.assertEqual(self.end(child).code, 0)
        self.ok("wait", "bad", "--for", "failed")

    def test_wait_for_an_exit_status_and_for_events(self):
        self.assertEqual(self.ok("wait", "beta/1", "--for", "exited").json(),
                         {"replica": "beta/1", "pid": 0, "reason": "it never ran", "exit_code": None})
        self.assertIn("has no exit status", self.fails(1, "wait", "beta/1", "--for", "exited",
                                                       "--exit-status").err)
        self.ok("start", "bad", "--no-wait")
        found = self.fails(3, "wait", "bad", "--for", "exited", "--exit-status").json()
        self.assertEqual((found["replica"], found["reason"], found["exit_code"]), ("bad/0", "exited with 3", 3))
        found = self.fails(3, "wait", "bad", "--for", "exited", "--exit-status").json()     # afterwards
        self.assertEqual((found["reason"], found["exit_code"]), ("exited with 3", 3))
        self.ok("start", "once")
        child = self.start("wait", "once", "bad", "--for", "exited", "--exit-status", "-o", "table")
        self.until_settled(child)
        pid = self.pids("once")[0]
        os.kill(pid, signal.SIGKILL)
        result = self.end(child)
        self.assertEqual(result.code, 3, result)     # of the first in the order of the hub
        self.assertRegex(result.out, rf"^bad/0: exited with 3\nonce/0( \(pid {pid}\))?: killed by signal 9\n$")
        self.fails(137, "wait", "once", "--for", "exited", "--exit-status")
        self.assertEqual(self.replicas("bad")[0]["exit_code"], 3)
        self.assertIsNone(self.replicas("beta")[0]["exit_code"])
        # Events by their topics.
        number = self.ok("emit", "test.a", "n:=1", "-j").json()["number"]
        self.ok("emit", "test.b.c", "n:=2")
        found = self.ok("wait", "--for", "event", "test.none", "test.*.c", "--from", str(number)).json()
        self.assertEqual((found["topic"], found["payload"]), ("test.b.c", {"n": 2}))
        self.fails(124, "wait", "--for", "event", "test.none", "--timeout", "100ms")
        self.fails(2, "wait", "--for", "event", "not a topic")

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
