"""The end of a hub, and hubs that do not begin: nothing is left, and the exit code says why."""
import contextlib
import grp
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import time

import kit
from kit import MAYBE, NO, OP

ECHO = "echo: {command: %s, replicas: 2, restart_delay: 10ms%%s}\n" % kit.worker_command()
TCP = 'listen: ["tcp://127.0.0.1:0"]'
EX_CANTCREAT, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG, EX_USAGE = 73, 75, 77, 78, 64
NOBODY = 65534


@kit.with_nng
class Down(kit.Case):
    def busy(self, more="", **options):
        """A hub with all that could be left: grandchildren, connections, requests that wait, a tcp port."""
        hub = self.hub(ECHO % more, hub=TCP, **options)
        client = hub.client()
        for n in (0, 1):
            client.call(f"echo/{n}", "daemon")
        for _ in range(20):
            hub.peer().send([OP["FETCH"], None, ["no.thing"], "new", 1, 1, 25000])
        self.assertGreaterEqual(len(kit.tagged(self.tag)), 7)
        self.clients = [self.steady(hub, again=True) for _ in range(3)]
        for steady in self.clients:
            steady.more()
        return hub

    def ends(self, hub):
        self.assertEqual(hub.wait_end(), 0, hub.log)
        hub.assert_nothing_left()
        self.assertNotRegex(hub.log, r"(?m)^\S+ (ERROR|WARN) ")
        for steady in self.clients:
            steady.finish(self)
            self.assertLessEqual({f.code for f in steady.failures}, {kit.ERR["UNAVAILABLE"], kit.ERR["ABORTED"]})

    def test_nothing_is_left_after_hub_down(self):
        hub = self.busy()
        self.assertIsNone(hub.client().admin("down"))
        self.ends(hub)

    def test_nothing_is_left_after_sigterm(self):
        hub = self.busy()
        hub.process.terminate()
        self.ends(hub)

    def test_nothing_is_left_after_sigint(self):
        hub = self.busy()
        hub.process.send_signal(signal.SIGINT)
        self.ends(hub)

    def test_many_ends_in_a_row_are_all_in_order(self):
        """The broker's own end races with the spawner: none is cut short and told as a death."""
        self.clients = []
        for _ in range(20):
            hub = self.hub("", hub=TCP)
            hub.process.terminate()
            self.ends(hub)

    def test_a_running_call_may_end_before_the_hub_does(self):
        hub = self.hub(ECHO % "")
        client = hub.client()
        seq = client.begin("echo", "hold")
        met = self.meet.next("hold")
        self.assertIsNone(hub.client().admin("down"))
        self.fails("UNAVAILABLE", NO, lambda: hub.client().call("echo", "echo"))
        self.assertTrue(hub.status()["hub"]["stopping"])
        met.go()
        self.assertIs(client.end(seq), True)
        self.assertEqual(hub.wait_end(), 0)
        hub.assert_nothing_left()

    def test_a_second_signal_does_not_wait_for_running_calls(self):
        hub = self.hub(ECHO % "")
        client = hub.client()
        seq = client.begin("echo", "hold")
        self.meet.next("hold")
        hub.process.terminate()
        hub.wait_log("stopping in order")
        hub.process.terminate()
        self.fails("ABORTED", MAYBE, lambda: client.end(seq))
        self.assertEqual(hub.wait_end(), 0)
        hub.assert_nothing_left()

    def test_a_second_signal_kills_who_ignores_the_first(self):
        hub = self.hub("deaf: {command: [sh, -c, \"trap '' TERM INT HUP; while :; do sleep 1000; done\"], "
                       "ready: started, stop_timeout: 1h}")
        kit.until(lambda: sum("sleep" in c for c in kit.tagged(self.tag).values()) >= 2, "the trap is set")
        hub.process.terminate()
        hub.wait_log("stopping in order")
        hub.process.terminate()
        self.assertEqual(hub.wait_end(), 0)
        hub.assert_nothing_left()

    def test_a_third_signal_kills_everything(self):
        hub = self.hub(ECHO % ", stop_timeout: 1h")
        client = hub.client()
        seq = client.begin("echo", "hold_deaf")
        met = self.meet.next("hold")
        hub.process.terminate()
        number = next(n for n, r in enumerate(hub.replicas("echo")) if r["pid"] == met.pid)
        hub.wait_replica("echo", "draining", number)
        hub.process.terminate()
        # It has been asked to end, and has its time for that.
        hub.wait_replica("echo", "stopping", number)
        self.assertTrue(client.is_silent())
        os.kill(met.pid, 0)
        hub.process.terminate()
        self.assertEqual(hub.wait_end(), 0)
        with self.assertRaises((kit.Closed, kit.Failure)):
            client.end(seq)
        hub.assert_nothing_left()

    def test_a_broker_that_dies_while_the_hub_stops_is_followed_by_one_that_goes_on_stopping(self):
        hub = self.hub(ECHO % "")
        client = hub.client()
        client.begin("echo", "hold")
        met = self.meet.next("hold")
        hub.process.terminate()
        kit.until(lambda: hub.status()["hub"]["stopping"], "the hub stops")
        os.kill(hub.broker, signal.SIGKILL)
        hub.wait_log(r"epoch 2\)")
        with contextlib.suppress(BrokenPipeError):  # it may have been ended already: its call is lost
            met.go()
        self.assertEqual(hub.wait_end(), 0)
        hub.assert_nothing_left()

    def test_a_worker_that_ignores_sigterm_is_killed_after_its_time(self):
        hub = self.hub("deaf: {command: [sh, -c, \"trap '' TERM; while :; do sleep 1000; done\"], ready: started, "
                       "stop_timeout: 200ms}")
        kit.until(lambda: sum("sleep" in c for c in kit.tagged(self.tag).values()) >= 2, "the trap is set")
        hub.process.terminate()
        self.assertEqual(hub.wait_end(), 0)
        hub.assert_nothing_left()

    def test_the_hub_can_be_started_again_in_its_directory(self):
        for _ in range(3):
            hub = self.hub(ECHO % "")
            self.assertEqual(hub.client().call("echo", "echo", n=1), {"n": 1})
            self.assertEqual(hub.stop(), 0)
            hub.assert_nothing_left()

    def test_what_the_hub_inherits_does_not_reach_workers_or_stay_open(self):
        r, w = os.pipe()
        os.set_inheritable(w, True)
        try:
            hub = self.hub(ECHO % "", close_fds=False)
            os.close(w)
            self.assertEqual(os.read(r, 1), b"", "somebody still has the pipe")
        finally:
            os.close(r)
        self.assertLessEqual(len(kit.fds(hub.replicas("echo")[0]["pid"])), 4)

    def test_settings_of_the_hub_reach_workers_as_they_are(self):
        hub = self.hub(ECHO % ', environment: {NUMBER: "n%i"}', env={"AS_IS": "100%is", "NUMBER": "x"})
        client = hub.client()
        self.assertEqual(client.call("echo/1", "environment", name="NUMBER"), "n1")
        self.assertEqual(client.call("echo/1", "environment", name="AS_IS"), "100%is")
        for name in ("PRONG_EPOCH", "PRONG_KEEPER_PID"):
            self.assertIsNone(client.call("echo", "environment", name=name), name)


