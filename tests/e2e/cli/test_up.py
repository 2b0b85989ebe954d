"""prong up and down: from nothing to a hub and back, and everything that can be in the way."""
import fcntl
import os
import re
import resource
import signal
import stat
import subprocess

import hub

PY, W = hub.sys.executable, hub.WORKER


class Up(hub.Case):
    def lock_pid(self):
        with open(os.path.join(self.run_dir, "lock"), encoding="utf-8") as file:
            return int(file.read())

    def test_up_and_down(self):
        found = self.up(hub.CONFIG).json()
        self.assertEqual(found["workers"]["alpha"]["replicas"][0]["state"], "ready")
        pid = self.lock_pid()
        self.assertNotEqual(os.getsid(pid), os.getsid(0), "in a session of its own")
        self.assertEqual(os.readlink(f"/proc/{pid}/fd/0"), "/dev/null")
        log = os.path.join(self.run_dir, "hub.log")
        self.assertEqual(os.readlink(f"/proc/{pid}/fd/2"), log)
        self.assertEqual(stat.S_IMODE(os.stat(log).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.run_dir).st_mode), 0o700)
        self.assertIn("the hub has ended", self.ok("down").err)
        self.assertFalse(hub.is_alive(pid))
        self.assertFalse(os.path.exists(os.path.join(self.run_dir, "hub.sock")))
        with open(os.path.join(self.run_dir, "lock"), encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.assertIn("no hub runs", self.ok("down").err)

    def test_the_table_on_a_terminal(self):
        path = os.path.join(self.dir, "prong.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(hub.CONFIG)
        code, text = self.on_terminal("up")          # ./prong.yaml
        self.assertEqual(code, 0)
        self.assertRegex(text, r"alpha/0 +\x1b\[32mready")

    def test_a_hub_that_runs_already(self):
        self.up(hub.CONFIG)
        pid = self.lock_pid()
        result = self.ok("up")
        self.assertIn("runs already", result.err)
        self.assertIn("alpha", result.json()["workers"])
        self.assertEqual(self.lock_pid(), pid)

    def test_several_at_once_give_one_hub(self):
        children = [self.start("up", "-q") for _ in range(4)]
        for child in children:
            self.assertEqual(self.end(child).code, 0)
        self.assertEqual(len([c for c in hub.tagged(self.tag).values() if "prong-broker" in c]), 1)

    def test_a_hub_that_runs_already_is_waited_for_until_it_is_ready(self):
        path, fifo = self.fifo()
        config = os.path.join(self.dir, "prong.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(hub.CONFIG + f"  slow: {{command: [{PY}, {W}, gate, {path}]}}\n")
        self.fails(124, "up", "--timeout", "500ms")
        result = self.fails(124, "up", "--timeout", "501ms")
        self.assertIn("runs already", result.err)
        self.assertIn("slow/0 is not ready: it is starting", result.err)
        self.assertIn("'prong down' stops it", result.err)
        self.ok("stop", "alpha")                     # is not meant to run
        both = [self.start("up"), self.start("up")]
        for child in both:
            self.assertIn("runs already", child.stderr.readline())
        os.write(fifo, b"go\n")
        for child in both:
            result = self.end(child)
            self.assertEqual(result.code, 0, result)
            self.assertEqual(result.json()["workers"]["slow"]["replicas"][0]["state"], "ready")

    def test_the_loser_of_two_at_once_waits_for_the_workers_too(self):
        path, fifo = self.fifo()
        with open(os.path.join(self.dir, "prong.yaml"), "w", encoding="utf-8") as file:
            file.write(f"workers: {{slow: {{command: [{PY}, {W}, gate, {path}]}}}}")
        both = [self.start("up"), self.start("up")]
        told = self.first_line(*both)
        self.assertIn("runs already", told.stderr.readline())
        os.write(fifo, b"go\n")
        for child in both:
            result = self.end(child)
            self.assertEqual(result.code, 0, result)
            self.assertEqual(result.json()["workers"]["slow"]["replicas"][0]["state"], "ready")

    def test_a_hub_that_runs_already_and_has_a_worker_that_failed(self):
        with open(os.path.join(self.dir, "prong.yaml"), "w", encoding="utf-8") as file:
            file.write(hub.CONFIG + f"  bad: {{command: [{PY}, {W}, die, '3'], restart: 'no'}}\n")
        self.fails(150, "up")
        result = self.fails(150, "up")
        self.assertIn("bad/0 is not ready: it is failed: exited with 3", result.err)
        self.assertIn("  | started as bad\n", result.err)

    def test_a_hub_that_does_not_answer_is_waited_for(self):
        self.up(hub.CONFIG)
        broker, = (pid for pid, c in hub.tagged(self.tag).items() if "prong-broker" in c)
        os.kill(broker, signal.SIGSTOP)
        result = self.fails(124, "up", "--timeout", "300ms")
        self.assertIn("the hub does not answer", result.err)
        self.assertIn("prong down", result.err)
        child = self.start("up")
        os.kill(broker, signal.SIGCONT)
        self.assertEqual(self.end(child).code, 0)

    def test_a_hub_without_workers_and_again_after_down(self):
        for _ in range(3):
            self.assertEqual(self.ok("up").json()["workers"], {})
            self.ok("down")

    def test_names_give_each_hub_its_own_folder(self):
        self.ok("up", "--name", "one")
        self.ok("up", "--name", "two")
        self.ok("call", "--name", "one", "hub.status")
        self.assertEqual(self.ok("status", "--name", "two").json()["hub"]["name"], "two")
        self.ok("down", "--name", "one")
        self.fails(3, "status", "--name", "one")
        self.ok("status", "--name", "two")
        # `run` has a --name of its own; the hub's stands before the verb.
        self.ok("--name", "two", "run", "--name", "det", PY, W)
        self.ok("call", "--name", "two", "det.echo")
        self.ok("down", "--name", "two")
        self.fails(3, "status", "--name", "two")

    def test_the_environment_names_the_hub(self):
        env = {"PRONG_URL": f"ipc://{self.run_dir}/hub.sock"}
        self.ok("up", where=False, env=env)
        self.ok("status", where=False, env=env)
        self.ok("status")
        self.ok("down", where=False, env=env)
        env = {"XDG_RUNTIME_DIR": self.dir}
        self.ok("up", where=False, env=env)
        self.ok("status", where=False, env=env)
        self.ok("down", where=False, env=env)
        self.assertTrue(os.path.exists(self.dir + "/prong/hub.log"))

    def test_workers_that_do_not_get_ready(self):
        path = os.path.join(self.dir, "prong.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(hub.CONFIG + f"""
  bad: {{command: [{PY}, {W}, die, "3"], restart: "no"}}
  gone: {{command: [/none/such]}}
""")
        result = self.fails(150, "up")
        self.assertIn("bad/0 is not ready: it is failed: exited with 3", result.err)
        self.assertIn("  | started as bad\n", result.err)
        self.assertIn("gone/0 is not ready: it is failed", result.err)
        self.assertIn("prong down", result.err)
        self.assertNotIn("alpha/0", result.err)
        self.assertEqual(result.json()["workers"]["alpha"]["replicas"][0]["state"], "ready")
        self.ok("call", "alpha.echo")                # it stays up for the others

    def test_of_a_worker_that_says_much_and_dies_the_last_20_lines_are_shown(self):
        with open(os.path.join(self.dir, "prong.yaml"), "w", encoding="utf-8") as file:
            file.write(f'workers: {{bad: {{command: {hub.json.dumps(hub.TALKER)}, restart: "no"}}}}')
        result = self.fails(150, "up")
        self.assertIn("bad/0 is not ready: it is failed: exited with 3", result.err)
        self.assertEqual(self.quoted(result), hub.TALKER_SHOWN)

    def test_workers_that_take_too_long(self):
        with open(os.path.join(self.dir, "prong.yaml"), "w", encoding="utf-8") as file:
            file.write(f"workers: {{slow: {{command: [{PY}, {W}, never]}}}}")
        result = self.fails(124, "up", "--timeout", "1s")
        self.assertIn("slow/0 is not ready: it is starting", result.err)
        self.ok("status")

    def test_workers_that_cannot_be_forked_have_not_died(self):
        with open(os.path.join(self.dir, "prong.yaml"), "w", encoding="utf-8") as file:
            file.write(f"workers: {{many: {{command: [{PY}, {W}, never], replicas: 40, max_restarts: 1000, "
                       "ready: started}}\n")
        result = self.end(self.start("up", "--timeout", "1s", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (40, 40))))
        self.assertEqual(result.code, 124, result)
        self.assertRegex(result.err, r"many/\d+ is not ready: it is \w+: could not start: .*Too many open files")

    def test_a_program_that_is_not_there_has_not_died(self):
        with open(os.path.join(self.dir, "prong.yaml"), "w", encoding="utf-8") as file:
            file.write("workers: {gone: {command: [/none/such]}}")
        self.assertIn("gone/0 is not ready: it is failed: could not start", self.fails(1, "up").err)

    def test_a_wrong_configuration(self):
        path = os.path.join(self.dir, "prong.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("workers:\n  a: {comand: [x]}\n")
        result = self.fails(6, "up")
        self.assertRegex(result.err, r"prong\.yaml:2:\d+: ")
        self.assertIn("command", result.err)
        self.assertEqual(hub.remaining(self.tag), {})
        self.fails(6, "up", "--config", self.dir + "/none.yaml")
        self.fails(3, "status")

    def test_only_what_this_start_said_is_told(self):
        self.ok("up")
        self.ok("down")
        with open(os.path.join(self.dir, "prong.yaml"), "w", encoding="utf-8") as file:
            file.write("nonsense")
        result = self.fails(6, "up")
        self.assertNotIn("listening", result.err)

    def as_nobody(self, *words):
        nobody = 65534
        if os.getuid() != 0 or os.path.exists(f"/run/user/{nobody}"):
            self.skipTest("only root can be another user")
        try:
            return subprocess.run(self.command(*words, where=False), env={"PATH": self.env["PATH"]}, cwd="/",
                                  user=nobody, extra_groups=[], stderr=subprocess.PIPE, text=True,
                                  timeout=hub.DEADLINE, check=False)
        except PermissionError:
            return self.skipTest("another user cannot reach the programs")

    def test_a_user_without_a_runtime_directory_is_told_what_to_say(self):
        for words in (["up"], ["up", "--name", "x"]):
            done = self.as_nobody(*words)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr, "^prong: no runtime directory: .* say --runtime-dir DIR\n$")

    def test_a_folder_of_somebody_else_is_told(self):
        os.mkdir(self.run_dir, 0o700)
        os.chmod(self.dir, 0o711)
        done = self.as_nobody("up", "--runtime-dir", self.run_dir)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertRegex(done.stderr, r"prongd.* cannot use .*: Permission denied\n(.|\n)*ended with 77")

    def test_a_folder_that_cannot_be_used(self):
        result = self.fails(1, "up", "--runtime-dir", self.dir + "/no/such", where=False)
        self.assertIn("cannot", result.err)
        os.mkdir(self.run_dir)
        os.chmod(self.run_dir, 0o777)
        self.assertIn("chmod", self.fails(4, "up").err)
        self.assertIn("at most 107", self.fails(2, "up", "--name", "x" * 64, "--runtime-dir",
                                                self.dir + "/" + "y" * 60, where=False).err)

    def test_a_full_disk_is_told(self):
        os.mkdir(self.run_dir)
        script = ('mount -t tmpfs -o size=64k none "$1" || exit 77; mkdir -m 700 "$1/hub"; '
                  'dd if=/dev/zero of="$1/all" bs=1k 2>/dev/null; shift; exec "$@"')
        done = subprocess.run(["unshare", "-Urm", "sh", "-c", script, "sh", self.run_dir,
                               *self.command("up", "--runtime-dir", self.run_dir + "/hub", where=False)],
                              env=self.env, stderr=subprocess.PIPE, text=True, timeout=hub.DEADLINE, check=False)
        if done.returncode == 77 or done.stderr.startswith("unshare:"):
            self.skipTest("no file system can be mounted here: " + done.stderr)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"cannot write .*/hub\.log, .*: No space left on device\n")
        self.assertRegex(done.stderr, r"prongd.*/lock: No space left on device\n")

    def test_a_large_log_is_put_aside(self):
        os.mkdir(self.run_dir, 0o700)
        log = os.path.join(self.run_dir, "hub.log")
        with open(log, "w", encoding="utf-8") as file:
            file.write("x" * 2000000)
        self.ok("up")
        self.assertLess(os.stat(log).st_size, 100000)
        self.assertEqual(os.stat(log + ".1").st_size, 2000000)

    def test_in_the_foreground(self):
        child = self.start("up", "--foreground")
        while self.prong("status").code == 3:
            self.assertIsNone(child.poll())
        self.assertEqual(self.lock_pid(), child.pid)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(self.end(child).code, 0)

    def test_an_interrupt_says_that_the_hub_stays(self):
        with open(os.path.join(self.dir, "prong.yaml"), "w", encoding="utf-8") as file:
            file.write(f"workers: {{slow: {{command: [{PY}, {W}, never]}}}}")
        child = self.start("up")
        while self.prong("wait", "--event", "hub.worker.started", "--from", "oldest").code == 7:
            self.assertIsNone(child.poll())
        child.send_signal(signal.SIGINT)
        result = self.end(child)
        self.assertEqual(result.code, 130)
        self.ok("status")


class TwoHubs(hub.Case):
    """One in $RUNTIME_DIRECTORY, which is looked at first, one in $XDG_RUNTIME_DIR: as a user's and the
    machine's are."""
    def setUp(self):
        super().setUp()
        self.xdg = {"XDG_RUNTIME_DIR": self.dir}
        self.both = {"RUNTIME_DIRECTORY": self.run_dir, **self.xdg}
        self.up(hub.CONFIG)
        self.ok("up", "--config", "/dev/null", where=False, env=self.xdg)
        self.addCleanup(self.prong, "down", where=False, env=self.xdg)
        found = {pid: c for pid, c in hub.tagged(self.tag).items() if self.run_dir + " " in c}
        self.broker, = (pid for pid, c in found.items() if "prong-broker" in c)
        self.spawner = hub.parent(self.broker)

    def freeze_restart(self):
        """The broker is dead, and stays so until the spawner goes on."""
        os.kill(self.spawner, signal.SIGSTOP)
        self.addCleanup(os.kill, self.spawner, signal.SIGCONT)
        os.kill(self.broker, signal.SIGKILL)

    def test_a_broker_that_is_started_anew_is_waited_for_and_never_passed_over(self):
        self.freeze_restart()
        for words in (["status"], ["call", "hub.status"]):
            result = self.fails(124, *words, "--timeout", "300ms", where=False, env=self.both)
            self.assertIn(self.run_dir, result.err)
            self.assertNotIn("prong up", result.err)
        waiting = self.start("status", "-j")
        os.kill(self.spawner, signal.SIGCONT)
        result = self.end(waiting)
        self.assertEqual(result.code, 0, result)
        self.assertIn("alpha", result.json()["workers"])

    def test_down_in_the_gap_ends_the_hub_that_was_meant(self):
        os.kill(self.broker, signal.SIGKILL)
        self.ok("down", where=False, env=self.both)
        self.fails(3, "status")
        self.ok("status", where=False, env=self.xdg)


class Network(hub.Case):
    config = 'hub: {listen: ["tcp://127.0.0.1:0"]}' + hub.CONFIG

    def test_a_hub_is_reached_over_the_network_with_its_token(self):
        with open(os.path.join(self.run_dir, "hub.log"), encoding="utf-8") as file:
            url = re.search(r"tcp://127\.0\.0\.1:[1-9]\d*", file.read()).group(0)
        token = os.path.join(self.run_dir, "token")
        there = ["-e", url, "--token-file", token]
        self.assertEqual(self.ok("call", "alpha.add", "a:=1", *there, where=False).out, "1\n")
        self.ok("wait", "alpha", *there, where=False)
        self.assertIn("UNAUTHENTICATED", self.fails(4, "status", "-e", url, where=False).err)
        with open(token + ".wrong", "w", encoding="utf-8") as file:
            file.write("0" * 64)
        self.fails(4, "status", "-e", url, "--token-file", token + ".wrong", where=False)
        self.fails(2, "status", "-e", url, "--token-file", token + ".none", where=False)
        self.ok("down", *there, where=False)
        self.fails(7, "call", "alpha.add", *there, where=False)


class Down(hub.Case):
    config = hub.CONFIG

    def test_a_hub_that_does_not_answer_gets_a_signal(self):
        os.unlink(os.path.join(self.run_dir, "hub.sock"))
        result = self.ok("down")
        self.assertIn("SIGTERM", result.err)
        self.assertEqual(hub.remaining(self.tag), {})

    def test_it_takes_as_long_as_it_takes_but_is_not_waited_for(self):
        child, fifo = self.blocking("alpha")
        result = self.fails(124, "down", "--timeout", "300ms")
        self.assertIn("has not ended within 300ms", result.err)
        os.write(fifo, b"done\n")
        self.ok("down")
        self.assertEqual(self.end(child).code, 0)

    def test_a_killed_hub_leaves_nothing_in_the_way(self):
        with open(os.path.join(self.run_dir, "lock"), encoding="utf-8") as file:
            pid = int(file.read())
        os.kill(pid, signal.SIGKILL)
        self.ok("down")
        self.assertEqual(hub.remaining(self.tag), {})
        self.ok("up")


if __name__ == "__main__":
    hub.main()
