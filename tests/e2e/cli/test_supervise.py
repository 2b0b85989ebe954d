"""What the hub does for workers over their life: who starts after whom, how a program says that it is ready,
processes that are renewed, processes that hang, another configuration, a debugger in the place of a process."""
import json
import os
import re
import signal
import socket
import time

import hub

PY, W = hub.sys.executable, hub.WORKER

# Says what its argument says to its service manager, in the words of sd_notify(3), one a second argument.
NOTIFIER = r"""
import os, select, signal, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
if sys.argv[1] == "child":
    if os.fork() == 0:
        s.send(b"READY=1\nSTATUS=said by a child")
        signal.pause()  # one that is gone when it is read belongs to nobody: hence sd_notify_barrier
    os.wait()
elif sys.argv[1] == "ready":
    s.send(b"STATUS=working well\nREADY=1")
elif sys.argv[1] == "beats":
    assert os.environ["WATCHDOG_USEC"] == "1000000"
    s.send(b"READY=1")
    for i in range(4):
        select.select([], [], [], 0.3)
        s.send(b"WATCHDOG=1")
signal.pause()
"""

LISTENER = r"""
import os, select, signal, socket, sys
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
signal.pause()
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Supervise(hub.Case):

    def until(self, what, wanted, *args):
        """What changes by itself is looked at again until it is so."""
        end = time.monotonic() + hub.DEADLINE
        while not wanted(found := what(*args)):
            self.assertLess(time.monotonic(), end, found)
        return found

    def told(self, *filters):
        """All events so far, oldest first."""
        return self.prong("events", *filters, "--from", "oldest", "--until", "200ms", "-o", "jsonl").lines()

    def pids(self, worker):
        return [r["pid"] for r in self.replicas(worker)]

    # ---- order --------------------------------------------------------------------------------------

    def test_who_stands_on_others_starts_after_them_and_ends_before_them(self):
        self.up(f"""
workers:
  top: {{command: [sleep, "1000"], ready: started, depends_on: {{middle: started, once: completed}}}}
  middle: {{command: [sleep, "1000"], ready: started, depends_on: {{base: ready}}}}
  base: {{command: [{PY}, {W}]}}
  once: {{command: ["true"], ready: started, restart: "no"}}
""")
        order = [(e["topic"].rsplit(".", 1)[1], e["payload"]["worker"]) for e in self.told("hub.worker.*")
                 if e["topic"] in ("hub.worker.started", "hub.worker.ready")]
        self.assertLess(order.index(("ready", "base")), order.index(("started", "middle")))
        self.assertLess(order.index(("started", "middle")), order.index(("started", "top")))
        self.ok("down")
        with open(os.path.join(self.run_dir, "hub.log"), encoding="utf-8") as file:
            ended = re.findall(r"hub\.worker\.exited .*?worker='(\w+)'", file.read())
        self.assertEqual(ended[-3:], ["top", "middle", "base"])

    def test_one_starts_again_with_another(self):
        self.up(f"""
workers:
  base: {{command: [{PY}, {W}], restart_delay: 0ms}}
  top: {{command: [sleep, "1000"], ready: started, depends_on: {{base: ready}}, restart_with: [base]}}
""")
        before = self.pids("top")
        os.kill(self.pids("base")[0], signal.SIGKILL)
        self.until(lambda: self.replicas("top")[0],
                   lambda r: r["state"] == "ready" and r["pid"] != before[0])

    # ---- ready --------------------------------------------------------------------------------------

    def test_programs_say_that_they_are_ready_in_their_own_way(self):
        port = free_port()
        script, listener = (os.path.join(self.dir, n) for n in ("notifier.py", "listener.py"))
        for path, text in ((script, NOTIFIER), (listener, LISTENER)):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        self.up(f"""
workers:
  notifies: {{command: [{PY}, {script}, ready], ready: notify}}
  child: {{command: [{PY}, {script}, child], ready: notify}}
  listens: {{command: [{PY}, {listener}, "{port}"], ready: "tcp:{port}"}}
  writes: {{command: [sh, -c, "echo not yet; echo now it serves; exec tail -f /dev/null"], ready: "log:now it"}}
""")
        status = self.ok("status").json()["workers"]
        self.assertEqual({w["replicas"][0]["state"] for w in status.values()}, {"ready"}, status)
        self.assertEqual(status["notifies"]["replicas"][0]["status"], "working well")
        self.assertEqual(status["child"]["replicas"][0]["status"], "said by a child")
        self.assertRegex(self.ok("status", "-o", "table").out, r"notifies/0 .* working well\n")

    def test_one_that_never_says_so_is_killed_and_its_threads_are_told(self):
        self.up("""