class Hung(kit.Case):
    """A broker that does not answer keeps no hub alive; one that answers is not cut short."""

    def held(self, stop_timeout, hub):
        """A hub with a daemon, and a worker that is in a call and ignores SIGTERM."""
        hub = self.hub(ECHO % f", stop_timeout: {stop_timeout}", hub=hub)
        client = hub.client()
        client.call("echo", "daemon")
        client.begin("echo", "hold_deaf")
        self.meet.next("hold")
        return hub

    def test_one_signal_ends_the_hub_a_little_after_its_time(self):
        hub = self.held("1h", "stop_timeout: 1s")
        os.kill(hub.broker, signal.SIGSTOP)
        hub.process.terminate()
        self.assertEqual(hub.wait_end(), 0)
        self.assertIn("the stop has taken hub.stop_timeout, 1000 ms, and 6000 ms more: killing everything", hub.log)
        hub.assert_nothing_left()

    def test_a_second_signal_ends_it_soon(self):
        hub = self.held("1h", "stop_timeout: 1h")
        os.kill(hub.broker, signal.SIGSTOP)
        hub.process.terminate()
        hub.wait_log("stopping in order")
        hub.process.terminate()
        self.assertEqual(hub.wait_end(), 0)
        self.assertRegex(hub.log, r"the broker \(pid \d+\) does not answer: killing everything")
        hub.assert_nothing_left()

    def test_who_answers_a_second_signal_has_its_time(self):
        """More than there is for an answer: the worker is killed by the broker, when its own time is over."""
        hub = self.held("4s", "stop_timeout: 1h")
        hub.process.terminate()
        kit.until(lambda: any(r["state"] == "draining" for r in hub.replicas("echo")), "it drains")
        hub.process.terminate()
        self.assertEqual(hub.wait_end(), 0)
        self.assertRegex(hub.log, r"hub.worker.exited .*'killed by signal 9'")
        self.assertNotRegex(hub.log, r"(?m)^\S+ ERROR ")

    DEAF = "deaf: {command: [sh, -c, \"trap '' TERM; while :; do sleep 1000; done\"], ready: started, stop_timeout: %s}"

    def test_two_brokers_have_the_time_of_one(self):
        """The second one begins when 5 of 6 s are over, with the end of the first worker."""
        hub = self.hub("\n".join((self.DEAF % "5s", self.DEAF.replace("deaf:", "deafer:") % "1h")),
                       hub="stop_timeout: 6s")
        kit.until(lambda: sum("sleep" in c for c in kit.tagged(self.tag).values()) >= 4, "the traps are set")
        began = time.monotonic()
        hub.process.terminate()
        hub.wait_log(r"hub.worker.exited .*worker='deaf'")
        os.kill(hub.broker, signal.SIGKILL)
        hub.wait_log(r"epoch 2\)")
        self.assertEqual(hub.wait_end(), 0)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("stopping takes too long", hub.log)


