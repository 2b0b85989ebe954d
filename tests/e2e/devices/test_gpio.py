"""prong-gpio: against the kernel's simulated chips where there are any."""
import json
import os
import subprocess
import time
import unittest

import gpio_sim
import kit
from kit import hub

TEST_BIN = os.environ.get("PRONG_TEST_BIN_DIR", "")
# Nothing that one of these tests waits for needs longer pauses.
SOON = "reconnect_min: 20ms, reconnect_max: 100ms"

IS_BUILT = subprocess.run([os.path.join(hub.BIN, "prong-gpio")], env={}, stderr=subprocess.PIPE, text=True,
                          check=False).returncode == 64


class Gpio(kit.Case):
    def gpio(self, chip, more="", name="io", **lines):
        """The entry of a device."""
        words = ", ".join(f"{key}: '{value}'" for key, value in lines.items())
        return f"{name}: {{kind: gpio, chip: {chip}, {SOON}, {more} lines: {{{words}}}}}"

    def edges(self, count, device="io"):
        return self.first(device + ".data", count)


@unittest.skipUnless(IS_BUILT, "SKIP: built without libgpiod: apt-get install libgpiod-dev")
class WithoutChip(Gpio):
    def test_a_chip_that_is_not_there_is_waited_for(self):
        self.devices(self.gpio("no-such-chip", a="0", b="1 out"))
        self.assertIn("no GPIO chip 'no-such-chip'", self.first("io.down", 1)[0]["why"])
        self.until_stats("io", lambda s: s["reconnects"] >= 3, "more attempts")
        self.assertIn("the chip is not there: no GPIO chip", self.call("io.set", "b=1", code=1))
        self.assertIn("the chip is not there", self.call("io.get", code=1))
        self.assertFalse(self.stats("io")["up"])

    def test_what_a_call_asks_for_is_checked_first(self):
        self.devices(self.gpio("no-such-chip", a="0", b="1 out", c="2 out"))
        for words, said in [(["set", "x=1"], "there is no output 'x'; there are b, c"),
                            (["set", "a=1"], "there is no output 'a'; there are b, c"),
                            (["set", "b=2"], "a line is set to 0 or 1"),
                            (["set"], "set needs LINE=VALUE"),
                            (["get", "lines=x"], "there is no line 'x'; there are a, b, c"),
                            (["get", "line=a"], "get takes nothing, or 'lines'"),
                            (["pulse", "line=a", "ms=5"], "there is no output 'a'; there are b, c"),
                            (["pulse", "line=b"], "'ms' must be a number from 1 to 60000"),
                            (["pulse", "line=b", "ms=60001"], "'ms' must be a number from 1 to 60000"),
                            (["pulse", "line=b", "ms=5", "value=x"], "'value' must be 0 or 1")]:
            self.assertIn(said, self.call("io." + words[0], *words[1:], code=1), words)


