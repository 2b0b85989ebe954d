"""tls+tcp: who has the CA gets a result, and nothing goes without the token."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess

import msgpack

import kit
from kit import ERR, NO, OP
from test_kill import LibClient

ECHO = "echo: {command: %s}\n" % kit.worker_command()


class Tls(kit.Case):
    def setUp(self):
        super().setUp()
        if shutil.which("openssl") is None:
            self.skipTest("there is no openssl")
        self.ca = f"{self.dir}/cert.pem"
        self.certificate("cert", "key")
        self.server = self.hub(ECHO, hub='listen: ["tls+tcp://127.0.0.1:0"]\ntls_cert_file: cert.pem\n'
                                         'tls_key_file: key.pem')
        self.url = self.server.network_url("tls+tcp")
        # mbedTLS 2.28 finds names in a certificate and no addresses.
        self.name_url = self.url.replace("127.0.0.1", "localhost")
        self.token = self.server.token()

    def certificate(self, cert, key):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-keyout", f"{self.dir}/{key}.pem", "-out", f"{self.dir}/{cert}.pem", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.chmod(f"{self.dir}/{key}.pem", 0o600)

    def context(self, ca=None):
        return ssl.create_default_context(cafile=ca or self.ca)

    def test_a_client_of_plain_sockets_gets_a_result(self):
        with kit.Client(self.url, context=self.context(), hello=self.token) as client:
            for n in range(50):
                self.assertEqual(client.call("echo", "echo", n=n), {"n": n})
            big = os.urandom(3_000_000)
            self.assertEqual(client.call("echo", "echo", big), [big])
            self.assertIn(client.socket.version(), ("TLSv1.2", "TLSv1.3"))

    def test_nngcat_gets_a_result(self):
        if shutil.which("nngcat") is None:
            self.skipTest("there is no nngcat: apt-get install nng-utils")
        with open(f"{self.dir}/call.bin", "wb") as file:
            file.write(msgpack.packb([OP["HELLO"], {"token": self.token}])
                       + msgpack.packb([OP["CALL"], None, 1, 0, "echo", "echo", 5000, None, {"a": 1}]))
        out = subprocess.run(["nngcat", "--req", "--dial", self.name_url, "--cacert", self.ca,
                              "--file", f"{self.dir}/call.bin", "--hex", "--recv-timeout", str(kit.SECONDS)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=self.env,
                             timeout=2 * kit.SECONDS, check=True).stdout
        result = msgpack.packb([OP["RESULT"], 1, {"a": 1}])
        self.assertTrue(out.strip().endswith("".join(f"\\x{b:02x}" for b in result) + '"'), out)

    def test_a_client_of_the_library_gets_a_result(self):
        client = LibClient(self, self.name_url, self.token.decode(), self.ca)
        client.more(21)
        code, said = client.finish()
        self.assertEqual(code, 0, said)
        self.assertIn(" 0 failed", said)

    def test_the_library_does_not_talk_to_whom_it_cannot_check(self):
        self.certificate("other", "other_key")
        code, said = LibClient(self, self.name_url, self.token.decode(), f"{self.dir}/other.pem").finish()
        self.assertEqual(code, 7, said)

    def test_the_library_is_told_that_its_token_is_wrong(self):
        for token in ("", "0" * 64):
            code, said = LibClient(self, self.name_url, token, self.ca).finish()
            self.assertIn("UNAUTHENTICATED", said)
            self.assertNotEqual(code, 0)

    def test_without_a_token_nothing_is_served(self):
        with kit.Client(self.url, context=self.context()) as client:
            client.ping()
            client.send(client.record("echo", "echo"))
            self.assertEqual(client.receive()[1][0][:4], [OP["ERROR"], 0, ERR["UNAUTHENTICATED"], NO])
            self.assertEqual(client.ask([OP["HELLO"], {"token": b"0" * 64}])[0][2], ERR["UNAUTHENTICATED"])

    def test_who_does_not_know_the_ca_does_not_connect(self):
        self.certificate("other", "other_key")
        with self.assertRaises((ssl.SSLError, kit.Closed)):
            kit.Client(self.url, context=self.context(f"{self.dir}/other.pem"), hello=self.token)

    def test_who_speaks_no_tls_is_hung_up_on_and_others_are_served(self):
        steady = self.steady(self.server)
        plain = []
        for n in range(20):
            peer = kit.Peer(self.url.replace("tls+", ""), greet=False)
            self.addCleanup(peer.close)
            # What is random does not begin as a record of TLS does, which would be waited for.
            peer.write((kit.GREETING, b"\xff" + os.urandom(499), b"GET / HTTP/1.0\r\n\r\n",
                        b"\x16\x03\x01\x02\x00\x01")[n % 4])
            plain.append(peer)
        with kit.Client(self.url, context=self.context(), hello=self.token) as client:
            self.assertEqual(client.call("echo", "echo", n=1), {"n": 1})
        for n, peer in enumerate(plain):
            if n % 4 != 3:                                   # that one has only begun
                self.assertTrue(peer.is_closed(), n)
        steady.more()
        steady.finish(self)

    def test_it_works_again_after_the_broker_died(self):
        start = self.server.wait_log("listening on tls")[1]
        os.kill(self.server.broker, signal.SIGKILL)
        url = self.server.wait_log(r"listening on (tls\+tcp://\S+)", start)[0][1]
        kit.until(lambda: self.server.replicas("echo")[0]["state"] == "ready", "the worker")
        with kit.Client(url, context=self.context(), hello=self.token) as client:
            self.assertEqual(client.call("echo", "echo", n=1), {"n": 1})


class Refused(kit.Case):
    codes = (78, 73, 77)

    def test_plain_tcp_is_for_loopback_only(self):
        for host in ("0.0.0.0", "192.0.2.1", "[::]", "[2001:db8::1]", "example.org", "128.0.0.1"):
            hub = self.hub(ECHO, hub=f'listen: ["tcp://{host}:0"]', ready=False)
            self.assertEqual(hub.wait_end(), 78, hub.log)
            self.assertRegex(hub.log, r"prong\.yaml:\d+:\d+: .*write tls\+tcp://" + re.escape(host))
            self.assertEqual(kit.tagged(self.tag), {})

    def test_certificates_that_are_none(self):
        with open(f"{self.dir}/cert.pem", "w", encoding="ascii") as file:
            file.write("no certificate\n")
        for cert in ("cert.pem", "none.pem"):
            hub = self.hub(ECHO, hub=f'listen: ["tls+tcp://127.0.0.1:0"]\ntls_cert_file: {cert}\n'
                                     f'tls_key_file: {cert}', ready=False)
            self.assertIn(hub.wait_end(), self.codes, hub.log)
            self.assertRegex(hub.log, "cannot listen on tls.*")
            self.assertEqual(kit.tagged(self.tag), {})

    def test_a_token_file_that_others_may_read(self):
        path = f"{self.dir}/token"
        with open(path, "w", encoding="ascii") as file:
            file.write("t" * 64)
        os.chmod(path, 0o644)
        hub = self.hub(ECHO, hub=f'listen: ["tcp://127.0.0.1:0"]\ntoken_file: {path}', ready=False)
        self.assertEqual(hub.wait_end(), 78, hub.log)
        self.assertIn("others may read it", hub.log)


class TokenFile(kit.Case):
    def test_a_token_of_ones_own(self):
        path = f"{self.dir}/token"
        with open(path, "w", encoding="ascii") as file:
            file.write("t" * 64 + "\n")
        os.chmod(path, 0o600)
        hub = self.hub(ECHO, hub=f'listen: ["tcp://127.0.0.1:0", "tcp://[::1]:0"]\ntoken_file: {path}'
                       if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6")
                       else f'listen: ["tcp://127.0.0.1:0"]\ntoken_file: {path}')
        for url in re.findall(r"listening on (tcp://\S+)", hub.log):
            with kit.Client(url, hello=b"t" * 64) as client:
                self.assertEqual(client.call("echo", "echo", n=1), {"n": 1})


if __name__ == "__main__":
    kit.main()
