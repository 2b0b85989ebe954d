"""Warm start: workers whose processes are forked by a template that has imported their modules."""
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time

import kit

COMMAND = json.dumps([sys.executable, os.path.join(kit.HERE, "warm.py"), "--number=%i"])
HEAVY = """import os
PID = os.getpid()
DATA = bytearray(b"x") * (48 << 20)
"""
MIB = 1 << 20


class Warm(kit.Case):
    """The worker `warm`, of which a template imports the module heavy.py of the test's folder."""

    def module(self, text, name="heavy"):
        with open(os.path.join(self.dir, f"{name}.py"), "w", encoding="utf-8") as file:
            file.write(text)

    def config(self, more="", preload="[heavy]", replicas=2):
        return (f"warm: {{command: {COMMAND}, preload: {preload}, replicas: {replicas}, restart_delay: 10ms, "
                f"environment: {{PYTHONPATH: {self.dir}, NUMBER: \"%i\"}}{more}}}\n")

    def warm(self, more="", text=HEAVY, **how):
        self.module(text)
        return self.hub(self.config(more), **how)

    def template(self, hub, other_than=None):
        """The pid of the template that runs."""
        def found():
            pids = [pid for pid in kit.children(hub.spawner) if kit.comm(pid) == "template" and pid != other_than]
            return pids[0] if len(pids) == 1 else None
        return kit.until(found, "a template")

    def pids(self, hub):
        return [r["pid"] for r in hub.replicas("warm")]

    def reload(self, hub, text):
        with open(hub.config, "w", encoding="utf-8") as file:
            file.write("workers:\n" + kit.indent(text))
        return hub.client().admin("reload")

    def has_logged(self, client, pattern, who="warm/template"):
        def found():
            lines = client.admin("follow", workers=["warm"], lines=1000, wait_ms=0)["lines"]
            return [line["line"] for line in lines if line["replica"] == who and re.search(pattern, line["line"])]
        return kit.until(found, f"a line of {who} with {pattern}")


class Members(Warm):
    def test_a_member_is_as_one_that_was_executed_and_shares_the_memory_of_its_modules(self):
        hub = self.warm(", cpu_affinity: [\"0\"]", text=HEAVY)
        client, template = hub.client(), self.template(hub)
        for n, pid in enumerate(self.pids(hub)):
            about = client.call(f"warm/{n}", "about")
            self.assertEqual(about, {
                "argv": [f"--number={n}"], "folder": os.path.realpath(self.dir), "session": pid, "group": pid,
                "parent": hub.spawner, "comm": f"warm/{n}", "ignores": about["ignores"], "blocks": 0,
                "imported_by": template, "incarnation": about["incarnation"],
                "shown": about["incarnation"].rjust(20, "0"), "token": None, "replica": str(n), "number": str(n),
                "threads": None, "cpus": [0], "fds": about["fds"]})
            self.assertTrue(about["ignores"] & 1 << (signal.SIGINT - 1))
            self.assertLessEqual(len(about["fds"]), 5, about["fds"])           # 0 to 2, the hub, this folder
        for pid in self.pids(hub):
            with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
                sizes = dict(re.findall(r"(\w+):\s+(\d+) kB", file.read()))
            self.assertGreater(int(sizes["Rss"]) * 1024, 48 * MIB)
            self.assertLess(int(sizes["Pss"]) * 1024, 30 * MIB)
        self.assertEqual({r["replica"] for r in hub.status()["workers"]["warm"]["replicas"]}, {"warm/0", "warm/1"})

    def test_a_member_that_is_killed_comes_again_from_the_same_template_and_leaves_nobody(self):
        hub = self.warm()
        client, template, pids = hub.client(), self.template(hub), self.pids(hub)
        daemon = client.call("warm/0", "daemon")
        other = client.call("warm/1", "daemon")
        os.kill(pids[0], signal.SIGKILL)
        hub.wait_replica("warm", other_than=pids[0])
        self.assertEqual(kit.wait_gone([daemon], kit.SECONDS), set())
        self.assertEqual(kit.comm(other)[:4], "warm")
        self.assertEqual(client.call("warm/0", "about")["imported_by"], template)
        self.assertEqual(self.pids(hub)[1], pids[1])

    def test_what_it_writes_and_reads_goes_through_the_hub(self):
        hub = self.warm(", stdin: pipe")
        client = hub.client()
        client.call("warm/1", "write", 3)
        self.has_logged(client, "line 00000002", who="warm/1")
        reading = client.begin("warm/0", "read")
        hub.client().admin("send", replica="warm/0", data="hello\n")
        self.assertEqual(client.end(reading), "hello\n")

    def test_when_the_spawner_is_killed_nothing_is_left(self):
        self.codes = (70,)
        hub = self.warm()
        client = hub.client()
        client.call("warm/0", "daemon")
        os.kill(hub.spawner, signal.SIGKILL)
        hub.wait_end()
        hub.assert_nothing_left(1)

    def test_when_the_broker_is_killed_members_and_template_stay(self):
        hub = self.warm()
        template, pids = self.template(hub), self.pids(hub)
        os.kill(hub.broker, signal.SIGKILL)
        hub.wait_log(r"epoch 2\)")
        kit.until(lambda: "every worker is ready" in hub.log.partition("epoch 2)")[2], "the workers")
        self.assertEqual((self.pids(hub), self.template(hub)), (pids, template))
        client = hub.client()
        client.call("warm/1", "write", 1)
        self.has_logged(client, "line 00000000", who="warm/1")
        os.kill(pids[0], signal.SIGKILL)
        hub.wait_replica("warm", other_than=pids[0])
        self.assertEqual(client.call("warm/0", "about")["imported_by"], template)

    def test_a_member_of_a_stop_that_is_slow_is_killed_with_its_group(self):
        hub = self.warm(", stop_timeout: 100ms", hub="stop_timeout: 1s")
        client = hub.client()
        client.begin("warm/0", "hold_deaf")
        self.meet.next("hold")
        hub.stop()
        hub.assert_nothing_left()


