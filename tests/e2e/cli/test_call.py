"""prong call and emit: arguments, results, failures, and every exit code that a call can end with."""
import json
import os
import signal

import hub


class Arguments(hub.Case):
    config = hub.CONFIG

    def echo(self, *words, **more):
        return self.ok("call", "alpha.echo", *words, **more).json()

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_words_become_arguments(self):
        self.assertEqual(self.echo(), {})
        self.assertEqual(self.echo("a=1", "b:=1", "c:=[1, 2.5, null, true]", "d=", "e=x=y"),
                         {"a": "1", "b": 1, "c": [1, 2.5, None, True], "d": "", "e": "x=y"})
        self.assertEqual(self.echo("a=@@x", 'b:="@x"'), {"a": "@x", "b": "@x"})
        self.assertEqual(self.echo("--", "a=-1"), {"a": "-1"})

    def test_files_become_arguments(self):
        text, data = self.write("text", "two\nlines\n"), self.write("data", '{"x": [1]}')
        self.assertEqual(self.echo("a=@" + text, "b:=@" + data), {"a": "two\nlines\n", "b": {"x": [1]}})
        self.assertEqual(self.echo("a=@text"), {"a": "two\nlines\n"})

    def test_one_object_is_all_arguments(self):
        self.assertEqual(self.echo('{"a": {"b": 1}}'), {"a": {"b": 1}})
        self.assertEqual(self.echo("-", stdin='{"a": "stdin"}\n'), {"a": "stdin"})
        self.assertEqual(self.echo("[1, 2]"), {"args": [1, 2]})

    def test_large_and_odd_values_come_back(self):
        value = {"a": "x" * 200000, "b": -2 ** 63, "c": 2 ** 63 - 1, "d": 1e300, "e": "\u00e4\u20ac\U0001f600"}
        self.assertEqual(self.echo("-", stdin=json.dumps(value)), value)

    def test_stdin_that_never_ends_is_not_waited_for_for_ever(self):
        read, write = os.pipe()
        child = self.start("call", "alpha.echo", "-", "--timeout", "200ms", stdin=read)
        os.close(read)
        self.assertEqual(self.end(child).code, 124)
        os.close(write)

    def test_one_replica_and_the_hub_itself_can_be_called(self):
        self.assertEqual(self.ok("call", "alpha/0.add", "a:=1", "b:=2").out, "3\n")
        self.assertIn("alpha", self.ok("call", "hub.status").json()["workers"])


class Results(hub.Case):
    config = hub.CONFIG

    def test_forms_of_a_result(self):
        self.assertEqual(self.ok("call", "alpha.echo", "a:=[1,2]").out, '{"a":[1,2]}\n')
        self.assertEqual(self.ok("call", "alpha.blob").json(), {"$bin": "AP8K"})
        self.assertEqual(self.prong("call", "alpha.blob", "-o", "raw", text=False).out, b"\x00\xff\n")
        self.assertEqual(self.ok("call", "alpha.emit", "topic=x").out, "null\n")
        self.assertEqual(self.ok("call", "alpha.add", "a:=1", "-q").out, "")

    def test_on_a_terminal_a_result_has_lines(self):
        code, text = self.on_terminal("call", "alpha.echo", "a:=1")
        self.assertEqual((code, text), (0, '{\r\n  "a": 1\r\n}\r\n'))
        code, text = self.on_terminal("call", "alpha.echo", "a:=1", "-o", "jsonl")
        self.assertEqual((code, text), (0, '{"a":1}\r\n'))

    def test_progress_is_shown_on_a_terminal_and_cannot_command_it(self):
        path, fifo = self.fifo()
        code, text = self.on_terminal("call", "alpha.block", "fifo=" + path, until="half",
                                      then=lambda: os.write(fifo, b"done\n"))
        self.assertEqual(code, 0)
        self.assertIn(" 50% half?[2J way", text)
        # Whether the end of the line has a carriage return is the terminal's affair.
        self.assertTrue(text.replace("\r\n", "\n").endswith('\r\x1b[K"done"\n'), repr(text))


