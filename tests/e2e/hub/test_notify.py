"""What the service manager is told: ready, reloading, stopping, and that the broker's loop turns."""
import os
import re
import select
import signal

import kit

INTERVAL = 0.1                                       # of the questions, with the watchdog's time below
WATCHDOG = {"WATCHDOG_USEC": str(int(2 * INTERVAL * 1e6))}


class Notify(kit.Case):
    def next(self, hub, seconds=kit.SECONDS):
        """The next datagram; None when none comes."""
        return hub.notify.recv(4096).decode() if select.select([hub.notify], [], [], seconds)[0] else None

    def wait_for(self, hub, start):
        """The next one that begins so, and how often WATCHDOG=1 came before it."""
        fed = 0
        while True:
            text = self.next(hub)
            self.assertIsNotNone(text, f"no {start}\n{hub.log}")
            if text.startswith(start):
                return text, fed
            self.assertEqual(text, "WATCHDOG=1")
            fed += 1

    def test_the_watchdog_is_fed_only_while_the_broker_turns(self):
        hub = self.hub(ready=False, env=WATCHDOG)
        text, _ = self.wait_for(hub, "READY=1")
        self.assertIn(f"MAINPID={hub.keeper}", text)
        for _ in range(3):
            self.wait_for(hub, "WATCHDOG=1")
        broker = hub.broker
        os.kill(broker, signal.SIGSTOP)
        kit.until(lambda: state_of(broker) == "T", "the broker stands still")
        fed = 0                                      # the last answer may still be on its way
        while self.next(hub, 5 * INTERVAL) is not None:
            fed += 1
            self.assertLessEqual(fed, 1, "fed although the broker hangs")
        os.kill(broker, signal.SIGCONT)
        for _ in range(3):
            self.wait_for(hub, "WATCHDOG=1")
        os.kill(broker, signal.SIGKILL)              # the next broker is asked, too
        hub.wait_log(r"broker started .* epoch 2")
        for _ in range(3):
            self.wait_for(hub, "WATCHDOG=1")
        os.kill(hub.keeper, signal.SIGHUP)
        text, _ = self.wait_for(hub, "RELOADING=1")
        self.assertRegex(text, r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.wait_for(hub, "READY=1")
        with open(hub.config, "a", encoding="utf-8") as file:
            file.write("nonsense: 1\n")
        os.kill(hub.keeper, signal.SIGHUP)           # one that is refused is over, too
        self.wait_for(hub, "RELOADING=1")
        self.wait_for(hub, "READY=1")
        hub.wait_log("the configuration was not read again: .*nonsense")
        hub.process.terminate()
        self.wait_for(hub, "STOPPING=1")
        self.assertEqual(hub.wait_end(), 0)

    def test_the_folder_of_logs_that_a_manager_gives_is_taken(self):
        logs = os.path.join(self.dir, "kept")
        os.mkdir(logs, 0o700)
        hub = self.hub("plain: {command: [echo, said], ready: started}",
                       env={"LOGS_DIRECTORY": logs + ":/elsewhere"})
        kit.until(lambda: os.path.exists(logs + "/plain.0.log") and hub.status(), "the log")
        self.assertFalse(os.path.exists(hub.run_dir + "/log"))

    def test_nobody_is_asked_without_a_watchdog(self):
        """WATCHDOG_PID names another process: it was meant for somebody above."""
        hub = self.hub(ready=False, env={**WATCHDOG, "WATCHDOG_PID": str(os.getpid())})
        self.assertIn("READY=1", self.next(hub))
        pids = (hub.keeper, hub.spawner)
        for pid in pids:
            kit.until(lambda pid=pid: state_of(pid) == "S", "it sleeps")
        before = [switches(pid) for pid in pids]
        self.assertIsNone(self.next(hub, 5 * INTERVAL))
        self.assertEqual([switches(pid) for pid in pids], before, "somebody woke up")


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]


def switches(pid):
    """How often it went to sleep so far."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M)[1]


if __name__ == "__main__":
    kit.main()
