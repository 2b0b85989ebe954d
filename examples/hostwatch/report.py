#!/usr/bin/python3
"""What a run of the demo has shown, from its events, and whether that is enough.

    prong events 'demo.>' 'sensor.>' 'watch.>' 'hub.worker.>' --from oldest --until demo.end -o jsonl | report.py
    prong events sensor.cpu watch.anomaly -o jsonl | report.py --settle MIN MAX

The first prints, for each series, the episodes in the quiet seconds beside those in the disturbance, when
it was detected and by which replica, and what the killed replica meant for the calls. It ends with 1 and
says why when the run does not prove that a disturbance is detected: no episode began in any of the series
that it has to raise (is_judged) and did raise (rose), or no replica was replaced; and with 77 when the quiet
seconds were not quieter, so that there was nothing to detect.
The second ends when MIN samples have come and none of these series is unusual, or after MAX.

Only what stands in the events counts: how much of the time was unusual, never how fast the machine is.
Python 3 standard library only.
"""
import collections
import datetime
import json
import statistics
import sys
from typing import Any, Iterable, Optional

SETTLED = 20                # samples without an episode that make an end of --settle
CALMER = 0.75               # of the disturbance's median: quiet seconds that reach it are none
CONTRAST = 2                # so many times as much of a disturbance is unusual as of quiet seconds, at least
SLOT_US = 100_000           # of watch.answers
US = 1_000_000

Event = dict[str, Any]      # as JSON has it, and its payload


def is_judged(series: str) -> bool:
    """Hashing takes the cores, or where others had them all makes more processes wait, and reads the disk."""
    return series.startswith("cpu.") or series == "disk.read"


def time_us(event: Event) -> int:
    moment = datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
    return round(moment.timestamp() * US)


def clock(us: int) -> str:
    return datetime.datetime.fromtimestamp(us / US, datetime.timezone.utc).strftime("%H:%M:%S.%f")[:-3]


class Problem(Exception):
    """Why the run proves nothing."""
    code = 1


class Busy(Problem):
    """This machine is as busy by itself as the disturbance makes it: there is nothing to detect."""
    code = 77


class Episode:
    def __init__(self, told: int, payload: Event) -> None:
        self.told = told                          # when we knew
        self.end: Optional[int] = None            # that it is over
        self.series: str = payload["series"]
        self.score: float = payload["score"]
        self.replica: str = payload["replica"]
        self.is_up: bool = payload["value"] > payload["expected"]

    def share_of(self, begin: int, end: int) -> float:
        """How much of this time it was known to go on."""
        last = end if self.end is None else min(end, self.end)
        return max(0, last - max(begin, self.told)) / (end - begin)


