"""What the tests of devices share: a hub with devices, their events from the oldest on, their counters. Built on
what the tests of the command line share."""
import json
import os
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))

import hub  # noqa: E402


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


main = hub.main
