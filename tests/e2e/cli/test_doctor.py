"""doctor: checks, and a bundle without secrets, of a hub that runs, hangs or is down."""
import glob
import json
import os
import signal
import stat
import tarfile

import hub

PY, W = hub.sys.executable, hub.WORKER
SECRETS = ("sesame-open", "pa55word-of-cam", "from-the-file", "only-of-the-dead")


class Doctor(hub.Case):
    config = f"""
hub: {{listen: ["tcp://127.0.0.1:0"]}}
workers:
  alpha:
    command: [{PY}, {W}]
    environment: {{API_KEY: {SECRETS[0]}, CAMERA: "rtsp://u:{SECRETS[1]}@cam/1", MODEL: yolo.onnx}}
  bad:
    command: [sh, -c, "echo my password $DB_PASSWORD or {SECRETS[0]}; exit 3"]
    autostart: false
    restart: "no"
    environment: {{DB_PASSWORD: {SECRETS[3]}}}
"""

    def bundle(self, path):
        """{name in the bundle: text} of an archive or a folder."""
        if os.path.isdir(path):
            found = {}
            for folder, _, names in os.walk(path):
                for name in names:
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        found[os.path.relpath(os.path.join(folder, name), path)] = file.read()
            return found
        with tarfile.open(path) as tar:
            roots = {member.name.split("/")[0] for member in tar}
            self.assertEqual(len(roots), 1)
            self.assertEqual({(m.mode, m.isfile()) for m in tar}, {(0o600, True)})
            return {m.name.split("/", 1)[1]: tar.extractfile(m).read().decode() for m in tar}

    def no_secrets(self, found):
        with open(os.path.join(self.run_dir, "token"), encoding="utf-8") as file:
            token = file.read().strip()
        self.assertGreater(len(token), 20)
        for name, text in found.items():
            for secret in (*SECRETS, token):
                self.assertNotIn(secret, text, name)

    @staticmethod
    def checks(result):
        return {c["check"]: c for c in result.json()["checks"]}

    def doctor(self, *words, **more):
        """Its exit code says whether something failed, which on some machines more does than the hub."""
        result = self.prong("doctor", *words, **more)
        failed = [c for c in result.json()["checks"] if c["result"] == "FAIL"]
        self.assertEqual(result.code, 1 if failed else 0, result)
        for check in result.json()["checks"]:
            self.assertIn(check["result"], ("PASS", "WARN", "FAIL"))
            self.assertTrue(check["text"])
            self.assertTrue(check["result"] == "PASS" or check["advice"] or check["check"] == "disk", check)
        return result

    def test_a_hub_that_runs(self):
        self.fails(150, "start", "bad")
        token = os.path.join(self.dir, "token-of-mine")
        with open(token, "w", encoding="utf-8") as file:
            file.write(SECRETS[2] + "\n")
        self.ok("emit", "some.topic", "text=a payload of somebody")
        self.ok("run", "--name", "teller", "--ready", "started", "--", "sh", "-c",
                f"echo {SECRETS[2]} $PRONG_TOKEN; echo told; exec tail -f /dev/null")
        self.logged("teller", "told")
        result = self.doctor("-j", "--token-file", token)
        checks = self.checks(result)
        self.assertEqual(list(checks), ["hub", "version", "workers", "runtime folder", "descriptors", "disk",
                                        "clock", "shared memory", "cgroup", "ptrace", "core dumps"])
        self.assertEqual([checks[name]["result"] for name in ("hub", "version", "runtime folder")], ["PASS"] * 3)
        self.assertEqual((checks["workers"]["result"], checks["workers"]["text"]),
                         ("FAIL", "bad/0 is failed: exited with 3"))
        path, = glob.glob(os.path.join(self.dir, "prong-doctor-*.tar.gz"))
        self.assertEqual(result.json()["bundle"], os.path.basename(path))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        found = self.bundle(path)
        self.assertEqual(result.json()["not_whole"], "")
        self.no_secrets(found)
        self.assertEqual(sorted(json.loads(found["hub/status.json"])["workers"]), ["alpha", "bad", "teller"])
        self.assertIn("yolo.onnx", found["config.yaml"])
        self.assertIn('"rtsp://u:***@cam/1"', found["config.yaml"])
        self.assertIn("hub.worker.failed hub {", found["hub/events.txt"])
        self.assertRegex(found["hub/events.txt"], r"Z some\.topic \S* \n")
        self.assertNotIn("a payload of somebody", found["hub/events.txt"])
        self.assertIn("my password ***", found["workers/bad.0.log"])
        self.assertIn("my password ***", found["hub/lines.txt"])
        self.assertIn("PRONG_TOKEN\n", found["processes.txt"])
        self.assertIn("prong-broker", found["processes.txt"])
        self.assertRegex(found["folders.txt"], r"socket +0600 .* hub\.sock\n")
        self.assertIn("listening on", found["logs/hub.log"])
        self.assertIn("MemTotal", found["system.txt"])
        self.assertIn("FAIL  workers: bad/0 is failed", found["checks.txt"])
        self.assertEqual(set(os.listdir(self.dir)) - {os.path.basename(path)},
                         {"prong.yaml", "run", "token-of-mine"})

    def test_a_hub_that_hangs(self):
        with open(os.path.join(self.run_dir, "lock"), encoding="utf-8") as file:
            keeper = int(file.read())
        broker, = [pid for pid, line in hub.tagged(self.tag).items() if "prong-broker" in line.split()[0]]
        os.kill(broker, signal.SIGSTOP)
        try:
            result = self.doctor("-j", "-o", "sick.tar")
        finally:
            os.kill(broker, signal.SIGCONT)
        check = self.checks(result)["hub"]
        self.assertEqual(check["result"], "FAIL")
        self.assertIn(f"prongd runs (pid {keeper}) but does not answer", check["text"])
        found = self.bundle(os.path.join(self.dir, "sick.tar"))
        self.no_secrets(found)
        self.assertRegex(found["processes.txt"], rf"(?s)pid {broker},.*State:\tT \(stopped\)")
        self.assertRegex(found["processes.txt"], rf"\n{broker} prong-broker stopped ")
        self.assertIn("yolo.onnx", found["config.yaml"])
        self.assertNotIn("hub/status.json", found)

    def test_a_hub_that_is_down_and_where_it_writes(self):
        self.ok("down")
        result = self.doctor("-j", "-o", "folder")
        self.assertIn("no hub runs", self.checks(result)["hub"]["text"])
        found = self.bundle(os.path.join(self.dir, "folder"))
        self.no_secrets(found)
        self.assertIn("started as alpha", found["workers/alpha.0.log"])
        self.assertIn("listening on", found["logs/hub.log"])
        before = found["about.txt"]
        self.assertIn("nothing is written over", self.fails(1, "doctor", "-o", "folder").err)
        self.assertEqual(self.bundle(os.path.join(self.dir, "folder"))["about.txt"], before)
        self.assertEqual(self.doctor("-o", "a.tgz").json()["bundle"], "a.tgz")
        self.assertIn("checks.txt", self.bundle(os.path.join(self.dir, "a.tgz")))
        self.assertIn("cannot make a.tgz: File exists", self.fails(1, "doctor", "-o", "a.tgz").err)
        self.fails(1, "doctor", "-o", "none/such/x.tar")
        self.assertIn("say -j", self.fails(2, "doctor", "-o", "json").err)
        self.assertIn("gzip is not installed", self.fails(2, "doctor", "-o", "b.tgz", env={"PATH": ""}).err)
        names = set(os.listdir(self.dir))
        self.assertIsNone(self.doctor("--check").json()["bundle"])
        self.assertEqual(set(os.listdir(self.dir)), names)
        text = self.on_terminal("doctor", "--check")[1]
        self.assertRegex(text, "\x1b\\[31mFAIL\x1b\\[0m  hub: no hub runs in .*\r\n      -> start one with prong up")
        os.chmod(self.run_dir, 0o777)
        found = self.checks(self.doctor("--check"))
        self.assertEqual((found["runtime folder"]["result"], found["runtime folder"]["text"]),
                         ("FAIL", f"{self.run_dir} has mode 0777: others may write to it"))
        os.chmod(self.run_dir, 0o700)
        found = self.checks(self.doctor("--check", where=False, env={"PRONG_URL": "tcp://127.0.0.1:1"}))
        self.assertEqual(found["hub"]["result"], "FAIL")
        self.assertNotIn("runtime folder", found)


if __name__ == "__main__":
    hub.main()
