"""A stock REQ socket of libnng (nngcat) whose connection is cut in the middle of a call of a `once` method: it
connects again and repeats the request by itself; the method begins once, and the client gets its result."""
import os
import shutil
import socket
import subprocess
import threading

import msgpack

import chaos
import kit
from kit import OP

ECHO = "echo: {command: %s}" % kit.worker_command()


class Proxy(threading.Thread):
    """Passes bytes on between clients of its socket and the hub, and cuts the first connection when told."""

    def __init__(self, path, target):
        super().__init__(daemon=True)
        self.target, self.listener = target, socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        self.lock, self.open, self.asked = threading.Lock(), [], False
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            hub = socket.socket(socket.AF_UNIX)
            hub.connect(self.target)
            with self.lock:
                self.open.append((client, hub))
            for a, b, asks in (client, hub, True), (hub, client, False):
                threading.Thread(target=self.pump, args=(a, b, asks), daemon=True).start()

    def pump(self, source, sink, asks):
        passed = 0
        try:
            while data := source.recv(65536):
                sink.sendall(data)
                self.asked |= asks and passed + len(data) > len(kit.GREETING)
                passed += len(data)
        except OSError:
            pass
        for s in source, sink:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        with self.lock:
            for pair in self.open:
                for s in pair:
                    s.shutdown(socket.SHUT_RDWR)
                    s.close()
            self.open.clear()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(kit.SECONDS)
        with self.lock:
            for pair in self.open:
                for s in pair:
                    s.close()


@kit.with_nng
class StockReq(chaos.Case):
    def setUp(self):
        super().setUp()
        if shutil.which("nngcat") is None:
            self.skipTest("there is no nngcat: apt-get install nng-utils")

    def cut_in_the_middle(self, client, cuts):
        hub = self.hub(ECHO)
        path = os.path.join(self.dir, "proxy")
        proxy = Proxy(path, os.path.join(hub.run_dir, "hub.sock"))
        self.addCleanup(proxy.close)
        file = os.path.join(self.dir, "call")
        with open(file, "wb") as f:
            f.write(msgpack.packb([OP["CALL"], client, 1, 0, "echo", "hold", 20000, None, []]))
        nngcat = self.start("nngcat", "--req", "--dial", f"ipc://{path}", "--file", file, "--hex", "--recv-timeout",
                            str(2 * kit.SECONDS), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        began = self.meet.next("hold")
        for _ in range(cuts):
            # Not before it has asked: a dialer of libnng that loses its connection while it greets may not try again.
            kit.until(lambda: proxy.asked, "nngcat asks")
            proxy.asked = False
            proxy.cut()
        kit.until(lambda: proxy.asked, "nngcat asks again")
        # It is asked behind the repeated request on a connection that came later: what the repetition leads
        # to has begun by then, if it leads to anything.
        kit.until(lambda: hub.status()["workers"]["echo"]["replicas"][0]["state"] == "busy", "the call")
        began.go()
        out = nngcat.communicate(timeout=4 * kit.SECONDS)[0].decode().strip()
        answer = msgpack.unpackb(bytes.fromhex(out.strip('"').replace("\\x", "")))
        self.assertEqual(answer, [OP["RESULT"], 1, True])
        # A second run would wait for us here, or be queued before this call of ours.
        self.assertEqual(hub.client().call("echo", "echo", n=1), {"n": 1})
        self.assertTrue(self.meet.is_empty(), "the method began again")
        self.assertEqual(hub.status()["workers"]["echo"]["replicas"][0]["restarts"], 0)

    def test_without_a_client_id(self):
        self.cut_in_the_middle(None, 1)

    def test_with_a_client_id(self):
        self.cut_in_the_middle(os.urandom(16), 1)

    def test_again_and_again(self):
        self.cut_in_the_middle(None, 5)


if __name__ == "__main__":
    kit.main()
