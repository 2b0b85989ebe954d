"""prong stream record and replay: what is played is what was recorded, from good files and bad ones."""
import json
import os
import re
import resource
import signal
import subprocess
import threading

import hub
from streams import BYTES, Case, Writer, content, lines_of

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "..", "docs", "recording.md")
PREFIX = 32


class Base(Case):
    def record(self, *frames, more=(), events=(), shapes=()):
        """A file r.prec of so many frames in these portions, with events before each of them."""
        writer = Writer(self, slots=4)
        child, _ = self.recording("r.prec", "-n", str(sum(frames)), *more)
        for i, count in enumerate(frames):
            for topic in events:
                self.ok("emit", topic, f"n:={i}")
            if i < len(shapes):
                writer.tell("shape " + shapes[i])
            writer.tell(count)
        result = self.end(child)
        writer.end()
        self.assertEqual(result.code, 0, result)
        return result.json()

    def played(self, *words, code=0, **more):
        result = self.prong("stream", "replay", "r.prec", *words, **more)
        self.assertEqual(result.code, code, result)
        return result.json()

    def lossless(self, name, count, *more, waits=True):
        """A lossless reader of a stream that may still come; its end is what it read. A thread takes that, or
        the pipe would fill up."""
        child = subprocess.Popen(self.command("stream", "cat", name, "--policy", "lossless", "-n", str(count),
                                              "--timeout", "100s", *more),
                                 cwd=self.dir, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.children.append(child)
        if waits:                                    # where it may not have ended already
            self.until_readers(name, 1)
        found = []
        thread = threading.Thread(target=lambda: found.extend(child.communicate()), daemon=True)
        thread.start()

        def end():
            thread.join(hub.DEADLINE)
            self.assertEqual(child.returncode, 0, found)
            return found[0]
        return end

    def events(self, count, filters=("plc.>",)):
        found = self.ok("events", *filters, "--from", "oldest", "-n", str(count)).lines()
        return [(e["topic"], e["payload"]) for e in found]

    def spoil(self, where, what):
        with open(self.path("r.prec"), "r+b") as file:
            file.seek(where, os.SEEK_END if where < 0 else os.SEEK_SET)
            file.write(what)


class Whole(Base):
    def test_frames_and_events_come_back_as_they_were(self):
        told = self.record(10, 20, events=("plc.trigger", "plc.a.b"))
        self.assertEqual((told["file"], told["frames"], told["events"], told["missed"], told["streams"]),
                         ("r.prec", 30, 4, 0, {"cam1": 30}))
        self.assertEqual(os.path.getsize(self.path("r.prec")), told["bytes"])
        end = self.lossless("cam1", 30)
        told = self.played("--wait-readers", "1", "--speed", "max")
        self.assertEqual((told["frames"], told["events"], told["streams"], told["damaged"], told["whole"]),
                         (30, 4, {"cam1": 30}, 0, True))
        self.assertEqual(end(), b"".join(content(n) for n in range(1, 31)))
        wanted = [(t, {"n": n}) for n in (0, 1) for t in ("plc.trigger", "plc.a.b")]
        self.assertEqual(self.events(8), wanted + wanted)

    def test_what_is_known_of_a_frame_comes_back_too(self):
        before = self.lossless("cam1", 5, "-o", "jsonl")
        self.record(2, 3, shapes=("4,6,3", "200,100"))
        after = self.lossless("cam2", 5, "-o", "jsonl")
        told = self.played("--stream", "cam1=cam2", "--wait-readers", "1")
        self.assertEqual(told["streams"], {"cam2": 5})

        def known(text):
            return [{k: v for k, v in frame.items() if k not in ("delay_ms", "generation")} for frame in lines_of(text)]
        self.assertEqual(known(after()), known(before()))

    def test_it_has_the_times_of_then_or_of_now(self):
        self.record(3)
        end = self.lossless("cam1", 3, "-o", "jsonl")
        self.played("--wait-readers", "1", "--now")
        now = [f["mono_ns"] for f in lines_of(end())]
        end = self.lossless("cam1", 3, "-o", "jsonl")
        self.played("--wait-readers", "1")
        then = [f["mono_ns"] for f in lines_of(end())]
        self.assertLess(max(then), min(now))
        self.assertEqual(now, sorted(now))

    def test_the_time_between_is_the_same(self):
        writer = Writer(self)
        child, _ = self.recording("r.prec", "-n", "2")
        writer.tell(1)
        hub.select.select([], [], [], 0.5)           # what is measured, not waited for
        writer.tell(1)
        seconds = self.end(child).json()["seconds"]
        writer.end()
        self.assertGreaterEqual(seconds, 0.49)
        # No longer than it may take on a loaded machine is asserted: only that nothing is hurried.
        self.assertGreaterEqual(self.played()["seconds"], 0.45)
        self.assertGreaterEqual(self.played("--speed", "0.5")["seconds"], 0.9)
        self.assertEqual(self.played("--speed", "1000000")["frames"], 2)

    def test_many_streams_and_what_is_chosen(self):
        one, two = Writer(self, "cam1"), Writer(self, "cam2")
        child, line = self.recording("r.prec", "-n", "7")
        self.assertIn("recording 2 streams and events to r.prec", line)
        other, _ = self.recording("only.prec", "--stream", "cam2", "-n", "4")
        self.ok("emit", "plc.trigger")
        one.tell(3)
        two.tell(4)
        told = self.end(child).json()
        self.assertEqual((told["streams"], told["events"]), ({"cam1": 3, "cam2": 4}, 1))
        told = self.end(other).json()
        self.assertEqual((told["streams"], told["events"]), ({"cam2": 4}, 0))
        self.assertIn("ALREADY_EXISTS", self.fails(1, "stream", "replay", "r.prec").err)
        self.assertEqual(self.played("--stream", "cam1=new", "--stream", "cam2=", "--events", "none.>")["streams"],
                         {"new": 3})
        self.assertIn("the recording has no stream 'cam9'",
                      self.fails(5, "stream", "replay", "r.prec", "--stream", "cam9=x").err)
        self.assertIn("write OLD=NEW", self.fails(2, "stream", "replay", "r.prec", "--stream", "cam1").err)

    def test_events_alone(self):
        child, line = self.recording("r.prec", "--events", "plc.*", "--events", "hub.>", "-n", "3")
        self.assertIn("recording 0 streams and events", line)
        self.ok("run", "--name", "short", "--ready", "started", "--restart", "no", "--", "cat")
        self.ok("emit", "other.topic")
        told = self.end(child).json()
        self.assertEqual((told["frames"], told["events"]), (0, 3))
        result = self.ok("stream", "replay", "r.prec")
        self.assertEqual((result.json()["events"], result.json()["left_out"]), (0, 3))
        self.assertIn("3 events of the hub itself were left out", result.err)

    def test_another_broker_in_the_middle_is_told(self):
        child, _ = self.recording("r.prec", "--events", "plc.>", "-n", "2")
        begin = os.path.getsize(self.path("r.prec"))
        self.ok("emit", "plc.a")
        end = hub.time.monotonic() + hub.DEADLINE
        while os.path.getsize(self.path("r.prec")) == begin:
            self.assertLess(hub.time.monotonic(), end, "the event is in the file")
            hub.select.select([], [], [], 0.01)
        broker, = (pid for pid, line in hub.tagged(self.tag).items() if "prong-broker" in line)
        os.kill(broker, signal.SIGKILL)
        self.ok("emit", "plc.b")
        result = self.end(child)
        self.assertEqual((result.code, result.json()["events"]), (0, 2), result)
        self.assertEqual(result.err, "prong: the hub was started anew: events of the one before may be missing\n")

    def test_a_loop_goes_on_until_it_is_ended(self):
        self.record(5)
        end = self.lossless("cam1", 23)
        child = self.start("stream", "replay", "r.prec", "--loop", "--speed", "max", "--wait-readers", "1")
        again = [content(n) for n in range(1, 6)]
        self.assertEqual(end(), b"".join((again * 5)[:23]))
        child.send_signal(signal.SIGINT)
        self.assertEqual(self.end(child).code, 130)


    def test_a_recording_in_the_place_of_a_device(self):
        self.record(5, events=("plc.trigger",))
        with open(DOCS, encoding="utf-8") as file:
            config, = re.findall(r"^```yaml\n(.*?)^```\n", file.read(), re.M | re.S)
        os.rename(self.path("r.prec"), self.path("run.prec"))
        self.ok("down")
        self.up(config.replace("[prong,", f"[{os.path.join(hub.BIN, 'prong')},"))
        end = self.lossless("cam1", 12, "-o", "jsonl", waits=False)
        numbers = [frame["number"] for frame in lines_of(end())]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + 12)))
        self.assertEqual(self.events(2), 2 * [("plc.trigger", {"n": 0})])
        self.ok("stop", "cam1")
        self.assertEqual(self.streams(), {})


