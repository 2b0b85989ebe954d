"""Calls in the background, leases, dead letters."""
import os
import signal

import hub


class Background(hub.Case):
    config = hub.CONFIG

    def begin(self, *words):
        handle = self.ok("call", *words, "--background").out
        self.assertRegex(handle, r"^[0-9a-f]{32}-\d+\n$")
        return handle.strip()

    def blocked(self):
        """(handle, descriptor) of a call in the background that has begun."""
        path, fifo = self.fifo()
        before = self.ok("emit", "test.before", "-j").json()["number"]
        handle = self.begin("alpha.block", "fifo=" + path)
        self.ok("wait", "--event", "test.blocking", "--from", str(before), "-q")
        return handle, fifo

    def test_the_outcome_from_another_program(self):
        handle = self.begin("alpha.add", "a:=1", "b:=2")
        self.assertEqual(self.ok("wait", "--call", handle).out, "3\n")
        self.assertEqual(self.ok("wait", "--call", handle, "-q").out, "")
        found = self.ok("call", "alpha.add", "--background", "-j").json()
        self.assertEqual(self.ok("wait", "--call", found["handle"]).out, "0\n")

    def test_exit_codes_are_those_of_the_call(self):
        for code, expected in ((2, 1), (7, 4), (8, 151)):
            handle = self.begin("alpha.fail", f"code:={code}")
            result = self.fails(expected, "wait", "--call", handle)
            self.assertIn("prong: the call: ", result.err)
        self.assertEqual(self.fails(1, "wait", "--call", self.begin("alpha.fail"), "-j").json()["name"], "UNKNOWN")

    def test_the_wait_ends_and_the_call_goes_on(self):
        handle, fifo = self.blocked()
        child = self.start("wait", "--call", handle, "--progress")
        self.assertIn("50% half", child.stderr.readline())
        child.send_signal(signal.SIGINT)
        result = self.end(child)
        self.assertEqual((result.code, result.err), (130, "prong: the call goes on\n"))
        result = self.fails(124, "wait", "--call", handle, "--timeout", "200ms")
        self.assertIn("the call goes on", result.err)
        os.write(fifo, b"done\n")
        self.assertEqual(self.ok("wait", "--call", handle).out, '"done"\n')

    def test_items(self):
        self.assertEqual(self.ok("wait", "--call", self.begin("alpha.count")).out, "[0,1,2]\n")
        self.assertEqual(self.ok("wait", "--each", "--call", self.begin("alpha.count")).out, "0\n1\n2\n")

    def test_it_is_cancelled(self):
        handle, fifo = self.blocked()
        self.assertEqual(self.ok("cancel", handle).out, "")
        self.fails(152, "wait", "--call", handle)
        self.assertIn("had ended already", self.ok("cancel", self.begin("alpha.add")).err + "had ended already")
        os.write(fifo, b"\n")

    def test_its_time_is_an_hour_unless_given(self):
        path, fifo = self.fifo()
        handle = self.begin("alpha.block", "fifo=" + path, "--timeout", "300ms")
        self.fails(124, "wait", "--call", handle)
        os.write(fifo, b"\n")
        self.env["PRONG_TIMEOUT"] = "300ms"
        handle = self.begin("alpha.block", "fifo=" + path)
        del self.env["PRONG_TIMEOUT"]
        self.fails(124, "wait", "--call", handle, "--timeout", "600ms")
        os.write(fifo, b"done\n")
        self.assertEqual(self.ok("wait", "--call", handle).out, '"done"\n')

    def test_handles_that_are_none(self):
        for wrong in ("x", "1", "0" * 32, "0" * 32 + "-", "0" * 32 + "-0", "G" * 32 + "-1", "0" * 31 + "-1"):
            for words in (["wait", "--call", wrong], ["cancel", wrong]):
                self.assertIn("a handle is 32 hexadecimal digits, a dash and a number", self.fails(2, *words).err)
        for words in (["wait", "--call", "0" * 32 + "-1"], ["cancel", "0" * 32 + "-1"]):
            self.assertIn("NOT_FOUND", self.fails(5, *words).err)
        self.fails(2, "wait", "--call=")

    def test_what_is_refused_is_told_at_once(self):
        self.fails(2, "call", "alpha.no-such", "--background")
        self.assertIn("did you mean alpha.add?", self.fails(5, "call", "alpa.add", "--background").err)

    def test_without_a_hub(self):
        handle = self.begin("alpha.add")
        self.ok("down")
        self.fails(7, "wait", "--call", handle)
        self.fails(7, "cancel", handle)
        self.fails(7, "dlq", "list")


