"""tcp-listen, tcp-connect and udp against plain sockets, and socat."""
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

import apart
import kit
import msgpack_free as pack

LINES = 10000


class TcpListen(kit.Case):
    def connect(self, device):
        s = socket.create_connection(("127.0.0.1", self.port(device)))
        s.settimeout(kit.hub.DEADLINE)
        self.addCleanup(s.close)
        return s

    @staticmethod
    def name(s):
        return "%s:%d" % s.getsockname()

    def test_a_line_is_an_event_with_its_time_and_its_peer(self):
        self.devices("trigger: {kind: tcp-listen, port: 0}")
        before = time.time_ns() // 1000, time.monotonic_ns()
        s = self.connect("trigger")
        s.sendall("go\r\n\ngr\u00fc\u00df\n".encode())
        payloads = self.first("trigger.data", 3)
        after = time.time_ns() // 1000, time.monotonic_ns()
        self.assertEqual([p["value"] for p in payloads], ["go", "", "gr\u00fc\u00df"])
        for p in payloads:
            self.assertEqual(set(p), {"value", "peer", "time_us", "mono_ns"})
            self.assertEqual(p["peer"], self.name(s))
            self.assertLessEqual(before[1], p["mono_ns"])
            self.assertLessEqual(p["mono_ns"], after[1])
            self.assertLessEqual(before[0], p["time_us"])
        self.assertEqual(self.first("trigger.up", 1)[0]["peer"], self.name(s))
        # What it told before the hub knew its process is its own, too.
        began = self.ok("events", "trigger.listening", "--from", "oldest", "-n", "1").json()
        self.assertEqual(began["source"], "trigger/0")
        s.close()
        self.assertEqual(self.first("trigger.down", 1)[0]["why"], "the peer has closed the connection")

    def test_every_framing_and_decoding(self):
        self.devices("a: {kind: tcp-listen, port: 0, decode: json}",
                     "b: {kind: tcp-listen, port: 0, framing: delimiter, delimiter: \"\\r\\r\", decode: number}",
                     "c: {kind: tcp-listen, port: 0, framing: length, length_bytes: 2, byte_order: little, "
                     "decode: msgpack}",
                     "d: {kind: tcp-listen, port: 0, framing: raw, decode: bytes}")
        for device, data, expected in [
                ("a", b'{"n": [1, 2]}\n"x"\n', [{"n": [1, 2]}, "x"]),
                ("b", b"1\r\r 2.5 \r\r-3\r\r", [1, 2.5, -3]),
                ("c", b"".join(struct.pack("<H", len(o)) + o for o in (pack.text("on"), pack.number(7))), ["on", 7]),
                ("d", b"\0\xff", [{"$bin": "AP8="}])]:
            self.connect(device).sendall(data)
            self.assertEqual(self.values(device + ".data", len(expected)), expected)

    def test_malformed_frames_are_counted_told_once_in_a_row_and_skipped(self):
        self.devices("n: {kind: tcp-listen, port: 0, decode: number, max_bytes: 8B}")
        s = self.connect("n")
        s.sendall(b"1\nx\ny\n123456789\n\xff\n2\n3.\n" + b"9" * 300000 + b"\n4\ncut")
        self.assertEqual(self.values("n.data", 4), [1, 2, 3.0, 4])
        s.shutdown(socket.SHUT_WR)
        told = self.first("n.malformed", 3)
        self.assertEqual([(p["why"], p["count"]) for p in told],
                         [("not a number", 1), ("longer than max_bytes", 5), ("cut off by the end", 6)])
        self.assertEqual({p["peer"] for p in told}, {self.name(s)})
        stats = self.stats("n")
        self.assertEqual((stats["frames"], stats["malformed"], stats["up"]), (4, 6, True))

    def test_ten_thousand_lines_reach_a_subscriber_in_order_and_none_is_lost(self):
        self.devices("trigger: {kind: tcp-listen, port: 0, decode: number}")
        reader = self.start("events", "trigger.data", "--from", "oldest", "--count", str(LINES), "-o", "jsonl")
        s = self.connect("trigger")
        s.sendall(b"".join(b"%d\n" % n for n in range(LINES)))
        done = self.end(reader)
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual([json.loads(line)["payload"]["value"] for line in done.out.splitlines()],
                         list(range(LINES)))
        stats = self.stats("trigger")
        self.assertEqual((stats["frames"], stats["dropped"], stats["waiting"]), (LINES, 0, 0))

    def test_a_hub_that_takes_nothing_holds_up_the_peer_and_nothing_is_lost(self):
        self.devices("trigger: {kind: tcp-listen, port: 0, decode: number}")
        s = self.connect("trigger")
        self.first("trigger.up", 1)
        broker = self.broker()
        os.kill(broker, signal.SIGSTOP)
        try:
            s.sendall(b"".join(b"%d\n" % n for n in range(LINES)))
        finally:
            os.kill(broker, signal.SIGCONT)
        self.assertEqual(self.values("trigger.data", LINES), list(range(LINES)))
        self.assertEqual(self.stats("trigger")["dropped"], 0)

    def test_it_goes_on_when_the_broker_was_started_anew(self):
        self.devices("trigger: {kind: tcp-listen, port: 0}")
        s = self.connect("trigger")
        self.first("trigger.up", 1)
        pid = self.until(lambda: self.replicas("trigger")[0]["pid"], "a pid")
        broker = self.broker()
        os.kill(broker, signal.SIGKILL)
        self.until(lambda: self.broker() != broker, "another broker")
        self.until(lambda: self.prong("call", "trigger.stats").code == 0, "the device with the new broker")
        s.sendall(b"still here\n")
        self.assertEqual(self.values("trigger.data", 1), ["still here"])
        self.assertEqual(self.replicas("trigger")[0]["pid"], pid)

    def test_a_paused_device_reads_nothing_and_so_holds_up_its_peer(self):
        self.devices("trigger: {kind: tcp-listen, port: 0, max_bytes: 1MiB}",
                     more="hub: {events_size: 64MiB}\n")
        s = self.connect("trigger")
        self.first("trigger.up", 1)
        self.call("trigger.pause")
        s.setblocking(False)
        line, sent = b"x" * 65535 + b"\n", 0
        while select.select([], [s], [], 0.2 * kit.hub.SLOW)[1] and sent < 512 * 1024 * 1024:
            sent += s.send(line[sent % len(line):])
        self.assertLess(sent, 512 * 1024 * 1024, "nobody was held up")
        stats = self.stats("trigger")
        self.assertEqual((stats["frames"], stats["bytes"], stats["paused"]), (0, 0, True))
        self.call("trigger.resume")
        s.setblocking(True)
        s.sendall(line[sent % len(line):])
        whole = -(-sent // len(line)) if sent % len(line) else sent // len(line) + 1
        stats = self.until_stats("trigger", lambda x: x["frames"] == whole, f"{whole} frames")
        self.assertEqual((stats["dropped"], stats["malformed"]), (0, 0))

    def test_send_goes_to_all_peers_or_to_one_and_says_how_much(self):
        self.devices("line: {kind: tcp-listen, port: 0}")
        self.assertIn("no peer is connected", self.call("line.send", "data=x", code=1))
        a, b = self.connect("line"), self.connect("line")
        self.first("line.up", 2)
        self.assertEqual(self.call("line.send", "data=hi"), {self.name(a): 3, self.name(b): 3})
        self.assertEqual(self.call("line.send", "data=you", "to=" + self.name(b)), {self.name(b): 4})
        self.assertEqual(self.call("line.send", "data=raw", "raw:=true", "to=" + self.name(a)), {self.name(a): 3})
        self.assertEqual((a.recv(99), b.recv(7, socket.MSG_WAITALL)), (b"hi\nraw", b"hi\nyou\n"))
        self.assertIn("no such peer", self.call("line.send", "data=x", "to=1.2.3.4:5", code=1))
        self.assertIn("end of a frame within", self.call("line.send", "data=a\nb", code=1))
        self.assertIn("send needs 'data'", self.call("line.send", code=1))
        self.assertIn("send has no argument 'too'; it has data, to, raw",
                      self.call("line.send", "data=x", "too=" + self.name(b), code=1))
        self.assertIn("pause has no argument 'for'", self.call("line.pause", "for=1s", code=1))
        self.assertFalse(self.stats("line")["paused"])
        self.assertEqual(self.stats("line")["sent_bytes"], 13)

    def test_who_comes_when_all_places_are_taken_waits(self):
        self.devices("one: {kind: tcp-listen, port: 0, max_peers: 1}")
        a, b = self.connect("one"), self.connect("one")
        b.sendall(b"second\n")
        a.sendall(b"first\n")
        self.assertEqual(self.values("one.data", 1), ["first"])
        a.close()
        self.assertEqual(self.values("one.data", 2), ["first", "second"])

    def test_a_port_that_is_taken_is_told_and_tried_again(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.devices(f"late: {{kind: tcp-listen, port: {port}, reconnect_max: 100ms}}")
            self.assertEqual(self.first("late.down", 1)[0]["why"], "Address already in use")
        self.assertEqual(self.port("late"), port)
        self.assertGreater(self.stats("late")["reconnects"], 0)

    @kit.hub.unittest.skipUnless(shutil.which("socat"), "needs socat")
    def test_socat_is_heard(self):
        self.devices("trigger: {kind: tcp-listen, port: 0}")
        done = subprocess.run(["socat", "-u", "-", f"TCP:127.0.0.1:{self.port('trigger')}"], input=b"from socat\n",
                              timeout=kit.hub.DEADLINE, check=True)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.values("trigger.data", 1), ["from socat"])


class TcpConnect(kit.Case):
    def test_it_connects_again_after_the_peer_has_died(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        server.settimeout(kit.hub.DEADLINE)
        address = server.getsockname()
        self.devices(f"plc: {{kind: tcp-connect, host: localhost, port: {address[1]}, reconnect_max: 100ms}}")
        peer, _ = server.accept()
        self.assertEqual(self.first("plc.up", 1)[0]["peer"], "127.0.0.1:%d" % address[1])
        peer.sendall(b"one\ncut off")
        self.assertEqual(self.values("plc.data", 1), ["one"])
        server.close()
        peer.close()
        self.assertEqual([p["why"] for p in self.first("plc.down", 2)],
                         ["the peer has closed the connection", "Connection refused"])
        self.assertEqual(self.first("plc.malformed", 1)[0]["why"], "cut off by the end")
        self.assertIn("not connected", self.call("plc.send", "data=x", code=1))
        server = socket.create_server(address)
        self.addCleanup(server.close)
        server.settimeout(kit.hub.DEADLINE)
        peer, _ = server.accept()
        self.addCleanup(peer.close)
        self.first("plc.up", 2)
        peer.sendall(b"two\n")
        self.assertEqual(self.values("plc.data", 2), ["one", "two"])
        self.assertEqual(self.call("plc.send", "data=ok"), {"127.0.0.1:%d" % address[1]: 3})
        self.assertEqual(peer.recv(99), b"ok\n")
        self.assertGreater(self.stats("plc")["reconnects"], 0)

    def test_a_name_that_nobody_knows_is_told(self):
        self.devices("plc: {kind: tcp-connect, host: no-such-host.invalid, port: 9}")
        self.assertTrue(self.first("plc.down", 1)[0]["why"])
        self.assertFalse(self.stats("plc")["up"])


class SilentNames(kit.Case):
    """A name server that answers when the test wants it, in a network where nothing else is."""

    def begin(self, *entries):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        with open(self.path("prong.yaml"), "w", encoding="utf-8") as file:
            file.write(self.config_of(*entries))
        with theirs:
            done = subprocess.run([sys.executable, "-B", apart.__file__, str(theirs.fileno()),
                                   *self.command("up", "--config", self.path("prong.yaml"))],
                                  cwd=self.dir, env=self.env, pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True, timeout=kit.hub.DEADLINE, check=False)
        if done.returncode == 77:
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        sockets = [socket.socket(fileno=fd) for fd in socket.recv_fds(ours, 1, 2)[1]]
        for s in sockets:
            self.addCleanup(s.close)
            s.settimeout(kit.hub.DEADLINE)
        return sockets

    @staticmethod
    def answer(query):
        """127.0.0.1 to who asks for an IPv4 address, nothing to others (RFC 1035, section 4)."""
        end = query.index(b"\0", 12) + 5             # of the question: a name, its type and class
        is_a = query[end - 4:end - 2] == b"\0\1"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton("127.0.0.1")
        return query[:2] + b"\x81\x80\0\1" + struct.pack(">H", is_a) + bytes(4) + query[12:end] + record * is_a

    def test_a_device_answers_while_the_name_server_does_not(self):
        names, server = self.begin(f"plc: {{kind: tcp-connect, host: plc.example, port: {apart.PORT}}}")
        asked = [names.recvfrom(512)]
        self.assertIn(b"\3plc\7example\0", asked[0][0])
        self.call("plc.pause")
        self.assertIn("not connected", self.call("plc.send", "data=x", code=1))
        self.assertEqual((self.stats("plc")["up"], self.stats("plc")["paused"]), (False, True))
        self.call("plc.resume")
        while not select.select([server], [], [], 0)[0]:
            query, peer = asked.pop() if asked else names.recvfrom(512)
            names.sendto(self.answer(query), peer)
            select.select([server, names], [], [], kit.hub.DEADLINE)
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"found\n")
            self.assertEqual(self.values("plc.data", 1), ["found"])
        self.assertEqual(self.first("plc.up", 1)[0]["peer"], f"127.0.0.1:{apart.PORT}")

    @staticmethod
    def libraries():
        """The kinds whose library would look up names itself, as far as it is there."""
        for kind in ("modbus", "mqtt"):
            done = subprocess.run([os.path.join(kit.hub.BIN, "prong-" + kind)], env={}, stderr=subprocess.DEVNULL,
                                  timeout=kit.hub.DEADLINE, check=False)
            if done.returncode == os.EX_USAGE:  # it asks for what a hub would tell it
                yield kind

    def test_a_device_that_waits_for_a_name_server_stops_at_once(self):
        kinds = ["tcp-connect", *self.libraries()]
        names, _ = self.begin(*(f"{kind}: {{kind: {kind}, host: {kind}.example, port: 1}}" for kind in kinds))
        missing = {kind.encode() for kind in kinds}
        while missing:
            query = names.recvfrom(512)[0]
            missing = {kind for kind in missing if kind not in query}
        self.ok("stop", *kinds)
        ended = self.ok("events", "hub.worker.exited", "--from", "oldest", "-n", str(len(kinds)), "-o", "jsonl").lines()
        # None was killed; SIGTERM may find it when it has done with everything and is about to exit.
        self.assertEqual([e["payload"] for e in ended if e["payload"]["exit_code"] not in (0, 128 + signal.SIGTERM)], [])


class Udp(kit.Case):
    def test_each_datagram_is_a_frame_and_send_answers(self):
        self.devices("u: {kind: udp, port: 0, decode: json}")
        port = self.port("u")
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.settimeout(kit.hub.DEADLINE)
        s.bind(("127.0.0.1", 0))
        me = "127.0.0.1:%d" % s.getsockname()[1]
        for data in (b'{"a": 1}', b"{", b"2"):
            s.sendto(data, ("127.0.0.1", port))
        payloads = self.first("u.data", 2)
        self.assertEqual([(p["value"], p["peer"]) for p in payloads], [({"a": 1}, me), (2, me)])
        self.first("u.malformed", 1)
        self.assertEqual(self.call("u.send", "data:=[true]", "to=" + me), {me: 6})
        self.assertEqual(s.recvfrom(99), (b"[true]", ("127.0.0.1", port)))
        self.assertIn("'to' must be", self.call("u.send", "data=x", code=1))
        self.assertIn("'to' must be", self.call("u.send", "data=x", "to=here", code=1))


if __name__ == "__main__":
    kit.main()
