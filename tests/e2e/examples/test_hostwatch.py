"""examples/hostwatch: what the sensor tells, what the detector and a frontend make of a series that is known,
with a replica killed meanwhile, and that every kind of frontend gets the same answer.

The samples come from the test, as events of the topic that the sensor has, so it is known what must be
detected. Nothing depends on time: models and episodes count samples (examples/hostwatch/episode.h)."""
import ast
import json
import os
import re
import signal
import sys

import common
import kit
from common import emit, events
from kit import NO, YES

LEARNED = 100               # samples; the detector is ready after 50
USUAL, UNUSUAL = 1.0, 9.0
STEP = 40                   # samples; an episode is one after 12
BACK = 60                   # samples; it is over after 20 to 43


def usual(number):
    """A series that wobbles a little, the same in every run."""
    return USUAL + (number * 7 % 11 - 5) / 100


class Hostwatch(common.Case):
    example = "hostwatch"

    def program(self, name):
        return os.path.join(self.folder, name)

    def detectors(self, command=None):
        """A hub with two detectors and nothing to learn from yet."""
        self.number = 0
        hub = self.hub(f"detector: {{command: {json.dumps(command or [self.program('detector')])}, replicas: 2}}")
        self.client = hub.client()
        return hub

    def feed(self, count, value=None, topic="sensor.test", key="value"):
        """So many samples, usual ones or of this value; the number of the first event."""
        first = None
        for _ in range(count):
            self.number += 1
            number = emit(self.client, topic, {key: usual(self.number) if value is None else value})
            first = first or number
        return first

    def score(self, series="test.value", value=USUAL, replica=None):
        return self.client.call("detector" if replica is None else f"detector/{replica}", "score", series=series,
                                value=value)

    def wait_learned(self, count, series="test.value"):
        """Both replicas have seen so many samples."""
        def learned(replica):
            try:
                return self.score(series, replica=replica)["samples"] >= count
            except kit.Failure:
                return False
        for replica in (0, 1):
            kit.until(lambda replica=replica: learned(replica), f"detector/{replica} to learn {count} samples")

    def answers(self, replica):
        """How many samples a replica scored for watch."""
        return sum(e.payload["by"].get(replica, 0) for e in events(self.client, "watch.answers"))

    def pump(self, condition, what):
        """Feed usual samples until this is so."""
        def look():
            self.feed(1)
            return condition()
        return kit.until(look, what)

    def watch(self, hub):
        """The frontend, when it sees samples and both replicas have answered it."""
        watch = self.start(hub, self.program("watch"))
        for replica in ("detector/0", "detector/1"):
            self.pump(lambda replica=replica: self.answers(replica), f"answers of {replica}")
        return watch

    def anomalies(self):
        return [e.payload for e in events(self.client, "watch.anomaly")]

    def wait_lines(self, watch, count):
        """So many lines of watch."""
        kit.until(lambda: watch.out.count("\n") >= count, f"{count} lines of watch, which wrote {watch.out!r}")
        return watch.out.splitlines()

    def summary(self, watch):
        """The numbers of the last line."""
        self.assertEqual(watch.end(signal.SIGTERM), 0, watch.out)
        line = watch.out.splitlines()[-1]
        what = ("events", "lost", "calls", "answers", "asked again", "failed", "episodes")
        found = re.fullmatch("watch: " + ", ".join(rf"(\d+) {word}" for word in what), line)
        self.assertIsNotNone(found, line)
        return dict(zip(what, map(int, found.groups())))

    # ---- the sensor -------------------------------------------------------------------------------

    def test_the_sensor_tells_what_proc_says(self):
        hub = self.hub(f"sensor: {{command: [{self.program('sensor')}]}}")
        client = hub.client()
        topics = client.call("sensor", "topics")
        self.assertEqual(topics, ["sensor.cpu", "sensor.memory", "sensor.disk", "sensor.net"])
        found = kit.until(lambda: len(all := events(client, "sensor.>")) >= 40 and all, "40 samples")
        with open("/proc/stat", encoding="utf-8") as file:
            cores = {line.split()[0] for line in file if line.startswith("cpu")}
        keys = {"sensor.cpu": cores | {"running"}, "sensor.memory": {"used"}, "sensor.disk": {"read", "write"},
                "sensor.net": {"receive", "send"}}
        for event in found:
            self.assertEqual(set(event.payload), keys[event.topic])
            self.assertEqual(event.source, "sensor/0")
            for key, value in event.payload.items():
                self.assertGreaterEqual(value, 1 if key == "running" else 0, (event.topic, key))
                if event.topic in ("sensor.cpu", "sensor.memory") and key != "running":
                    self.assertLessEqual(value, 1, (event.topic, key))
        self.assertEqual([e.topic for e in found[:4]], topics, "each look tells all four")
        self.assertTrue(any(e.payload["cpu"] > 0 for e in found if e.topic == "sensor.cpu"), "this test takes no time?")

    # ---- the detector and watch -------------------------------------------------------------------

    def test_a_step_is_reported_once_with_series_score_and_replica(self):
        hub = self.detectors()
        self.feed(LEARNED)
        self.wait_learned(LEARNED)
        watch = self.watch(hub)
        for _ in range(3):                                  # single outliers are none
            self.feed(1, UNUSUAL)
            self.feed(10)
        first = self.feed(STEP, UNUSUAL)
        line = self.wait_lines(watch, 1)[0]
        found = re.fullmatch(r"[\d:]{8}\.\d{3}  test\.value +BEGIN since [\d:]{8}\.\d{3}: 9\.000, "
                             r"usually (\S+) \+- (\S+), score (\S+) \((detector/[01])\)", line)
        self.assertIsNotNone(found, line)
        self.assertAlmostEqual(float(found[1]), USUAL, delta=0.1)
        self.assertGreater(float(found[3]), 20)
        kit.until(self.anomalies, "the event of it")
        [begin] = self.anomalies()
        self.assertEqual([begin[k] for k in ("state", "series", "value", "replica", "ended_us")],
                         ["begin", "test.value", UNUSUAL, found[4], None])
        self.assertAlmostEqual(begin["score"], float(found[3]), delta=0.1)
        samples = events(self.client, "sensor.test")
        self.assertEqual([e.time_us for e in samples if e.number == first], [begin["began_us"]])

        back = self.feed(BACK)
        line = self.wait_lines(watch, 2)[1]
        self.assertRegex(line, r"  test\.value +END   since \S+: it took \d+\.\d s, highest score \d+\.\d "
                               r"\(detector/[01]\)$")
        kit.until(lambda: len(self.anomalies()) == 2, "the event of its end")
        end = self.anomalies()[1]
        self.assertEqual([end[k] for k in ("state", "series", "began_us")], ["end", "test.value", begin["began_us"]])
        samples = {e.number: e.time_us for e in events(self.client, "sensor.test")}
        self.assertEqual(samples[back], end["ended_us"])
        told = self.summary(watch)
        self.assertEqual((told["lost"], told["failed"], told["episodes"]), (0, 0, 1))
        self.assertEqual(told["calls"], told["answers"])

    def test_a_killed_replica_loses_nothing_and_the_other_one_goes_on(self):
        """It dies with calls that it was given. Its successor waits for the test, so that what is reported
        meanwhile is the work of the other."""
        gate, closed = os.path.join(self.dir, "gate"), os.path.join(self.dir, "closed")
        os.mkfifo(gate)
        key = os.open(gate, os.O_RDWR)
        self.addCleanup(os.close, key)
        hub = self.detectors(["sh", "-c", f"if [ -e {closed} ]; then read -r go < {gate}; fi; "
                                          f"exec {self.program('detector')}"])
        self.feed(LEARNED)
        self.wait_learned(LEARNED)
        watch = self.watch(hub)
        with open(closed, "w", encoding="utf-8"):
            pass
        before = hub.replicas("detector")[0]["pid"]
        os.kill(before, signal.SIGSTOP)
        self.addCleanup(self.resume, before)
        self.pump(lambda: hub.replicas("detector")[0]["state"] == "busy", "a call of detector/0")
        os.kill(before, signal.SIGKILL)
        hub.wait_replica("detector", "starting", other_than=before)

        answered = self.answers("detector/1")
        self.feed(STEP, UNUSUAL)
        self.assertRegex(self.wait_lines(watch, 1)[0], r"test\.value +BEGIN .* score \S+ \(detector/1\)$")
        self.pump(lambda: self.answers("detector/1") > answered, "answers of detector/1")
        os.write(key, b"\n")
        after = hub.wait_replica("detector", "ready", other_than=before)
        self.assertNotEqual(after["pid"], before)
        self.assertEqual(after["restarts"], 1)
        answered = self.answers("detector/0")
        self.pump(lambda: self.answers("detector/0") > answered, "answers of the new detector/0")
        self.feed(BACK)
        self.assertRegex(self.wait_lines(watch, 2)[1], r"test\.value +END ")
        told = self.summary(watch)
        self.assertEqual((told["lost"], told["failed"], told["episodes"]), (0, 0, 1), watch.written(1))
        self.assertEqual(told["answers"] + told["asked again"], told["calls"])

    @staticmethod
    def resume(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def test_a_replica_that_was_restarted_knows_the_past(self):
        hub = self.detectors()
        self.feed(2 * LEARNED)                              # less than a window, which would hide a missing one
        self.wait_learned(2 * LEARNED)
        before = hub.replicas("detector")[0]["pid"]
        os.kill(before, signal.SIGKILL)
        hub.wait_replica("detector", "ready", other_than=before)
        scores = [self.score(value=UNUSUAL, replica=n) for n in (0, 1)]
        self.assertEqual([s.pop("replica") for s in scores], ["detector/0", "detector/1"])
        self.assertEqual(scores[0], scores[1])
        self.assertTrue(scores[0]["outlier"])

    def test_what_cannot_be_scored_is_refused(self):
        self.detectors()
        self.feed(LEARNED)
        self.wait_learned(LEARNED)
        for value in (float("nan"), float("inf"), "0.5", None):
            self.fails("INVALID_ARGUMENT", YES, lambda value=value: self.score(value=value))
        self.fails("INVALID_ARGUMENT", YES, lambda: self.client.call("detector", "score", value=1))
        self.fails("NOT_FOUND", YES, lambda: self.score("test.nothing"))
        self.fails("UNIMPLEMENTED", NO, lambda: self.client.call("detector", "no_such_method"))
        self.assertEqual(self.client.call("detector", "series"), ["test.value"])

    # ---- other frontends --------------------------------------------------------------------------

    def test_every_kind_of_frontend_gets_the_same_answer(self):
        hub = self.detectors()
        self.feed(LEARNED, topic="sensor.cpu", key="cpu")
        self.wait_learned(LEARNED, "cpu.cpu")
        here = self.score("cpu.cpu", 0.99)
        out = self.run_to_end(hub, self.program("plain_nng"))
        nng = json.loads(out.replace("=>", ":"))
        python = ast.literal_eval(self.run_to_end(hub, sys.executable, "-B",
                                                  os.path.join(common.SOURCE, "examples", "hostwatch", "call.py")))
        shell = json.loads(self.prong(hub, "call", "detector.score", "series=cpu.cpu", "value:=0.99"))
        for reply in (nng, python):
            self.assertEqual(reply[:2], [kit.OP["RESULT"], 1])
        self.assertEqual((here["samples"], here["ready"], here["outlier"]), (LEARNED, True, False))
        for answer in (nng[2], python[2], shell):
            self.assertEqual(set(answer), set(here))
            self.assertIn(answer["replica"], ("detector/0", "detector/1"))
            for key in set(here) - {"replica"}:             # libmsgpack prints six places
                self.assertAlmostEqual(answer[key], here[key], places=5, msg=key)


if __name__ == "__main__":
    kit.main()