class Templates(Warm):
    def failed(self, hub, state="failed"):
        """Why warm/0 is in that state."""
        hub.wait_listening()

        def found():
            r = hub.status()["workers"]["warm"]["replicas"][0]
            return r if r["state"] == state else None
        return kit.until(found, f"warm/0 {state}")["reason"]

    def test_threads_are_refused_with_their_names(self):
        self.module("import threading\nthreading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()\n")
        hub = self.hub(self.config(", max_restarts: 1"), ready=False)
        self.assertEqual(self.failed(hub), "could not start: template: it has threads, and cannot be forked: poller")
        self.has_logged(hub.client(), "poller. What starts them belongs into setup")

    def test_a_module_that_cannot_be_imported_is_named_and_the_next_start_looks_again(self):
        self.module("import no_such_module\n")
        hub = self.hub(self.config(", max_restarts: 1"), ready=False)
        self.assertEqual(self.failed(hub), "could not start: template: cannot import heavy: "
                                           "No module named 'no_such_module'")
        client = hub.client()
        self.has_logged(client, "ModuleNotFoundError")
        self.module(HEAVY)
        client.admin("start", worker="warm")
        hub.wait_replica("warm")
        self.assertEqual(client.call("warm/0", "about")["imported_by"], self.template(hub))

    def test_how_a_template_ends_is_how_its_members_end(self):
        for text, reason in (("import os\nos._exit(78)\n", "exited with 78 before it was asked to fork"),
                             ("import os\nos.kill(os.getpid(), 9)\n", "killed by signal 9")):
            with self.subTest(reason):
                self.module(text)
                hub = self.hub(self.config(", max_restarts: 0"), ready=False, run_dir=f"{self.dir}/{len(self.hubs)}")
                self.assertEqual(self.failed(hub), f"could not start: template: {reason}")
        hub = self.hub(self.config().replace(json.dumps(sys.executable), "no-such-python"), ready=False,
                       run_dir=f"{self.dir}/exec")
        self.assertEqual(self.failed(hub), "could not start: exec 'no-such-python': No such file or directory")

    def test_imports_that_do_not_end_are_a_start_that_takes_too_long(self):
        self.module("import worker\nworker.meet('import')\n")
        hub = self.hub(self.config(f", start_timeout: {3 * kit.SLOW}s, max_restarts: 0"), ready=False)
        met = self.meet.next("import")
        self.assertEqual(self.failed(hub), "could not start: template: it had not finished its imports")
        self.assertEqual(kit.wait_gone([met.pid], kit.SECONDS), set())

    def test_members_go_on_without_a_template_and_the_next_start_makes_one(self):
        hub = self.warm()
        client, template, pids = hub.client(), self.template(hub), self.pids(hub)
        os.kill(template, signal.SIGKILL)
        kit.wait_gone([template], kit.SECONDS)
        self.assertEqual(client.call("warm/0", "pid"), pids[0])
        os.kill(pids[1], signal.SIGKILL)
        hub.wait_replica("warm", number=1, other_than=pids[1])
        self.assertEqual(client.call("warm/1", "about")["imported_by"], self.template(hub, other_than=template))
        self.assertEqual(client.call("warm/0", "pid"), pids[0])

    def test_a_restart_of_the_worker_makes_another_template_and_one_of_a_replica_does_not(self):
        hub = self.warm()
        client, template, pids = hub.client(), self.template(hub), self.pids(hub)
        client.admin("restart", worker="warm/0")
        hub.wait_replica("warm", other_than=pids[0])
        self.assertEqual(client.call("warm/0", "about")["imported_by"], template)
        self.module(HEAVY + "PID = -1\n")
        client.admin("restart", worker="warm")
        for n in range(2):
            kit.until(lambda n=n: client.call(f"warm/{n}", "about")["imported_by"] == -1, "the new module")
        self.assertNotEqual(self.template(hub, other_than=template), template)
        self.assertEqual(kit.wait_gone([template], kit.SECONDS), set())

    def test_a_reload_changes_templates_as_it_changes_processes(self):
        hub = self.warm()
        client, template, pids = hub.client(), self.template(hub), self.pids(hub)
        self.module(HEAVY, "other")
        self.assertEqual(self.reload(hub, self.config(preload="[heavy, other]"))["changed"], ["warm"])
        self.assertFalse(set(pids) & set(self.pids(hub)))
        second = self.template(hub, other_than=template)
        self.assertEqual(client.call("warm/0", "about")["imported_by"], second)
        self.assertEqual(self.reload(hub, self.config(preload="[]"))["changed"], ["warm"])
        self.assertEqual(kit.wait_gone([template, second], kit.SECONDS), set())
        self.assertIsNone(client.call("warm/0", "about")["imported_by"])

    def test_a_reload_to_a_template_that_fails_goes_back(self):
        hub = self.warm()
        pids = self.pids(hub)
        told = self.reload(hub, self.config(preload="[no_such_module]"))
        self.assertIn("cannot import no_such_module", told["rolled_back"]["warm"])
        self.assertEqual(hub.client().call("warm/0", "pid"), pids[0])

    def test_a_template_ends_some_time_after_the_last_process_of_its_worker(self):
        hub = self.warm()
        client, template = hub.client(), self.template(hub)
        client.admin("stop", worker="warm")
        self.assertEqual(kit.wait_gone([template], kit.SECONDS + 10), set())
        client.admin("start", worker="warm")
        hub.wait_replica("warm")

    def test_a_worker_that_is_added_to_a_running_hub_may_have_one(self):
        self.module(HEAVY)
        hub = self.hub("")
        client = hub.client()
        client.admin("run", name="warm", command=json.loads(COMMAND), working_dir=self.dir, replicas=2,
                     environment={"PYTHONPATH": self.dir}, preload=["heavy", "decimal"])
        hub.wait_replica("warm")
        self.assertEqual(client.call("warm/0", "about")["imported_by"], self.template(hub))


