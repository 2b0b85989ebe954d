"""examples/hostwatch/report.py, the judge of the demo: it passes runs that show a detection, and none that does
not. The events are made here; real ones come to it in the test of the demo itself."""
import json
import os
import subprocess
import sys
import unittest

REPORT = os.path.join(os.environ.get("PRONG_SOURCE_DIR", ""), "examples", "hostwatch", "report.py")
QUIET, DISTURBED, AFTER = 20, 10, 2                         # seconds
KILLED, READY = QUIET + 4, QUIET + 5
END = QUIET + DISTURBED + AFTER

BUSY = 77  # the machine was as busy before: there was nothing to detect


class Events:
    """The events of a run as `prong events -o jsonl` prints them; times are seconds from its start."""

    def __init__(self, replaced=True, answering=("detector/0", "detector/1"), raised=True):
        self.all = []
        self.add(0, "demo.phase", {"name": "quiet"})
        self.add(QUIET, "demo.phase", {"name": "disturbance"})
        self.add(QUIET + DISTURBED, "demo.phase", {"name": "after"})
        self.add(END, "demo.end", None)
        for tick in range(10 * END):
            at = tick / 10 + 0.01
            level = 1.0 if raised and QUIET <= at < QUIET + DISTURBED else 0.1
            burst = 0.9 if tick % 20 == 0 else level
            self.add(at, "sensor.cpu", {"cpu": burst, "cpu0": level, "running": 10 * level})
            self.add(at, "sensor.disk", {"read": level, "write": level})
            away = "detector/0" if KILLED <= at < READY else None
            by = {r: 5 for r in answering if r != away}
            self.add(at, "watch.answers", {"from_us": self.us(tick / 10), "by": by, "again": 0, "failed": 0})
        self.life(KILLED, "exited", 100, "killed by signal 9")
        if replaced:
            self.life(READY, "ready", 101, "")

    @staticmethod
    def us(at):
        return 1_700_000_000_000_000 + round(at * 1_000_000)

    def add(self, at, topic, payload):
        self.all.append((at, topic, payload))

    def life(self, at, what, pid, reason):
        self.add(at, f"hub.worker.{what}", {"worker": "detector", "replica": "detector/0", "pid": pid,
                                            "reason": reason})

    def episode(self, series, begin, end=None, value=1.0):
        payload = {"series": series, "value": value, "expected": 0.1, "spread": 0.05, "score": 12.5,
                   "replica": "detector/1", "began_us": self.us(begin - 1)}
        self.add(begin, "watch.anomaly", {**payload, "state": "begin", "ended_us": None})
        if end is not None:
            self.add(end, "watch.anomaly", {**payload, "state": "end", "ended_us": self.us(end - 2)})
        return self

    def without(self, topic):
        self.all = [e for e in self.all if e[1] != topic]
        return self

    def lines(self):
        # 2023-11-14T22:13:20Z is 1 700 000 000.
        out = ""
        for number, (at, topic, payload) in enumerate(sorted(self.all, key=lambda e: e[0]), 1):
            minutes, seconds = divmod(20 + at, 60)
            time = f"2023-11-14T22:{13 + int(minutes):02}:{seconds:09.6f}Z"
            out += json.dumps({"number": number, "time": time, "topic": topic, "source": "", "payload": payload}) + "\n"
        return out


