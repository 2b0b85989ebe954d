"""Peers in a few lines of Python, written from PROTOCOL.md: a client that fetches items, makes many calls in one,
leaves a call in the background and leases a replica; a worker that yields."""
import json
import os
import subprocess
import sys

import kit

YIELDS = "echo: {command: %s, replicas: 2, restart_delay: 10ms}\n" % json.dumps(
    [sys.executable, os.path.join(kit.HERE, "thirty_yields.py")])
CALLS = os.path.join(kit.HERE, "thirty_calls.py")


@kit.with_nng
class Thirty(kit.Case):
    def test_they_are_short(self):
        for path in (CALLS, os.path.join(kit.HERE, "thirty_yields.py")):
            with open(path, encoding="utf-8") as file:
                text = file.read().split('"""', 2)[2]
            code = [line for line in text.splitlines() if line.strip() and not line.startswith("import")]
            self.assertLessEqual(len(code), 50, path)

    def test_a_client_fetches_items_maps_leaves_calls_in_the_background_and_leases(self):
        hub = self.hub(YIELDS)
        lines = subprocess.run([sys.executable, CALLS, "echo"], env={**self.env, "PRONG_URL": hub.url}, check=True,
                               stdout=subprocess.PIPE, timeout=kit.SECONDS).stdout.splitlines()
        items, ordered, each, failed, later, leased = map(json.loads, lines)
        self.assertEqual(items, [0, 1, 2, {"value": 3}])
        self.assertEqual(ordered, [[n, 0, {"n": n}] for n in range(3)] + [{"value": {"done": 3, "failed": 0}}])
        self.assertEqual(sorted(each[:2]), [[0, 0, {}], [1, 0, {}]])
        self.assertEqual(each[2], {"value": {"done": 2, "failed": 0}})
        self.assertEqual(failed, [[0, 1, [2, 2, "no", {"type": "ValueError"}]], {"value": {"done": 0, "failed": 1}}])
        self.assertEqual(later, [[kit.OP["PENDING"], 100], [{"value": {"n": 100}}]])
        self.assertEqual(leased[0]["value"]["ttl_ms"], 60000)
        self.assertEqual(leased[1:], [{"value": {"n": 1}}, {"value": None}])
        self.assertEqual(hub.replicas("echo")[0]["leased_by"], "")

    def test_a_worker_yields_no_more_than_is_fetched_and_ends_when_it_is_cancelled(self):
        hub = self.hub(YIELDS)
        before, client = kit.peak_kib(hub.broker), hub.client()
        seq = client.begin("echo/0", "count", {"size": 10000}, ttl_ms=3600000)      # without end
        received, first = 0, None
        while received < 1000:
            _, (reply,) = client.receive()
            if reply[0] == kit.OP["PARTIAL"]:
                first, items = reply[2], reply[4]
                self.assertEqual([n for n, _ in items], list(range(first, first + len(items))))
                received = max(received, first + len(items))
            client.send([kit.OP["WAIT"], client.id, seq, received])
        self.assertLess(kit.peak_kib(hub.broker) - before, (16 << 10) * (6 if kit.SLOW > 1 else 1))
        self.assertIsNotNone(first)
        client.close()                                     # gone: its call is cancelled after 5 s
        other = hub.client()
        self.assertEqual(other.call("echo/0", "pid", ttl_ms=60000), hub.replicas("echo")[0]["pid"])

    def test_a_worker_that_dies_between_two_items_is_told_and_started_again(self):
        hub = self.hub(YIELDS)
        client = hub.client()
        seq = client.begin("echo/0", "count", {"size": 1000}, ttl_ms=3600000)
        _, (reply,) = client.receive()
        self.assertEqual((reply[0], reply[2]), (kit.OP["PARTIAL"], 0))
        os.kill(hub.replicas("echo")[0]["pid"], kit.signal.SIGKILL)
        received = len(reply[4])
        while reply[0] != kit.OP["ERROR"]:
            (reply,) = client.ask([kit.OP["WAIT"], client.id, seq, received])
            received += len(reply[4]) if reply[0] == kit.OP["PARTIAL"] else 0
        self.assertEqual((reply[2], reply[3]), (kit.ERR["ABORTED"], kit.MAYBE))
        client.call("echo/0", "pid", ttl_ms=20000)


if __name__ == "__main__":
    kit.main()