# Starts prongd from a thread that ends at once, forks a child that stays, and waits.
PARENT = """
import os, signal, subprocess, sys, threading
signal.signal(signal.SIGUSR1, lambda *_: sys.exit())
command = [*sys.argv[1:], "--with-parent", str(os.getpid())]
thread = threading.Thread(target=subprocess.Popen, args=[command])
thread.start()
thread.join()
os.fork()
while True:
    signal.pause()
"""
# Becomes prongd when its parent has ended.
ORPHAN = """
import os, select, sys
parent = os.getpid()
fd = os.pidfd_open(parent)
if os.fork() == 0:
    select.select([fd], [], [])
    os.execv(sys.argv[1], [*sys.argv[1:], "--with-parent", str(parent)])
"""


class WithParent(kit.Case):
    """A hub that ends with the process that started it: not with the thread, nor with its other children."""
    codes = 0, -signal.SIGKILL

    def ends(self, number):
        hub = self.hub(ECHO % "", wrap=[sys.executable, "-c", PARENT])
        client = hub.client()
        self.assertEqual(client.call("echo", "echo", n=1), {"n": 1})
        client.call("echo", "daemon")
        other, = (pid for pid in kit.children(hub.process.pid) if kit.comm(pid) != "prongd")
        hub.process.send_signal(number)
        hub.process.wait(kit.SECONDS)
        kit.until(lambda: list(kit.tagged(self.tag)) == [other], "the end of all but the other child")
        os.kill(other, signal.SIGKILL)
        hub.wait_end()
        self.assertIn("the process that started prongd has ended: stopping in order", hub.log)
        hub.assert_nothing_left(kit.SECONDS)

    def test_it_ends_in_order_when_its_parent_is_killed(self):
        self.ends(signal.SIGKILL)

    def test_it_ends_in_order_when_its_parent_exits(self):
        self.ends(signal.SIGUSR1)

    def test_it_does_not_begin_when_its_parent_has_ended(self):
        hub = self.hub(ECHO % "", ready=False, wrap=[sys.executable, "-c", ORPHAN])
        hub.wait_log("--with-parent [0-9]+: that process did not start prongd, or has ended")
        hub.wait_end()
        self.assertFalse(os.path.exists(hub.run_dir))

    def test_the_end_of_its_parent_does_not_hurry_a_hub_that_stops(self):
        hub = self.hub(ECHO % "", wrap=[sys.executable, "-c", PARENT])
        client = hub.client()
        seq = client.begin("echo", "hold")
        met = self.meet.next("hold")
        found = {kit.comm(pid) == "prongd": pid for pid in kit.children(hub.process.pid)}
        os.kill(found[True], signal.SIGTERM)
        hub.wait_log("stopping in order")
        hub.process.kill()
        hub.process.wait(kit.SECONDS)
        met.go()
        self.assertIs(client.end(seq), True)
        kit.until(lambda: list(kit.tagged(self.tag)) == [found[False]], "the end of all but the other child")
        os.kill(found[False], signal.SIGKILL)
        hub.wait_end()
        self.assertNotIn("in a hurry", hub.log)


