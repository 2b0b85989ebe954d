"""prong run and prong remove."""
import os
import signal

import hub

PY, W = hub.sys.executable, hub.WORKER


class Run(hub.Case):
    config = "{}"

    def workers(self):
        return list(self.ok("status", "-j").json()["workers"])

    def test_a_worker_is_added_and_ready(self):
        found = self.ok("run", "--name", "det", "--", PY, W).json()
        self.assertEqual(found["workers"]["det"]["replicas"][0]["state"], "ready")
        self.assertEqual(self.ok("call", "det.add", "a:=2", "b:=3").out, "5\n")
        result = self.fails(1, "run", "--name", "det", PY, W)
        self.assertIn("ALREADY_EXISTS", result.err)
        self.assertEqual(self.ok("call", "det.add", "a:=2").out, "2\n")

    def test_it_runs_here_with_what_was_said(self):
        here = os.path.join(self.dir, "here")
        os.mkdir(here)
        self.ok("run", "--name", "det", "--env", "TEST_A=x=y", "--env", "TEST_B=", "--replicas", "2", "--",
                PY, W, "--", "-x", "two words", cwd=here, env={"TEST_C": "of the caller"})
        found = self.ok("call", "det/1.about").json()
        self.assertEqual(found["cwd"], here)
        self.assertEqual(found["argv"], [W, "--", "-x", "two words"])
        self.assertEqual({k: v for k, v in found["env"].items()}, {"TEST_A": "x=y", "TEST_B": ""})
        self.assertEqual(len(self.replicas("det")), 2)

    def test_what_follows_the_program_is_its_own(self):
        self.ok("run", PY, W, "--name", "x", "-q")
        self.assertEqual(self.ok("call", "worker.about").json()["argv"], [W, "--name", "x", "-q"])

    def test_the_program_is_found_as_a_shell_would(self):
        os.mkdir(os.path.join(self.dir, "bin"))
        for name in ("tool", "bin/tool2.sh"):
            path = os.path.join(self.dir, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\nexec {PY} {W}\n")
            os.chmod(path, 0o755)
        self.ok("run", "./tool")
        self.ok("run", "bin/tool2.sh")
        self.ok("run", "--name", "three", "tool2.sh",
                env={"PATH": self.dir + "/bin:" + self.env["PATH"]})
        self.ok("run", "--name", "four", "tool2.sh", env={"PATH": "bin:" + self.env["PATH"]})
        self.assertEqual(self.workers(), ["tool", "tool2", "three", "four"])
        for words, why in ((["none"], "not in PATH"), (["./none"], "No such file"), ([self.dir], "directory"),
                           (["./prong.yaml"], "Permission denied")):
            self.assertIn(why, self.fails(2, "run", *words).err)
        self.fails(2, "run", "--env", "X", "true")
        self.fails(1, "run", "--name", "Not Good", "true")
        self.assertEqual(len(self.workers()), 4)

    def test_a_name_is_guessed_from_the_script(self):
        self.ok("run", PY, W)
        self.assertEqual(self.workers(), ["worker"])

    def test_one_that_dies_is_told_and_taken_out_again(self):
        for restart in ("no", "on-failure", "always"):
            result = self.fails(150, "run", "--restart", restart, "--name", "bad", "--", PY, W, "die", "3")
            self.assertRegex(result.err, r"bad/0 is not ready: it is \w+: exited with 3")
            self.assertIn("  | started as bad\n", result.err)
            self.assertIn("taken out of the hub again", result.err)
            self.assertEqual(self.workers(), [])

    def test_of_one_that_says_much_and_dies_the_last_20_lines_are_shown(self):
        result = self.fails(150, "run", "--restart", "no", "--name", "bad", "--", *hub.TALKER)
        self.assertEqual(self.quoted(result), hub.TALKER_SHOWN)

    def test_one_that_does_not_attach_is_taken_out_again(self):
        result = self.fails(124, "run", "--timeout", "300ms", "--", PY, W, "never")
        self.assertIn("worker/0 is not ready: it is starting", result.err)
        self.assertEqual(self.workers(), [])

    def test_an_interrupt_takes_it_out_again(self):
        child = self.start("run", "--", PY, W, "never")
        self.ok("wait", "--event", "hub.worker.started", "--from", "oldest")
        child.send_signal(signal.SIGINT)
        self.assertEqual(self.end(child).code, 130)
        self.assertEqual(self.workers(), [])

    def test_a_program_that_speaks_nothing(self):
        self.ok("run", "--ready", "started", "--", "cat")
        self.ok("wait", "cat", "--for", "exited")    # its stdin is empty
        self.assertEqual(self.replicas("cat")[0]["reason"], "exited with 0")

    def test_remove(self):
        self.ok("run", PY, W)
        self.assertIn("stop the worker first", self.fails(1, "remove", "worker").err)
        self.ok("stop", "worker")
        self.ok("remove", "worker")
        self.assertEqual(self.workers(), [])
        self.fails(5, "remove", "worker")


if __name__ == "__main__":
    hub.main()
