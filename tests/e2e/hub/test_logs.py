"""Output of workers, and a disk that is full: lines are dropped with a count, and everything goes on."""
import contextlib
import glob
import os
import re
import shutil
import signal
import subprocess

import kit

LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z INFO chat/\d+\[\d+#\d+(?: write#\d+)?\] (.*)$")
GAP = re.compile(r"^\S+Z WARN chat/\d+\[0#0\] \(prong: (\d+) lines? \w+ lost here\)$")
CHAT = "chat: {command: %s, restart_delay: 10ms%%s}\n" % kit.worker_command()


class Logs(kit.Case):
    def lines(self, folder):
        """What chat wrote into its log files, the oldest first, and how many lines they say were lost; each
        line must be whole."""
        found = []
        for path in sorted(glob.glob(f"{folder}/chat.0.log*"), key=lambda p: -int(p.rpartition("log.")[2] or 0)
                           if p[-1].isdigit() else 1):
            with open(path, encoding="utf-8") as file:
                found += file.read().splitlines()
        gaps = [int(GAP.match(line)[1]) for line in found if GAP.match(line)]
        found = [line for line in found if not GAP.match(line)]
        for line in found:
            self.assertRegex(line, LINE)
        return [LINE.match(line)[1] for line in found], sum(gaps)

    def test_lines_are_kept_with_time_replica_and_pid_and_files_are_rotated(self):
        hub = self.hub(CHAT % ", log_max_bytes: 16KiB, log_backups: 2")
        client = hub.client()
        client.call("chat", "write", 1000)
        client.call("chat", "pid")
        folder = f"{hub.run_dir}/log"
        kit.until(lambda: "line 00000999" in open_text(f"{folder}/chat.0.log"), "the last line")
        self.assertEqual(len(glob.glob(f"{folder}/*")), 3)
        for path in glob.glob(f"{folder}/*"):
            self.assertLessEqual(os.path.getsize(path), 16384)
        last = client.admin("logs", worker="chat", lines=3)
        self.assertEqual([line["line"][:13] for line in last], [f"line {n:08}" for n in (997, 998, 999)])
        self.assertEqual({line["replica"] for line in last}, {"chat/0"})

    def full_disk(self, hub, free):
        """chat writes until lines are dropped and goes on; after free() they are kept again, and counted."""
        client, steady = hub.client(), self.steady(hub)
        pid, broker = client.call("chat/0", "pid"), hub.broker
        total = 0
        for _ in range(200):
            total += client.call("chat/0", "write", lines=200, first=total)
            if "lines are dropped" in hub.log:
                break
        _, start = hub.wait_log(r"WARN .*chat/0: its log cannot be written, lines are dropped")
        total += client.call("chat/0", "write", lines=500, first=total)
        # The last lines are there all the same.
        def last():
            return client.admin("logs", worker="chat", lines=1)[0]["line"].startswith(f"line {total - 1:08}")
        kit.until(last, "the last line in memory")
        free()
        total += client.call("chat/0", "write", lines=1, first=total)
        found, _ = hub.wait_log(r"WARN .*chat/0: (\d+) lines of its log were dropped", start)
        steady.more()
        steady.finish(self)
        self.assertEqual((client.call("chat/0", "pid"), hub.broker), (pid, broker))
        self.assertGreaterEqual(int(found[1]), 500)
        return total, int(found[1])

    @kit.needs_root
    def test_a_full_disk_drops_lines_with_a_count(self):
        if shutil.which("unshare") is None:
            self.skipTest("there is no unshare: apt-get install util-linux")
        folder = f"{self.dir}/disk"
        os.mkdir(folder)
        # In a mount namespace of the hub's own, so that nothing is left to unmount.
        mount = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs -o size=256k tmpfs {folder} && "
                 f"head -c 100000 /dev/zero > {folder}/filler && exec \"$@\"", "sh"]
        if subprocess.run(mount + ["true"], env=self.env, check=False, stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("a tmpfs cannot be mounted here")
        hub = self.hub(CHAT % ", replicas: 2" + "echo: {command: %s}\n" % kit.worker_command(),
                       hub=f"log_dir: {folder}", wrap=mount)
        seen = f"/proc/{hub.broker}/root{folder}"
        total, dropped = self.full_disk(hub, lambda: os.unlink(f"{seen}/filler"))
        lines, told = self.lines(seen)
        self.assertEqual((len(lines) + told, told >= dropped), (total, True))
        self.assertEqual(lines[-1].split()[1], f"{total - 1:08}")

    def test_a_limit_on_the_size_of_files_ends_nobody(self):
        """RLIMIT_FSIZE sends a signal that would end the broker."""
        hub = self.hub(CHAT % "" + "echo: {command: %s}\n" % kit.worker_command(),
                       wrap=["sh", "-c", "ulimit -S -f 64; exec \"$@\"", "sh"])
        def free():
            subprocess.run(["prlimit", "--fsize=unlimited", "--pid", str(hub.broker)], check=True)
        if shutil.which("prlimit") is None:
            self.skipTest("there is no prlimit: apt-get install util-linux")
        total, dropped = self.full_disk(hub, free)
        lines, told = self.lines(f"{hub.run_dir}/log")
        self.assertEqual((len(lines) + told, told >= dropped), (total, True))

    def test_a_log_directory_that_cannot_be_written_ends_nobody(self):
        with open(f"{self.dir}/file", "w", encoding="ascii"):
            pass
        hub = self.hub(CHAT % "", hub=f"log_dir: {self.dir}/file")
        client = hub.client()
        client.call("chat", "write", 10)
        hub.wait_log(r"WARN .*chat/0: its log cannot be written, lines are dropped")
        self.assertEqual(client.call("chat", "echo", n=1), {"n": 1})
        os.unlink(f"{self.dir}/file")
        client.call("chat", "write", 1)
        hub.wait_log(r"chat/0: \d+ lines of its log were dropped")

    def test_who_writes_without_end_does_not_hold_up_others(self):
        hub = self.hub("noise: {command: [sh, -c, \"while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done\"], "
                       "ready: started, log_max_bytes: 64KiB}\nyes: {command: [\"yes\"], ready: started, "
                       "log_max_bytes: 64KiB}\necho: {command: %s}\n" % kit.worker_command())
        steady = self.steady(hub)
        steady.more(200)
        steady.finish(self)
        print(f"[slowest call {steady.slowest * 1000:.0f} ms] ", end="", flush=True)
        self.assertLess(steady.slowest, 2.0 * kit.SLOW)
        hub.client().admin("stop", worker="yes")
        hub.wait_replica("yes", "stopped")
        sizes = [os.path.getsize(path) for path in glob.glob(f"{hub.run_dir}/log/yes.0.log*")]
        self.assertEqual(len(sizes), 4)
        self.assertLessEqual(max(sizes), 65536)

    def test_a_new_broker_tells_the_same_last_lines(self):
        hub = self.hub(CHAT % ", replicas: 2")
        with kit.Client(hub.url) as client:
            def lines():
                return client.admin("logs", worker="chat", lines=1000)
            for n in range(3):
                client.call("chat/0", "write", lines=2, first=10 * n)
                client.call("chat/1", "write", lines=1, first=10 * n + 5)
                kit.until(lambda n=n: len(lines()) == 3 * n + 3, "the lines")
            before = lines()
        old = hub.broker
        os.kill(old, signal.SIGKILL)
        kit.wait_gone([old], kit.SECONDS)
        def ready():
            with contextlib.suppress(OSError, kit.Closed):
                return all(r["state"] == "ready" for r in hub.replicas("chat"))
            return False
        kit.until(ready, "the workers are ready again")
        client = hub.client()
        self.assertEqual(client.admin("logs", worker="chat", lines=1000), before)
        self.assertEqual(client.admin("logs", worker="chat/1", lines=2),
                         [line for line in before if line["replica"] == "chat/1"][-2:])
        client.call("chat/1", "write", lines=1, first=99)
        kit.until(lambda: len(client.admin("logs", worker="chat", lines=1000)) == len(before) + 1, "another line")
        after = client.admin("logs", worker="chat", lines=1000)
        self.assertEqual((after[:-1], after[-1]["line"][:13]), (before, "line 00000099"))

    def test_bytes_that_are_no_text_and_lines_without_end_are_kept(self):
        hub = self.hub("raw: {command: [sh, -c, \"head -c 20000 /dev/zero | tr '\\\\0' x; printf '\\\\377\\\\0z\\\\n'; "
                       "printf unfinished; exec sleep 1000\"], ready: started}")
        client = hub.client()
        def lines():
            return [line["line"] for line in client.admin("logs", worker="raw", lines=10)]
        kit.until(lambda: len(lines()) == 3, "three pieces of a line")
        found = lines()
        self.assertEqual([len(line) for line in found[:2]], [8192, 8192])
        self.assertTrue(found[2].endswith(b"\xff\0z"))
        client.admin("stop", worker="raw")
        hub.wait_replica("raw", "stopped")
        self.assertEqual(lines()[3:], ["unfinished"])


def open_text(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


if __name__ == "__main__":
    kit.main()
