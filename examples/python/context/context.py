#!/usr/bin/env python3
"""A main program in one select: many workers, a TCP port, a timer, and a descriptor that ends it."""
from __future__ import annotations

import os
import select
import socket
import threading
import time
from concurrent.futures import Future

import prong

PERIOD = 0.02                                                # seconds between two ticks


class Cruncher(prong.Worker):
    def crunch(self, number: int) -> int:
        """Something that takes a while. The hub gives it to a replica that is free."""
        self.emit("began", {"by": self.name, "number": number})
        return sum(range(number + 1))


class Manager:
    """What the main program waits for, and what it does then. Nothing here blocks but select."""

    def __init__(self, hub: prong.Client) -> None:
        self.hub = hub
        self.crunch = hub.worker(Cruncher).crunch
        self.began = hub.subscribe("cruncher.>")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.peers: dict[int, socket.socket] = {}
        self.work: dict[Future[int], socket.socket] = {}     # calls that go on, and who waits for them
        self.stop_read, self.stop_write = os.pipe()
        self.counts = {"calls": 0, "events": 0, "ticks": 0}

    def run(self) -> None:
        tick = time.monotonic() + PERIOD
        while True:
            fds = [self.hub.fileno(), self.listener.fileno(), self.stop_read, *self.peers]
            ready, _, _ = select.select(fds, [], [], max(0.0, tick - time.monotonic()))
            if self.stop_read in ready:
                break
            if self.hub.fileno() in ready:
                self.look()
            if self.listener.fileno() in ready:
                peer, _ = self.listener.accept()
                self.peers[peer.fileno()] = peer
            for fd in self.peers.keys() & set(ready):
                self.take_line(self.peers[fd])
            if time.monotonic() >= tick:
                self.counts["ticks"] += 1
                tick += PERIOD
        self.close()

    def look(self) -> None:
        """Something has come from the hub: events of the workers, outcomes of calls."""
        self.hub.poll()                                      # first, then whatever may have changed
        while self.began.next(timeout=0) is not None:
            self.counts["events"] += 1
        for future in [future for future in self.work if future.done()]:
            self.work.pop(future).sendall(b"%d\n" % future.result())

    def take_line(self, peer: socket.socket) -> None:
        """A number came from the port: somebody crunches it, and we go on."""
        data = peer.recv(100)
        if data:
            self.work[self.crunch.submit(number=int(data))] = peer
            self.counts["calls"] += 1
        else:
            del self.peers[peer.fileno()]
            peer.close()

    def stop(self) -> None:
        """From any thread."""
        os.write(self.stop_write, b"!")

    def close(self) -> None:
        while self.counts["events"] < self.counts["calls"] and self.began.next(timeout=10.0) is not None:
            self.counts["events"] += 1                       # the last ones are on their way
        self.began.close()
        for s in (self.listener, *self.peers.values()):
            s.close()
        os.close(self.stop_read)
        os.close(self.stop_write)


def main() -> None:
    with prong.Hub() as hub:
        hub.spawn(Cruncher, replicas=4)                      # no cache of processes, and no list of free ones
        manager = Manager(hub)
        thread = threading.Thread(target=manager.run)        # beside the devices that this program plays
        thread.start()
        devices = [socket.create_connection(manager.address) for _ in range(8)]
        for number, device in enumerate(devices):
            device.sendall(b"%d\n" % (number * 1000))
        answers = [int(device.recv(100)) for device in devices]
        for device in devices:
            device.close()
        manager.stop()
        thread.join()
        print("answers:", *answers)
        print("calls:", manager.counts["calls"])
        print("events:", manager.counts["events"])


if __name__ == "__main__":
    main()
