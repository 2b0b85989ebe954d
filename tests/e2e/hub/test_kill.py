"""kill -9 of keeper, spawner and broker, under load from several clients."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time

import kit

ECHO = "echo: {command: %s, replicas: 2, restart_delay: 10ms}\n" % kit.worker_command()
# A worker that speaks nothing, ignores SIGTERM and stands in a session of its own.
DEAF = "deaf: {command: [sh, -c, \"trap '' TERM; setsid sleep 1000 & while :; do sleep 1000; done\"], ready: started}\n"
TCP = 'listen: ["tcp://127.0.0.1:0"]'
LOSSES = {"UNAVAILABLE", "ABORTED"}


class LibClient:
    """The program lib_client.c, or None when there is no libprong in this build."""

    def __init__(self, case, url, *more):
        program = os.path.join(kit.TEST_BIN, "hub_lib_client")
        if not os.access(program, os.X_OK):
            case.skipTest("this build has no libprong")
        self.err = open(os.path.join(case.dir, "lib_client.err"), "w+", encoding="utf-8")
        self.process = subprocess.Popen([program, url, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.err, env=case.env, text=True)
        self.count, self.last = 0, ""
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        case.addCleanup(self.finish)

    def read(self):
        for line in self.process.stdout:
            self.last = line
            if line.startswith("ok"):
                self.count = int(line.split()[1])

    def more(self, calls=60):
        want = self.count + calls
        kit.until(lambda: self.count >= want or self.process.poll() is not None, "calls of the C client")
        if self.count < want:
            raise AssertionError(f"the C client ended: {self.said()}")

    def said(self):
        self.err.seek(0)
        return self.last + self.err.read()

    def finish(self):
        """(exit code, what it said)."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
            try:
                self.process.wait(kit.SECONDS + 25)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.thread.join(kit.SECONDS)
            self.process.stdout.close()
            self.result = self.process.returncode, self.said()
            self.err.close()
        return self.result


class HeadsOff(kit.Case):
    """The keeper or the spawner is killed: within a second nothing is left."""
    codes = (0, 70, -signal.SIGKILL)

    def loaded(self, **more):
        """A hub under load, with grandchildren that have left every session and group; all its processes."""
        hub = self.hub(ECHO + DEAF, **more)
        client = hub.client()
        self.grandchildren = [client.call(f"echo/{n}", "daemon") for n in (0, 1, 0)]
        everything = kit.tagged(self.tag)
        self.assertTrue(set(self.grandchildren) <= set(everything))
        self.assertGreaterEqual(len(everything), 3 + 2 + 3 + 2, everything)
        self.clients = [self.steady(hub, again=True) for _ in range(4)]
        for steady in self.clients:
            steady.more()
        return hub, list(everything)

    def kill(self, hub, pids, victim):
        with contextlib.ExitStack() as stack:
            pidfds = {pid: os.pidfd_open(pid) for pid in pids}
            for fd in pidfds.values():
                stack.callback(os.close, fd)
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            left = kit.wait_gone(pids, 1.0 * kit.SLOW, pidfds)
            took = time.monotonic() - began
        print(f"[{len(pids)} processes gone in {took * 1000:.0f} ms] ", end="", flush=True)
        self.assertEqual(left, set(), hub.log)
        kit.until(lambda: not os.path.exists(f"{hub.run_dir}/hub.sock"), "the socket goes", 1.0)
        for steady in self.clients:
            kit.until(lambda steady=steady: steady.lost, "the clients notice")
            steady.finish(self)

    def test_nothing_survives_the_keeper(self):
        hub, pids = self.loaded()
        self.kill(hub, pids, hub.keeper)
        self.assertEqual(hub.wait_end(), -signal.SIGKILL)

    def test_nothing_survives_the_spawner(self):
        hub, pids = self.loaded()
        self.kill(hub, pids, hub.spawner)
        self.assertEqual(hub.wait_end(), 70)
        self.assertIn("the spawner died", hub.log)

    def test_nothing_survives_the_spawner_with_network_links(self):
        hub, pids = self.loaded(hub=TCP)
        self.kill(hub, pids, hub.spawner)
        self.assertEqual(hub.wait_end(), 70)

    def test_a_new_hub_can_take_the_place(self):
        hub, pids = self.loaded()
        self.kill(hub, pids, hub.keeper)
        again = self.hub(ECHO)
        self.assertEqual(again.client().call("echo", "echo", n=1), {"n": 1})
        self.assertEqual(again.stop(), 0)


