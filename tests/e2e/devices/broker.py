"""A real broker of MQTT, mosquitto, for the tests of prong-mqtt: in the test's folder, at a free port of loopback or
at a local socket."""
import os
import shutil
import signal
import socket
import subprocess
import threading

from kit import hub

PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
PROGRAM = shutil.which("mosquitto", path=PATH)
PUB, SUB = shutil.which("mosquitto_pub"), shutil.which("mosquitto_sub")


def missing():
    """What these tests lack, as a reason to skip them; "" when they have all."""
    done = subprocess.run([os.path.join(hub.BIN, "prong-mqtt")], env={"PATH": PATH}, stderr=subprocess.PIPE,
                          timeout=hub.DEADLINE, check=False)
    if done.returncode != os.EX_USAGE:  # it asks for what a hub would tell it
        return "SKIP: built without libmosquitto: apt-get install libmosquitto-dev"
    return "" if PROGRAM and PUB and SUB else "SKIP: no broker: apt-get install mosquitto mosquitto-clients"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    """`lines` stand in its configuration; {folder} in them is the test's."""

    def __init__(self, case, *lines, name="broker"):
        self.case, self.lines, self.name = case, lines, name
        self.port, self.child = free_port(), None
        self.log = case.path(name + ".log")
        self.start()

    def configuration(self):
        first = f"listener {self.port} 127.0.0.1"
        if self.name == "local":
            first = f"listener 0 {self.case.path('mqtt.sock')}"
        lines = [first, f"user {os.environ.get('USER') or 'root'}" if os.geteuid() else "user root",
                 "log_type all", f"log_dest file {self.log}", "max_queued_messages 100000", *self.lines]
        if not any("allow_anonymous" in line for line in lines):
            lines.append("allow_anonymous true")
        return "".join(line.format(folder=self.case.dir) + "\n" for line in lines)

    def is_running(self):
        return " running" in self.said()

    def said(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def start(self):
        """Start it, also again; a port that somebody has taken meanwhile is given up for another one the first time."""
        begun = self.child is not None
        for _ in range(20):
            if os.path.exists(self.log):
                os.unlink(self.log)
            path = self.case.path(self.name + ".conf")
            with open(path, "w", encoding="utf-8") as file:
                file.write(self.configuration())
            self.child = subprocess.Popen([PROGRAM, "-c", path], stdin=subprocess.DEVNULL,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self.case.env)
            self.case.children.append(self.child)
            self.case.until(lambda: self.child.poll() is not None or self.is_running(), "a broker")
            if self.child.poll() is None:
                return
            if not begun:
                self.port = free_port()
        self.case.fail("no broker: " + self.said() + self.child.stderr.read().decode())

    def kill(self, number=signal.SIGKILL):
        self.child.send_signal(number)
        self.child.wait(hub.DEADLINE)

    def publish(self, topic, *lines, qos=1, more=()):
        """Each line is a message; returns when the broker has all of them."""
        words = [PUB, "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-q", str(qos), *more]
        words += ["-l"] if lines else ["-n"]
        subprocess.run(words, input="".join(f"{line}\n" for line in lines).encode(), check=True,
                       timeout=hub.DEADLINE, env=self.case.env)

    def listen(self, filter_, count, more=(), name="listener"):
        """mosquitto_sub that ends after so many messages; it has subscribed when this returns."""
        before = self.said().count(f"SUBACK to {name}")
        child = subprocess.Popen([SUB, "-h", "127.0.0.1", "-p", str(self.port), "-t", filter_, "-q", "2", "-i", name,
                                  "-C", str(count), "-W", str(hub.DEADLINE), "-F", "%t %q %r %p", *more],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env=self.case.env)
        self.case.children.append(child)
        self.case.until(lambda: self.said().count(f"SUBACK to {name}") > before or child.poll() is not None,
                        "a listener")
        return child

    @staticmethod
    def heard(child):
        return child.communicate(timeout=hub.DEADLINE)[0].splitlines()


class Fake:
    """A peer that does with each connection what the test says: serve(connection, number) in a thread of its own."""

    def __init__(self, case, serve):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.serve, self.count, self.open = serve, 0, []
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        case.addCleanup(self.stop)

    def run(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            connection.settimeout(hub.DEADLINE)
            self.count += 1
            self.open.append(connection)
            try:
                self.serve(connection, self.count)
            except OSError:
                connection.close()

    def stop(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for connection in self.open:
            connection.close()
        self.thread.join(hub.DEADLINE)


def packet(connection):
    """The next packet that a client sends: its first byte and the rest."""
    def take(count):
        data = b""
        while len(data) < count:
            more = connection.recv(count - len(data))
            if not more:
                raise OSError("the client has closed the connection")
            data += more
        return data
    first, length, shift = take(1)[0], 0, 0
    while True:
        byte = take(1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first, take(length)


def client_of(connect):
    """The name in a packet CONNECT of version 3.1.1."""
    length = int.from_bytes(connect[10:12], "big")
    return connect[12:12 + length].decode()