class Failures(hub.Case):
    config = hub.CONFIG + f"""
  idle: {{command: [{hub.sys.executable}, {hub.WORKER}], autostart: false}}
  tiny: {{command: [{hub.sys.executable}, {hub.WORKER}], queue_size: 1, restart: "no"}}
"""

    def test_an_exception_is_told_with_everything(self):
        result = self.fails(1, "call", "alpha.fail", "text=oh no")
        self.assertEqual(result.out, "")
        self.assertRegex(result.err, r"^prong: alpha.fail: UNKNOWN: oh no \(it had begun\)\n")
        self.assertIn("  type: ValueError\n", result.err)
        self.assertIn("  replica: alpha/0\n", result.err)
        self.assertRegex(result.err, r"  traceback:\n    Traceback \(most recent call last\):\n")

    def test_a_failure_as_an_object(self):
        found = self.fails(1, "call", "alpha.fail", "-j").json()
        self.assertEqual((found["code"], found["name"], found["began"]), (2, "UNKNOWN", 2))
        self.assertEqual(found["details"]["type"], "ValueError")

    def test_codes_of_methods_become_exit_codes(self):
        for code, expected in ((1, 152), (2, 1), (3, 1), (5, 5), (6, 1), (7, 4), (8, 151), (9, 1), (10, 150),
                               (11, 1), (12, 5), (13, 1), (14, 151), (15, 1), (16, 4)):
            self.fails(expected, "call", "alpha.fail", f"code:={code}")

    def test_no_such_thing(self):
        self.assertIn("NOT_FOUND", self.fails(5, "call", "omega.echo").err)
        self.assertIn("UNIMPLEMENTED", self.fails(5, "call", "alpha.nothing").err)
        self.fails(5, "call", "alpha/7.echo")
        self.fails(5, "call", "hub.nothing")
        self.fails(2, "call", "Alpha.echo")

    def test_what_can_never_work_says_what_is_allowed(self):
        for target in ("GREETER.greet", "greeter/**.greet", "greeter/x.greet"):
            result = self.fails(2, "call", target)
            self.assertIn(f"prong: {target}: INVALID_ARGUMENT: a worker's name is of a-z", result.err)
        self.assertIn("a method's name is of", self.fails(2, "call", "alpha.no-such").err)
        path = os.path.join(self.dir, "large")
        with open(path, "wb") as file:
            file.write(b"x" * (16 << 20))
        for words, what in ((["call", "alpha.echo"], "alpha.echo"), (["emit", "t.large"], "t.large")):
            result = self.fails(1, *words, "a=@" + path)
            self.assertRegex(result.err, f"prong: {what}: RESOURCE_EXHAUSTED: .* at most 16 MiB\n")

    def test_nobody_serves(self):
        self.assertIn("UNAVAILABLE", self.fails(151, "call", "idle.echo").err)

    def test_a_text_that_was_meant_as_a_number(self):
        result = self.fails(1, "call", "alpha.add", "a=0.5", "b:=1")
        self.assertIn("did you mean a:=0.5", result.err)
        self.assertNotIn("did you mean", self.fails(1, "call", "alpha.add", "a=half").err)
        result = self.fails(1, "call", "hub.logs", "worker=alpha", "lines=5")
        self.assertIn("did you mean lines:=5", result.err)

    def test_a_worker_that_dies(self):
        result = self.fails(150, "call", "tiny.die")
        self.assertIn("ABORTED", result.err)
        self.assertIn("may have begun", result.err)
        self.assertIn("exited with 7", result.err)

    def test_a_deadline(self):
        child, fifo = self.blocking("alpha", "--timeout", "500ms")
        result = self.end(child)
        self.assertEqual(result.code, 124)
        self.assertIn("DEADLINE_EXCEEDED", result.err)
        os.write(fifo, b"\n")

    def test_a_full_queue(self):
        child, fifo = self.blocking("tiny")
        calls = [self.start("call", "tiny.echo"), self.start("call", "tiny.echo")]
        refused = self.first(*calls)
        result = self.end(refused)
        self.assertEqual(result.code, 151)
        self.assertIn("RESOURCE_EXHAUSTED", result.err)
        self.assertIn("retry_after_ms", result.err)
        os.write(fifo, b"done\n")
        for other in (child, *(c for c in calls if c is not refused)):
            self.assertEqual(self.end(other).code, 0)

    def test_the_hub_dies(self):
        child, _ = self.blocking("alpha")
        for pid, command in hub.tagged(self.tag).items():
            if "prongd" in command:
                os.kill(pid, signal.SIGKILL)
        result = self.end(child)
        self.assertEqual(result.code, 7, result)
        self.assertIn("may have begun", result.err)

    def test_an_interrupt_cancels_the_call(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            child, fifo = self.blocking("alpha")
            child.send_signal(number)
            result = self.end(child)
            self.assertEqual((result.code, result.out), (code, ""))
            calls = self.ok("call", "hub.status").json()["hub"]["calls"]
            self.assertEqual(calls, 1, "only this question itself")
            os.write(fifo, b"\n")


class Emit(hub.Case):
    config = hub.CONFIG

    def last(self, topic):
        return self.ok("events", topic, "--from", "last", "-n", "1").json()

    def test_payloads(self):
        for words, stdin, payload in (([], None, None), (["a=1", "b:=2"], None, {"a": "1", "b": 2}),
                                      (["--json", "[1]"], None, [1]), (["--json", "5"], None, 5),
                                      (["-"], '"text"', "text"), (["--json", "-"], "{}", {}),
                                      (['{"x": 1}'], None, {"x": 1})):
            result = self.ok("emit", "test.one", *words, stdin=stdin)
            self.assertEqual((result.out, result.err), ("", ""))
            self.assertEqual(self.last("test.one")["payload"], payload)

    def test_the_number_is_printed_when_asked_for(self):
        first = self.ok("emit", "test.one", "-j").json()["number"]
        self.assertEqual(self.ok("emit", "test.one", "-j").json()["number"], first + 1)
        self.assertEqual(self.last("test.one")["number"], first + 1)

    def test_topics_that_are_refused(self):
        self.assertIn("PERMISSION_DENIED", self.fails(4, "emit", "hub.mine").err)
        self.fails(2, "emit", "no topic")
        self.fails(2, "emit", "a..b")


if __name__ == "__main__":
    hub.main()
