"""The command line itself: help, mistypes, options, and what happens without a hub."""
import os
import re
import signal
import subprocess

import hub

VERBS = ["up", "down", "status", "start", "stop", "restart", "scale", "logs", "send", "env", "call", "emit", "events",
         "cancel", "describe", "wait", "dlq list", "dlq show", "dlq retry", "dlq drop", "run", "remove",
         "config check", "config show", "config init", "config manual", "config import",
         *(f"stream {verb}" for verb in ("ls", "info", "hz", "bw", "delay", "cat", "snap", "record", "replay")), "version",
         "help"]


class Help(hub.Case):
    def test_help_names_every_verb_and_exit_code(self):
        text = self.ok("help").out
        for verb in VERBS:
            self.assertRegex(text, rf"(?m)^  {verb}\b", verb)
        for code in (0, 1, 2, 3, 4, 5, 6, 7, 124, 130, 150, 151, 152):
            self.assertRegex(text, rf"(?m)^ +{code}  \S", str(code))

    def test_each_verb_has_help_of_its_own_in_both_spellings(self):
        for verb in VERBS:
            text = self.ok("help", *verb.split()).out
            self.assertTrue(text.startswith(f"usage: prong {verb}"), text)
            self.assertEqual(text, self.ok(*verb.split(), "--help").out)
            self.assertEqual(text, self.ok(*verb.split(), "-h").out)
            self.assertLessEqual(max(map(len, text.splitlines())), 100, text)

    def test_an_alias_is_the_same_verb(self):
        for alias, verb in (("ps", "status"), ("ls", "status"), ("list", "status"), ("tail", "logs"),
                            ("req", "call"), ("sub", "events"), ("listen", "events"), ("pub", "emit"),
                            ("info", "describe"), ("introspect", "describe"), ("rm", "remove")):
            self.assertEqual(self.ok("help", alias).out, self.ok("help", verb).out)

    def test_help_goes_to_stdout_when_asked_for_and_to_stderr_when_not(self):
        self.assertEqual(self.ok("--help").out, self.ok("help").out)
        result = self.fails(2)
        self.assertEqual(result.out, "")
        self.assertIn("usage: prong", result.err)

    def test_help_of_config_lists_its_verbs(self):
        self.assertEqual(self.ok("help", "config").out.count("config "), 5)
        self.assertEqual(self.ok("help", "dlq").out.count("dlq "), 4)
        self.assertEqual(self.ok("help", "stream").out.count("\n  stream "), 8)

    def test_version(self):
        self.assertRegex(self.ok("version").out, r"^prong \d+\.\d+\.\d+\n$")
        self.assertEqual(self.ok("version").out, self.ok("--version").out)
        self.assertRegex(self.ok("version", "-j").json()["version"], r"^\d+\.\d+\.\d+$")


