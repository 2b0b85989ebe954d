"""Configurations: made, checked, shown, and the environment that comes of them."""
import json
import os
import shutil
import subprocess

import hub


class Files(hub.Case):
    """Without a hub."""

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def read(self, name):
        with open(os.path.join(self.dir, name), encoding="utf-8") as file:
            return file.read()

    def test_init_writes_a_valid_file_and_never_over_one(self):
        self.assertEqual(self.ok("config", "init").out, "")
        text = self.read("prong.yaml")
        self.assertEqual(text, self.ok("config", "init", "-").out)
        self.ok("config", "check")
        self.write("prong.yaml", "mine")
        self.assertIn("is there already; --force", self.fails(1, "config", "init").err)
        self.assertEqual(self.read("prong.yaml"), "mine")
        self.ok("config", "init", "--force", "-q")
        self.assertEqual(self.read("prong.yaml"), text)
        os.symlink("other.yaml", self.dir + "/link.yaml")
        self.write("other.yaml", "mine")
        self.ok("config", "init", "--force", "link.yaml")
        self.assertEqual(self.read("other.yaml"), text)
        self.assertTrue(os.path.islink(self.dir + "/link.yaml"))
        self.assertIn("and no file", self.fails(1, "config", "init", "--force", "/dev/null").err)
        self.assertIn("No such file", self.fails(1, "config", "init", "none/x.yaml").err)
        self.assertEqual(sorted(os.listdir(self.dir)), ["link.yaml", "other.yaml", "prong.yaml"])

    def test_check_names_the_file_that_is_wrong(self):
        self.write("prong.yaml", "include: conf.d/*.yaml\n")
        self.write("conf.d/a.yaml", "workers: {a: {command: [x], env_file: ../s.env}}\n")
        self.write("s.env", "A=1\nTOKEN=t0p\\secret\n")
        result = self.fails(6, "config", "check")
        self.assertIn("s.env:2:1: put a value with a backslash", result.err)
        self.assertNotIn("t0p", result.err)
        self.write("s.env", "A=1\n")
        self.ok("config", "check")
        self.write("conf.d/b.yaml", "workers: {a: {command: [x]}}\n")
        self.assertIn("conf.d/b.yaml:1:11: 'a' is given twice in 'workers'; first in ./conf.d/a.yaml:1:11",
                      self.fails(6, "config", "check").err)
        self.fails(6, "config", "check", "none.yaml")

    def test_show_gives_what_it_comes_to_without_secrets(self):
        self.write("prong.yaml", "include: more.yaml\ndefaults: {replicas: 3}\n"
                   "workers: {b: {command: [run, \"${WHAT:-it}\"], env_file: s.env}}\n")
        self.write("more.yaml", "workers: {a: {command: [x], environment: {API_KEY: hunter2}}}\n")
        self.write("s.env", "A=hunter2\n")
        text = self.ok("config", "show", env={"WHAT": "that"}).out
        self.assertIn('command: ["run", "that"]', text)
        self.assertNotIn("hunter2", text)
        self.write("shown.yaml", text)
        self.assertEqual(self.ok("config", "show", "shown.yaml").out, text)
        shown = json.loads(self.ok("config", "show", "-j").out)
        self.assertEqual(list(shown["workers"]), ["b", "a"])
        self.assertEqual(shown["workers"]["a"]["replicas"], 3)
        self.assertEqual(shown["workers"]["b"]["environment"], {"A": "***"})
        alone = self.ok("config", "show", "--worker", "a").out
        self.assertTrue(alone.startswith("workers:\n  a:\n"), alone)
        self.assertIn("there is no worker 'c'", self.fails(5, "config", "show", "--worker", "c").err)
        self.fails(6, "config", "show", "none.yaml")

    def test_import_gives_a_valid_file_and_tells_what_is_lost(self):
        self.write("old/s.conf", "[program:Web]\ncommand=run '%(here)s/a b' %(ENV_PORT)s\nstartsecs=5\n")
        result = self.ok("config", "import", "old/s.conf")
        self.assertIn(f'command: ["run", "{self.dir}/old/a b", "${{PORT}}"]', result.out)
        self.assertRegex(result.err, r"^old/s\.conf:3: \[program:Web\] startsecs: .*\n$")
        self.write("prong.yaml", result.out)
        self.ok("config", "check", env={"PORT": "80"})
        self.assertIn("'PORT' is not set", self.fails(6, "config", "check").err)
        self.assertIn("say --kind", self.fails(6, "config", "import", "prong.yaml").err)
        self.assertIn("one of", self.fails(2, "config", "import", "old/s.conf", "--kind", "systemd").err)
        self.assertIn("NAME: COMMAND", self.fails(6, "config", "import", "old/s.conf", "--kind",
                                                  "procfile").err)
        self.assertIn("No such file", self.fails(6, "config", "import", "none").err)

    def test_the_manual_page_is_one(self):
        page = self.ok("config", "manual", "--man").out
        self.assertIn(".SH NAME\nprong.yaml", page)
        if shutil.which("groff") is None:
            self.skipTest("groff is not installed")
        done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", "-z"], input=page, text=True, check=False,
                              stderr=subprocess.PIPE, timeout=hub.DEADLINE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Env(hub.Case):
    """Of a worker in a hub."""

    def setUp(self):
        super().setUp()
        self.env["OF_HUB"] = "pg://ada:hunter2@host/x"
        with open(self.dir + "/s.env", "w", encoding="utf-8") as file:
            file.write("FILED='hun%iter2'\n")
        self.up('workers: {a: {command: [sleep, "1000"], ready: started, replicas: 2, env_file: s.env,'
                ' environment: {NUMBER: "%i", API_KEY: hunter2}}}')

    def listed(self, *words):
        return {entry["name"]: (entry["value"], entry["from"]) for entry in self.ok("env", *words).json()}

    def test_it_is_what_the_process_has(self):
        masked, bare = self.listed("a/1"), self.listed("a/1", "--reveal")
        self.assertEqual(masked["OF_HUB"], ("pg://ada:***@host/x", "hub"))
        self.assertEqual(masked["API_KEY"], ("***", "worker"))
        self.assertEqual(masked["FILED"], ("***", "env_file"))
        self.assertEqual(masked["NUMBER"], ("1", "worker"))
        self.assertEqual(self.listed("a")["NUMBER"], ("0", "worker"))
        with open(f"/proc/{self.replicas('a')[1]['pid']}/environ", encoding="utf-8") as file:
            own = dict(line.split("=", 1) for line in file.read().split("\0") if line)
        for name in ("PRONG_TOKEN", "PRONG_INCARNATION"):
            self.assertNotIn(name, bare)
            del own[name]
        self.assertEqual({name: value for name, (value, _) in bare.items()}, own)
        self.assertEqual(own["FILED"], "hun%iter2")
        raw = self.ok("env", "a/1", "-o", "raw", "--reveal").out.splitlines()
        self.assertIn("FILED=hun%iter2", raw)
        self.assertIn("there is no worker 'b'", self.fails(5, "env", "b").err)
        told = self.ok("events", "hub.admin", "--from", "oldest", "--count", "1").lines()[0]["payload"]
        self.assertEqual((told["method"], told["worker"]), ("env", "a/1"))


if __name__ == "__main__":
    hub.main()
