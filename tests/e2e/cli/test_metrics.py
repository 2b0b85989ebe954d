"""prong metrics: the text is Prometheus's, counts what happened, and no counter ever goes back."""
import os
import re
import shutil
import signal
import subprocess
import sys

from hub import Case, WORKER, main

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "..", "docs", "metrics.md")
SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')


def samples(text):
    """{name: {labels: value}}, the labels as they stand there."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            found.setdefault(name, {})[labels or ""] = float(value)
    return found


def types(text):
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))


class Metrics(Case):
    config = f"""
workers:
  alpha: {{command: [{sys.executable}, {WORKER}], restart_delay: 10ms}}
  idle: {{command: [{sys.executable}, {WORKER}], autostart: false, replicas: 2}}
"""

    def metrics(self, *words):
        return self.ok("metrics", *words).out

    def test_promtool_has_nothing_to_say(self):
        if shutil.which("promtool") is None:
            self.skipTest("there is no promtool: apt-get install prometheus")
        self.ok("call", "alpha.add", "a:=1", "b:=2")
        self.fails(5, "call", "alpha.nope")
        done = subprocess.run(["promtool", "check", "metrics"], input=self.metrics(), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_what_happened_is_counted(self):
        for n in range(3):
            self.ok("call", "alpha.add", f"a:={n}")
        self.fails(1, "call", "alpha.fail")
        self.fails(5, "call", "alpha.nope")
        self.fails(5, "call", "nobody.add")
        child, fd = self.blocking("alpha")
        found = samples(self.metrics())
        calls = found["prong_calls_total"]
        self.assertEqual(calls['worker="alpha",method="add",code="OK"'], 3)
        self.assertEqual(calls['worker="alpha",method="fail",code="UNKNOWN"'], 1)
        self.assertEqual(calls['worker="alpha",method="*",code="UNIMPLEMENTED"'], 1)
        self.assertEqual(found["prong_calls_refused_total"]['reason="no_worker"'], 1)
        self.assertEqual(found["prong_call_duration_seconds_count"]['worker="alpha",method="add"'], 3)
        self.assertEqual(found["prong_call_queue_seconds_count"]['worker="alpha",method="block"'], 1)
        self.assertEqual(found["prong_call_duration_seconds_count"]['worker="alpha",method="block"'], 0)
        self.assertEqual(found["prong_calls_in_flight"]['worker="alpha"'], 1)
        self.assertEqual(found["prong_worker_up"], {'worker="alpha"': 1, 'worker="idle"': 0})
        self.assertEqual(found["prong_worker_replicas"]['worker="idle",state="stopped"'], 2)
        self.assertGreater(found["prong_worker_resident_memory_bytes"]['worker="alpha"'], 1 << 20)
        self.assertEqual(found["prong_worker_resident_memory_bytes"]['worker="idle"'], 0)
        os.write(fd, b"done\n")
        self.assertEqual(self.end(child).code, 0)
        self.assertEqual(list(samples(self.metrics("idle"))["prong_worker_up"]), ['worker="idle"'])
        self.assertIn("no worker 'nobody'", self.fails(5, "metrics", "nobody").err)
        self.assertEqual(self.ok("metrics", "-o", "json").json()["workers"]["alpha"]["methods"]["add"]["calls"],
                         {"OK": 3})

    def test_buckets_add_up(self):
        self.ok("call", "alpha.add")
        found = samples(self.metrics())
        buckets = [v for k, v in found["prong_call_duration_seconds_bucket"].items() if 'method="add"' in k]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(buckets[-1], 1)
        ends = [float(x) for x in re.findall(r'method="add",le="(.*?)"\} ', self.metrics())]
        ends = ends[:len(buckets)]
        self.assertEqual((ends[0], ends[-1]), (50e-6, float("inf")))
        self.assertEqual(ends, sorted(ends))

    def test_no_counter_goes_back(self):
        """Over calls, a death, a restart and a worker that leaves nothing running."""
        before, kinds = {}, {}

        def look():
            text = self.metrics()
            kinds.update(types(text))
            now = samples(text)
            for name, series in before.items():
                base = re.sub(r"_(bucket|sum|count)$", "", name)
                if kinds.get(name) == "counter" or kinds.get(base) == "histogram":
                    for labels, value in series.items():
                        self.assertGreaterEqual(now[name].get(labels, -1), value, f"{name}{{{labels}}}")
            before.clear()
            before.update(now)

        look()
        self.ok("call", "alpha.add")
        look()
        pid = self.replicas("alpha")[0]["pid"]
        since = str(self.ok("emit", "test.before", "-j").json()["number"])
        os.kill(pid, signal.SIGKILL)
        self.ok("wait", "--event", "hub.worker.ready", "--from", since, "-q")
        self.fails(150, "call", "alpha.die")
        self.ok("wait", "--event", "hub.worker.ready", "--from", since, "--count", "2", "-q")
        look()
        self.ok("restart", "alpha")
        look()
        self.ok("stop", "alpha")
        look()
        restarts = before["prong_worker_restarts_total"]
        self.assertEqual([restarts[f'worker="alpha",reason="{x}"'] for x in ("exit", "asked")], [1, 1])
        self.assertEqual(restarts['worker="alpha",reason="signal"'], 1)
        self.assertEqual(before["prong_calls_total"]['worker="alpha",method="die",code="ABORTED"'], 1)

    def test_the_documentation_names_them_all(self):
        with open(DOCS, encoding="utf-8") as file:
            named = re.findall(r"`(prong_\w+)`(?=[^|]*\| (?:counter|gauge|histogram) )", file.read())
        self.assertEqual(sorted(set(named)), sorted(types(self.metrics())))


if __name__ == "__main__":
    main()