workers:
  mute: {command: [sleep, "1000"], ready: notify, start_timeout: 200ms, restart: "no", autostart: false}
""")
        self.assertIn("did not get ready in time", self.fails(150, "start", "mute").err)
        with open(os.path.join(self.run_dir, "hub.log"), encoding="utf-8") as file:
            self.assertRegex(file.read(), r"mute/0: thread \d+ 'sleep' state S, waits in ")

    # ---- renewal ------------------------------------------------------------------------------------

    def test_processes_are_renewed_without_a_call_being_lost(self):
        self.up(f"""
workers:
  alpha: {{command: [{PY}, {W}], replicas: 2, max_calls: 25}}
""")
        path = os.path.join(self.dir, "calls.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"n": n}) + "\n" for n in range(400))
        lines = self.ok("call", "alpha.echo", "--map", path, "--ordered", "-o", "jsonl").lines()
        self.assertEqual(len(lines), 400)
        replaced = self.until(self.told, lambda found: len(found) >= 2, "hub.worker.replaced")
        self.assertIn("max_calls", replaced[0]["payload"]["reason"])
        self.assertEqual([e for e in self.told("hub.worker.exited") if "signal" in e["payload"]["reason"]], [])

    def test_who_has_too_much_memory_is_replaced(self):
        self.up(f"""
workers:
  fat: {{command: [{PY}, -c, "x = b'x' * (64 << 20); import signal; signal.pause()"], ready: started,
        max_memory: 32MiB}}
""")
        before = self.pids("fat")
        self.until(self.pids, lambda now: now != before and now[0] > 0, "fat")
        self.assertIn("max_memory", self.told("hub.worker.replaced")[0]["payload"]["reason"])

    # ---- hanging ------------------------------------------------------------------------------------

    def test_a_method_that_hangs_is_ended_and_says_where_it_was(self):
        self.up(f"""
workers:
  alpha: {{command: [{PY}, {W}], max_busy: 300ms, restart_delay: 0ms}}
""")
        fifo = os.path.join(self.dir, "fifo")
        os.mkfifo(fifo)
        result = self.fails(150, "call", "alpha.block", "fifo=" + fifo)
        self.assertIn("hung: told nothing of its calls for 300 ms (max_busy)", result.err)
        # Where it was: what faulthandler wrote when it was asked to abort.
        self.assertIn("Fatal Python error: Aborted", self.ok("logs", "alpha", "-n", "100").out)
        self.ok("wait", "alpha", "--for", "ready")
        self.ok("call", "alpha.echo", "x=1")

    def test_a_method_that_does_not_look_whether_it_is_cancelled_is_ended(self):
        self.up(f"""
workers:
  alpha: {{command: [{PY}, {W}], cancel: 200ms, restart_delay: 0ms}}
""")
        fifo = os.path.join(self.dir, "fifo")
        os.mkfifo(fifo)
        before = self.pids("alpha")
        self.fails(124, "call", "alpha.block", "fifo=" + fifo, "--timeout", "100ms")
        self.until(lambda: self.replicas("alpha")[0], lambda r: r["state"] == "ready" and r["pid"] != before[0])
        self.assertIn("(cancel)", self.told("hub.worker.exited")[0]["payload"]["reason"])

    def test_who_promises_signs_of_life_has_to_send_them(self):
        script = os.path.join(self.dir, "notifier.py")
        with open(script, "w", encoding="utf-8") as file:
            file.write(NOTIFIER)
        self.up(f"""
workers:
  beats: {{command: [{PY}, {script}, beats], ready: notify, heartbeat: 1s, restart: "no"}}
""")
        self.until(lambda: self.replicas("beats")[0], lambda r: r["state"] == "failed")
        self.assertIn("hung: no WATCHDOG=1 for 1000 ms", self.replicas("beats")[0]["reason"])

    def test_a_stopped_process_does_not_answer(self):
        self.up(f"""
workers:
  alpha: {{command: [{PY}, {W}], heartbeat: 1s, restart_delay: 0ms}}
""")
        pid = self.pids("alpha")[0]
        os.kill(pid, signal.SIGSTOP)
        self.until(lambda: self.replicas("alpha")[0], lambda r: r["state"] == "ready" and r["pid"] not in (0, pid))

    # ---- another configuration -----------------------------------------------------------------------

    def write(self, text):
        with open(os.path.join(self.dir, "prong.yaml"), "w", encoding="utf-8") as file:
            file.write(text)

    def test_reload_changes_only_what_differs(self):
        text = f"""