class Usage(hub.Case):
    def usage(self, pattern, *words):
        result = self.fails(2, *words)
        self.assertRegex(result.err, pattern)
        self.assertEqual(result.out, "")
        return result

    def test_a_mistyped_verb_gets_an_offer(self):
        for wrong, right in (("statsu", "status"), ("evnts", "events"), ("cal", "call"),
                             ("discribe", "describe"), ("restrat", "restart"), ("hlep", "help"),
                             ("introspekt", "describe"), ("lissten", "events")):
            self.usage(f"no verb '{wrong}', did you mean {right}", wrong)
        self.usage(r"no verb 'xyzzy'\n", "xyzzy")
        self.usage("no verb", "help", "statsu")

    def test_config_wants_to_know_what(self):
        self.usage("check, show, init, manual", "config")
        self.usage("check, show, init, manual", "config", "xyzzy")
        self.usage("no verb 'config chekc', did you mean config check", "config", "chekc")
        self.usage("prong dlq needs one of list, show, retry, drop", "dlq")
        self.usage("no verb 'dlq lsit', did you mean dlq list", "dlq", "lsit")

    def test_a_mistyped_option_gets_an_offer(self):
        self.usage("unknown option '--tiemout', did you mean --timeout", "status", "--tiemout", "5s")
        self.usage("unknown option '--chek', did you mean --check", "status", "--chek")
        self.usage("unknown option '--xyzzy'", "status", "--xyzzy=5")
        self.usage("unknown option '-z'", "status", "-z")
        self.usage("unknown option '--check'", "--check", "status")

    def test_values_of_options_are_checked(self):
        self.usage("--timeout '5'", "status", "--timeout", "5")
        self.usage("--timeout '5d'", "status", "--timeout=5d")
        for wrong in ("0", "0s", "-5", "-1s", "99999h"):
            self.usage(f"--timeout '{wrong}': use a time from 1ms to 8760h ", "status", "--timeout", wrong)
            self.usage(f"--timeout '{wrong}': use a time from 1ms to 1h ", "call", "a.b", "--timeout", wrong)
        self.usage("--timeout needs a value", "status", "--timeout")
        self.usage("use one of table json jsonl raw", "status", "-o", "xml")
        self.usage("--quiet takes no value", "status", "--quiet=yes")
        self.usage("from 0 to 1000", "logs", "-n", "1001", "w")
        self.usage("from 1 to 256", "run", "--replicas", "257", "true")
        self.usage("use one of ready exited stopped failed event\n", "wait", "w", "--for", "done")
        self.usage("use one of ready exited stopped failed event; did you mean ready?", "wait", "w", "--for", "raedy")
        self.usage("number, new, oldest or last; did you mean oldest?", "events", "--from", "odlest")
        self.usage("number, new, oldest or last\n", "events", "--from", "yesterday")
        for wrong in ("5", "5sec", "2d", "1.5"):
            self.usage(f"--until '{wrong}': use a topic, or a time with ms, s, m or h", "events", "--until", wrong)
        self.usage("'x' is no number of a letter", "dlq", "show", "x")
        self.usage("'0' is no number of a letter", "dlq", "drop", "1", "0")
        self.usage("dlq retry needs 1 argument", "dlq", "retry")

    def test_the_number_of_arguments_is_checked(self):
        self.usage("needs 1 argument\nusage: prong start WORKER", "start")
        self.usage("needs 2 arguments", "scale", "w")
        self.usage("unexpected argument 'y'", "scale", "w", "1", "y")
        self.usage("unexpected argument 'x'", "down", "x")
        self.usage("name a WORKER", "wait")
        self.usage("stands alone", "wait", "w", "--event", "x")
        self.usage("go with --for event", "wait", "w", "--count", "3")
        self.usage("needs a TOPIC", "wait", "--for", "event")
        self.usage("--any and --exit-status go with a WORKER", "wait", "t", "--for", "event", "--any")
        self.usage("--exit-status goes with --for exited", "wait", "w", "--exit-status")

    def test_the_environment_has_a_default_of_timeout(self):
        env = {"PRONG_TIMEOUT": "5"}
        for words in (["status"], ["call", "a.b"], ["up"]):
            result = self.fails(2, *words, env=env)
            self.assertIn("PRONG_TIMEOUT '5': use a time from 1ms to ", result.err)
        self.assertIn("1ms to 1h", self.fails(2, "call", "a.b", env={"PRONG_TIMEOUT": "2h"}).err)
        self.fails(3, "status", "--timeout", "5s", env=env)
        self.fails(3, "status", env={"PRONG_TIMEOUT": ""})
        self.fails(7, "events", env=env)             # goes on without a timeout
        self.assertRegex(self.ok("help", "call", env=env).out, r"default: \$PRONG_TIMEOUT, else\s+30s\n")
        read, write = os.pipe()
        self.env["PRONG_TIMEOUT"] = "200ms"
        child = self.start("call", "a.b", "-", stdin=read)
        os.close(read)
        self.assertEqual(self.end(child).code, 124)
        os.close(write)

    def test_arguments_of_a_call_are_checked(self):
        self.usage("no WORKER.METHOD", "call", "alpha")
        self.usage("no WORKER.METHOD", "call", ".alpha")
        self.usage("no WORKER.METHOD", "call", "alpha.")
        self.usage("'x' is neither", "call", "a.b", "x")
        self.usage("'=x' is neither", "call", "a.b", "=x")
        self.usage("x is not JSON: line 1", "call", "a.b", "x:=nope")
        self.usage("the JSON is not JSON", "call", "a.b", "{nope}")
        self.usage("x is given twice", "call", "a.b", "x=1", "x:=2")
        self.usage("1ms to 1h", "call", "a.b", "--timeout", "2h")
        self.usage("1ms to 1h", "--timeout", "2h", "call", "a.b")
        self.usage("is neither", "call", "a.b", "x=1", "-")
        self.usage("--json and arguments", "emit", "t", "x=1", "--json", "1")
        result = self.fails(2, "call", "a.b", "-", stdin="[1,")
        self.assertIn("stdin is not JSON", result.err)
        result = self.fails(2, "call", "a.b", "-", stdin="5")
        self.assertIn("JSON object", result.err)
        self.fails(1, "call", "a.b", "x=@" + self.dir + "/none")

    def test_hubs_are_named_once_and_rightly(self):
        self.usage("exclude each other", "status", "-e", "ipc:///x/hub.sock")
        self.usage("--name 'A'", "status", "--name", "A")
        for url in ("nonsense", "tcp://", "tcp://localhost", "tcp://localhost:99999", "tcp://localhost:x"):
            self.assertIn(url, self.fails(2, "status", "-e", url, where=False).err)
        self.assertIn("tcp://h:1", self.fails(2, "up", "-e", "tcp://h:1", where=False).err)


    def test_a_file_that_is_not_there_is_named(self):
        for option in ("--ca-file", "--token-file"):
            self.usage(f"{option} /none/such: No such file", "status", option, "/none/such")


