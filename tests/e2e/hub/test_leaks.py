"""Nothing piles up: descriptors of keeper, spawner and broker over many connections and many restarts; and no
thread is there that nobody asked for."""
import contextlib
import os
import signal
from collections import Counter

import kit
from kit import OP

ECHO = "echo: {command: %s, replicas: 4, restart_delay: 0ms, max_restarts: 1000}\n" % kit.worker_command()
TCP = 'listen: ["tcp://127.0.0.1:0"]'
CONNECTIONS, RESTARTS = 2000, 200


class Leaks(kit.Case):
    """What a hub has open, before and after."""

    def counted(self, hub):
        return {name: kit.fds(pid) for name, pid in
                (("keeper", hub.keeper), ("spawner", hub.spawner), ("broker", hub.broker))}

    def more_than(self, hub, before):
        """What there is now and was not before."""
        now = self.counted(hub)
        return {name: list((Counter(now[name]) - Counter(before[name])).elements()) for name in now
                if Counter(now[name]) - Counter(before[name])}

    def same(self, hub, before):
        """The descriptors return to what they were: a closed connection is noticed a moment later."""
        with contextlib.suppress(AssertionError):
            kit.until(lambda: not self.more_than(hub, before), "the descriptors", 5 * kit.SLOW)
        self.assertEqual(self.more_than(hub, before), {})

    def warm(self, hub, open_clients=0):
        """One of each first: what the hub opens once and keeps, the log files of workers among it."""
        with kit.Client(hub.url) as client:
            for n in range(4):
                client.call(f"echo/{n}", "write", 1)
        with kit.Client(hub.network_url(), hello=hub.token()) as client:
            client.call("echo", "echo")
        for n in range(4):
            kit.until(lambda n=n: os.path.exists(f"{hub.run_dir}/log/echo.{n}.log"), "the log file")
        # The workers, who asks, and no other that is still being closed.
        with kit.Client(hub.url) as client:
            kit.until(lambda: hub.status(client)["hub"]["connections"] == 5 + open_clients, "the closed ones go")


class Threads(kit.Case):
    @staticmethod
    def thread_counts(hub):
        return [len(os.listdir(f"/proc/{pid}/task")) for pid in (hub.keeper, hub.spawner, hub.broker)]

    def test_without_a_network_link_the_broker_has_one_thread(self):
        """One thread owns all its state, and libnng, which brings threads, is not started for nothing."""
        hub = self.hub(ECHO)
        self.assertEqual(self.thread_counts(hub), [1, 1, 1])
        steady = self.steady(hub)
        steady.more()
        steady.finish(self)
        os.kill(hub.replicas("echo")[0]["pid"], signal.SIGKILL)
        kit.until(lambda: hub.replicas("echo")[0]["incarnation"] == 2, "the next one")
        self.assertEqual(self.thread_counts(hub), [1, 1, 1])

    def test_with_one_it_is_libnng_that_has_more(self):
        hub = self.hub(ECHO, hub=TCP)
        keeper, spawner, broker = self.thread_counts(hub)
        self.assertEqual((keeper, spawner), (1, 1))
        self.assertGreater(broker, 1)


@kit.with_nng
class Connections(Leaks):
    def test_connections(self):
        hub = self.hub(ECHO, hub=TCP)
        self.warm(hub)
        url, token, before = hub.network_url(), hub.token(), self.counted(hub)
        for n in range(CONNECTIONS):
            way = n % 10
            if way == 9:
                with kit.Client(url, hello=token) as client:
                    self.assertEqual(client.call("echo", "echo", n=n), {"n": n})
            elif way == 8:
                kit.Peer(hub.url, greet=False).close()
            elif way == 7:
                with kit.Peer(hub.url) as peer:             # with a request that waits, and half of another
                    peer.send([OP["FETCH"], None, ["no.thing"], "new", 1, 1, 25000])
                    peer.write(b"\1\0\0\0\0\0\0")
            else:
                with kit.Client(hub.url) as client:
                    self.assertEqual(client.call("echo", "echo", n=n), {"n": n})
        self.same(hub, before)
        status = hub.status()
        self.assertEqual(status["hub"]["calls"], 1)
        self.assertEqual(status["workers"]["echo"]["replicas"][0]["restarts"], 0)


