"""Peers without any library of ours: nngcat, a client of plain sockets, a worker of thirty lines; each with
both engines of the local socket, and over tcp."""
import os
import shutil
import signal
import subprocess

import msgpack

import kit
from kit import ERR, NO, OP, YES

ECHO = "echo: {command: %s}\n" % kit.json.dumps(kit.THIRTY)
TCP = 'listen: ["tcp://127.0.0.1:0"]'


def nngcat_hex(records):
    """How nngcat --hex prints a message."""
    return '"' + "".join(f"\\x{b:02x}" for b in b"".join(map(msgpack.packb, records))) + '"'


@kit.with_nng
class Nngcat(kit.Case):
    def setUp(self):
        super().setUp()
        if shutil.which("nngcat") is None:
            self.skipTest("there is no nngcat: apt-get install nng-utils")

    def ask(self, url, *records, more=()):
        path = os.path.join(self.dir, "call.bin")
        with open(path, "wb") as file:
            file.write(b"".join(map(msgpack.packb, records)))
        # It ends with 0 even when nothing came, so its output is compared.
        return subprocess.run(["nngcat", "--req", "--dial", url, "--file", path, "--hex", "--recv-timeout",
                               str(kit.SECONDS), *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              text=True, timeout=2 * kit.SECONDS, check=True, env=self.env).stdout.strip()

    def call(self, client, method="echo", args=None):
        return [OP["CALL"], client, 1, 0, "echo", method, 5000, None, {"a": 1} if args is None else args]

    def test_gets_a_result_over_ipc(self):
        hub = self.hub(ECHO)
        for client in (os.urandom(16), None):
            self.assertEqual(self.ask(hub.url, self.call(client)), nngcat_hex([[OP["RESULT"], 1, {"a": 1}]]))

    def test_gets_a_large_result_over_ipc(self):
        hub = self.hub(ECHO)
        args = {"a": "x" * 3_000_000}
        out = self.ask(hub.url, self.call(None, args=args), more=["--recv-maxsz", "0"])
        # It prints what is long in pieces of no interest; nothing but the x are letters.
        self.assertGreaterEqual(out.count("\\x78"), 1000)

    def test_gets_a_result_over_tcp_with_the_token_in_the_same_message(self):
        hub = self.hub(ECHO, hub=TCP)
        url = hub.network_url()
        out = self.ask(url, [OP["HELLO"], {"token": hub.token()}], self.call(os.urandom(16)))
        answer = bytes.fromhex(out.strip('"').replace("\\x", ""))
        unpacker = msgpack.Unpacker(strict_map_key=False)
        unpacker.feed(answer)
        welcome, result = list(unpacker)
        self.assertEqual(welcome[0], OP["WELCOME"])
        self.assertEqual(result, [OP["RESULT"], 1, {"a": 1}])

    def test_gets_unauthenticated_over_tcp_without_the_token(self):
        hub = self.hub(ECHO, hub=TCP)
        out = self.ask(hub.network_url(), self.call(os.urandom(16)))
        answer = msgpack.unpackb(bytes.fromhex(out.strip('"').replace("\\x", "")))
        self.assertEqual(answer[:4], [OP["ERROR"], 0, ERR["UNAUTHENTICATED"], NO])


@kit.with_nng
class PlainSockets(kit.Case):
    def test_a_client_gets_the_same_over_ipc_and_tcp(self):
        hub = self.hub(ECHO, hub=TCP)
        self.assertEqual(hub.client().call("echo", "echo", a=1), {"a": 1})
        with kit.Client(hub.network_url(), hello=hub.token()) as client:
            self.assertEqual(client.call("echo", "echo", a=1), {"a": 1})

    def test_hello_and_call_may_be_one_message_on_tcp(self):
        hub = self.hub(ECHO, hub=TCP)
        with kit.Peer(hub.network_url()) as peer:
            replies = peer.ask([OP["HELLO"], {"token": hub.token()}],
                               [OP["CALL"], os.urandom(16), 1, 0, "echo", "echo", 5000, None, {"a": 1}])
        self.assertEqual([replies[0][0], replies[1]], [OP["WELCOME"], [OP["RESULT"], 1, {"a": 1}]])

    def test_a_wrong_token_opens_nothing(self):
        hub = self.hub(ECHO, hub=TCP)
        right = hub.token()
        for token in (b"", right[:-1], right + b"0", bytes([right[0] ^ 1]) + right[1:], b"0" * 256):
            with kit.Peer(hub.network_url()) as peer:
                replies = peer.ask([OP["HELLO"], {"token": token}],
                                   [OP["CALL"], None, 1, 0, "echo", "echo", 5000, None, {}])
                self.assertEqual([r[:4:2] for r in replies], [[OP["ERROR"], ERR["UNAUTHENTICATED"]]] * 2)
                peer.ping()

    def test_the_token_is_the_owners_alone(self):
        hub = self.hub(ECHO, hub=TCP)
        self.assertEqual(os.stat(os.path.join(hub.run_dir, "token")).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(os.path.join(hub.run_dir, "hub.sock")).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(hub.run_dir).st_mode & 0o777, 0o700)

    def test_many_requests_at_a_time_and_batches_are_answered_each_once(self):
        hub = self.hub(ECHO)
        client = hub.client()
        sent = {}
        for n in range(100):
            sent[client.send(client.record("echo", "echo", {"n": n}))] = n
        got = {}
        while len(got) < len(sent):
            request, replies = client.receive()
            self.assertNotIn(request, got)
            got[request] = replies[0][2]["n"]
        self.assertEqual(got, sent)
        records = [client.record("echo", "echo", {"n": n}) for n in range(3)]
        done = {}
        for reply in client.ask(*records):
            done[reply[1]] = reply
        for record in records:
            if done[record[2]][0] == OP["PENDING"]:
                client.send([OP["WAIT"], client.id, record[2], 0])
                self.assertEqual(client.end(record[2]), record[8])
            else:
                self.assertEqual(done[record[2]], [OP["RESULT"], record[2], record[8]])
        self.assertTrue(client.is_silent())


@kit.with_nng
class WorkerOfThirtyLines(kit.Case):
    def test_it_serves_and_its_errors_are_passed_on(self):
        with open(kit.THIRTY[1], encoding="utf-8") as file:
            code = [line for line in file if line.strip() and not line.startswith(('"""', "import"))]
        self.assertLessEqual(len(code), 30)
        client = self.hub(ECHO).client()
        for n in range(20):
            self.assertEqual(client.call("echo", "echo", n=n), {"n": n})
        failure = self.fails("UNKNOWN", YES, lambda: client.call("echo", "fail", text="no such camera"))
        self.assertEqual((failure.message, failure.details), ("no such camera", {"type": "ValueError"}))
        failure = self.fails("UNKNOWN", YES, lambda: client.call("echo", "pid", 1, 2))
        self.assertEqual(failure.details, {"type": "TypeError"})

    def test_it_is_replaced_after_kill_9(self):
        hub = self.hub(ECHO.replace("}", ", restart_delay: 10ms}"))
        client = hub.client()
        pids = [client.call("echo", "pid")]
        for _ in range(3):
            os.kill(pids[-1], signal.SIGKILL)
            # Called at once: whether the hub knows of the death already or not, an idempotent call waits
            # for the next process.
            pids.append(client.call("echo", "pid"))
        self.assertEqual(len(set(pids)), 4)
        replica = hub.replicas("echo")[0]
        self.assertEqual((replica["pid"], replica["restarts"], replica["incarnation"]), (pids[-1], 3, 4))


if __name__ == "__main__":
    kit.main()
