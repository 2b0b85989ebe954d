"""What the hub tells of streams: events, metrics, silence, and the end of a process whose child has all it had."""
import os
import re
import shutil
import signal
import subprocess

import hub
from streams import BYTES, Case, WRITER, Writer, lines_of

SAMPLE = re.compile(r'^prong_(\w+?)(?:\{stream="(\w+)"\})? (\S+)$', re.M)


class Told(Case):
    config = "hub: {stream_silence: {cam1: 300ms}, memory_max: 1MiB}\nworkers: {}\n"

    def event(self, topic, **fields):
        """The next event on this topic that has these fields; each event is taken once."""
        since = self.since.get(topic, "oldest")
        while True:
            found = self.ok("events", topic, "--from", since, "-n", "1", "--timeout", f"{hub.DEADLINE}s").json()
            self.since[topic] = since = str(found["number"] + 1)
            if fields.items() <= found["payload"].items():
                return found["payload"]

    def setUp(self):
        super().setUp()
        self.since = {}

    def samples(self, stream=None):
        """The figures of one stream, or those of all that have none."""
        return {name: float(value) for name, of, value in SAMPLE.findall(self.ok("metrics").out)
                if of == (stream or "")}

    def test_writers_come_and_go(self):
        writer = Writer(self)
        pid = writer.child.pid
        told = self.event("hub.stream.started")
        self.assertEqual(told, {"stream": "cam1", "pid": pid, "reason": "opened", "generation": 1, "number": 0,
                                "slots": 8, "slot_bytes": 4096, "untold": 0, "who": f"pid {pid} uid {os.getuid()}"})
        writer.tell(3)
        writer.child.kill()
        told = self.event("hub.stream.stopped")
        self.assertEqual((told["reason"], told["number"], told["pid"]), ("ended", 3, pid))
        Writer(self, "cam2").tell("close")
        self.assertEqual(self.event("hub.stream.stopped", stream="cam2")["reason"], "closed")
        Writer(self, "cam3").end()                       # closes it, and the process is over at once
        self.assertEqual(self.event("hub.stream.stopped", stream="cam3")["reason"], "closed")

    def test_silence_is_told_and_its_end(self):
        self.assertEqual(self.event("hub.stream.silent")["number"], 0)    # nobody writes it
        self.assertEqual(self.samples()["streams_silent"], 1)
        writer = Writer(self)
        self.assertEqual(self.samples("cam1")["stream_silent"], 1)
        writer.tell(1)
        self.assertGreaterEqual(self.event("hub.stream.heard")["silent_ms"], 300)
        told = self.event("hub.stream.silent")
        self.assertEqual((told["stream"], told["number"]), ("cam1", 1))
        self.assertGreaterEqual(told["silent_ms"], 300)

    def test_memory_that_is_refused(self):
        done = subprocess.run([WRITER, f"ipc://{self.run_dir}/hub.sock", "large", "200", "rgb24", "0"], env=self.env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertIn("memory_max", done.stderr)
        told = self.event("hub.limit")
        self.assertEqual((told["limit"], told["stream"]), ("memory_max", "large"))
        self.assertEqual(self.samples()["shared_memory_refused_total"], 1)

    def test_a_process_is_over_when_it_has_ended_though_its_child_has_all_it_had(self):
        writer = Writer(self)
        child = self.reading("stream", "cat", "cam1", "--policy", "lossless", "-o", "jsonl")
        writer.tell(2)
        writer.tell("fork")
        writer.child.kill()
        self.assertEqual(self.event("hub.stream.stopped")["reason"], "ended")
        heir = Writer(self)                              # at once: the place is free
        heir.tell(1)
        # In other memory, because the child might still write to the one before.
        self.assertEqual(self.event("hub.stream.started", pid=heir.child.pid)["generation"], 2)
        self.assertEqual([lines_of(child.stdout.readline())[0]["number"] for _ in range(3)], [1, 2, 3])
        writer.child.stdin.close()
        writer.child.stdin = None
        self.assertEqual(writer.child.stdout.read(), "") # the child has ended

    def test_figures(self):
        writer = Writer(self, slots=4, patience_ms=20)
        writer.tell(3)
        child = self.reading("stream", "cat", "cam1", "--policy", "lossless", "-o", "jsonl")
        writer.tell(2)
        for _ in range(2):
            child.stdout.readline()
        self.stop(child)
        writer.tell(20)                                  # more than it can be waited for
        dropped = self.event("hub.stream.dropped")
        self.assertEqual((dropped["stream"], dropped["pid"], dropped["group"]), ("cam1", child.pid, ""))
        found = self.samples("cam1")
        self.assertEqual({k: found[f"stream_{k}"] for k in ("up", "generation", "frames_total", "bytes_total",
                                                            "readers", "readers_dropped_total")},
                         {"up": 1, "generation": 1, "frames_total": 25, "bytes_total": 25 * BYTES, "readers": 1,
                          "readers_dropped_total": 1})
        self.assertGreaterEqual(found["stream_frame_age_seconds"], 0)
        self.assertGreaterEqual(found["stream_frames_taken_total"], 2)
        hub_wide = self.samples()
        self.assertEqual(hub_wide["streams"], 1)
        self.assertEqual(hub_wide["shared_memory_size_bytes"], 1 << 20)
        self.assertEqual(hub_wide["shared_memory_bytes"], found["stream_memory_bytes"])
        self.assertEqual(hub_wide["shared_memory_connections"], 2)
        writer.end()
        self.assertEqual(self.samples("cam1")["stream_up"], 0)
        if shutil.which("promtool") is not None:
            done = subprocess.run(["promtool", "check", "metrics"], input=self.ok("metrics").out, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.assertEqual((done.returncode, done.stdout), (0, ""))
        child.send_signal(signal.SIGCONT)
        child.send_signal(signal.SIGINT)
        self.assertEqual(self.end(child).code, 130)


if __name__ == "__main__":
    hub.main()
