"""prong call of methods that yield, of every replica, and what is told of progress."""
import os
import pty
import select
import signal
import subprocess

import hub


def on_pty(case, *words, until, number=None, times=1, then=None):
    """Runs prong with stderr on a terminal; when `until` was shown `then` is done, and it gets the signal so many times.
    (exit code, stdout, stderr)."""
    master, slave = pty.openpty()
    child = subprocess.Popen(case.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=slave, cwd=case.dir, env={**case.env, "TERM": "xterm"}, text=True)
    case.children.append(child)
    os.close(slave)
    text = ""
    while until not in text:
        case.assertTrue(select.select([master], [], [], hub.DEADLINE)[0], text)
        text += os.read(master, 65536).decode()
    if then is not None:
        then()
    for _ in range(times if number is not None else 0):
        child.send_signal(number)
    out, _ = child.communicate(timeout=hub.DEADLINE)
    while select.select([master], [], [], 0)[0]:
        try:
            text += os.read(master, 65536).decode()
        except OSError:                              # EIO: nobody has the other end any longer
            break
    os.close(master)
    return child.returncode, out, text


class Items(hub.Case):
    config = hub.CONFIG

    def test_without_each_they_are_one_list(self):
        self.assertEqual(self.ok("call", "alpha.count").out, "[0,1,2]\n")
        self.assertEqual(self.ok("call", "alpha.count", "n:=1", "-j").json(), [0])
        self.assertEqual(self.ok("call", "alpha.count", "n:=20000").json(), list(range(20000)))

    def test_with_each_they_are_lines(self):
        self.assertEqual(self.ok("call", "alpha.count", "--each").out, "0\n1\n2\n")
        self.assertEqual(self.ok("call", "alpha.count", "-o", "jsonl").out, "0\n1\n2\n")
        self.assertEqual(self.on_terminal("call", "alpha.count"), (0, "0\r\n1\r\n2\r\n"))

    def test_they_are_printed_as_they_come(self):
        path, fifo = self.fifo()
        child = self.start("call", "alpha.lines", "fifo=" + path, "--each")
        for word in ("one", "two"):
            os.write(fifo, word.encode() + b"\n")
            self.assertEqual(child.stdout.readline(), f'"{word}"\n')
        os.write(fifo, b"\n")
        result = self.end(child)
        self.assertEqual((result.code, result.out, result.err), (0, "", ""))

    def test_none_at_all(self):
        self.assertEqual(self.ok("call", "alpha.count", "n:=0", "--each").out, "")
        self.assertEqual(self.ok("call", "alpha.echo", "--each").out, "{}\n")

    def test_what_it_returns_besides_is_told_apart(self):
        result = self.ok("call", "alpha.count", "value:=7")
        self.assertEqual((result.out, result.err), ("[0,1,2]\n", "prong: alpha.count returned 7\n"))
        self.assertEqual(self.ok("call", "alpha.count", "value:=7", "-q").err, "")

    def test_those_before_a_failure_are_kept(self):
        result = self.fails(1, "call", "alpha.count", "fails:=true", "--each")
        self.assertEqual(result.out, "0\n1\n2\n")
        self.assertIn("UNKNOWN: no more", result.err)
        self.assertEqual(self.fails(1, "call", "alpha.count", "fails:=true").out, "[0,1,2]\n")

    def test_nobody_reads_any_longer(self):
        path, fifo = self.fifo()
        child = self.start("call", "alpha.lines", "fifo=" + path, "--each")
        os.write(fifo, b"one\n")
        child.stdout.readline()
        child.stdout.close()
        self.assertEqual(child.wait(hub.DEADLINE), 0)
        self.assertEqual(child.stderr.read(), "")
        os.write(fifo, b"\n")


class Replicas(hub.Case):
    config = hub.CONFIG + f"""
  beta: {{command: [{hub.sys.executable}, {hub.WORKER}], replicas: 3}}
"""

    def test_one_line_for_each(self):
        found = self.ok("call", "beta/*.me").lines()
        self.assertEqual(sorted(found, key=str), [{"replica": f"beta/{n}", "value": f"beta/{n}"} for n in range(3)])
        self.assertEqual(sorted(self.ok("call", "beta/*.me", "-o", "raw").out.split()), ["beta/0", "beta/1", "beta/2"])

    def test_one_that_fails(self):
        result = self.fails(1, "call", "beta/*.me", "fails=beta/1")
        found = {line["replica"]: line for line in result.lines()}
        self.assertEqual(found["beta/0"]["value"], "beta/0")
        self.assertEqual(found["beta/1"]["error"], {"code": 9, "name": "FAILED_PRECONDITION", "began": 2,
                                                    "message": "not me", "details": None})
        self.assertEqual(result.err, "prong: beta/*.me: 1 of 3 failed: beta/1: FAILED_PRECONDITION: not me\n")
        self.assertIn("beta/1: FAILED_PRECONDITION: not me",
                      self.fails(1, "call", "beta/*.me", "fails=beta/1", "-o", "raw").err)

    def test_calls_with_one_key_go_to_one_replica(self):
        for key in ("a", "b"):
            found = {self.ok("call", "beta.me", "--key", key, "--priority", "9", "--policy", "once").out
                     for _ in range(8)}
            self.assertEqual(len(found), 1, found)

    def test_no_such_thing(self):
        self.assertIn("did you mean beta/*.me?", self.fails(5, "call", "bta/*.me").err)
        self.assertIn("did you mean beta/*.count?", self.fails(1, "call", "beta/*.cuont").err)