class Ends(Base):
    def test_a_signal_and_a_time_are_good_ends(self):
        writer = Writer(self)
        child, _ = self.recording("r.prec")
        writer.tell(5)
        self.ok("emit", "plc.trigger")
        child.send_signal(signal.SIGINT)
        result = self.end(child)
        self.assertEqual((result.code, result.json()["frames"], result.json()["events"]), (0, 5, 1))
        child, _ = self.recording("t.prec", "--for", "300ms")
        writer.tell(2)
        result = self.end(child)
        self.assertEqual((result.code, result.json()["frames"]), (0, 2))
        writer.end()
        self.assertEqual((self.played()["frames"], self.played()["whole"]), (5, True))
        child, _ = self.recording("u.prec", "--events", "none", "-n", "1", "--timeout", f"{2 * hub.SLOW}s")
        result = self.end(child)
        self.assertEqual((result.code, result.json()["events"]), (124, 0))
        self.assertIn("enough to record did not come within", result.err)

    def test_files_and_folders(self):
        Writer(self)
        os.mkdir(self.path("many"))
        told = self.ok("stream", "record", "many", "--for", "1ms").json()
        self.assertRegex(told["file"], r"^many/\d{8}-\d{6}\.prec$")
        self.assertTrue(os.path.exists(self.path(told["file"])))
        self.ok("stream", "record", "r.prec", "--for", "1ms")
        self.assertIn("is there already", self.fails(1, "stream", "record", "r.prec", "--for", "1ms").err)
        self.ok("stream", "record", "r.prec", "--for", "1ms", "--force")
        self.assertIn("No such file", self.fails(1, "stream", "record", "none/r.prec", "--for", "1ms").err)
        self.assertRegex(self.ok("stream", "record", "s.prec", "--for", "1ms", "-o", "table").out,
                         r"^recorded 0 frames and 0 events in \d+ms, [\d.]+[BK]: s\.prec\n$")
        self.assertRegex(self.ok("stream", "replay", "s.prec", "-o", "table").out,
                         r"^played 0 frames and 0 events in \d+ms, 0B\n$")

    def test_the_end_of_the_hub_leaves_a_good_file(self):
        writer = Writer(self)
        child, _ = self.recording("r.prec", "--stream", "cam1")
        writer.tell(3)
        self.ok("down")
        result = self.end(child)
        self.assertEqual((result.code, result.json()["frames"]), (7, 3), result)
        self.ok("up", "--config", self.path("prong.yaml"))
        self.assertEqual((self.played()["frames"], self.played()["whole"]), (3, True))

    def test_a_full_disk_ends_it_with_a_good_file(self):
        writer = Writer(self)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
        child = self.start("stream", "record", "r.prec", "--stream", "cam1", preexec_fn=limit)
        self.assertIn("recording", child.stderr.readline())
        writer.tell("shape 1000")
        while child.poll() is None:
            writer.tell(1)
        result = self.end(child)
        writer.end()
        self.assertEqual(result.code, 1)
        self.assertRegex(result.err, r"prong: r\.prec: File too large: what was recorded until now is kept")
        count = result.json()["frames"]
        self.assertIn(count, range(1, 8))
        told = self.played("--speed", "max")
        self.assertEqual((told["frames"], told["whole"]), (count, True))

    def test_a_recorder_that_was_too_slow_says_what_is_missing(self):
        writer = Writer(self, slots=4, patience_ms=20)
        child, _ = self.recording("r.prec", "--stream", "cam1")
        writer.tell(3)
        self.stop(child)
        writer.tell(40)                              # waits for it a moment, and then goes on
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGCONT)
        result = self.end(child)
        writer.end()
        told = result.json()
        self.assertEqual(result.code, 1)
        self.assertGreater(told["missed"], 0)
        self.assertEqual(told["frames"] + told["missed"], 43)
        self.assertRegex(result.err, rf"cam1: .*frames are lost\n(.|\n)*{told['missed']} frames are missing")
        self.assertEqual(self.played("--speed", "max")["frames"], told["frames"])

    def test_a_recorder_that_is_killed_leaves_all_it_had(self):
        writer = Writer(self)
        child, _ = self.recording("r.prec", "--stream", "cam1")
        writer.tell(5)
        end = hub.time.monotonic() + hub.DEADLINE
        while self.streams()["cam1"]["readers"][0]["taken"] < 5:
            self.assertLess(hub.time.monotonic(), end)
        child.kill()
        child.wait()
        writer.end()
        result = self.ok("stream", "replay", "r.prec")
        self.assertIn(result.json()["frames"], (4, 5))
        self.assertFalse(result.json()["whole"])
        self.assertRegex(result.err, "whoever recorded it was killed|was cut off")


