"""How real processes end, or do not even begin, against each restart policy: the state and the reason that
`prong status -o json` shows in the end. One hub, a worker for each pair."""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "hub"))
import kit  # noqa: E402

POLICIES = ("no", "on-failure", "always")
RESTARTS = 2                     # max_restarts: so many times again, then given up
AGAIN = "again"                  # no end: it is started again for ever

# Of each way to end: the command, and by policy the state in the end and how often it was started again.
# "again" counts without end. Every way's reason is given as it is shown.
GIVEN_UP = ("failed", RESTARTS)
DEATH = {"no": ("failed", 0), "on-failure": GIVEN_UP, "always": GIVEN_UP}
CLEAN = {"no": ("stopped", 0), "on-failure": ("stopped", 0), "always": GIVEN_UP}
NEVER = {policy: ("failed", 0) for policy in POLICIES}
NO_BLAME = {"no": ("failed", 0), "on-failure": AGAIN, "always": AGAIN}
WAIT = "while :; do sleep 1000 & wait; done"
# "$$" in a configuration is one "$".
WAYS = {
    "exit0": (["sh", "-c", "exit 0"], CLEAN, "exited with 0"),
    "exit1": (["sh", "-c", "exit 1"], DEATH, "exited with 1"),
    "exit75": (["sh", "-c", "exit 75"], NO_BLAME, "exited with 75"),
    "exit78": (["sh", "-c", "exit 78"], NEVER, "exited with 78"),
    "exit125": (["sh", "-c", "exit 125"], NEVER, "exited with 125"),
    "exit126": (["sh", "-c", "exit 126"], NEVER, "exited with 126"),
    "exit127": (["sh", "-c", "exit 127"], NEVER, "exited with 127"),
    "segv": (["sh", "-c", "ulimit -c 0; kill -SEGV $$$$"], DEATH, "killed by signal 11"),
    "kill": (["sh", "-c", WAIT], DEATH, "killed by signal 9"),
    "term": (["sh", "-c", WAIT], DEATH, "killed by signal 15"),
    "missing": (["./missing"], NEVER, "could not start: exec './missing': No such file or directory"),
    "plain": (["./plain"], NEVER, "could not start: exec './plain': Permission denied"),
    "folder": (["./folder"], NEVER, "could not start: exec './folder': Permission denied"),
    "nofolder": (["sh", "-c", "exit 0"], NEVER,
                 "could not start: working folder './nowhere': No such file or directory"),
}
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM}   # from outside, for as long as it comes back


class Ends(kit.Case):
    def setUp(self):
        super().setUp()
        with open(os.path.join(self.dir, "plain"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n")
        os.mkdir(os.path.join(self.dir, "folder"))

    def config(self):
        lines = []
        for way, (command, _, _) in WAYS.items():
            for policy in POLICIES:
                folder = os.path.join(self.dir, "nowhere") if way == "nofolder" else self.dir
                lines.append(f'{way}-{policy}: {{command: {json.dumps(command)}, restart: "{policy}", '
                             f"working_dir: {folder}, ready: started, restart_delay: 1ms, max_restart_delay: 20ms, "
                             f"max_restarts: {RESTARTS}}}")
        return "\n".join(lines)

    def status(self, hub):
        out = subprocess.run([os.path.join(kit.BIN, "prong"), "status", "-o", "json"], check=True,
                             stdout=subprocess.PIPE, env={**self.env, "PRONG_URL": hub.url}).stdout
        return {name: worker["replicas"][0] for name, worker in json.loads(out)["workers"].items()}

    def hit(self, found):
        """A signal from outside to each that waits for one."""
        for name, replica in found.items():
            number = SIGNALS.get(name.split("-")[0])
            if number and replica["state"] == "ready" and replica["pid"] > 0:
                try:
                    os.kill(replica["pid"], number)
                except ProcessLookupError:
                    pass

    def difference(self, found):
        """[what is not as the table says]"""
        wrong = []
        for way, (_, ends, reason) in WAYS.items():
            for policy in POLICIES:
                replica = found[f"{way}-{policy}"]
                shown = replica["state"], replica["restarts"]
                if ends[policy] == AGAIN:
                    fits = replica["restarts"] > 2 * RESTARTS and replica["state"] in ("backoff", "starting", "ready")
                    shown += ("",) if replica["state"] != "backoff" else (replica["reason"],)
                    fits = fits and shown[2] in ("", reason)
                else:
                    shown += (replica["reason"].replace(self.dir, "."),)
                    fits = shown == (*ends[policy], reason)
                if not fits:
                    wrong.append(f"{way} with {policy}: {shown}, expected {ends[policy]} {reason}")
        return wrong

    def test_every_way_to_end_against_every_policy(self):
        hub = self.hub(self.config(), ready=False).wait_listening()
        wrong = []
        def settled():
            found = self.status(hub)
            self.hit(found)
            wrong[:] = self.difference(found)
            return not wrong
        try:
            kit.until(settled, "the end of each")
        except AssertionError:
            self.fail("\n".join(wrong) + "\n" + hub.log[-3000:])


if __name__ == "__main__":
    kit.main()