class Names(hub.Case):
    config = hub.CONFIG

    def test_what_was_meant(self):
        self.assertIn("did you mean alpha.echo?", self.fails(5, "call", "alhpa.echo").err)
        self.assertIn("there are the workers alpha\n", self.fails(5, "call", "omega.echo").err)
        self.assertIn("did you mean alpha/0.echo?", self.fails(5, "call", "alpha/0.ehco").err)
        self.assertRegex(self.fails(5, "call", "alpha.xyzzy").err, "alpha has the methods echo, add, .*me\n")
        self.assertIn("did you mean hub.status?", self.fails(5, "call", "hub.statsu").err)
        self.assertNotIn("workers", self.fails(5, "call", "alpha.fail", "code:=5").err)


class Options(hub.Case):
    def usage(self, pattern, *words):
        result = self.fails(2, *words)
        self.assertRegex(result.err, pattern)
        self.assertEqual(result.out, "")

    def test_values_are_checked(self):
        self.usage("use one of once idempotent shared; did you mean once", "call", "a.b", "--policy", "onec")
        self.usage("use one of once idempotent shared\n", "call", "a.b", "--policy", "always")
        for wrong in ("0", "10", "-1", "high"):
            self.usage("whole number from 1 to 9", "call", "a.b", f"--priority={wrong}")
        self.usage("--key needs a value", "call", "a.b", "--key=")
        self.usage("--key: at most 128 bytes", "call", "a.b", "--key", "k" * 129)
        self.usage("did you mean --background", "call", "a.b", "--backgroud")
        self.usage("--each takes no value", "call", "a.b", "--each=yes")

    def test_some_exclude_each_other(self):
        for words in (["--map", "f", "--each"], ["--map", "f", "--background"], ["--background", "--each"],
                      ["--background", "--lease"], ["--background", "--progress"], ["--lease", "--key", "k"]):
            self.usage(f"{words[0]} and --[a-z]+ exclude each other", "call", "a.b", *words)
        self.usage(r"WORKER/\* and --lease exclude", "call", "a/*.b", "--lease")
        self.usage(r"WORKER/\* exclude", "call", "a/*.b", "--map", "f")
        self.usage(r"WORKER/\* exclude", "call", "a/*.b", "--background")
        self.usage("--ordered goes with --map", "call", "a.b", "--ordered")
        self.usage("'x=1' is too much", "call", "a.b", "--map", "f", "x=1")

    def test_of_wait(self):
        self.usage("--call stands alone", "wait", "w", "--call", "x")
        self.usage("--call stands alone", "wait", "--event", "e", "--call", "x")
        self.usage("go with --call", "wait", "w", "--each")


class Progress(hub.Case):
    config = hub.CONFIG

    def test_a_bar_on_a_terminal_goes_before_the_result(self):
        path, fifo = self.fifo()
        code, out, text = on_pty(self, "call", "alpha.block", "fifo=" + path, until="half",
                                 then=lambda: os.write(fifo, b"done\n"))
        self.assertEqual((code, out), (0, '"done"\n'))
        self.assertIn("\r\x1b[K[###############...............]  50% half?[2J way", text)
        self.assertTrue(text.endswith("\r\x1b[K"), repr(text))

    def test_on_no_terminal_only_when_asked(self):
        path, fifo = self.fifo()
        os.write(fifo, b"done\n")
        self.assertEqual(self.ok("call", "alpha.block", "fifo=" + path).err, "")
        child = self.start("call", "alpha.block", "fifo=" + path, "--progress")
        self.assertEqual(child.stderr.readline(), "prong:  50% half?[2J way\n")
        os.write(fifo, b"done\n")
        result = self.end(child)
        self.assertEqual((result.code, result.out, result.err), (0, '"done"\n', ""))

    def test_ctrl_c_cancels_and_a_second_one_does_not_wait(self):
        path, fifo = self.fifo()
        for times in (1, 2):
            code, out, text = on_pty(self, "call", "alpha.block", "fifo=" + path, until="half",
                                     number=signal.SIGINT, times=times)
            self.assertEqual((code, out), (130, ""))
            self.assertTrue(text.endswith("\r\x1b[K"), repr(text))
            os.write(fifo, b"\n")


if __name__ == "__main__":
    hub.main()
