"""prong call --map: one call for each line."""
import json
import os
import signal

import hub
from test_items import on_pty


class Map(hub.Case):
    config = hub.CONFIG + f"""
  beta: {{command: [{hub.sys.executable}, {hub.WORKER}], replicas: 3}}
"""

    def write(self, sets):
        path = os.path.join(self.dir, "sets")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(s) + "\n" for s in sets)
        return path

    def test_one_outcome_for_each_line(self):
        path = self.write({"a": n, "b": 1} for n in range(500))
        result = self.ok("call", "beta.add", "--map", path)
        self.assertEqual(sorted(result.lines(), key=lambda x: x["n"]),
                         [{"n": n, "value": n + 1} for n in range(500)])
        self.assertEqual(result.err, "")

    def test_in_the_order_of_the_lines(self):
        path = self.write({"a": n} for n in range(500))
        found = self.ok("call", "beta.add", "--map", path, "--ordered").lines()
        self.assertEqual(found, [{"n": n, "value": n} for n in range(500)])
        self.assertEqual(self.ok("call", "beta.add", "--map", path, "--ordered", "-o", "raw").out,
                         "".join(f"{n}\n" for n in range(500)))

    def test_positional_arguments_empty_lines_and_no_newline_at_the_end(self):
        found = self.ok("call", "alpha.echo", "--map", "-", "--ordered", stdin='[1]\n\n \t\r\n{"x": 2}\r\n[]').lines()
        self.assertEqual([x["value"] for x in found], [{"args": [1]}, {"x": 2}, {"args": []}])
        self.assertEqual(self.ok("call", "alpha.echo", "--map", "-", stdin="").out, "")

    def test_large_sets_and_more_than_one_message_holds(self):
        sets = [{"x": "a" * 3000000}] * 8
        result = self.ok("call", "alpha.echo", "--map", "-", "--ordered",
                         stdin="".join(json.dumps(s) + "\n" for s in sets))
        self.assertEqual([x["value"] for x in result.lines()], sets)

    def test_one_that_no_message_holds_fails_alone(self):
        sets = [{"x": 1}, {"x": "a" * ((16 << 20) - 40)}, {"x": 2}]
        result = self.fails(1, "call", "alpha.echo", "--map", "-", "--ordered",
                            stdin="".join(json.dumps(s) + "\n" for s in sets))
        found = result.lines()
        self.assertEqual([line["n"] for line in found], [0, 1, 2])
        self.assertEqual((found[0]["value"], found[2]["value"]), (sets[0], sets[2]))
        self.assertEqual((found[1]["error"]["name"], found[1]["error"]["began"]), ("RESOURCE_EXHAUSTED", 0))
        result = self.fails(2, "call", "alpha.echo", "--map", "-", stdin="{}\n" + "[" * ((16 << 20) + 2))
        self.assertIn("stdin: line 2 is longer than 16 MiB", result.err)

    def test_some_that_fail(self):
        path = self.write([{"a": 1}, {"a": "x"}, {"a": 3}])
        result = self.fails(1, "call", "alpha.add", "--map", path, "--ordered")
        first, second, third = result.lines()
        self.assertEqual((first, third), ({"n": 0, "value": 1}, {"n": 2, "value": 3}))
        self.assertEqual((second["n"], second["error"]["name"], second["error"]["began"]), (1, "INVALID_ARGUMENT", 2))
        self.assertEqual(result.err, "prong: alpha.add: 1 of 3 failed: n = 1: INVALID_ARGUMENT: "
                                     "'a' must be a number, not a text\n")
        result = self.fails(1, "call", "alpha.add", "--map", path, "--ordered", "-o", "raw")
        self.assertEqual(result.out, "1\n3\n")
        self.assertIn("prong: n = 1: INVALID_ARGUMENT", result.err)

    def test_a_line_that_is_no_set_ends_it_after_those_before(self):
        for line, why in (("{nope", "line 3 is not JSON: column"), ("5", "line 3 is no argument set"),
                          ('{"a": 1} x', "line 3 is not JSON")):
            result = self.fails(2, "call", "alpha.add", "--map", "-", stdin=f'{{"a": 1}}\n\n{line}\n{{"a": 2}}\n')
            self.assertEqual(result.out, '{"n":0,"value":1}\n')
            self.assertIn(f"prong: stdin: {why}", result.err)

    def test_files_that_cannot_be_read(self):
        self.assertIn("cannot open none: No such file", self.fails(1, "call", "alpha.add", "--map", "none").err)
        self.assertIn("cannot read .: Is a directory", self.fails(1, "call", "alpha.add", "--map", ".").err)

    def test_what_is_refused_as_a_whole_ends_it(self):
        path = self.write({"a": n} for n in range(1000))
        result = self.fails(5, "call", "btea.add", "--map", path)
        self.assertIn("did you mean beta.add?", result.err)
        self.assertTrue(all(x["error"]["began"] == 0 for x in result.lines()))
        self.assertLess(len(result.lines()), 1000)
        self.assertIn("did you mean alpha.add?", self.fails(1, "call", "alpha.ad", "--map", self.write([{}])).err)

    def test_lines_are_called_as_they_come(self):
        child = self.start("call", "alpha.add", "--map", "-", stdin=hub.subprocess.PIPE)
        for n in range(3):
            child.stdin.write(f'{{"a": {n}}}\n')
            child.stdin.flush()
            self.assertEqual(json.loads(child.stdout.readline()), {"n": n, "value": n})
        self.assertEqual(self.end(child).code, 0)

    def test_a_time_for_all(self):
        child = self.start("call", "alpha.add", "--map", "-", "--timeout", "500ms", stdin=hub.subprocess.PIPE)
        child.stdin.write("{}\n")
        child.stdin.flush()
        child.stdout.readline()
        result = self.end_open(child)
        self.assertEqual(result, 124)
        path, fifo = self.fifo()
        self.write([{"fifo": path}] * 2)
        result = self.fails(124, "call", "alpha.block", "--map", "sets", "--timeout", "500ms")
        self.assertEqual([x["error"]["name"] for x in result.lines()], ["DEADLINE_EXCEEDED"] * 2)
        os.write(fifo, b"\n\n")

    @staticmethod
    def end_open(child):
        """The exit code, without closing its stdin."""
        return child.wait(hub.DEADLINE)

    def test_the_default_timeout_is_not_for_a_map(self):
        path, fifo = self.fifo()
        self.env["PRONG_TIMEOUT"] = "100ms"
        child = self.start("call", "alpha.block", "--map", self.write([{"fifo": path}]))
        self.env.pop("PRONG_TIMEOUT")
        self.ok("wait", "--event", "test.blocking", "--from", "oldest", "-q")
        with self.assertRaises(hub.subprocess.TimeoutExpired):
            child.wait(0.3)
        os.write(fifo, b"done\n")
        self.assertEqual(self.end(child).lines(), [{"n": 0, "value": "done"}])

    def test_the_broker_dies_and_what_comes_later_is_called(self):
        path, fifo = self.fifo()
        child = self.start("call", "alpha.block", "--map", "-", stdin=hub.subprocess.PIPE)
        child.stdin.write(json.dumps({"fifo": path}) + "\n")
        child.stdin.flush()
        self.ok("wait", "--event", "test.blocking", "--from", "oldest", "-q")
        broker, = (pid for pid, c in hub.tagged(self.tag).items() if "prong-broker" in c)
        os.kill(broker, signal.SIGKILL)
        first = json.loads(child.stdout.readline())
        os.write(fifo, b"\n")                        # this worker does not attach anew: it ends
        self.assertEqual((first["n"], first["error"]["name"], first["error"]["began"]), (0, "UNAVAILABLE", 1))
        child.stdin.write('{"fifo": "none"}\n')
        result = self.end(child)
        self.assertEqual((result.code, result.lines()[0]["n"]), (1, 1))
        self.assertIn("2 of 2 failed; the first was n = 0: UNAVAILABLE", result.err)

    def test_progress(self):
        path, fifo = self.fifo()
        os.write(fifo, b"one\n")
        self.write([{"fifo": path}] * 4)
        code, out, text = on_pty(self, "call", "alpha.block", "--map", "sets", until="1 of 4",
                                 number=signal.SIGINT)
        self.assertEqual(code, 130)
        self.assertIn("]  25% 1 of 4", text)
        found = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(found[0]["value"], "one")
        self.assertEqual({x["error"]["name"] for x in found[1:]}, {"CANCELLED"})
        self.assertEqual(len(found), 4)
        os.write(fifo, b"\n")
        result = self.fails(1, "call", "alpha.add", "--progress", "--map", "-", stdin='{"a": 1}\n{"a": "x"}\n')
        self.assertIn("prong: 100% 2 of 2, 1 failed\n", result.err)

    def test_interrupted_while_the_hub_hangs(self):
        path, fifo = self.fifo()
        child = self.start("call", "alpha.block", "--map", self.write([{"fifo": path}] * 3))
        self.ok("wait", "--event", "test.blocking", "--from", "oldest", "-q")
        broker, = (pid for pid, c in hub.tagged(self.tag).items() if "prong-broker" in c)
        os.kill(broker, signal.SIGSTOP)
        try:
            child.send_signal(signal.SIGINT)
            result = self.end(child)
        finally:
            os.kill(broker, signal.SIGCONT)
        self.assertEqual(result.code, 130)
        self.assertEqual([(x["n"], x["error"]["name"], x["error"]["began"]) for x in result.lines()],
                         [(n, "CANCELLED", 1) for n in range(3)])
        os.write(fifo, b"\n")

    def test_nobody_reads_any_longer(self):
        done = hub.subprocess.run(["sh", "-c", 'yes "{}" | "$@" | head -n 1', "sh",
                                   *self.command("call", "alpha.add", "--map", "-")],
                                  env=self.env, stdout=hub.subprocess.PIPE, stderr=hub.subprocess.PIPE, text=True,
                                  timeout=hub.DEADLINE, check=False)
        self.assertEqual(done.stdout.count("\n"), 1)
        self.assertNotIn("cannot write", done.stderr)

    def test_a_replica_of_its_own(self):
        path = self.write([{}] * 50)
        found = self.ok("call", "beta/1.me", "--map", path).lines()
        self.assertEqual({x["value"] for x in found}, {"beta/1"})
        found = self.ok("call", "beta.me", "--map", path, "--lease").lines()
        self.assertEqual(len({x["value"] for x in found}), 1)

    def test_a_lease_that_is_lost_ends_it(self):
        path, fifo = self.fifo()
        child = self.start("call", "alpha.block", "--lease", "--map", "-", stdin=hub.subprocess.PIPE)
        child.stdin.write(json.dumps({"fifo": path}) + "\n")
        child.stdin.flush()
        self.ok("wait", "--event", "test.blocking", "--from", "oldest", "-q")
        broker, = (pid for pid, c in hub.tagged(self.tag).items() if "prong-broker" in c)
        os.kill(broker, signal.SIGKILL)
        self.assertEqual(json.loads(child.stdout.readline())["error"]["name"], "UNAVAILABLE")
        self.assertIn("the lease of alpha/0 was lost: ", child.stderr.readline())
        self.assertEqual(self.end(child).code, 1)