@kit.with_nng
class BrokerDies(kit.Case):
    """The broker is killed: it is started anew, and workers do not notice more than a reconnect."""

    def pids(self, hub):
        return [r["pid"] for r in hub.replicas("echo")]

    def kill(self, hub):
        old = hub.broker
        os.kill(old, signal.SIGKILL)
        kit.wait_gone([old], kit.SECONDS)
        return old

    def wait_new(self, hub, old):
        def found():
            with contextlib.suppress(OSError, kit.Closed):
                return all(r["state"] in ("ready", "busy") for r in hub.replicas("echo"))
            return False
        kit.until(found, "the workers are ready again")
        self.assertNotEqual(hub.broker, old)

    def test_workers_live_on_and_clients_go_on(self):
        hub = self.hub(ECHO)
        pids = self.pids(hub)
        clients = [self.steady(hub, again=True) for _ in range(4)]
        for n in range(5):
            for steady in clients:
                steady.more()
            old = self.kill(hub)
            began = time.monotonic()
            clients[0].more(1)
            blackout = time.monotonic() - began
            print(f"[blackout {blackout * 1000:.0f} ms] ", end="", flush=True)
            self.wait_new(hub, old)
            self.assertEqual(self.pids(hub), pids)
            self.assertEqual(hub.status()["hub"]["epoch"], n + 2)
        for steady in clients:
            steady.more()
            steady.finish(self)
            # Each loses what was on its way at most, and is told so.
            self.assertLessEqual(len(steady.failures), 10, steady.failures)
            self.assertLessEqual({kit.ERR_NAME[f.code] for f in steady.failures}, LOSSES)
        self.assertEqual([r["restarts"] for r in hub.replicas("echo")], [0, 0])

    def test_clients_of_the_library_go_on(self):
        hub = self.hub(ECHO)
        pids = self.pids(hub)
        client = LibClient(self, hub.url)
        for _ in range(5):
            client.more()
            self.wait_new(hub, self.kill(hub))
            self.assertEqual(self.pids(hub), pids)
        client.more()
        code, said = client.finish()
        print(f"[{said.splitlines()[0]}] ", end="")
        self.assertEqual(code, 0, said)

    def test_a_method_that_runs_meanwhile_runs_once(self):
        hub = self.hub(ECHO)
        client = hub.client()
        client.begin("echo/0", "hold")
        met = self.meet.next("hold")
        self.wait_dead_and_new(hub)
        met.go()
        self.wait_all_ready(hub)
        self.assertTrue(self.meet.is_empty())
        self.assertEqual(hub.client().call("echo/0", "pid"), met.pid)

    def wait_dead_and_new(self, hub):
        old = self.kill(hub)
        def found():
            with contextlib.suppress(OSError, kit.Closed):
                return hub.status()["hub"]["epoch"] == 2
        kit.until(found, "a new broker")
        self.assertNotEqual(hub.broker, old)

    def wait_all_ready(self, hub):
        kit.until(lambda: all(r["state"] in ("ready", "busy") for r in hub.replicas("echo")), "ready")

    def test_deaths_of_workers_meanwhile_are_told_to_the_next(self):
        hub = self.hub(ECHO)
        pids = self.pids(hub)
        spawner = hub.spawner
        os.kill(spawner, signal.SIGSTOP)            # so that nobody reaps or restarts anything yet
        os.kill(hub.broker, signal.SIGKILL)
        os.kill(pids[0], signal.SIGKILL)
        os.kill(spawner, signal.SIGCONT)
        def found():
            with contextlib.suppress(OSError, kit.Closed):
                now = hub.replicas("echo")
                return [r["state"] for r in now] == ["ready", "ready"] and now
        now = kit.until(found, "both replicas")
        self.assertNotEqual(now[0]["pid"], pids[0])
        self.assertEqual(now[1]["pid"], pids[1])

    def test_subscribers_find_out_that_history_began_anew(self):
        hub = self.hub(ECHO)
        fetch = lambda start: [6, None, [">"], start, 100, 1 << 20, 0]    # noqa: E731
        with kit.Peer(hub.url) as peer:
            before = peer.ask(fetch("oldest"))[0]
        self.wait_dead_and_new(hub)
        with kit.Peer(hub.url) as peer:
            after = peer.ask(fetch("oldest"))[0]
        self.assertNotEqual(before[1], after[1])

    def test_the_network_works_again(self):
        hub = self.hub(ECHO, hub=TCP)
        token = hub.token()
        start = len(hub.lines)
        old = self.kill(hub)
        self.wait_new(hub, old)
        hub.wait_log(r"listening on tcp://\S+", start)  # the local socket comes first
        urls = re.findall(r"listening on (tcp://\S+)", hub.log)
        self.assertEqual(len(urls), 2)
        self.assertEqual(hub.token(), token)
        with kit.Client(urls[-1], hello=token) as client:
            self.assertEqual(client.call("echo", "echo", n=1), {"n": 1})

    def test_the_next_goes_on_with_what_was_read_before_when_the_file_is_of_no_use(self):
        hub = self.hub("")
        with open(hub.config, encoding="utf-8") as file:
            head = file.read()
        good = head + "workers:\n  " + ECHO.replace("}", ", environment: {API_KEY: hunter2}}")
        def write(text):
            with open(hub.config, "w", encoding="utf-8") as file:
                file.write(text)
        def reload():
            start = len(hub.lines)
            hub.process.send_signal(signal.SIGHUP)
            return hub.wait_log(r"hub\.reload|not read again", start)[0].group()
        write(good)
        self.assertEqual(reload(), "hub.reload")
        self.wait_all_ready(hub)
        pids = self.pids(hub)
        other = socket.socket()
        self.addCleanup(other.close)
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"  listen: ['tcp://127.0.0.1:{other.getsockname()[1]}']\nworkers: {{}}\n"
        for wrong, says in (("workers: [", r"again: \S+prong\.yaml:1:"), (good + "more: 1\n", "again: .*'more'"),
                            (None, "No such file"), (head + taken, r"cannot listen on tcp://")):
            if wrong is None:
                os.unlink(hub.config)
            else:
                write(wrong)
            start = len(hub.lines)
            self.wait_new(hub, self.kill(hub))
            _, start = hub.wait_log(f" ERROR .*{says}", start)
            hub.wait_log(" WARN .*configuration that was read before", start)
            self.assertEqual(self.pids(hub), pids)
            self.assertEqual(hub.client().call("echo", "echo", n=1), {"n": 1})
        self.assertNotIn("hunter2", hub.log)
        write(good.replace("hunter2", "hunter3"))
        self.assertEqual(reload(), "hub.reload")
        kit.until(lambda: not set(self.pids(hub)) & set(pids), "processes with another configuration")
        self.assertEqual(hub.stop(), 0)
        hub.assert_nothing_left()


