"""Workers that are started, stopped and killed again and again, with families of their own: nothing of them is
left, looked up in /proc. And a crowd that is asked to stop all at once."""
import collections
import os
import random
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "hub"))
import kit  # noqa: E402

CYCLES = int(os.environ.get("PRONG_CHURN_CYCLES", "60"))
SEED = int(os.environ.get("PRONG_CHURN_SEED", "1"))
FAMILY = os.path.join(kit.TEST_BIN, "spawn_family_worker")
WORKERS, DEAF, CROWD = 20, 4, 50
OPTIONS = "restart_delay: 0ms, max_restart_delay: 1ms, max_restarts: 1000"
# One that speaks nothing and is deaf to SIGTERM, as are those that it leaves: a daemon with a child, and a child.
SHELL = "trap '' TERM; echo up; (setsid sh -c 'sleep 1000 & wait' &) & while :; do sleep 1000; done"
CONFIG = "".join(f"w{n}: {{command: [{FAMILY}], {OPTIONS}}}\n" for n in range(WORKERS - DEAF)) + "".join(
    f'w{n}: {{command: [sh, -c, "{SHELL}"], ready: started, stop_timeout: 50ms, {OPTIONS}}}\n'
    for n in range(WORKERS - DEAF, WORKERS))
# Each says that it was asked to stop, then waits for the test.
ASKED = ("trap 'echo asked >>asked; read line <go; echo gone >>asked; exit 0' TERM; echo up >>asked; "
         "while :; do sleep 1000 & wait; done")


def state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


class Churn(kit.Case):
    def counted(self, hub):
        """Descriptors by process, files, and the zombies below the three."""
        found = collections.Counter()
        for name, pid in ("keeper", hub.keeper), ("spawner", hub.spawner), ("broker", hub.broker):
            found.update(f"fd of {name}: {fd}" for fd in kit.fds(pid))
            found.update(f"zombie of {name}" for child in kit.children(pid) if state(child) == "Z")
        for folder in hub.run_dir, os.path.join(hub.run_dir, "log"):
            found.update(f"file {os.path.join(folder, name)}" for name in os.listdir(folder))
        return found

    def check_nothing_more(self, hub, before, expected):
        """What there was before, and as many processes as belong to the hub."""
        def difference():
            more = list((self.counted(hub) - before).elements())
            there = kit.tagged(self.tag)
            return more + ([f"{len(there)} processes: {there}"] if len(there) != expected else [])
        try:
            kit.until(lambda: not difference(), "the end of what was left")
        except AssertionError:
            self.fail("\n".join(difference()) + "\n" + hub.log[-4000:])

    def ready(self, hub, client):
        """{worker: (pid, incarnation)} once all of them serve."""
        def all_ready():
            replicas = {name: w["replicas"][0] for name, w in hub.status(client)["workers"].items()}
            return replicas if all(r["state"] == "ready" and r["pid"] > 0 for r in replicas.values()) else None
        return {name: (r["pid"], r["incarnation"]) for name, r in kit.until(all_ready, "all are ready").items()}

    def offspring(self, client):
        """Two daemons for each that can have some; the deaf ones bring theirs along."""
        calls = [client.begin(f"w{n}", "offspring", [2]) for n in range(WORKERS - DEAF)]
        for _ in calls:
            _, replies = client.receive()
            self.assertEqual(replies[0][0], kit.OP["RESULT"], replies)

    def one(self, hub, client, choice, name, pid):
        """Whatever happens to this worker in this round; True if it has to be started again."""
        if choice == "kill":
            os.kill(pid, signal.SIGKILL)
        elif choice == "restart":
            client.admin("restart", worker=name)
        else:
            client.admin("stop", worker=name)
        return choice == "stop"

    def lose_broker(self, hub, client):
        old = hub.broker
        client.close()
        os.kill(old, signal.SIGKILL)
        kit.wait_gone([old], kit.SECONDS)
        def connected():
            try:
                return kit.Client(hub.url)
            except (OSError, kit.Closed):
                return None
        return kit.until(connected, "the next broker")

    def test_nothing_is_left_of_workers_that_come_and_go(self):
        random_state = random.Random(SEED)
        hub = self.hub(CONFIG)
        client = kit.Client(hub.url)
        now = self.ready(hub, client)
        logs = os.path.join(hub.run_dir, "log")
        kit.until(lambda: os.path.isdir(logs) and len(os.listdir(logs)) == WORKERS, "a log file of each")
        living = 3 + WORKERS + 3 * DEAF                  # the hub's own, and those of the deaf
        kit.until(lambda: len(kit.tagged(self.tag)) == living, "the families of the deaf")
        before = self.counted(hub)
        done, counts, families = 0, collections.Counter(), 0
        while done < CYCLES:
            self.offspring(client)
            families += 2 * (WORKERS - DEAF) + 3 * DEAF
            if done // WORKERS % 5 == 4:
                client = self.lose_broker(hub, client)
                self.assertEqual({name: pid for name, (pid, _) in self.ready(hub, client).items()},
                                 {name: pid for name, (pid, _) in now.items()}, "a broker's death ends no worker")
                counts["broker"] += 1
            choices = {name: random_state.choice(("kill", "restart", "stop")) for name in now}
            counts.update(choices.values())
            stopped = [name for name, choice in choices.items() if self.one(hub, client, choice, name, now[name][0])]
            def all_stopped():
                workers = hub.status(client)["workers"]
                return all(workers[name]["replicas"][0]["state"] == "stopped" for name in stopped)
            kit.until(all_stopped, "those that were stopped")
            for name in stopped:
                client.admin("start", worker=name)
            old = {pid for pid, _ in now.values()}
            kit.until(lambda old=old: old.isdisjoint(pid for pid, _ in self.ready(hub, client).values()), "new ones")
            now = self.ready(hub, client)
            done += WORKERS
            if done % 100 == 0 or done >= CYCLES:
                client.close()
                self.check_nothing_more(hub, before, living)
                client = kit.Client(hub.url)
        client.close()
        print(f"{done} cycles ({dict(counts)}), {families} grandchildren: nothing is left")
        self.assertEqual(hub.stop(), 0)
        hub.assert_nothing_left()


class Crowd(kit.Case):
    def test_a_crowd_is_asked_to_stop_before_the_first_has_gone(self):
        """In turn, only one would ever be asked here: none goes before all were."""
        os.mkfifo(os.path.join(self.dir, "go"))
        hub = self.hub(f'crowd: {{command: [sh, -c, "{ASKED}"], replicas: {CROWD}, ready: started, '
                       f"stop_timeout: 1h, working_dir: {self.dir}}}", hub="stop_timeout: 1h\n")
        def words(word):
            try:
                with open(os.path.join(self.dir, "asked"), encoding="utf-8") as file:
                    return len(re.findall(rf"^{word}$", file.read(), re.M))
            except FileNotFoundError:
                return 0
        kit.until(lambda: words("up") == CROWD, "all have started")
        hub.process.terminate()
        kit.until(lambda: words("asked") == CROWD, "all are asked")
        self.assertEqual(words("gone"), 0)
        with open(os.path.join(self.dir, "go"), "wb", buffering=0) as go:
            go.write(b"\n" * CROWD)
            self.assertEqual(hub.wait_end(), 0)
        self.assertEqual(words("gone"), CROWD)
        hub.assert_nothing_left()


if __name__ == "__main__":
    kit.main()