class Wrong(kit.Case):
    """Whatever a template does, the start fails with a reason, and the hub goes on."""

    def check(self, how, reason, state="failed"):
        command = json.dumps([sys.executable, os.path.join(kit.HERE, "wrong_template.py"), how])
        hub = self.hub(f"wrong: {{command: {command}, preload: [json], max_restarts: 0}}\n"
                       f"echo: {{command: {kit.worker_command()}}}", ready=False)
        hub.wait_listening()

        def found():
            r = hub.status()["workers"]["wrong"]["replicas"][0]
            return r["state"] == state and r["reason"]
        self.assertRegex(kit.until(found, f"wrong/0 {state}"), reason)
        self.assertEqual(hub.client().call("echo", "echo", 1), [1])
        self.assertEqual(hub.stop(), 0)
        hub.assert_nothing_left()

    def test_one_that_calls_itself_the_member(self):
        self.check("itself", "^could not start: template: what was forked is not a child of the hub$")

    def test_one_that_keeps_its_child(self):
        self.check("child", "^could not start: template: what was forked is not a child of the hub$")

    @kit.needs_root
    def test_one_that_names_another_process_of_the_hub(self):
        self.check("stranger", "^could not start: template: what was forked is not a child of the hub$")

    def test_one_that_answers_with_junk(self):
        self.check("junk", "^could not start: template: what was forked ended at once$")

    def test_one_that_does_not_answer(self):
        self.check("silent", "^could not start: template: what was forked ended at once$")

    def test_one_that_wants_no_requests(self):
        self.check("deaf", "^could not start: template: (killed by signal 9|what was forked ended at once)$")

    def test_one_that_says_no_text(self):
        self.check("binary", r"^could not start: template: \?\?\[2J\?")


