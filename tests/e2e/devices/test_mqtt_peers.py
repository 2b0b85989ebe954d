"""prong-mqtt and those that are no good broker: passwords, certificates, junk, refusals; and wrong options."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import unittest

import broker
import kit
from test_mqtt import MISSING, SOON, UNAVAILABLE, Case

ACCEPTED = b"\x20\x02\x00\x00"
OPENSSL = shutil.which("openssl")


@unittest.skipIf(MISSING, MISSING)
class Passwords(Case):
    def test_a_wrong_one_is_told_and_the_right_one_is_read_again_from_its_file(self):
        with open(self.path("users"), "w", encoding="utf-8") as file:
            file.write("ada:Grace-Hopper-1\n")
        subprocess.run([shutil.which("mosquitto_passwd", path=broker.PATH), "-U", self.path("users")], check=True,
                       env=self.env)
        b = self.broker("allow_anonymous false", "password_file {folder}/users")
        with open(self.path("password"), "w", encoding="utf-8") as file:
            file.write("Not-This-One-2\n")
        self.env["MQTT_PASSWORD"] = "Grace-Hopper-1"
        self.devices(self.entry(b, "topics: ['#'], username: ada, password_file: password"),
                     self.entry(b, "username: ada, password: '${MQTT_PASSWORD}'", "good"),
                     self.entry(b, "version: '5', username: eve, password: x", "five"))
        self.first("good.up", 1)
        self.assertEqual(self.first("m.down", 1)[0]["why"],
                         "the broker refuses the connection: Connection Refused: not authorised.")
        self.assertEqual(self.first("five.down", 1)[0]["why"], "the broker refuses the connection: Not authorized")
        self.assertIn("not connected: the broker refuses", self.call("m.publish", "topic=t", "payload=x", code=1))
        self.assertEqual(self.call("good.publish", "topic=t", "payload=x"), {"bytes": 1, "qos": 1})
        with open(self.path("password"), "w", encoding="utf-8") as file:
            file.write("Grace-Hopper-1\n")
        self.first("m.up", 1)
        b.publish("t", "in", more=["-u", "ada", "-P", "Grace-Hopper-1"])
        self.assertEqual(self.values("m.data", 1), ["in"])
        os.unlink(self.path("password"))
        b.kill()
        self.until(lambda: "No such file or directory" in self.first("m.down", 3)[-1]["why"], "the file is missed")
        for name in ("m", "good", "five"):
            said = self.ok("logs", name, "-o", "raw").out + self.ok("config", "show", "prong.yaml").out
            self.assertNotIn("Grace", said)
            self.assertNotIn("Not-This", said)
        for line in kit.hub.tagged(self.tag).values():
            self.assertNotIn("Grace", line)


@unittest.skipIf(MISSING or not OPENSSL, MISSING or "SKIP: apt-get install openssl")
class Tls(Case):
    def openssl(self, *words):
        subprocess.run([OPENSSL, *words], check=True, env=self.env, cwd=self.dir, stderr=subprocess.DEVNULL,
                       timeout=kit.hub.DEADLINE)

    def authority(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                     "-subj", f"/CN={name}", "-keyout", name + ".key", "-out", name + ".pem")

    def certificate(self, name, by, names="DNS:localhost"):
        with open(self.path(name + ".ext"), "w", encoding="utf-8") as file:
            file.write(f"subjectAltName={names}\n")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                     "-subj", f"/CN={name}", "-keyout", name + ".key", "-out", name + ".csr")
        self.openssl("x509", "-req", "-in", name + ".csr", "-CA", by + ".pem", "-CAkey", by + ".key", "-CAcreateserial",
                     "-days", "2", "-extfile", name + ".ext", "-out", name + ".pem")

    def test_the_broker_and_the_device_have_to_show_who_they_are(self):
        for name in ("ca", "other"):
            self.authority(name)
        self.certificate("server", "ca")
        self.certificate("client", "ca", "DNS:line-3")
        b = self.broker("cafile {folder}/ca.pem", "certfile {folder}/server.pem", "keyfile {folder}/server.key",
                        "require_certificate true")
        own = "topics: ['#'], tls: true, tls_cert: client.pem, tls_key: client.key"
        self.devices(self.entry(b, own + ", tls_ca: ca.pem").replace("127.0.0.1", "localhost"),
                     self.entry(b, own + ", tls_ca: ca.pem", "name"),
                     self.entry(b, own + ", tls_ca: other.pem", "ca").replace("127.0.0.1", "localhost"),
                     self.entry(b, own, "system").replace("127.0.0.1", "localhost"),
                     self.entry(b, own + ", tls_verify: false", "any"),
                     self.entry(b, "tls: true, tls_ca: ca.pem", "nobody").replace("127.0.0.1", "localhost"),
                     self.entry(b, "tls: true, tls_ca: missing.pem", "missing"),
                     self.entry(b, "", "plain"))
        self.first("m.up", 1)
        self.first("any.up", 1)
        self.assertEqual(self.call("any.publish", "topic=t", "payload=secret"), {"bytes": 6, "qos": 1})
        self.assertEqual((self.values("m.data", 1), self.values("any.data", 1)), (["secret"], ["secret"]))
        for name, expected in [("name", "host name verification failed"), ("ca", "certificate verify failed"),
                               ("system", "certificate verify failed"), ("missing", "cannot be read")]:
            self.assertIn(expected, self.first(f"{name}.down", 1)[0]["why"], name)
        for name in ("nobody", "plain"):  # the broker's word may be lost with the connection
            self.first(f"{name}.down", 1)
            self.assertFalse(self.stats(name)["up"])
        # More than one record of TLS.
        self.call("m.pause")
        self.assertEqual(self.call("any.publish", "topic=big", "payload=" + "x" * 100000)["bytes"], 100000)
        self.call("m.resume")
        self.assertEqual(len(self.values("m.data", 2)[1]), 100000)

    def test_messages_of_one_record_do_not_wait_for_the_next_one(self):
        count = 240  # more bytes than fit on their way to the hub, though not more events
        self.authority("ca")
        self.certificate("server", "ca")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("server.pem"), self.path("server.key"))
        go, gone = threading.Event(), threading.Event()

        def serve(connection, _number):
            secret = context.wrap_socket(connection, server_side=True)
            peer.open.append(secret)
            broker.packet(secret)
            secret.sendall(ACCEPTED)
            mid = broker.packet(secret)[1][:2]
            secret.sendall(b"\x90\x03" + mid + b"\x00")
            go.wait(kit.hub.DEADLINE)
            secret.sendall(b"".join(b"\x30\xeb\x07\x00\x01t%01000d" % n for n in range(count)))
            gone.set()  # and says nothing more

        def is_taken():
            with open("/proc/net/tcp", encoding="ascii") as file:
                rows = [line.split() for line in file]
            queues = {row[4] for row in rows[1:] if row[3] == "01" and f"{peer.port:04X}" in (row[1][-4:], row[2][-4:])}
            return queues == {"00000000:00000000"}
        peer = broker.Fake(self, serve)
        self.devices(self.entry(peer, "topics: [t], tls: true, tls_verify: false, keepalive: 10h"))
        self.first("m.up", 1)
        stopped = kit.Case.broker(self)
        os.kill(stopped, signal.SIGSTOP)
        try:
            go.set()
            self.assertTrue(gone.wait(kit.hub.DEADLINE))
            self.until(is_taken, "the device has read what was sent")
        finally:
            go.set()
            os.kill(stopped, signal.SIGCONT)
        self.assertEqual([int(value) for value in self.values("m.data", count)], list(range(count)))


@unittest.skipIf(MISSING, MISSING)
class Junk(Case):
    def test_whatever_a_peer_answers_is_a_reason_and_no_crash(self):
        answers = [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\xff" * 100,
            b"\x20\xff\xff\xff\xff\xff",
            b"\x20\x02\x00\x05",
            b"\x90\x03\x00\x01\x01",
            ACCEPTED + b"\x90\x03\x00\x77\x01",
            ACCEPTED + b"\xb0\x02\x00\x01",
            ACCEPTED + b"\x30\xff\xff\xff\x7f" + b"x" * 1000,
            ACCEPTED + b"\x30\x02\x00\x00",
            ACCEPTED + b"\x32\x05\x00\x03t/#",
            ACCEPTED + b"\x00\x00",
            ACCEPTED + b"\xd0\x02\x00\x00",
            b"",
            "reset",
        ]

        def serve(connection, number):
            answer = answers[(number - 1) % len(answers)]
            if answer == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            else:
                broker.packet(connection)
                connection.sendall(answer)
            if number <= 2 * len(answers):
                connection.close()
        peer = broker.Fake(self, serve)
        self.devices(self.entry(peer, "topics: ['#']").replace("100ms", "20ms"))
        pid = self.pid()
        self.until(lambda: peer.count > 2 * len(answers), "attempts")
        self.assertEqual(self.pid(), pid)
        stats = self.stats("m")
        self.assertEqual((stats["up"], stats["frames"]), (False, 0))
        self.assertIn("the broker refuses the connection", self.log())

    def test_that_it_is_up_again_is_shown_also_when_the_hub_had_no_room_for_the_news(self):
        good, is_up = threading.Event(), threading.Event()

        def serve(connection, _number):
            broker.packet(connection)
            if not good.is_set():
                raise OSError("not yet")
            connection.sendall(ACCEPTED)
            is_up.set()
        peer = broker.Fake(self, serve)
        self.devices(self.entry(peer, "topics: []").replace("100ms", "20ms"))
        self.until(lambda: self.replicas("m")[0]["status"].startswith("down: "), "the status")
        pid = kit.Case.broker(self)
        os.kill(pid, signal.SIGSTOP)
        before = peer.count
        self.until(lambda: peer.count > before + 20, "more news than its socket takes")
        good.set()
        self.until(is_up.is_set, "a connection")
        os.kill(pid, signal.SIGCONT)
        self.first("m.up", 1)
        self.until(lambda: self.replicas("m")[0]["status"] == "", "no status")

    def test_junk_instead_of_tls_is_no_busy_loop(self):
        def serve(connection, number):
            connection.recv(1000)
            connection.sendall(b"nonsense\r\n" if number % 2 else b"")
            connection.close()
        peer = broker.Fake(self, serve)
        self.devices(self.entry(peer, "tls: true, tls_verify: false"))
        self.until(lambda: peer.count > 4, "attempts")
        self.assertIn("SSL", self.first("m.down", 1)[0]["why"])

    def test_one_that_never_stops_talking_holds_up_a_call_no_longer_than_it_has_time(self):
        def serve(connection, _number):
            name = broker.client_of(broker.packet(connection)[1])
            connection.sendall(ACCEPTED)
            while name.endswith("-send"):
                connection.sendall(b"\xd0\x00" * 10000)  # until the device closes it
        peer = broker.Fake(self, serve)
        self.devices(self.entry(peer, ""))
        self.first("m.up", 1)
        result = self.prong("call", "--timeout", "1s", "m.publish", "topic=t", "payload=x")
        self.assertNotEqual(result.code, 0, result)
        self.assertEqual(self.stats("m")["sends"], 0)

    def test_a_subscription_that_is_refused_is_told_and_the_others_stand(self):
        def serve(connection, _number):
            broker.packet(connection)
            connection.sendall(ACCEPTED)
            for granted in b"\x01\x80\x00":
                connection.sendall(b"\x90\x03" + broker.packet(connection)[1][:2] + bytes([granted]))
            connection.sendall(b"\x30\x06\x00\x03a/1n")
        peer = broker.Fake(self, serve)
        self.devices(self.entry(peer, "topics: [a/1, secret, b]"))
        refused = self.first("m.refused", 1)[0]
        self.assertEqual((refused["topic"], refused["why"]), ("secret", "the broker does not say why"))
        self.assertEqual(self.first("m.up", 1)[0]["session"], False)
        self.assertEqual(self.values("m.data", 1), ["n"])
        self.assertEqual(self.stats("m")["errors"], 1)

    def test_what_was_not_answered_is_asked_for_again_and_nothing_else_with_a_session(self):
        asked = []

        def answer(connection, with_what):
            first, body = broker.packet(connection)
            asked.append((first, body[4:]))
            connection.sendall(with_what(body[:2]) if with_what else b"")

        def serve(connection, number):
            broker.packet(connection)
            connection.sendall(b"\x20\x02" + (b"\x00" if number == 1 else b"\x01") + b"\x00")
            if number < 3:
                answer(connection, lambda mid: b"\x90\x03" + mid + b"\x01")
                answer(connection, None)
                connection.close()
            else:
                answer(connection, lambda mid: b"\xb0\x02" + mid)
        peer = broker.Fake(self, serve)
        self.devices(self.entry(peer, "topics: [a]"))
        self.first("m.up", 1)
        expected = "the broker has not answered: the broker has closed the connection"
        self.assertIn(expected, self.call("m.subscribe", "topic=late", "qos:=2", code=UNAVAILABLE))
        self.first("m.up", 2)
        self.assertEqual(self.stats("m")["topics"], {"a": 1, "late": 1})
        self.assertIn(expected, self.call("m.unsubscribe", "topic=late", code=UNAVAILABLE))
        self.until(lambda: len(asked) == 5, "the last question")
        self.assertEqual(asked, [(0x82, b"a\1"), (0x82, b"late\2"), (0x82, b"late\2"), (0xa2, b"late"), (0xa2, b"late")])
        self.assertEqual(self.stats("m")["topics"], {"a": 1})

    def test_a_message_with_more_user_properties_than_anybody_needs_is_malformed(self):
        def message(count):
            properties = b"".join(b"\x26\x00\x05%05d\x00\x00" % n for n in range(count))
            return b"\x00\x01t" + length(len(properties)) + properties

        def length(number):
            return bytes([number & 127 | 128]) + length(number >> 7) if number > 127 else bytes([number])

        def serve(connection, _number):
            broker.packet(connection)
            connection.sendall(b"\x20\x03\x00\x00\x00")
            mid = broker.packet(connection)[1][:2]
            connection.sendall(b"\x90\x04" + mid + b"\x00\x00")
            for count in (100, 100000, 1):
                connection.sendall(b"\x30" + length(len(message(count))) + message(count))
        peer = broker.Fake(self, serve)
        self.devices(self.entry(peer, "topics: [t], version: '5'"))
        told = self.first("m.data", 2)
        self.assertEqual([len(p["properties"]["user"]) for p in told], [100, 1])
        self.assertEqual(self.first("m.malformed", 1)[0]["why"], "t: more than 100 user properties")

    def test_a_peer_that_does_not_even_say_no_holds_up_nothing(self):
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            for _ in range(4):  # more than wait in its queue, so that nobody is answered any more
                s = socket.socket()
                self.addCleanup(s.close)
                s.setblocking(False)
                s.connect_ex(full.getsockname())
            self.devices(f"m: {{kind: mqtt, host: 127.0.0.1, port: {full.getsockname()[1]}, {SOON}}}")
            stats = self.stats("m")
            self.assertEqual((stats["up"], stats["reconnects"]), (False, 0))
            self.ok("stop", "m")
            self.assertNotEqual(self.replicas("m")[0]["exit_code"], 128 + 9, "it had to be killed")

    def test_a_name_that_nobody_knows_is_told_and_holds_up_nothing(self):
        self.devices(f"m: {{kind: mqtt, host: no-such-host.invalid, {SOON}}}")
        self.assertTrue(self.first("m.down", 1)[0]["why"])
        self.assertIn("not connected: ", self.call("m.publish", "topic=t", code=1))


class Options(Case):
    def test_what_is_impossible_is_refused_with_its_place(self):
        for options, expected in [
                ("topics: ['a/#/b']", "+ is a whole level, and # the whole last one"),
                ("topics: [a+]", "+ is a whole level"),
                ("topics: ['$share/g']", "a shared filter is $share/GROUP/FILTER"),
                ("topics: a", "'topics' must be a list"),
                ("qos: 3", "'qos' must be one of 0, 1, 2"),
                ("version: 4", "'version' must be one of 3.1.1, 5"),
                ("keepalive: 1s", "'keepalive' must be a duration"),
                ("will_topic: 'a/#'", "+ and # stand for several topics"),
                ("will_payload: x", "will_topic"),
                ("password: x", "username"),
                ("tls_ca: x.pem", "tls"),
                ("topic: [a]", "did you mean 'topics'?")]:
            with open(self.path("bad.yaml"), "w", encoding="utf-8") as file:
                file.write(f"devices:\n  m: {{kind: mqtt, host: h, {options}}}\n")
            error = self.fails(6, "config", "check", "bad.yaml", where=False).err
            self.assertIn("bad.yaml:2:", error)
            self.assertIn(expected, error)

    def test_a_build_without_libmosquitto_says_which_package_has_it(self):
        absent = os.path.join(os.environ.get("PRONG_TEST_BIN_DIR", ""), "prong-mqtt-absent")
        done = subprocess.run([absent], env=self.env, stderr=subprocess.PIPE, text=True, timeout=kit.hub.DEADLINE,
                              check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("libmosquitto-dev", done.stderr)


if __name__ == "__main__":
    kit.main()
