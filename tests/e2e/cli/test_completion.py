"""completion: what may come next on a command line, and the scripts of the shells that ask for it."""
import shutil
import subprocess

import hub


class Base(hub.Case):
    def complete(self, *words):
        return [line.split("\t")[0] for line in self.ok("complete", "--", *words).out.splitlines()]


class Words(Base):
    def test_words_of_the_tables(self):
        self.assertEqual(self.complete("st"), ["status", "start", "stop", "stack", "stream"])
        everything = self.complete("")
        self.assertIn("config", everything)
        self.assertEqual(len(everything), len(set(everything)))
        self.assertEqual(self.complete("dlq", ""), ["list", "show", "retry", "drop"])
        self.assertEqual(self.complete("help", "sig"), ["signal"])
        self.assertEqual(self.complete("help", "config", "ch"), ["check"])
        self.assertEqual(self.complete("wait", "x", "--for", "e"), ["exited", "event"])
        self.assertEqual(self.complete("wait", "--exit"), ["--exit-status"])
        self.assertEqual(self.complete("--timeout", "5s", "-o", "json"), ["json", "jsonl"])
        self.assertEqual(self.complete("up", "--config", ""), [])
        self.assertEqual(self.complete("nonsense", "x"), [])
        self.assertEqual(self.ok("complete").out, self.ok("complete", "--", "").out)
        self.assertIn("start workers and wait", self.ok("complete", "--", "start").out)

    def test_usage(self):
        self.fails(2, "completion")
        self.assertIn("use bash, zsh or fish", self.fails(2, "completion", "ksh").err)
        self.assertTrue(self.ok("completion", "zsh").out.startswith("#compdef prong\n"))


class Names(Base):
    config = hub.CONFIG + f"""
  beta: {{command: [{hub.sys.executable}, {hub.WORKER}], autostart: false, replicas: 2}}
"""

    def test_what_the_hub_knows(self):
        self.assertEqual(self.complete("start", ""), ["alpha", "beta"])
        self.assertEqual(self.complete("start", "alpha", "b"), ["beta"])
        self.assertEqual(self.complete("logs", "-n", "5", "beta/"), ["beta/0", "beta/1"])
        self.assertEqual(self.complete("scale", "alpha", ""), [])
        self.assertEqual(self.complete("ps", "al"), ["alpha"])             # an alias
        self.assertEqual(self.complete("call", ""), ["alpha.", "beta.", "hub."])
        self.assertEqual(self.complete("call", "alpha.ad"), ["alpha.add"])
        self.assertEqual(self.complete("call", "hub.sta"), ["hub.status", "hub.start"])
        self.assertEqual(self.complete("call", "alpha.add", ""), [])
        self.assertEqual(self.complete("call", "omega."), [])
        # The hub of the command line that is completed, and none.
        words = ["--runtime-dir", self.run_dir, "start", "b"]
        self.assertEqual(self.ok("complete", "--", *words, where=False).out, "beta\t\n")
        self.assertEqual(self.ok("complete", "--", "--runtime-dir", self.dir, "start", "", where=False).out, "")

    def shell(self, name, text):
        """What it prints, with prong of the test in PATH and its hub as the one of the user."""
        if shutil.which(name) is None:
            self.skipTest(f"there is no {name}")
        env = {**self.env, "PATH": hub.BIN + ":" + self.env["PATH"], "TERM": "dumb",
               "PRONG_URL": f"ipc://{self.run_dir}/hub.sock"}
        done = subprocess.run([name, "-c", text], env=env, cwd=self.dir, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              timeout=hub.DEADLINE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.splitlines()

    def test_the_scripts(self):
        bash = 'source <(prong completion bash); COMP_WORDS=(prong %s); COMP_CWORD=%d; _prong; ' \
               'printf "%%s\\n" "${COMPREPLY[@]}"'
        zsh = 'compdef() { }; compadd() { shift; print -rl -- "${@:#--}"; }; _files() { print files; }; ' \
              'eval "$(prong completion zsh)"; words=(prong %s); CURRENT=%d; _prong'
        fish = 'prong completion fish | source; complete -C "prong %s"'
        for name, text, wanted in (("bash", bash % ("sto", 1), ["stop"]),
                                   ("bash", bash % ("call alpha.ad", 2), ["alpha.add"]),
                                   ("bash", bash % ("start ''", 2), ["alpha", "beta"]),
                                   ("zsh", zsh % ("sto", 2), ["stop"]),
                                   ("zsh", zsh % ("start ''", 3), ["alpha", "beta"]),
                                   ("zsh", zsh % ("up --config ''", 4), ["files"]),
                                   ("fish", fish % "sto", ["stop"]),
                                   ("fish", fish % "call alpha.ad", ["alpha.add"])):
            with self.subTest(name, text=text):
                self.assertEqual([line.split("\t")[0] for line in self.shell(name, text)], wanted)


if __name__ == "__main__":
    hub.main()