class Quiet(kit.Case):
    def test_a_quiet_hub_says_nothing_of_what_is_in_order(self):
        hub = self.hub(ECHO % "", arguments=["--quiet"])
        hub.client().admin("stop", worker="echo/1")
        self.assertEqual(hub.stop(), 0)
        self.assertEqual(hub.log, "")

    def test_but_warns(self):
        hub = self.hub(ECHO % "", arguments=["--quiet"])
        broker, = (p for s in kit.children(hub.process.pid) for p in kit.children(s) if kit.comm(p) == "prong-broker")
        os.kill(broker, signal.SIGKILL)
        hub.wait_log(r"broker .* died: signal 9")


@kit.with_nng
class Second(kit.Case):
    codes = (0, EX_TEMPFAIL)

    def test_a_second_hub_on_the_directory_leaves_the_first_untouched(self):
        first = self.hub(ECHO % "")
        before = os.stat(f"{first.run_dir}/hub.sock").st_ino, sorted(os.listdir(first.run_dir))
        pids = [r["pid"] for r in first.replicas("echo")]
        steady = self.steady(first)
        with open(f"{first.run_dir}/lock", encoding="ascii") as file:
            self.assertEqual(int(file.read()), first.keeper)
        second = self.hub("", ready=False, name="second.yaml")
        self.assertEqual(second.wait_end(), EX_TEMPFAIL)
        self.assertRegex(second.log, rf"another hub runs in {re.escape(first.run_dir)} \(pid {first.keeper}\)")
        self.assertEqual((os.stat(f"{first.run_dir}/hub.sock").st_ino, sorted(os.listdir(first.run_dir))), before)
        self.assertEqual([r["pid"] for r in first.replicas("echo")], pids)
        steady.more()
        steady.finish(self)

    def test_two_hubs_in_two_directories_do_not_know_each_other(self):
        first = self.hub(ECHO % "")
        second = self.hub(ECHO % "", run_dir=os.path.join(self.dir, "other"), name="other.yaml")
        self.assertEqual(second.stop(), 0)
        self.assertEqual(first.client().call("echo", "echo", n=1), {"n": 1})

    def test_a_socket_that_a_dead_hub_left_is_replaced(self):
        run = os.path.join(self.dir, "run")
        os.mkdir(run, 0o700)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(f"{run}/hub.sock")
        hub = self.hub(ECHO % "")
        self.assertEqual(hub.client().call("echo", "echo", n=1), {"n": 1})


