"""What the tests of streams share: writers that do as they are told."""
import json
import os
import subprocess

import hub

WRITER = os.path.join(hub.BIN, "../tests/bin/cli_stream_writer")
BYTES = 4 * 6 * 3


def content(number, size=BYTES):
    """The bytes of a writer's frame."""
    return bytes((7 * number + i) & 0xff for i in range(size))


class Writer:
    """A process that writes frames; it says "ok" when they are written."""

    def __init__(self, case, name="cam1", slots=8, pixels="rgb24", patience_ms=60000):
        self.child = subprocess.Popen([WRITER, f"ipc://{case.run_dir}/hub.sock", name, str(slots), pixels,
                                       str(patience_ms)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True, env=case.env)
        case.children.append(self.child)
        self.case = case
        self.case.assertEqual(self.answer(), 0)

    def answer(self):
        line = self.child.stdout.readline()
        self.case.assertTrue(line.startswith("ok "), line or self.child.stderr.read())
        return int(line.split()[1])

    def begin(self, line):
        self.child.stdin.write(f"{line}\n")
        self.child.stdin.flush()

    def tell(self, line):
        self.begin(line)
        return self.answer()

    def end(self):
        self.child.stdin.close()
        self.child.stdin = None                      # else whoever cleans up would flush it
        self.case.assertEqual(self.child.wait(hub.DEADLINE), 0)


class Case(hub.Case):
    config = "workers: {}\n"

    def streams(self):
        return {s["name"]: s for s in self.ok("stream", "ls", "-j").json()}

    def until_readers(self, name, count):
        """Look again and again until a stream has so many readers."""
        end = hub.time.monotonic() + hub.DEADLINE
        while len(self.streams().get(name, {"readers": []})["readers"]) != count:
            self.assertLess(hub.time.monotonic(), end, f"{name} has not {count} readers")
            hub.select.select([], [], [], 0.01)

    def reading(self, *words, name="cam1", readers=1):
        """A verb that has become a reader of a stream."""
        child = self.start(*words)
        self.until_readers(name, readers)
        return child

    def recording(self, *words):
        """A recorder that will miss nothing from now on, and what it prints on stderr first."""
        child = self.start("stream", "record", *words)
        self.assertIs(self.first_line(child), child)
        line = child.stderr.readline()
        self.assertIn("prong: recording", line)
        return child, line

    def stop(self, child):
        """Stop it, and look until it stands still."""
        child.send_signal(hub.signal.SIGSTOP)
        end = hub.time.monotonic() + hub.DEADLINE
        while True:
            with open(f"/proc/{child.pid}/stat", encoding="utf-8") as file:
                if file.read().rpartition(")")[2].split()[0] == "T":
                    return
            self.assertLess(hub.time.monotonic(), end, "it does not stop")
            hub.select.select([], [], [], 0.01)

    def path(self, name):
        return os.path.join(self.dir, name)


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]
