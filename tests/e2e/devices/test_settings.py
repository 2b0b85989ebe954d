"""The section `devices:` with a real hub: bad ones, reload by differences, what a device is to the hub."""
import json
import os
import re
import socket

import kit


# The kinds of prong-io.
OWN = {"tcp-listen", "tcp-connect", "udp", "serial", "fifo", "file-tail", "watch", "timer", "cron", "stdin"}


class Settings(kit.Case):
    def check(self, text):
        path = self.path("bad.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return self.fails(6, "config", "check", "bad.yaml", where=False).err

    def test_a_bad_one_is_refused_with_the_place_and_what_is_allowed(self):
        for entry, expected in [
                ("a: {kind: tcp-lisen, port: 1}", "bad.yaml:2:13: 'kind' must be one of"),
                ("a: {kind: tcp-lisen, port: 1}", "did you mean 'tcp-listen'?"),
                ("a: {kind: tcp-listen}", "bad.yaml:2:3: device 'a' of kind tcp-listen has no 'port'"),
                ("a: {kind: timer, evry: 1s}", "unknown key 'evry' in device 'a' of kind timer; did you mean 'every'?"),
                ("a: {kind: timer, every: 1}", "'every' must be a duration"),
                ("a: {kind: cron, schedule: every day}", "the minute cannot be 'every'"),
                ("a: {kind: timer, every: 1s, replicas: 2}", "no option of a device")]:
            self.assertIn(expected, self.check(self.config_of(entry)))

    def test_what_only_the_device_can_see_ends_it_for_good(self):
        with open(self.path("prong.yaml"), "w", encoding="utf-8") as file:
            file.write(self.config_of("a: {kind: tcp-listen, port: 0, address: localhost}", "b: {kind: timer, every: 1ms}"))
        self.fails(150, "up")
        self.until(lambda: self.replicas("a")[0]["exit_code"] == 78, "its end")
        self.assertIn("'address' must be an IPv4 or IPv6 address", self.ok("logs", "a", "-o", "raw").out)
        self.first("b.tick", 1)

    def test_reload_starts_only_what_differs_again(self):
        self.devices("a: {kind: tcp-listen, port: 0}", "b: {kind: timer, every: 1h}")
        before = {name: self.until(lambda: self.replicas(name)[0]["pid"], "a pid") for name in "ab"}
        with open(self.path("prong.yaml"), "w", encoding="utf-8") as file:
            file.write(self.config_of("a: {kind: tcp-listen, port: 0, decode: number}", "b: {kind: timer, every: 1h}",
                                      "c: {kind: timer, every: 10ms}"))
        self.ok("reload")
        self.first("c.tick", 1)
        self.first("a.listening", 2)
        self.assertEqual(self.replicas("b")[0]["pid"], before["b"])
        self.until(lambda: self.replicas("a")[0]["pid"] not in (0, before["a"]), "another process")
        new = self.stats("a")["port"]
        with socket.create_connection(("127.0.0.1", new)) as s:
            s.sendall(b"7\n")
            self.assertEqual(self.values("a.data", 1), [7])

    def test_a_device_that_was_killed_is_back(self):
        self.devices("t: {kind: timer, every: 1h}")
        pid = self.until(lambda: self.replicas("t")[0]["pid"], "a pid")
        os.kill(pid, 9)
        self.first("t.up", 2)
        self.assertEqual(self.stats("t")["kind"], "timer")

    def test_it_is_shown_as_it_was_written_and_described_with_its_methods(self):
        self.devices("t: {kind: tcp-listen, port: 0}")
        shown = self.ok("config", "show", "prong.yaml", "-o", "json").json()
        self.assertEqual(shown["devices"]["t"]["kind"], "tcp-listen")
        self.assertNotIn("command", shown["devices"]["t"])
        self.assertEqual(shown["devices"]["t"]["environment"], {})
        described = self.ok("describe", "t").out
        for method in ("pause", "resume", "stats", "send"):
            self.assertIn(method, described)
        self.assertRegex(self.ok("describe", "t", "-o", "table").out, r"t\.send +data, to, raw +once +write data")
        self.assertEqual(json.loads(described)["t"]["stats"]["args"], {})

    def test_what_the_documentation_shows_is_valid(self):
        with open(os.path.join(os.environ["PRONG_SOURCE_DIR"], "docs", "devices.md"), encoding="utf-8") as file:
            blocks = re.findall(r"^```yaml\n(.*?)^```", file.read(), re.S | re.M)
        kinds = {kind for block in blocks for kind in re.findall(r"kind: ([a-z-]+)", block)}
        listed = self.check(self.config_of("a: {kind: none}"))
        self.assertEqual([kind for kind in re.search(r"one of (.*), got", listed)[1].split(", ")
                          if kind in OWN and kind not in kinds], [])
        for block in blocks:
            with open(self.path("doc.yaml"), "w", encoding="utf-8") as file:
                file.write(block)
            self.ok("config", "check", "doc.yaml", where=False)

    def test_without_a_hub_the_program_says_what_it_is_for(self):
        program = os.path.join(kit.hub.BIN, "prong-io")
        for more, code, text in [({}, 64, "PRONG_DEVICE is not set"),
                                 ({"PRONG_DEVICE": "x"}, 78, "no JSON object"),
                                 ({"PRONG_DEVICE": '{"kind": "timer", "every": 5}'}, 64, "")]:
            done = kit.hub.subprocess.run([program], env={**self.env, **more}, capture_output=True, text=True,
                                          timeout=kit.hub.DEADLINE, check=False)
            self.assertEqual(done.returncode, code, done)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    kit.main()