class Watch(kit.Case):
    def test_the_example_watches_on_while_the_broker_dies(self):
        folder = os.path.join(os.environ.get("PRONG_BUILD_DIR", ""), "examples", "hostwatch")
        if not os.access(f"{folder}/watch", os.X_OK):
            self.skipTest("this build has no examples")
        hub = self.hub(f"sensor: {{command: [{folder}/sensor]}}\n"
                       f"detector: {{command: [{folder}/detector], replicas: 2}}")
        pids = [r["pid"] for w in ("sensor", "detector") for r in hub.replicas(w)]
        watch = subprocess.Popen([f"{folder}/watch"], env={**self.env, "PRONG_URL": hub.url}, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(watch.stderr.close)
        self.addCleanup(watch.stdout.close)
        calls = lambda: hub.status()["workers"]["detector"]["calls"]     # noqa: E731
        kit.until(lambda: calls() > 5, "calls of watch")
        os.kill(hub.broker, signal.SIGKILL)
        def found():
            with contextlib.suppress(OSError, kit.Closed):
                return calls() > 5
        kit.until(found, "calls of watch with the new broker", 20 * kit.SLOW)
        self.assertEqual([r["pid"] for w in ("sensor", "detector") for r in hub.replicas(w)], pids)
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=kit.SECONDS + 10)
        self.assertEqual(watch.returncode, 0, err)
        events, _lost, asked, answers, _again, failed, _ = map(int, re.findall(r"\d+", out.splitlines()[-1]))
        print(f"[{out.splitlines()[-1]}] ", end="")
        self.assertGreater(events, 5)
        self.assertLessEqual(failed, 64, "more than were on their way")
        self.assertGreater(answers, 10)
        self.assertGreaterEqual(asked, answers)


if __name__ == "__main__":
    kit.main()