class NoHub(hub.Case):
    def test_a_host_that_is_not_known(self):
        for name in ("nosuchhost.invalid", "256.1.1.1"):
            url = f"tcp://{name}:5"
            for words in (["call", "a.b", "-e", url], ["call", "a.b"], ["down"]):
                result = self.fails(7, *words, where=False, env={"PRONG_URL": url})
                self.assertRegex(result.err, f"^prong: connecting: UNAVAILABLE: {url}: .*(name|Name)")
                self.assertNotIn("usage", result.err)
                self.assertNotIn("prong up", result.err)

    def test_verbs_that_need_a_hub_say_that_there_is_none(self):
        for words in (["start", "w"], ["stop", "w"], ["restart", "w"], ["scale", "w", "1"], ["logs", "w"],
                      ["call", "a.b"], ["emit", "t"], ["events"], ["describe"], ["run", "true"],
                      ["remove", "w"], ["signal", "w", "HUP"], ["wait", "w"], ["wait", "--event", "x"],
                      ["stream", "ls"], ["stream", "hz", "x"], ["stream", "record", "x.prec"]):
            result = self.fails(7, *words)
            self.assertIn("prong up", result.err)
            self.assertIn(self.run_dir, result.err)
            self.assertEqual(result.out, "")

    def test_status_says_that_nothing_runs(self):
        for words in (["status"], ["ps"], ["status", "--check"]):
            self.fails(3, *words)

    def test_down_is_content(self):
        self.assertIn("no hub runs", self.ok("down").err)
        self.assertEqual(self.ok("down", "-q").err, "")

    def test_an_error_is_an_object_too(self):
        found = self.fails(7, "call", "a.b", "-j").json()
        self.assertEqual((found["name"], found["code"], found["began"]), ("UNAVAILABLE", 14, 0))
        self.assertIn("hub.sock", found["message"])

    def test_the_default_places_are_looked_at_and_named(self):
        env = {"XDG_RUNTIME_DIR": self.dir}
        result = self.fails(3, "status", where=False, env=env)
        self.assertIn(self.dir + "/prong/hub.sock", result.err)
        url = "ipc://" + self.dir + "/other/hub.sock"
        result = self.fails(3, "status", where=False, env={**env, "PRONG_URL": url})
        self.assertIn(self.dir + "/other/hub.sock", result.err)
        result = self.fails(3, "status", "--name", "lab", where=False, env=env)
        self.assertIn(self.dir + "/prong/lab/hub.sock", result.err)


class Hung(hub.Case):
    """A hub that is there and does not answer is not taken for none."""
    config = hub.CONFIG

    def test_verbs_say_that_it_does_not_answer_in_time(self):
        broker, = (pid for pid, c in hub.tagged(self.tag).items() if "prong-broker" in c)
        os.kill(broker, signal.SIGSTOP)
        try:
            for words in (["status"], ["call", "alpha.echo"], ["wait", "alpha"], ["emit", "t"], ["events"]):
                for timeout in ("1ms", "200ms"):
                    result = self.fails(124, *words, "--timeout", timeout)
                    self.assertIn("DEADLINE_EXCEEDED", result.err)
                    self.assertRegex(result.err, r"the hub does not answer within \d+ ms\n")
                    self.assertNotIn("prong up", result.err)
            result = self.fails(124, "down", "--timeout", "200ms")
            self.assertRegex(result.err, r"the hub does not answer within \d+ ms; telling prongd")
        finally:
            os.kill(broker, signal.SIGCONT)

    def test_a_deadline_that_is_too_short_for_a_hub_that_is_well(self):
        for _ in range(5):
            result = self.prong("call", "alpha.echo", "--timeout", "1ms")
            self.assertIn(result.code, (0, 124), result)


class Config(hub.Case):
    def write(self, text):
        path = os.path.join(self.dir, "prong.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_a_good_file(self):
        path = self.write(hub.CONFIG)
        self.assertIn("is valid", self.ok("config", "check", path).err)
        self.ok("config", "check", cwd=self.dir)     # ./prong.yaml

    def test_a_bad_file_says_where_and_what_was_meant(self):
        result = self.fails(6, "config", "check", self.write("workers:\n  a: {comand: [x]}\n"))
        self.assertRegex(result.err, r"prong\.yaml:2:\d+: .*comand(.|\n)*command")

    def test_a_missing_file(self):
        self.fails(6, "config", "check", self.dir + "/none.yaml")
        if not os.path.exists("/etc/prong/prong.yaml"):
            self.fails(6, "config", "check")

    def test_init_prints_a_file_that_is_valid(self):
        text = self.ok("config", "init", "-").out
        self.assertIn("# ", text)
        self.ok("config", "check", self.write(text))

    def test_manual_prints_markdown(self):
        self.assertRegex(self.ok("config", "manual").out, re.compile(r"^#+ ", re.M))


    def test_output_that_cannot_be_written(self):
        for words in (["config", "manual"], ["config", "init", "-"], ["help"], ["version"]):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run(self.command(*words), env=self.env, cwd=self.dir, stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=hub.DEADLINE, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("prong: cannot write the output", done.stderr)
            read, write = os.pipe()
            os.close(read)
            done = subprocess.run(self.command(*words), env=self.env, cwd=self.dir, stdout=write,
                                  stderr=subprocess.PIPE, text=True, timeout=hub.DEADLINE, check=False)
            os.close(write)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    hub.main()