class Arithmetic(Warm):
    def test_numpy_is_imported_with_one_thread_unless_the_environment_says_otherwise(self):
        code = "import numpy, os; print(len(os.listdir('/proc/self/task')))"
        threads = subprocess.run([sys.executable, "-c", code], env={**self.env, "OPENBLAS_NUM_THREADS": "2"},
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
        if threads != b"2\n":
            self.skipTest("no numpy that starts threads")
        config = self.config(preload="[numpy.random]", more=", max_restarts: 0")
        hub = self.hub(config)
        client = hub.client()
        draws = [client.call(f"warm/{n}", "draw") for n in range(2)]
        self.assertNotEqual(*draws)
        self.assertEqual(hub.stop(), 0)
        hub = self.hub(config.replace("environment: {", "environment: {OPENBLAS_NUM_THREADS: \"2\", "), ready=False,
                       run_dir=f"{self.dir}/run2")
        hub.wait_listening()
        kit.until(lambda: hub.status()["workers"]["warm"]["replicas"][0]["state"] == "failed", "a refusal")
        self.assertRegex(hub.status()["workers"]["warm"]["replicas"][0]["reason"], "it has threads, .*: python")


class Speed(Warm):
    REPLICAS = 8

    def seconds(self, preload):
        """From the start of a hub until all replicas of the worker are ready."""
        began = time.monotonic()
        hub = self.hub(self.config(preload=preload, replicas=self.REPLICAS, more=", start_timeout: 10m"),
                       run_dir=f"{self.dir}/run{preload}", ready=False)
        for n in range(self.REPLICAS):
            hub.wait_log(f"hub.worker.ready .*replica='warm/{n}'", seconds=120 * kit.SLOW)
        seconds = time.monotonic() - began
        again = self.pids(hub)
        began = time.monotonic()
        for pid in again:
            os.kill(pid, signal.SIGKILL)
        for n, pid in enumerate(again):
            hub.wait_replica("warm", number=n, other_than=pid)
        restart = time.monotonic() - began
        self.assertEqual(hub.stop(), 0)
        return seconds, restart

    def test_many_with_a_module_that_takes_long(self):
        """numpy; where that is not, a module that works for 0.2 s."""
        has_numpy = importlib.util.find_spec("numpy") is not None
        heavy = "import numpy\n" if has_numpy else "import time\nwhile time.process_time() < 0.2:\n    pass\n"
        self.module(HEAVY + heavy)
        # Without a template each process imports it by itself, before it does anything else.
        self.module("import heavy\n", "sitecustomize")
        executed, executed_again = self.seconds("[]")
        os.unlink(os.path.join(self.dir, "sitecustomize.py"))
        forked, forked_again = self.seconds("[heavy]")
        print(f"\n{self.REPLICAS} processes with {'numpy' if has_numpy else 'a module of 0.2 s'} until they are ready: "
              f"executed {executed:.2f} s, forked {forked:.2f} s; when all are killed, until they are ready again: "
              f"executed {executed_again:.2f} s, forked {forked_again:.2f} s", file=sys.stderr)
        self.assertLess(forked, executed)
        self.assertLess(forked_again, executed_again)


if __name__ == "__main__":
    kit.main()
