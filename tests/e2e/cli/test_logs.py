"""logs, followed and not; where lines go; send; programs that speak no protocol."""
import json
import os
import re
import select
import signal
import socket

import hub
from terminal import Terminal

CAT = "command: [cat], stdin: pipe, ready: started, restart_delay: 10ms"
PRINTS = "command: [sh, -c, \"%s; exec sleep 1000\"], ready: started"


class Logs(hub.Case):
    def follow(self, *words):
        child = self.start("logs", "-f", *words)
        child.read = b""                             # and not taken as a line yet
        return child

    def line(self, child):
        """The next line that a follower prints, without its end."""
        while b"\n" not in child.read:
            ready = select.select([child.stdout], [], [], hub.DEADLINE)[0]
            self.assertTrue(ready, "no line came")
            part = os.read(child.stdout.fileno(), 65536)
            self.assertTrue(part, f"it ended: {child.poll()}")
            child.read += part
        line, _, child.read = child.read.partition(b"\n")
        return line.decode()

    def until(self, child, text):
        """All lines up to one that has this text."""
        found = []
        while not found or text not in found[-1]:
            found.append(self.line(child))
        return found

    def interrupt(self, child):
        child.send_signal(signal.SIGINT)
        result = self.end(child)
        self.assertEqual((result.code, child.read), (130, b""), result)
        return result

    def replica(self, worker):
        return self.replicas(worker)[0]

    def broker(self):
        spawner = hub.parent(self.replica("one")["pid"])
        with open(f"/proc/{spawner}/task/{spawner}/children", encoding="ascii") as file:
            for pid in map(int, file.read().split()):
                with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                    if comm.read().strip() == "prong-broker":
                        return pid
        self.fail("there is no broker")

    # ---- what there is ------------------------------------------------------------------------------

    def test_lines_have_a_level_and_are_merged(self):
        self.up(f"workers:\n  one: {{{CAT}}}\n  two: {{{CAT}, replicas: 2}}\n")
        child = self.follow("-o", "raw")
        for worker, text in (("one", "<3>bad"), ("two/0", "fine"), ("two/1", "<4>look"), ("one", "<7>why")):
            self.ok("send", worker, text)
            self.until(child, text.rpartition(">")[2])
        self.interrupt(child)
        lines = self.ok("logs").lines()
        self.assertEqual([(x["worker"], x["replica"], x["level"], x["msg"]) for x in lines],
                         [("one", "one/0", "error", "bad"), ("two", "two/0", "info", "fine"),
                          ("two", "two/1", "warn", "look"), ("one", "one/0", "debug", "why")])
        self.assertEqual(lines[0]["pid"], self.replica("one")["pid"])
        self.assertRegex(lines[0]["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual(sorted(x["ts"] for x in lines), [x["ts"] for x in lines])
        self.assertGreater(lines[0]["incarnation"], 0)

        def msgs(*words):
            return self.ok("logs", "-o", "raw", *words).out.split()
        self.assertEqual(msgs("--level", "warn"), ["bad", "look"])
        self.assertEqual(msgs("one"), ["bad", "why"])
        self.assertEqual(msgs("two/0", "one"), ["bad", "fine", "why"])
        self.assertEqual(msgs("-n", "2"), ["look", "why"])
        self.assertEqual(msgs("-n", "0"), [])
        self.assertEqual(msgs("--since", "1h"), ["bad", "fine", "look", "why"])
        self.assertEqual(msgs("--since", lines[2]["ts"]), ["look", "why"])
        self.assertEqual(msgs("--since", "0"), [])
        # On a terminal an error is red, and what the worker sends to a terminal is harmless.
        self.ok("send", "one", "<3>\x1b[2Jgone")
        code, text = self.on_terminal("logs", "-n", "1", "one")
        self.assertEqual(code, 0)
        self.assertIn("\x1b[31mERROR\x1b[0m one/0 ?[2Jgone", text)
        self.assertNotIn("\x1b", self.on_terminal("logs", "one", env={"NO_COLOR": "1"})[1])
        # What is wrong is told.
        self.fails(5, "logs", "one", "omega")
        self.assertIn("did you mean error?", self.fails(2, "logs", "--level", "eror").err)
        self.assertIn("use a time span such as 5m", self.fails(2, "logs", "--since", "yesterday").err)
        self.assertIn("--set-level shows no lines", self.fails(2, "logs", "--set-level", "info", "-f").err)

    def test_levels_are_set_while_the_hub_runs(self):
        self.up(f"hub: {{log_level: warn}}\nworkers:\n  one: {{{CAT}, log_level: warn}}\n")
        child = self.follow("-o", "raw")
        self.ok("send", "one", "not logged")
        self.ok("send", "one", "<4>first")
        self.assertEqual(self.line(child), "first")
        self.ok("logs", "--set-level", "info", "one")
        self.ok("send", "one", "second")
        self.assertEqual(self.line(child), "second")
        self.interrupt(child)
        self.ok("logs", "--set-level", "info")
        self.ok("stop", "one")
        with open(f"{self.run_dir}/hub.log", encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn("hub.worker.ready", text)   # that was before
        self.assertIn("hub.worker.stopped", text)
        self.fails(5, "logs", "--set-level", "info", "omega")
        self.fails(1, "logs", "--set-level", "info", "one/0")
        self.assertIn("use one of", self.fails(2, "logs", "--set-level", "loud").err)
        found = self.ok("events", "hub.admin", "--from", "oldest", "-n", "4").lines()
        self.assertIn(("log_level", "one"), [(e["payload"]["method"], e["payload"]["worker"]) for e in found])

    # ---- following ----------------------------------------------------------------------------------

    def test_following_goes_on_over_deaths_of_workers_and_of_the_broker(self):
        self.up(f"workers:\n  one: {{{CAT}, restart: always}}\n  two: {{{CAT}, autostart: false}}\n")
        child = self.follow("-j")
        one = self.follow("one", "-o", "raw")
        seen = []

        def say(worker, text):
            self.ok("send", worker, text)
            seen.append(text)
            self.assertEqual(json.loads(self.line(child))["msg"], text)
        say("one", "before")
        before = self.ok("emit", "test.before", "-j").json()["number"]
        os.kill(self.replica("one")["pid"], signal.SIGKILL)
        self.ok("wait", "--event", "hub.worker.ready", "--from", str(before), "-q")
        say("one", "after its death")
        self.ok("restart", "one")
        say("one", "after a restart")
        self.ok("start", "two")                      # one that was not there before
        say("two", "a new one")
        old = self.broker()
        fd = os.pidfd_open(old)
        os.kill(old, signal.SIGKILL)
        self.assertTrue(select.select([fd], [], [], hub.DEADLINE)[0], "the broker lives")
        os.close(fd)
        self.ok("wait", "one")
        self.assertNotEqual(self.broker(), old)
        say("one", "after the broker")
        say("two", "of the other")
        # Nothing twice, nothing left out, also in what a new broker tells of the old one.
        self.assertEqual([x["msg"] for x in self.ok("logs").lines()], seen)
        self.assertEqual(self.interrupt(child).out, "")
        self.assertEqual(self.until(one, "after the broker"),
                         [x for x in seen if x not in ("a new one", "of the other")])
        self.interrupt(one)

    def test_a_follower_that_is_slow_is_told_how_much_it_lost(self):
        config = PRINTS % "echo begin; read go; seq 1 50000; echo end"
        self.up(f"workers:\n  flood: {{{config}, stdin: pipe, log_max_bytes: 64KiB}}\n")
        slow = self.follow("-j")
        quick = self.follow("-o", "raw")
        self.until(slow, "begin")
        self.until(quick, "begin")
        slow.send_signal(signal.SIGSTOP)
        self.ok("send", "flood", "go")
        got = self.until(quick, "end")
        slow.send_signal(signal.SIGCONT)
        lines = [json.loads(line) for line in self.until(slow, '"end"')]
        lost = sum(line.get("lost", 0) for line in lines)
        self.assertGreater(lost, 10000)
        self.assertEqual(len(lines) + lost, 50001)
        self.assertRegex(self.interrupt(slow).err, r"(?m)^prong: \d+ lines were lost: they came faster")
        told = sum(int(n) for n in re.findall(r"prong: (\d+) lines? w", self.interrupt(quick).err))
        self.assertEqual(len(got) + told, 50001)

    def test_following_in_a_terminal(self):
        self.up(f"workers:\n  one: {{{CAT}}}\n")
        screen = Terminal(self, self.command("logs", "-f"))
        self.ok("send", "one", "<3>on fire")
        screen.wait(r"^\d\d:\d\d:\d\d\.\d{6} ERROR one/0 on fire$")
        screen.wait("\x1b\\[31mERROR\x1b\\[39m one/0 on fire", colors=True)
        self.ok("send", "one", "out again")
        screen.wait(r"on fire\n\d\d:\d\d:\d\d\.\d{6} INFO  one/0 out again$")
        screen.keys("C-c")
        self.assertEqual(screen.code(), 130)

    # ---- elsewhere than into files ------------------------------------------------------------------

    def test_the_journal_and_the_stderr_of_the_hub(self):
        path = f"{self.dir}/journal"
        self.env["PRONG_JOURNAL_SOCKET"] = path
        self.up(f"workers:\n  one: {{{CAT}, log: journal}}\n  two: {{{CAT}, log: inherit}}\n"
                f"  three: {{{CAT}, log: none}}\n")
        folder = f"{self.run_dir}/log"
        child = self.follow("-o", "raw")
        self.ok("send", "one", "<3>no journal")
        self.until(child, "no journal")
        with open(f"{folder}/one.0.log", encoding="utf-8") as file:
            self.assertRegex(file.read(), r"^\S+Z ERROR one/0\[\d+#\d+\] no journal\n$")
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(journal.close)
        journal.bind(path)
        journal.settimeout(hub.DEADLINE)
        # The hub looks for it once a second.
        entry = None
        while entry is None:
            self.ok("send", "one", "<4>to the journal")
            self.until(child, "to the journal")
            if select.select([journal], [], [], 0)[0]:
                entry = dict(x.split("=", 1) for x in journal.recv(65536).decode().splitlines())
        replica = self.replica("one")
        self.assertEqual(entry, {"PRIORITY": "4", "SYSLOG_IDENTIFIER": "one", "PRONG_WORKER": "one",
                                 "PRONG_REPLICA": "0", "SYSLOG_PID": str(replica["pid"]),
                                 "PRONG_PID": str(replica["pid"]), "MESSAGE": "to the journal",
                                 "PRONG_INCARNATION": entry["PRONG_INCARNATION"]})
        # One after the other: each is said by a process of its own.
        self.ok("send", "two", "<3>to stderr")
        self.until(child, "to stderr")
        self.ok("send", "three", "nowhere")
        self.until(child, "nowhere")
        self.interrupt(child)
        with open(f"{self.run_dir}/hub.log", encoding="utf-8") as file:
            text = file.read()
        self.assertRegex(text, r"(?m)^\S+Z ERROR two/0\[\d+#\d+\] to stderr$")
        self.assertEqual(text.count("is not there: No such file or directory; lines go to files"), 1)
        self.assertIn("is there: lines go to it", text)
        self.assertEqual(os.listdir(folder), ["one.0.log"])

    def test_files_that_were_moved_away_are_opened_anew_by_a_signal(self):
        self.up(f"workers:\n  one: {{{CAT}}}\n")
        child = self.follow("-o", "raw")
        path = f"{self.run_dir}/log/one.0.log"
        self.ok("send", "one", "first")
        self.until(child, "first")
        os.rename(path, path + ".moved")
        keeper = hub.parent(hub.parent(self.replica("one")["pid"]))
        os.kill(keeper, signal.SIGUSR1)
        last = 0
        while not os.path.exists(path):
            last += 1
            self.ok("send", "one", f"line {last}.")
            self.until(child, f"line {last}.")
        self.interrupt(child)
        with open(path, encoding="utf-8") as file:
            self.assertIn(f"line {last}.\n", file.read())

    # ---- last words ---------------------------------------------------------------------------------

    def test_last_words_are_in_the_event_of_a_death_and_in_the_error_of_its_call(self):
        self.up(hub.CONFIG)
        result = self.fails(150, "call", "alpha.die")
        self.assertIn("  log:\n    started as alpha\n    about to die\n", result.err)
        details = self.fails(150, "call", "alpha.die", "-o", "json").json()["details"]
        self.assertEqual(details["log"], ["started as alpha", "about to die"])
        event = self.ok("events", "hub.worker.exited", "--from", "oldest", "-n", "1").json()
        self.assertEqual(event["payload"]["log"], ["started as alpha", "about to die"])
        line = [x for x in self.ok("logs", "alpha").lines() if x["msg"] == "about to die"][0]
        self.assertRegex(line["call_id"], r"^die#\d+$")

    # ---- programs that speak no protocol ------------------------------------------------------------

    def test_a_line_makes_a_program_ready(self):
        self.up("workers:\n  web: {command: [sh, -c, \"echo loading; read go; echo '<7>now listening on 80'; "
                "exec sleep 1000\"], autostart: false, stdin: pipe, log_level: error, "
                "ready: 'log:listening on'}\n")
        self.ok("start", "web", "--no-wait")
        self.assertEqual(self.replica("web")["state"], "starting")
        while self.prong("send", "web", "go").code != 0:        # its process is being born
            self.assertEqual(self.replica("web")["state"], "starting")
        self.ok("wait", "web")
        self.assertEqual(self.replica("web")["state"], "ready")
        self.assertEqual(self.ok("logs", "web").out, "")        # too little important to be logged

    def test_lines_as_events_and_stdin(self):
        junk = "printf '\\\\377\\\\376\\\\n<3>bad\\\\n'"
        closed = "exec 0</dev/null; echo closed"
        self.up(f"workers:\n  cat: {{{CAT}, output: events}}\n  deaf: {{{PRINTS % 'true'}, stdin: pipe}}\n"
                f"  closed: {{{PRINTS % closed}, stdin: pipe}}\n  junk: {{{PRINTS % junk}, output: events}}\n"
                f"  many: {{{CAT}, replicas: 2}}\n")
        # Lines as events.
        self.ok("send", "cat", "<4>hello = wörld")
        found = self.ok("events", "cat.line", "--from", "oldest", "-n", "1").json()
        self.assertEqual((found["source"], found["payload"]),
                         ("cat/0", {"replica": "cat/0", "level": "warn", "line": "hello = wörld"}))
        found = self.ok("events", "junk.line", "--from", "oldest", "-n", "2").lines()
        self.assertEqual(found[1]["payload"], {"replica": "junk/0", "level": "error", "line": "bad"})
        self.assertNotIsInstance(found[0]["payload"]["line"], str)
        self.ok("run", "--ready", "started", "--stdin", "pipe", "--lines", "events", "--name", "added", "cat")
        self.ok("send", "added/0", "x")
        self.ok("wait", "--event", "added.line", "--from", "1", "-q")
        # A whole file through a pipe that holds 64 KiB, and its end.
        text = "".join(f"{n}\n" for n in range(60000))
        result = self.prong("send", "cat", "-", "--end", stdin=text)
        self.assertEqual(result.code, 0, result)
        self.ok("wait", "cat", "--for", "stopped")   # it ends with its stdin, and in order
        self.assertEqual(self.replica("cat")["reason"], "exited with 0")
        self.assertEqual([x["msg"] for x in self.ok("logs", "cat", "-n", "2").lines()], ["59998", "59999"])
        self.assertIn("cat/0 is stopped", self.fails(151, "send", "cat", "x").err)
        # Who does not read is told about at once, and with - after a while.
        result = self.prong("send", "deaf", "-", "--timeout", "100ms", stdin="x" * 200000)
        self.assertEqual(result.code, 151, result)
        self.assertRegex(result.err, r"RESOURCE_EXHAUSTED: the program does not read: \d+ bytes wait")
        self.assertEqual(self.fails(151, "send", "deaf", "y" * 20000).err, result.err)
        child = self.follow("closed", "-o", "raw")
        self.until(child, "closed")
        self.interrupt(child)
        self.assertIn("UNAVAILABLE: the program's stdin is closed", self.fails(151, "send", "closed", "x").err)
        self.assertIn("junk reads nothing: it has no 'stdin: pipe'", self.fails(1, "send", "junk", "x").err)
        self.assertIn("many has 2 replicas: name one, as many/0", self.fails(1, "send", "many", "x").err)
        self.ok("send", "many/1", "x")
        self.fails(5, "send", "nobody", "x")
        self.assertIn("send needs a TEXT", self.fails(2, "send", "cat").err)


if __name__ == "__main__":
    hub.main()
