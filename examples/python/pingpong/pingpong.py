#!/usr/bin/env python3
"""Frontend and backend in one class: a call into another process, its value, its error, a message back."""
from __future__ import annotations

import os
from typing import Any

import prong

class PingPong(prong.Worker):
    def setup(self) -> None:
        """In the new process, before the first call: what is heavy, and what starts threads, belongs here."""
        self.count = 0

    # ---- the backend: these run in the process that the hub started

    def ping(self, text: str) -> dict[str, Any]:
        """Answers, and says which process did."""
        self.count += 1
        self.log.info("ping: got %s", text)
        self.emit("heard", {"text": text})
        return {"pong": text.upper(), "count": self.count, "pid": os.getpid()}

    # ---- the frontend: this runs in the caller

    @prong.frontend
    def rally(self, *texts: str) -> str:
        """Several pings that look like one method."""
        return " ".join(self.backend.ping(text)["pong"] for text in texts)


def main() -> None:
    with prong.Hub() as hub:
        hub.spawn(PingPong)
        p = hub.worker(PingPong)
        with hub.subscribe("ping_pong.heard") as heard:
            future = p.ping.submit("gotcha")                 # does not wait
            event = heard.next(timeout=10.0)                 # a message of the backend, meanwhile
            print("heard:", event.payload["text"] if event else None)
            print("pong:", future.result()["pong"])

        answer = p.ping("once more")                         # waits, and there is the value
        print("calls so far:", answer["count"])
        print("in another process:", answer["pid"] != os.getpid())
        print("rally:", p.rally("a", "b", "c"))

        try:
            p.ping(text=7)
        except prong.InvalidArgumentError as error:          # what is wrong over there is an exception here
            print("refused:", error.message)


if __name__ == "__main__":
    main()