class NoBeginning(kit.Case):
    """What keeps a hub from beginning: its exit code, and that nothing was started."""
    codes = (EX_CANTCREAT, EX_NOPERM, EX_CONFIG, EX_USAGE)

    def ends(self, code, pattern, config="workers: {}\n", **more):
        hub = kit.Hub(self, config, **more)
        self.assertEqual(hub.wait_end(), code, hub.log)
        self.assertRegex(hub.log, pattern)
        self.assertEqual(kit.tagged(self.tag), {})
        self.assertFalse(os.path.exists(f"{hub.run_dir}/hub.sock"))
        return hub

    def test_a_wrong_configuration_says_where(self):
        good = "workers:\n  good: {command: [touch, %s/started], ready: started}\n" % self.dir
        for text, place, words in (
                ("workers:\n  a:\n    comand: [x]\n", "3:5", "command"),
                ("workers:\n  a: {command: [x], replicas: 0}\n", "2:31", "1"),
                ("workers:\n  a: {command: [x], replicas: many}\n", "2:31", "many"),
                ("workers:\n  a: {command: x}\n", "2:16", "list"),
                ("workers:\n  a: {replicas: 1}\n", "2:3", "command"),
                ("workers:\n  A: {command: [x]}\n", "2:3", "a-z"),
                ("workers:\n  hub: {command: [x]}\n", "2:3", "hub"),
                ("workers:\n  a: {command: [x]}\n  a: {command: [y]}\n", "3:3", "a"),
                ("hub:\n  listen: [\"tcp://0.0.0.0:7707\"]\n", "4:12", "TLS"),
                ("hub:\n  listen: [\"tcp://192.0.2.1:7707\"]\n", "4:12", "tls"),
                ("hub:\n  listen: [\"tcp://[::]:7707\"]\n", "4:12", "TLS"),
                ("hub:\n  listen: [\"ws://127.0.0.1:7707\"]\n", "4:12", "tcp://HOST:PORT"),
                ("hub:\n  listen: [\"tls+tcp://127.0.0.1:7707\"]\n", r"\d+:\d+", "tls_cert_file"),
                ("hub: {stop_timeout: 5}\n", "1:21", "5"),
                ("hub: {local_engine: zmq}\n", "1:21", "native"),
                ("workers: [\n", r"\d+:\d+", ""),
                ("\tworkers: {}\n", r"1:\d+", ""),
                ("wrokers: {}\n", "1:1", "workers")):
            with self.subTest(text):
                self.ends(EX_CONFIG, rf"{re.escape(self.dir)}/prong\.yaml:{place}: .*{re.escape(words)}",
                          config=good + text if text.startswith("hub:\n") else text)
        self.assertFalse(os.path.exists(f"{self.dir}/started"), "a worker was started")

    def test_a_configuration_that_is_not_there(self):
        hub = kit.Hub(self, "", arguments=["--config", f"{self.dir}/none.yaml"])
        self.assertEqual(hub.wait_end(), EX_CONFIG, hub.log)
        self.assertIn("none.yaml", hub.log)

    def test_a_configuration_that_is_no_file(self):
        """A named pipe could be waited for without end."""
        os.mkfifo(f"{self.dir}/fifo.yaml")
        for name, kind in ((f"{self.dir}/fifo.yaml", "named pipe"), ("/dev/zero", "device")):
            hub = kit.Hub(self, "", arguments=["--config", name])
            self.assertEqual(hub.wait_end(), EX_CONFIG, hub.log)
            self.assertIn(f"{name}: this is a {kind}", hub.log)

    def test_wrong_arguments(self):
        self.ends(EX_USAGE, "did you mean --config", arguments=["--confg", "x"])
        self.ends(EX_USAGE, "unexpected argument", arguments=["x"])
        self.ends(EX_USAGE, "exclude each other", arguments=["--no-config"])

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.ends(EX_CANTCREAT, f"cannot listen on tcp://127.0.0.1:{port}",
                      config=f"hub: {{listen: [\"tcp://127.0.0.1:{port}\"]}}\n")

    def test_a_runtime_directory_that_cannot_be_made(self):
        with open(f"{self.dir}/file", "w", encoding="ascii"):
            pass
        os.symlink(self.dir, f"{self.dir}/link")
        self.ends(EX_CANTCREAT, "cannot", run_dir=f"{self.dir}/file/run")
        self.ends(EX_CANTCREAT, "cannot", run_dir=f"{self.dir}/none/run")
        self.ends(EX_CANTCREAT, "symbolic link or no directory", run_dir=f"{self.dir}/file")
        self.ends(EX_CANTCREAT, "symbolic link or no directory", run_dir=f"{self.dir}/link")
        self.ends(EX_CANTCREAT, "too long", run_dir=f"{self.dir}/{'x' * 100}")
        os.unlink(f"{self.dir}/link")

    def test_a_runtime_directory_that_others_may_write_to(self):
        os.mkdir(f"{self.dir}/open")
        os.chmod(f"{self.dir}/open", 0o777)
        self.ends(EX_NOPERM, "others may write", run_dir=f"{self.dir}/open")
        self.ends(EX_NOPERM, "everybody may rename", run_dir=f"{self.dir}/open/run")

    @kit.needs_root
    def test_a_runtime_directory_of_somebody_else(self):
        os.mkdir(f"{self.dir}/his", 0o700)
        os.chown(f"{self.dir}/his", NOBODY, NOBODY)
        self.ends(EX_NOPERM, "belongs to user 65534", run_dir=f"{self.dir}/his")

    @kit.needs_root
    def test_a_runtime_directory_where_one_may_not_write(self):
        os.chmod(self.dir, 0o755)
        self.ends(EX_NOPERM, "cannot create the runtime directory", run_dir=f"{self.dir}/run", user=NOBODY,
                  group=NOBODY, extra_groups=[])

    @kit.needs_root
    def test_no_runtime_directory_at_all(self):
        os.chmod(self.dir, 0o755)
        done = subprocess.run([f"{kit.BIN}/prongd", "--no-config"], env=self.env, user=NOBODY, group=NOBODY,
                              extra_groups=[], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              check=False, timeout=kit.SECONDS)
        self.assertEqual(done.returncode, EX_CANTCREAT, done.stderr)
        self.assertIn("--runtime-dir", done.stderr)