class Restarts(Leaks):
    def restarts(self, hub, once, open_clients=0):
        """once(replica) for every replica until there were so many; then all serve, and nothing is left over."""
        self.warm(hub, open_clients)
        before, done = self.counted(hub), 0
        # A call that is hit twice is given up, as it should be.
        steady = self.steady(hub, again=True)
        while done < RESTARTS:
            for replica in hub.replicas("echo"):
                once(replica)
                done += 1
            kit.until(lambda: all(r["state"] in ("ready", "busy") and r["incarnation"] > done // 4
                                  for r in hub.replicas("echo")), "all are ready")
        steady.more()
        self.assertGreater(steady.finish(self), 100)
        self.assertEqual(steady.lost, 0)
        self.assertLessEqual({f.code for f in steady.failures}, {kit.ERR["ABORTED"]})
        self.same(hub, before)
        self.assertEqual(len(kit.tagged(self.tag)), 3 + 4)
        self.assertEqual(sorted(os.listdir(f"{hub.run_dir}/log")), [f"echo.{n}.log" for n in range(4)])

    def test_restarts_after_kill_9(self):
        hub = self.hub(ECHO, hub=TCP)
        self.restarts(hub, lambda replica: os.kill(replica["pid"], signal.SIGKILL))

    def test_restarts_that_were_asked_for(self):
        hub = self.hub(ECHO, hub=TCP)
        client = hub.client()
        self.restarts(hub, lambda replica: client.admin("restart", worker=replica["replica"]), 1)

    def test_brokers(self):
        """Each new broker has what the first had."""
        hub = self.hub(ECHO, hub=TCP)
        self.warm(hub)
        before = self.counted(hub)
        for _ in range(10):
            old = hub.broker
            os.kill(old, signal.SIGKILL)
            kit.wait_gone([old], kit.SECONDS)
            def ready():
                try:
                    return all(r["state"] == "ready" for r in hub.replicas("echo"))
                except (OSError, kit.Closed):
                    return False
            kit.until(ready, "all are ready again")
            with kit.Client(hub.url) as client:
                for n in range(4):
                    client.call(f"echo/{n}", "write", 1)
        self.same(hub, before)


class Gone(Leaks):
    """What replicas wrote goes with them."""

    def test_workers_that_were_removed(self):
        hub = self.hub(ECHO)
        with kit.Client(hub.url) as client:
            def once(text):
                client.admin("run", name="passing", command=["sh", "-c", f"echo {text}; exec sleep 1000"],
                             working_dir="/", ready="started")
                def lines():
                    return [line["line"] for line in client.admin("logs", worker="passing")]
                kit.until(lines, "its line")
                self.assertEqual(lines(), [text], "what another worker of this name wrote")
                client.admin("stop", worker="passing")
                hub.wait_replica("passing", "stopped")
                client.admin("remove", worker="passing")
            once("first")
            before = self.counted(hub)
            for n in range(30):
                once(f"text{n}")
            self.same(hub, before)

    def test_replicas_that_were_scaled_away(self):
        hub = self.hub("passing: {command: [sh, -c, \"echo hello; exec sleep 1000\"], ready: started}")
        with kit.Client(hub.url) as client:
            def count():
                lines = client.admin("logs", worker="passing", lines=1000)
                return len({line["replica"] for line in lines}), len(hub.replicas("passing"))
            kit.until(lambda: count() == (1, 1), "the first line")
            before = self.counted(hub)
            client.admin("scale", worker="passing", replicas=100)
            kit.until(lambda: count() == (100, 100), "a line of each")
            client.admin("scale", worker="passing", replicas=1)
            kit.until(lambda: count() == (1, 1), "the others to be gone")
            self.same(hub, before)


if __name__ == "__main__":
    kit.main()
