"""prong events and wait --event."""
import json
import os
import re
import signal
import socket
import subprocess
import threading

import hub


class Events(hub.Case):
    config = hub.CONFIG

    def emit(self, *topics):
        return [self.ok("emit", topic, f"t={topic}", "-j").json()["number"] for topic in topics]

    def test_lines_of_json(self):
        number, = self.emit("test.a")
        event = self.ok("events", "test.>", "--from", "oldest", "-n", "1").json()
        self.assertEqual(list(event), ["number", "time", "topic", "source", "payload"])
        self.assertEqual((event["number"], event["topic"], event["payload"]),
                         (number, "test.a", {"t": "test.a"}))
        self.assertRegex(event["time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_the_source_is_who_emitted_it(self):
        self.ok("call", "alpha.emit", "topic=test.b", "payload:=[1]")
        event = self.ok("events", "test.b", "--from", "oldest", "-n", "1").json()
        self.assertEqual(event["payload"], [1])
        ready = self.ok("events", "hub.worker.ready", "--from", "oldest", "-n", "1").json()
        self.assertEqual((ready["source"], ready["payload"]["replica"]), ("hub", "alpha/0"))

    def test_why_they_cannot_be_written_is_told(self):
        self.emit("test.a")
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run(self.command("events", "test.a", "--from", "oldest"), env=self.env, cwd=self.dir,
                                  stdout=full, stderr=subprocess.PIPE, text=True, timeout=hub.DEADLINE, check=False)
        self.assertEqual((done.returncode, done.stderr), (1, "prong: cannot write the output: No space left on device\n"))

    def test_where_they_begin(self):
        a, b, c = self.emit("test.a", "test.b", "test.a")

        def numbers(*words):
            return [e["number"] for e in self.ok("events", "test.>", *words).lines()]
        self.assertEqual(numbers("--from", "oldest", "-n", "3"), [a, b, c])
        self.assertEqual(numbers("--from", str(b), "-n", "2"), [b, c])
        self.assertEqual(numbers("--from", "last", "-n", "2"), [b, c])
        result = self.fails(124, "events", "test.>", "--timeout", f"{500 * hub.SLOW}ms")
        self.assertEqual(result.out, "")
        self.assertRegex(result.err, "within (500ms|2s)")
        self.fails(2, "events", "--from", "yesterday")

    def test_filters(self):
        a, b, c, end = self.emit("test.a.x", "test.b.x", "other", "end")

        def numbers(*filters):
            found = self.ok("events", *filters, "--from", str(a), "--until", "end")
            return [e["number"] for e in found.lines()]
        self.assertEqual(numbers(), [a, b, c, end])
        self.assertEqual(numbers(">"), [a, b, c, end])
        self.assertEqual(numbers("test.*.x"), [a, b])
        self.assertEqual(numbers("test.a.>", "other"), [a, c])
        self.fails(2, "events", "bad..filter")

    def test_until_an_event_that_is_not_printed_itself(self):
        a, _, stop, _ = self.emit("test.a", "other", "stop", "test.a")
        found = self.ok("events", "test.>", "--from", str(a), "--until", "stop", "--timeout", "20s")
        self.assertEqual([e["number"] for e in found.lines()], [a])
        found = self.ok("events", "--from", str(a), "--until", "stop")
        self.assertEqual([e["number"] for e in found.lines()][-1], stop)

    def test_until_a_time(self):
        number, = self.emit("test.a")
        found = self.ok("events", "test.a", "--from", str(number), "--until", "300ms")
        self.assertEqual(([e["number"] for e in found.lines()], found.err), ([number], ""))
        found = self.fails(124, "events", "test.a", "--from", str(number), "--until", "300ms", "-n", "2")
        self.assertEqual([e["number"] for e in found.lines()], [number])
        self.assertIn("prong: 1 of 2 events came until then (--until)", found.err)
        self.ok("events", "test.a", "--from", str(number), "--until", "20s", "-n", "1")

    def test_an_interrupt(self):
        child = self.start("events", "--from", "oldest")
        child.stdout.readline()                      # each line is flushed
        child.send_signal(signal.SIGINT)
        self.assertEqual(self.end(child).code, 130)

    def test_nobody_reads_any_longer(self):
        # While events come, and while none comes.
        done = subprocess.run(["sh", "-c", '"$@" | head -n 1; exit "${PIPESTATUS:-0}"', "sh",
                               *self.command("events", "--from", "oldest")],
                              env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=hub.DEADLINE, check=False)
        self.assertEqual((done.returncode, done.stderr, done.stdout.count("\n")), (0, "", 1))
        child = self.start("events", "--from", "oldest")
        child.stdout.readline()
        child.stdout.close()
        self.assertEqual(child.wait(hub.DEADLINE), 0)
        self.assertEqual(child.stderr.read(), "")

    def test_lines_for_people_on_a_terminal(self):
        number, = self.emit("test.a")
        code, text = self.on_terminal("events", "test.a", "--from", "oldest", "-n", "1", "--no-color")
        self.assertEqual(code, 0)
        self.assertRegex(text, rf'^\d\d:\d\d:\d\d\.\d{{6}} #{number} test\.a .*{{"t":"test.a"}}\r\n$')

    def test_raw_is_the_payload_alone(self):
        self.ok("emit", "test.a", "--json", '"just this"')
        self.assertEqual(self.ok("events", "test.a", "--from", "last", "-n", "1", "-o", "raw").out, "just this\n")

    def test_wait_for_events(self):
        number, = self.emit("test.a")
        found = self.ok("wait", "--event", "test.*", "--from", "oldest")
        self.assertEqual(found.json()["number"], number)
        self.fails(124, "wait", "--event", "test.none", "--timeout", "100ms")
        child = self.start("wait", "--event", "test.*", "--from", str(number), "-n", "2")
        self.emit("test.b")
        self.assertEqual([e["topic"] for e in self.end(child).lines()], ["test.a", "test.b"])

    def test_the_end_of_the_hub_ends_it(self):
        child = self.start("events", "--from", "oldest", "--until", "never", "--timeout", "40s")
        child.stdout.readline()
        self.ok("down")
        self.assertEqual(self.end(child).code, 7)


class Lost(hub.Case):
    config = "hub: {events_size: 64KiB}" + hub.CONFIG

    def test_lost_events_are_counted(self):
        payload = '"' + "x" * 8000 + '"'
        first = self.ok("emit", "test.a", "--json", payload, "-j").json()["number"]
        for _ in range(20):
            last = self.ok("emit", "test.a", "--json", payload, "-j").json()["number"]
        result = self.ok("events", "test.a", "--from", str(first), "--until", "test.end", "-n", "1")
        shown = result.json()["number"]
        self.assertLess(shown, last)
        told = re.search(r"(\d+) events were lost.* before number (\d+)", result.err)
        self.assertEqual((int(told.group(1)), int(told.group(2))), (shown - first, shown), result)
        self.assertEqual(result.json()["lost"], shown - first)


class Relay:
    """Stands between a program and a hub, and cuts the connection when it is told to."""

    def __init__(self, path, to):
        self.to, self.pairs = to, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.to)
            self.pairs.append((near, far))
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self.pass_on, args=ends, daemon=True).start()

    @staticmethod
    def pass_on(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass

    def cut(self):
        for pair in self.pairs:
            for end in pair:
                end.shutdown(socket.SHUT_RDWR)
                end.close()
        self.pairs = []

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


class Resumed(hub.Case):
    config = hub.CONFIG

    def emit(self, topic):
        return self.ok("emit", topic, "-j").json()["number"]

    def test_a_connection_that_is_cut_is_not_noticed(self):
        path = os.path.join(self.dir, "relay")
        relay = Relay(path, os.path.join(self.run_dir, "hub.sock"))
        self.addCleanup(relay.close)
        first = self.emit("test.a")
        words = [os.path.join(hub.BIN, "prong"), "-e", "ipc://" + path, "events", "test.>", "--from", str(first),
                 "--until", "test.end"]
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env)
        self.children.append(child)
        numbers, shown = [first], [json.loads(child.stdout.readline())["number"]]
        for _ in range(3):
            relay.cut()
            numbers.append(self.emit("test.b"))      # while it is away, or not
            shown.append(json.loads(child.stdout.readline())["number"])
        self.emit("test.end")
        result = self.end(child)
        self.assertEqual((shown, result.code, result.err), (numbers, 0, ""))

    def test_a_broker_that_is_started_anew_is_told(self):
        self.emit("test.a")
        child = self.start("events", "test.>", "--from", "oldest", "--until", "test.end")
        child.stdout.readline()
        broker, = (pid for pid, c in hub.tagged(self.tag).items() if "prong-broker" in c)
        os.kill(broker, signal.SIGKILL)
        self.emit("test.b")
        event = json.loads(child.stdout.readline())
        self.assertEqual((event["topic"], event["reset"]), ("test.b", True))
        self.emit("test.c")
        self.assertNotIn("reset", json.loads(child.stdout.readline()))
        self.emit("test.end")
        result = self.end(child)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(result.err, "prong: the hub was started anew: its events count from 1 again\n")

    def test_the_last_of_a_topic_outlives_the_ring(self):
        number = self.ok("emit", "test.rare", "--json", '"state"', "-j").json()["number"]
        for _ in range(20):
            self.ok("emit", "test.often", "--json", '"' + "x" * 8000 + '"')
        event = self.ok("events", "test.rare", "--from", "last", "-n", "1").json()
        self.assertEqual((event["number"], event["payload"]), (number, "state"))


class Silence(hub.Case):
    config = "hub: {max_silence: {test.a: 100ms}}" + hub.CONFIG

    def test_silence_is_told_and_its_end(self):
        silent = self.ok("events", "hub.silent", "--from", "oldest", "-n", "1").json()
        self.assertEqual((silent["source"], silent["payload"]["topic"], silent["payload"]["number"]),
                         ("hub", "test.a", 0))
        self.assertGreaterEqual(silent["payload"]["silent_ms"], 100)
        self.ok("emit", "test.a", "--json", "1")
        heard = self.ok("events", "hub.heard", "--from", "oldest", "-n", "1").json()
        self.assertEqual(heard["payload"]["topic"], "test.a")
        self.assertGreaterEqual(heard["payload"]["silent_ms"], silent["payload"]["silent_ms"])


if __name__ == "__main__":
    hub.main()
