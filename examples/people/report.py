#!/usr/bin/env python3
"""What a run of scripts/demo-people shows, from what the CLI told of it.

usage: report.py --pid REPLICA < `prong status -j`   the process of a replica
       report.py --run EVENTS STREAM                 events of the run, and what is known of the camera's stream
       report.py --same EVENTS EVENTS                whether the second run found the same in the same frames
"""
from __future__ import annotations

import json
import statistics
import sys
from typing import Any

def read(path: str) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def pid_of(replica: str) -> int:
    for worker in json.load(sys.stdin)["workers"].values():
        for process in worker["replicas"]:
            if process["replica"] == replica:
                print(process["pid"])
                return 0
    return 1


def delays(found: list[dict[str, Any]]) -> str:
    all_ms = [f["delay"] * 1000 for f in found]
    if not all_ms:
        return "none"
    return f"p50 {statistics.median(all_ms):.0f} ms, p99 {percentile(all_ms, 0.99):.0f} ms"


def run(events_path: str, stream_path: str) -> int:
    events = read(events_path)
    found = [{**e["payload"], "time": e["time"]} for e in events if e["topic"] == "people.found"]
    with open(stream_path, encoding="utf-8") as file:
        stream = json.load(file)
    frames = stream["frames"] if "frames" in stream else stream["newest"]["number"]
    print(f"frames of the camera      {frames}")
    twice = len(found) - len({f["frame"] for f in found})
    print(f"frames analysed           {len(found)}, {twice or 'none'} of them twice")
    print(f"people found              {sum(len(f['boxes']) for f in found)}")
    for name in sorted({f["by"] for f in found}):
        own = [f for f in found if f["by"] == name]
        print(f"  {name:24}{len(own)} analysed, {sum(f['missed'] for f in own)} passed over to keep up with the camera; "
              f"results {delays(own)} after a frame was taken")
    deaths = [e for e in events if e["topic"] == "hub.worker.exited" and e["payload"]["replica"] == "detector/0"]
    if not deaths:
        print("no detector died")
        return 1
    death = deaths[0]["number"]
    back = next(e for e in events if e["topic"] == "hub.worker.ready" and e["number"] > death)
    between = [e for e in events if e["topic"] == "people.found" and death < e["number"] < back["number"]]
    after = [e["payload"] for e in events if e["topic"] == "people.found" and e["number"] > back["number"]]
    print(f"detector/0 died           {deaths[0]['payload']['reason']}; until it was back the other one analysed "
          f"{len(between)} frames; results afterwards {delays(after)}")
    good = len(found) > 0 and twice == 0 and \
        {f["by"] for f in after} == {"detector/0", "detector/1"}
    return 0 if good else 1


def same(live_path: str, replay_path: str) -> int:
    live, replay = ({e["payload"]["at_us"]: e["payload"]["boxes"] for e in read(path) if e["topic"] == "people.found"}
                    for path in (live_path, replay_path))
    both = live.keys() & replay.keys()
    differ = [at for at in both if live[at] != replay[at]]
    print(f"{len(replay)} frames analysed of the recording, {len(both)} of them in the run, too: "
          f"{sum(len(live[at]) for at in both)} people then and {sum(len(replay[at]) for at in both)} now; "
          f"{len(differ)} frames in which others were found")
    return 0 if both and not differ else 1


def main() -> int:
    words = sys.argv[1:]
    if len(words) == 2 and words[0] == "--pid":
        return pid_of(words[1])
    if len(words) == 3 and words[0] == "--run":
        return run(words[1], words[2])
    if len(words) == 3 and words[0] == "--same":
        return same(words[1], words[2])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
