"""prong top in a real terminal: what it shows, its keys, its end, and a hub that goes away and comes back."""
import os
import re
import signal
import sys

from hub import Case, WORKER, main
from terminal import Terminal


class Top(Case):
    config = f"""
workers:
  alpha: {{command: [{sys.executable}, {WORKER}]}}
  beta: {{command: [{sys.executable}, {WORKER}], replicas: 2}}
  gamma: {{command: [{sys.executable}, {WORKER}], autostart: false}}
"""

    def top(self, *words, columns=110, rows=20, env=None):
        return Terminal(self, self.command("top", "-d", "200ms", *words), columns, rows, env)

    def names(self, screen):
        """The workers in the order in which they stand there."""
        return re.findall(r"^[+-]? {0,2}((?:alpha|beta|gamma)\S*) ", "\n".join(screen), re.M)

    def pid(self, worker):
        return self.replicas(worker)[0]["pid"]

    def test_rows_keys_and_the_end(self):
        t = self.top()
        # The hub, totals, headings, rows; rates with the second sample.
        t.wait(r"^hub run  prong \S+  up \S+  broker 1  workers 3$")
        t.wait(r"^calls/s \d+\.\d ")
        t.wait(r"^WORKERv +STATE +PID +CPU% +MEMORY +CALLS/S +P50 +P99 +QUEUE +RUN +RESTARTS LAST ERROR$")
        t.wait(rf"^alpha +ready +{self.pid('alpha')} +\d+\.\d +\d+\.\dM +\d+\.\d ")
        t.wait(r"^\+beta +ready +- ")
        t.wait(r"^gamma +stopped +- ")
        # A replica of its own, and back.
        t.keys("Down", "Space")
        t.wait(r"^-beta[^\n]*\n  beta/0 +ready[^\n]*\n  beta/1 +ready")
        t.keys("Space")
        t.wait(r"^\+beta[^\n]*\ngamma")
        # Sorting by the state: ready before stopped, and the other way round.
        t.keys("s")
        t.wait(r"STATEv")
        t.keys("R")
        t.wait(r"STATE\^[\s\S]*\ngamma[\s\S]*\n\+?(alpha|beta)")
        t.keys("<")
        t.wait(r"WORKERv")
        # A filter, typed and taken away.
        t.keys("/")
        t.type("amm")
        t.wait(r"^filter: amm_$")
        t.keys("Enter")
        t.wait(r"^filter: amm  \(2 hidden, Esc shows all\)$")
        self.assertEqual(self.names(t.screen()), ["gamma"])
        t.keys("Escape")
        t.wait(r"^alpha[\s\S]*^gamma")
        t.keys("?")
        t.wait(r"^r  x +restart, stop")
        t.keys("q")                                  # any key goes back
        t.wait(r"^alpha ")
        # Resizing: fewer columns, then too few, then more again.
        t.resize(60, 10)
        t.wait(r"^WORKERv +STATE [^\n]*CALLS/S(?![^\n]*LAST ERROR)")
        t.resize(20, 10)
        t.wait(r"^too small")
        t.resize(120, 24)
        t.wait(r"LAST ERROR$")
        t.keys("q")
        self.assertEqual(t.code(), 0)
        # The terminal is as it was: no row is left on the screen, and what is typed shows.
        self.assertEqual(self.names(t.screen()), [])

    def test_restart_stop_and_start_from_the_keyboard(self):
        t = self.top()
        before = self.pid("alpha")
        t.wait(rf"^alpha +ready +{before} ")
        t.keys("g", "r")
        t.wait(r"^restart alpha\? \(y/n\)$")
        t.keys("n")
        t.wait(r"^not done$")
        self.assertEqual(self.pid("alpha"), before)
        t.keys("r", "y")
        found = t.wait(rf"^alpha +ready +(?!{before} )(\d+) ")
        self.assertEqual(int(found[1]), self.pid("alpha"))
        t.keys("x", "y")
        t.wait(r"^alpha +stopped +- ")
        t.keys("S")
        t.wait(r"^alpha +ready +\d+ ")
        # One replica of a worker, by its own row.
        t.keys("j", "Space", "j", "j")
        t.wait(r"^  beta/1 +ready")
        pids = [r["pid"] for r in self.replicas("beta")]
        t.keys("r", "y")
        t.wait(rf"^  beta/1 +ready +(?!{pids[1]} )\d+ ")
        self.assertEqual(self.replicas("beta")[0]["pid"], pids[0])
        t.keys("C-c")
        self.assertEqual(t.code(), 130)

    def test_why_a_worker_died_is_told(self):
        t = self.top(columns=130)
        t.wait(r"^alpha +ready ")
        os.kill(self.pid("alpha"), signal.SIGKILL)
        t.wait(r"^alpha +ready +\d+ [^\n]* 1 killed by signal 9$")
        t.wait(r"^alpha: killed by signal 9$")       # in full, below
        t.keys("q")
        self.assertEqual(t.code(), 0)

    def test_colours(self):
        t = self.top()
        t.wait("\x1b\\[[0-9;]*32m[^\n]*ready", colors=True)
        t.keys("q")
        self.assertEqual(t.code(), 0)
        t = self.top(env={"NO_COLOR": "1"})
        t.wait(r"^alpha +ready ")
        self.assertNotRegex("\n".join(t.screen(colors=True)), "\x1b\\[[0-9;]*3[0-7]m")
        t.keys("q")
        self.assertEqual(t.code(), 0)
        self.assertEqual(self.top("--timeout", "300ms").code(), 124)

    def test_a_hub_that_goes_away_and_comes_back(self):
        t = self.top()
        t.wait(r"^alpha +ready ")
        self.ok("down", "-q")
        t.wait(r"^hub not reachable, trying again: ")
        t.keys("?")                                  # it listens all the same
        t.wait(r"any key goes back")
        t.keys("?")
        self.ok("up", "-q", "--config", os.path.join(self.dir, "prong.yaml"))
        t.wait(rf"^alpha +ready +{self.pid('alpha')} ")
        self.assertNotIn("not reachable", "\n".join(t.screen()))
        t.keys("q")
        self.assertEqual(t.code(), 0)

    def test_pictures_as_text(self):
        self.ok("call", "alpha.add")
        text = self.ok("top", "--batch", "-n", "2", "-d", "100ms", "--expand", "--sort", "memory").out
        self.assertEqual(len(re.findall(r"^hub run ", text, re.M)), 2)
        self.assertEqual(len(re.findall(r"^  beta/1 +ready", text, re.M)), 2)
        self.assertIn("MEMORYv", text)
        self.assertNotIn("\x1b", text)
        self.assertEqual(self.names(self.ok("top", "--once", "-d", "100ms", "--filter", "gam").out.split("\n")),
                         ["gamma"])
        self.fails(124, "top", "--batch", "-d", "100ms", "--timeout", "250ms")
        self.assertIn("needs a terminal", self.fails(2, "top").err)
        self.assertIn("--batch", self.fails(2, "top", "-n", "3").err)
        self.assertIn("restarts", self.fails(2, "top", "--once", "--sort", "shape").err)
        self.ok("down", "-q")
        self.assertIn("start a hub", self.fails(7, "top", "--once").err)


if __name__ == "__main__":
    main()
