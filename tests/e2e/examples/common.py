"""What the tests of the examples share beside the kit of the hub's tests: the built examples, frontends that
run to their end or beside the test, and the events that the hub has."""
import os
import subprocess
import sys

SOURCE = os.environ.get("PRONG_SOURCE_DIR", "")
BUILT = os.path.join(os.environ.get("PRONG_BUILD_DIR", ""), "examples")
sys.path.insert(0, os.path.join(SOURCE, "tests", "e2e", "hub"))

import kit                                                  # noqa: E402  its folder is known only now
from kit import OP                                          # noqa: E402


class Case(kit.Case):
    example = None                                          # the name of its folder

    def setUp(self):
        self.folder = os.path.join(BUILT, self.example)
        if not os.path.isdir(self.folder):
            self.skipTest("this build has no examples")
        super().setUp()

    def run_to_end(self, hub, *command, code=0):
        """stdout of a frontend that is to end with this code."""
        done = subprocess.run(command, env={**self.env, "PRONG_URL": hub.url}, cwd=self.dir, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=4 * kit.SECONDS, check=False)
        self.assertEqual(done.returncode, code, done)
        return done.stdout

    def prong(self, hub, *words, code=0):
        return self.run_to_end(hub, os.path.join(kit.BIN, "prong"), *words, code=code)

    def start(self, hub, *command):
        beside = Beside(self, hub, command)
        self.addCleanup(beside.stop)
        return beside


class Beside:
    """A frontend that runs beside the test. What it writes is in files, so that it never waits for us."""

    def __init__(self, case, hub, command):
        self.case = case
        self.paths = [os.path.join(case.dir, name) for name in ("beside.out", "beside.err")]
        with open(self.paths[0], "wb") as out, open(self.paths[1], "wb") as err:
            self.process = subprocess.Popen(command, env={**case.env, "PRONG_URL": hub.url}, cwd=case.dir,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def written(self, number):
        with open(self.paths[number], encoding="utf-8") as file:
            return file.read()

    @property
    def out(self):
        return self.written(0)

    def end(self, signal):
        """Its exit code after a signal."""
        self.process.send_signal(signal)
        return self.process.wait(2 * kit.SECONDS)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if kit.FAULTS.search(self.written(1)):
            self.case.fail(self.written(1))


class Event:
    def __init__(self, item):
        self.number, self.time_us, self.topic, self.source, self.payload = item


def emit(client, topic, payload):
    """The number of the event."""
    client.seq += 1
    reply = client.ask([OP["EMIT"], client.id, client.seq, topic, None, payload])[0]
    if reply[0] != OP["ACK"]:
        raise kit.Failure(reply)
    return reply[2]


def events(client, *filters):
    """What the hub has of these topics, from the oldest to the newest."""
    found, position = [], "oldest"
    while True:
        reply = client.ask([OP["FETCH"], client.id, list(filters), position, 1000, 1 << 20, 0])[0]
        _, _, position, lost, items = reply
        if lost:
            raise AssertionError(f"{lost} events are lost")
        if not items:
            return found
        found += map(Event, items)
