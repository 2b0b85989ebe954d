"""What the tests of devices share: a hub with devices, their events from the oldest on, their counters. Built on
what the tests of the command line share."""
import json
import os
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))

import hub  # noqa: E402

TEST_BIN = os.environ.get("PRONG_TEST_BIN_DIR", "")


class Case(hub.Case):
    """A test with devices: self.devices("name: {kind: ...}", ...) starts a hub with them."""

    def clean(self):
        self.assertEqual(self.crashes(), [], "a device crashed")
        super().clean()

    def crashes(self):
        """What devices said that none may say: one that crashes is started again, and hides it."""
        found = []
        folder = os.path.join(self.run_dir, "log")
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                found += [line for line in file if "Sanitizer" in line or "runtime error:" in line]
        return found

    def devices(self, *entries, more=""):
        self.up(self.config_of(*entries, more=more))

    @staticmethod
    def config_of(*entries, more=""):
        return more + "devices:\n" + "".join(f"  {entry}\n" for entry in entries)

    def path(self, name):
        return os.path.join(self.dir, name)

    def call(self, what, *args, code=0):
        """The result of a call, or with `code` what is told on stderr."""
        result = self.prong("call", what, *args, "-o", "json")
        self.assertEqual(result.code, code, result)
        return json.loads(result.out) if code == 0 else result.err

    def broker(self):
        """The pid of the hub's broker that runs now."""
        def found():
            return [pid for pid, line in hub.tagged(self.tag).items() if "prong-broker" in line.split(" ")[0]]
        return self.until(found, "a broker")[0]

    def stats(self, device):
        return self.call(device + ".stats")

    def until(self, condition, what):
        """The first true value of condition(), looked at again and again."""
        end = time.monotonic() + hub.DEADLINE
        while True:
            found = condition()
            if found:
                return found
            self.assertLess(time.monotonic(), end, f"waited for in vain: {what}")
            select.select([], [], [], 0.02)

    def until_stats(self, device, condition, what):
        def look():
            stats = self.stats(device)
            return stats if condition(stats) else None
        return self.until(look, f"{what} of {device}")

    def first(self, topic, count, *more):
        """The payloads of the first `count` events of a topic since the hub began, as soon as they are there."""
        done = self.ok("events", topic, "--from", "oldest", "--count", str(count), "-o", "jsonl",
                       "--timeout", f"{hub.DEADLINE}s", *more)
        events = done.lines()
        self.assertEqual(len(events), count, done)
        self.assertEqual([e for e in events if e.get("lost")], [])
        return [e["payload"] for e in events]

    def values(self, topic, count):
        return [payload["value"] for payload in self.first(topic, count)]

    def port(self, device):
        return self.first(device + ".listening", 1)[0]["port"]


class Streams(Case):
    """A test with devices whose frames are read."""
    reader = "stream_frames"

    def read(self, stream, count, policy="lossless"):
        """A reader that is known to the hub, so that it gets the first frame, too."""
        url = "ipc://" + os.path.join(self.run_dir, "hub.sock")
        words = [os.path.join(TEST_BIN, self.reader), url, stream, policy, str(count)]
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, env=self.env)
        self.children.append(child)
        readers = [os.path.join(TEST_BIN, self.reader), url, "--readers", stream]
        self.until(lambda: subprocess.run(readers, stdout=subprocess.PIPE, check=True, text=True, env=self.env,
                                          timeout=hub.DEADLINE).stdout.strip() == "1" or child.poll() is not None,
                   "the reader is there")
        return child

    def line(self, child):
        """The next frame that a reader got."""
        return json.loads(child.stdout.readline())

    def frames(self, child):
        """What a reader got, when it has ended by itself."""
        result = self.end(child)
        self.assertEqual(result.code, 0, result)
        return result.lines()

    def event(self, topic, count=1):
        """The event of a topic that came as the `count`th."""
        return self.first(topic, count)[-1]

    def check_times(self, frames):
        times = [f["mono_ns"] for f in frames]
        self.assertEqual(times, sorted(times), "frames go back in time")
        for f in frames:
            off = abs((time.time_ns() // 1000 - f["time_us"]) - (time.monotonic_ns() - f["mono_ns"]) // 1000)
            self.assertLess(off, 60_000_000, "the two times are of one moment")


main = hub.main