class Lease(hub.Case):
    config = hub.CONFIG

    def what(self, count):
        found = self.ok("events", "hub.lease", "--from", "oldest", "-n", str(count), "--timeout", "20s").lines()
        return [x["payload"]["what"] for x in found]

    def test_a_replica_for_one_call(self):
        self.assertEqual(self.ok("call", "alpha.me", "--lease").out, '"alpha/0"\n')
        self.assertEqual(self.what(2), ["granted", "released"])
        self.fails(1, "call", "alpha.fail", "--lease")
        self.assertEqual(self.what(4)[2:], ["granted", "released"])

    def test_nobody_else_is_served_meanwhile(self):
        child, fifo = self.blocking("alpha", "--lease")
        self.fails(124, "call", "alpha.me", "--timeout", "300ms")
        self.fails(124, "call", "alpha.me", "--lease", "--timeout", "300ms")
        os.write(fifo, b"done\n")
        self.assertEqual(self.end(child).out, '"done"\n')
        self.ok("call", "alpha.me")

    def test_an_interrupt_gives_it_back(self):
        child, fifo = self.blocking("alpha", "--lease")
        child.send_signal(signal.SIGINT)
        self.assertEqual(self.end(child).code, 130)
        os.write(fifo, b"\n")
        self.assertEqual(self.what(2), ["granted", "released"])

    def test_there_is_none(self):
        self.fails(5, "call", "omega.me", "--lease")
        self.assertEqual(self.ok("call", "alpha/0.me", "--lease").out, '"alpha/0"\n')
        self.fails(5, "call", "alpha/7.me", "--lease")


class DeadLetters(hub.Case):
    config = f"""
workers:
  tiny: {{command: [{hub.sys.executable}, {hub.WORKER}], restart: always, restart_delay: 1ms, max_restarts: 20}}
"""

    def kill(self):
        """A call with which two replicas died."""
        for _ in range(2):
            self.fails(150, "call", "tiny.die")
            self.ok("wait", "tiny")
        self.assertIn("FAILED_PRECONDITION", self.fails(1, "call", "tiny.die").err)

    def test_the_list_and_one_of_it(self):
        self.assertEqual(self.ok("dlq", "list").json(), [])
        self.kill()
        letter, = self.ok("dlq", "list").json()
        self.assertEqual((letter["letter"], letter["worker"], letter["method"], letter["deaths"]), (1, "tiny", "die", 2))
        self.assertEqual(self.ok("dlq", "list", "-o", "jsonl").json(), letter)
        self.assertEqual(self.ok("dlq", "show", "1").json(), {**letter, "args": {}})
        code, text = self.on_terminal("dlq", "list", "--no-color")
        self.assertEqual(code, 0)
        self.assertRegex(text, r"^LETTER +WORKER +METHOD +DEATHS +TIME +CALLER +REASON\r\n"
                               r"1 +tiny +die +2 +20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ +\S.*exited with 7\r\n$")
        self.fails(5, "dlq", "show", "2")

    def test_once_more(self):
        self.kill()
        self.assertIn("ABORTED", self.fails(150, "dlq", "retry", "1").err)
        self.fails(5, "dlq", "retry", "7")

    def test_forgotten(self):
        self.kill()
        self.fails(2, "dlq", "drop", "1", "x")
        self.ok("dlq", "list", "-o", "jsonl").json()
        self.assertEqual(self.ok("dlq", "drop", "1").out, "")
        self.assertEqual(self.ok("dlq", "list").json(), [])
        self.fails(150, "call", "tiny.die")
        self.fails(5, "dlq", "drop", "1")


if __name__ == "__main__":
    hub.main()