class Report(unittest.TestCase):
    maxDiff = None

    def run_report(self, events, *arguments):
        return subprocess.run([sys.executable, "-B", REPORT, *arguments], input=events.lines(), text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

    def passes(self, events):
        done = self.run_report(events)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def fails(self, events, why, code=1):
        done = self.run_report(events)
        self.assertEqual(done.returncode, code, done)
        self.assertRegex(done.stderr, rf"^report: .*{why}")

    def test_a_detection_passes_with_its_numbers(self):
        out = self.passes(Events().episode("cpu.cpu", QUIET + 1.5, END - 1).episode("disk.read", QUIET + 2, END - 1))
        self.assertRegex(out, r"quiet, 20\.0 s .* disturbance, 10\.0 s")
        self.assertRegex(out, r"\ncpu\.cpu +0\.100 +0\.100 +0 +0% +1\.000 +1 +85% +after 1\.5 s, score 12\.5 by "
                              r"detector/1\n")
        self.assertRegex(out, r"detected in cpu\.cpu, disk\.read\.")
        self.assertRegex(out, r"quiet +0 episodes, 0\.0 a minute, 0% of the time unusual")
        self.assertRegex(out, r"disturbance +2 episodes, 12\.0 a minute, 82% of the time unusual")
        self.assertRegex(out, r"pid 100: killed by signal 9, 4\.0 s into the disturbance")
        self.assertRegex(out, r"pid 101: ready, 1\.00 s later")
        self.assertRegex(out, r"scored meanwhile: detector/1 50; failed in the whole run: 0")
        self.assertRegex(out, r"detector/0 +50 +50 +50 +0 +50 +50 +50 +50\n")
        self.assertRegex(out, r"detected 1\.5 s after the start of the disturbance in cpu\.cpu, scored 12\.5 by "
                              r"detector/1; detector/0 was replaced, pid 100 by 101\n$")

    def test_any_of_the_series_that_it_must_disturb_is_enough(self):
        for series in ("cpu.cpu", "cpu.cpu0", "cpu.running", "disk.read"):
            self.passes(Events().episode(series, QUIET + 1))

    def test_no_detection_fails(self):
        self.fails(Events(), r"was not detected: .*cpu\.cpu 0\.10 and 1\.00")

    def test_an_episode_of_a_series_that_did_not_rise_fails(self):
        self.fails(Events(raised=False).episode("cpu.cpu", QUIET + 1), "was not detected", BUSY)

    def test_an_episode_below_what_is_usual_fails(self):
        self.fails(Events().episode("cpu.cpu", QUIET + 1, value=0.0), "was not detected")

    def test_a_detection_in_a_series_that_proves_nothing_fails(self):
        self.fails(Events().episode("disk.write", QUIET + 1), "was not detected")

    def test_an_episode_that_began_before_or_after_is_no_detection(self):
        self.fails(Events().episode("cpu.cpu", QUIET - 1), "was not detected")
        self.fails(Events().episode("cpu.cpu", QUIET + DISTURBED + 1), "was not detected")

    def test_quiet_seconds_with_as_many_episodes_fail(self):
        events = Events().episode("cpu.cpu", QUIET + 1)
        for at in range(2, QUIET, 4):
            events.episode("cpu.cpu", at, at + 0.5)
        self.fails(events, "were not quiet: 15.0 episodes a minute", BUSY)

    def test_quiet_seconds_that_were_unusual_for_as_long_fail(self):
        self.fails(Events().episode("cpu.cpu", 5, 18).episode("cpu.cpu", QUIET + 2), "were not quiet", BUSY)

    def test_one_short_false_alarm_in_the_quiet_seconds_passes(self):
        self.passes(Events().episode("cpu.cpu", 5, 7).episode("cpu.cpu", QUIET + 1))

    def test_another_series_that_was_unusual_before_does_not_matter(self):
        self.passes(Events().episode("cpu.cpu0", 2).episode("cpu.cpu", QUIET + 1))

    def test_a_run_without_a_dead_replica_fails(self):
        events = Events().without("hub.worker.exited").episode("cpu.cpu", QUIET + 1)
        self.fails(events, "no replica died")

    def test_a_replica_that_was_not_replaced_fails(self):
        self.fails(Events(replaced=False).episode("cpu.cpu", QUIET + 1), "detector/0 was not replaced")

    def test_a_replica_that_is_ready_before_its_pid_is_known_is_told_with_it(self):
        events = Events(replaced=False).episode("cpu.cpu", QUIET + 1)
        events.life(READY, "ready", 0, "")
        self.fails(events, "detector/0 was not replaced")
        events.life(READY + 0.01, "started", 102, "")
        self.assertRegex(self.passes(events), r"pid 102: ready, 1\.00 s later\n(.*\n)*.* replaced, pid 100 by 102\n$")

    def test_replicas_that_do_not_answer_fail(self):
        for only, why in (("detector/1", "the new detector/0 answered no call"),
                          ("detector/0", "no other replica answered")):
            self.fails(Events(answering=(only,)).episode("cpu.cpu", QUIET + 1), why)

    def test_events_without_a_disturbance_fail(self):
        self.fails(Events().without("demo.phase"), "there is no quiet")

    def settled(self, events):
        done = self.run_report(events, "--settle", "100", "200")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def test_settle_ends_after_the_least_when_nothing_is_unusual(self):
        self.assertEqual(self.settled(Events()), "10 s\n")
        self.assertEqual(self.settled(Events().episode("disk.write", 1)), "10 s\n")

    def test_settle_waits_for_the_end_of_an_episode(self):
        self.assertEqual(self.settled(Events().episode("cpu.cpu", 5, 14)), "16 s\n")

    def test_settle_ends_with_the_most(self):
        self.assertEqual(self.settled(Events().episode("cpu.cpu", 5)), "20 s; still unusual: cpu.cpu\n")

    def test_other_arguments_are_told_what_is_right(self):
        self.assertEqual(self.run_report(Events(), "--nonsense").returncode, 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