class Full(hub.Case):
    """A hub that has room for little of one client."""
    config = "hub: {client_calls: 4, client_bytes: 64KiB, calls_max: 64}" + hub.CONFIG
    write = Map.write

    def test_what_is_refused_for_now_is_asked_again(self):
        """Each line that is written alone is a call of its own, and more than may be open are written at once."""
        for more in ([], ["--ordered"]):
            child = self.start("call", "alpha.add", "--map", "-", *more, stdin=hub.subprocess.PIPE)
            for n in range(200):
                child.stdin.write(f'{{"a": {n}}}\n')
                child.stdin.flush()
            result = self.end(child)
            self.assertEqual(result.code, 0, result.err)
            self.assertEqual(sorted(x["value"] for x in result.lines()), list(range(200)))

    def test_a_hub_full_of_others_is_waited_for_and_that_is_told(self):
        path, fifo = self.fifo()
        handles = []
        while True:
            result = self.prong("call", "alpha.block", "--background", "-o", "raw", f"fifo={path}")
            if result.code == 151:
                break
            handles.append(result.out.strip())
        child = self.start("call", "alpha.add", "--map", self.write({"a": n} for n in range(3)))
        self.assertEqual(child.stderr.readline(), "prong: alpha.add: the hub is asked again until it has room: "
                                                  "the hub has too many calls (hub: calls_max)\n")
        late = self.fails(124, "call", "alpha.add", "--map", "sets", "--timeout", "300ms")
        self.assertEqual([x["error"]["name"] for x in late.lines()], ["DEADLINE_EXCEEDED"] * 3)
        child.send_signal(hub.signal.SIGINT)
        result = self.end(child)
        self.assertEqual(result.code, 130)
        self.assertEqual([x["error"]["name"] for x in result.lines()], ["CANCELLED"] * 3)
        for handle in handles:
            self.ok("cancel", handle)
        os.write(fifo, b"\n")

    def test_one_that_is_too_much_for_the_hub_fails_alone(self):
        sets = [{"a": n} for n in range(50)]
        sets[20]["b"] = "x" * 100000
        for more in ([], ["--ordered"]):
            result = self.fails(1, "call", "alpha.add", "--map", self.write(sets), *more)
            self.assertEqual(sorted(x.get("value", -1) for x in result.lines()),
                             [-1, *range(20), *range(21, 50)])
            self.assertEqual(result.err, "prong: alpha.add: 1 of 50 failed: n = 20: RESOURCE_EXHAUSTED: the arguments "
                                         "are more than the hub may hold of one client (hub: client_bytes)\n")


if __name__ == "__main__":
    hub.main()