class Bad(Base):
    def test_a_torn_end(self):
        self.record(6)
        size = os.path.getsize(self.path("r.prec"))
        os.truncate(self.path("r.prec"), size - PREFIX - 100)
        end = self.lossless("cam1", 5)
        result = self.ok("stream", "replay", "r.prec", "--wait-readers", "1")
        self.assertEqual((result.json()["frames"], result.json()["whole"]), (5, False))
        self.assertIn("it was cut off in the middle of a record; all before that is good", result.err)
        self.assertEqual(end(), b"".join(content(n) for n in range(1, 6)))

    def test_a_damaged_frame_is_left_out(self):
        self.record(6)
        with open(self.path("r.prec"), "rb") as file:
            where = file.read().index(content(3))
        self.spoil(where + 10, b"xx")
        end = self.lossless("cam1", 5)
        result = self.fails(1, "stream", "replay", "r.prec", "--wait-readers", "1")
        self.assertEqual((result.json()["frames"], result.json()["damaged"], result.json()["whole"]), (5, 1, False))
        self.assertIn("1 records are damaged and were left out", result.err)
        self.assertEqual(end(), b"".join(content(n) for n in (1, 2, 4, 5, 6)))

    def test_a_damaged_place_where_the_next_record_cannot_be_found(self):
        self.record(6)
        with open(self.path("r.prec"), "rb") as file:
            where = file.read().index(content(3)) + BYTES
        self.spoil(where + 5, b"\xff")
        result = self.fails(1, "stream", "replay", "r.prec")
        self.assertEqual((result.json()["frames"], result.json()["damaged"]), (3, 1))
        self.assertIn("it is damaged, and what follows cannot be read", result.err)

    def test_other_files(self):
        for text, what in (("{}", "this is no recording"), ("", "it was cut off"), (None, "No such file")):
            if text is not None:
                with open(self.path("r.prec"), "w", encoding="utf-8") as file:
                    file.write(text)
            elif os.path.exists(self.path("r.prec")):
                os.remove(self.path("r.prec"))
            self.assertIn(what, self.fails(1, "stream", "replay", "r.prec").err)


class Format(Base):
    def test_the_reader_of_the_documentation_reads_it(self):
        """The page shows a whole reader in Python; it needs msgpack."""
        env = {**self.env, "PATH": f"/usr/bin:{self.env['PATH']}"}
        if subprocess.run(["python3", "-c", "import msgpack"], env=env, check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("there is no msgpack for python3: apt-get install python3-msgpack")
        self.record(2, 3, events=("plc.trigger",))
        with open(DOCS, encoding="utf-8") as file:
            code, = re.findall(r"^```python\n(.*?)^```\n", file.read(), re.M | re.S)
        code += """
import json, sys
for head, payload in records(sys.argv[1]):
    print(json.dumps([head["kind"], head.get("number"), payload.hex()]))
"""
        done = subprocess.run(["python3", "-c", code, self.path("r.prec")], env=env, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=hub.DEADLINE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(([found[0][0], found[-1][0]]), ["begin", "end"])
        frames = [(number, payload) for kind, number, payload in found if kind == "frame"]
        self.assertEqual(frames, [(n, content(n).hex()) for n in range(1, 6)])
        self.assertEqual([payload for kind, _, payload in found if kind == "event"], ["81a16e00", "81a16e01"])


if __name__ == "__main__":
    hub.main()
