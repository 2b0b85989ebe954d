"""A program in a real terminal: tmux, whose server is the test's own and whose socket lies in the test's
folder. Keys are sent, and the screen is looked at whenever the program has written something, until it
shows what is waited for. Python 3 standard library only."""
import itertools
import os
import re
import select
import shutil
import subprocess
import time
import unittest

SLOW = int(os.environ.get("PRONG_TEST_SLOW", "1"))
SECONDS = 30 * SLOW

# Ctrl-C reaches every program of the terminal, and this shell is to outlive it. What a screen shows last
# is the exit code, also after a program that had the whole screen to itself. The terminal stays until the
# test is over.
AROUND = 'trap : INT; "$@"; printf "\\n[exit %s]\\n" "$?"; exec tail -f /dev/null'

_numbers = itertools.count()


class Terminal:
    """`words` is a command; it starts at once. `case` has dir, env and addCleanup, as hub.Case. When there
    is no tmux the test is skipped."""

    def __init__(self, case, words, columns=100, rows=30, env=None):
        self.tmux = shutil.which("tmux")
        if self.tmux is None:
            raise unittest.SkipTest("there is no tmux: apt-get install tmux")
        number = next(_numbers)
        self.socket = os.path.join(case.dir, f"tmux{number}")
        self.env = {**case.env, "SHELL": "/bin/sh", **(env or {})}
        self.env.pop("TMUX", None)
        case.addCleanup(self.close)
        self.ask("new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", case.dir,
                 "sh", "-c", AROUND, "sh", *words,
                 ";", "set-option", "-g", "remain-on-exit", "on", ";", "set-option", "-g", "status", "off")
        # All that the program writes comes through here, too, after the screen has it: something to wait for.
        path = os.path.join(case.dir, f"tmux{number}.out")
        os.mkfifo(path)
        self.news = os.open(path, os.O_RDWR | os.O_NONBLOCK)     # for writing, too, so that it never ends
        case.addCleanup(os.close, self.news)
        self.ask("pipe-pane", "-O", f"exec cat > '{path}'")

    def ask(self, *words):
        done = subprocess.run([self.tmux, "-u", "-f", "/dev/null", "-S", self.socket, *words], env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=SECONDS, check=False)
        if done.returncode != 0:
            raise AssertionError(f"tmux {' '.join(words)}: {done.stderr}")
        return done.stdout

    def close(self):
        """End the server, and with it whatever runs in the terminal. May run twice."""
        subprocess.run([self.tmux, "-S", self.socket, "kill-server"], env=self.env, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SECONDS)

    def screen(self, colors=False):
        """The lines of the screen without the spaces at their ends; `colors`: with the sequences that make
        them, as tmux writes them."""
        text = self.ask("capture-pane", "-p", *(["-e"] if colors else []))
        return [line.rstrip() for line in text.split("\n")]

    def wait(self, pattern, seconds=SECONDS, colors=False):
        """The match of a regular expression in the screen, whose lines are joined by newlines."""
        end = time.monotonic() + seconds
        while True:
            text = "\n".join(self.screen(colors))
            found = re.search(pattern, text, re.MULTILINE)
            if found:
                return found
            if not select.select([self.news], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"not shown in time: {pattern}\n{text}")
            while True:
                try:
                    os.read(self.news, 65536)
                except BlockingIOError:
                    break

    def keys(self, *keys):
        """As tmux names them: "q", "Down", "F5", "C-c", "Enter"."""
        self.ask("send-keys", *keys)

    def type(self, text):
        """Letter by letter, whatever they are."""
        self.ask("send-keys", "-l", text)

    def resize(self, columns, rows):
        self.ask("resize-window", "-x", str(columns), "-y", str(rows))

    def code(self, seconds=SECONDS):
        """The exit code of the command, once it has ended."""
        return int(self.wait(r"^\[exit (\d+)\]$", seconds)[1])