@unittest.skipIf(gpio_sim.why_not(), f"SKIP: {gpio_sim.why_not()}")
@unittest.skipUnless(IS_BUILT, "SKIP: built without libgpiod: apt-get install libgpiod-dev")
class Simulated(Gpio):
    def setUp(self):
        super().setUp()
        self.label = os.path.basename(self.dir)

    def chip(self, label="", **options):
        chip = gpio_sim.Chip(self.label + label, **options)
        # Before what the test cleans up later, the hub: a chip may go while it is used.
        self.addCleanup(chip.remove)
        return chip

    def test_each_edge_is_told_with_the_kernels_time_and_in_order(self):
        chip = self.chip(names={3: "BUTTON"})
        self.devices(self.gpio(self.label, a="2", button="BUTTON active-low bias=pull-down"))
        up = self.first("io.up", 1)[0]
        self.assertEqual((up["chip"], up["label"], up["lines"]), (chip.name, self.label, {"a": 0, "button": 1}))
        before = time.monotonic_ns()
        for n in range(5):
            chip.pull(2, 1)
            chip.pull(3, 1)
            self.edges(4 * n + 2)
            chip.pull(2, 0)
            chip.pull(3, 0)
            self.edges(4 * n + 4)
        edges = self.edges(20)
        self.assertEqual([(e["line"], e["value"], e["edge"]) for e in edges],
                         [("a", 1, "rising"), ("button", 0, "falling"), ("a", 0, "falling"), ("button", 1, "rising")] * 5)
        self.assertEqual([e["sequence"] for e in edges], [n for pair in range(1, 11) for n in (pair, pair)])
        times = [before] + [e["mono_ns"] for e in edges] + [time.monotonic_ns()]
        self.assertEqual(times, sorted(times))
        now_us = time.time_ns() // 1000
        for e in edges:
            self.assertLess(abs((now_us - e["time_us"]) - (times[-1] - e["mono_ns"]) // 1000), 60_000_000)
        stats = self.stats("io")
        self.assertEqual((stats["frames"], stats["dropped"], stats["overflows"], stats["label"]), (20, 0, 0, self.label))
        self.assertEqual(stats["lines"]["button"], {"offset": 3, "sequence": 10, "missed": 0})

    def test_only_the_edges_that_are_wanted_are_told(self):
        chip = self.chip()
        self.devices(self.gpio(self.label, up="0 edge=rising", down="1 edge=falling", quiet="2 edge=none"))
        self.first("io.up", 1)
        for value in (1, 0, 1):
            for offset in range(3):
                chip.pull(offset, value)
            self.until(lambda: self.call("io.get") == {"up": value, "down": value, "quiet": value}, "the levels")
        self.assertEqual([(e["line"], e["value"]) for e in self.edges(3)], [("up", 1), ("down", 0), ("up", 1)])
        self.assertEqual(self.call("io.get", 'lines:=["quiet", "up"]'), {"up": 1, "quiet": 1})
        self.assertEqual(self.call("io.get", "lines=down"), {"down": 1})

    def test_a_chip_is_found_by_label_name_number_and_path(self):
        chip = self.chip()
        ways = [self.label, chip.name, "'" + chip.name.removeprefix("gpiochip") + "'", "/dev/" + chip.name]
        self.devices(*[self.gpio(way, name=f"io{n}", a=f"{n} out initial=1") for n, way in enumerate(ways)])
        for n in range(4):
            self.first(f"io{n}.up", 1)
            self.assertEqual(chip.value(n), 1)

    def test_outputs_are_set_and_given_back(self):
        chip = self.chip(names={1: "HORN", 2: "SIREN 2"})
        self.devices(self.gpio(self.label, lamp="0 out initial=1", horn="HORN out", low='"SIREN 2" out active-low'))
        self.assertEqual(self.first("io.up", 1)[0]["lines"], {"lamp": 1, "horn": 0, "low": 0})
        self.assertEqual([chip.value(n) for n in range(3)], [1, 0, 1])
        self.assertEqual(self.call("io.set", "lamp=0", "horn:=1", "low:=true"), {"lamp": 0, "horn": 1, "low": 1})
        self.assertEqual([chip.value(n) for n in range(3)], [0, 1, 0])
        self.assertEqual(self.call("io.get"), {"lamp": 0, "horn": 1, "low": 1})
        # One that is wrong leaves all as they are.
        self.assertIn("there is no output 'x'", self.call("io.set", "lamp=1", "x=1", code=1))
        self.assertEqual(chip.value(0), 0)
        self.assertEqual(self.stats("io")["sends"], 1)

    def test_outputs_are_set_together_whatever_kinds_they_are_of(self):
        chip = self.chip(count=16)
        words = ["", "active-low", "bias=pull-up", "bias=pull-down", "bias=off", "active-low bias=pull-up",
                 "active-low bias=pull-down", "active-low bias=off", "initial=1", "active-low initial=1", "bias=off"]
        self.devices(self.gpio(self.label, i="15", **{f"l{n}": f"{n} out {word}" for n, word in enumerate(words)}))
        levels = {f"l{n}": int("initial=1" in word) for n, word in enumerate(words)}
        self.assertEqual(self.first("io.up", 1)[0]["lines"], {"i": 0, **levels})
        for names in (list(levels)[::2], list(levels)[1:2], list(levels)):
            wanted = {name: 1 - levels[name] for name in names}
            levels.update(wanted)
            self.assertEqual(self.call("io.set", *[f"{name}={level}" for name, level in wanted.items()]), wanted)
            self.assertEqual(self.call("io.get"), {"i": 0, **levels})
            self.assertEqual([chip.value(n) for n in range(len(words))],
                             [levels[f"l{n}"] ^ ("active-low" in word) for n, word in enumerate(words)])

    def test_a_set_that_fails_says_what_was_set(self):
        chip = self.chip()
        self.devices(self.gpio(self.label, a="0 out", b="1 out active-low", c="2 out"))
        calls = self.start("call", "io.set", "--map", "-", stdin=subprocess.PIPE)
        tries, error = 0, {"name": "FAILED_PRECONDITION"}
        # The device may have seen that the chip is gone, for which it looks once a second, before the call came.
        while error["name"] == "FAILED_PRECONDITION":
            tries += 1
            self.first("io.up", tries)
            chip.unplug()
            calls.stdin.write('{"a": 1, "b": 1}\n')
            calls.stdin.flush()
            error = json.loads(calls.stdout.readline())["error"]
            chip.plug()
        self.assertEqual((error["name"], error["message"], error["details"]),
                         ("UNAVAILABLE", "nothing was set: No such device", {"set": {}}))
        self.assertEqual(self.first("io.down", tries)[-1]["why"], error["message"])
        self.first("io.up", tries + 1)
        self.assertEqual([chip.value(n) for n in range(3)], [0, 1, 0], "as they were in the beginning")

    def test_a_pulse_ends_by_itself_or_with_a_set_or_with_the_device(self):
        chip = self.chip()
        self.devices(self.gpio(self.label, a="0 out", b="1 out initial=1", c="2 out"))
        self.first("io.up", 1)
        begin = time.monotonic()
        self.assertEqual(self.call("io.pulse", "line=a", "ms=300"), {"line": "a", "value": 1, "ms": 300})
        self.call("io.pulse", "line=b", "ms:=60000", "value=0")
        self.call("io.pulse", "line=c", "ms=60000")
        self.assertEqual([chip.value(n) for n in (1, 2)], [0, 1])
        self.until(lambda: chip.value(0) == 0, "the end of the pulse")
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        self.call("io.set", "b=0")
        self.ok("stop", "io")
        self.assertEqual([chip.value(n) for n in range(3)], [0, 0, 0])

    def test_bounces_are_left_out_and_the_last_edge_counts(self):
        chip = self.chip()
        self.devices(self.gpio(self.label, a="0 debounce=2s", b="1 debounce=2s edge=falling"))
        self.first("io.up", 1)
        times = []
        for value in (1, 0, 1, 0, 1):
            times.append(time.monotonic_ns())
            chip.pull(0, value)
            chip.pull(1, value)
        times.append(time.monotonic_ns())
        if max(later - earlier for earlier, later in zip(times, times[1:])) > 1_900_000_000:
            self.skipTest("SKIP: the machine stood still, so these were no bounces")
        edge = self.edges(1)[0]
        self.assertEqual((edge["line"], edge["value"], edge["sequence"]), ("a", 1, 1))
        self.assertTrue(times[-2] <= edge["mono_ns"] <= times[-1], (times, edge))
        chip.pull(0, 0)
        chip.pull(1, 0)
        self.assertEqual([(e["line"], e["value"]) for e in self.edges(3)[1:]], [("a", 0), ("b", 0)])
        self.assertEqual(self.stats("io")["dropped"], 0)

    def test_what_the_kernel_has_no_room_for_while_paused_is_told_and_counted(self):
        chip = self.chip()
        self.devices(self.gpio(self.label, a="0", b="1"))
        self.first("io.up", 1)
        self.call("io.pause")
        queue, more = self.stats("io")["queue"], 9
        for n in range(1, queue + more + 1):
            chip.pull(0, n % 2)
        chip.pull(1, 1)
        self.assertEqual(self.stats("io")["frames"], 0)
        self.call("io.resume")
        # The first version of the kernel's interface keeps the oldest, without numbers; the second the newest.
        is_numbered = queue > 16
        begin = 1 + more if is_numbered else 1
        overflow = self.first("io.overflow", 1)[0]
        self.assertEqual((overflow["line"], overflow["value"], overflow["count"]), ("a", 1, 1))
        edges = self.edges(queue + 1)
        self.assertEqual([(e["value"], e["sequence"]) for e in edges if e["line"] == "a"],
                         [(n % 2, n) for n in range(begin, begin + queue)])
        self.assertEqual([e["value"] for e in edges if e["line"] == "b"], [1])
        chip.pull(0, 0)
        # Without numbers: it was 0 when it was told last, so one that lay in between is missing.
        missed = more if is_numbered else 1
        edge = self.edges(queue + 2)[-1]
        self.assertEqual((edge["line"], edge["value"], edge["sequence"]), ("a", 0, queue + missed + 1))
        stats = self.stats("io")
        self.assertEqual((stats["dropped"], stats["overflows"], stats["lines"]["a"]["missed"]), (missed, 1, missed))

    def test_who_holds_a_line_is_told_and_it_is_taken_when_it_is_free(self):
        self.chip(held={5: "fan-control"})
        self.devices(self.gpio(self.label, name="one", a="0 out"),
                     self.gpio(self.label, "autostart: false,", name="two", b="1", a="0"),
                     self.gpio(self.label, name="three", fan="5"), self.gpio(self.label, name="four", a="3", b="3"))
        self.first("one.up", 1)
        self.ok("start", "two")
        self.assertRegex(self.first("two.down", 1)[0]["why"], r"^a: line 0 of gpiochip\d+ is held by one$")
        self.assertRegex(self.first("three.down", 1)[0]["why"], r"^fan: line 5 of gpiochip\d+ is held by fan-control$")
        self.assertRegex(self.first("four.down", 1)[0]["why"], r"^b: line 3 of gpiochip\d+ is there twice$")
        self.ok("stop", "one")
        self.first("two.up", 1)

    def test_a_line_that_is_not_there_is_told_with_those_that_are(self):
        chip = self.chip(names={0: "LAMP", 1: "HORN"})
        self.devices(self.gpio(self.label, name="one", a="lamp"), self.gpio(self.label, name="two", a="8"))
        self.assertEqual(self.first("one.down", 1)[0]["why"], f"a: {chip.name} has no line 'lamp'; there are LAMP, HORN")
        self.assertEqual(self.first("two.down", 1)[0]["why"], f"a: {chip.name} has 8 lines, no line 8")

    def test_a_chip_may_be_pulled_out_and_come_back(self):
        chip = self.chip()
        self.devices(self.gpio(self.label, a="0", lamp="1 out initial=1", quiet="2 edge=none"))
        self.first("io.up", 1)
        chip.pull(0, 1)
        self.edges(1)
        self.call("io.set", "lamp=0")
        chip.unplug()
        self.first("io.down", 1)
        self.assertIn("the chip is not there", self.call("io.set", "lamp=1", code=1))
        chip.plug()
        self.first("io.up", 2)
        self.assertEqual(chip.value(1), 1, "as it was in the beginning")
        chip.pull(0, 1)
        edge = self.edges(2)[-1]
        self.assertEqual((edge["line"], edge["value"], edge["sequence"]), ("a", 1, 2))
        self.assertGreaterEqual(self.stats("io")["reconnects"], 1)


class Absent(hub.Case):
    def test_a_build_without_libgpiod_says_which_package_has_it(self):
        done = subprocess.run([os.path.join(TEST_BIN, "prong-gpio-absent")], env=self.env, stderr=subprocess.PIPE,
                              text=True, timeout=hub.DEADLINE, check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("libgpiod-dev", done.stderr)


if __name__ == "__main__":
    hub.main()