workers:
  alpha: {{command: [{PY}, {W}], replicas: 2}}
  beta: {{command: [{PY}, {W}]}}
  gone: {{command: [sleep, "1000"], ready: started}}
"""
        self.up(text)
        alpha, beta = self.pids("alpha"), self.pids("beta")
        self.assertEqual(self.ok("reload").json(), {"added": [], "changed": [], "removed": [], "rolled_back": {}})
        self.assertEqual((self.pids("alpha"), self.pids("beta")), (alpha, beta))

        self.write(text.replace("gone", "new").replace("replicas: 2", "replicas: 2, environment: {A: b}")
                   .replace("beta: {", "beta: {queue_size: 7, "))
        self.assertEqual(self.ok("reload").json(),
                         {"added": ["new"], "changed": ["alpha", "beta"], "removed": ["gone"], "rolled_back": {}})
        self.assertEqual(self.pids("beta"), beta)
        self.assertFalse(set(self.pids("alpha")) & set(alpha))
        self.until(lambda: sorted(self.ok("status").json()["workers"]),
                   lambda names: names == ["alpha", "beta", "new"])
        self.assertIn("A=b", self.ok("env", "alpha", "-o", "raw").out.splitlines())

    def test_a_wrong_file_changes_nothing(self):
        text = f"workers:\n  alpha: {{command: [{PY}, {W}]}}\n"
        self.up(text)
        before = self.ok("status").json()["workers"]["alpha"]["replicas"][0]["pid"]
        for wrong, says in (("workers: [", "prong.yaml:1:"), (text + "  beta: {comand: [x]}\n", "did you mean 'command'?"),
                            (text + "  beta: {command: [x], depends_on: {nobody: ready}}\n", "no such worker")):
            self.write(wrong)
            result = self.fails(6, "reload")
            self.assertIn("prong.yaml:", result.err)
            self.assertIn(says, result.err)
            self.assertEqual(self.pids("alpha"), [before])
            self.assertEqual(list(self.ok("status").json()["workers"]), ["alpha"])
        os.unlink(os.path.join(self.dir, "prong.yaml"))
        self.assertIn("No such file", self.fails(6, "reload").err)
        self.ok("call", "alpha.echo", "x=1")

    def test_a_program_that_does_not_start_is_not_taken(self):
        text = f"workers:\n  alpha: {{command: [{PY}, {W}], replicas: 2}}\n"
        self.up(text)
        before = self.pids("alpha")
        self.write(text.replace(f"[{PY}, {W}]", "[sh, -c, 'exit 7']"))
        result = self.fails(1, "reload")
        self.assertIn("alpha went back to its former configuration: its new process exited with 7", result.err)
        self.assertEqual(self.pids("alpha"), before)
        self.ok("call", "alpha.echo", "x=1")

    def test_sighup_reloads_too(self):
        text = f"workers:\n  alpha: {{command: [{PY}, {W}]}}\n"
        self.up(text)
        before = self.pids("alpha")
        self.write(text.replace("}", ", environment: {A: b}}"))
        with open(os.path.join(self.run_dir, "lock"), encoding="utf-8") as file:
            os.kill(int(file.read().split()[0]), signal.SIGHUP)
        self.until(self.pids, lambda now: now != before and now[0] > 0, "alpha")

    # ---- by hand -------------------------------------------------------------------------------------

    def test_a_command_takes_the_place_of_a_process(self):
        self.up(f"workers:\n  alpha: {{command: [{PY}, {W}], max_busy: 1s}}\n")
        self.assertIn("stop it first", self.fails(1, "attach", "alpha", PY, W).err)
        self.ok("stop", "alpha")
        child = self.start("attach", "alpha/0", PY, W)
        self.until(lambda: self.replicas("alpha")[0], lambda r: r["state"] == "ready")
        self.assertEqual(self.pids("alpha"), [child.pid])
        self.ok("call", "alpha.echo", "x=1")
        self.ok("stop", "alpha")
        child.wait(timeout=hub.DEADLINE)
        self.assertEqual(self.replicas("alpha")[0]["state"], "stopped")
        self.ok("start", "alpha")
        self.assertNotEqual(self.pids("alpha"), [child.pid])


if __name__ == "__main__":
    hub.unittest.main()