class Run:
    """The events of a run, taken apart."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.phases: dict[str, tuple[int, int]] = {}                 # begin and end
        self.episodes: list[Episode] = []
        self.lives: list[tuple[int, str, Event]] = []                # when what happened to which process
        self.answers: list[Event] = []
        self.samples: dict[str, list[tuple[int, float]]] = collections.defaultdict(list)
        phase, last = "", 0
        going: dict[str, Episode] = {}
        for event in events:
            last, topic, payload = time_us(event), event["topic"], event["payload"]
            if phase:
                self.phases[phase] = self.phases[phase][0], last
            if topic == "demo.phase":
                phase = payload["name"]
                self.phases[phase] = last, last
            elif topic.startswith("sensor."):
                for key, value in payload.items():
                    self.samples[f"{topic[7:]}.{key}"].append((last, value))
            elif topic == "watch.anomaly":
                self.change(going, last, payload)
            elif topic == "watch.answers":
                self.answers.append(payload)
            elif topic.startswith("hub.worker."):
                self.lives.append((last, topic[11:], payload))
        for name in ("quiet", "disturbance"):
            if name not in self.phases or self.phases[name][0] >= self.phases[name][1]:
                raise Problem(f"there is no {name} in these events")

    def change(self, going: dict[str, Episode], now: int, payload: Event) -> None:
        if payload["state"] == "begin":
            going[payload["series"]] = Episode(now, payload)
            self.episodes.append(going[payload["series"]])
        elif payload["series"] in going:
            episode = going.pop(payload["series"])
            episode.end = now

    def seconds(self, phase: str) -> float:
        begin, end = self.phases[phase]
        return (end - begin) / US

    def begun(self, phase: str, series: Optional[str] = None) -> list[Episode]:
        begin, end = self.phases[phase]
        return [e for e in self.episodes if begin <= e.told < end and series in (None, e.series)]

    def share(self, phase: str, series: str) -> float:
        """How much of the phase this series was in an episode."""
        return sum(e.share_of(*self.phases[phase]) for e in self.episodes if e.series == series)

    def quantile(self, phase: str, series: str, share: float) -> float:
        begin, end = self.phases[phase]
        values = sorted(value for us, value in self.samples[series] if begin <= us < end)
        return values[int(len(values) * share)] if values else float("nan")

    def rose(self, series: str) -> bool:
        """Half of the samples in the disturbance are above nine tenths of those in the quiet seconds."""
        return self.quantile("disturbance", series, 0.5) > self.quantile("quiet", series, 0.9)

    def detections(self, series: str) -> list[Episode]:
        """Episodes that began in the disturbance and show it."""
        return [e for e in self.begun("disturbance", series) if e.is_up] if self.rose(series) else []


def print_series(run: Run) -> None:
    """A row for each series: what was usual, what was detected."""
    quiet, disturbed = run.seconds("quiet"), run.seconds("disturbance")
    print(f"{'':14} {f'quiet, {quiet:.1f} s':^37}   {f'disturbance, {disturbed:.1f} s':^28}")
    print(f"{'series':14} {'median':>8} {'90 % <=':>8} {'episodes':>9} {'unusual':>9}   {'median':>8} {'episodes':>9} "
          f"{'unusual':>9}   first detected")
    for series in sorted(run.samples, key=lambda s: (not is_judged(s), s)):
        row = f"{series + ('' if is_judged(series) else ' *'):14}"
        for phase, quantiles in (("quiet", (0.5, 0.9)), ("disturbance", (0.5,))):
            row += "".join(f" {run.quantile(phase, series, q):8.3f}" for q in quantiles)
            row += f" {len(run.begun(phase, series)):9} {run.share(phase, series):9.0%}  "
        for first in run.detections(series)[:1]:
            after = (first.told - run.phases["disturbance"][0]) / US
            row += f" after {after:.1f} s, score {first.score:.1f} by {first.replica}"
        print(row.rstrip())
    print("* not judged: the disturbance need not raise it\n")


def judge_detection(run: Run) -> Episode:
    """The first detection; Problem when there is none, or when the same series were no quieter before."""
    judged = [s for s in sorted(run.samples) if is_judged(s)]
    series = [s for s in judged if run.detections(s)]
    if not series:
        change = ", ".join(f"{s} {run.quantile('quiet', s, 0.9):.2f} and {run.quantile('disturbance', s, 0.5):.2f}"
                           for s in judged)
        busy = judged and all(run.quantile("quiet", s, 0.9) >= CALMER * run.quantile("disturbance", s, 0.5)
                              for s in judged)
        why = ("the disturbance was not detected: of the series that it has to raise none began an episode and was half "
               "of the time above nine tenths of the quiet samples (nine tenths of the quiet ones up to, half of the "
               f"others from: {change or 'no samples'})")
        raise Busy(why) if busy else Problem(why)
    print(f"It was detected in {', '.join(series)}. In these together:")
    rates = []
    for phase in ("quiet", "disturbance"):
        count = sum(len(run.begun(phase, s)) for s in series)
        minute = 60 * count / run.seconds(phase)
        share = statistics.mean(run.share(phase, s) for s in series)
        rates.append((minute, share))
        print(f"  {phase:12} {count:2} episodes, {minute:.1f} a minute, {share:.0%} of the time unusual")
    (minute, share), (minute_then, share_then) = rates
    if minute >= minute_then or CONTRAST * share > share_then:
        raise Busy(f"the quiet seconds were not quiet: {minute:.1f} episodes a minute and {share:.0%} of the time "
                      f"unusual, in the disturbance {minute_then:.1f} and {share_then:.0%}. Is this machine busy with "
                      "something else?")
    return min((run.detections(s)[0] for s in series), key=lambda e: e.told)


def judge_replacement(run: Run) -> tuple[str, int, int]:
    """(pid before, pid after) of the replica that was killed in the disturbance; tells who answered."""
    begin, end = run.phases["disturbance"]
    died = next(((us, p) for us, what, p in run.lives if what == "exited" and begin <= us < end), None)
    if died is None:
        raise Problem("no replica died in the disturbance")
    killed, before = died
    name = before["replica"]
    later = [(us, what, p) for us, what, p in run.lives if us > killed and p["replica"] == name]
    ready = next((us for us, what, _ in later if what == "ready"), None)
    # It may get ready before the hub was told its pid, which then comes with `started`.
    after = next((p["pid"] for _, _, p in later if p["pid"] not in (0, before["pid"])), None)
    if ready is None or after is None:
        raise Problem(f"{name} was not replaced")
    print(f"{clock(killed)}  {name}, pid {before['pid']}: {before['reason']}, {(killed - begin) / US:.1f} s into the "
          f"disturbance")
    print(f"{clock(ready)}  {name}, pid {after}: ready, {(ready - killed) / US:.2f} s later")
    print_answers(run, killed, ready)
    by: collections.Counter[str] = collections.Counter()
    for slot in run.answers:
        if slot["from_us"] >= ready:
            by.update(slot["by"])
    if not by[name]:
        raise Problem(f"the new {name} answered no call")
    if not sum(by.values()) > by[name]:
        raise Problem(f"after the death of {name} no other replica answered a call")
    return name, before["pid"], after


def print_answers(run: Run, killed: int, ready: int) -> None:
    """Who scored the samples: meanwhile, and second by second around the death."""
    meanwhile: collections.Counter[str] = collections.Counter()
    seconds: dict[int, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    failed = 0
    for slot in run.answers:
        if killed <= slot["from_us"] and slot["from_us"] + SLOT_US <= ready:
            meanwhile.update(slot["by"])
        second = (slot["from_us"] - killed) // US
        if -3 <= second <= 4:
            seconds[second].update(slot["by"])
        failed += slot["failed"]
    who = ", ".join(f"{replica} {count}" for replica, count in sorted(meanwhile.items()))
    print(f"samples scored meanwhile: {who or 'none'}; failed in the whole run: {failed}")
    print("samples scored in each second, from its death:")
    print(f"  {'second':12}" + "".join(f"{second:+5}" for second in sorted(seconds)))
    for replica in sorted({r for by in seconds.values() for r in by}):
        print(f"  {replica:12}" + "".join(f"{by[replica]:5}" for _, by in sorted(seconds.items())))


def report(events: Iterable[Event]) -> None:
    """Prints it; the last line says what was shown. Raises Problem."""
    run = Run(events)
    print_series(run)
    first = judge_detection(run)
    print()
    name, before, after = judge_replacement(run)
    delay = (first.told - run.phases["disturbance"][0]) / US
    print(f"\ndetected {delay:.1f} s after the start of the disturbance in {first.series}, scored {first.score:.1f} by "
          f"{first.replica}; {name} was replaced, pid {before} by {after}")


def settle(events: Iterable[Event], least: int, most: int) -> None:
    """Whether nothing judged is unusual any longer."""
    going: set[str] = set()
    samples = since = 0
    for event in events:
        payload = event["payload"]
        if event["topic"] == "watch.anomaly" and is_judged(payload["series"]):
            (going.add if payload["state"] == "begin" else going.discard)(payload["series"])
        elif event["topic"] == "sensor.cpu":
            samples += 1
            since = 0 if going else since + 1
        if (samples >= least and since >= SETTLED) or samples >= most:
            break
    print(f"{samples / 10:.0f} s" + (f"; still unusual: {', '.join(sorted(going))}" if going else ""))


def main() -> int:
    events = (json.loads(line) for line in sys.stdin)
    if len(sys.argv) == 4 and sys.argv[1] == "--settle":
        settle(events, int(sys.argv[2]), int(sys.argv[3]))
        return 0
    if len(sys.argv) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        report(events)
    except Problem as problem:
        sys.stdout.flush()
        print(f"report: {problem}", file=sys.stderr)
        return problem.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
