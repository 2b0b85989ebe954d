#!/usr/bin/env python3
"""Writers and readers of streams, killed with -9 at random moments: nobody gets a frame that is not whole, the
others go on, and nothing is left."""
import os
import random
import select
import signal
import subprocess
import time
import unittest

import chaos
import kit

KILLS = int(os.environ.get("PRONG_CHAOS_KILLS", "200"))
BYTES = 64 * 1024
STREAMS = ("left", "right")
READERS = (("latest",), ("lossless",), ("latest", "g"), ("latest", "g"), ("lossless", "h"), ("lossless", "h"))


class Streams(chaos.Case):
    def setUp(self):
        super().setUp()
        self.program = chaos.program("stream")
        self.running = {}
        self.owner = self.hub("", ready=False).wait_listening()
        self.env["PRONG_URL"] = self.owner.url
        self.random = random.Random(chaos.SEED)

    def lent(self):
        """What the broker has of shared memory and bells: the names of the descriptors, the memory behind them and
        the mappings."""
        folder = f"/proc/{self.owner.broker}/fd"
        names, blocks = [], 0
        for fd in os.listdir(folder):
            path = os.path.join(folder, fd)
            try:
                name = os.readlink(path)
                if "memfd" in name or "eventfd" in name:
                    blocks += os.stat(path).st_blocks
                    names.append(name)
            except FileNotFoundError:
                pass
        with open(f"/proc/{self.owner.broker}/maps", encoding="ascii") as maps:
            mapped = sum("memfd" in line for line in maps)
        return sorted(names), blocks, mapped

    def memory_kb(self):
        """The broker's own memory, and the shared memory of the whole machine: (kB, kB)."""
        figures = []
        for path, key in ((f"/proc/{self.owner.broker}/smaps_rollup", "Anonymous:"), ("/proc/meminfo", "Shmem:")):
            with open(path, encoding="ascii") as lines:
                figures.append(next(int(line.split()[1]) for line in lines if line.startswith(key)))
        return tuple(figures)

    def begin(self, key):
        stream, *what = key
        words = ["write", stream, str(BYTES)] if what == ["writer", 0] else ["read", stream, *what[:-1]]
        self.running[key] = self.start(self.program, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end(self, key):
        process = self.running.pop(key)
        process.kill()
        _, err = process.communicate()
        if process.returncode not in (-signal.SIGKILL, 0):
            self.fail(f"{key} ended with {process.returncode}: {err.decode()}")
        # More than one line is told only by one that found something.
        self.assertEqual(err.decode(), "", key)

    def wait_reading(self, seconds=None):
        """Until each reader has told that it goes on."""
        waiting = {p.stdout.fileno(): k for k, p in self.running.items() if k[1] != "writer"}
        for fd in waiting:
            os.set_blocking(fd, False)
            while True:
                try:
                    if not os.read(fd, 65536):
                        break
                except BlockingIOError:
                    break
        limit = time.monotonic() + (seconds or kit.SECONDS)
        while waiting:
            ready, _, _ = select.select(list(waiting), [], [], max(0, limit - time.monotonic()))
            self.assertTrue(ready, f"these read nothing: {list(waiting.values())}")
            for fd in ready:
                if not os.read(fd, 65536):
                    key = waiting[fd]
                    self.end(key)
                    self.begin(key)
                    os.set_blocking(self.running[key].stdout.fileno(), False)
                    waiting[self.running[key].stdout.fileno()] = key
                del waiting[fd]

    def test_killed_at_random(self):
        before = self.lent()
        keys = [(stream, "writer", 0) for stream in STREAMS]
        keys += [(stream, *reader, n) for stream in STREAMS for n, reader in enumerate(READERS)]
        for key in keys:
            self.begin(key)
        self.wait_reading()
        own_before, shared_before = self.memory_kb()
        for n in range(KILLS):
            key = self.random.choice(keys)
            self.end(key)
            self.begin(key)
            select.select([], [], [], self.random.random() * 0.01)
            if n % 100 == 99:
                self.wait_reading()
        self.wait_reading()
        own, shared = self.memory_kb()
        print(f"{KILLS} kills: {own - own_before} kB more in the broker ({own} kB), shared memory of the machine "
              f"{shared_before} kB then and {shared} kB now")
        self.assertLess(own - own_before, 1024, "kB more in the broker")
        for key in list(self.running):
            self.end(key)
        kit.until(lambda: self.lent() == before, "the hub lets go of what it lent")


if __name__ == "__main__":
    unittest.main()