@kit.with_nng
class Group(kit.Case):
    """hub: {group: ...}: others of that group may call and not administer."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("only root can give a socket to a group")
        taken = {p.pw_gid for p in pwd.getpwall() if p.pw_uid == 0} | {0}
        self.group = next(g for g in grp.getgrall() if g.gr_gid not in taken)
        os.chmod(self.dir, 0o711)
        self.server = self.hub(ECHO % "", hub=f"group: {self.group.gr_name}")

    def as_other(self, function, groups, uid=NOBODY):
        """function() in a process of another user: what it returned, or the text of its exception."""
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups(groups)
                os.setgid(NOBODY)
                os.setuid(uid)
                text = str(function())
            except BaseException as error:          # pylint: disable=broad-except
                text = f"{type(error).__name__}: {error}"
            os.write(w, text.encode()[:4000])
            os._exit(0)
        os.close(w)
        with os.fdopen(r, "rb") as file:
            text = file.read().decode()
        os.waitpid(pid, 0)
        return text

    def test_modes_and_owners(self):
        folder, sock = os.stat(self.server.run_dir), os.stat(f"{self.server.run_dir}/hub.sock")
        self.assertEqual((stat.S_IMODE(folder.st_mode), folder.st_gid), (0o750, self.group.gr_gid))
        self.assertEqual((stat.S_IMODE(sock.st_mode), sock.st_gid), (0o660, self.group.gr_gid))
        for name in os.listdir(self.server.run_dir):
            try:
                mode = stat.S_IMODE(os.stat(f"{self.server.run_dir}/{name}").st_mode)
            except FileNotFoundError:
                continue                 # config.last.new, which has become config.last meanwhile
            if name in ("hub.sock", "notify", "memory.sock"):
                self.assertEqual(mode, 0o660, name)
            else:
                self.assertEqual(mode & 0o077, 0, name)

    def test_who_is_in_the_group_may_call(self):
        url = self.server.url
        def calls():
            with kit.Client(url) as client:
                return client.call("echo", "echo", n=1), client.admin("status")["hub"]["stopping"]
        self.assertEqual(self.as_other(calls, [self.group.gr_gid]), "({'n': 1}, False)")

    def test_but_not_administer(self):
        url, pid = self.server.url, self.server.replicas("echo")[0]["pid"]
        for method, args in (("stop", {"worker": "echo"}), ("start", {"worker": "echo"}), ("down", {}),
                             ("restart", {"worker": "echo"}), ("scale", {"worker": "echo", "replicas": 0}),
                             ("run", {"name": "x", "command": ["true"], "working_dir": "/"}),
                             ("remove", {"worker": "echo"})):
            def administer(method=method, args=args):
                with kit.Client(url) as client:
                    return client.admin(method, **args)
            said = self.as_other(administer, [self.group.gr_gid])
            self.assertRegex(said, "^Failure: PERMISSION_DENIED began 0", method)
        self.assertEqual(self.server.replicas("echo")[0]["pid"], pid)

    def test_nor_be_a_worker_or_speak_for_others(self):
        url, mine = self.server.url, self.server.client()
        mine.call("echo", "echo")
        def attach():
            with kit.Peer(url) as peer:
                return peer.ask([OP["ATTACH"], {"worker": "echo", "token": b"1.00", "methods": {}}])[0][2:4]
        self.assertEqual(self.as_other(attach, [self.group.gr_gid]), f"[{kit.ERR['PERMISSION_DENIED']}, 0]")
        def report():
            with kit.Peer(url) as peer:
                return peer.ask([OP["REPORT"], "echo/0", 1, [[1, 0, None]]])[0][2:4]
        self.assertEqual(self.as_other(report, [self.group.gr_gid]), f"[{kit.ERR['FAILED_PRECONDITION']}, 0]")
        def steal():
            with kit.Client(url, like=mine) as client:
                return client.call("echo", "echo")
        self.assertRegex(self.as_other(steal, [self.group.gr_gid]), "^Failure: PERMISSION_DENIED began 0")
        self.assertEqual(mine.call("echo", "echo", n=1), {"n": 1})

    def test_who_is_not_in_the_group_cannot_connect(self):
        url = self.server.url
        self.assertRegex(self.as_other(lambda: kit.Client(url), []), "^PermissionError")

    def test_the_hub_can_begin_again_in_that_directory(self):
        self.assertEqual(self.server.stop(), 0)
        self.server = self.hub(ECHO % "", hub=f"group: {self.group.gr_name}")
        self.test_modes_and_owners()

    def test_without_the_group_it_is_closed_again(self):
        self.assertEqual(self.server.stop(), 0)
        self.server = self.hub(ECHO % "")
        self.assertEqual(stat.S_IMODE(os.stat(f"{self.server.run_dir}/hub.sock").st_mode), 0o600)
        url = self.server.url
        self.assertRegex(self.as_other(lambda: kit.Client(url), [self.group.gr_gid]), "^PermissionError")

    def test_the_modes_stand_after_the_broker_was_started_anew(self):
        old = self.server.broker
        os.kill(old, signal.SIGKILL)
        self.server.wait_log(r"listening on ipc", self.server.wait_log(r"epoch 2\)")[1])
        # The group is given to the socket only after it stands there.
        kit.until(lambda: os.stat(f"{self.server.run_dir}/hub.sock").st_gid == self.group.gr_gid, "its group")
        self.test_modes_and_owners()


class GroupThatIsNone(kit.Case):
    codes = (EX_CONFIG,)

    def test_is_a_fault_of_the_configuration(self):
        hub = self.hub(ECHO % "", hub="group: nobody_has_this_group", ready=False)
        self.assertEqual(hub.wait_end(), EX_CONFIG, hub.log)
        said = re.search(r"prong\.yaml:3:3: there is no group 'nobody_has_this_group'", hub.log)
        self.assertTrue(said, hub.log)
        done = subprocess.run([f"{kit.BIN}/prong", "config", "check", hub.config], env=self.env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=kit.SECONDS)
        self.assertEqual(done.returncode, 6, done)
        self.assertIn(said[0], done.stderr)
        self.assertEqual(kit.tagged(self.tag), {})


if __name__ == "__main__":
    kit.main()
